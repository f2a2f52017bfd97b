/* A run: segment after segment of training from one base state (doc/protocol.md section 20).
 *
 * Between two segments all that a run is, is a delta code Q_j of what it has changed since its base: Q_0 is all zeros,
 * and segment j makes Q_(j+1) of Q_j, the base and windows that its own seed draws. So whoever has the base and one
 * code repeats one segment alone, to the bit. A chain's train_config says how many segments there are, and how many
 * iterations one has; functions here are for configurations that have both.
 *
 * A code is *within bounds* if it is well formed (ml/delta.h) and no exponent in it is above run_exponent_max, which
 * holds four times what the optimizer's iterations can move a parameter: so weights that strangers send are bounded. */
#ifndef ATELIER_ML_RUN_H
#define ATELIER_ML_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/backend.h"

/* Bytes of a code, and of a segment's windows [segment][batch][ctx + 1]. */
size_t run_code_size(const struct train_config *config);
size_t run_windows_size(const struct train_config *config);

/* -40 .. 0. */
int run_exponent_max(const struct train_config *config);

/* Seeds of the run of a seat, from its base's ticket and the id of the seat's block; and of a segment of it. */
void run_seed(const uint8_t ticket[32], const uint8_t seat_id[32], uint8_t run_seed[32]);
void run_segment_seed(const uint8_t run_seed[32], uint32_t segment, uint8_t segment_seed[32]);

/* Fills code (run_code_size bytes) with Q_0. */
void run_start(const struct train_config *config, uint8_t *code);

/* Whether bytes are a code within bounds. */
bool run_code_check(const struct train_config *config, const uint8_t *code, size_t size);

/* Gathers a segment's windows (run_windows_size bytes) from the run's dataset, none of whose own pages they touch.
 * False if the bytes are gone. */
bool run_gather(const struct course *course, const uint8_t segment_seed[32], const struct course_data *data,
	uint8_t *windows);

/* The work of a census [model_matrices()] of one batch (section 20). */
int64_t run_work(const struct train_config *config, struct census_matrix *census);

struct run_segment {
	const struct state *base;    /* of the same model configuration */
	const uint8_t *segment_seed; /* 32 bytes */
	const uint8_t *start;        /* Q_j, within bounds */
	const uint8_t *windows;      /* run_windows_size bytes */
	bool checked;                /* as of a step (ml/step.h), and what follows */
	const atomic_bool *cancel;
	atomic_uint *iterations_done; /* counted here; may be NULL */
	step_progress *progress;
	void *progress_context;
};

/* On STEP_OK code (run_code_size bytes; not `start` itself) holds Q_(j+1), within bounds. STEP_FAILED also where the
 * result is not, or the start predicts its first batch much worse than the base does, or keeps its products less busy.
 */
enum step_result run_execute(struct backend *backend, const struct run_segment *segment, uint8_t *code);

#endif
