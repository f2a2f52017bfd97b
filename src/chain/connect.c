/* Connecting and disconnecting single blocks (doc/protocol.md sections 11 to 14). */
#include "chain/connect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/signatures.h"
#include "chain/tip.h"
#include "consensus/coinbase.h"
#include "consensus/spending.h"
#include "util/bytes.h"
#include "util/log.h"
#include "util/mem.h"

/* --- the rules that need coins --- */

/* What a block does to the coins, gathered while it is checked. */
struct block_effect {
	struct coin_view *view;
	struct buf spent; /* coins in the order of the inputs, for the undo record */
	int64_t fees;
};

static struct block_effect *effect_new(struct db *db)
{
	struct block_effect *effect = mem_calloc(1, sizeof *effect);

	effect->view = coin_view_new(db);
	buf_init(&effect->spent);
	return effect;
}

static void effect_free(struct block_effect *effect)
{
	if (effect == NULL)
		return;
	coin_view_free(effect->view);
	buf_clear(&effect->spent);
	free(effect);
}

/* A coin that is not there is the block's fault; one that could not be read is the disk's. */
static enum connect_result missing_input(bool failed, const struct spending *spending, struct reject *reject)
{
	char id[65];

	if (failed)
		return CONNECT_FAILED;
	hex_encode_reversed(id, tx_txid(spending->tx), 32);
	reject_set(reject, REASON_BAD_TXNS_INPUTS_MISSINGORSPENT, "transaction %s", id);
	return CONNECT_INVALID;
}

static bool add_coin(const struct chain *chain, const struct full_entry *full, struct spending *spending,
	const struct coin *coin, struct reject *reject)
{
	const struct spending_coin added = {
		.output = coin->output,
		.height = coin->height,
		.coinbase = coin->coinbase,
		.time = chain_ancestor(full->entry.parent, spending_time_height(spending, coin->height))->median_time,
	};

	switch (spending_add(spending, &added, chain->spec->maturity)) {
	case SPENDING_OK:
		return true;
	case SPENDING_IMMATURE:
		return reject_set(reject, REASON_BAD_TXNS_PREMATURE_SPEND_OF_COINBASE,
			"coinbase of height %u spent at height %u", (unsigned)coin->height,
			(unsigned)full->entry.height);
	case SPENDING_TOO_MUCH:
		break;
	}
	return reject_set(reject, REASON_BAD_TXNS_INPUTVALUES_OUTOFRANGE, "sum of the inputs");
}

/* Takes the coins of all inputs out of the view. Each coin is gone from the view before the next input looks, so
 * nothing is spent twice, by one transaction or by two of the block. */
static enum connect_result take_inputs(struct chain *chain, const struct full_entry *full, struct spending *spending,
	struct block_effect *effect, struct reject *reject, struct errmsg *err)
{
	for (size_t i = 0; i < spending->tx->input_count; i++) {
		const struct outpoint *prev = &spending->tx->inputs[i].prev;
		bool failed = false;
		const struct coin *coin = coin_view_get(effect->view, prev, &failed, err);

		if (coin == NULL)
			return missing_input(failed, spending, reject);
		if (!add_coin(chain, full, spending, coin, reject))
			return CONNECT_INVALID;
		coin_write(&effect->spent, coin);
		coin_view_spend(effect->view, prev);
	}
	return CONNECT_OK;
}

/* Fees are added up over the block, for its coinbase; both terms are in range, so the sum is looked at after the
 * addition. */
static bool check_amounts(const struct spending *spending, struct block_effect *effect, struct reject *reject)
{
	const int64_t fee = spending_fee(spending);

	if (fee < 0)
		return reject_set(reject, REASON_BAD_TXNS_IN_BELOWOUT, "%" PRId64 " < %" PRId64, spending->in,
			spending->in - fee);
	effect->fees += fee;
	return tx_amount_valid(effect->fees) ||
		reject_set(reject, REASON_BAD_TXNS_ACCUMULATED_FEE_OUTOFRANGE, "sum of the block's fees");
}

/* Whether signatures were held against these very coins before: at the first check, or in the mempool. By wtxid, which
 * covers the witness: the same txid with another signature has not been looked at. */
static bool is_signed(const struct chain *chain, const struct full_entry *full, const struct tx *tx)
{
	return full->scripts_checked || mempool_find_wtxid(chain->mempool, tx_wtxid(tx)) != NULL;
}

/* All but its signatures, which are put aside. */
static enum connect_result check_tx(struct chain *chain, const struct full_entry *full, const struct tx *tx,
	struct block_effect *effect, struct signatures *signatures, struct reject *reject, struct errmsg *err)
{
	const uint32_t height = full->entry.height, median = full->entry.parent->median_time;
	enum connect_result result;
	struct spending spending;

	spending_init(&spending, tx, height);
	result = take_inputs(chain, full, &spending, effect, reject, err);
	if (result == CONNECT_OK && !spending_locks_met(&spending, median)) {
		reject_set(reject, REASON_BAD_TXNS_NONFINAL, "a relative lock is not met");
		result = CONNECT_INVALID;
	}
	if (result == CONNECT_OK && !check_amounts(&spending, effect, reject))
		result = CONNECT_INVALID;
	if (result == CONNECT_OK)
		coin_view_add_tx(effect->view, tx, height);
	if (result == CONNECT_OK && !is_signed(chain, full, tx))
		signatures_put(signatures, &spending);
	else
		spending_clear(&spending);
	return result;
}

/* Order decides which reason a bad block is refused for, and with it who is blamed: transaction by transaction coins,
 * maturity, locks, sums, signatures. Signatures cost most by far, so they are checked together, when all else held or
 * one transaction failed; what is wrong with the signatures of those before it comes first. */
static enum connect_result check_txs(struct chain *chain, const struct full_entry *full, const struct block *block,
	struct block_effect *effect, struct reject *reject, struct errmsg *err)
{
	enum connect_result result = CONNECT_OK;
	struct signatures signatures;

	signatures_init(&signatures);
	for (size_t i = 1; result == CONNECT_OK && i < block->tx_count; i++)
		result = check_tx(chain, full, block->txs[i], effect, &signatures, reject, err);
	if (result != CONNECT_FAILED && !signatures_check(&signatures, chain->signers, reject))
		result = CONNECT_INVALID;
	signatures_clear(&signatures);
	return result;
}

/* Everything that needs the parent's coins and registry. The parent must be the tip. */
static enum connect_result check_block(struct chain *chain, struct full_entry *full, const struct block *block,
	struct block_effect *effect, struct reject *reject, struct errmsg *err)
{
	const struct index_entry *parent = full->entry.parent;
	struct coinbase_facts facts = {
		.height = full->entry.height,
		.miner = block->header.miner,
		.loose = block->loose,
		.loose_count = block->loose_count,
		.registry = chain->registry,
		.parent = parent->height > 0 ? &parent->outcome : NULL,
	};
	enum connect_result result;

	chain->counts.checked++;
	if (!registry_check_block(chain->registry, block, reject))
		return CONNECT_INVALID;
	result = check_txs(chain, full, block, effect, reject, err);
	if (result != CONNECT_OK)
		return result;
	facts.fees = effect->fees;
	if (!coinbase_check(chain->spec, block->txs[0], &facts, reject))
		return CONNECT_INVALID;
	full->scripts_checked = true;
	coin_view_add_tx(effect->view, block->txs[0], full->entry.height);
	return CONNECT_OK;
}

/* By id: a kept effect must never be taken for another block's. */
static struct checked_block *find_checked(struct chain *chain, const struct full_entry *full)
{
	for (size_t i = 0; i < CONNECT_CHECKED; i++)
		if (chain->checked[i].effect != NULL && memcmp(chain->checked[i].id, full->entry.id, 32) == 0)
			return &chain->checked[i];
	return NULL;
}

/* Every change of the tip makes these worthless: the coins that they stand on are others then. */
void connect_forget(struct chain *chain)
{
	for (size_t i = 0; i < CONNECT_CHECKED; i++) {
		effect_free(chain->checked[i].effect);
		chain->checked[i].effect = NULL;
	}
}

/* What it finds out stays for connect_block. The oldest of the few makes room: who sends many blocks for one tip makes
 * this node check its next one twice, no more. */
enum connect_result connect_check(struct chain *chain, struct full_entry *full, const struct block *block,
	struct reject *reject, struct errmsg *err)
{
	struct checked_block *place = find_checked(chain, full);
	enum connect_result result;
	struct block_effect *effect;

	if (place != NULL)
		return CONNECT_OK;
	effect = effect_new(chain->db);
	result = check_block(chain, full, block, effect, reject, err);
	if (result != CONNECT_OK) {
		effect_free(effect);
		return result;
	}
	place = &chain->checked[chain->checked_next];
	chain->checked_next = (chain->checked_next + 1) % CONNECT_CHECKED;
	effect_free(place->effect);
	place->effect = effect;
	memcpy(place->id, full->entry.id, 32);
	return CONNECT_OK;
}

/* --- one block on --- */

/* Tip, sums and registry change together with the coins, in one batch: whatever kills the process, the database is
 * after one block or after the next. */
static void save_tip(const struct chain *chain, struct db_batch *batch, const struct full_entry *tip,
	const struct coin_stats *stats)
{
	const uint8_t tip_key = DB_TIP, registry_key = DB_REGISTRY;
	struct buf value;

	buf_init(&value);
	buf_put(&value, tip->entry.id, 32);
	buf_put_le64(&value, stats->coins);
	buf_put_le64(&value, (uint64_t)stats->amount);
	db_batch_put(batch, &tip_key, 1, value.data, value.size);
	buf_reset(&value);
	registry_write(&value, chain->registry);
	db_batch_put(batch, &registry_key, 1, value.data, value.size);
	buf_clear(&value);
}

/* In the same batch as the tip, so that look-ups never name a block that is not active. */
static void save_txs(struct db_batch *batch, const struct block *block, const uint8_t *id)
{
	uint8_t key[33] = { DB_TX };

	for (size_t i = 0; i < block->tx_count; i++) {
		memcpy(key + 1, tx_txid(block->txs[i]), 32);
		if (id != NULL)
			db_batch_put(batch, key, sizeof key, id, 32);
		else
			db_batch_delete(batch, key, sizeof key);
	}
}

/* Where each proof is: in the block `id`, or nowhere (NULL). */
static void save_proofs(struct db_batch *batch, const struct block *block, const uint8_t *id)
{
	uint8_t key[33] = { DB_PROOF }, value[PROOF_PLACE_SIZE];

	for (size_t i = 0; i <= block->loose_count; i++) {
		memcpy(key + 1, block_proof_id(block, i), 32);
		if (id == NULL) {
			db_batch_delete(batch, key, sizeof key);
			continue;
		}
		memcpy(value, id, 32);
		write_le32(value + 32, (uint32_t)i);
		db_batch_put(batch, key, sizeof key, value, sizeof value);
	}
}

/* The coins that were spent, in the order of the inputs, then what the registry forgot: all that the block itself does
 * not say. */
static bool append_undo(struct chain *chain, struct full_entry *full, const struct buf *spent,
	const struct registry_undo *undo, struct errmsg *err)
{
	struct file_part part;
	struct buf record;
	bool ok;

	/* It depends on block and parent alone: one written before still fits. */
	if (full->undo.size != 0)
		return true;
	buf_init(&record);
	buf_put_compact(&record, spent->size);
	buf_put(&record, spent->data, spent->size);
	registry_undo_write(&record, undo);
	part = (struct file_part){ record.data, record.size };
	ok = record_file_append(chain->undos, RECORD_UNDO, &part, 1, &full->undo, err);
	buf_clear(&record);
	return ok;
}

/* --- what must be on disk first --- */

void connect_note_verified(struct chain *chain, struct full_entry *full)
{
	if (chain->unsaved_count == chain->unsaved_cap) {
		chain->unsaved_cap = chain->unsaved_cap > 0 ? 2 * chain->unsaved_cap : 4;
		chain->unsaved = mem_realloc(chain->unsaved, chain->unsaved_cap * sizeof(struct full_entry *));
	}
	chain->unsaved[chain->unsaved_count++] = full;
}

/* Along with the block that is connected; what is left then is connect_save_verified's. */
static void save_unsaved(const struct chain *chain, struct db_batch *batch, const struct full_entry *but)
{
	for (size_t i = 0; i < chain->unsaved_count; i++)
		if (chain->unsaved[i] != but)
			index_save(batch, chain->unsaved[i]);
}

struct file_sync {
	struct record_file *files;
	bool ok;
	struct errmsg err;
};

static void sync_one(void *arg, size_t task, unsigned member)
{
	struct file_sync *sync = &((struct file_sync *)arg)[task];

	(void)member;
	sync->ok = record_file_sync(sync->files, &sync->err);
}

/* Both at a time: the disk takes one turn for two. */
static bool sync_records(struct chain *chain, struct errmsg *err)
{
	struct file_sync syncs[2] = { { .files = chain->blocks }, { .files = chain->undos } };

	team_run(chain->signers, sync_one, syncs, 2);
	for (int i = 0; i < 2; i++)
		if (!syncs[i].ok) {
			*err = syncs[i].err;
			return false;
		}
	return true;
}

bool connect_save_verified(struct chain *chain, struct errmsg *err)
{
	struct db_batch *batch;
	bool ok;

	if (chain->unsaved_count == 0)
		return true;
	batch = db_batch_new();
	save_unsaved(chain, batch, NULL);
	ok = sync_records(chain, err) && db_write(chain->db, batch, false, err);
	db_batch_free(batch);
	if (ok)
		chain->unsaved_count = 0;
	return ok;
}

/* The one place where a block becomes part of the active chain. Invariant: files before the index that names places in
 * them, then everything in one synced batch, and memory last. The registry is the exception, since its undo record
 * must be written first: it goes back if the write fails. Coins need not: they are in the view alone until the batch
 * is through. */
static bool commit_block(struct chain *chain, struct full_entry *full, const struct block *block,
	struct block_effect *effect, struct errmsg *err)
{
	const struct index_entry *parent = full->entry.parent;
	struct coin_stats stats = chain->coin_stats;
	struct db_batch *batch = db_batch_new();
	struct registry_undo *undo;
	bool ok;

	undo = registry_apply(chain->registry, block, parent->height > 0 ? &parent->outcome : NULL);
	ok = append_undo(chain, full, &effect->spent, undo, err) && sync_records(chain, err);
	if (ok) {
		coin_view_flush(effect->view, batch, &stats);
		save_txs(batch, block, full->entry.id);
		save_proofs(batch, block, full->entry.id);
		save_tip(chain, batch, full, &stats);
		index_set_status(&chain->index, full, ENTRY_CONNECTED);
		if (full->entry.connect_order == 0)
			full->entry.connect_order = ++chain->index.connect_order;
		save_unsaved(chain, batch, full);
		index_save(batch, full);
		ok = db_write(chain->db, batch, true, err);
	}
	if (ok) {
		chain->unsaved_count = 0;
		chain->coin_stats = stats;
		index_set_active(&chain->index, full);
	} else {
		registry_undo(chain->registry, undo);
	}
	registry_undo_free(undo);
	db_batch_free(batch);
	return ok;
}

/* Notices come after the write: whoever acts on one acts on what is durable. */
enum connect_result connect_block(struct chain *chain, struct full_entry *full, struct reject *reject,
	struct errmsg *err)
{
	const struct block *block = kept_read(chain, full, err);
	enum connect_result result;

	if (block == NULL) {
		halt_name_remedy(err);
		return CONNECT_FAILED;
	}
	result = connect_check(chain, full, block, reject, err);
	if (result == CONNECT_OK && !commit_block(chain, full, block, find_checked(chain, full)->effect, err))
		result = CONNECT_FAILED;
	if (result != CONNECT_INVALID)
		connect_forget(chain);
	if (result == CONNECT_OK) {
		states_connected(chain->states, full);
		mempool_block_connected(chain, block);
		NOTIFY(&chain->notices, connected, &full->entry, block);
	}
	block_unref(block);
	return result;
}

/* --- one block off --- */

/* Takes back what a block did to the coins, last transaction first. */
static bool undo_coins(struct coin_view *view, const struct block *block, struct reader *spent, struct errmsg *err)
{
	struct coin *coins = NULL;
	size_t count = 0, at;
	bool ok = true;

	for (size_t i = 1; i < block->tx_count; i++)
		count += block->txs[i]->input_count;
	coins = mem_calloc(count, sizeof *coins);
	for (at = 0; ok && at < count; at++)
		ok = coin_read(spent, &coins[at]);
	if (!ok || !reader_done(spent))
		ok = errmsg_set(err, "The undo data of a block are damaged: start with -reindex");
	for (size_t i = block->tx_count; ok && i-- > 0;) {
		const struct tx *tx = block->txs[i];

		ok = coin_view_remove_tx(view, tx, err);
		for (size_t j = i > 0 ? tx->input_count : 0; ok && j-- > 0;)
			coin_view_add(view, &tx->inputs[j].prev, &coins[--at]);
	}
	for (size_t i = 0; i < count; i++)
		chain_coin_clear(&coins[i]);
	free(coins);
	return ok;
}

/* The entry keeps its status and its undo record: it was connected once, and may be again. The order of first
 * connection is what decides ties then (chain/index.h). */
static bool write_disconnected(struct chain *chain, struct full_entry *full, const struct block *block,
	const struct coin_view *view, struct errmsg *err)
{
	struct coin_stats stats = chain->coin_stats;
	struct db_batch *batch = db_batch_new();
	bool ok;

	coin_view_flush(view, batch, &stats);
	save_txs(batch, block, NULL);
	save_proofs(batch, block, NULL);
	save_tip(chain, batch, entry_parent(full), &stats);
	ok = db_write(chain->db, batch, true, err);
	db_batch_free(batch);
	if (ok) {
		chain->coin_stats = stats;
		index_set_active(&chain->index, entry_parent(full));
	}
	return ok;
}

/* The mirror of commit_block: the undo record gives back the coins that the block spent and the registry before it.
 * What it says is compared with what is there, coin by coin: a record of another block must not make money. */
bool connect_undo_tip(struct chain *chain, struct errmsg *err)
{
	struct full_entry *full = tip_full(chain);
	const struct block *block = kept_read(chain, full, err);
	struct coin_view *view = coin_view_new(chain->db);
	struct registry_undo *undo = NULL;
	struct reader record_reader, spent;
	struct buf record;
	bool ok;

	buf_init(&record);
	ok = block != NULL && record_file_read(chain->undos, RECORD_UNDO, &full->undo, &record, err);
	if (!ok) {
		halt_name_remedy(err);
	} else {
		size_t size;

		reader_init(&record_reader, record.data, record.size);
		size = (size_t)reader_compact_any(&record_reader);
		reader_init(&spent, reader_bytes(&record_reader, size), record_reader.ok ? size : 0);
		undo = registry_undo_read(&record_reader);
		ok = undo != NULL ? undo_coins(view, block, &spent, err) :
				    errmsg_set(err, "The undo data of a block are damaged: start with -reindex");
	}
	ok = ok &&
		(registry_undo(chain->registry, undo) ||
			errmsg_set(err, "The undo data of a block are another block's: start with -reindex"));
	ok = ok && write_disconnected(chain, full, block, view, err);
	connect_forget(chain);
	if (ok) {
		mempool_block_disconnected(chain, block);
		NOTIFY(&chain->notices, disconnected, &full->entry, block);
	}
	registry_undo_free(undo);
	buf_clear(&record);
	coin_view_free(view);
	block_unref(block);
	return ok;
}

/* --- refusal --- */

/* For good, and with all that descends from it: none of these can be right any more. What is in the database is marked
 * there too, so that a restart does not verify it again; the root of the branch is enough (index_load). */
void connect_refuse(struct chain *chain, struct full_entry *full, const char *reason)
{
	bool stored = full->entry.status != ENTRY_HEADER;
	struct db_batch *batch;
	struct errmsg err;
	char id[65];

	hex_encode_reversed(id, full->entry.id, 32);
	log_warn("[chain] block %s at height %" PRIu32 " is invalid: %s", id, full->entry.height, reason);
	index_invalidate(&chain->index, full, reason);
	/* Headers whose bytes were never taken are not kept: they cost nothing to make. */
	if (!stored || chain->failed)
		return;
	batch = db_batch_new();
	index_save(batch, full);
	if (!db_write(chain->db, batch, false, &err))
		halt_fail(chain, &err);
	db_batch_free(batch);
}
