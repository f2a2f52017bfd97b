/* Rules of spending that need the coins, but neither signatures nor policy. */
#include "consensus/spending.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { SPENDING_LOCK_VERSION = 2 };

#define SPENDING_LOCK_DISABLE 0x80000000u
#define SPENDING_LOCK_TIME 0x00400000u
#define SPENDING_LOCK_MASK 0x0000ffffu
#define SPENDING_LOCK_TIME_SHIFT 9 /* units of 512 seconds */

void spending_init(struct spending *spending, const struct tx *tx, uint32_t height)
{
	memset(spending, 0, sizeof *spending);
	spending->tx = tx;
	spending->height = height;
	spending->outputs = mem_calloc(tx->input_count, sizeof *spending->outputs);
	spending->heights = mem_calloc(tx->input_count, sizeof *spending->heights);
	spending->times = mem_calloc(tx->input_count, sizeof *spending->times);
}

void spending_clear(struct spending *spending)
{
	free(spending->outputs);
	free(spending->heights);
	free(spending->times);
}

/* A coin's height is at most the spender's: blocks bring coins before they spend them, and the mempool takes what it
 * holds for part of the next block. in never overflows: it is in range before, and so is each output (tx_check). */
enum spending_fault spending_add(struct spending *spending, const struct spending_coin *coin, uint32_t maturity)
{
	const size_t coin_index = spending->count++;

	if (coin->coinbase && spending->height - coin->height < maturity)
		return SPENDING_IMMATURE;
	spending->outputs[coin_index] = coin->output;
	spending->heights[coin_index] = coin->height;
	spending->times[coin_index] = coin->time;
	spending->in += coin->output.amount;
	return tx_amount_valid(spending->in) ? SPENDING_OK : SPENDING_TOO_MUCH;
}

/* A coin of the spender's own block has for the block before it the spender's parent, as has one of the mempool; there
 * are no coins of height 0, whose block has none before it. */
uint32_t spending_time_height(const struct spending *spending, uint32_t coin_height)
{
	const uint32_t parent_height = spending->height - 1;

	return coin_height > 0 && coin_height <= parent_height ? coin_height - 1 : parent_height;
}

/* BIP68, met from the sum on (its "- 1" is in the comparison). The coin's time and the block's are both medians of
 * eleven, which no single miner sets. relative_lock has 64 bits, so that neither sum wraps. */
bool spending_locks_met(const struct spending *spending, uint32_t median_time)
{
	if (spending->tx->version < SPENDING_LOCK_VERSION)
		return true;
	for (size_t i = 0; i < spending->count; i++) {
		uint32_t sequence = spending->tx->inputs[i].sequence;
		uint64_t relative_lock = sequence & SPENDING_LOCK_MASK;

		if (sequence & SPENDING_LOCK_DISABLE)
			continue;
		if (sequence & SPENDING_LOCK_TIME) {
			if (median_time < spending->times[i] + (relative_lock << SPENDING_LOCK_TIME_SHIFT))
				return false;
		} else if (spending->height < spending->heights[i] + relative_lock) {
			return false;
		}
	}
	return true;
}

int64_t spending_fee(const struct spending *spending)
{
	int64_t left_over = spending->in;

	/* tx_check held: the outputs' sum is in range, as is that of the inputs. */
	for (size_t i = 0; i < spending->tx->output_count; i++)
		left_over -= spending->tx->outputs[i].amount;
	return left_over;
}
