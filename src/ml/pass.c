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
	struct model *m;
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
	struct product {
		const struct linear *w;
		const float *dy, *x;
		const int32_t *dy_largest, *x_largest; /* [tiles][...] */
	} products[2];
	size_t product_count;
	const float *norm_x, *norm_r; /* the norm whose gain's gradient is under way */
	size_t norm_offset;
};

/* What a task of one tile works on. */
struct tile {
	struct pass *pass;
	struct model *m;
	struct pass_member *member;
	struct profile *profile; /* the caller's share alone is counted */
	size_t index, row, rows, token, tokens;
};

/* Whether there is still a reason to go on. A pass of one thread also lets go first here who is in more of a hurry,
 * some milliseconds after he has come; one of a team does that between its chunks, when its other members rest. */
static bool goes_on(struct pass *pass)
{
	if (pass->m->team == NULL)
		queue_pause(pass->cancel);
	if (pass->cancel != NULL && atomic_load_explicit(pass->cancel, memory_order_relaxed))
		atomic_store_explicit(&pass->failed, true, memory_order_relaxed);
	return !atomic_load_explicit(&pass->failed, memory_order_relaxed);
}

static void fail_pass(struct pass *pass)
{
	atomic_store_explicit(&pass->failed, true, memory_order_relaxed);
}

/* Arrays of the chunk are indexed by its token, a member's own from 0 on. */
static struct tile tile_of(struct pass *pass, size_t index, unsigned member)
{
	struct model *m = pass->m;
	size_t row = index * pass->tile, rows = size_min(pass->tile, pass->rows - row), ctx = m->config.ctx;

	/* A library built for speed may have told this thread to flush subnormals. */
	fesetenv(FE_DFL_ENV);
	return (struct tile){
		.pass = pass,
		.m = m,
		.member = &m->members[member],
		.profile = member == 0 ? m->profile : NULL,
		.index = index,
		.row = row,
		.rows = rows,
		.token = row * ctx,
		.tokens = rows * ctx,
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
enum { STRIP = 16 };

/* What a product multiplies next: rows of the tile's x [tokens][width]. `largest`: [tiles][width]. */
static void take_rows(const struct tile *k, const float *x, size_t width, size_t first, size_t count, int32_t *largest)
{
	linear_take(&k->member->work, k->m->engine, x, k->tokens, width, first, count,
		largest != NULL ? largest + k->index * width : NULL);
}

/* The tile's y = x W^T, and dx = dy W. */
static bool multiply_taken(const struct tile *k, const struct linear *w, const float *x, float *y)
{
	return linear_forward(w, k->m->engine, &k->member->work, x, k->tokens, y);
}

static bool multiply_taken_back(const struct tile *k, const struct linear *w, const float *dy, float *dx)
{
	return linear_backward(w, k->m->engine, &k->member->work, dy, k->tokens, dx);
}

static bool multiply_rows(const struct tile *k, const struct linear *w, const float *x, float *y, int32_t *largest)
{
	take_rows(k, x, w->in, 0, k->tokens, largest);
	return multiply_taken(k, w, x, y);
}

static bool multiply_rows_back(const struct tile *k, const struct linear *w, const float *dy, float *dx,
	int32_t *largest)
{
	take_rows(k, dy, w->out, 0, k->tokens, largest);
	return multiply_taken_back(k, w, dy, dx);
}

/* The largest sizes among rows of a tile's x, into [tiles][width]; the first rows come first. */
static void measure_rows(const struct tile *k, const float *x, size_t width, size_t first, size_t count,
	int32_t *largest)
{
	int32_t *of_tile = largest + k->index * width;

	if (k->m->engine == ENGINE_PLAIN)
		return;
	profile_lap(k->profile, PROFILE_ELEMENTWISE);
	if (first == 0)
		memset(of_tile, 0, width * sizeof *of_tile);
	exact_largest(x + first * width, count, width, of_tile);
	profile_lap(k->profile, PROFILE_QUANTISE);
}

static struct ops_rotary rotary_of(const struct model *m)
{
	return (struct ops_rotary){ m->cosine, m->sine, m->config.ctx, m->config.heads, m->config.d / m->config.heads };
}

static struct attention attention_of(const struct tile *k)
{
	const struct model_config *c = &k->m->config;

	return (struct attention){ c->ctx, c->d / c->heads, 3 * (size_t)c->d, c->d, k->member->attention };
}

/* One head after the other, for each window: where q and a of head i of the tile begin, and its p. */
struct head {
	size_t qkv, a, p;
};

static struct head head_of(const struct tile *k, size_t i)
{
	const struct model_config *c = &k->m->config;
	size_t token = k->token + i / c->heads * c->ctx, column = i % c->heads * (c->d / c->heads);

	return (struct head){
		.qkv = token * 3 * c->d + column,
		.a = token * c->d + column,
		.p = (k->row * c->heads + i) * attention_kept(c->ctx),
	};
}

static void attend_tile(const struct tile *k, const struct layer *l)
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

/* da: of the tile alone. */
static void attend_tile_backward(const struct tile *k, const struct layer *l, const float *da, float *dqkv)
{
	struct attention shape = attention_of(k);
	size_t d = k->m->config.d;

	profile_lap(k->profile, PROFILE_ELEMENTWISE);
	for (size_t i = 0; i < k->rows * k->m->config.heads; i++) {
		struct head head = head_of(k, i);
		const float *q = l->qkv + head.qkv;
		float *dq = dqkv + head.qkv;

		attention_backward(&shape, q, q + d, q + 2 * d, l->p + head.p, da + head.a - k->token * d, dq, dq + d,
			dq + 2 * d);
	}
	profile_lap(k->profile, PROFILE_ATTENTION);
}

/* ---- Forward, and back through the head: tiles on their own ---- */

/* From l->h to `out`, the next layer's h. What the way back needs (h, qkv, p, a, h_mlp, gu and the norms' scales) stays
 * in the layer; the rest is computed again there. */
static bool layer_forward(const struct tile *k, size_t index, float *out)
{
	struct model *m = k->m;
	const struct layer *l = &m->layers[index];
	size_t d = m->config.d, ff = m->config.ff, at = k->token * d;
	const float *theta = k->pass->theta + layer_offset(m, index);
	struct ops_rotary rotary = rotary_of(m);
	float *x = k->member->x, *qkv = l->qkv + 3 * at, *gu = l->gu + k->token * 2 * ff;

	ops_rmsnorm(l->h + at, theta + m->layout.norm_attention, k->tokens, d, x, l->r + k->token);
	if (!multiply_rows(k, layer_matrix(m, index, QKV), x, qkv, NULL))
		return false;
	ops_rotate(&rotary, qkv, k->tokens, false);
	attend_tile(k, l);
	if (!multiply_rows(k, layer_matrix(m, index, OUT), l->a + at, l->h_mlp + at, l->a_largest))
		return false;
	ops_add(l->h_mlp + at, l->h + at, k->tokens * d);
	ops_rmsnorm(l->h_mlp + at, theta + m->layout.norm_mlp, k->tokens, d, x, l->r_mlp + k->token);
	if (!multiply_rows(k, layer_matrix(m, index, GATE_UP), x, gu, NULL))
		return false;
	for (size_t t = 0; t < k->tokens; t += STRIP) {
		ops_gate(gu + t * 2 * ff, STRIP, ff, x + t * ff);
		take_rows(k, x, ff, t, STRIP, NULL);
	}
	if (!multiply_taken(k, layer_matrix(m, index, DOWN), x, out + at))
		return false;
	ops_add(out + at, l->h_mlp + at, k->tokens * d);
	return true;
}

/* The gradient of the tile's logits, of those tokens that are counted: the others' is zero and stays so. */
static void dither_logits(const struct tile *k, float *logits)
{
	const struct pass_dither *dither = &k->pass->dither;
	size_t ctx = k->m->config.ctx;
	_Alignas(64) uint32_t noise[MODEL_VOCABULARY];

	for (size_t t = 0; t < k->tokens; t++) {
		if (t % ctx < MODEL_SKIPPED)
			continue;
		noise_dither(dither->key, (uint32_t)(dither->first_row * ctx + k->token + t), noise);
		exact_dither(logits + t * MODEL_VOCABULARY, noise, MODEL_VOCABULARY, k->pass->inv);
	}
}

/* From the last layer's h to the losses, and on a training pass back to its gradient. */
static bool head_forward_backward(const struct tile *k)
{
	struct model *m = k->m;
	size_t d = m->config.d, at = k->token * d;
	const float *gain = k->pass->theta + m->layout.norm, *h = m->h + at;
	float *logits = m->logits + k->token * MODEL_VOCABULARY, *x = k->member->x;

	ops_rmsnorm(h, gain, k->tokens, d, x, m->r + k->token);
	if (!multiply_rows(k, head_matrix(m), x, logits, NULL))
		return false;
	ops_cross_entropy(logits, k->pass->windows + k->row * (m->config.ctx + 1), k->rows, m->config.ctx, k->pass->inv,
		k->pass->gradient != NULL, m->losses + k->token);
	if (k->pass->gradient == NULL)
		return true;
	/* The plain engine rounds nothing, so it has no grid to be dithered on. */
	if (m->engine != ENGINE_PLAIN)
		dither_logits(k, logits);
	if (!multiply_rows_back(k, head_matrix(m), logits, m->dz + at, m->dy_largest))
		return false;
	ops_rmsnorm_backward(h, gain, m->r + k->token, m->dz + at, NULL, k->tokens, d, m->dh[0] + at, m->z + at);
	measure_rows(k, m->z + at, d, 0, k->tokens, m->z_largest);
	return true;
}

static void forward_tile(void *arg, size_t task, unsigned member)
{
	struct tile k = tile_of(arg, task, member);
	struct model *m = k.m;
	size_t layers = m->config.layers, d = m->config.d, ctx = m->config.ctx;

	ops_embed(k.pass->theta, k.pass->windows + k.row * (ctx + 1), k.rows, ctx, d, m->layers[0].h + k.token * d);
	for (size_t i = 0; i < layers; i++)
		if (!goes_on(k.pass) || !layer_forward(&k, i, i + 1 < layers ? m->layers[i + 1].h : m->h))
			return fail_pass(k.pass);
	if (!head_forward_backward(&k))
		fail_pass(k.pass);
	profile_lap(k.profile, PROFILE_ELEMENTWISE);
}

/* ---- Back: a half of a layer in tiles, then the gradients of its matrices over the whole chunk ---- */

/* The gated unit: dh[0] to dh[1]. */
static void mlp_backward_tile(void *arg, size_t task, unsigned member)
{
	struct tile k = tile_of(arg, task, member);
	struct model *m = k.m;
	const struct layer *l = &m->layers[k.pass->layer];
	size_t d = m->config.d, ff = m->config.ff, at = k.token * d;
	const float *gain = k.pass->theta + layer_offset(m, k.pass->layer) + m->layout.norm_mlp;
	const float *gu = l->gu + k.token * 2 * ff;
	float *db = k.member->dx, *dgu = m->dy + k.token * 2 * ff, *b = m->b + k.token * ff;

	if (!goes_on(k.pass) ||
		!multiply_rows_back(&k, layer_matrix(m, k.pass->layer, DOWN), m->dh[0] + at, db, m->dh_largest))
		return fail_pass(k.pass);
	for (size_t t = 0; t < k.tokens; t += STRIP) {
		ops_gate_backward(gu + t * 2 * ff, db + t * ff, STRIP, ff, dgu + t * 2 * ff, b + t * ff);
		measure_rows(&k, b, ff, t, STRIP, m->b_largest);
		take_rows(&k, dgu, 2 * ff, t, STRIP, m->dy_largest);
	}
	if (!multiply_taken_back(&k, layer_matrix(m, k.pass->layer, GATE_UP), dgu, m->dz + at))
		return fail_pass(k.pass);
	ops_rmsnorm_backward(l->h_mlp + at, gain, l->r_mlp + k.token, m->dz + at, m->dh[0] + at, k.tokens, d,
		m->dh[1] + at, m->z + at);
	measure_rows(&k, m->z + at, d, 0, k.tokens, m->z_largest);
}

/* Attention: dh[1] to dh[0]. */
static void attention_backward_tile(void *arg, size_t task, unsigned member)
{
	struct tile k = tile_of(arg, task, member);
	struct model *m = k.m;
	const struct layer *l = &m->layers[k.pass->layer];
	size_t d = m->config.d, at = k.token * d;
	const float *gain = k.pass->theta + layer_offset(m, k.pass->layer) + m->layout.norm_attention;
	struct ops_rotary rotary = rotary_of(m);
	float *da = k.member->dx, *dqkv = m->dy + 3 * at;

	if (!goes_on(k.pass) ||
		!multiply_rows_back(&k, layer_matrix(m, k.pass->layer, OUT), m->dh[1] + at, da, m->dh_largest))
		return fail_pass(k.pass);
	attend_tile_backward(&k, l, da, m->dy);
	ops_rotate(&rotary, dqkv, k.tokens, true);
	if (!multiply_rows_back(&k, layer_matrix(m, k.pass->layer, QKV), dqkv, m->dz + at, m->dy_largest))
		return fail_pass(k.pass);
	ops_rmsnorm_backward(l->h + at, gain, l->r + k.token, m->dz + at, m->dh[1] + at, k.tokens, d, m->dh[0] + at,
		m->z + at);
	measure_rows(&k, m->z + at, d, 0, k.tokens, m->z_largest);
}

/* The larger of all tiles' numbers, [tiles][width], column by column. A maximum does not depend on how windows were
 * parted into tiles, nor a grid, which follows from it: that is why tiles may follow the number of threads. */
static void merge_largest(const struct pass *pass, const int32_t *largest, size_t width, int32_t *merged)
{
	memcpy(merged, largest, width * sizeof *merged);
	for (size_t i = 1; i < pass->tiles; i++)
		for (size_t j = 0; j < width; j++)
			merged[j] = largest[i * width + j] > merged[j] ? largest[i * width + j] : merged[j];
}

/* Rows of a matrix per task: so that all members have some, and no task more than linear_gradient takes. */
static size_t rows_per_task(const struct pass *pass, const struct linear *w)
{
	size_t parts = size_max((w->out + LINEAR_ROWS - 1) / LINEAR_ROWS, pass->m->member_count);

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

/* The gradient of some rows of a matrix contracts over the whole chunk, so all tiles have come before. Rows are nobody
 * else's: tasks write to places of their own. */
static void gradient_rows(struct pass *pass, const struct product *product, size_t task, struct pass_member *member)
{
	const struct linear *w = product->w;
	size_t rows = rows_per_task(pass, w), first = task * rows;
	struct linear_chunk chunk = {
		.dy = product->dy,
		.x = product->x,
		.tokens = pass->tokens,
		.dy_largest = member->largest[0],
		.x_largest = member->largest[1],
	};

	if (pass->m->engine != ENGINE_PLAIN) {
		merge_largest(pass, product->dy_largest, w->out, member->largest[0]);
		merge_largest(pass, product->x_largest, w->in, member->largest[1]);
	}
	if (!linear_gradient(w, pass->m->engine, &member->work, &chunk, first, size_min(rows, w->out - first),
		    !pass->first, pass->gradient))
		fail_pass(pass);
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
		size_min(columns, m->config.d - first), pass->gradient + pass->norm_offset);
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
	pass->products[0] = (struct product){ head_matrix(m), m->logits, m->z, m->dy_largest, m->z_largest };
	pass->norm_x = m->h;
	pass->norm_r = m->r;
	pass->norm_offset = m->layout.norm;
	run_gradients(pass);
}

/* Twice the same: tiles first, then matrices, which contract over all tokens. dh[0] and dh[1] take turns, and dy, z and
 * b hold one half of the layer at a time: so no task may run ahead into the next half. */
static void layer_backward(struct pass *pass, size_t index)
{
	struct model *m = pass->m;
	const struct layer *l = &m->layers[index];
	size_t offset = layer_offset(m, index);

	pass->layer = index;
	pass->product_count = 2;
	team_run(m->team, mlp_backward_tile, pass, pass->tiles);
	pass->products[0] = (struct product){ layer_matrix(m, index, DOWN), m->dh[0], m->b, m->dh_largest,
		m->b_largest };
	pass->products[1] = (struct product){ layer_matrix(m, index, GATE_UP), m->dy, m->z, m->dy_largest,
		m->z_largest };
	pass->norm_x = l->h_mlp;
	pass->norm_r = l->r_mlp;
	pass->norm_offset = offset + m->layout.norm_mlp;
	run_gradients(pass);

	team_run(m->team, attention_backward_tile, pass, pass->tiles);
	pass->products[0] = (struct product){ layer_matrix(m, index, OUT), m->dh[1], l->a, m->dh_largest,
		l->a_largest };
	pass->products[1] = (struct product){ layer_matrix(m, index, QKV), m->dy, m->z, m->dy_largest, m->z_largest };
	pass->norm_x = l->h;
	pass->norm_r = l->r;
	pass->norm_offset = offset + m->layout.norm_attention;
	run_gradients(pass);
}

/* By columns, as several tokens add to one row: two members never write to the same place, and each sum runs over
 * tokens in their order. */
static void embedding_task(void *arg, size_t task, unsigned member)
{
	const struct pass *pass = arg;
	const struct model *m = pass->m;
	size_t columns = columns_per_task(pass), first = task * columns, d = m->config.d;

	(void)member;
	fesetenv(FE_DFL_ENV);
	ops_embed_backward(m->dh[0], pass->windows, pass->rows, m->config.ctx, d, first, size_min(columns, d - first),
		pass->gradient);
}

/* Each team_run is a wall: what it wrote is whole before the next one reads it. */
static void run_backward(struct pass *pass)
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
		fail_pass(pass);
}

/* Blocks are no larger than memory allows, and as many as there are members if there are windows enough. The number of
 * tiles changes no bit (merge_largest), so it may follow the machine. */
static void choose_tiles(struct pass *pass)
{
	size_t members = pass->m->member_count;

	pass->tile = size_min(pass->m->tile, (pass->rows + members - 1) / members);
	pass->tiles = (pass->rows + pass->tile - 1) / pass->tile;
}

/* As pass_gradient, with a gradient that starts as zeros; as pass_loss if gradient is NULL. */
static bool run_batch(struct model *m, const float *theta, const uint8_t *windows, size_t rows,
	struct pass_dither dither, const atomic_bool *cancel, float *gradient, float *loss)
{
	size_t ctx = m->config.ctx;
	float lane[16] = { 0 };
	struct pass pass = {
		.m = m,
		.theta = theta,
		.gradient = gradient,
		.cancel = cancel,
		/* Over the whole batch, so chunks just add up. */
		.inv = 1.0f / (float)(rows * (ctx - MODEL_SKIPPED)),
	};

	profile_begin(m->profile);
	m->members[0].work.profile = m->profile;
	team_run(m->team, round_matrix, &pass, LAYER_MATRICES * (size_t)m->config.layers + 1);
	profile_lap(m->profile, PROFILE_QUANTISE);
	for (size_t done = 0; done < rows && goes_on(&pass); done += pass.rows) {
		queue_pause(cancel);
		pass.windows = windows + done * (ctx + 1);
		pass.rows = size_min(rows - done, m->windows);
		pass.tokens = pass.rows * ctx;
		pass.first = done == 0;
		pass.dither = (struct pass_dither){ dither.key, dither.first_row + (uint32_t)done };
		choose_tiles(&pass);
		team_run(m->team, forward_tile, &pass, pass.tiles);
		if (gradient != NULL && goes_on(&pass))
			run_backward(&pass);
		ops_sum_losses(m->losses, pass.rows, ctx, lane);
	}
	profile_lap(m->profile, PROFILE_ELEMENTWISE);
	*loss = math_fold16(lane) * pass.inv;
	return goes_on(&pass);
}

bool pass_gradient(struct model *m, const float *theta, const uint8_t *windows, size_t rows, struct pass_dither dither,
	const atomic_bool *cancel, float *gradient, float *loss)
{
	memset(gradient, 0, m->layout.count * sizeof(float));
	return run_batch(m, theta, windows, rows, dither, cancel, gradient, loss);
}

bool pass_loss(struct model *m, const float *theta, const uint8_t *windows, size_t rows, const atomic_bool *cancel,
	float *loss)
{
	return run_batch(m, theta, windows, rows, (struct pass_dither){ 0 }, cancel, NULL, loss);
}
