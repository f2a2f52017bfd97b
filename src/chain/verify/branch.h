/* The registry after blocks off the tip.
 *
 * Proofs of a block train on what the registry holds after its parent. Off the active chain that is derived from the
 * tip's, or from the one derived last, whichever is nearer; one is kept. */
#ifndef ATELIER_CHAIN_VERIFY_BRANCH_H
#define ATELIER_CHAIN_VERIFY_BRANCH_H

#include "chain/index.h"

/* The registry after any verified block: the tip's own, or one derived from it. Borrowed until the next call, or until
 * the tip changes. NULL with the error set if a block on the way cannot be read. */
const struct registry *branch_registry(struct chain *chain, const struct full_entry *full, struct errmsg *err);

#endif
