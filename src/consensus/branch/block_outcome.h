/* What a verified block did, as its child will need it (doc/protocol.md sections 10 and 13). */
#ifndef ATELIER_CONSENSUS_BRANCH_BLOCK_OUTCOME_H
#define ATELIER_CONSENSUS_BRANCH_BLOCK_OUTCOME_H

#include "consensus/payload/merge_statement.h"
#include "consensus/payload/outcome.h"

/* A block's view of its parents' outcome needed to pay data and to update statistics at the next block: which dataset
 * each slot had, proof counts, v_ref. The chain keeps one per verified block in its index. */
struct block_outcome {
	struct outcome outcome;
	uint32_t dataset[OUTCOME_MAX_SLOTS];
	uint32_t weight; /* of all datasets that its slots were drawn from, as pay counts it (consensus/reward.h) */
	int64_t v_ref;
	float loss_before, loss_after; /* for people; not consensus */
	struct merge_statement merge;  /* of the last block of a round (section 20) */
};

/* Byte form, for the index; of a block without a merge it is that of chains without rounds. read returns false on
 * damaged bytes. */
void block_outcome_write(struct buf *out, const struct block_outcome *block_outcome);
bool block_outcome_read(struct reader *outcome_reader, struct block_outcome *block_outcome);

#endif
