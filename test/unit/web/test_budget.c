/* The time that those far away may take: all at once, and what comes back. */
#include "unit.h"
#include "web/budget.h"

static void test_budget(void **state)
{
	struct budget budget = { 0 };
	int64_t now = 1000000;

	(void)state;
	assert_true(budget_allows(&budget, now));
	budget_spend(&budget, now, now + BUDGET_MAX_MS - 1);
	assert_true(budget_allows(&budget, now));
	budget_spend(&budget, now, now + 1);
	assert_false(budget_allows(&budget, now));
	/* One of several seconds is paid back before there is another. */
	budget_spend(&budget, now, now + 2000);
	assert_false(budget_allows(&budget, now + 1000 * 2000 / BUDGET_PER_SECOND));
	assert_true(budget_allows(&budget, now + 1000 * 2000 / BUDGET_PER_SECOND + 1));
	/* Time without calls is not saved up. */
	now += 1000000;
	assert_true(budget_allows(&budget, now));
	budget_spend(&budget, now, now + BUDGET_MAX_MS);
	assert_false(budget_allows(&budget, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_budget) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
