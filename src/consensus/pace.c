/* Integers alone: both are rules of consensus. */
#include "consensus/pace.h"

enum {
	PACE_SPACINGS = 2, /* that lie between a block and its ancestor PACE_BACK blocks back, at least */
	PACE_MOST = 4,     /* proofs beside its own are so many times k at most */
};

/* Four blocks a spacing: executing all they hold is then possible, and who finds more of them while the target is far
 * too easy can only wait. The first blocks have no such ancestor, and keep the same pace from genesis on. */
uint64_t pace_least_time(const struct spec *spec, uint32_t height, uint32_t base_time)
{
	const uint64_t pace_span = (uint64_t)PACE_SPACINGS * spec->spacing;

	if (spec->spacing == 0)
		return 0;
	return height < PACE_BACK ? base_time + (height * pace_span + PACE_BACK - 1) / PACE_BACK :
				    base_time + pace_span;
}

/* At the fastest pace k a block, and 4k only where blocks come as they should: so what must be executed in a time is
 * bounded, however fast they come. */
uint32_t pace_most_proofs(const struct spec *spec, uint32_t time, uint32_t base_time)
{
	const uint64_t most_ever = (uint64_t)PACE_MOST * spec->k;
	uint64_t most_now = most_ever;

	if (spec->spacing > 0)
		most_now = time > base_time ?
			(uint64_t)spec->k * (time - base_time) / ((uint64_t)PACE_SPACINGS * spec->spacing) :
			0;
	if (most_now < spec->k)
		return spec->k;
	return most_now < most_ever ? (uint32_t)most_now : (uint32_t)most_ever;
}
