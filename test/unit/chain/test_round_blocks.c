/* Blocks with round transactions: connected beside payments, taken off again, on another branch, after a restart; and
 * what is refused. */
#include "chain/chain_helper.h"
#include "consensus/change.h"
#include "consensus/payload/round_tx.h"
#include "crypto/schnorr.h"
#include "util/mem.h"

/* The first base with a coin that can be spent in its round; its seats are the blocks 17 to 24. */
enum { BASE = 24, SEAT = 17 };

static void append_tx(struct block *block, const struct tx *tx)
{
	block->txs = mem_realloc(block->txs, (block->tx_count + 1) * sizeof *block->txs);
	block->txs[block->tx_count++] = tx;
}

/* A template without what the mempool has. */
static struct block *empty_template(struct helper *h)
{
	struct block *block = chain_template(h->chain, h->key);

	while (block->tx_count > 1)
		tx_unref(block->txs[--block->tx_count]);
	return block;
}

/* By the seat's owner, for the base of the helper's own chain. */
static struct round_tx commitment(struct helper *h, uint32_t height)
{
	struct round_tx round_tx = {
		.kind = ROUND_COMMIT,
		.height = height,
		.length = 1 + height % 4,
		.root = { 1, (uint8_t)height },
	};
	uint8_t hash[32];

	round_commit_hash(chain_at(h->chain, BASE)->id, chain_at(h->chain, height)->id, round_tx.length, round_tx.root,
		hash);
	assert_true(schnorr_sign(round_tx.signature, hash, h->secret, hash));
	return round_tx;
}

static const struct tx *build_commitment(struct helper *h, uint32_t height)
{
	struct round_tx round_tx = commitment(h, height);

	return round_tx_build(&round_tx);
}

static bool is_committed(struct helper *h, uint32_t height)
{
	const struct rounds *rounds = registry_rounds(chain_registry(h->chain));

	return rounds->base == BASE && rounds->runs[height - SEAT].committed;
}

static void expect_refusal(struct helper *h, struct block *block, const char *reason)
{
	uint32_t height = chain_tip(h->chain)->height;
	struct reject reject = { .reason = "" };

	change_end(block);
	block_set_roots(block);
	assert_int_equal(helper_offer(h, block, &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, reason);
	assert_int_equal(chain_tip(h->chain)->height, height);
}

static void expect_tx_refused(struct helper *h, const struct tx *tx, const char *reason)
{
	struct block *block = empty_template(h);

	append_tx(block, tx);
	expect_refusal(h, block, reason);
}

static void expect_lengths_refused(struct helper *h)
{
	struct round_tx round_tx = commitment(h, SEAT);

	round_tx.length ^= 1;
	expect_tx_refused(h, round_tx_build(&round_tx), "bad-round-signature");
	round_tx.length = 5;
	expect_tx_refused(h, round_tx_build(&round_tx), "bad-round-format");
	round_tx.length = 0;
	expect_tx_refused(h, round_tx_build(&round_tx), "bad-round-format");
}

static void test_refused(void **unused)
{
	struct round_tx round_tx;
	struct outpoint coin;
	struct block *block;
	struct helper h;
	struct tx *tx;
	int64_t amount;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, BASE);
	amount = helper_coinbase(&h, 1, &coin);

	/* Of another form: whatever else is wrong with it, this is said. */
	tx = change_open(build_commitment(&h, SEAT));
	tx->version = 2;
	expect_tx_refused(&h, tx_seal(tx), "bad-round-format");
	tx = change_open(build_commitment(&h, SEAT));
	tx_add_input(tx, &coin, 0xffffffff);
	expect_tx_refused(&h, tx_seal(tx), "bad-round-format");
	tx = change_open(build_commitment(&h, SEAT));
	tx->outputs[0].amount = -1;
	expect_tx_refused(&h, tx_seal(tx), "bad-round-format");
	tx = change_open(build_commitment(&h, SEAT));
	tx->inputs[0].script = (struct bytes){ mem_dup("", 1), 1 };
	expect_tx_refused(&h, tx_seal(tx), "bad-round-format");
	/* Not as a second input: no transaction has that id. */
	tx = change_open(helper_spend(&h, &coin, amount, 0, NULL, 0));
	tx_add_input(tx, &(struct outpoint){ .index = 0xfffffffe }, 0xffffffff);
	expect_tx_refused(&h, tx_seal(tx), "bad-txns-inputs-missingorspent");

	round_tx = commitment(&h, SEAT);
	round_tx.height = SEAT - 1;
	expect_tx_refused(&h, round_tx_build(&round_tx), "bad-round-seat");
	round_tx.height = SEAT + 1;
	expect_tx_refused(&h, round_tx_build(&round_tx), "bad-round-signature");
	expect_lengths_refused(&h);
	round_tx = (struct round_tx){ .kind = ROUND_DISCLOSURE, .height = SEAT, .length = 4 };
	expect_tx_refused(&h, round_tx_build(&round_tx), "bad-round-seat");
	round_tx.kind = ROUND_CHALLENGE;
	expect_tx_refused(&h, round_tx_build(&round_tx), "bad-round-seat");

	/* What is wrong with one comes before what is wrong with coins, and before registrations. */
	block = empty_template(&h);
	append_tx(block, helper_spend(&h, &coin, amount, -1, NULL, 0));
	append_tx(block, build_commitment(&h, SEAT));
	append_tx(block, build_commitment(&h, SEAT));
	expect_refusal(&h, block, "bad-round-duplicate");
	block = empty_template(&h);
	append_tx(block, helper_spend(&h, &coin, amount, -1, NULL, 0));
	append_tx(block, build_commitment(&h, SEAT));
	expect_refusal(&h, block, "bad-txns-in-belowout");
	assert_false(is_committed(&h, SEAT));
	helper_stop(&h);
}

struct sums {
	struct coin_stats coins;
	uint8_t state_root[32];
};

static struct sums sums_of(struct helper *h)
{
	struct sums sums = { 0 };
	struct state *state = chain_state(h->chain);

	chain_coin_stats(h->chain, &sums.coins);
	memcpy(sums.state_root, state_root(state), 32);
	state_unref(state);
	return sums;
}

static void assert_sums(struct helper *h, const struct sums *expected)
{
	struct sums sums = sums_of(h);

	assert_int_equal(sums.coins.coins, expected->coins.coins);
	assert_int_equal(sums.coins.amount, expected->coins.amount);
	assert_memory_equal(sums.state_root, expected->state_root, 32);
}

/* A block of a payment between two commitments, and one of a third: off and on again, restarted at each place. */
static void test_off_and_on(void **unused)
{
	struct sums before, after;
	struct outpoint coin;
	struct errmsg err;
	struct reject reject;
	struct block *block;
	struct helper h;
	uint8_t tip[32];
	int64_t amount;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, BASE);
	before = sums_of(&h);
	amount = helper_coinbase(&h, 1, &coin);
	block = empty_template(&h);
	append_tx(block, build_commitment(&h, SEAT));
	append_tx(block, helper_spend(&h, &coin, amount, 0, NULL, 0));
	append_tx(block, build_commitment(&h, SEAT + 7));
	change_end(block);
	block_set_roots(block);
	assert_int_equal(helper_offer(&h, block, &reject), CHAIN_NEW);
	block = empty_template(&h);
	append_tx(block, build_commitment(&h, SEAT + 3));
	block_set_roots(block);
	assert_int_equal(helper_offer(&h, block, &reject), CHAIN_NEW);
	assert_int_equal(chain_tip(h.chain)->height, BASE + 2);
	assert_true(is_committed(&h, SEAT) && is_committed(&h, SEAT + 3) && is_committed(&h, SEAT + 7));
	after = sums_of(&h);
	memcpy(tip, chain_tip(h.chain)->id, 32);

	assert_true(chain_invalidate(h.chain, chain_at(h.chain, BASE + 1), &err));
	assert_int_equal(chain_tip(h.chain)->height, BASE);
	assert_sums(&h, &before);
	assert_int_equal(registry_rounds(chain_registry(h.chain))->base, BASE - 8);
	helper_close(&h);
	helper_open(&h);
	assert_sums(&h, &before);
	assert_true(chain_reconsider(h.chain, chain_find(h.chain, tip), &err));
	helper_settle(&h);
	assert_memory_equal(chain_tip(h.chain)->id, tip, 32);
	assert_sums(&h, &after);
	helper_close(&h);
	helper_open(&h);
	assert_sums(&h, &after);
	assert_true(is_committed(&h, SEAT) && is_committed(&h, SEAT + 3) && is_committed(&h, SEAT + 7));
	assert_false(is_committed(&h, SEAT + 1));
	assert_true(chain_invalidate(h.chain, chain_at(h.chain, BASE + 2), &err));
	assert_true(is_committed(&h, SEAT) && !is_committed(&h, SEAT + 3));
	/* The seat is taken after a restart too. */
	expect_tx_refused(&h, build_commitment(&h, SEAT + 7), "bad-round-duplicate");
	helper_stop(&h);
}

/* Two branches that part before the base, with commitments each: who switches has those of the new one alone, and one
 * that is of the other branch was never right there. */
static void test_reorganise(void **unused)
{
	const struct tx *foreign;
	struct reject reject;
	struct helper a, b;
	struct block *block;
	struct sums sums;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, BASE - 2);
	helper_feed(&b, &a, 1, BASE - 2);
	helper_settle(&b);
	helper_key(&b, 0x22);
	helper_mine(&a, 2);
	helper_mine(&b, 2);
	foreign = build_commitment(&a, BASE - 1);
	block = empty_template(&a);
	append_tx(block, tx_ref(foreign));
	block_set_roots(block);
	assert_int_equal(helper_offer(&a, block, &reject), CHAIN_NEW);
	assert_true(is_committed(&a, BASE - 1));
	block = empty_template(&b);
	append_tx(block, tx_ref(foreign));
	expect_refusal(&b, block, "bad-round-signature");
	tx_unref(foreign);
	block = empty_template(&b);
	append_tx(block, build_commitment(&b, BASE));
	block_set_roots(block);
	assert_int_equal(helper_offer(&b, block, &reject), CHAIN_NEW);
	helper_mine(&b, 1);
	helper_feed(&a, &b, BASE - 1, BASE + 2);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(b.chain)->id, 32);
	assert_true(is_committed(&a, BASE));
	assert_false(is_committed(&a, BASE - 1));
	sums = sums_of(&b);
	assert_sums(&a, &sums);
	assert_memory_equal(registry_rounds(chain_registry(a.chain))->runs,
		registry_rounds(chain_registry(b.chain))->runs, 8 * sizeof(struct rounds_run));
	helper_stop(&a);
	helper_stop(&b);
}

/* A branch beside the tip is verified without the rules of what a branch shows; they hold when the chain would switch
 * to it, and it stays where it is. */
static void test_bad_branch(void **unused)
{
	struct round_tx round_tx;
	struct reject reject;
	struct helper a, b;
	struct block *block;
	uint8_t tip[32], bad[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, BASE);
	helper_feed(&b, &a, 1, BASE);
	helper_settle(&b);
	helper_mine(&a, 1);
	memcpy(tip, chain_tip(a.chain)->id, 32);
	helper_key(&b, 0x22);
	helper_mine(&b, 1);
	round_tx = commitment(&a, SEAT);
	round_tx.signature[0] ^= 1;
	block = empty_template(&b);
	append_tx(block, round_tx_build(&round_tx));
	block_set_roots(block);
	free(helper_solve(&b, block, false));
	header_id(&block->header, bad);
	helper_feed(&a, &b, BASE + 1, BASE + 1);
	helper_forget(&a);
	assert_int_equal(chain_add_block(a.chain, block_seal(block), helper_source(5), &reject), CHAIN_NEW);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, tip, 32);
	assert_string_equal(a.reason, "bad-round-signature");
	assert_int_equal(chain_find(a.chain, bad)->status, ENTRY_INVALID);
	assert_int_equal(a.disconnected, 2);
	assert_int_equal(a.connected, 2);
	assert_false(is_committed(&a, SEAT));
	helper_mine(&a, 1);
	helper_stop(&a);
	helper_stop(&b);
}

static int setup(void **unused)
{
	(void)unused;
	helper_use_rounds();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_off_and_on),
		cmocka_unit_test(test_reorganise),
		cmocka_unit_test(test_bad_branch),
	};

	return cmocka_run_group_tests_name("blocks of rounds", tests, setup, NULL);
}
