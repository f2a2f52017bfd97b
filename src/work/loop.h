/* A worker pool whose results come back through the event loop.
 *
 * Workers post their results; the loop is woken, and calls each job's `done` on its own thread (util/workers.h). The
 * base must have been made after evthread_use_pthreads(). */
#ifndef ATELIER_WORK_LOOP_H
#define ATELIER_WORK_LOOP_H

#include <event2/event.h>

#include "util/workers.h"

struct loop_workers {
	struct workers *workers;
	struct event *wake;
};

void loop_workers_init(struct loop_workers *loop, struct event_base *base, unsigned threads);

/* Waits for the jobs that run; every `done` is called before it returns (workers_free). */
void loop_workers_clear(struct loop_workers *loop);

/* Lets the calling thread give way to the rest of the machine (nice 10). Once a thread; for long jobs of
 * little hurry. */
void loop_give_way(void);

#endif
