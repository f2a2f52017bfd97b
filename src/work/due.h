/* What is due for a run of this node's own: the one thing to be done next, from how far trace and branch are
 * (doc/protocol.md section 20).
 *
 * A run may end after any segment. It goes on until it is whole, the next segment has no result, or the window of
 * commits closes, and ends then with the segments that are there: so a slow machine earns for what it has trained, and
 * a fast one stands idle for no more than the last blocks of the window. With its commit it has the length that this
 * says, whatever comes.
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
	uint32_t segments;     /* that the run can have: of a whole one, or those before one without a result */
	bool is_open;          /* the next block lies in the round of this base, and the seat is in it */
	bool is_wanted;        /* runs are */
	/* The trace: segments that are there, and those of which a commit is signed (0: none is). */
	uint32_t done, signed_length;
	/* What blocks of the branch say: a commit to so many segments (0: there is none), to another root than the
	 * trace has for these; a disclosure. */
	uint32_t committed_length;
	bool is_foreign, is_disclosed;
};

enum due_task {
	DUE_NOTHING,
	DUE_SEGMENT,
	DUE_SIGNATURE,
	DUE_COMMIT,
	DUE_DISCLOSURE,
};

enum due_task due_task(const struct due_facts *facts);

/* How many segments the run has in the end, as far as can be said now: while it goes on all that it can have. */
uint32_t due_length(const struct due_facts *facts);

/* The height of the tip from which on a run that is not whole ends with what is there. */
uint32_t due_closing(const struct due_facts *facts);

/* The last height whose block may have what comes next: the commit, or after it the disclosure. */
uint32_t due_deadline(const struct due_facts *facts);

/* Where it is too late for that: why the seat stays empty, or what is lost; NULL: it is not. */
#define DUE_NOT_DISCLOSED "no block had its disclosure in time, and what its block earned is lost"
const char *due_missed(const struct due_facts *facts);

#endif
