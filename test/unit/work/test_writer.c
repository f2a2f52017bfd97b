/* Texts that are written for several who ask: each is told all of his, whoever else is there, when a node closes too.
 */
#include <stdlib.h>

#include "chain/chain_helper.h"
#include "ml/backend_cpu.h"
#include "ml/faulty_engine.h"
#include "util/mem.h"
#include "work/text/writer.h"

enum { ASKERS = 40, SIZE_MAX_TEST = 90 };

struct asker {
	struct writer *writer;
	struct writer_text *text;
	uint8_t told[SIZE_MAX_TEST + 1], bytes[SIZE_MAX_TEST + 1], root[32];
	size_t told_size, size;
	enum writer_status status;
	bool stops, asks_again;
	unsigned answers;
};

static void on_more(void *context, const uint8_t *bytes, size_t size)
{
	struct asker *asker = context;

	assert_int_equal(asker->answers, 0);
	memcpy(asker->told + asker->told_size, bytes, size);
	asker->told_size += size;
	if (asker->stops)
		writer_stop(asker->text);
}

static void on_done(void *context, const struct writer_result *result)
{
	struct asker *asker = context;

	asker->answers++;
	asker->status = result->status;
	asker->size = result->size;
	memcpy(asker->bytes, result->bytes, result->size + (result->status == WRITER_DIFFERS));
	if (result->entry != NULL)
		memcpy(asker->root, result->root, 32);
}

static struct writer_order order_of(struct asker *asker, size_t number)
{
	return (struct writer_order){ .prompt = "The text that is continued, or a part of it",
		.prompt_size = number,
		.options = { .temperature = number % 2 ? PICK_PPM : 0, .seed = number },
		.count = SIZE_MAX_TEST - number,
		.more = on_more,
		.done = on_done,
		.context = asker };
}

static void until_answered(struct helper *helper, const struct asker *askers, size_t count)
{
	size_t answered = 0;

	while (answered < count) {
		queue_wait(helper->queue, 100);
		queue_drain(helper->queue);
		answered = 0;
		for (size_t i = 0; i < count; i++)
			answered += askers[i].answers > 0;
	}
}

/* What a text is if it is written alone. */
static void check_alone(struct helper *helper, struct state *from, const struct asker *asker, size_t number)
{
	const struct train_config *config = &spec_course(chain_spec(helper->chain))->train;
	struct writer_order asked = order_of(NULL, number);
	struct decoder *decoder = decoder_new(config, from, ENGINE_REFERENCE);
	const struct generate_order order = { .prompt = asked.prompt,
		.prompt_size = number,
		.options = asked.options,
		.count = asked.count,
		.given = asker->bytes };
	enum generate_status status;

	assert_int_equal(generate_alone(decoder, &order, NULL, &status), asked.count);
	assert_int_equal(status, GENERATE_DONE);
	decoder_free(decoder);
}

/* More than are written at a time; all told in full what they would be told alone. */
static void test_many(void **state)
{
	struct asker *askers = mem_calloc(ASKERS, sizeof *askers);
	struct helper helper;
	struct writer *writer;
	struct state *from;

	(void)state;
	helper_start(&helper);
	writer = writer_new(helper.chain, helper.queue);
	from = chain_state(helper.chain);
	for (size_t i = 0; i < ASKERS; i++) {
		struct writer_order order = order_of(&askers[i], i);

		assert_non_null(askers[i].text = writer_write(writer, &order));
	}
	until_answered(&helper, askers, ASKERS);
	for (size_t i = 0; i < ASKERS; i++) {
		assert_int_equal(askers[i].answers, 1);
		assert_int_equal(askers[i].status, WRITER_WRITTEN);
		assert_int_equal(askers[i].size, SIZE_MAX_TEST - i);
		assert_int_equal(askers[i].told_size, askers[i].size);
		assert_memory_equal(askers[i].told, askers[i].bytes, askers[i].size);
		assert_memory_equal(askers[i].root, state_root(from), 32);
		check_alone(&helper, from, &askers[i], i);
	}
	state_unref(from);
	writer_close(writer);
	writer_free(writer);
	helper_stop(&helper);
	free(askers);
}

/* Texts of an older state beside those of the newest, and one that is not what the model writes. */
static void test_given(void **state)
{
	struct asker askers[3] = { { .told_size = 0 } };
	uint8_t given[SIZE_MAX_TEST];
	struct helper helper;
	struct writer *writer;
	struct state *old;

	(void)state;
	helper_start(&helper);
	writer = writer_new(helper.chain, helper.queue);
	old = chain_state(helper.chain);
	struct writer_order first = order_of(&askers[0], 7), second = order_of(&askers[1], 7),
			    third = order_of(&askers[2], 7);

	writer_write(writer, &first);
	until_answered(&helper, askers, 1);
	memcpy(given, askers[0].bytes, askers[0].size);
	helper_mine(&helper, 1);
	second.state = third.state = old;
	second.entry = third.entry = chain_at(helper.chain, 0);
	second.given = given;
	writer_write(writer, &second);
	given[50] ^= 1;
	third.given = given;
	writer_write(writer, &third);
	until_answered(&helper, askers, 3);
	assert_int_equal(askers[1].status, WRITER_WRITTEN);
	assert_int_equal(askers[1].size, askers[0].size);
	assert_memory_equal(askers[1].root, state_root(old), 32);
	assert_int_equal(askers[2].status, WRITER_DIFFERS);
	assert_int_equal(askers[2].size, 50);
	assert_int_equal(askers[2].bytes[50], askers[0].bytes[50]);
	state_unref(old);
	writer_close(writer);
	writer_free(writer);
	helper_stop(&helper);
}

/* Closing answers those under way and those that wait; then nobody gets in. There are so many places and no more; and
 * who does not want any more ends early. */
static void test_ends(void **state)
{
	struct asker *askers = mem_calloc(WRITER_TEXTS_MAX + 1, sizeof *askers);
	struct helper helper;
	struct writer *writer;

	(void)state;
	helper_start(&helper);
	writer = writer_new(helper.chain, helper.queue);
	struct writer_order order = order_of(&askers[0], 0);

	order.count = WRITER_BYTES_MAX;
	order.more = NULL;
	askers[0].text = writer_write(writer, &order);
	writer_stop(askers[0].text);
	until_answered(&helper, askers, 1);
	assert_int_equal(askers[0].status, WRITER_WRITTEN);
	assert_int_equal(askers[0].size, 1);
	askers[0].answers = 0;
	for (size_t i = 0; i <= WRITER_TEXTS_MAX; i++) {
		order.context = &askers[i];
		order.count = SIZE_MAX_TEST;
		assert_int_equal(writer_write(writer, &order) != NULL, i < WRITER_TEXTS_MAX);
	}
	writer_close(writer);
	for (size_t i = 0; i < WRITER_TEXTS_MAX; i++) {
		assert_int_equal(askers[i].answers, 1);
		assert_int_equal(askers[i].status, WRITER_CLOSING);
	}
	assert_null(writer_write(writer, &order));
	writer_free(writer);
	helper_stop(&helper);
	free(askers);
}

/* A product that is wrong does not show in the text; who multiplied is not trusted any more. */
static void test_wrong(void **state)
{
	struct asker sound = { .told_size = 0 }, other = { .told_size = 0 };
	struct helper helper;
	struct writer *writer;
	struct writer_order order = order_of(&sound, 5);

	(void)state;
	helper_start(&helper);
	writer = writer_new(helper.chain, helper.queue);
	writer_write(writer, &order);
	until_answered(&helper, &sound, 1);
	assert_int_equal(backend_trust(), BACKEND_TRUSTED);
	order.context = &other;
	engine_fault(FAULT_LAST_BIT, 100, 101);
	faulty.reference = true;
	writer_write(writer, &order);
	until_answered(&helper, &other, 1);
	assert_int_equal(faulty.spoiled, 1);
	assert_int_equal(backend_trust(), BACKEND_NONE);
	assert_int_equal(other.status, WRITER_WRITTEN);
	assert_int_equal(other.size, sound.size);
	assert_memory_equal(other.bytes, sound.bytes, sound.size);
	assert_memory_equal(other.told, sound.bytes, sound.size);
	writer_close(writer);
	writer_free(writer);
	helper_stop(&helper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many), cmocka_unit_test(test_given), cmocka_unit_test(test_ends),
		cmocka_unit_test(test_wrong), /* last: nothing is trusted after it */
	};

	engine_init(1);
	backend_select(backend_cpu(ENGINE_OPENBLAS));
	return cmocka_run_group_tests_name("work/writer", tests, NULL, NULL);
}
