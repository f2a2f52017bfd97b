/* The model's products, exact and with plain sgemm in turns; and the delta code. */
#include <stdlib.h>

#include "bench/bench.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/exact.h"
#include "util/mem.h"

/* === Products === */

/* y [m][n] = a [m][k] b [n][k]: rounding and product, as often as the model rounds. */
static bool bench_time_product(struct bench *bench, const char *name, size_t m, size_t n, size_t k)
{
	const enum engine engines[2] = { backend_cpu_engine(bench->kind), ENGINE_PLAIN };
	struct timing *product_times = mem_calloc(2, sizeof *product_times);
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
	for (size_t round = 0; ok && round < 2 * (bench->rounds + 1); round++) {
		enum engine engine = engines[round % 2];

		timing_start(&product_times[round % 2]);
		struct exact_product product = {
			.m = m,
			.n = n,
			.k = k,
			.y = y,
			.ldy = n,
			.a = exact_rows(engine, x, m, k, rounded_x),
			.b = exact_rows(engine, w, n, k, rounded_w),
		};

		ok = product.a.values != NULL && product.b.values != NULL;
		if (ok)
			exact_multiply(engine, &product, scratch);
		timing_stop(&product_times[round % 2]);
		/* The first turn of each finds cold memory. */
		if (round < 2)
			timing_reset(&product_times[round]);
	}
	line_begin(&bench->line, name, bench->chain, bench->kind->name);
	line_add(&bench->line, "m", (double)m);
	line_add(&bench->line, "n", (double)n);
	line_add(&bench->line, "k", (double)k);
	line_add_times(&bench->line, &product_times[0]);
	/* A multiplication and an addition for each of m n k, though exact products do more than that inside. */
	line_add(&bench->line, "gflops", 2e-9 * (double)m * (double)n * (double)k / timing_best(&product_times[0]));
	line_add_ratio(&bench->line, "ratio", &product_times[0], &product_times[1]);
	line_end(&bench->line);
	free(product_times);
	free(x);
	free(w);
	free(y);
	free(scratch);
	free(rounded_x);
	free(rounded_w);
	return ok;
}

bool bench_product(struct bench *bench)
{
	const struct model_config *config = &spec_course(&bench->spec)->train.model;
	size_t rows = EXACT_CHUNK / config->ctx,
	       tokens = (rows < spec_course(&bench->spec)->train.batch ? rows :
									 spec_course(&bench->spec)->train.batch) *
		config->ctx;

	return bench_time_product(bench, "qkv", tokens, 3 * config->d, config->d) &&
		bench_time_product(bench, "out", tokens, config->d, config->d) &&
		bench_time_product(bench, "gate_up", tokens, 2 * config->ff, config->d) &&
		bench_time_product(bench, "down", tokens, config->d, config->ff) &&
		bench_time_product(bench, "head", tokens, MODEL_VOCABULARY, config->d);
}

/* === Delta code === */

bool bench_encode(struct bench *bench)
{
	size_t count = model_count(&spec_course(&bench->spec)->train.model);
	struct timing *delta_times = mem_calloc(2, sizeof *delta_times);
	uint8_t seed[32], *delta = mem_alloc(delta_size(count));
	float *values = mem_align(count * sizeof(float));
	bool ok = true;

	bench_seed(&bench->spec, seed);
	for (size_t i = 0; i < count; i++)
		values[i] = ((float)(i % 1021) / 1021.0f - 0.5f) * 0.01f;
	for (size_t round = 0; ok && round < bench->rounds; round++) {
		timing_start(&delta_times[0]);
		ok = delta_encode(values, count, seed, delta);
		timing_stop(&delta_times[0]);
		timing_start(&delta_times[1]);
		delta_decode(delta, 0, count, values);
		timing_stop(&delta_times[1]);
	}
	for (size_t i = 0; ok && i < 2; i++) {
		line_begin(&bench->line, i == 0 ? "encode" : "decode", bench->chain, "none");
		line_add_times(&bench->line, &delta_times[i]);
		line_add(&bench->line, "bytes", (double)delta_size(count));
		line_end(&bench->line);
	}
	free(delta_times);
	free(delta);
	free(values);
	return ok;
}
