/* Blocks on disk that are kept in memory too, so that each is parsed once on its way to the tip.
 *
 * A block that was stored a moment ago will be verified and connected next: the reference that brought it serves both.
 * What is kept is parsed, so its cost is what it takes in memory, not its bytes; together these blocks take a quarter
 * of the room for blocks in memory at most, and they go, oldest first, as soon as a block that is nowhere else needs
 * theirs (chain/verify/waiting.h). What has gone, and what a former run stored, is read from disk when it is needed. */
#ifndef ATELIER_CHAIN_KEPT_H
#define ATELIER_CHAIN_KEPT_H

#include "chain/index.h"

enum { KEPT_MAX = 128 }; /* blocks, however small they are */

struct kept_block {
	uint8_t id[32];
	const struct block *block; /* a reference */
	size_t cost;
};

struct kept_blocks {
	struct kept_block list[KEPT_MAX]; /* oldest first */
	size_t count, bytes;
};

/* A reference to the block without its bodies, which execution gives anew: the same block if it has none. */
const struct block *kept_bare(const struct block *block);
/* Bytes of memory that a parsed block takes, rounded up: what the allocator adds included. */
size_t kept_cost(const struct block *block);

/* Takes a reference of its own, unless there is no room. */
void kept_put(struct chain *chain, const struct full_entry *full, const struct block *block);
/* The block of an entry that is ENTRY_STORED at least, bare, from memory or from disk: a reference of the caller's.
 * NULL with the error set if the disk does not have it. */
const struct block *kept_read(struct chain *chain, const struct full_entry *full, struct errmsg *err);
/* Lets the oldest go; false if there is none. */
bool kept_drop(struct chain *chain);

#endif
