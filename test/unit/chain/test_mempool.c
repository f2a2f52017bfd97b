/* What the mempool takes, keeps, drops and hands to a template. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "chain/mempool/mempool.h"
#include "chain/mempool/policy.h"
#include "consensus/change.h"
#include "consensus/payload/commitment.h"
#include "util/mem.h"

enum { BLOB_SIZE = 33000 };

/* A chain whose first `count` coinbases can be spent. */
static void start(struct helper *h, size_t count)
{
	helper_start(h);
	helper_mine(h, count + 2);
}

static const struct tx *spend_coinbase(struct helper *h, uint32_t height, int64_t fee)
{
	struct outpoint outpoint;
	int64_t amount = helper_coinbase(h, height, &outpoint);

	return helper_spend(h, &outpoint, amount, fee, NULL, 0);
}

/* Spends the first output of a transaction; the parent is borrowed. */
static const struct tx *spend_tx(struct helper *h, const struct tx *parent, int64_t fee)
{
	struct outpoint outpoint = { .index = 0 };

	memcpy(outpoint.txid, tx_txid(parent), 32);
	return helper_spend(h, &outpoint, parent->outputs[0].amount, fee, NULL, 0);
}

static void expect_from(struct helper *h, uint8_t number, const struct tx *tx, enum chain_result result,
	const char *reason)
{
	const struct source source = { .peer = number, .group = { number } };
	struct reject reject = { .reason = "" };

	assert_int_equal(chain_add_tx(h->chain, tx, &source, &reject), result);
	assert_string_equal(reject.reason, reason);
}

static void expect(struct helper *h, const struct tx *tx, enum chain_result result, const char *reason)
{
	expect_from(h, 1, tx, result, reason);
}

static void test_rules(void **unused)
{
	struct outpoint outpoint;
	struct helper h;
	struct tx *tx;
	int64_t amount;

	(void)unused;
	start(&h, 3);
	amount = helper_coinbase(&h, 1, &outpoint);
	expect(&h, spend_coinbase(&h, 1, 10), CHAIN_REJECTED, "min relay fee not met");
	expect(&h, spend_coinbase(&h, 4, 1000), CHAIN_REJECTED, "bad-txns-premature-spend-of-coinbase");
	expect(&h, spend_coinbase(&h, 1, -1), CHAIN_REJECTED, "bad-txns-in-belowout");
	expect(&h, spend_coinbase(&h, 1, amount - 100), CHAIN_REJECTED, "dust");

	tx = change_open(spend_coinbase(&h, 1, 1000));
	tx->inputs[0].witness[0].data[0] ^= 1;
	expect(&h, tx_seal(tx), CHAIN_REJECTED, "bad-txns-signature");

	tx = change_open(spend_coinbase(&h, 1, 1000));
	tx->version = 3;
	helper_sign(&h, tx, amount);
	expect(&h, tx_seal(tx), CHAIN_REJECTED, "version");

	tx = change_open(spend_coinbase(&h, 1, 1000));
	tx->locktime = chain_tip(h.chain)->height + 1;
	tx->inputs[0].sequence = 0;
	helper_sign(&h, tx, amount);
	expect(&h, tx_seal(tx), CHAIN_REJECTED, "non-final");

	tx = change_open(spend_coinbase(&h, 1, 1000));
	tx->inputs[0].sequence = 100;
	helper_sign(&h, tx, amount);
	expect(&h, tx_seal(tx), CHAIN_REJECTED, "non-BIP68-final");

	outpoint.txid[0] ^= 1;
	expect(&h, helper_spend(&h, &outpoint, amount, 1000, NULL, 0), CHAIN_ORPHAN, "bad-txns-inputs-missingorspent");

	expect(&h, spend_coinbase(&h, 1, 1000), CHAIN_NEW, "");
	expect(&h, spend_coinbase(&h, 1, 1000), CHAIN_KNOWN, "");
	expect(&h, spend_coinbase(&h, 1, 5000), CHAIN_REJECTED, "txn-mempool-conflict");
	assert_int_equal(h.txs_added, 1);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	helper_mine(&h, 1);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	assert_int_equal(chain_tip(h.chain)->tx_count, 2);
	helper_stop(&h);
}

static void test_long_chains(void **unused)
{
	const struct tx *tx, *next;
	struct helper h;

	(void)unused;
	start(&h, 1);
	tx = spend_coinbase(&h, 1, 1000);
	for (int i = 0; i < POLICY_ANCESTORS; i++) {
		next = spend_tx(&h, tx, 1000);
		expect(&h, tx, CHAIN_NEW, "");
		tx = next;
	}
	expect(&h, tx, CHAIN_REJECTED, "too-long-mempool-chain");
	/* All of the chain goes into one block, parents first. */
	helper_mine(&h, 1);
	assert_int_equal(chain_tip(h.chain)->tx_count, 1 + POLICY_ANCESTORS);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	helper_stop(&h);
}

/* Two chains, neither too long, whose common child would have too many ancestors. */
static void test_two_chains(void **unused)
{
	const struct tx *ends[2];
	struct tx *both;
	struct helper h;

	(void)unused;
	start(&h, 2);
	for (int side = 0; side < 2; side++) {
		const struct tx *tx = spend_coinbase(&h, 1 + (uint32_t)side, 1000);

		for (int i = 1; i < 13; i++) {
			const struct tx *next = spend_tx(&h, tx, 1000);

			expect(&h, tx, CHAIN_NEW, "");
			tx = next;
		}
		ends[side] = tx_ref(tx);
		expect(&h, tx, CHAIN_NEW, "");
	}
	assert_int_equal(ends[0]->outputs[0].amount, ends[1]->outputs[0].amount);
	both = change_open(spend_tx(&h, ends[0], 1000));
	struct outpoint other = { .index = 0 };

	memcpy(other.txid, tx_txid(ends[1]), 32);
	tx_add_input(both, &other, 0xffffffff);
	helper_sign(&h, both, ends[0]->outputs[0].amount);
	expect(&h, tx_seal(both), CHAIN_REJECTED, "too-long-mempool-chain");
	tx_unref(ends[0]);
	tx_unref(ends[1]);
	helper_stop(&h);
}

/* A grandchild that pays well brings its poor ancestors in front of one that pays better alone. */
static void test_selection(void **unused)
{
	const struct tx *poor, *between, *child, *middle;
	struct block *block;
	struct helper h;
	uint8_t ids[4][32];

	(void)unused;
	start(&h, 2);
	poor = spend_coinbase(&h, 1, 200);
	between = spend_tx(&h, poor, 200);
	child = spend_tx(&h, between, 20000);
	middle = spend_coinbase(&h, 2, 2000);
	memcpy(ids[0], tx_txid(poor), 32);
	memcpy(ids[1], tx_txid(between), 32);
	memcpy(ids[2], tx_txid(child), 32);
	memcpy(ids[3], tx_txid(middle), 32);
	expect(&h, middle, CHAIN_NEW, "");
	expect(&h, poor, CHAIN_NEW, "");
	expect(&h, between, CHAIN_NEW, "");
	expect(&h, child, CHAIN_NEW, "");
	block = chain_template(h.chain, h.key);
	assert_int_equal(block->tx_count, 5);
	for (size_t i = 0; i < 4; i++)
		assert_memory_equal(tx_txid(block->txs[i + 1]), ids[i], 32);
	/* Its fees are the miner's. */
	assert_int_equal(block->txs[0]->outputs[0].amount - 22400, h.spec->subsidy * 7 / 10 / h.spec->k);
	block_unref(block);
	helper_stop(&h);
}

static void test_block_conflict(void **unused)
{
	struct helper a, b;

	(void)unused;
	start(&a, 1);
	helper_start(&b);
	helper_feed(&b, &a, 1, 3);
	helper_settle(&b);
	expect(&a, spend_coinbase(&a, 1, 1000), CHAIN_NEW, "");
	const struct tx *other = spend_coinbase(&b, 1, 2000), *child = spend_tx(&b, other, 2000);

	expect(&b, other, CHAIN_NEW, "");
	expect(&b, child, CHAIN_NEW, "");
	helper_mine(&a, 1);
	helper_feed(&b, &a, 4, 4);
	helper_settle(&b);
	assert_int_equal(chain_mempool_count(b.chain), 0);
	assert_int_equal(b.txs_removed, 2);
	assert_string_equal(b.reason, "conflict");
	helper_stop(&a);
	helper_stop(&b);
}

/* A full pool keeps what pays best. */
static void test_full(void **unused)
{
	struct helper h;
	struct reject reject;
	uint8_t best[32];
	const struct tx *tx;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 14);
	helper_close(&h);
	h.mempool_bytes = 1000; /* a spend has about 111 */
	helper_open(&h);
	tx = spend_coinbase(&h, 1, 50000);
	memcpy(best, tx_txid(tx), 32);
	expect(&h, tx, CHAIN_NEW, "");
	for (uint32_t height = 2; height <= 9; height++)
		expect(&h, spend_coinbase(&h, height, 1000 * height), CHAIN_NEW, "");
	/* The newcomer that is cheapest of all goes itself. */
	expect(&h, spend_coinbase(&h, 10, 500), CHAIN_REJECTED, "mempool full");
	expect(&h, spend_coinbase(&h, 11, 700), CHAIN_REJECTED, "mempool min fee not met");
	assert_true(chain_mempool_bytes(h.chain) <= 1000);
	assert_int_equal(chain_add_tx(h.chain, spend_coinbase(&h, 12, 60000), NULL, &reject), CHAIN_NEW);
	assert_non_null(chain_mempool_find(h.chain, best));
	assert_true(h.txs_removed >= 2);
	helper_stop(&h);
}

/* After a reorganisation what is not valid any more is gone: a coinbase of the lost branch, and its heirs. */
static void test_reorganised(void **unused)
{
	struct helper a, b;
	const struct tx *tx;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 6);
	tx = spend_coinbase(&a, 1, 1000);
	expect(&a, spend_tx(&a, tx, 1000), CHAIN_ORPHAN, "bad-txns-inputs-missingorspent");
	const struct tx *child = spend_tx(&a, tx, 1000);

	expect(&a, tx, CHAIN_NEW, "");
	expect(&a, child, CHAIN_NEW, "");
	helper_key(&b, 0x22);
	helper_mine(&b, 7);
	helper_feed(&a, &b, 1, 7);
	helper_settle(&a);
	assert_int_equal(chain_tip(a.chain)->height, 7);
	assert_int_equal(chain_mempool_count(a.chain), 0);
	assert_int_equal(a.txs_removed, 2);
	helper_stop(&a);
	helper_stop(&b);
}

/* Two transactions that register one blob: the second is refused. Size and burn are looked at before the bytes are. */
static void test_contributions(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32];
	struct outpoint one, two;
	struct helper h;
	struct reject reject;
	struct tx *tx;
	int64_t first, second;

	(void)unused;
	start(&h, 3);
	helper_commit(&h, 3, BLOB_SIZE, 3, 3, 0);
	first = helper_coinbase(&h, 1, &one);
	second = helper_coinbase(&h, 2, &two);
	helper_bytes(data, sizeof data, 3);
	contribution_root(data, sizeof data, root);
	assert_int_equal(chain_add_blob(h.chain, root, data, sizeof data, true, &reject), CHAIN_NEW);
	tx = change_open(helper_spend(&h, &one, first, 1000, data, sizeof data));
	tx->outputs[1].amount--;
	helper_sign(&h, tx, first);
	expect(&h, tx_seal(tx), CHAIN_REJECTED, "bad-contrib-burn");
	expect(&h, helper_spend(&h, &one, first, 1000, data, 32000), CHAIN_REJECTED, "bad-contrib-size");
	expect(&h, helper_spend(&h, &one, first, 1000, data, sizeof data), CHAIN_NEW, "");
	expect(&h, helper_spend(&h, &two, second, 1000, data, sizeof data), CHAIN_REJECTED, "txn-mempool-conflict");
	helper_mine(&h, 1);
	expect(&h, helper_spend(&h, &two, second, 1000, data, sizeof data), CHAIN_REJECTED, "bad-contrib-duplicate");
	helper_stop(&h);
}

/* A contribution whose bytes are `number`'s, from the coinbase at that height. */
static const struct tx *contribute(struct helper *h, uint32_t height, unsigned number, uint8_t data[BLOB_SIZE])
{
	struct outpoint outpoint;
	int64_t amount = helper_coinbase(h, height, &outpoint);

	helper_bytes(data, BLOB_SIZE, number);
	return helper_spend(h, &outpoint, amount, 1000, data, BLOB_SIZE);
}

static void give_blob(struct helper *h, const uint8_t data[BLOB_SIZE])
{
	struct reject reject;
	uint8_t root[32];

	contribution_root(data, BLOB_SIZE, root);
	assert_int_equal(chain_add_blob(h->chain, root, data, BLOB_SIZE, false, &reject), CHAIN_NEW);
}

/* Bytes of number 1000 + `height`, more than twice the target of the tests' spec: they fill a block as far as rates go.
 * Kept here. */
static void keep_filler(struct helper *h, uint32_t height, uint8_t data[BLOB_SIZE])
{
	struct reject reject;
	uint8_t root[32];

	helper_bytes(data, BLOB_SIZE, 1000 + height);
	contribution_root(data, BLOB_SIZE, root);
	assert_int_equal(chain_add_blob(h->chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
}

/* Their contribution, from the coinbase at that height. */
static const struct tx *fill_block(struct helper *h, uint32_t height)
{
	struct outpoint outpoint;
	uint8_t data[BLOB_SIZE];
	int64_t amount;

	keep_filler(h, height, data);
	amount = helper_coinbase(h, height, &outpoint);
	return helper_spend(h, &outpoint, amount, 1000, data, sizeof data);
}

/* Whoever fills blocks raises the rate. What burnt enough when it came leaves when the next block asks for more; and a
 * newcomer burns what will do for some more blocks. */
static void test_rising_rate(void **unused)
{
	enum { START = 20 };
	uint8_t data[BLOB_SIZE];
	struct helper poor, rich;
	const struct tx *early;

	(void)unused;
	start(&poor, START - 3);
	helper_commit(&poor, START - 3, BLOB_SIZE, 1001, 1000 + START - 2, 0);
	helper_start(&rich);
	helper_feed(&rich, &poor, 1, START);
	helper_settle(&rich);
	early = fill_block(&poor, START - 2);
	expect(&poor, tx_ref(early), CHAIN_NEW, "");
	for (uint32_t i = 1; i <= FEES_WINDOW; i++) {
		if (i > POLICY_BURN_BLOCKS)
			expect(&rich, tx_ref(early), CHAIN_REJECTED, "bad-contrib-burn");
		expect(&rich, fill_block(&rich, i), CHAIN_NEW, "");
		helper_mine(&rich, 1);
		assert_int_equal(chain_mempool_count(rich.chain), 0);
		assert_int_equal(chain_mempool_count(poor.chain), 1);
		keep_filler(&poor, i, data);
		helper_feed(&poor, &rich, START + i, START + i);
		helper_settle(&poor);
	}
	assert_int_equal(chain_tip(poor.chain)->height, START + FEES_WINDOW);
	assert_int_equal(chain_mempool_count(poor.chain), 0);
	assert_int_equal(poor.txs_removed, 1);
	expect(&poor, early, CHAIN_REJECTED, "bad-contrib-burn");
	helper_stop(&rich);
	helper_stop(&poor);
}

/* Contributions of one coin, of which but one can come true, have one place to wait for their blobs. */
static void test_waiting_of_one_coin(void **unused)
{
	uint8_t data[BLOB_SIZE];
	struct helper h;

	(void)unused;
	start(&h, 3);
	helper_commit(&h, 3, BLOB_SIZE, 0, 100, 0);
	expect(&h, contribute(&h, 1, 0, data), CHAIN_ORPHAN, "missing-blob");
	for (unsigned i = 1; i <= PLACES_MAX; i++)
		expect(&h, contribute(&h, 1, i, data), CHAIN_REJECTED, "txn-mempool-conflict");
	expect_from(&h, 2, contribute(&h, 2, 100, data), CHAIN_ORPHAN, "missing-blob");
	give_blob(&h, data);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	helper_stop(&h);
}

/* When all places are taken, whoever has most of them gives one up for somebody who has fewer. Whose coin a block
 * spends has waited in vain. */
static void test_waiting_of_one_address(void **unused)
{
	enum { GREEDY = 1, FIRST, SECOND };
	uint8_t first[BLOB_SIZE], second[BLOB_SIZE], data[BLOB_SIZE];
	struct helper h;

	(void)unused;
	start(&h, PLACES_MAX + 4);
	helper_commit(&h, PLACES_MAX + 4, BLOB_SIZE, 1, 102, 0);
	for (unsigned i = 1; i <= PLACES_MAX; i++)
		expect_from(&h, GREEDY, contribute(&h, i, i, data), CHAIN_ORPHAN, "missing-blob");
	expect_from(&h, GREEDY, contribute(&h, PLACES_MAX + 1, 100, data), CHAIN_REJECTED, "missing-blob");
	expect_from(&h, FIRST, spend_coinbase(&h, 1, 1000), CHAIN_NEW, "");
	helper_mine(&h, 1);
	expect_from(&h, GREEDY, contribute(&h, PLACES_MAX + 1, 100, data), CHAIN_ORPHAN, "missing-blob");
	expect_from(&h, FIRST, contribute(&h, PLACES_MAX + 2, 101, first), CHAIN_ORPHAN, "missing-blob");
	expect_from(&h, SECOND, contribute(&h, PLACES_MAX + 3, 102, second), CHAIN_ORPHAN, "missing-blob");
	expect_from(&h, GREEDY, contribute(&h, 2, 2, data), CHAIN_REJECTED, "missing-blob"); /* it had made room */
	give_blob(&h, first);
	give_blob(&h, second);
	assert_int_equal(chain_mempool_count(h.chain), 2);
	helper_stop(&h);
}

/* --- bytes that no block has --- */

static bool has_blob(struct helper *h, unsigned number)
{
	uint8_t data[BLOB_SIZE], root[32];

	helper_bytes(data, BLOB_SIZE, number);
	contribution_root(data, BLOB_SIZE, root);
	return chain_has_blob(h->chain, root);
}

static void give_number(struct helper *h, unsigned number)
{
	uint8_t data[BLOB_SIZE];

	helper_bytes(data, BLOB_SIZE, number);
	give_blob(h, data);
}

/* A contribution of the bytes of both numbers, from the coinbase at that height. */
static const struct tx *contribute_two(struct helper *h, uint32_t height, unsigned number, unsigned other)
{
	const unsigned numbers[] = { number, other };
	uint8_t data[BLOB_SIZE], script[P2TR_SIZE];
	int64_t burn = h->spec->burn_rate * BLOB_SIZE;
	struct tx *tx = tx_new();
	struct outpoint outpoint;
	int64_t amount = helper_coinbase(h, height, &outpoint);

	tx_add_input(tx, &outpoint, 0xffffffff);
	script_p2tr(script, h->key);
	tx_add_output(tx, amount - 1000 - 2 * burn, script, sizeof script);
	for (size_t i = 0; i < 2; i++) {
		struct contribution contribution;
		struct buf out;

		helper_bytes(data, sizeof data, numbers[i]);
		contribution = helper_contribution(h, data, sizeof data, 0);
		buf_init(&out);
		contribution_script(&out, &contribution);
		tx_add_output(tx, burn, out.data, out.size);
		buf_clear(&out);
	}
	helper_sign(h, tx, amount);
	return tx_seal(tx);
}

static struct pending *pending_bytes(struct helper *h)
{
	return &h->chain->mempool->pending;
}

/* Who gives up a place gives up the bytes that came for it, unless another waits for the same. */
static void test_vacated_bytes(void **unused)
{
	uint8_t data[BLOB_SIZE];
	struct helper h;

	(void)unused;
	start(&h, 4);
	helper_commit(&h, 4, BLOB_SIZE, 1, 3, 0);
	expect_from(&h, 1, contribute_two(&h, 1, 1, 2), CHAIN_ORPHAN, "missing-blob");
	expect_from(&h, 2, contribute_two(&h, 2, 1, 3), CHAIN_ORPHAN, "missing-blob");
	give_number(&h, 1);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	assert_int_equal(pending_bytes(&h)->bytes, 4 * BLOB_SIZE);
	expect_from(&h, 3, spend_coinbase(&h, 1, 1000), CHAIN_NEW, "");
	helper_mine(&h, 1);
	assert_true(has_blob(&h, 1));
	assert_int_equal(pending_bytes(&h)->bytes, 2 * BLOB_SIZE);
	expect_from(&h, 3, spend_coinbase(&h, 2, 1000), CHAIN_NEW, "");
	helper_mine(&h, 1);
	assert_false(has_blob(&h, 1));
	assert_int_equal(pending_bytes(&h)->bytes, 0);
	/* What is refused when its bytes have come leaves none either. */
	expect_from(&h, 1, contribute(&h, 3, 1, data), CHAIN_ORPHAN, "missing-blob");
	h.chain->mempool->floor_rate = 1 << 30;
	give_number(&h, 1);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	assert_false(has_blob(&h, 1));
	helper_stop(&h);
}

/* One address has a quarter of the room for bytes that no block has, those in the mempool among them. */
static void test_bytes_of_one_address(void **unused)
{
	uint8_t data[BLOB_SIZE];
	struct helper h;

	(void)unused;
	start(&h, 5);
	helper_commit(&h, 5, BLOB_SIZE, 1, 4, 0);
	pending_bytes(&h)->most = 8 * BLOB_SIZE;
	expect_from(&h, 1, contribute(&h, 1, 1, data), CHAIN_ORPHAN, "missing-blob");
	expect_from(&h, 1, contribute(&h, 2, 2, data), CHAIN_ORPHAN, "missing-blob");
	expect_from(&h, 1, contribute(&h, 3, 3, data), CHAIN_REJECTED, "blob-pool-full");
	give_number(&h, 1);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	expect_from(&h, 1, contribute(&h, 3, 3, data), CHAIN_REJECTED, "blob-pool-full");
	expect_from(&h, 2, contribute(&h, 4, 4, data), CHAIN_ORPHAN, "missing-blob");
	helper_mine(&h, 1);
	expect_from(&h, 1, contribute(&h, 3, 3, data), CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(pending_bytes(&h)->bytes, 3 * BLOB_SIZE);
	helper_stop(&h);
}

/* When all of it is taken, those who wait and have most make room for somebody who has less. */
static void test_bytes_of_many(void **unused)
{
	uint8_t data[BLOB_SIZE];
	struct helper h;

	(void)unused;
	start(&h, 11);
	helper_commit(&h, 11, BLOB_SIZE, 1, 10, 0);
	pending_bytes(&h)->most = 8 * BLOB_SIZE;
	for (uint8_t i = 1; i <= 8; i++)
		expect_from(&h, (i + 1) / 2, contribute(&h, i, i, data), CHAIN_ORPHAN, "missing-blob");
	give_number(&h, 2);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	expect_from(&h, 9, contribute(&h, 9, 9, data), CHAIN_ORPHAN, "missing-blob");
	assert_int_equal(pending_bytes(&h)->bytes, 8 * BLOB_SIZE);
	expect_from(&h, 9, contribute(&h, 10, 10, data), CHAIN_REJECTED, "blob-pool-full");
	assert_int_equal(chain_mempool_count(h.chain), 1);
	give_number(&h, 9);
	assert_int_equal(chain_mempool_count(h.chain), 2);
	helper_stop(&h);
}

/* Nobody is asked for bytes to whose registration the branch has no commitment. */
static void test_uncommitted_bytes(void **unused)
{
	uint8_t data[BLOB_SIZE];
	struct helper h;

	(void)unused;
	start(&h, 3);
	helper_forget(&h);
	expect_from(&h, 1, contribute(&h, 1, 1, data), CHAIN_ORPHAN, "bad-contrib-commitment");
	helper_mine(&h, 1);
	assert_int_equal(h.blobs_wanted, 0);
	helper_commit(&h, 3, BLOB_SIZE, 1, 1, 0);
	assert_int_equal(h.blobs_wanted, 1);
	give_blob(&h, data);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	helper_stop(&h);
}

/* What an earlier run was given for contributions that nobody remembers makes room. */
static void test_leftover_bytes(void **unused)
{
	enum { LARGE = 1 << 24, LARGE_COUNT = BLOBS_PENDING_BUDGET / LARGE };
	uint8_t data[BLOB_SIZE];
	struct helper h;
	char path[1024];

	(void)unused;
	start(&h, 3);
	helper_commit(&h, 3, BLOB_SIZE, 1, 1, 0);
	helper_close(&h);
	for (int i = 0; i < LARGE_COUNT; i++) {
		FILE *file;

		snprintf(path, sizeof path, "%s/blobs/%064x", h.folder, i + 1);
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(fseek(file, LARGE - 1, SEEK_SET), 0);
		assert_int_equal(fputc(0, file), 0);
		assert_int_equal(fclose(file), 0);
	}
	helper_open(&h);
	assert_int_equal(helper_files(&h, "blobs/*"), LARGE_COUNT);
	expect_from(&h, 1, contribute(&h, 1, 1, data), CHAIN_ORPHAN, "missing-blob");
	give_blob(&h, data);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	assert_int_equal(helper_files(&h, "blobs/*"), 1);
	helper_stop(&h);
}

/* What a wallet keeps is let go when it says so, but not what a block or a transaction needs. */
static void test_kept_bytes(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32];
	struct reject reject;
	struct helper h;

	(void)unused;
	start(&h, 3);
	helper_commit(&h, 3, BLOB_SIZE, 1, 1, 0);
	helper_bytes(data, BLOB_SIZE, 1);
	contribution_root(data, BLOB_SIZE, root);
	assert_int_equal(chain_add_blob(h.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	chain_release_blob(h.chain, root);
	assert_false(chain_has_blob(h.chain, root));
	assert_int_equal(chain_add_blob(h.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	expect_from(&h, 1, contribute(&h, 1, 1, data), CHAIN_NEW, "");
	chain_release_blob(h.chain, root);
	assert_true(chain_has_blob(h.chain, root));
	helper_mine(&h, 1);
	chain_release_blob(h.chain, root);
	assert_true(chain_has_blob(h.chain, root));
	helper_stop(&h);
}

/* --- commitments --- */

/* A registration of the bytes of number 3, with a commitment of this salt, paid for by the coinbase at that height. */
static const struct tx *claim(struct helper *h, uint32_t height, uint8_t salt)
{
	uint8_t data[BLOB_SIZE], script[P2TR_SIZE];
	struct contribution contribution;
	int64_t burn = h->spec->burn_rate * BLOB_SIZE;
	struct tx *tx = tx_new();
	struct outpoint outpoint;
	int64_t amount = helper_coinbase(h, height, &outpoint);
	struct buf out;

	helper_bytes(data, sizeof data, 3);
	contribution = helper_contribution(h, data, sizeof data, salt);
	tx_add_input(tx, &outpoint, 0xffffffff);
	script_p2tr(script, h->key);
	tx_add_output(tx, amount - 1000 - burn, script, sizeof script);
	buf_init(&out);
	contribution_script(&out, &contribution);
	tx_add_output(tx, burn, out.data, out.size);
	buf_clear(&out);
	helper_sign(h, tx, amount);
	return tx_seal(tx);
}

/* A chain on which salt 1 was committed to a block before salt 2, and that has the bytes. */
static void start_rivals(struct helper *h, uint8_t root[32])
{
	uint8_t data[BLOB_SIZE];
	struct reject reject;

	start(h, 6);
	helper_commit(h, 5, BLOB_SIZE, 3, 3, 1);
	helper_commit(h, 6, BLOB_SIZE, 3, 3, 2);
	helper_bytes(data, sizeof data, 3);
	contribution_root(data, sizeof data, root);
	assert_int_equal(chain_add_blob(h->chain, root, data, sizeof data, true, &reject), CHAIN_NEW);
}

static void assert_registered(struct helper *h, const uint8_t root[32], uint32_t height, const uint8_t txid[32])
{
	size_t number;
	const struct dataset *dataset = registry_find(chain_registry(h->chain), root, &number);

	assert_non_null(dataset);
	assert_int_equal(number, 1);
	assert_int_equal(dataset->height, height);
	assert_memory_equal(dataset->txid, txid, 32);
}

/* One that is registered before its commitment is old enough waits, and enters by itself. */
static void test_early(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32];
	struct reject reject;
	struct helper h;

	(void)unused;
	start(&h, 3);
	helper_bytes(data, sizeof data, 3);
	contribution_root(data, sizeof data, root);
	assert_int_equal(chain_add_blob(h.chain, root, data, sizeof data, true, &reject), CHAIN_NEW);
	expect(&h, claim(&h, 1, 1), CHAIN_ORPHAN, "bad-contrib-commitment");
	expect(&h, claim(&h, 1, 1), CHAIN_ORPHAN, "bad-contrib-commitment");
	helper_mine(&h, 1);
	assert_int_equal(chain_mempool_count(h.chain), 0);
	helper_commit(&h, 3, BLOB_SIZE, 3, 3, 1);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	helper_mine(&h, 1);
	assert_non_null(registry_find(chain_registry(h.chain), root, NULL));
	assert_int_equal(chain_mempool_count(h.chain), 0);
	/* Opened once, it opens nothing more. */
	expect(&h, claim(&h, 2, 1), CHAIN_REJECTED, "bad-contrib-duplicate");
	helper_stop(&h);
}

/* In the mempool the earlier commitment pushes out the later one, and keeps its place. */
static void test_rivals_wait(void **unused)
{
	const struct tx *earlier;
	uint8_t root[32];
	struct helper h;

	(void)unused;
	start_rivals(&h, root);
	earlier = claim(&h, 2, 1);
	tx_ref(earlier);
	expect(&h, claim(&h, 1, 2), CHAIN_NEW, "");
	helper_forget(&h);
	expect(&h, earlier, CHAIN_NEW, "");
	assert_int_equal(h.txs_removed, 1);
	assert_int_equal(chain_mempool_count(h.chain), 1);
	expect(&h, claim(&h, 1, 2), CHAIN_REJECTED, "txn-mempool-conflict");
	helper_mine(&h, 1);
	assert_registered(&h, root, 11, tx_txid(earlier));
	expect(&h, claim(&h, 1, 2), CHAIN_REJECTED, "bad-contrib-duplicate");
	tx_unref(earlier);
	helper_stop(&h);
}

/* In blocks it takes the place of the later one up to data_delay blocks after it, and no longer; undone, it is as it
 * was. */
static void test_rivals_register(void **unused)
{
	const struct tx *earlier, *later;
	struct errmsg err;
	uint8_t root[32];
	struct helper h;

	(void)unused;
	start_rivals(&h, root);
	earlier = claim(&h, 2, 1);
	later = claim(&h, 1, 2);
	expect(&h, tx_ref(later), CHAIN_NEW, "");
	helper_mine(&h, 1);
	assert_registered(&h, root, 11, tx_txid(later));
	expect(&h, tx_ref(earlier), CHAIN_NEW, "");
	helper_mine(&h, 1);
	assert_registered(&h, root, 11, tx_txid(earlier));
	assert_int_equal(registry_count(chain_registry(h.chain)), 2);
	assert_true(chain_invalidate(h.chain, chain_at(h.chain, 12), &err));
	assert_registered(&h, root, 11, tx_txid(later));
	assert_int_equal(chain_mempool_count(h.chain), 1);
	tx_unref(earlier);
	tx_unref(later);
	helper_stop(&h);
}

/* A block that registers a root takes others of that root out of the mempool. */
static void test_rivals_elsewhere(void **unused)
{
	struct helper a, b;
	uint8_t root[32], data[BLOB_SIZE];
	struct reject reject;

	(void)unused;
	start_rivals(&a, root);
	helper_start(&b);
	helper_feed(&b, &a, 1, 10);
	helper_settle(&b);
	helper_bytes(data, sizeof data, 3);
	assert_int_equal(chain_add_blob(b.chain, root, data, sizeof data, true, &reject), CHAIN_NEW);
	expect(&a, claim(&a, 1, 2), CHAIN_NEW, "");
	expect(&b, claim(&b, 2, 1), CHAIN_NEW, "");
	helper_mine(&a, 1);
	helper_feed(&b, &a, 11, 11);
	helper_settle(&b);
	assert_int_equal(chain_mempool_count(b.chain), 1); /* it may take the other's place yet */
	helper_mine(&a, 1);
	helper_feed(&b, &a, 12, 12);
	helper_settle(&b);
	assert_int_equal(chain_mempool_count(b.chain), 0); /* and no longer */
	expect(&b, claim(&b, 2, 1), CHAIN_REJECTED, "bad-contrib-duplicate");
	helper_stop(&a);
	helper_stop(&b);
}

/* A block has room for so many commitments, and a template takes no more. */
static void test_many_commitments(void **unused)
{
	enum { MANY = 600 };
	uint8_t hash[32] = { 0 }, script[P2TR_SIZE];
	struct outpoint outpoint;
	struct block *block;
	struct helper h;
	struct buf out;

	(void)unused;
	start(&h, 2);
	buf_init(&out);
	commitment_script(&out, hash);
	script_p2tr(script, h.key);
	for (uint32_t height = 1; height <= 2; height++) {
		int64_t amount = helper_coinbase(&h, height, &outpoint);
		struct tx *tx = tx_new();

		tx_add_input(tx, &outpoint, 0xffffffff);
		tx_add_output(tx, amount - 100000 - MANY * COMMITMENT_BURN, script, sizeof script);
		for (int i = 0; i < MANY; i++)
			tx_add_output(tx, COMMITMENT_BURN, out.data, out.size);
		helper_sign(&h, tx, amount);
		expect(&h, tx_seal(tx), CHAIN_NEW, "");
	}
	block = chain_template(h.chain, h.key);
	assert_int_equal(block->tx_count, 2);
	block_unref(block);
	buf_clear(&out);
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_long_chains),
		cmocka_unit_test(test_two_chains),
		cmocka_unit_test(test_selection),
		cmocka_unit_test(test_block_conflict),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_reorganised),
		cmocka_unit_test(test_contributions),
		cmocka_unit_test(test_rising_rate),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_rivals_wait),
		cmocka_unit_test(test_rivals_register),
		cmocka_unit_test(test_rivals_elsewhere),
		cmocka_unit_test(test_many_commitments),
		cmocka_unit_test(test_waiting_of_one_coin),
		cmocka_unit_test(test_waiting_of_one_address),
		cmocka_unit_test(test_vacated_bytes),
		cmocka_unit_test(test_bytes_of_one_address),
		cmocka_unit_test(test_bytes_of_many),
		cmocka_unit_test(test_uncommitted_bytes),
		cmocka_unit_test(test_leftover_bytes),
		cmocka_unit_test(test_kept_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
