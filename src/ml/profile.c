/* Laps of a clock, by kinds of work. */
#include "ml/profile.h"

#include <time.h>

#include "ml/kernel/float.h"

static int64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void profile_begin(struct profile *p)
{
	if (p != NULL)
		p->last = clock_now();
}

void profile_count(struct profile *p, enum profile_kind kind)
{
	int64_t time = clock_now();

	p->nanoseconds[kind] += time - p->last;
	p->last = time;
}
