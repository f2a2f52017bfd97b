/* The signatures of a block, checked together by several threads: they cost most of what a block costs, and each is its
 * own affair.
 *
 * Transactions are put in as their other rules have held, in the order of the block. What comes out is what checking
 * one after the other would give: the first that is wrong, whatever thread finds it. Who sends a block with a false
 * signature makes this node check few beyond it. */
#ifndef ATELIER_CHAIN_SIGNATURES_H
#define ATELIER_CHAIN_SIGNATURES_H

#include "consensus/reject.h"
#include "consensus/spending.h"
#include "util/team.h"

struct signatures {
	struct spending *list;
	size_t count, cap;
};

void signatures_init(struct signatures *signatures);
void signatures_clear(struct signatures *signatures);

/* Takes the spending over. Scripts of its coins must stay until the check. */
void signatures_put(struct signatures *signatures, const struct spending *spending);

/* Whether all hold; else the reject says what is wrong with the first that does not. team NULL: the caller alone. */
bool signatures_check(const struct signatures *signatures, struct team *team, struct reject *reject);

#endif
