/* Backends: who executes steps, and computes what updates need of them.
 *
 * A kind of backend is a way to compute: a processor with one of its engines, or a device. What it is given are states,
 * windows and deltas, and what it gives are results of whole steps and whole passes; so a device keeps operands, and
 * the states it has met, in memory of its own, and nobody sees how it multiplies. All kinds give the same bits
 * (ml/selftest.h tests that); which of them computes is a private choice.
 *
 * A `struct backend` is the memory of one worker: used by one thread at a time, reusable for any number of steps and
 * passes of the same configuration. Several run side by side. */
#ifndef ATELIER_ML_BACKEND_H
#define ATELIER_ML_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/hash.h"
#include "ml/pass.h"
#include "ml/state.h"
#include "ml/step.h"
#include "util/error.h"

struct backend;
struct backend_batch;

/* What a kind has to bring: its functions are called by those below, which say what they do. A worker's memory begins
 * with a struct backend. */
struct backend_kind {
	const char *name;                     /* "openblas", ... */
	const struct backend_kind *reference; /* who has the last word where this one is in doubt; NULL: it has it */
	bool (*usable)(const struct backend_kind *kind, struct errmsg *err);
	void (*probe)(const struct backend_kind *kind, struct sha256 *hash);
	unsigned (*threads)(const struct backend_kind *kind, const struct train_config *config, unsigned threads);
	size_t (*memory)(const struct backend_kind *kind, const struct train_config *config, unsigned threads);
	struct backend *(*create)(const struct backend_kind *kind, const struct train_config *config, unsigned threads);
	void (*free)(struct backend *backend);
	enum step_result (*execute)(struct backend *backend, const struct step_job *job, uint8_t *delta);
	bool (*gradient)(struct backend *backend, const struct backend_batch *batch, struct pass_dither dither,
		float *gradient, float *loss);
	bool (*loss)(struct backend *backend, const struct backend_batch *batch, float *loss);
	void (*check)(struct backend *backend, bool on);
	bool (*wrong)(const struct backend *backend);
};

/* Read by all, written by its kind's `create` alone. */
struct backend {
	const struct backend_kind *kind;
	struct train_config config;
};

/* Whether this build and this machine have it; else false with the reason. */
bool backend_usable(const struct backend_kind *kind, struct errmsg *err);

/* Feeds the hash with what its products and operations give on the operands of ml/kernel/probe.h. */
void backend_probe(const struct backend_kind *kind, struct sha256 *hash);

/* How many of so many threads work on a step; the others would wait. */
unsigned backend_threads(const struct backend_kind *kind, const struct train_config *config, unsigned threads);

/* Bytes of memory that backend_new takes. */
size_t backend_memory(const struct backend_kind *kind, const struct train_config *config, unsigned threads);

/* threads: how many share a step, the caller's among them, 1 at least; on a model too small to gain by it the caller
 * works alone. The result is the same. */
struct backend *backend_new(const struct backend_kind *kind, const struct train_config *config, unsigned threads);
void backend_free(struct backend *backend); /* NULL is allowed */

/* Executes the step; on STEP_OK delta (step_delta_size bytes) holds its result. Sets the thread's floating-point
 * environment to the default first. */
enum step_result backend_execute(struct backend *backend, const struct step_job *job, uint8_t *delta);

/* Windows [rows][ctx + 1] that a state, of the same model configuration, is measured by. */
struct backend_batch {
	const struct state *state;
	const uint8_t *change; /* a delta code: the state changed by it is measured; NULL: as it is */
	const uint8_t *windows;
	size_t rows; /* 1 at least */
	/* Of a loss: as of model_set_census; may be NULL. */
	struct census_matrix *census;
	const atomic_bool *cancel; /* may be NULL */
};

/* As pass_gradient and pass_loss (ml/pass.h). */
bool backend_gradient(struct backend *backend, const struct backend_batch *batch, struct pass_dither dither,
	float *gradient, float *loss);
bool backend_loss(struct backend *backend, const struct backend_batch *batch, float *loss);

/* From now on every product of a pass is checked (ml/kernel/freivalds.h), or no more; and whether one was wrong since
 * then: that pass has failed, and what failed it says nothing about the state. A step that is executed is checked or
 * not as its job says, and none after it. */
void backend_check(struct backend *backend, bool on);
bool backend_wrong(const struct backend *backend);

/* ---- The kind that this process computes with ---- */

/* Called before other threads start, and before any of the others below. */
void backend_select(const struct backend_kind *kind);
const struct backend_kind *backend_selected(void); /* any thread; may change to its reference at any time */

/* The kind proved wrong while it was used: this process computes with its reference from now on, and its operator is
 * warned as long as it runs. If it was the reference, there is nothing left to compute with. Any thread. */
enum backend_trust { BACKEND_TRUSTED, BACKEND_REPLACED, BACKEND_NONE };
void backend_distrust(const struct backend_kind *kind, const char *found_out);
enum backend_trust backend_trust(void);

#endif
