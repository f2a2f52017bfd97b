/* Forward and back over a batch: chunks, tiles of windows, and who of the team takes which task. */
#include "ml/pass.h"

#include <fenv.h>

#include "ml/kernel/attention.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "ml/kernel/ops.h"
#include "ml/workspace.h"
#include "util/queue.h"

/* A chunk's way through the model. The team's members take its tasks; which of them takes which makes no difference. */
struct pass {
	struct model *model;
	const float *theta;
	float *gradient;        /* NULL: forward only */
	const uint8_t *windows; /* of this chunk */
	size_t rows, tokens, tile, tiles;
	bool first; /* the gradient's matrices are still zero */
	float inv;
	struct pass_dither dither; /* of this chunk */
	const atomic_bool *cancel;
	atomic_bool failed;
	size_t layer; /* under way */
	struct pass_product {
		const struct linear *w;
		const float *dy, *x;
		const int32_t *dy_largest, *x_largest; /* [tiles][...] */
	} products[2];
	size_t product_count;
	const float *norm_x, *norm_r; /* the norm whose gain's gradient is under way */
	size_t norm_offset;
};

/* What a task of one tile works on. */
struct pass_tile {
	struct pass *pass;
	struct model *model;
	struct model_member *member;
	struct profile *profile; /* the caller's share alone is counted */
	size_t index, row, rows, token, tokens;
};

/* Whether there is still a reason to go on. A pass of one thread also lets go first here who is in more of a hurry,
 * some milliseconds after he has come; one of a team does that between its chunks, when its other members rest. */
static bool pass_goes_on(struct pass *pass)
{
	if (pass->model->team == NULL)
		queue_pause(pass->cancel);
	if (pass->cancel != NULL && atomic_load_explicit(pass->cancel, memory_order_relaxed))
		atomic_store_explicit(&pass->failed, true, memory_order_relaxed);
	return !atomic_load_explicit(&pass->failed, memory_order_relaxed);
}

static void pass_fail(struct pass *pass)
{
	atomic_store_explicit(&pass->failed, true, memory_order_relaxed);
}

/* Arrays of the chunk are indexed by its token, a member's own from 0 on. */
static struct pass_tile pass_tile_of(struct pass *pass, size_t index, unsigned member)
{
	struct model *model = pass->model;
	size_t row = index * pass->tile, rows = size_min(pass->tile, pass->rows - row), ctx = model->config.ctx;

	/* A library built for speed may have told this thread to flush subnormals. */
	fesetenv(FE_DFL_ENV);
	return (struct pass_tile){
		.pass = pass,
		.model = model,
		.member = &model->members[member],
		.profile = member == 0 ? model->profile : NULL,
		.index = index,
		.row = row,
		.rows = rows,
		.token = row * ctx,
		.tokens = rows * ctx,
	};
}

static const struct linear *pass_layer_matrix(const struct model *model, size_t layer, size_t matrix)
{
	return &model->matrices[layer * LAYER_MATRICES + matrix];
}

static const struct linear *pass_head_matrix(const struct model *model)
{
	return &model->matrices[model->config.layers * LAYER_MATRICES];
}

static size_t pass_layer_offset(const struct model *model, size_t layer)
{
	return model->layout.first_layer + layer * model->layout.layer_size;
}

/* Tokens that are worked on at a time where one operation's result is the next one's operand. */
enum { PASS_STRIP = 16 };

/* What a product multiplies next: rows of the tile's x [tokens][width]. `largest`: [tiles][width]. */
static void pass_take_rows(const struct pass_tile *tile, const float *x, size_t width, size_t first, size_t count,
	int32_t *largest)
{
	linear_take(&tile->member->work, tile->model->engine, x, tile->tokens, width, first, count,
		largest != NULL ? largest + tile->index * width : NULL);
}

/* The tile's y = x W^T, and dx = dy W. */
static bool pass_multiply_taken(const struct pass_tile *tile, const struct linear *w, const float *x, float *y)
{
	return linear_forward(w, tile->model->engine, &tile->member->work, x, tile->tokens, y);
}

static bool pass_multiply_taken_back(const struct pass_tile *tile, const struct linear *w, const float *dy, float *dx)
{
	return linear_backward(w, tile->model->engine, &tile->member->work, dy, tile->tokens, dx);
}

static bool pass_multiply(const struct pass_tile *tile, const struct linear *w, const float *x, float *y,
	int32_t *largest)
{
	pass_take_rows(tile, x, w->in, 0, tile->tokens, largest);
	return pass_multiply_taken(tile, w, x, y);
}

/* `tokens` rows of what the matrix multiplies on the way forward. */
static void pass_count(const struct pass_tile *tile, const struct linear *w, const float *x, size_t tokens)
{
	struct model *model = tile->model;

	if (model->census != NULL)
		census_rows(&model->census[w - model->matrices].of[CENSUS_X], x, tokens, w->in);
}

static bool pass_multiply_forward(const struct pass_tile *tile, const struct linear *w, const float *x, float *y,
	int32_t *largest)
{
	pass_count(tile, w, x, tile->tokens);
	return pass_multiply(tile, w, x, y, largest);
}

static bool pass_multiply_back(const struct pass_tile *tile, const struct linear *w, const float *dy, float *dx,
	int32_t *largest)
{
	pass_take_rows(tile, dy, w->out, 0, tile->tokens, largest);
	return pass_multiply_taken_back(tile, w, dy, dx);
}

/* The largest sizes among rows of a tile's x, into [tiles][width]; the first rows come first. */
static void pass_measure_rows(const struct pass_tile *tile, const float *x, size_t width, size_t first, size_t count,
	int32_t *largest)
{
	int32_t *of_tile = largest + tile->index * width;

	if (tile->model->engine == ENGINE_PLAIN)
		return;
	profile_lap(tile->profile, PROFILE_ELEMENTWISE);
	if (first == 0)
		memset(of_tile, 0, width * sizeof *of_tile);
	exact_largest(x + first * width, count, width, of_tile);
	profile_lap(tile->profile, PROFILE_QUANTISE);
}

static struct ops_rotary pass_rotary(const struct model *model)
{
	return (struct ops_rotary){ model->cosine, model->sine, model->config.ctx, model->config.heads,
		model->config.d / model->config.heads };
}

static struct attention pass_attention(const struct pass_tile *tile)
{
	const struct model_config *config = &tile->model->config;

	return (struct attention){ config->ctx, config->d / config->heads, 3 * (size_t)config->d, config->d,
		tile->member->attention, tile->model->least_weight };
}

/* One head after the other, for each window: where q and a of head i of the tile begin, and its p. */
struct pass_head {
	size_t qkv, a, p;
};

static struct pass_head pass_head_of(const struct pass_tile *tile, size_t i)
{
	const struct model_config *config = &tile->model->config;
	size_t token = tile->token + i / config->heads * config->ctx,
	       column = i % config->heads * (config->d / config->heads);

	return (struct pass_head){
		.qkv = token * 3 * config->d + column,
		.a = token * config->d + column,
		.p = (tile->row * config->heads + i) * attention_kept(config->ctx),
	};
}

/* What comes after a query in the tile of its own key is 0, and so not counted. */
static void pass_count_attention(const struct pass_tile *tile, const struct model_layer *layer)
{
	struct model *model = tile->model;
	const size_t heads = model->config.heads, kept = attention_kept(model->config.ctx);
	const size_t sharp = census_sharp(layer->p + tile->row * heads * kept, tile->rows * heads * kept);

	atomic_fetch_add_explicit(&model->census[(size_t)(layer - model->layers) * LAYER_MATRICES + LAYER_OUT].sharp,
		(long long)sharp, memory_order_relaxed);
}

static void pass_attend(const struct pass_tile *tile, const struct model_layer *layer)
{
	struct attention shape = pass_attention(tile);
	size_t d = tile->model->config.d;

	profile_lap(tile->profile, PROFILE_ELEMENTWISE);
	for (size_t i = 0; i < tile->rows * tile->model->config.heads; i++) {
		struct pass_head head = pass_head_of(tile, i);
		const float *q = layer->qkv + head.qkv;

		attention_forward(&shape, q, q + d, q + 2 * d, layer->p + head.p, layer->a + head.a);
	}
	profile_lap(tile->profile, PROFILE_ATTENTION);
	if (tile->model->census != NULL)
		pass_count_attention(tile, layer);
}

/* da: of the tile alone. */
static void pass_attend_backward(const struct pass_tile *tile, const struct model_layer *layer, const float *da,
	float *dqkv)
{
	struct attention shape = pass_attention(tile);
	size_t d = tile->model->config.d;

	profile_lap(tile->profile, PROFILE_ELEMENTWISE);
	for (size_t i = 0; i < tile->rows * tile->model->config.heads; i++) {
		struct pass_head head = pass_head_of(tile, i);
		const float *q = layer->qkv + head.qkv;
		float *dq = dqkv + head.qkv;

		attention_backward(&shape, q, q + d, q + 2 * d, layer->p + head.p, da + head.a - tile->token * d, dq,
			dq + d, dq + 2 * d);
	}
	profile_lap(tile->profile, PROFILE_ATTENTION);
}

/* ---- The first layer's q, k and v: once for each byte ---- */

/* Bytes of a task; a tile has more tokens. */
enum { PASS_BYTES = 64 };

/* Only those that the batch has: another byte's embedding may have no grid, and the pass must not fail for it. */
static void pass_list_bytes(const struct pass *pass, const uint8_t *windows, size_t rows)
{
	struct model_bytes *bytes = &pass->model->bytes;
	size_t ctx = pass->model->config.ctx;
	bool occurs[MODEL_VOCABULARY] = { false };

	for (size_t row = 0; row < rows; row++)
		for (size_t token = 0; token < ctx; token++)
			occurs[windows[row * (ctx + 1) + token]] = true;
	bytes->count = 0;
	for (size_t i = 0; i < MODEL_VOCABULARY; i++)
		if (occurs[i]) {
			bytes->place[i] = (uint8_t)bytes->count;
			bytes->list[bytes->count++] = (uint8_t)i;
		}
}

/* Products are exact, so a row's is the same whichever rows it is multiplied with. */
static void pass_bytes_task(void *arg, size_t task, unsigned member)
{
	struct pass *pass = arg;
	struct model *model = pass->model;
	const struct model_bytes *bytes = &model->bytes;
	size_t d = model->config.d, first = task * PASS_BYTES, count = size_min(PASS_BYTES, bytes->count - first);
	const struct pass_tile tile = {
		.pass = pass,
		.model = model,
		.member = &model->members[member],
		.tokens = count,
	};
	const float *gain = pass->theta + pass_layer_offset(model, 0) + model->layout.norm_attention;

	fesetenv(FE_DFL_ENV);
	ops_embed(pass->theta, bytes->list + first, 1, count, d, tile.member->dx);
	ops_rmsnorm(tile.member->dx, gain, count, d, bytes->z + first * d, bytes->r + first);
	if (!pass_multiply(&tile, pass_layer_matrix(model, 0, LAYER_QKV), bytes->z + first * d,
		    bytes->qkv + first * 3 * d, NULL))
		pass_fail(pass);
}

static void pass_look_up(const struct pass_tile *tile, const struct model_layer *layer)
{
	const struct model_bytes *bytes = &tile->model->bytes;
	size_t ctx = tile->model->config.ctx, width = 3 * (size_t)tile->model->config.d;

	for (size_t i = 0; i < tile->tokens; i++) {
		size_t token = tile->token + i,
		       place = bytes->place[tile->pass->windows[token / ctx * (ctx + 1) + token % ctx]];

		pass_count(tile, pass_layer_matrix(tile->model, 0, LAYER_QKV), bytes->z + place * width / 3, 1);
		memcpy(layer->qkv + token * width, bytes->qkv + place * width, width * sizeof(float));
		layer->r[token] = bytes->r[place];
		bytes->of_token[token] = (uint8_t)place;
	}
}

/* ---- Forward, and back through the head: tiles on their own ---- */

/* The layer's q, k and v, before they are rotated. */
static bool pass_project(const struct pass_tile *tile, size_t index)
{
	struct model *model = tile->model;
	const struct model_layer *layer = &model->layers[index];
	size_t d = model->config.d, at = tile->token * d;

	if (index == 0) {
		pass_look_up(tile, layer);
		return true;
	}
	ops_rmsnorm(layer->h + at, tile->pass->theta + pass_layer_offset(model, index) + model->layout.norm_attention,
		tile->tokens, d, tile->member->x, layer->r + tile->token);
	return pass_multiply_forward(tile, pass_layer_matrix(model, index, LAYER_QKV), tile->member->x,
		layer->qkv + 3 * at, NULL);
}

/* From l->h to `out`, the next layer's h. What the way back needs (h, qkv, p, a, h_mlp, gu and the norms' scales) stays
 * in the layer; the rest is computed again there. */
static bool pass_layer_forward(const struct pass_tile *tile, size_t index, float *out)
{
	struct model *model = tile->model;
	const struct model_layer *layer = &model->layers[index];
	size_t d = model->config.d, ff = model->config.ff, at = tile->token * d;
	const float *theta = tile->pass->theta + pass_layer_offset(model, index);
	struct ops_rotary rotary = pass_rotary(model);
	float *x = tile->member->x, *qkv = layer->qkv + 3 * at, *gu = layer->gu + tile->token * 2 * ff;

	if (!pass_project(tile, index))
		return false;
	ops_rotate(&rotary, qkv, tile->tokens, false);
	pass_attend(tile, layer);
	if (!pass_multiply_forward(tile, pass_layer_matrix(model, index, LAYER_OUT), layer->a + at, layer->h_mlp + at,
		    layer->a_largest))
		return false;
	ops_add(layer->h_mlp + at, layer->h + at, tile->tokens * d);
	ops_rmsnorm(layer->h_mlp + at, theta + model->layout.norm_mlp, tile->tokens, d, x, layer->r_mlp + tile->token);
	if (!pass_multiply_forward(tile, pass_layer_matrix(model, index, LAYER_GATE_UP), x, gu, NULL))
		return false;
	for (size_t token = 0; token < tile->tokens; token += PASS_STRIP) {
		ops_gate(gu + token * 2 * ff, PASS_STRIP, ff, x + token * ff);
		pass_take_rows(tile, x, ff, token, PASS_STRIP, NULL);
	}
	pass_count(tile, pass_layer_matrix(model, index, LAYER_DOWN), x, tile->tokens);
	if (!pass_multiply_taken(tile, pass_layer_matrix(model, index, LAYER_DOWN), x, out + at))
		return false;
	ops_add(out + at, layer->h_mlp + at, tile->tokens * d);
	return true;
}

/* The gradient of the tile's logits, of those tokens that are counted: the others' is zero and stays so. */
static void pass_dither_logits(const struct pass_tile *tile, float *logits)
{
	const struct pass_dither *dither = &tile->pass->dither;
	size_t ctx = tile->model->config.ctx;
	_Alignas(64) uint32_t noise[MODEL_VOCABULARY];

	for (size_t token = 0; token < tile->tokens; token++) {
		if (token % ctx < MODEL_SKIPPED)
			continue;
		noise_dither(dither->key, (uint32_t)(dither->first_row * ctx + tile->token + token), noise);
		exact_dither(logits + token * MODEL_VOCABULARY, noise, MODEL_VOCABULARY, tile->pass->inv);
	}
}

/* From the last layer's h to the losses, and on a training pass back to its gradient. */
static bool pass_head_forward_backward(const struct pass_tile *tile)
{
	struct model *model = tile->model;
	size_t d = model->config.d, at = tile->token * d;
	const float *gain = tile->pass->theta + model->layout.norm, *h = model->h + at;
	float *logits = model->logits + tile->token * MODEL_VOCABULARY, *x = tile->member->x;

	ops_rmsnorm(h, gain, tile->tokens, d, x, model->r + tile->token);
	if (!pass_multiply_forward(tile, pass_head_matrix(model), x, logits, NULL))
		return false;
	ops_cross_entropy(logits, tile->pass->windows + tile->row * (model->config.ctx + 1), tile->rows,
		model->config.ctx, tile->pass->inv, tile->pass->gradient != NULL, model->losses + tile->token);
	if (tile->pass->gradient == NULL)
		return true;
	/* The plain engine rounds nothing, so it has no grid to be dithered on. */
	if (model->engine != ENGINE_PLAIN)
		pass_dither_logits(tile, logits);
	if (!pass_multiply_back(tile, pass_head_matrix(model), logits, model->dz + at, model->dy_largest))
		return false;
	ops_rmsnorm_backward(h, gain, model->r + tile->token, model->dz + at, NULL, tile->tokens, d, model->dh[0] + at,
		model->z + at);
	pass_measure_rows(tile, model->z + at, d, 0, tile->tokens, model->z_largest);
	return true;
}

static void pass_forward_tile(void *arg, size_t task, unsigned member)
{
	struct pass_tile tile = pass_tile_of(arg, task, member);
	struct model *model = tile.model;
	size_t layers = model->config.layers, d = model->config.d, ctx = model->config.ctx;

	ops_embed(tile.pass->theta, tile.pass->windows + tile.row * (ctx + 1), tile.rows, ctx, d,
		model->layers[0].h + tile.token * d);
	for (size_t i = 0; i < layers; i++)
		if (!pass_goes_on(tile.pass) ||
			!pass_layer_forward(&tile, i, i + 1 < layers ? model->layers[i + 1].h : model->h))
			return pass_fail(tile.pass);
	if (!pass_head_forward_backward(&tile))
		pass_fail(tile.pass);
	profile_lap(tile.profile, PROFILE_ELEMENTWISE);
}

/* ---- Back: a half of a layer in tiles, then the gradients of its matrices over the whole chunk ---- */

/* The gated unit: dh[0] to dh[1]. */
static void pass_mlp_backward_tile(void *arg, size_t task, unsigned member)
{
	struct pass_tile tile = pass_tile_of(arg, task, member);
	struct model *model = tile.model;
	const struct model_layer *layer = &model->layers[tile.pass->layer];
	size_t d = model->config.d, ff = model->config.ff, at = tile.token * d;
	const float *gain = tile.pass->theta + pass_layer_offset(model, tile.pass->layer) + model->layout.norm_mlp;
	const float *gu = layer->gu + tile.token * 2 * ff;
	float *db = tile.member->dx, *dgu = model->dy + tile.token * 2 * ff, *b = model->b + tile.token * ff;

	if (!pass_goes_on(tile.pass) ||
		!pass_multiply_back(&tile, pass_layer_matrix(model, tile.pass->layer, LAYER_DOWN), model->dh[0] + at,
			db, model->dh_largest))
		return pass_fail(tile.pass);
	for (size_t token = 0; token < tile.tokens; token += PASS_STRIP) {
		ops_gate_backward(gu + token * 2 * ff, db + token * ff, PASS_STRIP, ff, dgu + token * 2 * ff,
			b + token * ff);
		pass_measure_rows(&tile, b, ff, token, PASS_STRIP, model->b_largest);
		pass_take_rows(&tile, dgu, 2 * ff, token, PASS_STRIP, model->dy_largest);
	}
	if (!pass_multiply_taken_back(&tile, pass_layer_matrix(model, tile.pass->layer, LAYER_GATE_UP), dgu,
		    model->dz + at))
		return pass_fail(tile.pass);
	ops_rmsnorm_backward(layer->h_mlp + at, gain, layer->r_mlp + tile.token, model->dz + at, model->dh[0] + at,
		tile.tokens, d, model->dh[1] + at, model->z + at);
	pass_measure_rows(&tile, model->z + at, d, 0, tile.tokens, model->z_largest);
}

/* Attention: dh[1] to dh[0]. */
static void pass_attention_backward_tile(void *arg, size_t task, unsigned member)
{
	struct pass_tile tile = pass_tile_of(arg, task, member);
	struct model *model = tile.model;
	const struct model_layer *layer = &model->layers[tile.pass->layer];
	size_t d = model->config.d, at = tile.token * d;
	const float *gain = tile.pass->theta + pass_layer_offset(model, tile.pass->layer) +
		model->layout.norm_attention;
	struct ops_rotary rotary = pass_rotary(model);
	float *da = tile.member->dx, *dqkv = model->dy + 3 * at;

	if (!pass_goes_on(tile.pass) ||
		!pass_multiply_back(&tile, pass_layer_matrix(model, tile.pass->layer, LAYER_OUT), model->dh[1] + at, da,
			model->dh_largest))
		return pass_fail(tile.pass);
	pass_attend_backward(&tile, layer, da, model->dy);
	ops_rotate(&rotary, dqkv, tile.tokens, true);
	if (!pass_multiply_back(&tile, pass_layer_matrix(model, tile.pass->layer, LAYER_QKV), dqkv, model->dz + at,
		    model->dy_largest))
		return pass_fail(tile.pass);
	ops_rmsnorm_backward(layer->h + at, gain, layer->r + tile.token, model->dz + at, model->dh[1] + at, tile.tokens,
		d, model->dh[0] + at, model->z + at);
	pass_measure_rows(&tile, model->z + at, d, 0, tile.tokens, model->z_largest);
}

/* The larger of all tiles' numbers, [tiles][width], column by column. A maximum does not depend on how windows were
 * parted into tiles, nor a grid, which follows from it: that is why tiles may follow the number of threads. */
static void pass_merge_largest(const struct pass *pass, const int32_t *largest, size_t width, int32_t *merged)
{
	memcpy(merged, largest, width * sizeof *merged);
	for (size_t i = 1; i < pass->tiles; i++)
		for (size_t j = 0; j < width; j++)
			merged[j] = largest[i * width + j] > merged[j] ? largest[i * width + j] : merged[j];
}

/* Rows of a matrix per task: so that all members have some, and no task more than linear_gradient takes. */
static size_t pass_rows_per_task(const struct pass *pass, const struct linear *w)
{
	size_t parts = size_max((w->out + LINEAR_ROWS - 1) / LINEAR_ROWS, pass->model->member_count);

	return ((w->out + parts - 1) / parts + 15) / 16 * 16;
}

/* Columns of a sum over tokens per task. */
static size_t pass_columns_per_task(const struct pass *pass)
{
	size_t members = pass->model->member_count;

	return (pass->model->config.d + 16 * members - 1) / (16 * members) * 16;
}

static size_t pass_tasks(size_t total, size_t per_task)
{
	return (total + per_task - 1) / per_task;
}

/* Whether the gradient of the first layer's q, k and v contracts over bytes instead of tokens. Integers of 8 bits have
 * no room for sums over the tokens of a byte. */
static bool pass_contracts_bytes(const struct pass *pass)
{
	return engine_form(pass->model->engine) == ENGINE_FLOATS && pass->model->bytes.count < pass->tokens;
}

/* The gradient of some rows of a matrix contracts over the whole chunk, so all tiles have come before. Rows are nobody
 * else's: tasks write to places of their own. */
static void pass_gradient_rows(struct pass *pass, const struct pass_product *product, size_t task,
	struct model_member *member)
{
	const struct linear *w = product->w;
	size_t rows = pass_rows_per_task(pass, w), first = task * rows;
	struct linear_chunk chunk = {
		.dy = product->dy,
		.x = product->x,
		.tokens = pass->tokens,
		.dy_largest = member->largest[0],
		.x_largest = member->largest[1],
	};

	if (w == pass_layer_matrix(pass->model, 0, LAYER_QKV) && pass_contracts_bytes(pass)) {
		chunk.x = pass->model->bytes.z;
		chunk.kinds = pass->model->bytes.of_token;
		chunk.kind_count = pass->model->bytes.count;
	}
	if (pass->model->engine != ENGINE_PLAIN) {
		pass_merge_largest(pass, product->dy_largest, w->out, member->largest[0]);
		pass_merge_largest(pass, product->x_largest, w->in, member->largest[1]);
	}
	if (!linear_gradient(w, pass->model->engine, &member->work, &chunk, first, size_min(rows, w->out - first),
		    !pass->first, pass->gradient))
		pass_fail(pass);
}

/* Tasks are the rows of the matrices, then the columns of the norm's gain. */
static void pass_gradients_task(void *arg, size_t task, unsigned member)
{
	struct pass *pass = arg;
	struct model *model = pass->model;
	struct profile *profile = member == 0 ? model->profile : NULL;

	fesetenv(FE_DFL_ENV);
	if (!pass_goes_on(pass))
		return;
	for (size_t i = 0; i < pass->product_count; i++) {
		size_t tasks = pass_tasks(pass->products[i].w->out, pass_rows_per_task(pass, pass->products[i].w));

		if (task < tasks)
			return pass_gradient_rows(pass, &pass->products[i], task, &model->members[member]);
		task -= tasks;
	}
	size_t columns = pass_columns_per_task(pass), first = task * columns;

	profile_lap(profile, PROFILE_ELEMENTWISE);
	ops_rmsnorm_backward_gain(pass->norm_x, pass->norm_r, model->dz, pass->tokens, model->config.d, first,
		size_min(columns, model->config.d - first), pass->gradient + pass->norm_offset);
	profile_lap(profile, PROFILE_ELEMENTWISE);
}

/* The gradients of pass->products and of the norm before them. */
static void pass_run_gradients(struct pass *pass)
{
	size_t tasks = pass_tasks(pass->model->config.d, pass_columns_per_task(pass));

	for (size_t i = 0; i < pass->product_count; i++)
		tasks += pass_tasks(pass->products[i].w->out, pass_rows_per_task(pass, pass->products[i].w));
	team_run(pass->model->team, pass_gradients_task, pass, tasks);
}

static void pass_head_gradients(struct pass *pass)
{
	struct model *model = pass->model;

	pass->product_count = 1;
	pass->products[0] = (struct pass_product){ pass_head_matrix(model), model->logits, model->z, model->dy_largest,
		model->z_largest };
	pass->norm_x = model->h;
	pass->norm_r = model->r;
	pass->norm_offset = model->layout.norm;
	pass_run_gradients(pass);
}

/* Twice the same: tiles first, then matrices, which contract over all tokens. dh[0] and dh[1] take turns, and dy, z and
 * b hold one half of the layer at a time: so no task may run ahead into the next half. */
static void pass_layer_backward(struct pass *pass, size_t index)
{
	struct model *model = pass->model;
	const struct model_layer *layer = &model->layers[index];
	size_t offset = pass_layer_offset(model, index);

	pass->layer = index;
	pass->product_count = 2;
	team_run(model->team, pass_mlp_backward_tile, pass, pass->tiles);
	pass->products[0] = (struct pass_product){ pass_layer_matrix(model, index, LAYER_DOWN), model->dh[0], model->b,
		model->dh_largest, model->b_largest };
	pass->products[1] = (struct pass_product){ pass_layer_matrix(model, index, LAYER_GATE_UP), model->dy, model->z,
		model->dy_largest, model->z_largest };
	pass->norm_x = layer->h_mlp;
	pass->norm_r = layer->r_mlp;
	pass->norm_offset = offset + model->layout.norm_mlp;
	pass_run_gradients(pass);

	team_run(model->team, pass_attention_backward_tile, pass, pass->tiles);
	pass->products[0] = (struct pass_product){ pass_layer_matrix(model, index, LAYER_OUT), model->dh[1], layer->a,
		model->dh_largest, layer->a_largest };
	pass->products[1] = (struct pass_product){ pass_layer_matrix(model, index, LAYER_QKV), model->dy, model->z,
		model->dy_largest, model->z_largest };
	pass->norm_x = layer->h;
	pass->norm_r = layer->r;
	pass->norm_offset = offset + model->layout.norm_attention;
	pass_run_gradients(pass);
}

/* By columns, as several tokens add to one row: two members never write to the same place, and each sum runs over
 * tokens in their order. */
static void pass_embedding_task(void *arg, size_t task, unsigned member)
{
	const struct pass *pass = arg;
	const struct model *model = pass->model;
	size_t columns = pass_columns_per_task(pass), first = task * columns, d = model->config.d;

	(void)member;
	fesetenv(FE_DFL_ENV);
	ops_embed_backward(model->dh[0], pass->windows, pass->rows, model->config.ctx, d, first,
		size_min(columns, d - first), pass->gradient);
}

/* Each team_run is a wall: what it wrote is whole before the next one reads it. */
static void pass_run_backward(struct pass *pass)
{
	struct model *model = pass->model;

	pass_head_gradients(pass);
	for (size_t i = model->config.layers; pass_goes_on(pass) && i-- > 0;)
		pass_layer_backward(pass, i);
	if (pass_goes_on(pass))
		team_run(model->team, pass_embedding_task, pass,
			pass_tasks(model->config.d, pass_columns_per_task(pass)));
	profile_lap(model->profile, PROFILE_ELEMENTWISE);
}

/* ---- A batch ---- */

static void pass_count_matrix(const struct pass *pass, size_t index)
{
	const struct linear *w = &pass->model->matrices[index];
	struct census *of = pass->model->census[index].of;

	census_rows(&of[CENSUS_ROWS], pass->theta + w->offset, w->out, w->in);
	census_columns(&of[CENSUS_COLUMNS], pass->theta + w->offset, w->out, w->in);
}

static void pass_round_matrix(void *arg, size_t task, unsigned member)
{
	struct pass *pass = arg;

	(void)member;
	fesetenv(FE_DFL_ENV);
	if (pass->model->census != NULL)
		pass_count_matrix(pass, task);
	if (!linear_round(&pass->model->matrices[task], pass->model->engine, pass->theta, pass->gradient != NULL))
		pass_fail(pass);
}

/* Blocks are no larger than memory allows, and as many as there are members if there are windows enough. The number of
 * tiles changes no bit (pass_merge_largest), so it may follow the machine. */
static void pass_choose_tiles(struct pass *pass)
{
	size_t members = pass->model->member_count;

	pass->tile = size_min(pass->model->tile, (pass->rows + members - 1) / members);
	pass->tiles = (pass->rows + pass->tile - 1) / pass->tile;
}

/* As pass_gradient, with a gradient that starts as zeros; as pass_loss if gradient is NULL. */
static bool pass_run(struct model *model, const float *theta, const uint8_t *windows, size_t rows,
	struct pass_dither dither, const atomic_bool *cancel, float *gradient, float *loss)
{
	size_t ctx = model->config.ctx;
	float lane[16] = { 0 };
	struct pass pass = {
		.model = model,
		.theta = theta,
		.gradient = gradient,
		.cancel = cancel,
		/* Over the whole batch, so chunks just add up. */
		.inv = 1.0f / (float)(rows * (ctx - MODEL_SKIPPED)),
	};

	profile_begin(model->profile);
	model->members[0].work.profile = model->profile;
	team_run(model->team, pass_round_matrix, &pass, model_matrices(&model->config));
	profile_lap(model->profile, PROFILE_QUANTISE);
	pass_list_bytes(&pass, windows, rows);
	if (pass_goes_on(&pass))
		team_run(model->team, pass_bytes_task, &pass, pass_tasks(model->bytes.count, PASS_BYTES));
	for (size_t done = 0; done < rows && pass_goes_on(&pass); done += pass.rows) {
		queue_pause(cancel);
		pass.windows = windows + done * (ctx + 1);
		pass.rows = size_min(rows - done, model->windows);
		pass.tokens = pass.rows * ctx;
		pass.first = done == 0;
		pass.dither = (struct pass_dither){ dither.key, dither.first_row + (uint32_t)done };
		pass_choose_tiles(&pass);
		team_run(model->team, pass_forward_tile, &pass, pass.tiles);
		if (gradient != NULL && pass_goes_on(&pass))
			pass_run_backward(&pass);
		ops_sum_losses(model->losses, pass.rows, ctx, lane);
	}
	profile_lap(model->profile, PROFILE_ELEMENTWISE);
	*loss = math_fold16(lane) * pass.inv;
	return pass_goes_on(&pass);
}

bool pass_gradient(struct model *model, const float *theta, const uint8_t *windows, size_t rows,
	struct pass_dither dither, const atomic_bool *cancel, float *gradient, float *loss)
{
	memset(gradient, 0, model->layout.count * sizeof(float));
	return pass_run(model, theta, windows, rows, dither, cancel, gradient, loss);
}

bool pass_loss(struct model *model, const float *theta, const uint8_t *windows, size_t rows, const atomic_bool *cancel,
	float *loss)
{
	return pass_run(model, theta, windows, rows, (struct pass_dither){ 0 }, cancel, NULL, loss);
}
