/* Forward passes over the next bytes of several texts: what of them is exact products, and what each does alone. */
#include "ml/text/decoder.h"

#include <fenv.h>
#include <stdlib.h>

#include "ml/kernel/attention.h"
#include "ml/kernel/float.h"
#include "ml/kernel/ops.h"
#include "ml/step.h"
#include "ml/workspace.h"
#include "util/mem.h"
#include "util/queue.h"

/* Keys are turned, so that the chains of one query's scores run side by side (attention_query). */
struct decoder_cache {
	struct model_config config;
	size_t size;
	float *keys;   /* [layers][d][ctx] */
	float *values; /* [layers][ctx][d] */
};

/* Activations are those of a pass's tokens, one row each, whosever they are. */
struct decoder {
	struct state *state;
	struct model_config config;
	struct model_layout layout;
	enum engine engine;
	float least_weight;      /* of attention */
	struct linear *matrices; /* [layers][4], and the head */
	size_t matrix_count;
	struct linear_work work;
	struct freivalds_vectors vectors;
	struct freivalds check; /* that of `work` */
	float *cosine, *sine;   /* [ctx][head / 2] */
	float *h, *z, *qkv, *a, *gu, *r, *logits, *scores;
};

/* One byte of a pass. */
struct decoder_token {
	struct decoder_cache *cache;
	size_t position;
	uint8_t byte;
	struct decoder_logits *logits; /* NULL: not wanted */
};

size_t decoder_cache_memory(const struct model_config *config)
{
	return 2 * sizeof(float) * config->layers * config->ctx * config->d;
}

struct decoder_cache *decoder_cache_new(const struct model_config *config)
{
	struct decoder_cache *cache = mem_alloc(sizeof *cache);
	size_t count = (size_t)config->layers * config->ctx * config->d;

	*cache = (struct decoder_cache){ .config = *config };
	cache->keys = mem_align(count * sizeof(float));
	cache->values = mem_align(count * sizeof(float));
	/* attention_query reads whole vectors of positions, beyond the last one that was fed. */
	memset(cache->keys, 0, count * sizeof(float));
	return cache;
}

void decoder_cache_free(struct decoder_cache *cache)
{
	if (cache == NULL)
		return;
	free(cache->keys);
	free(cache->values);
	free(cache);
}

size_t decoder_cache_size(const struct decoder_cache *cache)
{
	return cache->size;
}

void decoder_cache_forget(struct decoder_cache *cache)
{
	cache->size = 0;
}

enum engine decoder_engine(enum engine chosen)
{
	return engine_form(chosen) == ENGINE_FLOATS ? ENGINE_REFERENCE : chosen;
}

static struct freivalds_pair decoder_pair(size_t count)
{
	return (struct freivalds_pair){ { mem_align(count * sizeof(int32_t)), mem_align(count * sizeof(int32_t)) } };
}

static void decoder_free_pair(struct freivalds_pair pair)
{
	free(pair.v[0]);
	free(pair.v[1]);
}

/* Before anything is rounded: a matrix is projected then. */
static void decoder_check(struct decoder *decoder)
{
	size_t widest = model_widest(&decoder->config);

	if (decoder->engine == ENGINE_PLAIN)
		return;
	decoder->vectors.r = decoder_pair(widest);
	decoder->vectors.s = decoder_pair(FREIVALDS_ROWS);
	freivalds_draw(&decoder->vectors, widest);
	decoder->check.vectors = &decoder->vectors;
	decoder->work.check = &decoder->check;
}

bool decoder_is_wrong(const struct decoder *decoder)
{
	return decoder->check.wrong;
}

static bool decoder_round_matrices(struct decoder *decoder)
{
	for (size_t i = 0; i < decoder->matrix_count; i++) {
		struct linear *w = &decoder->matrices[i];

		*w = model_matrix(&decoder->config, i);
		w->memory[0] = mem_align(exact_operand_size(w->out, w->in));
		if (decoder->work.check != NULL) {
			w->vectors = &decoder->vectors;
			w->projected[0] = decoder_pair(w->in);
		}
		if (!linear_round(w, decoder->engine, state_theta(decoder->state), false))
			return false;
	}
	return true;
}

struct decoder *decoder_new(const struct train_config *config, struct state *state, enum engine engine)
{
	struct decoder *decoder = mem_calloc(1, sizeof *decoder);
	size_t d = config->model.d, ff = config->model.ff, ctx = config->model.ctx, head = d / config->model.heads;

	decoder->state = state_ref(state);
	decoder->config = config->model;
	decoder->layout = model_layout_of(&config->model);
	decoder->engine = engine;
	decoder->least_weight = config->segments > 0 ? STEP_LEAST_WEIGHT : 0;
	decoder->matrix_count = LAYER_MATRICES * (size_t)config->model.layers + 1;
	decoder->matrices = mem_calloc(decoder->matrix_count, sizeof *decoder->matrices);
	decoder->work.rounded = mem_align(linear_rounded_size(DECODER_BYTES, model_widest(&config->model)));
	decoder->work.scratch = mem_align(linear_scratch_size(DECODER_BYTES, model_widest(&config->model)));
	decoder->cosine = mem_align(ctx * head / 2 * sizeof(float));
	decoder->sine = mem_align(ctx * head / 2 * sizeof(float));
	ops_rotary_table(ctx, head, decoder->cosine, decoder->sine);
	/* Every width is a multiple of 16, so each array begins on a cache line of its own. */
	decoder->h = mem_align(
		(DECODER_BYTES * (5 * d + size_max(d, ff) + 2 * ff + MODEL_VOCABULARY + 1) + ctx) * sizeof(float));
	decoder->z = decoder->h + DECODER_BYTES * d;
	decoder->qkv = decoder->z + DECODER_BYTES * size_max(d, ff);
	decoder->a = decoder->qkv + DECODER_BYTES * 3 * d;
	decoder->gu = decoder->a + DECODER_BYTES * d;
	decoder->logits = decoder->gu + DECODER_BYTES * 2 * ff;
	decoder->r = decoder->logits + DECODER_BYTES * MODEL_VOCABULARY;
	decoder->scores = decoder->r + DECODER_BYTES;
	fesetenv(FE_DFL_ENV);
	decoder_check(decoder);
	if (decoder_round_matrices(decoder))
		return decoder;
	decoder_free(decoder);
	return NULL;
}

void decoder_free(struct decoder *decoder)
{
	if (decoder == NULL)
		return;
	for (size_t i = 0; i < decoder->matrix_count; i++) {
		free(decoder->matrices[i].memory[0]);
		decoder_free_pair(decoder->matrices[i].projected[0]);
	}
	decoder_free_pair(decoder->vectors.r);
	decoder_free_pair(decoder->vectors.s);
	free(decoder->matrices);
	free(decoder->work.rounded);
	free(decoder->work.scratch);
	free(decoder->cosine);
	free(decoder->sine);
	free(decoder->h);
	state_unref(decoder->state);
	free(decoder);
}

const struct state *decoder_state(const struct decoder *decoder)
{
	return decoder->state;
}

/* y = x W^T, a row for each token. The grid of a row is its own: that is why no token's result depends on the others.
 */
static bool decoder_multiply(struct decoder *decoder, size_t matrix, const float *x, size_t tokens, float *y)
{
	const struct linear *w = &decoder->matrices[matrix];

	linear_take(&decoder->work, decoder->engine, x, tokens, w->in, 0, tokens, NULL);
	return linear_forward(w, decoder->engine, &decoder->work, x, tokens, y);
}

/* A token's key and value go to its cache, and its query looks at all that are there. Tokens of one cache come in the
 * order of their positions, so those before it are there already. */
static void decoder_attend(struct decoder *decoder, const struct decoder_token *token, size_t layer, float *qkv,
	float *a)
{
	size_t d = decoder->config.d, ctx = decoder->config.ctx, head = d / decoder->config.heads;
	float *keys = token->cache->keys + layer * d * ctx, *values = token->cache->values + layer * ctx * d;
	struct ops_rotary rotary = { decoder->cosine + token->position * head / 2,
		decoder->sine + token->position * head / 2, 1, decoder->config.heads, head };
	struct attention shape = { .ctx = ctx,
		.head = head,
		.stride = d,
		.scratch = decoder->scores,
		.least = decoder->least_weight };

	ops_rotate(&rotary, qkv, 1, false);
	for (size_t i = 0; i < d; i++)
		keys[i * ctx + token->position] = qkv[d + i];
	memcpy(values + token->position * d, qkv + 2 * d, d * sizeof(float));
	for (size_t column = 0; column < d; column += head)
		attention_query(&shape, qkv + column, keys + column * ctx, values + column, token->position + 1,
			a + column);
}

/* Section 4's way forward, layer by layer as there. */
static bool decoder_layer(struct decoder *decoder, const struct decoder_token *tokens, size_t count, size_t layer)
{
	size_t d = decoder->config.d, ff = decoder->config.ff;
	const struct model_layout *layout = &decoder->layout;
	const float *theta = state_theta(decoder->state) + layout->first_layer + layer * layout->layer_size;

	ops_rmsnorm(decoder->h, theta + layout->norm_attention, count, d, decoder->z, decoder->r);
	if (!decoder_multiply(decoder, layer * LAYER_MATRICES + LAYER_QKV, decoder->z, count, decoder->qkv))
		return false;
	for (size_t i = 0; i < count; i++)
		decoder_attend(decoder, &tokens[i], layer, decoder->qkv + i * 3 * d, decoder->a + i * d);
	if (!decoder_multiply(decoder, layer * LAYER_MATRICES + LAYER_OUT, decoder->a, count, decoder->z))
		return false;
	ops_add(decoder->h, decoder->z, count * d);
	ops_rmsnorm(decoder->h, theta + layout->norm_mlp, count, d, decoder->z, decoder->r);
	if (!decoder_multiply(decoder, layer * LAYER_MATRICES + LAYER_GATE_UP, decoder->z, count, decoder->gu))
		return false;
	ops_gate(decoder->gu, count, ff, decoder->z);
	/* What a holds is not needed any more. */
	if (!decoder_multiply(decoder, layer * LAYER_MATRICES + LAYER_DOWN, decoder->z, count, decoder->a))
		return false;
	ops_add(decoder->h, decoder->a, count * d);
	return true;
}

/* The head is as much work as a fifth of a small layer: only for those whose logits are wanted. */
static bool decoder_head(struct decoder *decoder, const struct decoder_token *tokens, size_t count)
{
	size_t d = decoder->config.d, wanted = 0;
	const float *gain = state_theta(decoder->state) + decoder->layout.norm;

	for (size_t i = 0; i < count; i++)
		if (tokens[i].logits != NULL)
			memmove(decoder->h + wanted++ * d, decoder->h + i * d, d * sizeof(float));
	if (wanted == 0)
		return true;
	ops_rmsnorm(decoder->h, gain, wanted, d, decoder->z, decoder->r);
	if (!decoder_multiply(decoder, decoder->matrix_count - 1, decoder->z, wanted, decoder->logits))
		return false;
	wanted = 0;
	for (size_t i = 0; i < count; i++)
		if (tokens[i].logits != NULL)
			memcpy(tokens[i].logits->of, decoder->logits + wanted++ * MODEL_VOCABULARY,
				sizeof tokens[i].logits->of);
	return true;
}

/* False: some operand has no grid, or a product is wrong. Then what was written to the caches lies behind their size,
 * and means nothing. */
static bool decoder_run(struct decoder *decoder, const struct decoder_token *tokens, size_t count,
	const atomic_bool *cancel)
{
	size_t d = decoder->config.d;

	fesetenv(FE_DFL_ENV);
	for (size_t i = 0; i < count; i++)
		memcpy(decoder->h + i * d, state_theta(decoder->state) + tokens[i].byte * d, d * sizeof(float));
	for (size_t layer = 0; layer < decoder->config.layers; layer++) {
		queue_pause(cancel);
		if (!decoder_layer(decoder, tokens, count, layer))
			return false;
	}
	return decoder_head(decoder, tokens, count);
}

static struct decoder_token decoder_token_of(const struct decoder_feed *feed, size_t index)
{
	size_t first_wanted = feed->count - feed->wanted;

	return (struct decoder_token){
		.cache = feed->cache,
		.position = feed->cache->size + index - feed->done,
		.byte = feed->bytes[index],
		.logits = index < first_wanted ? NULL : &feed->logits[index - first_wanted],
	};
}

void decoder_pass(struct decoder *decoder, struct decoder_feed *feeds, size_t count, const atomic_bool *cancel)
{
	struct decoder_token tokens[DECODER_BYTES];
	size_t token_count = 0;
	bool is_whole;

	for (size_t i = 0; i < count; i++) {
		feeds[i].done = 0;
		for (size_t j = 0; j < feeds[i].count; j++)
			tokens[token_count++] = decoder_token_of(&feeds[i], j);
	}
	is_whole = decoder_run(decoder, tokens, token_count, cancel);
	if (decoder_is_wrong(decoder))
		return;
	/* Who shares a pass with a byte that has no logits must not notice it: then each goes alone, byte after byte.
	 */
	for (size_t i = 0; i < count; i++) {
		struct decoder_feed *feed = &feeds[i];

		if (is_whole) {
			feed->done = feed->count;
			feed->cache->size += feed->count;
		}
		for (; feed->done < feed->count; feed->done++, feed->cache->size++) {
			tokens[0] = decoder_token_of(feed, feed->done);
			if (!decoder_run(decoder, tokens, 1, cancel))
				break; /* also for good, if the decoder is wrong */
		}
	}
}
