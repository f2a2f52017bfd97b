/* The base fee of data (doc/protocol.md section 12): what a byte of a contribution burns at least, which rises while
 * blocks register more than the target and falls, never below the spec's burn_rate, while they register less. What one
 * block registers beyond twice the target is a debt: later blocks that register less than the target are filled up with
 * it, so that the rate does not fall before it is worked off.
 *
 * A rate is in 1/65536 base units a byte, at most FEES_RATE_MAX: no blob can be paid for at that rate, and what a blob
 * of any size burns at it still is an int64_t. */
#ifndef ATELIER_CONSENSUS_BRANCH_FEES_H
#define ATELIER_CONSENSUS_BRANCH_FEES_H

#include "consensus/branch/part.h"

enum {
	FEES_WINDOW = 12, /* blocks whose rates a contribution may choose among */
	FEES_RATE_UNIT = 65536,
};

#define FEES_RATE_MAX (UINT64_C(1) << 54)
#define FEES_DEBT_MAX (UINT64_C(2016) << 24) /* 2016 targets of the largest budget; each spec's own bound is lower */

struct fees {
	uint64_t rates[FEES_WINDOW]; /* after each of the last blocks, newest last; before genesis as at genesis */
	uint64_t debt;               /* bytes, after the newest block: at most FEES_DEBT_MAX */
};

struct fees_undo {
	uint64_t rate_dropped, debt;
};

/* The least of the newest `blocks` rates, 1..FEES_WINDOW of them. All of them: what the next block asks for. What is
 * at least the rate of the newest n may be in any of the next FEES_WINDOW + 1 - n blocks, whatever these register. */
uint64_t fees_least(const struct fees *fees, uint32_t blocks);

/* What a wallet offers: the newest rate, and an eighth more where that is above the floor, so that it will do for a
 * block longer while others fill blocks. */
uint64_t fees_offer(const struct fees *fees, const struct spec *spec);

/* Base units that a blob of `size` bytes (at most 2^24) burns at a rate, rounded up. */
int64_t fees_burn(uint64_t rate, uint64_t size);

/* The contract of consensus/branch/part.h. Any undo that fees_undo_read takes fits. */
void fees_init(struct fees *fees, const struct spec *spec);
void fees_apply(struct fees *fees, const struct branch_block *block, struct fees_undo *undo);
void fees_undo(struct fees *fees, const struct fees_undo *undo);
void fees_write(struct buf *out, const struct fees *fees);
bool fees_read(struct fees *fees, struct reader *fees_reader);
void fees_undo_write(struct buf *out, const struct fees_undo *undo);
bool fees_undo_read(struct fees_undo *undo, struct reader *fees_reader);

#endif
