/* Which transactions of the mempool go into a block. */
#ifndef ATELIER_CHAIN_MEMPOOL_SELECT_H
#define ATELIER_CHAIN_MEMPOOL_SELECT_H

#include "chain/mempool/mempool.h"

/* Transactions for a block, parents first, best payers first, within weight, blob budget and number of commitments;
 * borrowed pointers, the array is the caller's. */
const struct mempool_tx **mempool_select(const struct mempool *mempool, size_t weight_max, uint64_t blob_budget,
	size_t *selected_count);

#endif
