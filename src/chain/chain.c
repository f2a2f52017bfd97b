#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

enum { DOWNLOAD_AGE = 86400, SETTLE_DEPTH = 2016, BLOB_SECONDS = 14 * 86400 };

/* --- notices and failures --- */

void chain_subscribe(struct chain *chain, const struct chain_events *events)
{
	if (chain->event_count == CHAIN_SUBSCRIBERS) {
		log_error("[chain] more than %d subscribers: one is not told anything", CHAIN_SUBSCRIBERS);
		return;
	}
	chain->events[chain->event_count++] = *events;
	waiting_tell_wants(chain, events);
}

void chain_unsubscribe(struct chain *chain, const void *context)
{
	for (size_t i = 0; i < chain->event_count; i++)
		if (chain->events[i].context == context)
			chain->events[i--] = chain->events[--chain->event_count];
}

void chain_name_remedy(struct errmsg *err)
{
	errmsg_wrap(err, "Start with -reindex");
}

enum chain_result chain_fail(struct chain *chain, const struct errmsg *err)
{
	struct errmsg why = *err;

	if (!chain->failed) {
		chain->failed = true;
		if (db_is_damage(&why))
			chain_name_remedy(&why);
		log_error("[chain] %s: nothing more is taken", why.text);
		NOTIFY(chain, fatal, why.text);
	}
	return CHAIN_ERROR;
}

void chain_update_download(struct chain *chain)
{
	const struct index_entry *tip = chain_tip(chain);

	if (chain->initial_download &&
		(chain->spec->spacing == 0 || (int64_t)tip->header.time + DOWNLOAD_AGE > clock_wall()))
		chain->initial_download = false;
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

	if (anew && (!reindex_begin(chain, err) || !db_destroy(folder, err) || !dir_make(folder, err)))
		return false;
	chain->db = old ? db_open_existing(folder, err) : db_open(folder, err);
	if (chain->db == NULL && db_is_damage(err))
		errmsg_wrap(err,
			"The index of the blocks and coins that are here is lost or damaged: start with -reindex");
	return chain->db != NULL;
}

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
		.workers = chain->workers,
		.interval = options->snapshot_interval,
	};

	chain->blobs = blobs_open(blobs, err);
	if (chain->blobs != NULL)
		chain->states = states_open(&states, err);
	free(model);
	free(blobs);
	return chain->states != NULL;
}

static bool load_tip(struct chain *chain, struct errmsg *err)
{
	const uint8_t key = DB_TIP;
	struct reader reader;
	struct buf value;
	uint8_t id[32];
	struct node *tip;
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

static bool load(struct chain *chain, struct errmsg *err)
{
	if (index_load(&chain->index, chain->db, err) && load_tip(chain, err) && load_registry(chain, err))
		return true;
	if (db_is_damage(err))
		chain_name_remedy(err);
	return false;
}

/* Blocks lie in their files nearly in order: on the way down it is enough to look where nothing higher was seen. */
static bool holds(const struct record_file *files, const struct file_position *position, struct file_position *seen)
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

	for (const struct node *at = chain_tip_node(chain); at->entry.parent != NULL; at = node_parent(at))
		if (!holds(chain->blocks, &at->block, &block) || !holds(chain->blocks, &at->bodies, &bodies) ||
			!holds(chain->undos, &at->undo, &undo)) {
			char *path = record_file_path(chain->blocks, at->block.file);

			errmsg_set(err, "Block %" PRIu32 " is not whole in %s or its undo file: start with -reindex",
				at->entry.height, path);
			free(path);
			return false;
		}
	return true;
}

static void resume_block(struct chain *chain, struct node *node)
{
	struct errmsg err;
	struct block *block = block_records_read(chain->blocks, chain->spec, node, false, &err);

	if (block != NULL) {
		waiting_add(chain, node, block);
		block_free(block);
		return;
	}
	log_warn("[chain] %s", err.text);
	/* One that still waits will be fetched again. */
	if (node->entry.status == ENTRY_STORED) {
		index_set_status(&chain->index, node, ENTRY_HEADER);
		node->block.size = 0;
	}
}

/* Blobs that the chain and the branches near its tip need; and the blocks that still wait for their verdict. */
static bool resume(struct chain *chain, struct errmsg *err)
{
	const uint32_t height = chain_tip(chain)->height;

	for (size_t i = 1; i < registry_count(chain->registry); i++)
		blobs_settle(chain->blobs, registry_get(chain->registry, i)->root);
	for (size_t i = 0; i < chain->index.count; i++) {
		struct node *node = chain->index.nodes[i];
		bool near;

		if (chain_stopped(chain))
			return errmsg_set(err, "Asked to stop while the blocks that wait were read");
		near = entry_verified(&node->entry) && node->entry.height + SETTLE_DEPTH >= height &&
			!index_is_active(&chain->index, &node->entry);

		if (near || node->entry.status == ENTRY_STORED)
			resume_block(chain, node);
	}
	blobs_drop_old(chain->blobs, BLOB_SECONDS);
	return true;
}

static bool open_state(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	struct state *state = states_rebuild(chain->states, chain_tip_node(chain), options, err);

	if (state == NULL)
		return errmsg_wrap(err, "The model state of the tip cannot be rebuilt");
	state_unref(state);
	states_pin(chain->states, chain_tip_node(chain));
	return true;
}

struct chain *chain_open(const struct chain_options *options, struct errmsg *err)
{
	struct chain *chain = mem_calloc(1, sizeof *chain);
	bool reindex;

	chain->spec = options->spec;
	chain->workers = options->workers;
	chain->stop = options->stop;
	chain->datadir = mem_strdup(options->datadir);
	chain->initial_download = true;
	chain->proofs = proof_cache_new(chain->spec);
	chain->loose = loose_pool_new(chain->spec);
	waiting_init(chain, options->held_bytes);
	chain->mempool = mempool_new(options->mempool_bytes);
	index_init(&chain->index, chain->spec);
	reindex = options->reindex || reindex_needed(chain);
	if (!open_files(chain, reindex, err) || (reindex && !reindex_run(chain, options, err)) || !load(chain, err) ||
		!check_files(chain, err) || (!reindex && !reindex_rest(chain, options, err)) ||
		!open_models(chain, options, err) || !open_state(chain, options, err) || !resume(chain, err)) {
		chain_close(chain);
		return NULL;
	}
	chain_update_download(chain);
	chain_advance(chain);
	log_info("[chain] tip is block %" PRIu32 ", %zu headers known", chain_tip(chain)->height, chain->index.count);
	return chain;
}

/* A start after this one need not replay anything. */
static void last_snapshot(struct chain *chain)
{
	struct state *state = chain->states != NULL && !chain->failed ? chain_state(chain) : NULL;
	struct errmsg err;

	/* None: the opening did not come so far. */
	if (state != NULL && !states_snapshot(chain->states, chain_tip_node(chain), &err))
		log_warn("[chain] no snapshot of the model: %s", err.text);
	state_unref(state);
}

void chain_close(struct chain *chain)
{
	if (chain == NULL)
		return;
	chain->closing = true;
	jobs_stop(chain);
	loose_pool_stop(chain);
	waiting_clear(chain);
	last_snapshot(chain);
	states_close(chain->states);
	blobs_close(chain->blobs);
	mempool_free(chain->mempool);
	loose_pool_free(chain->loose);
	proof_cache_free(chain->proofs);
	registry_free(chain->registry);
	registry_free(chain->side_registry);
	index_clear(&chain->index);
	db_close(chain->db);
	record_file_close(chain->undos);
	record_file_close(chain->blocks);
	if (chain->lock >= 0)
		file_unlock(chain->lock);
	free(chain->datadir);
	free(chain);
}

/* --- queries --- */

const struct spec *chain_spec(const struct chain *chain)
{
	return chain->spec;
}

const struct index_entry *chain_genesis(const struct chain *chain)
{
	return &chain->index.nodes[0]->entry;
}

const struct index_entry *chain_tip(const struct chain *chain)
{
	return &chain_tip_node(chain)->entry;
}

const struct index_entry *chain_best_header(const struct chain *chain)
{
	return &chain->index.best_header->entry;
}

const struct index_entry *chain_find(const struct chain *chain, const uint8_t id[32])
{
	const struct node *node = index_find(&chain->index, id);

	return node != NULL ? &node->entry : NULL;
}

const struct index_entry *chain_at(const struct chain *chain, uint32_t height)
{
	return height < chain->index.active_count ? &chain->index.active[height]->entry : NULL;
}

bool chain_is_active(const struct chain *chain, const struct index_entry *entry)
{
	return index_is_active(&chain->index, entry);
}

size_t chain_tips(const struct chain *chain, const struct index_entry **out, size_t max)
{
	return index_tips(&chain->index, out, max);
}

const struct registry *chain_registry(const struct chain *chain)
{
	return chain->registry;
}

struct state *chain_state(struct chain *chain)
{
	return states_get(chain->states, chain_tip_node(chain));
}

struct state *chain_state_at(struct chain *chain, const struct index_entry *entry,
	void (*ready)(void *context, struct state *state), void *context)
{
	struct state *state = entry_verified(entry) ? states_get(chain->states, node_of(entry)) : NULL;

	if (state != NULL)
		return state;
	if (entry_verified(entry))
		states_request(chain->states, node_of(entry), ready, context);
	else
		ready(context, NULL);
	return NULL;
}

static struct block *read_block(struct chain *chain, const struct index_entry *entry, bool with_bodies,
	struct errmsg *err)
{
	struct block *block;

	if (entry->parent == NULL) {
		block = block_new();
		block->header = entry->header;
		return block;
	}
	block = block_records_read(chain->blocks, chain->spec, node_of(entry), with_bodies, err);
	if (block == NULL && node_of(entry)->block.size != 0)
		chain_name_remedy(err);
	return block;
}

struct block *chain_read_block(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	return read_block(chain, entry, node_of(entry)->bodies.size != 0, err);
}

struct block *chain_read_bare(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	return read_block(chain, entry, false, err);
}

bool chain_has_blob(const struct chain *chain, const uint8_t root[32])
{
	return blobs_has(chain->blobs, root);
}

bool chain_read_blob(struct chain *chain, const uint8_t root[32], struct buf *out, struct errmsg *err)
{
	return blobs_read(chain->blobs, root, out, err);
}

bool chain_coin(struct chain *chain, const struct outpoint *outpoint, struct coin *coin)
{
	struct errmsg err;

	switch (coins_get(chain->db, outpoint, coin, &err)) {
	case DB_FOUND:
		return true;
	case DB_MISSING:
		return false;
	case DB_FAILED:
		chain_fail(chain, &err);
		return false;
	}
	return false;
}

void chain_coin_stats(struct chain *chain, struct coin_stats *stats)
{
	*stats = chain->coin_stats;
}

static struct tx *take_tx(struct block *block, const uint8_t txid[32])
{
	for (size_t i = 0; i < block->tx_count; i++) {
		uint8_t id[32];

		tx_txid(block->txs[i], id);
		if (memcmp(id, txid, 32) == 0)
			return tx_copy(block->txs[i]);
	}
	return NULL;
}

const struct index_entry *chain_find_tx(struct chain *chain, const uint8_t txid[32], struct tx **tx)
{
	const struct node *node = NULL;
	uint8_t key[33] = { DB_TX };
	struct block *block;
	struct errmsg err;
	struct buf value;

	memcpy(key + 1, txid, 32);
	buf_init(&value);
	if (db_get(chain->db, key, sizeof key, &value, &err) == DB_FOUND && value.size == 32)
		node = index_find(&chain->index, value.data);
	buf_clear(&value);
	if (node == NULL)
		return NULL;
	if (tx == NULL)
		return &node->entry;
	block = block_records_read(chain->blocks, chain->spec, node, false, &err);
	*tx = block != NULL ? take_tx(block, txid) : NULL;
	block_free(block);
	return *tx != NULL ? &node->entry : NULL;
}

const struct index_entry *chain_find_proof(struct chain *chain, const uint8_t id[32], size_t *index)
{
	const struct node *node = NULL;
	uint8_t key[33] = { DB_PROOF };
	struct buf value;

	memcpy(key + 1, id, 32);
	buf_init(&value);
	if (db_get(chain->db, key, sizeof key, &value, NULL) == DB_FOUND && value.size == PROOF_PLACE_SIZE) {
		node = index_find(&chain->index, value.data);
		*index = read_le32(value.data + 32);
	}
	buf_clear(&value);
	return node != NULL ? &node->entry : NULL;
}

/* --- locators --- */

size_t chain_locator(const struct chain *chain, const struct index_entry *from, uint8_t (*ids)[32], size_t max)
{
	uint32_t step = 1;
	size_t count = 0;

	(void)chain;
	while (count < max) {
		/* The last place is kept for genesis, which every chain of this spec shares. */
		if (count + 1 == max)
			from = entry_ancestor(from, 0);
		memcpy(ids[count++], from->id, 32);
		if (from->height == 0)
			break;
		if (count > 10)
			step *= 2;
		from = entry_ancestor(from, from->height > step ? from->height - step : 0);
	}
	return count;
}

const struct index_entry *chain_fork_point(const struct chain *chain, const uint8_t (*ids)[32], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct index_entry *entry = chain_find(chain, ids[i]);

		if (entry != NULL && chain_is_active(chain, entry))
			return entry;
	}
	return chain_genesis(chain);
}
