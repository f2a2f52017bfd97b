/* Blocks on, blocks off: connecting, reorganising, refusing, and what a restart finds. */
#include "chain_helper.h"

#include "ml/state.h"
#include "util/mem.h"

static void test_genesis(void **unused)
{
	struct helper h;

	(void)unused;
	helper_start(&h);
	assert_int_equal(chain_tip(h.chain)->height, 0);
	assert_memory_equal(chain_tip(h.chain)->id, h.spec->genesis_id, 32);
	assert_ptr_equal(chain_tip(h.chain), chain_genesis(h.chain));
	assert_ptr_equal(chain_best_header(h.chain), chain_genesis(h.chain));
	assert_null(chain_at(h.chain, 1));
	helper_stop(&h);
}

static void assert_same_model(struct helper *a, struct helper *b)
{
	struct state *x = chain_state(a->chain), *y = chain_state(b->chain);

	assert_non_null(x);
	assert_non_null(y);
	assert_memory_equal(state_root(x), state_root(y), 32);
	assert_memory_equal(state_root(x), chain_tip(a->chain)->model_root_after, 32);
	state_unref(x);
	state_unref(y);
}

static void test_mine_and_feed(void **unused)
{
	struct helper a, b;
	struct coin_stats x, y;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	for (int i = 0; i < 6; i++) {
		helper_mine_loose(&a);
		helper_mine_loose(&a);
		helper_mine(&a, 1);
	}
	assert_int_equal(chain_tip(a.chain)->height, 6);
	assert_int_equal(chain_tip(a.chain)->loose_count, 2);
	assert_memory_not_equal(chain_tip(a.chain)->model_root_after, a.spec->genesis.model_root, 32);
	assert_int_equal(a.connected, 6);
	assert_int_equal(a.tips, 6);
	helper_feed(&b, &a, 1, 6);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	assert_int_equal(b.proven, 6);
	assert_int_equal(b.verified, 6);
	assert_same_model(&a, &b);
	chain_coin_stats(a.chain, &x);
	chain_coin_stats(b.chain, &y);
	assert_int_equal(x.coins, y.coins);
	assert_int_equal(x.amount, y.amount);
	assert_true(x.coins >= 6 * 3);
	helper_stop(&a);
	helper_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_genesis),
		cmocka_unit_test(test_mine_and_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
