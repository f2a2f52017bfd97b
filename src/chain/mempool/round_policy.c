/* Windows of round transactions. */
#include "chain/mempool/round_policy.h"

uint64_t round_policy_base(const struct spec *spec, uint32_t seat_height)
{
	return ((uint64_t)seat_height + spec->round_blocks - 1) / spec->round_blocks * spec->round_blocks;
}

/* Heights of the blocks that may have it. In 64 bits: the height of a seat is whatever its sender says. */
struct round_window {
	uint64_t first, last;
};

static struct round_window round_policy_window(const struct spec *spec, const struct round_tx *round_tx)
{
	const uint64_t base = round_policy_base(spec, round_tx->height);
	const uint64_t beacon = base + spec->round_work + 1;

	switch (round_tx->kind) {
	case ROUND_COMMIT:
		return (struct round_window){ base + 1, base + spec->round_work };
	case ROUND_DISCLOSURE:
		return (struct round_window){ beacon + 1, beacon + spec->round_reveal };
	case ROUND_CHALLENGE:
		break;
	}
	/* Behind the block that has the disclosure. */
	return (struct round_window){ beacon + 2, base + spec->round_blocks - 1 };
}

enum round_when round_policy_when(const struct spec *spec, uint32_t next_height, const struct round_tx *round_tx)
{
	const struct round_window window = round_policy_window(spec, round_tx);

	/* Genesis has no seat. */
	if (round_tx->height == 0 || next_height > window.last)
		return ROUND_WHEN_NEVER;
	if (next_height >= window.first)
		return ROUND_WHEN_NOW;
	return window.first - next_height <= ROUND_POLICY_LAG ? ROUND_WHEN_SOON : ROUND_WHEN_NOT;
}
