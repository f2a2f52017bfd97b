/* Shelves of right proofs, one for each block that they name. */
#include "chain/verify/candidates.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/tip.h"
#include "util/mem.h"

struct candidate {
	struct header header;
	uint8_t id[32], seed[32];
	bool loose; /* the child of its parent may list it: above the block target */
	bool told;  /* others were told, or told us */
};

/* Parents are verified, so their entries live as long as the chain. */
struct candidate_shelf {
	const struct index_entry *parent;
	struct candidate *proofs; /* ascending by seed */
	size_t count;
};

struct candidates {
	size_t most;       /* on a shelf that is still open to others' */
	size_t shelf_size; /* two blocks with all they list: one that goes and one that comes */
	struct candidate_shelf shelves[CANDIDATES_PARENTS];
	size_t shelf_count;
};

struct candidates *candidates_new(const struct spec *spec)
{
	struct candidates *candidates = mem_calloc(1, sizeof *candidates);

	candidates->most = 4 * (size_t)spec->k;
	candidates->shelf_size = 2 * (1 + candidates->most);
	return candidates;
}

void candidates_free(struct candidates *candidates)
{
	if (candidates == NULL)
		return;
	for (size_t i = 0; i < candidates->shelf_count; i++)
		free(candidates->shelves[i].proofs);
	free(candidates);
}

/* --- shelves --- */

static struct candidate_shelf *candidates_shelf(struct candidates *candidates, const struct index_entry *parent)
{
	for (size_t i = 0; i < candidates->shelf_count; i++)
		if (candidates->shelves[i].parent == parent)
			return &candidates->shelves[i];
	return NULL;
}

static void candidates_drop_shelf(struct candidates *candidates, struct candidate_shelf *shelf)
{
	free(shelf->proofs);
	*shelf = candidates->shelves[--candidates->shelf_count];
}

static bool candidates_too_old(const struct chain *chain, const struct index_entry *parent)
{
	return parent->height + CANDIDATES_BACK <= chain_tip(chain)->height;
}

/* Where all shelves are taken the lowest parent gives way: what can be listed for the shortest time. It takes work to
 * come so far, as each parent is a verified block. */
static struct candidate_shelf *candidates_make_shelf(struct candidates *candidates, const struct index_entry *parent)
{
	struct candidate_shelf *shelf = candidates_shelf(candidates, parent), *lowest = &candidates->shelves[0];

	if (shelf != NULL)
		return shelf;
	if (candidates->shelf_count == CANDIDATES_PARENTS) {
		for (size_t i = 1; i < candidates->shelf_count; i++)
			if (candidates->shelves[i].parent->height < lowest->parent->height)
				lowest = &candidates->shelves[i];
		if (lowest->parent->height >= parent->height)
			return NULL;
		candidates_drop_shelf(candidates, lowest);
	}
	shelf = &candidates->shelves[candidates->shelf_count++];
	shelf->parent = parent;
	shelf->count = 0;
	shelf->proofs = mem_calloc(candidates->shelf_size, sizeof *shelf->proofs);
	return shelf;
}

/* Where a seed stands or would stand; true if it is there. */
static bool candidates_find(const struct candidate_shelf *shelf, const uint8_t seed[32], size_t *shelf_at)
{
	size_t low = 0, high = shelf->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int seed_order = memcmp(shelf->proofs[middle].seed, seed, 32);

		if (seed_order == 0) {
			*shelf_at = middle;
			return true;
		}
		if (seed_order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*shelf_at = low;
	return false;
}

bool candidates_has_seed(const struct chain *chain, const struct index_entry *parent, const uint8_t seed[32])
{
	const struct candidate_shelf *shelf = candidates_shelf(chain->candidates, parent);
	size_t shelf_at;

	return shelf != NULL && candidates_find(shelf, seed, &shelf_at);
}

bool candidates_has_place(const struct chain *chain, const struct index_entry *parent)
{
	const struct candidate_shelf *shelf = candidates_shelf(chain->candidates, parent);

	return shelf == NULL || shelf->count < chain->candidates->most;
}

/* --- coming and going --- */

static bool candidates_is_loose(const struct header *header)
{
	struct u256 block_target;
	uint8_t ticket[32];

	header_ticket(header, ticket);
	return target_from_compact(header->bits, &block_target) && !target_met(ticket, block_target);
}

static struct candidate *candidates_add(struct chain *chain, const struct header *header)
{
	const struct index_entry *parent = chain_find(chain, header->prev);
	struct candidate_shelf *shelf;
	struct candidate *candidate;
	uint8_t seed[32];
	size_t shelf_at;

	header_seed(header, seed);
	if (parent == NULL || !entry_verified(parent) || candidates_too_old(chain, parent) ||
		registry_is_listed(chain->registry, seed))
		return NULL;
	shelf = candidates_make_shelf(chain->candidates, parent);
	if (shelf == NULL || shelf->count == chain->candidates->shelf_size || candidates_find(shelf, seed, &shelf_at))
		return NULL;
	candidate = &shelf->proofs[shelf_at];
	memmove(candidate + 1, candidate, (shelf->count - shelf_at) * sizeof *candidate);
	shelf->count++;
	*candidate = (struct candidate){ .header = *header, .loose = candidates_is_loose(header) };
	memcpy(candidate->seed, seed, 32);
	header_id(header, candidate->id);
	return candidate;
}

bool candidates_put(struct chain *chain, const struct header *header)
{
	const struct index_entry *parent = chain_find(chain, header->prev);
	struct candidate *candidate = NULL;

	if (parent != NULL && candidates_has_place(chain, parent))
		candidate = candidates_add(chain, header);
	if (candidate == NULL)
		return false;
	candidate->told = true;
	return true;
}

void candidates_keep(struct chain *chain, const struct header *header)
{
	candidates_add(chain, header);
}

static void candidates_remove(struct chain *chain, const struct header *header)
{
	const struct index_entry *parent = chain_find(chain, header->prev);
	struct candidate_shelf *shelf = parent != NULL ? candidates_shelf(chain->candidates, parent) : NULL;
	uint8_t seed[32];
	size_t shelf_at;

	header_seed(header, seed);
	if (shelf == NULL || !candidates_find(shelf, seed, &shelf_at))
		return;
	memmove(&shelf->proofs[shelf_at], &shelf->proofs[shelf_at + 1],
		(--shelf->count - shelf_at) * sizeof *shelf->proofs);
}

void candidates_block_on(struct chain *chain, const struct block *block)
{
	for (size_t i = 0; i < block_proof_count(block); i++)
		candidates_remove(chain, block_proof(block, i));
}

/* It was verified, so all that it lists is right. */
void candidates_block_off(struct chain *chain, const struct block *block)
{
	for (size_t i = 0; i < block_proof_count(block); i++)
		candidates_keep(chain, block_proof(block, i));
}

/* --- what can be listed now --- */

/* Parents of the active chain in reach of a late proof: height of the lowest. */
static uint32_t candidates_reach(const struct chain *chain)
{
	const uint32_t tip_height = chain_tip(chain)->height;

	return tip_height > BLOCK_LATE_BACK ? tip_height - BLOCK_LATE_BACK : 0;
}

static const struct candidate_shelf *candidates_shelf_at(const struct chain *chain, uint32_t height)
{
	return candidates_shelf(chain->candidates, chain_at(chain, height));
}

/* Beside the loose ones there may be what the operator's refusal of a block brought back: that cannot be loose. */
const struct header *chain_loose_get(const struct chain *chain, size_t index)
{
	const struct candidate_shelf *shelf = candidates_shelf_at(chain, chain_tip(chain)->height);

	for (size_t i = 0; shelf != NULL && i < shelf->count; i++)
		if (shelf->proofs[i].loose && index-- == 0)
			return &shelf->proofs[i].header;
	return NULL;
}

size_t chain_loose_count(const struct chain *chain)
{
	const struct candidate_shelf *shelf = candidates_shelf_at(chain, chain_tip(chain)->height);
	size_t loose_count = 0;

	for (size_t i = 0; shelf != NULL && i < shelf->count; i++)
		loose_count += shelf->proofs[i].loose;
	return loose_count;
}

size_t chain_late_count(const struct chain *chain)
{
	size_t late_count = 0;

	for (uint32_t height = candidates_reach(chain); height < chain_tip(chain)->height; height++) {
		const struct candidate_shelf *shelf = candidates_shelf_at(chain, height);

		late_count += shelf != NULL ? shelf->count : 0;
	}
	return late_count;
}

const struct header *chain_late_get(const struct chain *chain, size_t index)
{
	for (uint32_t height = candidates_reach(chain); height < chain_tip(chain)->height; height++) {
		const struct candidate_shelf *shelf = candidates_shelf_at(chain, height);

		if (shelf == NULL)
			continue;
		if (index < shelf->count)
			return &shelf->proofs[index].header;
		index -= shelf->count;
	}
	return NULL;
}

/* Others may name any id: most are judged and listed, and few are here. */
const struct header *chain_candidate(const struct chain *chain, const uint8_t id[32])
{
	const struct candidates *candidates = chain->candidates;

	for (size_t i = 0; i < candidates->shelf_count; i++)
		for (size_t j = 0; j < candidates->shelves[i].count; j++)
			if (memcmp(candidates->shelves[i].proofs[j].id, id, 32) == 0)
				return &candidates->shelves[i].proofs[j].header;
	return NULL;
}

/* Only what is late: before that, what a block brought goes to all with the block. */
void candidates_tell(struct chain *chain)
{
	for (uint32_t height = candidates_reach(chain); height < chain_tip(chain)->height; height++) {
		struct candidate_shelf *shelf = candidates_shelf(chain->candidates, chain_at(chain, height));

		for (size_t i = 0; shelf != NULL && i < shelf->count; i++) {
			const struct header late_header = shelf->proofs[i].header;

			if (shelf->proofs[i].told)
				continue;
			shelf->proofs[i].told = true;
			NOTIFY(&chain->notices, proof_verdict, &late_header, &(const struct source){ 0 }, NULL);
		}
	}
}

void candidates_new_tip(struct chain *chain)
{
	struct candidates *candidates = chain->candidates;

	for (size_t i = candidates->shelf_count; i-- > 0;)
		if (candidates_too_old(chain, candidates->shelves[i].parent))
			candidates_drop_shelf(candidates, &candidates->shelves[i]);
}
