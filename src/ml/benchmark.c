/* Loss and gradient of a state over the benchmark's windows, kept and counted. */
#include "ml/benchmark.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "util/mem.h"

/* Measurement number `which`: 0 of the parent's state, 1 of the proposed one. Both are dithered with one ticket, so the
 * rows of the second are numbered after the first's: no two have the same noise. */
static bool benchmark_measure_state(struct backend *backend, const struct backend_batch *batch,
	const uint8_t ticket[32], uint32_t which, float *gradient, float *loss)
{
	const struct pass_dither dither = { ticket, which * backend->config.bench_rows };

	return backend_gradient(backend, batch, dither, gradient, loss) && float_is_finite(*loss) &&
		float_all_finite(gradient, model_count(&backend->config.model));
}

struct benchmark *benchmark_new(struct backend *backend, const struct state *state, const uint8_t *windows,
	const uint8_t ticket[32], const atomic_bool *cancel)
{
	const struct backend_batch batch = { state, windows, backend->config.bench_rows, cancel };
	struct benchmark *benchmark = mem_alloc(sizeof *benchmark);

	fesetenv(FE_DFL_ENV);
	benchmark->gradient = mem_align(model_count(&backend->config.model) * sizeof(float));
	benchmark->loss = NAN;
	atomic_init(&benchmark->references, 1);
	memcpy(benchmark->ticket, ticket, 32);
	/* One that fails is kept all the same: a block on this parent is void by it, and so is each of its siblings. */
	benchmark->fails = !benchmark_measure_state(backend, &batch, ticket, 0, benchmark->gradient, &benchmark->loss);
	if (cancel != NULL && atomic_load(cancel)) {
		benchmark_unref(benchmark);
		return NULL;
	}
	return benchmark;
}

struct benchmark *benchmark_ref(struct benchmark *benchmark)
{
	atomic_fetch_add_explicit(&benchmark->references, 1, memory_order_relaxed);
	return benchmark;
}

void benchmark_unref(struct benchmark *benchmark)
{
	if (benchmark == NULL || atomic_fetch_sub_explicit(&benchmark->references, 1, memory_order_acq_rel) > 1)
		return;
	free(benchmark->gradient);
	free(benchmark);
}

bool benchmark_measure(const struct benchmark *benchmark, struct backend *backend, const struct state *proposed,
	const uint8_t *windows, const atomic_bool *cancel, float *gradient, float *loss)
{
	const struct backend_batch batch = { proposed, windows, backend->config.bench_rows, cancel };

	return benchmark_measure_state(backend, &batch, benchmark->ticket, 1, gradient, loss);
}
