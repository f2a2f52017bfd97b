/* The model's products, exact and with plain sgemm in turns; and the delta code. */
#include <stdlib.h>

#include "bench/bench.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/exact.h"
#include "util/mem.h"

/* === Products === */

/* y [m][n] = a [m][k] b [n][k]: rounding and product, as often as the model rounds. */
static bool time_product(struct bench *b, const char *name, size_t m, size_t n, size_t k)
{
	const enum engine engines[2] = { backend_cpu_engine(b->kind), ENGINE_PLAIN };
	struct timing *times = mem_calloc(2, sizeof *times);
	float *x = mem_align(m * k * sizeof(float)), *w = mem_align(n * k * sizeof(float));
	float *y = mem_align(m * n * sizeof(float));
	void *scratch = mem_align(exact_scratch_size(m, n));
	void *rounded_x = mem_align(exact_operand_size(m, k)), *rounded_w = mem_align(exact_operand_size(n, k));
	bool ok = true;

	for (size_t i = 0; i < m * k; i++)
		/* Both periods are prime, so that no row of a power of two's length is like the one before it. */
		x[i] = (float)(i % 1021) / 1021.0f - 0.5f;
	for (size_t i = 0; i < n * k; i++)
		w[i] = (float)(i % 509) / 509.0f - 0.5f;
	for (size_t round = 0; ok && round < 2 * (b->rounds + 1); round++) {
		enum engine engine = engines[round % 2];

		timing_start(&times[round % 2]);
		struct exact_product p = {
			.m = m,
			.n = n,
			.k = k,
			.y = y,
			.ldy = n,
			.a = exact_rows(engine, x, m, k, rounded_x),
			.b = exact_rows(engine, w, n, k, rounded_w),
		};

		ok = p.a.values != NULL && p.b.values != NULL;
		if (ok)
			exact_multiply(engine, &p, scratch);
		timing_stop(&times[round % 2]);
		/* The first turn of each finds cold memory. */
		if (round < 2)
			timing_reset(&times[round]);
	}
	line_begin(&b->line, name, b->chain, b->kind->name);
	line_add(&b->line, "m", (double)m);
	line_add(&b->line, "n", (double)n);
	line_add(&b->line, "k", (double)k);
	line_add_times(&b->line, &times[0]);
	/* A multiplication and an addition for each of m n k, though exact products do more than that inside. */
	line_add(&b->line, "gflops", 2e-9 * (double)m * (double)n * (double)k / timing_best(&times[0]));
	line_add_ratio(&b->line, "ratio", &times[0], &times[1]);
	line_end(&b->line);
	free(times);
	free(x);
	free(w);
	free(y);
	free(scratch);
	free(rounded_x);
	free(rounded_w);
	return ok;
}

bool bench_product(struct bench *b)
{
	const struct model_config *c = &spec_course(&b->spec)->train.model;
	size_t rows = EXACT_CHUNK / c->ctx,
	       tokens = (rows < spec_course(&b->spec)->train.batch ? rows : spec_course(&b->spec)->train.batch) *
		c->ctx;

	return time_product(b, "qkv", tokens, 3 * c->d, c->d) && time_product(b, "out", tokens, c->d, c->d) &&
		time_product(b, "gate_up", tokens, 2 * c->ff, c->d) && time_product(b, "down", tokens, c->d, c->ff) &&
		time_product(b, "head", tokens, MODEL_VOCABULARY, c->d);
}

/* === Delta code === */

bool bench_encode(struct bench *b)
{
	size_t count = model_count(&spec_course(&b->spec)->train.model);
	struct timing *times = mem_calloc(2, sizeof *times);
	uint8_t seed[32], *delta = mem_alloc(delta_size(count));
	float *x = mem_align(count * sizeof(float));
	bool ok = true;

	bench_seed(&b->spec, seed);
	for (size_t i = 0; i < count; i++)
		x[i] = ((float)(i % 1021) / 1021.0f - 0.5f) * 0.01f;
	for (size_t round = 0; ok && round < b->rounds; round++) {
		timing_start(&times[0]);
		ok = delta_encode(x, count, seed, delta);
		timing_stop(&times[0]);
		timing_start(&times[1]);
		delta_decode(delta, 0, count, x);
		timing_stop(&times[1]);
	}
	for (size_t i = 0; ok && i < 2; i++) {
		line_begin(&b->line, i == 0 ? "encode" : "decode", b->chain, "none");
		line_add_times(&b->line, &times[i]);
		line_add(&b->line, "bytes", (double)delta_size(count));
		line_end(&b->line);
	}
	free(times);
	free(delta);
	free(x);
	return ok;
}
