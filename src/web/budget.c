/* A vessel that leaks. */
#include "web/budget.h"

bool budget_allows(struct budget *budget, int64_t now)
{
	int64_t back = (now - budget->looked) * BUDGET_PER_SECOND;

	budget->spent = back < budget->spent ? budget->spent - back : 0;
	budget->looked = now;
	return budget->spent < INT64_C(1000) * BUDGET_MAX_MS;
}

void budget_spend(struct budget *budget, int64_t from, int64_t until)
{
	budget->spent += 1000 * (until - from);
}
