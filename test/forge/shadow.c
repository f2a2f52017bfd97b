/* The opened step: passes put together of the node's operations, with a place for each trick. */
#include "shadow.h"

#include <stdlib.h>

#include "ml/kernel/adamw.h"
#include "ml/kernel/attention.h"
#include "ml/kernel/exact.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "ml/kernel/ops.h"
#include "util/mem.h"

/* What the forward pass of a layer leaves for the way back; T tokens. */
struct layer {
	float *h, *z, *qkv, *p, *a, *h_mlp, *z_mlp, *gu, *b; /* z: what the norms give */
	float *r, *r_mlp;
};

struct matrix {
	size_t offset, out, in; /* in theta */
};

struct shadow {
	struct train_config config;
	enum engine engine;
	size_t count, chunk; /* of parameters; rows of a chunk */
	struct matrix *matrices;
	struct layer *layers;
	float *h, *z, *r, *logits, *losses, *cosine, *sine;
	float *dh[2], *dz, *dy, *db, *part;
	void *operands[2], *integers[2], *scratch;
	float *attention;
	const struct shadow_tricks *tricks;
	shadow_see *see;
	void *context;
	double saved;
};

static const struct shadow_tricks no_tricks;

/* ---- Sizes ---- */

enum { LAYER_TENSORS = 9 };

size_t shadow_matrices(const struct train_config *config)
{
	return SHADOW_MATRICES * (size_t)config->model.layers + 1;
}

static struct matrix matrix_of(const struct model_config *c, size_t index)
{
	static const size_t tensors[SHADOW_MATRICES] = { 1, 4, 6, 8 }; /* Wq, Wo, Wgate, Wdown */
	size_t d = c->d, ff = c->ff;
	const size_t out[] = { 3 * d, d, 2 * ff, d }, in[] = { d, d, d, ff };
	struct model_tensor t;

	if (index == SHADOW_MATRICES * (size_t)c->layers) {
		model_tensor(c, model_tensors(c) - 1, &t);
		return (struct matrix){ t.offset, MODEL_VOCABULARY, d };
	}
	size_t which = index % SHADOW_MATRICES;

	model_tensor(c, 1 + index / SHADOW_MATRICES * LAYER_TENSORS + tensors[which], &t);
	return (struct matrix){ t.offset, out[which], in[which] };
}

double shadow_matrix_size(const struct train_config *config, size_t matrix)
{
	struct matrix m = matrix_of(&config->model, matrix);

	return (double)m.out * (double)m.in;
}

/* Scores and sums of values: half of the pairs are masked. */
static double attention_work(const struct train_config *config)
{
	return (double)config->model.layers * config->model.d * (config->model.ctx + 1);
}

double shadow_token_work(const struct train_config *config)
{
	double work = attention_work(config);

	for (size_t i = 0; i < shadow_matrices(config); i++)
		work += shadow_matrix_size(config, i);
	return work;
}

size_t shadow_bytes(const struct train_config *config, const uint8_t *windows)
{
	size_t ctx = config->model.ctx, count = 0;
	bool occurs[MODEL_VOCABULARY] = { false };

	for (size_t i = 0; i < config->batch * ctx; i++) {
		bool *byte = &occurs[windows[i / ctx * (ctx + 1) + i % ctx]];

		count += !*byte;
		*byte = true;
	}
	return count;
}

double shadow_step_work(const struct train_config *config, const uint8_t *windows)
{
	size_t ctx = config->model.ctx, tokens = config->batch * ctx, chunk = EXACT_CHUNK / ctx * ctx;
	double work = 0;

	for (uint32_t t = 0; t < config->iterations; t++) {
		size_t bytes = shadow_bytes(config, windows + t * config->batch * (ctx + 1)), spared = tokens - bytes;

		for (size_t done = 0; done < tokens; done += chunk) {
			size_t some = tokens - done < chunk ? tokens - done : chunk;

			spared += some > bytes ? some - bytes : 0;
		}
		work += 3 * shadow_token_work(config) * (double)tokens -
			(double)spared * shadow_matrix_size(config, SHADOW_QKV);
	}
	return work;
}

double shadow_saved(struct shadow *s)
{
	double saved = s->saved;

	s->saved = 0;
	return saved;
}

/* ---- Memory ---- */

static float *floats(size_t count)
{
	return mem_align(count * sizeof(float));
}

static void layer_init(const struct shadow *s, struct layer *l)
{
	const struct model_config *c = &s->config.model;
	size_t tokens = s->chunk * c->ctx;

	l->h = floats(tokens * c->d);
	l->z = floats(tokens * c->d);
	l->qkv = floats(tokens * 3 * c->d);
	l->p = floats(s->chunk * c->heads * attention_kept(c->ctx));
	l->a = floats(tokens * c->d);
	l->h_mlp = floats(tokens * c->d);
	l->z_mlp = floats(tokens * c->d);
	l->gu = floats(tokens * 2 * c->ff);
	l->b = floats(tokens * c->ff);
	l->r = floats(tokens);
	l->r_mlp = floats(tokens);
}

static void layer_clear(struct layer *l)
{
	float *all[] = { l->h, l->z, l->qkv, l->p, l->a, l->h_mlp, l->z_mlp, l->gu, l->b, l->r, l->r_mlp };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		free(all[i]);
}

static size_t widest(const struct model_config *c)
{
	size_t width = 3 * c->d > 2 * c->ff ? 3 * (size_t)c->d : 2 * (size_t)c->ff;

	return width > MODEL_VOCABULARY ? width : MODEL_VOCABULARY;
}

static void take_memory(struct shadow *s)
{
	const struct model_config *c = &s->config.model;
	size_t tokens = s->chunk * c->ctx, width = widest(c), rows = tokens > width ? tokens : width;

	s->h = floats(tokens * c->d);
	s->z = floats(tokens * c->d);
	s->r = floats(tokens);
	s->logits = floats(tokens * MODEL_VOCABULARY);
	s->losses = floats(tokens);
	s->cosine = floats(c->ctx * (c->d / c->heads / 2));
	s->sine = floats(c->ctx * (c->d / c->heads / 2));
	s->dh[0] = floats(tokens * c->d);
	s->dh[1] = floats(tokens * c->d);
	s->dz = floats(tokens * c->d);
	s->dy = floats(tokens * width);
	s->db = floats(tokens * width);
	s->part = floats(width * width);
	for (int i = 0; i < 2; i++) {
		s->operands[i] = mem_align(exact_operand_size(rows, width));
		s->integers[i] = mem_align(exact_operand_size(rows, width));
	}
	s->scratch = mem_align(exact_scratch_size(rows, width));
	s->attention = floats(attention_scratch(c->ctx, c->d / c->heads));
}

struct shadow *shadow_new(const struct train_config *config, enum engine engine)
{
	const struct model_config *c = &config->model;
	struct shadow *s = mem_calloc(1, sizeof *s);

	s->config = *config;
	s->engine = engine;
	s->tricks = &no_tricks;
	s->count = model_count(c);
	s->chunk = EXACT_CHUNK / c->ctx;
	s->layers = mem_calloc(c->layers, sizeof *s->layers);
	s->matrices = mem_calloc(shadow_matrices(config), sizeof *s->matrices);
	for (size_t i = 0; i < c->layers; i++)
		layer_init(s, &s->layers[i]);
	for (size_t i = 0; i < shadow_matrices(config); i++)
		s->matrices[i] = matrix_of(c, i);
	take_memory(s);
	ops_rotary_table(c->ctx, c->d / c->heads, s->cosine, s->sine);
	return s;
}

void shadow_free(struct shadow *s)
{
	float *all[] = { s->h, s->z, s->r, s->logits, s->losses, s->cosine, s->sine, s->dh[0], s->dh[1], s->dz, s->dy,
		s->db, s->part, s->attention };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		free(all[i]);
	for (size_t i = 0; i < s->config.model.layers; i++)
		layer_clear(&s->layers[i]);
	for (int i = 0; i < 2; i++) {
		free(s->operands[i]);
		free(s->integers[i]);
	}
	free(s->scratch);
	free(s->layers);
	free(s->matrices);
	free(s);
}

const struct train_config *shadow_config(const struct shadow *s)
{
	return &s->config;
}

void shadow_set_tricks(struct shadow *s, const struct shadow_tricks *tricks)
{
	s->tricks = tricks != NULL ? tricks : &no_tricks;
}

void shadow_watch(struct shadow *s, shadow_see *see, void *context)
{
	s->see = see;
	s->context = context;
}

/* ---- Products ---- */

/* The operand of an engine that takes integers, and its grids where wanted. */
static const int8_t *integers(struct shadow *s, int which, const float *x, size_t tokens, size_t width, bool by_columns,
	const float **grids)
{
	struct exact_operand o = by_columns ? exact_columns(ENGINE_REFERENCE, x, tokens, width, s->integers[which]) :
					      exact_rows(ENGINE_REFERENCE, x, tokens, width, s->integers[which]);

	if (grids != NULL)
		*grids = o.grids;
	return o.values;
}

static void show(const struct shadow *s, size_t matrix, enum shadow_way way, size_t tokens, const int8_t *x,
	const int8_t *dy)
{
	struct shadow_product product = {
		.matrix = matrix,
		.way = way,
		.tokens = tokens,
		.in = s->matrices[matrix].in,
		.out = s->matrices[matrix].out,
		.x = x,
		.dy = dy,
	};

	s->see(s->context, &product);
}

static bool same_bin(const int8_t *a, const int8_t *b, size_t width, unsigned bits)
{
	for (size_t i = 0; i < width; i++)
		if (a[i] >> bits != b[i] >> bits)
			return false;
	return true;
}

/* A row's result is taken from the first row in the same bin, in the grid of its own. Not for rows that have two. */
static void bin_rows(struct shadow *s, const float *x, size_t tokens, size_t width, unsigned bits, float *y, size_t out)
{
	const float *grids;
	const int8_t *q = integers(s, 0, x, tokens, width, false, &grids);

	if (q == NULL || width > EXACT_CHUNK)
		return;
	for (size_t t = 1; t < tokens; t++) {
		for (size_t first = 0; first < t; first++) {
			if (!same_bin(q + t * width, q + first * width, width, bits))
				continue;
			float scale = grids[t] / grids[first];

			for (size_t j = 0; j < out; j++)
				y[t * out + j] = y[first * out + j] * scale;
			s->saved += (double)width * (double)out;
			break;
		}
	}
}

/* x in place, on grids of 4 bits. */
static void coarsen(struct shadow *s, const float *x, size_t tokens, size_t width, float *out)
{
	const float *grids;
	const int8_t *q = integers(s, 1, x, tokens, width, false, &grids);

	for (size_t t = 0; q != NULL && t < tokens; t++)
		for (size_t j = 0; j < width; j++)
			out[t * width + j] = (float)((q[t * width + j] + 8) / 16 * 16) * grids[t];
}

/* y = x by W: W^T, or W itself on the way back. */
static bool multiply(struct shadow *s, size_t index, bool back, const float *theta, const float *x, size_t tokens,
	float *y)
{
	const struct matrix *w = &s->matrices[index];
	size_t in = back ? w->out : w->in, out = back ? w->in : w->out;
	unsigned bits = back ? s->tricks->bin_back : s->tricks->bin_forward;
	double saved = s->saved;
	struct exact_product p = { .m = tokens, .n = out, .k = in, .b_transposed = back, .y = y, .ldy = out };

	if (s->see != NULL && s->engine != ENGINE_PLAIN) {
		const int8_t *q = integers(s, 0, x, tokens, in, false, NULL);

		show(s, index, back ? SHADOW_BACK : SHADOW_FORWARD, tokens, back ? NULL : q, back ? q : NULL);
	}
	if (s->tricks->coarse && in <= EXACT_CHUNK) {
		coarsen(s, x, tokens, in, s->db);
		x = s->db;
		s->saved += (double)tokens * (double)in * (double)out / 2;
	}
	p.a = exact_rows(s->engine, x, tokens, in, s->operands[0]);
	p.b = back ? exact_columns(s->engine, theta + w->offset, w->out, w->in, s->operands[1]) :
		     exact_rows(s->engine, theta + w->offset, w->out, w->in, s->operands[1]);
	if (p.a.values == NULL || p.b.values == NULL)
		return false;
	exact_multiply(s->engine, &p, s->scratch);
	if (bits > 0)
		bin_rows(s, x, tokens, in, bits, y, out);
	/* Where the node multiplies a byte's row once, there is next to nothing to be saved. */
	if (index == SHADOW_QKV && !back)
		s->saved = saved;
	return true;
}

/* The matrix' gradient += dy^T x, a chunk's. */
static bool multiply_gradient(struct shadow *s, size_t index, const float *dy, const float *x, size_t tokens,
	float *gradient)
{
	const struct matrix *w = &s->matrices[index];
	struct exact_product p = {
		.m = w->out,
		.n = w->in,
		.k = tokens,
		.a_transposed = true,
		.b_transposed = true,
		.y = s->part,
		.ldy = w->in,
	};

	if (s->see != NULL && s->engine != ENGINE_PLAIN)
		show(s, index, SHADOW_GRADIENT, tokens, integers(s, 0, x, tokens, w->in, true, NULL),
			integers(s, 1, dy, tokens, w->out, true, NULL));
	p.a = exact_columns(s->engine, dy, tokens, w->out, s->operands[0]);
	p.b = exact_columns(s->engine, x, tokens, w->in, s->operands[1]);
	if (p.a.values == NULL || p.b.values == NULL)
		return false;
	exact_multiply(s->engine, &p, s->scratch);
	ops_add(gradient + w->offset, s->part, w->out * w->in);
	return true;
}

/* ---- The pass ---- */

struct pass {
	struct shadow *s;
	const float *w;
	const uint8_t *windows;
	size_t row, rows, tokens; /* of a chunk */
	float inv;
	const uint8_t *seed;
	uint32_t first_row; /* of the chunk, in the step */
	float *gradient;
};

static struct ops_rotary rotary_of(const struct shadow *s)
{
	const struct model_config *c = &s->config.model;

	return (struct ops_rotary){ s->cosine, s->sine, c->ctx, c->heads, c->d / c->heads };
}

static size_t gain_offset(const struct shadow *s, size_t layer, bool mlp)
{
	struct model_tensor t;

	model_tensor(&s->config.model, 1 + layer * LAYER_TENSORS + (mlp ? 5 : 0), &t);
	return t.offset;
}

static size_t last_gain_offset(const struct shadow *s)
{
	struct model_tensor t;

	model_tensor(&s->config.model, model_tensors(&s->config.model) - 2, &t);
	return t.offset;
}

/* Each head of each window: forward, or back to dqkv if da is given. */
static void attend(const struct pass *p, const struct layer *l, const float *da, float *dqkv)
{
	const struct model_config *c = &p->s->config.model;
	size_t d = c->d, head = d / c->heads;
	struct attention shape = { c->ctx, head, 3 * d, d, p->s->attention, 0 };

	for (size_t i = 0; i < p->rows * c->heads; i++) {
		size_t token = i / c->heads * c->ctx, column = i % c->heads * head;
		const float *q = l->qkv + token * 3 * d + column;
		float *kept = l->p + i * attention_kept(c->ctx);

		if (da != NULL) {
			float *dq = dqkv + token * 3 * d + column;

			attention_backward(&shape, q, q + d, q + 2 * d, kept, da + token * d + column, dq, dq + d,
				dq + 2 * d);
		} else {
			attention_forward(&shape, q, q + d, q + 2 * d, kept, l->a + token * d + column);
		}
	}
}

/* Behind the prefix, rows that are taken to be the same get what the row before them has. */
static void copy_rows(const struct pass *p, float *h)
{
	const struct model_config *c = &p->s->config.model;
	size_t skip = MODEL_SKIPPED * (size_t)c->d, size = (size_t)c->ctx * c->d;

	for (size_t row = 0; p->s->tricks->copy != NULL && row < p->rows; row++) {
		size_t from = p->s->tricks->copy[p->row + row];

		if (from < p->row || from >= p->row + row)
			continue;
		memcpy(h + row * size + skip, h + (from - p->row) * size + skip, (size - skip) * sizeof(float));
	}
}

static bool layer_forward(const struct pass *p, size_t index, float *out)
{
	struct shadow *s = p->s;
	struct layer *l = &s->layers[index];
	size_t d = s->config.model.d, ff = s->config.model.ff, matrix = index * SHADOW_MATRICES;
	struct ops_rotary rotary = rotary_of(s);

	ops_rmsnorm(l->h, p->w + gain_offset(s, index, false), p->tokens, d, l->z, l->r);
	if (!multiply(s, matrix + SHADOW_QKV, false, p->w, l->z, p->tokens, l->qkv))
		return false;
	ops_rotate(&rotary, l->qkv, p->tokens, false);
	attend(p, l, NULL, NULL);
	copy_rows(p, l->a);
	if (!multiply(s, matrix + SHADOW_OUT, false, p->w, l->a, p->tokens, l->h_mlp))
		return false;
	ops_add(l->h_mlp, l->h, p->tokens * d);
	ops_rmsnorm(l->h_mlp, p->w + gain_offset(s, index, true), p->tokens, d, l->z_mlp, l->r_mlp);
	if (!multiply(s, matrix + SHADOW_GATE_UP, false, p->w, l->z_mlp, p->tokens, l->gu))
		return false;
	ops_gate(l->gu, p->tokens, ff, l->b);
	if (!multiply(s, matrix + SHADOW_DOWN, false, p->w, l->b, p->tokens, out))
		return false;
	ops_add(out, l->h_mlp, p->tokens * d);
	return true;
}

/* The gradient of the logits as the step has it: shifted and rounded. */
static void dither(const struct pass *p)
{
	size_t ctx = p->s->config.model.ctx;
	uint32_t noise[MODEL_VOCABULARY];

	for (size_t t = 0; t < p->tokens; t++) {
		if (t % ctx < MODEL_SKIPPED)
			continue;
		noise_dither(p->seed, (uint32_t)(p->first_row * ctx + t), noise);
		exact_dither(p->s->logits + t * MODEL_VOCABULARY, noise, MODEL_VOCABULARY, p->inv);
	}
}

/* Whoever is sure of a token needs no logits for it. */
static void leave_out_sure(const struct pass *p)
{
	const struct shadow *s = p->s;
	size_t ctx = s->config.model.ctx;

	for (size_t t = 0; t < p->tokens; t++) {
		if (t % ctx < MODEL_SKIPPED || !(s->losses[t] < s->tricks->sure))
			continue;
		memset(s->logits + t * MODEL_VOCABULARY, 0, MODEL_VOCABULARY * sizeof(float));
		p->s->saved += MODEL_VOCABULARY * (double)s->config.model.d;
	}
}

/* Up to the logits' gradient, and back to dh[0]. */
static bool head(const struct pass *p)
{
	struct shadow *s = p->s;
	size_t d = s->config.model.d, matrix = shadow_matrices(&s->config) - 1, gain = last_gain_offset(s);

	ops_rmsnorm(s->h, p->w + gain, p->tokens, d, s->z, s->r);
	if (!multiply(s, matrix, false, p->w, s->z, p->tokens, s->logits))
		return false;
	ops_cross_entropy(s->logits, p->windows, p->rows, s->config.model.ctx, p->inv, true, s->losses);
	leave_out_sure(p);
	if (s->engine != ENGINE_PLAIN)
		dither(p);
	if (!multiply(s, matrix, true, p->w, s->logits, p->tokens, s->dz) ||
		!multiply_gradient(s, matrix, s->logits, s->z, p->tokens, p->gradient))
		return false;
	ops_rmsnorm_backward(s->h, p->w + gain, s->r, s->dz, NULL, p->tokens, d, s->dh[0], s->z);
	ops_rmsnorm_backward_gain(s->h, s->r, s->dz, p->tokens, d, 0, d, p->gradient + gain);
	return true;
}

/* dh[0] to dh[1]. */
static bool mlp_backward(const struct pass *p, size_t index)
{
	struct shadow *s = p->s;
	struct layer *l = &s->layers[index];
	size_t d = s->config.model.d, ff = s->config.model.ff, matrix = index * SHADOW_MATRICES;
	size_t gain = gain_offset(s, index, true);

	if (!multiply(s, matrix + SHADOW_DOWN, true, p->w, s->dh[0], p->tokens, s->dy))
		return false;
	memcpy(s->db, s->dy, p->tokens * ff * sizeof(float));
	ops_gate_backward(l->gu, s->db, p->tokens, ff, s->dy, l->b);
	if (!multiply_gradient(s, matrix + SHADOW_DOWN, s->dh[0], l->b, p->tokens, p->gradient) ||
		!multiply(s, matrix + SHADOW_GATE_UP, true, p->w, s->dy, p->tokens, s->dz))
		return false;
	ops_rmsnorm_backward(l->h_mlp, p->w + gain, l->r_mlp, s->dz, s->dh[0], p->tokens, d, s->dh[1], l->z_mlp);
	ops_rmsnorm_backward_gain(l->h_mlp, l->r_mlp, s->dz, p->tokens, d, 0, d, p->gradient + gain);
	return multiply_gradient(s, matrix + SHADOW_GATE_UP, s->dy, l->z_mlp, p->tokens, p->gradient);
}

/* dh[1] to dh[0]. */
static bool attention_backward_half(const struct pass *p, size_t index)
{
	struct shadow *s = p->s;
	struct layer *l = &s->layers[index];
	size_t d = s->config.model.d, matrix = index * SHADOW_MATRICES, gain = gain_offset(s, index, false);
	struct ops_rotary rotary = rotary_of(s);

	if (!multiply(s, matrix + SHADOW_OUT, true, p->w, s->dh[1], p->tokens, s->dz) ||
		!multiply_gradient(s, matrix + SHADOW_OUT, s->dh[1], l->a, p->tokens, p->gradient))
		return false;
	attend(p, l, s->dz, s->dy);
	ops_rotate(&rotary, s->dy, p->tokens, true);
	if (!multiply(s, matrix + SHADOW_QKV, true, p->w, s->dy, p->tokens, s->dz))
		return false;
	ops_rmsnorm_backward(l->h, p->w + gain, l->r, s->dz, s->dh[1], p->tokens, d, s->dh[0], l->z);
	ops_rmsnorm_backward_gain(l->h, l->r, s->dz, p->tokens, d, 0, d, p->gradient + gain);
	return multiply_gradient(s, matrix + SHADOW_QKV, s->dy, l->z, p->tokens, p->gradient);
}

static bool run_chunk(const struct pass *p)
{
	struct shadow *s = p->s;
	size_t layers = s->config.model.layers, d = s->config.model.d, ctx = s->config.model.ctx;

	ops_embed(p->w, p->windows, p->rows, ctx, d, s->layers[0].h);
	copy_rows(p, s->layers[0].h);
	for (size_t i = 0; i < layers; i++)
		if (!layer_forward(p, i, i + 1 < layers ? s->layers[i + 1].h : s->h))
			return false;
	if (!head(p))
		return false;
	for (size_t i = layers; i-- > s->tricks->layers_left_out;)
		if (!mlp_backward(p, i) || !attention_backward_half(p, i))
			return false;
	s->saved += 2 * (double)p->tokens * s->tricks->layers_left_out *
		(shadow_token_work(&s->config) - shadow_matrix_size(&s->config, shadow_matrices(&s->config) - 1)) /
		layers;
	ops_embed_backward(s->dh[0], p->windows, p->rows, ctx, d, 0, d, p->gradient);
	return true;
}

/* Rows that were copied cost no more than their prefix. */
static void count_copies(struct shadow *s, size_t rows)
{
	const struct model_config *c = &s->config.model;

	for (size_t row = 0; s->tricks->copy != NULL && row < rows; row++)
		if (s->tricks->copy[row] < row && s->tricks->copy[row] / s->chunk == row / s->chunk)
			s->saved += (double)(c->ctx - MODEL_SKIPPED) *
				(shadow_token_work(&s->config) - 2 * shadow_matrix_size(&s->config, SHADOW_QKV));
}

bool shadow_gradient(struct shadow *s, const float *w, const uint8_t *windows, size_t rows, const uint8_t seed[32],
	uint32_t t, float *gradient, float *losses)
{
	size_t ctx = s->config.model.ctx;

	memset(gradient, 0, s->count * sizeof(float));
	for (size_t row = 0; row < rows; row += s->chunk) {
		size_t some = rows - row < s->chunk ? rows - row : s->chunk;
		struct pass p = {
			.s = s,
			.w = w,
			.windows = windows + row * (ctx + 1),
			.row = row,
			.rows = some,
			.tokens = some * ctx,
			.inv = 1.0f / (float)(rows * (ctx - MODEL_SKIPPED)),
			.seed = seed,
			.first_row = t * s->config.batch + (uint32_t)row,
			.gradient = gradient,
		};

		if (!run_chunk(&p))
			return false;
		if (losses != NULL)
			memcpy(losses + row * ctx, s->losses, p.tokens * sizeof(float));
	}
	count_copies(s, rows);
	return true;
}

/* ---- The optimizer ---- */

struct shadow_optimizer shadow_optimizer_new(const struct train_config *config)
{
	size_t count = model_count(&config->model);
	struct shadow_optimizer o = { .m = floats(count), .v = floats(count) };

	shadow_optimizer_reset(&o, config);
	return o;
}

void shadow_optimizer_reset(struct shadow_optimizer *o, const struct train_config *config)
{
	size_t bytes = model_count(&config->model) * sizeof(float);

	memset(o->m, 0, bytes);
	memset(o->v, 0, bytes);
}

void shadow_optimizer_clear(struct shadow_optimizer *o)
{
	free(o->m);
	free(o->v);
}

/* As the step sums it: in one order. */
ML_CLONES static float norm_of(const float *x, size_t n)
{
	return sqrtf(math_dot16(x, x, n));
}

void shadow_optimise(const struct train_config *config, struct shadow_optimizer *o, uint32_t t, float lr,
	const float *gradient, float *w)
{
	float norm = norm_of(gradient, model_count(&config->model));
	struct adamw a = { .lr = lr, .gradient_scale = norm > 1.0f ? 1.0f / norm : 1.0f };

	adamw_corrections(t + 1, o->powers, &a);
	for (size_t i = 0; i < model_tensors(&config->model); i++) {
		struct model_tensor part;

		model_tensor(&config->model, i, &part);
		a.wd = part.kind == MODEL_NORM || part.kind == MODEL_EMBEDDING ? 0.0f :
										 (float)config->wd_ppm / 1000000.0f;
		adamw_apply(&a, gradient + part.offset, part.rows * part.cols, w + part.offset, o->m + part.offset,
			o->v + part.offset);
	}
}
