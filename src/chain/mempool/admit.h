/* Which transactions enter the mempool: consensus as far as it can be told now, then policy (chain/mempool/policy.h).
 * The way in is chain_add_tx. */
#ifndef ATELIER_CHAIN_MEMPOOL_ADMIT_H
#define ATELIER_CHAIN_MEMPOOL_ADMIT_H

#include "chain/chain.h"

/* After the last step of a switch of branches: what undone blocks held, and what was in the pool, has to enter again.
 */
void admit_new_tip(struct chain *chain);
/* Contributions that waited may enter now: a blob has come. */
void admit_waiting(struct chain *chain);

#endif
