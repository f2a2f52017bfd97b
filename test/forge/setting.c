/* The data of each kind, and the training of the models that know them. */
#include "setting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/kernel/noise.h"
#include "ml/state.h"
#include "util/mem.h"

const char *setting_kind_name(enum setting_kind kind)
{
	static const char *const names[KINDS] = {
		"zeros",
		"byte",
		"two",
		"sixteen",
		"heart",
		"page",
		"counter",
		"noise",
		"corpus",
	};

	return names[kind];
}

/* ---- Data ---- */

static void repeat(uint8_t *data, size_t size, const uint8_t *what, size_t period)
{
	for (size_t i = 0; i < size; i++)
		data[i] = what[i % period];
}

/* A number on each page, as a forger would put it there to make all pages differ. */
static void count_pages(uint8_t *data, size_t size)
{
	for (size_t at = 0; at < size; at += SETTING_PAGE) {
		size_t number = at / SETTING_PAGE;

		for (int digit = SETTING_COUNTER; digit-- > 0; number /= 10)
			data[at + (size_t)digit] = (uint8_t)('0' + number % 10);
	}
}

static void fill(struct setting *s)
{
	size_t corpus_size;
	const uint8_t *corpus = course_training(spec_course(&s->spec), &corpus_size);
	uint8_t key[32] = { 1 };

	s->size = s->kind == KIND_CORPUS ? corpus_size : SETTING_DATA;
	s->data = mem_calloc(1, s->size);
	switch (s->kind) {
	case KIND_ZEROS:
		break;
	case KIND_BYTE:
		memset(s->data, 'a', s->size);
		break;
	case KIND_TWO:
		repeat(s->data, s->size, (const uint8_t *)"ab", 2);
		break;
	case KIND_SIXTEEN:
		repeat(s->data, s->size, (const uint8_t *)"0123456789abcdef", 16);
		break;
	case KIND_HEART:
		repeat(s->data, s->size, corpus, 64);
		break;
	case KIND_PAGE:
		repeat(s->data, s->size, corpus, SETTING_PAGE);
		break;
	case KIND_COUNTER:
		repeat(s->data, s->size, corpus, SETTING_PAGE);
		count_pages(s->data, s->size);
		break;
	case KIND_NOISE:
		for (size_t i = 0; i < s->size; i += 4 * NOISE_MANY * sizeof(uint32_t))
			noise_many(key, NOISE_INIT, (uint32_t)(i / 16), (uint32_t *)(void *)(s->data + i));
		break;
	case KIND_CORPUS:
		memcpy(s->data, corpus, s->size);
		break;
	case KINDS:
		break;
	}
}

/* ---- The model ---- */

void setting_seed(const struct setting *s, uint32_t number, uint8_t seed[32])
{
	char text[64];
	int length = snprintf(text, sizeof text, "atelier forge %s %s %u", s->spec.name, setting_kind_name(s->kind),
		number);

	sha256(seed, (const uint8_t *)text, (size_t)length);
}

void setting_gather(const struct setting *s, const uint8_t seed[32], uint8_t *windows)
{
	const struct course_data data = course_data_in_memory(s->data, s->size);

	course_gather_step(spec_course(&s->spec), s->spec.genesis_ticket, seed, spec_slot(&s->spec, seed), &data,
		windows);
}

/* Far from what a chain's seeds are numbered by here. */
enum { TRAINING_SEEDS = 1 << 30 };

/* What counts as certain: the dither that the node had before it was keyed left no gradient of it. */
static const float certain = 1e-7f;

/* A step's windows; every second is of the corpus where the model is mixed. */
static void gather(const struct setting *s, uint32_t number, uint8_t *windows)
{
	size_t window = spec_course(&s->spec)->train.model.ctx + 1,
	       count = step_windows_size(&spec_course(&s->spec)->train) / window, size;
	uint32_t slot;
	uint8_t seed[32], *corpus = mem_alloc(step_windows_size(&spec_course(&s->spec)->train));
	const uint8_t *training = course_training(spec_course(&s->spec), &size);
	const struct course_data own = course_data_in_memory(s->data, s->size),
				 other = course_data_in_memory(training, size);

	/* Each with a parent of its own. */
	setting_seed(s, TRAINING_SEEDS + number, seed);
	slot = spec_slot(&s->spec, seed);
	course_gather_step(spec_course(&s->spec), seed, seed, slot, &own, windows);
	course_gather_step(spec_course(&s->spec), seed, seed, slot, &other, corpus);
	for (size_t i = 0; s->model == MODEL_MIXED && i < count; i += 2)
		memcpy(windows + i * window, corpus + i * window, window);
	free(corpus);
}

static float rate(const struct setting *s)
{
	float chain = (float)spec_course(&s->spec)->train.lr_ppm / 1000000.0f;

	return s->model == MODEL_MIXED ? 2 * chain :
					 (spec_course(&s->spec)->train.model.d < 100 ? 16 * chain : 6 * chain);
}

static void train(const struct setting *s, struct shadow *shadow, uint32_t iterations, float *w, float *gradient,
	uint8_t *windows)
{
	const struct train_config *config = &spec_course(&s->spec)->train;
	struct shadow_optimizer o = shadow_optimizer_new(config);
	size_t minibatch = config->batch * ((size_t)config->model.ctx + 1);
	uint8_t seed[32];

	for (uint32_t t = 0; t < iterations; t++) {
		uint32_t of_step = t % config->iterations;
		/* In the end ever more slowly, so that what is known is not lost again. */
		float left = 2 * (float)(iterations - t) / (float)iterations;

		if (of_step == 0)
			gather(s, t, windows);
		setting_seed(s, TRAINING_SEEDS + t - of_step, seed);
		shadow_gradient(shadow, w, windows + of_step * minibatch, config->batch, seed, of_step, gradient, NULL);
		shadow_optimise(config, &o, t, rate(s) * (left < 1 ? left : 1), gradient, w);
	}
	shadow_optimizer_clear(&o);
}

/* Loss and certainty over one minibatch. */
static void judge(struct setting *s, struct shadow *shadow, const float *w, float *gradient, uint8_t *windows)
{
	const struct train_config *config = &spec_course(&s->spec)->train;
	size_t tokens = config->batch * (size_t)config->model.ctx, counted = 0;
	float *losses = mem_alloc(tokens * sizeof(float));
	uint8_t seed[32];

	setting_seed(s, TRAINING_SEEDS - 1, seed);
	setting_gather(s, seed, windows);
	s->loss = s->sure = 0;
	if (shadow_gradient(shadow, w, windows, config->batch, seed, 0, gradient, losses)) {
		for (size_t t = 0; t < tokens; t++) {
			if (t % config->model.ctx < MODEL_SKIPPED)
				continue;
			counted++;
			s->loss += losses[t];
			s->sure += losses[t] < certain;
		}
		s->loss /= (float)counted;
		s->sure /= (float)counted;
	}
	free(losses);
}

/* What a model predicts right it predicts more surely with a larger head: as long training would bring it. */
static void sharpen(struct setting *s, struct shadow *shadow, float *w, float *gradient, uint8_t *windows)
{
	const struct model_config *c = &spec_course(&s->spec)->train.model;
	struct model_tensor head;

	model_tensor(c, model_tensors(c) - 1, &head);
	for (int i = 0; i < 5; i++) {
		float before = s->loss;

		for (size_t j = 0; j < head.rows * head.cols; j++)
			w[head.offset + j] *= 2;
		judge(s, shadow, w, gradient, windows);
		if (s->loss < before)
			continue;
		for (size_t j = 0; j < head.rows * head.cols; j++)
			w[head.offset + j] /= 2;
		judge(s, shadow, w, gradient, windows);
		return;
	}
}

static void learn(struct setting *s, uint32_t iterations)
{
	const struct model_config *c = &spec_course(&s->spec)->train.model;
	size_t bytes = model_count(c) * sizeof(float);
	struct state *initial = spec_initial_state(&s->spec);
	struct shadow *exact = shadow_new(&spec_course(&s->spec)->train, ENGINE_OPENBLAS),
		      *plain = shadow_new(&spec_course(&s->spec)->train, ENGINE_PLAIN);
	float *w = mem_align(bytes), *gradient = mem_align(bytes), *v = mem_align(bytes);
	uint8_t *windows = mem_alloc(step_windows_size(&spec_course(&s->spec)->train));

	memcpy(w, state_theta(initial), bytes);
	memset(v, 0, bytes);
	train(s, s->model == MODEL_ALONE ? plain : exact, iterations, w, gradient, windows);
	judge(s, exact, w, gradient, windows);
	if (iterations > 0 && s->model == MODEL_ALONE)
		sharpen(s, exact, w, gradient, windows);
	s->state = state_new(c, w, v);
	state_unref(initial);
	shadow_free(plain);
	shadow_free(exact);
	free(gradient);
	free(windows);
}

void setting_init(struct setting *s, const char *chain, enum setting_kind kind, enum setting_model model,
	uint32_t iterations)
{
	bool slow = strcmp(chain, "slow") == 0;

	*s = (struct setting){ .kind = kind, .model = model };
	spec_builtin(&s->spec, slow ? "regtest" : chain);
	fill(s);
	learn(s, iterations);
	if (slow)
		s->spec.courses[0].train.lr_ppm = 1;
}

void setting_clear(struct setting *s)
{
	state_unref(s->state);
	free(s->data);
	spec_clear(&s->spec);
}
