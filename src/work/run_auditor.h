/* Audits of runs: executes again, on demand, segments of a run that was disclosed or is this node's own, and compares
 * with the digests that are stated (doc/protocol.md section 20).
 *
 * A segment starts from the code that the one before gave. The drawn one's is in the disclosure, those of own runs are
 * in their traces; for any other the segments before it are executed first, from the nearest code that is there, and
 * are compared too. Each is a job of the queue on one thread, every product checked. Where that is wanted, a segment of
 * another's disclosed run that is found false is challenged; else nothing changes on the chain.
 *
 * Called on the loop thread; `done` comes on it too, never from within the call that asked. */
#ifndef ATELIER_WORK_RUN_AUDITOR_H
#define ATELIER_WORK_RUN_AUDITOR_H

#include "chain/chain.h"
#include "util/queue.h"
#include "work/runner.h"

struct run_auditor;

struct run_audit_segment {
	uint32_t number;
	uint8_t seed[32], expected[32];
	uint8_t found[32]; /* zeros: the segment has no result, or what it starts from is no code within bounds */
	bool is_right;
};

struct run_audit_report {
	uint32_t seat_height, base_height;
	char error[512]; /* the audit could not be made, and nothing below counts; else "" */
	uint32_t dataset;
	bool is_own, is_disclosed;
	struct run_audit_segment *segments; /* executed ones in order; the last is the one asked for, or false */
	size_t count;
	bool is_valid;         /* all of them are right */
	uint8_t blob[32];      /* of the disclosure; zeros: there is none */
	const uint8_t *start;  /* of a false segment of another's disclosed run, what it starts from: for a challenge.
				* Borrowed; NULL: there is none */
	bool is_challenged;    /* a challenge of the last one is in this node's mempool, or waits to enter it: */
	uint8_t challenge[32]; /* its txid */
};

typedef void run_audit_done(void *context, const struct run_audit_report *report);

/* Its jobs are of that kind: QUEUE_AUDIT where somebody waits. */
struct run_auditor *run_auditor_new(struct chain *chain, struct queue *queue, struct event_base *base,
	const struct runner *runner, enum queue_kind kind);
/* Two strokes, as the auditor's (work/auditor.h). */
void run_auditor_close(struct run_auditor *auditor);
void run_auditor_free(struct run_auditor *auditor);

/* The run of the seat of the active chain's block at this height. */
enum { RUN_AUDIT_DRAWN = -1 }; /* the segment that was drawn, or where none was the last that is there */
struct run_audit_order {
	uint32_t seat_height;
	int64_t segment;
	bool challenges;
};
void run_auditor_ask(struct run_auditor *auditor, const struct run_audit_order *order, run_audit_done *done,
	void *context);
/* Those that were asked for with this context are answered within a moment, most of them with an error. */
void run_auditor_cancel(struct run_auditor *auditor, const void *context);

/* Offers a challenge of that segment, which starts from `code`, to the chain. Its mempool executes the segment once
 * more, and only then takes it. False: it is refused. txid is filled either way; to do it again changes nothing. */
bool run_auditor_challenge(struct chain *chain, uint32_t seat_height, uint32_t segment, const uint8_t *code,
	uint8_t txid[32]);

#endif
