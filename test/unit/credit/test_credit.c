/* Accounts over a chain that this test plays: payments come and go with blocks, use is charged, and what was written is
 * there again, wherever the disk's last file is cut.
 *
 * The calls of the chain are defined here, in place of src/chain's. */
#include <dirent.h>
#include <errno.h>

#include "credit/credit.h"
#include "faults.h"
#include "store/db.h"
#include "unit.h"
#include "util/file.h"
#include "util/mem.h"
#include "util/warning.h"

enum { BLOCKS_MAX = 16, CONFIRMATIONS = 3, PRICE = 1000 /* a base unit a token */ };

struct chain {
	struct index_entry entries[BLOCKS_MAX];
	struct block *blocks[BLOCKS_MAX];
	struct index_entry *active[BLOCKS_MAX];
	size_t count;
	uint32_t height;
	struct chain_events events;
};

void chain_subscribe(struct chain *chain, const struct chain_events *events)
{
	chain->events = *events;
}

void chain_unsubscribe(struct chain *chain, const void *context)
{
	assert_ptr_equal(context, chain->events.context);
	chain->events = (struct chain_events){ .context = NULL };
}

const struct index_entry *chain_genesis(const struct chain *chain)
{
	return chain->active[0];
}

const struct index_entry *chain_tip(const struct chain *chain)
{
	return chain->active[chain->height];
}

const struct index_entry *chain_at(const struct chain *chain, uint32_t height)
{
	return height <= chain->height ? chain->active[height] : NULL;
}

bool chain_is_active(const struct chain *chain, const struct index_entry *entry)
{
	return chain_at(chain, entry->height) == entry;
}

const struct index_entry *chain_find(const struct chain *chain, const uint8_t id[32])
{
	for (size_t i = 0; i < chain->count; i++)
		if (memcmp(chain->entries[i].id, id, 32) == 0)
			return &chain->entries[i];
	return NULL;
}

const struct block *chain_read_bare(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	struct block *block = block_new();

	(void)err;
	block->txs = mem_calloc(2, sizeof *block->txs);
	while (block->tx_count < 2) {
		block->txs[block->tx_count] = tx_ref(chain->blocks[entry - chain->entries]->txs[block->tx_count]);
		block->tx_count++;
	}
	return block_seal(block);
}

/* Playing the chain */

struct world {
	struct chain chain;
	struct credit *credit;
	char *folder;
};

static const uint8_t alice_key[32] = { 1 }, bob_key[32] = { 2 };

/* A transaction of two outputs to the key; what tells it from others is `serial`. */
static const struct tx *payment(const uint8_t key[32], int64_t amount, uint32_t serial)
{
	const struct outpoint outpoint = { .txid = { 9 }, .index = serial };
	uint8_t script[P2TR_SIZE];
	struct tx *tx = tx_new();

	script_p2tr(script, key);
	tx_add_input(tx, &outpoint, 0xffffffff);
	tx_add_output(tx, amount, script, sizeof script);
	tx_add_output(tx, 1, script, sizeof script);
	return tx_seal(tx);
}

/* A block on the tip that pays the amount, and 1, to the key; its coinbase pays Alice's too. */
static void mine(struct world *world, const uint8_t key[32], int64_t amount, uint32_t serial)
{
	struct chain *chain = &world->chain;
	struct index_entry *entry = &chain->entries[chain->count];
	struct block *block = block_new();

	assert_true(chain->count < BLOCKS_MAX);
	entry->id[0] = (uint8_t)(chain->count + 1);
	entry->connect_order = chain->count + 1;
	if (chain->count > 0) {
		entry->parent = chain->active[chain->height];
		entry->height = entry->parent->height + 1;
	}
	block->txs = mem_calloc(2, sizeof *block->txs);
	block->txs[block->tx_count++] = payment(alice_key, 5000, 1000 + (uint32_t)chain->count);
	block->txs[block->tx_count++] = payment(key, amount, serial);
	chain->blocks[chain->count++] = block;
	chain->height = entry->height;
	chain->active[entry->height] = entry;
	if (chain->events.connected != NULL)
		chain->events.connected(chain->events.context, entry, block);
}

static void take_back(struct world *world)
{
	struct chain *chain = &world->chain;
	struct index_entry *tip = chain->active[chain->height--];

	if (chain->events.disconnected != NULL)
		chain->events.disconnected(chain->events.context, tip, chain->blocks[tip - chain->entries]);
}

static void mine_empty(struct world *world, size_t count)
{
	static const uint8_t nobody[32] = { 3 };

	while (count-- > 0)
		mine(world, nobody, 1, 0);
}

static void reopen(struct world *world)
{
	credit_close(world->credit);
	world->credit = credit_open(&world->chain, world->folder, PRICE, CONFIRMATIONS);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	world->folder = scratch_new();
	mine_empty(world, 1);
	world->credit = credit_open(&world->chain, world->folder, PRICE, CONFIRMATIONS);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	faults_set(NULL);
	warning_clear(WARNING_CREDIT);
	credit_close(world->credit);
	for (size_t i = 0; i < world->chain.count; i++)
		block_unref(world->chain.blocks[i]);
	scratch_remove(world->folder);
	free(world);
	return 0;
}

static void invoice(struct world *world, const char *name, const uint8_t key[32])
{
	assert_true(credit_add_invoice(world->credit, name, key, 0, 0, NULL));
}

static void assert_account(struct world *world, const char *name, int64_t balance, int64_t credited, int64_t pending)
{
	const struct credit_account *account = credit_find(world->credit, name);

	assert_non_null(account);
	assert_int_equal(credit_balance(account), balance);
	assert_int_equal(account->credited, credited);
	assert_int_equal(account->pending, pending);
}

static void test_names(void **state)
{
	char name[CREDIT_NAME_MAX + 2] = "";

	(void)state;
	assert_true(credit_is_name("Al-1_.x"));
	assert_false(credit_is_name(""));
	memset(name, 'a', CREDIT_NAME_MAX);
	assert_true(credit_is_name(name));
	name[CREDIT_NAME_MAX] = 'a';
	assert_false(credit_is_name(name));
}

/* Every step of confirming, going, and coming again. Coinbases do not count. */
static void test_blocks(void **state)
{
	struct world *world = *state;

	invoice(world, "alice", alice_key);
	mine(world, alice_key, 99, 1);
	assert_account(world, "alice", 0, 0, 100);
	mine_empty(world, 1);
	assert_account(world, "alice", 0, 0, 100);
	mine_empty(world, 1);
	assert_account(world, "alice", 100, 100, 0);
	take_back(world);
	assert_account(world, "alice", 0, 0, 100);
	take_back(world);
	take_back(world);
	assert_account(world, "alice", 0, 0, 0);
	mine_empty(world, 1);
	mine(world, alice_key, 99, 1);
	assert_account(world, "alice", 0, 0, 100);
	mine(world, alice_key, 199, 2);
	mine_empty(world, 1);
	assert_account(world, "alice", 100, 100, 200);
	mine_empty(world, 1);
	assert_account(world, "alice", 300, 300, 0);
	assert_int_equal(credit_invoice_at(world->credit, 0)->credited, 300);
	assert_null(credit_invoice_at(world->credit, 1));
}

/* The same, over closing: what the chain did meanwhile is caught up with, back and forth. */
static void test_away(void **state)
{
	struct world *world = *state;
	struct chain_events events;

	invoice(world, "alice", alice_key);
	mine(world, alice_key, 99, 1);
	mine_empty(world, 2);
	events = world->chain.events;
	world->chain.events.connected = world->chain.events.disconnected = NULL;
	take_back(world);
	take_back(world);
	take_back(world);
	mine(world, alice_key, 99, 1);
	mine(world, alice_key, 49, 2);
	world->chain.events = events;
	assert_int_equal(credit_at(world->credit)->height, 3);
	assert_false(credit_tick(world->credit));
	assert_ptr_equal(credit_at(world->credit), chain_tip(&world->chain));
	assert_account(world, "alice", 0, 0, 150);
	reopen(world);
	assert_account(world, "alice", 0, 0, 150);
	mine_empty(world, 1);
	assert_account(world, "alice", 100, 100, 50);
	/* A block that nobody knows any more: from the beginning on. */
	world->chain.active[world->chain.height]->connect_order = 0;
	reopen(world);
	assert_account(world, "alice", 100, 100, 50);
}

static void test_use(void **state)
{
	struct world *world = *state;
	struct errmsg err;

	assert_null(credit_find(world->credit, "alice"));
	assert_int_equal(credit_covers(world->credit, "alice", 1, &err), CREDIT_SPENT);
	assert_null(credit_find(world->credit, "alice"));
	invoice(world, "alice", alice_key);
	invoice(world, "bob", bob_key);
	mine(world, alice_key, 99, 1);
	mine_empty(world, CONFIRMATIONS - 1);
	assert_int_equal(credit_covers(world->credit, "alice", 100, &err), CREDIT_OK);
	assert_int_equal(credit_covers(world->credit, "alice", 101, &err), CREDIT_SPENT);
	assert_true(credit_use(world->credit, "alice", 60, &err));
	assert_account(world, "alice", 40, 100, 0);
	assert_int_equal(credit_covers(world->credit, "alice", 41, &err), CREDIT_SPENT);
	assert_int_equal(credit_covers(world->credit, "bob", 1, &err), CREDIT_SPENT);
	assert_account(world, "alice", 40, 100, 0);
	assert_int_equal(credit_find(world->credit, "alice")->tokens, 60);
	assert_int_equal(credit_income(world->credit), 60);
	take_back(world);
	assert_account(world, "alice", -60, 0, 100);
	assert_int_equal(credit_income(world->credit), 0);
	assert_int_equal(credit_covers(world->credit, "alice", 0, &err), CREDIT_SPENT);
	mine_empty(world, 1);
	assert_true(credit_use(world->credit, "alice", 40, &err));
	assert_account(world, "alice", 0, 100, 0);
	assert_int_equal(credit_income(world->credit), 100);
}

/* A token may cost less than a base unit: charges add up exactly, and are rounded up together. */
static void test_rounding(void **state)
{
	struct world *world = *state;
	struct errmsg err;

	credit_close(world->credit);
	world->credit = credit_open(&world->chain, world->folder, 3, CONFIRMATIONS);
	invoice(world, "alice", alice_key);
	mine(world, alice_key, 1, 1);
	mine_empty(world, CONFIRMATIONS - 1);
	assert_true(credit_use(world->credit, "alice", 1, &err));
	assert_account(world, "alice", 1, 2, 0);
	for (int i = 1; i < 666; i++)
		assert_true(credit_use(world->credit, "alice", 1, &err));
	assert_account(world, "alice", 0, 2, 0);
	assert_int_equal(credit_income(world->credit), 1);
	assert_int_equal(credit_covers(world->credit, "alice", 1, &err), CREDIT_SPENT);
	/* Where the price is 0 they are only counted. */
	credit_close(world->credit);
	world->credit = credit_open(&world->chain, world->folder, 0, CONFIRMATIONS);
	assert_true(credit_use(world->credit, "alice", CREDIT_TOKENS_MAX, &err));
	assert_account(world, "alice", 0, 2, 0);
}

static void test_settlements(void **state)
{
	struct world *world = *state;
	struct credit_settlement settlement = { .txid = { 7 }, .wallet = "w", .time = 5, .paid = 10, .shared = 13 };
	const struct credit_settlement *found;

	settlement.dues = mem_calloc(2, sizeof *settlement.dues);
	settlement.due_count = 2;
	settlement.dues[1] = (struct credit_due){ .key = { 1 }, .amount = 3 };
	assert_true(credit_add_settlement(world->credit, &settlement, NULL));
	reopen(world);
	found = credit_settlement_at(world->credit, 0);
	assert_non_null(found);
	assert_null(credit_settlement_at(world->credit, 1));
	assert_int_equal(found->txid[0], 7);
	assert_string_equal(found->wallet, "w");
	assert_int_equal(found->paid, 10);
	assert_int_equal(found->shared, 13);
	assert_int_equal(found->due_count, 2);
	assert_int_equal(found->dues[1].amount, 3);
}

/* --- the disk --- */

/* The log of the database in the folder: what was written last is at its end. */
static char *find_log(const char *folder)
{
	char *path = path_join(folder, "credit"), *found = NULL;
	DIR *listing = opendir(path);
	struct dirent *item;

	assert_non_null(listing);
	while ((item = readdir(listing)) != NULL)
		if (strlen(item->d_name) > 4 && strcmp(item->d_name + strlen(item->d_name) - 4, ".log") == 0) {
			free(found);
			found = path_join(path, item->d_name);
		}
	closedir(listing);
	free(path);
	assert_non_null(found);
	return found;
}

/* A file that is cut anywhere, as by a power failure, leaves an earlier moment: never more used than was, never a
 * payment that was not made, and what is there again is right when the chain has been caught up with. */
static void test_cut(void **state)
{
	struct world *world = *state;
	char *copy = path_join(world->folder, "copy"), command[1200], *log;
	uint64_t size = 0, least_tokens = 0;
	struct errmsg err;

	invoice(world, "alice", alice_key);
	mine(world, alice_key, 99, 1);
	mine_empty(world, CONFIRMATIONS - 1);
	for (uint32_t i = 1; i <= 5; i++)
		assert_true(credit_use(world->credit, "alice", i, &err));
	log = find_log(world->folder);
	assert_true(file_size(log, &size, &err));
	free(log);
	assert_true(size > 300);
	for (uint64_t cut = 0; cut <= size; cut += cut + 40 < size && cut > 40 ? 3 : 1) {
		struct credit *again;
		const struct credit_account *account;

		snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s' && cp -r '%s/credit' '%s'", copy, copy,
			world->folder, copy);
		assert_int_equal(system(command), 0);
		log = find_log(copy);
		assert_int_equal(truncate(log, (off_t)cut), 0);
		free(log);
		again = credit_open(&world->chain, copy, PRICE, CONFIRMATIONS);
		assert_null(credit_off(again));
		account = credit_find(again, "alice");
		assert_true(account == NULL || account->tokens <= 15);
		assert_true(account == NULL || account->tokens >= least_tokens);
		if (account != NULL)
			least_tokens = account->tokens;
		if (credit_invoice_at(again, 0) != NULL)
			assert_int_equal(account->credited, 100);
		credit_close(again);
	}
	assert_int_equal(least_tokens, 15);
	/* credit_close has unsubscribed; the first one is told no more. */
	world->chain.events.context = world->credit;
	free(copy);
}

/* What cannot be written is not handed out; and nothing is sold from then on. */
static void test_full(void **state)
{
	struct world *world = *state;
	const struct fault full = { .calls = FAULT_WRITE, .error = ENOSPC, .under = "/credit/" };
	struct errmsg err;

	invoice(world, "alice", alice_key);
	mine(world, alice_key, 99, 1);
	mine_empty(world, CONFIRMATIONS - 1);
	assert_true(credit_use(world->credit, "alice", 10, &err));
	faults_set(&full);
	assert_false(credit_use(world->credit, "alice", 10, &err));
	assert_non_null(credit_off(world->credit));
	faults_set(NULL);
	assert_false(credit_use(world->credit, "alice", 10, &err));
	assert_false(credit_add_invoice(world->credit, "bob", bob_key, 0, 0, &err));
	mine_empty(world, 1);
	reopen(world);
	assert_null(credit_off(world->credit));
	assert_account(world, "alice", 90, 100, 0);
}

/* The name of something in the database's folder, the caller's. */
static char *in_folder(const struct world *world, const char *name)
{
	char *folder = path_join(world->folder, "credit"), *path = path_join(folder, name);

	free(folder);
	return path;
}

static void close_world(struct world *world)
{
	credit_close(world->credit);
	world->credit = NULL;
}

static void assert_off(struct world *world, const char *why)
{
	world->credit = credit_open(&world->chain, world->folder, PRICE, CONFIRMATIONS);
	assert_non_null(credit_off(world->credit));
	assert_non_null(strstr(credit_off(world->credit), why));
	close_world(world);
}

/* Over files that cannot be read no new ones are begun: put back, they have all that they had. */
static void test_damaged(void **state)
{
	struct world *world = *state;
	const uint8_t tip_key = 't', of_version_2[33] = { 2 };
	char *current, *aside, *folder, *folder_aside;
	struct db_batch *batch = db_batch_new();
	struct errmsg err;
	struct db *db;

	invoice(world, "alice", alice_key);
	reopen(world);
	assert_true(credit_use(world->credit, "alice", 10, &err));
	close_world(world);
	current = in_folder(world, "CURRENT");
	aside = path_join(world->folder, "aside");
	assert_int_equal(rename(current, aside), 0);
	assert_off(world, "Put a copy of it back");
	assert_int_equal(rename(aside, current), 0);
	folder = in_folder(world, "");
	folder[strlen(folder) - 1] = '\0';
	folder_aside = path_join(world->folder, "folder");
	assert_int_equal(rename(folder, folder_aside), 0);
	assert_true(file_write_atomic(folder, "", 0, 0600, &err));
	assert_off(world, "Put a copy of it back");
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(rename(folder_aside, folder), 0);
	world->credit = credit_open(&world->chain, world->folder, PRICE, CONFIRMATIONS);
	assert_null(credit_off(world->credit));
	assert_account(world, "alice", -10, 0, 0);
	close_world(world);
	/* Records of another version may be no records to this one. */
	db = db_open_existing(folder, &err);
	assert_non_null(db);
	db_batch_put(batch, &tip_key, 1, of_version_2, sizeof of_version_2);
	db_batch_put(batch, "b", 1, "", 0);
	assert_true(db_write(db, batch, true, &err));
	db_batch_free(batch);
	db_close(db);
	assert_off(world, "another version of this program");
	free(folder_aside);
	free(folder);
	free(aside);
	free(current);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rounding, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settlements, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
