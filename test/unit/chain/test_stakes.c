/* Stakes: what the coinbase of a seat's block paid its miner goes in the child of the merge that struck him, to nobody,
 * comes back with a reorganisation, and cannot have been spent before.
 *
 * Merges are said, not made: what becomes of runs is other tests' matter. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "consensus/branch/registry_state.h"
#include "consensus/change.h"
#include "util/mem.h"

enum { BLOCKS = 8, MERGE = 2 * BLOCKS, CHILD = MERGE + 1, PART_ALL = 1000000 };
enum { SEAT_EMPTY, SEAT_MERGED, SEAT_LEFT_OUT, SEAT_STRUCK };

/* Has the tip, a merge, say this of its seats; later, on disk too. */
static void state_merge(struct helper *h, const uint8_t seats[BLOCKS])
{
	struct full_entry *full = entry_full(chain_tip(h->chain));
	struct db_batch *batch = db_batch_new();
	struct block_outcome outcome;
	struct errmsg err;

	chain_outcome(&full->entry, &outcome);
	outcome.merge = (struct merge_statement){ .seats = BLOCKS };
	memcpy(outcome.merge.seat, seats, BLOCKS);
	index_set_outcome(full, &outcome);
	index_save(batch, full);
	assert_true(db_write(h->chain->db, batch, true, &err));
	db_batch_free(batch);
}

static bool has_stake(struct helper *h, uint32_t height)
{
	struct outpoint outpoint;
	struct coin coin;
	int64_t amount = helper_coinbase(h, height, &outpoint);
	bool found = chain_coin(h->chain, &outpoint, &coin);

	if (found) {
		assert_true(coin.output.amount == amount && coin.height == height && coin.coinbase);
		assert_true(script_pays(&coin.output.script, chain_at(h->chain, height)->header.miner));
		chain_coin_clear(&coin);
	}
	return found;
}

/* Of the seats' blocks, 1 to 8, as bits from the first one on. */
static unsigned stakes_there(struct helper *h)
{
	unsigned there = 0;

	for (uint32_t height = 1; height <= BLOCKS; height++)
		there |= (unsigned)has_stake(h, height) << (height - 1);
	return there;
}

/* What the tip's coinbase makes. */
static int64_t made_by_tip(struct helper *h)
{
	const struct block *block = chain_read_bare(h->chain, chain_tip(h->chain), NULL);
	int64_t made = 0;

	assert_non_null(block);
	for (size_t i = 0; i < block->txs[0]->output_count; i++)
		made += block->txs[0]->outputs[i].amount;
	block_unref(block);
	return made;
}

/* Offers a block that spends the coinbase of that height without a fee; NULL: it is taken. */
static void offer_spend(struct helper *h, uint32_t height, const char *reason)
{
	struct block *block = chain_template(h->chain, h->key);
	const struct index_entry *tip = chain_tip(h->chain);
	struct reject reject = { .reason = "" };
	struct outpoint outpoint;
	int64_t amount = helper_coinbase(h, height, &outpoint);
	enum chain_result result;

	block->txs = mem_realloc(block->txs, (block->tx_count + 1) * sizeof *block->txs);
	block->txs[block->tx_count++] = helper_spend(h, &outpoint, amount, 0, NULL, 0);
	block_set_roots(block);
	result = helper_offer(h, block, &reject);
	if (reason == NULL) {
		assert_int_equal(result, CHAIN_NEW);
		assert_ptr_equal(chain_tip(h->chain)->parent, tip);
		return;
	}
	assert_int_equal(result, CHAIN_REJECTED);
	assert_string_equal(reject.reason, reason);
	assert_ptr_equal(chain_tip(h->chain), tip);
}

static const uint8_t some_struck[BLOCKS] = { SEAT_STRUCK, SEAT_MERGED, SEAT_LEFT_OUT, SEAT_STRUCK };

/* Maturity is the least that the rules allow. The oldest stake could be spent in the block after the child of the
 * merge: who was struck has lost it by then, and nobody else anything. */
static void test_struck_and_spent(void **unused)
{
	struct coin_stats before, after;
	int64_t struck, paid;
	struct outpoint outpoint;
	struct helper h;

	(void)unused;
	helper_start(&h);
	assert_int_equal(h.spec->maturity, 2 * BLOCKS + 1);
	helper_mine(&h, MERGE);
	state_merge(&h, some_struck);
	struck = helper_coinbase(&h, 1, &outpoint) + helper_coinbase(&h, 4, &outpoint);
	chain_coin_stats(h.chain, &before);
	assert_int_equal(stakes_there(&h), 0xff);
	/* In the child itself one is gone, and the other is a block too young. */
	offer_spend(&h, 1, "bad-txns-inputs-missingorspent");
	offer_spend(&h, 2, "bad-txns-premature-spend-of-coinbase");
	assert_int_equal(stakes_there(&h), 0xff);
	helper_mine(&h, 1);
	assert_int_equal(stakes_there(&h), 0xff & ~0x09);
	paid = made_by_tip(&h);
	chain_coin_stats(h.chain, &after);
	assert_int_equal(after.amount, before.amount + paid - struck);
	/* Block 18: the first that may spend what block 1 was paid. Of what block 2 was paid, the one after it. */
	offer_spend(&h, 1, "bad-txns-inputs-missingorspent");
	offer_spend(&h, 2, "bad-txns-premature-spend-of-coinbase");
	helper_mine(&h, 1);
	offer_spend(&h, 2, NULL);
	helper_stop(&h);
}

/* The same where nobody is struck: neither does the child spend it, and its child does. */
static void test_first_spend(void **unused)
{
	static const uint8_t all_true[BLOCKS] = { SEAT_MERGED, SEAT_MERGED };
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, MERGE);
	state_merge(&h, all_true);
	offer_spend(&h, 1, "bad-txns-premature-spend-of-coinbase");
	helper_mine(&h, 1);
	offer_spend(&h, 1, NULL);
	helper_stop(&h);
}

/* Off and on again, also by a node that has been closed meanwhile, and another child instead. */
static void test_reorganised(void **unused)
{
	struct coin_stats before, struck, back;
	struct errmsg err;
	struct helper h;
	uint8_t child[32];

	(void)unused;
	helper_start(&h);
	helper_mine(&h, MERGE);
	state_merge(&h, some_struck);
	chain_coin_stats(h.chain, &before);
	helper_mine(&h, 1);
	chain_coin_stats(h.chain, &struck);
	memcpy(child, chain_tip(h.chain)->id, 32);
	for (int turn = 0; turn < 2; turn++) {
		assert_int_equal(stakes_there(&h), 0xff & ~0x09);
		assert_true(chain_invalidate(h.chain, chain_tip(h.chain), &err));
		assert_int_equal(chain_tip(h.chain)->height, MERGE);
		assert_int_equal(stakes_there(&h), 0xff);
		chain_coin_stats(h.chain, &back);
		assert_int_equal(back.amount, before.amount);
		assert_int_equal(back.coins, before.coins);
		assert_true(chain_reconsider(h.chain, chain_find(h.chain, child), &err));
		helper_settle(&h);
		assert_memory_equal(chain_tip(h.chain)->id, child, 32);
		chain_coin_stats(h.chain, &back);
		assert_int_equal(back.amount, struck.amount);
		assert_int_equal(back.coins, struck.coins);
		helper_close(&h);
		helper_open(&h);
	}
	assert_true(chain_invalidate(h.chain, chain_tip(h.chain), &err));
	helper_key(&h, 0x22);
	helper_mine(&h, 1);
	assert_memory_not_equal(chain_tip(h.chain)->id, child, 32);
	assert_int_equal(stakes_there(&h), 0xff & ~0x09);
	helper_stop(&h);
}

/* What the child of a merge must pay has its room in a template; what is left is for loose proofs, here for three. */
static void test_room_for_pay(void **unused)
{
	static const uint8_t all_true[BLOCKS] = { SEAT_MERGED, SEAT_LEFT_OUT, SEAT_MERGED, SEAT_MERGED, SEAT_MERGED,
		SEAT_MERGED, SEAT_MERGED, SEAT_MERGED };
	struct helper h;
	uint32_t block_weight;

	(void)unused;
	helper_start(&h);
	block_weight = h.spec->block_weight;
	h.spec->block_weight = 4 * (144 + 17 * h.spec->slots + BLOCKS + 43 * (1 + h.spec->slots + BLOCKS + 3));
	helper_mine(&h, MERGE);
	state_merge(&h, all_true);
	for (uint32_t i = 0; i < 5; i++) {
		helper_key(&h, 0x40 + i); /* one key's proofs on one template are the same */
		helper_mine_loose(&h);
	}
	helper_key(&h, 0x11);
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->loose_count, 3);
	assert_int_equal(stakes_there(&h), 0xff);
	h.spec->block_weight = block_weight;
	helper_stop(&h);
}

/* Where runs earn all, a miner is paid for fees alone: without these output 0 of his coinbase is another's, or the
 * outcome. Neither is taken. */
static void test_no_stake(void **unused)
{
	static const uint8_t first_true[BLOCKS] = { SEAT_MERGED };
	static const uint8_t all_struck[BLOCKS] = { SEAT_STRUCK, SEAT_STRUCK, SEAT_STRUCK, SEAT_STRUCK, SEAT_STRUCK,
		SEAT_STRUCK, SEAT_STRUCK, SEAT_STRUCK };
	struct coin_stats before, after;
	struct outpoint outpoint;
	struct helper h;
	struct coin coin;
	uint32_t run_ppm;

	(void)unused;
	helper_start(&h);
	run_ppm = h.spec->run_ppm;
	h.spec->run_ppm = PART_ALL;
	helper_mine(&h, MERGE);
	state_merge(&h, first_true);
	h.chain->registry->rounds.runs[0].length = h.spec->segments;
	helper_key(&h, 0x22);
	helper_mine(&h, 1);
	assert_true(helper_coinbase(&h, CHILD, &outpoint) > 0);
	helper_mine(&h, BLOCKS - 1);
	helper_mine(&h, BLOCKS);
	assert_int_equal(chain_tip(h.chain)->height, 2 * MERGE);
	state_merge(&h, all_struck);
	chain_coin_stats(h.chain, &before);
	helper_mine(&h, 1);
	chain_coin_stats(h.chain, &after);
	assert_int_equal(after.amount, before.amount);
	assert_true(chain_coin(h.chain, &outpoint, &coin));
	chain_coin_clear(&coin);
	h.spec->run_ppm = run_ppm;
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_struck_and_spent),
		cmocka_unit_test(test_first_spend),
		cmocka_unit_test(test_reorganised),
		cmocka_unit_test(test_room_for_pay),
		cmocka_unit_test(test_no_stake),
	};

	helper_use_rounds();
	return cmocka_run_group_tests_name("stakes", tests, NULL, NULL);
}
