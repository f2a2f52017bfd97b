/* What was found out about disclosed segments of runs, and finding it out ahead of time (doc/protocol.md section 20).
 *
 * The block that merges a round needs a verdict on each seat that was disclosed. As soon as a disclosure is on the
 * active chain its segment is executed here, one at a time on one thread, behind all blocks and proofs: so that block
 * finds the verdicts made. One that is not made by then, or is lost with the process, is made with the block. */
#ifndef ATELIER_CHAIN_VERIFY_AUDITS_H
#define ATELIER_CHAIN_VERIFY_AUDITS_H

#include "chain/chain.h"

enum audits_verdict { AUDITS_UNKNOWN, AUDITS_TRUE, AUDITS_FALSE };

struct audits;

struct audits *audits_new(void);
void audits_free(struct audits *audits);

/* By content: the seed of the segment commits to the base with its state and datasets, to the seat and the number; the
 * root of the disclosure's blob to what the segment starts from and what it is said to give. */
void audits_key(const uint8_t segment_seed[32], const uint8_t blob_root[32], uint8_t key[32]);
enum audits_verdict audits_verdict(const struct audits *audits, const uint8_t key[32]);
/* Remembers one; the oldest of many makes room. */
void audits_put(struct audits *audits, const uint8_t key[32], enum audits_verdict verdict);

/* There is a new tip: the state of its round's base is kept, and the next segment is begun. */
void audits_new_tip(struct chain *chain);
void audits_stop(struct chain *chain); /* cancels, and waits */

#endif
