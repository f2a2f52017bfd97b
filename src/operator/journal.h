/* The journal: what an operator reads in the log while the node does what it should.
 *
 *     block 123 1a2b...: loss 2.345678, 3 proofs, datasets 0 1, paid 50.00000000 to miners and 7.50000000 to data, 1.2
 * s
 *
 *     block 144 merges the runs of 24 seats: 20 merged, 1 left out, 1 struck, 2 empty
 *
 *     syncing: block 1234 of 5000 (24 %), about 12 minutes left
 *
 *     height 123, 4 peers, 2 transactions and 1 proof wait, mining 0.310 steps/s
 *
 * The first for every block that joins the active chain; the loss is the benchmark's after the block, the time is what
 * its verification took (left out where it was verified by an earlier run). The second follows it where it ended a
 * round. While there are blocks ahead that are known already the third takes their place, once a second. The last comes
 * when there has been no other for a while. */
#ifndef ATELIER_OPERATOR_JOURNAL_H
#define ATELIER_OPERATOR_JOURNAL_H

#include "chain/chain.h"
#include "net/net.h"
#include "work/miner.h"

struct journal {
	struct chain *chain;
	const struct net *net;
	const struct miner *miner;
	int64_t idle_ms;    /* after so long without a line comes one; 0: never */
	int64_t last;       /* when the last line was written; clock_mono_ms */
	int64_t sync_began; /* 0: it follows the tip */
	uint32_t sync_from; /* the height it had then */
};

/* Subscribes to the chain's events; the parts are filled in. The journal must outlive the chain. */
void journal_open(struct journal *journal);
/* To be called once a second. */
void journal_tick(struct journal *journal);

#endif
