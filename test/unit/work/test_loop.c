/* Ticks: each second, however often they are woken. */
#include <sys/time.h>

#include "unit.h"
#include "work/loop.h"

static void count_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	++*(unsigned *)arg;
}

/* It is called for each waking, and the next tick is due as if it had not been woken before. */
static void test_wakes(void **unused)
{
	struct event_base *base = event_base_new();
	unsigned ticks = 0;
	struct event *tick = loop_tick_new(base, count_tick, &ticks);
	struct timeval now, next;

	(void)unused;
	for (unsigned i = 0; i < 100; i++) {
		loop_tick_wake(tick);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_in_range(ticks, 100, 200);
	assert_true(event_pending(tick, EV_TIMEOUT, &next));
	gettimeofday(&now, NULL);
	assert_true(next.tv_sec <= now.tv_sec + 2);
	event_free(tick);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
