/* A ring of verdicts, and the bodies some of them have. */
#include "chain/verify/proof_cache.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/block.h"
#include "util/map.h"
#include "util/mem.h"

enum { PROOFS_MAX = 16384, PROOFS_BODIES = 64 << 20 };

struct known_proof {
	uint8_t id[32], prev[32];
	enum proof_verdict verdict;
	uint8_t *body;
};

struct proof_cache {
	const struct spec *spec;
	struct map by_id;
	struct known_proof *ring; /* PROOFS_MAX places, filled in turn */
	size_t next;
	size_t body_count, body_max;
};

struct proof_cache *proof_cache_new(const struct spec *spec)
{
	struct proof_cache *proofs = mem_calloc(1, sizeof *proofs);
	size_t by_memory = PROOFS_BODIES / block_body_size(spec);

	proofs->spec = spec;
	proofs->ring = mem_calloc(PROOFS_MAX, sizeof *proofs->ring);
	map_init(&proofs->by_id);
	/* A full block's at least, twice over: that is what the cache is for. */
	proofs->body_max = 2 * (1 + 4 * (size_t)spec->k);
	if (by_memory > proofs->body_max)
		proofs->body_max = by_memory;
	return proofs;
}

void proof_cache_free(struct proof_cache *proofs)
{
	if (proofs == NULL)
		return;
	for (size_t i = 0; i < PROOFS_MAX; i++)
		free(proofs->ring[i].body);
	free(proofs->ring);
	map_clear(&proofs->by_id);
	free(proofs);
}

static void drop_body(struct proof_cache *proofs, struct known_proof *known)
{
	if (known->body == NULL)
		return;
	free(known->body);
	known->body = NULL;
	proofs->body_count--;
}

/* A verdict never changes: an id commits to all that decides it. A body may come later than its verdict. */
void proof_cache_put(struct proof_cache *proofs, const struct header *header, enum proof_verdict verdict,
	const uint8_t *body)
{
	struct known_proof *known;
	uint8_t id[32];

	header_id(header, id);
	known = map_get(&proofs->by_id, id);
	if (known == NULL) {
		known = &proofs->ring[proofs->next];
		proofs->next = (proofs->next + 1) % PROOFS_MAX;
		if (known->verdict != PROOF_UNKNOWN)
			map_remove(&proofs->by_id, known->id);
		drop_body(proofs, known);
		memcpy(known->id, id, 32);
		memcpy(known->prev, header->prev, 32);
		map_put(&proofs->by_id, id, known);
	}
	known->verdict = verdict;
	if (body != NULL && known->body == NULL && proofs->body_count < proofs->body_max) {
		known->body = mem_dup(body, block_body_size(proofs->spec));
		proofs->body_count++;
	}
}

enum proof_verdict proof_cache_verdict(const struct proof_cache *proofs, const uint8_t id[32])
{
	const struct known_proof *known = map_get(&proofs->by_id, id);

	return known != NULL ? known->verdict : PROOF_UNKNOWN;
}

const uint8_t *proof_cache_body(const struct proof_cache *proofs, const uint8_t id[32])
{
	const struct known_proof *known = map_get(&proofs->by_id, id);

	return known != NULL && known->verdict == PROOF_RIGHT ? known->body : NULL;
}

/* Bodies are those of the newest proofs: from there backwards until none is left. Bodies serve the blocks that come
 * next, which are the tip's children; verdicts stay, as the same proof may be sent again at any time. */
void proof_cache_new_tip(struct proof_cache *proofs, const uint8_t tip[32])
{
	size_t left = proofs->body_count;

	for (size_t i = 1; left > 0; i++) {
		struct known_proof *known = &proofs->ring[(proofs->next + PROOFS_MAX - i) % PROOFS_MAX];

		if (known->body == NULL)
			continue;
		left--;
		if (memcmp(known->prev, tip, 32) != 0)
			drop_body(proofs, known);
	}
}
