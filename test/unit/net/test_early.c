/* Headers before their time: which are kept, and when they are taken. */
#include "net/early_headers.h"
#include "unit.h"

static void keep(struct early_headers *early, uint64_t nonce, uint8_t group, int64_t due)
{
	const struct early_header header = { .header = { .nonce = nonce },
		.source = { .group = { group } },
		.due = due };

	early_headers_keep(early, &header);
}

static void test_when_due(void **state)
{
	struct early_headers early = { .count = 0 };
	struct early_header header;

	(void)state;
	assert_false(early_headers_take(&early, INT64_MAX, &header));
	keep(&early, 1, 1, 100);
	keep(&early, 2, 2, 90);
	keep(&early, 1, 3, 100); /* the same again, from somebody else */
	assert_int_equal(early.count, 2);
	assert_false(early_headers_take(&early, 89, &header));
	assert_true(early_headers_take(&early, 90, &header));
	assert_true(header.header.nonce == 2);
	assert_false(early_headers_take(&early, 99, &header));
	assert_true(early_headers_take(&early, 100, &header));
	assert_true(header.header.nonce == 1 && header.source.group[0] == 1);
	assert_int_equal(early.count, 0);
}

/* One address holds two places, and gives up what is due later for what is due sooner, never another's. */
static void test_one_address(void **state)
{
	struct early_headers early = { .count = 0 };
	struct early_header header;

	(void)state;
	keep(&early, 1000, 1, 500);
	for (uint64_t nonce = 1; nonce <= 100; nonce++)
		keep(&early, nonce, 2, 200 + (int64_t)nonce % 50);
	assert_int_equal(early.count, 1 + EARLY_HEADERS_GROUP);
	assert_true(early_headers_take(&early, 200, &header) && header.source.group[0] == 2);
	assert_true(early_headers_take(&early, 200, &header) && header.source.group[0] == 2);
	assert_true(early_headers_take(&early, 500, &header) && header.header.nonce == 1000);
}

/* Many addresses: what is due last goes. */
static void test_many_addresses(void **state)
{
	struct early_headers early = { .count = 0 };
	struct early_header header;
	size_t taken = 0;

	(void)state;
	for (uint8_t group = 0; group < 100; group++)
		keep(&early, group, group, 1000 - group);
	assert_int_equal(early.count, EARLY_HEADERS_MAX);
	keep(&early, 500, 200, 2000);
	assert_int_equal(early.count, EARLY_HEADERS_MAX);
	while (early_headers_take(&early, 1000, &header)) {
		assert_true(header.due <= 1000 - 100 + EARLY_HEADERS_MAX);
		taken++;
	}
	assert_int_equal(taken, EARLY_HEADERS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_when_due),
		cmocka_unit_test(test_one_address),
		cmocka_unit_test(test_many_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
