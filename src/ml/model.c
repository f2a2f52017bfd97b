#include "ml/float.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>

#include "ml/attention.h"
#include "ml/linear.h"
#include "ml/math.h"
#include "ml/model.h"
#include "ml/ops.h"
#include "util/mem.h"
#include "util/team.h"

/* ---- Sizes ---- */

enum { WIDTH_MAX = 4096, HIDDEN_MAX = 16384, LAYERS_MAX = 64 };
#define COUNT_MAX ((size_t)1 << 28)

const char *model_config_check(const struct model_config *c)
{
	if (c->layers < 1 || c->layers > LAYERS_MAX)
		return "layers must be 1 to 64";
	if (c->d < 16 || c->d > WIDTH_MAX || c->d % 16 != 0)
		return "d must be a multiple of 16, up to 4096";
	if (c->heads < 1 || c->d % c->heads != 0 || c->d / c->heads % 16 != 0 || c->d / c->heads > MODEL_HEAD_MAX)
		return "d / heads must be a multiple of 16, up to 128";
	if (c->ff < 16 || c->ff > HIDDEN_MAX || c->ff % 16 != 0)
		return "ff must be a multiple of 16, up to 16384";
	if (c->ctx < 32 || c->ctx > MODEL_CTX_MAX || c->ctx % 16 != 0)
		return "ctx must be a multiple of 16, 32 to 1024";
	if (model_count(c) > COUNT_MAX)
		return "the model must not have more than 2^28 parameters";
	return NULL;
}

/* Where the parts of one layer, and of the whole, begin in theta. */
struct layout {
	size_t norm_attention, wqkv, wo, norm_mlp, wgu, wdown, layer_size; /* within a layer */
	size_t first_layer, norm, head, count;
};

static struct layout layout_of(const struct model_config *c)
{
	size_t d = c->d, ff = c->ff;
	struct layout l;

	l.norm_attention = 0;
	l.wqkv = d;
	l.wo = l.wqkv + 3 * d * d;
	l.norm_mlp = l.wo + d * d;
	l.wgu = l.norm_mlp + d;
	l.wdown = l.wgu + 2 * ff * d;
	l.layer_size = l.wdown + d * ff;
	l.first_layer = MODEL_VOCABULARY * d;
	l.norm = l.first_layer + c->layers * l.layer_size;
	l.head = l.norm + d;
	l.count = l.head + MODEL_VOCABULARY * d;
	return l;
}

size_t model_count(const struct model_config *config)
{
	return layout_of(config).count;
}

enum { LAYER_TENSORS = 9 };

size_t model_tensors(const struct model_config *config)
{
	return 1 + (size_t)config->layers * LAYER_TENSORS + 2;
}

static void layer_tensor(const struct model_config *c, size_t layer, size_t part, struct model_tensor *out)
{
	size_t d = c->d, ff = c->ff;
	struct layout l = layout_of(c);
	const struct {
		const char *name;
		size_t offset, rows, cols;
		enum model_kind kind;
	} parts[LAYER_TENSORS] = {
		{"norm_attention", l.norm_attention, 1, d, MODEL_NORM},
		{"wq", l.wqkv, d, d, MODEL_MATRIX},
		{"wk", l.wqkv + d * d, d, d, MODEL_MATRIX},
		{"wv", l.wqkv + 2 * d * d, d, d, MODEL_MATRIX},
		{"wo", l.wo, d, d, MODEL_RESIDUAL},
		{"norm_mlp", l.norm_mlp, 1, d, MODEL_NORM},
		{"wgate", l.wgu, ff, d, MODEL_MATRIX},
		{"wup", l.wgu + ff * d, ff, d, MODEL_MATRIX},
		{"wdown", l.wdown, d, ff, MODEL_RESIDUAL},
	};

	snprintf(out->name, sizeof(out->name), "layer.%zu.%s", layer, parts[part].name);
	out->offset = l.first_layer + layer * l.layer_size + parts[part].offset;
	out->rows = parts[part].rows;
	out->cols = parts[part].cols;
	out->kind = parts[part].kind;
}

void model_tensor(const struct model_config *config, size_t index, struct model_tensor *out)
{
	struct layout l = layout_of(config);
	size_t norm = 1 + (size_t)config->layers * LAYER_TENSORS;

	if (index == 0)
		*out = (struct model_tensor){"embedding", 0, MODEL_VOCABULARY, config->d, MODEL_EMBEDDING};
	else if (index < norm)
		layer_tensor(config, (index - 1) / LAYER_TENSORS, (index - 1) % LAYER_TENSORS, out);
	else if (index == norm)
		*out = (struct model_tensor){"norm", l.norm, 1, config->d, MODEL_NORM};
	else
		*out = (struct model_tensor){"head", l.head, MODEL_VOCABULARY, config->d, MODEL_MATRIX};
}

/* ---- Memory ---- */

/* A pass goes over its windows in micro-batches of at most 1024 tokens, one chunk: over it the gradients of the matrices
 * contract. Forward and back, no window knows of another, so a chunk is shared out in blocks of windows, small enough for a
 * core's own cache. */
enum { BLOCK_TOKENS = 256 };

/* What the forward pass leaves behind for the backward pass, a layer; T tokens of a chunk. What the norms and the gate
 * give is computed again on the way back: that is cheaper than keeping it. */
struct layer {
	float *h;           /* [T][d] what comes in */
	float *qkv;         /* [T][3d] rotated */
	float *p;           /* [windows][heads][attention_kept()] */
	float *a;           /* [T][d] */
	float *h_mlp;       /* [T][d] between attention and the gated unit */
	float *gu;          /* [T][2ff] */
	float *r, *r_mlp;   /* [T] of the two norms */
	int32_t *a_largest; /* [blocks][d] */
};

/* The matrices of a layer. */
enum { QKV, OUT, GATE_UP, DOWN, LAYER_MATRICES };

/* One thread's memory, for a block of tokens. */
struct member {
	struct linear_work work;
	float *x;  /* [block][d or ff] what a product takes */
	float *dx; /* [block][d or ff] and what comes back from it */
	float *attention;
	int32_t *largest[2]; /* [widest] of a chunk */
};

struct model {
	struct model_config config;
	struct layout layout;
	enum engine engine;
	struct team *team;
	unsigned member_count;     /* of the team */
	size_t windows, block;      /* windows of a chunk, of a block */
	char *arena;
	struct layer *layers;
	struct linear *matrices;    /* [layers][4], and the head */
	struct member *members;
	float *h, *r, *logits, *losses; /* [T][d], [T], [T][256], [T]: after the last layer */
	float *cosine, *sine;       /* [ctx][head / 2] */
	/* On the way back, [T][...]: gradients of h before and after the layer's half under way, of the input of its norm's
	 * product and of that product's result; and what that norm and the gate give. */
	float *dh[2], *dz, *dy, *z, *b;
	int32_t *dh_largest, *dy_largest, *z_largest, *b_largest; /* [blocks][...] */
	struct profile *profile;
};

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t widest_of(const struct model_config *c)
{
	return larger(larger(3 * (size_t)c->d, 2 * (size_t)c->ff), MODEL_VOCABULARY);
}

/* Matrix `index` of a layer, or the head, which comes after them all. */
static struct linear matrix_of(const struct model_config *c, size_t index)
{
	size_t d = c->d, ff = c->ff;
	struct layout l = layout_of(c);
	size_t layer = l.first_layer + index / LAYER_MATRICES * l.layer_size;

	if (index == LAYER_MATRICES * (size_t)c->layers)
		return (struct linear){.offset = l.head, .out = MODEL_VOCABULARY, .in = d};
	switch (index % LAYER_MATRICES) {
	case QKV:
		return (struct linear){.offset = layer + l.wqkv, .out = 3 * d, .in = d};
	case OUT:
		return (struct linear){.offset = layer + l.wo, .out = d, .in = d};
	case GATE_UP:
		return (struct linear){.offset = layer + l.wgu, .out = 2 * ff, .in = d};
	}
	return (struct linear){.offset = layer + l.wdown, .out = d, .in = ff};
}

/* A place in the arena, on a cache line of its own; counts in `used`. With no arena it only counts. */
static void *take(const struct model *m, size_t *used, size_t bytes)
{
	size_t at = *used;

	*used += (bytes + 63) / 64 * 64;
	return m->arena ? m->arena + at : NULL;
}

static float *take_floats(const struct model *m, size_t *used, size_t count)
{
	return take(m, used, count * sizeof(float));
}

static int32_t *take_integers(const struct model *m, size_t *used, size_t count)
{
	return take(m, used, count * sizeof(int32_t));
}

static void place_layer(const struct model *m, size_t *used, struct layer *l)
{
	const struct model_config *c = &m->config;
	size_t tokens = m->windows * c->ctx, d = c->d;

	l->h = take_floats(m, used, tokens * d);
	l->qkv = take_floats(m, used, tokens * 3 * d);
	l->p = take_floats(m, used, m->windows * c->heads * attention_kept(c->ctx));
	l->a = take_floats(m, used, tokens * d);
	l->h_mlp = take_floats(m, used, tokens * d);
	l->gu = take_floats(m, used, tokens * 2 * c->ff);
	l->r = take_floats(m, used, tokens);
	l->r_mlp = take_floats(m, used, tokens);
	l->a_largest = take_integers(m, used, m->windows * d);
}

static void place_member(const struct model *m, size_t *used, struct member *member)
{
	const struct model_config *c = &m->config;
	size_t tokens = m->block * c->ctx, widest = widest_of(c);

	member->work.rounded = take(m, used, linear_rounded_size(tokens, widest));
	member->work.part = take(m, used, linear_part_size());
	member->work.scratch = take(m, used, linear_scratch_size(tokens, widest));
	member->x = take_floats(m, used, tokens * larger(c->d, c->ff));
	member->dx = take_floats(m, used, tokens * larger(c->d, c->ff));
	member->attention = take_floats(m, used, attention_scratch(c->ctx, c->d / c->heads));
	for (int i = 0; i < 2; i++)
		member->largest[i] = take_integers(m, used, widest);
}

/* Places every array in the arena and returns how many bytes that takes. Called with no arena first, to measure: then the
 * counts of layers and members say how many there will be. */
static size_t place(struct model *m)
{
	const struct model_config *c = &m->config;
	size_t tokens = m->windows * c->ctx, d = c->d, used = 0;
	struct layer no_layer;
	struct member no_member;
	struct linear no_matrix = {0};

	for (size_t i = 0; i < c->layers; i++)
		place_layer(m, &used, m->arena ? &m->layers[i] : &no_layer);
	for (unsigned i = 0; i < m->member_count; i++)
		place_member(m, &used, m->arena ? &m->members[i] : &no_member);
	for (size_t i = 0; i <= LAYER_MATRICES * c->layers; i++) {
		struct linear shape = matrix_of(c, i), *w = m->arena ? &m->matrices[i] : &no_matrix;

		for (int j = 0; j < 2; j++)
			shape.memory[j] = take(m, &used, exact_operand_size(shape.out, shape.in));
		*w = shape;
	}
	m->h = take_floats(m, &used, tokens * d);
	m->r = take_floats(m, &used, tokens);
	m->logits = take_floats(m, &used, tokens * MODEL_VOCABULARY);
	m->losses = take_floats(m, &used, tokens);
	m->cosine = take_floats(m, &used, c->ctx * (d / c->heads / 2));
	m->sine = take_floats(m, &used, c->ctx * (d / c->heads / 2));
	m->dh[0] = take_floats(m, &used, tokens * d);
	m->dh[1] = take_floats(m, &used, tokens * d);
	m->dz = take_floats(m, &used, tokens * d);
	m->dy = take_floats(m, &used, tokens * widest_of(c));
	m->z = take_floats(m, &used, tokens * d);
	m->b = take_floats(m, &used, tokens * c->ff);
	m->dh_largest = take_integers(m, &used, m->windows * d);
	m->dy_largest = take_integers(m, &used, m->windows * widest_of(c));
	m->z_largest = take_integers(m, &used, m->windows * d);
	m->b_largest = take_integers(m, &used, m->windows * c->ff);
	return used;
}

/* The sizes alone, without memory. */
static struct model measure(const struct model_config *config, unsigned members)
{
	size_t windows = EXACT_CHUNK / config->ctx, block = larger(1, BLOCK_TOKENS / config->ctx);

	return (struct model){
		.config = *config, .layout = layout_of(config), .member_count = members, .windows = windows,
		.block = smaller(block, windows),
	};
}

size_t model_memory(const struct model_config *config, unsigned members)
{
	struct model m = measure(config, members);

	return place(&m);
}

struct model *model_new(const struct model_config *config, enum engine engine, struct team *team)
{
	struct model *m = mem_calloc(1, sizeof(*m));

	*m = measure(config, team_members(team));
	m->engine = engine;
	m->team = team;
	m->layers = mem_calloc(config->layers, sizeof(*m->layers));
	m->members = mem_calloc(m->member_count, sizeof(*m->members));
	m->matrices = mem_calloc(LAYER_MATRICES * (size_t)config->layers + 1, sizeof(*m->matrices));
	m->arena = mem_align(model_memory(config, m->member_count));
	place(m);
	ops_rotary_table(config->ctx, config->d / config->heads, m->cosine, m->sine);
	return m;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	free(m->arena);
	free(m->layers);
	free(m->members);
	free(m->matrices);
	free(m);
}

const struct model_config *model_config(const struct model *m)
{
	return &m->config;
}

void model_set_profile(struct model *m, struct profile *profile)
{
	m->profile = profile;
}

struct profile *model_profile(const struct model *m)
{
	return m->profile;
}

/* ---- Passes ---- */

/* A chunk's way through the model. The team's members take its tasks; which of them takes which makes no difference. */
struct pass {
	struct model *m;
	const float *theta;
	float *gradient;        /* NULL: forward only */
	const uint8_t *windows; /* of this chunk */
	size_t rows, tokens, block, blocks;
	bool first;             /* the gradient's matrices are still zero */
	float inv;
	const atomic_bool *cancel;
	atomic_bool failed;
	size_t layer;           /* under way */
	struct product {
		const struct linear *w;
		const float *dy, *x;
		const int32_t *dy_largest, *x_largest; /* [blocks][...] */
	} products[2];
	size_t product_count;
	const float *norm_x, *norm_r; /* the norm whose gain's gradient is under way */
	size_t norm_offset;
};

/* What a task of one block works on. */
struct block {
	struct pass *pass;
	struct model *m;
	struct member *member;
	struct profile *profile; /* the caller's share alone is counted */
	size_t index, row, rows, token, tokens;
};

/* Whether there is still a reason to go on. */
static bool goes_on(struct pass *pass)
{
	if (pass->cancel && atomic_load_explicit(pass->cancel, memory_order_relaxed))
		atomic_store_explicit(&pass->failed, true, memory_order_relaxed);
	return !atomic_load_explicit(&pass->failed, memory_order_relaxed);
}

static void fail(struct pass *pass)
{
	atomic_store_explicit(&pass->failed, true, memory_order_relaxed);
}

static struct block block_of(struct pass *pass, size_t index, unsigned member)
{
	struct model *m = pass->m;
	size_t row = index * pass->block, rows = smaller(pass->block, pass->rows - row), ctx = m->config.ctx;

	/* A library built for speed may have told this thread to flush subnormals. */
	fesetenv(FE_DFL_ENV);
	return (struct block){
		.pass = pass, .m = m, .member = &m->members[member], .profile = member == 0 ? m->profile : NULL,
		.index = index, .row = row, .rows = rows, .token = row * ctx, .tokens = rows * ctx,
	};
}

static const struct linear *layer_matrix(const struct model *m, size_t layer, size_t matrix)
{
	return &m->matrices[layer * LAYER_MATRICES + matrix];
}

static const struct linear *head_matrix(const struct model *m)
{
	return &m->matrices[m->config.layers * LAYER_MATRICES];
}

static size_t layer_offset(const struct model *m, size_t layer)
{
	return m->layout.first_layer + layer * m->layout.layer_size;
}

/* Tokens that are worked on at a time where one operation's result is the next one's operand. */
enum { TILE = 16 };

/* What a product multiplies next: rows of the block's x [tokens][width]. `largest`: [blocks][width]. */
static void take_rows(const struct block *k, const float *x, size_t width, size_t first, size_t count, int32_t *largest)
{
	linear_take(&k->member->work, k->m->engine, x, k->tokens, width, first, count, largest ? largest + k->index * width : NULL);
}

/* The block's y = x W^T, and dx = dy W. */
static bool multiply_taken(const struct block *k, const struct linear *w, const float *x, float *y)
{
	return linear_forward(w, k->m->engine, &k->member->work, x, k->tokens, y);
}

static bool multiply_taken_back(const struct block *k, const struct linear *w, const float *dy, float *dx)
{
	return linear_backward(w, k->m->engine, &k->member->work, dy, k->tokens, dx);
}

static bool multiply(const struct block *k, const struct linear *w, const float *x, float *y, int32_t *largest)
{
	take_rows(k, x, w->in, 0, k->tokens, largest);
	return multiply_taken(k, w, x, y);
}

static bool multiply_back(const struct block *k, const struct linear *w, const float *dy, float *dx, int32_t *largest)
{
	take_rows(k, dy, w->out, 0, k->tokens, largest);
	return multiply_taken_back(k, w, dy, dx);
}

/* The largest sizes among rows of a block's x, into [blocks][width]; the first rows come first. */
static void measure_rows(const struct block *k, const float *x, size_t width, size_t first, size_t count, int32_t *largest)
{
	int32_t *of_block = largest + k->index * width;

	if (k->m->engine == ENGINE_PLAIN)
		return;
	profile_lap(k->profile, PROFILE_ELEMENTWISE);
	if (first == 0)
		memset(of_block, 0, width * sizeof(*of_block));
	exact_largest(x + first * width, count, width, of_block);
	profile_lap(k->profile, PROFILE_QUANTISE);
}

static struct ops_rotary rotary_of(const struct model *m)
{
	return (struct ops_rotary){m->cosine, m->sine, m->config.ctx, m->config.heads, m->config.d / m->config.heads};
}

static struct attention attention_of(const struct block *k)
{
	const struct model_config *c = &k->m->config;

	return (struct attention){c->ctx, c->d / c->heads, 3 * (size_t)c->d, c->d, k->member->attention};
}

/* One head after the other, for each window: where q and a of head i of the block begin, and its p. */
struct head {
	size_t qkv, a, p;
};

static struct head head_of(const struct block *k, size_t i)
{
	const struct model_config *c = &k->m->config;
	size_t token = k->token + i / c->heads * c->ctx, column = i % c->heads * (c->d / c->heads);

	return (struct head){
		.qkv = token * 3 * c->d + column, .a = token * c->d + column,
		.p = (k->row * c->heads + i) * attention_kept(c->ctx),
	};
}

static void attend(const struct block *k, const struct layer *l)
{
	struct attention shape = attention_of(k);
	size_t d = k->m->config.d;

	profile_lap(k->profile, PROFILE_ELEMENTWISE);
	for (size_t i = 0; i < k->rows * k->m->config.heads; i++) {
		struct head head = head_of(k, i);
		const float *q = l->qkv + head.qkv;

		attention_forward(&shape, q, q + d, q + 2 * d, l->p + head.p, l->a + head.a);
	}
	profile_lap(k->profile, PROFILE_ATTENTION);
}

/* da: of the block alone. */
static void attend_backward(const struct block *k, const struct layer *l, const float *da, float *dqkv)
{
	struct attention shape = attention_of(k);
	size_t d = k->m->config.d;

	profile_lap(k->profile, PROFILE_ELEMENTWISE);
	for (size_t i = 0; i < k->rows * k->m->config.heads; i++) {
		struct head head = head_of(k, i);
		const float *q = l->qkv + head.qkv;
		float *dq = dqkv + head.qkv;

		attention_backward(&shape, q, q + d, q + 2 * d, l->p + head.p, da + head.a - k->token * d, dq, dq + d, dq + 2 * d);
	}
	profile_lap(k->profile, PROFILE_ATTENTION);
}

/* ---- Forward, and back through the head: blocks on their own ---- */

/* From l->h to `out`, the next layer's h. */
static bool layer_forward(const struct block *k, size_t index, float *out)
{
	struct model *m = k->m;
	const struct layer *l = &m->layers[index];
	size_t d = m->config.d, ff = m->config.ff, at = k->token * d;
	const float *theta = k->pass->theta + layer_offset(m, index);
	struct ops_rotary rotary = rotary_of(m);
	float *x = k->member->x, *qkv = l->qkv + 3 * at, *gu = l->gu + k->token * 2 * ff;

	ops_rmsnorm(l->h + at, theta + m->layout.norm_attention, k->tokens, d, x, l->r + k->token);
	if (!multiply(k, layer_matrix(m, index, QKV), x, qkv, NULL))
		return false;
	ops_rotate(&rotary, qkv, k->tokens, false);
	attend(k, l);
	if (!multiply(k, layer_matrix(m, index, OUT), l->a + at, l->h_mlp + at, l->a_largest))
		return false;
	ops_add(l->h_mlp + at, l->h + at, k->tokens * d);
	ops_rmsnorm(l->h_mlp + at, theta + m->layout.norm_mlp, k->tokens, d, x, l->r_mlp + k->token);
	if (!multiply(k, layer_matrix(m, index, GATE_UP), x, gu, NULL))
		return false;
	for (size_t t = 0; t < k->tokens; t += TILE) {
		ops_gate(gu + t * 2 * ff, TILE, ff, x + t * ff);
		take_rows(k, x, ff, t, TILE, NULL);
	}
	if (!multiply_taken(k, layer_matrix(m, index, DOWN), x, out + at))
		return false;
	ops_add(out + at, l->h_mlp + at, k->tokens * d);
	return true;
}

/* From the last layer's h to the losses, and on a training pass back to its gradient. */
static bool head_forward_backward(const struct block *k)
{
	struct model *m = k->m;
	size_t d = m->config.d, at = k->token * d;
	const float *gain = k->pass->theta + m->layout.norm, *h = m->h + at;
	float *logits = m->logits + k->token * MODEL_VOCABULARY, *x = k->member->x;

	ops_rmsnorm(h, gain, k->tokens, d, x, m->r + k->token);
	if (!multiply(k, head_matrix(m), x, logits, NULL))
		return false;
	ops_cross_entropy(logits, k->pass->windows + k->row * (m->config.ctx + 1), k->rows, m->config.ctx, k->pass->inv,
			  k->pass->gradient != NULL, m->losses + k->token);
	if (!k->pass->gradient)
		return true;
	if (!multiply_back(k, head_matrix(m), logits, m->dz + at, m->dy_largest))
		return false;
	ops_rmsnorm_backward(h, gain, m->r + k->token, m->dz + at, NULL, k->tokens, d, m->dh[0] + at, m->z + at);
	measure_rows(k, m->z + at, d, 0, k->tokens, m->z_largest);
	return true;
}

static void forward_block(void *arg, size_t task, unsigned member)
{
	struct block k = block_of(arg, task, member);
	struct model *m = k.m;
	size_t layers = m->config.layers, d = m->config.d, ctx = m->config.ctx;

	ops_embed(k.pass->theta, k.pass->windows + k.row * (ctx + 1), k.rows, ctx, d, m->layers[0].h + k.token * d);
	for (size_t i = 0; i < layers; i++)
		if (!goes_on(k.pass) || !layer_forward(&k, i, i + 1 < layers ? m->layers[i + 1].h : m->h))
			return fail(k.pass);
	if (!head_forward_backward(&k))
		fail(k.pass);
	profile_lap(k.profile, PROFILE_ELEMENTWISE);
}

/* ---- Back: a half of a layer in blocks, then the gradients of its matrices over the whole chunk ---- */

/* The gated unit: dh[0] to dh[1]. */
static void mlp_backward_block(void *arg, size_t task, unsigned member)
{
	struct block k = block_of(arg, task, member);
	struct model *m = k.m;
	const struct layer *l = &m->layers[k.pass->layer];
	size_t d = m->config.d, ff = m->config.ff, at = k.token * d;
	const float *gain = k.pass->theta + layer_offset(m, k.pass->layer) + m->layout.norm_mlp;
	const float *gu = l->gu + k.token * 2 * ff;
	float *db = k.member->dx, *dgu = m->dy + k.token * 2 * ff, *b = m->b + k.token * ff;

	if (!goes_on(k.pass) || !multiply_back(&k, layer_matrix(m, k.pass->layer, DOWN), m->dh[0] + at, db, m->dh_largest))
		return fail(k.pass);
	for (size_t t = 0; t < k.tokens; t += TILE) {
		ops_gate_backward(gu + t * 2 * ff, db + t * ff, TILE, ff, dgu + t * 2 * ff, b + t * ff);
		measure_rows(&k, b, ff, t, TILE, m->b_largest);
		take_rows(&k, dgu, 2 * ff, t, TILE, m->dy_largest);
	}
	if (!multiply_taken_back(&k, layer_matrix(m, k.pass->layer, GATE_UP), dgu, m->dz + at))
		return fail(k.pass);
	ops_rmsnorm_backward(l->h_mlp + at, gain, l->r_mlp + k.token, m->dz + at, m->dh[0] + at, k.tokens, d, m->dh[1] + at,
			     m->z + at);
	measure_rows(&k, m->z + at, d, 0, k.tokens, m->z_largest);
}

/* Attention: dh[1] to dh[0]. */
static void attention_backward_block(void *arg, size_t task, unsigned member)
{
	struct block k = block_of(arg, task, member);
	struct model *m = k.m;
	const struct layer *l = &m->layers[k.pass->layer];
	size_t d = m->config.d, at = k.token * d;
	const float *gain = k.pass->theta + layer_offset(m, k.pass->layer) + m->layout.norm_attention;
	struct ops_rotary rotary = rotary_of(m);
	float *da = k.member->dx, *dqkv = m->dy + 3 * at;

	if (!goes_on(k.pass) || !multiply_back(&k, layer_matrix(m, k.pass->layer, OUT), m->dh[1] + at, da, m->dh_largest))
		return fail(k.pass);
	attend_backward(&k, l, da, m->dy);
	ops_rotate(&rotary, dqkv, k.tokens, true);
	if (!multiply_back(&k, layer_matrix(m, k.pass->layer, QKV), dqkv, m->dz + at, m->dy_largest))
		return fail(k.pass);
	ops_rmsnorm_backward(l->h + at, gain, l->r + k.token, m->dz + at, m->dh[1] + at, k.tokens, d, m->dh[0] + at, m->z + at);
	measure_rows(&k, m->z + at, d, 0, k.tokens, m->z_largest);
}

/* The larger of all blocks' numbers, [blocks][width], column by column. */
static const int32_t *merge(const struct pass *pass, const int32_t *largest, size_t width, int32_t *merged)
{
	memcpy(merged, largest, width * sizeof(*merged));
	for (size_t i = 1; i < pass->blocks; i++)
		for (size_t j = 0; j < width; j++)
			merged[j] = largest[i * width + j] > merged[j] ? largest[i * width + j] : merged[j];
	return merged;
}

/* Rows of a matrix per task: so that all members have some, and no task more than linear_gradient takes. */
static size_t rows_per_task(const struct pass *pass, const struct linear *w)
{
	size_t parts = larger((w->out + LINEAR_ROWS - 1) / LINEAR_ROWS, pass->m->member_count);

	return ((w->out + parts - 1) / parts + 15) / 16 * 16;
}

/* Columns of a sum over tokens per task. */
static size_t columns_per_task(const struct pass *pass)
{
	size_t members = pass->m->member_count;

	return (pass->m->config.d + 16 * members - 1) / (16 * members) * 16;
}

static size_t tasks_of(size_t total, size_t per_task)
{
	return (total + per_task - 1) / per_task;
}

static void gradient_rows(struct pass *pass, const struct product *product, size_t task, struct member *member)
{
	const struct linear *w = product->w;
	size_t rows = rows_per_task(pass, w), first = task * rows;
	struct linear_chunk chunk = {.dy = product->dy, .x = product->x, .tokens = pass->tokens};

	if (pass->m->engine != ENGINE_PLAIN) {
		chunk.dy_largest = merge(pass, product->dy_largest, w->out, member->largest[0]);
		chunk.x_largest = merge(pass, product->x_largest, w->in, member->largest[1]);
	}
	if (!linear_gradient(w, pass->m->engine, &member->work, &chunk, first, smaller(rows, w->out - first), !pass->first,
			     pass->gradient))
		fail(pass);
}

/* Tasks are the rows of the matrices, then the columns of the norm's gain. */
static void gradients_task(void *arg, size_t task, unsigned member)
{
	struct pass *pass = arg;
	struct model *m = pass->m;
	struct profile *profile = member == 0 ? m->profile : NULL;

	fesetenv(FE_DFL_ENV);
	if (!goes_on(pass))
		return;
	for (size_t i = 0; i < pass->product_count; i++) {
		size_t tasks = tasks_of(pass->products[i].w->out, rows_per_task(pass, pass->products[i].w));

		if (task < tasks)
			return gradient_rows(pass, &pass->products[i], task, &m->members[member]);
		task -= tasks;
	}
	size_t columns = columns_per_task(pass), first = task * columns;

	profile_lap(profile, PROFILE_ELEMENTWISE);
	ops_rmsnorm_backward_gain(pass->norm_x, pass->norm_r, m->dz, pass->tokens, m->config.d, first,
				  smaller(columns, m->config.d - first), pass->gradient + pass->norm_offset);
	profile_lap(profile, PROFILE_ELEMENTWISE);
}

/* The gradients of pass->products and of the norm before them. */
static void run_gradients(struct pass *pass)
{
	size_t tasks = tasks_of(pass->m->config.d, columns_per_task(pass));

	for (size_t i = 0; i < pass->product_count; i++)
		tasks += tasks_of(pass->products[i].w->out, rows_per_task(pass, pass->products[i].w));
	team_run(pass->m->team, gradients_task, pass, tasks);
}

static void head_gradients(struct pass *pass)
{
	struct model *m = pass->m;

	pass->product_count = 1;
	pass->products[0] = (struct product){head_matrix(m), m->logits, m->z, m->dy_largest, m->z_largest};
	pass->norm_x = m->h;
	pass->norm_r = m->r;
	pass->norm_offset = m->layout.norm;
	run_gradients(pass);
}

static void layer_backward(struct pass *pass, size_t index)
{
	struct model *m = pass->m;
	const struct layer *l = &m->layers[index];
	size_t offset = layer_offset(m, index);

	pass->layer = index;
	pass->product_count = 2;
	team_run(m->team, mlp_backward_block, pass, pass->blocks);
	pass->products[0] = (struct product){layer_matrix(m, index, DOWN), m->dh[0], m->b, m->dh_largest, m->b_largest};
	pass->products[1] = (struct product){layer_matrix(m, index, GATE_UP), m->dy, m->z, m->dy_largest, m->z_largest};
	pass->norm_x = l->h_mlp;
	pass->norm_r = l->r_mlp;
	pass->norm_offset = offset + m->layout.norm_mlp;
	run_gradients(pass);

	team_run(m->team, attention_backward_block, pass, pass->blocks);
	pass->products[0] = (struct product){layer_matrix(m, index, OUT), m->dh[1], l->a, m->dh_largest, l->a_largest};
	pass->products[1] = (struct product){layer_matrix(m, index, QKV), m->dy, m->z, m->dy_largest, m->z_largest};
	pass->norm_x = l->h;
	pass->norm_r = l->r;
	pass->norm_offset = offset + m->layout.norm_attention;
	run_gradients(pass);
}

static void embedding_task(void *arg, size_t task, unsigned member)
{
	const struct pass *pass = arg;
	const struct model *m = pass->m;
	size_t columns = columns_per_task(pass), first = task * columns, d = m->config.d;

	(void)member;
	fesetenv(FE_DFL_ENV);
	ops_embed_backward(m->dh[0], pass->windows, pass->rows, m->config.ctx, d, first, smaller(columns, d - first),
			   pass->gradient);
}

static void backward(struct pass *pass)
{
	struct model *m = pass->m;

	head_gradients(pass);
	for (size_t i = m->config.layers; goes_on(pass) && i-- > 0;)
		layer_backward(pass, i);
	if (goes_on(pass))
		team_run(m->team, embedding_task, pass, tasks_of(m->config.d, columns_per_task(pass)));
	profile_lap(m->profile, PROFILE_ELEMENTWISE);
}

/* ---- A batch ---- */

static void round_matrix(void *arg, size_t task, unsigned member)
{
	struct pass *pass = arg;

	(void)member;
	fesetenv(FE_DFL_ENV);
	if (!linear_round(&pass->m->matrices[task], pass->m->engine, pass->theta, pass->gradient != NULL))
		fail(pass);
}

/* Blocks are no larger than memory allows, and as many as there are members if there are windows enough. */
static void choose_blocks(struct pass *pass)
{
	size_t members = pass->m->member_count;

	pass->block = smaller(pass->m->block, (pass->rows + members - 1) / members);
	pass->blocks = (pass->rows + pass->block - 1) / pass->block;
}

static bool run(struct model *m, const float *theta, const uint8_t *windows, size_t rows, const atomic_bool *cancel,
		float *gradient, float *loss)
{
	size_t ctx = m->config.ctx;
	float lane[16] = {0};
	struct pass pass = {
		.m = m, .theta = theta, .gradient = gradient, .cancel = cancel,
		.inv = 1.0f / (float)(rows * (ctx - MODEL_SKIPPED)),
	};

	profile_begin(m->profile);
	m->members[0].work.profile = m->profile;
	team_run(m->team, round_matrix, &pass, LAYER_MATRICES * (size_t)m->config.layers + 1);
	profile_lap(m->profile, PROFILE_QUANTISE);
	for (size_t done = 0; done < rows && goes_on(&pass); done += pass.rows) {
		pass.windows = windows + done * (ctx + 1);
		pass.rows = smaller(rows - done, m->windows);
		pass.tokens = pass.rows * ctx;
		pass.first = done == 0;
		choose_blocks(&pass);
		team_run(m->team, forward_block, &pass, pass.blocks);
		if (gradient && goes_on(&pass))
			backward(&pass);
		ops_sum_losses(m->losses, pass.rows, ctx, lane);
	}
	profile_lap(m->profile, PROFILE_ELEMENTWISE);
	*loss = math_fold16(lane) * pass.inv;
	return goes_on(&pass);
}

bool model_gradient(struct model *m, const float *theta, const uint8_t *windows, size_t rows, const atomic_bool *cancel,
		    float *gradient, float *loss)
{
	memset(gradient, 0, m->layout.count * sizeof(float));
	return run(m, theta, windows, rows, cancel, gradient, loss);
}

bool model_loss(struct model *m, const float *theta, const uint8_t *windows, size_t rows, const atomic_bool *cancel,
		float *loss)
{
	return run(m, theta, windows, rows, cancel, NULL, loss);
}
