/* Segments from hostile starts (bench/hostile.h): every engine gives what the reference gives, checked or not. */
#include "bench/hostile.h"
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "unit.h"
#include "util/mem.h"

enum { STARTS = 64, WHOLE = 14, ENGINES = 3 };

/* Iterations that move weights far, so that starts may be far out too. */
static const struct train_config tiny = {
	.model = { .d = 32, .layers = 2, .heads = 2, .ff = 48, .ctx = 32 },
	.batch = 2,
	.iterations = 2,
	.lr_ppm = 500000,
	.wd_ppm = 10000,
	.bench_rows = 1,
	.segments = 15,
	.segment = 2,
};

/* As of a segment, whatever its start predicts: none of these would predict well enough for one. */
static enum step_result execute(struct backend *backend, const struct step_job *job, uint8_t *code)
{
	enum step_result result = backend_execute(backend, job, code);

	return result == STEP_OK && !run_code_check(&tiny, code, run_code_size(&tiny)) ? STEP_FAILED : result;
}

static void test_engines_agree(void **state)
{
	static const enum engine engines[ENGINES] = { ENGINE_REFERENCE, ENGINE_OPENBLAS, ENGINE_ONEDNN };
	static const uint8_t key[32] = "hostile";
	const size_t size = run_code_size(&tiny);
	struct state *base = state_new_initial(&tiny.model, key);
	struct backend *backends[ENGINES] = { NULL };
	uint8_t *start = mem_alloc(size), *expected = mem_alloc(size), *code = mem_alloc(size),
		*windows = mem_alloc(run_windows_size(&tiny));
	struct step_job job = { .state = base,
		.start = start,
		.iterations = tiny.segment,
		.seed = key,
		.windows = windows };
	enum step_result result;
	struct errmsg err;
	size_t failed = 0;

	(void)state;
	for (size_t i = 0; i < ENGINES; i++)
		if (backend_usable(backend_cpu(engines[i]), &err))
			backends[i] = backend_new(backend_cpu(engines[i]), &tiny, 1);
	for (uint32_t number = 0; number < STARTS; number++) {
		hostile_start(&tiny, base, number, start);
		assert_true(run_code_check(&tiny, start, size));
		/* Data are hostile too: one byte in every other start. */
		for (size_t i = 0; i < run_windows_size(&tiny); i++)
			windows[i] = number % 2 ? 7 : (uint8_t)(i * i % 251);
		job.checked = false;
		result = execute(backends[0], &job, expected);
		failed += result == STEP_FAILED;
		for (size_t i = 0; i < 2 * ENGINES; i++) {
			if (backends[i / 2] == NULL)
				continue;
			job.checked = i % 2;
			assert_int_equal(execute(backends[i / 2], &job, code), result);
			if (result == STEP_OK)
				assert_memory_equal(code, expected, size);
		}
	}
	/* Both ends are met. */
	assert_in_range(failed, 1, STARTS - 1);
	for (size_t i = 0; i < ENGINES; i++)
		backend_free(backends[i]);
	state_unref(base);
	free(start);
	free(expected);
	free(code);
	free(windows);
}

/* The exponents of a tensor's blocks and the sizes in it are where the manner says; and a number is always one start.
 */
static void test_starts(void **state)
{
	static const uint8_t key[32] = "hostile";
	const size_t size = run_code_size(&tiny), n = model_count(&tiny.model);
	struct state *base = state_new_initial(&tiny.model, key);
	uint8_t *codes[WHOLE], *again = mem_alloc(size);
	float *x = mem_alloc(n * sizeof(float));
	size_t tiny_weights = 0;

	(void)state;
	for (uint32_t number = 0; number < WHOLE; number++) {
		codes[number] = mem_alloc(size);
		hostile_start(&tiny, base, number, codes[number]);
		hostile_start(&tiny, base, number, again);
		assert_memory_equal(codes[number], again, size);
		/* The first of either kind touch nothing. */
		for (uint32_t other = 0; other < number; other++)
			assert_int_equal(memcmp(codes[number], codes[other], size) == 0,
				number == WHOLE / 2 && other == 0);
	}
	delta_decode(codes[1], 0, n, x);
	for (size_t i = 0; i < n; i++) {
		float left = state_theta(base)[i] + x[i];

		tiny_weights += left > -0x1p-11f && left < 0x1p-11f;
	}
	assert_true(tiny_weights > n / 10 * 9);
	for (uint32_t number = 0; number < WHOLE; number++)
		free(codes[number]);
	free(again);
	free(x);
	state_unref(base);
}

/* Of a model in which one byte has all the attention and no value, and another e^-30 of it and a huge one: in a chain
 * with rounds, and in no other, that little counts as none. */
static float sharp_loss(uint32_t segments, float value)
{
	const struct train_config config = { .model = { .d = 64, .layers = 1, .heads = 2, .ff = 48, .ctx = 32 },
		.batch = 1,
		.iterations = 1,
		.segments = segments,
		.segment = segments };
	const size_t n = model_count(&config.model), d = 64;
	float *theta = mem_calloc(n, sizeof(float)), loss;
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &config, 1);
	struct model_tensor tensor;
	uint8_t windows[33];

	for (size_t i = 0; i < model_tensors(&config.model); i++) {
		model_tensor(&config.model, i, &tensor);
		float *x = theta + tensor.offset;

		for (size_t j = 0; tensor.kind == MODEL_NORM && j < tensor.cols; j++)
			x[j] = 1;
		if (strcmp(tensor.name, "embedding") == 0)
			x['a' * d] = x['b' * d + 1] = 1; /* normalised: 8 */
		/* The pair of a head that rotary embedding turns least. */
		if (strcmp(tensor.name, "layer.0.wq") == 0)
			x[15 * d] = x[15 * d + 1] = 1;
		if (strcmp(tensor.name, "layer.0.wk") == 0)
			x[15 * d] = 2.65f; /* a score of 30 for a, of 0 for b */
		if (strcmp(tensor.name, "layer.0.wv") == 0)
			x[1] = value;
		if (strcmp(tensor.name, "layer.0.wo") == 0)
			x[2 * d] = 1;
		if (strcmp(tensor.name, "head") == 0)
			x['a' * d + 2] = 4;
	}
	for (size_t i = 0; i < sizeof windows; i++)
		windows[i] = i % 2 ? 'b' : 'a';
	struct state *state = state_new(&config.model, theta, mem_calloc(n, sizeof(float)));
	const struct backend_batch batch = { .state = state, .windows = windows, .rows = 1 };

	assert_true(backend_loss(backend, &batch, &loss));
	state_unref(state);
	backend_free(backend);
	return loss;
}

static void test_least_weight(void **state)
{
	const float none = sharp_loss(0, 0), huge = 0x1p40f;

	(void)state;
	assert_true(sharp_loss(1, 0) == none);
	assert_true(sharp_loss(1, huge) == none);
	assert_true(sharp_loss(0, huge) < none - 0.01f || sharp_loss(0, huge) > none + 0.01f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_starts), cmocka_unit_test(test_engines_agree),
		cmocka_unit_test(test_least_weight) };

	engine_init(1);
	return cmocka_run_group_tests_name("ml/hostile", tests, NULL, NULL);
}
