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
struct reindex_block {
	uint8_t id[32];
	struct header header;
	struct file_position block, bodies;
	bool done;
};

/* Blocks, and those of them whose bodies are not there. */
struct reindex_count {
	size_t blocks, bodiless;
};

struct reindex {
	struct chain *chain;
	const struct chain_options *options;
	struct map by_id;
	struct reindex_block **blocks;
	size_t count, cap;
	struct reindex_count taken;
};

/* A file that is there while a reindex is under way: the database is gone before it is whole again. */
static char *reindex_marker_path(const struct chain *chain)
{
	return path_join(chain->datadir, ".reindex");
}

bool reindex_needed(const struct chain *chain)
{
	char *marker_file = reindex_marker_path(chain);
	bool needed = file_exists(marker_file);

	free(marker_file);
	return needed;
}

bool reindex_begin(const struct chain *chain, struct errmsg *err)
{
	char *marker_file = reindex_marker_path(chain);
	bool marker_written = file_write_atomic(marker_file, "", 0, 0600, err);

	free(marker_file);
	return marker_written;
}

static bool reindex_remove_marker(const struct chain *chain, struct errmsg *err)
{
	char *marker_file = reindex_marker_path(chain);
	bool marker_removed = file_remove(marker_file, err) && file_sync_dir(chain->datadir, err);

	free(marker_file);
	return marker_removed;
}

/* A block and its bodies are two records: whichever comes first makes the place for both. */
static struct reindex_block *reindex_block(struct reindex *reindex, const uint8_t id[32])
{
	struct reindex_block *found = map_get(&reindex->by_id, id);

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
static bool reindex_visit_record(void *reindex_context, enum record_kind kind, const struct file_position *position,
	const uint8_t *payload, uint64_t done, uint64_t total)
{
	struct reindex *reindex = reindex_context;
	struct reindex_block *found;
	struct header found_header;
	uint8_t found_id[32];

	if (kind == RECORD_BLOCK && position->size >= HEADER_SIZE) {
		header_read(&found_header, payload);
		header_id(&found_header, found_id);
		found = reindex_block(reindex, found_id);
		found->header = found_header;
		found->block = *position;
	} else if (kind == RECORD_BODIES && position->size >= 32) {
		reindex_block(reindex, payload)->bodies = *position;
	}
	if (reindex->options->progress != NULL)
		reindex->options->progress(reindex->options->progress_context, "Reading block files",
			(uint32_t)(done >> 20), (uint32_t)(total >> 20));
	return !halt_asked(reindex->chain);
}

/* Whether the index has the block already, or has refused it. */
static bool reindex_is_entered(const struct chain *chain, const struct reindex_block *found)
{
	const struct full_entry *full = index_find(&chain->index, found->id);

	return full != NULL && full->entry.status != ENTRY_HEADER;
}

/* Enters a block whose parent is in the index. What is no block by its own rules is left out. */
static void reindex_enter_block(struct reindex *reindex, struct reindex_block *found, struct db_batch *round_batch)
{
	struct chain *chain = reindex->chain;
	const struct full_entry *parent = index_find(&chain->index, found->header.prev);
	struct full_entry *entered, reindex_probe = { .block = found->block };
	struct parent_view parent_view;
	struct reject reject;
	const struct block *entered_block;
	struct errmsg err;

	/* Whatever comes of it: one that is left out is not read again in each round. */
	found->done = true;
	memcpy(reindex_probe.entry.id, found->id, 32);
	entered_block = block_records_read(chain->blocks, chain->spec, &reindex_probe, false, &err);
	if (entered_block == NULL) {
		log_warn("[chain] left out: %s", err.text);
		return;
	}
	index_parent_view(&parent->entry, &parent_view);
	/* The clock allowed this block when it came. If it goes slow by now, that is no reason to lose it. */
	if (!block_check_header(chain->spec, &found->header, &parent_view, found->header.time, &reject) ||
		!block_check(chain->spec, entered_block, &parent_view, &reject)) {
		log_warn("[chain] left out: block %" PRIu32 ": %s, %s", parent_view.height + 1, reject.reason,
			reject.detail);
		block_unref(entered_block);
		return;
	}
	entered = index_find(&chain->index, found->id);
	if (entered == NULL)
		entered = index_add(&chain->index, &found->header, found->id);
	entered->block = found->block;
	entered->bodies = found->bodies;
	entered->entry.tx_count = (uint32_t)entered_block->tx_count;
	entered->entry.loose_count = (uint32_t)entered_block->loose_count;
	entered->entry.late_count = (uint32_t)entered_block->late_count;
	index_set_status(&chain->index, entered, ENTRY_STORED);
	index_save(round_batch, entered);
	reindex->taken.blocks++;
	reindex->taken.bodiless += found->bodies.size == 0;
	block_unref(entered_block);
}

/* Children may lie before their parents: rounds until one brings nothing new. */
static bool reindex_enter_all(struct reindex *reindex, struct errmsg *err)
{
	size_t taken_before;
	bool round_ok = true;

	do {
		struct db_batch *round_batch = db_batch_new();

		taken_before = reindex->taken.blocks;
		for (size_t i = 0; i < reindex->count && !halt_asked(reindex->chain); i++) {
			struct reindex_block *found = reindex->blocks[i];

			if (!found->done && found->block.size != 0 && !reindex_is_entered(reindex->chain, found) &&
				index_find(&reindex->chain->index, found->header.prev) != NULL)
				reindex_enter_block(reindex, found, round_batch);
		}
		round_ok = db_write(reindex->chain->db, round_batch, true, err);
		db_batch_free(round_batch);
		if (round_ok && halt_asked(reindex->chain))
			round_ok = errmsg_set(err,
				"Asked to stop while the block files were read: the next start does it again");
	} while (round_ok && reindex->taken.blocks > taken_before);
	return round_ok;
}

/* What is found is named in the index and never appended again, but a run that was killed may have left it unsynced. */
static bool reindex_read_files(struct chain *chain, const struct chain_options *options,
	const struct file_position *after, struct reindex_count *taken, struct errmsg *err)
{
	struct reindex reindex = { .chain = chain, .options = options };
	bool files_read;

	map_init(&reindex.by_id);
	files_read = record_file_sync(chain->blocks, err) &&
		record_file_scan(chain->blocks, after, reindex_visit_record, &reindex, err) &&
		reindex_enter_all(&reindex, err);
	for (size_t i = 0; i < reindex.count; i++)
		free(reindex.blocks[i]);
	free(reindex.blocks);
	map_clear(&reindex.by_id);
	*taken = reindex.taken;
	return files_read;
}

/* The marker goes when the database is whole: a start that is cut short begins it anew. Every block will be verified
 * again: that a record reads well says nothing of its proofs. */
bool reindex_run(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	const struct file_position before_all = { 0 };
	struct reindex_count taken;
	bool reindexed = reindex_read_files(chain, options, &before_all, &taken, err) &&
		reindex_remove_marker(chain, err);

	if (reindexed)
		log_info("[chain] reindex: %zu blocks found, all of them will be verified again", taken.blocks);
	if (reindexed && taken.bodiless > 0)
		log_warn("[chain] reindex: proofs of %zu blocks lack their bodies, as where a node has pruned: "
			 "executing makes them again; bytes of runs that are gone are asked of peers",
			taken.bodiless);
	/* index_load reads what was written: one way into memory. */
	index_clear(&chain->index);
	index_init(&chain->index, chain->spec);
	return reindexed;
}

static void reindex_keep_later(struct file_position *last_indexed, const struct file_position *position)
{
	if (position->file > last_indexed->file ||
		(position->file == last_indexed->file && position->offset > last_indexed->offset))
		*last_indexed = *position;
}

/* From the last place that the index names: what lies before it is known, so this reads nothing on an ordinary start.
 */
bool reindex_rest(struct chain *chain, const struct chain_options *options, struct errmsg *err)
{
	struct file_position last_indexed = { 0 };
	struct reindex_count taken;

	for (size_t i = 0; i < chain->index.count; i++) {
		reindex_keep_later(&last_indexed, &chain->index.entries[i]->block);
		reindex_keep_later(&last_indexed, &chain->index.entries[i]->bodies);
	}
	if (!reindex_read_files(chain, options, &last_indexed, &taken, err))
		return false;
	if (taken.blocks > 0)
		log_warn("[chain] %zu blocks of the files are not in the index, "
			 "which has lost its last writes: they will be verified again",
			taken.blocks);
	return true;
}
