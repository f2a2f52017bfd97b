/* Targets: 256-bit arithmetic, the compact form with its traps, work, and ASERT against the published runs; and the
 * pace. */
#include "consensus/pace.h"
#include "consensus/spec.h"
#include "consensus/target.h"
#include "unit.h"
#include "util/bytes.h"
#include "vectors.h"

static struct u256 number(const char *hex)
{
	uint8_t le[32];
	char text[65];

	snprintf(text, sizeof text, "%064d", 0);
	memcpy(text + 64 - strlen(hex), hex, strlen(hex));
	assert_true(hex_decode_reversed(le, 32, text));
	return u256_from_bytes(le);
}

static void assert_number(struct u256 a, const char *hex)
{
	char text[65], want[65];

	u256_hex(a, text);
	u256_hex(number(hex), want);
	assert_string_equal(text, want);
}

#define ONES "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static void test_arithmetic(void **state)
{
	struct u256 a = number("123456789abcdef0fedcba9876543210f0e1d2c3b4a5968778695a4b3c2d1e0f");
	struct u256 b = number("fedcba98765432100123456789abcdef");
	uint8_t bytes[32];
	bool overflow;

	(void)state;
	assert_number(u256_add(number(ONES), number("2")), "1");
	assert_number(u256_add(number("ffffffffffffffff"), number("1")), "10000000000000000");
	assert_number(u256_sub(number("10000000000000000"), number("1")), "ffffffffffffffff");
	assert_number(u256_sub(number("0"), number("1")), ONES);
	assert_number(u256_mul_u64(a, 10, &overflow),
		"b60b60b60b60b569f49f49f49f49f4a968d23ba50e77e14ab41d86f059c32c96");
	assert_false(overflow);
	u256_mul_u64(a, 15, &overflow);
	assert_true(overflow);
	assert_number(u256_mul_u64(number(ONES), 2, NULL),
		"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe");
	assert_number(u256_shift_left(a, 68), "edcba9876543210f0e1d2c3b4a5968778695a4b3c2d1e0f00000000000000000");
	assert_number(u256_shift_right(a, 68), "123456789abcdef0fedcba9876543210f0e1d2c3b4a5968");
	assert_number(u256_shift_left(a, 0), "123456789abcdef0fedcba9876543210f0e1d2c3b4a5968778695a4b3c2d1e0f");
	assert_number(u256_shift_right(a, 256), "0");
	assert_number(u256_shift_left(a, 256), "0");
	assert_number(u256_div(a, b), "1249249249249238ec5397829cbc14e8");
	assert_number(u256_div(b, a), "0");
	assert_number(u256_div(a, a), "1");
	assert_number(u256_div(number(ONES), number("3")),
		"5555555555555555555555555555555555555555555555555555555555555555");
	assert_int_equal(u256_compare(a, b), 1);
	assert_int_equal(u256_compare(b, a), -1);
	assert_int_equal(u256_compare(a, a), 0);
	u256_to_bytes(a, bytes);
	assert_int_equal(bytes[0], 0x0f);
	assert_int_equal(bytes[31], 0x12);
	assert_int_equal(u256_compare(u256_from_bytes(bytes), a), 0);
}

static void test_compact(void **state)
{
	static const struct {
		uint32_t bits;
		const char *target; /* NULL: refused */
		uint32_t again;     /* the one form it is written in */
	} cases[] = {
		{ 0x00000000, NULL, 0 },
		{ 0x00123456, NULL, 0 },
		{ 0x01003456, NULL, 0 },
		{ 0x02000056, NULL, 0 },
		{ 0x03000000, NULL, 0 },
		{ 0x04000000, NULL, 0 },
		{ 0x20000000, NULL, 0 }, /* zero */
		{ 0x00923456, NULL, 0 },
		{ 0x01803456, NULL, 0 },
		{ 0x04800001, NULL, 0 },
		{ 0x01fedcba, NULL, 0 },
		{ 0x04923456, NULL, 0 },
		{ 0x20ffffff, NULL, 0 }, /* negative */
		{ 0xff123456, NULL, 0 },
		{ 0x21010000, NULL, 0 },
		{ 0x22000100, NULL, 0 },
		{ 0x23000001, NULL, 0 },
		{ 0x2200ffff, NULL, 0 },
		{ 0xff7fffff, NULL, 0 }, /* overflow */
		{ 0x01123456, "12", 0x01120000 },
		{ 0x02123456, "1234", 0x02123400 },
		{ 0x03123456, "123456", 0x03123456 },
		{ 0x04123456, "12345600", 0x04123456 },
		{ 0x05009234, "92340000", 0x05009234 },
		{ 0x02008000, "80", 0x02008000 },
		{ 0x03000080, "80", 0x02008000 },
		{ 0x1d00ffff, "ffff0000000000000000000000000000000000000000000000000000", 0x1d00ffff },
		{ 0x20123456, "1234560000000000000000000000000000000000000000000000000000000000", 0x20123456 },
		{ 0x2100ffff, "ffff000000000000000000000000000000000000000000000000000000000000", 0x2100ffff },
		{ 0x220000ff, "ff00000000000000000000000000000000000000000000000000000000000000", 0x2100ff00 },
	};
	struct u256 target;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool ok = target_from_compact(cases[i].bits, &target);

		if (ok != (cases[i].target != NULL))
			fail_msg("%08x is %s", cases[i].bits, ok ? "taken" : "refused");
		if (!ok)
			continue;
		assert_number(target, cases[i].target);
		assert_int_equal(target_to_compact(target), cases[i].again);
	}
	assert_int_equal(target_to_compact(number(ONES)), 0x2100ffff);
}

static void test_limits_and_work(void **state)
{
	uint8_t ticket[32];

	(void)state;
	assert_number(target_limit(1), ONES);
	assert_number(target_limit(4), "4000000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_limit(3), "5555555555555555555555555555555555555555555555555555555555555555");
	assert_number(target_limit(64), "400000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_share(number("1000"), 5), "5000");
	assert_number(target_share(target_limit(4), 4), ONES);
	assert_number(target_share(target_limit(4), 3),
		"c000000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_work(target_limit(4)), "3");
	assert_number(target_work(number("1")), "8000000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_work(number(ONES)), "1");
	/* Bitcoin's work of a block of difficulty 1. */
	assert_number(target_work(number("ffff0000000000000000000000000000000000000000000000000000")), "100010001");
	u256_to_bytes(number("1000000000000000000"), ticket);
	assert_true(target_met(ticket, number("1000000000000000000")));
	assert_false(target_met(ticket, number("fffffffffffffffff")));
}

/* One run of blocks from an anchor. */
static size_t check_asert(const struct vectors *vectors)
{
	long long anchor_height, anchor_time, height, time;
	struct u256 anchor, limit, target;
	uint32_t anchor_bits, bits;
	const char *text;
	size_t count;

	text = vectors_text(vectors, "anchor");
	assert_int_equal(sscanf(text, "%lld %lld %x", &anchor_height, &anchor_time, &anchor_bits), 3);
	assert_true(target_from_compact(anchor_bits, &anchor));
	assert_true(target_from_compact(0x1d00ffff, &limit));
	for (count = 0; (text = vectors_find(vectors, "block", count)) != NULL; count++) {
		assert_int_equal(sscanf(text, "%lld %lld %x", &height, &time, &bits), 3);
		time -= anchor_time;
		target = target_asert(anchor, 600, 172800, time, height - anchor_height, limit);
		assert_int_equal(target_to_compact(target), bits);
	}
	return count;
}

static void test_asert_runs(void **state)
{
	static const size_t counts[] = { 10, 10, 10, 225, 1000, 10, 1000 };
	struct vectors vectors;
	size_t runs = 0;

	(void)state;
	for (vectors_open(&vectors, "asert.txt"); vectors_next(&vectors); runs++) {
		assert_true(runs < sizeof counts / sizeof *counts);
		assert_int_equal(check_asert(&vectors), counts[runs]);
	}
	assert_int_equal(runs, sizeof counts / sizeof *counts);
}

static void test_asert_wide(void **state)
{
	struct u256 limit = target_limit(4), anchor = limit;

	(void)state;
	/* Anchor times factor has more than 256 bits here: a half of it must not lose them. */
	assert_number(target_asert(anchor, 600, 172800, 0, 287, limit),
		"2000000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_asert(anchor, 600, 172800, 600, 0, limit),
		"4000000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_asert(anchor, 600, 172800, INT64_C(600) + 172800 * 400, 0, limit),
		"4000000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_asert(number("10000"), 600, 172800, 600 + 172800 * 3, 0, limit), "80000");
	assert_number(target_asert(anchor, 600, 172800, 600 - 172800 * 254, 0, limit), "1");
	assert_number(target_asert(anchor, 600, 172800, 600 - 172800 * 253, 0, limit), "2");
	assert_number(target_asert(anchor, 600, 172800, 600 - INT64_C(172800) * 5000, 0, limit), "1");
	assert_number(target_asert(number("3"), 600, 172800, 600 + 172800 * 20, 0, limit), "300000");
	/* As large as 256 bits hold is not too large where k is 1. */
	assert_number(target_asert(limit, 600, 172800, 600 + 172800, 0, target_limit(1)),
		"8000000000000000000000000000000000000000000000000000000000000000");
	assert_number(target_asert(limit, 600, 172800, 600 + 172800 * 2, 0, target_limit(1)), ONES);
	/* Half a half-life late and early: the polynomial's value at 1/2. */
	assert_number(target_asert(number("10000"), 600, 172800, 600 + 86400, 0, limit), "16a02");
	assert_number(target_asert(number("10000"), 600, 172800, 600 - 86400, 0, limit), "b501");
}

static void test_next_bits(void **state)
{
	struct spec spec = { .k = 8, .spacing = 60, .genesis_time = 1000000 };
	struct u256 target;

	(void)state;
	spec.start_bits = target_to_compact(target_limit(8));
	assert_int_equal(spec.start_bits, 0x20200000);
	/* On schedule, and one half-life of blocks ahead of it. */
	assert_int_equal(target_next_bits(&spec, 0, 1000000), 0x20200000);
	assert_int_equal(target_next_bits(&spec, 72, 1000000), 0x20100000);
	assert_int_equal(target_next_bits(&spec, 72, 1000000 + 72 * 60), 0x20200000);
	/* A harder start: as hard on schedule, and as easy as any chain may be two half-lives late. */
	spec.start_bits = 0x20080000;
	assert_int_equal(target_next_bits(&spec, 72, 1000000 + 72 * 60), 0x20080000);
	assert_int_equal(target_next_bits(&spec, 72, 1000000 + 144 * 60), 0x20100000);
	assert_int_equal(target_next_bits(&spec, 72, 1000000 + 360 * 60), 0x20200000);
	assert_int_equal(target_next_bits(&spec, 10, 2000000), 0x20200000);
	assert_true(target_from_compact(target_next_bits(&spec, 4000000, 1000001), &target));
	spec.spacing = 0;
	assert_int_equal(target_next_bits(&spec, 72, 1000000), 0x20080000);
}

/* === The pace of a chain === */

enum { GENESIS = 1000000 };

static const struct spec paced_spec = { .genesis_time = GENESIS, .spacing = 10, .k = 8 };
static const struct spec free_spec = { .genesis_time = GENESIS, .spacing = 0, .k = 8 };

static void test_least_time(void **state)
{
	/* A quarter of a spacing a block, rounded up. */
	static const uint32_t first[PACE_BACK] = { 0, 3, 5, 8, 10, 13, 15, 18 };

	(void)state;
	for (uint32_t height = 1; height < PACE_BACK; height++)
		assert_true(pace_least_time(&paced_spec, height, GENESIS) == GENESIS + first[height]);
	assert_true(pace_least_time(&paced_spec, PACE_BACK, GENESIS) == GENESIS + 20);
	assert_true(pace_least_time(&paced_spec, 100000, GENESIS + 7) == GENESIS + 27);
	/* Beyond the largest time there is none: no block can follow. */
	assert_true(pace_least_time(&paced_spec, 100000, UINT32_MAX) == UINT64_C(0x100000013));
	assert_true(pace_least_time(&free_spec, 1, GENESIS) == 0);
	assert_true(pace_least_time(&free_spec, 100, UINT32_MAX) == 0);
}

/* Whatever times its miner picks, no stretch of blocks is shorter than four blocks a spacing. */
static void test_pace_of_a_burst(void **state)
{
	uint32_t times[101] = { GENESIS };

	(void)state;
	for (uint32_t height = 1; height <= 100; height++)
		times[height] = (uint32_t)pace_least_time(&paced_spec, height,
			times[height < PACE_BACK ? 0 : height - PACE_BACK]);
	for (uint32_t height = PACE_BACK; height <= 100; height++) {
		assert_true(times[height] - times[height - PACE_BACK] >= 20);
		assert_int_equal(pace_most_proofs(&paced_spec, times[height], times[height - PACE_BACK]), 8);
	}
	assert_true(times[96] == GENESIS + 240);
}

static void test_most_proofs(void **state)
{
	(void)state;
	assert_int_equal(pace_most_proofs(&paced_spec, GENESIS, GENESIS), 8);
	assert_int_equal(pace_most_proofs(&paced_spec, GENESIS - 5, GENESIS), 8);
	assert_int_equal(pace_most_proofs(&paced_spec, GENESIS + 22, GENESIS), 8);
	assert_int_equal(pace_most_proofs(&paced_spec, GENESIS + 23, GENESIS), 9);
	assert_int_equal(pace_most_proofs(&paced_spec, GENESIS + 79, GENESIS), 31);
	assert_int_equal(pace_most_proofs(&paced_spec, GENESIS + 80, GENESIS), 32);
	assert_int_equal(pace_most_proofs(&paced_spec, UINT32_MAX, 0), 32);
	assert_int_equal(pace_most_proofs(&free_spec, GENESIS, GENESIS), 32);
}

/* === Dates against the target === */

enum dating { DATING_CLOCK, DATING_LATEST, DATING_EARLIEST, DATING_TURNS, DATINGS };

enum { DATED_BLOCKS = 4000, DATED_MEDIAN = 11 };

/* Of main's time, and the work of a block of its first target. */
static const struct spec dated_spec = { .genesis_time = GENESIS, .spacing = 600, .k = 8, .start_bits = 0x1f100000 };
static const uint64_t dated_work = 4096;

static int compare_times(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The least time that a child of the last of these blocks may have. */
static uint32_t earliest_date(const uint32_t *times, uint32_t height)
{
	uint32_t recent[DATED_MEDIAN], count = height < DATED_MEDIAN ? height : DATED_MEDIAN;
	uint64_t least = pace_least_time(&dated_spec, height, times[height > PACE_BACK ? height - PACE_BACK : 0]);

	memcpy(recent, times + height - count, count * sizeof *recent);
	qsort(recent, count, sizeof *recent, compare_times);
	return least > recent[count / 2] ? (uint32_t)least : recent[count / 2] + 1;
}

static uint32_t choose_date(enum dating dating, uint32_t height, uint32_t now, uint32_t earliest)
{
	const uint32_t latest = now + spec_future_limit(&dated_spec);
	uint32_t date = now;

	if (dating == DATING_LATEST || (dating == DATING_TURNS && height % 2 == 0))
		date = latest;
	else if (dating != DATING_CLOCK)
		date = earliest;
	return date > earliest ? date : earliest;
}

/* What one who finds all blocks needs for so many of them: milliseconds of a power of `tenths` / 10 blocks a spacing.
 * He waits where the least date is more than the limit ahead. */
static uint64_t time_needed(enum dating dating, uint32_t blocks, uint32_t tenths)
{
	static uint32_t times[DATED_BLOCKS + 1];
	uint64_t clock_ms = UINT64_C(1000) * GENESIS;

	times[0] = GENESIS;
	for (uint32_t height = 1; height <= blocks; height++) {
		uint32_t date = choose_date(dating, height, (uint32_t)(clock_ms / 1000), earliest_date(times, height));
		uint64_t due_ms = UINT64_C(1000) * (date - spec_future_limit(&dated_spec));
		struct u256 target;

		assert_true(target_from_compact(target_next_bits(&dated_spec, height - 1, date), &target));
		clock_ms += target_work(target).limb[0] * 10000 * dated_spec.spacing / (dated_work * tenths);
		if (clock_ms < due_ms)
			clock_ms = due_ms;
		times[height] = date;
	}
	return clock_ms - UINT64_C(1000) * GENESIS;
}

/* However a miner dates all blocks, he saves what is found within the future limit, once, and no more on a long chain
 * than on a short one. */
static void test_dates_save_no_work(void **state)
{
	static const uint32_t powers[] = { 1, 10, 100 }, lengths[] = { 300, DATED_BLOCKS };

	(void)state;
	for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
		for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
			uint64_t honest = time_needed(DATING_CLOCK, lengths[j], powers[i]);
			uint64_t limit = UINT64_C(1000) * (spec_future_limit(&dated_spec) + 1);

			for (enum dating dating = DATING_LATEST; dating < DATINGS; dating++)
				if (time_needed(dating, lengths[j], powers[i]) + limit < honest)
					fail_msg("dating %d, power %u / 10, %u blocks", dating, (unsigned)powers[i],
						(unsigned)lengths[j]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_limits_and_work),
		cmocka_unit_test(test_asert_runs),
		cmocka_unit_test(test_asert_wide),
		cmocka_unit_test(test_next_bits),
		cmocka_unit_test(test_least_time),
		cmocka_unit_test(test_pace_of_a_burst),
		cmocka_unit_test(test_most_proofs),
		cmocka_unit_test(test_dates_save_no_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
