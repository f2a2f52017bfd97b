/* Merges: which runs are left out and why, what the others make of the state, and when nothing comes of it. */
#include <fenv.h>
#include <math.h>

#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/merge.h"
#include "ml/run.h"
#include "unit.h"
#include "util/mem.h"

static const struct train_config tiny = {
	.model = { .d = 64, .layers = 1, .heads = 2, .ff = 48, .ctx = 32 },
	.batch = 2,
	.iterations = 2,
	.lr_ppm = 2000,
	.wd_ppm = 10000,
	.mu_ppm = 500000,
	.eta_ppm = 900000,
	.gate_ppm = 1050000,
	.bench_rows = 2,
	.segments = 4,
	.segment = 2,
};

/* By which no single run is refused. */
static struct train_config open_to_all;

enum { RUNS = 6 };

/* A state with momentum, and codes that lower its loss, each of a seed of its own: runs of one segment. */
struct fixture {
	struct backend *backend;
	struct state *before;
	size_t n, size;
	uint8_t dataset[1000], *windows, *good[RUNS], *bad;
	struct merge_run runs[RUNS];
	struct merge_outcome outcome;
};

static struct state *new_state(const float *theta, float momentum)
{
	size_t n = model_count(&tiny.model);
	float *v = mem_align(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		v[i] = i % 2 ? momentum : -momentum;
	return state_new(&tiny.model, mem_dup(theta, n * sizeof(float)), v);
}

static int set_up(void **state)
{
	static const uint8_t key[32] = "merges";
	struct fixture *f = mem_calloc(1, sizeof *f);
	const struct course course = { .train = tiny,
		.bench_bytes = 400,
		.corpus = f->dataset,
		.corpus_size = sizeof f->dataset };
	const struct course_data data = course_data_in_memory(f->dataset, 600);
	struct state *initial = state_new_initial(&tiny.model, key);
	uint8_t *windows = mem_alloc(run_windows_size(&tiny)), *start = mem_alloc(run_code_size(&tiny)), seed[32];

	f->n = model_count(&tiny.model);
	f->size = run_code_size(&tiny);
	for (size_t i = 0; i < sizeof f->dataset; i++)
		f->dataset[i] = (uint8_t)(i % 10 * 20);
	f->before = new_state(state_theta(initial), 1e-4f);
	f->backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &tiny, 1);
	f->windows = mem_alloc(course_merge_size(&course));
	course_gather_merge(&course, key, f->windows);
	run_start(&tiny, start);
	for (uint32_t i = 0; i < RUNS; i++) {
		const struct run_segment segment = { .base = f->before,
			.segment_seed = seed,
			.start = start,
			.windows = windows };

		f->good[i] = mem_alloc(f->size);
		run_segment_seed(key, i, seed);
		assert_true(run_gather(&course, seed, &data, windows));
		assert_int_equal(run_execute(f->backend, &segment, f->good[i]), STEP_OK);
		f->runs[i].code = f->good[i];
		f->runs[i].length = 1;
	}
	/* As long as the first one, the other way, and a little further. */
	f->bad = mem_dup(f->good[0], f->size);
	for (size_t i = 0; i < f->size; i++)
		f->bad[i] = i % DELTA_BLOCK_SIZE == 0 ? (uint8_t)(f->bad[i] + 1) : (uint8_t)-f->bad[i];
	state_unref(initial);
	free(windows);
	free(start);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < RUNS; i++)
		free(f->good[i]);
	free(f->bad);
	free(f->windows);
	state_unref(f->before);
	backend_free(f->backend);
	free(f);
	return 0;
}

/* Codes that lie elsewhere, of which so many can be read. */
struct elsewhere {
	const uint8_t *code;
	size_t size;
	size_t *left;
};

static bool read_elsewhere(void *source, uint8_t *code)
{
	const struct elsewhere *elsewhere = source;

	if (*elsewhere->left == 0)
		return false;
	--*elsewhere->left;
	memcpy(code, elsewhere->code, elsewhere->size);
	return true;
}

/* The same runs, with their codes elsewhere. */
static void put_elsewhere(const struct fixture *f, size_t count, size_t *left, struct merge_run *runs,
	struct elsewhere *places)
{
	for (size_t i = 0; i < count; i++) {
		places[i] = (struct elsewhere){ .code = f->runs[i].code, .size = f->size, .left = left };
		runs[i] = f->runs[i];
		runs[i].code = NULL;
		runs[i].read = f->runs[i].code != NULL ? read_elsewhere : NULL;
		runs[i].source = &places[i];
	}
}

/* Where codes lie changes nothing, but one that cannot be read leaves no state. */
static void assert_same_elsewhere(struct fixture *f, size_t count, const struct state *after)
{
	struct merge_run runs[RUNS];
	struct elsewhere places[RUNS];
	struct merge_outcome outcome;
	size_t left = SIZE_MAX, needed;
	struct state *again;

	put_elsewhere(f, count, &left, runs, places);
	again = merge_execute(f->backend, f->before, f->windows, runs, count, NULL, &outcome);
	assert_non_null(again);
	assert_memory_equal(state_root(again), state_root(after), 32);
	state_unref(again);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(runs[i].seat, f->runs[i].seat);
	needed = SIZE_MAX - left;
	for (size_t enough = 0; enough < needed; enough++) {
		left = enough;
		assert_null(merge_execute(f->backend, f->before, f->windows, runs, count, NULL, &outcome));
	}
	left = SIZE_MAX;
	put_elsewhere(f, count, &left, runs, places);
	again = merge_replay(&f->backend->config, f->before, runs, count, f->outcome.is_void, f->outcome.is_second);
	assert_memory_equal(state_root(again), state_root(after), 32);
	state_unref(again);
	if (left == SIZE_MAX)
		return;
	left = SIZE_MAX - left - 1;
	assert_null(
		merge_replay(&f->backend->config, f->before, runs, count, f->outcome.is_void, f->outcome.is_second));
}

/* Merges the fixture's first runs; what is stated of them makes the same state again. */
static struct state *merge(struct fixture *f, size_t count)
{
	struct state *after = merge_execute(f->backend, f->before, f->windows, f->runs, count, NULL, &f->outcome),
		     *replayed = merge_replay(&f->backend->config, f->before, f->runs, count, f->outcome.is_void,
			     f->outcome.is_second);

	assert_non_null(after);
	assert_memory_equal(state_root(replayed), state_root(after), 32);
	assert_same_elsewhere(f, count, after);
	state_unref(replayed);
	return after;
}

static void use_config(struct fixture *f, const struct train_config *config)
{
	backend_free(f->backend);
	f->backend = backend_new(backend_cpu(ENGINE_OPENBLAS), config, 1);
}

/* The state that so many codes make by such weights, in the protocol's words, element by element. */
static void assert_weighed(const struct fixture *f, const struct state *after, size_t count,
	const uint8_t *const *codes, const uint32_t *lengths, float divisor)
{
	float *x = mem_calloc(f->n, sizeof(float)), *sum = mem_calloc(f->n, sizeof(float));

	assert_false(f->outcome.is_void);
	for (size_t i = 0; i < count; i++) {
		delta_decode(codes[i], 0, f->n, x);
		for (size_t j = 0; j < f->n; j++)
			x[j] = (float)lengths[i] * x[j];
		for (size_t j = 0; j < f->n; j++)
			sum[j] = i == 0 ? x[j] : sum[j] + x[j];
	}
	for (size_t j = 0; j < f->n; j++) {
		float u = sum[j] / divisor, v = 0.5f * state_momentum(f->before)[j], theta;

		v = v + u;
		theta = 0.5f * v;
		theta = 0.9f * (u + theta);
		theta = state_theta(f->before)[j] + theta;
		assert_int_equal(float_bits(state_momentum(after)[j]), float_bits(v));
		assert_int_equal(float_bits(state_theta(after)[j]), float_bits(theta));
	}
	free(x);
	free(sum);
}

/* Runs that are equally long: of one segment. */
static void assert_merged(const struct fixture *f, const struct state *after, size_t count, const uint8_t *const *codes,
	float divisor)
{
	static const uint32_t ones[RUNS] = { 1, 1, 1, 1, 1, 1 };

	assert_weighed(f, after, count, codes, ones, divisor);
}

static void assert_void(struct fixture *f, const struct state *after)
{
	assert_true(f->outcome.is_void);
	assert_memory_equal(state_theta(after), state_theta(f->before), f->n * sizeof(float));
	for (size_t j = 0; j < f->n; j++)
		assert_int_equal(float_bits(state_momentum(after)[j]), 0);
}

/* ---- Who is merged ---- */

/* One, two, three runs divide by three, more by their number; the momentum that was there goes on. */
static void test_divisor(void **state)
{
	struct fixture *f = *state;

	for (size_t count = 1; count <= RUNS; count++) {
		struct state *after = merge(f, count);

		for (size_t i = 0; i < count; i++)
			assert_int_equal(f->runs[i].seat, MERGE_MERGED);
		assert_merged(f, after, count, (const uint8_t *const *)f->good, count < 3 ? 3.0f : (float)count);
		assert_true(f->outcome.loss_after < f->outcome.loss_before);
		state_unref(after);
	}
}

/* Each weighs by its segments; few of them, or one long among short ones, divide by three of the longest. Who is left
 * out weighs nothing, however long. */
static void test_weights(void **state)
{
	static const uint32_t lengths[][RUNS] = { { 4 }, { 1, 4 }, { 4, 1, 1, 1 }, { 1024, 1, 1, 1, 1, 1 },
		{ 4, 4, 4, 1 }, { 3, 4, 1, 4, 2, 4 }, { 1, 1, 1, 1, 1, 1 }, { 1024, 1024, 1024, 1024, 1024, 1 } };
	static const float divisors[] = { 12, 12, 12, 3072, 13, 18, 6, 5121 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof divisors / sizeof divisors[0]; i++) {
		size_t count = 0;
		struct state *after;

		for (; count < RUNS && lengths[i][count] > 0; count++)
			f->runs[count].length = lengths[i][count];
		for (size_t j = 0; j < count; j++)
			f->runs[j].seat = MERGE_MERGED;
		f->outcome.is_void = false;
		after = merge_replay(&tiny, f->before, f->runs, count, false, false);
		assert_weighed(f, after, count, (const uint8_t *const *)f->good, lengths[i], divisors[i]);
		state_unref(after);
	}
	f->runs[0].seat = MERGE_LEFT_OUT;
	struct state *after = merge_replay(&tiny, f->before, f->runs, 2, false, false);

	assert_weighed(f, after, 1, (const uint8_t *const *)f->good + 1, (const uint32_t[]){ 1024 }, 3072);
	state_unref(after);
}

/* Judged and merged in one go: short and long runs. */
static void test_short_and_long(void **state)
{
	static const uint32_t lengths[] = { 1, 1, 2, 1, 2 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 5; i++)
		f->runs[i].length = lengths[i];
	struct state *after = merge(f, 5);

	for (size_t i = 0; i < 5; i++)
		assert_int_equal(f->runs[i].seat, MERGE_MERGED);
	assert_weighed(f, after, 5, (const uint8_t *const *)f->good, lengths, 7);
	state_unref(after);
}

/* Seats without a true run stay what they were said to be, and have no part in the divisor or the median. */
static void test_seats_without_runs(void **state)
{
	struct fixture *f = *state;
	const uint8_t *codes[] = { f->good[1], f->good[3] };

	f->runs[0] = (struct merge_run){ .seat = MERGE_STRUCK };
	f->runs[2] = (struct merge_run){ .seat = MERGE_EMPTY };
	f->runs[3].seat = MERGE_STRUCK; /* of a true one, what it was does not count */
	struct state *after = merge(f, 4);

	assert_int_equal(f->runs[0].seat, MERGE_STRUCK);
	assert_int_equal(f->runs[1].seat, MERGE_MERGED);
	assert_int_equal(f->runs[2].seat, MERGE_EMPTY);
	assert_int_equal(f->runs[3].seat, MERGE_MERGED);
	assert_merged(f, after, 2, codes, 3.0f);
	state_unref(after);
}

/* A code of one unit of 2^e in so many of the first values: a square of count * 4^e. */
static uint8_t *code_of_square(const struct fixture *f, size_t count, int exponent)
{
	uint8_t *code = mem_alloc(f->size);

	run_start(&tiny, code);
	for (size_t i = 0; i < count; i++) {
		size_t at = i / DELTA_BLOCK * DELTA_BLOCK_SIZE;

		code[at] = (uint8_t)(int8_t)exponent;
		code[at + 1 + i % DELTA_BLOCK] = 1;
	}
	return code;
}

/* Without momentum, so that changes too small for a loss to show change none. */
static void stand_still(struct fixture *f)
{
	struct state *still = new_state(state_theta(f->before), 0);

	state_unref(f->before);
	f->before = still;
}

/* 9 times the lower median is not too long, a unit more is: of so many runs with squares 1, 2, .. and a long last one.
 */
static void test_lower_median(void **state)
{
	struct fixture *f = *state;
	/* Of sorted squares the median is number floor((count - 1) / 2), from 0: 10, 10, 20, 20, 30. */
	static const size_t median[] = { 0, 10, 10, 20, 20, 30 };

	stand_still(f);
	for (size_t count = 2; count <= 5; count++)
		for (size_t more = 0; more < 2; more++) {
			/* The longest comes first: squares are sorted, seats are not. */
			for (size_t i = 0; i < count; i++)
				f->runs[i].code = code_of_square(f, i == 0 ? 9 * median[count] + more : 10 * i, -30);
			struct state *after = merge(f, count);

			assert_int_equal(f->runs[0].seat, more ? MERGE_LEFT_OUT : MERGE_MERGED);
			for (size_t i = 1; i < count; i++)
				assert_int_equal(f->runs[i].seat, MERGE_MERGED);
			assert_false(f->outcome.is_void);
			state_unref(after);
			for (size_t i = 0; i < count; i++)
				free((void *)f->runs[i].code);
		}
	/* One alone is its own median, however long; two of nothing leave out whoever did anything. */
	f->runs[0].code = code_of_square(f, 2000, -30);
	state_unref(merge(f, 1));
	assert_int_equal(f->runs[0].seat, MERGE_MERGED);
	f->runs[1].code = f->runs[2].code = code_of_square(f, 0, -30);
	state_unref(merge(f, 3));
	assert_int_equal(f->runs[0].seat, MERGE_LEFT_OUT);
	assert_int_equal(f->runs[1].seat, MERGE_MERGED);
	free((void *)f->runs[0].code);
	free((void *)f->runs[1].code);
}

/* How far a run may go follows from its segments: squares for each of them are compared. */
static void test_median_by_length(void **state)
{
	struct fixture *f = *state;

	stand_still(f);
	for (size_t more = 0; more < 2; more++) {
		f->runs[0].code = code_of_square(f, 9 * 10 * 4 + more, -30);
		f->runs[0].length = 4;
		f->runs[1].code = code_of_square(f, 10, -30);
		f->runs[2].code = code_of_square(f, 3 * 10, -30);
		f->runs[2].length = 3;
		struct state *after = merge(f, 3);

		assert_int_equal(f->runs[0].seat, more ? MERGE_LEFT_OUT : MERGE_MERGED);
		assert_int_equal(f->runs[1].seat, MERGE_MERGED);
		assert_int_equal(f->runs[2].seat, MERGE_MERGED);
		state_unref(after);
		/* It claims to be shorter than it went. */
		f->runs[0].length = 3;
		state_unref(merge(f, 3));
		assert_int_equal(f->runs[0].seat, MERGE_LEFT_OUT);
		for (size_t i = 0; i < 3; i++)
			free((void *)f->runs[i].code);
	}
}

/* Half of the seats with a segment each, in which little was trained, leave out nobody who has trained for long: the
 * median is that of what was trained. */
static void test_median_by_weight(void **state)
{
	struct fixture *f = *state;

	stand_still(f);
	for (size_t i = 0; i < 4; i++) {
		f->runs[i].code = code_of_square(f, i < 2 ? 400 : 1, -30);
		f->runs[i].length = i < 2 ? 4 : 1;
	}
	state_unref(merge(f, 4));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(f->runs[i].seat, MERGE_MERGED);
	/* Half of all segments is enough to be the median. */
	f->runs[0].length = f->runs[1].length = 1;
	state_unref(merge(f, 4));
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(f->runs[i].seat, i < 2 ? MERGE_LEFT_OUT : MERGE_MERGED);
		free((void *)f->runs[i].code);
	}
}

/* A run that harms is left out, though it is as long as the others, and they are merged without it. */
static void test_gate_of_a_run(void **state)
{
	struct fixture *f = *state;
	struct train_config strict = tiny;
	const uint8_t *codes[] = { f->good[0], f->good[2], f->good[3] };

	strict.gate_ppm = 1000000;
	use_config(f, &strict);
	f->runs[1].code = f->bad;
	struct state *after = merge(f, 4);

	assert_int_equal(f->runs[1].seat, MERGE_LEFT_OUT);
	assert_int_equal(f->runs[0].seat, MERGE_MERGED);
	assert_merged(f, after, 3, codes, 3.0f);
	state_unref(after);
}

/* A code of 127 wherever a tensor has a parameter. */
static uint8_t *code_of_tensor(const struct fixture *f, const char *name)
{
	uint8_t *code = mem_alloc(f->size);
	struct model_tensor tensor;
	size_t index = 0;

	run_start(&tiny, code);
	do
		model_tensor(&tiny.model, index++, &tensor);
	while (strcmp(tensor.name, name) != 0);
	for (size_t i = tensor.offset; i < tensor.offset + tensor.rows * tensor.cols; i++) {
		code[i / DELTA_BLOCK * DELTA_BLOCK_SIZE] = 0;
		code[i / DELTA_BLOCK * DELTA_BLOCK_SIZE + 1 + i % DELTA_BLOCK] = 127;
	}
	return code;
}

/* A run after which no loss can be computed is left out like one after which it is high. Attention's values are huge if
 * there are any, of which the state has none: one run makes some, another only what they would be multiplied with. */
static void test_run_that_fails(void **state)
{
	struct fixture *f = *state;
	float *theta = mem_dup(state_theta(f->before), f->n * sizeof(float));
	struct model_tensor tensor;

	for (size_t i = 0; i < model_tensors(&tiny.model); i++) {
		model_tensor(&tiny.model, i, &tensor);
		if (strcmp(tensor.name, "layer.0.norm_attention") != 0 && strcmp(tensor.name, "layer.0.wq") != 0 &&
			strcmp(tensor.name, "layer.0.wk") != 0 && strcmp(tensor.name, "layer.0.wv") != 0)
			continue;
		for (size_t j = tensor.offset; j < tensor.offset + tensor.rows * tensor.cols; j++)
			theta[j] = tensor.kind == MODEL_NORM ? 0x1p53f : 0;
	}
	state_unref(f->before);
	f->before = new_state(theta, 0);
	use_config(f, &open_to_all);
	for (int fails = 0; fails < 2; fails++) {
		f->runs[0].code = code_of_tensor(f, fails ? "layer.0.wv" : "layer.0.wo");
		state_unref(merge(f, 1));
		assert_int_equal(f->runs[0].seat, fails ? MERGE_LEFT_OUT : MERGE_MERGED);
		assert_int_equal(f->outcome.is_void, fails);
		free((void *)f->runs[0].code);
	}
	free(theta);
}

/* ---- Void merges ---- */

static void test_void_without_runs(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++)
		f->runs[i] = (struct merge_run){ .seat = i == 0 ? MERGE_EMPTY : MERGE_STRUCK };
	struct state *after = merge(f, 2);

	assert_void(f, after);
	assert_true(isnan(f->outcome.loss_before) && isnan(f->outcome.loss_after));
	assert_int_equal(f->runs[0].seat, MERGE_EMPTY);
	assert_int_equal(f->runs[1].seat, MERGE_STRUCK);
	state_unref(after);
}

/* All left out: a gate that nothing passes. */
static void test_void_all_left_out(void **state)
{
	struct fixture *f = *state;
	struct train_config strict = tiny;

	strict.gate_ppm = 1;
	use_config(f, &strict);
	struct state *after = merge(f, 3);

	assert_void(f, after);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(f->runs[i].seat, MERGE_LEFT_OUT);
	assert_true(float_is_finite(f->outcome.loss_before) && isnan(f->outcome.loss_after));
	state_unref(after);
}

/* ---- The second proposal ---- */

/* Of the windows that judge single runs. */
static float loss_with(const struct fixture *f, const uint8_t *code)
{
	const struct backend_batch batch = { .state = f->before,
		.change = code,
		.windows = f->windows,
		.rows = tiny.bench_rows };
	float loss;

	assert_true(backend_loss(f->backend, &batch, &loss));
	return loss;
}

/* theta + eta * U and U for momentum, of one run of the fixture's that is of so many of the longest. */
static void assert_alone(const struct fixture *f, const struct state *after, const uint8_t *code)
{
	float *x = mem_calloc(f->n, sizeof(float));

	delta_decode(code, 0, f->n, x);
	for (size_t j = 0; j < f->n; j++) {
		float u = x[j] / 3, moved = 0.9f * u;

		assert_int_equal(float_bits(state_momentum(after)[j]), float_bits(u));
		assert_int_equal(float_bits(state_theta(after)[j]), float_bits(state_theta(f->before)[j] + moved));
	}
	free(x);
}

/* A poisoned run passes alone by the gate, and outweighs the honest one: the merge of both would make the state worse.
 * The better of them is merged, and nothing of what the other wanted. */
static void test_poison(void **state)
{
	struct fixture *f = *state;

	stand_still(f);
	use_config(f, &open_to_all);
	f->runs[0].code = f->bad;
	f->runs[0].length = 4;
	assert_true(loss_with(f, f->bad) > loss_with(f, NULL));
	struct state *after = merge(f, 2);

	assert_true(f->outcome.is_second && !f->outcome.is_void);
	assert_int_equal(f->runs[0].seat, MERGE_LEFT_OUT);
	assert_int_equal(f->runs[1].seat, MERGE_MERGED);
	assert_true(f->outcome.loss_after <= f->outcome.loss_before);
	assert_alone(f, after, f->good[1]);
	state_unref(after);
}

/* Where the momentum is what harms, it is forgotten; of three runs the two of the least losses stay, of equal ones the
 * lower seats. */
static void test_momentum_that_harms(void **state)
{
	struct fixture *f = *state;
	struct state *moving = new_state(state_theta(f->before), 1), *after;
	size_t worst = 0;

	state_unref(f->before);
	f->before = moving;
	for (size_t i = 1; i < 3; i++)
		if (loss_with(f, f->good[i]) >= loss_with(f, f->good[worst]))
			worst = i;
	after = merge(f, 3);
	assert_true(f->outcome.is_second && !f->outcome.is_void);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(f->runs[i].seat, i == worst ? MERGE_LEFT_OUT : MERGE_MERGED);
	state_unref(after);
	f->runs[0].code = f->runs[1].code = f->good[2];
	after = merge(f, 2);
	assert_int_equal(f->runs[0].seat, MERGE_MERGED);
	assert_int_equal(f->runs[1].seat, MERGE_LEFT_OUT);
	assert_alone(f, after, f->good[2]);
	state_unref(after);
	/* One alone has no half. */
	after = merge(f, 1);
	assert_void(f, after);
	assert_int_equal(f->runs[0].seat, MERGE_LEFT_OUT);
	state_unref(after);
}

/* Each run passes alone, and what they make together does not, nor what half of them do: nothing comes of it. */
static void test_void_by_gate(void **state)
{
	struct fixture *f = *state;

	stand_still(f);
	use_config(f, &open_to_all);
	for (size_t i = 0; i < 3; i++)
		f->runs[i].code = f->bad;
	struct state *after = merge(f, 3);

	assert_void(f, after);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(f->runs[i].seat, MERGE_LEFT_OUT);
	assert_true(!(f->outcome.loss_after <= f->outcome.loss_before));
	state_unref(after);
}

/* Where the state itself has no loss, all are left out. */
static void test_void_by_state(void **state)
{
	struct fixture *f = *state;
	float *theta = mem_dup(state_theta(f->before), f->n * sizeof(float));

	theta[f->n - 1] = 0x1p60f;
	state_unref(f->before);
	f->before = new_state(theta, 1e-4f);
	f->runs[1] = (struct merge_run){ .seat = MERGE_STRUCK };
	struct state *after = merge(f, 3);

	assert_void(f, after);
	assert_true(isnan(f->outcome.loss_before) && isnan(f->outcome.loss_after));
	assert_int_equal(f->runs[0].seat, MERGE_LEFT_OUT);
	assert_int_equal(f->runs[1].seat, MERGE_STRUCK);
	assert_int_equal(f->runs[2].seat, MERGE_LEFT_OUT);
	state_unref(after);
	free(theta);
}

/* A value that no window reads may be no number all the same. */
static void test_void_by_value(void **state)
{
	struct fixture *f = *state;
	float *theta = mem_dup(state_theta(f->before), f->n * sizeof(float));
	size_t row = 0;

	for (bool used = true; used; row += used) {
		used = false;
		for (size_t i = 0; i < COURSE_MERGE_ROWS * tiny.bench_rows * (tiny.model.ctx + 1); i++)
			used |= f->windows[i] == row;
	}
	theta[row * tiny.model.d] = INFINITY;
	state_unref(f->before);
	f->before = new_state(theta, 1e-4f);
	struct state *after = merge(f, 3);

	assert_void(f, after);
	assert_int_equal(f->runs[0].seat, MERGE_LEFT_OUT);
	state_unref(after);
	free(theta);
}

/* ---- Bits, ends ---- */

static void test_same_on_every_engine(void **state)
{
	static const enum engine engines[] = { ENGINE_REFERENCE, ENGINE_ONEDNN };
	struct fixture *f = *state;
	struct errmsg err;
	struct state *after = merge(f, 5), *other;

	for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
		if (!backend_usable(backend_cpu(engines[i]), &err))
			continue;
		struct merge_outcome outcome;
		struct backend *backend = backend_new(backend_cpu(engines[i]), &tiny, 1);

		/* The mode of the thread is put right. */
		fesetround(FE_UPWARD);
		other = merge_execute(backend, f->before, f->windows, f->runs, 5, NULL, &outcome);
		assert_int_equal(fegetround(), FE_TONEAREST);
		assert_memory_equal(state_root(other), state_root(after), 32);
		assert_int_equal(float_bits(outcome.loss_after), float_bits(f->outcome.loss_after));
		state_unref(other);
		backend_free(backend);
	}
	state_unref(after);
}

/* Nobody's run is left out because somebody was in a hurry. */
static void test_cancelled(void **state)
{
	struct fixture *f = *state;
	atomic_bool cancel = true;

	assert_null(merge_execute(f->backend, f->before, f->windows, f->runs, 3, &cancel, &f->outcome));
	f->runs[0].code = NULL;
	assert_null(merge_execute(f->backend, f->before, f->windows, f->runs, 1, &cancel, &f->outcome));
}

/* What a coinbase states may be false: a seat that has no run is said to be merged, and nobody that anything came of
 * it.
 */
static void test_replay_of_lies(void **state)
{
	struct fixture *f = *state;
	struct merge_run lies[] = { { .seat = MERGE_MERGED },
		{ .code = f->good[0], .length = 4, .seat = MERGE_LEFT_OUT } };
	struct state *after = merge_replay(&tiny, f->before, lies, 2, false, false);

	for (size_t j = 0; j < f->n; j++) {
		float v = 0.5f * state_momentum(f->before)[j] + 0.0f, theta = 0.5f * v;

		assert_int_equal(float_bits(state_momentum(after)[j]), float_bits(v));
		theta = 0.9f * theta;
		assert_int_equal(float_bits(state_theta(after)[j]), float_bits(state_theta(f->before)[j] + theta));
	}
	state_unref(after);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_divisor),
		TEST(test_weights),
		TEST(test_short_and_long),
		TEST(test_seats_without_runs),
		TEST(test_lower_median),
		TEST(test_median_by_length),
		TEST(test_median_by_weight),
		TEST(test_gate_of_a_run),
		TEST(test_run_that_fails),
		TEST(test_poison),
		TEST(test_momentum_that_harms),
		TEST(test_void_without_runs),
		TEST(test_void_all_left_out),
		TEST(test_void_by_gate),
		TEST(test_void_by_state),
		TEST(test_void_by_value),
		TEST(test_same_on_every_engine),
		TEST(test_cancelled),
		TEST(test_replay_of_lies),
	};
#undef TEST

	open_to_all = tiny;
	open_to_all.gate_ppm = (1 << 24) - 1;
	engine_init(1);
	return cmocka_run_group_tests_name("ml/merge", tests, NULL, NULL);
}
