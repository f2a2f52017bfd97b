/* The choice goes by what a transaction and its unconfirmed ancestors pay together. */
#include "chain/mempool/select.h"

#include <stdlib.h>
#include <string.h>

#include "chain/mempool/policy.h"
#include "consensus/payload/contribution.h"
#include "util/mem.h"

/* A transaction with its unconfirmed ancestors: what they pay together decides. */
struct candidate {
	const struct mempool_tx *held;
	int64_t rate;
};

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->rate != y->rate)
		return x->rate > y->rate ? -1 : 1;
	return (x->held->order > y->held->order) - (x->held->order < y->held->order);
}

struct selection {
	const struct mempool *mempool;
	uint64_t blob_budget;
	const struct mempool_tx **txs;
	size_t count, weight, weight_max;
	uint64_t registered;
	struct map taken; /* by txid */
};

static int compare_orders(const void *a, const void *b)
{
	const struct mempool_tx *const *x = a, *const *y = b;

	return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

static uint64_t registered_by(const struct tx *tx)
{
	uint64_t registered = 0;

	for (size_t i = 0; i < tx->output_count; i++) {
		struct contribution data;

		if (contribution_parse(&tx->outputs[i].script, &data))
			registered += data.size;
	}
	return registered;
}

/* Takes the transaction and those of its ancestors that are not in yet, if all of them fit. In the order of entry,
 * which has parents before children, as a block needs it. */
static void take_family(struct selection *selection, const struct mempool_tx *held, struct mempool_tx **family)
{
	const struct mempool *mempool = selection->mempool;
	size_t count, kept = 0, weight = 0;
	uint64_t registered = 0;

	if (map_get(&selection->taken, held->entry.txid) != NULL)
		return;
	count = mempool_relatives(mempool, held->entry.tx, true, family, mempool->by_txid.count);
	family[count++] = map_get(&mempool->by_txid, held->entry.txid);
	for (size_t i = 0; i < count; i++) {
		if (map_get(&selection->taken, family[i]->entry.txid) != NULL)
			continue;
		weight += family[i]->entry.weight;
		registered += registered_by(family[i]->entry.tx);
		family[kept++] = family[i];
	}
	if (selection->weight + weight > selection->weight_max ||
		selection->registered + registered > selection->blob_budget)
		return;
	qsort(family, kept, sizeof *family, compare_orders);
	for (size_t i = 0; i < kept; i++) {
		selection->txs[selection->count++] = family[i];
		map_put(&selection->taken, family[i]->entry.txid, family[i]);
	}
	selection->weight += weight;
	selection->registered += registered;
}

/* By the rate of a whole family: a child that pays much brings its parents in. That is judged once, before any is
 * taken: a family that shares members with one taken before pays a little more than is thought, which costs nothing
 * but order. */
const struct mempool_tx **mempool_select(const struct mempool *mempool, size_t weight_max, uint64_t blob_budget,
	size_t *count)
{
	struct selection selection = { .mempool = mempool, .weight_max = weight_max, .blob_budget = blob_budget };
	struct mempool_tx **all = mempool_list(mempool, count);
	struct mempool_tx **family = mem_calloc(*count + 1, sizeof *family);
	struct candidate *candidates = mem_calloc(*count, sizeof *candidates);

	selection.txs = mem_calloc(*count, sizeof *selection.txs);
	map_init(&selection.taken);
	for (size_t i = 0; i < *count; i++) {
		size_t relatives = mempool_relatives(mempool, all[i]->entry.tx, true, family, *count);
		int64_t fee = all[i]->entry.fee;
		size_t size = all[i]->size;

		for (size_t j = 0; j < relatives; j++) {
			fee += family[j]->entry.fee;
			size += family[j]->size;
		}
		candidates[i] = (struct candidate){ all[i], policy_rate(fee, size) };
	}
	if (*count > 1)
		qsort(candidates, *count, sizeof *candidates, compare_candidates);
	for (size_t i = 0; i < *count; i++)
		take_family(&selection, candidates[i].held, family);
	*count = selection.count;
	map_clear(&selection.taken);
	free(candidates);
	free(family);
	free(all);
	return selection.txs;
}
