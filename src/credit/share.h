/* Who is owed how much of an income: the arithmetic of settlements (doc/economics.md). Pure.
 *
 * What is to be divided goes to keys in proportion to their weights, each part rounded down; what rounding leaves is
 * not divided, and so comes again next time. A key's part is added to what it was left with last time. What is at least
 * `least` then is paid, the largest first, up to so many payees; everybody else is left with it. */
#ifndef ATELIER_CREDIT_SHARE_H
#define ATELIER_CREDIT_SHARE_H

#include "credit/credit.h"

enum { SHARE_PPM = 1000000 };

struct share_person {
	uint8_t key[32];
	int64_t weight; /* 0 .. MAX_MONEY */
};

struct share_result {
	struct credit_due *paid; /* by key, ascending; owned, as the next */
	size_t paid_count;
	int64_t paid_sum;
	struct credit_due *left; /* by key, ascending; all above 0 */
	size_t left_count;
	int64_t divided; /* of the amount; the rest is what rounding left */
};

/* The share of an income, rounded down. */
int64_t share_of(int64_t income, uint32_t ppm);

/* Divides an amount of 0 .. MAX_MONEY. Keys of `people` and those of `before` are each there once; `people` are sorted
 * in place, by key. */
void share_divide(struct share_result *result, int64_t amount, struct share_person *people, size_t people_count,
	const struct credit_due *before, size_t before_count, int64_t least, size_t payees_max);
void share_clear(struct share_result *result);

#endif
