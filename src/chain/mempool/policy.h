/* Policy of the mempool, beyond consensus: at least 1 base unit per virtual byte; at most 100,000 virtual bytes; no
 * output below 330 units but OP_RETURN ones; at most 25 unconfirmed ancestors and as many descendants, oneself
 * included; two weeks at most; contributions burn what will do for some more blocks. */
#ifndef ATELIER_CHAIN_MEMPOOL_POLICY_H
#define ATELIER_CHAIN_MEMPOOL_POLICY_H

#include "consensus/tx.h"

enum {
	POLICY_ANCESTORS = 25,
	POLICY_TX_SIZE = 100000, /* virtual bytes */
	POLICY_DUST = 330,       /* base units */
	POLICY_RATE_MIN = 1000,  /* base units for 1000 virtual bytes */
	POLICY_SECONDS = 14 * 86400,
	/* Newest rates of data whose least a contribution burns: it holds for 4 blocks. Not fewer, since one that is
	 * signed along with its commitment is some blocks old. */
	POLICY_BURN_BLOCKS = 9,
};

/* What the transaction alone tells. */
bool policy_check(const struct tx *tx, size_t virtual_size, struct reject *reject);
/* What it pays, while those that paid `floor_rate` had to go for want of room (0: none had to). */
bool policy_check_fee(int64_t fee, size_t virtual_size, int64_t floor_rate, struct reject *reject);
int64_t policy_rate(int64_t fee, size_t virtual_size); /* units per 1000 virtual bytes */

#endif
