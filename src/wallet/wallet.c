/* The wallet between its database and its memory.
 *
 * Every change is made in memory first (ledger, next indices, labels) and then written in one batch. Where that fails
 * memory is ahead of the disk; db.h takes no further write then, wallet_is_sound says so, and the holder opens it
 * again. Batches are synced but for blocks that hold nothing of the wallet: those are told again after a crash. */
#include "wallet/wallet.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/coinbase.h"
#include "consensus/payload/contribution.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"
#include "wallet/folder.h"
#include "wallet/records.h"

enum {
	WALLET_COPY_BYTES = 1 << 20, /* of records, for one write */
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
	struct wallet_pledge *pledges;
	size_t pledge_count;
	int64_t lock_at; /* of clock_mono_ms, while unlocked */
	int64_t lock_at_wall;
};

/* --- Records --- */

static void wallet_put_account(struct db_batch *wallet_batch, const struct wallet *wallet)
{
	struct buf wallet_record;

	buf_init(&wallet_record);
	account_write(&wallet_record, &wallet->account);
	records_put(wallet_batch, RECORDS_ACCOUNT, NULL, &wallet_record);
	buf_clear(&wallet_record);
}

static void wallet_put_chain(struct db_batch *wallet_batch, const struct wallet *wallet)
{
	struct buf wallet_record;

	buf_init(&wallet_record);
	buf_put(&wallet_record, wallet->spec->genesis_id, 32);
	buf_put_le64(&wallet_record, wallet->birth_time);
	records_put(wallet_batch, RECORDS_CHAIN, NULL, &wallet_record);
	buf_clear(&wallet_record);
}

/* What nearly every change changes: the next indices and the synced block. */
static void wallet_put_progress(struct db_batch *wallet_batch, const struct wallet *wallet)
{
	struct buf wallet_record;

	buf_init(&wallet_record);
	buf_put_le32(&wallet_record, wallet->next[ACCOUNT_RECEIVE]);
	buf_put_le32(&wallet_record, wallet->next[ACCOUNT_CHANGE]);
	records_put(wallet_batch, RECORDS_NEXT, NULL, &wallet_record);
	buf_reset(&wallet_record);
	buf_put(&wallet_record, wallet->synced.id, 32);
	buf_put_le32(&wallet_record, wallet->synced.height);
	records_put(wallet_batch, RECORDS_SYNCED, NULL, &wallet_record);
	buf_clear(&wallet_record);
}

/* Writes and releases the batch. */
static bool wallet_write_batch(struct wallet *wallet, struct db_batch *wallet_batch, bool sync, struct errmsg *err)
{
	bool is_written = wallet->db != NULL ? db_write(wallet->db, wallet_batch, sync, err) :
					       errmsg_set(err, "Its database could not be opened again: see the log");

	db_batch_free(wallet_batch);
	return is_written || errmsg_wrap(err, "Wallet %s", wallet->name);
}

/* Scripts are derived before transactions are read, for an entry to know which of its outputs are the wallet's. They
 * come in the order of their ids, not in that in which they were learnt: this is part of the record. */
static bool wallet_visit_tx(void *context, const uint8_t *key, size_t key_size, const uint8_t *wallet_record,
	size_t size, struct errmsg *err)
{
	struct wallet *wallet = context;
	struct ledger_tx *wallet_tx;
	struct ledger_tx tx_head;
	uint64_t highest_order;
	const struct tx *tx = records_read_tx(wallet_record, size, &tx_head);

	(void)key;
	(void)key_size;
	if (tx == NULL)
		return errmsg_set(err, "A transaction record is damaged");
	/* ledger_add gives it a number of this run; its own, of the record, counts, and the next new one comes after
	 * all of them. */
	highest_order = wallet->ledger.next_order;
	wallet_tx = ledger_add(&wallet->ledger, tx, tx_head.time);
	wallet_tx->height = tx_head.height;
	memcpy(wallet_tx->block, tx_head.block, 32);
	wallet_tx->order = tx_head.order;
	wallet_tx->first_data = tx_head.first_data;
	wallet_tx->abandoned = tx_head.abandoned;
	wallet_tx->is_stake = tx_head.is_stake;
	wallet_tx->struck_at = tx_head.struck_at;
	wallet_tx->recorded = true;
	wallet->ledger.next_order = highest_order > tx_head.order ? highest_order : tx_head.order;
	tx_unref(tx);
	return true;
}

static bool wallet_visit_label(void *context, const uint8_t *key, size_t key_size, const uint8_t *wallet_record,
	size_t size, struct errmsg *err)
{
	struct wallet *wallet = context;
	struct ledger_script *wallet_script = key_size == RECORDS_KEY_SIZE ? ledger_script(&wallet->ledger, key + 1) :
									     NULL;

	(void)err;
	/* A label is for people: one without its address is no reason not to open the wallet. */
	if (wallet_script == NULL || size > WALLET_LABEL_MAX)
		return true;
	free(wallet_script->label);
	wallet_script->label = mem_alloc(size + 1);
	memcpy(wallet_script->label, wallet_record, size);
	wallet_script->label[size] = 0;
	return true;
}

static void wallet_add_pledge(struct wallet *wallet, const struct wallet_pledge *pledge)
{
	wallet->pledges = mem_realloc(wallet->pledges, (wallet->pledge_count + 1) * sizeof *wallet->pledges);
	wallet->pledges[wallet->pledge_count++] = *pledge;
}

/* After the transactions: a pledge without both of them is no pledge. */
static bool wallet_visit_pledge(void *context, const uint8_t *key, size_t key_size, const uint8_t *wallet_record,
	size_t size, struct errmsg *err)
{
	struct wallet *wallet = context;
	struct wallet_pledge pledge = { .is_told = false };
	const struct ledger_tx *registration;

	if (!records_read_pledge(key, key_size, wallet_record, size, &pledge))
		return errmsg_set(err, "The record of a contribution is damaged");
	registration = ledger_find(&wallet->ledger, pledge.registration);
	if (registration == NULL || ledger_find(&wallet->ledger, pledge.commitment) == NULL)
		return errmsg_set(err, "A contribution lacks one of its transactions");
	pledge.order = registration->order;
	wallet_add_pledge(wallet, &pledge);
	return true;
}

static int wallet_compare_pledges(const void *pledge, const void *other_pledge)
{
	uint64_t left_order = ((const struct wallet_pledge *)pledge)->order;
	uint64_t right_order = ((const struct wallet_pledge *)other_pledge)->order;

	return (left_order > right_order) - (left_order < right_order);
}

static bool wallet_get_record(struct wallet *wallet, uint8_t record_kind, struct buf *wallet_record,
	struct reader *record_reader, struct errmsg *err)
{
	buf_reset(wallet_record);
	switch (db_get(wallet->db, &record_kind, 1, wallet_record, err)) {
	case DB_FOUND:
		reader_init(record_reader, wallet_record->data, wallet_record->size);
		return true;
	case DB_MISSING:
		return errmsg_set(err, "The record \"%c\" is missing", record_kind);
	case DB_FAILED:
		break;
	}
	return false;
}

/* Everything but scripts and what hangs on them. */
static bool wallet_load_heads(struct wallet *wallet, struct buf *wallet_record, struct errmsg *err)
{
	struct reader record_reader;
	uint8_t wallet_genesis[32];

	if (!wallet_get_record(wallet, RECORDS_ACCOUNT, wallet_record, &record_reader, err))
		return false;
	if (!account_read(&wallet->account, &record_reader))
		return errmsg_set(err, "The account record is damaged");
	if (!wallet_get_record(wallet, RECORDS_CHAIN, wallet_record, &record_reader, err))
		return false;
	reader_copy(&record_reader, wallet_genesis, 32);
	wallet->birth_time = reader_le64(&record_reader);
	if (memcmp(wallet_genesis, wallet->spec->genesis_id, 32) != 0)
		return errmsg_set(err, "It belongs to another chain");
	if (!wallet_get_record(wallet, RECORDS_NEXT, wallet_record, &record_reader, err))
		return false;
	wallet->next[ACCOUNT_RECEIVE] = reader_le32(&record_reader);
	wallet->next[ACCOUNT_CHANGE] = reader_le32(&record_reader);
	if (!reader_done(&record_reader))
		return errmsg_set(err, "The record of the next addresses is damaged");
	if (!wallet_get_record(wallet, RECORDS_SYNCED, wallet_record, &record_reader, err))
		return false;
	reader_copy(&record_reader, wallet->synced.id, 32);
	wallet->synced.height = reader_le32(&record_reader);
	return reader_done(&record_reader) || errmsg_set(err, "The record of the last block is damaged");
}

/* --- Scripts --- */

/* Derives up to the gap ahead; true if there were any to derive. An index without a key (one in 2^127) is passed
 * over. */
static bool wallet_derive_ahead(struct wallet *wallet)
{
	enum account_branch branch;
	bool scripts_grown = false;
	uint8_t script_key[32];

	for (branch = ACCOUNT_RECEIVE; branch <= ACCOUNT_CHANGE; branch++)
		for (; wallet->derived[branch] < wallet->next[branch] + WALLET_GAP; wallet->derived[branch]++) {
			if (account_key(&wallet->account, branch, wallet->derived[branch], script_key))
				ledger_add_script(&wallet->ledger, script_key, branch, wallet->derived[branch]);
			scripts_grown = true;
		}
	return scripts_grown;
}

static bool wallet_is_given_out(const struct wallet *wallet, const struct ledger_script *wallet_script)
{
	return wallet_script->index < wallet->next[wallet_script->branch];
}

static void wallet_note_script(struct wallet *wallet, const struct ledger_script *wallet_script)
{
	if (wallet_script != NULL && !wallet_is_given_out(wallet, wallet_script))
		wallet->next[wallet_script->branch] = wallet_script->index + 1;
}

/* Moves the next indices behind what the transaction uses, and derives; true if there are new scripts. Also addresses
 * that this file never gave out: the same words may be at work elsewhere, or were before the wallet was restored.
 * Owners of data count whoever registers them: coinbases pay them later, at any time, and the wallet must know the
 * script by then. */
static bool wallet_note_used(struct wallet *wallet, const struct tx *tx)
{
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++) {
		wallet_note_script(wallet, ledger_output_script(&wallet->ledger, &tx->outputs[i]));
		if (contribution_parse(&tx->outputs[i].script, &contribution))
			wallet_note_script(wallet, ledger_script(&wallet->ledger, contribution.owner));
	}
	return wallet_derive_ahead(wallet);
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

static bool wallet_make_account(struct wallet *wallet, const char *passphrase, const char *words, struct errmsg *err)
{
	uint8_t entropy[BIP39_ENTROPY_MAX];
	size_t entropy_size = sizeof entropy;
	bool has_keys;

	if (words == NULL)
		random_bytes(entropy, entropy_size);
	else if (!bip39_decode(entropy, &entropy_size, words, err))
		return false;
	has_keys = account_init(&wallet->account, entropy, entropy_size, account_coin(wallet->spec->name), passphrase);
	wipe(entropy, sizeof entropy);
	return has_keys || errmsg_set(err, "These words give no keys");
}

/* A wallet that is new, in the draft of its folder. */
static bool wallet_write_draft(const char *path, const char *name, const struct spec *spec, const char *passphrase,
	const char *words, const struct wallet_place *birth, struct errmsg *err)
{
	struct wallet *wallet = wallet_new(path, name, spec);
	char *wallet_draft = folder_draft(path);
	struct db_batch *wallet_batch;
	bool is_made;

	wallet->synced = *birth;
	wallet->birth_time = (uint64_t)clock_wall();
	is_made = wallet_make_account(wallet, passphrase, words, err);
	if (is_made)
		wallet->db = db_open(wallet_draft, err);
	if (wallet->db != NULL) {
		wallet_batch = db_batch_new();
		wallet_put_account(wallet_batch, wallet);
		wallet_put_chain(wallet_batch, wallet);
		wallet_put_progress(wallet_batch, wallet);
		is_made = wallet_write_batch(wallet, wallet_batch, true, err);
	}
	is_made = is_made && wallet->db != NULL;
	free(wallet_draft);
	/* Before the draft gets its name: no database may be open while folders are renamed. */
	wallet_close(wallet);
	return is_made;
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
	if (!folder_begin(path, err) || !wallet_write_draft(path, name, spec, passphrase, words, birth, err)) {
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
static bool wallet_load(struct wallet *wallet, struct errmsg *err)
{
	struct buf wallet_record;
	bool has_heads;

	if (folder_look(wallet->path, err) == FOLDER_BROKEN)
		return false;
	folder_make_private(wallet->path);
	wallet->db = db_open_existing(wallet->path, err);
	if (wallet->db == NULL)
		return false;
	buf_init(&wallet_record);
	has_heads = wallet_load_heads(wallet, &wallet_record, err);
	buf_clear(&wallet_record);
	if (!has_heads)
		return false;
	wallet->ledger.tip_height = wallet->synced.height;
	wallet_derive_ahead(wallet);
	if (!db_each(wallet->db, (uint8_t[]){ RECORDS_LABEL }, 1, wallet_visit_label, wallet, err) ||
		!db_each(wallet->db, (uint8_t[]){ RECORDS_TX }, 1, wallet_visit_tx, wallet, err) ||
		!db_each(wallet->db, (uint8_t[]){ RECORDS_PLEDGE }, 1, wallet_visit_pledge, wallet, err))
		return false;
	if (wallet->pledge_count > 1)
		qsort(wallet->pledges, wallet->pledge_count, sizeof *wallet->pledges, wallet_compare_pledges);
	return wallet->account.has_passphrase || account_unlock(&wallet->account, "") ||
		errmsg_set(err, "The account record is damaged: its seed cannot be read");
}

struct wallet *wallet_open(const char *path, const char *name, const struct spec *spec, struct errmsg *err)
{
	struct wallet *wallet = wallet_new(path, name, spec);

	if (folder_settle(path, err) && wallet_load(wallet, err))
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
	free(wallet->pledges);
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

static bool wallet_pays_key(const struct tx *tx, size_t output, const uint8_t key[32])
{
	return output < tx->output_count && script_pays(&tx->outputs[output].script, key);
}

/* A coinbase pays its own miner, the loose and late proofs' miners in order, then the owners of datasets; zero amounts
 * are left out (doc/protocol.md section 13). */
static uint32_t wallet_first_data(const struct block *block)
{
	const struct tx *coinbase = block->txs[0];
	uint32_t coinbase_at = 0;
	size_t i;

	for (i = 0; i < block_proof_count(block); i++)
		coinbase_at += wallet_pays_key(coinbase, coinbase_at, block_proof(block, i)->miner);
	return coinbase_at;
}

/* Of a coinbase, what only its block tells. */
static void wallet_note_coinbase(const struct wallet *wallet, struct ledger_tx *wallet_tx, const struct block *block)
{
	wallet_tx->first_data = wallet_first_data(block);
	wallet_tx->is_stake = wallet->spec->round_blocks > 0 && wallet_pays_key(block->txs[0], 0, block->header.miner);
}

/* The child of a merge says in its coinbase which seats are struck: what these blocks paid their miners is gone with it
 * (doc/protocol.md section 20). */
static void wallet_take_strikes(struct wallet *wallet, struct db_batch *wallet_batch, const struct wallet_place *place,
	const struct block *block, bool *concerned)
{
	const struct spec *spec = wallet->spec;
	struct coinbase_parts stated_parts;
	const uint8_t *map_key;
	size_t map_at = 0;
	void *mapped;

	coinbase_part(spec, block->txs[0], place->height, &stated_parts);
	while (stated_parts.merge.seats > 0 && map_next(&wallet->ledger.txs, &map_at, &map_key, &mapped)) {
		const uint32_t first_height = spec_seat_height(spec, place->height - 1, 0);
		struct ledger_tx *wallet_tx = mapped;

		if (!wallet_tx->is_stake || wallet_tx->height < first_height ||
			!merge_statement_is_struck(&stated_parts.merge, wallet_tx->height - first_height))
			continue;
		wallet_tx->struck_at = place->height;
		records_put_tx(wallet_batch, wallet_tx);
		*concerned = true;
	}
}

/* One pass over the block; true if it made new scripts known, which may be paid earlier in the same block. */
static bool wallet_take_block(struct wallet *wallet, struct db_batch *wallet_batch, const struct wallet_place *place,
	const struct block *block, bool *concerned)
{
	struct ledger_tx *wallet_tx;
	bool scripts_grown = false;
	size_t i;

	for (i = 0; i < block->tx_count; i++) {
		if (wallet_note_used(wallet, block->txs[i]))
			scripts_grown = true;
		if (!ledger_concerns(&wallet->ledger, block->txs[i]))
			continue;
		wallet_tx = ledger_add(&wallet->ledger, block->txs[i], block->header.time);
		wallet_tx->height = place->height;
		memcpy(wallet_tx->block, place->id, 32);
		wallet_tx->in_mempool = false;
		wallet_tx->abandoned = false;
		if (wallet_tx->coinbase)
			wallet_note_coinbase(wallet, wallet_tx, block);
		records_put_tx(wallet_batch, wallet_tx);
		*concerned = true;
	}
	return scripts_grown;
}

/* A block that pays the 20th script ahead makes 20 more known, and may pay these as well, in a transaction that was
 * already passed over: hence the passes, until one finds nothing new. What is written several times is written alike.
 *
 * Not synced if nothing of the block is the wallet's: after a crash it is told of such blocks again. */
bool wallet_connect(struct wallet *wallet, const struct wallet_place *place, const struct block *block,
	struct errmsg *err)
{
	struct db_batch *wallet_batch = db_batch_new();
	bool concerned = false;

	while (wallet_take_block(wallet, wallet_batch, place, block, &concerned))
		continue;
	wallet_take_strikes(wallet, wallet_batch, place, block, &concerned);
	wallet->synced = *place;
	wallet->ledger.tip_height = place->height;
	wallet_put_progress(wallet_batch, wallet);
	return wallet_write_batch(wallet, wallet_batch, concerned, err);
}

/* Its transactions stay, in no block, and what it struck is back. Of those from others and of coinbases the chain gives
 * notice if they come again; the wallet's own are offered to the mempool (wallets.c). By height, in one write for any
 * number of blocks. */
bool wallet_rewind(struct wallet *wallet, const struct wallet_place *place, struct errmsg *err)
{
	struct db_batch *wallet_batch = db_batch_new();
	struct ledger_tx *wallet_tx;
	const uint8_t *map_key;
	size_t map_at = 0;
	void *mapped;

	while (map_next(&wallet->ledger.txs, &map_at, &map_key, &mapped)) {
		wallet_tx = mapped;
		if (wallet_tx->height <= place->height && wallet_tx->struck_at <= place->height)
			continue;
		if (wallet_tx->height > place->height)
			wallet_tx->height = 0;
		if (wallet_tx->struck_at > place->height)
			wallet_tx->struck_at = 0;
		records_put_tx(wallet_batch, wallet_tx);
	}
	wallet->synced = *place;
	wallet->ledger.tip_height = place->height;
	wallet_put_progress(wallet_batch, wallet);
	return wallet_write_batch(wallet, wallet_batch, true, err);
}

/* Writes down a transaction that counts from now on. */
static bool wallet_record_tx(struct wallet *wallet, struct ledger_tx *wallet_tx, struct errmsg *err)
{
	struct db_batch *wallet_batch = db_batch_new();

	wallet_tx->abandoned = false;
	wallet_note_used(wallet, wallet_tx->tx);
	records_put_tx(wallet_batch, wallet_tx);
	wallet_put_progress(wallet_batch, wallet);
	wallet_tx->recorded = wallet_write_batch(wallet, wallet_batch, true, err);
	return wallet_tx->recorded;
}

bool wallet_record_payment(struct wallet *wallet, const struct tx *tx, struct errmsg *err)
{
	return wallet_record_tx(wallet, ledger_add(&wallet->ledger, tx, (uint64_t)clock_wall()), err);
}

/* One that was abandoned and is in the mempool after all counts again. */
bool wallet_mempool_added(struct wallet *wallet, const struct tx *tx, struct errmsg *err)
{
	struct ledger_tx *wallet_tx;

	if (!ledger_concerns(&wallet->ledger, tx))
		return true;
	wallet_tx = ledger_add(&wallet->ledger, tx, (uint64_t)clock_wall());
	/* The wallet may have seen it in a block meanwhile. */
	wallet_tx->in_mempool = wallet_tx->height == 0;
	return (wallet_tx->recorded && !wallet_tx->abandoned) || wallet_record_tx(wallet, wallet_tx, err);
}

void wallet_mempool_removed(struct wallet *wallet, const struct tx *tx)
{
	struct ledger_tx *wallet_tx;

	wallet_tx = ledger_find(&wallet->ledger, tx_txid(tx));
	if (wallet_tx != NULL)
		wallet_tx->in_mempool = false;
}

/* While somebody could still put it into a block from a mempool of his own, what it spends is free for another payment:
 * the chain takes one of the two, and the wallet follows. */
bool wallet_abandon(struct wallet *wallet, struct ledger_tx *wallet_tx, struct errmsg *err)
{
	struct db_batch *wallet_batch;

	if (wallet_tx->height != 0 || wallet_tx->in_mempool)
		return errmsg_set(err, "The transaction is in a block or in the mempool: it cannot be abandoned");
	wallet_tx->abandoned = true;
	wallet_batch = db_batch_new();
	records_put_tx(wallet_batch, wallet_tx);
	return wallet_write_batch(wallet, wallet_batch, true, err);
}

/* --- Labels --- */

static bool wallet_check_label(const char *label, struct errmsg *err)
{
	return strlen(label) <= WALLET_LABEL_MAX || errmsg_set(err, "A label has at most %d bytes", WALLET_LABEL_MAX);
}

static void wallet_put_label(struct db_batch *wallet_batch, struct ledger_script *wallet_script, const char *label)
{
	records_put_label(wallet_batch, wallet_script->key, label);
	free(wallet_script->label);
	wallet_script->label = mem_strdup(label);
}

/* --- Pledges --- */

/* Neither transaction has been seen by anybody: from here on both are offered, and the coins that they spend are taken.
 * So they and the bytes are on disk together, or none of it is. */
bool wallet_record_pledge(struct wallet *wallet, const struct tx *commitment, const struct tx *registration,
	const struct buf *pledged_bytes, struct errmsg *err)
{
	const struct tx *txs[2] = { commitment, registration };
	struct wallet_pledge pledge = { .keeps_bytes = true };
	struct db_batch *wallet_batch = db_batch_new();
	struct contribution contribution;
	struct ledger_script *owner_script;
	struct ledger_tx *wallet_txs[2];
	bool is_written;

	memcpy(pledge.commitment, tx_txid(commitment), 32);
	memcpy(pledge.registration, tx_txid(registration), 32);
	contribution_find(registration, &contribution);
	owner_script = ledger_script(&wallet->ledger, contribution.owner);
	if (owner_script != NULL && owner_script->label == NULL && !wallet_is_given_out(wallet, owner_script))
		wallet_put_label(wallet_batch, owner_script, "data owner");
	for (size_t i = 0; i < 2; i++) {
		wallet_txs[i] = ledger_add(&wallet->ledger, txs[i], (uint64_t)clock_wall());
		wallet_note_used(wallet, wallet_txs[i]->tx);
		records_put_tx(wallet_batch, wallet_txs[i]);
	}
	wallet_put_progress(wallet_batch, wallet);
	records_put_pledge(wallet_batch, &pledge);
	records_put(wallet_batch, RECORDS_BYTES, contribution.root, pledged_bytes);
	pledge.order = wallet_txs[1]->order;
	wallet_add_pledge(wallet, &pledge);
	is_written = wallet_write_batch(wallet, wallet_batch, true, err);
	for (size_t i = 0; i < 2; i++)
		wallet_txs[i]->recorded = is_written;
	return is_written;
}

struct wallet_pledge *wallet_pledges(struct wallet *wallet, size_t *count)
{
	*count = wallet->pledge_count;
	return wallet->pledges;
}

bool wallet_read_pledged(struct wallet *wallet, const uint8_t root[32], struct buf *pledged_bytes, struct errmsg *err)
{
	uint8_t record_key[RECORDS_KEY_SIZE];

	records_key(record_key, RECORDS_BYTES, root);
	switch (db_get(wallet->db, record_key, sizeof record_key, pledged_bytes, err)) {
	case DB_FOUND:
		return true;
	case DB_MISSING:
		return errmsg_set(err, "The bytes of a contribution are not kept any more");
	case DB_FAILED:
		break;
	}
	return false;
}

bool wallet_drop_pledged(struct wallet *wallet, struct wallet_pledge *pledge, const uint8_t root[32],
	struct errmsg *err)
{
	struct db_batch *wallet_batch = db_batch_new();
	uint8_t record_key[RECORDS_KEY_SIZE];

	records_key(record_key, RECORDS_BYTES, root);
	db_batch_delete(wallet_batch, record_key, sizeof record_key);
	pledge->keeps_bytes = false;
	records_put_pledge(wallet_batch, pledge);
	return wallet_write_batch(wallet, wallet_batch, true, err);
}

/* --- Addresses --- */

bool wallet_new_address(struct wallet *wallet, enum account_branch branch, const char *label, uint8_t key[32],
	struct errmsg *err)
{
	struct ledger_script *wallet_script;
	struct db_batch *wallet_batch;

	if (label != NULL && !wallet_check_label(label, err))
		return false;
	wallet_peek_address(wallet, branch, 0, key);
	/* There for sure: scripts are derived WALLET_GAP beyond the next index. */
	wallet_script = ledger_script(&wallet->ledger, key);
	wallet->next[branch] = wallet_script->index + 1;
	wallet_derive_ahead(wallet);
	wallet_batch = db_batch_new();
	wallet_put_progress(wallet_batch, wallet);
	if (label != NULL)
		wallet_put_label(wallet_batch, wallet_script, label);
	return wallet_write_batch(wallet, wallet_batch, true, err);
}

void wallet_peek_address(const struct wallet *wallet, enum account_branch branch, uint32_t skipped, uint8_t key[32])
{
	uint32_t index = wallet->next[branch] + skipped;

	while (!account_key(&wallet->account, branch, index, key))
		index++;
}

uint32_t wallet_next_index(const struct wallet *wallet, enum account_branch branch)
{
	return wallet->next[branch];
}

bool wallet_set_label(struct wallet *wallet, struct ledger_script *wallet_script, const char *label, struct errmsg *err)
{
	struct db_batch *wallet_batch;

	if (!wallet_check_label(label, err))
		return false;
	wallet_batch = db_batch_new();
	wallet_put_label(wallet_batch, wallet_script, label);
	return wallet_write_batch(wallet, wallet_batch, true, err);
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

bool wallet_check_unlocked(struct wallet *wallet, struct errmsg *err)
{
	return wallet_is_unlocked(wallet) ||
		errmsg_set(err, "The wallet is locked: unlock it with walletpassphrase first");
}

int64_t wallet_unlocked_until(struct wallet *wallet)
{
	return wallet_is_unlocked(wallet) && wallet->account.has_passphrase ? wallet->lock_at_wall : 0;
}

/* The records on their way to another database. */
struct wallet_copy {
	struct db *to;
	struct db_batch *batch;
	size_t bytes; /* in the batch */
};

static bool wallet_copy_record(void *context, const uint8_t *key, size_t key_size, const uint8_t *wallet_record,
	size_t size, struct errmsg *err)
{
	struct wallet_copy *wallet_copy = context;

	/* The old seal never gets into the new database; its own is put there last. */
	if (key_size == 1 && key[0] == RECORDS_ACCOUNT)
		return true;
	db_batch_put(wallet_copy->batch, key, key_size, wallet_record, size);
	wallet_copy->bytes += key_size + size;
	if (wallet_copy->bytes < WALLET_COPY_BYTES)
		return true;
	if (!db_write(wallet_copy->to, wallet_copy->batch, true, err))
		return false;
	db_batch_free(wallet_copy->batch);
	wallet_copy->batch = db_batch_new();
	wallet_copy->bytes = 0;
	return true;
}

/* All records as they are on disk, and the account as it is in memory. */
static bool wallet_copy_to_draft(struct wallet *wallet, struct errmsg *err)
{
	char *wallet_draft = folder_draft(wallet->path);
	struct wallet_copy wallet_copy = { .to = db_open(wallet_draft, err), .batch = db_batch_new() };
	bool is_copied = wallet_copy.to != NULL && db_each(wallet->db, "", 0, wallet_copy_record, &wallet_copy, err);

	if (is_copied) {
		wallet_put_account(wallet_copy.batch, wallet);
		is_copied = db_write(wallet_copy.to, wallet_copy.batch, true, err);
	}
	db_batch_free(wallet_copy.batch);
	db_close(wallet_copy.to);
	free(wallet_draft);
	return is_copied;
}

/* A new database takes the old one's place, with the account as it is in memory. LevelDB keeps what is overwritten for
 * a while, so in the same one the seed could still be opened with the old passphrase. */
static bool wallet_rewrite(struct wallet *wallet, struct errmsg *err)
{
	struct errmsg reopen_err;
	bool is_installed;

	if (!wallet_is_sound(wallet))
		return errmsg_set(err, "Wallet %s takes no write until it is opened again", wallet->name);
	if (!folder_begin(wallet->path, err) || !wallet_copy_to_draft(wallet, err)) {
		folder_give_up(wallet->path);
		return errmsg_wrap(err, "Wallet %s", wallet->name);
	}
	db_close(wallet->db);
	is_installed = folder_install(wallet->path, err) || errmsg_wrap(err, "Wallet %s", wallet->name);
	wallet->db = db_open_existing(wallet->path, &reopen_err);
	if (wallet->db == NULL)
		log_error("Wallet %s: %s", wallet->name, reopen_err.text);
	return is_installed;
}

/* The account is sealed anew in memory and goes to a new database. If that fails, memory is what it was before, copied
 * here with its secrets: hence the wiping. */
bool wallet_change_passphrase(struct wallet *wallet, const char *old, const char *fresh, bool *wrong,
	struct errmsg *err)
{
	bool was_unlocked = wallet_is_unlocked(wallet), is_rewritten;
	struct account account_before = wallet->account;

	*wrong = !account_unlock(&wallet->account, old);
	if (*wrong) {
		wipe(&account_before, sizeof account_before);
		return errmsg_set(err, "The passphrase is not right");
	}
	account_seal(&wallet->account, fresh);
	is_rewritten = wallet_rewrite(wallet, err);
	if (!is_rewritten)
		wallet->account = account_before;
	else if (!was_unlocked || *old == 0)
		wallet_lock(wallet);
	wipe(&account_before, sizeof account_before);
	return is_rewritten;
}

bool wallet_secret(struct wallet *wallet, const struct ledger_script *wallet_script, uint8_t secret[32])
{
	return wallet_is_unlocked(wallet) &&
		account_secret(&wallet->account, wallet_script->branch, wallet_script->index, secret);
}

bool wallet_sign(struct wallet *wallet, const uint8_t key[32], const uint8_t hash[32], uint8_t signature[64])
{
	const struct ledger_script *wallet_script = ledger_script(&wallet->ledger, key);
	uint8_t secret[32], aux[32];
	bool is_signed;

	random_bytes(aux, sizeof aux);
	is_signed = wallet_script != NULL && wallet_secret(wallet, wallet_script, secret) &&
		schnorr_sign(signature, hash, secret, aux);
	wipe(secret, sizeof secret);
	return is_signed;
}

bool wallet_salt(struct wallet *wallet, const uint8_t root[32], uint8_t salt[32], struct errmsg *err)
{
	return wallet_check_unlocked(wallet, err) &&
		account_salt(&wallet->account, wallet->spec->genesis_id, root, salt);
}
