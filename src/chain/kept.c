/* A short list, oldest first. */
#include "chain/kept.h"

#include <string.h>

#include "chain/block_records.h"
#include "chain/internal.h"
#include "util/mem.h"

enum {
	KEPT_SHARE = 4,      /* a quarter of the room */
	KEPT_ALLOCATION = 16 /* what the allocator adds to each piece */
};

/* Bodies are what a block is large by, and whoever needs them reads them from disk. */
const struct block *kept_bare(const struct block *block)
{
	struct block *bare_block;

	if (block->bodies == NULL)
		return block_ref(block);
	bare_block = block_new();
	bare_block->header = block->header;
	bare_block->txs = mem_calloc(block->tx_count, sizeof *bare_block->txs);
	for (size_t i = 0; i < block->tx_count; i++)
		bare_block->txs[i] = tx_ref(block->txs[i]);
	bare_block->tx_count = block->tx_count;
	bare_block->loose = mem_dup(block->loose, block->loose_count * sizeof *bare_block->loose);
	bare_block->loose_count = block->loose_count;
	bare_block->late = mem_dup(block->late, block->late_count * sizeof *bare_block->late);
	bare_block->late_count = block->late_count;
	return block_seal(bare_block);
}

static size_t kept_piece_cost(size_t pieces, size_t piece_size)
{
	return pieces > 0 ? pieces * piece_size + KEPT_ALLOCATION : 0;
}

static size_t kept_tx_cost(const struct tx *tx)
{
	size_t tx_bytes = kept_piece_cost(1, sizeof *tx) + kept_piece_cost(tx->input_count, sizeof *tx->inputs) +
		kept_piece_cost(tx->output_count, sizeof *tx->outputs);

	for (size_t i = 0; i < tx->input_count; i++) {
		const struct tx_input *tx_input = &tx->inputs[i];

		tx_bytes += kept_piece_cost(tx_input->script.size, 1) +
			kept_piece_cost(tx_input->witness_count, sizeof *tx_input->witness);
		for (size_t j = 0; j < tx_input->witness_count; j++)
			tx_bytes += kept_piece_cost(tx_input->witness[j].size, 1);
	}
	for (size_t i = 0; i < tx->output_count; i++)
		tx_bytes += kept_piece_cost(tx->outputs[i].script.size, 1);
	return tx_bytes;
}

/* One walk over what parsing made, against hashing all of it: nothing beside what the block has cost already. */
size_t kept_cost(const struct block *block)
{
	size_t block_cost = kept_piece_cost(1, sizeof *block) + kept_piece_cost(block->tx_count, sizeof *block->txs) +
		kept_piece_cost(block->loose_count, sizeof *block->loose) +
		kept_piece_cost(block->late_count, sizeof *block->late) + kept_piece_cost(block_proof_count(block), 32);

	for (size_t i = 0; i < block->tx_count; i++)
		block_cost += kept_tx_cost(block->txs[i]);
	return block_cost;
}

static void kept_remove(struct kept_blocks *kept, size_t i)
{
	kept->bytes -= kept->list[i].cost;
	block_unref(kept->list[i].block);
	memmove(&kept->list[i], &kept->list[i + 1], (--kept->count - i) * sizeof kept->list[0]);
}

bool kept_drop(struct chain *chain)
{
	if (chain->kept.count == 0)
		return false;
	kept_remove(&chain->kept, 0);
	return true;
}

/* From the newest: that is who is asked for. */
static const struct block *kept_find(const struct kept_blocks *kept, const uint8_t id[32])
{
	for (size_t i = kept->count; i-- > 0;)
		if (memcmp(kept->list[i].id, id, 32) == 0)
			return kept->list[i].block;
	return NULL;
}

void kept_put(struct chain *chain, const struct full_entry *full, const struct block *block)
{
	struct kept_blocks *kept = &chain->kept;
	const size_t kept_bytes = kept_cost(block), kept_most = chain->held_max / KEPT_SHARE;
	struct kept_block *kept_place;

	if (kept_bytes > kept_most || chain->held + kept_bytes > chain->held_max ||
		kept_find(kept, full->entry.id) != NULL)
		return;
	/* Held and kept blocks together never take more than there is room for. */
	while (kept->count == KEPT_MAX || kept->bytes + kept_bytes > kept_most ||
		chain->held + kept->bytes + kept_bytes > chain->held_max)
		kept_drop(chain);
	kept_place = &kept->list[kept->count++];
	*kept_place = (struct kept_block){ .block = kept_bare(block), .cost = kept_bytes };
	memcpy(kept_place->id, full->entry.id, 32);
	kept->bytes += kept_bytes;
}

/* What was read is kept as well: verification reads it now, and connecting will in a moment. */
const struct block *kept_read(struct chain *chain, const struct full_entry *full, struct errmsg *err)
{
	const struct block *kept_block = kept_find(&chain->kept, full->entry.id);

	if (kept_block != NULL)
		return block_ref(kept_block);
	kept_block = block_records_read(chain->blocks, chain->spec, full, false, err);
	if (kept_block != NULL) {
		chain->counts.read++;
		kept_put(chain, full, kept_block);
	}
	return kept_block;
}
