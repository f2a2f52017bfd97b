/* What proofs are valued by: loss and gradient of the benchmark at a state (doc/protocol.md section 10).
 *
 * They are the same for every block after that state, so that several candidates at one height pay for them once. */
#ifndef ATELIER_ML_BENCHMARK_H
#define ATELIER_ML_BENCHMARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ml/backend.h"

/* Windows by which a state is measured at a time: those of the reserved text, or of the own pages of a slot's dataset.
 */
struct benchmark_group {
	const uint8_t *windows; /* [rows][ctx + 1] */
	uint32_t rows;
	uint32_t first_row; /* among all rows of a block that are dithered with its parent's ticket */
};

/* (l0, G0) at a state over the windows of the reserved text [bench_rows][ctx + 1], dithered with the ticket of the
 * block that the state is after. Immutable and reference-counted; its members are for ml/update.c. */
struct benchmark {
	bool fails; /* the pass fails, or its loss or gradient is not finite: then every block after the state is void
		     */
	float loss; /* NaN if there is none */
	float *gradient; /* [n] */
	uint8_t ticket[32];
	atomic_size_t references;
};

/* NULL only if cancelled (cancel may be NULL). */
struct benchmark *benchmark_new(struct backend *backend, const struct state *state, const uint8_t *windows,
	const uint8_t ticket[32], const atomic_bool *cancel);
struct benchmark *benchmark_ref(struct benchmark *benchmark); /* returns its argument */
void benchmark_unref(struct benchmark *benchmark);            /* NULL is allowed */

/* (l, G) of a state over a group of windows. False if the pass fails, is cancelled, or gives anything that is not
 * finite. */
bool benchmark_measure(struct backend *backend, const struct state *state, const struct benchmark_group *group,
	const uint8_t ticket[32], const atomic_bool *cancel, float *gradient, float *loss);

#endif
