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
struct generate_session {
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

static void generate_session_init(struct generate_session *session, const struct state *state)
{
	const struct model_config *config = state_config(state);
	size_t d = config->d, ff = config->ff, ctx = config->ctx, half = d / config->heads / 2;

	*session = (struct generate_session){ .config = config, .theta = state_theta(state) };
	session->keys = mem_align(config->layers * ctx * d * sizeof(float));
	session->values = mem_align(config->layers * ctx * d * sizeof(float));
	session->cosine = mem_align(ctx * half * sizeof(float));
	session->sine = mem_align(ctx * half * sizeof(float));
	session->h = mem_align((6 * d + 3 * ff + ctx) * sizeof(float));
	session->z = session->h + d;
	session->qkv = session->z + d;
	session->a = session->qkv + 3 * d;
	session->gu = session->a + d;
	session->b = session->gu + 2 * ff;
	session->scores = session->b + ff;
	session->text = mem_alloc(ctx);
	ops_rotary_table(ctx, 2 * half, session->cosine, session->sine);
}

static void generate_session_clear(struct generate_session *session)
{
	free(session->keys);
	free(session->values);
	free(session->cosine);
	free(session->sine);
	free(session->h);
	free(session->text);
}

/* y = W x. */
static void generate_multiply(const float *w, size_t out, size_t in, const float *x, float *y)
{
	cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)out, (int)in, 1.0f, w, (int)in, x, 1, 0.0f, y, 1);
}

static void generate_normalise(const struct generate_session *session, const float *gain)
{
	float r;

	ops_rmsnorm(session->h, gain, 1, session->config->d, session->z, &r);
}

/* One head at s->position: s->a from its query and the keys and values so far. As in training but unrounded, and in no
 * order that nodes must agree on. */
static void generate_attend(struct generate_session *session, size_t layer, size_t head)
{
	size_t d = session->config->d, size = d / session->config->heads, count = session->position + 1;
	const float *keys = session->keys + layer * session->config->ctx * d + head * size;
	const float *values = session->values + layer * session->config->ctx * d + head * size;
	const float *query = session->qkv + head * size;
	float *out = session->a + head * size, scale = 1.0f / sqrtf((float)size);

	for (size_t i = 0; i < count; i++)
		session->scores[i] = math_dot16(query, keys + i * d, size);
	float largest = math_max(session->scores, count);

	for (size_t i = 0; i < count; i++)
		session->scores[i] = math_exp((session->scores[i] - largest) * scale);
	float sum = math_sum16(session->scores, count);

	memset(out, 0, size * sizeof(float));
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < size; j++)
			out[j] += session->scores[i] / sum * values[i * d + j];
}

static void generate_layer(struct generate_session *session, size_t layer, const float *w)
{
	const struct model_config *config = session->config;
	size_t d = config->d, ff = config->ff, at = (layer * config->ctx + session->position) * d,
	       half = d / config->heads / 2;
	const float *wqkv = w + d, *wo = wqkv + 3 * d * d, *norm = wo + d * d, *wgu = norm + d,
		    *down = wgu + 2 * ff * d;
	struct ops_rotary rotary = { session->cosine + session->position * half,
		session->sine + session->position * half, 1, config->heads, 2 * half };

	generate_normalise(session, w);
	generate_multiply(wqkv, 3 * d, d, session->z, session->qkv);
	ops_rotate(&rotary, session->qkv, 1, false);
	memcpy(session->keys + at, session->qkv + d, d * sizeof(float));
	memcpy(session->values + at, session->qkv + 2 * d, d * sizeof(float));
	for (size_t head = 0; head < config->heads; head++)
		generate_attend(session, layer, head);
	generate_multiply(wo, d, d, session->a, session->z);
	ops_add(session->h, session->z, d);
	generate_normalise(session, norm);
	generate_multiply(wgu, 2 * ff, d, session->z, session->gu);
	ops_gate(session->gu, 1, ff, session->b);
	generate_multiply(down, d, ff, session->b, session->z);
	ops_add(session->h, session->z, d);
}

/* Puts a byte at the next position; s->logits then tell what follows it. */
static void generate_feed(struct generate_session *session, uint8_t byte)
{
	const struct model_config *config = session->config;
	size_t d = config->d, layer_size = 2 * d + 4 * d * d + 3 * d * (size_t)config->ff;
	const float *layers = session->theta + MODEL_VOCABULARY * d, *norm = layers + config->layers * layer_size;

	session->text[session->position] = byte;
	memcpy(session->h, session->theta + byte * d, d * sizeof(float));
	for (size_t i = 0; i < config->layers; i++)
		generate_layer(session, i, layers + i * layer_size);
	generate_normalise(session, norm);
	generate_multiply(norm + d, MODEL_VOCABULARY, d, session->z, session->logits);
	session->position++;
}

/* Where the context is full, begins again with the last half of it. The kept half is fed anew, because its keys were
 * turned by positions that it no longer has. */
static void generate_make_room(struct generate_session *session)
{
	size_t kept = session->config->ctx / 2;

	if (session->position < session->config->ctx)
		return;
	memmove(session->text, session->text + session->config->ctx - kept, kept);
	session->position = 0;
	for (size_t i = 0; i < kept; i++)
		generate_feed(session, session->text[i]);
}

/* The smallest logit that is among the top_k largest. Without sorting: 2^16 comparisons are nothing beside the pass
 * before. */
static float generate_least_logit(const float *logits, uint32_t top_k)
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
static uint8_t generate_sample(const float *logits, const struct generate_options *options, float drawn)
{
	float largest = math_max(logits, MODEL_VOCABULARY), byte_weights[MODEL_VOCABULARY], weight_sum = 0;
	float least_logit = options->top_k > 0 ? generate_least_logit(logits, options->top_k) : -INFINITY;
	int drawn_byte = 0;

	for (int i = 0; i < MODEL_VOCABULARY; i++) {
		bool likeliest = logits[i] == largest;

		byte_weights[i] = options->temperature > 0 ? math_exp((logits[i] - largest) / options->temperature) :
							     likeliest;
		byte_weights[i] = logits[i] >= least_logit ? byte_weights[i] : 0;
		weight_sum += byte_weights[i];
	}
	/* Where rounding leaves random at 0 or above behind the last weight, the last byte that can be drawn is. */
	drawn *= weight_sum;
	for (int i = 0; i < MODEL_VOCABULARY; i++) {
		if (!(byte_weights[i] > 0))
			continue;
		drawn_byte = i;
		drawn -= byte_weights[i];
		if (drawn < 0)
			break;
	}
	return (uint8_t)drawn_byte;
}

size_t generate_text(const struct state *state, const uint8_t *prompt, size_t prompt_size,
	const struct generate_options *options, uint8_t *out, size_t count)
{
	struct generate_session session;
	uint8_t key[32] = { 0 };
	size_t done = 0, ctx = state_config(state)->ctx;

	generate_session_init(&session, state);
	write_le64(key, options->seed);
	/* Training windows begin with drawn bytes, so no first byte is special; a newline is as good as any. */
	if (prompt_size == 0)
		generate_feed(&session, '\n');
	for (size_t i = prompt_size > ctx ? prompt_size - ctx / 2 : 0; i < prompt_size; i++)
		generate_feed(&session, prompt[i]);
	for (; done < count; done++) {
		uint32_t words[4];

		queue_pause(options->cancel);
		if (options->cancel != NULL && atomic_load(options->cancel))
			break;
		noise_words(key, NOISE_INIT, (uint32_t)done, words);
		out[done] = generate_sample(session.logits, options, (float)(words[0] >> 8) * 0x1p-24f);
		generate_make_room(&session);
		generate_feed(&session, out[done]);
	}
	generate_session_clear(&session);
	return done;
}

void generate_logits(const struct state *state, const uint8_t *text, size_t size, struct logits *out)
{
	struct generate_session session;

	generate_session_init(&session, state);
	for (size_t i = 0; i < size; i++)
		generate_feed(&session, text[i]);
	memcpy(out->of, session.logits, sizeof session.logits);
	generate_session_clear(&session);
}
