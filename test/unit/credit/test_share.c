/* How an income is divided: parts, rounding, who waits. */
#include "credit/share.h"
#include "unit.h"

static struct share_person person(uint8_t name, int64_t weight)
{
	return (struct share_person){ .key = { name }, .weight = weight };
}

static struct credit_due due(uint8_t name, int64_t amount)
{
	return (struct credit_due){ .key = { name }, .amount = amount };
}

static void assert_dues(const struct credit_due *found, size_t count, const struct credit_due *expected)
{
	for (size_t i = 0; i < count; i++) {
		assert_memory_equal(found[i].key, expected[i].key, 32);
		assert_int_equal(found[i].amount, expected[i].amount);
	}
}

static void test_share(void **state)
{
	(void)state;
	assert_int_equal(share_of(1000, 250000), 250);
	assert_int_equal(share_of(999, 250000), 249);
	assert_int_equal(share_of(MAX_MONEY, SHARE_PPM), MAX_MONEY);
	assert_int_equal(share_of(-1000, 250000), 0);
	assert_int_equal(share_of(1000, 0), 0);
}

static void test_parts(void **state)
{
	struct share_person people[] = { person(3, 1), person(1, 2), person(2, 0) };
	const struct credit_due paid[] = { due(1, 66), due(3, 33) };
	struct share_result result;

	(void)state;
	share_divide(&result, 100, people, 3, NULL, 0, 1, 10);
	assert_int_equal(result.paid_count, 2);
	assert_dues(result.paid, 2, paid);
	assert_int_equal(result.paid_sum, 99);
	assert_int_equal(result.divided, 99);
	assert_int_equal(result.left_count, 0);
	share_clear(&result);
}

/* Dust is left for next time, and is added to what comes then; so is what somebody has who is not among them now. */
static void test_dust(void **state)
{
	struct share_person people[] = { person(1, 90), person(2, 10) }, later[] = { person(2, 1) };
	const struct credit_due left[] = { due(2, 40) }, before[] = { due(1, 7), due(2, 40) };
	const struct credit_due paid[] = { due(2, 50) }, still[] = { due(1, 7) };
	struct share_result result;

	(void)state;
	share_divide(&result, 400, people, 2, NULL, 0, 50, 10);
	assert_int_equal(result.paid_count, 1);
	assert_int_equal(result.paid_sum, 360);
	assert_int_equal(result.left_count, 1);
	assert_dues(result.left, 1, left);
	assert_int_equal(result.divided, 400);
	share_clear(&result);
	share_divide(&result, 10, later, 1, before, 2, 50, 10);
	assert_int_equal(result.paid_count, 1);
	assert_dues(result.paid, 1, paid);
	assert_int_equal(result.left_count, 1);
	assert_dues(result.left, 1, still);
	assert_int_equal(result.divided, 10);
	share_clear(&result);
}

/* More than a transaction pays: the largest go first, and of equal ones the lower key. */
static void test_room(void **state)
{
	struct share_person people[] = { person(4, 1), person(3, 2), person(2, 2), person(1, 1) };
	const struct credit_due paid[] = { due(1, 100), due(2, 200), due(3, 200) }, left[] = { due(4, 100) };
	struct share_result result;

	(void)state;
	share_divide(&result, 600, people, 4, NULL, 0, 1, 3);
	assert_int_equal(result.paid_count, 3);
	assert_dues(result.paid, 3, paid);
	assert_int_equal(result.paid_sum, 500);
	assert_int_equal(result.left_count, 1);
	assert_dues(result.left, 1, left);
	share_clear(&result);
}

static void test_nobody(void **state)
{
	struct share_person people[] = { person(1, 0) };
	struct share_result result;

	(void)state;
	share_divide(&result, 600, people, 1, NULL, 0, 1, 3);
	assert_int_equal(result.divided, 0);
	assert_int_equal(result.paid_count + result.left_count, 0);
	share_clear(&result);
	share_divide(&result, 600, NULL, 0, NULL, 0, 1, 3);
	assert_int_equal(result.divided, 0);
	share_clear(&result);
}

/* Whatever the weights, no more is divided than there is, and less than one unit a person is lost to rounding. */
static void test_sums(void **state)
{
	struct share_person people[7];
	struct share_result result;
	int64_t left_sum;

	(void)state;
	for (int64_t amount = 0; amount < 3000; amount += 7) {
		for (uint8_t i = 0; i < 7; i++)
			people[i] = person((uint8_t)(7 - i), i == 6 ? MAX_MONEY : (amount * 31 + 17 * i) % 101);
		share_divide(&result, MAX_MONEY / 3000 * amount, people, 7, NULL, 0, 330, 2);
		left_sum = 0;
		for (size_t i = 0; i < result.left_count; i++)
			left_sum += result.left[i].amount;
		assert_int_equal(result.paid_sum + left_sum, result.divided);
		assert_in_range(MAX_MONEY / 3000 * amount - result.divided, 0, 6);
		share_clear(&result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_dust),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
