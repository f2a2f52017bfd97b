#include "ml/float.h"

#include <stdio.h>
#include <stdlib.h>

#include "ml/attention.h"
#include "ml/exact.h"
#include "ml/math.h"
#include "ml/model.h"
#include "ml/ops.h"
#include "util/mem.h"

/* ---- Sizes ---- */

enum { WIDTH_MAX = 4096, HIDDEN_MAX = 16384, LAYERS_MAX = 64 };
#define COUNT_MAX ((size_t)1 << 28)
/* Parameters of the largest model whose rounded weights are kept: they take twice the memory of theta. */
#define KEPT_MAX ((size_t)1 << 25)

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

/* What the forward pass leaves behind for the backward pass, a layer. T tokens, at most 1024. */
struct layer {
	float *h;       /* [T][d] what comes in */
	float *z;       /* [T][d] normalised: an operand along tokens, as are a, z_mlp and b */
	float *qkv;     /* [T][3d] rotated */
	float *p;       /* [windows][heads][ctx][ctx] */
	float *a;       /* [T][d] */
	float *h_mlp;   /* [T][d] between attention and the gated unit */
	float *z_mlp;   /* [T][d] */
	float *gu;      /* [T][2ff] */
	float *b;       /* [T][ff] */
	float *r, *r_mlp; /* [T] of the two norms */
};

struct model {
	struct model_config config;
	struct layout layout;
	enum engine engine;
	size_t windows;             /* of a micro-batch */
	float *arena;
	struct layer *layers;
	float *h, *z, *r, *logits;  /* [T][d], [T][d], [T], [T][256]: after the last layer */
	float *cosine, *sine;       /* [ctx][head / 2] */
	float *x;                   /* [T][d or ff] what a product takes, before it is rounded */
	float *rounded, *columns;   /* operands of the product under way, and chunks that are to be added */
	float *scratch;
	bool keeps_weights;         /* theta's operands, by rows and by columns, are kept for all micro-batches of a pass */
	float *weights[2];          /* [n] if so, else those of one matrix */
	struct profile *profile;
	float *dh, *dz, *da;        /* [T][d] gradients on the way back */
	float *dqkv, *dgu, *db;     /* [T][3d], [T][2ff], [T][ff] */
	float *attention;
};

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Places every array in the arena, each on a cache line, and returns how many floats that takes. Called with a NULL
 * arena first, to measure. */
static size_t place(struct model *m)
{
	const struct model_config *c = &m->config;
	size_t tokens = m->windows * c->ctx, d = c->d, ff = c->ff, used = 0;
	size_t widest = larger(larger(3 * d, 2 * ff), MODEL_VOCABULARY);
	size_t weights = m->keeps_weights ? m->layout.count : widest * d;

#define PLACE(array, size) ((array) = m->arena ? m->arena + used : NULL, used += ((size) + 15) / 16 * 16)
	for (size_t i = 0; i < c->layers; i++) {
		struct layer none, *layer = m->arena ? &m->layers[i] : &none;

		PLACE(layer->h, tokens * d);
		PLACE(layer->z, tokens * d);
		PLACE(layer->qkv, tokens * 3 * d);
		PLACE(layer->p, m->windows * c->heads * c->ctx * c->ctx);
		PLACE(layer->a, tokens * d);
		PLACE(layer->h_mlp, tokens * d);
		PLACE(layer->z_mlp, tokens * d);
		PLACE(layer->gu, tokens * 2 * ff);
		PLACE(layer->b, tokens * ff);
		PLACE(layer->r, tokens);
		PLACE(layer->r_mlp, tokens);
	}
	PLACE(m->h, tokens * d);
	PLACE(m->z, tokens * d);
	PLACE(m->r, tokens);
	PLACE(m->logits, tokens * MODEL_VOCABULARY);
	PLACE(m->cosine, c->ctx * (d / c->heads / 2));
	PLACE(m->sine, c->ctx * (d / c->heads / 2));
	PLACE(m->x, tokens * larger(d, ff));
	PLACE(m->rounded, tokens * widest);
	PLACE(m->columns, tokens * widest);
	PLACE(m->weights[0], weights);
	PLACE(m->weights[1], weights);
	PLACE(m->scratch, larger(tokens, d) * widest);
	PLACE(m->dh, tokens * d);
	PLACE(m->dz, tokens * d);
	PLACE(m->da, tokens * d);
	PLACE(m->dqkv, tokens * 3 * d);
	PLACE(m->dgu, tokens * 2 * ff);
	PLACE(m->db, tokens * ff);
	PLACE(m->attention, attention_scratch(c->ctx, d / c->heads));
#undef PLACE
	return used;
}

/* The sizes alone, without memory. */
static struct model measure(const struct model_config *config)
{
	struct layout layout = layout_of(config);

	return (struct model){
		.config = *config, .layout = layout, .windows = EXACT_CHUNK / config->ctx,
		.keeps_weights = layout.count <= KEPT_MAX,
	};
}

size_t model_memory(const struct model_config *config)
{
	struct model m = measure(config);

	return place(&m) * sizeof(float);
}

struct model *model_new(const struct model_config *config, enum engine engine)
{
	struct model *m = mem_calloc(1, sizeof(*m));

	*m = measure(config);
	m->engine = engine;
	m->layers = mem_calloc(config->layers, sizeof(*m->layers));
	m->arena = mem_align(model_memory(config));
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

/* ---- One micro-batch ---- */

struct pass {
	struct model *m;
	const float *theta;
	float *gradient;        /* NULL: forward only */
	const uint8_t *windows; /* of this micro-batch */
	size_t rows, tokens;
	bool first;             /* the gradient's matrices are still zero, and no weights are kept yet */
	float inv;
	const atomic_bool *cancel;
};

static bool cancelled(const struct pass *pass)
{
	return pass->cancel && atomic_load_explicit(pass->cancel, memory_order_relaxed);
}

/* A weight matrix [out][in] at theta + offset. */
struct linear {
	size_t offset, out, in;
};

/* A matrix as an operand, NULL if it cannot be rounded. */
static const void *weights_of(const struct pass *pass, struct linear w, bool by_columns)
{
	const struct model *m = pass->m;
	const float *values = pass->theta + w.offset;
	float *memory = m->weights[by_columns] + (m->keeps_weights ? w.offset : 0);

	if (m->keeps_weights && !pass->first && m->engine != ENGINE_PLAIN)
		return memory;
	return by_columns ? exact_operand_columns(m->engine, values, w.out, w.in, memory)
			  : exact_operand_rows(m->engine, values, w.out, w.in, memory);
}

/* Where to put what a product takes and linear_forward then keeps in `kept`: the same place if it is kept as it is. */
static float *input_of(const struct model *m, float *kept)
{
	return m->engine == ENGINE_PLAIN ? kept : m->x;
}

/* y [T][out] = x [T][in] W^T, x from input_of. On a training pass `kept` becomes x along tokens: all that linear_backward
 * needs. */
static bool linear_forward(const struct pass *pass, struct linear w, const float *x, float *kept, float *y)
{
	struct model *m = pass->m;
	struct exact_pair operands = {0};

	profile_lap(m->profile, PROFILE_ELEMENTWISE);
	if (pass->gradient && !exact_operand_both(m->engine, x, pass->tokens, w.in, m->rounded, kept, &operands))
		return false;
	if (!pass->gradient)
		operands.by_rows = exact_operand_rows(m->engine, x, pass->tokens, w.in, m->rounded);
	struct engine_product product = {
		.m = pass->tokens, .n = w.out, .k = w.in,
		.a = operands.by_rows, .lda = w.in,
		.b = weights_of(pass, w, false), .ldb = w.in,
		.y = y, .ldy = w.out,
	};

	profile_lap(m->profile, PROFILE_QUANTISE);
	if (!product.a || !product.b)
		return false;
	exact_multiply(m->engine, &product, false, m->scratch);
	profile_lap(m->profile, PROFILE_PRODUCT);
	return true;
}

/* dx [T][in] = dy W; gradient of W += dy^T x, x as linear_forward kept it. */
static bool linear_backward(const struct pass *pass, struct linear w, const float *kept, const float *dy, float *dx)
{
	struct model *m = pass->m;
	struct exact_pair operands;

	profile_lap(m->profile, PROFILE_ELEMENTWISE);
	if (!exact_operand_both(m->engine, dy, pass->tokens, w.out, m->rounded, m->columns, &operands))
		return false;
	struct engine_product input = {
		.m = pass->tokens, .n = w.in, .k = w.out,
		.a = operands.by_rows, .lda = w.out,
		.b = weights_of(pass, w, true), .ldb = w.in, .b_transposed = true,
		.y = dx, .ldy = w.in,
	};
	struct engine_product weight = {
		.m = w.out, .n = w.in, .k = pass->tokens,
		.a = operands.by_columns, .lda = w.out, .a_transposed = true,
		.b = kept, .ldb = w.in, .b_transposed = true,
		.y = pass->gradient + w.offset, .ldy = w.in,
	};

	profile_lap(m->profile, PROFILE_QUANTISE);
	if (!input.b)
		return false;
	exact_multiply(m->engine, &input, false, m->scratch);
	exact_multiply(m->engine, &weight, !pass->first, m->scratch);
	profile_lap(m->profile, PROFILE_PRODUCT);
	return true;
}

static size_t layer_offset(const struct model *m, size_t layer)
{
	return m->layout.first_layer + layer * m->layout.layer_size;
}

/* The four matrices of a layer. */
struct matrices {
	struct linear qkv, o, gu, down;
};

static struct matrices layer_matrices(const struct model *m, size_t layer)
{
	size_t d = m->config.d, ff = m->config.ff, offset = layer_offset(m, layer);

	return (struct matrices){
		.qkv = {offset + m->layout.wqkv, 3 * d, d},
		.o = {offset + m->layout.wo, d, d},
		.gu = {offset + m->layout.wgu, 2 * ff, d},
		.down = {offset + m->layout.wdown, d, ff},
	};
}

static struct linear head_matrix(const struct model *m)
{
	return (struct linear){m->layout.head, MODEL_VOCABULARY, m->config.d};
}

static struct ops_rotary rotary_of(const struct model *m)
{
	return (struct ops_rotary){m->cosine, m->sine, m->config.ctx, m->config.heads, m->config.d / m->config.heads};
}

static struct attention attention_of(const struct model *m)
{
	return (struct attention){m->config.ctx, m->config.d / m->config.heads, 3 * (size_t)m->config.d, m->config.d,
				  m->attention};
}

static void attend(const struct pass *pass, const struct layer *l, float *a)
{
	const struct model_config *c = &pass->m->config;
	struct attention shape = attention_of(pass->m);

	profile_lap(pass->m->profile, PROFILE_ELEMENTWISE);
	for (size_t i = 0; i < pass->rows * c->heads; i++) {
		size_t token = i / c->heads * c->ctx, column = i % c->heads * shape.head;
		const float *q = l->qkv + token * 3 * c->d + column;

		attention_forward(&shape, q, q + c->d, q + 2 * c->d, l->p + i * c->ctx * c->ctx,
				  a + token * c->d + column);
	}
	profile_lap(pass->m->profile, PROFILE_ATTENTION);
}

static void attend_backward(const struct pass *pass, const struct layer *l)
{
	struct model *m = pass->m;
	const struct model_config *c = &m->config;
	struct attention shape = attention_of(m);

	profile_lap(m->profile, PROFILE_ELEMENTWISE);
	for (size_t i = 0; i < pass->rows * c->heads; i++) {
		size_t token = i / c->heads * c->ctx, column = i % c->heads * shape.head;
		const float *q = l->qkv + token * 3 * c->d + column;
		float *dq = m->dqkv + token * 3 * c->d + column;

		attention_backward(&shape, q, q + c->d, q + 2 * c->d, l->p + i * c->ctx * c->ctx,
				   m->da + token * c->d + column, dq, dq + c->d, dq + 2 * c->d);
	}
	profile_lap(m->profile, PROFILE_ATTENTION);
}

/* From l->h to `out`, the next layer's h. */
static bool layer_forward(const struct pass *pass, size_t index, float *out)
{
	struct model *m = pass->m;
	struct layer *l = &m->layers[index];
	struct matrices w = layer_matrices(m, index);
	struct ops_rotary rotary = rotary_of(m);
	size_t tokens = pass->tokens, d = m->config.d;
	const float *theta = pass->theta + layer_offset(m, index);

	float *z = input_of(m, l->z), *a = input_of(m, l->a), *z_mlp = input_of(m, l->z_mlp), *b = input_of(m, l->b);

	ops_rmsnorm(l->h, theta + m->layout.norm_attention, tokens, d, z, l->r);
	if (!linear_forward(pass, w.qkv, z, l->z, l->qkv))
		return false;
	ops_rotate(&rotary, l->qkv, tokens, false);
	attend(pass, l, a);
	if (!linear_forward(pass, w.o, a, l->a, l->h_mlp))
		return false;
	ops_add(l->h_mlp, l->h, tokens * d);
	ops_rmsnorm(l->h_mlp, theta + m->layout.norm_mlp, tokens, d, z_mlp, l->r_mlp);
	if (!linear_forward(pass, w.gu, z_mlp, l->z_mlp, l->gu))
		return false;
	ops_gate(l->gu, tokens, m->config.ff, b);
	if (!linear_forward(pass, w.down, b, l->b, out))
		return false;
	ops_add(out, l->h_mlp, tokens * d);
	return true;
}

/* m->dh: from the gradient of the layer's output to that of its input. */
static bool layer_backward(const struct pass *pass, size_t index)
{
	struct model *m = pass->m;
	struct layer *l = &m->layers[index];
	struct matrices w = layer_matrices(m, index);
	struct ops_rotary rotary = rotary_of(m);
	size_t tokens = pass->tokens, d = m->config.d;
	const float *theta = pass->theta + layer_offset(m, index);
	float *gradient = pass->gradient + layer_offset(m, index);

	if (!linear_backward(pass, w.down, l->b, m->dh, m->db))
		return false;
	ops_gate_backward(l->gu, m->db, tokens, m->config.ff, m->dgu);
	if (!linear_backward(pass, w.gu, l->z_mlp, m->dgu, m->dz))
		return false;
	ops_rmsnorm_backward(l->h_mlp, theta + m->layout.norm_mlp, l->r_mlp, m->dz, tokens, d, m->dh,
			     gradient + m->layout.norm_mlp);
	if (!linear_backward(pass, w.o, l->a, m->dh, m->da))
		return false;
	attend_backward(pass, l);
	ops_rotate(&rotary, m->dqkv, tokens, true);
	if (!linear_backward(pass, w.qkv, l->z, m->dqkv, m->dz))
		return false;
	ops_rmsnorm_backward(l->h, theta + m->layout.norm_attention, l->r, m->dz, tokens, d, m->dh,
			     gradient + m->layout.norm_attention);
	return true;
}

static bool forward(const struct pass *pass, float lane[16])
{
	struct model *m = pass->m;
	size_t layers = m->config.layers, d = m->config.d;
	float *z = input_of(m, m->z);

	ops_embed(pass->theta, pass->windows, pass->rows, m->config.ctx, d, m->layers[0].h);
	for (size_t i = 0; i < layers; i++)
		if (cancelled(pass) || !layer_forward(pass, i, i + 1 < layers ? m->layers[i + 1].h : m->h))
			return false;
	ops_rmsnorm(m->h, pass->theta + m->layout.norm, pass->tokens, d, z, m->r);
	if (!linear_forward(pass, head_matrix(m), z, m->z, m->logits))
		return false;
	ops_cross_entropy(m->logits, pass->windows, pass->rows, m->config.ctx, pass->inv, pass->gradient != NULL, lane);
	return true;
}

static bool backward(const struct pass *pass)
{
	struct model *m = pass->m;
	size_t d = m->config.d;

	if (!linear_backward(pass, head_matrix(m), m->z, m->logits, m->dz))
		return false;
	memset(m->dh, 0, pass->tokens * d * sizeof(float));
	ops_rmsnorm_backward(m->h, pass->theta + m->layout.norm, m->r, m->dz, pass->tokens, d, m->dh,
			     pass->gradient + m->layout.norm);
	for (size_t i = m->config.layers; i-- > 0;)
		if (cancelled(pass) || !layer_backward(pass, i))
			return false;
	ops_embed_backward(m->dh, pass->windows, pass->rows, m->config.ctx, d, pass->gradient);
	return true;
}

/* ---- A batch ---- */

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
	for (size_t done = 0; done < rows; done += pass.rows) {
		pass.windows = windows + done * (ctx + 1);
		pass.rows = rows - done < m->windows ? rows - done : m->windows;
		pass.tokens = pass.rows * ctx;
		pass.first = done == 0;
		if (!forward(&pass, lane) || (gradient && !backward(&pass)))
			return false;
	}
	profile_lap(m->profile, PROFILE_ELEMENTWISE);
	*loss = math_fold16(lane) * pass.inv;
	return true;
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
