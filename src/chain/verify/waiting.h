/* Blocks that wait for their verdict, and what they wait for.
 *
 * A stranger's block costs him nothing until its own proof has been executed. Until then it is held here in memory,
 * within bounds for all and for each address; when room is short, what is furthest from being executed goes first
 * (chain/verify/schedule.h) and is asked for again later. With its own proof right it goes to disk.
 *
 * Pointers to a waiting block are good until the next one is added or removed. */
#ifndef ATELIER_CHAIN_VERIFY_WAITING_H
#define ATELIER_CHAIN_VERIFY_WAITING_H

#include "chain/index.h"
#include "chain/verify/sources.h"
#include "chain/verify/wants.h"

struct waiting_block {
	struct full_entry *full;
	struct source_group *group; /* who brought it */
	const struct block *block;  /* while it is held: a reference; or, where room is short, ... */
	struct buf bytes;           /* ... its bytes, which take less */
	size_t cost;                /* what it counts for, while it is held */
	uint64_t order;             /* of arrival */
	bool dropped;               /* nobody stands for it any more: it goes when its job has ended */
	/* Blobs it cannot do without: those it registers, then those of its round, then those its proofs train on. */
	struct blob_want *wants;
	size_t want_count, registered_count, rest_count; /* all; the first; the first and second */
};

void waiting_init(struct chain *chain, size_t held_bytes);
void waiting_clear(struct chain *chain);

/* The block of an entry that is stored: it will be verified. */
void waiting_add(struct chain *chain, struct full_entry *full, const struct block *block);
/* A stranger's block, in memory; others may have to go for it. False: there is no room for it. */
bool waiting_hold(struct chain *chain, struct full_entry *full, const struct block *block, const struct source *source);
/* Writes the block, held or not, and its entry, which then is ENTRY_STORED. */
bool waiting_store(struct chain *chain, struct full_entry *full, const struct block *block, struct errmsg *err);
/* A reference of the caller's. */
const struct block *waiting_read(struct chain *chain, const struct waiting_block *waiting, struct errmsg *err);
struct waiting_block *waiting_find(const struct chain *chain, const struct full_entry *full); /* NULL: none */
void waiting_drop(struct chain *chain, struct waiting_block *waiting);
/* Something that the block needs is here and cannot be read now: no descriptor is left, or somebody has to do something
 * first. chain_retry takes it up again. */
void waiting_put_off(struct chain *chain, struct full_entry *full, const struct errmsg *why);
/* Lets go of what a group has here, but for what is in work; that only if `discouraged`, when its job ends. */
void waiting_forget(struct chain *chain, const struct source_group *group, bool discouraged);
/* Drops those that wait no more: refused meanwhile, or forgotten. */
void waiting_prune(struct chain *chain);

#endif
