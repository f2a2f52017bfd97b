/* The slot values of the last stated blocks that are v_min at least, and v_ref, which follows from them
 * (doc/protocol.md section 13).
 *
 * v_ref of a block looks at the 2016 blocks before it. The coinbase of a block states the outcome of its parent, so
 * what is stated lies one block back: 2015 blocks are kept here, and the newest outcome, which no coinbase has stated
 * yet, is given with the question. A void block has a place in the window like any other, with no values. */
#ifndef ATELIER_CONSENSUS_BRANCH_VALUES_H
#define ATELIER_CONSENSUS_BRANCH_VALUES_H

#include "consensus/branch/part.h"

enum {
	VALUES_WINDOW = 2016,
	VALUES_RECORDED = VALUES_WINDOW - 1,
};

struct values {
	uint32_t recorded; /* blocks, at most VALUES_RECORDED */
	uint8_t counts[VALUES_RECORDED];
	int64_t *list; /* of all blocks, oldest first */
	size_t count;
};

struct values_undo {
	bool has_record;  /* values of a block were appended ... */
	bool has_dropped; /* ... and those of the oldest dropped */
	int64_t dropped[OUTCOME_MAX_SLOTS];
	uint32_t dropped_count;
};

/* From 64 values on; until then it is v_0. newest: NULL at genesis. */
int64_t values_ref(const struct values *values, const struct spec *spec, const struct outcome *newest);

/* The contract of consensus/branch/part.h; a zeroed one is that after genesis. */
void values_copy(struct values *copied_values, const struct values *values);
void values_clear(struct values *values);
void values_apply(struct values *values, const struct branch_block *block, struct values_undo *undo);
bool values_undo_fits(const struct values *values, const struct values_undo *undo);
void values_undo(struct values *values, const struct values_undo *undo);
void values_write(struct buf *out, const struct values *values);
bool values_read(struct values *values, struct reader *values_reader);
void values_undo_write(struct buf *out, const struct values_undo *undo);
bool values_undo_read(struct values_undo *undo, struct reader *values_reader);

#endif
