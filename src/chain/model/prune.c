/* How far is pruned, and doing it a few blocks at a time. */
#include "chain/model/prune.h"

#include <inttypes.h>
#include <string.h>

#include "chain/choose.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "util/bytes.h"
#include "util/log.h"

enum {
	/* Without asking a switch undoes CHOOSE_REORG_MAX blocks; late proofs start from states a few before. Of
	 * rounds: the one that such a branch leaves in the middle, and the one that was merged before. */
	PRUNE_LEAST = CHOOSE_REORG_MAX + 28,
	PRUNE_LEAST_ROUNDS = 2,
	PRUNE_BLOBS = 4, /* files at a time: of large ones each takes the file system some hundredths of a second */
	PRUNE_RECORD = 8,
	PRUNE_BLOB_KEY = 33,
	PRUNE_BLOB_VALUE = 4,
};

static uint32_t prune_least(const struct spec *spec)
{
	return PRUNE_LEAST + PRUNE_LEAST_ROUNDS * spec->round_blocks;
}

/* --- how far --- */

static bool prune_save(struct chain *chain, struct db_batch *batch, bool sync, struct errmsg *err)
{
	const uint8_t prune_key = DB_PRUNED;
	uint8_t prune_record[PRUNE_RECORD];

	write_le32(prune_record, chain->pruning.height);
	write_le32(prune_record + 4, chain->pruning.done);
	db_batch_put(batch, &prune_key, 1, prune_record, sizeof prune_record);
	return db_write(chain->db, batch, sync, err);
}

static bool prune_load(struct chain *chain, struct errmsg *err)
{
	const uint8_t prune_key = DB_PRUNED;
	struct buf prune_record;
	bool loaded = false;

	buf_init(&prune_record);
	switch (db_get(chain->db, &prune_key, 1, &prune_record, err)) {
	case DB_FOUND:
		if (prune_record.size == PRUNE_RECORD) {
			chain->pruning.height = read_le32(prune_record.data);
			chain->pruning.done = read_le32(prune_record.data + 4);
		}
		loaded = (prune_record.size == PRUNE_RECORD && chain->pruning.done <= chain->pruning.height &&
				 chain->pruning.height <= chain_tip(chain)->height) ||
			errmsg_set(err, "What the database says of pruning is damaged: start with -reindex");
		break;
	case DB_MISSING:
		loaded = true;
		break;
	case DB_FAILED:
		loaded = false;
		break;
	}
	buf_clear(&prune_record);
	return loaded;
}

bool prune_begin(struct chain *chain, uint32_t kept, struct errmsg *err)
{
	chain->pruning.kept = kept;
	return kept == 0 || kept >= prune_least(chain->spec) ||
		errmsg_set(err, "-prune=%" PRIu32 ": on this chain at least %" PRIu32 " blocks are kept (0: all)", kept,
			prune_least(chain->spec));
}

bool prune_open(struct chain *chain, struct errmsg *err)
{
	const uint32_t kept = chain->pruning.kept;

	if (kept > 0 && !record_file_can_erase(chain->blocks, err))
		return errmsg_wrap(err, "-prune");
	if (!prune_load(chain, err))
		return false;
	if (kept == 0 && chain->pruning.height > 0)
		return errmsg_set(err,
			"What blocks up to %" PRIu32
			" had is pruned here: start with -prune=<blocks>, or with -reindex, "
			"which executes all of them again and asks peers for the bytes of runs that are gone",
			chain->pruning.height);
	return true;
}

/* The snapshot that all later states can be replayed from is the bound, however many blocks it lies too low. */
static bool prune_advance(struct chain *chain, struct errmsg *err)
{
	const uint32_t tip_height = chain_tip(chain)->height, kept = chain->pruning.kept;
	const uint32_t base = tip_height > kept ? states_base_below(chain->states, tip_full(chain), tip_height - kept) :
						  0;
	struct db_batch *batch;
	bool advanced;

	if (base <= chain->pruning.height)
		return true;
	chain->pruning.height = base;
	batch = db_batch_new();
	advanced = prune_save(chain, batch, true, err);
	db_batch_free(batch);
	if (advanced) {
		log_debug(LOG_CHAIN, "[chain] pruning up to block %" PRIu32, base);
		states_prune(chain->states, base);
	}
	return advanced;
}

/* --- what goes --- */

/* On all branches. */
static bool prune_bodies(struct chain *chain, uint32_t height, struct errmsg *err)
{
	for (size_t i = 0; i < chain->index.count; i++) {
		const struct full_entry *full = chain->index.entries[i];

		if (full->entry.height == height && full->bodies.size > 0 &&
			!record_file_erase(chain->blocks, &full->bodies, err))
			return false;
	}
	return true;
}

struct prune_old_blobs {
	uint32_t last;
	uint8_t roots[PRUNE_BLOBS][32];
	size_t count; /* with those that found no place */
};

/* Those without a height were noted before heights were, and stay. */
static bool prune_visit_blob(void *context, const uint8_t *key, size_t key_size, const uint8_t *value,
	size_t value_size, struct errmsg *err)
{
	struct prune_old_blobs *old = context;

	(void)err;
	if (key_size != PRUNE_BLOB_KEY || value_size != PRUNE_BLOB_VALUE || read_le32(value) > old->last)
		return true;
	if (old->count < PRUNE_BLOBS)
		memcpy(old->roots[old->count], key + 1, 32);
	old->count++;
	return true;
}

/* Bytes of runs go by whole rounds, at the last block of each: a merge above reads what was disclosed below. What
 * somebody has registered as a dataset too stays. `rest`: there are more. */
static bool prune_blobs(struct chain *chain, uint32_t last, struct db_batch *batch, bool *rest, struct errmsg *err)
{
	const uint8_t blob_prefix = DB_ROUND_BLOB;
	struct prune_old_blobs old = { .last = last };
	uint8_t blob_key[PRUNE_BLOB_KEY] = { DB_ROUND_BLOB };

	if (!db_each(chain->db, &blob_prefix, 1, prune_visit_blob, &old, err))
		return false;
	for (size_t i = 0; i < old.count && i < PRUNE_BLOBS; i++) {
		memcpy(blob_key + 1, old.roots[i], 32);
		db_batch_delete(batch, blob_key, sizeof blob_key);
		if (registry_find(chain->registry, old.roots[i], NULL) == NULL)
			blobs_prune(chain->blobs, old.roots[i]);
	}
	*rest = old.count > PRUNE_BLOBS;
	return true;
}

/* One block, or a few files of its round. How far it has come need not survive a power cut: then that is done again. */
static bool prune_step(struct chain *chain, struct errmsg *err)
{
	const uint32_t next = chain->pruning.done + 1, round_blocks = chain->spec->round_blocks;
	bool pruned = true, rest = false;
	struct db_batch *batch;

	if (next > chain->pruning.height)
		return true;
	batch = db_batch_new();
	if (round_blocks > 0 && next % round_blocks == 0)
		pruned = prune_blobs(chain, next, batch, &rest, err);
	if (pruned && !rest) {
		pruned = prune_bodies(chain, next, err);
		chain->pruning.done += pruned;
	}
	pruned = pruned && prune_save(chain, batch, false, err);
	db_batch_free(batch);
	return pruned;
}

/* A hole that cannot be made is no reason to end the node; a database that cannot be written is, and whoever writes to
 * it next finds that out. */
void prune_work(struct chain *chain)
{
	struct errmsg err;

	if (chain->pruning.kept == 0 || chain->pruning.stopped)
		return;
	chain->pruning.stopped = !prune_advance(chain, &err) || !prune_step(chain, &err);
	if (chain->pruning.stopped && !db_is_sound(chain->db))
		halt_fail(chain, &err);
	else if (chain->pruning.stopped)
		log_error("[chain] %s: nothing is pruned until the next start", err.text);
}

/* --- bytes of runs --- */

/* Of different rounds only what a challenge names can be the same: the code that all runs begin with. */
bool prune_note_blob(struct chain *chain, struct db_batch *batch, const uint8_t root[32], uint32_t height,
	struct errmsg *err)
{
	uint8_t blob_key[PRUNE_BLOB_KEY] = { DB_ROUND_BLOB }, blob_value[PRUNE_BLOB_VALUE];
	enum db_result noted;
	struct buf before;

	memcpy(blob_key + 1, root, 32);
	buf_init(&before);
	noted = db_get(chain->db, blob_key, sizeof blob_key, &before, err);
	if (noted == DB_FOUND && before.size == PRUNE_BLOB_VALUE && read_le32(before.data) > height)
		height = read_le32(before.data);
	buf_clear(&before);
	write_le32(blob_value, height);
	db_batch_put(batch, blob_key, sizeof blob_key, blob_value, sizeof blob_value);
	return noted != DB_FAILED;
}

static bool prune_settle_blob(void *blobs, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err)
{
	(void)value;
	if (key_size != PRUNE_BLOB_KEY || (value_size != 0 && value_size != PRUNE_BLOB_VALUE))
		return errmsg_set(err, "The list of runs' blobs in the database is damaged: start with -reindex");
	blobs_settle(blobs, key + 1);
	return true;
}

bool prune_settle_blobs(struct chain *chain, struct errmsg *err)
{
	const uint8_t blob_prefix = DB_ROUND_BLOB;

	return db_each(chain->db, &blob_prefix, 1, prune_settle_blob, chain->blobs, err);
}

/* --- what others ask --- */

uint32_t chain_pruned(const struct chain *chain)
{
	return chain->pruning.height;
}

bool chain_is_pruned(const struct chain *chain, uint32_t height, struct errmsg *err)
{
	if (chain->pruning.height == 0 || height > chain->pruning.height)
		return false;
	errmsg_set(err, "block %" PRIu32 " is pruned: this node has all that belongs to the blocks from %" PRIu32 " on",
		height, chain->pruning.height + 1);
	return true;
}

bool chain_prunes(const struct chain *chain)
{
	return chain->pruning.kept > 0;
}

/* Every block is here either way, and bodies are made anew by whoever verifies. */
bool chain_serves_all(const struct chain *chain)
{
	return !chain_prunes(chain) || chain->spec->round_blocks == 0;
}

uint64_t chain_disk_size(const struct chain *chain)
{
	return record_file_disk_size(chain->blocks) + record_file_disk_size(chain->undos) +
		blobs_disk_size(chain->blobs) + states_disk_size(chain->states);
}
