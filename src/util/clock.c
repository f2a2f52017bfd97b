#include "util/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t mock;

int64_t clock_wall(void)
{
	int64_t pretended = atomic_load(&mock);

	return pretended ? pretended : (int64_t)time(NULL);
}

void clock_set_mock(int64_t seconds)
{
	atomic_store(&mock, seconds);
}

int64_t clock_mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
