/* The pool itself: four tables of what it holds, families, and what goes when room or time is short. */
#include "chain/mempool/mempool.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/mempool/policy.h"
#include "util/clock.h"
#include "util/mem.h"

struct mempool *mempool_new(size_t bytes_max)
{
	struct mempool *mempool = mem_calloc(1, sizeof *mempool);

	mempool->bytes_max = bytes_max ? bytes_max : MEMPOOL_BYTES;
	map_init(&mempool->by_txid);
	map_init(&mempool->by_wtxid);
	map_init(&mempool->spenders);
	map_init(&mempool->roots);
	places_init(&mempool->places);
	return mempool;
}

void mempool_tx_free(struct mempool_tx *held)
{
	tx_unref(held->entry.tx);
	free(held);
}

void mempool_free(struct mempool *mempool)
{
	const uint8_t *key;
	size_t at = 0;
	void *value;

	if (mempool == NULL)
		return;
	while (map_next(&mempool->by_txid, &at, &key, &value))
		mempool_tx_free(value);
	for (size_t i = 0; i < mempool->returned_count; i++)
		tx_unref(mempool->returned[i]);
	free(mempool->returned);
	map_clear(&mempool->by_txid);
	map_clear(&mempool->by_wtxid);
	map_clear(&mempool->spenders);
	map_clear(&mempool->roots);
	places_clear(&mempool->places);
	free(mempool);
}

/* --- the four tables --- */

/* Invariant: a transaction is in all of the tables or in none; each coin has one spender here, each root one
 * transaction. */
static void index_tx(struct mempool *mempool, struct mempool_tx *held, bool add)
{
	const struct tx *tx = held->entry.tx;
	struct contribution data;
	uint8_t key[32];

	for (size_t i = 0; i < tx->input_count; i++) {
		coin_key(&tx->inputs[i].prev, key);
		if (add)
			map_put(&mempool->spenders, key, held);
		else
			map_remove(&mempool->spenders, key);
	}
	for (size_t i = 0; i < tx->output_count; i++) {
		if (!contribution_parse(&tx->outputs[i].script, &data))
			continue;
		if (add)
			map_put(&mempool->roots, data.root, held);
		else
			map_remove(&mempool->roots, data.root);
	}
	if (add) {
		map_put(&mempool->by_txid, held->entry.txid, held);
		map_put(&mempool->by_wtxid, held->entry.wtxid, held);
		mempool->bytes += held->size;
	} else {
		map_remove(&mempool->by_txid, held->entry.txid);
		map_remove(&mempool->by_wtxid, held->entry.wtxid);
		mempool->bytes -= held->size;
	}
}

void mempool_insert(struct mempool *mempool, struct mempool_tx *held)
{
	held->order = ++mempool->order;
	index_tx(mempool, held, true);
}

struct mempool_tx *mempool_spender(const struct mempool *mempool, const struct outpoint *outpoint)
{
	uint8_t key[32];

	coin_key(outpoint, key);
	return map_get(&mempool->spenders, key);
}

/* --- families --- */

/* Unmarked relatives of one transaction are marked and appended. */
static size_t mark_relatives(const struct mempool *mempool, const struct tx *tx, bool ancestors,
	struct mempool_tx **out, size_t count, size_t max)
{
	size_t links = ancestors ? tx->input_count : tx->output_count;
	struct outpoint outpoint;

	if (!ancestors)
		memcpy(outpoint.txid, tx_txid(tx), 32);
	for (size_t i = 0; i < links && count < max; i++) {
		struct mempool_tx *at;

		outpoint.index = (uint32_t)i;
		at = ancestors ? map_get(&mempool->by_txid, tx->inputs[i].prev.txid) :
				 mempool_spender(mempool, &outpoint);
		if (at == NULL || at->marked)
			continue;
		at->marked = true;
		out[count++] = at;
	}
	return count;
}

/* Breadth first, each once by its mark, however they hang together; the marks are gone again at the end, so no two
 * walks meet. */
size_t mempool_relatives(const struct mempool *mempool, const struct tx *tx, bool ancestors, struct mempool_tx **out,
	size_t max)
{
	size_t count = mark_relatives(mempool, tx, ancestors, out, 0, max);

	for (size_t i = 0; i < count; i++)
		count = mark_relatives(mempool, out[i]->entry.tx, ancestors, out, count, max);
	for (size_t i = 0; i < count; i++)
		out[i]->marked = false;
	return count;
}

/* A reason means that no block holds it: then bytes that only it asked for go too. Out of the tables before anybody is
 * told, who may ask or add at once. */
static void remove_one(struct chain *chain, struct mempool_tx *held, const char *reason)
{
	index_tx(chain->mempool, held, false);
	if (reason != NULL) {
		NOTIFY(&chain->notices, tx_removed, held->entry.tx, reason);
		for (size_t i = 0; i < held->entry.tx->output_count; i++) {
			struct contribution data;
			size_t number;

			if (contribution_parse(&held->entry.tx->outputs[i].script, &data) &&
				registry_find(chain->registry, data.root, &number) == NULL)
				blobs_drop(chain->blobs, data.root);
		}
	}
	mempool_tx_free(held);
}

void mempool_remove(struct chain *chain, struct mempool_tx *held, const char *reason, bool descendants)
{
	struct mempool_tx **out = NULL;
	size_t count = 0;

	if (descendants) {
		/* Limits are looked at when a transaction enters; returned blocks may have made longer chains. */
		size_t max = chain->mempool->by_txid.count;

		out = mem_calloc(max, sizeof *out);
		count = mempool_relatives(chain->mempool, held->entry.tx, false, out, max);
	}
	while (count > 0)
		remove_one(chain, out[--count], reason);
	remove_one(chain, held, reason);
	free(out);
}

/* --- queries --- */

size_t chain_mempool_count(const struct chain *chain)
{
	return chain->mempool->by_txid.count;
}

size_t chain_mempool_bytes(const struct chain *chain)
{
	return chain->mempool->bytes;
}

struct mempool_tx *mempool_find(const struct mempool *mempool, const uint8_t txid[32])
{
	return map_get(&mempool->by_txid, txid);
}

const struct mempool_entry *chain_mempool_find(const struct chain *chain, const uint8_t txid[32])
{
	const struct mempool_tx *held = mempool_find(chain->mempool, txid);

	return held != NULL ? &held->entry : NULL;
}

struct mempool_tx *mempool_find_wtxid(const struct mempool *mempool, const uint8_t wtxid[32])
{
	return map_get(&mempool->by_wtxid, wtxid);
}

const struct mempool_entry *chain_mempool_find_wtxid(const struct chain *chain, const uint8_t wtxid[32])
{
	const struct mempool_tx *held = mempool_find_wtxid(chain->mempool, wtxid);

	return held != NULL ? &held->entry : NULL;
}

const struct mempool_entry *chain_mempool_spender(const struct chain *chain, const struct outpoint *outpoint)
{
	const struct mempool_tx *held = mempool_spender(chain->mempool, outpoint);

	return held != NULL ? &held->entry : NULL;
}

static int compare_order(const void *a, const void *b)
{
	const struct mempool_tx *const *x = a, *const *y = b;

	return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

struct mempool_tx **mempool_list(const struct mempool *mempool, size_t *count)
{
	struct mempool_tx **all = mem_calloc(mempool->by_txid.count, sizeof *all);
	const uint8_t *key;
	size_t at = 0;
	void *value;

	*count = 0;
	while (map_next(&mempool->by_txid, &at, &key, &value))
		all[(*count)++] = value;
	if (*count > 1)
		qsort(all, *count, sizeof *all, compare_order);
	return all;
}

void chain_mempool_each(const struct chain *chain, void (*fn)(void *context, const struct mempool_entry *entry),
	void *context)
{
	size_t count;
	struct mempool_tx **all = mempool_list(chain->mempool, &count);

	for (size_t i = 0; i < count; i++)
		fn(context, &all[i]->entry);
	free(all);
}

struct mempool_tx **mempool_empty(struct mempool *mempool, size_t *count)
{
	struct mempool_tx **all = mempool_list(mempool, count);

	for (size_t i = 0; i < *count; i++)
		index_tx(mempool, all[i], false);
	return all;
}

bool mempool_wants(const struct mempool *mempool, const uint8_t root[32], uint64_t size)
{
	return map_get(&mempool->roots, root) != NULL || places_want(&mempool->places, root, size);
}

/* --- what goes --- */

static int compare_rates(const void *a, const void *b)
{
	const struct mempool_tx *const *x = a, *const *y = b;
	int64_t left = policy_rate((*x)->entry.fee, (*x)->size), right = policy_rate((*y)->entry.fee, (*y)->size);

	return left != right ? (left > right) - (left < right) : compare_order(a, b);
}

/* The cheapest go until a tenth of the room is free, so that a full pool is not sorted for each newcomer. */
void mempool_trim(struct chain *chain)
{
	struct mempool *mempool = chain->mempool;
	const size_t wanted = mempool->bytes_max - mempool->bytes_max / 10;
	struct mempool_tx **all;
	size_t count;

	if (mempool->bytes <= mempool->bytes_max)
		return;
	all = mempool_list(mempool, &count);
	qsort(all, count, sizeof *all, compare_rates);
	/* Ids, since descendants leave with what they spend. */
	uint8_t(*ids)[32] = mem_calloc(count, 32);
	int64_t *rates = mem_calloc(count, sizeof *rates);

	for (size_t i = 0; i < count; i++) {
		memcpy(ids[i], all[i]->entry.txid, 32);
		rates[i] = policy_rate(all[i]->entry.fee, all[i]->size);
	}
	for (size_t i = 0; i < count && mempool->bytes > wanted; i++) {
		struct mempool_tx *held = map_get(&mempool->by_txid, ids[i]);

		if (held == NULL)
			continue;
		/* Who pays no more than what had to go stays out until the next tip: else cheap transactions would take
		 * turns, and be relayed by everybody for nothing. */
		mempool->floor_rate = rates[i];
		mempool_remove(chain, held, "mempool full", true);
	}
	free(ids);
	free(rates);
	free(all);
}

/* Ids first: descendants leave with what they spend, and pointers with them. */
void mempool_expire(struct chain *chain)
{
	const uint64_t now = (uint64_t)clock_wall();
	size_t count;
	struct mempool_tx **all = mempool_list(chain->mempool, &count);
	uint8_t(*ids)[32] = mem_calloc(count, 32);
	size_t old = 0;

	for (size_t i = 0; i < count; i++)
		if (all[i]->entry.time + MEMPOOL_SECONDS < now)
			memcpy(ids[old++], all[i]->entry.txid, 32);
	for (size_t i = 0; i < old; i++) {
		struct mempool_tx *held = map_get(&chain->mempool->by_txid, ids[i]);

		if (held != NULL)
			mempool_remove(chain, held, "expired", true);
	}
	free(ids);
	free(all);
}

/* --- blocks come and go --- */

/* What the block holds leaves without a word; what it makes impossible leaves as a conflict, with all that descends
 * from it. */
void mempool_block_connected(struct chain *chain, const struct block *block)
{
	struct mempool *mempool = chain->mempool;

	for (size_t i = 1; i < block->tx_count; i++) {
		const struct tx *tx = block->txs[i];
		struct mempool_tx *held;

		places_drop_conflicts(&mempool->places, tx);
		held = map_get(&mempool->by_txid, tx_txid(tx));
		if (held != NULL) {
			mempool_remove(chain, held, NULL, false);
			continue;
		}
		for (size_t j = 0; j < tx->input_count; j++)
			if ((held = mempool_spender(mempool, &tx->inputs[j].prev)) != NULL)
				mempool_remove(chain, held, "conflict", true);
		for (size_t j = 0; j < tx->output_count; j++) {
			struct contribution data;

			if (contribution_parse(&tx->outputs[j].script, &data) &&
				(held = map_get(&mempool->roots, data.root)) != NULL)
				mempool_remove(chain, held, "conflict", true);
		}
	}
}

/* Kept until the switch is over: whether they may enter again depends on the new tip. */
void mempool_block_disconnected(struct chain *chain, const struct block *block)
{
	struct mempool *mempool = chain->mempool;
	const size_t more = block->tx_count - 1;

	mempool->undone = true;
	/* Earlier blocks come later and go in front: parents before children. */
	mempool->returned = mem_realloc(mempool->returned,
		(mempool->returned_count + more) * sizeof *mempool->returned);
	memmove(mempool->returned + more, mempool->returned, mempool->returned_count * sizeof *mempool->returned);
	for (size_t i = 0; i < more; i++)
		mempool->returned[i] = tx_ref(block->txs[i + 1]);
	mempool->returned_count += more;
}
