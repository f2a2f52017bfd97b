/* The wallets of a node, over a chain that this test plays: what they are told, catch up with, send.
 *
 * The calls of the chain are defined here, in place of src/chain's. */
#include <errno.h>

#include "consensus/payload/commitment.h"
#include "consensus/script.h"
#include "faults.h"
#include "unit.h"
#include "util/file.h"
#include "util/mem.h"
#include "util/warning.h"
#include "wallet/wallets.h"

static const char words[] = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
			    "about";

enum {
	BLOCKS_MAX = 40,
};

struct chain {
	struct spec spec;
	struct index_entry entries[BLOCKS_MAX];
	struct block *blocks[BLOCKS_MAX];
	size_t count;
	struct index_entry *active[BLOCKS_MAX];
	uint32_t height;
	struct chain_events events;
	const struct tx *mempool[8];
	size_t mempool_count;
	bool unreadable;          /* no block can be read */
	bool dropping;            /* a transaction is taken into the mempool, and dropped for want of room */
	enum chain_result answer; /* to a transaction */
	size_t offered;
	size_t reads;
	struct registry *registry; /* NULL: nobody has asked for one */
	bool has_blob;             /* the bytes of what is contributed are here */
	size_t blobs;              /* that were brought */
};

void chain_subscribe(struct chain *chain, const struct chain_events *events)
{
	chain->events = *events;
}
const struct spec *chain_spec(const struct chain *chain)
{
	return &chain->spec;
}
const struct index_entry *chain_genesis(const struct chain *chain)
{
	return chain->active[0];
}
const struct index_entry *chain_tip(const struct chain *chain)
{
	return chain->active[chain->height];
}

const struct index_entry *chain_find(const struct chain *chain, const uint8_t id[32])
{
	for (size_t i = 0; i < chain->count; i++)
		if (memcmp(chain->entries[i].id, id, 32) == 0)
			return &chain->entries[i];
	return NULL;
}

const struct index_entry *chain_at(const struct chain *chain, uint32_t height)
{
	return height <= chain->height ? chain->active[height] : NULL;
}

bool chain_is_active(const struct chain *chain, const struct index_entry *entry)
{
	return chain_at(chain, entry->height) == entry;
}

const struct block *chain_read_bare(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	const struct block *held = chain->blocks[entry - chain->entries];
	struct block *block;

	chain->reads++;
	if (chain->unreadable) {
		errmsg_set(err, "the disk is gone");
		return NULL;
	}
	block = block_new();
	block->header = held->header;
	block->txs = mem_calloc(held->tx_count, sizeof *block->txs);
	for (block->tx_count = 0; block->tx_count < held->tx_count; block->tx_count++)
		block->txs[block->tx_count] = tx_ref(held->txs[block->tx_count]);
	return block_seal(block);
}

void chain_mempool_each(const struct chain *chain, void (*fn)(void *context, const struct mempool_entry *entry),
	void *context)
{
	struct mempool_entry entry = { 0 };

	for (size_t i = 0; i < chain->mempool_count; i++) {
		entry.tx = chain->mempool[i];
		fn(context, &entry);
	}
}

enum chain_result chain_add_tx(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject)
{
	enum chain_result answer = chain->answer;

	chain->offered++;
	if (answer == CHAIN_NEW || chain->dropping)
		chain->events.tx_added(chain->events.context, tx, source != NULL ? source->peer : 0);
	if (chain->dropping)
		chain->events.tx_removed(chain->events.context, tx, "mempool full");
	if (answer == CHAIN_REJECTED)
		reject_set(reject, REASON_MEMPOOL_FULL, "it pays less than what is held");
	if (answer == CHAIN_NEW)
		chain->mempool[chain->mempool_count++] = tx;
	else
		tx_unref(tx);
	return answer;
}

void chain_abandon_tx(struct chain *chain, const uint8_t wtxid[32])
{
	(void)chain;
	(void)wtxid;
}

const struct registry *chain_registry(const struct chain *chain)
{
	return chain->registry;
}

bool chain_has_blob(const struct chain *chain, const uint8_t root[32])
{
	(void)root;
	return chain->has_blob;
}

enum chain_result chain_add_blob(struct chain *chain, const uint8_t root[32], const uint8_t *data, size_t size,
	bool keep, struct reject *reject)
{
	uint8_t found[32];

	(void)reject;
	contribution_root(data, size, found);
	assert_memory_equal(found, root, 32);
	assert_true(keep);
	chain->blobs++;
	return CHAIN_NEW;
}

void chain_release_blob(struct chain *chain, const uint8_t root[32])
{
	(void)chain, (void)root;
}

/* Playing the chain */

struct world {
	struct chain chain;
	struct wallets *wallets;
	char *folder;
	uint32_t serial;
};

static struct tx *payment(struct world *world, const uint8_t *key, int64_t amount)
{
	struct outpoint outpoint = { .txid = { 9 }, .index = ++world->serial };
	uint8_t script[P2TR_SIZE] = { 0x6a };
	struct tx *tx = tx_new();

	tx_add_input(tx, &outpoint, 0xffffffff);
	if (key != NULL)
		script_p2tr(script, key);
	tx_add_output(tx, amount, script, sizeof script);
	return tx;
}

/* A block on parent with a payment of amount to key (NULL: to nobody); the chain knows it, and nothing more. */
static struct index_entry *add_block(struct world *world, struct index_entry *parent, const uint8_t *key,
	int64_t amount)
{
	struct chain *chain = &world->chain;
	struct index_entry *entry = &chain->entries[chain->count];
	struct block *block = block_new();

	assert_true(chain->count < BLOCKS_MAX);
	entry->id[0] = (uint8_t)(chain->count + 1);
	entry->parent = parent;
	entry->height = parent != NULL ? parent->height + 1 : 0;
	block->txs = mem_calloc(2, sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(payment(world, NULL, 0));
	block->txs[block->tx_count++] = tx_seal(payment(world, key, amount));
	chain->blocks[chain->count++] = block;
	return entry;
}

static void connect(struct world *world, struct index_entry *entry)
{
	struct chain *chain = &world->chain;

	chain->height = entry->height;
	chain->active[entry->height] = entry;
	chain->events.connected(chain->events.context, entry, chain->blocks[entry - chain->entries]);
	chain->events.tip(chain->events.context, entry);
}

static struct index_entry *mine(struct world *world, const uint8_t *key, int64_t amount)
{
	struct index_entry *entry = add_block(world, world->chain.active[world->chain.height], key, amount);

	connect(world, entry);
	return entry;
}

static void disconnect_tip(struct world *world)
{
	struct chain *chain = &world->chain;
	struct index_entry *tip = chain->active[chain->height--];

	chain->events.disconnected(chain->events.context, tip, chain->blocks[tip - chain->entries]);
}

static void open_wallets(struct world *world)
{
	char *folder = path_join(world->folder, "wallets");

	world->wallets = wallets_new(&world->chain, folder);
	free(folder);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	strcpy(world->chain.spec.name, "regtest");
	strcpy(world->chain.spec.hrp, "ratl");
	world->chain.spec.maturity = 10;
	world->chain.active[0] = add_block(world, NULL, NULL, 0);
	world->chain.answer = CHAIN_NEW;
	world->folder = scratch_new();
	open_wallets(world);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	faults_set(NULL);
	wallets_free(world->wallets);
	for (size_t i = 0; i < world->chain.count; i++)
		block_unref(world->chain.blocks[i]);
	for (size_t i = 0; i < world->chain.mempool_count; i++)
		tx_unref(world->chain.mempool[i]);
	scratch_remove(world->folder);
	free(world);
	return 0;
}

static struct wallet *create(struct world *world, const char *name, const char *from)
{
	struct wallet *wallet;
	struct errmsg err;

	if (wallets_create(world->wallets, name, "", from, &wallet, &err) != WALLETS_OK)
		fail_msg("%s", err.text);
	return wallet;
}

static struct wallet *load_again(struct world *world, const char *name)
{
	struct wallet *wallet;
	struct errmsg err;

	if (wallets_load(world->wallets, name, &wallet, &err) != WALLETS_OK)
		fail_msg("%s", err.text);
	return wallet;
}

static void new_key(struct wallet *wallet, uint8_t key[32])
{
	assert_true(wallet_new_address(wallet, ACCOUNT_RECEIVE, NULL, key, NULL));
}

static void assert_funds(struct wallet *wallet, int64_t trusted, int64_t pending)
{
	struct ledger_balance balance;

	ledger_balance(wallet_ledger(wallet), &balance);
	assert_int_equal(balance.trusted, trusted);
	assert_int_equal(balance.pending, pending);
}

static void test_names(void **state)
{
	static const char *const wrong[] = { "", ".", "..", "a/b", "a b", ".hidden", "\xc3\xa9",
		"12345678901234567890123456789012345678901234567890123456789012345" };
	struct world *world = *state;
	struct wallet *wallet = NULL;
	struct errmsg err;
	char **names;
	size_t count;
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(wallets_create(world->wallets, wrong[i], "", NULL, &wallet, &err), WALLETS_BAD_NAME);
		assert_int_equal(wallets_load(world->wallets, wrong[i], &wallet, &err), WALLETS_BAD_NAME);
	}
	names = wallets_on_disk(world->wallets, &count);
	assert_int_equal(count, 0);
	free(names);
	create(world, "zoe", NULL);
	create(world, "Al-1_.x", NULL);
	assert_int_equal(wallets_create(world->wallets, "zoe", "", NULL, &wallet, &err), WALLETS_EXISTS);
	assert_int_equal(wallets_load(world->wallets, "zoe", &wallet, &err), WALLETS_LOADED);
	assert_int_equal(wallets_load(world->wallets, "eve", &wallet, &err), WALLETS_MISSING);
	assert_int_equal(wallets_create(world->wallets, "eve", "", "abandon abandon", &wallet, &err),
		WALLETS_BAD_WORDS);
	assert_int_equal(wallets_count(world->wallets), 2);
	assert_ptr_equal(wallets_find(world->wallets, "zoe"), wallets_at(world->wallets, 0));
	assert_null(wallets_find(world->wallets, "eve"));
	wallets_unload(world->wallets, wallets_at(world->wallets, 0));
	assert_string_equal(wallet_name(wallets_at(world->wallets, 0)), "Al-1_.x");
	assert_int_equal(wallets_load(world->wallets, "zoe", &wallet, &err), WALLETS_OK);
	names = wallets_on_disk(world->wallets, &count);
	assert_int_equal(count, 2); /* "eve" left nothing behind */
	assert_string_equal(names[0], "Al-1_.x");
	assert_string_equal(names[1], "zoe");
	free(names[0]);
	free(names[1]);
	free(names);
}

static void test_following(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	struct wallet *other = create(world, "other", NULL);
	uint8_t key[32];

	new_key(wallet, key);
	mine(world, key, 500);
	assert_funds(wallet, 500, 0);
	assert_funds(other, 0, 0);
	assert_int_equal(world->chain.reads, 0); /* told, not read */
	mine(world, key, 20);
	disconnect_tip(world);
	assert_funds(wallet, 500, 0);
	mine(world, key, 3);
	assert_funds(wallet, 503, 0);
	assert_true(wallets_is_level(world->wallets, wallet));
	assert_true(wallets_is_level(world->wallets, other));
}

/* Blocks come, and others go, while it is not loaded. */
/* Of two wallets from the same words the unlocked one is wanted: who asks wants a signature. */
static void test_owner(void **state)
{
	struct world *world = *state;
	struct wallet *first = create(world, "first", words), *second = create(world, "second", words), *other;
	uint8_t key[32], foreign[32] = { 7 };
	bool wrong;

	new_key(first, key);
	assert_null(wallets_owner(world->wallets, foreign));
	assert_ptr_equal(wallets_owner(world->wallets, key), first);
	assert_true(wallet_change_passphrase(first, "", "sesame", &wrong, NULL));
	assert_ptr_equal(wallets_owner(world->wallets, key), second);
	assert_true(wallet_change_passphrase(second, "", "sesame", &wrong, NULL));
	assert_ptr_equal(wallets_owner(world->wallets, key), first);
	other = create(world, "other", NULL);
	assert_ptr_equal(wallets_owner(world->wallets, key), first);
	new_key(other, key);
	assert_ptr_equal(wallets_owner(world->wallets, key), other);
}

static void test_catching_up(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	uint8_t key[32];

	new_key(wallet, key);
	mine(world, key, 500);
	mine(world, key, 20);
	wallets_unload(world->wallets, wallet);
	disconnect_tip(world);
	mine(world, key, 3);
	mine(world, key, 1);
	wallet = load_again(world, "w");
	assert_int_equal(world->chain.reads, 2);
	assert_true(wallets_is_level(world->wallets, wallet));
	assert_funds(wallet, 504, 0);
	/* A chain that does not know the wallet's last block at all (rebuilt from nothing) is looked through anew. */
	wallets_unload(world->wallets, wallet);
	memset(world->chain.active[3]->id, 0xaa, 32);
	wallet = load_again(world, "w");
	assert_int_equal(world->chain.reads, 5);
	assert_funds(wallet, 504, 0);
}

static void test_restoring(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", words);
	struct wallet *fresh;
	uint8_t key[32];

	new_key(wallet, key);
	mine(world, key, 500);
	wallets_unload(world->wallets, wallet);
	assert_funds(create(world, "restored", words), 500, 0);
	assert_int_equal(world->chain.reads, 1);
	fresh = create(world, "fresh", NULL); /* new words cannot have been paid before */
	assert_int_equal(world->chain.reads, 1);
	assert_true(wallets_is_level(world->wallets, fresh));
}

static void test_unreadable(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	uint8_t key[32];

	new_key(wallet, key);
	wallets_unload(world->wallets, wallet);
	mine(world, key, 5);
	world->chain.unreadable = true;
	wallet = load_again(world, "w");
	assert_false(wallets_is_level(world->wallets, wallet));
	assert_false(wallets_tick(world->wallets)); /* it does not try for ever */
	assert_int_equal(world->chain.reads, 1);
	mine(world, key, 6);
	assert_funds(wallet, 0, 0); /* no gap is left in what it has seen */
	wallets_unload(world->wallets, wallet);
	world->chain.unreadable = false;
	assert_funds(load_again(world, "w"), 11, 0);
}

static void test_mempool(void **state)
{
	struct world *world = *state;
	struct chain *chain = &world->chain;
	struct wallet *wallet = create(world, "w", NULL);
	uint8_t key[32];

	new_key(wallet, key);
	wallets_unload(world->wallets, wallet);
	chain->mempool[chain->mempool_count++] = tx_seal(payment(world, key, 70));
	wallet = load_again(world, "w");
	assert_funds(wallet, 0, 70);
	chain->events.tx_removed(chain->events.context, chain->mempool[0], "expired");
	assert_funds(wallet, 0, 0);
	/* After a reorganisation the mempool is looked through again, whatever notices said. */
	mine(world, NULL, 0);
	disconnect_tip(world);
	assert_funds(wallet, 0, 0);
	wallets_tick(world->wallets);
	assert_funds(wallet, 0, 70);
}

static const struct tx *build(struct world *world, struct wallet *wallet, int64_t amount)
{
	const struct ledger *ledger = wallet_ledger(wallet);
	struct ledger_coin *coins;
	struct tx *tx = payment(world, NULL, amount);
	size_t count;

	coins = ledger_coins(ledger, &count);
	assert_int_equal(count, 1);
	tx->inputs[0].prev = coins[0].outpoint;
	free(coins);
	return tx_seal(tx);
}

static void test_sending(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	struct reject reject;
	struct errmsg err;
	uint8_t key[32];

	new_key(wallet, key);
	mine(world, key, 1000);
	world->chain.answer = CHAIN_REJECTED;
	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 900), &reject, &err),
		CHAIN_REJECTED);
	assert_string_equal(reject.reason, "mempool full");
	assert_funds(wallet, 1000, 0);
	/* Taken and dropped at once: refused, so it must not go out later. */
	world->chain.dropping = true;
	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 800), &reject, &err),
		CHAIN_REJECTED);
	assert_funds(wallet, 1000, 0);
	world->chain.dropping = false;
	world->chain.answer = CHAIN_NEW;
	mine(world, NULL, 0);
	wallets_tick(world->wallets);
	assert_int_equal(world->chain.offered, 2);
	assert_funds(wallet, 1000, 0);

	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 700), &reject, &err), CHAIN_NEW);
	assert_funds(wallet, 0, 0);
	wallets_unload(world->wallets, wallet); /* acknowledged, so it is there again */
	assert_funds(load_again(world, "w"), 0, 0);
}

/* What the mempool has lost is offered again, once for each new tip. */
static void test_offering(void **state)
{
	struct world *world = *state;
	struct chain *chain = &world->chain;
	struct wallet *wallet = create(world, "w", NULL);
	struct reject reject;
	struct errmsg err;
	uint8_t key[32];

	new_key(wallet, key);
	mine(world, key, 1000);
	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 700), &reject, &err), CHAIN_NEW);
	mine(world, NULL, 0);
	wallets_tick(world->wallets);
	assert_int_equal(chain->offered, 1); /* it is in the mempool */
	chain->events.tx_removed(chain->events.context, chain->mempool[--chain->mempool_count], "expired");
	tx_unref(chain->mempool[chain->mempool_count]);
	wallets_tick(world->wallets);
	assert_int_equal(chain->offered, 1);
	mine(world, NULL, 0);
	wallets_tick(world->wallets);
	assert_int_equal(chain->offered, 2);
	assert_int_equal(chain->mempool_count, 1);
	wallets_tick(world->wallets);
	assert_int_equal(chain->offered, 2);
}

/* A disk that fails */

static void set_fault(unsigned calls, int error, long skip, long times)
{
	faults_set(&(struct fault){ .calls = calls,
		.error = error,
		.skip = skip,
		.times = times,
		.torn = error == ENOSPC,
		.under = "/wallets/w" });
}

/* What is not on disk is not handed on, and is forgotten. */
static void test_unwritten_payment(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	struct reject reject;
	struct errmsg err;
	uint8_t key[32];

	new_key(wallet, key);
	mine(world, key, 1000);
	set_fault(FAULT_WRITE, ENOSPC, 0, 1);
	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 900), &reject, &err), CHAIN_ERROR);
	assert_non_null(strstr(err.text, strerror(ENOSPC)));
	assert_int_equal(world->chain.offered, 0);
	wallets_mend(world->wallets);
	wallet = wallets_find(world->wallets, "w");
	assert_funds(wallet, 1000, 0);
	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 800), &reject, &err), CHAIN_NEW);
	assert_int_equal(world->chain.offered, 1);
}

/* Written down, and the process is killed before the mempool has it: the next one hands it on. */
static void test_written_payment(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	uint8_t key[32];
	const struct tx *tx;

	new_key(wallet, key);
	mine(world, key, 1000);
	tx = build(world, wallet, 900);
	assert_true(wallet_record_payment(wallet, tx, NULL));
	tx_unref(tx);
	wallets_free(world->wallets);
	open_wallets(world);
	assert_int_equal(world->chain.offered, 0);
	assert_funds(load_again(world, "w"), 0, 0);
	assert_int_equal(world->chain.offered, 1);
	assert_int_equal(world->chain.mempool_count, 1);
}

/* A record whose sync failed may be there when the database is opened again: what was answered with an error must not
 * go out for that. Neither must one that the mempool refused, where that could not be written. */
static void test_payment_in_doubt(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	struct reject reject;
	struct errmsg err;
	uint8_t key[32];

	new_key(wallet, key);
	mine(world, key, 1000);
	set_fault(FAULT_SYNC, EIO, 0, 1);
	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 900), &reject, &err), CHAIN_ERROR);
	wallets_tick(world->wallets);
	wallet = wallets_find(world->wallets, "w");
	assert_int_equal(wallet_ledger(wallet)->txs.count, 2); /* it is there */
	assert_funds(wallet, 1000, 0);
	set_fault(FAULT_WRITE, EIO, 1, 1);
	world->chain.answer = CHAIN_REJECTED;
	assert_int_equal(wallets_send(world->wallets, wallet, build(world, wallet, 700), &reject, &err),
		CHAIN_REJECTED);
	world->chain.answer = CHAIN_NEW;
	assert_int_equal(world->chain.offered, 1);
	mine(world, NULL, 0);
	wallets_tick(world->wallets);
	assert_funds(wallets_find(world->wallets, "w"), 1000, 0);
	assert_int_equal(world->chain.offered, 1);
	wallets_unload(world->wallets, wallets_find(world->wallets, "w"));
	assert_funds(load_again(world, "w"), 1000, 0);
	assert_int_equal(world->chain.offered, 1);
}

/* As long as it cannot be opened again it is down, and says why; then it comes back. */
static void test_down(void **state)
{
	struct world *world = *state;
	struct wallet *wallet = create(world, "w", NULL);
	struct errmsg err;
	uint8_t key[32];

	create(world, "other", NULL);
	set_fault(FAULT_ALL, ENOSPC, 0, 0);
	assert_false(wallet_new_address(wallet, ACCOUNT_RECEIVE, NULL, key, &err));
	assert_non_null(strstr(err.text, strerror(ENOSPC)));
	wallets_mend(world->wallets);
	assert_null(wallets_find(world->wallets, "w"));
	assert_int_equal(wallets_count(world->wallets), 1);
	assert_string_equal(wallet_name(wallets_at(world->wallets, 0)), "other");
	assert_non_null(strstr(wallets_down(world->wallets, "w"), strerror(ENOSPC)));
	assert_non_null(wallets_down(world->wallets, NULL));
	assert_null(wallets_down(world->wallets, "other"));
	assert_true(warning_get(WARNING_WALLET, &err));
	assert_int_equal(wallets_load(world->wallets, "w", &wallet, &err), WALLETS_FAILED);
	mine(world, NULL, 0); /* nothing is told to it */
	faults_set(NULL);
	wallets_mend(world->wallets);
	assert_non_null(wallets_find(world->wallets, "w"));
	assert_null(wallets_down(world->wallets, NULL));
	assert_false(warning_get(WARNING_WALLET, &err));
	wallets_tick(world->wallets);
	assert_true(wallets_is_level(world->wallets, wallets_find(world->wallets, "w")));

	set_fault(FAULT_ALL, EIO, 0, 0);
	wallet_new_address(wallets_find(world->wallets, "w"), ACCOUNT_RECEIVE, NULL, key, &err);
	wallets_mend(world->wallets);
	assert_false(wallets_forget(world->wallets, "other"));
	assert_true(wallets_forget(world->wallets, "w"));
	assert_false(wallets_forget(world->wallets, "w"));
	assert_false(warning_get(WARNING_WALLET, &err));
	faults_set(NULL);
	load_again(world, "w");
}

/* What a client was told. */
struct told {
	uint8_t keys[16][32], paid[8][32], refused[8][32];
	size_t key_count, paid_count, refused_count;
};

static void pay_somebody(struct world *world, struct wallet *wallet, struct told *told)
{
	struct ledger_coin *coins;
	struct reject reject;
	struct errmsg err;
	struct tx *tx;
	size_t count;
	uint8_t txid[32];

	coins = ledger_coins(wallet_ledger(wallet), &count);
	if (count > 0) {
		tx = payment(world, NULL, world->serial); /* each another */
		tx->inputs[0].prev = coins[0].outpoint;
		memcpy(txid, tx_txid(tx_seal(tx)), 32);
		if (wallets_send(world->wallets, wallet, tx, &reject, &err) == CHAIN_NEW)
			memcpy(told->paid[told->paid_count++], txid, 32);
		else
			memcpy(told->refused[told->refused_count++], txid, 32);
	}
	free(coins);
}

/* Calls of a client, and blocks; what fails is not tried again. */
static void use(struct world *world, struct told *told)
{
	uint8_t key[32];

	for (int step = 0; step < 16; step++) {
		struct wallet *wallet;

		if (step % 4 == 1)
			mine(world, told->keys[0], 100 + step);
		wallets_mend(world->wallets);
		wallet = wallets_find(world->wallets, "w");
		if (wallet == NULL)
			continue;
		if (step % 4 == 2)
			pay_somebody(world, wallet, told);
		else if (step % 4 == 3)
			wallets_tick(world->wallets);
		else if (wallet_new_address(wallet, ACCOUNT_RECEIVE, step % 3 == 0 ? "label" : NULL, key, NULL))
			memcpy(told->keys[told->key_count++], key, 32);
	}
}

static void check_told(struct world *world, struct wallet *wallet, const struct told *told)
{
	const struct ledger *ledger = wallet_ledger(wallet);
	struct ledger_balance balance, expected;
	const struct ledger_tx *entry;
	uint8_t key[32];

	wallet_peek_address(wallet, ACCOUNT_RECEIVE, 0, key);
	for (size_t i = 0; i < told->key_count; i++) {
		assert_non_null(ledger_script(ledger, told->keys[i]));
		assert_memory_not_equal(told->keys[i], key, 32);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(told->keys[i], told->keys[k], 32);
	}
	for (size_t i = 0; i < told->paid_count; i++) {
		entry = ledger_find(ledger, told->paid[i]);
		assert_true(entry != NULL && !entry->abandoned);
	}
	for (size_t i = 0; i < told->refused_count; i++) {
		entry = ledger_find(ledger, told->refused[i]);
		assert_true(entry == NULL || entry->abandoned);
	}
	assert_int_equal(world->chain.mempool_count, told->paid_count); /* these went out and no other */
	/* The chain and the mempool say the same of the same words. */
	ledger_balance(ledger, &balance);
	ledger_balance(wallet_ledger(create(world, "restored", words)), &expected);
	assert_int_equal(balance.trusted, expected.trusted);
	assert_int_equal(balance.pending, expected.pending);
}

/* The calls from the n-th on fail, `times` of them. Returns whether there was an n-th. */
static bool used_with_fault(unsigned calls, int error, long n, long times)
{
	struct told told = { .key_count = 1 };
	struct world *world;
	bool met;

	setup((void **)&world);
	new_key(create(world, "w", words), told.keys[0]);
	set_fault(calls, error, n, times);
	use(world, &told);
	met = faults_met() > n;
	faults_set(NULL);
	wallets_mend(world->wallets); /* there is room again; and then the node ends */
	assert_non_null(wallets_find(world->wallets, "w"));
	wallets_free(world->wallets);
	open_wallets(world);
	check_told(world, load_again(world, "w"), &told);
	teardown((void **)&world);
	return met;
}

static void test_faults(void **state)
{
	static const struct {
		unsigned calls;
		int error;
		long times;
	} kinds[] = {
		{ FAULT_WRITE, ENOSPC, 1 },
		{ FAULT_WRITE, EIO, 1 },
		{ FAULT_SYNC, EIO, 1 },
		{ FAULT_OPEN | FAULT_RENAME, EIO, 1 },
		{ FAULT_WRITE, ENOSPC, 5 },
		{ FAULT_ALL, EIO, 9 },
		{ FAULT_ALL, ENOSPC, 30 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (long n = 0; used_with_fault(kinds[i].calls, kinds[i].error, n, kinds[i].times); n++)
			continue;
}

/* Which are loaded when the node starts: what cannot be does not keep the others from it. */
static void test_startup(void **state)
{
	static const char *const names[] = { "a", "gone", "b", "broken", "not/one", "c" };
	struct world *world = *state;
	char *current = path_join(world->folder, "wallets/broken/CURRENT");
	char *draft = path_join(world->folder, "wallets/.a.new");
	struct errmsg err;

	create(world, "a", NULL);
	create(world, "b", NULL);
	create(world, "c", NULL);
	create(world, "broken", NULL);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_true(wallets_set_startup(world->wallets, names[i], true, &err));
	assert_true(wallets_set_startup(world->wallets, "b", false, &err));
	wallets_free(world->wallets);
	assert_true(file_remove(current, NULL));
	assert_true(dir_make(draft, NULL)); /* of a process that was killed */
	open_wallets(world);
	assert_false(file_exists(draft));
	assert_int_equal(wallets_count(world->wallets), 0);
	wallets_load_startup(world->wallets);
	assert_int_equal(wallets_count(world->wallets), 2);
	assert_string_equal(wallet_name(wallets_at(world->wallets, 0)), "a");
	assert_string_equal(wallet_name(wallets_at(world->wallets, 1)), "c");
	free(draft);
	free(current);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_following, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_catching_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restoring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mempool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offering, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unwritten_payment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written_payment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_payment_in_doubt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_down, setup, teardown),
		cmocka_unit_test(test_faults),
		cmocka_unit_test_setup_teardown(test_startup, setup, teardown),
	};

	return cmocka_run_group_tests_name("wallets", tests, NULL, NULL);
}
