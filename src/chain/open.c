/* Opening and closing: files, database, model, and the blocks that still waited when the last run ended. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/intake/blob_parts.h"
#include "chain/internal.h"
#include "chain/mempool/admit.h"
#include "chain/mempool/round_admit.h"
#include "chain/model/run_blobs.h"
#include "chain/reindex.h"
#include "chain/tip.h"
#include "chain/verify/dispatch.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { OPEN_SETTLE_DEPTH = 2016, OPEN_BLOB_SECONDS = 14 * 86400 };

/* --- who listens --- */

void chain_subscribe(struct chain *chain, const struct chain_events *events)
{
	notices_add(&chain->notices, events);
	wants_tell(chain, events);
	run_blobs_tell(chain, events);
}

void chain_unsubscribe(struct chain *chain, const void *context)
{
	notices_remove(&chain->notices, context);
}

/* --- opening --- */

static bool open_folder(const struct chain *chain, const char *name, char **path, struct errmsg *err)
{
	*path = path_join(chain->datadir, name);
	return dir_make(*path, err);
}

/* The folder remembers its genesis: with another one its files would look damaged, and -reindex would forget them. */
static bool open_check_genesis(const struct chain *chain, struct errmsg *err)
{
	char *genesis_path = path_join(chain->datadir, ".genesis"), genesis_hex[65];
	struct buf genesis_found;
	bool genesis_ok;

	hex_encode_reversed(genesis_hex, chain->spec->genesis_id, 32);
	buf_init(&genesis_found);
	if (!file_exists(genesis_path))
		genesis_ok = file_write_atomic(genesis_path, genesis_hex, 64, 0600, err);
	else if ((genesis_ok = file_read(genesis_path, 64, &genesis_found, err)) &&
		(genesis_found.size != 64 || memcmp(genesis_found.data, genesis_hex, 64) != 0))
		genesis_ok = errmsg_set(err,
			"%.120s was made with another chain spec or corpus (-chainspec), or by a version with other "
			"rules: put them back, or use another -datadir",
			chain->datadir);
	buf_clear(&genesis_found);
	free(genesis_path);
	return genesis_ok;
}

/* Beside block files, or files of its own, a database was there before: it is not made anew in silence. */
static bool open_database(struct chain *chain, const char *database_folder, bool database_anew, struct errmsg *err)
{
	const bool existing = !database_anew && (!record_file_is_empty(chain->blocks) || db_has_files(database_folder));

	/* The marker is on disk before anything is destroyed: a process that ends in between finds it, and goes on. */
	if (database_anew &&
		(!reindex_begin(chain, err) || !db_destroy(database_folder, err) || !dir_make(database_folder, err)))
		return false;
	chain->db = existing ? db_open_existing(database_folder, err) : db_open(database_folder, err);
	if (chain->db == NULL && db_is_damage(err))
		errmsg_wrap(err,
			"The index of the blocks and coins that are here is lost or damaged: start with -reindex");
	return chain->db != NULL;
}

/* The lock before anything is read: two nodes on one folder would each overwrite what the other has written. */
static bool open_files(struct chain *chain, bool reindex, struct errmsg *err)
{
	char *lock_path = path_join(chain->datadir, ".chain.lock"), *blocks_folder = NULL, *database_folder = NULL;
	bool files_open = dir_make(chain->datadir, err);

	chain->lock = files_open ? file_lock(lock_path, err) : -1;
	files_open = chain->lock >= 0 && open_check_genesis(chain, err) &&
		open_folder(chain, "blocks", &blocks_folder, err) &&
		open_folder(chain, "chainstate", &database_folder, err);
	files_open = files_open &&
		(dir_check_files(blocks_folder, err) || errmsg_wrap(err, "Remove it, and start with -reindex"));
	if (files_open) {
		chain->blocks = record_file_open(blocks_folder, "blk", chain->spec->magic);
		chain->undos = record_file_open(blocks_folder, "rev", chain->spec->magic);
		files_open = open_database(chain, database_folder, reindex, err);
	}
	free(lock_path);
	free(blocks_folder);
	free(database_folder);
	return files_open;
}

static bool open_models(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	char *model_folder = path_join(chain->datadir, "model"), *blobs_folder = path_join(chain->datadir, "blobs");
	struct states_options states_options = {
		.folder = model_folder,
		.spec = chain->spec,
		.index = &chain->index,
		.blocks = chain->blocks,
		.queue = chain->queue,
		.interval = options->snapshot_interval,
		.kept = options->prune,
	};

	chain->blobs = blobs_open(blobs_folder, err);
	states_options.blobs = chain->blobs;
	if (chain->blobs != NULL)
		chain->states = states_open(&states_options, err);
	free(model_folder);
	free(blobs_folder);
	/* A run that ended in the middle may have left snapshots. */
	if (chain->states != NULL)
		states_prune(chain->states, chain->pruning.height);
	return chain->states != NULL;
}

/* The tip is what the last synced batch said. Coins, registry, and the index entries up to it are from that same batch
 * or older ones: a batch is there whole or not at all. */
static bool open_load_tip(struct chain *chain, struct errmsg *err)
{
	const uint8_t tip_key = DB_TIP;
	struct reader tip_reader;
	struct buf tip_value;
	uint8_t tip_id[32];
	struct full_entry *tip;
	enum db_result tip_result;

	buf_init(&tip_value);
	tip_result = db_get(chain->db, &tip_key, 1, &tip_value, err);
	if (tip_result == DB_MISSING) {
		buf_clear(&tip_value);
		return true; /* nothing connected yet: genesis */
	}
	reader_init(&tip_reader, tip_value.data, tip_value.size);
	reader_copy(&tip_reader, tip_id, 32);
	chain->coin_stats.coins = reader_le64(&tip_reader);
	chain->coin_stats.amount = (int64_t)reader_le64(&tip_reader);
	tip = tip_result == DB_FOUND && reader_done(&tip_reader) ? index_find(&chain->index, tip_id) : NULL;
	buf_clear(&tip_value);
	if (tip_result == DB_FAILED)
		return false;
	if (tip == NULL)
		return errmsg_set(err, "The tip is not in the block index: start with -reindex");
	index_set_active(&chain->index, tip);
	return true;
}

static bool open_load_slice(void *registry, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	struct reader key_reader, value_reader;
	struct slice slice;

	reader_init(&key_reader, key + 1, key_size - 1);
	reader_init(&value_reader, value, value_size);
	slice = slices_key_read(&key_reader);
	return (reader_done(&key_reader) && registry_read(registry, &slice, &value_reader) &&
		       reader_done(&value_reader)) ||
		errmsg_set(err, "The registry in the database is damaged: start with -reindex");
}

/* Written in the same batch as the tip, so its height is the tip's; another height means that somebody has mixed two
 * databases. */
static bool open_load_registry(struct chain *chain, struct errmsg *err)
{
	const uint8_t registry_prefix = DB_REGISTRY;

	chain->registry = registry_new(chain->spec);
	if (!db_each(chain->db, &registry_prefix, 1, open_load_slice, chain->registry, err))
		return false;
	if (!registry_is_whole(chain->registry))
		return errmsg_set(err, "The registry in the database is damaged: start with -reindex");
	return registry_height(chain->registry) == chain_tip(chain)->height ||
		errmsg_set(err, "The registry does not fit the tip: start with -reindex");
}

static bool open_load_all(struct chain *chain, struct errmsg *err)
{
	if (index_load(&chain->index, chain->db, err) && open_load_tip(chain, err) && open_load_registry(chain, err) &&
		audits_load(chain, err))
		return true;
	if (db_is_damage(err))
		halt_name_remedy(err);
	return false;
}

/* Blocks lie in their files nearly in order: on the way down it is enough to look where nothing higher was seen. */
static bool open_file_holds(const struct record_file *files, const struct file_position *position,
	struct file_position *seen)
{
	if (position->file == seen->file && position->offset + position->size <= seen->offset + seen->size)
		return true;
	*seen = *position;
	return record_file_holds(files, position);
}

/* What the index names must be there: a block file cut short is told now and not at the next reorganisation. */
static bool open_check_files(const struct chain *chain, struct errmsg *err)
{
	struct file_position block_seen = { 0 }, bodies_seen = { 0 }, undo_seen = { 0 };

	for (const struct full_entry *opened = tip_full(chain); opened->entry.parent != NULL;
		opened = entry_parent(opened))
		if (!open_file_holds(chain->blocks, &opened->block, &block_seen) ||
			!open_file_holds(chain->blocks, &opened->bodies, &bodies_seen) ||
			!open_file_holds(chain->undos, &opened->undo, &undo_seen)) {
			char *damaged_path = record_file_path(chain->blocks, opened->block.file);

			errmsg_set(err, "Block %" PRIu32 " is not whole in %s or its undo file: start with -reindex",
				opened->entry.height, damaged_path);
			free(damaged_path);
			return false;
		}
	return true;
}

/* Bytes that a crash cut off show here: waiting_store does not sync. */
static void open_resume_block(struct chain *chain, struct full_entry *resumed)
{
	struct errmsg err;
	const struct block *block = kept_read(chain, resumed, &err);

	if (block != NULL) {
		waiting_add(chain, resumed, block);
		block_unref(block);
		return;
	}
	log_warn("[chain] %s", err.text);
	/* One that still waits will be fetched again. */
	if (resumed->entry.status == ENTRY_STORED) {
		index_set_status(&chain->index, resumed, ENTRY_HEADER);
		resumed->block.size = 0;
	}
}

/* Datasets, and what verified blocks disclosed of runs, without which no state after a merge can be replayed. */
static bool open_settle_blobs(struct chain *chain, struct errmsg *err)
{
	for (size_t i = 1; i < registry_count(chain->registry); i++)
		blobs_settle(chain->blobs, registry_get(chain->registry, i)->root);
	return prune_settle_blobs(chain, err);
}

/* Blobs that the chain and the branches near its tip need; and the blocks that still wait for their verdict. */
static bool open_resume_waiting(struct chain *chain, struct errmsg *err)
{
	const uint32_t tip_height = chain_tip(chain)->height;

	if (!open_settle_blobs(chain, err))
		return false;
	for (size_t i = 0; i < chain->index.count; i++) {
		struct full_entry *resumed = chain->index.entries[i];
		bool near_tip;

		if (halt_asked(chain))
			return errmsg_set(err, "Asked to stop while the blocks that wait were read");
		near_tip = entry_verified(&resumed->entry) && resumed->entry.height + OPEN_SETTLE_DEPTH >= tip_height &&
			!index_is_active(&chain->index, &resumed->entry);

		if (near_tip || resumed->entry.status == ENTRY_STORED)
			open_resume_block(chain, resumed);
	}
	blobs_drop_old(chain->blobs, OPEN_BLOB_SECONDS);
	return true;
}

/* The tip's state is needed for everything that follows, so its replay is waited for; snapshots bound how long that
 * takes. */
static bool open_state(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	struct state *tip_state = states_rebuild(chain->states, tip_full(chain), options, err);

	if (tip_state == NULL)
		return errmsg_wrap(err, "The model state of the tip cannot be rebuilt");
	state_unref(tip_state);
	states_pin(chain->states, tip_full(chain));
	return true;
}

/* A verdict on a blob is there: transactions may enter, and blocks that waited for it are looked at when the queue has
 * been drained. */
static void open_blob_judged(void *context, const struct errmsg *failure)
{
	struct chain *chain = context;

	if (chain->closing || chain->failed)
		return;
	if (failure != NULL) {
		halt_fail(chain, failure);
		return;
	}
	admit_waiting(chain);
	chain->again = true;
}

static bool open_judge(struct chain *chain)
{
	const struct judge_options judge_options = {
		.spec = chain->spec,
		.db = chain->db,
		.blobs = chain->blobs,
		.queue = chain->queue,
		.ready = open_blob_judged,
		.context = chain,
	};

	chain->judge = judge_new(&judge_options);
	return true;
}

/* The order is that of need: files before the database that names places in them, the index before what walks it, the
 * model before blocks that are verified with it. A reindex comes between: it writes the index that is loaded next. */
struct chain *chain_open(const struct chain_options *options, struct errmsg *err)
{
	struct chain *chain = mem_calloc(1, sizeof *chain);
	bool reindex;

	chain->spec = options->spec;
	chain->queue = options->queue;
	chain->threads = queue_capacity(chain->queue);
	if (options->threads > 0 && options->threads < chain->threads)
		chain->threads = options->threads;
	chain->signers = team_new(chain->threads);
	chain->stop = options->stop;
	chain->datadir = mem_strdup(options->datadir);
	/* Until the tip is a day old at most (tip_end_download). */
	chain->initial_download = true;
	chain->proofs = proof_cache_new(chain->spec);
	chain->loose = loose_pool_new(chain->spec);
	chain->candidates = candidates_new(chain->spec);
	chain->audits = audits_new();
	waiting_init(chain, options->held_bytes);
	chain->mempool = mempool_new(options->mempool_bytes);
	index_init(&chain->index, chain->spec);
	reindex = options->reindex || reindex_needed(chain);
	if (!prune_begin(chain, options->prune, err) || !open_files(chain, reindex, err) ||
		(reindex && !reindex_run(chain, options, err)) || !open_load_all(chain, err) ||
		!prune_open(chain, err) || !open_check_files(chain, err) ||
		(!reindex && !reindex_rest(chain, options, err)) || !open_models(chain, options, err) ||
		!open_judge(chain) || !open_state(chain, options, err) || !open_resume_waiting(chain, err)) {
		chain_close(chain);
		return NULL;
	}
	tip_end_download(chain);
	audits_new_tip(chain);
	choose_advance(chain);
	/* Nobody has subscribed yet, so nobody was told. */
	if (chain->failed) {
		*err = chain->failure;
		chain_close(chain);
		return NULL;
	}
	queue_after_drain(chain->queue, choose_resume, chain);
	blob_parts_check_ahead(chain);
	log_debug(LOG_CHAIN, "tip is block %" PRIu32 ", headers known: %zu", chain_tip(chain)->height,
		chain->index.count);
	return chain;
}

/* --- closing --- */

/* A start after this one need not replay anything. */
static void close_last_snapshot(struct chain *chain)
{
	struct state *last_state = chain->states != NULL && !chain->failed ? chain_state(chain) : NULL;
	struct errmsg err;

	/* None: the opening did not come so far. */
	if (last_state != NULL && !states_snapshot(chain->states, tip_full(chain), &err))
		log_warn("[chain] no snapshot of the model: %s", err.text);
	state_unref(last_state);
}

/* What was verified while the chain closed need not be verified again. */
static void close_save_verified(struct chain *chain)
{
	struct errmsg err;

	if (!chain->failed && !connect_save_verified(chain, &err))
		log_warn("[chain] %s", err.text);
}

/* Jobs first: they hold references to everything below. `closing` keeps their ends from starting others. */
void chain_close(struct chain *chain)
{
	if (chain == NULL)
		return;
	chain->closing = true;
	queue_after_drain(chain->queue, NULL, NULL);
	dispatch_stop(chain);
	loose_pool_stop(chain);
	audits_stop(chain);
	judge_free(chain->judge);
	round_admit_stop(chain);
	blob_parts_stop(chain);
	waiting_clear(chain);
	connect_forget(chain);
	close_save_verified(chain);
	close_last_snapshot(chain);
	states_close(chain->states); /* who waited for a state lets go of its source */
	sources_free(chain->sources);
	blobs_close(chain->blobs);
	mempool_free(chain->mempool);
	loose_pool_free(chain->loose);
	audits_free(chain->audits);
	candidates_free(chain->candidates);
	proof_cache_free(chain->proofs);
	registry_free(chain->registry);
	registry_free(chain->side_registry);
	team_free(chain->signers);
	free(chain->unsaved);
	notices_clear(&chain->notices);
	index_clear(&chain->index);
	db_close(chain->db);
	record_file_close(chain->undos);
	record_file_close(chain->blocks);
	if (chain->lock >= 0)
		file_unlock(chain->lock);
	free(chain->datadir);
	free(chain);
}
