/* The model's sizes, the order of theta, and one arena in which passes work. */
#include "ml/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "ml/kernel/attention.h"
#include "ml/kernel/float.h"
#include "ml/kernel/ops.h"
#include "ml/workspace.h"
#include "util/mem.h"

/* ---- Sizes ---- */

enum { WIDTH_MAX = 4096, HIDDEN_MAX = 16384, LAYERS_MAX = 64 };
#define COUNT_MAX ((size_t)1 << 28)

/* Multiples of 16 because sums run in sixteen lanes and attention in tiles of sixteen: no loop has a ragged edge. */
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

/* The order of theta is consensus (doc/protocol.md section 4): model_root is over its bytes. */
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
		{ "norm_attention", l.norm_attention, 1, d, MODEL_NORM },
		{ "wq", l.wqkv, d, d, MODEL_MATRIX },
		{ "wk", l.wqkv + d * d, d, d, MODEL_MATRIX },
		{ "wv", l.wqkv + 2 * d * d, d, d, MODEL_MATRIX },
		{ "wo", l.wo, d, d, MODEL_RESIDUAL },
		{ "norm_mlp", l.norm_mlp, 1, d, MODEL_NORM },
		{ "wgate", l.wgu, ff, d, MODEL_MATRIX },
		{ "wup", l.wgu + ff * d, ff, d, MODEL_MATRIX },
		{ "wdown", l.wdown, d, ff, MODEL_RESIDUAL },
	};

	snprintf(out->name, sizeof out->name, "layer.%zu.%s", layer, parts[part].name);
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
		*out = (struct model_tensor){ "embedding", 0, MODEL_VOCABULARY, config->d, MODEL_EMBEDDING };
	else if (index < norm)
		layer_tensor(config, (index - 1) / LAYER_TENSORS, (index - 1) % LAYER_TENSORS, out);
	else if (index == norm)
		*out = (struct model_tensor){ "norm", l.norm, 1, config->d, MODEL_NORM };
	else
		*out = (struct model_tensor){ "head", l.head, MODEL_VOCABULARY, config->d, MODEL_MATRIX };
}

/* ---- Memory ---- */

/* Tokens of a tile, unless one window has more. */
enum { TILE_TOKENS = 256 };

static size_t widest_of(const struct model_config *c)
{
	return size_max(size_max(3 * (size_t)c->d, 2 * (size_t)c->ff), MODEL_VOCABULARY);
}

/* Matrix `index` of a layer, or the head, which comes after them all. Q, K and V are one matrix, and gate and up
 * another: one product for all that starts from the same input. */
static struct linear matrix_of(const struct model_config *c, size_t index)
{
	size_t d = c->d, ff = c->ff;
	struct layout l = layout_of(c);
	size_t layer = l.first_layer + index / LAYER_MATRICES * l.layer_size;

	if (index == LAYER_MATRICES * (size_t)c->layers)
		return (struct linear){ .offset = l.head, .out = MODEL_VOCABULARY, .in = d };
	switch (index % LAYER_MATRICES) {
	case QKV:
		return (struct linear){ .offset = layer + l.wqkv, .out = 3 * d, .in = d };
	case OUT:
		return (struct linear){ .offset = layer + l.wo, .out = d, .in = d };
	case GATE_UP:
		return (struct linear){ .offset = layer + l.wgu, .out = 2 * ff, .in = d };
	}
	return (struct linear){ .offset = layer + l.wdown, .out = d, .in = ff };
}

/* A place in the arena, on a cache line of its own; counts in `used`. With no arena it only counts. */
static void *take_bytes(const struct model *m, size_t *used, size_t bytes)
{
	size_t at = *used;

	*used += (bytes + 63) / 64 * 64;
	return m->arena != NULL ? m->arena + at : NULL;
}

static float *take_floats(const struct model *m, size_t *used, size_t count)
{
	return take_bytes(m, used, count * sizeof(float));
}

static int32_t *take_integers(const struct model *m, size_t *used, size_t count)
{
	return take_bytes(m, used, count * sizeof(int32_t));
}

static struct freivalds_pair take_pair(const struct model *m, size_t *used, size_t count)
{
	int32_t *first = take_integers(m, used, count);

	return (struct freivalds_pair){ { first, take_integers(m, used, count) } };
}

/* For a whole chunk: what forward leaves here is what the way back reads. */
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

/* For one tile: nobody else looks at it. */
static void place_member(const struct model *m, size_t *used, struct pass_member *member)
{
	const struct model_config *c = &m->config;
	size_t tokens = m->tile * c->ctx, widest = widest_of(c);

	member->work.rounded = take_bytes(m, used, linear_rounded_size(tokens, widest));
	member->work.part = take_bytes(m, used, linear_part_size());
	member->work.scratch = take_bytes(m, used, linear_scratch_size(tokens, widest));
	member->x = take_floats(m, used, tokens * size_max(c->d, c->ff));
	member->dx = take_floats(m, used, tokens * size_max(c->d, c->ff));
	member->attention = take_floats(m, used, attention_scratch(c->ctx, c->d / c->heads));
	for (int i = 0; i < 2; i++)
		member->largest[i] = take_integers(m, used, widest);
	member->work.projected = take_pair(m, used, LINEAR_TOKENS);
}

/* Places every array in the arena and returns how many bytes that takes. Called with no arena first, to measure: then
 * the counts of layers and members say how many there will be. One list for both, so what is promised (model_memory)
 * and what is used cannot part. */
static size_t place_arrays(struct model *m)
{
	const struct model_config *c = &m->config;
	size_t tokens = m->windows * c->ctx, d = c->d, used = 0;
	struct layer no_layer;
	struct pass_member no_member;
	struct linear no_matrix = { 0 };

	for (size_t i = 0; i < c->layers; i++)
		place_layer(m, &used, m->arena != NULL ? &m->layers[i] : &no_layer);
	for (unsigned i = 0; i < m->member_count; i++)
		place_member(m, &used, m->arena != NULL ? &m->members[i] : &no_member);
	for (size_t i = 0; i <= LAYER_MATRICES * c->layers; i++) {
		struct linear shape = matrix_of(c, i), *w = m->arena != NULL ? &m->matrices[i] : &no_matrix;

		for (int j = 0; j < 2; j++)
			shape.memory[j] = take_bytes(m, &used, exact_operand_size(shape.out, shape.in));
		shape.projected[0] = take_pair(m, &used, shape.in);
		shape.projected[1] = take_pair(m, &used, shape.out);
		*w = shape;
	}
	m->vectors.r = take_pair(m, &used, widest_of(c));
	m->vectors.s = take_pair(m, &used, FREIVALDS_ROWS);
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

/* The sizes alone, without memory. A chunk has as many windows as fit into the 1024 tokens that a gradient contracts
 * over without rounding; a tile as many as a core's own cache likes. */
static struct model measure_sizes(const struct model_config *config, unsigned members)
{
	size_t windows = EXACT_CHUNK / config->ctx, tile = size_max(1, TILE_TOKENS / config->ctx);

	return (struct model){
		.config = *config,
		.layout = layout_of(config),
		.member_count = members,
		.windows = windows,
		.tile = size_min(tile, windows),
	};
}

size_t model_memory(const struct model_config *config, unsigned members)
{
	struct model m = measure_sizes(config, members);

	return place_arrays(&m);
}

struct model *model_new(const struct model_config *config, enum engine engine, struct team *team)
{
	struct model *m = mem_calloc(1, sizeof *m);

	*m = measure_sizes(config, team_members(team));
	m->engine = engine;
	m->team = team;
	m->layers = mem_calloc(config->layers, sizeof *m->layers);
	m->members = mem_calloc(m->member_count, sizeof *m->members);
	m->matrices = mem_calloc(LAYER_MATRICES * (size_t)config->layers + 1, sizeof *m->matrices);
	m->arena = mem_align(model_memory(config, m->member_count));
	place_arrays(m);
	ops_rotary_table(config->ctx, config->d / config->heads, m->cosine, m->sine);
	return m;
}

void model_free(struct model *m)
{
	if (m == NULL)
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

/* ---- Checks ---- */

/* Vectors are drawn anew each time, after whoever made the operands has fixed them: so nobody can fit a fault to them.
 * A member's balance is its own, so threads do not meet here. */
void model_check(struct model *m, bool on)
{
	if (on)
		freivalds_draw(&m->vectors, widest_of(&m->config));
	for (size_t i = 0; i <= LAYER_MATRICES * (size_t)m->config.layers; i++)
		m->matrices[i].vectors = on ? &m->vectors : NULL;
	for (unsigned i = 0; i < m->member_count; i++) {
		struct pass_member *member = &m->members[i];

		member->check = (struct freivalds){ .vectors = &m->vectors };
		member->work.check = on ? &member->check : NULL;
	}
}

bool model_wrong(const struct model *m)
{
	for (unsigned i = 0; i < m->member_count; i++)
		if (m->members[i].check.wrong)
			return true;
	return false;
}
