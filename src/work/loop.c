/* Wakes the event loop when the queue has results, and each second. */
#include "work/loop.h"

#include <stddef.h>

#include "util/mem.h"

static void loop_on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop_queue *loop = arg;

	(void)fd;
	(void)what;
	queue_drain(loop->queue);
}

/* On a worker, and at the same time on several: event_active is the one thing of the loop that they may touch. Wakings
 * that come together are one, which is enough since loop_on_wake takes all there is. */
static void loop_wake(void *context)
{
	struct loop_queue *loop = context;

	event_active(loop->wake, EV_READ, 0);
}

void loop_queue_init(struct loop_queue *loop, struct event_base *base, unsigned capacity)
{
	loop->wake = mem_check(event_new(base, -1, EV_PERSIST, loop_on_wake, loop));
	loop->queue = queue_new(capacity, loop_wake, loop);
}

void loop_queue_clear(struct loop_queue *loop)
{
	if (loop->queue == NULL)
		return;
	/* The threads first: they wake. */
	queue_free(loop->queue);
	event_free(loop->wake);
	loop->queue = NULL;
	loop->wake = NULL;
}

struct event *loop_tick_new(struct event_base *base, event_callback_fn on_tick, void *arg)
{
	struct event *tick = mem_check(event_new(base, -1, EV_PERSIST, on_tick, arg));

	event_add(tick, &(struct timeval){ .tv_sec = 1 });
	return tick;
}

/* Not as EV_TIMEOUT: libevent would take it for the tick that is to come, and put the next one a second behind that,
 * which a hundred wakings put off by as many seconds. */
void loop_tick_wake(struct event *tick)
{
	event_active(tick, EV_READ, 0);
}
