/* Pruning: of blocks far below the tip the bodies of proofs go, which are nearly all of a block's bytes, the bytes that
 * runs of their rounds disclosed, and the snapshots of the model. Blocks themselves, undo records and datasets stay:
 * whoever syncs from here gets every block, and needs bytes of old runs from somebody else.
 *
 * What is kept is enough to go on, to audit the last whole round, and to take another branch as deep as that is done
 * without asking. It begins with a snapshot, so all states of the model from there on can be had, and none before.
 *
 * Invariant: the height is on the disk before the first byte below it goes, and nothing above it ever goes. So a
 * process that ends anywhere in between finds what is left to do, and who does it twice does no harm. */
#ifndef ATELIER_CHAIN_MODEL_PRUNE_H
#define ATELIER_CHAIN_MODEL_PRUNE_H

#include "chain/index.h"

struct pruning {
	uint32_t kept;   /* blocks at least (-prune); 0: all */
	uint32_t height; /* what blocks up to this one have is gone, or going; 0: nothing */
	uint32_t done;   /* up to this one it is gone */
	bool stopped;    /* the file system failed at it */
};

/* Before anything is touched: false if this chain needs more blocks. */
bool prune_begin(struct chain *chain, uint32_t kept, struct errmsg *err);
/* Once the database is open: reads how far an earlier run came. False if all is wanted again, or it cannot be done
 * here.
 */
bool prune_open(struct chain *chain, struct errmsg *err);
/* A bit of it, if there is anything to do: at a new tip and now and then. It is short, as the loop waits for it. */
void prune_work(struct chain *chain);

/* Bytes of a run that a verified block names stay until that block is pruned, or a later one that names them too. */
bool prune_note_blob(struct chain *chain, struct db_batch *batch, const uint8_t root[32], uint32_t height,
	struct errmsg *err);
/* All that are noted count as needed; for start-up. */
bool prune_settle_blobs(struct chain *chain, struct errmsg *err);

#endif
