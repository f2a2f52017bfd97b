/* The auditor: does again, on demand, what made a block valid, and says what it found.
 *
 * A block's audit re-executes all its proofs and the update from the state after its parent, and where it ends a round
 * the segments that were drawn and the merge, as a job of the queue on one thread (an audit never holds up
 * verification), and compares with what the chain states: each proof's digest, the outcome (and the merge) in the
 * child's coinbase, the model root in the child's header. Nothing changes on the chain whatever is found.
 *
 * Called on the loop thread; `done` comes on it too, never from within the call that asked. */
#ifndef ATELIER_WORK_AUDITOR_H
#define ATELIER_WORK_AUDITOR_H

#include <event2/event.h>

#include "chain/chain.h"
#include "util/queue.h"

struct auditor;

struct audit_proof {
	struct header header;
	uint8_t id[32], seed[32], found[32]; /* found: the digest that executing gave */
	uint32_t slot, dataset;
	bool right;
	char detail[192]; /* if not right: what is wrong */
};

struct audit_report {
	const struct index_entry *entry;
	char error[512];            /* the audit could not be made, and nothing else here counts; else "" */
	bool closing;               /* because the node is shutting down */
	struct audit_proof *proofs; /* own first, then loose in order; the one asked for if only one was */
	size_t proof_count;
	bool proofs_right;
	/* Of a whole block, if the proofs are right: */
	bool whole; /* the update has been computed */
	struct outcome found, stated;
	struct merge_statement merge_found, merge_stated; /* of no seats: the block merges no round */
	bool has_stated; /* the child states it, or (at the tip) this node's index does */
	bool outcome_right;
	uint8_t found_root[32], stated_root[32];
	bool root_right;
	bool valid; /* everything looked at is right */
};

typedef void auditor_done(void *context, const struct audit_report *report);

struct auditor *auditor_new(struct chain *chain, struct queue *queue, struct event_base *base);
/* Cancels what runs, waits for it, and answers all; called before the chain is closed. auditor_free comes after. */
void auditor_close(struct auditor *auditor);
void auditor_free(struct auditor *auditor);

/* Audits a verified block of height 1 or more; or with `index` one proof of it alone (0: its own). */
void auditor_block(struct auditor *auditor, const struct index_entry *entry, auditor_done *done, void *context);
void auditor_proof(struct auditor *auditor, const struct index_entry *entry, size_t index, auditor_done *done,
	void *context);

#endif
