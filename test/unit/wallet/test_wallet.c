/* A wallet on disk: what it acknowledges comes back, blocks come and go, locking, building and signing. */
#define _GNU_SOURCE /* memmem */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "consensus/change.h"
#include "consensus/payload/contribution.h"
#include "consensus/payload/merge_statement.h"
#include "consensus/script.h"
#include "consensus/sighash.h"
#include "crypto/address.h"
#include "crypto/schnorr.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/mem.h"
#include "wallet/spend.h"
#include "wallet/wallet.h"

static const char words[] = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
			    "about";

struct world {
	char folder[64];
	char path[80];
	struct spec spec;
	struct wallet *wallet;
	uint32_t serial;
};

static struct wallet_place place_at(uint32_t height, uint8_t branch)
{
	struct wallet_place place = { .height = height };

	place.id[0] = (uint8_t)height;
	place.id[1] = branch;
	return place;
}

static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *found;
	char name[512];

	while (dir != NULL && (found = readdir(dir)) != NULL) {
		snprintf(name, sizeof name, "%s/%s", path, found->d_name);
		if (found->d_name[0] != '.' && unlink(name) != 0)
			remove_folder(name);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	struct wallet_place genesis = place_at(0, 0);

	strcpy(world->folder, "test-wallet-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	snprintf(world->path, sizeof world->path, "%s/w", world->folder);
	strcpy(world->spec.name, "regtest");
	strcpy(world->spec.hrp, "ratl");
	world->spec.maturity = 10;
	world->spec.genesis_id[0] = 77;
	world->wallet = wallet_create(world->path, "w", &world->spec, "", words, &genesis, NULL);
	assert_non_null(world->wallet);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	if (world->wallet != NULL)
		wallet_close(world->wallet);
	remove_folder(world->folder);
	free(world);
	return 0;
}

static void reopen(struct world *world)
{
	struct errmsg err;

	wallet_close(world->wallet);
	world->wallet = wallet_open(world->path, "w", &world->spec, &err);
	if (world->wallet == NULL)
		fail_msg("%s", err.text);
}

static void pay(struct tx *tx, const uint8_t key[32], int64_t amount)
{
	uint8_t script[P2TR_SIZE];

	script_p2tr(script, key);
	tx_add_output(tx, amount, script, sizeof script);
}

/* A transaction from outside that pays key, or, with key NULL, nobody we know. */
static const struct tx *payment(struct world *world, const uint8_t *key, int64_t amount)
{
	static const uint8_t nobody[32] = { 1 };
	struct outpoint outpoint = { .txid = { 9 }, .index = ++world->serial };
	struct tx *tx = tx_new();

	tx_add_input(tx, &outpoint, 0xffffffff);
	pay(tx, key != NULL ? key : nobody, amount);
	return tx_seal(tx);
}

/* A block of a coinbase that pays miner and loose proofs' keys, and of tx (taken; may be NULL). */
static struct block *block_of(const uint8_t *miner, const uint8_t *loose, const uint8_t *owner, const struct tx *tx)
{
	struct outpoint null = { .index = 0xffffffff };
	struct block *block = block_new();
	struct tx *coinbase = tx_new();

	block->txs = mem_calloc(2, sizeof *block->txs);
	tx_add_input(coinbase, &null, 0xffffffff);
	if (miner != NULL) {
		memcpy(block->header.miner, miner, 32);
		pay(coinbase, miner, 50 * COIN);
	}
	if (loose != NULL) {
		block->loose = mem_calloc(1, sizeof *block->loose);
		block->loose_count = 1;
		memcpy(block->loose[0].miner, loose, 32);
		pay(coinbase, loose, 20 * COIN);
	}
	if (owner != NULL)
		pay(coinbase, owner, 3 * COIN);
	block->txs[block->tx_count++] = tx_seal(coinbase);
	if (tx != NULL)
		block->txs[block->tx_count++] = tx;
	block->header.time = 12345;
	return block;
}

static void connect(struct world *world, uint32_t height, uint8_t branch, struct block *block)
{
	struct wallet_place place = place_at(height, branch);

	assert_true(wallet_connect(world->wallet, &place, block, NULL));
	block_unref(block);
}

static void connect_empty(struct world *world, uint32_t from, uint32_t to)
{
	for (; from <= to; from++)
		connect(world, from, 0, block_of(NULL, NULL, NULL, NULL));
}

static void assert_balance(struct world *world, int64_t trusted, int64_t pending, int64_t immature)
{
	struct ledger_balance balance;

	ledger_balance(wallet_ledger(world->wallet), &balance);
	assert_int_equal(balance.trusted, trusted);
	assert_int_equal(balance.pending, pending);
	assert_int_equal(balance.immature, immature);
}

static void test_addresses(void **state)
{
	struct world *world = *state;
	char address[BECH32_TEXT_MAX + 1];
	struct ledger_script *script;
	uint8_t first[32];
	uint8_t peeked[32];
	uint8_t key[32];

	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, first, NULL));
	assert_true(address_encode(address, "ratl", 1, first, 32));
	assert_int_equal(wallet_account(world->wallet)->coin, 1);
	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, "shop", key, NULL));
	assert_memory_not_equal(first, key, 32);
	wallet_peek_address(world->wallet, ACCOUNT_CHANGE, 0, peeked);
	assert_memory_not_equal(peeked, first, 32);
	reopen(world);
	assert_int_equal(wallet_next_index(world->wallet, ACCOUNT_RECEIVE), 2);
	assert_int_equal(wallet_next_index(world->wallet, ACCOUNT_CHANGE), 0);
	script = ledger_script(wallet_ledger(world->wallet), key);
	assert_non_null(script);
	assert_string_equal(script->label, "shop");
	assert_null(ledger_script(wallet_ledger(world->wallet), first)->label);
}

/* The same words on a main chain have keys of their own: the vectors of BIP86 are for coin 0, so ours differ. */
static void test_coin(void **state)
{
	(void)state;
	assert_int_equal(account_coin("main"), 9432);
	assert_int_equal(account_coin("test"), 1);
	assert_int_equal(account_coin("hospital"), 1);
}

static void test_blocks(void **state)
{
	struct world *world = *state;
	struct wallet_place back = place_at(1, 0);
	uint8_t key[32];

	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	connect(world, 1, 0, block_of(NULL, NULL, NULL, payment(world, key, 5 * COIN)));
	connect(world, 2, 0, block_of(key, NULL, NULL, payment(world, NULL, 7)));
	assert_balance(world, 5 * COIN, 0, 50 * COIN);
	reopen(world);
	assert_balance(world, 5 * COIN, 0, 50 * COIN);
	assert_int_equal(wallet_synced(world->wallet)->height, 2);
	assert_true(wallet_rewind(world->wallet, &back, NULL));
	assert_balance(world, 5 * COIN, 0, 0);
	reopen(world);
	assert_balance(world, 5 * COIN, 0, 0);
	assert_memory_equal(wallet_synced(world->wallet), &back, sizeof back);
	connect(world, 2, 1, block_of(NULL, NULL, NULL, payment(world, key, 3 * COIN)));
	assert_balance(world, 8 * COIN, 0, 0);
}

/* Which outputs of a coinbase pay for data is told from the block. */
static void test_data_outputs(void **state)
{
	struct world *world = *state;
	struct ledger_tx **list;
	uint8_t key[32];
	size_t count;
	uint8_t other[32] = { 5 };

	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	connect(world, 1, 0, block_of(other, key, key, NULL));
	connect(world, 2, 0, block_of(NULL, NULL, key, NULL));
	connect(world, 3, 0, block_of(key, other, NULL, NULL));
	reopen(world);
	list = ledger_list(wallet_ledger(world->wallet), &count);
	assert_int_equal(count, 3);
	assert_int_equal(list[0]->first_data, 2);
	assert_int_equal(list[1]->first_data, 0);
	assert_int_equal(list[2]->first_data, 2);
	assert_int_equal(list[0]->time, 12345);
	free(list);
	connect(world, 4, 0, block_of(key, NULL, NULL, NULL)); /* the order goes on where it was */
	list = ledger_list(wallet_ledger(world->wallet), &count);
	assert_int_equal(count, 4);
	assert_int_equal(list[3]->height, 4);
	assert_int_equal(list[3]->order, list[2]->order + 1);
	free(list);
}

/* A block whose coinbase pays `paid`, its height in units more than a hundred, and states what became of four seats if
 * `seats` says so. */
static struct block *seat_block(uint32_t height, const uint8_t *miner, const uint8_t *paid, const uint8_t *seats)
{
	struct block *block = block_of(NULL, NULL, NULL, NULL);
	struct tx *coinbase = change_tx(block, 0);
	struct merge_statement statement = { .seats = 4 };
	struct buf script;

	memcpy(block->header.miner, miner, 32);
	pay(coinbase, paid, 100 + (int64_t)height);
	if (seats != NULL) {
		memcpy(statement.seat, seats, 4);
		buf_init(&script);
		merge_statement_script(&script, &statement);
		tx_add_output(coinbase, 0, script.data, script.size);
		buf_clear(&script);
	}
	change_end(block);
	return block;
}

static void assert_struck(struct world *world, const uint32_t struck_at[4])
{
	struct ledger_tx **list;
	size_t count;

	list = ledger_list(wallet_ledger(world->wallet), &count);
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(list[i]->height, i + 1);
		assert_int_equal(list[i]->struck_at, struck_at[i]);
		assert_int_equal(ledger_is_struck(list[i], 0), struck_at[i] != 0);
		assert_false(ledger_is_struck(list[i], 1));
	}
	free(list);
}

/* The child of a merge takes what struck seats' blocks paid their miners, and no more: not what such a block paid
 * somebody else first. It is kept on disk, and taken back with the block. */
static void test_strikes(void **state)
{
	static const uint8_t seats[4] = { 3, 1, 3, 0 }, none[4] = { 1, 1, 1, 1 }, other[32] = { 5 };
	static const uint32_t struck[4] = { 9, 0, 0, 0 }, nobody[4] = { 0 };
	struct wallet_place back = place_at(8, 0);
	struct world *world = *state;
	uint8_t key[32];

	world->spec.round_blocks = 4;
	world->spec.run_ppm = 1;
	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	for (uint32_t height = 1; height <= 4; height++)
		connect(world, height, 0, seat_block(height, height == 3 ? other : key, key, NULL));
	/* Such an output is no statement where no merge is before it. */
	for (uint32_t height = 5; height <= 8; height++)
		connect(world, height, 0, seat_block(height, other, other, seats));
	assert_balance(world, 0, 0, 410);
	assert_struck(world, nobody);
	connect(world, 9, 0, seat_block(9, other, other, seats));
	assert_balance(world, 0, 0, 309);
	assert_struck(world, struck);
	reopen(world);
	assert_balance(world, 0, 0, 309);
	assert_struck(world, struck);
	connect_empty(world, 10, 14); /* all are mature, and the coin of block 1 is none */
	assert_balance(world, 309, 0, 0);
	assert_true(wallet_rewind(world->wallet, &back, NULL));
	assert_balance(world, 0, 0, 410);
	reopen(world);
	assert_struck(world, nobody);
	connect(world, 9, 1, seat_block(9, other, other, none));
	assert_balance(world, 0, 0, 410);
	assert_struck(world, nobody);
}

/* Address 19 is found without being asked for; so is then 38, even where the same block pays it first. */
static void test_gap(void **state)
{
	struct world *world = *state;
	uint8_t inside[32];
	uint8_t beyond[32];
	uint8_t far[32];
	struct tx *tx = change_open(payment(world, NULL, 5));

	assert_true(account_key(wallet_account(world->wallet), ACCOUNT_RECEIVE, 19, inside));
	assert_true(account_key(wallet_account(world->wallet), ACCOUNT_RECEIVE, 38, beyond));
	assert_true(account_key(wallet_account(world->wallet), ACCOUNT_RECEIVE, 59, far));
	connect(world, 1, 0, block_of(NULL, NULL, NULL, payment(world, beyond, 11)));
	assert_balance(world, 0, 0, 0);
	pay(tx, far, 100);
	pay(tx, inside, 10);
	connect(world, 2, 0, block_of(beyond, NULL, NULL, tx_seal(tx)));
	assert_balance(world, 10, 0, 50 * COIN);
	assert_int_equal(wallet_next_index(world->wallet, ACCOUNT_RECEIVE), 39);
	reopen(world);
	assert_int_equal(wallet_next_index(world->wallet, ACCOUNT_RECEIVE), 39);
}

/* Somebody registers data for an address that was given out long ago and never paid: what is paid beyond the gap from
 * the addresses before is found from there. */
static void test_owner_is_used(void **state)
{
	struct world *world = *state;
	struct contribution contribution = { .size = 40000, .licence = "MIT", .title = "title" };
	struct tx *tx = change_open(payment(world, NULL, 5));
	struct buf script;
	uint8_t beyond[32];

	assert_true(account_key(wallet_account(world->wallet), ACCOUNT_RECEIVE, 19, contribution.owner));
	assert_true(account_key(wallet_account(world->wallet), ACCOUNT_RECEIVE, 39, beyond));
	buf_init(&script);
	contribution_script(&script, &contribution);
	tx_add_output(tx, 1000, script.data, script.size);
	buf_clear(&script);
	connect(world, 1, 0, block_of(NULL, NULL, NULL, tx_seal(tx)));
	assert_int_equal(wallet_next_index(world->wallet, ACCOUNT_RECEIVE), 20);
	assert_null(ledger_script(wallet_ledger(world->wallet), contribution.owner)->label);
	reopen(world);
	connect(world, 2, 0, block_of(NULL, NULL, NULL, payment(world, beyond, 11)));
	assert_balance(world, 11, 0, 0);
}

static void test_mempool(void **state)
{
	struct world *world = *state;
	const struct tx *tx;
	uint8_t key[32];

	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	tx = payment(world, key, 40);
	assert_true(wallet_mempool_added(world->wallet, tx, NULL));
	assert_balance(world, 0, 40, 0);
	reopen(world);
	assert_balance(world, 0, 0, 0); /* until the mempool shows it again */
	assert_true(wallet_mempool_added(world->wallet, tx, NULL));
	assert_balance(world, 0, 40, 0);
	wallet_mempool_removed(world->wallet, tx);
	assert_balance(world, 0, 0, 0);
	assert_true(wallet_mempool_added(world->wallet, tx, NULL));
	connect(world, 1, 0, block_of(NULL, NULL, NULL, tx));
	assert_balance(world, 40, 0, 0);
}

/* The salt of a commitment comes back with the words, and is another for another root, chain or seed. */
static void test_salt(void **state)
{
	struct world *world = *state;
	const uint8_t root[32] = { 1 }, other_root[32] = { 2 }, other_genesis[32] = { 3 };
	uint8_t salt[32], again[32];
	struct errmsg err = { "" };
	struct account account, fresh;
	bool wrong;

	assert_true(wallet_salt(world->wallet, root, salt, &err));
	reopen(world);
	assert_true(wallet_salt(world->wallet, root, again, &err));
	assert_memory_equal(salt, again, 32);
	assert_true(wallet_salt(world->wallet, other_root, again, &err));
	assert_memory_not_equal(salt, again, 32);
	account = *wallet_account(world->wallet);
	assert_true(account_salt(&account, world->spec.genesis_id, root, again));
	assert_memory_equal(salt, again, 32);
	assert_true(account_salt(&account, other_genesis, root, again));
	assert_memory_not_equal(salt, again, 32);
	assert_true(account_init(&fresh, (const uint8_t *)"another seed of ", 16, 1, ""));
	assert_true(account_salt(&fresh, world->spec.genesis_id, root, again));
	assert_memory_not_equal(salt, again, 32);
	assert_true(wallet_change_passphrase(world->wallet, "", "pass", &wrong, &err));
	assert_false(wallet_salt(world->wallet, root, again, &err));
	assert_non_null(strstr(err.text, "locked"));
}

/* By the key of any of its addresses, and nobody else's; not while it is locked. */
static void test_signing(void **state)
{
	struct world *world = *state;
	uint8_t key[32], other_key[32], hash[32], signature[64];
	bool wrong;

	memset(hash, 7, sizeof hash);
	memset(other_key, 9, sizeof other_key);
	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	assert_true(wallet_sign(world->wallet, key, hash, signature));
	assert_true(schnorr_verify(signature, hash, key));
	assert_false(wallet_sign(world->wallet, other_key, hash, signature));
	assert_true(wallet_change_passphrase(world->wallet, "", "sesame", &wrong, NULL));
	assert_false(wallet_sign(world->wallet, key, hash, signature));
	assert_true(wallet_unlock(world->wallet, "sesame", 100));
	assert_true(wallet_sign(world->wallet, key, hash, signature));
	assert_true(schnorr_verify(signature, hash, key));
}

static void test_locking(void **state)
{
	struct world *world = *state;
	struct ledger_script *script;
	struct errmsg err;
	uint8_t secret[32];
	uint8_t key[32];
	bool wrong;

	assert_true(wallet_is_unlocked(world->wallet));
	wallet_lock(world->wallet);
	assert_true(wallet_is_unlocked(world->wallet)); /* an empty passphrase protects nothing */
	assert_true(wallet_change_passphrase(world->wallet, "", "sesame", &wrong, NULL));
	assert_false(wallet_is_unlocked(world->wallet));
	assert_int_equal(wallet_account(world->wallet)->scrypt_log_n, 15); /* guessing costs */
	assert_int_equal(wallet_account(world->wallet)->scrypt_r, 8);
	reopen(world);
	assert_false(wallet_is_unlocked(world->wallet));
	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	script = ledger_script(wallet_ledger(world->wallet), key);
	assert_false(wallet_secret(world->wallet, script, secret));
	assert_false(wallet_unlock(world->wallet, "Sesame", 100));
	assert_false(wallet_is_unlocked(world->wallet));
	assert_true(wallet_unlock(world->wallet, "sesame", 100));
	assert_true(wallet_unlocked_until(world->wallet) > 0);
	assert_true(wallet_secret(world->wallet, script, secret));
	assert_true(wallet_unlock(world->wallet, "sesame", 0)); /* its time is over at once */
	assert_false(wallet_is_unlocked(world->wallet));
	assert_int_equal(wallet_unlocked_until(world->wallet), 0);
	assert_false(wallet_change_passphrase(world->wallet, "", "x", &wrong, &err));
	assert_true(wrong);
	assert_true(wallet_change_passphrase(world->wallet, "sesame", "", &wrong, NULL));
	reopen(world);
	assert_true(wallet_is_unlocked(world->wallet));
}

static bool folder_holds(const char *path, const uint8_t *needle, size_t size)
{
	DIR *dir = opendir(path);
	struct dirent *found;
	bool holds = false;
	struct buf data;
	char *name;

	while ((found = readdir(dir)) != NULL) {
		name = path_join(path, found->d_name);
		buf_init(&data);
		if (found->d_name[0] != '.' && file_read(name, 1 << 24, &data, NULL))
			holds = holds || memmem(data.data, data.size, needle, size) != NULL;
		buf_clear(&data);
		free(name);
	}
	closedir(dir);
	return holds;
}

/* Once there is a passphrase, the files no longer hold the seed as it was sealed without one. */
static void test_old_seed_is_gone(void **state)
{
	struct world *world = *state;
	uint8_t sealed[AEAD_OVERHEAD + 16];
	bool wrong;

	reopen(world);
	memcpy(sealed, wallet_account(world->wallet)->sealed, sizeof sealed);
	assert_true(folder_holds(world->path, sealed, sizeof sealed));
	assert_true(wallet_change_passphrase(world->wallet, "", "sesame", &wrong, NULL));
	assert_false(folder_holds(world->path, sealed, sizeof sealed));
	memcpy(sealed, wallet_account(world->wallet)->sealed, sizeof sealed);
	reopen(world);
	assert_memory_equal(wallet_account(world->wallet)->sealed, sealed, sizeof sealed);
}

static void test_creating(void **state)
{
	struct world *world = *state;
	struct wallet_place genesis = place_at(0, 0);
	char text[BIP39_TEXT_MAX + 1];
	struct wallet *fresh;
	struct errmsg err;
	char path[96];

	snprintf(path, sizeof path, "%s/fresh", world->folder);
	fresh = wallet_create(path, "fresh", &world->spec, "pass", NULL, &genesis, NULL);
	assert_non_null(fresh);
	assert_false(account_words(wallet_account(fresh), text));
	assert_true(wallet_unlock(fresh, "pass", 60));
	assert_true(account_words(wallet_account(fresh), text));
	assert_int_equal(wallet_account(fresh)->entropy_size, 32);
	wallet_close(fresh);
	assert_null(wallet_create(path, "fresh", &world->spec, "", NULL, &genesis, &err));
	assert_non_null(strstr(err.text, "already"));
	world->spec.genesis_id[0]++;
	assert_null(wallet_open(path, "fresh", &world->spec, &err));
	assert_non_null(strstr(err.text, "another chain"));
	world->spec.genesis_id[0]--;
	snprintf(path, sizeof path, "%s/wrong", world->folder);
	assert_null(wallet_create(path, "wrong", &world->spec, "", "abandon", &genesis, &err));
	assert_null(wallet_open(path, "wrong", &world->spec, &err));
	assert_non_null(strstr(err.text, "missing"));
}

/* Puts coins of these amounts, a block each, into the wallet. */
static void fund(struct world *world, const int64_t *amounts, uint32_t count)
{
	uint8_t key[32];
	uint32_t i;

	for (i = 0; i < count; i++) {
		assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
		connect(world, i + 1, 0, block_of(NULL, NULL, NULL, payment(world, key, amounts[i])));
	}
}

static struct tx_output *payee(int64_t amount, uint8_t *script)
{
	static struct tx_output output;
	uint8_t key[32] = { 0x11 };

	script_p2tr(script, key);
	output = (struct tx_output){ .amount = amount, .script = { script, P2TR_SIZE } };
	return &output;
}

/* Every signature, and the fee, checked from outside. */
static void check_built(struct world *world, const struct tx *tx, int64_t fee, int64_t rate)
{
	struct tx_output spent[8];
	const struct ledger_tx *entry;
	int64_t sum = 0;
	size_t i;

	assert_true(tx->input_count <= 8);
	for (i = 0; i < tx->input_count; i++) {
		entry = ledger_find(wallet_ledger(world->wallet), tx->inputs[i].prev.txid);
		assert_non_null(entry);
		spent[i] = entry->tx->outputs[tx->inputs[i].prev.index];
		sum += spent[i].amount;
		assert_int_equal(tx->inputs[i].witness_count, 1);
		assert_int_equal(tx->inputs[i].witness[0].size, 64);
	}
	for (i = 0; i < tx->output_count; i++)
		sum -= tx->outputs[i].amount;
	assert_int_equal(sum, fee);
	assert_true(sighash_verify(tx, spent, NULL));
	assert_true(tx_check(tx, NULL));
	if (rate > 0)
		assert_int_equal(fee, ((int64_t)(tx_weight(tx) + 3) / 4 * rate + 999) / 1000);
}

static void test_building(void **state)
{
	static const int64_t amounts[] = { 2 * COIN, 7 * COIN, 4 * COIN };
	struct world *world = *state;
	uint8_t script[P2TR_SIZE];
	struct spend_request request = { .count = 1, .rate = 2500 };
	const struct tx *tx;
	int64_t fee;

	fund(world, amounts, 3);
	request.outputs = payee(5 * COIN, script);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	assert_int_equal(tx->input_count, 1); /* the largest is enough */
	assert_int_equal(tx->output_count, 2);
	check_built(world, tx, fee, 2500);
	/* Spent once it is in the mempool; its change can be spent again at once. */
	assert_true(wallet_mempool_added(world->wallet, tx, NULL));
	assert_balance(world, 8 * COIN - fee, 0, 0);
	assert_int_equal(wallet_next_index(world->wallet, ACCOUNT_CHANGE), 1);
	tx_unref(tx);
	request.outputs = payee(7 * COIN, script);
	request.rate = 0;
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	assert_int_equal(tx->input_count, 3);
	check_built(world, tx, fee, SPEND_RATE_MIN);
	tx_unref(tx);
	request.outputs = payee(8 * COIN, script);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_FUNDS);
}

static void test_no_change(void **state)
{
	static const int64_t amounts[] = { 100000 };
	struct world *world = *state;
	uint8_t script[P2TR_SIZE];
	struct spend_request request = { .count = 1 };
	const struct tx *tx;
	int64_t fee;

	fund(world, amounts, 1);
	request.outputs = payee(100000 - 111 - 329 - 43, script); /* change would be 329 */
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	assert_int_equal(tx->output_count, 1);
	assert_int_equal(fee, 111 + 329 + 43);
	check_built(world, tx, fee, 0);
	tx_unref(tx);
	request.outputs = payee(100000 - 111 - 330 - 43, script);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	assert_int_equal(tx->output_count, 2);
	check_built(world, tx, fee, SPEND_RATE_MIN);
	tx_unref(tx);
	request.outputs = payee(100000 - 111, script);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	check_built(world, tx, fee, SPEND_RATE_MIN);
	tx_unref(tx);
	request.outputs = payee(100000 - 110, script);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_FUNDS);
}

static void test_subtract_fee(void **state)
{
	static const int64_t amounts[] = { 100000 };
	struct world *world = *state;
	uint8_t data[] = { 0x6a, 1, 7 };
	uint8_t script[P2TR_SIZE];
	struct tx_output outputs[3];
	bool pays[3] = { false, true, true };
	struct spend_request request = { .outputs = outputs, .count = 3, .pays_fee = pays };
	const struct tx *tx;
	int64_t fee;
	size_t i;

	fund(world, amounts, 1);
	outputs[0] = (struct tx_output){ .amount = 1000, .script = { data, sizeof data } };
	outputs[1] = *payee(50000, script);
	outputs[2] = outputs[1];
	outputs[2].amount = 49000; /* everything there is */
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	assert_int_equal(tx->output_count, 3);
	check_built(world, tx, fee, SPEND_RATE_MIN);
	assert_int_equal(tx->outputs[0].amount, 1000);
	assert_int_equal(tx->outputs[1].amount, 50000 - fee / 2 - fee % 2);
	assert_int_equal(tx->outputs[2].amount, 49000 - fee / 2);
	tx_unref(tx);
	outputs[1].amount = 20000;
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	assert_int_equal(tx->output_count, 4);
	check_built(world, tx, fee, SPEND_RATE_MIN);
	for (i = 0; i < 4; i++)
		if (tx->outputs[i].script.size == P2TR_SIZE &&
			memcmp(tx->outputs[i].script.data, script, P2TR_SIZE) != 0)
			assert_int_equal(tx->outputs[i].amount, 30000);
	tx_unref(tx);
	pays[2] = false;
	outputs[2].amount = 20000;
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	check_built(world, tx, fee, SPEND_RATE_MIN);
	for (i = 0; i < 4; i++)
		assert_true(tx->outputs[i].amount == 1000 || tx->outputs[i].amount == 20000 - fee ||
			tx->outputs[i].amount == 20000 || tx->outputs[i].amount == 59000);
	tx_unref(tx);
	outputs[1].amount = 340; /* 330 and more, but not after its share */
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_REFUSED);
	request.count = 1; /* nobody to pay it */
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_REFUSED);
}

static void test_refusals(void **state)
{
	static const int64_t amounts[] = { 60 * COIN };
	struct world *world = *state;
	uint8_t script[P2TR_SIZE];
	struct spend_request request = { .count = 1 };
	struct tx_output many[24];
	struct errmsg err;
	uint8_t key[32];
	const struct tx *tx;
	int64_t fee;
	bool wrong;
	size_t i;

	/* Neither immature nor others' unconfirmed coins are spent. */
	assert_true(wallet_new_address(world->wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
	connect(world, 1, 0, block_of(key, NULL, NULL, NULL));
	tx = payment(world, key, 50 * COIN);
	assert_true(wallet_mempool_added(world->wallet, tx, NULL));
	tx_unref(tx);
	request.outputs = payee(COIN, script);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_FUNDS);
	connect_empty(world, 2, 9);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_FUNDS);
	connect_empty(world, 10, 10); /* block 11 may spend block 1's */
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	tx_unref(tx);

	fund(world, amounts, 1);
	request.outputs = payee(SPEND_DUST - 1, script);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_REFUSED);
	assert_non_null(strstr(err.text, "330"));
	request.outputs = payee(COIN, script);
	request.rate = 999;
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_REFUSED);
	request.rate = SPEND_FEE_MAX;
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_OK);
	tx_unref(tx);
	for (i = 0; i < 24; i++)
		many[i] = *payee(COIN, script);
	request.outputs = many;
	request.count = 24; /* more than 1000 virtual bytes at that rate: a fee above the limit */
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_REFUSED);
	assert_non_null(strstr(err.text, "exceeds the limit"));
	request.outputs = payee(COIN, script);
	request.count = 1;
	request.rate = SPEND_FEE_MAX + 1;
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_REFUSED);
	request.rate = 0;
	request.count = 0;
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_REFUSED);
	request.count = 1;
	assert_true(wallet_change_passphrase(world->wallet, "", "sesame", &wrong, NULL));
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_LOCKED);
	assert_true(wallet_unlock(world->wallet, "sesame", 60));
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, &err), SPEND_OK);
	tx_unref(tx);
}

static void test_abandoning(void **state)
{
	static const int64_t amounts[] = { 2 * COIN };
	struct world *world = *state;
	uint8_t script[P2TR_SIZE];
	struct spend_request request = { .count = 1, .outputs = payee(COIN, script) };
	struct wallet_place back = place_at(1, 0);
	struct ledger_tx *entry;
	struct errmsg err;
	uint8_t txid[32];
	const struct tx *tx;
	int64_t fee;

	fund(world, amounts, 1);
	assert_int_equal(spend_build(world->wallet, &request, &tx, &fee, NULL), SPEND_OK);
	memcpy(txid, tx_txid(tx), 32);
	assert_true(wallet_mempool_added(world->wallet, tx, NULL));
	entry = ledger_find(wallet_ledger(world->wallet), txid);
	assert_false(wallet_abandon(world->wallet, entry, &err));
	reopen(world);
	assert_balance(world, 0, 0, 0);
	assert_true(wallet_abandon(world->wallet, ledger_find(wallet_ledger(world->wallet), txid), &err));
	assert_balance(world, 2 * COIN, 0, 0);
	reopen(world);
	assert_balance(world, 2 * COIN, 0, 0);
	assert_true(wallet_mempool_added(world->wallet, tx, NULL)); /* somebody offers it all the same */
	assert_balance(world, COIN - fee, 0, 0);
	reopen(world);
	assert_balance(world, 0, 0, 0);
	/* Once a block has held it, it is no longer given up, even if that block is undone. */
	assert_true(wallet_abandon(world->wallet, ledger_find(wallet_ledger(world->wallet), txid), &err));
	connect(world, 2, 0, block_of(NULL, NULL, NULL, tx));
	assert_true(wallet_rewind(world->wallet, &back, NULL));
	assert_false(ledger_find(wallet_ledger(world->wallet), txid)->abandoned);
	assert_balance(world, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test(test_coin),
		cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_data_outputs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strikes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owner_is_used, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mempool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_salt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_seed_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_creating, setup, teardown),
		cmocka_unit_test_setup_teardown(test_building, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subtract_fee, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abandoning, setup, teardown),
	};

	return cmocka_run_group_tests_name("wallet", tests, NULL, NULL);
}
