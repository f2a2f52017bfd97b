/* The verification of one block, as jobs of the queue.
 *
 * The own proof is executed by itself, before the block is written and before anybody is asked for the blobs that it
 * registers: a false block costs one step and no disk, and cannot make the node wait for blobs that do not exist. Once
 * it is right and the blobs are here the block may be announced. The other proofs, mostly known from the pool of loose
 * ones, the update, and where a round ends its segments and the merge follow.
 *
 * A job that has ended leaves word (`again` in struct chain), and the loop goes on from there (chain/choose.h). */
#ifndef ATELIER_CHAIN_VERIFY_BLOCK_JOB_H
#define ATELIER_CHAIN_VERIFY_BLOCK_JOB_H

#include "chain/index.h"
#include "chain/verify/round_inputs.h"
#include "chain/verify/sources.h"

struct block_job {
	struct block_job *next;
	struct chain *chain;
	struct full_entry *full;
	struct source_turn turn;
	const struct block *block;
	struct block_outcome outcome;
	struct verify_job verify;
	struct round_inputs round; /* blobs that the rest reads first */
	bool round_unread;         /* one of them could not be, and why */
	struct errmsg unread_why;
	struct verdict verdict;
	int64_t began; /* clock_mono_ms */
};

/* Begins the job of a waiting block whose parent's state is here, and takes the reference to that. A block that turns
 * out to be wrong or incomplete before any step is executed ends at once. */
void block_job_start(struct chain *chain, struct full_entry *full, struct state *parent);

#endif
