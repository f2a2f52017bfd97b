/* What a transaction spends: maturity, relative locks, sums and fee (doc/protocol.md section 11), gathered input by
 * input. One place for two askers: the mempool, whose answer may be another with the next block, and the connecting of
 * blocks, whose answer is for good. So the rules are here, and the verdicts are the askers'. */
#ifndef ATELIER_CONSENSUS_SPENDING_H
#define ATELIER_CONSENSUS_SPENDING_H

#include "consensus/tx.h"

struct spending {
	const struct tx *tx;
	uint32_t height;           /* of the block it is, or would be, in */
	struct tx_output *outputs; /* what each input spends; scripts borrowed from the coins */
	uint32_t *heights, *times; /* of each coin, for relative locks */
	size_t count;              /* inputs so far */
	int64_t in;                /* their sum */
};

struct spending_coin {
	struct tx_output output;
	uint32_t height; /* of the block that made it; the spender's own, if it is not in one yet */
	bool coinbase;
	uint32_t time; /* median time of the block of spending_time_height */
};

enum spending_fault {
	SPENDING_OK,
	SPENDING_IMMATURE,
	SPENDING_TOO_MUCH, /* inputs in sum beyond all money */
};

void spending_init(struct spending *spending, const struct tx *tx, uint32_t height);
void spending_clear(struct spending *spending);

/* The coin of the next input. */
enum spending_fault spending_add(struct spending *spending, const struct spending_coin *coin, uint32_t maturity);

/* Height of the block whose median time a relative lock in time counts from (BIP68): the one before the coin's. */
uint32_t spending_time_height(const struct spending *spending, uint32_t coin_height);

/* Of all inputs: whether every relative lock is met, where the parent has that median time; and what inputs leave
 * beside outputs, negative where they do not reach. */
bool spending_locks_met(const struct spending *spending, uint32_t median_time);
int64_t spending_fee(const struct spending *spending);

#endif
