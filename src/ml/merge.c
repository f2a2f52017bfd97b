/* A round's merge: runs are judged one by one, the sum of the good ones moves the state. */
#include "ml/merge.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "ml/course.h"
#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "util/mem.h"
#include "util/size.h"

/* Values handled at a time: small enough for the cache, a multiple of delta blocks and of the sums' lanes. */
enum { MERGE_RANGE = 4096 };

/* Few runs divide as if there were so many of the longest: no run moves the state by more than a third of its way. */
enum { MERGE_LONGEST_MIN = 3 };

/* Squares of distances, for each segment: one more than three times as far as the median's is left out. */
#define MERGE_SQUARES_MAX 9.0f

/* What losses are computed with. */
struct merge_measure {
	struct backend *backend;
	struct backend_batch batch; /* at the state before the merge: with the windows that judge single runs */
	float gate;                 /* of single runs */
};

/* Of codes that are not in memory the one at hand. */
struct merge_reader {
	uint8_t *code; /* owned; NULL: none was read yet */
	size_t size;
	bool failed;
};

static bool merge_is_true(const struct merge_run *run)
{
	return run->code != NULL || run->read != NULL;
}

/* Of a true run, until the next call; NULL: it cannot be read, which is remembered. */
static const uint8_t *merge_code(struct merge_reader *reader, const struct merge_run *run)
{
	if (run->code != NULL)
		return run->code;
	if (reader->code == NULL)
		reader->code = mem_alloc(reader->size);
	reader->failed = reader->failed || !run->read(run->source, reader->code);
	return reader->failed ? NULL : reader->code;
}

/* At a state, or at what a code makes of it, of so many times the windows of a single run. False with NaN if it fails.
 */
static bool merge_loss(const struct merge_measure *measure, const struct state *state, const uint8_t *change,
	size_t times, float *loss)
{
	struct backend_batch batch = measure->batch;

	batch.state = state;
	batch.change = change;
	batch.rows *= times;
	if (backend_loss(measure->backend, &batch, loss) && float_is_finite(*loss))
		return true;
	*loss = NAN;
	return false;
}

static bool merge_is_merged(const struct merge_run *run)
{
	return merge_is_true(run) && run->seat == MERGE_MERGED;
}

static size_t merge_count_merged(const struct merge_run *runs, size_t count)
{
	size_t merged = 0;

	for (size_t i = 0; i < count; i++)
		merged += merge_is_merged(&runs[i]);
	return merged;
}

/* What weights are divided by, also where nobody has any. A round has so few segments that a float holds their sum. */
static uint32_t merge_divisor(const struct merge_run *runs, size_t count)
{
	uint32_t merged = 0, least = MERGE_LONGEST_MIN;

	for (size_t i = 0; i < count; i++) {
		if (!merge_is_merged(&runs[i]))
			continue;
		merged += runs[i].length;
		if (least < MERGE_LONGEST_MIN * runs[i].length)
			least = MERGE_LONGEST_MIN * runs[i].length;
	}
	return merged > least ? merged : least;
}

/* --- judging runs --- */

/* dot16 of a run with itself: never negative, and finite whatever the code, as 2^32 squares of 127 are. */
static float merge_square(const uint8_t *code, size_t n)
{
	float lane[16] = { 0 }, decoded[MERGE_RANGE];

	for (size_t first = 0; first < n; first += MERGE_RANGE) {
		size_t count = size_min(n - first, MERGE_RANGE);

		delta_decode(code, first, count, decoded);
		math_dot16_add(lane, decoded, decoded, count);
	}
	return math_fold16(lane);
}

/* How far a true run went. */
struct merge_way {
	float square; /* for each segment */
	uint32_t length;
};

static int merge_compare(const void *a, const void *b)
{
	float left = ((const struct merge_way *)a)->square, right = ((const struct merge_way *)b)->square;

	return (left > right) - (left < right);
}

/* The lower median of the squares of the true runs, one at least, each of which counts as often as it has segments:
 * more than half of what was trained would have to go far for one that does to pass. (Counted by runs, half of the
 * seats with a segment each, in which little is trained, could have all long ones left out.) */
static float merge_median(const struct merge_way *ways, size_t count)
{
	struct merge_way *sorted = mem_dup(ways, count * sizeof *ways);
	uint32_t all = 0, so_far = 0;
	float median = 0;

	qsort(sorted, count, sizeof *sorted, merge_compare);
	for (size_t i = 0; i < count; i++)
		all += sorted[i].length;
	for (size_t i = 0; 2 * so_far < all; i++) {
		so_far += sorted[i].length;
		median = sorted[i].square;
	}
	free(sorted);
	return median;
}

/* All true runs are left out but those that pass both tests; losses: [count], of those it is filled. Each is looked at
 * once, though its loss may turn out not to matter: to read a large code again would cost more. */
static void merge_judge(const struct merge_measure *measure, struct merge_reader *reader, float loss_before,
	struct merge_run *runs, size_t count, float *losses)
{
	const size_t n = model_count(&measure->backend->config.model);
	struct merge_way *ways = mem_alloc(count * sizeof *ways);
	size_t judged = 0;

	for (size_t i = 0; i < count; i++) {
		const uint8_t *code = merge_is_true(&runs[i]) ? merge_code(reader, &runs[i]) : NULL;

		if (code == NULL)
			continue;
		ways[judged].square = merge_square(code, n) / (float)runs[i].length;
		ways[judged++].length = runs[i].length;
		merge_loss(measure, measure->batch.state, code, 1, &losses[i]);
	}
	const float limit = MERGE_SQUARES_MAX * merge_median(ways, judged);

	judged = 0;
	for (size_t i = 0; i < count && !reader->failed; i++) {
		if (!merge_is_true(&runs[i]))
			continue;
		/* NaN, of a loss that failed, is no less than anything. */
		if (ways[judged++].square <= limit && losses[i] <= loss_before * measure->gate)
			runs[i].seat = MERGE_MERGED;
	}
	free(ways);
}

/* Of the merged runs the worse half is left out, the middle one stays: those of the highest losses, of equal ones those
 * of later seats. */
static void merge_halve(struct merge_run *runs, size_t count, const float *losses)
{
	for (size_t left = merge_count_merged(runs, count) / 2; left > 0; left--) {
		size_t worst = count;

		for (size_t i = 0; i < count; i++)
			if (merge_is_merged(&runs[i]) && (worst == count || losses[i] >= losses[worst]))
				worst = i;
		runs[worst].seat = MERGE_LEFT_OUT;
	}
}

static void merge_leave_out_all(struct merge_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (merge_is_true(&runs[i]))
			runs[i].seat = MERGE_LEFT_OUT;
}

/* --- the state after it --- */

/* sum becomes that of the merged runs by their weights, seats ascending, [n]. It starts at +0, which changes no bit: no
 * decoded value is -0. One run after the other, for their codes to be read once. */
static void merge_sum(struct merge_reader *reader, const struct merge_run *runs, size_t run_count, size_t n, float *sum)
{
	float decoded[MERGE_RANGE];

	memset(sum, 0, n * sizeof *sum);
	for (size_t i = 0; i < run_count; i++) {
		const uint8_t *code = merge_is_merged(&runs[i]) ? merge_code(reader, &runs[i]) : NULL;
		const float weight = (float)runs[i].length;

		for (size_t first = 0; code != NULL && first < n; first += MERGE_RANGE) {
			size_t count = size_min(n - first, MERGE_RANGE);

			delta_decode(code, first, count, decoded);
			for (size_t j = 0; j < count; j++)
				sum[first + j] = sum[first + j] + weight * decoded[j];
		}
	}
}

/* A second proposal goes without the momentum: that may be what made the first one a bad one. NULL: a code cannot be
 * read. */
static struct state *merge_propose(const struct train_config *config, struct merge_reader *reader,
	const struct state *state, const struct merge_run *runs, size_t run_count, bool is_second)
{
	const size_t n = model_count(&config->model);
	const float mu = is_second ? 0 : (float)config->mu_ppm / 1000000.0f, eta = (float)config->eta_ppm / 1000000.0f,
		    divisor = (float)merge_divisor(runs, run_count);
	const float *theta_before = state_theta(state), *v_before = state_momentum(state);
	float *theta = mem_align(n * sizeof(float)), *v = mem_align(n * sizeof(float));

	merge_sum(reader, runs, run_count, n, v);
	for (size_t i = 0; i < n; i++) {
		float update = v[i] / divisor;

		v[i] = mu * v_before[i] + update;
		theta[i] = theta_before[i] + eta * (update + mu * v[i]);
	}
	if (!reader->failed)
		return state_new(&config->model, theta, v);
	free(theta);
	free(v);
	return NULL;
}

/* What led into nothing is forgotten with it. */
static struct state *merge_void_state(const struct train_config *config, const struct state *state)
{
	const size_t n = model_count(&config->model);
	float *theta = mem_align(n * sizeof(float)), *v = mem_align(n * sizeof(float));

	memcpy(theta, state_theta(state), n * sizeof(float));
	memset(v, 0, n * sizeof(float));
	return state_new(&config->model, theta, v);
}

/* What the merged runs propose, if the state predicts no worse with it; else NULL. */
static struct state *merge_try(const struct merge_measure *measure, struct merge_reader *reader,
	const struct merge_run *runs, size_t count, struct merge_outcome *outcome)
{
	const struct train_config *config = &measure->backend->config;
	const size_t n = model_count(&config->model);
	struct state *proposed = merge_propose(config, reader, measure->batch.state, runs, count, outcome->is_second);

	if (proposed != NULL && float_all_finite(state_theta(proposed), n) &&
		float_all_finite(state_momentum(proposed), n) &&
		merge_loss(measure, proposed, NULL, COURSE_MERGE_ROWS, &outcome->loss_after) &&
		outcome->loss_after <= outcome->loss_before)
		return proposed;
	state_unref(proposed);
	return NULL;
}

/* Judges the runs; the state that comes of them, or NULL. Where no run is true nothing has to be measured. */
static struct state *merge_judge_proposal(const struct merge_measure *measure, struct merge_reader *reader,
	struct merge_run *runs, size_t count, struct merge_outcome *outcome)
{
	const struct state *state = measure->batch.state;
	float *losses, single_before;
	struct state *proposed = NULL;
	size_t merged;

	if (!merge_loss(measure, state, NULL, 1, &single_before) ||
		!merge_loss(measure, state, NULL, COURSE_MERGE_ROWS, &outcome->loss_before))
		return NULL;
	losses = mem_calloc(count, sizeof *losses);
	merge_judge(measure, reader, single_before, runs, count, losses);
	merged = merge_count_merged(runs, count);
	if (merged > 0)
		proposed = merge_try(measure, reader, runs, count, outcome);
	if (proposed == NULL && merged > 1) {
		merge_halve(runs, count, losses);
		outcome->is_second = true;
		proposed = merge_try(measure, reader, runs, count, outcome);
	}
	free(losses);
	return proposed;
}

struct state *merge_execute(struct backend *backend, const struct state *state, const uint8_t *windows,
	struct merge_run *runs, size_t count, const atomic_bool *cancel, struct merge_outcome *outcome)
{
	const struct merge_measure measure = {
		.backend = backend,
		.batch = { .state = state, .windows = windows, .rows = backend->config.bench_rows, .cancel = cancel },
		.gate = (float)backend->config.gate_ppm / 1000000.0f,
	};
	struct merge_reader reader = { .size = delta_size(model_count(&backend->config.model)) };
	struct state *merged = NULL;
	bool has_true = false;

	fesetenv(FE_DFL_ENV);
	*outcome = (struct merge_outcome){ .loss_before = NAN, .loss_after = NAN };
	merge_leave_out_all(runs, count);
	for (size_t i = 0; i < count; i++)
		has_true = has_true || merge_is_true(&runs[i]);
	if (has_true)
		merged = merge_judge_proposal(&measure, &reader, runs, count, outcome);
	free(reader.code);

	/* Asked last of all: a pass that was cancelled, or miscalculated, looks like one that failed, and must neither
	 * make a merge void nor leave a run out; nor must a disk. */
	if (reader.failed || (cancel != NULL && atomic_load(cancel)) || backend_wrong(backend)) {
		state_unref(merged);
		return NULL;
	}
	if (merged != NULL)
		return merged;
	merge_leave_out_all(runs, count);
	outcome->is_void = true;
	outcome->is_second = false;
	return merge_void_state(&backend->config, state);
}

struct state *merge_replay(const struct train_config *config, const struct state *state, const struct merge_run *runs,
	size_t count, bool is_void, bool is_second)
{
	struct merge_reader reader = { .size = delta_size(model_count(&config->model)) };
	struct state *replayed;

	fesetenv(FE_DFL_ENV);
	replayed = is_void ? merge_void_state(config, state) :
			     merge_propose(config, &reader, state, runs, count, is_second);
	free(reader.code);
	return replayed;
}
