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
	struct block *bare;

	if (block->bodies == NULL)
		return block_ref(block);
	bare = block_new();
	bare->header = block->header;
	bare->txs = mem_calloc(block->tx_count, sizeof *bare->txs);
	for (size_t i = 0; i < block->tx_count; i++)
		bare->txs[i] = tx_ref(block->txs[i]);
	bare->tx_count = block->tx_count;
	bare->loose = mem_dup(block->loose, block->loose_count * sizeof *bare->loose);
	bare->loose_count = block->loose_count;
	return block_seal(bare);
}

static size_t piece_cost(size_t count, size_t size)
{
	return count > 0 ? count * size + KEPT_ALLOCATION : 0;
}

static size_t tx_cost(const struct tx *tx)
{
	size_t cost = piece_cost(1, sizeof *tx) + piece_cost(tx->input_count, sizeof *tx->inputs) +
		piece_cost(tx->output_count, sizeof *tx->outputs);

	for (size_t i = 0; i < tx->input_count; i++) {
		const struct tx_input *input = &tx->inputs[i];

		cost += piece_cost(input->script.size, 1) + piece_cost(input->witness_count, sizeof *input->witness);
		for (size_t j = 0; j < input->witness_count; j++)
			cost += piece_cost(input->witness[j].size, 1);
	}
	for (size_t i = 0; i < tx->output_count; i++)
		cost += piece_cost(tx->outputs[i].script.size, 1);
	return cost;
}

/* One walk over what parsing made, against hashing all of it: nothing beside what the block has cost already. */
size_t kept_cost(const struct block *block)
{
	size_t cost = piece_cost(1, sizeof *block) + piece_cost(block->tx_count, sizeof *block->txs) +
		piece_cost(block->loose_count, sizeof *block->loose) + piece_cost(1 + block->loose_count, 32);

	for (size_t i = 0; i < block->tx_count; i++)
		cost += tx_cost(block->txs[i]);
	return cost;
}

static void remove_kept(struct kept_blocks *kept, size_t i)
{
	kept->bytes -= kept->list[i].cost;
	block_unref(kept->list[i].block);
	memmove(&kept->list[i], &kept->list[i + 1], (--kept->count - i) * sizeof kept->list[0]);
}

bool kept_drop(struct chain *chain)
{
	if (chain->kept.count == 0)
		return false;
	remove_kept(&chain->kept, 0);
	return true;
}

/* From the newest: that is who is asked for. */
static const struct block *find_kept(const struct kept_blocks *kept, const uint8_t id[32])
{
	for (size_t i = kept->count; i-- > 0;)
		if (memcmp(kept->list[i].id, id, 32) == 0)
			return kept->list[i].block;
	return NULL;
}

void kept_put(struct chain *chain, const struct full_entry *full, const struct block *block)
{
	struct kept_blocks *kept = &chain->kept;
	const size_t cost = kept_cost(block), most = chain->held_max / KEPT_SHARE;
	struct kept_block *place;

	if (cost > most || chain->held + cost > chain->held_max || find_kept(kept, full->entry.id) != NULL)
		return;
	/* Held and kept blocks together never take more than there is room for. */
	while (kept->count == KEPT_MAX || kept->bytes + cost > most ||
		chain->held + kept->bytes + cost > chain->held_max)
		kept_drop(chain);
	place = &kept->list[kept->count++];
	*place = (struct kept_block){ .block = kept_bare(block), .cost = cost };
	memcpy(place->id, full->entry.id, 32);
	kept->bytes += cost;
}

/* What was read is kept as well: verification reads it now, and connecting will in a moment. */
const struct block *kept_read(struct chain *chain, const struct full_entry *full, struct errmsg *err)
{
	const struct block *block = find_kept(&chain->kept, full->entry.id);

	if (block != NULL)
		return block_ref(block);
	block = block_records_read(chain->blocks, chain->spec, full, false, err);
	if (block != NULL) {
		chain->counts.read++;
		kept_put(chain, full, block);
	}
	return block;
}
