/* A worker pool whose results come back through the event loop.
 *
 * Workers post their results; the loop is woken, and calls each job's `done` on its own thread (util/pool.h). The base
 * must have been made after evthread_use_pthreads(). */
#ifndef ATELIER_NODE_LOOP_H
#define ATELIER_NODE_LOOP_H

#include <event2/event.h>

#include "util/pool.h"

struct loop_pool {
	struct pool *pool;
	struct event *wake;
};

void loop_pool_init(struct loop_pool *loop, struct event_base *base, unsigned threads);

/* Waits for the jobs that run; every `done` is called before it returns (pool_free). */
void loop_pool_clear(struct loop_pool *loop);

/* Lets the calling thread give way to the rest of the machine (nice 10). Once a thread; for long jobs of
 * little hurry. */
void loop_give_way(void);

#endif
