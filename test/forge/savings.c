/* Counts the rows of products that differ from all before: a sorted list of hashes stands for the rows seen. */
#include "savings.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/spec.h"
#include "util/mem.h"

/* Hashes of rows that were multiplied already, in order. */
struct seen {
	uint64_t *hashes;
	size_t count;
};

struct counter {
	const struct train_config *config;
	struct seen *seen;   /* [matrices][2]: forward and back, of first iterations */
	bool first;          /* the iteration under way is one */
	size_t bytes, due;   /* its bytes; those whose rows are still to be multiplied forward */
	uint64_t *hashes[2]; /* [tokens of a chunk] */
	double work[SHADOW_WAYS], needed[SHADOW_WAYS], saved, steps;
};

/* Two rows that differ in nothing but sign are one. Zero for a row of zeros, which costs nothing. */
static uint64_t hash_row(const int8_t *row, size_t width)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	int sign = 0;

	for (size_t i = 0; i < width; i++) {
		if (sign == 0)
			sign = (row[i] > 0) - (row[i] < 0);
		hash = (hash ^ (uint8_t)(sign * row[i])) * UINT64_C(0x100000001b3);
		hash ^= hash >> 29;
	}
	return sign == 0 ? 0 : hash | 1;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Leaves each hash once, zeros not at all. */
static size_t distinct(uint64_t *hashes, size_t count)
{
	size_t left = 0;

	qsort(hashes, count, sizeof *hashes, compare);
	for (size_t i = 0; i < count; i++)
		if (hashes[i] != 0 && (left == 0 || hashes[i] != hashes[left - 1]))
			hashes[left++] = hashes[i];
	return left;
}

/* Rows behind the last attention of positions whose loss is not counted are needed by nobody. */
static bool is_needed(const struct counter *c, const struct shadow_product *p, size_t token)
{
	size_t first = SHADOW_MATRICES * ((size_t)c->config->model.layers - 1) + SHADOW_OUT;

	return p->way != SHADOW_FORWARD || p->matrix < first || token % c->config->model.ctx >= MODEL_SKIPPED;
}

static size_t hash_rows(const struct counter *c, const struct shadow_product *p, const int8_t *rows, size_t width,
	uint64_t *hashes)
{
	for (size_t t = 0; t < p->tokens; t++)
		hashes[t] = is_needed(c, p, t) ? hash_row(rows + t * width, width) : 0;
	return distinct(hashes, p->tokens);
}

/* How many of the rows are new in all attempts, which then know them. */
static size_t unseen(struct seen *seen, const uint64_t *hashes, size_t count)
{
	size_t before = seen->count;

	if (count == 0)
		return 0;
	seen->hashes = mem_realloc(seen->hashes, (before + count) * sizeof *hashes);
	memcpy(seen->hashes + before, hashes, count * sizeof *hashes);
	seen->count = distinct(seen->hashes, before + count);
	return seen->count - before;
}

static double nonzero(const int8_t *q, size_t count)
{
	double n = 0;

	for (size_t i = 0; i < count; i++)
		n += q[i] != 0;
	return n;
}

static void count_product(void *context, const struct shadow_product *p)
{
	struct counter *c = context;
	double size = (double)p->in * (double)p->out, made = (double)p->tokens, rows, work;
	bool head = p->matrix == shadow_matrices(c->config) - 1;

	if (p->way == SHADOW_GRADIENT) {
		size_t x = hash_rows(c, p, p->x, p->in, c->hashes[0]),
		       dy = hash_rows(c, p, p->dy, p->out, c->hashes[1]);

		rows = (double)(x < dy ? x : dy);
	} else {
		size_t count = p->way == SHADOW_FORWARD ? hash_rows(c, p, p->x, p->in, c->hashes[0]) :
							  hash_rows(c, p, p->dy, p->out, c->hashes[0]);
		struct seen *seen = &c->seen[2 * p->matrix + p->way];

		rows = (double)(c->first ? unseen(seen, c->hashes[0], count) : count);
	}
	if (p->matrix == SHADOW_QKV && p->way == SHADOW_FORWARD) {
		made = (double)c->due;
		rows = c->first ? rows : made;
		c->due = 0;
	}
	if (p->matrix == SHADOW_QKV && p->way == SHADOW_GRADIENT && c->bytes < p->tokens)
		made = (double)c->bytes;
	work = rows * size;
	if (head && p->dy != NULL) {
		double sparse = nonzero(p->dy, p->tokens * p->out) * (double)p->in;

		work = sparse < work ? sparse : work;
	}
	c->work[p->way] += made * size;
	c->needed[p->way] += rows * size;
	c->saved += made * size - work;
}

static bool run_step(const struct setting *setting, struct shadow *shadow, struct counter *c, uint32_t number,
	struct shadow_optimizer *o, float *w, float *gradient, uint8_t *windows)
{
	const struct train_config *config = &spec_course(&setting->spec)->train;
	size_t minibatch = config->batch * ((size_t)config->model.ctx + 1);
	uint8_t seed[32];

	setting_seed(setting, number, seed);
	memcpy(w, state_theta(setting->state), model_count(&config->model) * sizeof(float));
	shadow_optimizer_reset(o, config);
	setting_gather(setting, seed, windows);
	c->steps += shadow_step_work(config, windows);
	for (uint32_t t = 0; t < config->iterations; t++) {
		c->first = t == 0;
		c->bytes = c->due = shadow_bytes(config, windows + t * minibatch);
		if (!shadow_gradient(shadow, w, windows + t * minibatch, config->batch, seed, t, gradient, NULL))
			return false;
		shadow_optimise(config, o, t, (float)config->lr_ppm / 1000000.0f, gradient, w);
	}
	return true;
}

static void counter_init(struct counter *c, const struct train_config *config)
{
	*c = (struct counter){ .config = config };
	c->seen = mem_calloc(2 * shadow_matrices(config), sizeof *c->seen);
	for (int i = 0; i < 2; i++)
		c->hashes[i] = mem_alloc(MODEL_CTX_MAX * sizeof(uint64_t));
}

static void counter_clear(struct counter *c)
{
	for (size_t i = 0; i < 2 * shadow_matrices(c->config); i++)
		free(c->seen[i].hashes);
	for (int i = 0; i < 2; i++)
		free(c->hashes[i]);
	free(c->seen);
}

bool savings_measure(const struct setting *setting, uint32_t steps, struct savings *savings)
{
	const struct train_config *config = &spec_course(&setting->spec)->train;
	size_t bytes = model_count(&config->model) * sizeof(float);
	struct shadow *shadow = shadow_new(config, ENGINE_OPENBLAS);
	struct shadow_optimizer o = shadow_optimizer_new(config);
	float *w = mem_align(bytes), *gradient = mem_align(bytes);
	uint8_t *windows = mem_alloc(step_windows_size(&spec_course(&setting->spec)->train));
	struct counter c;
	bool ok = true;

	counter_init(&c, config);
	shadow_watch(shadow, count_product, &c);
	for (uint32_t i = 0; ok && i < steps; i++)
		ok = run_step(setting, shadow, &c, i, &o, w, gradient, windows);
	for (int way = 0; way < SHADOW_WAYS; way++)
		savings->distinct[way] = c.needed[way] / c.work[way];
	savings->saved = c.saved / c.steps;
	counter_clear(&c);
	shadow_free(shadow);
	shadow_optimizer_clear(&o);
	free(w);
	free(gradient);
	free(windows);
	return ok;
}
