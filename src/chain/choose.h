/* Which branch is the active one: of those verified, the one with most work (doc/protocol.md section 15). */
#ifndef ATELIER_CHAIN_CHOOSE_H
#define ATELIER_CHAIN_CHOOSE_H

#include "chain/chain.h"

enum { CHOOSE_REORG_MAX = 100 /* blocks undone without asking (doc/protocol.md section 15) */ };

/* Connects what has most work, then starts what can be verified. */
void choose_advance(struct chain *chain);
/* The same, if somebody has left word (`again` in struct chain) that there may be something to do: what the loop calls
 * when results of jobs have come in. */
void choose_resume(void *chain);

#endif
