/* The prober: executes runs of others again that nobody's draw has to show, where the operator gives it idle cores
 * (-recheck), and challenges what is false (doc/protocol.md section 20).
 *
 * Of the open round of the active chain each run that is disclosed, and that chance has chosen (work/probe.h), is
 * executed by the auditor of runs (work/run_auditor.h), several side by side, behind all other work of the node. It
 * begins with the disclosure, which tells the digests, and ends with the last block that may have a challenge. The
 * first segment of a run that comes out differently is challenged, with each tip until a block has it: so again after a
 * reorganisation, too. An engine that computes wrongly accuses nobody: every product is checked, and the mempool
 * executes the segment once more, as a verifier, before it takes the challenge. A false segment that is the drawn one
 * needs none.
 *
 * What is found is in memory alone: after a restart it begins anew. Everything here is called on the loop thread. */
#ifndef ATELIER_WORK_PROBER_H
#define ATELIER_WORK_PROBER_H

#include <event2/event.h>

#include "chain/chain.h"
#include "util/queue.h"
#include "work/runner.h"

struct prober;

enum { PROBER_KEEP = 100 }; /* blocks that what was found of a round is kept for after its merge */

struct prober_options {
	struct chain *chain;
	struct queue *queue;
	struct event_base *base;
	const struct runner *runner; /* whose runs are this node's own */
	unsigned threads;            /* runs at a time */
	int64_t share;               /* of a round's segments, in units of 10^-8; 0: it does nothing */
};

/* On a chain without rounds it does nothing. Ends in two strokes, as the runner does, and before it. */
struct prober *prober_new(const struct prober_options *options);
void prober_close(struct prober *prober);
void prober_free(struct prober *prober);

/* What was found of a run, as of the disclosure that was on the chain last. */
struct prober_info {
	uint32_t executed; /* segments */
	bool is_false;
	uint32_t segment; /* the first false one */
	bool is_challenged;
	uint8_t challenge[32]; /* the txid */
};

/* Of that seat's run from that base. False: nothing was executed. */
bool prober_look(const struct prober *prober, const uint8_t base_id[32], const uint8_t seat_id[32],
	struct prober_info *info);
/* Of all runs from that base: segments executed, false runs. False: nothing was begun there. */
bool prober_count(const struct prober *prober, const uint8_t base_id[32], uint32_t *executed, uint32_t *false_runs);

#endif
