/* Opening and closing: files, database, model, and the blocks that still waited when the last run ended. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/reindex.h"
#include "chain/tip.h"
#include "chain/verify/dispatch.h"
#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { SETTLE_DEPTH = 2016, BLOB_SECONDS = 14 * 86400 };

/* --- who listens --- */

void chain_subscribe(struct chain *chain, const struct chain_events *events)
{
	notices_add(&chain->notices, events);
	wants_tell(chain, events);
}

void chain_unsubscribe(struct chain *chain, const void *context)
{
	notices_remove(&chain->notices, context);
}

/* --- opening --- */

static bool in_folder(const struct chain *chain, const char *name, char **path, struct errmsg *err)
{
	*path = path_join(chain->datadir, name);
	return dir_make(*path, err);
}

/* The folder remembers its genesis: with another one its files would look damaged, and -reindex would forget them. */
static bool check_genesis(const struct chain *chain, struct errmsg *err)
{
	char *path = path_join(chain->datadir, ".genesis"), id[65];
	struct buf found;
	bool ok;

	hex_encode_reversed(id, chain->spec->genesis_id, 32);
	buf_init(&found);
	if (!file_exists(path))
		ok = file_write_atomic(path, id, 64, 0600, err);
	else if ((ok = file_read(path, 64, &found, err)) && (found.size != 64 || memcmp(found.data, id, 64) != 0))
		ok = errmsg_set(err,
			"%.120s was made with another chain spec or corpus (-chainspec): put them back, or use "
			"another -datadir",
			chain->datadir);
	buf_clear(&found);
	free(path);
	return ok;
}

/* Beside block files, or files of its own, a database was there before: it is not made anew in silence. */
static bool open_database(struct chain *chain, const char *folder, bool anew, struct errmsg *err)
{
	const bool old = !anew && (!record_file_is_empty(chain->blocks) || db_has_files(folder));

	/* The marker is on disk before anything is destroyed: a process that ends in between finds it, and goes on. */
	if (anew && (!reindex_begin(chain, err) || !db_destroy(folder, err) || !dir_make(folder, err)))
		return false;
	chain->db = old ? db_open_existing(folder, err) : db_open(folder, err);
	if (chain->db == NULL && db_is_damage(err))
		errmsg_wrap(err,
			"The index of the blocks and coins that are here is lost or damaged: start with -reindex");
	return chain->db != NULL;
}

/* The lock before anything is read: two nodes on one folder would each overwrite what the other has written. */
static bool open_files(struct chain *chain, bool reindex, struct errmsg *err)
{
	char *lock = path_join(chain->datadir, ".chain.lock"), *blocks = NULL, *database = NULL;
	bool ok = dir_make(chain->datadir, err);

	chain->lock = ok ? file_lock(lock, err) : -1;
	ok = chain->lock >= 0 && check_genesis(chain, err) && in_folder(chain, "blocks", &blocks, err) &&
		in_folder(chain, "chainstate", &database, err);
	if (ok) {
		chain->blocks = record_file_open(blocks, "blk", chain->spec->magic);
		chain->undos = record_file_open(blocks, "rev", chain->spec->magic);
		ok = open_database(chain, database, reindex, err);
	}
	free(lock);
	free(blocks);
	free(database);
	return ok;
}

static bool open_models(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	char *model = path_join(chain->datadir, "model"), *blobs = path_join(chain->datadir, "blobs");
	const struct states_options states = {
		.folder = model,
		.spec = chain->spec,
		.index = &chain->index,
		.blocks = chain->blocks,
		.queue = chain->queue,
		.interval = options->snapshot_interval,
	};

	chain->blobs = blobs_open(blobs, err);
	if (chain->blobs != NULL)
		chain->states = states_open(&states, err);
	free(model);
	free(blobs);
	return chain->states != NULL;
}

/* The tip is what the last synced batch said. Coins, registry, and the index entries up to it are from that same batch
 * or older ones: a batch is there whole or not at all. */
static bool load_tip(struct chain *chain, struct errmsg *err)
{
	const uint8_t key = DB_TIP;
	struct reader reader;
	struct buf value;
	uint8_t id[32];
	struct full_entry *tip;
	enum db_result result;

	buf_init(&value);
	result = db_get(chain->db, &key, 1, &value, err);
	if (result == DB_MISSING) {
		buf_clear(&value);
		return true; /* nothing connected yet: genesis */
	}
	reader_init(&reader, value.data, value.size);
	reader_copy(&reader, id, 32);
	chain->coin_stats.coins = reader_le64(&reader);
	chain->coin_stats.amount = (int64_t)reader_le64(&reader);
	tip = result == DB_FOUND && reader_done(&reader) ? index_find(&chain->index, id) : NULL;
	buf_clear(&value);
	if (result == DB_FAILED)
		return false;
	if (tip == NULL)
		return errmsg_set(err, "The tip is not in the block index: start with -reindex");
	index_set_active(&chain->index, tip);
	return true;
}

/* Written in the same batch as the tip, so its height is the tip's; another height means that somebody has mixed two
 * databases. */
static bool load_registry(struct chain *chain, struct errmsg *err)
{
	const uint8_t key = DB_REGISTRY;
	struct reader reader;
	struct buf value;
	enum db_result result;

	buf_init(&value);
	result = db_get(chain->db, &key, 1, &value, err);
	if (result == DB_MISSING) {
		chain->registry = registry_new(chain->spec);
	} else if (result == DB_FOUND) {
		reader_init(&reader, value.data, value.size);
		chain->registry = registry_read(chain->spec, &reader);
		if (chain->registry == NULL)
			errmsg_set(err, "The registry in the database is damaged: start with -reindex");
	}
	buf_clear(&value);
	if (chain->registry == NULL || registry_height(chain->registry) == chain_tip(chain)->height)
		return chain->registry != NULL;
	return errmsg_set(err, "The registry does not fit the tip: start with -reindex");
}

static bool load_all(struct chain *chain, struct errmsg *err)
{
	if (index_load(&chain->index, chain->db, err) && load_tip(chain, err) && load_registry(chain, err))
		return true;
	if (db_is_damage(err))
		halt_name_remedy(err);
	return false;
}

/* Blocks lie in their files nearly in order: on the way down it is enough to look where nothing higher was seen. */
static bool file_holds(const struct record_file *files, const struct file_position *position,
	struct file_position *seen)
{
	if (position->file == seen->file && position->offset + position->size <= seen->offset + seen->size)
		return true;
	*seen = *position;
	return record_file_holds(files, position);
}

/* What the index names must be there: a block file cut short is told now and not at the next reorganisation. */
static bool check_files(const struct chain *chain, struct errmsg *err)
{
	struct file_position block = { 0 }, bodies = { 0 }, undo = { 0 };

	for (const struct full_entry *at = tip_full(chain); at->entry.parent != NULL; at = entry_parent(at))
		if (!file_holds(chain->blocks, &at->block, &block) ||
			!file_holds(chain->blocks, &at->bodies, &bodies) ||
			!file_holds(chain->undos, &at->undo, &undo)) {
			char *path = record_file_path(chain->blocks, at->block.file);

			errmsg_set(err, "Block %" PRIu32 " is not whole in %s or its undo file: start with -reindex",
				at->entry.height, path);
			free(path);
			return false;
		}
	return true;
}

/* Bytes that a crash cut off show here: waiting_store does not sync. */
static void resume_block(struct chain *chain, struct full_entry *full)
{
	struct errmsg err;
	const struct block *block = kept_read(chain, full, &err);

	if (block != NULL) {
		waiting_add(chain, full, block);
		block_unref(block);
		return;
	}
	log_warn("[chain] %s", err.text);
	/* One that still waits will be fetched again. */
	if (full->entry.status == ENTRY_STORED) {
		index_set_status(&chain->index, full, ENTRY_HEADER);
		full->block.size = 0;
	}
}

/* Blobs that the chain and the branches near its tip need; and the blocks that still wait for their verdict. */
static bool resume_waiting(struct chain *chain, struct errmsg *err)
{
	const uint32_t height = chain_tip(chain)->height;

	for (size_t i = 1; i < registry_count(chain->registry); i++)
		blobs_settle(chain->blobs, registry_get(chain->registry, i)->root);
	for (size_t i = 0; i < chain->index.count; i++) {
		struct full_entry *full = chain->index.entries[i];
		bool near;

		if (halt_asked(chain))
			return errmsg_set(err, "Asked to stop while the blocks that wait were read");
		near = entry_verified(&full->entry) && full->entry.height + SETTLE_DEPTH >= height &&
			!index_is_active(&chain->index, &full->entry);

		if (near || full->entry.status == ENTRY_STORED)
			resume_block(chain, full);
	}
	blobs_drop_old(chain->blobs, BLOB_SECONDS);
	return true;
}

/* The tip's state is needed for everything that follows, so its replay is waited for; snapshots bound how long that
 * takes. */
static bool open_state(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	struct state *state = states_rebuild(chain->states, tip_full(chain), options, err);

	if (state == NULL)
		return errmsg_wrap(err, "The model state of the tip cannot be rebuilt");
	state_unref(state);
	states_pin(chain->states, tip_full(chain));
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
	waiting_init(chain, options->held_bytes);
	chain->mempool = mempool_new(options->mempool_bytes);
	index_init(&chain->index, chain->spec);
	reindex = options->reindex || reindex_needed(chain);
	if (!open_files(chain, reindex, err) || (reindex && !reindex_run(chain, options, err)) ||
		!load_all(chain, err) || !check_files(chain, err) || (!reindex && !reindex_rest(chain, options, err)) ||
		!open_models(chain, options, err) || !open_state(chain, options, err) || !resume_waiting(chain, err)) {
		chain_close(chain);
		return NULL;
	}
	tip_end_download(chain);
	choose_advance(chain);
	queue_after_drain(chain->queue, choose_resume, chain);
	log_info("[chain] tip is block %" PRIu32 ", %zu headers known", chain_tip(chain)->height, chain->index.count);
	return chain;
}

/* --- closing --- */

/* A start after this one need not replay anything. */
static void last_snapshot(struct chain *chain)
{
	struct state *state = chain->states != NULL && !chain->failed ? chain_state(chain) : NULL;
	struct errmsg err;

	/* None: the opening did not come so far. */
	if (state != NULL && !states_snapshot(chain->states, tip_full(chain), &err))
		log_warn("[chain] no snapshot of the model: %s", err.text);
	state_unref(state);
}

/* What was verified while the chain closed need not be verified again. */
static void save_last(struct chain *chain)
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
	waiting_clear(chain);
	connect_forget(chain);
	save_last(chain);
	last_snapshot(chain);
	states_close(chain->states);
	blobs_close(chain->blobs);
	mempool_free(chain->mempool);
	loose_pool_free(chain->loose);
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
