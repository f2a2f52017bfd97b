/* Laps of a clock, by kinds of work. */
#include "ml/profile.h"

#include <time.h>

#include "ml/kernel/float.h"

static int64_t profile_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void profile_begin(struct profile *profile)
{
	if (profile != NULL)
		profile->last = profile_now();
}

void profile_count(struct profile *profile, enum profile_kind kind)
{
	int64_t now = profile_now();

	profile->nanoseconds[kind] += now - profile->last;
	profile->last = now;
}
