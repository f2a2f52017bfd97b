/* The polynomials against libm in double, the sums against their written-down order, and what NaN does. */
#include "ml/kernel/float.h"
#include "ml/kernel/math.h"
#include "unit.h"

/* Distance in units of the last place of the expected value. */
static double ulps(float found, double expected)
{
	float nearest = (float)expected;
	double unit = (double)float_from_bits(float_bits(fabsf(nearest)) + 1) - (double)fabsf(nearest);

	return fabs((double)found - expected) / unit;
}

static void test_exp(void **state)
{
	double worst = 0;

	(void)state;
	for (int i = -870000; i <= 870000; i += 7) {
		float x = (float)i * 1e-4f;
		double error = ulps(math_exp(x), exp((double)x));

		worst = error > worst ? error : worst;
	}
	assert_true(worst < 2.0);
	assert_true(math_exp(0.0f) == 1.0f && math_exp(-0.0f) == 1.0f);
	assert_true(math_exp(-1e30f) == math_exp(-87.0f) && math_exp(-INFINITY) == math_exp(-87.0f));
	assert_true(math_exp(1e30f) == math_exp(87.0f) && math_exp(INFINITY) == math_exp(87.0f));
	assert_true(isnan(math_exp(NAN)) && isnan(math_exp(-NAN)));
}

static void test_exp_many(void **state)
{
	float x[MATH_EXP_MANY];

	(void)state;
	for (size_t n = 0; n <= MATH_EXP_MANY; n++) {
		for (size_t i = 0; i < n; i++)
			x[i] = i == 7 ? NAN : ((float)i - 50.0f) * 1.9f;
		math_exp_many(x, n);
		for (size_t i = 0; i < n; i++)
			assert_true(i == 7 ? isnan(x[i]) :
					     float_bits(x[i]) == float_bits(math_exp(((float)i - 50.0f) * 1.9f)));
	}
}

static void test_log(void **state)
{
	double worst = 0;

	(void)state;
	for (uint32_t bits = 0x3f800000u; bits < 0x44000000u; bits += 997) {
		float x = float_from_bits(bits);
		double error = fabs((double)math_log(x) - log((double)x)) / (log((double)x) + 1e-3);

		worst = error > worst ? error : worst;
	}
	assert_true(worst < 3e-7);
	assert_true(math_log(1.0f) == 0.0f);
	assert_true(fabs((double)math_log(0x1p-126f) + 126 * log(2)) < 1e-5);
}

static void test_sincos(void **state)
{
	double worst = 0;

	(void)state;
	for (int i = 0; i < 2048 * 64; i++) {
		float x = (float)i / 64.0f, s, c;
		double error;

		math_sincos(x, &s, &c);
		error = fmax(fabs((double)s - sin((double)x)), fabs((double)c - cos((double)x)));
		worst = error > worst ? error : worst;
	}
	assert_true(worst < 1e-6);
}

static float fold_by_hand(const float *x, size_t n)
{
	float lane[16] = { 0 };

	for (size_t i = 0; i < n; i++)
		lane[i % 16] += x[i];
	for (int width = 8; width >= 1; width /= 2)
		for (int j = 0; j < width; j++)
			lane[j] += lane[j + width];
	return lane[0];
}

static void test_sums(void **state)
{
	float x[100], y[100], product[100], lane[16] = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		x[i] = (float)((i * 7919) % 1000 - 500) * 1.1f;
		y[i] = (float)((i * 104729) % 1000) * 0.003f;
		product[i] = x[i] * y[i];
	}
	for (size_t n = 0; n <= 100; n++) {
		assert_true(math_sum16(x, n) == fold_by_hand(x, n));
		assert_true(math_dot16(x, y, n) == fold_by_hand(product, n));
	}
	math_dot16_add(lane, x, y, 48);
	math_dot16_add(lane, x + 48, y + 48, 52);
	assert_true(math_fold16(lane) == math_dot16(x, y, 100));
	/* An empty lane stays +0, also beside -0. */
	x[0] = -0.0f;
	assert_int_equal(float_bits(math_sum16(x, 1)), 0);
}

static void test_max(void **state)
{
	float x[40];

	(void)state;
	for (size_t n = 1; n <= 40; n++) {
		for (size_t at = 0; at < n; at++) {
			for (size_t i = 0; i < n; i++)
				x[i] = -1000.0f - (float)i;
			x[at] = -1.0f;
			assert_true(math_max(x, n) == -1.0f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exp),
		cmocka_unit_test(test_exp_many),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_sincos),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_max),
	};

	return cmocka_run_group_tests_name("ml/math", tests, NULL, NULL);
}
