/* What a simulation came to: who was paid, by the node's own rewards, and what the chain looks like. */
#ifndef ATELIER_ECONOMY_ACCOUNT_H
#define ATELIER_ECONOMY_ACCOUNT_H

#include "network.h"

struct account {
	double revenue[WORLD_MINERS]; /* shares of all that miners were paid */
	double paid;                  /* to all, of the compute part of the subsidy there was */
	double coins;                 /* minted at most: the whole subsidy of all blocks */
	double power[WORLD_MINERS];   /* shares of all steps */
	double steps;                 /* of all */
	uint32_t height;
	double stale;              /* share of the blocks shown that are not in the chain */
	double late;               /* share of the proofs paid that were late */
	double proofs;             /* paid in a block, its own among them */
	uint32_t dated[2];         /* most blocks dated within one spacing, within two */
	uint32_t deepest;          /* reorganisation of an honest node */
	double reorganisations[4]; /* a block: of depth 1, 2, 3, more; the mean of the honest */
	uint32_t tips, split;      /* of honest nodes at the end; how deep they part */
	double interval;           /* mean seconds between blocks */
	double longest;            /* ... and the most */
	double first_share;        /* of the blocks, of the first miner */
};

/* Of the blocks above height `from`. */
void account_make(struct account *a, const struct network *n, uint32_t from);

/* Blocks of the chain dated from `from` to before `to`, in seconds since genesis. */
uint32_t account_count(const struct network *n, double from, double to);

#endif
