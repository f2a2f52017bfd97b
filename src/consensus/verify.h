/* The long part of connecting a block, as a pure job for a worker: execute the proofs, measure, update the model
 * (doc/protocol.md sections 6 and 10); and of a chain with rounds what runs are held against (section 20). It sees
 * nothing of the chain: everything it needs is gathered before. */
#ifndef ATELIER_CONSENSUS_VERIFY_H
#define ATELIER_CONSENSUS_VERIFY_H

#include <stdatomic.h>

#include "consensus/branch/registry.h"
#include "consensus/payload/merge_statement.h"
#include "ml/merge.h"
#include "ml/run.h"
#include "ml/state.h"
#include "ml/update.h"

/* One proof to execute. */
struct verify_proof {
	struct header header;
	uint8_t id[32], seed[32];
	uint32_t slot;
	struct state *state; /* what a late one starts from: a reference, held by the job; NULL: the job's parent */
	uint8_t *windows;    /* owned; step_windows_size bytes; NULL if the proof need not be executed */
	uint8_t *delta;   /* owned; block_body_size bytes: the body, if this node already executed the proof; else NULL,
			     filled by the job where the proof is right, unless it is late */
	bool known_right; /* late, and executed before, here or by the job: nobody needs its body */
};

/* One segment of a run to execute: Q_j, and what it is said to give. */
struct verify_segment {
	struct state *base; /* theta_b: a reference, held by the segment */
	uint32_t number;    /* j */
	uint8_t seed[32];   /* s_j */
	uint8_t *windows;   /* owned; run_windows_size bytes */
	uint8_t *start;     /* owned: Q_j, run_code_size bytes, whatever they say */
	uint8_t digest[32]; /* d_(j+1) */
};

/* A disclosure, and what its blob is held against. */
struct verify_disclosure {
	uint8_t trace_root[32]; /* what the seat has committed to */
	uint32_t length;        /* of its run, likewise */
	uint32_t segment;       /* j, as it was drawn for the seat */
	uint8_t *blob;          /* owned */
	size_t size;
};

/* A challenge: its blob is the segment's start. Of one whose segment was not executed before the job finds out whether
 * it is right. */
enum verify_doubt { VERIFY_UNKNOWN, VERIFY_SEGMENT_TRUE, VERIFY_SEGMENT_FALSE };

struct verify_challenge {
	size_t after;                  /* so many of the disclosures come before it */
	enum verify_doubt found;       /* of the segment */
	uint8_t key[32];               /* for the caller, who remembers what is found out */
	uint8_t *digests;              /* d_1 .. d_t, as the run's disclosure says: owned */
	struct verify_segment segment; /* that is said to be false; of a known one number, start and digest are there */
};

/* A seat of the round that a block merges. Of one that was disclosed the job finds out what it is. */
enum verify_standing { VERIFY_SEAT_EMPTY, VERIFY_SEAT_STRUCK, VERIFY_SEAT_DISCLOSED, VERIFY_SEAT_TRUE };

struct verify_seat {
	enum verify_standing standing;
	uint8_t key[32];               /* for the caller, who remembers what is found out */
	uint32_t length;               /* t, segments of the run; 0: it has none */
	uint8_t *change;               /* Q_t, within bounds: owned; of one that is disclosed or true */
	struct verify_segment segment; /* the one drawn, of one that is disclosed */
	/* Codes of all seats are more than memory may hold. So Q_t, and what the segment starts from, may be NULL; then
	 * these read them, when it is their turn. The job is cancelled if one cannot be read. */
	merge_read *read_change, *read_start;
	void *source; /* for both; owned, one piece of memory */
};

/* What a block of a chain with rounds asks for beside its proofs; all zero where it is nothing. */
struct verify_round {
	struct verify_disclosure *disclosures; /* in order */
	size_t disclosure_count;
	struct verify_challenge *challenges; /* in order */
	size_t challenge_count;
	struct verify_seat *seats;
	size_t seat_count; /* 0: it merges no round */
	/* What the merge is measured by, of own pages (ml/course.h), where the merge before it came to nothing: owned.
	 * NULL: the benchmark's windows. */
	uint8_t *own_windows;
};

struct verify_job {
	const struct spec *spec;
	struct state *parent;                    /* a reference, held by the job */
	uint8_t ticket[32];                      /* of the parent */
	uint8_t *benchmark;                      /* owned windows that it draws from the reserved text; those of a block
						    that merges a round as its merge needs them (ml/course.h) */
	struct course_own own[UPDATE_SLOTS_MAX]; /* and from the slots' own pages: owned */
	struct benchmark *parent_benchmark; /* of ml/update.h, if known: a reference, else NULL and filled by the job */
	struct verify_proof *proofs;        /* own first, then loose, then late in order */
	size_t proof_count, body_count;     /* the first body_count make the update: all but the late ones */
	int64_t v_ref;
	struct verify_round round;
	unsigned threads; /* that share each step, the caller's among them; 0 is 1 */
	atomic_bool cancel;
	atomic_uint steps_done; /* proofs done, readable meanwhile */
};

struct verdict {
	bool valid, cancelled;
	struct reject reject; /* if not valid */
	size_t false_proof;   /* index of the proof that failed; SIZE_MAX if none did */
	struct state *state;  /* the state after the block: a reference of the caller's */
	struct outcome outcome;
	struct merge_statement merge;
	float loss_before, loss_after; /* of the benchmark; for people */
};

/* Releases what the job owns, its references too. */
void verify_job_clear(struct verify_job *verify_job);
void verify_round_clear(struct verify_round *verify_round);
void verify_segment_clear(struct verify_segment *segment);
void verify_challenge_clear(struct verify_challenge *challenge);
/* Runs on any thread. Executes proofs without delta (own first), late ones on their own states. Before a digest that
 * differs counts as false, its step is executed once more with every product checked (ml/kernel/freivalds.h) and the
 * engine passes its start-up check again: about two steps in all. An engine that proves wrong thereby is trusted no
 * more (backend_distrust), nobody is blamed for it, and the reference engine executes the step; if that fails its
 * start-up check too, the job is cancelled. A delta that is given must hash to its header's digest. Then the update,
 * always with every product checked: of a wrong value nobody would know before the next block is refused for it. After
 * the proofs comes what the bytes of disclosures and challenges show; after the update, in a block that merges, the
 * segments of seats that are disclosed, each of which is true or struck then, and the merge. The caller owns
 * verdict->state, which is NULL unless the block is valid. */
void verify_run(struct verify_job *verify_job, struct verdict *verdict);

/* One proof alone (a loose one, or an audit), executed whether its delta is given or not: true if the step gives its
 * digest, and proof->delta is its body. found_digest (NULL allowed) is the digest of what the step gives, zero if it
 * has no result. So many threads share the step. Cancelled: false, REJECT_NOT_YET. */
bool verify_one(const struct spec *spec, const struct state *parent, struct verify_proof *proof, unsigned threads,
	atomic_bool *cancel, uint8_t found_digest[32], struct reject *reject);

/* Whether a segment gives the digest that is stated: executed, and doubted before it is called false, as a proof is. A
 * start that is no code within bounds is false at once. found_digest (NULL allowed) is zero if there is no result.
 * Returns false if it was cancelled. */
bool verify_segment(const struct spec *spec, const struct verify_segment *segment, unsigned threads,
	atomic_bool *cancel, bool *is_right, uint8_t found_digest[32]);

#endif
