/* The base fee of data: its next value, and the window of the last ones. */
#include "consensus/branch/fees.h"

#include <string.h>

#include "consensus/payload/contribution.h"
#include "consensus/spec.h"

enum {
	FEES_TARGET_SHARE = 64,  /* of the budget: what blocks register if the rate is to stay */
	FEES_STEP = 8,           /* the rate changes by at most 1 / FEES_STEP of itself a block */
	FEES_DEBT_BLOCKS = 2016, /* of targets: for as long a debt can hold the rate up at most */
};

/* --- the rate --- */

static uint64_t fees_floor(const struct spec *spec)
{
	return (uint64_t)spec->burn_rate * FEES_RATE_UNIT;
}

static uint64_t fees_target(const struct spec *spec)
{
	return spec->blob_budget / FEES_TARGET_SHARE;
}

/* What of a block's bytes moves the rate: up to twice the target, and if that is less than the target, so much of the
 * debt as fills it up. Every byte moves it once, now or later, whoever bundles or spreads them; and the debt of
 * somebody who filled a block at the price of the day holds the rate where he brought it, and raises it no further: he
 * could shut others out for nothing otherwise. */
static uint64_t fees_effective(const struct spec *spec, uint64_t used_bytes, uint64_t *debt)
{
	const uint64_t fill_target = fees_target(spec);
	uint64_t effective_bytes = used_bytes;

	if (effective_bytes < fill_target)
		effective_bytes = *debt < fill_target - used_bytes ? used_bytes + *debt : fill_target;
	else if (effective_bytes > 2 * fill_target)
		effective_bytes = 2 * fill_target;
	*debt += used_bytes - effective_bytes; /* or, where it fills up, less the difference */
	if (*debt > FEES_DEBT_BLOCKS * fill_target)
		*debt = FEES_DEBT_BLOCKS * fill_target;
	return effective_bytes;
}

/* Rounded toward minus infinity, so a rate above the floor always falls when nothing is registered or owed. A rate is
 * below 2^55, and a target, 1/64 of 2^30 bytes at most, below 2^25: the product has 80 bits. */
static uint64_t fees_next(const struct spec *spec, uint64_t fees_rate, uint64_t used)
{
	const int64_t rate_target = (int64_t)fees_target(spec);
	const __int128 rate_change = (__int128)fees_rate * ((int64_t)used - rate_target),
		       change_divisor = FEES_STEP * rate_target;
	int64_t next_rate = (int64_t)fees_rate + (int64_t)(rate_change / change_divisor);

	/* C truncates toward zero. */
	if (rate_change < 0 && rate_change % change_divisor != 0)
		next_rate--;
	if (next_rate < (int64_t)fees_floor(spec))
		return fees_floor(spec);
	return next_rate < (int64_t)FEES_RATE_MAX ? (uint64_t)next_rate : FEES_RATE_MAX;
}

uint64_t fees_least(const struct fees *fees, uint32_t blocks)
{
	uint64_t least_rate = fees->rates[FEES_WINDOW - 1];

	for (uint32_t i = 2; i <= blocks; i++)
		if (fees->rates[FEES_WINDOW - i] < least_rate)
			least_rate = fees->rates[FEES_WINDOW - i];
	return least_rate;
}

uint64_t fees_offer(const struct fees *fees, const struct spec *spec)
{
	const uint64_t newest_rate = fees->rates[FEES_WINDOW - 1];
	const uint64_t offered_rate = newest_rate > fees_floor(spec) ? newest_rate + newest_rate / FEES_STEP :
								       newest_rate;

	return offered_rate < FEES_RATE_MAX ? offered_rate : FEES_RATE_MAX;
}

int64_t fees_burn(uint64_t rate, uint64_t size)
{
	return (int64_t)(((unsigned __int128)rate * size + FEES_RATE_UNIT - 1) / FEES_RATE_UNIT);
}

/* --- blocks --- */

void fees_init(struct fees *fees, const struct spec *spec)
{
	for (int i = 0; i < FEES_WINDOW; i++)
		fees->rates[i] = fees_floor(spec);
	fees->debt = 0;
}

void fees_apply(struct fees *fees, const struct branch_block *block, struct fees_undo *undo)
{
	uint64_t used_bytes = 0, newest_rate = fees->rates[FEES_WINDOW - 1];

	for (size_t i = 1; i < block->block->tx_count; i++)
		used_bytes += contribution_bytes(block->block->txs[i]);
	undo->rate_dropped = fees->rates[0];
	undo->debt = fees->debt;
	memmove(fees->rates, fees->rates + 1, (FEES_WINDOW - 1) * sizeof *fees->rates);
	fees->rates[FEES_WINDOW - 1] = fees_next(block->spec, newest_rate,
		fees_effective(block->spec, used_bytes, &fees->debt));
}

void fees_undo(struct fees *fees, const struct fees_undo *undo)
{
	memmove(fees->rates + 1, fees->rates, (FEES_WINDOW - 1) * sizeof *fees->rates);
	fees->rates[0] = undo->rate_dropped;
	fees->debt = undo->debt;
}

/* --- bytes --- */

static uint64_t fees_read_most(struct reader *fees_reader, uint64_t most)
{
	uint64_t read_number = reader_le64(fees_reader);

	if (read_number > most)
		reader_fail(fees_reader);
	return read_number;
}

void fees_write(struct buf *out, const struct fees *fees)
{
	for (int i = 0; i < FEES_WINDOW; i++)
		buf_put_le64(out, fees->rates[i]);
	buf_put_le64(out, fees->debt);
}

bool fees_read(struct fees *fees, struct reader *fees_reader)
{
	for (int i = 0; i < FEES_WINDOW; i++)
		fees->rates[i] = fees_read_most(fees_reader, FEES_RATE_MAX);
	fees->debt = fees_read_most(fees_reader, FEES_DEBT_MAX);
	return fees_reader->ok;
}

void fees_undo_write(struct buf *out, const struct fees_undo *undo)
{
	buf_put_le64(out, undo->rate_dropped);
	buf_put_le64(out, undo->debt);
}

bool fees_undo_read(struct fees_undo *undo, struct reader *fees_reader)
{
	undo->rate_dropped = fees_read_most(fees_reader, FEES_RATE_MAX);
	undo->debt = fees_read_most(fees_reader, FEES_DEBT_MAX);
	return fees_reader->ok;
}
