/* What is due for a run of this node's own: the one thing to be done next, from how far trace and branch are
 * (doc/protocol.md section 20).
 *
 * Pure: no chain, clock or disk. Nothing is remembered either, so a restart or a reorganisation changes what is due and
 * nothing else. Whoever has committed and does not disclose loses what his block earned: so what is committed to is
 * trained again where the trace is lost, and disclosed though no further run is wanted. */
#ifndef ATELIER_WORK_DUE_H
#define ATELIER_WORK_DUE_H

#include <stdbool.h>
#include <stdint.h>

struct due_facts {
	uint32_t next, base;   /* heights: of the block that comes next, of the run's base */
	uint32_t work, reveal; /* the spec's round_work and round_reveal */
	bool is_open;          /* the next block lies in the round of this base, and the seat is in it */
	bool is_wanted;        /* runs are */
	/* The trace: it has all segments; one of them has no result; the commit is signed. */
	bool is_whole, has_failed, is_signed;
	/* What blocks of the branch say: a commit, to another root than the whole trace's, a disclosure. */
	bool is_committed, is_foreign, is_disclosed;
};

enum due_task {
	DUE_NOTHING,
	DUE_SEGMENT,
	DUE_SIGNATURE,
	DUE_COMMIT,
	DUE_DISCLOSURE,
};

enum due_task due_task(const struct due_facts *facts);

/* The last height whose block may have what comes next: the commit, or after it the disclosure. */
uint32_t due_deadline(const struct due_facts *facts);

#endif
