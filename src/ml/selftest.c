#include "ml/float.h"

#include <pthread.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "ml/exact.h"
#include "ml/noise.h"
#include "ml/selftest.h"
#include "ml/step.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/mem.h"

/* What an exact engine gives, found with the plain C one. */
static const char expected_digest[] = "06907cde9675080a93fc9b94e411a832b4b4cb92b106448d40d457ce9c9a4ee9";

static const uint8_t key[32] = "atelier start-up check";

/* A value of an awkward kind: zeros of both signs, subnormals, ties, the largest mantissas, and ordinary ones. */
static float awkward(uint32_t word)
{
	uint32_t sign = word & 0x80000000u, kind = word >> 24 & 7, rest = word & 0x7fffff;

	switch (kind) {
	case 0:
		return float_from_bits(sign);
	case 1:
		return float_from_bits(sign | rest);
	case 2:
		return (float)(rest % 127) + (sign ? -0.5f : 0.5f);
	case 3:
		return float_from_bits(sign | 133u << 23 | 0x7e0000u | (rest & 0x1ffff));
	default:
		return float_from_bits(sign | (112u + rest % 22) << 23 | rest);
	}
}

static void fill(float *x, size_t count, uint32_t product)
{
	uint32_t words[4] = {0};

	for (size_t i = 0; i < count; i++) {
		if (i % 4 == 0)
			noise_words(key, NOISE_INIT, product << 20 | (uint32_t)(i / 4), words);
		x[i] = awkward(words[i % 4]);
	}
}

static void hash_floats(struct sha256 *hash, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t bytes[4];

		write_le32(bytes, float_bits(x[i]));
		sha256_update(hash, bytes, sizeof(bytes));
	}
}

/* Shapes around the tiles of common kernels, contractions around the chunk. */
static const struct {
	uint16_t m, n, k;
} shapes[] = {
	{1, 1, 1}, {1, 17, 1024}, {16, 1, 33}, {7, 13, 5}, {48, 96, 32}, {65, 63, 1023}, {24, 33, 1025}, {129, 32, 48}, {5, 8, 2049},
};

/* One product with each operand lying either way, hashed. */
static void check_product(enum engine engine, uint32_t index, struct sha256 *hash)
{
	size_t m = shapes[index].m, n = shapes[index].n, k = shapes[index].k;
	float *a = mem_align(m * k * sizeof(float)), *b = mem_align(n * k * sizeof(float));
	void *rounded_a = mem_align(exact_operand_size(m, k)), *rounded_b = mem_align(exact_operand_size(n, k));
	float *y = mem_align(m * n * sizeof(float));
	void *scratch = mem_align(exact_scratch_size(m, n));

	fill(a, m * k, 2 * index);
	/* A row of zeros: its sums of +0 and -0 must be +0. */
	memset(a, 0, k * sizeof(float));
	fill(b, n * k, 2 * index + 1);
	for (int way = 0; way < 4; way++) {
		bool a_transposed = way & 1, b_transposed = way & 2;
		struct exact_product p = {
			.m = m, .n = n, .k = k, .y = y, .ldy = n, .a_transposed = a_transposed, .b_transposed = b_transposed,
			.a = a_transposed ? exact_columns(engine, a, k, m, rounded_a) : exact_rows(engine, a, m, k, rounded_a),
			.b = b_transposed ? exact_columns(engine, b, k, n, rounded_b) : exact_rows(engine, b, n, k, rounded_b),
		};
		bool ok = p.a.values && p.b.values;

		if (ok)
			exact_multiply(engine, &p, scratch);
		hash_floats(hash, y, ok ? m * n : 0);
	}
	free(a);
	free(b);
	free(rounded_a);
	free(rounded_b);
	free(y);
	free(scratch);
}

/* A whole step of a small model of odd shape: it runs everything that is not a product. */
static void check_step(enum engine engine, struct sha256 *hash)
{
	const struct train_config config = {
		.model = {.d = 48, .layers = 1, .heads = 3, .ff = 80, .ctx = 48},
		.batch = 3, .iterations = 2, .lr_ppm = 5000, .wd_ppm = 10000, .bench_rows = 1,
	};
	struct state *state = state_new_initial(&config.model, key);
	struct step *step = step_new(&config, engine, 1);
	uint8_t dataset[256], *windows = mem_alloc(step_windows_size(&config)), *delta = mem_alloc(step_delta_size(&config));
	struct step_job job = {.state = state, .seed = key, .windows = windows};

	for (size_t i = 0; i < sizeof(dataset); i++)
		dataset[i] = (uint8_t)(i * i);
	noise_gather(key, NOISE_WINDOW, (size_t)config.iterations * config.batch, dataset, sizeof(dataset), config.model.ctx,
		     windows);
	if (step_execute(step, &job, delta) == STEP_OK)
		sha256_update(hash, delta, step_delta_size(&config));
	state_unref(state);
	step_free(step);
	free(windows);
	free(delta);
}

bool selftest_run(enum engine engine, struct errmsg *err)
{
	struct sha256 hash;
	uint8_t digest[32];
	char text[65];

	if (!engine_usable(engine, err))
		return false;
	sha256_init(&hash);
	for (uint32_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		check_product(engine, i, &hash);
	check_step(engine, &hash);
	sha256_final(&hash, digest);
	hex_encode(text, digest, sizeof(digest));
	if (strcmp(text, expected_digest) != 0)
		return errmsg_set(err, "this machine's matrix products are not exact: check digest %s, expected %s", text,
				  expected_digest);
	return true;
}

bool selftest_again(enum engine engine, struct errmsg *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int64_t next; /* both guarded by lock */
	static bool passed;
	bool result;

	pthread_mutex_lock(&lock);
	if (clock_mono_ms() >= next) {
		passed = selftest_run(engine, err);
		next = clock_mono_ms() + SELFTEST_PAUSE_MS;
	} else if (!passed) {
		errmsg_set(err, "it failed its check a moment ago");
	}
	result = passed;
	pthread_mutex_unlock(&lock);
	return result;
}

/* ---- The choice of an engine ---- */

/* Nanoseconds of a gradient of a small model, the better of two. */
static int64_t time_gradient(enum engine engine)
{
	const struct model_config config = {.d = 128, .layers = 1, .heads = 4, .ff = 256, .ctx = 128};
	struct state *state = state_new_initial(&config, key);
	struct model *model = model_new(&config, engine, NULL);
	float *gradient = mem_align(model_count(&config) * sizeof(float)), loss;
	uint8_t windows[4 * (128 + 1)] = {0};
	int64_t best = INT64_MAX;

	for (int round = 0; round < 2; round++) {
		struct profile profile = {0};
		int64_t sum = 0;

		model_set_profile(model, &profile);
		model_gradient(model, state_theta(state), windows, 4, (struct model_dither){key, 0}, NULL, gradient, &loss);
		for (int kind = 0; kind < PROFILE_KINDS; kind++)
			sum += profile.nanoseconds[kind];
		best = sum < best ? sum : best;
	}
	free(gradient);
	model_free(model);
	state_unref(state);
	return best;
}

static bool choose_fastest(enum engine *engine, struct errmsg *err)
{
	static const enum engine candidates[] = {ENGINE_OPENBLAS, ENGINE_ONEDNN};
	int64_t best = INT64_MAX;

	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
		int64_t time = selftest_run(candidates[i], err) ? time_gradient(candidates[i]) : INT64_MAX;

		if (time < best) {
			best = time;
			*engine = candidates[i];
		}
	}
	return best < INT64_MAX;
}

bool selftest_choose(const char *name, enum engine *engine, struct errmsg *err)
{
	static const enum engine exact[] = {ENGINE_OPENBLAS, ENGINE_ONEDNN, ENGINE_REFERENCE};

	if (strcmp(name, "auto") == 0)
		return choose_fastest(engine, err);
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
		if (strcmp(name, engine_name(exact[i])) == 0) {
			*engine = exact[i];
			return selftest_run(*engine, err);
		}
	}
	return errmsg_set(err, "the engine is openblas, onednn, reference or auto, not %.40s", name);
}
