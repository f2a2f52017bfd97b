/* Reading the block files again: what is found first, then parents before children into the index. */
#include "chain/reindex.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/block_records.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

/* A record found in the block files. */
struct found_block {
	uint8_t id[32];
	struct header header;
	struct file_position block, bodies;
	bool done;
};

struct reindex {
	struct chain *chain;
	const struct chain_options *options;
	struct map by_id;
	struct found_block **blocks;
	size_t count, cap;
	size_t taken;
};

/* A file that is there while a reindex is under way: the database is gone before it is whole again. */
static char *marker_path(const struct chain *chain)
{
	return path_join(chain->datadir, ".reindex");
}

bool reindex_needed(const struct chain *chain)
{
	char *path = marker_path(chain);
	bool needed = file_exists(path);

	free(path);
	return needed;
}

bool reindex_begin(const struct chain *chain, struct errmsg *err)
{
	char *path = marker_path(chain);
	bool ok = file_write_atomic(path, "", 0, 0600, err);

	free(path);
	return ok;
}

static bool remove_marker(const struct chain *chain, struct errmsg *err)
{
	char *path = marker_path(chain);
	bool ok = file_remove(path, err) && file_sync_dir(chain->datadir, err);

	free(path);
	return ok;
}

/* A block and its bodies are two records: whichever comes first makes the place for both. */
static struct found_block *found_block(struct reindex *reindex, const uint8_t id[32])
{
	struct found_block *found = map_get(&reindex->by_id, id);

	if (found != NULL)
		return found;
	found = mem_calloc(1, sizeof *found);
	memcpy(found->id, id, 32);
	map_put(&reindex->by_id, id, found);
	if (reindex->count == reindex->cap) {
		reindex->cap = reindex->cap ? reindex->cap * 2 : 256;
		reindex->blocks = mem_realloc(reindex->blocks, reindex->cap * sizeof *reindex->blocks);
	}
	reindex->blocks[reindex->count++] = found;
	return found;
}

/* Of a block that was stored twice the later record counts; both hold the same bytes. Only places are kept: the blocks
 * themselves are read one by one later. */
static bool visit_record(void *context, enum record_kind kind, const struct file_position *position,
	const uint8_t *payload, uint64_t done, uint64_t total)
{
	struct reindex *reindex = context;
	struct found_block *found;
	struct header header;
	uint8_t id[32];

	if (kind == RECORD_BLOCK && position->size >= HEADER_SIZE) {
		header_read(&header, payload);
		header_id(&header, id);
		found = found_block(reindex, id);
		found->header = header;
		found->block = *position;
	} else if (kind == RECORD_BODIES && position->size >= 32) {
		found_block(reindex, payload)->bodies = *position;
	}
	if (reindex->options->progress != NULL)
		reindex->options->progress(reindex->options->progress_context, "Reading block files",
			(uint32_t)(done >> 20), (uint32_t)(total >> 20));
	return !halt_asked(reindex->chain);
}

/* Whether the index has the block already, or has refused it. */
static bool is_entered(const struct chain *chain, const struct found_block *found)
{
	const struct full_entry *full = index_find(&chain->index, found->id);

	return full != NULL && full->entry.status != ENTRY_HEADER;
}

/* Enters a block whose parent is in the index. What is no block by its own rules is left out. */
static void enter_block(struct reindex *reindex, struct found_block *found, struct db_batch *batch)
{
	struct chain *chain = reindex->chain;
	const struct full_entry *parent = index_find(&chain->index, found->header.prev);
	struct full_entry *full, probe = { .block = found->block };
	struct parent_view view;
	struct reject reject;
	const struct block *block;
	struct errmsg err;

	/* Whatever comes of it: one that is left out is not read again in each round. */
	found->done = true;
	memcpy(probe.entry.id, found->id, 32);
	block = block_records_read(chain->blocks, chain->spec, &probe, false, &err);
	if (block == NULL) {
		log_warn("[chain] left out: %s", err.text);
		return;
	}
	index_parent_view(&parent->entry, &view);
	/* The clock allowed this block when it came. If it goes slow by now, that is no reason to lose it. */
	if (!block_check_header(chain->spec, &found->header, &view, found->header.time, &reject) ||
		!block_check(chain->spec, block, &view, &reject)) {
		log_warn("[chain] left out: block %" PRIu32 ": %s, %s", view.height + 1, reject.reason, reject.detail);
		block_unref(block);
		return;
	}
	full = index_find(&chain->index, found->id);
	if (full == NULL)
		full = index_add(&chain->index, &found->header, found->id);
	full->block = found->block;
	full->bodies = found->bodies;
	full->entry.tx_count = (uint32_t)block->tx_count;
	full->entry.loose_count = (uint32_t)block->loose_count;
	index_set_status(&chain->index, full, ENTRY_STORED);
	index_save(batch, full);
	reindex->taken++;
	block_unref(block);
}

/* Children may lie before their parents: rounds until one brings nothing new. */
static bool enter_all(struct reindex *reindex, struct errmsg *err)
{
	size_t before;
	bool ok = true;

	do {
		struct db_batch *batch = db_batch_new();

		before = reindex->taken;
		for (size_t i = 0; i < reindex->count && !halt_asked(reindex->chain); i++) {
			struct found_block *found = reindex->blocks[i];

			if (!found->done && found->block.size != 0 && !is_entered(reindex->chain, found) &&
				index_find(&reindex->chain->index, found->header.prev) != NULL)
				enter_block(reindex, found, batch);
		}
		ok = db_write(reindex->chain->db, batch, true, err);
		db_batch_free(batch);
		if (ok && halt_asked(reindex->chain))
			ok = errmsg_set(err,
				"Asked to stop while the block files were read: the next start does it again");
	} while (ok && reindex->taken > before);
	return ok;
}

/* What is found is named in the index and never appended again, but a run that was killed may have left it unsynced. */
static bool read_files(struct chain *chain, const struct chain_options *options, const struct file_position *after,
	size_t *taken, struct errmsg *err)
{
	struct reindex reindex = { .chain = chain, .options = options };
	bool ok;

	map_init(&reindex.by_id);
	ok = record_file_sync(chain->blocks, err) &&
		record_file_scan(chain->blocks, after, visit_record, &reindex, err) && enter_all(&reindex, err);
	for (size_t i = 0; i < reindex.count; i++)
		free(reindex.blocks[i]);
	free(reindex.blocks);
	map_clear(&reindex.by_id);
	*taken = reindex.taken;
	return ok;
}

/* The marker goes when the database is whole: a start that is cut short begins it anew. Every block will be verified
 * again: that a record reads well says nothing of its proofs. */
bool reindex_run(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	const struct file_position before_all = { 0 };
	size_t taken;
	bool ok = read_files(chain, options, &before_all, &taken, err) && remove_marker(chain, err);

	if (ok)
		log_info("[chain] reindex: %zu blocks found, all of them will be verified again", taken);
	/* index_load reads what was written: one way into memory. */
	index_clear(&chain->index);
	index_init(&chain->index, chain->spec);
	return ok;
}

static void keep_later(struct file_position *last, const struct file_position *position)
{
	if (position->file > last->file || (position->file == last->file && position->offset > last->offset))
		*last = *position;
}

/* From the last place that the index names: what lies before it is known, so this reads nothing on an ordinary start.
 */
bool reindex_rest(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	struct file_position last = { 0 };
	size_t taken;

	for (size_t i = 0; i < chain->index.count; i++) {
		keep_later(&last, &chain->index.entries[i]->block);
		keep_later(&last, &chain->index.entries[i]->bodies);
	}
	if (!read_files(chain, options, &last, &taken, err))
		return false;
	if (taken > 0)
		log_warn("[chain] %zu blocks of the files are not in the index, "
			 "which has lost its last writes: they will be verified again",
			taken);
	return true;
}
