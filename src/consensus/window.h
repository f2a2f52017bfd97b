/* From seeds and tickets to the bytes a step trains on (doc/protocol.md section 7). */
#ifndef ATELIER_CONSENSUS_WINDOW_H
#define ATELIER_CONSENSUS_WINDOW_H

#include "consensus/spec.h"

/* Slot that a seed picks. */
uint32_t window_slot(const struct spec *spec, const uint8_t seed[32]);

/* Bytes of all windows of a step: iterations * batch * (ctx + 1). */
size_t window_step_size(const struct spec *spec);
/* Gathers them out of one dataset's bytes (size >= ctx - 7). */
void window_gather_step(const struct spec *spec, const uint8_t seed[32], const uint8_t *data, size_t size,
	uint8_t *out);

/* Benchmark windows: bench_rows * (ctx + 1) bytes, drawn by the parent's ticket. */
size_t window_benchmark_size(const struct spec *spec);
void window_gather_benchmark(const struct spec *spec, const uint8_t ticket[32], uint8_t *out);

#endif
