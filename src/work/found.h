/* A block that this node's miner has found, and that no clock takes yet: its time, the least there is for a block on
 * that parent, is still too far ahead (doc/protocol.md section 8, pace). It is kept until it is due. Mining goes on
 * meanwhile: of several on one parent that with the lowest ticket is kept, since of tips that are all dated as early as
 * may be the lowest ticket wins. In memory alone: lost with the process. */
#ifndef ATELIER_WORK_FOUND_H
#define ATELIER_WORK_FOUND_H

#include "chain/chain.h"

struct found_block {
	struct block *block; /* complete and not sealed; NULL: there is none */
	uint8_t *body;
	uint8_t ticket[32];
};

/* Whether a block of that time must be kept for now. */
bool found_is_early(const struct chain *chain, const struct header *header);

/* Takes block and body, keeps what is better, and returns what is not, if there is any: a proof of the caller's that
 * others can list. */
struct found_block found_keep(struct found_block *found, struct block *block, uint8_t *body);
void found_drop(struct found_block *found);

/* What cannot win any more, likewise. */
struct found_block found_let_go(struct found_block *found, const struct chain *chain);
/* Whether it is due; then it is the caller's to hand in. */
bool found_is_due(const struct found_block *found, const struct chain *chain);

#endif
