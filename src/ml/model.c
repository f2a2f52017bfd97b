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

enum { MODEL_WIDTH_MAX = 4096, MODEL_HIDDEN_MAX = 16384, MODEL_LAYERS_MAX = 64 };
#define MODEL_COUNT_MAX ((size_t)1 << 28)

/* Multiples of 16 because sums run in sixteen lanes and attention in tiles of sixteen: no loop has a ragged edge. */
const char *model_config_check(const struct model_config *config)
{
	if (config->layers < 1 || config->layers > MODEL_LAYERS_MAX)
		return "layers must be 1 to 64";
	if (config->d < 16 || config->d > MODEL_WIDTH_MAX || config->d % 16 != 0)
		return "d must be a multiple of 16, up to 4096";
	if (config->heads < 1 || config->d % config->heads != 0 || config->d / config->heads % 16 != 0 ||
		config->d / config->heads > MODEL_HEAD_MAX)
		return "d / heads must be a multiple of 16, up to 128";
	if (config->ff < 16 || config->ff > MODEL_HIDDEN_MAX || config->ff % 16 != 0)
		return "ff must be a multiple of 16, up to 16384";
	if (config->ctx < 32 || config->ctx > MODEL_CTX_MAX || config->ctx % 16 != 0)
		return "ctx must be a multiple of 16, 32 to 1024";
	if (model_count(config) > MODEL_COUNT_MAX)
		return "the model must not have more than 2^28 parameters";
	return NULL;
}

/* The order of theta is consensus (doc/protocol.md section 4): model_root is over its bytes. */
struct model_layout model_layout_of(const struct model_config *config)
{
	size_t d = config->d, ff = config->ff;
	struct model_layout layout;

	layout.norm_attention = 0;
	layout.wqkv = d;
	layout.wo = layout.wqkv + 3 * d * d;
	layout.norm_mlp = layout.wo + d * d;
	layout.wgu = layout.norm_mlp + d;
	layout.wdown = layout.wgu + 2 * ff * d;
	layout.layer_size = layout.wdown + d * ff;
	layout.first_layer = MODEL_VOCABULARY * d;
	layout.norm = layout.first_layer + config->layers * layout.layer_size;
	layout.head = layout.norm + d;
	layout.count = layout.head + MODEL_VOCABULARY * d;
	return layout;
}

size_t model_count(const struct model_config *config)
{
	return model_layout_of(config).count;
}

size_t model_matrices(const struct model_config *config)
{
	return LAYER_MATRICES * (size_t)config->layers + 1;
}

enum { MODEL_LAYER_TENSORS = 9 };

size_t model_tensors(const struct model_config *config)
{
	return 1 + (size_t)config->layers * MODEL_LAYER_TENSORS + 2;
}

static void model_layer_tensor(const struct model_config *config, size_t layer, size_t part, struct model_tensor *out)
{
	size_t d = config->d, ff = config->ff;
	struct model_layout layout = model_layout_of(config);
	const struct {
		const char *name;
		size_t offset, rows, cols;
		enum model_kind kind;
	} tensors[MODEL_LAYER_TENSORS] = {
		{ "norm_attention", layout.norm_attention, 1, d, MODEL_NORM },
		{ "wq", layout.wqkv, d, d, MODEL_MATRIX },
		{ "wk", layout.wqkv + d * d, d, d, MODEL_MATRIX },
		{ "wv", layout.wqkv + 2 * d * d, d, d, MODEL_MATRIX },
		{ "wo", layout.wo, d, d, MODEL_RESIDUAL },
		{ "norm_mlp", layout.norm_mlp, 1, d, MODEL_NORM },
		{ "wgate", layout.wgu, ff, d, MODEL_MATRIX },
		{ "wup", layout.wgu + ff * d, ff, d, MODEL_MATRIX },
		{ "wdown", layout.wdown, d, ff, MODEL_RESIDUAL },
	};

	snprintf(out->name, sizeof out->name, "layer.%zu.%s", layer, tensors[part].name);
	out->offset = layout.first_layer + layer * layout.layer_size + tensors[part].offset;
	out->rows = tensors[part].rows;
	out->cols = tensors[part].cols;
	out->kind = tensors[part].kind;
}

void model_tensor(const struct model_config *config, size_t index, struct model_tensor *out)
{
	struct model_layout layout = model_layout_of(config);
	size_t norm = 1 + (size_t)config->layers * MODEL_LAYER_TENSORS;

	if (index == 0)
		*out = (struct model_tensor){ "embedding", 0, MODEL_VOCABULARY, config->d, MODEL_EMBEDDING };
	else if (index < norm)
		model_layer_tensor(config, (index - 1) / MODEL_LAYER_TENSORS, (index - 1) % MODEL_LAYER_TENSORS, out);
	else if (index == norm)
		*out = (struct model_tensor){ "norm", layout.norm, 1, config->d, MODEL_NORM };
	else
		*out = (struct model_tensor){ "head", layout.head, MODEL_VOCABULARY, config->d, MODEL_MATRIX };
}

/* ---- Memory ---- */

/* Tokens of a tile, unless one window has more. */
enum { MODEL_TILE_TOKENS = 256 };

size_t model_widest(const struct model_config *config)
{
	return size_max(size_max(3 * (size_t)config->d, 2 * (size_t)config->ff), MODEL_VOCABULARY);
}

/* Q, K and V are one matrix, and gate and up another: one product for all that starts from the same input. */
struct linear model_matrix(const struct model_config *config, size_t index)
{
	size_t d = config->d, ff = config->ff;
	struct model_layout layout = model_layout_of(config);
	size_t layer = layout.first_layer + index / LAYER_MATRICES * layout.layer_size;

	if (index == LAYER_MATRICES * (size_t)config->layers)
		return (struct linear){ .offset = layout.head, .out = MODEL_VOCABULARY, .in = d };
	switch (index % LAYER_MATRICES) {
	case LAYER_QKV:
		return (struct linear){ .offset = layer + layout.wqkv, .out = 3 * d, .in = d };
	case LAYER_OUT:
		return (struct linear){ .offset = layer + layout.wo, .out = d, .in = d };
	case LAYER_GATE_UP:
		return (struct linear){ .offset = layer + layout.wgu, .out = 2 * ff, .in = d };
	}
	return (struct linear){ .offset = layer + layout.wdown, .out = d, .in = ff };
}

/* A place in the arena, on a cache line of its own; counts in `used`. With no arena it only counts. */
static void *model_take_bytes(const struct model *model, size_t *used, size_t bytes)
{
	size_t at = *used;

	*used += (bytes + 63) / 64 * 64;
	return model->arena != NULL ? model->arena + at : NULL;
}

static float *model_take_floats(const struct model *model, size_t *used, size_t count)
{
	return model_take_bytes(model, used, count * sizeof(float));
}

static int32_t *model_take_integers(const struct model *model, size_t *used, size_t count)
{
	return model_take_bytes(model, used, count * sizeof(int32_t));
}

static struct freivalds_pair model_take_pair(const struct model *model, size_t *used, size_t count)
{
	int32_t *first = model_take_integers(model, used, count);

	return (struct freivalds_pair){ { first, model_take_integers(model, used, count) } };
}

/* For a whole chunk: what forward leaves here is what the way back reads. */
static void model_place_layer(const struct model *model, size_t *used, struct model_layer *layer)
{
	const struct model_config *config = &model->config;
	size_t tokens = model->windows * config->ctx, d = config->d;

	layer->h = model_take_floats(model, used, tokens * d);
	layer->qkv = model_take_floats(model, used, tokens * 3 * d);
	layer->p = model_take_floats(model, used, model->windows * config->heads * attention_kept(config->ctx));
	layer->a = model_take_floats(model, used, tokens * d);
	layer->h_mlp = model_take_floats(model, used, tokens * d);
	layer->gu = model_take_floats(model, used, tokens * 2 * config->ff);
	layer->r = model_take_floats(model, used, tokens);
	layer->r_mlp = model_take_floats(model, used, tokens);
	layer->a_largest = model_take_integers(model, used, model->windows * d);
}

/* For one tile: nobody else looks at it. */
static void model_place_member(const struct model *model, size_t *used, struct model_member *member)
{
	const struct model_config *config = &model->config;
	size_t tokens = model->tile * config->ctx, widest = model_widest(config);

	member->work.rounded = model_take_bytes(model, used, linear_rounded_size(tokens, widest));
	member->work.part = model_take_bytes(model, used, linear_part_size());
	member->work.sums = model_take_floats(model, used, LINEAR_KINDS * LINEAR_PART_ROWS);
	member->work.scratch = model_take_bytes(model, used, linear_scratch_size(tokens, widest));
	member->x = model_take_floats(model, used, tokens * size_max(config->d, config->ff));
	member->dx = model_take_floats(model, used, tokens * size_max(config->d, config->ff));
	member->attention = model_take_floats(model, used, attention_scratch(config->ctx, config->d / config->heads));
	for (int i = 0; i < 2; i++)
		member->largest[i] = model_take_integers(model, used, widest);
	member->work.projected = model_take_pair(model, used, LINEAR_TOKENS);
}

/* Places every array in the arena and returns how many bytes that takes. Called with no arena first, to measure: then
 * the counts of layers and members say how many there will be. One list for both, so what is promised (model_memory)
 * and what is used cannot part. */
static size_t model_place_arrays(struct model *model)
{
	const struct model_config *config = &model->config;
	size_t tokens = model->windows * config->ctx, d = config->d, used = 0;
	struct model_layer no_layer;
	struct model_member no_member;
	struct linear no_matrix = { 0 };

	for (size_t i = 0; i < config->layers; i++)
		model_place_layer(model, &used, model->arena != NULL ? &model->layers[i] : &no_layer);
	for (unsigned i = 0; i < model->member_count; i++)
		model_place_member(model, &used, model->arena != NULL ? &model->members[i] : &no_member);
	for (size_t i = 0; i < model_matrices(config); i++) {
		struct linear shape = model_matrix(config, i),
			      *w = model->arena != NULL ? &model->matrices[i] : &no_matrix;

		for (int j = 0; j < 2; j++)
			shape.memory[j] = model_take_bytes(model, &used, exact_operand_size(shape.out, shape.in));
		shape.projected[0] = model_take_pair(model, &used, shape.in);
		shape.projected[1] = model_take_pair(model, &used, shape.out);
		*w = shape;
	}
	model->vectors.r = model_take_pair(model, &used, model_widest(config));
	model->vectors.s = model_take_pair(model, &used, FREIVALDS_ROWS);
	model->bytes.of_token = model_take_bytes(model, &used, tokens);
	model->bytes.z = model_take_floats(model, &used, MODEL_VOCABULARY * d);
	model->bytes.qkv = model_take_floats(model, &used, MODEL_VOCABULARY * 3 * d);
	model->bytes.r = model_take_floats(model, &used, MODEL_VOCABULARY);
	model->h = model_take_floats(model, &used, tokens * d);
	model->r = model_take_floats(model, &used, tokens);
	model->logits = model_take_floats(model, &used, tokens * MODEL_VOCABULARY);
	model->losses = model_take_floats(model, &used, tokens);
	model->cosine = model_take_floats(model, &used, config->ctx * (d / config->heads / 2));
	model->sine = model_take_floats(model, &used, config->ctx * (d / config->heads / 2));
	model->dh[0] = model_take_floats(model, &used, tokens * d);
	model->dh[1] = model_take_floats(model, &used, tokens * d);
	model->dz = model_take_floats(model, &used, tokens * d);
	model->dy = model_take_floats(model, &used, tokens * model_widest(config));
	model->z = model_take_floats(model, &used, tokens * d);
	model->b = model_take_floats(model, &used, tokens * config->ff);
	model->dh_largest = model_take_integers(model, &used, model->windows * d);
	model->dy_largest = model_take_integers(model, &used, model->windows * model_widest(config));
	model->z_largest = model_take_integers(model, &used, model->windows * d);
	model->b_largest = model_take_integers(model, &used, model->windows * config->ff);
	return used;
}

/* The sizes alone, without memory. A chunk has as many windows as fit into the 1024 tokens that a gradient contracts
 * over without rounding; a tile as many as a core's own cache likes. */
static struct model model_measure(const struct model_config *config, unsigned members)
{
	size_t windows = EXACT_CHUNK / config->ctx, tile = size_max(1, MODEL_TILE_TOKENS / config->ctx);

	return (struct model){
		.config = *config,
		.layout = model_layout_of(config),
		.member_count = members,
		.windows = windows,
		.tile = size_min(tile, windows),
	};
}

size_t model_memory(const struct model_config *config, unsigned members)
{
	struct model model = model_measure(config, members);

	return model_place_arrays(&model);
}

struct model *model_new(const struct model_config *config, enum engine engine, struct team *team)
{
	struct model *model = mem_calloc(1, sizeof *model);

	*model = model_measure(config, team_members(team));
	model->engine = engine;
	model->team = team;
	model->layers = mem_calloc(config->layers, sizeof *model->layers);
	model->members = mem_calloc(model->member_count, sizeof *model->members);
	model->matrices = mem_calloc(model_matrices(config), sizeof *model->matrices);
	model->arena = mem_align(model_memory(config, model->member_count));
	model_place_arrays(model);
	ops_rotary_table(config->ctx, config->d / config->heads, model->cosine, model->sine);
	return model;
}

void model_free(struct model *model)
{
	if (model == NULL)
		return;
	free(model->arena);
	free(model->layers);
	free(model->members);
	free(model->matrices);
	free(model);
}

const struct model_config *model_config(const struct model *model)
{
	return &model->config;
}

void model_set_least_weight(struct model *model, float least)
{
	model->least_weight = least;
}

void model_set_census(struct model *model, struct census_matrix *census)
{
	model->census = census;
}

void model_set_profile(struct model *model, struct profile *profile)
{
	model->profile = profile;
}

struct profile *model_profile(const struct model *model)
{
	return model->profile;
}

/* ---- Checks ---- */

/* Vectors are drawn anew each time, after whoever made the operands has fixed them: so nobody can fit a fault to them.
 * A member's balance is its own, so threads do not meet here. */
void model_check(struct model *model, bool on)
{
	if (on)
		freivalds_draw(&model->vectors, model_widest(&model->config));
	for (size_t i = 0; i < model_matrices(&model->config); i++)
		model->matrices[i].vectors = on ? &model->vectors : NULL;
	for (unsigned i = 0; i < model->member_count; i++) {
		struct model_member *member = &model->members[i];

		member->check = (struct freivalds){ .vectors = &model->vectors };
		member->work.check = on ? &member->check : NULL;
	}
}

bool model_wrong(const struct model *model)
{
	for (unsigned i = 0; i < model->member_count; i++)
		if (model->members[i].check.wrong)
			return true;
	return false;
}
