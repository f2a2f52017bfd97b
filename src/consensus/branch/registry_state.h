/* What a registry is made of. Private to registry.c and registry_bytes.c. */
#ifndef ATELIER_CONSENSUS_BRANCH_REGISTRY_STATE_H
#define ATELIER_CONSENSUS_BRANCH_REGISTRY_STATE_H

#include "consensus/branch/registry.h"

enum {
	WINDOW_BLOCKS = 2016,                /* v_ref looks this far back ... */
	RECORDED_BLOCKS = WINDOW_BLOCKS - 1, /* ... of which the newest outcome is not stated yet */
	DRAWS_MAX = 1 << 20,
};

struct registry {
	const struct spec *spec;
	uint32_t height;
	int64_t bucket;
	struct dataset *datasets; /* by number */
	uint32_t *by_root;        /* numbers, ascending by root */
	size_t count;
	/* Positive slot values of the last stated blocks, oldest first. */
	uint32_t recorded; /* blocks, at most RECORDED_BLOCKS */
	uint8_t value_counts[RECORDED_BLOCKS];
	int64_t *values;
	size_t value_count;
};

/* Of a dataset, what an outcome changes. */
struct statistics {
	uint32_t number;
	uint32_t draws, quarantined_until, total_draws;
	int64_t sum, total_paid;
	unsigned __int128 squares;
};

struct registry_undo {
	uint32_t height; /* of the block that was applied */
	int64_t bucket;
	size_t count; /* datasets before */
	struct statistics changed[OUTCOME_MAX_SLOTS];
	uint32_t changed_count;
	bool has_record;  /* values of a block were appended ... */
	bool has_dropped; /* ... and those of the oldest dropped */
	int64_t dropped[OUTCOME_MAX_SLOTS];
	uint32_t dropped_count;
};

/* Dataset 0 alone, without its counters. */
struct registry *registry_alloc(const struct spec *spec);
/* Appends a dataset; false if its root is there already. */
bool registry_append(struct registry *registry, const struct dataset *dataset);

#endif
