/* An attempt: one training step on one template, as a job for the queue (doc/protocol.md section 8).
 *
 * The loop fills in everything the step needs, posts attempt_run, and reads the result when it is back. Nothing here
 * knows the chain. The workspace of the step stays with the attempt, which is used again and again by one miner. */
#ifndef ATELIER_WORK_ATTEMPT_H
#define ATELIER_WORK_ATTEMPT_H

#include <stdatomic.h>

#include "consensus/block.h"
#include "consensus/spec.h"
#include "ml/backend.h"

enum attempt_worth {
	ATTEMPT_NOTHING,
	ATTEMPT_SHARE, /* ticket at or under the share target: a loose proof */
	ATTEMPT_BLOCK, /* at or under the block target */
};

struct attempt {
	const struct spec *spec;
	struct backend *backend; /* made by the first run on its kind */
	atomic_bool cancel;
	atomic_uint iterations_done; /* of the step, readable meanwhile */
	/* Of the run in hand; owned until attempt_reset, which the loop calls before the next. */
	struct block *block; /* the template; attempt_run completes header.digest */
	struct state *state;
	uint8_t *windows;
	uint8_t *body; /* the delta, of block_body_size bytes, once result is STEP_OK */
	enum step_result result;
};

void attempt_init(struct attempt *attempt, const struct spec *spec);
void attempt_clear(struct attempt *attempt);
void attempt_reset(struct attempt *attempt);

/* The job: runs on a worker, and pauses for what is more urgent (queue_pause). */
void attempt_run(struct attempt *attempt);

/* Whether half of its step is done: then it is finished, though its parent is the tip no more, for a late proof. */
bool attempt_is_advanced(const struct attempt *attempt);

/* What a finished header's ticket is worth. */
enum attempt_worth attempt_worth(const struct spec *spec, const struct header *header);

#endif
