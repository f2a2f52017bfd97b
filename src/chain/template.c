/* What a miner works on: a block on the tip, all but nonce and digest. */
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/mempool/select.h"
#include "chain/tip.h"
#include "chain/verify/step_inputs.h"
#include "consensus/coinbase.h"
#include "util/clock.h"
#include "util/mem.h"

/* The most a coinbase can weigh: everything outside its outputs, the outcome's statement, an output a proof and slot.
 * Four for each byte, as a coinbase has no witness. */
static size_t coinbase_weight(const struct spec *spec, size_t loose)
{
	return 4 * (80 + 64 + 9 * (size_t)spec->slots + 43 * (1 + loose + spec->slots));
}

/* As many as a coinbase within the block's weight can pay. */
static void add_loose(const struct chain *chain, struct block *block)
{
	const uint64_t latest = (uint64_t)block->header.time + spec_future_limit(chain->spec);
	const size_t count = chain_loose_count(chain);

	/* The pool is ascending by seed, as a block's loose proofs must be. */
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

/* Its time is the clock's, unless that is behind the median. The coinbase comes last, when it is known what the others
 * pay; room for it was set aside before they were chosen. */
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
	selected = mempool_select(chain->mempool, coinbase < spec->block_weight ? spec->block_weight - coinbase : 0,
		spec->blob_budget, &count);
	block->txs = mem_calloc(count + 1, sizeof *block->txs);
	for (size_t i = 0; i < count; i++) {
		block->txs[i + 1] = tx_ref(selected[i]->entry.tx);
		facts.fees += selected[i]->entry.fee;
	}
	free(selected);
	block->tx_count = count + 1;
	facts.loose = block->loose;
	facts.loose_count = block->loose_count;
	block->txs[0] = coinbase_build(spec, &facts);
	block_set_roots(block);
	return block;
}

/* For the tip's child alone: a miner whose template is old takes a new one. The windows are copied and the caller's:
 * the step runs on a worker, where neither registry nor blobs may be touched. */
uint8_t *chain_attempt_windows(struct chain *chain, const struct header *header, uint32_t *slot, uint32_t *dataset)
{
	const struct index_entry *tip = chain_tip(chain);
	const struct spec *spec = chain->spec;
	uint8_t *windows;
	struct step_draw step_draw;

	if (memcmp(header->prev, tip->id, 32) != 0)
		return NULL;
	step_inputs_draw(spec, chain->registry, tip, &step_draw);
	windows = step_inputs_windows(spec, chain->blobs, &step_draw, header, slot, NULL, NULL);
	if (windows != NULL)
		*dataset = step_draw.dataset[*slot];
	return windows;
}
