/* What proofs train on: the windows of a step, gathered on the loop before a worker executes it (doc/protocol.md
 * section 7). */
#ifndef ATELIER_CHAIN_VERIFY_STEP_INPUTS_H
#define ATELIER_CHAIN_VERIFY_STEP_INPUTS_H

#include "chain/blobs.h"
#include "chain/index.h"
#include "chain/verify/wants.h"

/* What the proofs of a block's children train on: the dataset that each slot draws. */
struct step_draw {
	const struct registry *registry;
	uint8_t ticket[32]; /* of the block, which draws all this */
	uint32_t dataset[OUTCOME_MAX_SLOTS];
	uint32_t weight; /* of all that could be drawn, as pay counts it */
};

void step_inputs_draw(const struct spec *spec, const struct registry *registry, const struct index_entry *parent,
	struct step_draw *step_draw);
/* Has the bytes of a dataset gathered; false if they are not here: then `missing`, if not NULL, names them. */
bool step_inputs_gather(const struct spec *spec, struct blobs *blobs, const struct registry *registry, uint32_t dataset,
	blobs_gatherer *gather, void *context, struct blob_want *missing, struct errmsg *err);
/* Windows of a proof, the caller's; NULL if the dataset's bytes are not here: then `missing`, if not NULL,
 * names them. */
uint8_t *step_inputs_windows(const struct spec *spec, struct blobs *blobs, const struct step_draw *step_draw,
	const struct header *header, uint32_t *slot, struct blob_want *missing, struct errmsg *err);
/* Draws for a proof that is late in a child of `parent`, of what its own parent's child on this branch drew; gives that
 * parent, whose state the step starts from. The registry is that after `parent`. NULL: the proof cannot be late there.
 */
const struct index_entry *step_inputs_late_draw(const struct registry *registry, const struct index_entry *parent,
	const struct header *header, struct step_draw *step_draw);
/* The first block whose state a job for the block needs and is not in memory: its parent, or that of a late proof which
 * must be executed (with `known`: was not before). NULL: all are there. */
const struct full_entry *step_inputs_missing_state(struct chain *chain, const struct full_entry *full,
	const struct block *block, bool known);
/* A whole block's job: takes the reference to the parent's state. With `known`, bodies of proofs that were executed
 * before and the parent's benchmark are used again. Late proofs are left out where a state that one of them starts
 * from is not in memory. Fills dataset and v_ref of the outcome. On failure the job is
 * cleared. */
bool step_inputs_block(struct chain *chain, const struct full_entry *full, const struct block *block,
	struct state *parent_state, bool known, struct verify_job *step_job, struct block_outcome *step_outcome,
	struct blob_want *missing, struct errmsg *err);

#endif
