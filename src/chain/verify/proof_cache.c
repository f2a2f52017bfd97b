/* A ring of verdicts, and the bodies some of them have. */
#include "chain/verify/proof_cache.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/block.h"
#include "util/map.h"
#include "util/mem.h"

enum { PROOF_CACHE_MAX = 16384, PROOF_CACHE_BODIES = 64 << 20 };

struct cached_proof {
	uint8_t id[32], prev[32];
	enum proof_verdict verdict;
	uint8_t *body;
};

struct proof_cache {
	const struct spec *spec;
	struct map by_id;
	struct cached_proof *ring; /* PROOF_CACHE_MAX places, filled in turn */
	size_t next;
	size_t body_count, body_max;
};

struct proof_cache *proof_cache_new(const struct spec *spec)
{
	struct proof_cache *proof_cache = mem_calloc(1, sizeof *proof_cache);
	size_t bodies_by_memory = PROOF_CACHE_BODIES / block_body_size(spec);

	proof_cache->spec = spec;
	proof_cache->ring = mem_calloc(PROOF_CACHE_MAX, sizeof *proof_cache->ring);
	map_init(&proof_cache->by_id);
	/* A full block's at least, twice over: that is what the cache is for. */
	proof_cache->body_max = 2 * (1 + 4 * (size_t)spec->k);
	if (bodies_by_memory > proof_cache->body_max)
		proof_cache->body_max = bodies_by_memory;
	return proof_cache;
}

void proof_cache_free(struct proof_cache *proof_cache)
{
	if (proof_cache == NULL)
		return;
	for (size_t i = 0; i < PROOF_CACHE_MAX; i++)
		free(proof_cache->ring[i].body);
	free(proof_cache->ring);
	map_clear(&proof_cache->by_id);
	free(proof_cache);
}

static void proof_cache_drop_body(struct proof_cache *proof_cache, struct cached_proof *cached)
{
	if (cached->body == NULL)
		return;
	free(cached->body);
	cached->body = NULL;
	proof_cache->body_count--;
}

/* A verdict never changes: an id commits to all that decides it. A body may come later than its verdict. */
void proof_cache_put(struct proof_cache *proof_cache, const struct header *header, enum proof_verdict verdict,
	const uint8_t *body)
{
	struct cached_proof *cached;
	uint8_t proof_id[32];

	header_id(header, proof_id);
	cached = map_get(&proof_cache->by_id, proof_id);
	if (cached == NULL) {
		cached = &proof_cache->ring[proof_cache->next];
		proof_cache->next = (proof_cache->next + 1) % PROOF_CACHE_MAX;
		if (cached->verdict != PROOF_UNKNOWN)
			map_remove(&proof_cache->by_id, cached->id);
		proof_cache_drop_body(proof_cache, cached);
		memcpy(cached->id, proof_id, 32);
		memcpy(cached->prev, header->prev, 32);
		map_put(&proof_cache->by_id, proof_id, cached);
	}
	cached->verdict = verdict;
	if (body != NULL && cached->body == NULL && proof_cache->body_count < proof_cache->body_max) {
		cached->body = mem_dup(body, block_body_size(proof_cache->spec));
		proof_cache->body_count++;
	}
}

enum proof_verdict proof_cache_verdict(const struct proof_cache *proof_cache, const uint8_t id[32])
{
	const struct cached_proof *cached = map_get(&proof_cache->by_id, id);

	return cached != NULL ? cached->verdict : PROOF_UNKNOWN;
}

const uint8_t *proof_cache_body(const struct proof_cache *proof_cache, const uint8_t id[32])
{
	const struct cached_proof *cached = map_get(&proof_cache->by_id, id);

	return cached != NULL && cached->verdict == PROOF_RIGHT ? cached->body : NULL;
}

/* Bodies are those of the newest proofs: from there backwards until none is left. Bodies serve the blocks that come
 * next, which are the tip's children; verdicts stay, as the same proof may be sent again at any time. */
void proof_cache_new_tip(struct proof_cache *proof_cache, const uint8_t tip[32])
{
	size_t bodies_left = proof_cache->body_count;

	for (size_t i = 1; bodies_left > 0; i++) {
		const size_t ring_at = (proof_cache->next + PROOF_CACHE_MAX - i) % PROOF_CACHE_MAX;
		struct cached_proof *cached = &proof_cache->ring[ring_at];

		if (cached->body == NULL)
			continue;
		bodies_left--;
		if (memcmp(cached->prev, tip, 32) != 0)
			proof_cache_drop_body(proof_cache, cached);
	}
}
