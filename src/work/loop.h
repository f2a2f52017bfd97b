/* The event loop: the queue whose results come back through it, and ticks.
 *
 * Where a job ends the loop is woken, and calls its `done` on its own thread (util/queue.h). The base must have been
 * made after evthread_use_pthreads(). */
#ifndef ATELIER_WORK_LOOP_H
#define ATELIER_WORK_LOOP_H

#include <event2/event.h>

#include "util/queue.h"

struct loop_queue {
	struct queue *queue; /* NULL: not open */
	struct event *wake;
};

/* capacity: as queue_new's. */
void loop_queue_init(struct loop_queue *loop, struct event_base *base, unsigned capacity);

/* Waits for the jobs that run; every `done` is called before it returns (queue_free). Nothing if it is not open. */
void loop_queue_clear(struct loop_queue *loop);

/* Calls it each second, and as soon as it is woken: then a second after that again. The event is the caller's. */
struct event *loop_tick_new(struct event_base *base, event_callback_fn on_tick, void *arg);
void loop_tick_wake(struct event *tick);

#endif
