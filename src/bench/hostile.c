/* Hostile starts: made from a number, executed on all engines, compared, timed. */
#include "bench/hostile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/noise.h"
#include "util/bytes.h"
#include "util/mem.h"
#include "util/size.h"

/* === Starts === */

/* What is done to a tensor. The first numbers do one of these to all of them; as many more to queries and keys alone,
 * so that scores are huge and what attention gives the least is subnormal; all others to each what is drawn. */
enum hostile_manner {
	HOSTILE_UNTOUCHED,
	HOSTILE_CANCELLED, /* as near to zero as a code can bring it: grids, norms and squares become tiny */
	HOSTILE_LARGEST,   /* to the bound, with drawn signs */
	HOSTILE_EQUAL,     /* to the bound, all with one sign: sums grow as they never do */
	HOSTILE_UNIFORM,   /* anywhere within the bound */
	HOSTILE_SCALED,    /* anywhere within one power of two: some make attention's weights subnormal */
	HOSTILE_MIXED,     /* of another power of two in each block */
	HOSTILE_MANNERS
};

struct hostile_draws {
	uint8_t key[32];
	uint32_t next;
	int exponent_max;
};

static int hostile_draw(struct hostile_draws *draws, int least, int most)
{
	return least + (int)noise_uniform(draws->key, NOISE_WINDOW, draws->next++, (uint64_t)(most - least + 1));
}

/* Up to 127 units to either side: what the code allows, though encoding stops at 126. */
static int hostile_value(struct hostile_draws *draws, enum hostile_manner manner, int exponent, float theta)
{
	switch (manner) {
	case HOSTILE_CANCELLED: {
		float units = -theta * (float)(UINT64_C(1) << -exponent);

		return units >= 127.0f ? 127 : units <= -127.0f ? -127 : (int)units;
	}
	case HOSTILE_LARGEST:
		return hostile_draw(draws, 0, 1) ? 127 : -127;
	case HOSTILE_EQUAL:
		return 127;
	case HOSTILE_UNIFORM:
	case HOSTILE_SCALED:
	case HOSTILE_MIXED:
		return hostile_draw(draws, -128, 127);
	case HOSTILE_UNTOUCHED:
	case HOSTILE_MANNERS:
		break;
	}
	return 0;
}

/* The smallest within the bound that a code can cancel these values with. */
static int hostile_cancelling(const struct hostile_draws *draws, const float *theta, size_t count)
{
	int exponent = DELTA_EXPONENT_MIN;

	for (size_t i = 0; i < count; i++)
		while (exponent < draws->exponent_max &&
			(theta[i] < 0 ? -theta[i] : theta[i]) * (float)(UINT64_C(1) << -exponent) > 127.0f)
			exponent++;
	return exponent;
}

/* theta: of the block's values. */
static void hostile_block(struct hostile_draws *draws, enum hostile_manner manner, int scale, const float *theta,
	size_t count, uint8_t *block)
{
	int exponent = draws->exponent_max;

	if (manner == HOSTILE_CANCELLED)
		exponent = hostile_cancelling(draws, theta, count);
	else if (manner == HOSTILE_SCALED)
		exponent = scale < DELTA_EXPONENT_MIN ? DELTA_EXPONENT_MIN : scale;
	else if (manner == HOSTILE_MIXED)
		exponent = hostile_draw(draws, DELTA_EXPONENT_MIN, draws->exponent_max);
	memset(block, 0, DELTA_BLOCK_SIZE);
	block[0] = (uint8_t)(int8_t)exponent;
	for (size_t i = 0; i < count; i++)
		block[1 + i] = (uint8_t)(int8_t)hostile_value(draws, manner, exponent, theta[i]);
}

static enum hostile_manner hostile_manner_of(struct hostile_draws *draws, uint32_t number,
	const struct model_tensor *tensor)
{
	const char *name = strrchr(tensor->name, '.');
	bool scores = name != NULL && (strcmp(name, ".wq") == 0 || strcmp(name, ".wk") == 0);

	if (number < HOSTILE_MANNERS)
		return (enum hostile_manner)number;
	if (number < 2 * HOSTILE_MANNERS)
		return scores ? (enum hostile_manner)(number - HOSTILE_MANNERS) : HOSTILE_UNTOUCHED;
	return (enum hostile_manner)hostile_draw(draws, 0, HOSTILE_MANNERS - 1);
}

/* A block on the border of two tensors is as the first one's. */
void hostile_start(const struct train_config *config, const struct state *base, uint32_t number, uint8_t *code)
{
	struct hostile_draws draws = { .exponent_max = run_exponent_max(config) };
	const size_t n = model_count(&config->model);
	enum hostile_manner manner = HOSTILE_UNTOUCHED;
	struct model_tensor tensor = { .rows = 0 };
	uint8_t numbered[4];
	int scale = 0;

	write_le32(numbered, number);
	tagged_hash(draws.key, "atelier hostile start", numbered, sizeof numbered);
	for (size_t first = 0, index = 0; first < n; first += DELTA_BLOCK, code += DELTA_BLOCK_SIZE) {
		while (first >= tensor.offset + tensor.rows * tensor.cols) {
			model_tensor(&config->model, index++, &tensor);
			manner = hostile_manner_of(&draws, number, &tensor);
			scale = draws.exponent_max - hostile_draw(&draws, 0, 12);
		}
		hostile_block(&draws, manner, scale, state_theta(base) + first, size_min(n - first, DELTA_BLOCK), code);
	}
}

/* === On all engines === */

/* Starts that took longest are timed again, since a busy machine makes any seem slow now and then. */
enum { HOSTILE_ENGINES = 3, HOSTILE_SLOWEST = 8, HOSTILE_HONEST = UINT32_MAX };

struct hostile_engine {
	const struct backend_kind *kind;
	struct backend *backend;
	size_t differing;
	struct {
		uint32_t number;
		double took;
	} slowest[HOSTILE_SLOWEST]; /* the longest first */
};

struct hostile_sweep {
	struct train_config config;
	struct state *base;
	uint8_t *windows, *start, *code;
	uint32_t iterations;
	struct hostile_engine engines[HOSTILE_ENGINES]; /* the reference first */
	size_t engine_count, failed;
};

/* What there is no spec for yet is as a chain's rounds are meant to be. */
static void hostile_set_up(struct bench *bench, struct hostile_sweep *sweep)
{
	static const enum engine engines[HOSTILE_ENGINES] = { ENGINE_REFERENCE, ENGINE_OPENBLAS, ENGINE_ONEDNN };
	struct course course = *spec_course(&bench->spec);
	uint8_t seed[32];
	size_t size;
	struct errmsg err;
	const uint8_t *training = course_training(&course, &size);
	const struct course_data data = course_data_in_memory(training, size);

	if (course.train.segments == 0) {
		course.train.segments = 32;
		course.train.segment = 64;
	}
	sweep->config = course.train;
	sweep->iterations = (uint32_t)size_min(bench->iterations, course.train.segment);
	sweep->base = spec_initial_state(&bench->spec);
	sweep->windows = mem_alloc(run_windows_size(&course.train));
	sweep->start = mem_alloc(run_code_size(&course.train));
	sweep->code = mem_alloc(run_code_size(&course.train));
	bench_seed(&bench->spec, seed);
	run_gather(&course, seed, &data, sweep->windows);
	for (size_t i = 0; i < HOSTILE_ENGINES; i++)
		if (backend_usable(backend_cpu(engines[i]), &err)) {
			struct hostile_engine *engine = &sweep->engines[sweep->engine_count++];

			engine->kind = backend_cpu(engines[i]);
			engine->backend = backend_new(engine->kind, &course.train, bench->threads);
		}
}

static void hostile_clear(struct hostile_sweep *sweep)
{
	for (size_t i = 0; i < sweep->engine_count; i++)
		backend_free(sweep->engines[i].backend);
	state_unref(sweep->base);
	free(sweep->windows);
	free(sweep->start);
	free(sweep->code);
}

/* Returns processor seconds: others on the machine do not count. */
static double hostile_execute(struct hostile_sweep *sweep, struct hostile_engine *engine, uint32_t number, bool checked,
	enum step_result *result, uint8_t digest[32])
{
	struct step_job job = {
		.state = sweep->base,
		.start = sweep->start,
		.iterations = sweep->iterations,
		.seed = state_root(sweep->base),
		.windows = sweep->windows,
		.checked = checked,
	};
	clock_t before;

	if (number == HOSTILE_HONEST)
		run_start(&sweep->config, sweep->start);
	else
		hostile_start(&sweep->config, sweep->base, number, sweep->start);
	before = clock();
	*result = backend_execute(engine->backend, &job, sweep->code);
	memset(digest, 0, 32);
	if (*result == STEP_OK)
		sha256(digest, sweep->code, run_code_size(&sweep->config));
	return (double)(clock() - before) / CLOCKS_PER_SEC;
}

/* Keeps the longest, sorted. */
static void hostile_note_time(struct hostile_engine *engine, uint32_t number, double took)
{
	size_t at = HOSTILE_SLOWEST;

	for (; at > 0 && took > engine->slowest[at - 1].took; at--)
		if (at < HOSTILE_SLOWEST)
			engine->slowest[at] = engine->slowest[at - 1];
	if (at < HOSTILE_SLOWEST) {
		engine->slowest[at].number = number;
		engine->slowest[at].took = took;
	}
}

/* Every other start is executed with all products checked: awkward operands must not look like wrong products. */
static void hostile_compare(struct hostile_sweep *sweep, uint32_t number)
{
	enum step_result expected, result;
	uint8_t expected_digest[32], digest[32];

	for (size_t i = 0; i < sweep->engine_count; i++) {
		struct hostile_engine *engine = &sweep->engines[i];
		double took = hostile_execute(sweep, engine, number, number % 2 == 1, &result, digest);

		hostile_note_time(engine, number, took);
		if (i == 0) {
			expected = result;
			memcpy(expected_digest, digest, 32);
			sweep->failed += result != STEP_OK;
		}
		engine->differing += result != expected || memcmp(digest, expected_digest, 32) != 0;
	}
}

/* The best of so many, as is all that is compared. */
static double hostile_best(struct bench *bench, struct hostile_sweep *sweep, struct hostile_engine *engine,
	uint32_t number)
{
	enum step_result result;
	uint8_t digest[32];
	double best = 0;

	for (size_t i = 0; i < bench->rounds; i++) {
		double took = hostile_execute(sweep, engine, number, false, &result, digest);

		best = i == 0 || took < best ? took : best;
	}
	return best;
}

static void hostile_print(struct bench *bench, struct hostile_sweep *sweep, struct hostile_engine *engine)
{
	double honest = hostile_best(bench, sweep, engine, HOSTILE_HONEST), slowest = 0;
	uint32_t number = 0;

	for (size_t i = 0; i < HOSTILE_SLOWEST && engine->slowest[i].took > 0; i++) {
		double took = hostile_best(bench, sweep, engine, engine->slowest[i].number);

		if (took > slowest) {
			slowest = took;
			number = engine->slowest[i].number;
		}
	}
	line_begin(&bench->line, "hostile", bench->chain, engine->kind->name);
	line_add(&bench->line, "starts", (double)bench->starts);
	line_add(&bench->line, "failed", (double)sweep->failed);
	line_add(&bench->line, "differing", (double)engine->differing);
	line_add(&bench->line, "honest_ms", honest * 1e3);
	line_add(&bench->line, "slowest_ms", slowest * 1e3);
	line_add(&bench->line, "slowest_start", number);
	line_add(&bench->line, "ratio", slowest / honest);
	line_end(&bench->line);
}

bool bench_hostile(struct bench *bench)
{
	struct hostile_sweep *sweep = mem_calloc(1, sizeof *sweep);
	bool same = true;

	hostile_set_up(bench, sweep);
	for (uint32_t number = 0; number < bench->starts; number++)
		hostile_compare(sweep, number);
	for (size_t i = 0; i < sweep->engine_count; i++) {
		hostile_print(bench, sweep, &sweep->engines[i]);
		same = same && sweep->engines[i].differing == 0;
	}
	hostile_clear(sweep);
	free(sweep);
	return same;
}
