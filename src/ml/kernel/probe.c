/* Products and operations on awkward operands: what a start-up check hashes first. */
#include "ml/kernel/probe.h"

#include <stdlib.h>

#include "ml/kernel/adamw.h"
#include "ml/kernel/attention.h"
#include "ml/kernel/exact.h"
#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"
#include "ml/kernel/ops.h"
#include "util/bytes.h"
#include "util/mem.h"

static const uint8_t key[32] = "atelier start-up check";

/* A value of an awkward kind: zeros of both signs, subnormals, ties, the largest mantissas, and ordinary ones. What
 * kernels differ in: the sign of zero, subnormals that a library flushes, halves that round to even, values at a grid's
 * end. */
static float awkward_value(uint32_t word)
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

static void fill_awkward(float *x, size_t count, uint32_t product)
{
	uint32_t words[4] = { 0 };

	for (size_t i = 0; i < count; i++) {
		if (i % 4 == 0)
			noise_words(key, NOISE_INIT, product << 20 | (uint32_t)(i / 4), words);
		x[i] = awkward_value(words[i % 4]);
	}
}

void probe_floats(const float *x, size_t count, struct sha256 *hash)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t bytes[4];

		write_le32(bytes, float_bits(x[i]));
		sha256_update(hash, bytes, sizeof bytes);
	}
}

/* Shapes around the tiles of common kernels, contractions around the chunk: a kernel's edges are where it errs, and a
 * sum over two chunks or three is where its order shows. */
static const struct {
	uint16_t m, n, k;
} shapes[] = {
	{ 1, 1, 1 },
	{ 1, 17, 1024 },
	{ 16, 1, 33 },
	{ 7, 13, 5 },
	{ 48, 96, 32 },
	{ 65, 63, 1023 },
	{ 24, 33, 1025 },
	{ 129, 32, 48 },
	{ 5, 8, 2049 },
};

/* One product with each operand lying either way, hashed. */
static void check_product(enum engine engine, uint32_t index, struct sha256 *hash)
{
	size_t m = shapes[index].m, n = shapes[index].n, k = shapes[index].k;
	float *a = mem_align(m * k * sizeof(float)), *b = mem_align(n * k * sizeof(float));
	void *rounded_a = mem_align(exact_operand_size(m, k)), *rounded_b = mem_align(exact_operand_size(n, k));
	float *y = mem_align(m * n * sizeof(float));
	void *scratch = mem_align(exact_scratch_size(m, n));

	fill_awkward(a, m * k, 2 * index);
	/* A row of zeros: its sums of +0 and -0 must be +0. */
	memset(a, 0, k * sizeof(float));
	fill_awkward(b, n * k, 2 * index + 1);
	for (int way = 0; way < 4; way++) {
		bool a_transposed = way & 1, b_transposed = way & 2;
		struct exact_product p = {
			.m = m,
			.n = n,
			.k = k,
			.y = y,
			.ldy = n,
			.a_transposed = a_transposed,
			.b_transposed = b_transposed,
			.a = a_transposed ? exact_columns(engine, a, k, m, rounded_a) :
					    exact_rows(engine, a, m, k, rounded_a),
			.b = b_transposed ? exact_columns(engine, b, k, n, rounded_b) :
					    exact_rows(engine, b, n, k, rounded_b),
		};
		bool ok = p.a.values != NULL && p.b.values != NULL;

		if (ok)
			exact_multiply(engine, &p, scratch);
		probe_floats(y, ok ? m * n : 0, hash);
	}
	free(a);
	free(b);
	free(rounded_a);
	free(rounded_b);
	free(y);
	free(scratch);
}

/* ---- What is not a product ---- */

/* Operands are rounded to 7 bits, so in a step the last bits of what comes between products seldom show: with an a * b
 * + c in one rounding, of a compiler that was told to, a small step may well give the same delta. So each operation
 * runs alone here, and all bits of its result count. ml/generate.c is not among them: its results are nobody else's
 * business. */

enum { TOKENS = 48, WIDTH = 48, HIDDEN = 80, HEAD = 16, HEADS = WIDTH / HEAD };

/* count ordinary floats, the caller's. */
static float *ordinary_floats(size_t count, uint32_t number)
{
	float *x = mem_align(count * sizeof(float));
	uint32_t words[4] = { 0 };

	for (size_t i = 0; i < count; i++) {
		if (i % 4 == 0)
			noise_words(key, NOISE_INIT, (1000 + number) << 20 | (uint32_t)(i / 4), words);
		x[i] = (float)((int32_t)(words[i % 4] >> 8) - (1 << 23)) * 0x1p-22f;
	}
	return x;
}

static void hash_and_free(struct sha256 *hash, float *x, size_t count)
{
	probe_floats(x, count, hash);
	free(x);
}

static void check_norm(struct sha256 *hash)
{
	enum { ALL = TOKENS * WIDTH };
	float *x = ordinary_floats(ALL, 0), *gain = ordinary_floats(WIDTH, 1), *dy = ordinary_floats(ALL, 2),
	      *residual = ordinary_floats(ALL, 3);
	float *y = mem_align(ALL * sizeof(float)), *dx = mem_align(ALL * sizeof(float)), r[TOKENS],
	      dgain[WIDTH] = { 0 };
	float squares = ops_squares(x, ALL);

	ops_rmsnorm(x, gain, TOKENS, WIDTH, y, r);
	probe_floats(y, ALL, hash);
	ops_rmsnorm_backward(x, gain, r, dy, residual, TOKENS, WIDTH, dx, y);
	ops_rmsnorm_backward_gain(x, r, dy, TOKENS, WIDTH, 0, WIDTH, dgain);
	probe_floats(&squares, 1, hash);
	probe_floats(r, TOKENS, hash);
	probe_floats(dgain, WIDTH, hash);
	hash_and_free(hash, y, ALL);
	hash_and_free(hash, dx, ALL);
	free(x);
	free(gain);
	free(dy);
	free(residual);
}

static void check_rotation(struct sha256 *hash)
{
	enum { TABLE = TOKENS * HEAD / 2, ALL = TOKENS * 3 * WIDTH };
	float cosine[TABLE], sine[TABLE], *qkv = ordinary_floats(ALL, 4);
	struct ops_rotary rotary = { cosine, sine, TOKENS, HEADS, HEAD };

	ops_rotary_table(TOKENS, HEAD, cosine, sine);
	ops_rotate(&rotary, qkv, TOKENS, false);
	probe_floats(qkv, ALL, hash);
	ops_rotate(&rotary, qkv, TOKENS, true);
	probe_floats(cosine, TABLE, hash);
	probe_floats(sine, TABLE, hash);
	hash_and_free(hash, qkv, ALL);
}

static void check_gate(struct sha256 *hash)
{
	enum { ALL = TOKENS * HIDDEN };
	float *gu = ordinary_floats(2 * ALL, 5), *db = ordinary_floats(ALL, 6);
	float *b = mem_align(ALL * sizeof(float)), *dgu = mem_align(2 * ALL * sizeof(float));

	ops_gate(gu, TOKENS, HIDDEN, b);
	probe_floats(b, ALL, hash);
	ops_gate_backward(gu, db, TOKENS, HIDDEN, dgu, b);
	hash_and_free(hash, b, ALL);
	hash_and_free(hash, dgu, 2 * ALL);
	free(gu);
	free(db);
}

static void check_losses(struct sha256 *hash)
{
	enum { ALL = TOKENS * MODEL_VOCABULARY };
	uint8_t window[TOKENS + 1];
	float *logits = ordinary_floats(ALL, 7), losses[TOKENS] = { 0 }, lane[16] = { 0 };

	for (int i = 0; i <= TOKENS; i++)
		window[i] = (uint8_t)(i * 37);
	ops_cross_entropy(logits, window, 1, TOKENS, 1.0f / (TOKENS - MODEL_SKIPPED), true, losses);
	ops_sum_losses(losses, 1, TOKENS, lane);
	probe_floats(losses, TOKENS, hash);
	probe_floats(lane, 16, hash);
	hash_and_free(hash, logits, ALL);
}

static void check_attention(struct sha256 *hash)
{
	enum { ALL = TOKENS * HEAD };
	size_t kept = attention_kept(TOKENS);
	float *scratch = mem_align(attention_scratch(TOKENS, HEAD) * sizeof(float)),
	      *p = mem_align(kept * sizeof(float));
	struct attention shape = { TOKENS, HEAD, HEAD, HEAD, scratch };
	float *in[4], *out[4];

	for (uint32_t i = 0; i < 4; i++) {
		in[i] = ordinary_floats(ALL, 8 + i); /* q, k, v and a's gradient */
		out[i] = mem_align(ALL * sizeof(float));
	}
	attention_forward(&shape, in[0], in[1], in[2], p, out[3]);
	attention_backward(&shape, in[0], in[1], in[2], p, in[3], out[0], out[1], out[2]);
	hash_and_free(hash, p, kept);
	for (int i = 0; i < 4; i++) {
		hash_and_free(hash, out[i], ALL);
		free(in[i]);
	}
	free(scratch);
}

static void check_optimizer(struct sha256 *hash)
{
	enum { ALL = 1000 };
	struct adamw adamw = { .lr = 0.001f, .wd = 0.01f, .gradient_scale = 0.7f };
	float *w = ordinary_floats(ALL, 12), *m = mem_calloc(ALL, sizeof(float)), *v = mem_calloc(ALL, sizeof(float)),
	      powers[2];

	for (unsigned t = 1; t <= 3; t++) {
		float *g = ordinary_floats(ALL, 12 + t);

		adamw_corrections(t, powers, &adamw);
		adamw_apply(&adamw, g, ALL, w, m, v);
		free(g);
	}
	hash_and_free(hash, w, ALL);
	hash_and_free(hash, m, ALL);
	hash_and_free(hash, v, ALL);
}

void probe_run(enum engine engine, struct sha256 *hash)
{
	for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
		check_product(engine, i, hash);
	check_norm(hash);
	check_rotation(hash);
	check_gate(hash);
	check_losses(hash);
	check_attention(hash);
	check_optimizer(hash);
}
