/* The wallet between its database and its memory.
 *
 * Every change is made in memory first (ledger, next indices, labels) and then written in one batch. Where that fails
 * memory is ahead of the disk; db.h takes no further write then, wallet_is_sound says so, and the holder opens it
 * again. Batches are synced but for blocks that hold nothing of the wallet: those are told again after a crash. */
#include "wallet/wallet.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/wipe.h"
#include "store/db.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "wallet/folder.h"

enum {
	KEY_ACCOUNT = 'a',
	KEY_CHAIN = 'g',
	KEY_NEXT = 'n',
	KEY_SYNCED = 's',
	KEY_TX = 't',
	KEY_LABEL = 'l',
	TX_RECORD_VERSION = 1,
	COPY_BYTES = 1 << 20, /* of records, for one write */
};

struct wallet {
	char *name;
	char *path;
	const struct spec *spec;
	struct db *db; /* NULL: could not be opened again */
	struct account account;
	struct ledger ledger;
	struct wallet_place synced;
	uint64_t birth_time;
	uint32_t next[2];    /* per branch: the first index neither given out nor used */
	uint32_t derived[2]; /* per branch: scripts in the ledger */
	int64_t lock_at;     /* of clock_mono_ms, while unlocked */
	int64_t lock_at_wall;
};

/* --- Records --- */

static void put_record(struct db_batch *batch, uint8_t kind, const uint8_t *id, const struct buf *value)
{
	uint8_t key[33];

	key[0] = kind;
	if (id != NULL)
		memcpy(key + 1, id, 32);
	db_batch_put(batch, key, id != NULL ? 33 : 1, value->data, value->size);
}

static void put_account(struct db_batch *batch, const struct wallet *wallet)
{
	struct buf value;

	buf_init(&value);
	account_write(&value, &wallet->account);
	put_record(batch, KEY_ACCOUNT, NULL, &value);
	buf_clear(&value);
}

static void put_chain(struct db_batch *batch, const struct wallet *wallet)
{
	struct buf value;

	buf_init(&value);
	buf_put(&value, wallet->spec->genesis_id, 32);
	buf_put_le64(&value, wallet->birth_time);
	put_record(batch, KEY_CHAIN, NULL, &value);
	buf_clear(&value);
}

/* What nearly every change changes: the next indices and the synced block. */
static void put_progress(struct db_batch *batch, const struct wallet *wallet)
{
	struct buf value;

	buf_init(&value);
	buf_put_le32(&value, wallet->next[ACCOUNT_RECEIVE]);
	buf_put_le32(&value, wallet->next[ACCOUNT_CHANGE]);
	put_record(batch, KEY_NEXT, NULL, &value);
	buf_reset(&value);
	buf_put(&value, wallet->synced.id, 32);
	buf_put_le32(&value, wallet->synced.height);
	put_record(batch, KEY_SYNCED, NULL, &value);
	buf_clear(&value);
}

/* Whether it is in the mempool is not written: that mempool is gone with the process. */
static void put_tx(struct db_batch *batch, const struct ledger_tx *entry)
{
	struct buf value;

	buf_init(&value);
	buf_put_u8(&value, TX_RECORD_VERSION);
	buf_put_le32(&value, entry->height);
	buf_put(&value, entry->block, 32);
	buf_put_le64(&value, entry->time);
	buf_put_le64(&value, entry->order);
	buf_put_le32(&value, entry->first_data);
	buf_put_u8(&value, entry->abandoned);
	tx_write(&value, entry->tx, true);
	put_record(batch, KEY_TX, entry->txid, &value);
	buf_clear(&value);
}

/* Writes and releases the batch. */
static bool write_batch(struct wallet *wallet, struct db_batch *batch, bool sync, struct errmsg *err)
{
	bool ok = wallet->db != NULL ? db_write(wallet->db, batch, sync, err) :
				       errmsg_set(err, "Its database could not be opened again: see the log");

	db_batch_free(batch);
	return ok || errmsg_wrap(err, "Wallet %s", wallet->name);
}

/* Scripts are derived before transactions are read, for an entry to know which of its outputs are the wallet's. They
 * come in the order of their ids, not in that in which they were learnt: this is part of the record. */
static bool visit_tx(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t size,
	struct errmsg *err)
{
	struct wallet *wallet = context;
	struct ledger_tx *entry;
	struct reader reader;
	struct ledger_tx head;
	uint64_t highest;
	const struct tx *tx;

	(void)key;
	(void)key_size;
	reader_init(&reader, value, size);
	if (reader_u8(&reader) != TX_RECORD_VERSION)
		reader_fail(&reader);
	head.height = reader_le32(&reader);
	reader_copy(&reader, head.block, 32);
	head.time = reader_le64(&reader);
	head.order = reader_le64(&reader);
	head.first_data = reader_le32(&reader);
	head.abandoned = reader_u8(&reader) != 0;
	tx = tx_read(&reader);
	if (tx == NULL)
		return errmsg_set(err, "A transaction record is damaged");
	/* ledger_add gives it a number of this run; its own, of the record, counts, and the next new one comes after
	 * all of them. */
	highest = wallet->ledger.next_order;
	entry = ledger_add(&wallet->ledger, tx, head.time);
	entry->height = head.height;
	memcpy(entry->block, head.block, 32);
	entry->order = head.order;
	entry->first_data = head.first_data;
	entry->abandoned = head.abandoned;
	entry->recorded = true;
	wallet->ledger.next_order = highest > head.order ? highest : head.order;
	tx_unref(tx);
	return true;
}

static bool visit_label(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t size,
	struct errmsg *err)
{
	struct wallet *wallet = context;
	struct ledger_script *script = key_size == 33 ? ledger_script(&wallet->ledger, key + 1) : NULL;

	(void)err;
	/* A label is for people: one without its address is no reason not to open the wallet. */
	if (script == NULL || size > WALLET_LABEL_MAX)
		return true;
	free(script->label);
	script->label = mem_alloc(size + 1);
	memcpy(script->label, value, size);
	script->label[size] = 0;
	return true;
}

static bool get_record(struct wallet *wallet, uint8_t kind, struct buf *value, struct reader *reader,
	struct errmsg *err)
{
	buf_reset(value);
	switch (db_get(wallet->db, &kind, 1, value, err)) {
	case DB_FOUND:
		reader_init(reader, value->data, value->size);
		return true;
	case DB_MISSING:
		return errmsg_set(err, "The record \"%c\" is missing", kind);
	case DB_FAILED:
		break;
	}
	return false;
}

/* Everything but scripts and what hangs on them. */
static bool load_heads(struct wallet *wallet, struct buf *value, struct errmsg *err)
{
	struct reader reader;
	uint8_t genesis[32];

	if (!get_record(wallet, KEY_ACCOUNT, value, &reader, err))
		return false;
	if (!account_read(&wallet->account, &reader))
		return errmsg_set(err, "The account record is damaged");
	if (!get_record(wallet, KEY_CHAIN, value, &reader, err))
		return false;
	reader_copy(&reader, genesis, 32);
	wallet->birth_time = reader_le64(&reader);
	if (memcmp(genesis, wallet->spec->genesis_id, 32) != 0)
		return errmsg_set(err, "It belongs to another chain");
	if (!get_record(wallet, KEY_NEXT, value, &reader, err))
		return false;
	wallet->next[ACCOUNT_RECEIVE] = reader_le32(&reader);
	wallet->next[ACCOUNT_CHANGE] = reader_le32(&reader);
	if (!reader_done(&reader))
		return errmsg_set(err, "The record of the next addresses is damaged");
	if (!get_record(wallet, KEY_SYNCED, value, &reader, err))
		return false;
	reader_copy(&reader, wallet->synced.id, 32);
	wallet->synced.height = reader_le32(&reader);
	return reader_done(&reader) || errmsg_set(err, "The record of the last block is damaged");
}

/* --- Scripts --- */

/* Derives up to the gap ahead; true if there were any to derive. An index without a key (one in 2^127) is passed
 * over. */
static bool derive_ahead(struct wallet *wallet)
{
	enum account_branch branch;
	bool grown = false;
	uint8_t key[32];

	for (branch = ACCOUNT_RECEIVE; branch <= ACCOUNT_CHANGE; branch++)
		for (; wallet->derived[branch] < wallet->next[branch] + WALLET_GAP; wallet->derived[branch]++) {
			if (account_key(&wallet->account, branch, wallet->derived[branch], key))
				ledger_add_script(&wallet->ledger, key, branch, wallet->derived[branch]);
			grown = true;
		}
	return grown;
}

/* Moves the next indices behind what the transaction uses, and derives; true if there are new scripts. Also addresses
 * that this file never gave out: the same words may be at work elsewhere, or were before the wallet was restored. */
static bool note_used(struct wallet *wallet, const struct ledger_tx *entry)
{
	const struct ledger_script *script;
	size_t i;

	for (i = 0; i < entry->tx->output_count; i++) {
		script = entry->mine[i];
		if (script != NULL && script->index >= wallet->next[script->branch])
			wallet->next[script->branch] = script->index + 1;
	}
	return derive_ahead(wallet);
}

/* --- Making and opening --- */

static struct wallet *wallet_new(const char *path, const char *name, const struct spec *spec)
{
	struct wallet *wallet = mem_calloc(1, sizeof *wallet);

	wallet->name = mem_strdup(name);
	wallet->path = mem_strdup(path);
	wallet->spec = spec;
	ledger_init(&wallet->ledger, spec->maturity);
	return wallet;
}

static bool make_account(struct wallet *wallet, const char *passphrase, const char *words, struct errmsg *err)
{
	uint8_t entropy[BIP39_ENTROPY_MAX];
	size_t size = sizeof entropy;
	bool ok;

	if (words == NULL)
		random_bytes(entropy, size);
	else if (!bip39_decode(entropy, &size, words, err))
		return false;
	ok = account_init(&wallet->account, entropy, size, account_coin(wallet->spec->name), passphrase);
	wipe(entropy, sizeof entropy);
	return ok || errmsg_set(err, "These words give no keys");
}

/* A wallet that is new, in the draft of its folder. */
static bool write_draft(const char *path, const char *name, const struct spec *spec, const char *passphrase,
	const char *words, const struct wallet_place *birth, struct errmsg *err)
{
	struct wallet *wallet = wallet_new(path, name, spec);
	char *draft = folder_draft(path);
	struct db_batch *batch;
	bool ok;

	wallet->synced = *birth;
	wallet->birth_time = (uint64_t)clock_wall();
	ok = make_account(wallet, passphrase, words, err);
	if (ok)
		wallet->db = db_open(draft, err);
	if (wallet->db != NULL) {
		batch = db_batch_new();
		put_account(batch, wallet);
		put_chain(batch, wallet);
		put_progress(batch, wallet);
		ok = write_batch(wallet, batch, true, err);
	}
	ok = ok && wallet->db != NULL;
	free(draft);
	/* Before the draft gets its name: no database may be open while folders are renamed. */
	wallet_close(wallet);
	return ok;
}

struct wallet *wallet_create(const char *path, const char *name, const struct spec *spec, const char *passphrase,
	const char *words, const struct wallet_place *birth, struct errmsg *err)
{
	struct wallet *wallet;

	if (!folder_settle(path, err))
		return NULL;
	switch (folder_look(path, err)) {
	case FOLDER_WALLET:
		errmsg_set(err, "There is a wallet in %s already", path);
		return NULL;
	case FOLDER_BROKEN:
		return NULL;
	case FOLDER_FREE:
		break;
	}
	if (!folder_begin(path, err) || !write_draft(path, name, spec, passphrase, words, birth, err)) {
		folder_give_up(path);
		return NULL;
	}
	if (!folder_install(path, err))
		return NULL;
	/* Made is what can be read back; anything else is withdrawn, before somebody is paid to its addresses. */
	wallet = wallet_open(path, name, spec, err);
	if (wallet == NULL)
		folder_withdraw(path);
	return wallet;
}

/* Scripts before labels and transactions, which are looked up among them. */
static bool load_wallet(struct wallet *wallet, struct errmsg *err)
{
	struct buf value;
	bool ok;

	if (folder_look(wallet->path, err) == FOLDER_BROKEN)
		return false;
	folder_make_private(wallet->path);
	wallet->db = db_open_existing(wallet->path, err);
	if (wallet->db == NULL)
		return false;
	buf_init(&value);
	ok = load_heads(wallet, &value, err);
	buf_clear(&value);
	if (!ok)
		return false;
	wallet->ledger.tip_height = wallet->synced.height;
	derive_ahead(wallet);
	if (!db_each(wallet->db, (uint8_t[]){ KEY_LABEL }, 1, visit_label, wallet, err) ||
		!db_each(wallet->db, (uint8_t[]){ KEY_TX }, 1, visit_tx, wallet, err))
		return false;
	return wallet->account.has_passphrase || account_unlock(&wallet->account, "") ||
		errmsg_set(err, "The account record is damaged: its seed cannot be read");
}

struct wallet *wallet_open(const char *path, const char *name, const struct spec *spec, struct errmsg *err)
{
	struct wallet *wallet = wallet_new(path, name, spec);

	if (folder_settle(path, err) && load_wallet(wallet, err))
		return wallet;
	errmsg_wrap(err, "Wallet %s", name);
	wallet_close(wallet);
	return NULL;
}

void wallet_close(struct wallet *wallet)
{
	account_clear(&wallet->account);
	ledger_clear(&wallet->ledger);
	if (wallet->db != NULL)
		db_close(wallet->db);
	free(wallet->path);
	free(wallet->name);
	free(wallet);
}

/* --- Looking --- */

bool wallet_is_sound(const struct wallet *wallet)
{
	return wallet->db != NULL && db_is_sound(wallet->db);
}

const char *wallet_name(const struct wallet *wallet)
{
	return wallet->name;
}

const struct spec *wallet_spec(const struct wallet *wallet)
{
	return wallet->spec;
}

const struct account *wallet_account(const struct wallet *wallet)
{
	return &wallet->account;
}

struct ledger *wallet_ledger(struct wallet *wallet)
{
	return &wallet->ledger;
}

uint64_t wallet_birth_time(const struct wallet *wallet)
{
	return wallet->birth_time;
}

const struct wallet_place *wallet_synced(const struct wallet *wallet)
{
	return &wallet->synced;
}

/* --- Following the chain --- */

static bool pays_key(const struct tx *tx, size_t output, const uint8_t key[32])
{
	return output < tx->output_count && script_pays(&tx->outputs[output].script, key);
}

/* A coinbase pays its own miner, the loose proofs' miners in order, then the owners of datasets; zero amounts are
 * left out (doc/protocol.md section 13). */
static uint32_t first_data_output(const struct block *block)
{
	const struct tx *coinbase = block->txs[0];
	uint32_t at = 0;
	size_t i;

	at += pays_key(coinbase, at, block->header.miner);
	for (i = 0; i < block->loose_count; i++)
		at += pays_key(coinbase, at, block->loose[i].miner);
	return at;
}

/* One pass over the block; true if it made new scripts known, which may be paid earlier in the same block. */
static bool take_block(struct wallet *wallet, struct db_batch *batch, const struct wallet_place *place,
	const struct block *block, bool *concerned)
{
	struct ledger_tx *entry;
	bool grown = false;
	size_t i;

	for (i = 0; i < block->tx_count; i++) {
		if (!ledger_concerns(&wallet->ledger, block->txs[i]))
			continue;
		entry = ledger_add(&wallet->ledger, block->txs[i], block->header.time);
		entry->height = place->height;
		memcpy(entry->block, place->id, 32);
		entry->in_mempool = false;
		entry->abandoned = false;
		if (entry->coinbase)
			entry->first_data = first_data_output(block);
		if (note_used(wallet, entry))
			grown = true;
		put_tx(batch, entry);
		*concerned = true;
	}
	return grown;
}

/* A block that pays the 20th script ahead makes 20 more known, and may pay these as well, in a transaction that was
 * already passed over: hence the passes, until one finds nothing new. What is written several times is written alike.
 *
 * Not synced if nothing of the block is the wallet's: after a crash it is told of such blocks again. */
bool wallet_connect(struct wallet *wallet, const struct wallet_place *place, const struct block *block,
	struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();
	bool concerned = false;

	while (take_block(wallet, batch, place, block, &concerned))
		continue;
	wallet->synced = *place;
	wallet->ledger.tip_height = place->height;
	put_progress(batch, wallet);
	return write_batch(wallet, batch, concerned, err);
}

/* Its transactions stay, in no block. Of those from others and of coinbases the chain gives notice if they come again;
 * the wallet's own are offered to the mempool (wallets.c). By height, in one write for any number of blocks. */
bool wallet_rewind(struct wallet *wallet, const struct wallet_place *place, struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();
	struct ledger_tx *entry;
	const uint8_t *key;
	size_t at = 0;
	void *value;

	while (map_next(&wallet->ledger.txs, &at, &key, &value)) {
		entry = value;
		if (entry->height > place->height) {
			entry->height = 0;
			put_tx(batch, entry);
		}
	}
	wallet->synced = *place;
	wallet->ledger.tip_height = place->height;
	put_progress(batch, wallet);
	return write_batch(wallet, batch, true, err);
}

/* Writes down a transaction that counts from now on. */
static bool record_tx(struct wallet *wallet, struct ledger_tx *entry, struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();

	entry->abandoned = false;
	note_used(wallet, entry);
	put_tx(batch, entry);
	put_progress(batch, wallet);
	entry->recorded = write_batch(wallet, batch, true, err);
	return entry->recorded;
}

bool wallet_record_payment(struct wallet *wallet, const struct tx *tx, struct errmsg *err)
{
	return record_tx(wallet, ledger_add(&wallet->ledger, tx, (uint64_t)clock_wall()), err);
}

/* One that was abandoned and is in the mempool after all counts again. */
bool wallet_mempool_added(struct wallet *wallet, const struct tx *tx, struct errmsg *err)
{
	struct ledger_tx *entry;

	if (!ledger_concerns(&wallet->ledger, tx))
		return true;
	entry = ledger_add(&wallet->ledger, tx, (uint64_t)clock_wall());
	/* The wallet may have seen it in a block meanwhile. */
	entry->in_mempool = entry->height == 0;
	return (entry->recorded && !entry->abandoned) || record_tx(wallet, entry, err);
}

void wallet_mempool_removed(struct wallet *wallet, const struct tx *tx)
{
	struct ledger_tx *entry;

	entry = ledger_find(&wallet->ledger, tx_txid(tx));
	if (entry != NULL)
		entry->in_mempool = false;
}

/* While somebody could still put it into a block from a mempool of his own, what it spends is free for another payment:
 * the chain takes one of the two, and the wallet follows. */
bool wallet_abandon(struct wallet *wallet, struct ledger_tx *entry, struct errmsg *err)
{
	struct db_batch *batch;

	if (entry->height != 0 || entry->in_mempool)
		return errmsg_set(err, "The transaction is in a block or in the mempool: it cannot be abandoned");
	entry->abandoned = true;
	batch = db_batch_new();
	put_tx(batch, entry);
	return write_batch(wallet, batch, true, err);
}

/* --- Addresses --- */

static bool check_label(const char *label, struct errmsg *err)
{
	return strlen(label) <= WALLET_LABEL_MAX || errmsg_set(err, "A label has at most %d bytes", WALLET_LABEL_MAX);
}

static void put_label(struct db_batch *batch, struct ledger_script *script, const char *label)
{
	struct buf value;

	buf_init(&value);
	buf_put_text(&value, label);
	put_record(batch, KEY_LABEL, script->key, &value);
	buf_clear(&value);
	free(script->label);
	script->label = mem_strdup(label);
}

bool wallet_new_address(struct wallet *wallet, enum account_branch branch, const char *label, uint8_t key[32],
	struct errmsg *err)
{
	struct ledger_script *script;
	struct db_batch *batch;

	if (label != NULL && !check_label(label, err))
		return false;
	wallet_peek_address(wallet, branch, key);
	/* There for sure: scripts are derived WALLET_GAP beyond the next index. */
	script = ledger_script(&wallet->ledger, key);
	wallet->next[branch] = script->index + 1;
	derive_ahead(wallet);
	batch = db_batch_new();
	put_progress(batch, wallet);
	if (label != NULL)
		put_label(batch, script, label);
	return write_batch(wallet, batch, true, err);
}

void wallet_peek_address(const struct wallet *wallet, enum account_branch branch, uint8_t key[32])
{
	uint32_t index = wallet->next[branch];

	while (!account_key(&wallet->account, branch, index, key))
		index++;
}

uint32_t wallet_next_index(const struct wallet *wallet, enum account_branch branch)
{
	return wallet->next[branch];
}

bool wallet_set_label(struct wallet *wallet, struct ledger_script *script, const char *label, struct errmsg *err)
{
	struct db_batch *batch;

	if (!check_label(label, err))
		return false;
	batch = db_batch_new();
	put_label(batch, script, label);
	return write_batch(wallet, batch, true, err);
}

/* --- Locking --- */

/* The steady clock locks, the wall clock is for showing: setting it changes nothing. */
bool wallet_unlock(struct wallet *wallet, const char *passphrase, int64_t seconds)
{
	if (!account_unlock(&wallet->account, passphrase))
		return false;
	wallet->lock_at = clock_mono_ms() + 1000 * seconds;
	wallet->lock_at_wall = clock_wall() + seconds;
	return true;
}

void wallet_lock(struct wallet *wallet)
{
	if (wallet->account.has_passphrase)
		account_lock(&wallet->account);
}

/* Asked before each use of a secret, so that a timer that is late unlocks nothing for longer. */
bool wallet_is_unlocked(struct wallet *wallet)
{
	if (wallet->account.unlocked && wallet->account.has_passphrase && clock_mono_ms() >= wallet->lock_at)
		account_lock(&wallet->account);
	return wallet->account.unlocked;
}

int64_t wallet_unlocked_until(struct wallet *wallet)
{
	return wallet_is_unlocked(wallet) && wallet->account.has_passphrase ? wallet->lock_at_wall : 0;
}

/* The records on their way to another database. */
struct copy {
	struct db *to;
	struct db_batch *batch;
	size_t bytes; /* in the batch */
};

static bool copy_record(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t size,
	struct errmsg *err)
{
	struct copy *copy = context;

	/* The old seal never gets into the new database; its own is put there last. */
	if (key_size == 1 && key[0] == KEY_ACCOUNT)
		return true;
	db_batch_put(copy->batch, key, key_size, value, size);
	copy->bytes += key_size + size;
	if (copy->bytes < COPY_BYTES)
		return true;
	if (!db_write(copy->to, copy->batch, true, err))
		return false;
	db_batch_free(copy->batch);
	copy->batch = db_batch_new();
	copy->bytes = 0;
	return true;
}

/* All records as they are on disk, and the account as it is in memory. */
static bool copy_to_draft(struct wallet *wallet, struct errmsg *err)
{
	char *draft = folder_draft(wallet->path);
	struct copy copy = { .to = db_open(draft, err), .batch = db_batch_new() };
	bool ok = copy.to != NULL && db_each(wallet->db, "", 0, copy_record, &copy, err);

	if (ok) {
		put_account(copy.batch, wallet);
		ok = db_write(copy.to, copy.batch, true, err);
	}
	db_batch_free(copy.batch);
	db_close(copy.to);
	free(draft);
	return ok;
}

/* A new database takes the old one's place, with the account as it is in memory. LevelDB keeps what is overwritten for
 * a while, so in the same one the seed could still be opened with the old passphrase. */
static bool rewrite_database(struct wallet *wallet, struct errmsg *err)
{
	struct errmsg why;
	bool ok;

	if (!wallet_is_sound(wallet))
		return errmsg_set(err, "Wallet %s takes no write until it is opened again", wallet->name);
	if (!folder_begin(wallet->path, err) || !copy_to_draft(wallet, err)) {
		folder_give_up(wallet->path);
		return errmsg_wrap(err, "Wallet %s", wallet->name);
	}
	db_close(wallet->db);
	ok = folder_install(wallet->path, err) || errmsg_wrap(err, "Wallet %s", wallet->name);
	wallet->db = db_open_existing(wallet->path, &why);
	if (wallet->db == NULL)
		log_error("Wallet %s: %s", wallet->name, why.text);
	return ok;
}

/* The account is sealed anew in memory and goes to a new database. If that fails, memory is what it was before, copied
 * here with its secrets: hence the wiping. */
bool wallet_change_passphrase(struct wallet *wallet, const char *old, const char *fresh, bool *wrong,
	struct errmsg *err)
{
	bool was_unlocked = wallet_is_unlocked(wallet), ok;
	struct account before = wallet->account;

	*wrong = !account_unlock(&wallet->account, old);
	if (*wrong) {
		wipe(&before, sizeof before);
		return errmsg_set(err, "The passphrase is not right");
	}
	account_seal(&wallet->account, fresh);
	ok = rewrite_database(wallet, err);
	if (!ok)
		wallet->account = before;
	else if (!was_unlocked || *old == 0)
		wallet_lock(wallet);
	wipe(&before, sizeof before);
	return ok;
}

bool wallet_secret(struct wallet *wallet, const struct ledger_script *script, uint8_t secret[32])
{
	return wallet_is_unlocked(wallet) && account_secret(&wallet->account, script->branch, script->index, secret);
}
