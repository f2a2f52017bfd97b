/* Each operation against a plain reference in double, each backward against numeric gradients of that reference. */
#include <math.h>

#include "ml/kernel/attention.h"
#include "ml/kernel/float.h"
#include "ml/kernel/linear.h"
#include "ml/kernel/math.h"
#include "ml/kernel/ops.h"
#include "ml/model.h"
#include "unit.h"
#include "util/mem.h"

static double next_random(void)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (double)(s >> 11) * 0x1p-53 * 2 - 1;
}

static float *random_floats(size_t n)
{
	float *x = mem_align(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		x[i] = (float)next_random();
	return x;
}

/* A reference: y from the concatenated inputs x, in double. */
typedef void reference(const double *x, double *y);

/* Checks found[i] = d(weights . y) / dx[i] by central differences, for the first `checked` of the inputs. */
static void check_some(reference *f, const float *x, size_t inputs, size_t checked, const float *weights,
	size_t outputs, const float *found)
{
	double *point = mem_alloc(inputs * sizeof(double)), *y = mem_alloc(outputs * sizeof(double));
	const double step = 1e-5;

	for (size_t i = 0; i < inputs; i++)
		point[i] = (double)x[i];
	for (size_t i = 0; i < checked; i++) {
		double difference = 0;

		for (int side = -1; side <= 1; side += 2) {
			point[i] = (double)x[i] + side * step;
			f(point, y);
			for (size_t j = 0; j < outputs; j++)
				difference += side * y[j] * (double)weights[j];
		}
		point[i] = (double)x[i];
		double expected = difference / (2 * step);

		if (fabs((double)found[i] - expected) > 2e-5 * (1 + fabs(expected)))
			fail_msg("input %zu: gradient %g, expected %g", i, (double)found[i], expected);
	}
	free(point);
	free(y);
}

static void check_gradient(reference *f, const float *x, size_t inputs, const float *weights, size_t outputs,
	const float *found)
{
	check_some(f, x, inputs, inputs, weights, outputs, found);
}

static void check_values(reference *f, const float *x, size_t inputs, const float *found, size_t outputs)
{
	double *point = mem_alloc(inputs * sizeof(double)), *y = mem_alloc(outputs * sizeof(double));

	for (size_t i = 0; i < inputs; i++)
		point[i] = (double)x[i];
	f(point, y);
	for (size_t j = 0; j < outputs; j++)
		if (fabs((double)found[j] - y[j]) > 2e-6 * (1 + fabs(y[j])))
			fail_msg("output %zu: %g, expected %g", j, (double)found[j], y[j]);
	free(point);
	free(y);
}

/* ---- RMSNorm: inputs x [3][32], gain [32] ---- */

enum { NORM_TOKENS = 3, NORM_D = 32, NORM_N = NORM_TOKENS * NORM_D };

static void reference_rmsnorm(const double *x, double *y)
{
	const double *gain = x + NORM_N;

	for (int t = 0; t < NORM_TOKENS; t++) {
		double square = 0;

		for (int j = 0; j < NORM_D; j++)
			square += x[t * NORM_D + j] * x[t * NORM_D + j];
		for (int j = 0; j < NORM_D; j++)
			y[t * NORM_D + j] = x[t * NORM_D + j] / sqrt(square / NORM_D + 1e-5) * gain[j];
	}
}

static void test_rmsnorm(void **state)
{
	float *x = random_floats(NORM_N + NORM_D), *dy = random_floats(NORM_N),
	      *gradient = random_floats(NORM_N + NORM_D);
	float y[NORM_N], again[NORM_N], r[NORM_TOKENS], before[NORM_N + NORM_D];

	(void)state;
	ops_rmsnorm(x, x + NORM_N, NORM_TOKENS, NORM_D, y, r);
	check_values(reference_rmsnorm, x, NORM_N + NORM_D, y, NORM_N);
	/* Both gradients are added to what is there; a gain's may come in parts. */
	memcpy(before, gradient, sizeof before);
	ops_rmsnorm_backward(x, x + NORM_N, r, dy, before, NORM_TOKENS, NORM_D, gradient, again);
	assert_memory_equal(again, y, sizeof y);
	ops_rmsnorm_backward_gain(x, r, dy, NORM_TOKENS, NORM_D, 0, 5, gradient + NORM_N);
	ops_rmsnorm_backward_gain(x, r, dy, NORM_TOKENS, NORM_D, 5, NORM_D - 5, gradient + NORM_N);
	for (int i = 0; i < NORM_N + NORM_D; i++)
		gradient[i] -= before[i];
	check_gradient(reference_rmsnorm, x, NORM_N + NORM_D, dy, NORM_N, gradient);
	/* Without a residual it is zeros. */
	memset(before, 0, sizeof before);
	ops_rmsnorm_backward(x, x + NORM_N, r, dy, before, NORM_TOKENS, NORM_D, gradient, again);
	ops_rmsnorm_backward(x, x + NORM_N, r, dy, NULL, NORM_TOKENS, NORM_D, y, again);
	assert_memory_equal(y, gradient, sizeof y);
	free(x);
	free(dy);
	free(gradient);
}

/* ---- Gated unit: gu [2][2 * 16] ---- */

enum { GATE_TOKENS = 2, GATE_FF = 144, GATE_N = GATE_TOKENS * GATE_FF };

static void reference_gate(const double *x, double *y)
{
	for (int t = 0; t < GATE_TOKENS; t++) {
		for (int j = 0; j < GATE_FF; j++) {
			double g = x[t * 2 * GATE_FF + j], u = x[t * 2 * GATE_FF + GATE_FF + j];

			y[t * GATE_FF + j] = g / (1 + exp(-g)) * u;
		}
	}
}

static void test_gate(void **state)
{
	float *gu = random_floats(2 * GATE_N), *db = random_floats(GATE_N), b[GATE_N], again[GATE_N], dgu[2 * GATE_N];

	(void)state;
	for (int i = 0; i < 2 * GATE_N; i++)
		gu[i] *= 4;
	ops_gate(gu, GATE_TOKENS, GATE_FF, b);
	check_values(reference_gate, gu, 2 * GATE_N, b, GATE_N);
	ops_gate_backward(gu, db, GATE_TOKENS, GATE_FF, dgu, again);
	assert_memory_equal(again, b, sizeof b);
	check_gradient(reference_gate, gu, 2 * GATE_N, db, GATE_N, dgu);
	free(gu);
	free(db);
}

/* ---- Rotation: qkv [2 windows of 32][3 * 2 heads * 16] ---- */

enum { ROT_CTX = 32, ROT_HEADS = 2, ROT_HEAD = 16, ROT_WIDTH = 3 * ROT_HEADS * ROT_HEAD };

/* The token at position 5. */
static void reference_rotation(const double *x, double *y)
{
	memcpy(y, x, ROT_WIDTH * sizeof *y);
	for (int h = 0; h < 2 * ROT_HEADS; h++) {
		for (int i = 0; i < ROT_HEAD / 2; i++) {
			double angle = 5 * pow(10000.0, -2.0 * i / ROT_HEAD), *a = y + h * ROT_HEAD + i,
			       *b = a + ROT_HEAD / 2;
			double u = *a, w = *b;

			*a = u * cos(angle) - w * sin(angle);
			*b = u * sin(angle) + w * cos(angle);
		}
	}
}

/* Gradients pass backwards through the rotation by the inverse one. */
static void test_rotate_gradient(void **state)
{
	float cosine[ROT_CTX * ROT_HEAD / 2], sine[ROT_CTX * ROT_HEAD / 2];
	float *x = random_floats(6 * ROT_WIDTH), *dy = random_floats(6 * ROT_WIDTH), *token = x + (size_t)5 * ROT_WIDTH;
	float *y = mem_dup(x, 6 * ROT_WIDTH * sizeof(float)), *dx = mem_dup(dy, 6 * ROT_WIDTH * sizeof(float));
	struct ops_rotary rotary = { cosine, sine, ROT_CTX, ROT_HEADS, ROT_HEAD };

	(void)state;
	ops_rotary_table(ROT_CTX, ROT_HEAD, cosine, sine);
	ops_rotate(&rotary, y, 6, false);
	ops_rotate(&rotary, dx, 6, true);
	check_values(reference_rotation, token, ROT_WIDTH, y + (size_t)5 * ROT_WIDTH, ROT_WIDTH);
	check_gradient(reference_rotation, token, ROT_WIDTH, dy + (size_t)5 * ROT_WIDTH, ROT_WIDTH,
		dx + (size_t)5 * ROT_WIDTH);
	free(x);
	free(dy);
	free(y);
	free(dx);
}

static void test_rotate(void **state)
{
	enum { CTX = 32, HEADS = 2, HEAD = 16, WIDTH = 3 * HEADS * HEAD, TOKENS = 2 * CTX };
	float cosine[CTX * HEAD / 2], sine[CTX * HEAD / 2];
	float *x = random_floats((size_t)TOKENS * WIDTH), *y = mem_dup(x, (size_t)TOKENS * WIDTH * sizeof(float));
	struct ops_rotary rotary = { cosine, sine, CTX, HEADS, HEAD };

	(void)state;
	ops_rotary_table(CTX, HEAD, cosine, sine);
	ops_rotate(&rotary, y, TOKENS, false);
	for (int t = 0; t < TOKENS; t++) {
		for (int h = 0; h < 3 * HEADS; h++) {
			for (int i = 0; i < HEAD / 2; i++) {
				size_t at = (size_t)t * WIDTH + (size_t)h * HEAD + (size_t)i;
				double angle = h < 2 * HEADS ? t % CTX * pow(10000.0, -2.0 * i / HEAD) : 0;
				double a = (double)x[at], b = (double)x[at + HEAD / 2];

				assert_true(fabs((double)y[at] - (a * cos(angle) - b * sin(angle))) < 5e-6);
				assert_true(fabs((double)y[at + HEAD / 2] - (a * sin(angle) + b * cos(angle))) < 5e-6);
			}
		}
	}
	ops_rotate(&rotary, y, TOKENS, true);
	for (int i = 0; i < TOKENS * WIDTH; i++)
		assert_true(fabsf(x[i] - y[i]) < 1e-6f);
	free(x);
	free(y);
}

/* ---- Cross-entropy: 2 windows of 32 ---- */

enum { LOSS_ROWS = 2, LOSS_CTX = 32, LOSS_N = LOSS_ROWS * LOSS_CTX * MODEL_VOCABULARY };

static uint8_t loss_windows[LOSS_ROWS * (LOSS_CTX + 1)];

static void reference_loss(const double *x, double *y)
{
	double total = 0;

	for (int t = 0; t < LOSS_ROWS * LOSS_CTX; t++, x += MODEL_VOCABULARY) {
		double z = 0;

		if (t % LOSS_CTX < MODEL_SKIPPED)
			continue;
		for (int j = 0; j < MODEL_VOCABULARY; j++)
			z += exp(x[j]);
		total += log(z) - x[loss_windows[t / LOSS_CTX * (LOSS_CTX + 1) + t % LOSS_CTX + 1]];
	}
	y[0] = total / (LOSS_ROWS * (LOSS_CTX - MODEL_SKIPPED));
}

static void test_cross_entropy(void **state)
{
	float *logits = random_floats(LOSS_N), *gradient = mem_dup(logits, LOSS_N * sizeof(float));
	float losses[LOSS_ROWS * LOSS_CTX], lane[16] = { 0 }, inv = 1.0f / (LOSS_ROWS * (LOSS_CTX - MODEL_SKIPPED)),
					    loss = 0, one = 1;

	(void)state;
	for (size_t i = 0; i < sizeof loss_windows; i++)
		loss_windows[i] = (uint8_t)(i * 37);
	ops_cross_entropy(gradient, loss_windows, LOSS_ROWS, LOSS_CTX, inv, true, losses);
	ops_sum_losses(losses, LOSS_ROWS, LOSS_CTX, lane);
	for (int i = 0; i < 16; i++)
		loss += lane[i];
	loss *= inv;
	check_values(reference_loss, logits, LOSS_N, &loss, 1);
	for (size_t i = 0; i < (size_t)MODEL_SKIPPED * MODEL_VOCABULARY; i++)
		assert_int_equal(float_bits(gradient[i]), 0);
	/* The skipped positions and two that count: the others are alike. */
	check_some(reference_loss, logits, LOSS_N, (MODEL_SKIPPED + 2) * MODEL_VOCABULARY, &one, 1, gradient);
	free(logits);
	free(gradient);
}

/* ---- Embedding ---- */

static void test_embedding(void **state)
{
	enum { D = 16, ROWS = 2, CTX = 32 };
	uint8_t windows[ROWS * (CTX + 1)];
	float *table = random_floats(MODEL_VOCABULARY * D), *h = mem_align(ROWS * CTX * D * sizeof(float));
	float *gradient = mem_calloc(MODEL_VOCABULARY * D, sizeof(float));

	(void)state;
	for (size_t i = 0; i < sizeof windows; i++)
		windows[i] = (uint8_t)(i % 5 + 250);
	ops_embed(table, windows, ROWS, CTX, D, h);
	for (size_t t = 0; t < ROWS * CTX; t++)
		assert_memory_equal(h + t * D, table + windows[t / CTX * (CTX + 1) + t % CTX] * D, D * sizeof(float));
	ops_embed_backward(h, windows, ROWS, CTX, D, 0, 3, gradient);
	ops_embed_backward(h, windows, ROWS, CTX, D, 3, D - 3, gradient);
	for (size_t byte = 0; byte < MODEL_VOCABULARY; byte++) {
		int uses = 0;

		for (size_t t = 0; t < ROWS * CTX; t++)
			uses += windows[t / CTX * (CTX + 1) + t % CTX] == byte;
		assert_true(fabsf(gradient[byte * D + 3] - (float)uses * table[byte * D + 3]) < 1e-5f);
	}
	free(table);
	free(h);
	free(gradient);
}

enum { TABLE_D = 16, TABLE_ROWS = 2, TABLE_CTX = 32, TABLE_OUT = TABLE_ROWS * TABLE_CTX * TABLE_D, BYTE = 250 };

static uint8_t table_windows[TABLE_ROWS * (TABLE_CTX + 1)];

/* x: the rows of the bytes from BYTE on. */
static void reference_embedding(const double *x, double *y)
{
	for (int t = 0; t < TABLE_ROWS * TABLE_CTX; t++)
		memcpy(y + t * TABLE_D,
			x + (table_windows[t / TABLE_CTX * (TABLE_CTX + 1) + t % TABLE_CTX] - BYTE) * TABLE_D,
			TABLE_D * sizeof *y);
}

static void test_embedding_gradient(void **state)
{
	float *table = random_floats(MODEL_VOCABULARY * TABLE_D), *dh = random_floats(TABLE_OUT), h[TABLE_OUT];
	float *gradient = mem_calloc(MODEL_VOCABULARY * TABLE_D, sizeof(float)), *rows = table + BYTE * TABLE_D;

	(void)state;
	for (size_t i = 0; i < sizeof table_windows; i++)
		table_windows[i] = (uint8_t)(i * i % 5 + BYTE);
	ops_embed(table, table_windows, TABLE_ROWS, TABLE_CTX, TABLE_D, h);
	ops_embed_backward(dh, table_windows, TABLE_ROWS, TABLE_CTX, TABLE_D, 0, TABLE_D, gradient);
	check_values(reference_embedding, rows, 6 * TABLE_D, h, TABLE_OUT);
	check_gradient(reference_embedding, rows, 6 * TABLE_D, dh, TABLE_OUT, gradient + BYTE * TABLE_D);
	free(table);
	free(dh);
	free(gradient);
}

/* ---- Linear: W [16][32], then x [300 tokens][32]; more tokens than are added at a time ---- */

enum { LIN_TOKENS = 300, LIN_IN = 32, LIN_OUT = 16, LIN_W = LIN_OUT * LIN_IN, LIN_Y = LIN_TOKENS * LIN_OUT };
enum { LIN_INPUTS = LIN_W + LIN_TOKENS * LIN_IN, LIN_CUT = 280 };

static void reference_linear(const double *w, double *y)
{
	const double *x = w + LIN_W;

	for (int t = 0; t < LIN_TOKENS; t++) {
		for (int i = 0; i < LIN_OUT; i++) {
			y[t * LIN_OUT + i] = 0;
			for (int j = 0; j < LIN_IN; j++)
				y[t * LIN_OUT + i] += w[i * LIN_IN + j] * x[t * LIN_IN + j];
		}
	}
}

/* Values that lie on every grid they can meet, so that rounding changes none of them. */
static float *grid_floats(size_t n)
{
	float *x = random_floats(n);

	for (size_t i = 0; i < n; i++)
		x[i] = truncf(x[i] * 100) / 64;
	return x;
}

/* The gradient of W comes in two chunks; that of x in one. */
static void run_linear(enum engine engine, const float *theta, const float *dy, float *y, float *gradient)
{
	struct linear l = { .out = LIN_OUT, .in = LIN_IN };
	struct linear_work work = {
		.rounded = mem_align(linear_rounded_size(LIN_TOKENS, LIN_IN)),
		.part = mem_align(linear_part_size()),
		.scratch = mem_align(linear_scratch_size(LIN_TOKENS, LIN_IN)),
	};
	int32_t dy_largest[LIN_OUT], x_largest[LIN_IN];
	struct linear_chunk chunk = {
		.dy = dy,
		.x = theta + LIN_W,
		.tokens = LIN_CUT,
		.dy_largest = dy_largest,
		.x_largest = x_largest,
	};

	for (int i = 0; i < 2; i++)
		l.memory[i] = mem_align(exact_operand_size(LIN_OUT, LIN_IN));
	assert_true(linear_round(&l, engine, theta, true));
	linear_take(&work, engine, theta + LIN_W, LIN_TOKENS, LIN_IN, 0, LIN_TOKENS, x_largest);
	assert_true(linear_forward(&l, engine, &work, theta + LIN_W, LIN_TOKENS, y));
	linear_take(&work, engine, dy, LIN_TOKENS, LIN_OUT, 0, LIN_TOKENS, dy_largest);
	assert_true(linear_backward(&l, engine, &work, dy, LIN_TOKENS, gradient + LIN_W));
	assert_true(linear_gradient(&l, engine, &work, &chunk, 0, LIN_OUT, false, gradient));
	chunk.dy += LIN_CUT * LIN_OUT;
	chunk.x += LIN_CUT * LIN_IN;
	chunk.tokens = LIN_TOKENS - LIN_CUT;
	assert_true(linear_gradient(&l, engine, &work, &chunk, 0, 5, true, gradient));
	assert_true(linear_gradient(&l, engine, &work, &chunk, 5, LIN_OUT - 5, true, gradient));
	free(work.rounded);
	free(work.part);
	free(work.scratch);
	free(l.memory[0]);
	free(l.memory[1]);
}

static void test_linear(void **state)
{
	static const enum engine engines[] = { ENGINE_OPENBLAS, ENGINE_REFERENCE, ENGINE_ONEDNN, ENGINE_PLAIN };
	float *theta = grid_floats(LIN_INPUTS), *dy = grid_floats(LIN_Y), y[LIN_Y],
	      *gradient = mem_align(LIN_INPUTS * sizeof(float));
	struct errmsg err;

	(void)state;
	for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
		if (!engine_usable(engines[i], &err))
			continue;
		memset(gradient, 0x7f, LIN_INPUTS * sizeof(float));
		run_linear(engines[i], theta, dy, y, gradient);
		check_values(reference_linear, theta, LIN_INPUTS, y, LIN_Y);
		/* All of W and the first tokens: the others are alike. */
		check_some(reference_linear, theta, LIN_INPUTS, LIN_W + 3 * LIN_IN, dy, LIN_Y, gradient);
	}
	free(theta);
	free(dy);
	free(gradient);
}

/* Tokens of a kind have one row of x: contracting over kinds gives the bits of contracting over tokens, also where a
 * kind that no token has is far off the grids. */
static void test_linear_kinds(void **state)
{
	enum { KINDS = 7 };
	const struct linear l = { .out = LIN_OUT, .in = LIN_IN };
	struct linear_work work = {
		.rounded = mem_align(linear_rounded_size(LIN_TOKENS, LIN_IN)),
		.part = mem_align(linear_part_size()),
		.sums = mem_align(LINEAR_KINDS * LINEAR_PART_ROWS * sizeof(float)),
		.scratch = mem_align(linear_scratch_size(LIN_TOKENS, LIN_IN)),
	};
	int32_t dy_largest[LIN_OUT] = { 0 }, x_largest[LIN_IN] = { 0 };
	float *rows = random_floats(KINDS * LIN_IN), *dy = random_floats(LIN_Y), *found = random_floats(LIN_W),
	      *wanted = mem_dup(found, LIN_W * sizeof(float)), *x = random_floats(LIN_TOKENS * LIN_IN);
	uint8_t kinds[LIN_TOKENS];
	struct linear_chunk chunk = {
		.dy = dy,
		.x = x,
		.tokens = LIN_TOKENS,
		.dy_largest = dy_largest,
		.x_largest = x_largest,
	};

	(void)state;
	for (size_t i = 0; i < LIN_TOKENS; i++) {
		kinds[i] = (uint8_t)(i * i % 11 % (KINDS - 1));
		memcpy(x + i * LIN_IN, rows + kinds[i] * LIN_IN, LIN_IN * sizeof(float));
	}
	for (size_t i = 0; i < LIN_IN; i++)
		rows[(KINDS - 1) * LIN_IN + i] = 0x1p50f;
	exact_largest(dy, LIN_TOKENS, LIN_OUT, dy_largest);
	exact_largest(x, LIN_TOKENS, LIN_IN, x_largest);
	for (int add = 1; add >= 0; add--) {
		chunk.x = x;
		chunk.kinds = NULL;
		assert_true(linear_gradient(&l, ENGINE_OPENBLAS, &work, &chunk, 0, LIN_OUT, add, wanted));
		chunk.x = rows;
		chunk.kinds = kinds;
		chunk.kind_count = KINDS;
		assert_true(linear_gradient(&l, ENGINE_OPENBLAS, &work, &chunk, 0, 5, add, found));
		assert_true(linear_gradient(&l, ENGINE_OPENBLAS, &work, &chunk, 5, LIN_OUT - 5, add, found));
		assert_memory_equal(found, wanted, LIN_W * sizeof(float));
	}
	free(work.rounded);
	free(work.part);
	free(work.sums);
	free(work.scratch);
	free(rows);
	free(dy);
	free(found);
	free(wanted);
	free(x);
}

/* ---- Attention: q, k, v [32][3 * 16], one head ---- */

enum {
	ATT_CTX = 32,
	ATT_HEAD = 16,
	ATT_STRIDE = 3 * ATT_HEAD,
	ATT_N = ATT_CTX * ATT_STRIDE,
	ATT_OUT = ATT_CTX * ATT_HEAD
};

static void reference_attention(const double *x, double *y)
{
	for (int i = 0; i < ATT_CTX; i++) {
		double p[ATT_CTX], sum = 0;

		for (int j = 0; j <= i; j++) {
			double s = 0;

			for (int c = 0; c < ATT_HEAD; c++)
				s += x[i * ATT_STRIDE + c] * x[j * ATT_STRIDE + ATT_HEAD + c];
			p[j] = exp(s / sqrt(ATT_HEAD));
			sum += p[j];
		}
		for (int c = 0; c < ATT_HEAD; c++) {
			y[i * ATT_HEAD + c] = 0;
			for (int j = 0; j <= i; j++)
				y[i * ATT_HEAD + c] += p[j] / sum * x[j * ATT_STRIDE + 2 * ATT_HEAD + c];
		}
	}
}

/* Where attention keeps the probability of key j for query i. */
static size_t kept_at(size_t i, size_t j)
{
	return attention_kept(i / 16 * 16) + j * 16 + i % 16;
}

static void test_attention(void **state)
{
	float *x = random_floats(ATT_N), *da = random_floats(ATT_OUT);
	float *scratch = mem_align(attention_scratch(ATT_CTX, ATT_HEAD) * sizeof(float));
	float p[ATT_CTX * ATT_CTX], a[ATT_OUT], dx[ATT_N];
	struct attention shape = { ATT_CTX, ATT_HEAD, ATT_STRIDE, ATT_HEAD, scratch, 0 };

	(void)state;
	attention_forward(&shape, x, x + ATT_HEAD, x + 2 * ATT_HEAD, p, a);
	check_values(reference_attention, x, ATT_N, a, ATT_OUT);
	for (int i = 0; i < ATT_CTX; i++)
		for (int j = i + 1; j < (i / 16 + 1) * 16; j++)
			assert_int_equal(float_bits(p[kept_at(i, j)]), 0);
	attention_backward(&shape, x, x + ATT_HEAD, x + 2 * ATT_HEAD, p, da, dx, dx + ATT_HEAD, dx + 2 * ATT_HEAD);
	check_gradient(reference_attention, x, ATT_N, da, ATT_OUT, dx);
	free(x);
	free(da);
	free(scratch);
}

/* ---- Attention once more, bit by bit: section 4 word for word. The head's scale is no power of two. ---- */

enum { BIT_CTX = 48, BIT_HEAD = 48, BIT_N = BIT_CTX * BIT_HEAD };

static float plain_sum16(const float *x, int n)
{
	float lane[16] = { 0 };

	for (int i = 0; i < n; i++)
		lane[i % 16] = lane[i % 16] + x[i];
	for (int width = 8; width >= 1; width /= 2)
		for (int j = 0; j < width; j++)
			lane[j] = lane[j] + lane[j + width];
	return lane[0];
}

/* sum over i = first .. last-1 of x[i * x_step] * y[i * y_step], a chain from +0. */
static float chain(const float *x, int x_step, const float *y, int y_step, int first, int last)
{
	float sum = 0;

	for (int i = first; i < last; i++)
		sum = sum + x[i * x_step] * y[i * y_step];
	return sum;
}

static void plain_attention(const float *q, const float *k, const float *v, float *p, float *a)
{
	float scale = 1.0f / sqrtf((float)BIT_HEAD);

	for (int i = 0; i < BIT_CTX; i++) {
		float s[BIT_CTX], largest = -INFINITY;

		for (int j = 0; j <= i; j++) {
			s[j] = chain(q + i * BIT_HEAD, 1, k + j * BIT_HEAD, 1, 0, BIT_HEAD);
			largest = s[j] > largest ? s[j] : largest;
		}
		for (int j = 0; j <= i; j++)
			s[j] = math_exp((s[j] - largest) * scale);
		float r = 1.0f / plain_sum16(s, i + 1);

		for (int j = 0; j < BIT_CTX; j++)
			p[i * BIT_CTX + j] = j <= i ? s[j] * r : 0;
		for (int c = 0; c < BIT_HEAD; c++)
			a[i * BIT_HEAD + c] = chain(p + i * BIT_CTX, 1, v + c, BIT_HEAD, 0, i + 1);
	}
}

/* d: dq, dk, dv one after the other. */
static void plain_attention_backward(const float *q, const float *k, const float *v, const float *p, const float *da,
	float *d)
{
	float ds[BIT_CTX * BIT_CTX], scale = 1.0f / sqrtf((float)BIT_HEAD);

	for (int i = 0; i < BIT_CTX; i++) {
		float dp[BIT_CTX], product[BIT_CTX];

		for (int j = 0; j <= i; j++) {
			dp[j] = chain(da + i * BIT_HEAD, 1, v + j * BIT_HEAD, 1, 0, BIT_HEAD);
			product[j] = p[i * BIT_CTX + j] * dp[j];
		}
		float sum = plain_sum16(product, i + 1);

		for (int j = 0; j <= i; j++)
			ds[i * BIT_CTX + j] = (p[i * BIT_CTX + j] * (dp[j] - sum)) * scale;
	}
	for (int i = 0; i < BIT_CTX; i++) {
		for (int c = 0; c < BIT_HEAD; c++) {
			d[i * BIT_HEAD + c] = chain(ds + i * BIT_CTX, 1, k + c, BIT_HEAD, 0, i + 1);
			d[BIT_N + i * BIT_HEAD + c] = chain(ds + i, BIT_CTX, q + c, BIT_HEAD, i, BIT_CTX);
			d[2 * BIT_N + i * BIT_HEAD + c] = chain(p + i, BIT_CTX, da + c, BIT_HEAD, i, BIT_CTX);
		}
	}
}

static void test_attention_bits(void **state)
{
	float *qkv = random_floats(3 * BIT_N), *da = random_floats(BIT_N);
	float *scratch = mem_align(attention_scratch(BIT_CTX, BIT_HEAD) * sizeof(float));
	float p[2][BIT_CTX * BIT_CTX], a[2][BIT_N], d[2][3 * BIT_N];
	const float *q = qkv, *k = qkv + BIT_N, *v = qkv + 2 * BIT_N;
	struct attention shape = { BIT_CTX, BIT_HEAD, BIT_HEAD, BIT_HEAD, scratch, 0 };

	(void)state;
	for (int i = 0; i < BIT_N; i++) {
		qkv[i] *= (float)(1 << i % 3);
		da[i] *= (float)(1 << i % 7);
	}
	attention_forward(&shape, q, k, v, p[0], a[0]);
	plain_attention(q, k, v, p[1], a[1]);
	for (int i = 0; i < BIT_CTX; i++)
		for (int j = 0; j <= i; j++)
			assert_int_equal(float_bits(p[0][kept_at(i, j)]), float_bits(p[1][i * BIT_CTX + j]));
	assert_memory_equal(a[0], a[1], sizeof a[0]);
	attention_backward(&shape, q, k, v, p[0], da, d[0], d[0] + BIT_N, d[0] + 2 * BIT_N);
	plain_attention_backward(q, k, v, p[1], da, d[1]);
	assert_memory_equal(d[0], d[1], sizeof d[0]);
	free(qkv);
	free(da);
	free(scratch);
}

/* What overflows above the diagonal must not reach the rows below it. */
static void test_attention_masks_overflow(void **state)
{
	float *x = mem_calloc(ATT_N, sizeof(float)), *da = mem_calloc(ATT_OUT, sizeof(float));
	float *scratch = mem_align(attention_scratch(ATT_CTX, ATT_HEAD) * sizeof(float));
	float p[ATT_CTX * ATT_CTX], a[ATT_OUT], dx[ATT_N];
	struct attention shape = { ATT_CTX, ATT_HEAD, ATT_STRIDE, ATT_HEAD, scratch, 0 };

	(void)state;
	for (int c = 0; c < ATT_HEAD; c++) {
		x[(ATT_CTX - 1) * ATT_STRIDE + 2 * ATT_HEAD + c] = 0x1p100f; /* v of the last position */
		da[c] = 0x1p100f;                                            /* and what row 0 is told */
	}
	da[(ATT_CTX - 2) * ATT_HEAD] = 0x1p100f;
	attention_forward(&shape, x, x + ATT_HEAD, x + 2 * ATT_HEAD, p, a);
	for (int i = 0; i < (ATT_CTX - 1) * ATT_HEAD; i++)
		assert_true(a[i] == 0);
	attention_backward(&shape, x, x + ATT_HEAD, x + 2 * ATT_HEAD, p, da, dx, dx + ATT_HEAD, dx + 2 * ATT_HEAD);
	for (int i = 0; i < ATT_N; i++)
		assert_true(float_is_finite(dx[i]));
	free(x);
	free(da);
	free(scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rmsnorm),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_rotate),
		cmocka_unit_test(test_rotate_gradient),
		cmocka_unit_test(test_cross_entropy),
		cmocka_unit_test(test_embedding),
		cmocka_unit_test(test_embedding_gradient),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_linear_kinds),
		cmocka_unit_test(test_attention),
		cmocka_unit_test(test_attention_bits),
		cmocka_unit_test(test_attention_masks_overflow),
	};

	return cmocka_run_group_tests_name("ml/ops", tests, NULL, NULL);
}
