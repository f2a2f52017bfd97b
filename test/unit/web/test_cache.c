/* Answers that are kept: by name and stamp, so many, of so many bytes, the least asked for gone first. */
#include "unit.h"
#include "web/cache.h"

static void put(struct cache *cache, const char *name, uint64_t stamp, size_t size, uint8_t byte)
{
	struct buf body;

	buf_init(&body);
	memset(buf_extend(&body, size), byte, size);
	cache_put(cache, name, stamp, &body);
	buf_clear(&body);
}

/* How many bytes are kept under a name, each of them `byte`; 0: none are. */
static size_t kept(struct cache *cache, const char *name, uint64_t stamp, uint8_t byte)
{
	struct buf body;
	size_t size;
	bool found;

	buf_init(&body);
	found = cache_get(cache, name, stamp, &body);
	assert_int_equal(found, body.size > 0);
	for (size_t i = 0; i < body.size; i++)
		assert_int_equal(body.data[i], byte);
	size = body.size;
	buf_clear(&body);
	return size;
}

static void test_stamps(void **state)
{
	struct cache *cache = cache_new();

	(void)state;
	assert_int_equal(kept(cache, "a", 1, 1), 0);
	put(cache, "a", 1, 10, 1);
	put(cache, "b", 2, 20, 2);
	assert_int_equal(kept(cache, "a", 1, 1), 10);
	assert_int_equal(kept(cache, "a", 2, 1), 0);
	assert_int_equal(kept(cache, "b", 2, 2), 20);
	put(cache, "a", 2, 30, 3);
	assert_int_equal(kept(cache, "a", 1, 1), 0);
	assert_int_equal(kept(cache, "a", 2, 3), 30);
	/* Too large to be kept, and the one before it is true no more. */
	put(cache, "a", 2, CACHE_ENTRY_MAX + 1, 3);
	assert_int_equal(kept(cache, "a", 2, 3), 0);
	cache_free(cache);
}

static void test_bounds(void **state)
{
	struct cache *cache = cache_new();
	char name[16];

	(void)state;
	for (int i = 0; i < CACHE_ENTRIES; i++) {
		snprintf(name, sizeof name, "%d", i);
		put(cache, name, 1, 1, 7);
	}
	assert_int_equal(kept(cache, "0", 1, 7), 1);
	put(cache, "new", 1, 1, 7);
	assert_int_equal(kept(cache, "0", 1, 7), 1);
	assert_int_equal(kept(cache, "1", 1, 7), 0);
	assert_int_equal(kept(cache, "2", 1, 7), 1);
	for (int i = 0; i < 2 * CACHE_BYTES / CACHE_ENTRY_MAX; i++) {
		snprintf(name, sizeof name, "large %d", i);
		put(cache, name, 1, CACHE_ENTRY_MAX, 8);
	}
	assert_int_equal(kept(cache, "new", 1, 7), 0);
	for (int i = 0; i < 2 * CACHE_BYTES / CACHE_ENTRY_MAX; i++) {
		snprintf(name, sizeof name, "large %d", i);
		assert_int_equal(kept(cache, name, 1, 8), i < CACHE_BYTES / CACHE_ENTRY_MAX ? 0 : CACHE_ENTRY_MAX);
	}
	cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
