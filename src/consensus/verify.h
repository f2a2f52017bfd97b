/* The long part of connecting a block, as a pure job for a worker: execute the proofs, measure, update the model
 * (doc/protocol.md sections 6 and 10). It sees nothing of the chain: everything it needs is gathered before. */
#ifndef ATELIER_CONSENSUS_VERIFY_H
#define ATELIER_CONSENSUS_VERIFY_H

#include <stdatomic.h>

#include "consensus/branch/registry.h"
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

struct verify_job {
	const struct spec *spec;
	struct state *parent;                    /* a reference, held by the job */
	uint8_t ticket[32];                      /* of the parent */
	uint8_t *benchmark;                      /* owned windows that it draws from the reserved text */
	struct course_own own[UPDATE_SLOTS_MAX]; /* and from the slots' own pages: owned */
	struct benchmark *parent_benchmark; /* of ml/update.h, if known: a reference, else NULL and filled by the job */
	struct verify_proof *proofs;        /* own first, then loose, then late in order */
	size_t proof_count, body_count;     /* the first body_count make the update: all but the late ones */
	int64_t v_ref;
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
	float loss_before, loss_after;
};

/* Releases what the job owns, its references too. */
void verify_job_clear(struct verify_job *verify_job);
/* Runs on any thread. Executes proofs without delta (own first), late ones on their own states. Before a digest that
 * differs counts as false, its step is executed once more with every product checked (ml/kernel/freivalds.h) and the
 * engine passes its start-up check again: about two steps in all. An engine that proves wrong thereby is trusted no
 * more (backend_distrust), nobody is blamed for it, and the reference engine executes the step; if that fails its
 * start-up check too, the job is cancelled. A delta that is given must hash to its header's digest. Then the update,
 * always with every product checked: of a wrong value nobody would know before the next block is refused for it. The
 * caller owns verdict->state, which is NULL unless the block is valid. */
void verify_run(struct verify_job *verify_job, struct verdict *verdict);

/* One proof alone (a loose one, or an audit), executed whether its delta is given or not: true if the step gives its
 * digest, and proof->delta is its body. found_digest (NULL allowed) is the digest of what the step gives, zero if it
 * has no result. So many threads share the step. Cancelled: false, REJECT_NOT_YET. */
bool verify_one(const struct spec *spec, const struct state *parent, struct verify_proof *proof, unsigned threads,
	atomic_bool *cancel, uint8_t found_digest[32], struct reject *reject);

#endif
