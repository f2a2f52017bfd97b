/* Heights drawn uniformly in work. */
#include "work/sample.h"

#include <stdlib.h>

#include "util/random.h"

struct u256 sample_below(struct u256 bound)
{
	unsigned top_limb = 3;
	struct u256 draw;
	uint64_t sample_mask;

	/* Bits above the bound's highest are cut off, so that at least every second draw fits. */
	while (top_limb > 0 && bound.limb[top_limb] == 0)
		top_limb--;
	sample_mask = bound.limb[top_limb];
	for (unsigned shift = 1; shift < 64; shift *= 2)
		sample_mask |= sample_mask >> shift;
	do {
		random_bytes(draw.limb, sizeof draw.limb);
		draw.limb[top_limb] &= sample_mask;
		for (unsigned i = top_limb + 1; i < 4; i++)
			draw.limb[i] = 0;
	} while (u256_compare(draw, bound) >= 0);
	return draw;
}

uint32_t sample_height(sample_work *work, const void *context, uint32_t tip, struct u256 point)
{
	struct u256 sample_wanted = u256_add(work(context, 0), point);
	uint32_t low_height = 1, high_height = tip;

	/* The height sought is in low..high all the time. */
	while (low_height < high_height) {
		uint32_t middle_height = low_height + (high_height - low_height) / 2;

		if (u256_compare(work(context, middle_height), sample_wanted) > 0)
			high_height = middle_height;
		else
			low_height = middle_height + 1;
	}
	return low_height;
}

static int sample_compare_heights(const void *a, const void *b)
{
	uint32_t first_height = *(const uint32_t *)a, second_height = *(const uint32_t *)b;

	return (first_height > second_height) - (first_height < second_height);
}

uint32_t sample_heights(sample_work *work, const void *context, uint32_t tip, uint32_t count, uint32_t *heights)
{
	struct u256 sample_total = u256_sub(work(context, tip), work(context, 0));
	uint32_t heights_kept = 0;

	for (uint32_t i = 0; i < count; i++)
		heights[i] = sample_height(work, context, tip, sample_below(sample_total));
	qsort(heights, count, sizeof *heights, sample_compare_heights);
	for (uint32_t i = 0; i < count; i++) {
		if (heights_kept == 0 || heights[heights_kept - 1] != heights[i])
			heights[heights_kept++] = heights[i];
	}
	return heights_kept;
}
