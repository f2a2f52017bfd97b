/* Right proofs that blocks may still list: loose ones for the tip's child, and late ones for blocks further on.
 *
 * They lie by the block they name, their parent, for CANDIDATES_BACK heights, on any branch, since branches change: of
 * a parent as many as a block takes, and what came with blocks has room beside them. None is here that a block of the
 * active chain has, as its own proof or in a list; what a block brings that leaves the active chain comes back, its own
 * proof with it. In memory alone: after a restart other nodes know them. */
#ifndef ATELIER_CHAIN_VERIFY_CANDIDATES_H
#define ATELIER_CHAIN_VERIFY_CANDIDATES_H

#include "chain/chain.h"

enum { CANDIDATES_BACK = 8, CANDIDATES_PARENTS = 32 };

struct candidates;

struct candidates *candidates_new(const struct spec *spec);
void candidates_free(struct candidates *candidates);

/* A right proof, of which the caller tells others. False: its parent is too old or not verified, a block has it, it is
 * here, or there are enough of its parent. */
bool candidates_put(struct chain *chain, const struct header *header);
bool candidates_has_place(const struct chain *chain, const struct index_entry *parent);
/* Whether one of that parent has this seed. */
bool candidates_has_seed(const struct chain *chain, const struct index_entry *parent, const uint8_t seed[32]);

/* A right proof that came with a block: others are told when it can be listed late. */
void candidates_keep(struct chain *chain, const struct header *header);
/* The active chain gained or lost this block. */
void candidates_block_on(struct chain *chain, const struct block *block);
void candidates_block_off(struct chain *chain, const struct block *block);
/* Forgets what is too old. */
void candidates_new_tip(struct chain *chain);
/* Tells of what came with blocks and can be listed late now (proof_verdict). */
void candidates_tell(struct chain *chain);

#endif
