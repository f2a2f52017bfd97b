/* Blocks that wait for their verdict, and what they wait for.
 *
 * A stranger's block costs him nothing until its own proof has been executed. Until then it is held here in memory,
 * within bounds for all and for each address; when room is short, what is furthest from being executed goes first
 * (chain/verify/schedule.h) and is asked for again later. With its own proof right it goes to disk. */
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "util/clock.h"
#include "util/mem.h"

enum {
	HELD_BYTES = 64 << 20,
	HELD_SHARE = 4,       /* of it at most a quarter for one address */
	HELD_OVERHEAD = 4096, /* what a held block costs beside its bytes, rounded up: small ones are bounded too */
};

/* --- blobs --- */

bool blob_is_here(const struct chain *chain, const struct blob_want *want)
{
	return blobs_size(chain->blobs, want->root) == want->size;
}

static size_t block_wants(const struct block *block, struct blob_want **wants)
{
	size_t count = 0;

	*wants = NULL;
	for (size_t i = 1; i < block->tx_count; i++) {
		for (size_t j = 0; j < block->txs[i]->output_count; j++) {
			struct contribution data;

			if (contribution_parse(&block->txs[i]->outputs[j].script, &data) != CONTRIBUTION_DATA)
				continue;
			*wants = mem_realloc(*wants, (count + 1) * sizeof **wants);
			memcpy((*wants)[count].root, data.root, 32);
			(*wants)[count++].size = data.size;
		}
	}
	return count;
}

/* The first of the blobs it needs for its next job. */
static size_t first_want(const struct waiting_block *waiting)
{
	return waiting->node->proven ? 0 : waiting->registered_count;
}

bool waiting_has_blobs(const struct chain *chain, const struct waiting_block *waiting)
{
	for (size_t i = first_want(waiting); i < waiting->want_count; i++)
		if (!blob_is_here(chain, &waiting->wants[i]))
			return false;
	return true;
}

/* From a copy: whoever is told may bring a blob or a block at once, and the list changes. */
void waiting_ask(struct chain *chain, const struct waiting_block *waiting)
{
	const size_t first = first_want(waiting), count = waiting->want_count - first;
	const uint64_t peer = waiting->node->source.peer;
	struct blob_want *wants;

	if (count == 0)
		return;
	wants = mem_dup(waiting->wants + first, count * sizeof *wants);
	for (size_t i = 0; i < count; i++)
		if (!blob_is_here(chain, &wants[i]))
			NOTIFY(chain, blob_wanted, wants[i].root, wants[i].size, peer);
	free(wants);
}

void waiting_tell_wants(const struct chain *chain, const struct chain_events *events)
{
	for (size_t i = 0; events->blob_wanted != NULL && i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];

		for (size_t j = first_want(waiting); j < waiting->want_count; j++)
			if (!blob_is_here(chain, &waiting->wants[j]))
				events->blob_wanted(events->context, waiting->wants[j].root, waiting->wants[j].size,
					waiting->node->source.peer);
	}
}

void waiting_ask_again(struct chain *chain)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		waiting_ask(chain, &chain->waiting[i]);
}

void waiting_want(struct waiting_block *waiting, const struct blob_want *missing)
{
	waiting->wants = mem_realloc(waiting->wants, (waiting->want_count + 1) * sizeof *waiting->wants);
	waiting->wants[waiting->want_count++] = *missing;
}

bool waiting_wants(const struct chain *chain, const struct blob_want *want)
{
	for (size_t i = 0; i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];

		for (size_t j = first_want(waiting); j < waiting->want_count; j++)
			if (memcmp(waiting->wants[j].root, want->root, 32) == 0 && waiting->wants[j].size == want->size)
				return true;
	}
	return false;
}

/* --- the list --- */

struct waiting_block *waiting_find(const struct chain *chain, const struct node *node)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		if (chain->waiting[i].node == node)
			return &chain->waiting[i];
	return NULL;
}

static struct waiting_block *add(struct chain *chain, struct node *node, const struct block *block,
	const struct source *source)
{
	struct waiting_block *waiting;

	if (chain->waiting_count == chain->waiting_cap) {
		chain->waiting_cap = chain->waiting_cap ? chain->waiting_cap * 2 : 16;
		chain->waiting = mem_realloc(chain->waiting, chain->waiting_cap * sizeof *chain->waiting);
	}
	waiting = &chain->waiting[chain->waiting_count++];
	memset(waiting, 0, sizeof *waiting);
	waiting->node = node;
	waiting->group = sources_take(chain->sources, source);
	waiting->order = ++chain->waiting_order;
	waiting->want_count = waiting->registered_count = block_wants(block, &waiting->wants);
	node->source = source != NULL ? *source : (struct source){ 0 };
	return waiting;
}

static size_t held_size(const struct waiting_block *waiting)
{
	return waiting->bytes.size + HELD_OVERHEAD;
}

static void let_go(struct chain *chain, struct waiting_block *waiting)
{
	if (!waiting->node->entry.held)
		return;
	chain->held -= held_size(waiting);
	waiting->group->held -= held_size(waiting);
	waiting->node->entry.held = false;
	buf_clear(&waiting->bytes);
}

void waiting_drop(struct chain *chain, struct waiting_block *waiting)
{
	let_go(chain, waiting);
	sources_release(waiting->group);
	free(waiting->wants);
	*waiting = chain->waiting[--chain->waiting_count];
}

static void settle_blobs(const struct chain *chain, const struct waiting_block *waiting)
{
	for (size_t i = 0; i < waiting->want_count; i++)
		blobs_settle(chain->blobs, waiting->wants[i].root);
}

void waiting_add(struct chain *chain, struct node *node, const struct block *block)
{
	settle_blobs(chain, add(chain, node, block, NULL));
}

bool waiting_store(struct chain *chain, struct node *node, const struct block *block, struct errmsg *err)
{
	struct waiting_block *waiting = waiting_find(chain, node);
	struct db_batch *batch = db_batch_new();
	bool ok = block_records_append_block(chain->blocks, chain->spec, node, block, err);

	if (ok) {
		if (waiting != NULL)
			let_go(chain, waiting);
		index_set_status(&chain->index, node, ENTRY_STORED);
		index_save(batch, node);
		ok = db_write(chain->db, batch, false, err);
	}
	db_batch_free(batch);
	if (ok && waiting != NULL)
		settle_blobs(chain, waiting);
	return ok;
}

struct block *waiting_read(const struct chain *chain, const struct waiting_block *waiting, struct errmsg *err)
{
	struct reader reader;
	struct reject reject;
	struct block *block;

	if (!waiting->node->entry.held)
		return block_records_read(chain->blocks, chain->spec, waiting->node, false, err);
	reader_init(&reader, waiting->bytes.data, waiting->bytes.size);
	block = block_read(chain->spec, &reader, &reject);
	if (block == NULL)
		errmsg_set(err, "%s: %s", reject.reason, reject.detail);
	return block;
}

/* --- room --- */

static struct lodger lodger_of(const struct waiting_block *waiting, int64_t now)
{
	return (struct lodger){
		.standing = sources_standing(waiting->group, now),
		.held = waiting->group->held,
		.ready = entry_verified(waiting->node->entry.parent),
		.height = waiting->node->entry.height,
		.order = waiting->order,
	};
}

/* Whoever must make room first: of this group, or (NULL) of all. */
static struct waiting_block *worst(struct chain *chain, const struct group *group, int64_t now)
{
	struct waiting_block *found = NULL;
	struct lodger found_lodger;

	for (size_t i = 0; i < chain->waiting_count; i++) {
		struct waiting_block *waiting = &chain->waiting[i];
		struct lodger lodger;

		if (!waiting->node->entry.held || waiting->node->in_work || (group != NULL && waiting->group != group))
			continue;
		lodger = lodger_of(waiting, now);
		if (found != NULL && !schedule_evict_before(&lodger, &found_lodger))
			continue;
		found = waiting;
		found_lodger = lodger;
	}
	return found;
}

static size_t group_bytes(const struct chain *chain)
{
	return chain->held_max / HELD_SHARE;
}

/* The new one is among those that may have to go, so this comes to an end. */
static void make_room(struct chain *chain, const struct group *group)
{
	const int64_t now = clock_wall();

	while (group->held > group_bytes(chain))
		waiting_drop(chain, worst(chain, group, now));
	while (chain->held > chain->held_max)
		waiting_drop(chain, worst(chain, NULL, now));
}

bool waiting_hold(struct chain *chain, struct node *node, const struct block *block, const struct source *source)
{
	struct waiting_block *waiting = add(chain, node, block, source);
	struct group *group = waiting->group;

	buf_init(&waiting->bytes);
	block_write(&waiting->bytes, chain->spec, block, false);
	node->entry.held = true;
	chain->held += held_size(waiting);
	group->held += held_size(waiting);
	group->uses++;
	make_room(chain, group);
	sources_release(group);
	return node->entry.held;
}

size_t chain_room(struct chain *chain, const struct source *source)
{
	const struct group *group = sources_find(chain->sources, source->group);
	const size_t held = group != NULL ? group->held : 0, share = group_bytes(chain);
	const size_t own = share > held ? share - held : 0;
	const size_t all = chain->held_max > chain->held ? chain->held_max - chain->held : 0;

	return own < all ? own : all;
}

/* --- who has left --- */

void waiting_forget(struct chain *chain, const struct group *group, bool discouraged)
{
	for (size_t i = 0; i < chain->waiting_count;) {
		struct waiting_block *waiting = &chain->waiting[i];

		if (waiting->group != group || !waiting->node->entry.held || (waiting->node->in_work && !discouraged)) {
			i++;
			continue;
		}
		if (waiting->node->in_work) {
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

		if (!waiting->node->in_work && (waiting->dropped || !node_waits(waiting->node)))
			waiting_drop(chain, waiting);
		else
			i++;
	}
}

void waiting_init(struct chain *chain, size_t held_bytes)
{
	/* One address's share must take any block. */
	const size_t largest = chain->spec->block_weight + (size_t)(BLOCK_MAX_LOOSE + 2) * HEADER_SIZE + HELD_OVERHEAD;

	chain->sources = sources_new();
	if (held_bytes == 0)
		held_bytes = HELD_BYTES > HELD_SHARE * largest ? HELD_BYTES : HELD_SHARE * largest;
	chain->held_max = held_bytes;
}

void waiting_clear(struct chain *chain)
{
	while (chain->waiting_count > 0)
		waiting_drop(chain, &chain->waiting[chain->waiting_count - 1]);
	free(chain->waiting);
	chain->waiting = NULL;
	sources_free(chain->sources);
	chain->sources = NULL;
}
