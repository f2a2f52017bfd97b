/* Loss and gradient of a state over the benchmark's windows, kept and counted. */
#include "ml/benchmark.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "util/mem.h"

bool benchmark_measure(struct backend *backend, const struct state *state, const struct benchmark_group *group,
	const uint8_t ticket[32], const atomic_bool *cancel, float *gradient, float *loss)
{
	const struct backend_batch batch = { .state = state,
		.windows = group->windows,
		.rows = group->rows,
		.cancel = cancel };
	const struct pass_dither dither = { ticket, group->first_row };

	return backend_gradient(backend, &batch, dither, gradient, loss) && float_is_finite(*loss) &&
		float_all_finite(gradient, model_count(&backend->config.model));
}

struct benchmark *benchmark_new(struct backend *backend, const struct state *state, const uint8_t *windows,
	const uint8_t ticket[32], const atomic_bool *cancel)
{
	const struct benchmark_group reserved = { windows, backend->config.bench_rows, 0 };
	struct benchmark *benchmark = mem_alloc(sizeof *benchmark);

	fesetenv(FE_DFL_ENV);
	benchmark->gradient = mem_align(model_count(&backend->config.model) * sizeof(float));
	benchmark->loss = NAN;
	atomic_init(&benchmark->references, 1);
	memcpy(benchmark->ticket, ticket, 32);
	/* One that fails is kept all the same: a block on this parent is void by it, and so is each of its siblings. */
	benchmark->fails = !benchmark_measure(backend, state, &reserved, ticket, cancel, benchmark->gradient,
		&benchmark->loss);
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
