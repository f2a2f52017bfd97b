/* One block on, one block off (doc/protocol.md sections 11 to 14): the rules that need coins and registry, and the one
 * atomic write that makes a block part of the active chain or takes it out again. */
#ifndef ATELIER_CHAIN_CONNECT_H
#define ATELIER_CHAIN_CONNECT_H

#include "chain/index.h"

enum connect_result { CONNECT_OK, CONNECT_INVALID, CONNECT_FAILED };

/* The rules for a block on the tip; nothing changes. FAILED: the disk did, `err` says how. */
enum connect_result connect_check(struct chain *chain, struct full_entry *full, const struct block *block,
	struct reject *reject, struct errmsg *err);
/* Makes a verified child of the tip the tip. */
enum connect_result connect_block(struct chain *chain, struct full_entry *full, struct reject *reject,
	struct errmsg *err);
/* Makes the tip's parent the tip. */
bool connect_undo_tip(struct chain *chain, struct errmsg *err);
/* Marks the entry (and its descendants) refused, for good. */
void connect_refuse(struct chain *chain, struct full_entry *full, const char *reason);

#endif
