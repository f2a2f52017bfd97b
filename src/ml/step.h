/* The step: the unit of proof (doc/protocol.md sections 5 and 6).
 *
 * A step starts from a model state and a seed, trains for `iterations` minibatches with fresh AdamW moments, and
 * encodes what it changed as a delta. It depends on nothing else: whoever repeats it gets the same bytes. A segment of
 * a run (ml/run.h) is a step that goes on from such a code.
 *
 * Here: what goes into it and what comes out. The caller gathers the windows (ml/course.h); a backend executes it
 * (ml/backend.h). */
#ifndef ATELIER_ML_STEP_H
#define ATELIER_ML_STEP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/course.h"
#include "ml/state.h"

/* Bytes of a step's windows [iterations][batch][ctx + 1], and of the delta it gives. */
size_t step_windows_size(const struct train_config *config);
size_t step_delta_size(const struct train_config *config);

/* Where a configuration has segments, attention's weights below this are 0: strangers choose the weights of a model
 * that runs are audited from, and what they make of attention would be subnormal, which many processors multiply a
 * hundred times slower (section 20). */
#define STEP_LEAST_WEIGHT 0x1p-40f

enum step_result {
	STEP_OK,
	STEP_FAILED, /* by protocol: the seed has no result; every node finds the same */
	STEP_CANCELLED,
	STEP_MISCALCULATED, /* of a checked one: a product was wrong; it says nothing about the step */
};

/* Told after every iteration: how many are done (1..iterations) and the loss of the last. */
typedef void step_progress(void *context, uint32_t done, float loss);

/* Asked after the first iteration, with its loss: whether the step goes on, or fails. */
typedef bool step_begins(void *context, float loss);

struct step_job {
	const struct state *state;    /* of the same model configuration */
	const uint8_t *start;         /* a delta code: what is trained is the state changed by it, and the result is
				       * still what changed since the state; NULL: the state itself */
	uint32_t iterations;          /* 0: those of the configuration */
	const uint8_t *seed;          /* 32 bytes */
	const uint8_t *windows;       /* [iterations][batch][ctx + 1] */
	struct census_matrix *census; /* of the first iteration, as of model_set_census; may be NULL */
	step_begins *begins;          /* may be NULL */
	void *begins_context;
	bool checked;                 /* check every product: some per cent more time */
	const atomic_bool *cancel;    /* may be NULL; looked at several times a second */
	atomic_uint *iterations_done; /* counted here; may be NULL */
	step_progress *progress;      /* may be NULL */
	void *progress_context;
};

#endif
