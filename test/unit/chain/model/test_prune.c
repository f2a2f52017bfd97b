/* Pruning: what goes and what stays, at which height, whatever interrupts it; and branches that begin where nothing is
 * left. */
#include "chain/chain_helper.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "util/clock.h"
#include "util/warning.h"

/* The least that a chain with rounds of 8 blocks keeps; the helper has snapshots each fourth block; which of them stay.
 */
enum { KEPT = 128 + 2 * 8, INTERVAL = 4, STRIDE = 16 };

static void prune_all(struct helper *h)
{
	helper_settle(h);
	do
		chain_tick(h->chain);
	while (h->chain->pruning.done < h->chain->pruning.height);
	assert_int_equal(h->fatals, 0);
}

static bool has_bodies(struct helper *h, uint32_t height)
{
	struct full_entry *full = entry_full(chain_at(h->chain, height));
	struct errmsg err;
	struct buf bodies;
	bool has;

	buf_init(&bodies);
	has = record_file_read(h->chain->blocks, RECORD_BODIES, &full->bodies, &bodies, &err);
	buf_clear(&bodies);
	return has;
}

/* A file of bytes that a run disclosed, as it seems, noted for a block of that height. */
static void disclose(struct helper *h, uint8_t number, uint32_t height)
{
	const uint8_t root[32] = { number };
	struct db_batch *batch = db_batch_new();
	struct errmsg err;

	assert_int_equal(blobs_put(h->chain->blobs, root, root, sizeof root, BLOBS_SETTLED, &err), BLOBS_STORED);
	assert_true(prune_note_blob(h->chain, batch, root, height, &err));
	assert_true(db_write(h->chain->db, batch, true, &err));
	db_batch_free(batch);
}

static bool is_disclosed(struct helper *h, uint8_t number)
{
	const uint8_t root[32] = { number };

	return chain_has_blob(h->chain, root);
}

static void expect_state(struct helper *h, uint32_t height, bool expected)
{
	struct errmsg err = { "" };
	struct state *state = states_rebuild(h->chain->states, entry_full(chain_at(h->chain, height)), NULL, &err);

	assert_int_equal(state != NULL, expected);
	if (!expected)
		assert_non_null(strstr(err.text, "are pruned"));
	state_unref(state);
}

/* As in a new process: nothing is in memory. */
static void reopen(struct helper *h)
{
	helper_close(h);
	helper_open(h);
}

/* A chain that is pruned from the beginning. */
static void start(struct helper *h)
{
	helper_start(h);
	helper_close(h);
	h->prune = KEPT;
	helper_open(h);
}

static void mine_to(struct helper *h, uint32_t height)
{
	helper_mine(h, height - chain_tip(h->chain)->height);
	prune_all(h);
}

static void test_heights(void **unused)
{
	struct helper h;
	uint64_t before;

	(void)unused;
	start(&h);
	mine_to(&h, KEPT);
	disclose(&h, 1, 4);
	disclose(&h, 2, 16);
	disclose(&h, 3, 17);
	/* Named by several blocks: the last one counts. */
	disclose(&h, 4, 9);
	disclose(&h, 4, 17);
	disclose(&h, 4, 2);
	/* More than go at a time. */
	for (uint8_t number = 10; number < 20; number++)
		disclose(&h, number, STRIDE - number % 8);
	assert_int_equal(chain_pruned(h.chain), 0);
	/* The first snapshot lies in the middle of a round, whose bytes its merge needs. */
	mine_to(&h, KEPT + INTERVAL);
	assert_int_equal(chain_pruned(h.chain), INTERVAL);
	assert_false(has_bodies(&h, INTERVAL));
	assert_true(has_bodies(&h, INTERVAL + 1));
	assert_true(is_disclosed(&h, 1));
	/* Not each snapshot stays, and so what is kept may be more by an eighth. */
	mine_to(&h, KEPT + STRIDE - 1);
	assert_int_equal(chain_pruned(h.chain), INTERVAL);
	before = chain_disk_size(h.chain);
	mine_to(&h, KEPT + STRIDE);
	assert_int_equal(chain_pruned(h.chain), STRIDE);
	assert_true(chain_disk_size(h.chain) < before);
	assert_false(has_bodies(&h, STRIDE));
	assert_true(has_bodies(&h, STRIDE + 1));
	assert_false(is_disclosed(&h, 1) || is_disclosed(&h, 2));
	assert_true(is_disclosed(&h, 3) && is_disclosed(&h, 4));
	for (uint8_t number = 10; number < 20; number++)
		assert_false(is_disclosed(&h, number));
	/* All states that are kept can be had, and none before. */
	reopen(&h);
	for (uint32_t height = STRIDE; height <= chain_tip(h.chain)->height; height += 3)
		expect_state(&h, height, true);
	reopen(&h);
	expect_state(&h, STRIDE - 1, false);
	assert_false(is_disclosed(&h, 2));
	assert_true(is_disclosed(&h, 3) && is_disclosed(&h, 4));
	helper_stop(&h);
}

/* Blocks stay, and what is gone is said to be. */
static void test_answers(void **unused)
{
	const struct block *block;
	struct errmsg err;
	struct helper h;
	struct buf exported;

	(void)unused;
	start(&h);
	mine_to(&h, KEPT + STRIDE);
	for (uint32_t height = STRIDE; height <= STRIDE + 1; height++) {
		const bool is_pruned = height == STRIDE;

		block = chain_read_bare(h.chain, chain_at(h.chain, height), &err);
		assert_non_null(block);
		block_unref(block);
		block = chain_read_block(h.chain, chain_at(h.chain, height), &err);
		assert_int_equal(block == NULL, is_pruned);
		block_unref(block);
		buf_init(&exported);
		assert_int_equal(chain_export_block(h.chain, chain_at(h.chain, height), &exported, &err), !is_pruned);
		buf_clear(&exported);
		assert_int_equal(chain_is_pruned(h.chain, height, &err), is_pruned);
	}
	assert_null(chain_audit_new(h.chain, chain_at(h.chain, STRIDE), &err));
	assert_non_null(strstr(err.text, "is pruned"));
	assert_false(chain_invalidate(h.chain, chain_at(h.chain, STRIDE), &err));
	assert_non_null(strstr(err.text, "is pruned"));
	/* The operator may go as far as there are states. */
	assert_true(chain_invalidate(h.chain, chain_at(h.chain, STRIDE + 1), &err));
	assert_int_equal(chain_tip(h.chain)->height, STRIDE);
	assert_true(chain_reconsider(h.chain, chain_find(h.chain, chain_best_header(h.chain)->id), &err));
	helper_stop(&h);
}

/* The process ended when the height was on the disk, and nothing or half of it had gone. */
static void test_interrupted(void **unused)
{
	uint8_t record[8] = { STRIDE, 0, 0, 0, 0, 0, 0, 0 };
	struct db_batch *batch;
	struct errmsg err;
	struct helper h;

	(void)unused;
	start(&h);
	mine_to(&h, KEPT + STRIDE - 1);
	disclose(&h, 1, STRIDE);
	for (uint8_t done = 0; done <= STRIDE; done += STRIDE / 2) {
		record[4] = done;
		batch = db_batch_new();
		db_batch_put(batch, "u", 1, record, sizeof record);
		assert_true(db_write(h.chain->db, batch, true, &err));
		db_batch_free(batch);
		reopen(&h);
		assert_int_equal(chain_pruned(h.chain), STRIDE);
		prune_all(&h);
		for (uint32_t height = 1; height <= STRIDE + 1; height++)
			assert_int_equal(has_bodies(&h, height), height > STRIDE);
		assert_false(is_disclosed(&h, 1));
		assert_int_equal(helper_files(&h, "model/000000[01]?-*"), 1);
		expect_state(&h, STRIDE + 1, true);
	}
	helper_stop(&h);
}

/* What cannot be taken away stays until the next start, and the node goes on. */
static void test_stopped(void **unused)
{
	struct full_entry *full;
	struct helper h;

	(void)unused;
	start(&h);
	mine_to(&h, KEPT + STRIDE - 1);
	full = entry_full(chain_at(h.chain, STRIDE));
	full->bodies.file = 99;
	helper_mine(&h, 1);
	helper_settle(&h);
	for (int i = 0; i < STRIDE; i++)
		chain_tick(h.chain);
	assert_int_equal(h.chain->pruning.height, STRIDE);
	assert_int_equal(h.chain->pruning.done, STRIDE - 1);
	helper_mine(&h, 1);
	assert_int_equal(h.fatals, 0);
	reopen(&h);
	assert_true(has_bodies(&h, STRIDE));
	prune_all(&h);
	assert_false(has_bodies(&h, STRIDE));
	helper_stop(&h);
}

static bool opens(struct helper *h, uint32_t prune, struct errmsg *err)
{
	struct chain_options options = {
		.datadir = h->folder,
		.spec = h->spec,
		.queue = queue_new(1, NULL, NULL),
		.prune = prune,
	};
	struct chain *chain = chain_open(&options, err);

	chain_close(chain);
	queue_free(options.queue);
	return chain != NULL;
}

static void test_options(void **unused)
{
	struct errmsg err;
	struct helper h;

	(void)unused;
	start(&h);
	mine_to(&h, KEPT + STRIDE);
	helper_close(&h);
	assert_false(opens(&h, 0, &err));
	assert_non_null(strstr(err.text, "-reindex"));
	assert_false(opens(&h, KEPT - 1, &err));
	assert_non_null(strstr(err.text, "at least 144 blocks"));
	assert_true(opens(&h, KEPT, &err));
	/* All is made again, of the blocks. */
	h.prune = 0;
	h.reindex = true;
	helper_open(&h);
	helper_settle(&h);
	assert_int_equal(chain_tip(h.chain)->height, KEPT + STRIDE);
	assert_int_equal(chain_pruned(h.chain), 0);
	assert_true(has_bodies(&h, 1));
	reopen(&h);
	assert_true(has_bodies(&h, STRIDE));
	helper_stop(&h);
}

/* A branch that leaves below what is pruned: its first block is known. With `at_hand` the states after that and after
 * its round's base are in memory, and so the rest can be verified; but where it would lead, nothing could be had after
 * a restart. */
static void meet_branch(bool at_hand)
{
	const struct full_entry *first, *base;
	struct helper a, b;
	struct errmsg warned;
	uint8_t tip[32];

	start(&a);
	helper_start(&b);
	helper_mine(&b, STRIDE - 2);
	helper_feed(&a, &b, 1, STRIDE - 2);
	helper_settle(&a);
	helper_key(&b, 0x22);
	helper_mine(&a, 1);
	helper_mine(&b, 1);
	helper_feed(&a, &b, STRIDE - 1, STRIDE - 1);
	helper_settle(&a);
	first = entry_full(chain_find(a.chain, chain_tip(b.chain)->id));
	base = entry_full(chain_at(a.chain, STRIDE / 2));
	assert_int_equal(first->entry.status, ENTRY_VERIFIED);
	while (chain_tip(a.chain)->height < KEPT + STRIDE) {
		mine_to(&a, chain_tip(a.chain)->height + 1);
		assert_true(!at_hand || (states_has(a.chain->states, first) && states_has(a.chain->states, base)));
	}
	assert_int_equal(chain_pruned(a.chain), STRIDE);
	helper_mine(&b, KEPT + 3);
	memcpy(tip, chain_tip(a.chain)->id, 32);
	helper_feed(&a, &b, STRIDE, STRIDE + KEPT + 2);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, tip, 32);
	assert_int_equal(a.fatals, 0);
	assert_int_equal(warning_get(WARNING_BRANCH, &warned), at_hand);
	assert_true(first->has_child);
	reopen(&a);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, tip, 32);
	helper_mine(&a, 1);
	helper_stop(&a);
	helper_stop(&b);
	warning_clear(WARNING_BRANCH);
}

static void test_branch(void **unused)
{
	(void)unused;
	meet_branch(false);
	meet_branch(true);
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
		cmocka_unit_test(test_heights),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_branch),
	};

	return cmocka_run_group_tests_name("pruning", tests, setup, NULL);
}
