/* The whole model: limits, layout, and its gradient against differences of its own loss. */
#include <math.h>

#include "ml/backend_cpu.h"
#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"
#include "ml/model.h"
#include "ml/pass.h"
#include "ml/state.h"
#include "ml/workspace.h"
#include "unit.h"
#include "util/mem.h"

static const struct model_config small = { .d = 32, .layers = 2, .heads = 2, .ff = 48, .ctx = 32 };

static const uint8_t key[32] = { 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static const struct pass_dither dither = { key, 0 };

/* Windows of readable structure, so that there is something to learn. */
static uint8_t *make_windows(const struct model_config *c, size_t rows)
{
	uint8_t text[4000], *windows = mem_alloc(rows * (c->ctx + 1));

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)("the quick brown fox "[i % 20] + (i % 7 == 0));
	noise_gather(key, NOISE_WINDOW, rows, text, sizeof text, c->ctx, windows);
	return windows;
}

static void test_limits(void **state)
{
	static const struct model_config bad[] = {
		{ .d = 24, .layers = 2, .heads = 1, .ff = 48, .ctx = 32 },
		{ .d = 0, .layers = 2, .heads = 1, .ff = 48, .ctx = 32 },
		{ .d = 4112, .layers = 1, .heads = 257, .ff = 48, .ctx = 32 },
		{ .d = 32, .layers = 0, .heads = 2, .ff = 48, .ctx = 32 },
		{ .d = 32, .layers = 65, .heads = 2, .ff = 48, .ctx = 32 },
		{ .d = 32, .layers = 2, .heads = 0, .ff = 48, .ctx = 32 },
		{ .d = 32, .layers = 2, .heads = 4, .ff = 48, .ctx = 32 },
		{ .d = 32, .layers = 2, .heads = 3, .ff = 48, .ctx = 32 },
		{ .d = 144, .layers = 2, .heads = 1, .ff = 48, .ctx = 32 },
		{ .d = 32, .layers = 2, .heads = 2, .ff = 0, .ctx = 32 },
		{ .d = 32, .layers = 2, .heads = 2, .ff = 40, .ctx = 32 },
		{ .d = 32, .layers = 2, .heads = 2, .ff = 16400, .ctx = 32 },
		{ .d = 32, .layers = 2, .heads = 2, .ff = 48, .ctx = 16 },
		{ .d = 32, .layers = 2, .heads = 2, .ff = 48, .ctx = 40 },
		{ .d = 32, .layers = 2, .heads = 2, .ff = 48, .ctx = 1040 },
		{ .d = 4096, .layers = 64, .heads = 64, .ff = 16384, .ctx = 32 },
	};
	static const struct model_config good[] = {
		{ .d = 16, .layers = 1, .heads = 1, .ff = 16, .ctx = 32 },
		{ .d = 128, .layers = 64, .heads = 1, .ff = 352, .ctx = 1024 },
		{ .d = 4096, .layers = 1, .heads = 32, .ff = 16000, .ctx = 1024 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_non_null(model_config_check(&bad[i]));
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_null(model_config_check(&good[i]));
}

static void test_layout(void **state)
{
	static const struct model_config main_size = { .d = 192, .layers = 6, .heads = 6, .ff = 512, .ctx = 256 };
	struct model_tensor t;
	size_t offset = 0;

	(void)state;
	assert_int_equal(model_count(&main_size), 2 * 256 * 192 + 6 * (2 * 192 + 4 * 192 * 192 + 3 * 192 * 512) + 192);
	for (size_t i = 0; i < model_tensors(&small); i++, offset += t.rows * t.cols) {
		model_tensor(&small, i, &t);
		assert_int_equal(t.offset, offset);
	}
	assert_int_equal(offset, model_count(&small));
	model_tensor(&small, 0, &t);
	assert_string_equal(t.name, "embedding");
	model_tensor(&small, 1 + 9 + 4, &t);
	assert_string_equal(t.name, "layer.1.wo");
	assert_int_equal(t.kind, MODEL_RESIDUAL);
	model_tensor(&small, model_tensors(&small) - 1, &t);
	assert_string_equal(t.name, "head");
	assert_int_equal(t.rows, 256);
}

/* ---- The model once more, in double and without rounding to grids ---- */

enum { D = 32, FF = 48, CTX = 32, HEADS = 2, HEAD = D / HEADS };

static void plain_norm(const double *x, const double *gain, double *y)
{
	double square = 0;

	for (int i = 0; i < D; i++)
		square += x[i] * x[i];
	for (int i = 0; i < D; i++)
		y[i] = x[i] / sqrt(square / D + 1e-5) * gain[i];
}

static void plain_product(const double *w, const double *x, int out, int in, double *y)
{
	for (int i = 0; i < out; i++) {
		y[i] = 0;
		for (int j = 0; j < in; j++)
			y[i] += w[i * in + j] * x[j];
	}
}

static void plain_attention(double qkv[CTX][3 * D], double a[CTX][D])
{
	for (int t = 0; t < CTX; t++) {
		for (int h = 0; h < 2 * HEADS; h++) {
			for (int i = 0; i < HEAD / 2; i++) {
				double *x = &qkv[t][h * HEAD + i], *y = x + HEAD / 2, u = *x, w = *y;
				double angle = t * pow(10000.0, -2.0 * i / HEAD);

				*x = u * cos(angle) - w * sin(angle);
				*y = u * sin(angle) + w * cos(angle);
			}
		}
	}
	for (int h = 0; h < HEADS; h++) {
		for (int i = 0; i < CTX; i++) {
			double p[CTX], sum = 0;

			for (int j = 0; j <= i; j++) {
				p[j] = 0;
				for (int c = 0; c < HEAD; c++)
					p[j] += qkv[i][h * HEAD + c] * qkv[j][D + h * HEAD + c];
				p[j] = exp(p[j] / sqrt(HEAD));
				sum += p[j];
			}
			for (int c = 0; c < HEAD; c++) {
				a[i][h * HEAD + c] = 0;
				for (int j = 0; j <= i; j++)
					a[i][h * HEAD + c] += p[j] / sum * qkv[j][2 * D + h * HEAD + c];
			}
		}
	}
}

static void plain_layer(const double *w, double h[CTX][D])
{
	const double *wqkv = w + D, *wo = wqkv + 3 * D * D, *norm = wo + D * D, *wgu = norm + D,
		     *down = wgu + 2 * FF * D;
	double z[D], qkv[CTX][3 * D], a[CTX][D], y[D], gu[2 * FF], b[FF];

	for (int t = 0; t < CTX; t++) {
		plain_norm(h[t], w, z);
		plain_product(wqkv, z, 3 * D, D, qkv[t]);
	}
	plain_attention(qkv, a);
	for (int t = 0; t < CTX; t++) {
		plain_product(wo, a[t], D, D, y);
		for (int i = 0; i < D; i++)
			h[t][i] += y[i];
		plain_norm(h[t], norm, z);
		plain_product(wgu, z, 2 * FF, D, gu);
		for (int i = 0; i < FF; i++)
			b[i] = gu[i] / (1 + exp(-gu[i])) * gu[FF + i];
		plain_product(down, b, D, FF, y);
		for (int i = 0; i < D; i++)
			h[t][i] += y[i];
	}
}

static double plain_loss(const double *theta, const uint8_t *windows, size_t rows)
{
	const size_t layer = 2 * D + 4 * D * D + 3 * D * FF;
	const double *norm = theta + 256 * D + small.layers * layer, *head = norm + D;
	double total = 0;

	for (size_t row = 0; row < rows; row++) {
		const uint8_t *window = windows + row * (CTX + 1);
		double h[CTX][D], z[D], logits[256];

		for (int t = 0; t < CTX; t++)
			memcpy(h[t], theta + (size_t)window[t] * D, sizeof h[t]);
		for (size_t l = 0; l < small.layers; l++)
			plain_layer(theta + 256 * D + l * layer, h);
		for (int t = MODEL_SKIPPED; t < CTX; t++) {
			double sum = 0;

			plain_norm(h[t], norm, z);
			plain_product(head, z, 256, D, logits);
			for (int i = 0; i < 256; i++)
				sum += exp(logits[i]);
			total += log(sum) - logits[window[t + 1]];
		}
	}
	return total / (double)(rows * (CTX - MODEL_SKIPPED));
}

/* Slope of the plain loss along a direction within one tensor. */
static double plain_slope(double *theta, const struct model_tensor *t, const float *direction, const uint8_t *windows,
	size_t rows)
{
	const double step = 1e-4;
	double difference = 0;

	for (int side = -1; side <= 1; side += 2) {
		for (size_t i = t->offset; i < t->offset + t->rows * t->cols; i++)
			theta[i] += side * step * (double)direction[i];
		difference += side * plain_loss(theta, windows, rows);
		for (size_t i = t->offset; i < t->offset + t->rows * t->cols; i++)
			theta[i] -= side * step * (double)direction[i];
	}
	return difference / (2 * step);
}

/* Along its gradient a tensor's slope is the gradient's square. For norms alone there may be another bound. */
static void check_slopes(enum engine engine, const float *theta, const uint8_t *windows, size_t rows, double bound,
	double norms)
{
	size_t n = model_count(&small);
	struct model *m = model_new(&small, engine, NULL);
	float *gradient = mem_align(n * sizeof(float)), loss;
	double *plain = mem_alloc(n * sizeof(double));

	for (size_t i = 0; i < n; i++)
		plain[i] = (double)theta[i];
	assert_true(pass_gradient(m, theta, windows, rows, dither, NULL, gradient, &loss));
	assert_true(fabs(plain_loss(plain, windows, rows) / (double)loss - 1) < bound);
	for (size_t i = 0; i < model_tensors(&small); i++) {
		struct model_tensor t;
		double square = 0, slope;

		model_tensor(&small, i, &t);
		for (size_t j = t.offset; j < t.offset + t.rows * t.cols; j++)
			square += (double)gradient[j] * (double)gradient[j];
		slope = plain_slope(plain, &t, gradient, windows, rows);
		if (!(fabs(slope / square - 1) <= (t.kind == MODEL_NORM ? norms : bound)))
			fail_msg("%s, %s: slope %g, gradient says %g", backend_cpu(engine)->name, t.name, slope,
				square);
	}
	free(gradient);
	free(plain);
	model_free(m);
}

/* Every tensor, in a model of two layers, over windows enough for two chunks of which the second is short. Without
 * rounding the gradient is that of the plain loss. With products of 8 bits, and the dither, it agrees to a
 * few percent. */
static void test_gradient(void **state)
{
	enum { ROWS = 34 };
	size_t n = model_count(&small);
	struct state *s = state_new_initial(&small, key);
	float *theta = mem_dup(state_theta(s), n * sizeof(float));
	uint8_t *windows = make_windows(&small, ROWS);

	(void)state;
	for (size_t i = 0; i < n; i++)
		theta[i] *= theta[i] == 1.0f ? 1 + 0.3f * (float)sin((double)i) : 8; /* attention sees something */
	check_slopes(ENGINE_PLAIN, theta, windows, ROWS, 1e-5, 1e-5);
	check_slopes(ENGINE_OPENBLAS, theta, windows, ROWS, 0.03, 0.05);
	free(theta);
	free(windows);
	state_unref(s);
}

/* ---- Bits ---- */

/* Forward alone gives the loss of the gradient pass, and both engines give the same bits. */
static void test_engines_agree(void **state)
{
	enum { ROWS = 3 };
	static const struct model_config odd = { .d = 48, .layers = 1, .heads = 3, .ff = 1056, .ctx = 48 };
	size_t n = model_count(&odd);
	struct state *s = state_new_initial(&odd, key);
	struct model *blas = model_new(&odd, ENGINE_OPENBLAS, NULL), *plain = model_new(&odd, ENGINE_REFERENCE, NULL);
	float *first = mem_align(n * sizeof(float)), *second = mem_align(n * sizeof(float)), loss[3];
	uint8_t *windows = make_windows(&odd, ROWS);

	(void)state;
	assert_true(pass_gradient(blas, state_theta(s), windows, ROWS, dither, NULL, first, &loss[0]));
	assert_true(pass_gradient(plain, state_theta(s), windows, ROWS, dither, NULL, second, &loss[1]));
	assert_true(pass_loss(plain, state_theta(s), windows, ROWS, NULL, &loss[2]));
	assert_memory_equal(first, second, n * sizeof(float));
	assert_true(loss[0] == loss[1] && loss[0] == loss[2]);
	free(first);
	free(second);
	free(windows);
	model_free(blas);
	model_free(plain);
	state_unref(s);
}

/* A team shares the work; its size changes no bit. Chunks of several blocks, the last chunk short; with a width that
 * does not divide by the members. */
static void test_teams(void **state)
{
	enum { ROWS = 40 };
	static const struct model_config shape = { .d = 48, .layers = 2, .heads = 3, .ff = 80, .ctx = 32 };
	size_t n = model_count(&shape);
	struct state *s = state_new_initial(&shape, key);
	float *alone = mem_align(n * sizeof(float)), *shared = mem_align(n * sizeof(float)), loss[2];
	uint8_t *windows = make_windows(&shape, ROWS);

	(void)state;
	for (enum engine engine = ENGINE_OPENBLAS; engine <= ENGINE_REFERENCE; engine++) {
		struct model *m = model_new(&shape, engine, NULL);

		assert_true(pass_gradient(m, state_theta(s), windows, ROWS, dither, NULL, alone, &loss[0]));
		model_free(m);
		for (unsigned members = 2; members <= 5; members++) {
			struct team *team = team_new(members);

			m = model_new(&shape, engine, team);
			assert_true(pass_gradient(m, state_theta(s), windows, ROWS, dither, NULL, shared, &loss[1]));
			assert_memory_equal(shared, alone, n * sizeof(float));
			assert_true(loss[0] == loss[1]);
			model_free(m);
			team_free(team);
		}
	}
	free(alone);
	free(shared);
	free(windows);
	state_unref(s);
}

/* Takes the census of a pass, back too or not. */
static struct census_matrix *take_census(enum engine engine, unsigned members, const struct model_config *shape,
	const uint8_t *windows, size_t rows, bool back)
{
	struct team *team = team_new(members);
	struct model *m = model_new(shape, engine, team);
	struct census_matrix *census = mem_calloc(model_matrices(shape), sizeof *census);
	struct state *s = state_new_initial(shape, key);
	float *gradient = mem_align(model_count(shape) * sizeof(float)), loss;

	model_set_census(m, census);
	assert_true(back ? pass_gradient(m, state_theta(s), windows, rows, dither, NULL, gradient, &loss) :
			   pass_loss(m, state_theta(s), windows, rows, NULL, &loss));
	model_set_census(m, NULL);
	assert_true(pass_loss(m, state_theta(s), windows, rows, NULL, &loss)); /* is not counted */
	free(gradient);
	state_unref(s);
	model_free(m);
	team_free(team);
	return census;
}

/* Every token is counted in each product of the way forward, every part of each matrix once a pass: whoever computes,
 * in how many chunks and tiles, and whether he goes back. */
static void test_census(void **state)
{
	enum { ROWS = 40, WIDE = 1056 };
	static const struct model_config shape = { .d = 48, .layers = 2, .heads = 3, .ff = WIDE, .ctx = 32 };
	const long long tokens = ROWS * 32;
	uint8_t *windows = make_windows(&shape, ROWS);
	struct census_matrix *alone = take_census(ENGINE_REFERENCE, 1, &shape, windows, ROWS, true);

	(void)state;
	assert_int_equal(model_matrices(&shape), 9);
	for (size_t i = 0; i < 9; i++) {
		const struct census *of = alone[i].of;
		const struct linear matrix = model_matrix(&shape, i);
		const size_t along = (matrix.in + 1023) / 1024, across = (matrix.out + 1023) / 1024;

		assert_int_equal(of[CENSUS_X].parts, tokens * (long long)along);
		assert_int_equal(of[CENSUS_ROWS].parts, matrix.out * along);
		assert_int_equal(of[CENSUS_COLUMNS].parts, matrix.in * across);
		for (size_t j = 0; j < CENSUS_OPERANDS; j++)
			assert_true(of[j].seen > 0 && of[j].level > 0);
		assert_true(of[CENSUS_X].seen < tokens * (long long)matrix.in);
		/* A window's first token sees itself alone; nearly random weights leave it at that. */
		assert_int_equal(alone[i].sharp, i % LAYER_MATRICES == LAYER_OUT ? ROWS * 3 : 0);
	}
	for (enum engine engine = ENGINE_OPENBLAS; engine <= ENGINE_REFERENCE; engine++)
		for (unsigned members = 1; members <= 3; members++) {
			struct census_matrix *found = take_census(engine, members, &shape, windows, ROWS, members == 2);

			assert_memory_equal(found, alone, 9 * sizeof *found);
			free(found);
		}
	free(alone);
	free(windows);
}

/* 64 rows of 32 are two micro-batches. Halving a batch doubles 1 / N exactly, and grids scale with powers of two: so
 * the gradients of the matrices must be the halves' sum, bit by bit. */
static void test_micro_batches(void **state)
{
	size_t n = model_count(&small);
	struct state *s = state_new_initial(&small, key);
	struct model *m = model_new(&small, ENGINE_OPENBLAS, NULL);
	float *whole = mem_align(n * sizeof(float)), *first = mem_align(n * sizeof(float)),
	      *second = mem_align(n * sizeof(float));
	const struct pass_dither later = { key, 32 };
	float loss[3];
	uint8_t *windows = make_windows(&small, 64);

	(void)state;
	assert_true(pass_gradient(m, state_theta(s), windows, 64, dither, NULL, whole, &loss[0]));
	assert_true(pass_gradient(m, state_theta(s), windows, 32, dither, NULL, first, &loss[1]));
	assert_true(pass_gradient(m, state_theta(s), windows + 32 * 33, 32, later, NULL, second, &loss[2]));
	assert_true(fabsf(loss[0] - (loss[1] + loss[2]) / 2) < 1e-6f);
	for (size_t i = 0; i < model_tensors(&small); i++) {
		struct model_tensor t;

		model_tensor(&small, i, &t);
		for (size_t j = t.offset; j < t.offset + t.rows * t.cols; j++) {
			float sum = first[j] / 2 + second[j] / 2;

			if (t.kind == MODEL_MATRIX || t.kind == MODEL_RESIDUAL)
				assert_int_equal(float_bits(whole[j]), float_bits(sum));
			else
				assert_true(fabsf(whole[j] - sum) <= 1e-5f * fabsf(sum) + 1e-8f);
		}
	}
	free(whole);
	free(first);
	free(second);
	free(windows);
	model_free(m);
	state_unref(s);
}

static void test_refusal_and_cancel(void **state)
{
	size_t n = model_count(&small);
	struct state *s = state_new_initial(&small, key);
	struct model *m = model_new(&small, ENGINE_OPENBLAS, NULL);
	float *theta = mem_dup(state_theta(s), n * sizeof(float)), *gradient = mem_align(n * sizeof(float)), loss;
	uint8_t *windows = make_windows(&small, 2);
	atomic_bool cancel = false;

	(void)state;
	assert_true(pass_loss(m, theta, windows, 2, &cancel, &loss));
	cancel = true;
	assert_false(pass_loss(m, theta, windows, 2, &cancel, &loss));
	assert_false(pass_gradient(m, theta, windows, 2, dither, &cancel, gradient, &loss));
	theta[n - 1] = 0x1p57f;
	assert_false(pass_loss(m, theta, windows, 2, NULL, &loss));
	theta[n - 1] = NAN;
	assert_false(pass_gradient(m, theta, windows, 2, dither, NULL, gradient, &loss));
	free(theta);
	free(gradient);
	free(windows);
	model_free(m);
	state_unref(s);
}

/* What a byte's embedding is matters if the byte is an input, and only then: not as a target, not if it is not there.
 */
static void test_bytes(void **state)
{
	enum { ROWS = 40, TARGET = 200, ABSENT = 201 };
	size_t n = model_count(&small), window = small.ctx + 1;
	struct state *s = state_new_initial(&small, key);
	struct model *m = model_new(&small, ENGINE_OPENBLAS, NULL);
	float *theta = mem_dup(state_theta(s), n * sizeof(float)), *wanted = mem_align(n * sizeof(float)),
	      *found = mem_align(n * sizeof(float)), loss[2];
	uint8_t *windows = make_windows(&small, ROWS);

	(void)state;
	for (size_t i = 0; i < ROWS * window; i++)
		if (windows[i] == TARGET || windows[i] == ABSENT)
			windows[i] = 202;
	for (size_t row = 1; row <= ROWS; row++)
		windows[row * window - 1] = TARGET;
	assert_true(pass_gradient(m, theta, windows, ROWS, dither, NULL, wanted, &loss[0]));
	for (uint32_t i = 0; i < 2 * small.d; i++)
		theta[TARGET * small.d + i] = NAN;
	assert_true(pass_gradient(m, theta, windows, ROWS, dither, NULL, found, &loss[1]));
	assert_memory_equal(found, wanted, n * sizeof(float));
	assert_true(loss[0] == loss[1]);
	/* In the last row of the second chunk. */
	windows[ROWS * window - 2] = ABSENT;
	assert_false(pass_gradient(m, theta, windows, ROWS, dither, NULL, found, &loss[1]));
	free(theta);
	free(wanted);
	free(found);
	free(windows);
	model_free(m);
	state_unref(s);
}

/* Scores of attention that overflow give NaN, which must reach the next product on every engine, and stay out of the
 * next pass: test/functional/consensus/known_answers.py has the same. */
static void check_overflow(enum engine engine, float *theta, const uint8_t *windows, const float *gain)
{
	struct model *m = model_new(&small, engine, NULL);
	float *gradient = mem_align(model_count(&small) * sizeof(float)), before, loss;
	struct model_tensor norm, wq;

	model_tensor(&small, 1, &norm);
	model_tensor(&small, 2, &wq);
	assert_true(pass_loss(m, theta, windows, 2, NULL, &before));
	for (size_t i = 0; i < norm.cols; i++)
		theta[norm.offset + i] = gain[0];
	for (size_t i = 0; i < 2 * wq.rows * wq.cols; i++)
		theta[wq.offset + i] *= gain[1];
	assert_false(pass_loss(m, theta, windows, 2, NULL, &loss));
	assert_false(pass_gradient(m, theta, windows, 2, dither, NULL, gradient, &loss));
	for (size_t i = 0; i < norm.cols; i++)
		theta[norm.offset + i] = 1.0f;
	for (size_t i = 0; i < 2 * wq.rows * wq.cols; i++)
		theta[wq.offset + i] *= 1.0f / gain[1];
	assert_true(pass_loss(m, theta, windows, 2, NULL, &loss));
	assert_int_equal(float_bits(loss), float_bits(before));
	free(gradient);
	model_free(m);
}

static void test_overflowing_scores(void **state)
{
	static const float gain[2] = { 0x1p50f, 0x1p40f };
	struct state *s = state_new_initial(&small, key);
	float *theta = mem_dup(state_theta(s), model_count(&small) * sizeof(float));
	uint8_t *windows = make_windows(&small, 2);

	(void)state;
	check_overflow(ENGINE_OPENBLAS, theta, windows, gain);
	check_overflow(ENGINE_REFERENCE, theta, windows, gain);
	free(theta);
	free(windows);
	state_unref(s);
}

/* A model that is sure of a byte, on nothing but that byte: every gradient of its logits is far below a step of their
 * grid. What it gives must hang on the key and on the row, or a miner could state its step without training. */
static void test_sure_model(void **state)
{
	enum { ROWS = 2 };
	static const uint8_t other_key[32] = { 8 };
	static const struct pass_dither other = { other_key, 0 }, later = { key, ROWS };
	size_t n = model_count(&small), head = MODEL_VOCABULARY * (size_t)small.d;
	struct state *s = state_new_initial(&small, key);
	struct model *m = model_new(&small, ENGINE_OPENBLAS, NULL);
	float *theta = mem_dup(state_theta(s), n * sizeof(float)), *gradient[3], loss;
	uint8_t *windows = mem_calloc(ROWS, small.ctx + 1);

	(void)state;
	for (size_t i = 0; i < head; i++) {
		theta[i] = 1.0f;
		theta[n - head + i] = i < small.d ? 16.0f : -16.0f;
	}
	for (int i = 0; i < 3; i++) {
		gradient[i] = mem_align(n * sizeof(float));
		assert_true(pass_gradient(m, theta, windows, ROWS,
			i == 0         ? dither :
				i == 1 ? other :
					 later,
			NULL, gradient[i], &loss));
		assert_true(loss < 1e-6f);
		for (size_t j = 0; j < model_tensors(&small); j++) {
			struct model_tensor t;
			bool any = false;

			model_tensor(&small, j, &t);
			for (size_t k = t.offset; k < t.offset + t.rows * t.cols; k++)
				any |= gradient[i][k] != 0.0f;
			assert_true(any);
		}
		for (int before = 0; before < i; before++)
			assert_memory_not_equal(gradient[before], gradient[i], n * sizeof(float));
	}
	for (int i = 0; i < 3; i++)
		free(gradient[i]);
	free(windows);
	free(theta);
	model_free(m);
	state_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_gradient),
		cmocka_unit_test(test_engines_agree),
		cmocka_unit_test(test_teams),
		cmocka_unit_test(test_census),
		cmocka_unit_test(test_micro_batches),
		cmocka_unit_test(test_refusal_and_cancel),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_overflowing_scores),
		cmocka_unit_test(test_sure_model),
	};

	engine_init(1);
	return cmocka_run_group_tests_name("ml/model", tests, NULL, NULL);
}
