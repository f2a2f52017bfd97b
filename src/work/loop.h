/* The queue whose results come back through the event loop.
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

#endif
