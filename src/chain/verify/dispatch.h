/* Verification of blocks and loose proofs: which one is handed to the node's queue next (util/queue.h).
 *
 * A block is taken up when its parent is verified and its branch could become the best, by the headers known: branches
 * with less work than the tip cost nothing. Which goes first says chain/verify/schedule.h; each address has one block
 * in work at most, so that no peer fills the workers. What happens to it then: chain/verify/block_job.h. */
#ifndef ATELIER_CHAIN_VERIFY_DISPATCH_H
#define ATELIER_CHAIN_VERIFY_DISPATCH_H

#include "chain/chain.h"

void dispatch_start(struct chain *chain); /* as much as workers may be had for */
void dispatch_cancel_dropped(struct chain *chain);
void dispatch_stop(struct chain *chain); /* cancels all and waits */

#endif
