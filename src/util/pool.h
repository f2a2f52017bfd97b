/* A pool of worker threads for pure jobs.
 *
 * The event loop owns all state. It posts a job (`run`, called on some worker, touches nothing but its own argument)
 * and gets it back (`done`, called on the loop's own thread, by pool_drain). When results wait, `notify` is called
 * from a worker: it must do no more than wake the loop, which then calls pool_drain.
 *
 * Jobs start in the order they were posted, urgent ones before all others. pool_post, pool_drain, pool_pending and
 * pool_free belong to the loop's thread; `done` may post further jobs. */
#ifndef ATELIER_UTIL_POOL_H
#define ATELIER_UTIL_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

typedef void pool_run(void *arg);
typedef void pool_done(void *arg, bool cancelled); /* cancelled: run was never called */
typedef void pool_notify(void *context);

/* threads: 1 at least. notify may be NULL (then poll with pool_drain). */
struct pool *pool_new(unsigned threads, pool_notify *notify, void *context);

/* done is called exactly once for every job posted; arg stays the caller's. */
void pool_post(struct pool *p, pool_run *run, pool_done *done, void *arg, bool urgent);

/* Calls done for every job that has finished; returns how many. */
size_t pool_drain(struct pool *p);

/* Blocks until at least one result waits or nothing is pending. For tests and for shutting down in order. */
void pool_wait(struct pool *p);
/* The same, but for so many milliseconds at most. */
void pool_wait_for(struct pool *p, unsigned ms);

/* Jobs posted whose done has not been called yet. */
size_t pool_pending(const struct pool *p);
unsigned pool_threads(const struct pool *p);

/* Waits for the jobs that run, drops those that only queue, calls done for all (cancelled for the dropped), ends the
 * threads. Jobs that a done posts meanwhile are cancelled too. notify is not called any more once this has returned. */
void pool_free(struct pool *p);

#endif
