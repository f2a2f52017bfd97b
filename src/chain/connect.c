/* Connecting and disconnecting single blocks (doc/protocol.md sections 11 to 14). */
#include "chain/connect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/novelty/samples.h"
#include "chain/signatures.h"
#include "chain/tip.h"
#include "consensus/coinbase.h"
#include "consensus/payload/round_tx.h"
#include "consensus/spending.h"
#include "util/bytes.h"
#include "util/log.h"
#include "util/mem.h"

/* --- the rules that need coins --- */

/* What a block does to the coins, gathered while it is checked. */
struct block_effect {
	struct coin_view *view;
	struct buf spent; /* coins in the order of the inputs, then what is struck: for the undo record */
	int64_t fees;
};

static struct block_effect *connect_effect_new(struct db *db)
{
	struct block_effect *block_effect = mem_calloc(1, sizeof *block_effect);

	block_effect->view = coin_view_new(db);
	buf_init(&block_effect->spent);
	return block_effect;
}

static void connect_effect_free(struct block_effect *block_effect)
{
	if (block_effect == NULL)
		return;
	coin_view_free(block_effect->view);
	buf_clear(&block_effect->spent);
	free(block_effect);
}

/* A coin that is not there is the block's fault; one that could not be read is the disk's. */
static enum connect_result connect_missing_input(bool failed, const struct spending *spending, struct reject *reject)
{
	char txid_hex[65];

	if (failed)
		return CONNECT_FAILED;
	hex_encode_reversed(txid_hex, tx_txid(spending->tx), 32);
	reject_set(reject, REASON_BAD_TXNS_INPUTS_MISSINGORSPENT, "transaction %s", txid_hex);
	return CONNECT_INVALID;
}

static bool connect_add_coin(const struct chain *chain, const struct full_entry *full, struct spending *spending,
	const struct coin *spent_coin, struct reject *reject)
{
	const struct spending_coin added = {
		.output = spent_coin->output,
		.height = spent_coin->height,
		.coinbase = spent_coin->coinbase,
		.time = chain_ancestor(full->entry.parent, spending_time_height(spending, spent_coin->height))
				->median_time,
	};

	switch (spending_add(spending, &added, chain->spec->maturity)) {
	case SPENDING_OK:
		return true;
	case SPENDING_IMMATURE:
		return reject_set(reject, REASON_BAD_TXNS_PREMATURE_SPEND_OF_COINBASE,
			"coinbase of height %u spent at height %u", (unsigned)spent_coin->height,
			(unsigned)full->entry.height);
	case SPENDING_TOO_MUCH:
		break;
	}
	return reject_set(reject, REASON_BAD_TXNS_INPUTVALUES_OUTOFRANGE, "sum of the inputs");
}

/* Takes the coins of all inputs out of the view. Each coin is gone from the view before the next input looks, so
 * nothing is spent twice, by one transaction or by two of the block. */
static enum connect_result connect_take_inputs(struct chain *chain, const struct full_entry *full,
	struct spending *spending, struct block_effect *block_effect, struct reject *reject, struct errmsg *err)
{
	for (size_t i = 0; i < spending->tx->input_count; i++) {
		const struct outpoint *spent_outpoint = &spending->tx->inputs[i].prev;
		bool failed = false;
		const struct coin *spent_coin = coin_view_get(block_effect->view, spent_outpoint, &failed, err);

		if (spent_coin == NULL)
			return connect_missing_input(failed, spending, reject);
		if (!connect_add_coin(chain, full, spending, spent_coin, reject))
			return CONNECT_INVALID;
		coin_write(&block_effect->spent, spent_coin);
		coin_view_spend(block_effect->view, spent_outpoint);
	}
	return CONNECT_OK;
}

/* Fees are added up over the block, for its coinbase; both terms are in range, so the sum is looked at after the
 * addition. */
static bool connect_check_amounts(const struct spending *spending, struct block_effect *block_effect,
	struct reject *reject)
{
	const int64_t tx_fee = spending_fee(spending);

	if (tx_fee < 0)
		return reject_set(reject, REASON_BAD_TXNS_IN_BELOWOUT, "%" PRId64 " < %" PRId64, spending->in,
			spending->in - tx_fee);
	block_effect->fees += tx_fee;
	return tx_amount_valid(block_effect->fees) ||
		reject_set(reject, REASON_BAD_TXNS_ACCUMULATED_FEE_OUTOFRANGE, "sum of the block's fees");
}

/* Whether signatures were held against these very coins before: at the first check, or in the mempool. By wtxid, which
 * covers the witness: the same txid with another signature has not been looked at. */
static bool connect_is_signed(const struct chain *chain, const struct full_entry *full, const struct tx *tx)
{
	return full->scripts_checked || mempool_find_wtxid(chain->mempool, tx_wtxid(tx)) != NULL;
}

/* All but its signatures, which are put aside. */
static enum connect_result connect_check_tx(struct chain *chain, const struct full_entry *full, const struct tx *tx,
	struct block_effect *block_effect, struct signatures *signatures, struct reject *reject, struct errmsg *err)
{
	const uint32_t height = full->entry.height, parent_median = full->entry.parent->median_time;
	enum connect_result tx_result;
	struct spending spending;

	spending_init(&spending, tx, height);
	tx_result = connect_take_inputs(chain, full, &spending, block_effect, reject, err);
	if (tx_result == CONNECT_OK && !spending_locks_met(&spending, parent_median)) {
		reject_set(reject, REASON_BAD_TXNS_NONFINAL, "a relative lock is not met");
		tx_result = CONNECT_INVALID;
	}
	if (tx_result == CONNECT_OK && !connect_check_amounts(&spending, block_effect, reject))
		tx_result = CONNECT_INVALID;
	if (tx_result == CONNECT_OK)
		coin_view_add_tx(block_effect->view, tx, height);
	if (tx_result == CONNECT_OK && !connect_is_signed(chain, full, tx))
		signatures_put(signatures, &spending);
	else
		spending_clear(&spending);
	return tx_result;
}

/* --- stakes --- */

/* The miner of a block stakes what its coinbase pays him: output 0, if that pays him at all. Nobody can have spent it,
 * since a coinbase matures after the child of the merge, which is this block. */
static const struct coin *connect_find_stake(struct coin_view *view, const struct rounds_seat *seat,
	struct outpoint *stake, bool *failed, struct errmsg *err)
{
	const struct coin *staked_coin;

	*stake = (struct outpoint){ .index = 0 };
	memcpy(stake->txid, seat->coinbase, 32);
	staked_coin = coin_view_get(view, stake, failed, err);
	return staked_coin != NULL && script_pays(&staked_coin->output.script, seat->key) ? staked_coin : NULL;
}

/* Takes the stakes of the seats that the parent's merge struck, before any transaction looks for coins. False: a read
 * failed. Into `struck`, in the child of a merge alone: how many, and of each the coinbase and its coin. */
static bool connect_strike(struct chain *chain, const struct index_entry *parent, struct coin_view *view,
	struct buf *struck, struct errmsg *err)
{
	struct block_outcome merge_outcome;
	struct round_view merged_round;
	uint32_t struck_count = 0;
	struct buf struck_coins;
	bool failed = false;

	chain_outcome(parent, &merge_outcome);
	if (merge_outcome.merge.seats == 0 || !registry_merged_round(chain->registry, &merged_round))
		return true;
	buf_init(&struck_coins);
	for (uint32_t i = 0; i < merged_round.seats && !failed; i++) {
		const struct coin *staked_coin;
		struct outpoint stake;

		if (!merge_statement_is_struck(&merge_outcome.merge, i))
			continue;
		staked_coin = connect_find_stake(view, &merged_round.seat[i], &stake, &failed, err);
		if (staked_coin == NULL)
			continue;
		buf_put(&struck_coins, stake.txid, sizeof stake.txid);
		coin_write(&struck_coins, staked_coin);
		coin_view_spend(view, &stake);
		struck_count++;
	}
	buf_put_compact(struck, struck_count);
	buf_put(struck, struck_coins.data, struck_coins.size);
	buf_clear(&struck_coins);
	return !failed;
}

/* Gives them back. What the record says must be a coinbase of the round before: it makes coins from nothing else. */
static bool connect_unstrike(const struct chain *chain, const struct full_entry *full, struct coin_view *undo_view,
	struct reader *undo_reader)
{
	const uint32_t merge_height = full->entry.height - 1;
	struct block_outcome merge_outcome;
	size_t struck_count;

	if (chain_outcome(full->entry.parent, &merge_outcome)->merge.seats == 0)
		return reader_done(undo_reader);
	struck_count = reader_compact(undo_reader);
	for (size_t i = 0; i < struck_count && undo_reader->ok; i++) {
		struct outpoint stake = { .index = 0 };
		struct coin staked_coin;

		reader_copy(undo_reader, stake.txid, sizeof stake.txid);
		if (coin_read(undo_reader, &staked_coin) && staked_coin.coinbase &&
			staked_coin.height >= spec_seat_height(chain->spec, merge_height, 0) &&
			staked_coin.height <= merge_height - chain->spec->round_blocks)
			coin_view_add(undo_view, &stake, &staked_coin);
		else
			reader_fail(undo_reader);
		chain_coin_clear(&staked_coin);
	}
	return reader_done(undo_reader);
}

/* --- what is registered --- */

/* The blobs that become datasets with the block: those whose roots are not registered, in the order of their numbers.
 */
static size_t connect_new_blobs(const struct chain *chain, const struct block *block, struct blob_want **new_blobs)
{
	size_t registered_count = wants_of_block(block, new_blobs), new_count = 0;

	for (size_t i = 0; i < registered_count; i++)
		if (registry_find(chain->registry, (*new_blobs)[i].root, NULL) == NULL)
			(*new_blobs)[new_count++] = (*new_blobs)[i];
	return new_count;
}

/* Samples of a blob that was found good. Of many, the first may have made room for the last: it comes back from the
 * database. NULL: it is not there either, and nothing can be said of the block. */
static const struct novelty *connect_find_samples(const struct chain *chain, const uint8_t root[32], struct errmsg *err)
{
	const struct novelty *novelty = judge_novelty(chain->judge, root);

	if (novelty == NULL && judge_blob(chain->judge, chain->registry, root, NULL, err) == JUDGE_FAILED)
		return NULL;
	novelty = judge_novelty(chain->judge, root);
	if (novelty == NULL)
		errmsg_set(err, "The samples of a dataset are lost: start with -reindex");
	return novelty;
}

/* Whether the blob, which was judged just now, is much like one that the block registers before it. */
static enum connect_result connect_check_twin(const struct chain *chain, const uint8_t root[32],
	const uint8_t earlier_root[32], struct reject *reject, struct errmsg *err)
{
	const struct novelty *earlier = connect_find_samples(chain, earlier_root, err),
			     *novelty = earlier != NULL ? connect_find_samples(chain, root, err) : NULL;
	size_t shared;

	if (novelty == NULL)
		return CONNECT_FAILED;
	shared = novelty_shared(novelty, earlier);
	if (!novelty_resembles(shared, novelty->count))
		return CONNECT_OK;
	reject_set(reject, REASON_BAD_CONTRIB_NOVELTY,
		"%zu of its %zu sampled strings are in a blob that the block registers before it", shared,
		novelty->count);
	return CONNECT_INVALID;
}

/* The parent is the tip: its datasets are those that the judge knows. */
static enum connect_result connect_check_novelty(struct chain *chain, const struct block *block, struct reject *reject,
	struct errmsg *err)
{
	enum connect_result novelty_result = CONNECT_OK;
	struct blob_want *new_blobs;
	size_t new_count = connect_new_blobs(chain, block, &new_blobs);

	for (size_t i = 0; novelty_result == CONNECT_OK && i < new_count; i++) {
		switch (judge_blob(chain->judge, chain->registry, new_blobs[i].root, reject, err)) {
		case JUDGE_GOOD:
			break;
		case JUDGE_BAD:
			novelty_result = CONNECT_INVALID;
			break;
		case JUDGE_FAILED:
			novelty_result = CONNECT_FAILED;
			break;
		}
		for (size_t j = 0; novelty_result == CONNECT_OK && j < i; j++)
			novelty_result = connect_check_twin(chain, new_blobs[i].root, new_blobs[j].root, reject, err);
	}
	free(new_blobs);
	return novelty_result;
}

/* With the batch that makes the block part of the chain, before the registry has its datasets. */
static bool connect_register_samples(const struct chain *chain, struct db_batch *batch, const struct block *block,
	struct errmsg *err)
{
	struct blob_want *new_blobs;
	size_t new_count = connect_new_blobs(chain, block, &new_blobs);
	bool registered = true;

	for (size_t i = 0; registered && i < new_count; i++) {
		const struct novelty *novelty = connect_find_samples(chain, new_blobs[i].root, err);

		registered = novelty != NULL;
		if (registered)
			samples_register(batch, (uint32_t)(registry_count(chain->registry) + i), novelty);
	}
	free(new_blobs);
	return registered;
}

/* With the batch that takes it off again, when the registry has them no more. */
static bool connect_forget_samples(struct chain *chain, struct db_batch *batch, const struct block *block,
	struct errmsg *err)
{
	struct blob_want *new_blobs;
	size_t new_count = connect_new_blobs(chain, block, &new_blobs);
	bool forgotten = true;

	for (size_t i = 0; forgotten && i < new_count; i++) {
		struct novelty novelty;

		forgotten = samples_get(chain->db, new_blobs[i].root, &novelty, err) == DB_FOUND ||
			errmsg_set(err, "The samples of a dataset are lost: start with -reindex");
		if (!forgotten)
			break;
		samples_forget(batch, (uint32_t)(registry_count(chain->registry) + i), &novelty);
		novelty_clear(&novelty);
	}
	free(new_blobs);
	if (forgotten)
		judge_datasets_left(chain->judge, registry_count(chain->registry));
	return forgotten;
}

/* --- transactions, one by one --- */

/* Order decides which reason a bad block is refused for, and with it who is blamed: transaction by transaction coins,
 * maturity, locks, sums, signatures. Signatures cost most by far, so they are checked together, when all else held or
 * one transaction failed; what is wrong with the signatures of those before it comes first. */
static enum connect_result connect_check_txs(struct chain *chain, const struct full_entry *full,
	const struct block *block, struct block_effect *block_effect, struct reject *reject, struct errmsg *err)
{
	enum connect_result txs_result = CONNECT_OK;
	struct signatures signatures;

	signatures_init(&signatures);
	for (size_t i = 1; txs_result == CONNECT_OK && i < block->tx_count; i++)
		if (!round_tx_is_on(chain->spec, block->txs[i])) /* it takes no coins, and makes none */
			txs_result = connect_check_tx(chain, full, block->txs[i], block_effect, &signatures, reject,
				err);
	if (txs_result != CONNECT_FAILED && !signatures_check(&signatures, chain->signers, reject))
		txs_result = CONNECT_INVALID;
	signatures_clear(&signatures);
	return txs_result;
}

/* Everything that needs the parent's coins and registry. The parent must be the tip. */
static enum connect_result connect_check_block(struct chain *chain, struct full_entry *full, const struct block *block,
	struct block_effect *block_effect, struct reject *reject, struct errmsg *err)
{
	const struct index_entry *parent = full->entry.parent;
	struct block_outcome parent_outcome;
	struct coinbase_facts coinbase_facts = {
		.height = full->entry.height,
		.miner = block->header.miner,
		.loose = block->loose,
		.loose_count = block->loose_count,
		.late = block->late,
		.late_count = block->late_count,
		.registry = chain->registry,
		.parent = parent->height > 0 ? chain_outcome(parent, &parent_outcome) : NULL,
	};
	enum connect_result block_result;
	struct buf struck;

	chain->counts.checked++;
	if (!registry_check_block(chain->registry, block, reject))
		return CONNECT_INVALID;
	buf_init(&struck);
	block_result = connect_strike(chain, parent, block_effect->view, &struck, err) ?
		connect_check_txs(chain, full, block, block_effect, reject, err) :
		CONNECT_FAILED;
	buf_put(&block_effect->spent, struck.data, struck.size);
	buf_clear(&struck);
	if (block_result != CONNECT_OK)
		return block_result;
	coinbase_facts.fees = block_effect->fees;
	if (!coinbase_check(chain->spec, block->txs[0], &coinbase_facts, reject))
		return CONNECT_INVALID;
	full->scripts_checked = true;
	coin_view_add_tx(block_effect->view, block->txs[0], full->entry.height);
	return CONNECT_OK;
}

/* By id: a kept effect must never be taken for another block's. */
static struct checked_block *connect_find_checked(struct chain *chain, const struct full_entry *full)
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
		connect_effect_free(chain->checked[i].effect);
		chain->checked[i].effect = NULL;
	}
}

/* What it finds out stays for connect_block. The oldest of the few makes room: who sends many blocks for one tip makes
 * this node check its next one twice, no more. */
enum connect_result connect_check(struct chain *chain, struct full_entry *full, const struct block *block,
	struct reject *reject, struct errmsg *err)
{
	struct checked_block *checked_place = connect_find_checked(chain, full);
	enum connect_result check_result;
	struct block_effect *block_effect;

	if (checked_place != NULL)
		return CONNECT_OK;
	block_effect = connect_effect_new(chain->db);
	check_result = connect_check_block(chain, full, block, block_effect, reject, err);
	if (check_result != CONNECT_OK) {
		connect_effect_free(block_effect);
		return check_result;
	}
	checked_place = &chain->checked[chain->checked_next];
	chain->checked_next = (chain->checked_next + 1) % CONNECT_CHECKED;
	connect_effect_free(checked_place->effect);
	checked_place->effect = block_effect;
	memcpy(checked_place->id, full->entry.id, 32);
	return CONNECT_OK;
}

/* --- one block on --- */

/* What the block on its way on or off changes in the registry. */
static void connect_save_registry(struct db_batch *batch, const struct registry *registry, const struct slices *changed)
{
	uint8_t registry_key[1 + SLICE_KEY_SIZE] = { DB_REGISTRY };
	struct buf saved_slice;

	buf_init(&saved_slice);
	for (size_t i = 0; i < changed->count; i++) {
		slices_key_write(&changed->list[i], registry_key + 1);
		buf_reset(&saved_slice);
		if (registry_write(&saved_slice, registry, &changed->list[i]))
			db_batch_put(batch, registry_key, sizeof registry_key, saved_slice.data, saved_slice.size);
		else
			db_batch_delete(batch, registry_key, sizeof registry_key);
	}
	buf_clear(&saved_slice);
}

/* Tip, sums and registry change together with the coins, in one batch: whatever kills the process, the database is
 * after one block or after the next. */
static void connect_save_tip(const struct chain *chain, struct db_batch *batch, const struct full_entry *tip,
	const struct coin_stats *stats, const struct slices *changed)
{
	const uint8_t tip_key = DB_TIP;
	struct buf saved_value;

	buf_init(&saved_value);
	buf_put(&saved_value, tip->entry.id, 32);
	buf_put_le64(&saved_value, stats->coins);
	buf_put_le64(&saved_value, (uint64_t)stats->amount);
	db_batch_put(batch, &tip_key, 1, saved_value.data, saved_value.size);
	buf_clear(&saved_value);
	connect_save_registry(batch, chain->registry, changed);
}

/* In the same batch as the tip, so that look-ups never name a block that is not active. */
static void connect_save_txs(struct db_batch *batch, const struct block *block, const uint8_t *id)
{
	uint8_t tx_key[33] = { DB_TX };

	for (size_t i = 0; i < block->tx_count; i++) {
		memcpy(tx_key + 1, tx_txid(block->txs[i]), 32);
		if (id != NULL)
			db_batch_put(batch, tx_key, sizeof tx_key, id, 32);
		else
			db_batch_delete(batch, tx_key, sizeof tx_key);
	}
}

/* Where each proof is: in the block `id`, or nowhere (NULL). */
static void connect_save_proofs(struct db_batch *batch, const struct block *block, const uint8_t *id)
{
	uint8_t proof_key[33] = { DB_PROOF }, proof_place[PROOF_PLACE_SIZE];

	for (size_t i = 0; i < block_proof_count(block); i++) {
		memcpy(proof_key + 1, block_proof_id(block, i), 32);
		if (id == NULL) {
			db_batch_delete(batch, proof_key, sizeof proof_key);
			continue;
		}
		memcpy(proof_place, id, 32);
		write_le32(proof_place + 32, (uint32_t)i);
		db_batch_put(batch, proof_key, sizeof proof_key, proof_place, sizeof proof_place);
	}
}

/* The coins that were spent, in the order of the inputs, those that were struck, then what the registry forgot: all
 * that the block itself does not say. */
static bool connect_append_undo(struct chain *chain, struct full_entry *full, const struct buf *spent,
	const struct registry_undo *undo, struct errmsg *err)
{
	struct file_part undo_part;
	struct buf undo_record;
	bool undo_appended;

	/* It depends on block and parent alone: one written before still fits. */
	if (full->undo.size != 0)
		return true;
	buf_init(&undo_record);
	buf_put_compact(&undo_record, spent->size);
	buf_put(&undo_record, spent->data, spent->size);
	registry_undo_write(&undo_record, undo);
	undo_part = (struct file_part){ undo_record.data, undo_record.size };
	undo_appended = record_file_append(chain->undos, RECORD_UNDO, &undo_part, 1, &full->undo, err);
	buf_clear(&undo_record);
	return undo_appended;
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
static void connect_save_unsaved(const struct chain *chain, struct db_batch *batch, const struct full_entry *but)
{
	for (size_t i = 0; i < chain->unsaved_count; i++)
		if (chain->unsaved[i] != but)
			index_save(batch, chain->unsaved[i]);
}

struct connect_sync {
	struct record_file *files;
	bool ok;
	struct errmsg err;
};

static void connect_sync_file(void *syncs_arg, size_t task, unsigned member)
{
	struct connect_sync *file_sync = &((struct connect_sync *)syncs_arg)[task];

	(void)member;
	file_sync->ok = record_file_sync(file_sync->files, &file_sync->err);
}

/* Both at a time: the disk takes one turn for two. */
static bool connect_sync_records(struct chain *chain, struct errmsg *err)
{
	struct connect_sync file_syncs[2] = { { .files = chain->blocks }, { .files = chain->undos } };

	team_run(chain->signers, connect_sync_file, file_syncs, 2);
	for (int i = 0; i < 2; i++)
		if (!file_syncs[i].ok) {
			*err = file_syncs[i].err;
			return false;
		}
	return true;
}

bool connect_save_verified(struct chain *chain, struct errmsg *err)
{
	struct db_batch *verified_batch;
	bool verified_saved;

	if (chain->unsaved_count == 0)
		return true;
	verified_batch = db_batch_new();
	connect_save_unsaved(chain, verified_batch, NULL);
	verified_saved = connect_sync_records(chain, err) && db_write(chain->db, verified_batch, false, err);
	db_batch_free(verified_batch);
	if (verified_saved)
		chain->unsaved_count = 0;
	return verified_saved;
}

/* The one place where a block becomes part of the active chain. Invariant: files before the index that names places in
 * them, then everything in one synced batch, and memory last. The registry is the exception, since its undo record
 * must be written first: it goes back if the write fails. Coins need not: they are in the view alone until the batch
 * is through. */
static bool connect_commit(struct chain *chain, struct full_entry *full, const struct block *block,
	struct block_effect *block_effect, struct errmsg *err)
{
	const struct index_entry *parent = full->entry.parent;
	struct coin_stats stats_after = chain->coin_stats;
	struct db_batch *commit_batch = db_batch_new();
	struct slices changed = { 0 };
	struct block_outcome parent_outcome;
	struct registry_undo *block_undo;
	bool committed;

	if (!connect_register_samples(chain, commit_batch, block, err)) {
		db_batch_free(commit_batch);
		return false;
	}
	block_undo = registry_apply(chain->registry, block,
		parent->height > 0 ? chain_outcome(parent, &parent_outcome) : NULL);
	committed = connect_append_undo(chain, full, &block_effect->spent, block_undo, err) &&
		connect_sync_records(chain, err);
	if (committed) {
		coin_view_flush(block_effect->view, commit_batch, &stats_after);
		connect_save_txs(commit_batch, block, full->entry.id);
		connect_save_proofs(commit_batch, block, full->entry.id);
		registry_changed(chain->registry, block_undo, &changed);
		connect_save_tip(chain, commit_batch, full, &stats_after, &changed);
		index_set_status(&chain->index, full, ENTRY_CONNECTED);
		if (full->entry.connect_order == 0)
			full->entry.connect_order = ++chain->index.connect_order;
		connect_save_unsaved(chain, commit_batch, full);
		index_save(commit_batch, full);
		committed = db_write(chain->db, commit_batch, true, err);
	}
	if (committed) {
		chain->unsaved_count = 0;
		chain->coin_stats = stats_after;
		index_set_active(&chain->index, full);
	} else {
		registry_undo(chain->registry, block_undo);
	}
	registry_undo_free(block_undo);
	slices_clear(&changed);
	db_batch_free(commit_batch);
	return committed;
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
	if (result == CONNECT_OK)
		result = connect_check_novelty(chain, block, reject, err);
	if (result == CONNECT_OK && !connect_commit(chain, full, block, connect_find_checked(chain, full)->effect, err))
		result = CONNECT_FAILED;
	if (result != CONNECT_INVALID)
		connect_forget(chain);
	if (result == CONNECT_OK) {
		states_connected(chain->states, full);
		mempool_block_connected(chain, block);
		candidates_block_on(chain, block);
		NOTIFY(&chain->notices, connected, &full->entry, block);
	}
	block_unref(block);
	return result;
}

/* --- one block off --- */

/* What an undo record holds of a transaction. */
static size_t connect_coins_taken(const struct chain *chain, const struct tx *tx)
{
	return tx_is_coinbase(tx) || round_tx_is_on(chain->spec, tx) ? 0 : tx->input_count;
}

/* Takes back what a block did to the coins, last transaction first. */
static bool connect_undo_coins(const struct chain *chain, const struct full_entry *full, struct coin_view *undo_view,
	const struct block *block, struct reader *undo_reader, struct errmsg *err)
{
	struct coin *undone_coins = NULL;
	size_t undo_count = 0, at;
	bool ok = true;

	for (size_t i = 1; i < block->tx_count; i++)
		undo_count += connect_coins_taken(chain, block->txs[i]);
	undone_coins = mem_calloc(undo_count, sizeof *undone_coins);
	for (at = 0; ok && at < undo_count; at++)
		ok = coin_read(undo_reader, &undone_coins[at]);
	if (!ok || !connect_unstrike(chain, full, undo_view, undo_reader))
		ok = errmsg_set(err, "The undo data of a block are damaged: start with -reindex");
	for (size_t i = block->tx_count; ok && i-- > 0;) {
		const struct tx *tx = block->txs[i];

		ok = coin_view_remove_tx(undo_view, tx, err);
		for (size_t j = connect_coins_taken(chain, tx); ok && j-- > 0;)
			coin_view_add(undo_view, &tx->inputs[j].prev, &undone_coins[--at]);
	}
	for (size_t i = 0; i < undo_count; i++)
		chain_coin_clear(&undone_coins[i]);
	free(undone_coins);
	return ok;
}

/* The entry keeps its status and its undo record: it was connected once, and may be again. The order of first
 * connection is what decides ties then (chain/index.h). */
static bool connect_write_disconnected(struct chain *chain, struct full_entry *full, const struct block *block,
	const struct coin_view *undo_view, const struct slices *changed, struct errmsg *err)
{
	struct coin_stats stats_before = chain->coin_stats;
	struct db_batch *disconnect_batch = db_batch_new();
	bool disconnected;

	coin_view_flush(undo_view, disconnect_batch, &stats_before);
	connect_save_txs(disconnect_batch, block, NULL);
	connect_save_proofs(disconnect_batch, block, NULL);
	connect_save_tip(chain, disconnect_batch, entry_parent(full), &stats_before, changed);
	disconnected = connect_forget_samples(chain, disconnect_batch, block, err) &&
		db_write(chain->db, disconnect_batch, true, err);
	db_batch_free(disconnect_batch);
	if (disconnected) {
		chain->coin_stats = stats_before;
		index_set_active(&chain->index, entry_parent(full));
	}
	return disconnected;
}

/* The mirror of connect_commit: the undo record gives back the coins that the block spent and the registry before it.
 * What it says is compared with what is there, coin by coin: a record of another block must not make money. */
bool connect_undo_tip(struct chain *chain, struct errmsg *err)
{
	struct full_entry *full = tip_full(chain);
	const struct block *block = kept_read(chain, full, err);
	struct coin_view *undo_view = coin_view_new(chain->db);
	struct registry_undo *block_undo = NULL;
	struct slices changed = { 0 };
	struct reader record_reader, spent_reader;
	struct buf undo_record;
	bool undone;

	buf_init(&undo_record);
	undone = block != NULL && record_file_read(chain->undos, RECORD_UNDO, &full->undo, &undo_record, err);
	if (!undone) {
		halt_name_remedy(err);
	} else {
		size_t spent_size;

		reader_init(&record_reader, undo_record.data, undo_record.size);
		spent_size = (size_t)reader_compact_any(&record_reader);
		reader_init(&spent_reader, reader_bytes(&record_reader, spent_size), record_reader.ok ? spent_size : 0);
		block_undo = registry_undo_read(&record_reader);
		undone = block_undo != NULL ?
			connect_undo_coins(chain, full, undo_view, block, &spent_reader, err) :
			errmsg_set(err, "The undo data of a block are damaged: start with -reindex");
	}
	if (undone)
		registry_changed(chain->registry, block_undo, &changed);
	undone = undone &&
		(registry_undo(chain->registry, block_undo) ||
			errmsg_set(err, "The undo data of a block are another block's: start with -reindex"));
	undone = undone && connect_write_disconnected(chain, full, block, undo_view, &changed, err);
	connect_forget(chain);
	if (undone) {
		mempool_block_disconnected(chain, block);
		candidates_block_off(chain, block);
		NOTIFY(&chain->notices, disconnected, &full->entry, block);
	}
	registry_undo_free(block_undo);
	slices_clear(&changed);
	buf_clear(&undo_record);
	coin_view_free(undo_view);
	block_unref(block);
	return undone;
}

/* --- what a block took, for others --- */

static bool connect_visit_inputs(const struct chain *chain, const struct block *block, struct reader *spent_reader,
	chain_visit_spent *visit, void *context)
{
	for (size_t i = 1; i < block->tx_count; i++)
		for (size_t j = 0; j < connect_coins_taken(chain, block->txs[i]); j++) {
			struct spent_coin spent = { .tx = block->txs[i], .outpoint = block->txs[i]->inputs[j].prev };
			const bool is_coin = coin_read(spent_reader, &spent.coin);

			if (is_coin)
				visit(context, i, &spent);
			chain_coin_clear(&spent.coin);
			if (!is_coin)
				return false;
		}
	return true;
}

/* As many as connect_strike wrote. */
static bool connect_visit_struck(const struct index_entry *parent, size_t tx_count, struct reader *spent_reader,
	chain_visit_spent *visit, void *context)
{
	struct block_outcome merge_outcome;
	size_t struck_count;

	if (chain_outcome(parent, &merge_outcome)->merge.seats == 0)
		return reader_done(spent_reader);
	struck_count = reader_compact(spent_reader);
	for (size_t i = 0; i < struck_count && spent_reader->ok; i++) {
		struct spent_coin struck = { .tx = NULL };

		reader_copy(spent_reader, struck.outpoint.txid, sizeof struck.outpoint.txid);
		if (coin_read(spent_reader, &struck.coin))
			visit(context, tx_count + i, &struck);
		chain_coin_clear(&struck.coin);
	}
	return reader_done(spent_reader);
}

bool chain_read_spent(struct chain *chain, const struct index_entry *entry, const struct block *block,
	chain_visit_spent *visit, void *context, struct errmsg *err)
{
	struct reader record_reader, spent_reader;
	struct buf undo_record;
	size_t spent_size;
	bool is_read;

	if (entry->parent == NULL)
		return true;
	buf_init(&undo_record);
	is_read = record_file_read(chain->undos, RECORD_UNDO, &entry_full(entry)->undo, &undo_record, err);
	if (is_read) {
		reader_init(&record_reader, undo_record.data, undo_record.size);
		spent_size = (size_t)reader_compact_any(&record_reader);
		reader_init(&spent_reader, reader_bytes(&record_reader, spent_size), record_reader.ok ? spent_size : 0);
		is_read = (connect_visit_inputs(chain, block, &spent_reader, visit, context) &&
				  connect_visit_struck(entry->parent, block->tx_count, &spent_reader, visit,
					  context)) ||
			errmsg_set(err, "The undo data of a block are damaged: start with -reindex");
	}
	buf_clear(&undo_record);
	return is_read;
}

/* --- refusal --- */

/* For good, and with all that descends from it: none of these can be right any more. What is in the database is marked
 * there too, so that a restart does not verify it again; the root of the branch is enough (index_load). */
void connect_refuse(struct chain *chain, struct full_entry *full, const char *reason)
{
	bool was_stored = full->entry.status != ENTRY_HEADER;
	struct db_batch *refusal_batch;
	struct errmsg err;
	char refused_id[65];

	hex_encode_reversed(refused_id, full->entry.id, 32);
	log_warn("[chain] block %s at height %" PRIu32 " is invalid: %s", refused_id, full->entry.height, reason);
	index_invalidate(&chain->index, full, reason);
	/* Headers whose bytes were never taken are not kept: they cost nothing to make. */
	if (!was_stored || chain->failed)
		return;
	refusal_batch = db_batch_new();
	index_save(refusal_batch, full);
	if (!db_write(chain->db, refusal_batch, false, &err))
		halt_fail(chain, &err);
	db_batch_free(refusal_batch);
}
