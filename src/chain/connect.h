/* One block on, one block off (doc/protocol.md sections 11 to 14): the rules that need coins and registry, and the one
 * atomic write that makes a block part of the active chain or takes it out again. */
#ifndef ATELIER_CHAIN_CONNECT_H
#define ATELIER_CHAIN_CONNECT_H

#include "chain/index.h"

enum connect_result { CONNECT_OK, CONNECT_INVALID, CONNECT_FAILED };

/* What checking a block found out that committing it needs: what it does to the coins, and its undo record's. It holds
 * as long as the tip is the block's parent. A few are kept, each as large as the coins that its block touches, so that
 * a block is checked once: when it comes, and not again when it is connected. Named by the id: the entry of a block
 * that was never stored may be gone, and another be where it was. */
struct block_effect;
struct checked_block {
	uint8_t id[32];
	struct block_effect *effect; /* NULL: an empty place */
};
enum { CONNECT_CHECKED = 4 };

/* The rules for a block on the tip; nothing changes. FAILED: the disk did, `err` says how. */
/* A verified block whose bodies were appended: the index on disk will know it with the next block that is connected, or
 * after connect_save_verified, which syncs what was appended first. */
void connect_note_verified(struct chain *chain, struct full_entry *full);
bool connect_save_verified(struct chain *chain, struct errmsg *err);

enum connect_result connect_check(struct chain *chain, struct full_entry *full, const struct block *block,
	struct reject *reject, struct errmsg *err);
/* Makes a verified child of the tip the tip. */
enum connect_result connect_block(struct chain *chain, struct full_entry *full, struct reject *reject,
	struct errmsg *err);
/* Makes the tip's parent the tip. */
bool connect_undo_tip(struct chain *chain, struct errmsg *err);
/* Forgets what was found out about children of the tip. */
void connect_forget(struct chain *chain);
/* Marks the entry (and its descendants) refused, for good. */
void connect_refuse(struct chain *chain, struct full_entry *full, const char *reason);

#endif
