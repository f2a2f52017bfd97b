/* What a block does to the model state, and what its proofs are worth (doc/protocol.md section 10).
 *
 * A pure function of the parent's state, the windows that it is measured by, the deltas of the block's proofs and the
 * threshold below which a slot is left out. The reserved text decides what may train, and a dataset's own pages, on
 * which nothing trains, what is paid for it. In a chain with rounds (train_config.segments > 0) updates have no
 * momentum, and leave the state's as it is: it belongs to merges (ml/merge.h, section 20). */
#ifndef ATELIER_ML_UPDATE_H
#define ATELIER_ML_UPDATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/backend.h"
#include "ml/benchmark.h"

enum { UPDATE_SLOTS_MAX = 14 };

struct update_proof {
	const uint8_t *delta; /* borrowed; step_delta_size bytes that delta_check accepted */
	uint32_t slot;        /* 0 .. slots-1 */
};

struct update_job {
	const struct state *parent;
	struct benchmark *benchmark;       /* at the parent's state over the same windows */
	const uint8_t *windows;            /* [bench_rows][ctx + 1], drawn by the parent's ticket */
	const struct course_own *own;      /* [slots], none where a slot has no proof; NULL: no slot has any */
	const struct update_proof *proofs; /* own first, then loose in order */
	size_t proof_count;                /* 1 at least */
	uint32_t slots;                    /* 1 .. UPDATE_SLOTS_MAX */
	int64_t v_ref;                     /* slots with an effect below -v_ref are left out; 2^-32 nats, positive */
	const atomic_bool *cancel;         /* may be NULL */
};

/* As a coinbase states it: 0 no proof, 1 used, 2 left out. */
enum update_slot_state { UPDATE_EMPTY, UPDATE_USED, UPDATE_LEFT_OUT };

struct update_slot {
	uint32_t count; /* proofs */
	enum update_slot_state state;
	/* In 2^-32 nats; 0 without proofs. */
	int64_t effect; /* A: by how much the slot's mean lowers the loss of the reserved text */
	int64_t own;    /* O: that of the own pages of its dataset; 0 if it has none */
	int64_t value;  /* V: what is paid, own if known and used; else 0 */
	bool known;     /* the model predicts the own pages clearly better than their bytes' frequencies do */
};

struct update_outcome {
	bool is_void;
	struct update_slot slots[UPDATE_SLOTS_MAX]; /* if void, only the counts have a meaning */
	float loss_before, loss_after;              /* of the reserved text; NaN where not computed; for people */
};

/* Returns the new state (a reference, the caller's) and fills outcome; NULL only if cancelled. */
struct state *update_execute(struct backend *backend, const struct update_job *job, struct update_outcome *outcome);

/* Nats as an integer of 2^-32 nats: nearest, ties to even, clamped to +-2^47; -2^47 if x is not finite. */
int64_t update_value(float nats);

/* The new state alone, from an outcome that a later coinbase stated: no benchmark is computed. For initial sync. Only
 * outcome->is_void and the slots' states are read. */
struct state *update_replay(const struct train_config *config, const struct update_job *job,
	const struct update_outcome *outcome);

#endif
