/* Parts, rounding, who is paid and who is left with what. */
#include "credit/share.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

int64_t share_of(int64_t income, uint32_t ppm)
{
	return income <= 0 ? 0 : (int64_t)((__int128)income * ppm / SHARE_PPM);
}

static int share_compare_people(const void *a, const void *b)
{
	const struct share_person *left_person = a, *right_person = b;

	return memcmp(left_person->key, right_person->key, 32);
}

static int share_compare_keys(const void *a, const void *b)
{
	const struct credit_due *left_due = a, *right_due = b;

	return memcmp(left_due->key, right_due->key, 32);
}

/* The largest first; the key makes the order total. */
static int share_compare_amounts(const void *a, const void *b)
{
	const struct credit_due *left_due = a, *right_due = b;

	if (left_due->amount != right_due->amount)
		return left_due->amount < right_due->amount ? 1 : -1;
	return share_compare_keys(a, b);
}

/* Again by key, as the next division wants what is left. */
static struct credit_due *share_copy(const struct credit_due *dues, size_t count)
{
	struct credit_due *dues_copy = mem_calloc(count, sizeof *dues_copy);

	for (size_t i = 0; i < count; i++)
		dues_copy[i] = dues[i];
	if (count > 0)
		qsort(dues_copy, count, sizeof *dues_copy, share_compare_keys);
	return dues_copy;
}

/* What everybody is owed now: both lists are ascending by key, and are merged into one that is too. */
static struct credit_due *share_owe(int64_t amount, const struct share_person *people, size_t people_count,
	const struct credit_due *before, size_t before_count, size_t *owed_count, int64_t *divided)
{
	struct credit_due *owed = mem_calloc(people_count + before_count, sizeof *owed);
	__int128 all_weights = 0;
	size_t i = 0, j = 0;

	*owed_count = 0;
	*divided = 0;
	for (size_t person = 0; person < people_count; person++)
		all_weights += people[person].weight;
	while (i < people_count || j < before_count) {
		const int order = i == people_count ? 1 :
			j == before_count           ? -1 :
						      memcmp(people[i].key, before[j].key, 32);
		struct credit_due *due = &owed[*owed_count];

		memcpy(due->key, order <= 0 ? people[i].key : before[j].key, 32);
		if (order <= 0 && all_weights > 0) {
			/* 128 bits: amount and weight may each be all coins there are. */
			due->amount = (int64_t)((__int128)amount * people[i].weight / all_weights);
			*divided += due->amount;
		}
		due->amount += order >= 0 ? before[j].amount : 0;
		*owed_count += due->amount > 0;
		i += order <= 0;
		j += order >= 0;
	}
	return owed;
}

void share_divide(struct share_result *result, int64_t amount, struct share_person *people, size_t people_count,
	const struct credit_due *before, size_t before_count, int64_t least, size_t payees_max)
{
	size_t owed_count;
	struct credit_due *owed;

	*result = (struct share_result){ .paid_count = 0 };
	if (people_count > 0)
		qsort(people, people_count, sizeof *people, share_compare_people);
	owed = share_owe(amount, people, people_count, before, before_count, &owed_count, &result->divided);
	if (owed_count > 0)
		qsort(owed, owed_count, sizeof *owed, share_compare_amounts);
	while (result->paid_count < owed_count && result->paid_count < payees_max &&
		owed[result->paid_count].amount >= least)
		result->paid_sum += owed[result->paid_count++].amount;
	result->left_count = owed_count - result->paid_count;
	result->paid = share_copy(owed, result->paid_count);
	result->left = share_copy(owed + result->paid_count, result->left_count);
	free(owed);
}

void share_clear(struct share_result *result)
{
	free(result->paid);
	free(result->left);
	*result = (struct share_result){ .paid_count = 0 };
}
