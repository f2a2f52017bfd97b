/* The watch: once a second it looks how the node stands, and keeps the warnings that depend on it (util/warning.h).
 *
 *   clock      the tip's time is further ahead of this machine's clock than a new block's may be; or the clocks of the
 *              peers this node chose say another time
 *   isolated   no connection to another node, for WATCH_ISOLATED_MS, where there should be one
 *   bytes      for WATCH_BYTES_MS no peer has brought the bytes of a dataset without which the chain cannot go on; for
 *              WATCH_LOST_MS bytes of a run are not here that were, and that its round cannot be merged without
 *   block      something that a block needs is here and cannot be read; it is tried again
 *   mining     mining was asked for, and pauses; for a better block that is being verified, if that takes
 *              WATCH_VERDICT_MS; for bytes of the datasets that the next block can train on, as soon as the miner does
 *
 * It also tells the miner when to pause. */
#ifndef ATELIER_OPERATOR_WATCH_H
#define ATELIER_OPERATOR_WATCH_H

#include "chain/chain.h"
#include "net/net.h"
#include "work/miner.h"

enum { WATCH_ISOLATED_MS = 10000, WATCH_BYTES_MS = 30000, WATCH_LOST_MS = 2000, WATCH_VERDICT_MS = 60000 };

/* Borrowed parts, and since when there is no peer (clock_mono_ms; 0: there is one). */
struct watch {
	struct chain *chain;
	const struct net *net;
	struct miner *miner;
	bool mine_alone;  /* -minealone */
	bool wants_peers; /* a public chain, or nodes were named */
	int64_t alone_since;
	int64_t bytes_since; /* 0: no block waits for bytes, and none are lost */
	uint8_t bytes_root[32];
	int64_t overtaken_since; /* 0: no better block is being verified */
};

void watch_look(struct watch *watch);

#endif
