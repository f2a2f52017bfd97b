/* Blobs of runs: what disclosures show, which the block that merges their round reads, and states after it are replayed
 * from (doc/protocol.md section 20).
 *
 * A block is not verified without those it names, so they were all here once. One of the open round that is lost since
 * then, or damaged, is asked for as soon as that shows, and not only when the merge waits for it: of the peers, and of
 * whoever else hears of it (work/runner.h makes those of this node's own runs again). */
#ifndef ATELIER_CHAIN_MODEL_RUN_BLOBS_H
#define ATELIER_CHAIN_MODEL_RUN_BLOBS_H

#include "chain/verify/wants.h"

/* Whether the tip's branch has a disclosure of this blob in the open round (of size 0: in any size). */
bool run_blobs_need(const struct chain *chain, const uint8_t root[32], uint64_t size);
/* Tells of all that are not here, to one or to all. */
void run_blobs_tell(const struct chain *chain, const struct chain_events *events);
void run_blobs_ask(struct chain *chain);

#endif
