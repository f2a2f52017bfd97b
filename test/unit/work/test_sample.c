/* Sampling in cumulative work: every unit of work is as likely as any other, whatever the heights. */
#include "unit.h"
#include "work/sample.h"

/* Cumulative work of a chain whose blocks have very different work; genesis has 7. */
static const uint64_t block_work[] = { 7, 1, 1, 100, 1, 40, 2 };
enum { TIP = 6, TOTAL = 145 };

static struct u256 work(const void *context, uint32_t height)
{
	uint64_t sum = 0;
	(void)context;
	for (uint32_t i = 0; i <= height; i++)
		sum += block_work[i];
	return (struct u256){ { sum } };
}

static void each_point_falls_on_its_block(void **test_state)
{
	uint64_t hits[TIP + 1] = { 0 };
	(void)test_state;
	for (uint64_t point = 0; point < TOTAL; point++)
		hits[sample_height(work, NULL, TIP, (struct u256){ { point } })]++;
	assert_int_equal(hits[0], 0);
	for (uint32_t h = 1; h <= TIP; h++)
		assert_int_equal(hits[h], block_work[h]);
}

static void heights_are_ascending_and_distinct(void **test_state)
{
	uint32_t heights[200];
	(void)test_state;
	uint32_t count = sample_heights(work, NULL, TIP, 200, heights);
	assert_in_range(count, 1, TIP);
	for (uint32_t i = 0; i < count; i++) {
		assert_in_range(heights[i], 1, TIP);
		if (i > 0)
			assert_true(heights[i - 1] < heights[i]);
	}
}

static void one_block_is_always_hit(void **test_state)
{
	uint32_t heights[3];
	(void)test_state;
	assert_int_equal(sample_heights(work, NULL, 1, 3, heights), 1);
	assert_int_equal(heights[0], 1);
}

/* 5 needs a second draw now and then; 2^192 + 1 needs the limbs above cut off and those below free. */
static void draws_stay_below_the_bound(void **test_state)
{
	unsigned seen[5] = { 0 };
	struct u256 wide = { { 1, 0, 0, 1 } };
	uint64_t low = 0;
	(void)test_state;
	for (unsigned i = 0; i < 1000; i++) {
		struct u256 draw = sample_below((struct u256){ { 5 } });
		assert_true(draw.limb[0] < 5 && draw.limb[1] == 0 && draw.limb[2] == 0 && draw.limb[3] == 0);
		seen[draw.limb[0]]++;
		draw = sample_below(wide);
		assert_true(u256_compare(draw, wide) < 0);
		low |= draw.limb[0] & draw.limb[1];
	}
	for (unsigned i = 0; i < 5; i++)
		assert_true(seen[i] > 0);
	assert_true(low == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_point_falls_on_its_block),
		cmocka_unit_test(heights_are_ascending_and_distinct),
		cmocka_unit_test(one_block_is_always_hit),
		cmocka_unit_test(draws_stay_below_the_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
