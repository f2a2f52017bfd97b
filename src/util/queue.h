/* The queue: all long work of a node, on as many threads as the machine is given, the most urgent first.
 *
 * The event loop owns all state. It posts a job (`run`, called on some worker, touches nothing but its own argument)
 * and gets it back (`done`, called on the loop's own thread, by queue_drain or queue_leave). When results wait,
 * `notify` is called from a worker: it must do no more than wake the loop, which then calls queue_drain.
 *
 * The queue has `capacity` slots. A job that runs holds one or more, so no more threads compute at a time than there
 * are slots. What is more urgent goes first, by kind, then by rank; then what came first. A job that is long stops for
 * more urgent ones: it calls queue_pause at points where it can wait, and where a more urgent job lacks slots, its own
 * are lent to that one until it is done. So a block never waits longer than from one such point to the next, and
 * nothing is thrown away. An audit or a text that has waited for two seconds goes before everybody for half a second,
 * one at a time: somebody waits for it, however long the node is busy. So does an attempt that has waited for five: no
 * stranger can stop a miner for good.
 *
 * Two sets of threads run the jobs: those for verification at the usual priority, those for the rest (from QUEUE_AUDIT
 * on) at a lower one, so that mining gives way to whatever else the machine does. */
#ifndef ATELIER_UTIL_QUEUE_H
#define ATELIER_UTIL_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct queue;

/* Most urgent first. */
enum queue_kind {
	QUEUE_BLOCK,    /* proofs of blocks on their way to the tip */
	QUEUE_LOOSE,    /* loose proofs; of the lowest rank, what a block will ask for that is not here yet */
	QUEUE_AUDIT,    /* what an operator asks to see executed again, and the states this needs */
	QUEUE_GENERATE, /* text, logits */
	QUEUE_ATTEMPT,  /* the miner's steps, and segments of this node's own runs */
	QUEUE_SPARE,    /* what nobody waits for: what slots that are left over execute again; it may wait for ever */
	QUEUE_FILE,     /* what writes files for the most part: it holds no slot, QUEUE_FILES run at a time */
};
enum {
	QUEUE_KINDS = QUEUE_FILE + 1,
	QUEUE_RANKS = 3,
	QUEUE_LOOSE_RANKS = 2,
	QUEUE_FILE_RANKS = 2, /* the lower: what peers have this node read */
	QUEUE_FILES = 2,
	QUEUE_CAPACITY_MAX = 256
};

typedef void queue_run(void *arg);
typedef void queue_done(void *arg, bool cancelled); /* cancelled: run was never called */
typedef void queue_notify(void *context);

/* capacity: 1..QUEUE_CAPACITY_MAX. notify may be NULL (then poll with queue_drain). Threads are started as they are
 * needed; where the system gives none for the first job, the process ends. */
struct queue *queue_new(unsigned capacity, queue_notify *notify, void *context);

/* What is posted. `arg` stays the caller's, and done is called exactly once. */
struct queue_job {
	enum queue_kind kind;
	unsigned rank;     /* below QUEUE_RANKS of blocks, QUEUE_LOOSE_RANKS of loose proofs: the higher go first, and
			    * are paused for; below QUEUE_FILE_RANKS of files: the higher go first; else 0 */
	unsigned threads;  /* that it can use, its own among them; 0 is 1 */
	const void *owner; /* whose it is: for queue_leave */
	queue_run *run;
	queue_done *done;
	void *arg;
};
void queue_post(struct queue *queue, const struct queue_job *job);

/* Of a job that runs, on its own thread. How many threads it may use, its own among them: as many as it asked for, or
 * as more urgent ones leave, for as long as it runs. 1 outside a job. */
unsigned queue_threads(void);
/* Lets more urgent jobs go first, if any lack slots. Returns when they are done, or *cancel (NULL allowed) is set.
 * Costs next to nothing where nobody waits. Outside a job it does nothing, nor on other threads that a job has made:
 * the job's own thread calls it, at a point where those rest. */
void queue_pause(const atomic_bool *cancel);
/* While a job holds what others may wait for, a lock, queue_pause does nothing: else those would wait for it and it for
 * them. On and off in pairs, not nested. */
void queue_hold(bool on);

/* Calls done for every job that has finished; returns how many. */
size_t queue_drain(struct queue *queue);

/* From now on queue_drain ends with a call of `after` if any job was done in it: for what is better looked at once than
 * after each result. NULL: nothing more is called. */
typedef void queue_after(void *context);
void queue_after_drain(struct queue *queue, queue_after *after, void *context);

/* Drops the jobs of an owner that only wait, waits for those that run (which the caller has told to cancel; they pause
 * no more), and calls done for all of them (cancelled for the dropped), for nobody else's. done may post again: that is
 * dropped too. */
void queue_leave(struct queue *queue, const void *owner);

/* Blocks until at least one result waits or nothing is pending, or for so many milliseconds at most (0: no limit). */
void queue_wait(struct queue *queue, unsigned ms);

/* Jobs posted whose done has not been called yet. */
size_t queue_pending(const struct queue *queue);
unsigned queue_capacity(const struct queue *queue);

/* Waits for the jobs that run, drops those that only wait, calls done for all (cancelled for the dropped), ends the
 * threads. Jobs that a done posts meanwhile are dropped too. notify is not called any more once this has returned. */
void queue_free(struct queue *queue);

#endif
