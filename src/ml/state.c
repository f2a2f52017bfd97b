/* The model state: drawn, read, written, hashed, counted. */
#include "ml/state.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "crypto/merkle.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "util/bytes.h"
#include "util/mem.h"

enum { PAGE = 65536, PAGE_FLOATS = PAGE / 4 };

/* Nothing but the count of references changes after state_new, so threads read it without a lock. */
struct state {
	struct model_config config;
	float *theta, *v;
	uint8_t root[32];
	atomic_size_t references;
};

/* Float `index` of the serialised state. */
static float value_at(const struct state *s, size_t count, size_t index)
{
	return index < count ? s->theta[index] : s->v[index - count];
}

/* Pages are cut from the serialised state, so one of them may hold the end of theta and the beginning of v. Computed
 * here, once, on the thread that made the state (most often a worker): a root is asked for on the loop. */
static void compute_root(struct state *s)
{
	size_t count = model_count(&s->config);
	uint8_t *page = mem_alloc(PAGE);
	struct merkle tree;

	merkle_init(&tree);
	for (size_t first = 0; first < 2 * count; first += PAGE_FLOATS) {
		size_t floats = 2 * count - first < PAGE_FLOATS ? 2 * count - first : PAGE_FLOATS;

		for (size_t i = 0; i < floats; i++)
			write_le32(page + 4 * i, float_bits(value_at(s, count, first + i)));
		merkle_add(&tree, page, 4 * floats);
	}
	merkle_final(&tree, s->root);
	free(page);
}

struct state *state_new(const struct model_config *config, float *theta, float *v)
{
	struct state *s = mem_alloc(sizeof *s);

	s->config = *config;
	s->theta = theta;
	s->v = v;
	atomic_init(&s->references, 1);
	compute_root(s);
	return s;
}

/* A parameter depends on its place in theta alone: draw i / 4, word i % 4, 24 bits of it as a number in [-1, 1),
 * exactly; then one rounded product with the amplitude. */
static void draw_tensor(const struct model_tensor *t, const uint8_t key[32], float amplitude, float *theta)
{
	uint32_t words[4] = { 0 };

	noise_words(key, NOISE_INIT, (uint32_t)(t->offset / 4), words);
	for (size_t i = t->offset; i < t->offset + t->rows * t->cols; i++) {
		if (i % 4 == 0)
			noise_words(key, NOISE_INIT, (uint32_t)(i / 4), words);
		theta[i] = ((float)((int32_t)(words[i % 4] >> 8) - (1 << 23)) * 0x1p-23f) * amplitude;
	}
}

struct state *state_new_initial(const struct model_config *config, const uint8_t key[32])
{
	size_t count = model_count(config), bytes = count * sizeof(float);
	float *theta = mem_align(bytes), *v = mem_align(bytes);

	for (size_t i = 0; i < model_tensors(config); i++) {
		struct model_tensor t;

		model_tensor(config, i, &t);
		switch (t.kind) {
		case MODEL_NORM:
			for (size_t j = 0; j < t.cols; j++)
				theta[t.offset + j] = 1.0f;
			break;
		case MODEL_EMBEDDING:
		case MODEL_MATRIX:
			draw_tensor(&t, key, 0.034f, theta);
			break;
		case MODEL_RESIDUAL:
			/* What adds to the residual stream does so 2 * layers times; divided by the root of that, its
			 * sum is as wide as one. */
			draw_tensor(&t, key, 0.034f / sqrtf((float)(2 * config->layers)), theta);
			break;
		}
	}
	memset(v, 0, bytes);
	return state_new(config, theta, v);
}

static bool read_floats(const uint8_t *data, size_t count, float *out)
{
	bool finite = true;

	for (size_t i = 0; i < count; i++) {
		out[i] = float_from_bits(read_le32(data + 4 * i));
		finite &= float_is_finite(out[i]);
	}
	return finite;
}

struct state *state_deserialise(const struct model_config *config, const uint8_t *data, size_t size)
{
	size_t count = model_count(config), bytes = count * sizeof(float);

	if (size != state_size(config))
		return NULL;
	float *theta = mem_align(bytes), *v = mem_align(bytes);

	/* From a value that is not finite no step has a result: such a state could only stop the chain that begins with
	 * it. */
	if (!read_floats(data, count, theta) || !read_floats(data + bytes, count, v)) {
		free(theta);
		free(v);
		return NULL;
	}
	return state_new(config, theta, v);
}

/* Who takes a reference has one already, so the count cannot reach zero meanwhile: no order is needed. Who gives the
 * last one back must see all that others read before they gave theirs: acquire and release. */
struct state *state_ref(struct state *s)
{
	atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
	return s;
}

void state_unref(struct state *s)
{
	if (s == NULL || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1)
		return;
	free(s->theta);
	free(s->v);
	free(s);
}

const struct model_config *state_config(const struct state *s)
{
	return &s->config;
}

const float *state_theta(const struct state *s)
{
	return s->theta;
}

const float *state_momentum(const struct state *s)
{
	return s->v;
}

const uint8_t *state_root(const struct state *s)
{
	return s->root;
}

size_t state_size(const struct model_config *config)
{
	return 2 * sizeof(float) * model_count(config);
}

void state_serialise(const struct state *s, uint8_t *out)
{
	size_t count = model_count(&s->config);

	for (size_t i = 0; i < 2 * count; i++)
		write_le32(out + 4 * i, float_bits(value_at(s, count, i)));
}
