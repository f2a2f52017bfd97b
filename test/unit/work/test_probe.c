/* Which runs of others are executed again, and which half of one comes first. */
#include <stdio.h>
#include <string.h>

#include "unit.h"
#include "work/probe.h"

enum { SEATS = 8, SEGMENTS = 4 };

static uint8_t ids[SEATS][32];

static void choose(struct probe_seat *seats, uint8_t secret_byte, int64_t share)
{
	uint8_t secret[32];

	memset(secret, secret_byte, sizeof secret);
	for (uint32_t i = 0; i < SEATS; i++) {
		memset(ids[i], (int)i, 32);
		seats[i] = (struct probe_seat){ .number = i, .id = ids[i], .is_own = i == 5 };
	}
	probe_choose(seats, SEATS, secret, SEGMENTS, share);
}

static uint32_t chosen(const struct probe_seat *seats)
{
	uint32_t sum = 0;

	for (int i = 0; i < SEATS; i++)
		sum += seats[i].most;
	return sum;
}

static void a_share_is_whole_runs_and_a_rest(void **test_state)
{
	static const struct {
		int64_t share;
		uint32_t segments;
	} cases[] = {
		{ 0, 0 }, { 1, 0 }, { PROBE_SHARE_MAX / 32 - 1, 0 }, { PROBE_SHARE_MAX / 32, 1 },
		{ PROBE_SHARE_MAX / 2, 16 }, { PROBE_SHARE_MAX * 19 / 32, 19 },
		{ PROBE_SHARE_MAX, 28 }, /* all but this node's own */
	};
	struct probe_seat seats[SEATS];

	(void)test_state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		choose(seats, 1, cases[i].share);
		assert_int_equal(chosen(seats), cases[i].segments);
		for (uint32_t k = 0; k < SEATS; k++) {
			const uint32_t before = k * SEGMENTS, all = cases[i].segments;

			assert_int_equal(seats[k].most,
				all <= before                   ? 0 :
					all - before < SEGMENTS ? all - before :
								  SEGMENTS);
		}
		assert_int_equal(seats[SEATS - 1].number, 5);
		assert_int_equal(seats[SEATS - 1].most, 0);
	}
}

/* Any seat may be the first, and the same secret chooses the same. */
static void a_secret_chooses(void **test_state)
{
	struct probe_seat seats[SEATS], again[SEATS];
	bool was_first[SEATS] = { false }, was_head[SEATS] = { false }, was_tail[SEATS] = { false };

	(void)test_state;
	for (int secret = 0; secret < 100; secret++) {
		choose(seats, (uint8_t)secret, PROBE_SHARE_MAX / SEATS);
		choose(again, (uint8_t)secret, PROBE_SHARE_MAX / SEATS);
		assert_int_equal(seats[0].number, again[0].number);
		assert_int_equal(seats[0].is_head_first, again[0].is_head_first);
		was_first[seats[0].number] = true;
		(seats[0].is_head_first ? was_head : was_tail)[seats[0].number] = true;
	}
	for (int i = 0; i < SEATS; i++) {
		assert_int_equal(was_first[i], i != 5);
		assert_int_equal(was_head[i], i != 5);
		assert_int_equal(was_tail[i], i != 5);
	}
}

/* All stretches in a row, as "last last ...". */
static void walk(char *walked, struct probe probe, uint32_t drawn, uint32_t length)
{
	uint32_t last;

	*walked = '\0';
	for (int i = 0; i < 4 && probe_next(&probe, drawn, length, &last); i++) {
		sprintf(walked + strlen(walked), " %u", (unsigned)last);
		probe_pass(&probe, drawn, last);
	}
}

static void one_half_comes_first(void **test_state)
{
	static const struct {
		uint32_t most, drawn, length;
		const char *tail_first, *head_first;
	} cases[] = {
		{ 4, 0, 4, " 3", " 3" },
		{ 4, 1, 4, " 3 0", " 0 3" },
		{ 4, 3, 4, " 3 2", " 2 3" },
		{ 4, 1, 2, " 1 0", " 0 1" },
		{ 4, 0, 1, " 0", " 0" },
		{ 2, 3, 4, " 1", " 1" },
		{ 3, 3, 4, " 2", " 2" },
		{ 3, 2, 4, " 2 1", " 1 2" },
		{ 1, 0, 4, " 0", " 0" },
		{ 0, 0, 4, "", "" },
		{ 0, 2, 4, "", "" },
	};
	char walked[64];

	(void)test_state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		walk(walked, (struct probe){ .most = cases[i].most }, cases[i].drawn, cases[i].length);
		assert_string_equal(walked, cases[i].tail_first);
		walk(walked, (struct probe){ .most = cases[i].most, .is_head_first = true }, cases[i].drawn,
			cases[i].length);
		assert_string_equal(walked, cases[i].head_first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_is_whole_runs_and_a_rest),
		cmocka_unit_test(a_secret_chooses),
		cmocka_unit_test(one_half_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
