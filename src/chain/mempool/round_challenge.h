/* Whether a challenge is right: its segment is executed, behind all blocks and proofs (doc/protocol.md section 20).
 *
 * Nothing is executed twice: what is found out of a segment is kept with the audits of disclosed ones
 * (chain/verify/audits.h), and who wants a segment executed must have its code, which is the runner's or somebody's who
 * has executed the run. So strangers cost us no more than all segments of disclosed runs, and the same one once. */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_CHALLENGE_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_CHALLENGE_H

#include "chain/mempool/round_pool.h"

enum round_challenge_verdict {
	ROUND_CHALLENGE_RIGHT, /* the segment is false */
	ROUND_CHALLENGE_FALSE,
	ROUND_CHALLENGE_UNKNOWN, /* bytes or the base's state are not to be had */
};

/* Told on the loop, unless the chain is closing. */
typedef void round_challenge_told(struct chain *chain, const uint8_t txid[32], const struct round_terms *terms,
	enum round_challenge_verdict verdict);

/* Of one whose bytes are the code that was disclosed a digest of. It may be told at once. */
void round_challenge_begin(struct chain *chain, const struct round_entry *entry, round_challenge_told *told);
void round_challenge_stop(struct chain *chain); /* cancels, and waits */

#endif
