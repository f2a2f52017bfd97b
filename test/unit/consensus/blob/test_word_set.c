/* The set of words against sorted numbers, zero among them. */
#include "consensus/blob/word_set.h"
#include "unit.h"

static void test_against_array(void **state)
{
	static bool present[1000];
	struct word_set set;
	size_t count = 0;
	unsigned draw = 1;

	(void)state;
	word_set_init(&set, 0);
	for (int round = 0; round < 5000; round++) {
		uint64_t word;

		draw = draw * 1664525 + 1013904223;
		word = (draw >> 8) % 1000;
		/* Alike in all but a few bits, low or high. */
		assert_int_equal(word_set_has(&set, word << (word % 2 * 50)), present[word]);
		assert_int_equal(word_set_add(&set, word << (word % 2 * 50)), !present[word]);
		count += !present[word];
		present[word] = true;
		assert_int_equal(set.count, count);
	}
	assert_true(word_set_has(&set, 0));
	assert_false(word_set_has(&set, 1000));
	word_set_clear(&set);
	word_set_init(&set, 1000);
	assert_false(word_set_has(&set, 0));
	assert_true(set.cap >= 2000);
	word_set_clear(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
