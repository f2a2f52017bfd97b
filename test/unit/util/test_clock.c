/* The mock clock, the clock that only goes forward, and randomness. */
#include <time.h>

#include "unit.h"
#include "util/clock.h"
#include "util/random.h"

static void test_mock(void **state)
{
	int64_t before = clock_wall();

	(void)state;
	assert_true(before > 1600000000);
	clock_set_mock(1234);
	assert_int_equal(clock_wall(), 1234);
	clock_set_mock(0);
	assert_true(clock_wall() >= before);
}

static void test_mono(void **state)
{
	int64_t before = clock_mono_ms();

	(void)state;
	clock_set_mock(1);
	usleep(2000);
	assert_true(clock_mono_ms() > before);
	clock_set_mock(0);
	clock_set_mono(77);
	usleep(2000);
	assert_int_equal(clock_mono_ms(), 77);
	clock_set_mono(0);
	assert_true(clock_mono_ms() > before);
}

static void test_random(void **state)
{
	uint8_t a[300] = { 0 }, b[300] = { 0 };
	unsigned seen = 0;

	(void)state;
	random_bytes(a, sizeof a);
	random_bytes(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	/* The last bytes are written as well. */
	assert_memory_not_equal(a + 284, b + 284, 16);
	assert_true(random_u64() != random_u64());
	for (int i = 0; i < 1000; i++) {
		uint64_t v = random_below(3);

		assert_true(v < 3);
		seen |= 1u << v;
	}
	assert_int_equal(seen, 7);
	assert_int_equal(random_below(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mock),
		cmocka_unit_test(test_mono),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
