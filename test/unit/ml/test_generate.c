/* Text: a model that learned a pattern goes on with it, the options do what they say, and whatever is computed together
 * or in pieces, by whichever engine, has the bits of a training pass. */
#include "ml/backend_cpu.h"
#include "ml/delta.h"
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "ml/kernel/noise.h"
#include "ml/text/generate.h"
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

/* Writes with an engine of one's own choice. */
static size_t write_with(enum engine engine, struct state *from, const struct generate_order *order)
{
	struct decoder *decoder = decoder_new(&config, from, engine);
	enum generate_status status;
	size_t written;

	assert_non_null(decoder);
	written = generate_alone(decoder, order, NULL, &status);
	decoder_free(decoder);
	assert_int_equal(status, GENERATE_DONE);
	return written;
}

/* Where bytes go as they are written. */
struct paper {
	uint8_t bytes[400];
	size_t size;
	struct decoder_logits logits; /* the last byte's */
};

static bool on_wrote(void *context, uint8_t byte, const struct decoder_logits *logits)
{
	struct paper *paper = context;

	paper->bytes[paper->size++] = byte;
	paper->logits = *logits;
	return true;
}

static void write_text(struct state *from, const void *prompt, size_t prompt_size, struct pick_options options,
	size_t count, struct paper *paper)
{
	struct generate_order order = { prompt, prompt_size, options, count, NULL, on_wrote, paper };

	paper->size = 0;
	assert_int_equal(write_with(ENGINE_OPENBLAS, from, &order), count);
	assert_int_equal(paper->size, count);
}

static const struct pick_options likeliest = { 0 };

/* The likeliest bytes go on with the pattern, far beyond the context. */
static void test_continues(void **state)
{
	struct paper paper;
	uint8_t prompt[205];

	(void)state;
	write_text(trained, pattern, 20, likeliest, 300, &paper);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(paper.bytes[i], pattern[i % 20]);
	/* A prompt longer than the context: its end counts. */
	for (size_t i = 0; i < sizeof prompt; i++)
		prompt[i] = (uint8_t)pattern[i % 20];
	write_text(trained, prompt, sizeof prompt, likeliest, 20, &paper);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(paper.bytes[i], pattern[(i + 5) % 20]);
}

/* What a training pass loses on windows, from the logits that a text sees there. */
static void test_bits_of_a_pass(void **state)
{
	const struct train_config rounds = { .model = config.model, .batch = 1, .segments = 1 };
	size_t ctx = config.model.ctx;
	uint8_t key[32] = { 2 }, window[65];
	struct state *random = state_new_initial(&config.model, key);

	(void)state;
	for (size_t i = 0; i < sizeof window; i++)
		window[i] = (uint8_t)(i * i * 37);
	for (int with_rounds = 0; with_rounds < 2; with_rounds++) {
		const struct train_config *used = with_rounds ? &rounds : &config;
		struct state *from = with_rounds ? trained : random;
		struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), used, 1);
		struct decoder *decoder = decoder_new(used, from, ENGINE_REFERENCE);
		struct decoder_cache *cache = decoder_cache_new(&config.model);
		struct backend_batch batch = { .state = from, .windows = window, .rows = 1 };
		struct decoder_logits logits[DECODER_BYTES];
		float losses[64] = { 0 }, loss;
		struct decoder_feed feed = { cache, window, ctx, ctx, logits, 0 };

		decoder_pass(decoder, &feed, 1, NULL);
		assert_int_equal(feed.done, ctx);
		for (size_t i = MODEL_SKIPPED; i < ctx; i++) {
			float *x = logits[i].of, largest = math_max(x, MODEL_VOCABULARY),
			      at_target = x[window[i + 1]] - largest;

			for (size_t j = 0; j < MODEL_VOCABULARY; j++)
				x[j] = math_exp(x[j] - largest);
			losses[i] = math_log(math_sum16(x, MODEL_VOCABULARY)) - at_target;
		}
		assert_true(backend_loss(backend, &batch, &loss));
		assert_int_equal(float_bits(math_sum16(losses, ctx) * (1.0f / (float)(ctx - MODEL_SKIPPED))),
			float_bits(loss));
		decoder_free(decoder);
		decoder_cache_free(cache);
		backend_free(backend);
	}
	state_unref(random);
}

/* As much of a prompt counts as the context holds, and not a byte less. */
static void test_whole_context(void **state)
{
	uint8_t key[32] = { 2 }, prompt[65];
	struct state *random = state_new_initial(&config.model, key);

	(void)state;
	for (size_t i = 0; i < sizeof prompt; i++)
		prompt[i] = (uint8_t)(i * i * 37);
	for (size_t size = 1; size <= sizeof prompt; size++) {
		size_t used = size <= 64 ? size : 32;
		struct paper whole, end;

		write_text(random, prompt, size, likeliest, 1, &whole);
		write_text(random, prompt + size - used, used, likeliest, 1, &end);
		assert_memory_equal(&whole.logits, &end.logits, sizeof whole.logits);
	}
	state_unref(random);
}

/* Texts that share passes, begun one after the other and at different places, with every engine: each has the bytes,
 * and its last one the logits, that it has alone; where prompts have to share what room there is, too. */
static void test_side_by_side(void **state)
{
	enum { TEXTS = 9 };
	static const uint32_t temperatures[] = { 0, 500000, 1000000 };
	uint8_t prompt[100];

	(void)state;
	for (size_t i = 0; i < sizeof prompt; i++)
		prompt[i] = (uint8_t)(pattern[i % 20] + i / 50);
	for (int engine = ENGINE_OPENBLAS; engine <= ENGINE_REFERENCE; engine++) {
		struct decoder *decoder = decoder_new(&config, trained, (enum engine)engine);
		struct generate_text *texts[TEXTS];
		struct paper together[TEXTS], alone;
		size_t writing = 0, begun = 0;

		do {
			if (begun < TEXTS) {
				const struct generate_order order = { prompt, 11 * begun,
					{ temperatures[begun % 3], 0, 0, begun }, 100 + 7 * begun, NULL, on_wrote,
					&together[begun] };

				together[begun].size = 0;
				texts[begun++] = generate_text_new(&config.model, &order);
			}
			generate_advance(decoder, texts, begun, NULL);
			writing = 0;
			for (size_t i = 0; i < begun; i++)
				writing += generate_text_status(texts[i]) == GENERATE_WRITING;
		} while (writing > 0);
		for (size_t i = 0; i < TEXTS; i++) {
			write_text(trained, prompt, 11 * i, (struct pick_options){ temperatures[i % 3], 0, 0, i },
				100 + 7 * i, &alone);
			assert_int_equal(together[i].size, alone.size);
			assert_memory_equal(together[i].bytes, alone.bytes, alone.size);
			assert_memory_equal(&together[i].logits, &alone.logits, sizeof alone.logits);
			generate_text_free(texts[i]);
		}
		decoder_free(decoder);
	}
}

/* Following a text says the same as writing it, up to the first byte that is another, wherever that is. */
static void test_follows(void **state)
{
	const struct pick_options warm = { .temperature = PICK_PPM, .seed = 5 };
	struct decoder *decoder = decoder_new(&config, trained, ENGINE_OPENBLAS);
	struct paper paper, followed;

	(void)state;
	write_text(trained, pattern, 15, warm, 300, &paper);
	for (size_t wrong = 0; wrong <= 300; wrong += 20) {
		struct generate_order order = { (const uint8_t *)pattern, 15, warm, 300, paper.bytes, on_wrote,
			&followed };
		enum generate_status status;

		followed.size = 0;
		if (wrong < 300)
			paper.bytes[wrong] ^= 1;
		assert_int_equal(generate_alone(decoder, &order, NULL, &status), wrong);
		assert_int_equal(status, wrong < 300 ? GENERATE_DIFFERS : GENERATE_DONE);
		if (wrong < 300)
			paper.bytes[wrong] ^= 1;
		assert_int_equal(followed.size, wrong < 300 ? wrong + 1 : 300);
		assert_memory_equal(followed.bytes, paper.bytes, followed.size);
	}
	decoder_free(decoder);
}

/* A byte for which an operand has no grid: a text with it has no next byte, and who shares the pass does not notice. */
static void test_fails_alone(void **state)
{
	size_t n = model_count(&config.model), d = config.model.d;
	float *theta = mem_align(n * sizeof(float));
	struct generate_text *texts[2];
	struct paper papers[2] = { { .size = 0 }, { .size = 0 } }, alone;
	struct state *broken;
	struct decoder *decoder;

	(void)state;
	memcpy(theta, state_theta(trained), n * sizeof(float));
	/* The first norm makes this one value huge, which only '!' has. */
	for (size_t byte = 0; byte < MODEL_VOCABULARY; byte++)
		theta[byte * d] = byte == '!';
	theta[MODEL_VOCABULARY * d] = 1e30f;
	broken = state_new(&config.model, theta, mem_calloc(n, sizeof(float)));
	decoder = decoder_new(&config, broken, ENGINE_OPENBLAS);
	for (int i = 0; i < 2; i++) {
		const struct generate_order order = { (const uint8_t *)(i == 0 ? "abcd!" : pattern), i == 0 ? 5 : 15,
			likeliest, 50, NULL, on_wrote, &papers[i] };

		texts[i] = generate_text_new(&config.model, &order);
	}
	while (generate_text_status(texts[1]) == GENERATE_WRITING)
		generate_advance(decoder, texts, 2, NULL);
	assert_int_equal(generate_text_status(texts[0]), GENERATE_FAILED);
	assert_int_equal(generate_text_size(texts[0]), 0);
	write_text(broken, pattern, 15, likeliest, 50, &alone);
	assert_memory_equal(papers[1].bytes, alone.bytes, 50);
	for (int i = 0; i < 2; i++)
		generate_text_free(texts[i]);
	decoder_free(decoder);
	state_unref(broken);
}

static void test_options(void **state)
{
	struct pick_options hot = { .temperature = PICK_TEMPERATURE_MAX, .seed = 1 }, other = hot, top = hot;
	struct paper first, second;
	size_t outside = 0, kinds = 0;
	bool seen[256] = { 0 };

	(void)state;
	write_text(trained, NULL, 0, hot, 200, &first);
	write_text(trained, NULL, 0, hot, 200, &second);
	assert_memory_equal(first.bytes, second.bytes, 200);
	other.seed = 2;
	write_text(trained, NULL, 0, other, 200, &second);
	assert_memory_not_equal(first.bytes, second.bytes, 200);
	/* So hot, any byte may come; but not with only the likeliest allowed. */
	for (size_t i = 0; i < 200; i++)
		outside += memchr(pattern, first.bytes[i], 20) == NULL;
	assert_true(outside > 50);
	top.top_k = 1;
	write_text(trained, pattern, 20, top, 40, &first);
	assert_memory_equal(first.bytes, pattern, 20);
	top.top_k = 0;
	top.top_p = 1;
	write_text(trained, pattern, 20, top, 40, &first);
	assert_memory_equal(first.bytes, pattern, 20);
	/* With three allowed, three different bytes come, whatever the temperature. */
	top.top_k = 3;
	top.top_p = 0;
	for (top.seed = 0; top.seed < 200; top.seed++) {
		write_text(trained, pattern, 20, top, 1, &first);
		kinds += !seen[first.bytes[0]];
		seen[first.bytes[0]] = true;
	}
	assert_int_equal(kinds, 3);
}

/* Ties, and sums that part exactly: which byte is picked is written in the protocol. */
static void test_picks(void **state)
{
	struct pick_options options = { 0 };
	float logits[MODEL_VOCABULARY] = { [3] = -0.0f };
	uint8_t order[MODEL_VOCABULARY];
	size_t counts[4] = { 0 };

	(void)state;
	assert_int_equal(pick_byte(logits, &options, 0), 0);
	logits[9] = logits[7] = 1;
	assert_int_equal(pick_byte(logits, &options, 0), 7);
	pick_order(logits, order);
	assert_int_equal(order[0], 7);
	assert_int_equal(order[1], 9);
	for (int i = 2; i < MODEL_VOCABULARY; i++)
		assert_int_equal(order[i], i < 9 ? i - 2 : i == 9 ? 8 : i);
	/* Four equally likely ones: a half of the probability are the two lowest. */
	for (int i = 0; i < MODEL_VOCABULARY; i++)
		logits[i] = i < 4 ? 0 : -80;
	options = (struct pick_options){ .temperature = 100000, .top_p = PICK_PPM / 2 };
	for (uint32_t i = 0; i < 400; i++)
		counts[pick_byte(logits, &options, i)]++;
	assert_true(counts[0] > 100 && counts[1] > 100 && counts[0] + counts[1] == 400);
	options.top_p = PICK_PPM / 2 + 1;
	for (uint32_t i = 400; i < 800; i++)
		counts[pick_byte(logits, &options, i)]++;
	assert_true(counts[2] > 50 && counts[3] == 0);
}

static void test_cancel(void **state)
{
	struct decoder *decoder = decoder_new(&config, trained, ENGINE_OPENBLAS);
	const struct generate_order order = { .count = 10 };
	atomic_bool cancel = true;
	enum generate_status status;

	(void)state;
	assert_int_equal(generate_alone(decoder, &order, &cancel, &status), 0);
	assert_int_equal(status, GENERATE_WRITING);
	decoder_free(decoder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_continues),
		cmocka_unit_test(test_bits_of_a_pass),
		cmocka_unit_test(test_whole_context),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_follows),
		cmocka_unit_test(test_fails_alone),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_picks),
		cmocka_unit_test(test_cancel),
	};

	engine_init(1);
	return cmocka_run_group_tests_name("ml/generate", tests, set_up, tear_down);
}
