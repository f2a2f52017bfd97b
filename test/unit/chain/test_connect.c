/* Blocks on, blocks off: connecting, reorganising, refusing, and what a restart finds. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "chain/verify/step_inputs.h"
#include "consensus/change.h"
#include "ml/state.h"
#include "util/mem.h"
#include "util/warning.h"

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

static void assert_same_ledger(struct helper *a, struct helper *b)
{
	struct coin_stats x, y;

	chain_coin_stats(a->chain, &x);
	chain_coin_stats(b->chain, &y);
	assert_int_equal(x.coins, y.coins);
	assert_int_equal(x.amount, y.amount);
	assert_int_equal(registry_bucket(chain_registry(a->chain)), registry_bucket(chain_registry(b->chain)));
}

/* The state at hand is the one the index has for the tip. */
static void assert_sound_model(struct helper *h)
{
	assert_same_model(h, h);
}

static void test_mine_and_feed(void **unused)
{
	struct coin_stats stats;
	struct helper a, b;

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
	assert_same_ledger(&a, &b);
	chain_coin_stats(a.chain, &stats);
	assert_int_equal(stats.coins, 6 * 3);
	helper_stop(&a);
	helper_stop(&b);
}

/* Loose proofs are paid, and weigh nothing: a block with as many as there may be loses against two without, whichever
 * comes first, and does not replace one that was first. */
static void test_loose_do_not_weigh(void **unused)
{
	struct helper many, few, late, early;
	uint32_t most;

	(void)unused;
	helper_start(&many);
	helper_start(&few);
	helper_start(&late);
	helper_start(&early);
	most = 4 * many.spec->k;
	for (uint32_t i = 0; i < most; i++) {
		helper_key(&many, 0x100 + i);
		helper_mine_loose(&many);
	}
	helper_mine(&many, 1);
	assert_int_equal(chain_tip(many.chain)->loose_count, most);
	helper_key(&few, 0x22);
	helper_mine(&few, 2);
	assert_int_equal(chain_at(few.chain, 1)->loose_count, 0);
	assert_int_equal(u256_compare(chain_tip(many.chain)->chain_work, chain_at(few.chain, 1)->chain_work), 0);
	helper_feed(&late, &many, 1, 1);
	helper_settle(&late);
	assert_memory_equal(chain_tip(late.chain)->id, chain_tip(many.chain)->id, 32);
	helper_feed(&late, &few, 1, 2);
	helper_settle(&late);
	assert_memory_equal(chain_tip(late.chain)->id, chain_tip(few.chain)->id, 32);
	helper_feed(&early, &few, 1, 1);
	helper_settle(&early);
	helper_feed(&early, &many, 1, 1);
	helper_settle(&early);
	assert_memory_equal(chain_tip(early.chain)->id, chain_at(few.chain, 1)->id, 32);
	assert_int_equal(early.disconnected, 0);
	helper_stop(&many);
	helper_stop(&few);
	helper_stop(&late);
	helper_stop(&early);
}

/* A heavier branch comes: the old one goes, its transactions return, and the model is that of a node that never
 * saw it. */
static void test_reorganise(void **unused)
{
	struct helper a, b, fresh;
	struct outpoint outpoint;
	struct reject reject;
	uint8_t txid[32];
	const struct tx *tx;
	int64_t amount;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_start(&fresh);
	helper_key(&b, 0x22);
	helper_mine(&a, 5);
	helper_feed(&b, &a, 1, 5);
	helper_settle(&b);
	amount = helper_coinbase(&a, 1, &outpoint);
	tx = helper_spend(&a, &outpoint, amount, 10000, NULL, 0);
	memcpy(txid, tx_txid(tx), 32);
	assert_int_equal(chain_add_tx(a.chain, tx, NULL, &reject), CHAIN_NEW);
	helper_mine(&a, 2);
	assert_int_equal(chain_mempool_count(a.chain), 0);
	assert_non_null(chain_find_tx(a.chain, txid, NULL));
	helper_mine_loose(&b);
	helper_mine(&b, 3);
	helper_forget(&a);
	/* A branch with less work is not even verified; one of equal work changes nothing: the first
	 * connected stays. */
	helper_feed(&a, &b, 6, 6);
	helper_settle(&a);
	assert_true(chain_find(a.chain, chain_at(b.chain, 6)->id)->held);
	helper_feed(&a, &b, 7, 7);
	helper_settle(&a);
	assert_int_equal(a.disconnected, 0);
	assert_int_equal(chain_find(a.chain, chain_at(b.chain, 7)->id)->status, ENTRY_VERIFIED);
	helper_feed(&a, &b, 8, 8);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(b.chain)->id, 32);
	assert_int_equal(a.disconnected, 2);
	assert_int_equal(a.connected, 3);
	assert_int_equal(a.tips, 1);
	assert_non_null(chain_mempool_find(a.chain, txid));
	assert_null(chain_find_tx(a.chain, txid, NULL));
	helper_feed(&fresh, &b, 1, 8);
	helper_settle(&fresh);
	assert_same_model(&a, &fresh);
	assert_same_ledger(&a, &fresh);
	/* The transaction of the lost branch confirms on the new one. */
	helper_mine(&a, 1);
	assert_int_equal(chain_tip(a.chain)->tx_count, 2);
	assert_ptr_equal(chain_find_tx(a.chain, txid, NULL), chain_tip(a.chain));
	helper_stop(&a);
	helper_stop(&b);
	helper_stop(&fresh);
}

/* Every proof of the active chain is found, with its place; those of a branch that was left are not. */
static void test_find_proofs(void **unused)
{
	struct helper a, b;
	uint8_t id[32];
	const struct block *block;
	struct errmsg err;
	size_t index;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_key(&b, 0x22);
	helper_mine_loose(&a);
	helper_mine(&a, 1);
	assert_int_equal(chain_tip(a.chain)->loose_count, 1);
	block = chain_read_block(a.chain, chain_tip(a.chain), &err);
	assert_non_null(block);
	assert_ptr_equal(chain_find_proof(a.chain, chain_tip(a.chain)->id, &index), chain_tip(a.chain));
	assert_int_equal(index, 0);
	header_id(&block->loose[0], id);
	assert_ptr_equal(chain_find_proof(a.chain, id, &index), chain_tip(a.chain));
	assert_int_equal(index, 1);
	helper_mine(&b, 2);
	helper_feed(&a, &b, 1, 2);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(b.chain)->id, 32);
	assert_null(chain_find_proof(a.chain, id, &index));
	block_unref(block);
	helper_stop(&a);
	helper_stop(&b);
}

/* Blocks of a branch whose headers promise more work than the tip has are verified as they come: fetching such a branch
 * must not have to outweigh the tip before anything is known of it. A promise that breaks counts no more. */
static void test_promised_work(void **unused)
{
	struct helper a, b;
	struct reject reject;
	struct errmsg err;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_key(&b, 0x22);
	helper_mine(&a, 6);
	helper_mine(&b, 8);
	helper_feed(&a, &b, 1, 1);
	helper_settle(&a);
	assert_true(chain_find(a.chain, chain_at(b.chain, 1)->id)->held);
	for (uint32_t height = 2; height <= 8; height++)
		assert_int_equal(chain_add_header(a.chain, &chain_at(b.chain, height)->header, NULL, &reject),
			CHAIN_NEW);
	helper_feed(&a, &b, 2, 2);
	helper_settle(&a);
	assert_int_equal(chain_find(a.chain, chain_at(b.chain, 2)->id)->status, ENTRY_VERIFIED);
	assert_true(chain_invalidate(a.chain, chain_find(a.chain, chain_at(b.chain, 6)->id), &err));
	helper_feed(&a, &b, 3, 4);
	helper_settle(&a);
	assert_true(chain_find(a.chain, chain_at(b.chain, 3)->id)->held);
	assert_true(chain_reconsider(a.chain, chain_find(a.chain, chain_at(b.chain, 6)->id), &err));
	helper_feed(&a, &b, 5, 8);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(b.chain)->id, 32);
	helper_stop(&a);
	helper_stop(&b);
}

/* Bare headers go, those that lead to blocks that are here stay, and what was forgotten can be told again. */
static void test_forget_headers(void **unused)
{
	const struct index_entry *tips[4];
	struct helper a, b;
	struct reject reject;
	uint8_t third[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 6);
	memcpy(third, chain_at(a.chain, 3)->id, 32);
	assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, 1)->header, NULL, &reject), CHAIN_NEW);
	helper_feed(&b, &a, 2, 2);
	for (uint32_t height = 3; height <= 6; height++)
		assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, height)->header, NULL, &reject),
			CHAIN_NEW);
	assert_int_equal(chain_best_header(b.chain)->height, 6);
	chain_forget_headers(b.chain);
	assert_non_null(chain_find(b.chain, chain_at(a.chain, 1)->id));
	assert_true(chain_find(b.chain, chain_at(a.chain, 2)->id)->held);
	assert_null(chain_find(b.chain, third));
	assert_int_equal(chain_best_header(b.chain)->height, 2);
	assert_int_equal(chain_tips(b.chain, tips, 4), 2); /* genesis, the tip, and block 2 */
	helper_feed(&b, &a, 1, 1);
	helper_feed(&b, &a, 3, 6);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	helper_close(&b);
	helper_open(&b);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 6);
	helper_stop(&a);
	helper_stop(&b);
}

/* Nothing in a header names a witness of the coinbase. Whoever adds one to a block on its way is refused, and the block
 * as it was is taken afterwards. */
static void test_coinbase_witness(void **unused)
{
	struct helper a, b;
	struct reject reject;
	struct block *block;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 2);
	for (uint32_t height = 2; height > 0; height--) {
		/* As the tip's child, and, its parent being the header alone, as a block that has to wait. */
		if (height == 2)
			assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, 1)->header, NULL, &reject),
				CHAIN_NEW);
		block = change_block(chain_read_block(a.chain, chain_at(a.chain, height), NULL),
			block_body_size(a.spec));
		tx_set_witness(change_tx(block, 0), 0, (const uint8_t *)"added", 5);
		change_end(block);
		assert_int_equal(chain_add_block(b.chain, block_seal(block), helper_source(7), &reject),
			CHAIN_REJECTED);
		assert_string_equal(reject.reason, "bad-cb-height");
	}
	helper_feed(&b, &a, 1, 2);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	helper_stop(&a);
	helper_stop(&b);
}

/* Everything that outlives the process: tip, model, coins, mined transactions. */
static void test_restart(void **unused)
{
	struct coin_stats before, after;
	uint8_t tip[32], root[32];
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 7);
	memcpy(tip, chain_tip(h.chain)->id, 32);
	memcpy(root, chain_tip(h.chain)->model_root_after, 32);
	chain_coin_stats(h.chain, &before);
	helper_close(&h);
	helper_open(&h);
	assert_memory_equal(chain_tip(h.chain)->id, tip, 32);
	assert_memory_equal(chain_tip(h.chain)->model_root_after, root, 32);
	chain_coin_stats(h.chain, &after);
	assert_int_equal(before.coins, after.coins);
	assert_int_equal(before.amount, after.amount);
	helper_mine(&h, 2);
	/* Without any snapshot the model is replayed from genesis. */
	helper_close(&h);
	helper_remove(&h, "model/*");
	helper_open(&h);
	assert_int_equal(chain_tip(h.chain)->height, 9);
	assert_sound_model(&h);
	helper_mine(&h, 1);
	/* A damaged snapshot is not believed. */
	helper_close(&h);
	helper_flip(&h, "model/*", 100);
	helper_open(&h);
	assert_int_equal(chain_tip(h.chain)->height, 10);
	assert_sound_model(&h);
	helper_mine(&h, 1);
	helper_stop(&h);
}

/* Changes one block found by mining, mines it anew with the change in, and expects the refusal. */
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

static void append_tx(struct block *block, const struct tx *tx)
{
	block->txs = mem_realloc(block->txs, (block->tx_count + 1) * sizeof *block->txs);
	block->txs[block->tx_count++] = tx;
}

static void test_refused_blocks(void **unused)
{
	struct outpoint first, late, unknown = { .index = 0 };
	struct reject reject;
	struct block *block;
	struct helper h;
	int64_t amount;
	struct tx *tx;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 4);
	amount = helper_coinbase(&h, 1, &first);
	helper_coinbase(&h, 3, &late);

	block = chain_template(h.chain, h.key);
	change_tx(block, 0)->outputs[0].amount++;
	expect_refusal(&h, block, "bad-cb-outputs");

	block = chain_template(h.chain, h.key);
	append_tx(block, helper_spend(&h, &late, amount, 0, NULL, 0));
	expect_refusal(&h, block, "bad-txns-premature-spend-of-coinbase");

	block = chain_template(h.chain, h.key);
	append_tx(block, helper_spend(&h, &first, amount, 0, NULL, 0));
	append_tx(block, helper_spend(&h, &first, amount, 0, NULL, 0));
	expect_refusal(&h, block, "bad-txns-inputs-missingorspent");

	memset(unknown.txid, 9, 32);
	block = chain_template(h.chain, h.key);
	append_tx(block, helper_spend(&h, &unknown, amount, 0, NULL, 0));
	expect_refusal(&h, block, "bad-txns-inputs-missingorspent");

	block = chain_template(h.chain, h.key);
	append_tx(block, helper_spend(&h, &first, amount, -1, NULL, 0));
	expect_refusal(&h, block, "bad-txns-in-belowout");

	block = chain_template(h.chain, h.key);
	append_tx(block, helper_spend(&h, &first, amount, 0, NULL, 0));
	change_tx(block, 1)->inputs[0].witness[0].data[5] ^= 1;
	expect_refusal(&h, block, "bad-txns-signature");

	block = chain_template(h.chain, h.key);
	append_tx(block, helper_spend(&h, &first, amount, 0, NULL, 0));
	tx = change_tx(block, 1);
	tx->inputs[0].sequence = 5;
	helper_sign(&h, tx, amount);
	expect_refusal(&h, block, "bad-txns-nonfinal");

	/* After all of it a good block still connects, and what it spends cannot be spent again. */
	assert_int_equal(chain_add_tx(h.chain, helper_spend(&h, &first, amount, 1000, NULL, 0), NULL, &reject),
		CHAIN_NEW);
	helper_mine(&h, 1);
	block = chain_template(h.chain, h.key);
	append_tx(block, helper_spend(&h, &first, amount, 0, NULL, 0));
	expect_refusal(&h, block, "bad-txns-inputs-missingorspent");
	helper_stop(&h);
}

/* Signatures are checked together and last, and what is said is what one after the other would say: the first fault in
 * the order of the block, whether in a signature or in what a later transaction spends. */
static void test_signatures_in_order(void **unused)
{
	enum { SPENDS = 12 };
	struct outpoint outpoint, unknown = { .index = 0 };
	struct block *block;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, SPENDS + 2);
	memset(unknown.txid, 9, 32);
	for (int bad = 0; bad < 3; bad++) {
		block = chain_template(h.chain, h.key);
		for (uint32_t i = 1; i <= SPENDS; i++) {
			int64_t amount = helper_coinbase(&h, i, &outpoint);

			append_tx(block, helper_spend(&h, i == 11 ? &unknown : &outpoint, amount, 0, NULL, 0));
		}
		/* The coin that is missing is the eleventh's: what stands before it comes first. */
		if (bad != 1)
			change_tx(block, bad == 0 ? 3 : 12)->inputs[0].witness[0].data[5] ^= 1;
		expect_refusal(&h, block, bad == 0 ? "bad-txns-signature" : "bad-txns-inputs-missingorspent");
	}
	helper_stop(&h);
}

/* A branch beside the tip is verified, and known to be after a restart; its proofs are not executed again. */
static void test_verified_branch_stays(void **unused)
{
	const struct index_entry *side;
	struct helper a, b;
	uint8_t id[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_key(&b, 0x22);
	helper_mine(&a, 2);
	helper_mine(&b, 2);
	helper_feed(&a, &b, 1, 2);
	helper_settle(&a);
	memcpy(id, chain_at(b.chain, 2)->id, 32);
	assert_int_equal(chain_find(a.chain, id)->status, ENTRY_VERIFIED);
	assert_int_equal(a.disconnected, 0);
	assert_int_equal(a.chain->unsaved_count, 0); /* the index on disk knows it already, not only from closing on */
	helper_close(&a);
	helper_open(&a);
	side = chain_find(a.chain, id);
	assert_non_null(side);
	assert_int_equal(side->status, ENTRY_VERIFIED);
	helper_settle(&a);
	assert_int_equal(a.chain->proofs_executed, 0);
	helper_stop(&a);
	helper_stop(&b);
}

/* A switch to a branch whose coins are wrong: the branch is marked, and the old one is back. */
static void test_bad_branch(void **unused)
{
	struct helper a, b;
	struct reject reject;
	struct outpoint outpoint;
	struct block *block;
	uint8_t tip[32], bad[32];
	int64_t amount;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 4);
	helper_feed(&b, &a, 1, 4);
	helper_settle(&b);
	/* b's own branch: a right block, then one that spends a coin that is not there, offered to a alone. */
	helper_key(&b, 0x22);
	helper_mine(&b, 1);
	helper_mine(&a, 1);
	memcpy(tip, chain_tip(a.chain)->id, 32);
	amount = helper_coinbase(&a, 1, &outpoint);
	outpoint.txid[3] ^= 1;
	block = chain_template(b.chain, b.key);
	append_tx(block, helper_spend(&a, &outpoint, amount, 0, NULL, 0));
	block_set_roots(block);
	free(helper_solve(&b, block, false));
	header_id(&block->header, bad);
	helper_feed(&a, &b, 5, 5);
	helper_forget(&a);
	assert_int_equal(chain_add_block(a.chain, block_seal(block), helper_source(5), &reject), CHAIN_NEW);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, tip, 32);
	assert_string_equal(a.reason, "bad-txns-inputs-missingorspent");
	assert_int_equal(chain_find(a.chain, bad)->status, ENTRY_INVALID);
	assert_int_equal(a.disconnected, 2);
	assert_int_equal(a.connected, 2);
	helper_mine(&a, 1);
	/* It stays refused after a restart. */
	helper_close(&a);
	helper_open(&a);
	assert_int_equal(chain_find(a.chain, bad)->status, ENTRY_INVALID);
	assert_string_equal(chain_find(a.chain, bad)->invalid_reason, "bad-txns-inputs-missingorspent");
	helper_stop(&a);
	helper_stop(&b);
}

static void test_invalidate(void **unused)
{
	struct helper h;
	struct errmsg err;
	uint8_t old[32];

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 5);
	memcpy(old, chain_tip(h.chain)->id, 32);
	assert_true(chain_invalidate(h.chain, chain_at(h.chain, 3), &err));
	assert_int_equal(chain_tip(h.chain)->height, 2);
	assert_ptr_equal(chain_best_header(h.chain), chain_tip(h.chain));
	helper_key(&h, 0x22);
	helper_mine(&h, 2);
	assert_int_equal(chain_tip(h.chain)->height, 4);
	assert_true(chain_reconsider(h.chain, chain_find(h.chain, old), &err));
	helper_settle(&h);
	assert_memory_equal(chain_tip(h.chain)->id, old, 32);
	assert_false(chain_invalidate(h.chain, chain_genesis(h.chain), &err));
	helper_stop(&h);
}

/* Flipping any bit of a header, a body or a transaction, and offering the block to a fresh node. */
static void test_flipped_bits(void **unused)
{
	struct helper a, b;
	struct reject reject;
	const struct block *block;
	struct block *damaged;
	struct buf bytes;

	(void)unused;
	helper_start(&a);
	helper_mine(&a, 1);
	helper_mine_loose(&a);
	helper_mine(&a, 1);
	helper_start(&b);
	helper_feed(&b, &a, 1, 1);
	helper_settle(&b);
	buf_init(&bytes);
	block = chain_read_block(a.chain, chain_at(a.chain, 2), NULL);
	assert_non_null(block);
	block_write(&bytes, a.spec, block, true);
	block_unref(block);
	/* Every byte of the first part (header, coinbase, loose proofs are in it), then every 97th of the bodies. */
	for (size_t at = 0; at < bytes.size; at += at < 600 ? 1 : 97) {
		struct reader reader;
		bool refused;

		reject.reason = "";
		bytes.data[at] ^= (uint8_t)(1 << at % 8);
		helper_forget(&b);
		reader_init(&reader, bytes.data, bytes.size);
		block = block_read(b.spec, &reader, &reject);
		refused = block == NULL || chain_add_block(b.chain, block, helper_source(3), &reject) != CHAIN_NEW;
		helper_settle(&b);
		/* What only execution can tell is told by the verdict. */
		if (!refused)
			assert_int_equal(b.refused, 1);
		else
			assert_true(reject.reason[0] != 0);
		assert_int_equal(chain_tip(b.chain)->height, 1);
		bytes.data[at] ^= (uint8_t)(1 << at % 8);
	}
	/* A body damaged after it was read. */
	damaged = change_block(chain_read_block(a.chain, chain_at(a.chain, 2), NULL), block_body_size(a.spec));
	damaged->bodies[1][9] ^= 4;
	assert_int_equal(chain_add_block(b.chain, block_seal(damaged), helper_source(3), &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "bad-proof-body");
	/* The block itself still goes. */
	helper_feed(&b, &a, 2, 2);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 2);
	buf_clear(&bytes);
	helper_stop(&a);
	helper_stop(&b);
}

/* Blocks in any order: children before parents are orphans, headers first is the way. */
static void test_headers_first(void **unused)
{
	struct helper a, b;
	struct reject reject;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 4);
	assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, 2)->header, NULL, &reject), CHAIN_ORPHAN);
	for (uint32_t height = 1; height <= 4; height++)
		assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, height)->header, NULL, &reject),
			CHAIN_NEW);
	assert_int_equal(chain_best_header(b.chain)->height, 4);
	for (uint32_t height = 4; height >= 1; height--) {
		struct errmsg err;
		const struct block *block = chain_read_block(a.chain, chain_at(a.chain, height), &err);

		assert_int_equal(chain_tip(b.chain)->height, 0);
		/* The operator's own are stored at once. */
		assert_int_equal(chain_add_block(b.chain, block, NULL, &reject), CHAIN_NEW);
		/* What was stored is still there after a restart, though its parents are bare headers. */
		helper_close(&b);
		helper_open(&b);
		assert_int_equal(chain_best_header(b.chain)->height, 4);
		assert_int_equal(chain_find(b.chain, chain_at(a.chain, 4)->id)->status, ENTRY_STORED);
	}
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 4);
	assert_same_model(&a, &b);
	helper_stop(&a);
	helper_stop(&b);
}

static void test_locator(void **unused)
{
	uint8_t ids[16][32];
	struct helper a, b;
	size_t count;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 20);
	helper_feed(&b, &a, 1, 12);
	helper_settle(&b);
	count = chain_locator(a.chain, chain_tip(a.chain), ids, 16);
	assert_memory_equal(ids[0], chain_tip(a.chain)->id, 32);
	assert_memory_equal(ids[count - 1], a.spec->genesis_id, 32);
	assert_int_equal(chain_fork_point(b.chain, ids, count)->height, 12);
	count = chain_locator(a.chain, chain_tip(a.chain), ids, 3);
	assert_int_equal(count, 3);
	assert_memory_equal(ids[2], a.spec->genesis_id, 32);
	for (uint32_t height = 0; height <= 20; height++)
		assert_ptr_equal(chain_ancestor(chain_tip(a.chain), height), chain_at(a.chain, height));
	assert_null(chain_ancestor(chain_tip(a.chain), 21));
	helper_stop(&a);
	helper_stop(&b);
}

/* More than 100 blocks are not undone without asking; and an old fork is stored only if its headers promise
 * more work. */
static void test_deep_reorganisation(void **unused)
{
	struct helper a, b;
	struct reject reject;
	const struct block *block;
	struct errmsg err;
	uint8_t tip[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_key(&b, 0x22);
	helper_mine(&a, 101);
	helper_mine(&b, 102);
	memcpy(tip, chain_tip(a.chain)->id, 32);
	helper_feed(&a, &b, 1, 102);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, tip, 32);
	assert_int_equal(chain_find(a.chain, chain_tip(b.chain)->id)->status, ENTRY_VERIFIED);
	assert_true(warning_get(WARNING_BRANCH, &err));
	assert_non_null(strstr(err.text, "height 102"));
	assert_non_null(strstr(err.text, "101 blocks below"));
	/* Nor after a restart. */
	helper_close(&a);
	helper_open(&a);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, tip, 32);
	helper_mine(&a, 1);
	assert_false(warning_get(WARNING_BRANCH, &err)); /* a tie: it is no better any more */
	helper_mine(&a, 300 - 102);
	helper_key(&a, 0x33);
	helper_close(&b);
	helper_remove(&b, "chainstate/*");
	helper_remove(&b, "blocks/*");
	helper_open(&b);
	helper_key(&b, 0x44);
	helper_mine(&b, 1);
	block = chain_read_block(b.chain, chain_tip(b.chain), &err);
	assert_int_equal(chain_add_block(a.chain, block, helper_source(1), &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "too-little-chainwork");
	/* The operator decides for the other branch. */
	assert_true(chain_invalidate(a.chain, chain_at(a.chain, 1), &err));
	assert_int_equal(chain_tip(a.chain)->height, 102);
	helper_stop(&a);
	helper_stop(&b);
}

/* Headers cost nothing to make: only so many above the tip are held. */
static void test_bare_headers(void **unused)
{
	struct reject reject = { .reason = "" };
	const struct index_entry *entry;
	enum chain_result result;
	struct header header;
	struct helper h;
	size_t taken = 0;

	(void)unused;
	helper_start(&h);
	entry = chain_genesis(h.chain);
	do {
		header = chain_tip(h.chain)->header;
		header.bits = target_next_bits(h.spec, entry->height, entry->header.time);
		memcpy(header.prev, entry->id, 32);
		memcpy(header.miner, h.key, 32);
		header.time = entry->median_time + 1;
		do {
			header.nonce++;
			result = chain_add_header(h.chain, &header, &entry, &reject);
		} while (result == CHAIN_REJECTED && strcmp(reject.reason, "high-hash") == 0);
		taken += result == CHAIN_NEW;
	} while (result == CHAIN_NEW);
	assert_string_equal(reject.reason, "too-far-ahead");
	assert_int_equal(taken, 4032);
	assert_int_equal(chain_best_header(h.chain)->height, 4032);
	helper_mine(&h, 1);
	helper_stop(&h);
}

/* Snapshots: a few, some of them old; with the newest gone an older one serves. */
static void test_snapshots(void **unused)
{
	struct helper h;
	size_t count;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 67);
	helper_close(&h);
	count = helper_files(&h, "model/*.state");
	assert_in_range(count, 4, 10);
	helper_remove(&h, "model/0000006*");
	assert_in_range(helper_files(&h, "model/*.state"), 1, count - 1);
	helper_open(&h);
	assert_int_equal(chain_tip(h.chain)->height, 67);
	helper_mine(&h, 1);
	helper_stop(&h);
}

static void assert_counts(const struct helper *h, uint64_t read, uint64_t parsed, uint64_t checked)
{
	assert_int_equal(h->chain->counts.read, read);
	assert_int_equal(h->chain->counts.parsed, parsed);
	assert_int_equal(h->chain->counts.checked, checked);
}

/* A block that has been parsed by whoever brought it is not read or parsed again on its way to the tip, and its coins
 * are looked at once: a stranger's, one that came before its parent, one's own. */
static void test_parsed_once(void **unused)
{
	struct helper a, b;
	struct outpoint outpoint;
	int64_t amount;
	struct reject reject;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 4);
	assert_counts(&a, 0, 0, 4);
	amount = helper_coinbase(&a, 1, &outpoint);
	assert_int_equal(chain_add_tx(a.chain, helper_spend(&a, &outpoint, amount, 1000, NULL, 0), NULL, &reject),
		CHAIN_NEW);
	helper_mine(&a, 4);
	assert_int_equal(chain_at(a.chain, 5)->tx_count, 2);
	assert_counts(&a, 0, 0, 8);
	helper_feed(&b, &a, 1, 1);
	helper_settle(&b);
	assert_counts(&b, 0, 0, 1);
	for (uint32_t height = 2; height <= 8; height++)
		assert_int_equal(chain_add_header(b.chain, &chain_at(a.chain, height)->header, NULL, &reject),
			CHAIN_NEW);
	for (uint32_t height = 8; height >= 2; height--)
		helper_feed(&b, &a, height, height);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	assert_counts(&b, 0, 0, 8);
	helper_stop(&a);
	helper_stop(&b);
}

/* What a former run stored is read once, whatever it waits for. */
static void test_read_once(void **unused)
{
	const struct index_entry *entry;
	const struct block *block;
	struct helper a, b;
	struct reject reject;
	struct errmsg err;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 2);
	block = chain_read_bare(a.chain, chain_at(a.chain, 1), &err);
	entry = chain_at(a.chain, 1);
	/* The operator's block is stored at once; the run ends before its verdict. */
	assert_int_equal(chain_add_block(b.chain, block, NULL, &reject), CHAIN_NEW);
	chain_invalidate(b.chain, chain_find(b.chain, entry->id), &err);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 0);
	helper_close(&b);
	helper_open(&b);
	assert_counts(&b, 0, 0, 0);
	assert_true(chain_reconsider(b.chain, chain_find(b.chain, entry->id), &err));
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 1);
	assert_counts(&b, 1, 0, 1);
	helper_stop(&a);
	helper_stop(&b);
}

/* Where there is no room for what parsed blocks take their bytes are held, and parsed when their turn has come. */
static void test_little_room(void **unused)
{
	struct helper a, b;

	(void)unused;
	helper_start(&a);
	helper_mine(&a, 2);
	helper_start(&b);
	helper_close(&b);
	b.held_bytes = 4 * 10000;
	helper_open(&b);
	helper_feed(&b, &a, 1, 2);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	assert_true(b.chain->counts.parsed > 0);
	assert_int_equal(b.chain->counts.checked, 2);
	helper_stop(&a);
	helper_stop(&b);
}

/* What was found out about a block's coins holds for the tip it was found out on, and no other: of two that spend the
 * same coin each is right on its own branch. */
static void test_checked_again(void **unused)
{
	struct helper a, b;
	struct errmsg err;
	uint8_t first[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 2);
	helper_feed(&b, &a, 1, 1);
	helper_settle(&b);
	helper_key(&b, 0x99);
	helper_mine(&b, 1);
	memcpy(first, chain_tip(a.chain)->id, 32);
	/* The sibling is checked when it comes only if its parent is the tip: it is not. */
	helper_feed(&a, &b, 2, 2);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, first, 32);
	assert_counts(&a, 0, 0, 2);
	assert_true(chain_invalidate(a.chain, chain_tip(a.chain), &err));
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(b.chain)->id, 32);
	assert_counts(&a, 0, 0, 3);
	assert_true(chain_reconsider(a.chain, chain_find(a.chain, first), &err));
	assert_true(chain_invalidate(a.chain, chain_tip(a.chain), &err));
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, first, 32);
	assert_int_equal(a.fatals, 0);
	helper_stop(&a);
	helper_stop(&b);
}

/* What verifying a block found out about its parent's state serves the next candidate at that height, with the same
 * verdict; a recheck finds it out anew. */
static void test_benchmark_kept(void **unused)
{
	const struct index_entry *parent;
	struct block_outcome outcome;
	struct benchmark *benchmark;
	struct verify_job job;
	const struct block *block;
	struct helper a, b;
	struct errmsg err;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 3);
	helper_feed(&b, &a, 1, 2);
	helper_settle(&b);
	helper_key(&b, 0x77);
	helper_mine(&b, 1);
	parent = chain_at(a.chain, 2);
	block = chain_read_bare(b.chain, chain_tip(b.chain), &err);
	assert_non_null(block);
	benchmark = states_benchmark(a.chain->states, entry_full(parent));
	assert_non_null(benchmark);
	for (int known = 0; known < 2; known++) {
		assert_true(step_inputs_block(a.chain, entry_full(chain_tip(a.chain)), block,
			states_get(a.chain->states, entry_full(parent)), known, &job, &outcome, NULL, &err));
		assert_ptr_equal(job.parent_benchmark, known ? benchmark : NULL);
		verify_job_clear(&job);
	}
	benchmark_unref(benchmark);
	block_unref(block);
	helper_forget(&a);
	helper_feed(&a, &b, 3, 3);
	helper_settle(&a);
	assert_int_equal(a.verified, 1);
	assert_memory_equal(chain_find(a.chain, chain_tip(b.chain)->id)->model_root_after,
		chain_tip(b.chain)->model_root_after, 32);
	helper_stop(&a);
	helper_stop(&b);
}

static void count_tip(void *context, const struct index_entry *tip)
{
	(void)tip;
	++*(int *)context;
}

/* However many listen, each of them is told, until it leaves. */
static void test_many_subscribers(void **unused)
{
	int calls[20] = { 0 };
	struct helper h;

	(void)unused;
	helper_start(&h);
	for (size_t i = 0; i < 20; i++)
		chain_subscribe(h.chain, &(struct chain_events){ .context = &calls[i], .tip = count_tip });
	helper_mine(&h, 1);
	chain_unsubscribe(h.chain, &calls[11]);
	helper_mine(&h, 1);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(calls[i], i == 11 ? 1 : 2);
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_genesis),
		cmocka_unit_test(test_mine_and_feed),
		cmocka_unit_test(test_reorganise),
		cmocka_unit_test(test_loose_do_not_weigh),
		cmocka_unit_test(test_promised_work),
		cmocka_unit_test(test_forget_headers),
		cmocka_unit_test(test_coinbase_witness),
		cmocka_unit_test(test_find_proofs),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_refused_blocks),
		cmocka_unit_test(test_signatures_in_order),
		cmocka_unit_test(test_verified_branch_stays),
		cmocka_unit_test(test_bad_branch),
		cmocka_unit_test(test_invalidate),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_headers_first),
		cmocka_unit_test(test_locator),
		cmocka_unit_test(test_deep_reorganisation),
		cmocka_unit_test(test_bare_headers),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_parsed_once),
		cmocka_unit_test(test_read_once),
		cmocka_unit_test(test_little_room),
		cmocka_unit_test(test_checked_again),
		cmocka_unit_test(test_benchmark_kept),
		cmocka_unit_test(test_many_subscribers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
