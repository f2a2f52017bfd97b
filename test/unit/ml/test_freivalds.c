/* Checked steps: a sound engine passes, and whichever product of a step is wrong in one place, the step says so.
 *
 * Includes freivalds.c, to see and to choose its random vectors. */
#include <stdio.h>
#include <stdlib.h>

#include "ml/faulty_engine.h"
#include "unit.h"
#include "util/random.h"

static void chosen_bytes(void *out, size_t size);

#define random_bytes chosen_bytes
#include "ml/kernel/freivalds.c"
#undef random_bytes

#include "ml/backend_cpu.h"
#include "ml/kernel/noise.h"
#include "ml/text/generate.h"
#include "util/mem.h"

/* === Randomness === */

static size_t drawn;   /* bytes, since it was zeroed */
static bool all_alike; /* they are zeros */

static void chosen_bytes(void *out, size_t size)
{
	drawn += size;
	random_bytes(out, size);
	if (all_alike)
		memset(out, 0, size);
}

/* === Steps === */

/* Products longer and wider than a chunk, two chunks of tokens of which the second is not full, rows of W in several
 * parts. */
static const struct train_config large = {
	.model = { .d = 32, .layers = 1, .heads = 2, .ff = 1056, .ctx = 32 },
	.batch = 40,
	.iterations = 1,
	.lr_ppm = 500,
	.wd_ppm = 10000,
	.bench_rows = 1,
};
static const struct train_config small = {
	.model = { .d = 48, .layers = 2, .heads = 3, .ff = 80, .ctx = 32 },
	.batch = 11,
	.iterations = 1,
	.lr_ppm = 500,
	.wd_ppm = 10000,
	.bench_rows = 1,
};

struct fixture {
	const struct train_config *config;
	enum engine engine;
	struct state *state;
	struct backend *backend;
	uint8_t *windows, *expected, *delta;
};

static const uint8_t seed[32] = { 7 };

static enum step_result execute(struct fixture *f, bool checked)
{
	struct step_job job = { .state = f->state, .seed = seed, .windows = f->windows, .checked = checked };

	return backend_execute(f->backend, &job, f->delta);
}

static void set_up(struct fixture *f, const struct train_config *config, enum engine engine, unsigned threads)
{
	uint8_t text[3000];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 7 + i / 11 * 3);
	*f = (struct fixture){
		.config = config,
		.engine = engine,
		.state = state_new_initial(&config->model, seed),
		.backend = backend_new(backend_cpu(engine), config, threads),
		.windows = mem_alloc(step_windows_size(config)),
		.expected = mem_alloc(step_delta_size(config)),
		.delta = mem_alloc(step_delta_size(config)),
	};
	noise_gather(seed, NOISE_WINDOW, (size_t)config->iterations * config->batch, text, sizeof text,
		config->model.ctx, f->windows);
	engine_fault(FAULT_LAST_BIT, SIZE_MAX, SIZE_MAX);
	faulty.reference = true;
	assert_int_equal(execute(f, false), STEP_OK);
	memcpy(f->expected, f->delta, step_delta_size(config));
}

static void tear_down(struct fixture *f)
{
	state_unref(f->state);
	backend_free(f->backend);
	free(f->windows);
	free(f->expected);
	free(f->delta);
}

static bool as_expected(const struct fixture *f)
{
	return memcmp(f->delta, f->expected, step_delta_size(f->config)) == 0;
}

/* === Tests === */

static const enum engine engines[] = { ENGINE_OPENBLAS, ENGINE_REFERENCE, ENGINE_ONEDNN };
enum { ENGINES = sizeof engines / sizeof engines[0] };

/* The check finds nothing in a sound engine and changes nothing; after a checked step the next is not checked. */
static void test_sound(void **state)
{
	const struct train_config *configs[] = { &small, &large };
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < 2 * ENGINES; i++) {
		enum engine engine = engines[i / 2];

		if (!engine_usable(engine, NULL))
			continue;
		set_up(&f, configs[i % 2], engine, 3);
		for (int round = 0; round < 3; round++) {
			assert_int_equal(execute(&f, round < 2), STEP_OK);
			assert_true(as_expected(&f));
		}
		tear_down(&f);
	}
}

/* One wrong sum in any product of the step: forward, back and of gradients. Unless what is added to it, as to a
 * gradient's sum over some of the tokens, rounds the fault away. */
static void check_fault(struct fixture *f, enum fault fault, size_t products, size_t stride)
{
	size_t found = 0, spoiled = 0;

	for (size_t at = 0; at < products; at += stride) {
		engine_fault(fault, at, at + 1);
		faulty.reference = true;
		enum step_result result = execute(f, true);

		if (result == STEP_MISCALCULATED ? faulty.spoiled == 0 : result != STEP_OK || !as_expected(f))
			fail_msg("%s: fault %d in product %zu of %zu: result %d", backend_cpu(f->engine)->name, fault,
				at, products, result);
		found += result == STEP_MISCALCULATED;
		spoiled += faulty.spoiled;
	}
	printf("# %s, fault %d: %zu of %zu found\n", backend_cpu(f->engine)->name, fault, found, spoiled);
	assert_true(found > 0 && 2 * found >= spoiled);
}

static void test_faults(void **state)
{
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ENGINES; i++) {
		if (!engine_usable(engines[i], NULL))
			continue;
		set_up(&f, &small, engines[i], 1);
		const size_t products = faulty.products;

		assert_true(products > 25);
		for (enum fault fault = FAULT_LAST_BIT; fault <= FAULT_MINUS_ZERO; fault++)
			check_fault(&f, fault, products, engines[i] == ENGINE_OPENBLAS ? 1 : 4);
		tear_down(&f);
	}
	set_up(&f, &large, ENGINE_OPENBLAS, 1);
	check_fault(&f, FAULT_LAST_BIT, faulty.products, 5);
	tear_down(&f);
}

/* What no check looks at is not noticed, or is a result by protocol: then the miscalculation is somebody else's to
 * find. */
static void test_unchecked(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, &small, ENGINE_OPENBLAS, 1);
	engine_fault(FAULT_LARGE, 2, 3);
	execute(&f, false);
	assert_int_equal(faulty.spoiled, 1);
	assert_false(as_expected(&f));
	tear_down(&f);
}

/* The vectors are the operating system's random bytes, others in every step: with zeros instead nothing would
 * be found. */
static void test_randomness(void **state)
{
	const size_t widest = 256; /* of small */
	struct fixture f;

	(void)state;
	set_up(&f, &small, ENGINE_REFERENCE, 1);
	drawn = 0;
	execute(&f, false);
	assert_int_equal(drawn, 0);
	for (size_t round = 1; round <= 3; round++) {
		execute(&f, true);
		assert_int_equal(drawn, round * 2 * (widest + FREIVALDS_ROWS) * sizeof(int32_t));
	}
	all_alike = true;
	engine_fault(FAULT_EXCHANGED, 0, SIZE_MAX);
	faulty.reference = true;
	assert_int_equal(execute(&f, true), STEP_OK);
	assert_true(faulty.spoiled > 20);
	all_alike = false;
	engine_fault(FAULT_EXCHANGED, 0, SIZE_MAX);
	faulty.reference = true;
	assert_int_equal(execute(&f, true), STEP_MISCALCULATED);
	tear_down(&f);
}

/* === Texts === */

struct heard {
	uint8_t bytes[40];
	size_t size;
};

static bool on_wrote(void *context, uint8_t byte, const struct decoder_logits *logits)
{
	struct heard *heard = context;

	(void)logits;
	heard->bytes[heard->size++] = byte;
	return true;
}

/* Whichever product of a text is wrong, nothing comes of it, and a sound engine goes on where the other stopped. */
static void test_texts(void **state)
{
	uint8_t key[32] = { 7 };
	struct state *random = state_new_initial(&small.model, key);
	struct heard sound = { .size = 0 };
	struct generate_order order = { .prompt = (const uint8_t *)"a prompt",
		.prompt_size = 8,
		.options = { .temperature = PICK_PPM },
		.count = sizeof sound.bytes,
		.wrote = on_wrote,
		.context = &sound };
	struct decoder *decoder = decoder_new(&small, random, ENGINE_OPENBLAS);
	enum generate_status status;

	(void)state;
	engine_fault(FAULT_LAST_BIT, 0, 0);
	assert_int_equal(generate_alone(decoder, &order, NULL, &status), sizeof sound.bytes);
	size_t products = faulty.products;

	assert_false(decoder_is_wrong(decoder));
	decoder_free(decoder);
	for (size_t first = 0; first < products; first += 7) {
		struct heard heard = { .size = 0 };
		struct generate_text *text;

		order.context = &heard;
		decoder = decoder_new(&small, random, ENGINE_OPENBLAS);
		text = generate_text_new(&small.model, &order);
		engine_fault((enum fault)(first % (FAULT_MINUS_ZERO + 1)), first, products);
		while (!decoder_is_wrong(decoder) && generate_text_status(text) == GENERATE_WRITING)
			generate_advance(decoder, &text, 1, NULL);
		assert_int_equal(decoder_is_wrong(decoder), faulty.spoiled > 0);
		decoder_free(decoder);
		decoder = decoder_new(&small, random, ENGINE_REFERENCE);
		while (generate_text_status(text) == GENERATE_WRITING)
			generate_advance(decoder, &text, 1, NULL);
		assert_int_equal(generate_text_status(text), GENERATE_DONE);
		assert_memory_equal(heard.bytes, sound.bytes, sizeof sound.bytes);
		decoder_free(decoder);
		generate_text_free(text);
	}
	state_unref(random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_unchecked),
		cmocka_unit_test(test_randomness),
		cmocka_unit_test(test_texts),
	};

	engine_init(1);
	return cmocka_run_group_tests_name("ml/freivalds", tests, NULL, NULL);
}
