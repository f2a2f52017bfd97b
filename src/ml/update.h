/* What a block does to the model state, and what its proofs are worth (doc/protocol.md section 10).
 *
 * A pure function of the parent's state, the benchmark windows, the deltas of the block's proofs and the threshold
 * below which a slot is left out. */
#ifndef ATELIER_ML_UPDATE_H
#define ATELIER_ML_UPDATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/backend.h"
#include "ml/benchmark.h"

enum { UPDATE_SLOTS_MAX = 16 };

struct update_proof {
	const uint8_t *delta; /* borrowed; step_delta_size bytes that delta_check accepted */
	uint32_t slot;        /* 0 .. slots-1 */
};

struct update_job {
	const struct state *parent;
	struct benchmark *benchmark;       /* at the parent's state over the same windows */
	const uint8_t *windows;            /* [bench_rows][ctx + 1], drawn by the parent's ticket */
	const struct update_proof *proofs; /* own first, then loose in order */
	size_t proof_count;                /* 1 at least */
	uint32_t slots;                    /* 1 .. UPDATE_SLOTS_MAX */
	bool leave_out;                    /* v_ref stands on records */
	int64_t v_ref;                     /* slots with a value below -v_ref are left out; 2^-32 nats, positive */
	const atomic_bool *cancel;         /* may be NULL */
};

/* As a coinbase states it: 0 no proof, 1 used, 2 left out. */
enum update_slot_state { UPDATE_EMPTY, UPDATE_USED, UPDATE_LEFT_OUT };

struct update_slot {
	uint32_t count; /* proofs */
	enum update_slot_state state;
	int64_t value; /* 2^-32 nats; 0 without proofs */
};

struct update_outcome {
	bool is_void;
	struct update_slot slots[UPDATE_SLOTS_MAX]; /* if void, only the counts have a meaning */
	float loss_before, loss_after;              /* NaN where not computed; for people, not for consensus */
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
