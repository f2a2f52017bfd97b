/* A pool of worker threads for pure jobs.
 *
 * The event loop owns all state. It posts a job (`run`, called on some worker, touches nothing but its own argument)
 * and gets it back (`done`, called on the loop's own thread, by workers_drain). When results wait, `notify` is called
 * from a worker: it must do no more than wake the loop, which then calls workers_drain.
 *
 * Jobs start in the order they were posted, urgent ones before all others. workers_post, workers_drain, workers_pending
 * and workers_free belong to the loop's thread; `done` may post further jobs. */
#ifndef ATELIER_UTIL_WORKERS_H
#define ATELIER_UTIL_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

struct workers;

typedef void workers_run(void *arg);
typedef void workers_done(void *arg, bool cancelled); /* cancelled: run was never called */
typedef void workers_notify(void *context);

/* threads: 1 at least. notify may be NULL (then poll with workers_drain). */
struct workers *workers_new(unsigned threads, workers_notify *notify, void *context);

/* done is called exactly once for every job posted; arg stays the caller's. */
void workers_post(struct workers *p, workers_run *run, workers_done *done, void *arg, bool urgent);

/* Calls done for every job that has finished; returns how many. */
size_t workers_drain(struct workers *p);

/* From now on workers_drain ends with a call of `after` if any job was done in it: for what is better looked at once
 * than after each result. NULL: nothing more is called. */
typedef void workers_after(void *context);
void workers_after_drain(struct workers *p, workers_after *after, void *context);

/* Blocks until at least one result waits or nothing is pending. For tests and for shutting down in order. */
void workers_wait(struct workers *p);
/* The same, but for so many milliseconds at most. */
void workers_wait_for(struct workers *p, unsigned ms);

/* Jobs posted whose done has not been called yet. */
size_t workers_pending(const struct workers *p);
unsigned workers_threads(const struct workers *p);

/* Waits for the jobs that run, drops those that only queue, calls done for all (cancelled for the dropped), ends the
 * threads. Jobs that a done posts meanwhile are cancelled too. notify is not called any more once this has returned. */
void workers_free(struct workers *p);

#endif
