/* Spending: maturity, relative locks, sums, each at its border. */
#include "consensus/spending.h"
#include "unit.h"

enum { MATURITY = 100 };

static struct tx *make_tx(size_t inputs)
{
	struct tx *tx = tx_new();

	for (size_t i = 0; i < inputs; i++)
		tx_add_input(tx, &(struct outpoint){ { 1 }, (uint32_t)i }, 0xffffffff);
	tx_add_output(tx, 5, NULL, 0);
	tx_add_output(tx, 7, NULL, 0);
	return tx;
}

static enum spending_fault add(struct spending *spending, int64_t amount, uint32_t height, uint32_t time, bool coinbase)
{
	const struct spending_coin coin = { { .amount = amount }, height, coinbase, time };

	return spending_add(spending, &coin, MATURITY);
}

static void test_maturity(void **state)
{
	struct tx *tx = make_tx(4);
	struct spending spending;

	(void)state;
	spending_init(&spending, tx, 300);
	assert_int_equal(add(&spending, 1, 200, 0, true), SPENDING_OK);
	assert_int_equal(add(&spending, 1, 201, 0, false), SPENDING_OK);
	assert_int_equal(add(&spending, 1, 300, 0, false), SPENDING_OK);
	assert_int_equal(add(&spending, 1, 201, 0, true), SPENDING_IMMATURE);
	spending_clear(&spending);
	tx_unref(tx);
}

static void test_sums(void **state)
{
	struct tx *tx = make_tx(3);
	struct spending spending;

	(void)state;
	spending_init(&spending, tx, 300);
	assert_true(spending_fee(&spending) == -12);
	assert_int_equal(add(&spending, 11, 1, 0, false), SPENDING_OK);
	assert_true(spending_fee(&spending) == -1);
	assert_int_equal(add(&spending, MAX_MONEY - 11, 1, 0, false), SPENDING_OK);
	assert_true(spending_fee(&spending) == MAX_MONEY - 12);
	assert_int_equal(add(&spending, 1, 1, 0, false), SPENDING_TOO_MUCH);
	spending_clear(&spending);
	tx_unref(tx);
}

/* Where the spender is in block 300, on 299. */
static void test_time_height(void **state)
{
	struct tx *tx = make_tx(0);
	struct spending spending;

	(void)state;
	spending_init(&spending, tx, 300);
	assert_int_equal(spending_time_height(&spending, 1), 0);
	assert_int_equal(spending_time_height(&spending, 299), 298);
	assert_int_equal(spending_time_height(&spending, 300), 299); /* its own block's, or the mempool's */
	assert_int_equal(spending_time_height(&spending, 0), 299);
	spending_clear(&spending);
	tx_unref(tx);
}

/* Coins of heights 100 and 200, times 1000 and 5000, spent at that height and median time. */
static bool locks_met(struct tx *tx, uint32_t height, uint32_t median_time)
{
	struct spending spending;
	bool met;

	spending_init(&spending, tx, height);
	add(&spending, 1, 100, 1000, false);
	add(&spending, 1, 200, 5000, false);
	met = spending_locks_met(&spending, median_time);
	spending_clear(&spending);
	return met;
}

static void test_locks(void **state)
{
	struct tx *tx = make_tx(2);

	(void)state;
	tx->inputs[0].sequence = 10;
	tx->inputs[1].sequence = 0x80000000 | 0xffff; /* no lock */
	assert_false(locks_met(tx, 109, 0));
	assert_true(locks_met(tx, 110, 0));
	tx->version = 1;
	assert_true(locks_met(tx, 109, 0));
	tx->version = 0xffffffff;
	assert_false(locks_met(tx, 109, 0));
	tx->inputs[0].sequence = 0xffffffff;
	tx->inputs[1].sequence = 0x00400000 | 3 | 0x00010000; /* bits that mean nothing */
	assert_false(locks_met(tx, 0, 5000 + 3 * 512 - 1));
	assert_true(locks_met(tx, 0, 5000 + 3 * 512));
	tx->inputs[1].sequence = 0;
	assert_false(locks_met(tx, 199, 0));
	assert_true(locks_met(tx, 200, 0));
	tx_unref(tx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maturity),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_time_height),
		cmocka_unit_test(test_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
