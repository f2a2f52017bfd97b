/* The choice goes by what a transaction and its unconfirmed ancestors pay together. */
#include "chain/mempool/select.h"

#include <stdlib.h>
#include <string.h>

#include "chain/mempool/policy.h"
#include "consensus/payload/commitment.h"
#include "util/mem.h"

/* A transaction with its unconfirmed ancestors: what they pay together decides. */
struct select_candidate {
	const struct mempool_tx *held;
	int64_t rate;
};

static int select_compare_candidates(const void *left, const void *right)
{
	const struct select_candidate *candidate = left, *other = right;

	if (candidate->rate != other->rate)
		return candidate->rate > other->rate ? -1 : 1;
	return (candidate->held->order > other->held->order) - (candidate->held->order < other->held->order);
}

struct selection {
	const struct mempool *mempool;
	uint64_t blob_budget;
	const struct mempool_tx **txs;
	size_t count, weight, weight_max;
	uint64_t registered;
	size_t committed; /* commitments */
	struct map taken; /* by txid */
};

static int select_compare_orders(const void *left, const void *right)
{
	const struct mempool_tx *const *selected = left, *const *other = right;

	return ((*selected)->order > (*other)->order) - ((*selected)->order < (*other)->order);
}

static size_t select_commitments(const struct tx *tx)
{
	size_t commitments = 0;
	uint8_t hash[32];

	for (size_t i = 0; i < tx->output_count; i++)
		commitments += commitment_parse(&tx->outputs[i].script, hash);
	return commitments;
}

/* Takes the transaction and those of its ancestors that are not in yet, if all of them fit. In the order of entry,
 * which has parents before children, as a block needs it. */
static void select_family(struct selection *selection, const struct mempool_tx *child, struct mempool_tx **family)
{
	const struct mempool *mempool = selection->mempool;
	size_t relatives, family_count = 0, family_weight = 0, family_commitments = 0;
	uint64_t family_bytes = 0;

	if (map_get(&selection->taken, child->entry.txid) != NULL)
		return;
	relatives = mempool_relatives(mempool, child->entry.tx, true, family, mempool->by_txid.count);
	family[relatives++] = map_get(&mempool->by_txid, child->entry.txid);
	for (size_t i = 0; i < relatives; i++) {
		if (map_get(&selection->taken, family[i]->entry.txid) != NULL)
			continue;
		family_weight += family[i]->entry.weight;
		family_bytes += contribution_bytes(family[i]->entry.tx);
		family_commitments += select_commitments(family[i]->entry.tx);
		family[family_count++] = family[i];
	}
	if (selection->weight + family_weight > selection->weight_max ||
		selection->registered + family_bytes > selection->blob_budget ||
		selection->committed + family_commitments > COMMITMENT_BLOCK_MAX)
		return;
	qsort(family, family_count, sizeof *family, select_compare_orders);
	for (size_t i = 0; i < family_count; i++) {
		selection->txs[selection->count++] = family[i];
		map_put(&selection->taken, family[i]->entry.txid, family[i]);
	}
	selection->weight += family_weight;
	selection->registered += family_bytes;
	selection->committed += family_commitments;
}

/* By the rate of a whole family: a child that pays much brings its parents in. That is judged once, before any is
 * taken: a family that shares members with one taken before pays a little more than is thought, which costs nothing
 * but order. */
const struct mempool_tx **mempool_select(const struct mempool *mempool, size_t weight_max, uint64_t blob_budget,
	size_t *selected_count)
{
	struct selection selection = { .mempool = mempool, .weight_max = weight_max, .blob_budget = blob_budget };
	struct mempool_tx **pool_txs = mempool_list(mempool, selected_count);
	struct mempool_tx **family = mem_calloc(*selected_count + 1, sizeof *family);
	struct select_candidate *candidates = mem_calloc(*selected_count, sizeof *candidates);

	selection.txs = mem_calloc(*selected_count, sizeof *selection.txs);
	map_init(&selection.taken);
	for (size_t i = 0; i < *selected_count; i++) {
		size_t ancestor_count = mempool_relatives(mempool, pool_txs[i]->entry.tx, true, family,
			*selected_count);
		int64_t family_fee = pool_txs[i]->entry.fee;
		size_t family_size = pool_txs[i]->size;

		for (size_t j = 0; j < ancestor_count; j++) {
			family_fee += family[j]->entry.fee;
			family_size += family[j]->size;
		}
		candidates[i] = (struct select_candidate){ pool_txs[i], policy_rate(family_fee, family_size) };
	}
	if (*selected_count > 1)
		qsort(candidates, *selected_count, sizeof *candidates, select_compare_candidates);
	for (size_t i = 0; i < *selected_count; i++)
		select_family(&selection, candidates[i].held, family);
	*selected_count = selection.count;
	map_clear(&selection.taken);
	free(candidates);
	free(family);
	free(pool_txs);
	return selection.txs;
}
