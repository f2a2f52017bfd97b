/* Sampling text: a model that learned a pattern goes on with it, and the options do what they say. */
#include <math.h>

#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/generate.h"
#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"
#include "unit.h"
#include "util/mem.h"

static const struct train_config config = {
	.model = { .d = 64, .layers = 2, .heads = 2, .ff = 96, .ctx = 64 },
	.batch = 8,
	.iterations = 120,
	.lr_ppm = 8000,
	.wd_ppm = 10000,
	.bench_rows = 1,
};

static const char pattern[] = "abcdefghij0123456789";

/* A model that has learned to go on with the pattern: the state after one long step, without the delta code. */
static struct state *trained;

static int set_up(void **state)
{
	size_t n = model_count(&config.model);
	uint8_t key[32] = { 1 }, dataset[4000];
	uint8_t *windows = mem_alloc(step_windows_size(&config)), *delta = mem_alloc(step_delta_size(&config));
	struct state *initial = state_new_initial(&config.model, key);
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &config, 1);
	struct step_job job = { .state = initial, .seed = key, .windows = windows };
	float *theta = mem_align(n * sizeof(float));

	(void)state;
	for (size_t i = 0; i < sizeof dataset; i++)
		dataset[i] = (uint8_t)pattern[i % 20];
	noise_gather(key, NOISE_WINDOW, (size_t)config.iterations * config.batch, dataset, sizeof dataset,
		config.model.ctx, windows);
	assert_int_equal(backend_execute(backend, &job, delta), STEP_OK);
	delta_decode(delta, 0, n, theta);
	for (size_t i = 0; i < n; i++)
		theta[i] += state_theta(initial)[i];
	trained = state_new(&config.model, theta, mem_calloc(n, sizeof(float)));
	state_unref(initial);
	backend_free(backend);
	free(windows);
	free(delta);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	state_unref(trained);
	return 0;
}

/* The likeliest bytes go on with the pattern, far beyond the context. */
static void test_continues(void **state)
{
	struct generate_options options = { 0 };
	uint8_t out[300];

	(void)state;
	assert_int_equal(generate_text(trained, (const uint8_t *)pattern, 20, &options, out, sizeof out), sizeof out);
	for (size_t i = 0; i < sizeof out; i++)
		assert_int_equal(out[i], pattern[i % 20]);
	/* A prompt longer than the context: its end counts. */
	uint8_t prompt[205];

	for (size_t i = 0; i < sizeof prompt; i++)
		prompt[i] = (uint8_t)pattern[i % 20];
	assert_int_equal(generate_text(trained, prompt, sizeof prompt, &options, out, 20), 20);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(out[i], pattern[(i + 5) % 20]);
}

static int likeliest(const struct logits *logits)
{
	int best = 0;

	for (int i = 1; i < MODEL_VOCABULARY; i++)
		best = logits->of[i] > logits->of[best] ? i : best;
	return best;
}

/* As much of a prompt counts as the context holds, and not a byte less. */
static void test_whole_context(void **state)
{
	struct generate_options options = { 0 };
	uint8_t key[32] = { 2 }, prompt[65], out;
	struct state *random = state_new_initial(&config.model, key);

	(void)state;
	for (size_t i = 0; i < sizeof prompt; i++)
		prompt[i] = (uint8_t)(i * i * 37);
	for (size_t size = 1; size <= sizeof prompt; size++) {
		size_t used = size <= 64 ? size : 32;
		struct logits logits;

		generate_logits(random, prompt + size - used, used, &logits);
		generate_text(random, prompt, size, &options, &out, 1);
		assert_int_equal(out, likeliest(&logits));
	}
	state_unref(random);
}

static void test_options(void **state)
{
	struct generate_options hot = { .temperature = 100, .seed = 1 }, other = hot,
				top = { .temperature = 100, .top_k = 1 };
	uint8_t first[200], second[200];
	size_t outside = 0;

	(void)state;
	generate_text(trained, NULL, 0, &hot, first, sizeof first);
	generate_text(trained, NULL, 0, &hot, second, sizeof second);
	assert_memory_equal(first, second, sizeof first);
	other.seed = 2;
	generate_text(trained, NULL, 0, &other, second, sizeof second);
	assert_memory_not_equal(first, second, sizeof first);
	/* So hot, any byte may come; but not with only the likeliest allowed. */
	for (size_t i = 0; i < sizeof first; i++)
		outside += strchr(pattern, first[i]) == NULL;
	assert_true(outside > 100);
	generate_text(trained, (const uint8_t *)pattern, 20, &top, first, 40);
	assert_memory_equal(first, pattern, 20);
	/* With three allowed, three different bytes come, whatever the temperature. */
	top.top_k = 3;
	bool seen[256] = { 0 };
	size_t kinds = 0;

	for (top.seed = 0; top.seed < 200; top.seed++) {
		generate_text(trained, (const uint8_t *)pattern, 20, &top, first, 1);
		kinds += !seen[first[0]];
		seen[first[0]] = true;
	}
	assert_int_equal(kinds, 3);
}

static void test_cancel(void **state)
{
	atomic_bool cancel = true;
	struct generate_options options = { .cancel = &cancel };
	uint8_t out[10];

	(void)state;
	assert_int_equal(generate_text(trained, NULL, 0, &options, out, sizeof out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_continues),
		cmocka_unit_test(test_whole_context),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_cancel),
	};

	engine_init(1);
	return cmocka_run_group_tests_name("ml/generate", tests, set_up, tear_down);
}
