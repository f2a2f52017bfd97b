/* The integers that values become: this includes the module itself, to reach the two functions. */
#include "ml/update.c"

#include "unit.h"

static void test_value_integer(void **state)
{
	(void)state;
	assert_true(value_integer(1.0f) == (int64_t)1 << 32);
	assert_true(value_integer(-0.5f) == -((int64_t)1 << 31));
	/* Ties go to even, on both sides. */
	assert_true(value_integer(0x1p-33f) == 0 && value_integer(-0x1p-33f) == 0);
	assert_true(value_integer(0x1.8p-32f) == 2 && value_integer(-0x1.8p-32f) == -2);
	assert_true(value_integer(0x1.4p-31f) == 2 && value_integer(-0x1.4p-31f) == -2);
	assert_true(value_integer(0x1.400002p-31f) == 3 && value_integer(-0x1.400002p-31f) == -3);
	assert_true(value_integer(0x1p-149f) == 0);
	/* 2^47 is 2^15 nats. */
	assert_true(value_integer(32767.998f) < VALUE_MAX && value_integer(32768.0f) == VALUE_MAX);
	assert_true(value_integer(1e38f) == VALUE_MAX && value_integer(-1e38f) == -VALUE_MAX);
	assert_true(value_integer(-32768.0f) == -VALUE_MAX);
	assert_true(value_integer(INFINITY) == -VALUE_MAX && value_integer(-INFINITY) == -VALUE_MAX);
	assert_true(value_integer(NAN) == -VALUE_MAX && value_integer(-NAN) == -VALUE_MAX);
}

static void test_floor_divide(void **state)
{
	(void)state;
	assert_true(floor_divide(7, 2) == 3 && floor_divide(-7, 2) == -4);
	assert_true(floor_divide(-8, 2) == -4 && floor_divide(-1, 257) == -1 && floor_divide(0, 3) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_integer),
		cmocka_unit_test(test_floor_divide),
	};

	return cmocka_run_group_tests_name("ml/update", tests, NULL, NULL);
}
