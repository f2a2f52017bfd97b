/* Runs: segments that go on from codes, what they are trained on, and what bounds their codes. */
#include <float.h>
#include <math.h>

#include "crypto/hash.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/run.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

static const struct train_config tiny = {
	.model = { .d = 64, .layers = 1, .heads = 2, .ff = 48, .ctx = 32 },
	.batch = 2,
	.iterations = 3,
	.lr_ppm = 2000,
	.wd_ppm = 10000,
	.bench_rows = 2,
	.segments = 4,
	.segment = 2,
};

enum { DATASET = COURSE_CHUNK + 500 };

static const enum engine engines[] = { ENGINE_OPENBLAS, ENGINE_REFERENCE, ENGINE_ONEDNN };

/* A run's base and the windows of its first segment. */
struct fixture {
	struct state *base;
	uint8_t dataset[DATASET], seed[32], segment_seed[32], *windows, *start;
};

static int set_up(void **state)
{
	static const uint8_t ticket[32] = "the ticket", id[32] = "the id";
	struct fixture *f = mem_calloc(1, sizeof *f);
	const struct course course = { .train = tiny };

	for (size_t i = 0; i < DATASET; i++)
		f->dataset[i] = (uint8_t)(i * 7 + i / 11 * 3);
	f->base = state_new_initial(&tiny.model, ticket);
	run_seed(ticket, id, f->seed);
	run_segment_seed(f->seed, 0, f->segment_seed);
	f->windows = mem_alloc(run_windows_size(&tiny));
	f->start = mem_alloc(run_code_size(&tiny));
	run_start(&tiny, f->start);
	const struct course_data data = course_data_in_memory(f->dataset, DATASET);

	assert_true(run_gather(&course, f->segment_seed, &data, f->windows));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	state_unref(f->base);
	free(f->windows);
	free(f->start);
	free(f);
	return 0;
}

static enum step_result execute(struct backend *backend, const struct fixture *f, const uint8_t *start, uint8_t *code)
{
	const struct run_segment segment = { .base = f->base,
		.segment_seed = f->segment_seed,
		.start = start,
		.windows = f->windows };

	return run_execute(backend, &segment, code);
}

/* H("atelier run" | ticket | id) and H(s | u32 j), computed apart. */
static void test_seeds(void **state)
{
	uint8_t bytes[11 + 64] = "atelier run", ticket[32], id[32], seed[32], expected[32], longer[36];

	(void)state;
	for (uint8_t i = 0; i < 32; i++) {
		bytes[11 + i] = ticket[i] = i;
		bytes[43 + i] = id[i] = (uint8_t)(200 - i);
	}
	run_seed(ticket, id, seed);
	sha256(expected, bytes, sizeof bytes);
	assert_memory_equal(seed, expected, 32);
	memcpy(longer, seed, 32);
	write_le32(longer + 32, 258);
	sha256(expected, longer, sizeof longer);
	run_segment_seed(seed, 258, seed); /* in place, as a chain of segments may */
	assert_memory_equal(seed, expected, 32);
}

/* The first segment is a step of as many iterations; Q_0 changes nothing. */
static void test_first_segment_is_a_step(void **state)
{
	struct fixture *f = *state;
	const size_t size = run_code_size(&tiny);
	uint8_t *code = mem_alloc(size), *delta = mem_alloc(size);
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &tiny, 1);
	struct step_job job = { .state = f->base, .seed = f->segment_seed, .windows = f->windows, .iterations = 2 };

	assert_int_equal(execute(backend, f, f->start, code), STEP_OK);
	assert_int_equal(backend_execute(backend, &job, delta), STEP_OK);
	assert_memory_equal(code, delta, size);
	/* 0 are the configuration's own: those of a step, which read one more batch. */
	job.iterations = 0;
	job.windows = mem_calloc(1, step_windows_size(&tiny));
	assert_int_equal(backend_execute(backend, &job, delta), STEP_OK);
	assert_memory_not_equal(code, delta, size);
	free((void *)job.windows);
	backend_free(backend);
	free(code);
	free(delta);
}

/* A segment from code Q is a step from the state whose weights are theta + decode(Q), but that its result is relative
 * to theta: the same sum of what it starts from and what it changes, up to the rounding of codes. */
static void test_start_is_added(void **state)
{
	struct fixture *f = *state;
	const size_t size = run_code_size(&tiny), n = model_count(&tiny.model);
	uint8_t *code = mem_alloc(size), *next = mem_alloc(size), *delta = mem_alloc(size);
	float *theta = mem_align(n * sizeof(float)), *x = mem_alloc(n * sizeof(float)),
	      *y = mem_alloc(n * sizeof(float));
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &tiny, 1);

	assert_int_equal(execute(backend, f, f->start, code), STEP_OK);
	assert_int_equal(execute(backend, f, code, next), STEP_OK);
	delta_decode(code, 0, n, x);
	for (size_t i = 0; i < n; i++)
		theta[i] = state_theta(f->base)[i] + x[i];
	struct state *changed = state_new(&tiny.model, theta, mem_calloc(n, sizeof(float)));
	struct step_job job = { .state = changed, .seed = f->segment_seed, .windows = f->windows, .iterations = 2 };

	assert_int_equal(backend_execute(backend, &job, delta), STEP_OK);
	delta_decode(delta, 0, n, y);
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] + y[i];
	delta_decode(next, 0, n, y);
	/* A step of a code is 2^e with values to 126 of them: lr 0.002 twice an iteration moves 0.004 to 0.016. */
	for (size_t i = 0; i < n; i++)
		assert_true(fabsf(x[i] - y[i]) < 5e-4f);
	state_unref(changed);
	backend_free(backend);
	free(code);
	free(next);
	free(delta);
	free(x);
	free(y);
}

/* A state measured with a code is the state changed by it, without one it is itself. */
static void test_measured_with_code(void **state)
{
	struct fixture *f = *state;
	const size_t n = model_count(&tiny.model), bytes = n * sizeof(float);
	uint8_t *code = mem_alloc(run_code_size(&tiny));
	float *theta = mem_align(bytes), *gradients[2] = { mem_align(bytes), mem_align(bytes) }, losses[3], both[2];
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &tiny, 1);
	struct backend_batch batch = { .state = f->base, .windows = f->windows, .rows = 4 };
	const struct pass_dither dither = { f->segment_seed, 0 };

	assert_int_equal(execute(backend, f, f->start, code), STEP_OK);
	assert_true(backend_loss(backend, &batch, &losses[0]));
	batch.change = code;
	assert_true(backend_loss(backend, &batch, &losses[1]));
	assert_true(backend_gradient(backend, &batch, dither, gradients[0], &both[0]));
	delta_decode(code, 0, n, theta);
	for (size_t i = 0; i < n; i++)
		theta[i] = state_theta(f->base)[i] + theta[i];
	struct state *changed = state_new(&tiny.model, theta, mem_calloc(n, sizeof(float)));

	batch = (struct backend_batch){ .state = changed, .windows = f->windows, .rows = 4 };
	assert_true(backend_loss(backend, &batch, &losses[2]));
	assert_true(backend_gradient(backend, &batch, dither, gradients[1], &both[1]));
	assert_true(losses[1] < losses[0]);
	assert_int_equal(float_bits(losses[1]), float_bits(losses[2]));
	assert_int_equal(float_bits(both[0]), float_bits(losses[1]));
	assert_int_equal(float_bits(both[0]), float_bits(both[1]));
	assert_memory_equal(gradients[0], gradients[1], bytes);
	state_unref(changed);
	backend_free(backend);
	free(gradients[0]);
	free(gradients[1]);
	free(code);
}

/* Segment after segment, each repeated alone on every engine from the code before it. */
static void test_chain_on_every_engine(void **state)
{
	enum { SEGMENTS = 4 };
	struct fixture *f = *state;
	const struct course course = { .train = tiny };
	const struct course_data data = course_data_in_memory(f->dataset, DATASET);
	const size_t size = run_code_size(&tiny);
	uint8_t *codes = mem_alloc((SEGMENTS + 1) * size), *again = mem_alloc(size);
	struct errmsg err;

	run_start(&tiny, codes);
	for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
		if (!backend_usable(backend_cpu(engines[i]), &err))
			continue;
		struct backend *backend = backend_new(backend_cpu(engines[i]), &tiny, 1);

		for (uint32_t j = 0; j < SEGMENTS; j++) {
			uint8_t *next = codes + (j + 1) * size;

			run_segment_seed(f->seed, j, f->segment_seed);
			assert_true(run_gather(&course, f->segment_seed, &data, f->windows));
			assert_int_equal(execute(backend, f, codes + j * size, again), STEP_OK);
			assert_true(run_code_check(&tiny, again, size));
			if (i == 0)
				memcpy(next, again, size);
			else
				assert_memory_equal(again, next, size);
		}
		backend_free(backend);
	}
	for (uint32_t j = 0; j < SEGMENTS; j++)
		assert_memory_not_equal(codes + j * size, codes + (j + 1) * size, size);
	free(codes);
	free(again);
}

/* ---- Windows ---- */

/* Own pages hold 255, and nothing else does: no window has one behind its prefix. Each segment has windows of its own,
 * and they reach into both parts of what is trained on. */
static void test_windows_avoid_own_pages(void **state)
{
	struct fixture *f = *state;
	struct course course = { .train = tiny };
	const struct course_data data = course_data_in_memory(f->dataset, DATASET);
	const size_t width = tiny.model.ctx + 1, rows = 2048;
	bool before = false, behind = false;

	course.train.segment = 1024;
	assert_int_equal(run_windows_size(&course.train), rows * width);
	for (size_t i = 0; i < DATASET; i++)
		f->dataset[i] = i < COURSE_CHUNK - COURSE_PAGE ? 1 : i < COURSE_CHUNK ? 255 : 2;
	uint8_t *windows = mem_alloc(rows * width), *others = mem_alloc(rows * width);

	assert_true(run_gather(&course, f->segment_seed, &data, windows));
	for (size_t row = 0; row < rows; row++)
		for (size_t i = 8; i < width; i++) {
			assert_int_not_equal(windows[row * width + i], 255);
			before |= windows[row * width + i] == 1;
			behind |= windows[row * width + i] == 2;
		}
	assert_true(before && behind);
	run_segment_seed(f->seed, 1, f->segment_seed);
	assert_true(run_gather(&course, f->segment_seed, &data, others));
	for (size_t row = 0; row < rows; row++)
		assert_memory_not_equal(windows + row * width, others + row * width, 8);
	free(windows);
	free(others);
}

static bool read_nothing(const void *context, uint64_t offset, uint8_t *out, size_t count)
{
	(void)context, (void)offset, (void)out, (void)count;
	return false;
}

static void test_windows_gone(void **state)
{
	struct fixture *f = *state;
	const struct course course = { .train = tiny };
	const struct course_data data = { .size = DATASET, .read = read_nothing };

	assert_false(run_gather(&course, f->segment_seed, &data, f->windows));
}

/* ---- Bounds ---- */

static int exponent_max(uint32_t lr_ppm, uint32_t segment, uint32_t segments)
{
	struct train_config config = tiny;

	config.lr_ppm = lr_ppm;
	config.segment = segment;
	config.segments = segments;
	assert_null(course_check(&config));
	return run_exponent_max(&config);
}

/* 126 * 10^6 * 2^e >= 4 * lr_ppm * segment * segments, and not for e - 1. */
static void test_exponent_max(void **state)
{
	(void)state;
	/* 4 * 7875000 * 4 = 126000000: just enough. One more is too much for any exponent. */
	assert_int_equal(exponent_max(7875000, 2, 2), 0);
	assert_int_equal(exponent_max(3937500, 2, 2), -1);
	assert_int_equal(exponent_max(3937501, 2, 2), 0);
	/* 4 * 2000 * 8 = 64000 <= 126000000 / 2^10 = 123046.9, but not 61523.4. */
	assert_int_equal(exponent_max(2000, 2, 4), -10);
	assert_int_equal(exponent_max(1000, 64, 32), -3);
	assert_int_equal(exponent_max(1, 1, 1), -24);
}

static void test_limits(void **state)
{
	struct train_config c = tiny;

	(void)state;
	assert_null(course_check(&c));
#define REJECT(field, value) (c.field = (value), assert_non_null(course_check(&c)), c.field = tiny.field)
	REJECT(segments, 0);
	REJECT(segment, 0);
	REJECT(segments, 1025);
	REJECT(segment, 1025);
	REJECT(lr_ppm, 126000000 / 32 + 1);
#undef REJECT
	c.segments = c.segment = 1024;
	c.batch = 1024;
	c.lr_ppm = 30;
	assert_null(course_check(&c));
	c.lr_ppm = 31;
	assert_non_null(course_check(&c));
	/* No rounds: neither is there. */
	c = tiny;
	c.segments = c.segment = 0;
	assert_null(course_check(&c));
}

static void test_codes_out_of_bounds(void **state)
{
	struct fixture *f = *state;
	struct train_config odd = tiny;
	const size_t size = run_code_size(&tiny);
	const int largest = run_exponent_max(&tiny);
	uint8_t *code = mem_dup(f->start, size);

	assert_true(run_code_check(&tiny, code, size));
	assert_false(run_code_check(&tiny, code, size - 1));
	for (size_t at = 0; at < size; at += size - DELTA_BLOCK_SIZE) {
		code[at] = (uint8_t)(int8_t)largest;
		assert_true(run_code_check(&tiny, code, size));
		code[at] = (uint8_t)(int8_t)(largest + 1);
		assert_false(run_code_check(&tiny, code, size));
		code[at] = (uint8_t)(int8_t)(DELTA_EXPONENT_MIN - 1);
		assert_false(run_code_check(&tiny, code, size));
		code[at] = (uint8_t)(int8_t)DELTA_EXPONENT_MIN;
	}
	free(code);
	/* A model whose last block is padded. */
	odd.model = (struct model_config){ .d = 16, .layers = 1, .heads = 1, .ff = 16, .ctx = 32 };
	const size_t n = model_count(&odd.model);

	assert_int_not_equal(n % DELTA_BLOCK, 0);
	code = mem_alloc(run_code_size(&odd));
	run_start(&odd, code);
	code[run_code_size(&odd) - DELTA_BLOCK + n % DELTA_BLOCK - 1] = 1;
	assert_true(run_code_check(&odd, code, run_code_size(&odd)));
	code[run_code_size(&odd) - 1] = 1;
	assert_false(run_code_check(&odd, code, run_code_size(&odd)));
	free(code);
}

/* ---- How a segment ends ---- */

/* From the largest start within bounds training goes on outwards, and what it gives is not within them any more; from
 * weights that no product takes it fails as a step does. */
static void test_failures(void **state)
{
	struct fixture *f = *state;
	const size_t size = run_code_size(&tiny), n = model_count(&tiny.model);
	uint8_t *code = mem_alloc(size), *start = mem_alloc(size), *delta = mem_alloc(size);
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &tiny, 1);
	struct step_job job = { .state = f->base,
		.start = start,
		.iterations = 2,
		.seed = f->segment_seed,
		.windows = f->windows };
	float *theta = mem_align(n * sizeof(float));

	for (size_t i = 0; i < size; i++)
		start[i] = i % DELTA_BLOCK_SIZE == 0 ? (uint8_t)(int8_t)run_exponent_max(&tiny) :
			i % 2 == 0                   ? 127 :
						       (uint8_t)-128;
	assert_true(run_code_check(&tiny, start, size));
	assert_int_equal(backend_execute(backend, &job, delta), STEP_OK);
	assert_int_equal(execute(backend, f, start, code), STEP_FAILED);

	memcpy(theta, state_theta(f->base), n * sizeof(float));
	theta[n - 1] = 0x1p60f;
	state_unref(f->base);
	f->base = state_new(&tiny.model, theta, mem_calloc(n, sizeof(float)));
	assert_int_equal(execute(backend, f, f->start, code), STEP_FAILED);
	backend_free(backend);
	free(code);
	free(start);
	free(delta);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	const atomic_bool cancel = true;
	uint8_t *code = mem_alloc(run_code_size(&tiny));
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &tiny, 1);
	const struct run_segment segment = { .base = f->base,
		.segment_seed = f->segment_seed,
		.start = f->start,
		.windows = f->windows,
		.cancel = &cancel };

	assert_int_equal(run_execute(backend, &segment, code), STEP_CANCELLED);
	backend_free(backend);
	free(code);
}

/* The farther a start is from the base the worse it predicts: from some distance on it is no start at all, though
 * training from it would give a code within bounds. (Just before that its weights are too large.) */
static void test_start_that_predicts_badly(void **state)
{
	struct fixture *f = *state;
	struct train_config far = tiny;
	const size_t size = run_code_size(&tiny);
	uint8_t *start = mem_dup(f->start, size), *code = mem_alloc(size);
	struct backend_batch batch = { .state = f->base, .windows = f->windows, .rows = tiny.batch };
	const struct step_job job = { .state = f->base,
		.start = start,
		.iterations = tiny.segment,
		.seed = f->segment_seed,
		.windows = f->windows };
	float base_loss, loss;
	size_t good = 0, refused = 0;

	far.lr_ppm = 2000000;
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &far, 1);

	assert_true(backend_loss(backend, &batch, &base_loss));
	batch.change = start;
	for (int exponent = -20; exponent <= -3; exponent++) {
		for (size_t at = 0; at < size - DELTA_BLOCK_SIZE; at += DELTA_BLOCK_SIZE) {
			start[at] = (uint8_t)(int8_t)exponent;
			for (size_t i = 1; i < DELTA_BLOCK_SIZE; i++)
				start[at + i] = (uint8_t)((at + i) * 2654435761u >> 13) % 201 - 100;
		}
		assert_true(backend_loss(backend, &batch, &loss));
		if (exponent <= -12) {
			assert_true(loss <= 1.0625f * base_loss + 0.0625f);
			assert_int_equal(execute(backend, f, start, code), STEP_OK);
			good++;
		} else if (!(loss <= 1.0625f * base_loss + 0.0625f)) {
			assert_int_equal(execute(backend, f, start, code), STEP_FAILED);
			assert_int_equal(backend_execute(backend, &job, code), STEP_OK);
			assert_true(run_code_check(&far, code, size));
			refused++;
		}
	}
	if (good <= 3 || refused <= 3)
		fail_msg("%zu good, %zu refused", good, refused);
	backend_free(backend);
	free(start);
	free(code);
}

/* A model that its embedding and head can stand for alone. */
static const struct train_config layered = {
	.model = { .d = 64, .layers = 2, .heads = 2, .ff = 48, .ctx = 32 },
	.batch = 2,
	.iterations = 3,
	.lr_ppm = 500,
	.wd_ppm = 10000,
	.bench_rows = 2,
	.segments = 1024,
	.segment = 16,
};

/* A channel that nothing is in and nobody reads, and how large weights are made there: beside them the others of a row
 * are 0 on its grid (section 3), so all that a product sees are these, and what they meet is 0. */
enum { UNUSED = 5, LARGE = 16 };

static bool tensor_is(const struct model_tensor *tensor, const char *end)
{
	return strlen(tensor->name) >= strlen(end) &&
		strcmp(tensor->name + strlen(tensor->name) - strlen(end), end) == 0;
}

/* Whether it multiplies what a layer's norm gives. */
static bool tensor_reads(const struct model_tensor *tensor)
{
	return tensor_is(tensor, ".wq") || tensor_is(tensor, ".wk") || tensor_is(tensor, ".wv") ||
		tensor_is(tensor, ".wgate") || tensor_is(tensor, ".wup");
}

/* The change of theta after which no layer does anything, on the way forward or back. */
static void switch_off(const float *theta, float *change)
{
	struct model_tensor t;

	for (size_t i = 0; i < model_tensors(&layered.model); i++) {
		model_tensor(&layered.model, i, &t);
		for (size_t at = 0; at < t.rows * t.cols; at++) {
			const size_t row = at / t.cols, column = at % t.cols, k = t.offset + at;

			if (column == UNUSED && tensor_reads(&t))
				change[k] = LARGE;
			else if (column == UNUSED && (t.kind <= MODEL_NORM || tensor_is(&t, "head")))
				change[k] = -theta[k];
			else if (row == UNUSED && tensor_is(&t, ".wo"))
				change[k] = LARGE;
			else if (t.kind == MODEL_EMBEDDING)
				change[k] = LARGE * theta[k]; /* so that a segment leaves the unused channel small */
		}
	}
}

/* As near as a code comes, without chance. */
static void encode_nearest(const float *change, size_t n, uint8_t *code)
{
	for (size_t i = 0; i < n; i += DELTA_BLOCK) {
		uint8_t *block = code + i / DELTA_BLOCK * DELTA_BLOCK_SIZE;
		float most = 0;
		int exponent = DELTA_EXPONENT_MIN;

		for (size_t k = i; k < i + DELTA_BLOCK; k++)
			most = fmaxf(most, fabsf(change[k]));
		while (ldexpf(126, exponent) < most)
			exponent++;
		block[0] = (uint8_t)(int8_t)exponent;
		for (size_t k = 0; k < DELTA_BLOCK; k++)
			block[1 + k] = (uint8_t)(int8_t)lrintf(ldexpf(change[i + k], -exponent));
	}
}

/* What a segment from this start gives where no gradient is. */
static void foretell(const float *theta, const uint8_t *start, const uint8_t segment_seed[32], uint8_t *code)
{
	const size_t n = model_count(&layered.model);
	const float lr = (float)layered.lr_ppm / 1000000, wd = (float)layered.wd_ppm / 1000000;
	float *w = mem_alloc(n * sizeof *w);
	struct model_tensor t;

	delta_decode(start, 0, n, w);
	for (size_t i = 0; i < model_tensors(&layered.model); i++) {
		model_tensor(&layered.model, i, &t);
		for (size_t k = t.offset; k < t.offset + t.rows * t.cols; k++) {
			w[k] = theta[k] + w[k];
			for (uint32_t j = 0; j < layered.segment && t.kind >= MODEL_MATRIX; j++)
				w[k] = w[k] - lr * (wd * w[k]);
			w[k] = w[k] - theta[k];
		}
	}
	assert_true(delta_encode(w, n, segment_seed, code));
	free(w);
}

/* Of the blocks of all layers, how many of two codes are equal; `all`: how many there are. */
static size_t equal_blocks(const uint8_t *code, const uint8_t *other, size_t *all)
{
	size_t equal = 0;
	struct model_tensor t;

	*all = 0;
	for (size_t i = 0; i < model_tensors(&layered.model); i++) {
		model_tensor(&layered.model, i, &t);
		if (strncmp(t.name, "layer.", 6) != 0)
			continue;
		for (size_t at = t.offset; at < t.offset + t.rows * t.cols; at += DELTA_BLOCK) {
			const size_t byte = at / DELTA_BLOCK * DELTA_BLOCK_SIZE;

			equal += memcmp(code + byte, other + byte, DELTA_BLOCK_SIZE) == 0;
			++*all;
		}
	}
	return equal;
}

/* A backend and the windows of the first segment, for starts of the layered model. */
struct starts {
	struct backend *backend;
	struct state *base;
	uint8_t *windows, *start, *code;
	float *change;
	struct run_segment segment;
	struct step_job job; /* the same segment, whatever its first iteration shows */
};

static void starts_init(struct starts *starts, const struct fixture *f)
{
	const struct course course = { .train = layered };
	const struct course_data data = course_data_in_memory(f->dataset, DATASET);

	*starts = (struct starts){ .backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &layered, 1),
		.base = state_new_initial(&layered.model, f->seed),
		.windows = mem_alloc(run_windows_size(&layered)),
		.start = mem_alloc(run_code_size(&layered)),
		.code = mem_alloc(run_code_size(&layered)),
		.change = mem_calloc(model_count(&layered.model), sizeof(float)) };
	assert_true(run_gather(&course, f->segment_seed, &data, starts->windows));
	starts->segment = (struct run_segment){ .base = starts->base,
		.segment_seed = f->segment_seed,
		.start = starts->start,
		.windows = starts->windows };
	starts->job = (struct step_job){ .state = starts->base,
		.start = starts->start,
		.iterations = layered.segment,
		.seed = f->segment_seed,
		.windows = starts->windows };
}

static void starts_clear(struct starts *starts)
{
	backend_free(starts->backend);
	state_unref(starts->base);
	free(starts->windows);
	free(starts->start);
	free(starts->code);
	free(starts->change);
}

/* Its loss on the first batch is no reason to refuse the start. */
static void assert_predicts_well(const struct starts *starts)
{
	struct backend_batch batch = { .state = starts->base, .windows = starts->windows, .rows = layered.batch };
	float base, loss;

	assert_true(backend_loss(starts->backend, &batch, &base));
	batch.change = starts->start;
	assert_true(backend_loss(starts->backend, &batch, &loss));
	assert_true(loss <= 1.0625f * base + 0.0625f);
}

static enum step_result execute_change(struct starts *starts)
{
	encode_nearest(starts->change, model_count(&layered.model), starts->start);
	assert_true(run_code_check(&layered, starts->start, run_code_size(&layered)));
	assert_int_equal(backend_execute(starts->backend, &starts->job, starts->code), STEP_OK);
	assert_true(run_code_check(&layered, starts->code, run_code_size(&layered)));
	return run_execute(starts->backend, &starts->segment, starts->code);
}

/* Where layers are switched off it is known without any product what becomes of them (doc/numerics.md). Such a start is
 * refused, though what is left of the model predicts well enough. */
static void test_layers_switched_off(void **state)
{
	const struct fixture *f = *state;
	uint8_t *foretold = mem_alloc(run_code_size(&layered));
	struct starts starts;
	size_t all;

	starts_init(&starts, f);
	run_start(&layered, starts.start);
	assert_int_equal(run_execute(starts.backend, &starts.segment, starts.code), STEP_OK);
	foretell(state_theta(starts.base), starts.start, f->segment_seed, foretold);
	assert_int_equal(equal_blocks(starts.code, foretold, &all), 0);

	switch_off(state_theta(starts.base), starts.change);
	assert_int_equal(execute_change(&starts), STEP_FAILED);
	assert_predicts_well(&starts);
	assert_int_equal(backend_execute(starts.backend, &starts.job, starts.code), STEP_OK);
	foretell(state_theta(starts.base), starts.start, f->segment_seed, foretold);
	assert_int_equal(equal_blocks(starts.code, foretold, &all), all);
	starts_clear(&starts);
	free(foretold);
}

/* Ways for products to have less to do, or weights that training does not change. */
static float manner_twice(const struct model_tensor *t, size_t column, const float *theta)
{
	(void)column;
	return t->kind >= MODEL_MATRIX ? *theta : 0;
}

static float manner_half(const struct model_tensor *t, size_t column, const float *theta)
{
	(void)column;
	return t->kind >= MODEL_MATRIX ? -*theta / 2 : 0;
}

static float manner_few_channels(const struct model_tensor *t, size_t column, const float *theta)
{
	return t->kind == MODEL_NORM && column % 4 != 0 ? -*theta : 0;
}

static float manner_few_columns(const struct model_tensor *t, size_t column, const float *theta)
{
	return t->kind >= MODEL_MATRIX && column % 8 != 0 ? -0.92f * *theta : 0;
}

static float manner_wrong_head(const struct model_tensor *t, size_t column, const float *theta)
{
	(void)column;
	return tensor_is(t, "head") ? 12 * *theta : 0;
}

static float manner_no_writer(const struct model_tensor *t, size_t column, const float *theta)
{
	(void)column;
	return tensor_is(t, "1.wdown") ? -*theta : 0;
}

static float manner_large_writer(const struct model_tensor *t, size_t column, const float *theta)
{
	(void)column;
	return tensor_is(t, "0.wo") ? 39 * *theta : 0;
}

static float manner_large_gate(const struct model_tensor *t, size_t column, const float *theta)
{
	(void)column;
	return tensor_is(t, "0.wgate") || tensor_is(t, "0.wup") ? 14 * *theta : 0;
}

/* Keys become what the queries are, and both large: each token sees itself. */
static float manner_sharp(const struct model_tensor *t, size_t column, const float *theta)
{
	const ptrdiff_t wq = (ptrdiff_t)layered.model.d * layered.model.d;

	(void)column;
	return tensor_is(t, ".wq") ? 14 * *theta : tensor_is(t, ".wk") ? 15 * theta[-wq] - *theta : 0;
}

static void test_starts_with_less_to_do(void **state)
{
	static const struct {
		float (*change)(const struct model_tensor *t, size_t column, const float *theta);
		enum step_result result;
	} manners[] = {
		{ manner_twice, STEP_OK }, { manner_half, STEP_OK }, { manner_wrong_head, STEP_FAILED },
		{ manner_few_channels, STEP_FAILED }, /* seen: of what matrices multiply */
		{ manner_few_columns, STEP_FAILED },  /* of matrices, as they lie there */
		{ manner_no_writer, STEP_FAILED },    /* level: of a matrix, too low */
		{ manner_large_writer, STEP_FAILED }, /* too high */
		{ manner_sharp, STEP_FAILED },
		{ manner_large_gate, STEP_FAILED }, /* of what a matrix multiplies, too high */
	};
	struct starts starts;

	starts_init(&starts, *state);
	for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
		const float *theta = state_theta(starts.base);
		struct model_tensor t;

		for (size_t j = 0; j < model_tensors(&layered.model); j++) {
			model_tensor(&layered.model, j, &t);
			for (size_t at = 0; at < t.rows * t.cols; at++)
				starts.change[t.offset + at] = manners[i].change(&t, at % t.cols,
					theta + t.offset + at);
		}
		if (execute_change(&starts) != manners[i].result)
			fail_msg("manner %zu", i);
		if (manners[i].change != manner_wrong_head)
			assert_predicts_well(&starts);
	}
	starts_clear(&starts);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seeds),
		TEST(test_first_segment_is_a_step),
		TEST(test_start_is_added),
		TEST(test_measured_with_code),
		TEST(test_chain_on_every_engine),
		TEST(test_windows_avoid_own_pages),
		TEST(test_windows_gone),
		cmocka_unit_test(test_exponent_max),
		cmocka_unit_test(test_limits),
		TEST(test_codes_out_of_bounds),
		TEST(test_start_that_predicts_badly),
		TEST(test_layers_switched_off),
		TEST(test_starts_with_less_to_do),
		TEST(test_failures),
		TEST(test_cancel),
	};
#undef TEST

	engine_init(1);
	return cmocka_run_group_tests_name("ml/run", tests, NULL, NULL);
}
