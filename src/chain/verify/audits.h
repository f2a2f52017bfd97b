/* What was found out about disclosed segments of runs, and finding it out ahead of time (doc/protocol.md section 20).
 *
 * The block that merges a round needs a verdict on each seat that was disclosed. As soon as a disclosure is on the
 * active chain its segment is executed here, one at a time on one thread, behind all blocks and proofs: so that block
 * finds the verdicts made. One that is not made by then is made with the block.
 *
 * A round's segments are hours of work where the model is large. So a verdict is in the database too, until its round's
 * merge lies so deep that no other branch comes to it without the operator's word. A power failure may take the last
 * ones, which are made again. Of the open round's the next process reads the blobs, as what was damaged meanwhile can
 * still be asked for. */
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
/* The same, for this process and those after it: of a run from the base at that height. */
void audits_keep(struct chain *chain, uint32_t base, const uint8_t key[32], enum audits_verdict verdict);
/* Remembers those of the database. False: it cannot be read, or is damaged. */
bool audits_load(struct chain *chain, struct errmsg *err);

/* There is a new tip: the state of its round's base is kept, and the next segment is begun. */
void audits_new_tip(struct chain *chain);
void audits_stop(struct chain *chain); /* cancels, and waits */

#endif
