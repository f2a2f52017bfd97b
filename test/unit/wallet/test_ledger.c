/* The ledger: which coins follow from the transactions at hand, as blocks and mempool come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "consensus/script.h"
#include "wallet/ledger.h"

enum {
	MATURITY = 10,
};

struct world {
	struct ledger ledger;
	uint8_t own[3][32];
	uint8_t other[32];
	uint32_t serial; /* makes every transaction another */
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	size_t i;

	ledger_init(&world->ledger, MATURITY);
	world->ledger.tip_height = 100;
	for (i = 0; i < 3; i++) {
		memset(world->own[i], (int)i + 1, 32);
		ledger_add_script(&world->ledger, world->own[i], ACCOUNT_RECEIVE, (uint32_t)i);
	}
	memset(world->other, 0xee, 32);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	ledger_clear(&world->ledger);
	free(world);
	return 0;
}

static void pay(struct tx *tx, const uint8_t key[32], int64_t amount)
{
	uint8_t script[P2TR_SIZE];

	script_p2tr(script, key);
	tx_add_output(tx, amount, script, sizeof script);
}

static struct tx *spending(const struct ledger_tx *entry, uint32_t index)
{
	struct outpoint outpoint;
	struct tx *tx = tx_new();

	memcpy(outpoint.txid, entry->txid, 32);
	outpoint.index = index;
	tx_add_input(tx, &outpoint, 0xffffffff);
	return tx;
}

/* A payment from outside; height 0: in the mempool. */
static struct ledger_tx *receive(struct world *world, const uint8_t key[32], int64_t amount, uint32_t height)
{
	struct outpoint outpoint = { .txid = { 9 }, .index = ++world->serial };
	struct tx *tx = tx_new();
	struct ledger_tx *entry;

	tx_add_input(tx, &outpoint, 0xffffffff);
	pay(tx, key, amount);
	assert_true(ledger_concerns(&world->ledger, tx));
	entry = ledger_add(&world->ledger, tx_seal(tx), 5);
	entry->height = height;
	entry->in_mempool = height == 0;
	tx_unref(tx);
	return entry;
}

static struct ledger_tx *take_sealed(struct world *world, const struct tx *tx)
{
	struct ledger_tx *entry;

	assert_true(ledger_concerns(&world->ledger, tx));
	entry = ledger_add(&world->ledger, tx, 6);
	tx_unref(tx);
	return entry;
}

static struct ledger_tx *take(struct world *world, struct tx *tx)
{
	return take_sealed(world, tx_seal(tx));
}

static void assert_balance(const struct world *world, int64_t trusted, int64_t pending, int64_t immature)
{
	struct ledger_balance balance;

	ledger_balance(&world->ledger, &balance);
	assert_int_equal(balance.trusted, trusted);
	assert_int_equal(balance.pending, pending);
	assert_int_equal(balance.immature, immature);
}

static void test_receiving(void **state)
{
	struct world *world = *state;
	struct ledger_tx *entry = receive(world, world->own[1], 700, 0);
	struct tx *foreign = tx_new();

	assert_balance(world, 0, 700, 0);
	assert_int_equal(ledger_depth(&world->ledger, entry), 0);
	assert_true(ledger_script(&world->ledger, world->own[1])->used);
	assert_false(ledger_script(&world->ledger, world->own[0])->used);
	entry->in_mempool = false; /* dropped: counts for nothing */
	assert_balance(world, 0, 0, 0);
	entry->height = 98;
	assert_balance(world, 700, 0, 0);
	assert_int_equal(ledger_depth(&world->ledger, entry), 3);
	assert_int_equal(ledger_credit(entry), 700);
	assert_int_equal(ledger_debit(&world->ledger, entry), 0);
	assert_false(ledger_from_us(&world->ledger, entry));
	pay(foreign, world->other, 5);
	assert_false(ledger_concerns(&world->ledger, foreign));
	tx_unref(foreign);
}

static void test_spending(void **state)
{
	struct world *world = *state;
	struct ledger_tx *coin = receive(world, world->own[0], 1000, 50);
	struct outpoint outpoint = { .index = 0 };
	struct ledger_tx *payment;
	struct tx *tx = spending(coin, 0);

	pay(tx, world->other, 300);
	pay(tx, world->own[2], 600);
	payment = take(world, tx);
	memcpy(outpoint.txid, coin->txid, 32);
	assert_true(ledger_from_us(&world->ledger, payment));
	assert_int_equal(ledger_debit(&world->ledger, payment), 1000);
	assert_int_equal(ledger_credit(payment), 600);
	/* Outside the mempool it keeps its coin reserved, but its change does not count. */
	assert_balance(world, 0, 0, 0);
	assert_ptr_equal(ledger_spender(&world->ledger, &outpoint), payment);
	payment->in_mempool = true;
	assert_balance(world, 600, 0, 0);
	payment->in_mempool = false;
	payment->abandoned = true;
	assert_null(ledger_spender(&world->ledger, &outpoint));
	assert_balance(world, 1000, 0, 0);
	payment->height = 100;
	assert_balance(world, 600, 0, 0);
}

static void test_conflict(void **state)
{
	struct world *world = *state;
	struct ledger_tx *coin = receive(world, world->own[0], 1000, 50);
	struct ledger_tx *first;
	struct ledger_tx *child;
	struct ledger_tx *second;
	struct tx *tx;

	tx = spending(coin, 0);
	pay(tx, world->own[1], 900);
	first = take(world, tx);
	tx = spending(first, 0);
	pay(tx, world->own[1], 800);
	child = take(world, tx);
	tx = spending(coin, 0);
	pay(tx, world->own[2], 950);
	second = take(world, tx);
	assert_false(ledger_conflicted(&world->ledger, first));
	second->height = 99;
	assert_true(ledger_conflicted(&world->ledger, first));
	assert_true(ledger_conflicted(&world->ledger, child));
	assert_false(ledger_conflicted(&world->ledger, second));
	assert_int_equal(ledger_depth(&world->ledger, first), -2);
	assert_int_equal(ledger_depth(&world->ledger, child), -2);
	assert_balance(world, 950, 0, 0);
	second->height = 0; /* its block is undone */
	first->height = 100;
	child->in_mempool = true;
	assert_true(ledger_conflicted(&world->ledger, second));
	assert_balance(world, 800, 0, 0);
}

/* Each of these spends two outputs of the one before: 2^40 paths lead up to the first. */
static void test_many_paths(void **state)
{
	struct world *world = *state;
	struct ledger_tx *coin = receive(world, world->own[0], 100000, 50);
	struct ledger_tx *last = coin;
	struct tx *tx;
	int i;

	for (i = 0; i < 40; i++) {
		struct outpoint second = { .index = 1 };

		tx = spending(last, 0);
		memcpy(second.txid, last->txid, 32);
		if (i > 0)
			tx_add_input(tx, &second, 0xffffffff);
		pay(tx, world->own[1], 400 + i);
		pay(tx, world->own[2], 500 + i);
		last = take(world, tx);
		last->in_mempool = true;
	}
	assert_int_equal(ledger_depth(&world->ledger, last), 0);
	tx = spending(coin, 0);
	pay(tx, world->other, 99000);
	take(world, tx)->height = 99;
	assert_int_equal(ledger_depth(&world->ledger, last), -2);
}

/* A transaction that can no longer be confirmed keeps none of its coins. */
static void test_conflict_frees(void **state)
{
	struct world *world = *state;
	struct ledger_tx *lost = receive(world, world->own[0], 1000, 50);
	struct ledger_tx *kept = receive(world, world->own[1], 70, 51);
	struct outpoint outpoint = { .index = 0 };
	struct tx *tx = spending(lost, 0);

	memcpy(outpoint.txid, kept->txid, 32);
	tx_add_input(tx, &outpoint, 0xffffffff);
	pay(tx, world->other, 1050);
	take(world, tx);
	assert_balance(world, 0, 0, 0);
	tx = spending(lost, 0);
	pay(tx, world->other, 990);
	take(world, tx)->height = 99;
	assert_balance(world, 70, 0, 0);
}

/* A spend learnt before the coin it spends: a rescan finds them that way round. */
static void test_any_order(void **state)
{
	struct world *world = *state;
	struct outpoint outside = { .txid = { 7 }, .index = 0 };
	struct ledger_tx unknown = { 0 };
	struct ledger_tx *late;
	struct tx *coin = tx_new();
	struct tx *tx;

	tx_add_input(coin, &outside, 0xffffffff);
	pay(coin, world->own[0], 400);
	memcpy(unknown.txid, tx_txid(tx_seal(coin)), 32);
	tx = spending(&unknown, 0);
	pay(tx, world->own[1], 390);
	take(world, tx)->height = 60;
	assert_balance(world, 390, 0, 0);
	late = take_sealed(world, coin);
	late->height = 59;
	assert_balance(world, 390, 0, 0);
}

static void test_coinbase(void **state)
{
	struct world *world = *state;
	struct outpoint null = { .index = 0xffffffff };
	struct ledger_tx *entry;
	struct ledger_coin *coins;
	struct tx *tx = tx_new();
	size_t count;

	tx_add_input(tx, &null, 0xffffffff);
	pay(tx, world->own[0], 5000);
	entry = take(world, tx);
	assert_true(entry->coinbase);
	entry->height = 92; /* block 101 is 9 above it: one too few */
	assert_balance(world, 0, 0, 5000);
	entry->height = 91;
	assert_balance(world, 5000, 0, 0);
	coins = ledger_coins(&world->ledger, &count);
	assert_int_equal(count, 1);
	assert_int_equal(coins[0].depth, 10);
	assert_false(coins[0].immature);
	free(coins);
	entry->height = 0; /* its block is undone: such a coin is in no mempool */
	assert_balance(world, 0, 0, 0);
}

static void test_later_script(void **state)
{
	struct world *world = *state;
	struct outpoint outside = { .txid = { 7 }, .index = 0 };
	struct ledger_tx *entry;
	struct tx *tx = tx_new();

	tx_add_input(tx, &outside, 0xffffffff);
	pay(tx, world->own[0], 100);
	pay(tx, world->other, 50);
	entry = ledger_add(&world->ledger, tx_seal(tx), 1);
	entry->height = 10;
	assert_balance(world, 100, 0, 0);
	ledger_add_script(&world->ledger, world->other, ACCOUNT_CHANGE, 3);
	assert_ptr_equal(ledger_add(&world->ledger, tx, 2), entry);
	assert_balance(world, 150, 0, 0);
	assert_int_equal(entry->time, 1);
	tx_unref(tx);
}

static void test_list(void **state)
{
	struct world *world = *state;
	struct ledger_tx **list;
	size_t count;
	size_t i;

	for (i = 0; i < 20; i++)
		receive(world, world->own[0], (int64_t)i + 1, 1);
	list = ledger_list(&world->ledger, &count);
	assert_int_equal(count, 20);
	for (i = 0; i < count; i++)
		assert_int_equal(list[i]->tx->outputs[0].amount, i + 1);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_receiving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conflict, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conflict_frees, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_coinbase, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later_script, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	};

	return cmocka_run_group_tests_name("wallet ledger", tests, NULL, NULL);
}
