/* The runner: trains the runs of the seats that are this node's own, commits to them, and discloses what is drawn
 * (doc/protocol.md section 20).
 *
 * Whoever mined a block of one round trains in the next, by himself and in the background: each segment is a job of the
 * queue, as urgent as an attempt of the miner. Several runs go on side by side, on as many threads as mining may have;
 * of more than that the lowest seats come first. What a segment gives is on disk (work/trace.h) before it counts, so a
 * restart goes on with the next. When the trace is whole, or the window of commits is about to close, its commit is
 * signed and sent, and after the beacon the disclosure, each with every block until one has it; after a reorganisation
 * again. What is due follows from branch and trace alone (work/due.h).
 *
 * A seat is this node's own if one of its wallets has the key. A wallet that is locked is waited for once the trace
 * is to be committed to, with a warning that says until when. Everything here is called on the loop thread. */
#ifndef ATELIER_WORK_RUNNER_H
#define ATELIER_WORK_RUNNER_H

#include <event2/event.h>

#include "chain/chain.h"
#include "util/queue.h"
#include "work/due.h"
#include "work/trace.h"

struct runner;

enum {
	RUNNER_KEEP = 100
}; /* blocks that a trace is kept for after the merge: deeper ones are not undone (section 15) */

/* Who can sign for seats; called on the loop thread. */
struct runner_keys {
	bool (*owns)(void *context, const uint8_t key[32]);
	/* False: not now, as the wallet is locked. */
	bool (*sign)(void *context, const uint8_t key[32], const uint8_t hash[32], uint8_t signature[64]);
	void *context;
};

struct runner_options {
	struct chain *chain;
	struct queue *queue;
	struct event_base *base;
	const char *folder; /* of the traces; made if missing */
	unsigned threads;   /* runs at a time */
	bool is_wanted;     /* false: nothing is begun, and what was committed to is disclosed all the same */
	struct runner_keys keys;
};

/* On a chain without rounds it does nothing. Subscribes to the chain's events, so it ends in two strokes, as the miner
 * does: runner_close cancels the segments in work and waits for them; runner_free comes after chain_close. */
struct runner *runner_new(const struct runner_options *options);
void runner_close(struct runner *runner);
void runner_free(struct runner *runner);

/* How far one is. */
enum runner_stage {
	RUNNER_OTHER_BRANCH, /* its base is not on the active chain */
	RUNNER_TRAINING,     /* or waits for its turn, or for a disk */
	RUNNER_FAILED,       /* the first segment has no result: the seat stays empty */
	RUNNER_LOCKED,       /* a locked wallet has to sign the commit */
	RUNNER_COMMITTING,   /* the commit waits for a block */
	RUNNER_COMMITTED,    /* the beacon is waited for */
	RUNNER_DISCLOSING,   /* the disclosure waits for a block */
	RUNNER_DISCLOSED,
	RUNNER_MISSED, /* it is too late for what would come next */
	RUNNER_OVER,   /* the round is merged */
};
const char *runner_stage_name(enum runner_stage stage);

/* A run of this node's own, for people; borrowed. */
struct runner_info {
	const struct trace *trace;
	enum runner_stage stage;
	uint32_t length;     /* segments that it has in the end, all of them there; 0: it goes on */
	uint32_t dataset;    /* of a round that is open, else 0 */
	bool is_working;     /* a segment of it is in work: */
	uint32_t iterations; /* of that, done */
	uint32_t deadline;   /* the last height for what comes next; 0: nothing does */
	const char *problem; /* why it does not go on, if it cannot; NULL */
};

/* False on a machine that computes wrongly, and while the chain is being fetched: no run would come to anything. */
bool runner_may_train(const struct runner *runner);

/* Whether a loaded wallet has the key of a seat: its runs are this node's own, traces or not. */
bool runner_owns(const struct runner *runner, const uint8_t key[32]);

size_t runner_count(const struct runner *runner);
/* In order of their rounds and seats. */
void runner_look(const struct runner *runner, size_t index, struct runner_info *info);
/* The trace of this seat's run from that base; NULL: there is none here. */
struct trace *runner_trace(const struct runner *runner, const uint8_t base_id[32], const uint8_t seat_id[32]);

#endif
