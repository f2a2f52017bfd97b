/* The tables of round transactions: places, turns, and who gives them up. */
#include "chain/mempool/round_pool.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/mem.h"

enum {
	ROUND_TURN_MS = 60000, /* and one for each so many bytes: */
	ROUND_TURN_BYTES = 64,
};

void round_pool_init(struct round_pool *pool)
{
	memset(pool, 0, sizeof *pool);
	pool->at_once = ROUND_POOL_AT_ONCE;
	map_init(&pool->by_txid);
}

void round_pool_entry_free(struct round_entry *entry)
{
	tx_unref(entry->entry.tx);
	free(entry);
}

void round_pool_clear(struct round_pool *pool)
{
	for (size_t i = 0; i < pool->count; i++)
		round_pool_entry_free(pool->entries[i]);
	free(pool->entries);
	map_clear(&pool->by_txid);
}

/* --- looking up --- */

static bool round_pool_is_of(const struct round_entry *entry, const struct round_tx *round_tx)
{
	return entry->round_tx.kind == round_tx->kind && entry->round_tx.height == round_tx->height;
}

static bool round_pool_same_group(const struct round_entry *entry, const struct source *source)
{
	return memcmp(entry->source.group, source->group, SOURCE_GROUP) == 0;
}

struct round_entry *round_pool_find(const struct round_pool *pool, const uint8_t txid[32])
{
	return map_get(&pool->by_txid, txid);
}

struct round_entry *round_pool_holder(const struct round_pool *pool, const struct round_tx *round_tx)
{
	for (size_t i = 0; i < pool->count; i++)
		if (pool->entries[i]->stage == ROUND_HELD && round_pool_is_of(pool->entries[i], round_tx))
			return pool->entries[i];
	return NULL;
}

bool round_pool_is_waiting(const struct round_pool *pool, const struct round_tx *round_tx, const struct source *source)
{
	for (size_t i = 0; i < pool->count; i++) {
		const struct round_entry *waiting = pool->entries[i];

		if (waiting->stage != ROUND_HELD && round_pool_is_of(waiting, round_tx) &&
			round_pool_same_group(waiting, source))
			return true;
	}
	return false;
}

bool round_pool_wants(const struct round_pool *pool, const uint8_t root[32])
{
	for (size_t i = 0; i < pool->count; i++) {
		const struct round_entry *wanting = pool->entries[i];

		if (wanting->stage >= ROUND_ASKED && wanting->round_tx.kind != ROUND_COMMIT &&
			memcmp(wanting->round_tx.root, root, 32) == 0)
			return true;
	}
	return false;
}

/* --- places --- */

struct round_entry *round_pool_put(struct round_pool *pool, const struct tx *tx, const struct round_tx *round_tx,
	const struct source *source)
{
	struct round_entry *entry = mem_calloc(1, sizeof *entry);

	entry->entry = (struct mempool_entry){
		.tx = tx_ref(tx),
		.weight = tx_weight(tx),
		.time = (uint64_t)clock_wall(),
	};
	memcpy(entry->entry.txid, tx_txid(tx), 32);
	memcpy(entry->entry.wtxid, tx_wtxid(tx), 32);
	entry->round_tx = *round_tx;
	entry->source = *source;
	if (pool->count == pool->cap) {
		pool->cap = pool->cap ? 2 * pool->cap : 16;
		pool->entries = mem_realloc(pool->entries, pool->cap * sizeof *pool->entries);
	}
	pool->entries[pool->count++] = entry;
	map_put(&pool->by_txid, entry->entry.txid, entry);
	return entry;
}

static void round_pool_unlist(struct round_pool *pool, const struct round_entry *entry)
{
	size_t i = 0;

	while (pool->entries[i] != entry)
		i++;
	memmove(&pool->entries[i], &pool->entries[i + 1], (--pool->count - i) * sizeof pool->entries[0]);
}

void round_pool_take(struct round_pool *pool, struct round_entry *entry)
{
	round_pool_unlist(pool, entry);
	map_remove(&pool->by_txid, entry->entry.txid);
	pool->held -= entry->stage == ROUND_HELD;
}

void round_pool_hold(struct round_pool *pool, struct round_entry *entry)
{
	entry->stage = ROUND_HELD;
	pool->held++;
}

/* Those of one group that wait; if `eldest` is not NULL, the first of them as well. */
static size_t round_pool_places_of(const struct round_pool *pool, const struct source *source,
	struct round_entry **eldest)
{
	size_t group_places = 0;

	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *waiting = pool->entries[i];

		if (waiting->stage == ROUND_HELD || !round_pool_same_group(waiting, source))
			continue;
		if (group_places++ == 0 && eldest != NULL)
			*eldest = waiting;
	}
	return group_places;
}

bool round_pool_has_place(const struct round_pool *pool, const struct source *source, struct round_entry **loser)
{
	size_t most_places;

	*loser = NULL;
	if (source->peer == 0 || pool->count - pool->held < ROUND_POOL_WAITING)
		return true;
	most_places = round_pool_places_of(pool, source, NULL);
	for (size_t i = 0; i < pool->count; i++) {
		const struct round_entry *waiting = pool->entries[i];
		struct round_entry *eldest = NULL;
		size_t group_places;

		if (waiting->stage == ROUND_HELD || waiting->source.peer == 0)
			continue;
		group_places = round_pool_places_of(pool, &waiting->source, &eldest);
		if (group_places > most_places) {
			most_places = group_places;
			*loser = eldest;
		}
	}
	return *loser != NULL;
}

/* --- turns --- */

/* Turns under way: of this group, or of all (NULL). This node's own are nobody's. */
static size_t round_pool_turns_of(const struct round_pool *pool, const struct source *source)
{
	size_t turns = 0;

	for (size_t i = 0; i < pool->count; i++) {
		const struct round_entry *asked = pool->entries[i];

		turns += (asked->stage == ROUND_ASKED || asked->stage == ROUND_HERE) && asked->source.peer != 0 &&
			(source == NULL || round_pool_same_group(asked, source));
	}
	return turns;
}

/* Its place in line is behind those of all who stand in it now. */
static void round_pool_end_turn(struct round_pool *pool, struct round_entry *asked)
{
	asked->stage = ROUND_LINE;
	round_pool_unlist(pool, asked);
	pool->entries[pool->count++] = asked;
}

/* Of those that have lasted too long. */
static void round_pool_end_turns(struct round_pool *pool, size_t blob_size, int64_t now)
{
	const int64_t longest = ROUND_TURN_MS + (int64_t)(blob_size / ROUND_TURN_BYTES);
	size_t left = pool->count;

	for (size_t i = 0; left > 0; left--) {
		struct round_entry *asked = pool->entries[i];

		if (asked->stage != ROUND_ASKED || asked->source.peer == 0 || now - asked->asked <= longest) {
			i++;
			continue;
		}
		round_pool_end_turn(pool, asked);
	}
}

void round_pool_asked(struct round_pool *pool, const uint8_t root[32], int64_t now)
{
	for (size_t i = 0; i < pool->count; i++)
		if (pool->entries[i]->stage == ROUND_ASKED && memcmp(pool->entries[i]->round_tx.root, root, 32) == 0)
			pool->entries[i]->asked = now;
}

bool round_pool_pass_turn(struct round_pool *pool, const uint8_t root[32], const struct source *source)
{
	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *asked = pool->entries[i];

		if (asked->stage != ROUND_ASKED || asked->source.peer != source->peer ||
			memcmp(asked->round_tx.root, root, 32) != 0)
			continue;
		round_pool_end_turn(pool, asked);
		return true;
	}
	return false;
}

static bool round_pool_has_line(const struct round_pool *pool)
{
	for (size_t i = 0; i < pool->count; i++)
		if (pool->entries[i]->stage == ROUND_LINE)
			return true;
	return false;
}

struct round_entry *round_pool_next_turn(struct round_pool *pool, size_t blob_size, int64_t now)
{
	size_t all_turns;

	if (!round_pool_has_line(pool))
		return NULL;
	round_pool_end_turns(pool, blob_size, now);
	all_turns = round_pool_turns_of(pool, NULL);
	for (size_t i = 0; i < pool->count; i++) {
		struct round_entry *next = pool->entries[i];

		if (next->stage != ROUND_LINE ||
			(next->source.peer != 0 &&
				(all_turns >= ROUND_POOL_TURNS ||
					round_pool_turns_of(pool, &next->source) >= ROUND_POOL_GROUP_TURNS)))
			continue;
		next->stage = ROUND_ASKED;
		next->asked = now;
		return next;
	}
	return NULL;
}

/* --- offenders --- */

/* The entry of that round; one of no faults, in the place of the eldest, if there is none. */
static struct round_offender *round_pool_offender(struct round_pool *pool, const struct source *source,
	const uint8_t base_id[32])
{
	struct round_offender *offender;

	for (size_t i = 0; i < pool->offender_count && i < ROUND_POOL_OFFENDERS; i++)
		if (memcmp(pool->offenders[i].group, source->group, SOURCE_GROUP) == 0 &&
			memcmp(pool->offenders[i].base_id, base_id, 32) == 0)
			return &pool->offenders[i];
	offender = &pool->offenders[pool->offender_count++ % ROUND_POOL_OFFENDERS];
	memset(offender, 0, sizeof *offender);
	memcpy(offender->group, source->group, SOURCE_GROUP);
	memcpy(offender->base_id, base_id, 32);
	return offender;
}

void round_pool_note_offender(struct round_pool *pool, const struct source *source, const uint8_t base_id[32],
	int64_t until)
{
	struct round_offender *offender = round_pool_offender(pool, source, base_id);

	offender->is_silenced = true;
	if (until > offender->until)
		offender->until = until;
}

void round_pool_note_fault(struct round_pool *pool, const struct source *source, const uint8_t base_id[32],
	uint32_t allowed)
{
	struct round_offender *offender = round_pool_offender(pool, source, base_id);

	if (++offender->faults > allowed)
		offender->is_silenced = true;
}

bool round_pool_is_offender(const struct round_pool *pool, const struct source *source, const uint8_t base_id[32],
	int64_t now)
{
	for (size_t i = 0; i < pool->offender_count && i < ROUND_POOL_OFFENDERS; i++)
		if (memcmp(pool->offenders[i].group, source->group, SOURCE_GROUP) == 0 &&
			pool->offenders[i].is_silenced &&
			(memcmp(pool->offenders[i].base_id, base_id, 32) == 0 || now < pool->offenders[i].until))
			return true;
	return false;
}
