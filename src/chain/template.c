/* What a miner works on: a block on the tip, all but nonce and digest. */
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/mempool/round_admit.h"
#include "chain/mempool/select.h"
#include "chain/tip.h"
#include "chain/verify/step_inputs.h"
#include "consensus/coinbase.h"
#include "consensus/pace.h"
#include "consensus/reward.h"
#include "util/clock.h"
#include "util/mem.h"

/* The most a coinbase can weigh: everything outside its outputs, what it states of the tip's outcome and merge, an
 * output a proof, slot and seat. Four for each byte, as a coinbase has no witness. */
static size_t template_coinbase_weight(const struct chain *chain, size_t proofs)
{
	struct block_outcome tip_outcome;
	const size_t slots = chain->spec->slots, seats = chain_outcome(chain_tip(chain), &tip_outcome)->merge.seats;

	return 4 * (80 + 64 + 17 * slots + seats + 43 * (1 + proofs + slots + seats));
}

/* As many proofs beside its own as the block's time allows, and a coinbase within its weight can pay. */
static size_t template_most_proofs(const struct chain *chain, const struct block *template_block,
	const struct parent_view *parent_view)
{
	size_t most_proofs = pace_most_proofs(chain->spec, template_block->header.time, parent_view->base_time);

	while (most_proofs > 0 && template_coinbase_weight(chain, most_proofs) > chain->spec->block_weight)
		most_proofs--;
	return most_proofs;
}

static bool template_takes(const struct chain *chain, const struct block *template_block,
	const struct header *candidate)
{
	return candidate->time <= (uint64_t)template_block->header.time + spec_future_limit(chain->spec);
}

/* Candidates are ascending by seed, as a block's loose proofs must be. */
static void template_add_loose(const struct chain *chain, struct block *template_block, size_t most_proofs)
{
	const size_t loose_count = chain_loose_count(chain);

	template_block->loose = mem_calloc(loose_count, sizeof *template_block->loose);
	for (size_t i = 0; i < loose_count && template_block->loose_count < most_proofs; i++) {
		const struct header *candidate = chain_loose_get(chain, i);

		if (template_takes(chain, template_block, candidate))
			template_block->loose[template_block->loose_count++] = *candidate;
	}
}

/* In sixteenths of a loose one's; 0: this block cannot list it. */
static uint32_t template_late_worth(const struct chain *chain, const struct block *template_block,
	const struct header *candidate)
{
	return template_takes(chain, template_block, candidate) ?
		reward_late_sixteenths(chain_tip(chain)->height - chain_find(chain, candidate->prev)->height) :
		0;
}

/* Those of most worth; of equals the oldest, which may be listed no more in the next block. They are listed in the
 * order of the candidates, whichever were chosen. */
static void template_add_late(const struct chain *chain, struct block *template_block, size_t most_proofs)
{
	const size_t late_count = chain_late_count(chain);
	uint32_t *worths = mem_calloc(late_count, sizeof *worths);
	bool *chosen = mem_calloc(late_count, sizeof *chosen);
	size_t room = most_proofs - template_block->loose_count;

	for (size_t i = 0; i < late_count; i++)
		worths[i] = template_late_worth(chain, template_block, chain_late_get(chain, i));
	for (uint32_t worth = REWARD_SIXTEENTHS; worth > 0; worth--)
		for (size_t i = 0; i < late_count && room > 0; i++)
			if (worths[i] == worth) {
				chosen[i] = true;
				room--;
			}
	template_block->late = mem_calloc(late_count, sizeof *template_block->late);
	for (size_t i = 0; i < late_count; i++)
		if (chosen[i])
			template_block->late[template_block->late_count++] = *chain_late_get(chain, i);
	free(worths);
	free(chosen);
}

int64_t chain_clock_lag(const struct chain *chain)
{
	int64_t clock_lag = (int64_t)chain_tip(chain)->header.time - clock_wall() - spec_future_limit(chain->spec);

	return clock_lag > 0 ? clock_lag : 0;
}

/* The clock's, unless a block on the tip must be dated later. */
static uint32_t template_time(const struct chain *chain, const struct parent_view *parent_view)
{
	const uint64_t least_time = pace_least_time(chain->spec, parent_view->height + 1, parent_view->base_time);
	uint64_t block_time = (uint64_t)clock_wall();

	if (block_time <= parent_view->median_time)
		block_time = (uint64_t)parent_view->median_time + 1;
	return (uint32_t)(block_time < least_time ? least_time : block_time);
}

/* Transactions of rounds first, as they have no fee to be chosen by; then what pays best. Returns the fees. */
static int64_t template_add_txs(const struct chain *chain, struct block *template_block, size_t weight_max)
{
	const struct tx **round_txs = mem_calloc(chain->mempool->rounds.held, sizeof *round_txs);
	const size_t round_count = round_admit_select(chain, weight_max, round_txs);
	const struct mempool_tx **selected;
	size_t selected_count;
	int64_t fees = 0;

	for (size_t i = 0; i < round_count; i++)
		weight_max -= tx_weight(round_txs[i]);
	selected = mempool_select(chain->mempool, weight_max, chain->spec->blob_budget, &selected_count);
	template_block->txs = mem_calloc(1 + round_count + selected_count, sizeof *template_block->txs);
	template_block->tx_count = 1;
	for (size_t i = 0; i < round_count; i++)
		template_block->txs[template_block->tx_count++] = tx_ref(round_txs[i]);
	for (size_t i = 0; i < selected_count; i++) {
		template_block->txs[template_block->tx_count++] = tx_ref(selected[i]->entry.tx);
		fees += selected[i]->entry.fee;
	}
	free(selected);
	free(round_txs);
	return fees;
}

/* The coinbase comes last, when it is known what the others
 * pay; room for it was set aside before they were chosen. */
struct block *chain_template(struct chain *chain, const uint8_t miner[32])
{
	const struct index_entry *tip = chain_tip(chain);
	const struct spec *spec = chain->spec;
	struct block *template_block = block_new();
	struct block_outcome tip_outcome;
	struct coinbase_facts template_facts = {
		.height = tip->height + 1,
		.miner = template_block->header.miner,
		.registry = chain->registry,
		.parent = tip->height > 0 ? chain_outcome(tip, &tip_outcome) : NULL,
	};
	struct parent_view parent_view;
	size_t coinbase_room, most_proofs;

	index_parent_view(tip, &parent_view);
	template_block->header.version = HEADER_VERSION;
	memcpy(template_block->header.prev, tip->id, 32);
	memcpy(template_block->header.model_root, tip->model_root_after, 32);
	memcpy(template_block->header.miner, miner, 32);
	template_block->header.bits = target_next_bits(spec, tip->height, tip->header.time);
	template_block->header.time = template_time(chain, &parent_view);
	most_proofs = template_most_proofs(chain, template_block, &parent_view);
	template_add_loose(chain, template_block, most_proofs);
	template_add_late(chain, template_block, most_proofs);
	coinbase_room = template_coinbase_weight(chain, template_block->loose_count + template_block->late_count);
	template_facts.fees = template_add_txs(chain, template_block,
		coinbase_room < spec->block_weight ? spec->block_weight - coinbase_room : 0);
	template_facts.loose = template_block->loose;
	template_facts.loose_count = template_block->loose_count;
	template_facts.late = template_block->late;
	template_facts.late_count = template_block->late_count;
	template_block->txs[0] = coinbase_build(spec, &template_facts);
	block_set_roots(template_block);
	return template_block;
}

/* For the tip's child alone: a miner whose template is old takes a new one. The windows are copied and the caller's:
 * the step runs on a worker, where neither registry nor blobs may be touched. */
uint8_t *chain_attempt_windows(struct chain *chain, const struct header *header, uint32_t *slot, uint32_t *dataset)
{
	const struct index_entry *tip = chain_tip(chain);
	const struct spec *spec = chain->spec;
	uint8_t *attempt_windows;
	struct blob_want missing = { .size = 0 };
	struct step_draw step_draw;

	if (memcmp(header->prev, tip->id, 32) != 0)
		return NULL;
	step_inputs_draw(spec, chain->registry, tip, &step_draw);
	attempt_windows = step_inputs_windows(spec, chain->blobs, &step_draw, header, slot, &missing, NULL);
	*dataset = step_draw.dataset[*slot];
	if (missing.size > 0)
		NOTIFY(&chain->notices, blob_wanted, missing.root, missing.size, 0);
	return attempt_windows;
}
