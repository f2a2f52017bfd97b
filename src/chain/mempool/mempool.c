/* The pool itself: four tables of what it holds, families, and what goes when room or time is short. */
#include "chain/mempool/mempool.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/mempool/policy.h"
#include "chain/mempool/round_admit.h"
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
	pending_init(&mempool->pending);
	round_pool_init(&mempool->rounds);
	return mempool;
}

void mempool_tx_free(struct mempool_tx *pool_tx)
{
	tx_unref(pool_tx->entry.tx);
	free(pool_tx);
}

void mempool_free(struct mempool *mempool)
{
	const uint8_t *pool_txid;
	size_t pool_at = 0;
	void *pool_item;

	if (mempool == NULL)
		return;
	while (map_next(&mempool->by_txid, &pool_at, &pool_txid, &pool_item))
		mempool_tx_free(pool_item);
	for (size_t i = 0; i < mempool->returned_count; i++)
		tx_unref(mempool->returned[i]);
	free(mempool->returned);
	map_clear(&mempool->by_txid);
	map_clear(&mempool->by_wtxid);
	map_clear(&mempool->spenders);
	map_clear(&mempool->roots);
	places_clear(&mempool->places);
	pending_clear(&mempool->pending);
	round_pool_clear(&mempool->rounds);
	free(mempool);
}

/* --- the four tables --- */

/* Invariant: a transaction is in all of the tables or in none; each coin has one spender here, each root one
 * transaction. (While one is pushed out by another, the root is the other's already.) */
static void mempool_index_tx(struct mempool *mempool, struct mempool_tx *pool_tx, bool add)
{
	const struct tx *indexed = pool_tx->entry.tx;
	struct contribution contribution;
	uint8_t spender_key[32];

	for (size_t i = 0; i < indexed->input_count; i++) {
		coin_key(&indexed->inputs[i].prev, spender_key);
		if (add)
			map_put(&mempool->spenders, spender_key, pool_tx);
		else
			map_remove(&mempool->spenders, spender_key);
	}
	for (size_t i = 0; i < indexed->output_count; i++) {
		if (!contribution_parse(&indexed->outputs[i].script, &contribution))
			continue;
		if (add)
			map_put(&mempool->roots, contribution.root, pool_tx);
		else if (map_get(&mempool->roots, contribution.root) == pool_tx)
			map_remove(&mempool->roots, contribution.root);
	}
	if (add) {
		map_put(&mempool->by_txid, pool_tx->entry.txid, pool_tx);
		map_put(&mempool->by_wtxid, pool_tx->entry.wtxid, pool_tx);
		mempool->bytes += pool_tx->size;
		pending_add(&mempool->pending, &pool_tx->share);
	} else {
		map_remove(&mempool->by_txid, pool_tx->entry.txid);
		map_remove(&mempool->by_wtxid, pool_tx->entry.wtxid);
		mempool->bytes -= pool_tx->size;
		pending_remove(&mempool->pending, &pool_tx->share);
	}
}

void mempool_insert(struct mempool *mempool, struct mempool_tx *pool_tx)
{
	pool_tx->order = ++mempool->order;
	mempool_index_tx(mempool, pool_tx, true);
}

struct mempool_tx *mempool_spender(const struct mempool *mempool, const struct outpoint *outpoint)
{
	uint8_t spender_key[32];

	coin_key(outpoint, spender_key);
	return map_get(&mempool->spenders, spender_key);
}

/* --- families --- */

/* Unmarked relatives of one transaction are marked and appended. */
static size_t mempool_mark_relatives(const struct mempool *mempool, const struct tx *tx, bool ancestors,
	struct mempool_tx **relatives, size_t relative_count, size_t relatives_max)
{
	size_t link_count = ancestors ? tx->input_count : tx->output_count;
	struct outpoint child_link;

	if (!ancestors)
		memcpy(child_link.txid, tx_txid(tx), 32);
	for (size_t i = 0; i < link_count && relative_count < relatives_max; i++) {
		struct mempool_tx *relative;

		child_link.index = (uint32_t)i;
		relative = ancestors ? map_get(&mempool->by_txid, tx->inputs[i].prev.txid) :
				       mempool_spender(mempool, &child_link);
		if (relative == NULL || relative->marked)
			continue;
		relative->marked = true;
		relatives[relative_count++] = relative;
	}
	return relative_count;
}

/* Breadth first, each once by its mark, however they hang together; the marks are gone again at the end, so no two
 * walks meet. */
size_t mempool_relatives(const struct mempool *mempool, const struct tx *tx, bool ancestors,
	struct mempool_tx **relatives, size_t relatives_max)
{
	size_t relative_count = mempool_mark_relatives(mempool, tx, ancestors, relatives, 0, relatives_max);

	for (size_t i = 0; i < relative_count; i++)
		relative_count = mempool_mark_relatives(mempool, relatives[i]->entry.tx, ancestors, relatives,
			relative_count, relatives_max);
	for (size_t i = 0; i < relative_count; i++)
		relatives[i]->marked = false;
	return relative_count;
}

/* A reason means that no block holds it: then bytes that only it asked for go too. Out of the tables before anybody is
 * told, who may ask or add at once. */
static void mempool_remove_one(struct chain *chain, struct mempool_tx *pool_tx, const char *reason)
{
	mempool_index_tx(chain->mempool, pool_tx, false);
	if (reason != NULL) {
		NOTIFY(&chain->notices, tx_removed, pool_tx->entry.tx, reason);
		places_release_blobs(chain, pool_tx->entry.tx);
	}
	mempool_tx_free(pool_tx);
}

void mempool_remove(struct chain *chain, struct mempool_tx *pool_tx, const char *reason, bool descendants)
{
	struct mempool_tx **family = NULL;
	size_t family_count = 0;

	if (descendants) {
		/* Limits are looked at when a transaction enters; returned blocks may have made longer chains. */
		size_t family_max = chain->mempool->by_txid.count;

		family = mem_calloc(family_max, sizeof *family);
		family_count = mempool_relatives(chain->mempool, pool_tx->entry.tx, false, family, family_max);
	}
	while (family_count > 0)
		mempool_remove_one(chain, family[--family_count], reason);
	mempool_remove_one(chain, pool_tx, reason);
	free(family);
}

/* The roots are the newcomer's before the others go: so the bytes stay, and so does it, which is no relative of theirs.
 * By id, since one may go as another's descendant. */
void mempool_displace(struct chain *chain, struct mempool_tx *pool_tx)
{
	const struct tx *newcomer = pool_tx->entry.tx;
	uint8_t(*displaced_txids)[32] = mem_calloc(newcomer->output_count, 32);
	size_t displaced_count = 0;

	for (size_t i = 0; i < newcomer->output_count; i++) {
		const struct mempool_tx *displaced = NULL;
		struct contribution contribution;

		if (contribution_parse(&newcomer->outputs[i].script, &contribution))
			displaced = map_get(&chain->mempool->roots, contribution.root);
		if (displaced != NULL)
			memcpy(displaced_txids[displaced_count++], displaced->entry.txid, 32);
	}
	mempool_insert(chain->mempool, pool_tx);
	for (size_t i = 0; i < displaced_count; i++) {
		struct mempool_tx *displaced = mempool_find(chain->mempool, displaced_txids[i]);

		if (displaced != NULL)
			mempool_remove(chain, displaced, "conflict", true);
	}
	free(displaced_txids);
}

/* --- queries --- */

size_t chain_mempool_count(const struct chain *chain)
{
	return chain->mempool->by_txid.count + chain->mempool->rounds.held;
}

size_t chain_mempool_bytes(const struct chain *chain)
{
	const struct round_pool *rounds = &chain->mempool->rounds;
	size_t bytes = chain->mempool->bytes;

	for (size_t i = 0; i < rounds->count; i++)
		if (rounds->entries[i]->stage == ROUND_HELD)
			bytes += (rounds->entries[i]->entry.weight + 3) / 4;
	return bytes;
}

struct mempool_tx *mempool_find(const struct mempool *mempool, const uint8_t txid[32])
{
	return map_get(&mempool->by_txid, txid);
}

static const struct mempool_entry *mempool_find_round(const struct mempool *mempool, const uint8_t txid[32])
{
	const struct round_entry *round_entry = round_pool_find(&mempool->rounds, txid);

	return round_entry != NULL && round_entry->stage == ROUND_HELD ? &round_entry->entry : NULL;
}

const struct mempool_entry *chain_mempool_find(const struct chain *chain, const uint8_t txid[32])
{
	const struct mempool_tx *pool_tx = mempool_find(chain->mempool, txid);

	return pool_tx != NULL ? &pool_tx->entry : mempool_find_round(chain->mempool, txid);
}

struct mempool_tx *mempool_find_wtxid(const struct mempool *mempool, const uint8_t wtxid[32])
{
	return map_get(&mempool->by_wtxid, wtxid);
}

const struct mempool_entry *chain_mempool_find_wtxid(const struct chain *chain, const uint8_t wtxid[32])
{
	const struct mempool_tx *pool_tx = mempool_find_wtxid(chain->mempool, wtxid);

	/* Those of rounds have no witness, so one id. */
	return pool_tx != NULL ? &pool_tx->entry : mempool_find_round(chain->mempool, wtxid);
}

const struct mempool_entry *chain_mempool_spender(const struct chain *chain, const struct outpoint *outpoint)
{
	const struct mempool_tx *pool_tx = mempool_spender(chain->mempool, outpoint);

	return pool_tx != NULL ? &pool_tx->entry : NULL;
}

static int mempool_compare_order(const void *left, const void *right)
{
	const struct mempool_tx *const *pool_tx = left, *const *other_tx = right;

	return ((*pool_tx)->order > (*other_tx)->order) - ((*pool_tx)->order < (*other_tx)->order);
}

struct mempool_tx **mempool_list(const struct mempool *mempool, size_t *pool_count)
{
	struct mempool_tx **pool_txs = mem_calloc(mempool->by_txid.count, sizeof *pool_txs);
	const uint8_t *pool_txid;
	size_t pool_at = 0;
	void *pool_item;

	*pool_count = 0;
	while (map_next(&mempool->by_txid, &pool_at, &pool_txid, &pool_item))
		pool_txs[(*pool_count)++] = pool_item;
	if (*pool_count > 1)
		qsort(pool_txs, *pool_count, sizeof *pool_txs, mempool_compare_order);
	return pool_txs;
}

void chain_mempool_each(const struct chain *chain, void (*visit)(void *context, const struct mempool_entry *entry),
	void *context)
{
	size_t pool_count;
	struct mempool_tx **pool_txs = mempool_list(chain->mempool, &pool_count);

	for (size_t i = 0; i < pool_count; i++)
		visit(context, &pool_txs[i]->entry);
	for (size_t i = 0; i < chain->mempool->rounds.count; i++)
		if (chain->mempool->rounds.entries[i]->stage == ROUND_HELD)
			visit(context, &chain->mempool->rounds.entries[i]->entry);
	free(pool_txs);
}

struct mempool_tx **mempool_empty(struct mempool *mempool, size_t *pool_count)
{
	struct mempool_tx **pool_txs = mempool_list(mempool, pool_count);

	for (size_t i = 0; i < *pool_count; i++)
		mempool_index_tx(mempool, pool_txs[i], false);
	return pool_txs;
}

bool mempool_wants(const struct mempool *mempool, const uint8_t root[32], uint64_t size)
{
	return map_get(&mempool->roots, root) != NULL || places_want(&mempool->places, root, size);
}

/* --- what goes --- */

static int mempool_compare_rates(const void *left, const void *right)
{
	const struct mempool_tx *const *pool_tx = left, *const *other_tx = right;
	int64_t left_rate = policy_rate((*pool_tx)->entry.fee, (*pool_tx)->size),
		right_rate = policy_rate((*other_tx)->entry.fee, (*other_tx)->size);

	return left_rate != right_rate ? (left_rate > right_rate) - (left_rate < right_rate) :
					 mempool_compare_order(left, right);
}

/* The cheapest go until a tenth of the room is free, so that a full pool is not sorted for each newcomer. */
void mempool_trim(struct chain *chain)
{
	struct mempool *mempool = chain->mempool;
	const size_t bytes_wanted = mempool->bytes_max - mempool->bytes_max / 10;
	struct mempool_tx **pool_txs;
	size_t pool_count;

	if (mempool->bytes <= mempool->bytes_max)
		return;
	pool_txs = mempool_list(mempool, &pool_count);
	qsort(pool_txs, pool_count, sizeof *pool_txs, mempool_compare_rates);
	/* Ids, since descendants leave with what they spend. */
	uint8_t(*pool_txids)[32] = mem_calloc(pool_count, 32);
	int64_t *pool_rates = mem_calloc(pool_count, sizeof *pool_rates);

	for (size_t i = 0; i < pool_count; i++) {
		memcpy(pool_txids[i], pool_txs[i]->entry.txid, 32);
		pool_rates[i] = policy_rate(pool_txs[i]->entry.fee, pool_txs[i]->size);
	}
	for (size_t i = 0; i < pool_count && mempool->bytes > bytes_wanted; i++) {
		struct mempool_tx *pool_tx = map_get(&mempool->by_txid, pool_txids[i]);

		if (pool_tx == NULL)
			continue;
		/* Who pays no more than what had to go stays out until the next tip: else cheap transactions would take
		 * turns, and be relayed by everybody for nothing. */
		mempool->floor_rate = pool_rates[i];
		mempool_remove(chain, pool_tx, "mempool full", true);
	}
	free(pool_txids);
	free(pool_rates);
	free(pool_txs);
}

/* Removes those that leave for this reason. Ids first: descendants leave with what they spend, and pointers with them.
 */
static void mempool_remove_those(struct chain *chain,
	bool (*leaves)(const struct chain *chain, const struct mempool_tx *pool_tx), const char *reason)
{
	size_t pool_count;
	struct mempool_tx **pool_txs = mempool_list(chain->mempool, &pool_count);
	uint8_t(*leaving_txids)[32] = mem_calloc(pool_count, 32);
	size_t leaving_count = 0;

	for (size_t i = 0; i < pool_count; i++)
		if (leaves(chain, pool_txs[i]))
			memcpy(leaving_txids[leaving_count++], pool_txs[i]->entry.txid, 32);
	for (size_t i = 0; i < leaving_count; i++) {
		struct mempool_tx *pool_tx = map_get(&chain->mempool->by_txid, leaving_txids[i]);

		if (pool_tx != NULL)
			mempool_remove(chain, pool_tx, reason, true);
	}
	free(leaving_txids);
	free(pool_txs);
}

static bool mempool_is_expired(const struct chain *chain, const struct mempool_tx *pool_tx)
{
	(void)chain;
	return pool_tx->entry.time + POLICY_SECONDS < (uint64_t)clock_wall();
}

void mempool_expire(struct chain *chain)
{
	mempool_remove_those(chain, mempool_is_expired, "expired");
}

static bool mempool_is_cheap_data(const struct chain *chain, const struct mempool_tx *pool_tx)
{
	return !registry_check_burn(chain->registry, pool_tx->entry.tx, FEES_WINDOW, NULL);
}

/* A block has registered the root, or may have done so too long ago for an earlier commitment; or the commitment is too
 * old. */
static bool mempool_is_vain_data(const struct chain *chain, const struct mempool_tx *pool_tx)
{
	return !registry_check_tx(chain->registry, pool_tx->entry.tx, NULL);
}

/* Consensus, and not what a newcomer is asked for: that was more, so that it may wait for some blocks. */
void mempool_drop_data(struct chain *chain)
{
	if (chain->mempool->roots.count == 0)
		return;
	mempool_remove_those(chain, mempool_is_cheap_data, "bad-contrib-burn");
	mempool_remove_those(chain, mempool_is_vain_data, "conflict");
}

/* --- blocks come and go --- */

/* What the block holds leaves without a word; what it makes impossible leaves as a conflict, with all that descends
 * from it. What it registers is looked at when the tip is reached (admit_new_tip). */
void mempool_block_connected(struct chain *chain, const struct block *block)
{
	struct mempool *mempool = chain->mempool;

	for (size_t i = 1; i < block->tx_count; i++) {
		const struct tx *confirmed_tx = block->txs[i];
		struct mempool_tx *pool_tx;

		if (round_tx_is_on(chain->spec, confirmed_tx)) {
			round_admit_confirmed(chain, confirmed_tx);
			continue;
		}
		places_drop_conflicts(chain, confirmed_tx);
		pool_tx = map_get(&mempool->by_txid, tx_txid(confirmed_tx));
		if (pool_tx != NULL) {
			mempool_remove(chain, pool_tx, NULL, false);
			continue;
		}
		for (size_t j = 0; j < confirmed_tx->input_count; j++)
			if ((pool_tx = mempool_spender(mempool, &confirmed_tx->inputs[j].prev)) != NULL)
				mempool_remove(chain, pool_tx, "conflict", true);
	}
}

/* Kept until the switch is over: whether they may enter again depends on the new tip. */
void mempool_block_disconnected(struct chain *chain, const struct block *block)
{
	struct mempool *mempool = chain->mempool;
	const size_t undone_count = block->tx_count - 1;

	mempool->undone = true;
	/* Earlier blocks come later and go in front: parents before children. */
	mempool->returned = mem_realloc(mempool->returned,
		(mempool->returned_count + undone_count) * sizeof *mempool->returned);
	memmove(mempool->returned + undone_count, mempool->returned,
		mempool->returned_count * sizeof *mempool->returned);
	for (size_t i = 0; i < undone_count; i++)
		mempool->returned[i] = tx_ref(block->txs[i + 1]);
	mempool->returned_count += undone_count;
}
