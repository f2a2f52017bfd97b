/* The delta code and the draws it takes its noise from; the model state's bytes and root. */
#include <math.h>

#include "crypto/merkle.h"
#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"
#include "ml/state.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

static const uint8_t seed[32] = { 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 255 };

/* ---- Draws ---- */

static void test_noise(void **state)
{
	/* Key and counter all ones, all zeros and digits of pi: the vectors that come with Random123. */
	static const struct {
		uint32_t counter[2], words[4], expected[4];
	} vectors[] = {
		{ { 0, 0 }, { 0, 0, 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
			{ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		{ { 0x243f6a88, 0x85a308d3 }, { 0xa4093822, 0x299f31d0, 0x13198a2e, 0x03707344 },
			{ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		uint8_t key[32] = { 0 };
		uint32_t out[4];

		for (size_t j = 0; j < 4; j++)
			write_le32(key + 4 * j, vectors[i].words[j]);
		noise_words(key, (enum noise_domain)vectors[i].counter[1], vectors[i].counter[0], out);
		assert_memory_equal(out, vectors[i].expected, sizeof out);
	}
}

static void test_uniform(void **state)
{
	uint32_t hits[10] = { 0 }, o[4];

	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		hits[noise_uniform(seed, NOISE_DATASET, i, 10)]++;
	for (int i = 0; i < 10; i++)
		assert_in_range(hits[i], 850, 1150);
	noise_words(seed, NOISE_SLOT, 0, o);
	assert_int_equal(noise_slot(seed, 16), o[1] >> 28);
	assert_true(noise_uniform(seed, NOISE_DATASET, 3, 0) == 0);
}

static void test_windows(void **state)
{
	enum { CTX = 32, SIZE = 40 };
	uint8_t data[SIZE], out[100][CTX + 1];
	bool first = false, last = false;

	(void)state;
	for (int i = 0; i < SIZE; i++)
		data[i] = (uint8_t)i;
	noise_gather(seed, NOISE_WINDOW, 100, data, SIZE, CTX, out[0]);
	for (uint32_t i = 0; i < 100; i++) {
		struct noise_window w;
		uint32_t o[4];

		noise_window(seed, NOISE_WINDOW, i, SIZE - (CTX - 7) + 1, &w);
		noise_words(seed, NOISE_WINDOW, i, o);
		assert_int_equal(read_le32(w.prefix), o[0]);
		assert_int_equal(read_le32(w.prefix + 4), o[1]);
		assert_in_range(w.place, 0, SIZE - (CTX - 7));
		assert_memory_equal(out[i], w.prefix, 8);
		for (int j = 0; j < CTX - 7; j++)
			assert_int_equal(out[i][8 + j], w.place + (uint64_t)j);
		first |= w.place == 0;
		last |= w.place == SIZE - (CTX - 7);
	}
	assert_true(first && last);
	/* The shortest dataset has one offset. */
	noise_gather(seed, NOISE_BENCHMARK, 1, data, CTX - 7, CTX, out[0]);
	assert_int_equal(out[0][8], 0);
}

/* ---- The code ---- */

static void test_round_trip(void **state)
{
	enum { N = 1000 };
	float x[N], y[N];
	uint8_t code[16 * DELTA_BLOCK_SIZE];

	(void)state;
	assert_int_equal(delta_size(N), sizeof code);
	for (int i = 0; i < N; i++)
		x[i] = (float)sin(i * 0.7) * (float)ldexp(1, -(i / DELTA_BLOCK) * 2 - 3);
	assert_true(delta_encode(x, N, seed, code));
	assert_true(delta_check(code, sizeof code, N));
	delta_decode(code, 0, N, y);
	for (int i = 0; i < N; i++) {
		float step = ldexpf(1, (int8_t)code[i / DELTA_BLOCK * DELTA_BLOCK_SIZE]);

		assert_true(fabsf(x[i] - y[i]) <= step);
	}
	float part[200];

	delta_decode(code, 128, 200, part);
	assert_memory_equal(part, y + 128, sizeof part);
	for (size_t i = N % DELTA_BLOCK; i < DELTA_BLOCK; i++)
		assert_int_equal(code[sizeof code - DELTA_BLOCK + i], 0);
}

/* Section 6 word for word, in double. */
static void test_rule(void **state)
{
	enum { N = 64 * 3 };
	float x[N];
	uint8_t code[3 * DELTA_BLOCK_SIZE];
	static const float tops[3] = { 0x1.f8p-3f, 0x1.fap-3f, 0x1p-50f };
	static const int exponents[3] = { -9, -8, -40 };

	(void)state;
	for (int i = 0; i < N; i++)
		x[i] = i % 64 == 0 ? tops[i / 64] : tops[i / 64] * (float)sin(i);
	assert_true(delta_encode(x, N, seed, code));
	for (int b = 0; b < 3; b++) {
		assert_int_equal((int8_t)code[b * DELTA_BLOCK_SIZE], exponents[b]);
		for (int i = 0; i < 64; i++) {
			uint32_t o[4], index = (uint32_t)(b * 64 + i);

			noise_words(seed, NOISE_ROUNDING, index / 4, o);
			double u = (double)(o[index % 4] >> 8) / 16777216.0;
			float sum = (float)(ldexp((double)x[index], -exponents[b]) + u);

			assert_int_equal((int8_t)code[b * DELTA_BLOCK_SIZE + 1 + i], (int)floor((double)sum));
		}
	}
}

static void test_refusals(void **state)
{
	float x[70] = { 0 };
	uint8_t code[2 * DELTA_BLOCK_SIZE];
	static const float bad[] = { 126.00001f, -126.00001f, INFINITY, -INFINITY, NAN };

	(void)state;
	x[69] = 126.0f;
	assert_true(delta_encode(x, 70, seed, code));
	assert_int_equal((int8_t)code[DELTA_BLOCK_SIZE], 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		x[69] = bad[i];
		assert_false(delta_encode(x, 70, seed, code));
	}
	x[69] = 0;
	assert_true(delta_encode(x, 70, seed, code));
	assert_int_equal((int8_t)code[0], DELTA_EXPONENT_MIN);
	assert_true(delta_check(code, sizeof code, 70));
	assert_false(delta_check(code, sizeof code - 1, 70));
	assert_false(delta_check(code, sizeof code, 64));
	assert_false(delta_check(code, sizeof code, 129));
	code[0] = 1;
	assert_false(delta_check(code, sizeof code, 70));
	code[0] = (uint8_t)-41;
	assert_false(delta_check(code, sizeof code, 70));
	code[0] = 0;
	assert_true(delta_check(code, sizeof code, 70));
	code[DELTA_BLOCK_SIZE + 1 + 6] = 1;
	assert_false(delta_check(code, sizeof code, 70));
	code[DELTA_BLOCK_SIZE + 1 + 6] = 0;
	code[DELTA_BLOCK_SIZE + 1 + 5] = 1;
	assert_true(delta_check(code, sizeof code, 70));
}

/* Rounding is stochastic and fair: over many seeds the mean comes back. */
static void test_bias(void **state)
{
	enum { ROUNDS = 4000 };
	float x[64] = { 0.1f, 0.0123f, -0.0071f, 0.0999f, -0.0004f }, y[64];
	double sum[64] = { 0 }, step = ldexp(1, -10);
	uint8_t code[DELTA_BLOCK_SIZE], key[32] = { 0 };

	(void)state;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		write_le32(key + 12, round);
		assert_true(delta_encode(x, 64, key, code));
		assert_int_equal((int8_t)code[0], -10);
		delta_decode(code, 0, 64, y);
		for (int i = 0; i < 64; i++)
			sum[i] += (double)y[i];
	}
	/* Four standard deviations of the mean of a rounding. */
	for (int i = 0; i < 64; i++)
		assert_true(fabs(sum[i] / ROUNDS - (double)x[i]) < 4 * 0.5 * step / sqrt(ROUNDS));
}

/* ---- The state ---- */

static const struct model_config tiny = { .d = 16, .layers = 1, .heads = 1, .ff = 16, .ctx = 32 };

static void test_initial_state(void **state)
{
	struct state *s = state_new_initial(&tiny, seed);
	const float *theta = state_theta(s), *v = state_momentum(s);
	size_t n = model_count(&tiny);

	(void)state;
	for (size_t i = 0; i < model_tensors(&tiny); i++) {
		struct model_tensor t;

		model_tensor(&tiny, i, &t);
		double a = t.kind == MODEL_RESIDUAL ? 0.034 / sqrt(2) : 0.034, square = 0;

		for (size_t j = t.offset; j < t.offset + t.rows * t.cols; j++) {
			uint32_t o[4];

			noise_words(seed, NOISE_INIT, (uint32_t)j / 4, o);
			double expected = ((double)(o[j % 4] >> 8) / 8388608.0 - 1) * a;

			square += (double)theta[j] * (double)theta[j];
			assert_true(fabs((double)theta[j] - (t.kind == MODEL_NORM ? 1 : expected)) < 1e-8);
		}
		if (t.kind != MODEL_NORM)
			assert_true(fabs(sqrt(square / (double)(t.rows * t.cols)) / (a / sqrt(3)) - 1) < 0.1);
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(float_bits(v[i]), 0);
	state_unref(s);
}

static void test_serialised_state(void **state)
{
	struct state *s = state_new_initial(&tiny, seed), *again;
	size_t n = model_count(&tiny), size = state_size(&tiny);
	float *v = mem_align(n * sizeof(float));
	uint8_t *bytes = mem_alloc(size), root[32];

	(void)state;
	for (size_t i = 0; i < n; i++)
		v[i] = (float)i;
	again = state_new(&tiny, mem_dup(state_theta(s), n * sizeof(float)), v);
	assert_memory_not_equal(state_root(s), state_root(again), 32);
	state_unref(s);
	s = again;

	assert_int_equal(size, 8 * n);
	state_serialise(s, bytes);
	assert_int_equal(read_le32(bytes + 4), float_bits(state_theta(s)[1]));
	assert_int_equal(read_le32(bytes + 4 * (n + 5)), float_bits(5.0f));
	merkle_root_pages(root, bytes, size, 65536);
	assert_memory_equal(root, state_root(s), 32);

	again = state_deserialise(&tiny, bytes, size);
	assert_non_null(again);
	assert_memory_equal(state_root(again), state_root(s), 32);
	assert_memory_equal(state_momentum(again), state_momentum(s), n * sizeof(float));
	assert_ptr_equal(state_ref(again), again);
	state_unref(again);
	assert_int_equal(state_config(again)->d, 16);
	state_unref(again);
	state_unref(NULL);

	assert_null(state_deserialise(&tiny, bytes, size - 1));
	write_le32(bytes + 4 * (n - 1), 0x7f800000);
	assert_null(state_deserialise(&tiny, bytes, size));
	write_le32(bytes + 4 * (n - 1), 0);
	write_le32(bytes + size - 4, 0xffc00000);
	assert_null(state_deserialise(&tiny, bytes, size));
	state_unref(s);
	free(bytes);
}

/* Draws made at once are those made one by one, also where the index wraps. */
static void test_many_draws(void **state)
{
	static const uint32_t firsts[] = { 0, 16, 0xfffffff8u };
	uint8_t key[32];
	uint32_t many[4 * NOISE_MANY], one[4];

	(void)state;
	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)(200 - 7 * i);
	for (size_t f = 0; f < sizeof firsts / sizeof firsts[0]; f++) {
		noise_many(key, NOISE_ROUNDING, firsts[f], many);
		for (uint32_t i = 0; i < NOISE_MANY; i++) {
			noise_words(key, NOISE_ROUNDING, firsts[f] + i, one);
			assert_memory_equal(many + 4 * i, one, sizeof one);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_draws),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bias),
		cmocka_unit_test(test_initial_state),
		cmocka_unit_test(test_serialised_state),
	};

	return cmocka_run_group_tests_name("ml/delta", tests, NULL, NULL);
}
