/* The explorer's index on a chain in the same process: on and off again, damage, a disk that fails. */
#include <errno.h>

#include "chain/chain_helper.h"
#include "explorer/explorer.h"
#include "faults.h"
#include "store/db.h"
#include "util/file.h"

enum { MATURE = 12 }; /* blocks after which the first coinbase may be spent */

struct indexed {
	struct helper helper;
	char *path;
	struct explorer *explorer;
};

static void indexed_open(struct indexed *indexed, bool anew)
{
	indexed->explorer = explorer_open(indexed->helper.chain, indexed->helper.folder, anew);
}

static void indexed_start(struct indexed *indexed)
{
	helper_start(&indexed->helper);
	indexed->path = path_join(indexed->helper.folder, "explorer");
	indexed_open(indexed, false);
}

static void indexed_stop(struct indexed *indexed)
{
	explorer_close(indexed->explorer);
	free(indexed->path);
	helper_stop(&indexed->helper);
}

static struct book_sums sums_of(struct indexed *indexed, const uint8_t key[32])
{
	struct book_sums sums;

	assert_true(explorer_look(indexed->explorer, key, &sums));
	return sums;
}

static void catch_up(struct indexed *indexed)
{
	while (explorer_tick(indexed->explorer))
		continue;
	assert_null(explorer_off(indexed->explorer));
	assert_ptr_equal(explorer_at(indexed->explorer), chain_tip(indexed->helper.chain));
}

static void count_txs(void *context, const struct explorer_tx *tx)
{
	size_t *count = context;

	assert_true(tx->height > 0);
	++*count;
}

static size_t txs_of(struct indexed *indexed, const uint8_t key[32])
{
	size_t count = 0;

	assert_true(explorer_each_tx(indexed->explorer, key, 0, 1000, count_txs, &count));
	return count;
}

/* All coins but those that the block with a fee made of one: to the same key, so that the sum is what was paid. */
static void test_on_and_off(void **state)
{
	struct indexed indexed;
	struct helper *h = &indexed.helper;
	struct book_sums before, sums;
	struct outpoint outpoint;
	struct coin_stats stats;
	struct reject reject;
	struct errmsg err;
	int64_t amount;

	(void)state;
	indexed_start(&indexed);
	assert_int_equal(sums_of(&indexed, h->key).of[BOOK_BLOCKS], 0);
	helper_mine(h, MATURE);
	before = sums_of(&indexed, h->key);
	assert_int_equal(before.of[BOOK_BLOCKS], MATURE);
	assert_int_equal(before.of[BOOK_TXS], MATURE);
	assert_int_equal(before.of[BOOK_BALANCE], book_earned(&before));
	assert_int_equal(explorer_ranked(indexed.explorer), 1);

	amount = helper_coinbase(h, 1, &outpoint);
	assert_int_equal(chain_add_tx(h->chain, helper_spend(h, &outpoint, amount, 1000, NULL, 0), NULL, &reject),
		CHAIN_NEW);
	helper_mine(h, 1);
	sums = sums_of(&indexed, h->key);
	chain_coin_stats(h->chain, &stats);
	assert_int_equal(sums.of[BOOK_BALANCE], stats.amount);
	assert_int_equal(sums.of[BOOK_TXS], MATURE + 2);
	assert_int_equal(sums.of[BOOK_SENT], 1000);
	assert_int_equal(txs_of(&indexed, h->key), MATURE + 2);

	assert_true(chain_invalidate(h->chain, chain_tip(h->chain), &err));
	sums = sums_of(&indexed, h->key);
	assert_memory_equal(&sums, &before, sizeof sums);
	assert_int_equal(txs_of(&indexed, h->key), MATURE);
	assert_true(chain_invalidate(h->chain, chain_at(h->chain, 1), &err));
	sums = sums_of(&indexed, h->key);
	assert_memory_equal(&sums, &(struct book_sums){ { 0 } }, sizeof sums);
	assert_int_equal(explorer_ranked(indexed.explorer), 0);
	indexed_stop(&indexed);
}

/* As if its bytes had been damaged, in a way that no checksum shows. */
static void overwrite(struct indexed *indexed, const void *key, size_t key_size, const char *value)
{
	struct errmsg err;
	struct db *db;
	struct db_batch *batch = db_batch_new();

	explorer_close(indexed->explorer);
	db = db_open(indexed->path, &err);
	assert_non_null(db);
	db_batch_put(batch, key, key_size, value, strlen(value));
	assert_true(db_write(db, batch, true, &err));
	db_batch_free(batch);
	db_close(db);
	indexed_open(indexed, false);
}

/* What cannot be understood is made anew when that is found out. */
static void test_damage(void **state)
{
	struct indexed indexed;
	struct helper *h = &indexed.helper;
	uint8_t sums_key[33] = { 'k' };
	struct book_sums before, sums;

	(void)state;
	indexed_start(&indexed);
	helper_mine(h, 5);
	before = sums_of(&indexed, h->key);
	memcpy(sums_key + 1, h->key, 32);

	overwrite(&indexed, sums_key, sizeof sums_key, "nonsense");
	assert_ptr_equal(explorer_at(indexed.explorer), chain_tip(h->chain));
	assert_false(explorer_look(indexed.explorer, h->key, &sums));
	assert_ptr_equal(explorer_at(indexed.explorer), chain_genesis(h->chain));
	catch_up(&indexed);
	sums = sums_of(&indexed, h->key);
	assert_memory_equal(&sums, &before, sizeof sums);

	overwrite(&indexed, sums_key, sizeof sums_key, "nonsense");
	helper_mine(h, 1); /* a block finds it out */
	catch_up(&indexed);
	assert_int_equal(sums_of(&indexed, h->key).of[BOOK_BLOCKS], 6);

	overwrite(&indexed, "t", 1, "of another version, or chain: 37 bytes");
	catch_up(&indexed);
	assert_int_equal(sums_of(&indexed, h->key).of[BOOK_BLOCKS], 6);

	helper_flip(h, "explorer/MANIFEST-*", 20);
	explorer_close(indexed.explorer);
	indexed_open(&indexed, false);
	catch_up(&indexed);
	assert_int_equal(sums_of(&indexed, h->key).of[BOOK_BLOCKS], 6);
	indexed_stop(&indexed);
}

/* A disk that is full costs the index alone, until the next start; then it is where it was. */
static void test_full_disk(void **state)
{
	struct indexed indexed;
	struct helper *h = &indexed.helper;
	struct book_sums sums;

	(void)state;
	indexed_start(&indexed);
	helper_mine(h, 3);
	faults_set(&(struct fault){ .calls = FAULT_WRITE, .error = ENOSPC, .under = "/explorer/", .torn = true });
	helper_mine(h, 1);
	faults_set(NULL);
	assert_non_null(explorer_off(indexed.explorer));
	assert_false(explorer_look(indexed.explorer, h->key, &sums));
	helper_mine(h, 1);
	assert_false(explorer_tick(indexed.explorer));
	assert_int_equal(chain_tip(h->chain)->height, 5);
	assert_int_equal(h->fatals, 0);
	explorer_close(indexed.explorer);
	indexed_open(&indexed, false);
	catch_up(&indexed);
	assert_int_equal(sums_of(&indexed, h->key).of[BOOK_BLOCKS], 5);

	/* Nor can it be made, where nothing can. */
	explorer_close(indexed.explorer);
	faults_set(&(struct fault){ .calls = FAULT_ALL, .error = EIO, .under = "/explorer" });
	indexed_open(&indexed, true);
	faults_set(NULL);
	assert_non_null(explorer_off(indexed.explorer));
	helper_mine(h, 1);
	assert_int_equal(h->fatals, 0);
	indexed_stop(&indexed);
}

/* Blocks that cannot be read are no damage of the index: it stays, and goes on when they can. */
static void test_chain_unread(void **state)
{
	struct indexed indexed;
	struct helper *h = &indexed.helper;

	(void)state;
	indexed_start(&indexed);
	helper_mine(h, 3);
	explorer_close(indexed.explorer);
	helper_mine(h, 1);
	faults_set(&(struct fault){ .calls = FAULT_READ, .error = EIO, .under = "/blocks/rev" });
	indexed_open(&indexed, false);
	faults_set(NULL);
	assert_non_null(explorer_off(indexed.explorer));
	assert_int_equal(explorer_at(indexed.explorer)->height, 3);
	explorer_close(indexed.explorer);
	indexed_open(&indexed, false);
	catch_up(&indexed);
	assert_int_equal(sums_of(&indexed, h->key).of[BOOK_BLOCKS], 4);
	indexed_stop(&indexed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_and_off),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_chain_unread),
	};

	return cmocka_run_group_tests_name("explorer", tests, NULL, NULL);
}
