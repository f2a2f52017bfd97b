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

enum { STATE_PAGE = 65536, STATE_PAGE_FLOATS = STATE_PAGE / 4 };

/* Nothing but the count of references changes after state_new, so threads read it without a lock. */
struct state {
	struct model_config config;
	float *theta, *v;
	uint8_t root[32];
	atomic_size_t references;
};

/* Float `index` of the serialised state. */
static float state_value(const struct state *state, size_t count, size_t index)
{
	return index < count ? state->theta[index] : state->v[index - count];
}

/* Pages are cut from the serialised state, so one of them may hold the end of theta and the beginning of v. Computed
 * here, once, on the thread that made the state (most often a worker): a root is asked for on the loop. */
static void state_compute_root(struct state *state)
{
	size_t count = model_count(&state->config);
	uint8_t *page = mem_alloc(STATE_PAGE);
	struct merkle tree;

	merkle_init(&tree);
	for (size_t first = 0; first < 2 * count; first += STATE_PAGE_FLOATS) {
		size_t page_floats = 2 * count - first < STATE_PAGE_FLOATS ? 2 * count - first : STATE_PAGE_FLOATS;

		for (size_t i = 0; i < page_floats; i++)
			write_le32(page + 4 * i, float_bits(state_value(state, count, first + i)));
		merkle_add(&tree, page, 4 * page_floats);
	}
	merkle_final(&tree, state->root);
	free(page);
}

struct state *state_new(const struct model_config *config, float *theta, float *momentum)
{
	struct state *state = mem_alloc(sizeof *state);

	state->config = *config;
	state->theta = theta;
	state->v = momentum;
	atomic_init(&state->references, 1);
	state_compute_root(state);
	return state;
}

/* A parameter depends on its place in theta alone: draw i / 4, word i % 4, 24 bits of it as a number in [-1, 1),
 * exactly; then one rounded product with the amplitude. */
static void state_draw_tensor(const struct model_tensor *tensor, const uint8_t key[32], float amplitude, float *theta)
{
	uint32_t words[4] = { 0 };

	noise_words(key, NOISE_INIT, (uint32_t)(tensor->offset / 4), words);
	for (size_t i = tensor->offset; i < tensor->offset + tensor->rows * tensor->cols; i++) {
		if (i % 4 == 0)
			noise_words(key, NOISE_INIT, (uint32_t)(i / 4), words);
		theta[i] = ((float)((int32_t)(words[i % 4] >> 8) - (1 << 23)) * 0x1p-23f) * amplitude;
	}
}

struct state *state_new_initial(const struct model_config *config, const uint8_t key[32])
{
	size_t count = model_count(config), bytes = count * sizeof(float);
	float *theta = mem_align(bytes), *momentum = mem_align(bytes);

	for (size_t i = 0; i < model_tensors(config); i++) {
		struct model_tensor tensor;

		model_tensor(config, i, &tensor);
		switch (tensor.kind) {
		case MODEL_NORM:
			for (size_t j = 0; j < tensor.cols; j++)
				theta[tensor.offset + j] = 1.0f;
			break;
		case MODEL_EMBEDDING:
		case MODEL_MATRIX:
			state_draw_tensor(&tensor, key, 0.034f, theta);
			break;
		case MODEL_RESIDUAL:
			/* What adds to the residual stream does so 2 * layers times; divided by the root of that, its
			 * sum is as wide as one. */
			state_draw_tensor(&tensor, key, 0.034f / sqrtf((float)(2 * config->layers)), theta);
			break;
		}
	}
	memset(momentum, 0, bytes);
	return state_new(config, theta, momentum);
}

static bool state_read_floats(const uint8_t *serialised, size_t count, float *out)
{
	bool finite = true;

	for (size_t i = 0; i < count; i++) {
		out[i] = float_from_bits(read_le32(serialised + 4 * i));
		finite &= float_is_finite(out[i]);
	}
	return finite;
}

struct state *state_deserialise(const struct model_config *config, const uint8_t *serialised, size_t size)
{
	size_t count = model_count(config), bytes = count * sizeof(float);

	if (size != state_size(config))
		return NULL;
	float *theta = mem_align(bytes), *momentum = mem_align(bytes);

	/* From a value that is not finite no step has a result: such a state could only stop the chain that begins with
	 * it. */
	if (!state_read_floats(serialised, count, theta) || !state_read_floats(serialised + bytes, count, momentum)) {
		free(theta);
		free(momentum);
		return NULL;
	}
	return state_new(config, theta, momentum);
}

/* Who takes a reference has one already, so the count cannot reach zero meanwhile: no order is needed. Who gives the
 * last one back must see all that others read before they gave theirs: acquire and release. */
struct state *state_ref(struct state *state)
{
	atomic_fetch_add_explicit(&state->references, 1, memory_order_relaxed);
	return state;
}

void state_unref(struct state *state)
{
	if (state == NULL || atomic_fetch_sub_explicit(&state->references, 1, memory_order_acq_rel) > 1)
		return;
	free(state->theta);
	free(state->v);
	free(state);
}

const struct model_config *state_config(const struct state *state)
{
	return &state->config;
}

const float *state_theta(const struct state *state)
{
	return state->theta;
}

const float *state_momentum(const struct state *state)
{
	return state->v;
}

const uint8_t *state_root(const struct state *state)
{
	return state->root;
}

size_t state_size(const struct model_config *config)
{
	return 2 * sizeof(float) * model_count(config);
}

void state_serialise(const struct state *state, uint8_t *serialised)
{
	size_t count = model_count(&state->config);

	for (size_t i = 0; i < 2 * count; i++)
		write_le32(serialised + 4 * i, float_bits(state_value(state, count, i)));
}
