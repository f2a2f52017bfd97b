/* What a miner works on: a block on the tip, all but nonce and digest. */
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "consensus/reward.h"
#include "util/clock.h"
#include "util/mem.h"

/* --- which transactions --- */

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
	const struct chain *chain;
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

		if (contribution_parse(&tx->outputs[i].script, &data) == CONTRIBUTION_DATA)
			registered += data.size;
	}
	return registered;
}

/* Takes the transaction and those of its ancestors that are not in yet, if all of them fit. */
static void take(struct selection *selection, const struct mempool_tx *held, struct mempool_tx **family)
{
	const struct mempool *mempool = selection->chain->mempool;
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
		selection->registered + registered > selection->chain->spec->blob_budget)
		return;
	qsort(family, kept, sizeof *family, compare_orders);
	for (size_t i = 0; i < kept; i++) {
		selection->txs[selection->count++] = family[i];
		map_put(&selection->taken, family[i]->entry.txid, family[i]);
	}
	selection->weight += weight;
	selection->registered += registered;
}

const struct mempool_tx **mempool_select(const struct chain *chain, size_t weight_max, size_t *count)
{
	struct selection selection = { .chain = chain, .weight_max = weight_max };
	struct mempool_tx **all = mempool_list(chain->mempool, count);
	struct mempool_tx **family = mem_calloc(*count + 1, sizeof *family);
	struct candidate *candidates = mem_calloc(*count, sizeof *candidates);

	selection.txs = mem_calloc(*count, sizeof *selection.txs);
	map_init(&selection.taken);
	for (size_t i = 0; i < *count; i++) {
		size_t relatives = mempool_relatives(chain->mempool, all[i]->entry.tx, true, family, *count);
		int64_t fee = all[i]->entry.fee;
		size_t size = all[i]->size;

		for (size_t j = 0; j < relatives; j++) {
			fee += family[j]->entry.fee;
			size += family[j]->size;
		}
		candidates[i] = (struct candidate){ all[i], mempool_tx_rate(fee, size) };
	}
	if (*count > 1)
		qsort(candidates, *count, sizeof *candidates, compare_candidates);
	for (size_t i = 0; i < *count; i++)
		take(&selection, candidates[i].held, family);
	*count = selection.count;
	map_clear(&selection.taken);
	free(candidates);
	free(family);
	free(all);
	return selection.txs;
}

/* --- the block around them --- */

/* The most a coinbase can weigh: everything outside its outputs, the outcome's statement, an output a proof
 * and slot. */
static size_t coinbase_weight(const struct spec *spec, size_t loose)
{
	return 4 * (80 + 64 + 9 * (size_t)spec->slots + 43 * (1 + loose + spec->slots));
}

/* As many as a coinbase within the block's weight can pay. */
static void add_loose(const struct chain *chain, struct block *block)
{
	const uint64_t latest = (uint64_t)block->header.time + spec_future_limit(chain->spec);
	const size_t count = chain_loose_count(chain);

	block->loose = mem_calloc(count, sizeof *block->loose);
	for (size_t i = 0; i < count; i++) {
		const struct header *loose = chain_loose_get(chain, i);

		if (loose->time <= latest &&
			coinbase_weight(chain->spec, block->loose_count + 1) <= chain->spec->block_weight)
			block->loose[block->loose_count++] = *loose;
	}
}

int64_t chain_clock_lag(const struct chain *chain)
{
	int64_t lag = (int64_t)chain_tip(chain)->median_time + 1 - clock_wall() - spec_future_limit(chain->spec);

	return lag > 0 ? lag : 0;
}

struct block *chain_template(struct chain *chain, const uint8_t miner[32])
{
	const struct index_entry *tip = chain_tip(chain);
	const struct spec *spec = chain->spec;
	struct block *block = block_new();
	struct coinbase_facts facts = {
		.height = tip->height + 1,
		.miner = block->header.miner,
		.registry = chain->registry,
		.parent = tip->height > 0 ? &tip->outcome : NULL,
	};
	const struct mempool_tx **selected;
	int64_t now = clock_wall();
	size_t count, coinbase;

	block->header.version = HEADER_VERSION;
	memcpy(block->header.prev, tip->id, 32);
	memcpy(block->header.model_root, tip->model_root_after, 32);
	memcpy(block->header.miner, miner, 32);
	block->header.bits = target_next_bits(spec, tip->height, tip->header.time);
	block->header.time = now > (int64_t)tip->median_time ? (uint32_t)now : tip->median_time + 1;
	add_loose(chain, block);
	coinbase = coinbase_weight(spec, block->loose_count);
	selected = mempool_select(chain, coinbase < spec->block_weight ? spec->block_weight - coinbase : 0, &count);
	block->txs = mem_calloc(count + 1, sizeof *block->txs);
	for (size_t i = 0; i < count; i++) {
		block->txs[i + 1] = tx_copy(selected[i]->entry.tx);
		facts.fees += selected[i]->entry.fee;
	}
	free(selected);
	block->tx_count = count + 1;
	facts.loose = block->loose;
	facts.loose_count = block->loose_count;
	block->txs[0] = coinbase_build(spec, &facts);
	block_tx_root(block, block->header.tx_root);
	block_proofs_root(block, block->header.proofs_root);
	return block;
}

uint8_t *chain_attempt_windows(struct chain *chain, const struct header *header, uint32_t *slot, uint32_t *dataset)
{
	const struct index_entry *tip = chain_tip(chain);
	uint8_t *windows;
	struct draw draw;

	if (memcmp(header->prev, tip->id, 32) != 0)
		return NULL;
	step_inputs_draw(chain, chain->registry, tip, &draw);
	windows = step_inputs_windows(chain, &draw, header, slot, NULL, NULL);
	if (windows != NULL)
		*dataset = draw.dataset[*slot];
	return windows;
}
