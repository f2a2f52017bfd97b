/* Model states after blocks: a cache in memory, snapshots on disk, and rebuilding what is in neither.
 *
 * The cache holds the states used last up to a bound in bytes, but as many as a block with late proofs needs; the tip's
 * and its round's base's are held beyond it. Every `interval` blocks of the active chain (those that bases of rounds
 * are, where there are any) a worker writes a snapshot (chain/model/snapshots.h). A state that is asked for and not
 * there is replayed from the nearest base (chain/model/replay.h). */
#ifndef ATELIER_CHAIN_MODEL_STATES_H
#define ATELIER_CHAIN_MODEL_STATES_H

#include "chain/model/replay.h"
#include "ml/update.h"
#include "util/queue.h"

struct states;

struct states_options {
	const char *folder; /* made if missing */
	const struct spec *spec;
	const struct index *index;
	const struct record_file *blocks;
	const struct blobs *blobs; /* that of runs' disclosures are in */
	struct queue *queue;
	uint32_t interval; /* 0: the default */
	uint32_t kept;     /* blocks that are kept by a node that prunes; 0: all are */
};

struct states *states_open(const struct states_options *options, struct errmsg *err);
/* Cancels its jobs, waits for them, and releases everything. Waiting callers of states_request get NULL. */
void states_close(struct states *states);

bool states_has(struct states *states, const struct full_entry *full); /* in memory; counts as a use */
/* From memory: a new reference, or NULL. */
struct state *states_get(struct states *states, const struct full_entry *full);
void states_put(struct states *states, const struct full_entry *full,
	struct state *state); /* takes a reference of its own */
/* This node is the tip: its state stays. It must be in memory. */
void states_pin(struct states *states, const struct full_entry *full);
/* Of a chain with rounds: this one is the base of the tip's round, and stays too, from when it is in memory. NULL:
 * there is none yet. */
void states_pin_base(struct states *states, const struct full_entry *full);

/* The benchmark at a state is the same for all of its children (ml/update.h): those of the states measured last are
 * kept, so that a second candidate at a height does not pay for it again. keep takes a reference of its own; the other
 * gives a new one, or NULL. */
void states_keep_benchmark(struct states *states, const struct full_entry *full, struct benchmark *benchmark);
struct benchmark *states_benchmark(const struct states *states, const struct full_entry *full);

/* From memory, or replayed at once: a new reference, NULL with the error set if it cannot be had. Of the options (NULL:
 * none) it takes `progress` and `stop`. */
struct state *states_rebuild(struct states *states, const struct full_entry *full, const struct chain_options *options,
	struct errmsg *err);
/* Replays as a job of that kind and rank; `ready` is called later, on the loop, with a reference of its own to release,
 * or NULL. Who asks for what somebody less urgent has asked for before does not wait for that one's job. */
void states_request(struct states *states, const struct full_entry *full, enum queue_kind kind, unsigned rank,
	void (*ready)(void *context, struct state *state), void *context);

/* A block of the active chain has been connected: a snapshot is begun if one is due. */
void states_connected(struct states *states, const struct full_entry *full);
/* The highest of the snapshots, but for the newest two of all, that are of the branch which ends in `tip` and lie at
 * that height or below: nothing older is needed for any state from there on. 0: there is none, or a rebuild reads. */
uint32_t states_base_below(const struct states *states, const struct full_entry *tip, uint32_t height);
/* What lies below that height is pruned (chain/model/prune.h): its snapshots are removed, and no state is replayed from
 * there. */
void states_prune(struct states *states, uint32_t height);
/* Bytes that snapshots take on the disk. */
uint64_t states_disk_size(const struct states *states);
/* Writes a snapshot now, unless there is one. */
bool states_snapshot(struct states *states, const struct full_entry *full, struct errmsg *err);

#endif
