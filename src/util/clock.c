/* The two clocks, and what tests make them say. */
#include "util/clock.h"

#include <stdatomic.h>
#include <time.h>

/* 0: the real clock. Atomic: any thread asks, while RPC sets it. */
static _Atomic int64_t clock_mock, clock_mock_mono;

int64_t clock_wall(void)
{
	int64_t pretended = atomic_load(&clock_mock);

	return pretended ? pretended : (int64_t)time(NULL);
}

void clock_set_mock(int64_t seconds)
{
	atomic_store(&clock_mock, seconds);
}

int64_t clock_mono_ms(void)
{
	int64_t pretended = atomic_load(&clock_mock_mono);
	struct timespec mono;

	/* Not time(): somebody who sets the clock would let timeouts pass, or never come. */
	if (pretended)
		return pretended;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (int64_t)mono.tv_sec * 1000 + mono.tv_nsec / 1000000;
}

void clock_set_mono(int64_t ms)
{
	atomic_store(&clock_mock_mono, ms);
}
