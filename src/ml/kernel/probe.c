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

static const uint8_t probe_key[32] = "atelier start-up check";

/* A value of an awkward kind: zeros of both signs, subnormals, ties, the largest mantissas, and ordinary ones. What
 * kernels differ in: the sign of zero, subnormals that a library flushes, halves that round to even, values at a grid's
 * end. */
static float probe_awkward_value(uint32_t word)
{
	uint32_t awkward_sign = word & 0x80000000u, awkward_kind = word >> 24 & 7, awkward_rest = word & 0x7fffff;

	switch (awkward_kind) {
	case 0:
		return float_from_bits(awkward_sign);
	case 1:
		return float_from_bits(awkward_sign | awkward_rest);
	case 2:
		return (float)(awkward_rest % 127) + (awkward_sign ? -0.5f : 0.5f);
	case 3:
		return float_from_bits(awkward_sign | 133u << 23 | 0x7e0000u | (awkward_rest & 0x1ffff));
	default:
		return float_from_bits(awkward_sign | (112u + awkward_rest % 22) << 23 | awkward_rest);
	}
}

static void probe_fill_awkward(float *x, size_t count, uint32_t product)
{
	uint32_t awkward_words[4] = { 0 };

	for (size_t i = 0; i < count; i++) {
		if (i % 4 == 0)
			noise_words(probe_key, NOISE_INIT, product << 20 | (uint32_t)(i / 4), awkward_words);
		x[i] = probe_awkward_value(awkward_words[i % 4]);
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
} probe_shapes[] = {
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
static void probe_product(enum engine engine, uint32_t index, struct sha256 *hash)
{
	size_t m = probe_shapes[index].m, n = probe_shapes[index].n, k = probe_shapes[index].k;
	float *a = mem_align(m * k * sizeof(float)), *b = mem_align(n * k * sizeof(float));
	void *rounded_a = mem_align(exact_operand_size(m, k)), *rounded_b = mem_align(exact_operand_size(n, k));
	float *y = mem_align(m * n * sizeof(float));
	void *scratch = mem_align(exact_scratch_size(m, n));

	probe_fill_awkward(a, m * k, 2 * index);
	/* A row of zeros: its sums of +0 and -0 must be +0. */
	memset(a, 0, k * sizeof(float));
	probe_fill_awkward(b, n * k, 2 * index + 1);
	for (int way = 0; way < 4; way++) {
		bool a_transposed = way & 1, b_transposed = way & 2;
		struct exact_product product = {
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
		bool ok = product.a.values != NULL && product.b.values != NULL;

		if (ok)
			exact_multiply(engine, &product, scratch);
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
 * runs alone here, and all bits of its result count. attention_query is not among them: no block hangs on it. */

enum {
	PROBE_TOKENS = 48,
	PROBE_WIDTH = 48,
	PROBE_HIDDEN = 80,
	PROBE_HEAD = 16,
	PROBE_HEADS = PROBE_WIDTH / PROBE_HEAD
};

/* count ordinary floats, the caller's. */
static float *probe_ordinary_floats(size_t count, uint32_t number)
{
	float *ordinary = mem_align(count * sizeof(float));
	uint32_t ordinary_words[4] = { 0 };

	for (size_t i = 0; i < count; i++) {
		if (i % 4 == 0)
			noise_words(probe_key, NOISE_INIT, (1000 + number) << 20 | (uint32_t)(i / 4), ordinary_words);
		ordinary[i] = (float)((int32_t)(ordinary_words[i % 4] >> 8) - (1 << 23)) * 0x1p-22f;
	}
	return ordinary;
}

static void probe_hash_and_free(struct sha256 *hash, float *x, size_t count)
{
	probe_floats(x, count, hash);
	free(x);
}

static void probe_norm(struct sha256 *hash)
{
	enum { PROBE_ALL = PROBE_TOKENS * PROBE_WIDTH };
	float *x = probe_ordinary_floats(PROBE_ALL, 0), *gain = probe_ordinary_floats(PROBE_WIDTH, 1),
	      *dy = probe_ordinary_floats(PROBE_ALL, 2), *residual = probe_ordinary_floats(PROBE_ALL, 3);
	float *y = mem_align(PROBE_ALL * sizeof(float)), *dx = mem_align(PROBE_ALL * sizeof(float)), r[PROBE_TOKENS],
	      dgain[PROBE_WIDTH] = { 0 };
	float squares = ops_squares(x, PROBE_ALL);

	ops_rmsnorm(x, gain, PROBE_TOKENS, PROBE_WIDTH, y, r);
	probe_floats(y, PROBE_ALL, hash);
	ops_rmsnorm_backward(x, gain, r, dy, residual, PROBE_TOKENS, PROBE_WIDTH, dx, y);
	ops_rmsnorm_backward_gain(x, r, dy, PROBE_TOKENS, PROBE_WIDTH, 0, PROBE_WIDTH, dgain);
	probe_floats(&squares, 1, hash);
	probe_floats(r, PROBE_TOKENS, hash);
	probe_floats(dgain, PROBE_WIDTH, hash);
	probe_hash_and_free(hash, y, PROBE_ALL);
	probe_hash_and_free(hash, dx, PROBE_ALL);
	free(x);
	free(gain);
	free(dy);
	free(residual);
}

static void probe_rotation(struct sha256 *hash)
{
	enum { PROBE_TABLE = PROBE_TOKENS * PROBE_HEAD / 2, PROBE_ALL = PROBE_TOKENS * 3 * PROBE_WIDTH };
	float cosine[PROBE_TABLE], sine[PROBE_TABLE], *qkv = probe_ordinary_floats(PROBE_ALL, 4);
	struct ops_rotary rotary = { cosine, sine, PROBE_TOKENS, PROBE_HEADS, PROBE_HEAD };

	ops_rotary_table(PROBE_TOKENS, PROBE_HEAD, cosine, sine);
	ops_rotate(&rotary, qkv, PROBE_TOKENS, false);
	probe_floats(qkv, PROBE_ALL, hash);
	ops_rotate(&rotary, qkv, PROBE_TOKENS, true);
	probe_floats(cosine, PROBE_TABLE, hash);
	probe_floats(sine, PROBE_TABLE, hash);
	probe_hash_and_free(hash, qkv, PROBE_ALL);
}

static void probe_gate(struct sha256 *hash)
{
	enum { PROBE_ALL = PROBE_TOKENS * PROBE_HIDDEN };
	float *gu = probe_ordinary_floats(2 * PROBE_ALL, 5), *db = probe_ordinary_floats(PROBE_ALL, 6);
	float *b = mem_align(PROBE_ALL * sizeof(float)), *dgu = mem_align(2 * PROBE_ALL * sizeof(float));

	ops_gate(gu, PROBE_TOKENS, PROBE_HIDDEN, b);
	probe_floats(b, PROBE_ALL, hash);
	ops_gate_backward(gu, db, PROBE_TOKENS, PROBE_HIDDEN, dgu, b);
	probe_hash_and_free(hash, b, PROBE_ALL);
	probe_hash_and_free(hash, dgu, 2 * PROBE_ALL);
	free(gu);
	free(db);
}

static void probe_losses(struct sha256 *hash)
{
	enum { PROBE_ALL = PROBE_TOKENS * MODEL_VOCABULARY };
	uint8_t window[PROBE_TOKENS + 1];
	float *logits = probe_ordinary_floats(PROBE_ALL, 7), losses[PROBE_TOKENS] = { 0 }, lane[16] = { 0 };

	for (int i = 0; i <= PROBE_TOKENS; i++)
		window[i] = (uint8_t)(i * 37);
	ops_cross_entropy(logits, window, 1, PROBE_TOKENS, 1.0f / (PROBE_TOKENS - MODEL_SKIPPED), true, losses);
	ops_sum_losses(losses, 1, PROBE_TOKENS, lane);
	probe_floats(losses, PROBE_TOKENS, hash);
	probe_floats(lane, 16, hash);
	probe_hash_and_free(hash, logits, PROBE_ALL);
}

static void probe_attention(struct sha256 *hash)
{
	enum { PROBE_ALL = PROBE_TOKENS * PROBE_HEAD };
	size_t kept = attention_kept(PROBE_TOKENS);
	float *scratch = mem_align(attention_scratch(PROBE_TOKENS, PROBE_HEAD) * sizeof(float)),
	      *p = mem_align(kept * sizeof(float));
	struct attention shape = { PROBE_TOKENS, PROBE_HEAD, PROBE_HEAD, PROBE_HEAD, scratch, 0.0f };
	float *in[4], *out[4];

	for (uint32_t i = 0; i < 4; i++) {
		in[i] = probe_ordinary_floats(PROBE_ALL, 8 + i); /* q, k, v and a's gradient */
		out[i] = mem_align(PROBE_ALL * sizeof(float));
	}
	attention_forward(&shape, in[0], in[1], in[2], p, out[3]);
	attention_backward(&shape, in[0], in[1], in[2], p, in[3], out[0], out[1], out[2]);
	probe_hash_and_free(hash, p, kept);
	for (int i = 0; i < 4; i++) {
		probe_hash_and_free(hash, out[i], PROBE_ALL);
		free(in[i]);
	}
	free(scratch);
}

static void probe_optimizer(struct sha256 *hash)
{
	enum { PROBE_ALL = 1000 };
	struct adamw adamw = { .lr = 0.001f, .wd = 0.01f, .gradient_scale = 0.7f };
	float *w = probe_ordinary_floats(PROBE_ALL, 12), *m = mem_calloc(PROBE_ALL, sizeof(float)),
	      *v = mem_calloc(PROBE_ALL, sizeof(float)), powers[2];

	for (unsigned t = 1; t <= 3; t++) {
		float *g = probe_ordinary_floats(PROBE_ALL, 12 + t);

		adamw_corrections(t, powers, &adamw);
		adamw_apply(&adamw, g, PROBE_ALL, w, m, v);
		free(g);
	}
	probe_hash_and_free(hash, w, PROBE_ALL);
	probe_hash_and_free(hash, m, PROBE_ALL);
	probe_hash_and_free(hash, v, PROBE_ALL);
}

void probe_run(enum engine engine, struct sha256 *hash)
{
	for (uint32_t i = 0; i < sizeof probe_shapes / sizeof probe_shapes[0]; i++)
		probe_product(engine, i, hash);
	probe_norm(hash);
	probe_rotation(hash);
	probe_gate(hash);
	probe_losses(hash);
	probe_attention(hash);
	probe_optimizer(hash);
}
