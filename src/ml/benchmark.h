/* What proofs are valued by: loss and gradient of the benchmark at a state (doc/protocol.md section 10).
 *
 * They are the same for every block after that state, so that several candidates at one height pay for them once. */
#ifndef ATELIER_ML_BENCHMARK_H
#define ATELIER_ML_BENCHMARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ml/backend.h"

/* (l0, G0) at a state over its windows [bench_rows][ctx + 1], dithered with the ticket of the block that the state is
 * after, as (l1, G1) of a proposal will be. Immutable and reference-counted; its members are for ml/update.c. */
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

/* (l1, G1) of a state proposed after the benchmark's, over the same windows. False if the pass fails, is cancelled, or
 * gives anything that is not finite. */
bool benchmark_measure(const struct benchmark *benchmark, struct backend *backend, const struct state *proposed,
	const uint8_t *windows, const atomic_bool *cancel, float *gradient, float *loss);

#endif
