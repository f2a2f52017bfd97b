#include "consensus/window.h"

#include "ml/kernel/noise.h"

uint32_t window_slot(const struct spec *spec, const uint8_t seed[32])
{
	return noise_slot(seed, spec->slots);
}

size_t window_step_size(const struct spec *spec)
{
	return step_windows_size(&spec->train);
}

void window_gather_step(const struct spec *spec, const uint8_t seed[32], const uint8_t *data, size_t size, uint8_t *out)
{
	noise_gather(seed, NOISE_WINDOW, (size_t)spec->train.iterations * spec->train.batch, data, size,
		spec->train.model.ctx, out);
}

size_t window_benchmark_size(const struct spec *spec)
{
	return (size_t)spec->train.bench_rows * (spec->train.model.ctx + 1);
}

void window_gather_benchmark(const struct spec *spec, const uint8_t ticket[32], uint8_t *out)
{
	size_t size;
	const uint8_t *benchmark = spec_benchmark(spec, &size);

	noise_gather(ticket, NOISE_BENCHMARK, spec->train.bench_rows, benchmark, size, spec->train.model.ctx, out);
}
