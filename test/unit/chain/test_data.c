/* Contributions and their blobs, the pool of loose proofs, and proofs that are false. */
#include <unistd.h>

#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "chain/mempool/mempool.h"
#include "chain/novelty/judge.h"
#include "consensus/branch/registry_state.h"
#include "consensus/payload/contribution.h"
#include "consensus/spec.h"
#include "util/mem.h"

enum { BLOB_SIZE = 33000 };

static const struct tx *contribute(struct helper *h, uint32_t height, unsigned number, uint8_t *data, uint8_t root[32])
{
	struct outpoint outpoint;
	int64_t amount = helper_coinbase(h, height, &outpoint);

	helper_bytes(data, BLOB_SIZE, number);
	contribution_root(data, BLOB_SIZE, root);
	return helper_spend(h, &outpoint, amount, 10000, data, BLOB_SIZE);
}

static const struct source stranger = { .peer = 4, .group = { 4 } };

static void assert_blob(struct helper *h, const uint8_t root[32], const uint8_t *data)
{
	struct buf read;

	buf_init(&read);
	assert_int_equal(chain_blob_size(h->chain, root), BLOB_SIZE);
	assert_true(chain_read_piece(h->chain, root, 0, BLOB_SIZE, &read, NULL));
	assert_memory_equal(read.data, data, BLOB_SIZE);
	buf_clear(&read);
}

/* The transaction waits for its bytes; so does, on another node, the block that holds it. */
static void test_blob_missing(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32], wrong[32];
	struct helper a, b;
	struct reject reject;
	size_t number;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 3);
	helper_commit(&a, 1, BLOB_SIZE, 5, 5, 0);
	helper_feed(&b, &a, 1, 4);
	helper_settle(&b);
	helper_forget(&a);
	assert_int_equal(chain_add_tx(a.chain, contribute(&a, 2, 5, data, root), &stranger, &reject), CHAIN_ORPHAN);
	assert_string_equal(reject.reason, "missing-blob");
	assert_int_equal(a.blobs_wanted, 1);
	assert_memory_equal(a.wanted, root, 32);
	assert_int_equal(chain_mempool_count(a.chain), 0);
	assert_int_equal(chain_add_tx(a.chain, contribute(&a, 2, 5, data, root), &stranger, &reject), CHAIN_ORPHAN);
	assert_string_equal(reject.reason, "missing-blob"); /* asked again, it says so again */
	/* Bytes that nobody asked for, and bytes of another root. */
	contribution_root(data, BLOB_SIZE - 1, wrong);
	assert_int_equal(chain_add_blob(a.chain, wrong, data, BLOB_SIZE - 1, false, &reject), CHAIN_ORPHAN);
	assert_int_equal(chain_add_blob(a.chain, wrong, data, BLOB_SIZE, true, &reject), CHAIN_REJECTED);
	assert_int_equal(chain_add_blob(a.chain, root, data, BLOB_SIZE - 1, false, &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "bad-blob-root");
	data[7] ^= 1;
	assert_int_equal(chain_add_blob(a.chain, root, data, BLOB_SIZE, false, &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "bad-blob-root");
	data[7] ^= 1;
	assert_int_equal(chain_add_blob(a.chain, root, data, BLOB_SIZE, false, &reject), CHAIN_NEW);
	assert_int_equal(a.txs_added, 1);
	assert_int_equal(chain_mempool_count(a.chain), 1);
	helper_mine(&a, 1);
	assert_non_null(registry_find(chain_registry(a.chain), root, &number));

	helper_forget(&b);
	helper_feed(&b, &a, 5, 5);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 4);
	assert_int_equal(b.blobs_wanted, 1);
	assert_memory_equal(b.wanted, root, 32);
	/* It still waits after a restart, and says so to who subscribes then, but not to who has left. */
	helper_forget(&b);
	helper_close(&b);
	helper_open(&b);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 4);
	assert_int_equal(b.blobs_wanted, 1);
	chain_unsubscribe(b.chain, &b);
	assert_int_equal(chain_add_blob(b.chain, root, data, BLOB_SIZE, false, &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 5);
	assert_blob(&b, root, data);
	helper_stop(&a);
	helper_stop(&b);
}

/* A blob's file that is taken away under the running node is asked for as soon as a step needs it. */
static void test_blob_taken_away(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32];
	struct helper a, b;
	struct reject reject;
	const struct index_entry *tip;
	struct block_outcome did;
	bool trained = false;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 3);
	helper_commit(&a, 1, BLOB_SIZE, 5, 5, 0);
	tx_unref(contribute(&a, 2, 5, data, root));
	assert_int_equal(chain_add_blob(a.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	assert_int_equal(chain_add_blob(b.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	assert_int_equal(chain_add_tx(a.chain, contribute(&a, 2, 5, data, root), NULL, &reject), CHAIN_NEW);
	helper_mine(&a, 1);
	helper_feed(&b, &a, 1, 5);
	helper_settle(&b);
	helper_remove(&b, "blobs/*");
	helper_forget(&b);
	while (!trained) {
		helper_mine(&a, 1);
		tip = chain_tip(a.chain);
		chain_outcome(tip, &did);
		for (uint32_t slot = 0; slot < a.spec->slots; slot++)
			trained = trained || (did.dataset[slot] == 1 && did.outcome.slot[slot].count > 0);
		helper_feed(&b, &a, tip->height, tip->height);
		helper_settle(&b);
	}
	assert_int_equal(b.blobs_wanted, 1);
	assert_memory_equal(b.wanted, root, 32);
	assert_int_equal(chain_tip(b.chain)->height + 1, tip->height);
	assert_int_equal(chain_add_blob(b.chain, root, data, BLOB_SIZE, false, &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, tip->id, 32);
	helper_stop(&a);
	helper_stop(&b);
}

/* A block whose own proof is made up costs one step: nobody is asked for the blobs it registers, which may
 * not exist. */
static void test_false_registration(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32], ticket[32];
	struct helper a, b;
	struct reject reject;
	struct block *block;
	struct u256 target;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 3);
	helper_commit(&a, 1, BLOB_SIZE, 5, 5, 0);
	helper_feed(&b, &a, 1, 4);
	helper_settle(&b);
	tx_unref(contribute(&a, 2, 5, data, root));
	assert_int_equal(chain_add_blob(a.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	assert_int_equal(chain_add_tx(a.chain, contribute(&a, 2, 5, data, root), NULL, &reject), CHAIN_NEW);
	block = chain_template(a.chain, a.key);
	assert_int_equal(block->tx_count, 2);
	assert_true(target_from_compact(block->header.bits, &target));
	do {
		block->header.digest[0]++;
		header_ticket(&block->header, ticket);
	} while (!target_met(ticket, target));
	helper_forget(&b);
	assert_int_equal(chain_add_block(b.chain, block_seal(block), helper_source(7), &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_int_equal(b.refused, 1);
	assert_string_equal(b.reason, "bad-proof-digest");
	assert_int_equal(b.blobs_wanted, 0);
	helper_stop(&a);
	helper_stop(&b);
}

/* A blob that rots on disk is found out, asked for, and replaced; by itself after a start, if nobody needs it before.
 */
static void check_rot(struct helper *h, const uint8_t root[32], const uint8_t *data, bool is_needed)
{
	struct reject reject;
	struct errmsg err;
	struct buf bytes;

	helper_close(h);
	helper_flip(h, "blobs/*", 100);
	helper_open(h);
	buf_init(&bytes);
	if (is_needed)
		assert_false(chain_read_piece(h->chain, root, 0, 1, &bytes, &err));
	else
		helper_settle(h);
	buf_clear(&bytes);
	assert_false(chain_has_blob(h->chain, root));
	assert_int_equal(chain_add_blob(h->chain, root, data, BLOB_SIZE, false, &reject), CHAIN_NEW);
	assert_true(chain_has_blob(h->chain, root));
}

/* Datasets are drawn, steps train on them, their owner is paid, and a node that replays agrees; and on the way back
 * over the registration the registry forgets it. */
static void test_dataset_lives(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32], tip[32];
	struct helper a, b, c;
	struct reject reject;
	struct errmsg err;
	struct block_outcome did;
	size_t number;
	bool drawn = false;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 3);
	helper_commit(&a, 1, BLOB_SIZE, 5, 5, 0);
	tx_unref(contribute(&a, 2, 5, data, root));
	assert_int_equal(chain_add_blob(a.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	assert_int_equal(chain_add_tx(a.chain, contribute(&a, 2, 5, data, root), NULL, &reject), CHAIN_NEW);
	for (int i = 0; i < 12; i++) {
		helper_mine_loose(&a);
		helper_mine(&a, 1);
		chain_outcome(chain_tip(a.chain), &did);
		for (uint32_t slot = 0; slot < a.spec->slots; slot++)
			drawn = drawn || did.dataset[slot] == 1;
	}
	assert_true(drawn);
	assert_int_equal(chain_add_blob(b.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	helper_feed(&b, &a, 1, chain_tip(a.chain)->height);
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	/* The same root again is refused, in the mempool and in a block. */
	assert_int_equal(chain_add_tx(a.chain, contribute(&a, 3, 5, data, root), NULL, &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "bad-contrib-duplicate");
	assert_true(chain_invalidate(b.chain, chain_at(b.chain, 5), &err));
	assert_null(registry_find(chain_registry(b.chain), root, &number));
	/* On a branch that leaves before the registration nobody draws the dataset: a node on the other side knows. */
	memcpy(tip, chain_tip(a.chain)->id, 32);
	helper_start(&c);
	helper_key(&c, 0x55);
	helper_feed(&c, &a, 1, 4);
	helper_settle(&c);
	helper_mine(&c, 13);
	helper_forget(&a);
	helper_feed(&a, &c, 5, 17);
	helper_settle(&a);
	assert_int_equal(a.refused, 0);
	assert_memory_equal(chain_tip(a.chain)->id, chain_tip(c.chain)->id, 32);
	assert_null(registry_find(chain_registry(a.chain), root, &number));
	assert_true(chain_invalidate(a.chain, chain_at(a.chain, 5), &err));
	assert_memory_equal(chain_tip(a.chain)->id, tip, 32);
	helper_stop(&c);
	assert_true(chain_reconsider(b.chain, chain_find(b.chain, chain_tip(a.chain)->id), &err));
	helper_settle(&b);
	assert_memory_equal(chain_tip(b.chain)->id, chain_tip(a.chain)->id, 32);
	check_rot(&b, root, data, true);
	check_rot(&b, root, data, false);
	helper_stop(&a);
	helper_stop(&b);
}

/* --- novelty --- */

/* Into the mempool whatever it registers, as a miner of other rules would. */
static void force_into_pool(struct helper *h, const struct tx *tx)
{
	struct mempool_tx *forced = mem_calloc(1, sizeof *forced);

	forced->entry.tx = tx;
	memcpy(forced->entry.txid, tx_txid(tx), 32);
	memcpy(forced->entry.wtxid, tx_wtxid(tx), 32);
	forced->entry.fee = 10000;
	forced->entry.weight = tx_weight(tx);
	forced->size = (forced->entry.weight + 3) / 4;
	mempool_insert(h->chain->mempool, forced);
}

static const struct tx *contribute_bytes(struct helper *h, uint32_t height, const uint8_t *data)
{
	struct outpoint outpoint;
	int64_t amount = helper_coinbase(h, height, &outpoint);

	return helper_spend(h, &outpoint, amount, 10000, data, BLOB_SIZE);
}

/* Keeps the bytes, and offers the transaction that registers them. */
static void expect_contribution(struct helper *h, uint32_t height, const uint8_t *data, enum chain_result result,
	const char *reason)
{
	struct reject reject = { .reason = "" };
	uint8_t root[32];

	contribution_root(data, BLOB_SIZE, root);
	chain_add_blob(h->chain, root, data, BLOB_SIZE, true, &reject);
	reject.reason = "";
	assert_int_equal(chain_add_tx(h->chain, contribute_bytes(h, height, data), NULL, &reject), result);
	assert_string_equal(reject.reason, reason);
}

/* The 8th block, with commitments to these bytes. */
static void commit_bytes(struct helper *h, const uint8_t *const *bytes, size_t count)
{
	struct contribution contributions[4];

	helper_mine(h, 7);
	for (size_t i = 0; i < count; i++)
		contributions[i] = helper_contribution(h, bytes[i], BLOB_SIZE, 0);
	helper_commit_to(h, 5, contributions, count);
}

/* A block with what was forced into the pool is refused, and the pool is emptied. */
static void expect_refused_block(struct helper *h, const char *reason)
{
	uint32_t height = chain_tip(h->chain)->height;
	struct reject reject;

	helper_forget(h);
	assert_int_equal(helper_offer(h, chain_template(h->chain, h->key), &reject), CHAIN_NEW);
	assert_int_equal(chain_tip(h->chain)->height, height);
	assert_int_equal(h->refused, 1);
	assert_string_equal(h->reason, reason);
}

/* Every 32nd byte is another. */
static void make_near_copy(uint8_t *copy, const uint8_t *data)
{
	memcpy(copy, data, BLOB_SIZE);
	for (size_t i = 7; i < BLOB_SIZE; i += 32)
		copy[i] ^= 0x55;
}

/* What resembles a dataset is refused by the mempool and in blocks, after a restart and a reindex too; and what
 * resembles another that waits. */
static void test_near_copies(void **unused)
{
	static uint8_t data[BLOB_SIZE], copy[BLOB_SIZE], other[BLOB_SIZE], other_copy[BLOB_SIZE];
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_bytes(data, BLOB_SIZE, 5);
	helper_bytes(other, BLOB_SIZE, 6);
	make_near_copy(copy, data);
	make_near_copy(other_copy, other);
	commit_bytes(&h, (const uint8_t *const[]){ data, copy, other, other_copy }, 4);
	expect_contribution(&h, 1, data, CHAIN_NEW, "");
	expect_contribution(&h, 2, copy, CHAIN_REJECTED, "txn-mempool-conflict");
	helper_mine(&h, 1);
	expect_contribution(&h, 2, copy, CHAIN_REJECTED, "bad-contrib-novelty");
	force_into_pool(&h, contribute_bytes(&h, 2, copy));
	expect_refused_block(&h, "bad-contrib-novelty");
	helper_close(&h);
	helper_open(&h);
	expect_contribution(&h, 2, copy, CHAIN_REJECTED, "bad-contrib-novelty");
	helper_close(&h);
	h.reindex = true;
	helper_open(&h);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, 9);
	expect_contribution(&h, 2, copy, CHAIN_REJECTED, "bad-contrib-novelty");
	/* Two of one block. */
	expect_contribution(&h, 3, other, CHAIN_NEW, "");
	expect_contribution(&h, 4, other_copy, CHAIN_REJECTED, "txn-mempool-conflict");
	force_into_pool(&h, contribute_bytes(&h, 4, other_copy));
	expect_refused_block(&h, "bad-contrib-novelty");
	helper_stop(&h);
}

/* Data in quarantine are not registered again, with another byte either. (It takes many draws to get there; here it is
 * written down.) */
static void test_quarantined_copies(void **unused)
{
	static uint8_t data[BLOB_SIZE], changed[BLOB_SIZE];
	struct registry *registry;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_bytes(data, BLOB_SIZE, 5);
	memcpy(changed, data, BLOB_SIZE);
	changed[4711] ^= 1;
	commit_bytes(&h, (const uint8_t *const[]){ data, changed }, 2);
	expect_contribution(&h, 1, data, CHAIN_NEW, "");
	helper_mine(&h, 2);
	registry = (struct registry *)chain_registry(h.chain);
	assert_true(registry_can_draw(registry, 1));
	registry->datasets.list[1].quarantined_until = 1000;
	assert_false(registry_can_draw(registry, 1));
	expect_contribution(&h, 2, data, CHAIN_REJECTED, "bad-contrib-duplicate");
	expect_contribution(&h, 2, changed, CHAIN_REJECTED, "bad-contrib-novelty");
	force_into_pool(&h, contribute_bytes(&h, 2, changed));
	expect_refused_block(&h, "bad-contrib-novelty");
	helper_stop(&h);
}

/* A dataset that a reorganisation takes away is resembled by nobody; and who waits while one comes that it resembles
 * goes. */
static void test_novelty_follows_branch(void **unused)
{
	static uint8_t data[BLOB_SIZE], copy[BLOB_SIZE];
	uint8_t root[32];
	struct helper a, b, c;
	struct reject reject;
	struct errmsg err;

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_bytes(data, BLOB_SIZE, 5);
	make_near_copy(copy, data);
	commit_bytes(&a, (const uint8_t *const[]){ data, copy }, 2);
	helper_feed(&b, &a, 1, 8);
	helper_settle(&b);
	expect_contribution(&a, 1, data, CHAIN_NEW, "");
	helper_mine(&a, 1);
	contribution_root(data, BLOB_SIZE, root);
	/* b holds the copy, and another brings the block with the original. */
	expect_contribution(&b, 2, copy, CHAIN_NEW, "");
	assert_int_equal(chain_add_blob(b.chain, root, data, BLOB_SIZE, true, &reject), CHAIN_NEW);
	helper_forget(&b);
	helper_feed(&b, &a, 9, 9);
	helper_settle(&b);
	assert_int_equal(chain_tip(b.chain)->height, 9);
	assert_int_equal(b.txs_removed, 1);
	assert_string_equal(b.reason, "bad-contrib-novelty");
	/* Without that block it may be registered, and then the original may not. */
	expect_contribution(&a, 2, copy, CHAIN_REJECTED, "bad-contrib-novelty");
	assert_true(chain_invalidate(a.chain, chain_at(a.chain, 9), &err));
	assert_int_equal(chain_mempool_count(a.chain), 1);
	expect_contribution(&a, 2, copy, CHAIN_REJECTED, "txn-mempool-conflict");
	helper_start(&c);
	helper_feed(&c, &a, 1, 8);
	helper_settle(&c);
	expect_contribution(&c, 2, copy, CHAIN_NEW, "");
	helper_key(&c, 0x66);
	helper_mine(&c, 2);
	helper_feed(&a, &c, 9, 10);
	helper_settle(&a);
	assert_int_equal(chain_tip(a.chain)->height, 10);
	assert_int_equal(chain_mempool_count(a.chain), 0);
	expect_contribution(&a, 1, data, CHAIN_REJECTED, "bad-contrib-novelty");
	helper_stop(&a);
	helper_stop(&b);
	helper_stop(&c);
}

/* Poor pages are refused whatever is registered, and asked for no more. */
static void test_poor_pages(void **unused)
{
	static uint8_t data[BLOB_SIZE];
	struct reject reject;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_bytes(data, BLOB_SIZE, 5);
	memset(data + 4096, 0, 4096);
	commit_bytes(&h, (const uint8_t *const[]){ data }, 1);
	expect_contribution(&h, 1, data, CHAIN_REJECTED, "bad-contrib-pages");
	helper_forget(&h);
	assert_int_equal(chain_add_tx(h.chain, contribute_bytes(&h, 1, data), &stranger, &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "bad-contrib-pages");
	assert_non_null(strstr(reject.detail, "page 1, at byte 4096"));
	assert_int_equal(h.blobs_wanted, 0);
	force_into_pool(&h, contribute_bytes(&h, 1, data));
	expect_refused_block(&h, "bad-contrib-pages");
	helper_stop(&h);
}

/* The header of a loose proof for a's tip that is right, or (false) whose digest is made up. */
static struct header loose_header(struct helper *h, bool right)
{
	struct block *block = chain_template(h->chain, h->key);
	struct header header;
	struct u256 target;
	uint8_t ticket[32];

	if (right) {
		free(helper_solve(h, block, true));
	} else {
		assert_true(target_from_compact(block->header.bits, &target));
		do {
			block->header.digest[0]++;
			header_ticket(&block->header, ticket);
		} while (target_met(ticket, target));
	}
	header = block->header;
	block_unref(block);
	return header;
}

static void test_loose_proofs(void **unused)
{
	struct header right, wrong, late, passed;
	struct helper a, b;
	struct reject reject;
	uint8_t id[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	helper_mine(&a, 1);
	late = loose_header(&a, true);
	helper_feed(&b, &a, 1, 1);
	helper_settle(&b);
	helper_key(&a, 0x22);
	right = loose_header(&a, true);
	helper_key(&a, 0x33);
	wrong = loose_header(&a, false);
	helper_key(&a, 0x66);
	passed = loose_header(&a, true);
	assert_int_equal(chain_add_loose(b.chain, &right, helper_source(1), &reject), CHAIN_NEW);
	assert_int_equal(chain_add_loose(b.chain, &right, helper_source(1), &reject), CHAIN_KNOWN);
	assert_int_equal(chain_add_loose(b.chain, &wrong, helper_source(2), &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_int_equal(b.proofs_right, 1);
	assert_int_equal(b.proofs_wrong, 1);
	assert_string_equal(b.reason, "bad-proof-digest");
	assert_int_equal(chain_loose_count(b.chain), 1);
	/* Its verdict is remembered. */
	assert_int_equal(chain_add_loose(b.chain, &wrong, helper_source(2), &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "bad-proof-digest");
	wrong = right;
	wrong.digest[4] ^= 1;
	assert_int_equal(chain_add_loose(b.chain, &wrong, helper_source(2), &reject), CHAIN_REJECTED);
	header_id(&right, id);
	assert_true(chain_loose_known(b.chain, id));
	/* The next block pays it, and its body need not be computed again. */
	helper_mine(&b, 1);
	assert_int_equal(chain_tip(b.chain)->loose_count, 1);
	assert_int_equal(chain_loose_count(b.chain), 0);
	/* It came late, and another too late. */
	assert_int_equal(chain_add_loose(b.chain, &late, helper_source(1), &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_int_equal(b.proofs_right, 2);
	assert_int_equal(chain_late_count(b.chain), 1);
	helper_mine(&b, BLOCK_LATE_BACK);
	assert_int_equal(chain_late_count(b.chain), 0);
	assert_int_equal(chain_add_loose(b.chain, &passed, helper_source(1), &reject), CHAIN_ORPHAN);
	helper_stop(&a);
	helper_stop(&b);
}

/* A block whose own proof, or one of whose loose proofs, is made up. */
static void test_false_blocks(void **unused)
{
	struct helper a, b;
	struct reject reject;
	struct header wrong;
	struct block *block;
	struct u256 target;
	uint8_t ticket[32];

	(void)unused;
	helper_start(&a);
	helper_start(&b);
	block = chain_template(a.chain, a.key);
	assert_true(target_from_compact(block->header.bits, &target));
	do {
		block->header.digest[0]++;
		header_ticket(&block->header, ticket);
	} while (!target_met(ticket, target));
	assert_int_equal(chain_add_block(b.chain, block_seal(block), helper_source(9), &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_int_equal(b.refused, 1);
	assert_int_equal(b.proven, 0);
	assert_string_equal(b.reason, "bad-proof-digest");
	assert_int_equal(chain_tip(b.chain)->height, 0);

	/* A miner who put a made-up proof into his own pool. */
	helper_forget(&b);
	helper_key(&a, 0x44);
	wrong = loose_header(&a, false);
	assert_true(candidates_put(a.chain, &wrong));
	block = chain_template(a.chain, a.key);
	assert_int_equal(block->loose_count, 1);
	free(helper_solve(&a, block, false));
	assert_int_equal(chain_add_block(b.chain, block_seal(block), helper_source(9), &reject), CHAIN_NEW);
	helper_settle(&b);
	assert_int_equal(b.proven, 1);
	assert_int_equal(b.refused, 1);
	assert_string_equal(b.reason, "bad-proof-digest");
	helper_mine(&b, 1);
	helper_stop(&a);
	helper_stop(&b);
}

/* What an auditor recomputes from disk is what was accepted. */
static void test_audit(void **unused)
{
	struct block_outcome did;
	struct chain_audit *audit;
	struct verify_job *job;
	struct verdict verdict;
	struct errmsg err;
	struct helper h;

	(void)unused;
	helper_start(&h);
	helper_mine(&h, 2);
	helper_mine_loose(&h);
	helper_mine(&h, 3);
	for (uint32_t height = 1; height <= 5; height++) {
		const struct index_entry *entry = chain_at(h.chain, height);

		assert_null(chain_audit_missing(h.chain, entry));
		audit = chain_audit_new(h.chain, entry, &err);
		assert_non_null(audit);
		assert_true(chain_audit_read(audit, &err));
		job = chain_audit_job(audit);
		assert_int_equal(job->proof_count, 1 + entry->loose_count);
		assert_null(job->proofs[0].delta);
		verify_run(job, &verdict);
		assert_true(verdict.valid);
		assert_memory_equal(state_root(verdict.state), entry->model_root_after, 32);
		assert_int_equal(verdict.outcome.slot[0].value, chain_outcome(entry, &did)->outcome.slot[0].value);
		state_unref(verdict.state);
		chain_audit_free(audit);
	}
	/* The bodies are not read by who gathers. */
	audit = chain_audit_new(h.chain, chain_at(h.chain, 5), &err);
	assert_non_null(audit);
	helper_flip(&h, "blocks/blk00000.dat", (long)entry_full(chain_at(h.chain, 5))->bodies.offset + 100);
	assert_false(chain_audit_read(audit, &err));
	assert_non_null(strstr(err.text, "-reindex"));
	chain_audit_free(audit);
	helper_stop(&h);
}

/* A large blob is judged by a job; whoever needs the verdict before the job is done gets one that stays, samples and
 * all, and the job's counts no more. */
static void test_judged_at_once(void **unused)
{
	enum { LARGE = 200000 };
	uint8_t *data = mem_alloc(LARGE), root[32];
	struct reject reject;
	struct helper helper;
	struct errmsg err;

	(void)unused;
	helper_start(&helper);
	helper.spec->blob_max = LARGE;
	helper_bytes(data, LARGE, 8);
	contribution_root(data, LARGE, root);
	assert_int_equal(chain_add_blob(helper.chain, root, data, LARGE, true, &reject), CHAIN_NEW);
	judge_begin(helper.chain->judge, helper.chain->registry, root);
	assert_false(judge_is_ready(helper.chain->judge, root));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(judge_blob(helper.chain->judge, helper.chain->registry, root, &reject, &err),
			JUDGE_GOOD);
		assert_non_null(judge_novelty(helper.chain->judge, root));
		helper_settle(&helper);
	}
	judge_begin(helper.chain->judge, helper.chain->registry, root);
	assert_true(judge_is_ready(helper.chain->judge, root));
	helper_stop(&helper);
	free(data);
}

static void count_told(void *context)
{
	(*(int *)context)++;
}

/* Bytes that are handed in are judged by a job too, where they are large; who does not wait any more is not told, and
 * who is first of several is. */
static void test_judged_soon(void **unused)
{
	enum { LARGE = 200000 };
	uint8_t *data = mem_alloc(LARGE), root[32];
	int told = 0, other_told = 0, forgetful_told = 0;
	struct reject reject;
	struct helper helper;

	(void)unused;
	helper_start(&helper);
	helper.spec->blob_max = LARGE;
	helper_bytes(data, LARGE, 8);
	contribution_root(data, LARGE, root);
	assert_true(chain_judge_blob_soon(helper.chain, root, data, LARGE, count_told, &told));
	assert_false(chain_judge_blob_soon(helper.chain, root, data, LARGE, count_told, &other_told));
	assert_false(judge_is_ready(helper.chain->judge, root));
	memset(data, 0, LARGE);
	helper_settle(&helper);
	assert_int_equal(told, 1);
	assert_int_equal(other_told, 0);
	assert_true(judge_is_ready(helper.chain->judge, root));
	assert_true(chain_judge_blob(helper.chain, root, data, LARGE, &reject));
	assert_false(chain_judge_blob_soon(helper.chain, root, data, LARGE, count_told, &told));
	helper_bytes(data, LARGE, 9);
	contribution_root(data, LARGE, root);
	assert_true(chain_judge_blob_soon(helper.chain, root, data, LARGE, count_told, &forgetful_told));
	chain_judge_forget(helper.chain, &forgetful_told);
	helper_settle(&helper);
	assert_int_equal(forgetful_told, 0);
	assert_true(judge_is_ready(helper.chain->judge, root));
	helper_bytes(data, BLOB_SIZE, 10);
	contribution_root(data, BLOB_SIZE, root);
	assert_false(chain_judge_blob_soon(helper.chain, root, data, BLOB_SIZE, count_told, &told));
	helper_stop(&helper);
	free(data);
}

/* A database that cannot tell which datasets have a blob's samples stops the node: by a job, and at once. */
static void check_unreadable_samples(size_t size)
{
	uint8_t *data = mem_alloc(size), root[32], sample_key[9] = { DB_SAMPLE };
	struct db_batch *batch = db_batch_new();
	struct novelty novelty;
	struct helper helper;
	struct reject reject;
	struct errmsg err;

	helper_start(&helper);
	helper.spec->blob_max = (uint32_t)size;
	helper_bytes(data, size, 8);
	contribution_root(data, size, root);
	assert_true(novelty_sample(&novelty, data, size));
	for (int i = 0; i < 8; i++)
		sample_key[1 + i] = (uint8_t)(novelty.samples[0] >> (56 - 8 * i));
	db_batch_put(batch, sample_key, sizeof sample_key, "", 0);
	assert_true(db_write(helper.chain->db, batch, false, &err));
	db_batch_free(batch);
	assert_int_equal(chain_add_blob(helper.chain, root, data, size, true, &reject), CHAIN_NEW);
	helper_settle(&helper);
	assert_true(helper.chain->failed);
	assert_non_null(strstr(helper.chain->failure.text, "damaged"));
	novelty_clear(&novelty);
	helper_stop(&helper);
	free(data);
}

static void test_unreadable_samples(void **unused)
{
	(void)unused;
	check_unreadable_samples(200000);
	check_unreadable_samples(BLOB_SIZE);
}

static void nothing_ready(void *context, const struct errmsg *failure)
{
	(void)context;
	assert_null(failure);
}

/* All blobs of a block must have verdicts at a time, however much the spec lets a block register. */
static void test_verdicts_of_a_block(void **unused)
{
	enum { SMALLEST = 32768 };
	static uint8_t data[SMALLEST]; /* one value: refused by its first page */
	uint8_t root[32] = { 0 };
	struct judge_options options;
	struct helper helper;
	struct judge *judge;
	struct spec large, main_spec;
	struct errmsg err;

	(void)unused;
	assert_true(spec_builtin(&main_spec, "main"));
	helper_start(&helper);
	large = *helper.spec;
	large.blob_min = SMALLEST;
	large.blob_budget = 1 << 29;
	large.pages = main_spec.pages;
	options = (struct judge_options){
		.spec = &large,
		.db = helper.chain->db,
		.blobs = helper.chain->blobs,
		.queue = helper.chain->queue,
		.ready = nothing_ready,
	};
	judge = judge_new(&options);
	for (uint32_t i = 0; i < large.blob_budget / SMALLEST; i++) {
		memcpy(root, &i, sizeof i);
		assert_int_equal(judge_bytes(judge, helper.chain->registry, root, data, SMALLEST, NULL, &err),
			JUDGE_BAD);
	}
	memset(root, 0, sizeof root);
	assert_true(judge_is_ready(judge, root));
	judge_free(judge);
	helper_stop(&helper);
}

/* The last bytes of a blob. */
static bool gather_end(void *context, const struct course_data *data)
{
	return data->read(data->context, data->size - 32, context, 32);
}

static enum blobs_found gather_file(struct helper *h, const uint8_t root[32], bool is_checked, uint8_t end[32])
{
	struct errmsg err;

	memset(end, 0, 32);
	return blobs_gather_file(h->chain->blobs, root, BLOB_SIZE, is_checked, gather_end, end, &err);
}

/* By a worker: one that nobody has looked at is looked at first. */
static void test_gathered_from_file(void **unused)
{
	uint8_t data[BLOB_SIZE], root[32], end[32];
	struct helper h;
	struct errmsg err;
	char *path;

	(void)unused;
	helper_start(&h);
	helper_bytes(data, sizeof data, 1);
	contribution_root(data, sizeof data, root);
	assert_int_equal(blobs_put(h.chain->blobs, root, data, sizeof data, BLOBS_PENDING, &err), BLOBS_STORED);
	path = blobs_path(h.chain->blobs, root);
	for (int is_checked = 0; is_checked <= 1; is_checked++) {
		assert_int_equal(gather_file(&h, root, is_checked, end), BLOBS_SOUND);
		assert_memory_equal(end, data + sizeof data - 32, 32);
	}
	helper_flip(&h, "blobs/*", 100);
	assert_int_equal(gather_file(&h, root, false, end), BLOBS_DAMAGED);
	assert_int_equal(gather_file(&h, root, true, end), BLOBS_SOUND);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(gather_file(&h, root, true, end), BLOBS_DAMAGED);
	helper_remove(&h, "blobs/*");
	assert_int_equal(gather_file(&h, root, true, end), BLOBS_DAMAGED);
	free(path);
	helper_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blob_missing),
		cmocka_unit_test(test_judged_at_once),
		cmocka_unit_test(test_blob_taken_away),
		cmocka_unit_test(test_gathered_from_file),
		cmocka_unit_test(test_false_registration),
		cmocka_unit_test(test_dataset_lives),
		cmocka_unit_test(test_near_copies),
		cmocka_unit_test(test_quarantined_copies),
		cmocka_unit_test(test_novelty_follows_branch),
		cmocka_unit_test(test_poor_pages),
		cmocka_unit_test(test_loose_proofs),
		cmocka_unit_test(test_false_blocks),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_judged_soon),
		cmocka_unit_test(test_unreadable_samples),
		cmocka_unit_test(test_verdicts_of_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
