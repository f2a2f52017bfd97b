/* The step: the unit of proof (doc/protocol.md sections 5 and 6).
 *
 * A step starts from a model state and a seed, trains for `iterations` minibatches with fresh AdamW moments, and
 * encodes what it changed as a delta. It depends on nothing else: whoever repeats it gets the same bytes.
 *
 * The caller draws the windows (ml/kernel/noise.h tells where they lie) and gathers their bytes. A `struct step` is the
 * memory of one worker: used by one thread at a time, reusable for any number of steps of the same configuration.
 * Several run side by side; or one is shared out over several cores, for whoever waits for it. */
#ifndef ATELIER_ML_STEP_H
#define ATELIER_ML_STEP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/kernel/engine.h"
#include "ml/model.h"
#include "ml/state.h"

/* Everything of a chain spec that ml knows. Rates are parts per million. */
struct train_config {
	struct model_config model;
	uint32_t batch, iterations;    /* B windows an iteration, C iterations a step */
	uint32_t lr_ppm, wd_ppm;       /* AdamW */
	uint32_t mu_ppm, eta_ppm;      /* outer Nesterov momentum, ml/update.h */
	uint32_t gate_ppm, bench_rows; /* ml/update.h */
};

/* NULL if all fields are within the limits of protocol section 16, else what is wrong (static text). */
const char *train_config_check(const struct train_config *config);

/* Bytes of a step's windows [iterations][batch][ctx + 1], and of the delta it gives. */
size_t step_windows_size(const struct train_config *config);
size_t step_delta_size(const struct train_config *config);

enum step_result {
	STEP_OK,
	STEP_FAILED, /* by protocol: the seed has no result; every node finds the same */
	STEP_CANCELLED,
	STEP_MISCALCULATED, /* of a checked one: the engine gave a wrong product; it says nothing about the step */
};

/* Told after every iteration: how many are done (1..iterations) and the loss of the last. */
typedef void step_progress(void *context, uint32_t done, float loss);

struct step_job {
	const struct state *state; /* of the same model configuration */
	const uint8_t *seed;       /* 32 bytes */
	const uint8_t *windows;    /* step_windows_size bytes */
	bool checked;              /* check every product of the engine: some per cent more time */
	const atomic_bool *cancel; /* may be NULL; looked at several times a second */
	step_progress *progress;   /* may be NULL */
	void *progress_context;
};

struct step;
/* threads: how many share a step, the caller's among them, 1 at least; on a model too small to gain by it the caller
 * works alone. The result is the same. */
struct step *step_new(const struct train_config *config, enum engine engine, unsigned threads);
void step_free(struct step *s);

/* Bytes of memory that step_new takes. */
size_t step_memory(const struct train_config *config, unsigned threads);

/* Executes the step; on STEP_OK delta (step_delta_size bytes) holds its result. Sets the thread's floating-point
 * environment to the default first. */
enum step_result step_execute(struct step *s, const struct step_job *job, uint8_t *delta);

/* The model workspace inside, for ml/update.h; and the configuration it was made with. Borrowed. */
struct model *step_model(struct step *s);
const struct train_config *step_config(const struct step *s);

#endif
