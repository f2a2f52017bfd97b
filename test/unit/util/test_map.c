/* The hash table against a plain array, through growth, removal and shrinking. */
#include "unit.h"
#include "util/bytes.h"
#include "util/map.h"

#define KEYS 3000

static void make_key(uint8_t key[32], unsigned i)
{
	memset(key, 0, 32);
	/* Alike in all but one place, which differs: the table must look at every part of the key. */
	write_le32(key + 8 * (i % 4), i + 1);
}

static void test_against_array(void **state)
{
	static int present[KEYS];
	unsigned draw = 1;
	struct map m;
	uint8_t key[32];
	size_t count = 0;

	(void)state;
	map_init(&m);
	make_key(key, 0);
	assert_null(map_get(&m, key));
	assert_null(map_remove(&m, key));
	for (int round = 0; round < 60000; round++) {
		unsigned i;
		/* Grows for the first half, shrinks in the second. */
		int put;

		draw = draw * 1664525 + 1013904223;
		i = draw >> 8 & 0xffff;
		put = (i & 7) < (round < 30000 ? 6u : 2u);
		i = (i >> 3) % KEYS;
		make_key(key, i);
		assert_ptr_equal(map_get(&m, key), present[i] ? &present[i] : NULL);
		if (put)
			assert_ptr_equal(map_put(&m, key, &present[i]), present[i] ? &present[i] : NULL);
		else
			assert_ptr_equal(map_remove(&m, key), present[i] ? &present[i] : NULL);
		count += (size_t)put - (size_t)present[i];
		present[i] = put;
		assert_int_equal(m.count, count);
	}
	for (unsigned i = 0; i < KEYS; i++) {
		make_key(key, i);
		assert_ptr_equal(map_get(&m, key), present[i] ? &present[i] : NULL);
	}
	map_clear(&m);
	assert_int_equal(m.count, 0);
}

static void test_iterate(void **state)
{
	int values[100] = { 0 };
	const uint8_t *found;
	uint8_t key[32];
	struct map m;
	void *value;
	size_t at = 0, seen = 0;

	(void)state;
	map_init(&m);
	assert_false(map_next(&m, &at, &found, &value));
	for (unsigned i = 0; i < 100; i++) {
		make_key(key, i);
		map_put(&m, key, &values[i]);
	}
	for (at = 0; map_next(&m, &at, &found, &value); seen++) {
		make_key(key, (unsigned)((int *)value - values));
		assert_memory_equal(found, key, 32);
		++*(int *)value;
	}
	assert_int_equal(seen, 100);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(values[i], 1);
	map_clear(&m);
}

static void test_shrinks(void **state)
{
	uint8_t key[32];
	struct map m;

	(void)state;
	map_init(&m);
	for (unsigned i = 0; i < KEYS; i++) {
		make_key(key, i);
		map_put(&m, key, &m);
	}
	assert_true(m.cap > KEYS);
	for (unsigned i = 0; i < KEYS; i++) {
		make_key(key, i);
		assert_ptr_equal(map_remove(&m, key), &m);
	}
	assert_int_equal(m.count, 0);
	assert_true(m.cap < 100);
	map_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_array),
		cmocka_unit_test(test_iterate),
		cmocka_unit_test(test_shrinks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
