/* Rules of time and of late proofs, each to be had or not, so that what they do can be compared.
 *
 * What src/consensus has, it decides: targets and work (consensus/target.h), rewards (consensus/reward.h). What it has
 * not got is here, in small functions named as they are to be named there. Times are header times, in seconds. */
#ifndef ATELIER_ECONOMY_RULES_H
#define ATELIER_ECONOMY_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "consensus/reward.h"
#include "consensus/spec.h"
#include "consensus/target.h"

struct rules {
	uint32_t
		start_bits; /* target of the anchor; where it and the half-life are the node's, so is the next target */
	uint32_t half_life; /* of its target, in spacings */
	int64_t future;     /* seconds that a time may be ahead of a clock */
	bool least_time, ties, by_time, late;
	uint32_t back; /* least time and proofs by time look so many blocks back ... */
	uint32_t span; /* ... where so many spacings must lie between */
};

enum { HALF_LIFE = 72 };

static inline uint32_t target_next(const struct spec *spec, const struct rules *rules, uint32_t height, uint32_t time)
{
	int64_t spacing = spec->spacing, since = (int64_t)time - ((int64_t)spec->genesis_time - spacing);
	struct u256 anchor = { { 0 } };

	if (rules->start_bits == spec->start_bits && rules->half_life == HALF_LIFE)
		return target_next_bits(spec, height, time);
	target_from_compact(rules->start_bits, &anchor);
	return target_to_compact(
		target_asert(anchor, spacing, rules->half_life * spacing, since, height, target_limit(spec->k)));
}

/* Least time of a block at `height`; `before` is the time of its ancestor `back` blocks back, of genesis where there is
 * none. */
static inline int64_t time_least(const struct spec *spec, const struct rules *rules, uint32_t height, int64_t before)
{
	int64_t span = (int64_t)rules->span * spec->spacing, back = rules->back;

	if (!rules->least_time)
		return 0;
	return height < rules->back ? before + (height * span + back - 1) / back : before + span;
}

/* Most loose and late proofs of a block that is dated so much after its ancestor `back` blocks back. */
static inline uint32_t time_proofs(const struct spec *spec, const struct rules *rules, int64_t elapsed)
{
	int64_t most = spec->k * elapsed / ((int64_t)rules->span * spec->spacing);

	if (!rules->by_time || most > 4 * (int64_t)spec->k)
		return 4 * spec->k;
	return most < (int64_t)spec->k ? spec->k : (uint32_t)most;
}

/* Late proofs build on an ancestor this far below the block that lists them, at least and at most. */
enum { LATE_LEAST = 2, LATE_MOST = 7 };

#endif
