/* When a round transaction may be in a block (doc/protocol.md section 20), by heights alone.
 *
 * Each kind has a window of blocks. Whoever sends one at the first moment may be ahead of us: what comes a little early
 * waits, since peers send it once. */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_POLICY_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_POLICY_H

#include "consensus/payload/round_tx.h"
#include "consensus/spec.h"

enum { ROUND_POLICY_LAG = 6 }; /* blocks that its sender may be ahead of us */

enum round_when {
	ROUND_WHEN_NOW,   /* the next block may have it, as far as heights go */
	ROUND_WHEN_SOON,  /* one of the next few may */
	ROUND_WHEN_NOT,   /* not for a while */
	ROUND_WHEN_NEVER, /* no block on this tip */
};

/* The base of the seat that the block at this height has: the next multiple of round_blocks. */
uint64_t round_policy_base(const struct spec *spec, uint32_t seat_height);
enum round_when round_policy_when(const struct spec *spec, uint32_t next_height, const struct round_tx *round_tx);

#endif
