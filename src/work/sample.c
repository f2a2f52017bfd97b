/* Heights drawn uniformly in work. */
#include "work/sample.h"

#include <stdlib.h>

#include "util/random.h"

struct u256 sample_below(struct u256 bound)
{
	unsigned top = 3;
	struct u256 draw;
	uint64_t mask;

	/* Bits above the bound's highest are cut off, so that at least every second draw fits. */
	while (top > 0 && bound.limb[top] == 0)
		top--;
	mask = bound.limb[top];
	for (unsigned shift = 1; shift < 64; shift *= 2)
		mask |= mask >> shift;
	do {
		random_bytes(draw.limb, sizeof draw.limb);
		draw.limb[top] &= mask;
		for (unsigned i = top + 1; i < 4; i++)
			draw.limb[i] = 0;
	} while (u256_compare(draw, bound) >= 0);
	return draw;
}

uint32_t sample_height(sample_work *work, const void *context, uint32_t tip, struct u256 point)
{
	struct u256 wanted = u256_add(work(context, 0), point);
	uint32_t low = 1, high = tip;

	/* The height sought is in low..high all the time. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (u256_compare(work(context, middle), wanted) > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int compare_heights(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint32_t sample_heights(sample_work *work, const void *context, uint32_t tip, uint32_t count, uint32_t *heights)
{
	struct u256 total = u256_sub(work(context, tip), work(context, 0));
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		heights[i] = sample_height(work, context, tip, sample_below(total));
	qsort(heights, count, sizeof *heights, compare_heights);
	for (uint32_t i = 0; i < count; i++) {
		if (kept == 0 || heights[kept - 1] != heights[i])
			heights[kept++] = heights[i];
	}
	return kept;
}
