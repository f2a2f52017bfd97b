/* The list of blocks that wait, and the room that those held in memory take. */
#include "chain/verify/waiting.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/block_records.h"
#include "chain/internal.h"
#include "chain/kept.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	WAITING_BYTES = 64 << 20,
	WAITING_SHARE = 4,       /* of it at most a quarter for one address */
	WAITING_OVERHEAD = 4096, /* what a held block costs beside its bytes, rounded up: small ones are bounded too */
	/* How long a block is put off; twice as long each time that it comes to nothing, up to the most. */
	WAITING_RETRY_MS = 10000,
	WAITING_RETRY_MOST_MS = 600000,
};

/* --- the list --- */

struct waiting_block *waiting_find(const struct chain *chain, const struct full_entry *full)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		if (chain->waiting[i].full == full)
			return &chain->waiting[i];
	return NULL;
}

/* The list may move: no pointer to a place in it is kept beyond the next addition. */
static struct waiting_block *waiting_append(struct chain *chain, struct full_entry *full, const struct block *block,
	const struct source *source)
{
	struct waiting_block *waiting;

	if (chain->waiting_count == chain->waiting_cap) {
		chain->waiting_cap = chain->waiting_cap ? chain->waiting_cap * 2 : 16;
		chain->waiting = mem_realloc(chain->waiting, chain->waiting_cap * sizeof *chain->waiting);
	}
	waiting = &chain->waiting[chain->waiting_count++];
	memset(waiting, 0, sizeof *waiting);
	waiting->full = full;
	waiting->group = sources_take(chain->sources, source);
	buf_init(&waiting->bytes);
	waiting->order = ++chain->waiting_order;
	wants_begin(chain->spec, waiting, block);
	full->source = source != NULL ? *source : (struct source){ 0 };
	return waiting;
}

static void waiting_let_go(struct chain *chain, struct waiting_block *waiting)
{
	if (!waiting->full->entry.held)
		return;
	chain->held -= waiting->cost;
	waiting->group->held -= waiting->cost;
	waiting->full->entry.held = false;
	block_unref(waiting->block);
	waiting->block = NULL;
	buf_clear(&waiting->bytes);
}

/* The last takes its place. */
void waiting_drop(struct chain *chain, struct waiting_block *waiting)
{
	waiting_let_go(chain, waiting);
	sources_release(waiting->group);
	free(waiting->wants);
	/* Who walks the list must look at this place once more. */
	*waiting = chain->waiting[--chain->waiting_count];
}

static void waiting_settle_blobs(const struct chain *chain, const struct waiting_block *waiting)
{
	for (size_t i = 0; i < waiting->want_count; i++)
		blobs_settle(chain->blobs, waiting->wants[i].root);
}

void waiting_add(struct chain *chain, struct full_entry *full, const struct block *block)
{
	waiting_settle_blobs(chain, waiting_append(chain, full, block, NULL));
	kept_put(chain, full, block);
}

/* Bytes first, then the index that names them. Only then does the block count as kept rather than held: there is a copy
 * on disk now, and memory is free to forget it. Nothing is synced: should the machine end before the bytes are whole,
 * the next start finds that out and fetches the block again (chain/open.c). */
bool waiting_store(struct chain *chain, struct full_entry *full, const struct block *block, struct errmsg *err)
{
	struct waiting_block *waiting = waiting_find(chain, full);
	struct db_batch *stored_batch = db_batch_new();
	bool stored = block_records_append_block(chain->blocks, chain->spec, full, block, err);

	if (stored) {
		if (waiting != NULL)
			waiting_let_go(chain, waiting);
		index_set_status(&chain->index, full, ENTRY_STORED);
		index_save(stored_batch, full);
		stored = db_write(chain->db, stored_batch, false, err);
	}
	db_batch_free(stored_batch);
	if (stored && waiting != NULL) {
		waiting_settle_blobs(chain, waiting);
		kept_put(chain, full, block);
	}
	return stored;
}

const struct block *waiting_read(struct chain *chain, const struct waiting_block *waiting, struct errmsg *err)
{
	struct reader held_reader;
	struct reject held_reject;
	const struct block *held_block;

	if (!waiting->full->entry.held)
		return kept_read(chain, waiting->full, err);
	if (waiting->block != NULL)
		return block_ref(waiting->block);
	chain->counts.parsed++;
	reader_init(&held_reader, waiting->bytes.data, waiting->bytes.size);
	held_block = block_read(chain->spec, &held_reader, &held_reject);
	if (held_block == NULL)
		errmsg_set(err, "%s: %s", held_reject.reason, held_reject.detail);
	return held_block;
}

/* --- room --- */

static struct lodger waiting_lodger(const struct waiting_block *waiting, int64_t now)
{
	return (struct lodger){
		.standing = sources_standing(waiting->group, now),
		.held = waiting->group->held,
		.ready = entry_verified(waiting->full->entry.parent),
		.height = waiting->full->entry.height,
		.order = waiting->order,
	};
}

/* Whoever must make room first: of this group, or (NULL) of all. */
static struct waiting_block *waiting_worst_lodger(struct chain *chain, const struct source_group *group, int64_t now)
{
	struct waiting_block *worst = NULL;
	struct lodger worst_so_far;

	for (size_t i = 0; i < chain->waiting_count; i++) {
		struct waiting_block *waiting = &chain->waiting[i];
		struct lodger lodger;

		if (!waiting->full->entry.held || waiting->full->in_work || (group != NULL && waiting->group != group))
			continue;
		lodger = waiting_lodger(waiting, now);
		if (worst != NULL && !schedule_evict_before(&lodger, &worst_so_far))
			continue;
		worst = waiting;
		worst_so_far = lodger;
	}
	return worst;
}

static size_t waiting_group_bytes(const struct chain *chain)
{
	return chain->held_max / WAITING_SHARE;
}

/* The new one is among those that may have to go, so this comes to an end. */
static void waiting_make_room(struct chain *chain, const struct source_group *group)
{
	const int64_t now = clock_wall();

	while (group->held > waiting_group_bytes(chain))
		waiting_drop(chain, waiting_worst_lodger(chain, group, now));
	while (chain->held + chain->kept.bytes > chain->held_max && kept_drop(chain))
		;
	while (chain->held > chain->held_max)
		waiting_drop(chain, waiting_worst_lodger(chain, NULL, now));
}

/* Parsed a block takes more room than its bytes do, and a stranger may make one for which that is many times as much.
 * So it is held parsed as long as half of its address's room is enough for that, and as bytes beyond. */
static void waiting_hold_block(const struct chain *chain, struct waiting_block *waiting, const struct block *block)
{
	waiting->cost = kept_cost(block) + WAITING_OVERHEAD;
	if (waiting->group->held + waiting->cost <= waiting_group_bytes(chain) / 2) {
		waiting->block = kept_bare(block);
		return;
	}
	block_write(&waiting->bytes, chain->spec, block, false);
	waiting->cost = waiting->bytes.size + WAITING_OVERHEAD;
}

bool waiting_hold(struct chain *chain, struct full_entry *full, const struct block *block, const struct source *source)
{
	struct waiting_block *waiting = waiting_append(chain, full, block, source);
	struct source_group *group = waiting->group;

	waiting_hold_block(chain, waiting, block);
	full->entry.held = true;
	chain->held += waiting->cost;
	group->held += waiting->cost;
	group->uses++;
	waiting_make_room(chain, group);
	sources_release(group);
	return full->entry.held;
}

/* What is kept beside is on disk, and gives way: it takes nothing from this room. */
size_t chain_room(struct chain *chain, const struct source *source)
{
	const struct source_group *group = sources_find(chain->sources, source->group);
	const size_t group_held = group != NULL ? group->held : 0, group_share = waiting_group_bytes(chain);
	const size_t group_room = group_share > group_held ? group_share - group_held : 0;
	const size_t whole_room = chain->held_max > chain->held ? chain->held_max - chain->held : 0;

	return group_room < whole_room ? group_room : whole_room;
}

/* --- what cannot be verified now --- */

void waiting_put_off(struct chain *chain, struct full_entry *full, const struct errmsg *why)
{
	int64_t pause = WAITING_RETRY_MS;

	if (chain->put_off != full)
		log_error("[chain] block %" PRIu32 " cannot be verified now: %s", full->entry.height, why->text);
	else if (2 * chain->put_off_ms <= WAITING_RETRY_MOST_MS)
		pause = 2 * chain->put_off_ms;
	else
		pause = WAITING_RETRY_MOST_MS;
	chain->put_off = full;
	chain->put_off_why = *why;
	chain->put_off_ms = pause;
	chain->retry_at = clock_mono_ms() + pause;
	full->stuck = true;
}

/* --- who has left --- */

/* A job that runs keeps its block: its end drops it (waiting_prune), and finds group and place as they were. */
void waiting_forget(struct chain *chain, const struct source_group *group, bool discouraged)
{
	for (size_t i = 0; i < chain->waiting_count;) {
		struct waiting_block *waiting = &chain->waiting[i];

		if (waiting->group != group || !waiting->full->entry.held || (waiting->full->in_work && !discouraged)) {
			i++;
			continue;
		}
		if (waiting->full->in_work) {
			waiting->dropped = true;
			i++;
		} else {
			waiting_drop(chain, waiting);
		}
	}
}

void waiting_prune(struct chain *chain)
{
	for (size_t i = 0; i < chain->waiting_count;) {
		struct waiting_block *waiting = &chain->waiting[i];

		if (!waiting->full->in_work && (waiting->dropped || !entry_waits(waiting->full)))
			waiting_drop(chain, waiting);
		else
			i++;
	}
}

void waiting_init(struct chain *chain, size_t held_bytes)
{
	/* One address's share must take any block. */
	const size_t largest_block = chain->spec->block_weight + (size_t)(BLOCK_MAX_LOOSE + 2) * HEADER_SIZE +
		WAITING_OVERHEAD;

	chain->sources = sources_new();
	if (held_bytes == 0)
		held_bytes = WAITING_BYTES > WAITING_SHARE * largest_block ? WAITING_BYTES :
									     WAITING_SHARE * largest_block;
	chain->held_max = held_bytes;
}

void waiting_clear(struct chain *chain)
{
	while (chain->waiting_count > 0)
		waiting_drop(chain, &chain->waiting[chain->waiting_count - 1]);
	while (kept_drop(chain))
		;
	free(chain->waiting);
	chain->waiting = NULL;
}
