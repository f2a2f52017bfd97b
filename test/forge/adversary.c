/* The adversaries: what each of them leaves out, and what it remembers from attempt to attempt. */
#include "adversary.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/delta.h"
#include "ml/kernel/exact.h"
#include "util/mem.h"

struct adversary_memory {
	const struct setting *setting;
	const struct train_config *config;
	size_t count, window; /* parameters; bytes of a window */
	struct shadow *shadow;
	struct shadow_optimizer optimizer;
	float *w, *gradient;
	uint8_t *windows, *delta;
	size_t *copy;
	/* Of another seed's step from the same state, and whether it is known: */
	bool known;
	float *first, *moved; /* the gradient of its first iteration, and what it changed in all */
};

/* One attempt. */
struct attempt {
	struct adversary_memory *m;
	const uint8_t *seed;
	double work;  /* of the step, for who makes it */
	double saved; /* share of it */
};

/* The gradient of iteration t at m->w, in m->gradient, however the adversary comes by it. */
typedef bool gradient_of(struct attempt *a, uint32_t t);

struct adversary {
	const char *name;
	gradient_of *gradient;
	struct shadow_tricks tricks;
	uint32_t iterations_left_out;
};

struct adversary_memory *adversary_memory_new(const struct setting *setting)
{
	const struct train_config *config = &spec_course(&setting->spec)->train;
	struct adversary_memory *m = mem_calloc(1, sizeof *m);

	m->setting = setting;
	m->config = config;
	m->count = model_count(&config->model);
	m->window = config->model.ctx + 1;
	m->shadow = shadow_new(config, ENGINE_OPENBLAS);
	m->optimizer = shadow_optimizer_new(config);
	m->w = mem_align(m->count * sizeof(float));
	m->gradient = mem_align(m->count * sizeof(float));
	m->first = mem_align(m->count * sizeof(float));
	m->moved = mem_align(m->count * sizeof(float));
	m->windows = mem_alloc(step_windows_size(&spec_course(&setting->spec)->train));
	m->delta = mem_alloc(step_delta_size(config));
	m->copy = mem_calloc(config->batch, sizeof *m->copy);
	return m;
}

void adversary_memory_free(struct adversary_memory *m)
{
	shadow_free(m->shadow);
	shadow_optimizer_clear(&m->optimizer);
	free(m->w);
	free(m->gradient);
	free(m->first);
	free(m->moved);
	free(m->windows);
	free(m->delta);
	free(m->copy);
	free(m);
}

/* ---- Gradients ---- */

static uint8_t *windows_of(const struct attempt *a, uint32_t t)
{
	return a->m->windows + (size_t)t * a->m->config->batch * a->m->window;
}

static bool pass_over(struct attempt *a, uint32_t t, const float *w, size_t rows)
{
	return shadow_gradient(a->m->shadow, w, windows_of(a, t), rows, a->seed, t, a->m->gradient, NULL);
}

static bool honest(struct attempt *a, uint32_t t)
{
	return pass_over(a, t, a->m->w, a->m->config->batch);
}

static void leave_out(struct attempt *a, double share_of_iteration)
{
	a->saved += share_of_iteration / a->m->config->iterations;
}

/* A saturated model has nothing to learn. */
static bool no_gradient(struct attempt *a, uint32_t t)
{
	(void)t;
	memset(a->m->gradient, 0, a->m->count * sizeof(float));
	leave_out(a, 1);
	return true;
}

/* The first iteration's weights are everybody's: another seed's will do. */
static bool cached_first(struct attempt *a, uint32_t t)
{
	if (t > 0)
		return honest(a, t);
	memcpy(a->m->gradient, a->m->first, a->m->count * sizeof(float));
	leave_out(a, 1);
	return true;
}

/* The gradient hardly changes within a step. */
static bool first_for_all(struct attempt *a, uint32_t t)
{
	if (t == 0)
		return honest(a, t);
	leave_out(a, 1); /* m->gradient is still the first */
	return true;
}

/* The weights hardly change within a step: what is known at the state's weights holds for all iterations. At best that
 * is every forward pass. */
static bool stale_weights(struct attempt *a, uint32_t t)
{
	leave_out(a, 1.0 / 3);
	return pass_over(a, t, state_theta(a->m->setting->state), a->m->config->batch);
}

static bool half_the_rows(struct attempt *a, uint32_t t)
{
	leave_out(a, 0.5);
	return pass_over(a, t, a->m->w, (a->m->config->batch + 1) / 2);
}

/* All rows are as the first. */
static bool one_row(struct attempt *a, uint32_t t)
{
	uint8_t *windows = windows_of(a, t);
	uint32_t batch = a->m->config->batch;

	for (uint32_t row = 1; row < batch; row++)
		memcpy(windows + row * a->m->window, windows, a->m->window);
	leave_out(a, (double)(batch - 1) / batch / 3); /* the way back is dithered for each row */
	return honest(a, t);
}

/* Only what is behind the prefix counts: so forward passes of the first iteration can be kept, one for each place of a
 * page. */
static bool cached_pages(struct attempt *a, uint32_t t)
{
	uint8_t *windows = windows_of(a, t);

	if (t > 0)
		return honest(a, t);
	for (uint32_t row = 0; row < a->m->config->batch; row++)
		memset(windows + row * a->m->window, ' ', MODEL_SKIPPED);
	leave_out(a, 1.0 / 3);
	return honest(a, t);
}

static size_t differing(const uint8_t *a, const uint8_t *b, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += a[i] != b[i];
	return count;
}

/* Each row is taken to be the first of its chunk that is the same behind the prefix, up to `ignored` bytes. */
static bool copied_rows(struct attempt *a, uint32_t t, size_t ignored)
{
	const uint8_t *windows = windows_of(a, t);
	size_t window = a->m->window, tail = window - MODEL_SKIPPED, chunk = EXACT_CHUNK / a->m->config->model.ctx;

	for (size_t row = 0; row < a->m->config->batch; row++) {
		size_t from = row - row % chunk;

		while (from < row &&
			differing(windows + from * window + MODEL_SKIPPED, windows + row * window + MODEL_SKIPPED,
				tail) > ignored)
			from++;
		a->m->copy[row] = from;
	}
	return honest(a, t);
}

static bool equal_rows(struct attempt *a, uint32_t t)
{
	return copied_rows(a, t, 0);
}

static bool equal_but_counters(struct attempt *a, uint32_t t)
{
	return copied_rows(a, t, SETTING_COUNTER);
}

/* ---- The adversaries ---- */

static const struct adversary adversaries[ADVERSARIES] = {
	{ .name = "no gradient", .gradient = no_gradient },
	{ .name = "another seed's step" },
	{ .name = "cached first gradient", .gradient = cached_first },
	{ .name = "first gradient for all", .gradient = first_for_all },
	{ .name = "the last iteration left out", .gradient = honest, .iterations_left_out = 1 },
	{ .name = "the state's weights throughout", .gradient = stale_weights },
	{ .name = "half the rows", .gradient = half_the_rows },
	{ .name = "one row for all", .gradient = one_row },
	{ .name = "equal rows behind the prefix", .gradient = equal_rows },
	{ .name = "the same, counters ignored", .gradient = equal_but_counters },
	{ .name = "pages cached at the state", .gradient = cached_pages },
	{ .name = "binned rows, a bit, forward", .gradient = honest, .tricks = { .bin_forward = 1 } },
	{ .name = "binned rows, 3 bits, both ways", .gradient = honest, .tricks = { .bin_forward = 3, .bin_back = 3 } },
	{ .name = "products of 4 bits", .gradient = honest, .tricks = { .coarse = true } },
	{ .name = "no gradient in the lowest layer", .gradient = honest, .tricks = { .layers_left_out = 1 } },
	{ .name = "sure tokens: dither alone", .gradient = honest, .tricks = { .sure = 1e-4f } },
	{ .name = "all tokens: dither alone", .gradient = honest, .tricks = { .sure = 1e30f } },
};

const char *adversary_name(size_t adversary)
{
	return adversaries[adversary].name;
}

static void begin(struct attempt *a)
{
	const struct setting *setting = a->m->setting;

	memcpy(a->m->w, state_theta(setting->state), a->m->count * sizeof(float));
	shadow_optimizer_reset(&a->m->optimizer, a->m->config);
	setting_gather(setting, a->seed, a->m->windows);
}

static bool finish(struct attempt *a, float *difference, uint8_t digest[32])
{
	if (!delta_encode(difference, a->m->count, a->seed, a->m->delta))
		return false;
	sha256(digest, a->m->delta, step_delta_size(a->m->config));
	return true;
}

/* m->w becomes what the adversary takes for the step's last weights, m->moved its difference from the state's. */
static bool follow(struct attempt *a, const struct adversary *adversary, float *difference)
{
	struct adversary_memory *m = a->m;
	const float *theta = state_theta(m->setting->state);
	float lr = (float)m->config->lr_ppm / 1000000.0f;

	begin(a);
	a->work = shadow_step_work(m->config, m->windows);
	for (uint32_t t = 0; t + adversary->iterations_left_out < m->config->iterations; t++) {
		if (!adversary->gradient(a, t))
			return false;
		shadow_optimise(m->config, &m->optimizer, t, lr, m->gradient, m->w);
		if (t == 0 && !m->known)
			memcpy(m->first, m->gradient, m->count * sizeof(float));
	}
	a->saved += (double)adversary->iterations_left_out / m->config->iterations;
	for (size_t i = 0; i < m->count; i++)
		difference[i] = m->w[i] - theta[i];
	return true;
}

static const struct adversary honest_miner = { .name = "honest", .gradient = honest };

/* Works once on a seed that nobody draws again. */
static bool remember(struct adversary_memory *m)
{
	static const uint8_t seed[32] = "a seed from before";
	struct attempt a = { .m = m, .seed = seed };

	if (!m->known)
		m->known = follow(&a, &honest_miner, m->moved);
	return m->known;
}

bool adversary_state(struct adversary_memory *m, size_t adversary, const uint8_t seed[32], uint8_t digest[32],
	double *saved)
{
	const struct adversary *who = &adversaries[adversary];
	struct attempt a = { .m = m, .seed = seed };
	struct shadow_tricks tricks = who->tricks;
	bool ok = remember(m);

	if (who->gradient == NULL) {
		*saved = 1;
		return ok && finish(&a, m->moved, digest);
	}
	if (who->gradient == equal_rows || who->gradient == equal_but_counters)
		tricks.copy = m->copy;
	shadow_saved(m->shadow);
	shadow_set_tricks(m->shadow, &tricks);
	ok = ok && follow(&a, who, m->gradient);
	shadow_set_tricks(m->shadow, NULL);
	*saved = a.saved + shadow_saved(m->shadow) / a.work;
	return ok && finish(&a, m->gradient, digest);
}

bool adversary_honest(struct adversary_memory *m, const uint8_t seed[32], uint8_t digest[32])
{
	struct attempt a = { .m = m, .seed = seed };

	return remember(m) && follow(&a, &honest_miner, m->gradient) && finish(&a, m->gradient, digest);
}
