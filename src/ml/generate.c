/* Text from a state, one position at a time, in ordinary fp32: nothing here is consensus. */
#include "ml/generate.h"

#include <cblas.h>
#include <stdlib.h>

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "ml/kernel/ops.h"
#include "util/bytes.h"
#include "util/mem.h"
#include "util/queue.h"

/* The model, one position at a time. Keys and values of the positions before are kept, so a byte costs one pass over
 * the parameters. */
struct session {
	const struct model_config *config;
	const float *theta;
	float *keys, *values;            /* [layers][ctx][d] */
	float *cosine, *sine;            /* [ctx][head / 2] */
	float *h, *z, *qkv, *a, *gu, *b; /* [d], [d], [3d], [d], [2ff], [ff] */
	float *scores;                   /* [ctx] */
	float logits[MODEL_VOCABULARY];
	size_t position;
	uint8_t *text; /* what stands at the positions, [ctx] */
};

static void session_init(struct session *s, const struct state *state)
{
	const struct model_config *c = state_config(state);
	size_t d = c->d, ff = c->ff, ctx = c->ctx, half = d / c->heads / 2;

	*s = (struct session){ .config = c, .theta = state_theta(state) };
	s->keys = mem_align(c->layers * ctx * d * sizeof(float));
	s->values = mem_align(c->layers * ctx * d * sizeof(float));
	s->cosine = mem_align(ctx * half * sizeof(float));
	s->sine = mem_align(ctx * half * sizeof(float));
	s->h = mem_align((6 * d + 3 * ff + ctx) * sizeof(float));
	s->z = s->h + d;
	s->qkv = s->z + d;
	s->a = s->qkv + 3 * d;
	s->gu = s->a + d;
	s->b = s->gu + 2 * ff;
	s->scores = s->b + ff;
	s->text = mem_alloc(ctx);
	ops_rotary_table(ctx, 2 * half, s->cosine, s->sine);
}

static void session_clear(struct session *s)
{
	free(s->keys);
	free(s->values);
	free(s->cosine);
	free(s->sine);
	free(s->h);
	free(s->text);
}

/* y = W x. */
static void multiply_vector(const float *w, size_t out, size_t in, const float *x, float *y)
{
	cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)out, (int)in, 1.0f, w, (int)in, x, 1, 0.0f, y, 1);
}

static void normalise_token(const struct session *s, const float *gain)
{
	float r;

	ops_rmsnorm(s->h, gain, 1, s->config->d, s->z, &r);
}

/* One head at s->position: s->a from its query and the keys and values so far. As in training but unrounded, and in no
 * order that nodes must agree on. */
static void attend_head(struct session *s, size_t layer, size_t head)
{
	size_t d = s->config->d, size = d / s->config->heads, count = s->position + 1;
	const float *keys = s->keys + layer * s->config->ctx * d + head * size;
	const float *values = s->values + layer * s->config->ctx * d + head * size;
	const float *query = s->qkv + head * size;
	float *out = s->a + head * size, scale = 1.0f / sqrtf((float)size);

	for (size_t i = 0; i < count; i++)
		s->scores[i] = math_dot16(query, keys + i * d, size);
	float largest = math_max(s->scores, count);

	for (size_t i = 0; i < count; i++)
		s->scores[i] = math_exp((s->scores[i] - largest) * scale);
	float sum = math_sum16(s->scores, count);

	memset(out, 0, size * sizeof(float));
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < size; j++)
			out[j] += s->scores[i] / sum * values[i * d + j];
}

static void run_layer(struct session *s, size_t layer, const float *w)
{
	const struct model_config *c = s->config;
	size_t d = c->d, ff = c->ff, at = (layer * c->ctx + s->position) * d, half = d / c->heads / 2;
	const float *wqkv = w + d, *wo = wqkv + 3 * d * d, *norm = wo + d * d, *wgu = norm + d,
		    *down = wgu + 2 * ff * d;
	struct ops_rotary rotary = { s->cosine + s->position * half, s->sine + s->position * half, 1, c->heads,
		2 * half };

	normalise_token(s, w);
	multiply_vector(wqkv, 3 * d, d, s->z, s->qkv);
	ops_rotate(&rotary, s->qkv, 1, false);
	memcpy(s->keys + at, s->qkv + d, d * sizeof(float));
	memcpy(s->values + at, s->qkv + 2 * d, d * sizeof(float));
	for (size_t head = 0; head < c->heads; head++)
		attend_head(s, layer, head);
	multiply_vector(wo, d, d, s->a, s->z);
	ops_add(s->h, s->z, d);
	normalise_token(s, norm);
	multiply_vector(wgu, 2 * ff, d, s->z, s->gu);
	ops_gate(s->gu, 1, ff, s->b);
	multiply_vector(down, d, ff, s->b, s->z);
	ops_add(s->h, s->z, d);
}

/* Puts a byte at the next position; s->logits then tell what follows it. */
static void feed_byte(struct session *s, uint8_t byte)
{
	const struct model_config *c = s->config;
	size_t d = c->d, layer_size = 2 * d + 4 * d * d + 3 * d * (size_t)c->ff;
	const float *layers = s->theta + MODEL_VOCABULARY * d, *norm = layers + c->layers * layer_size;

	s->text[s->position] = byte;
	memcpy(s->h, s->theta + byte * d, d * sizeof(float));
	for (size_t i = 0; i < c->layers; i++)
		run_layer(s, i, layers + i * layer_size);
	normalise_token(s, norm);
	multiply_vector(norm + d, MODEL_VOCABULARY, d, s->z, s->logits);
	s->position++;
}

/* Where the context is full, begins again with the last half of it. The kept half is fed anew, because its keys were
 * turned by positions that it no longer has. */
static void make_room(struct session *s)
{
	size_t kept = s->config->ctx / 2;

	if (s->position < s->config->ctx)
		return;
	memmove(s->text, s->text + s->config->ctx - kept, kept);
	s->position = 0;
	for (size_t i = 0; i < kept; i++)
		feed_byte(s, s->text[i]);
}

/* The smallest logit that is among the top_k largest. Without sorting: 2^16 comparisons are nothing beside the pass
 * before. */
static float least_logit(const float *logits, uint32_t top_k)
{
	for (int i = 0; i < MODEL_VOCABULARY; i++) {
		uint32_t larger = 0, equal = 0;

		for (int j = 0; j < MODEL_VOCABULARY; j++) {
			larger += logits[j] > logits[i];
			equal += logits[j] == logits[i];
		}
		if (larger < top_k && top_k <= larger + equal)
			return logits[i];
	}
	return -INFINITY;
}

/* Draws a byte; `random` is uniform in [0, 1). */
static uint8_t sample_byte(const float *logits, const struct generate_options *options, float random)
{
	float largest = math_max(logits, MODEL_VOCABULARY), weights[MODEL_VOCABULARY], sum = 0;
	float least = options->top_k > 0 ? least_logit(logits, options->top_k) : -INFINITY;
	int last = 0;

	for (int i = 0; i < MODEL_VOCABULARY; i++) {
		bool likeliest = logits[i] == largest;

		weights[i] = options->temperature > 0 ? math_exp((logits[i] - largest) / options->temperature) :
							likeliest;
		weights[i] = logits[i] >= least ? weights[i] : 0;
		sum += weights[i];
	}
	/* Where rounding leaves random at 0 or above behind the last weight, the last byte that can be drawn is. */
	random *= sum;
	for (int i = 0; i < MODEL_VOCABULARY; i++) {
		if (!(weights[i] > 0))
			continue;
		last = i;
		random -= weights[i];
		if (random < 0)
			break;
	}
	return (uint8_t)last;
}

size_t generate_text(const struct state *state, const uint8_t *prompt, size_t prompt_size,
	const struct generate_options *options, uint8_t *out, size_t count)
{
	struct session s;
	uint8_t key[32] = { 0 };
	size_t done = 0, ctx = state_config(state)->ctx;

	session_init(&s, state);
	write_le64(key, options->seed);
	/* Training windows begin with drawn bytes, so no first byte is special; a newline is as good as any. */
	if (prompt_size == 0)
		feed_byte(&s, '\n');
	for (size_t i = prompt_size > ctx ? prompt_size - ctx / 2 : 0; i < prompt_size; i++)
		feed_byte(&s, prompt[i]);
	for (; done < count; done++) {
		uint32_t words[4];

		queue_pause(options->cancel);
		if (options->cancel != NULL && atomic_load(options->cancel))
			break;
		noise_words(key, NOISE_INIT, (uint32_t)done, words);
		out[done] = sample_byte(s.logits, options, (float)(words[0] >> 8) * 0x1p-24f);
		make_room(&s);
		feed_byte(&s, out[done]);
	}
	session_clear(&s);
	return done;
}

void generate_logits(const struct state *state, const uint8_t *text, size_t size, struct logits *out)
{
	struct session s;

	session_init(&s, state);
	for (size_t i = 0; i < size; i++)
		feed_byte(&s, text[i]);
	memcpy(out->of, s.logits, sizeof s.logits);
	session_clear(&s);
}
