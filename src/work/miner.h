/* The miner: trains attempt after attempt, and hands what comes of it to the chain.
 *
 * An attempt takes the newest template and a random nonce, executes its step as a job of the queue, which lets
 * everything else go first, and looks at the ticket: a loose proof goes to the chain's pool of proofs (and from there
 * to the peers), a block goes to the chain. Attempts have no memory: a new tip cancels them at once, and while a block
 * of our own is being connected nothing is tried, as it would be for a parent that is about to be superseded; nor while
 * a better block than the tip is being verified whose own proof is right. A block that is not due yet is kept
 * (work/found.h), and mining goes on.
 *
 * Two reasons to mine: miner_start mines for good, to one key, unless paused; miner_generate mines until so many blocks
 * are found, to a key of its own, pause or not, and goes first. Everything here is called on the loop thread; callbacks
 * come on it as well, never from within the call that asked for them. */
#ifndef ATELIER_WORK_MINER_H
#define ATELIER_WORK_MINER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/chain.h"
#include "util/queue.h"

struct miner;

enum { MINER_MAX_GENERATE = 100000 };

/* threads: attempts at a time. Subscribes to the chain's events, so it ends in two strokes: miner_close cancels the
 * attempts and waits for them, and answers what waits to be generated; miner_free comes after chain_close. */
struct miner *miner_new(struct chain *chain, struct queue *queue, struct event_base *base, unsigned threads);
void miner_close(struct miner *miner);
void miner_free(struct miner *miner);

void miner_start(struct miner *miner, const uint8_t key[32]);
void miner_stop(struct miner *miner);

/* Waits for the attempts that run to notice their cancellation: a fraction of a second. */
void miner_set_threads(struct miner *miner, unsigned threads);

/* `why` (static text) pauses miner_start's mining; NULL lets it go on. */
void miner_pause(struct miner *miner, const char *why);

/* Called when all blocks are connected, the tries are used up, or it cannot go on: a block was refused, the tip's
 * time is too far ahead of the clock (chain_clock_lag), bytes are lost that the next block needs, of a run
 * (chain_missing_run) or of a dataset, the node shuts down (reason set; the ids found before are there all the same).
 * Ids are in order and borrowed. */
typedef void miner_generated(void *context, const uint8_t (*ids)[32], size_t count, const char *reason);

/* Asks for `count` blocks (1 .. MINER_MAX_GENERATE) with at most `tries` attempts. Requests are served in order. */
void miner_generate(struct miner *miner, size_t count, const uint8_t key[32], uint64_t tries, miner_generated *done,
	void *context);

struct miner_stats {
	bool mining;        /* miner_start is in force */
	const char *paused; /* why it does not go on, for a verdict or bytes too; NULL: it does. The miner's */
	unsigned threads,
		running; /* attempts at a time, and how many are in work: some may wait, or pause for others */
	uint64_t attempts, failed; /* finished steps; those that failed by protocol */
	uint64_t shares, blocks;
	uint64_t steps_per_1000_seconds; /* over the last minute or less */
	uint64_t tokens_per_second;
	uint8_t key[32]; /* who is paid, if mining */
};
void miner_stats(const struct miner *miner, struct miner_stats *stats);

#endif
