/* The known answers of texts: the third block of lines of doc/protocol.md section 18. Every engine gives them. */
#include "consensus/known/known.h"
#include "crypto/hash.h"
#include "ml/kernel/float.h"
#include "ml/text/generate.h"

static void answer_pick(const char *arguments, char *out)
{
	struct pick_options options;
	float logits[MODEL_VOCABULARY];
	uint32_t index;
	unsigned long long seed;

	assert_int_equal(sscanf(arguments, "%u %u %u %llu %u", &options.temperature, &options.top_k, &options.top_p,
				 &seed, &index),
		5);
	options.seed = seed;
	for (uint32_t j = 0; j < MODEL_VOCABULARY; j++)
		logits[j] = j < 4 ? 7.75f : (float)(j * 40503 % 65536) * 0x1p-13f;
	snprintf(out, ANSWER_MAX, "%u", pick_byte(logits, &options, index));
}

struct found_text {
	uint8_t bytes[64];
	size_t size;
	struct decoder_logits logits;
};

static bool on_wrote(void *context, uint8_t byte, const struct decoder_logits *logits)
{
	struct found_text *found = context;

	assert_true(found->size < sizeof found->bytes);
	found->bytes[found->size++] = byte;
	found->logits = *logits;
	return true;
}

/* Writes with both engines that are always there, and holds them to the same. */
static void write_text(const struct spec *spec, const char *prompt_hex, struct pick_options options, size_t count,
	struct found_text *found)
{
	struct state *initial = spec_initial_state(spec);
	struct found_text texts[2] = { { .size = 0 }, { .size = 0 } };
	uint8_t prompt[64];
	size_t prompt_size = strlen(prompt_hex) / 2;

	assert_true(prompt_size <= sizeof prompt && hex_decode(prompt, prompt_size, prompt_hex));
	for (int engine = ENGINE_OPENBLAS; engine <= ENGINE_REFERENCE; engine++) {
		const struct generate_order order = { prompt, prompt_size, options, count, NULL, on_wrote,
			&texts[engine] };
		struct decoder *decoder = decoder_new(&spec_course(spec)->train, initial, (enum engine)engine);
		enum generate_status status;

		assert_int_equal(generate_alone(decoder, &order, NULL, &status), count);
		decoder_free(decoder);
	}
	assert_memory_equal(texts[0].bytes, texts[1].bytes, count);
	assert_memory_equal(&texts[0].logits, &texts[1].logits, sizeof texts[0].logits);
	*found = texts[0];
	state_unref(initial);
}

static void answer_text_logits(const char *arguments, char *out)
{
	uint8_t bytes[4 * MODEL_VOCABULARY], hash[32];
	struct found_text found;
	struct spec spec;
	const char *rest;

	known_spec(&spec, arguments, &rest);
	write_text(&spec, rest + 1, (struct pick_options){ 0 }, 1, &found);
	for (size_t i = 0; i < MODEL_VOCABULARY; i++)
		write_le32(bytes + 4 * i, float_bits(found.logits.of[i]));
	sha256(hash, bytes, sizeof bytes);
	sprintf(out, "%08x ", float_bits(found.logits.of[0]));
	put_hex(out + 9, hash, sizeof hash);
	spec_clear(&spec);
}

static void answer_text(const char *arguments, char *out)
{
	struct pick_options options;
	struct found_text found;
	unsigned long long seed;
	char prompt[128] = "";
	size_t count;
	struct spec spec;
	const char *rest;

	known_spec(&spec, arguments, &rest);
	assert_true(sscanf(rest, "%u %u %u %llu %zu %127s", &options.temperature, &options.top_k, &options.top_p, &seed,
			    &count, prompt) >= 5);
	options.seed = seed;
	write_text(&spec, prompt, options, count, &found);
	put_hex(out, found.bytes, count);
	spec_clear(&spec);
}

static const struct question questions[] = {
	{ "pick", answer_pick, 10 },
	{ "text_logits", answer_text_logits, 4 },
	{ "text", answer_text, 5 },
};

static void test_document(void **state)
{
	(void)state;
	known_check(questions, sizeof questions / sizeof questions[0], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_document) };

	engine_init(1);
	return cmocka_run_group_tests_name("known/text", tests, NULL, NULL);
}
