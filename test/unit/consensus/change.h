/* For tests that want another transaction or block than one that is sealed: copies in its place, to be changed and
 * sealed anew. */
#ifndef ATELIER_TEST_CONSENSUS_CHANGE_H
#define ATELIER_TEST_CONSENSUS_CHANGE_H

#include "consensus/block.h"
#include "util/mem.h"

/* An unsealed copy; the caller's reference to the other goes. */
static inline struct tx *change_open(const struct tx *tx)
{
	struct tx *copy = tx_copy(tx);

	tx_unref(tx);
	return copy;
}

/* Puts an unsealed copy in the place of one of the block's transactions. */
static inline struct tx *change_tx(struct block *block, size_t index)
{
	struct tx *copy = change_open(block->txs[index]);

	block->txs[index] = copy;
	return copy;
}

/* Seals those that change_tx left open. */
static inline void change_end(struct block *block)
{
	for (size_t i = 0; i < block->tx_count; i++)
		if (!block->txs[i]->seal.done)
			tx_seal((struct tx *)block->txs[i]);
}

/* An unsealed block of the same parts; the caller's reference to the other goes. */
static inline struct block *change_block(const struct block *block, size_t body_size)
{
	struct block *copy = block_new();

	copy->header = block->header;
	copy->txs = mem_calloc(block->tx_count, sizeof *copy->txs);
	for (copy->tx_count = 0; copy->tx_count < block->tx_count; copy->tx_count++)
		copy->txs[copy->tx_count] = tx_ref(block->txs[copy->tx_count]);
	copy->loose_count = block->loose_count;
	copy->loose = mem_dup(block->loose, block->loose_count * sizeof *block->loose);
	copy->late_count = block->late_count;
	copy->late = mem_dup(block->late, block->late_count * sizeof *block->late);
	copy->bodies = block->bodies != NULL ? mem_calloc(1 + block->loose_count, sizeof *copy->bodies) : NULL;
	for (size_t i = 0; block->bodies != NULL && i <= block->loose_count; i++)
		copy->bodies[i] = mem_dup(block->bodies[i], body_size);
	block_unref(block);
	return copy;
}

#endif
