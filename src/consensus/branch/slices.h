/* What the database holds of the facts of a branch lies in slices: each is written anew when a block changes it, and
 * only then, so that a block costs what it changes, however much there is. */
#ifndef ATELIER_CONSENSUS_BRANCH_SLICES_H
#define ATELIER_CONSENSUS_BRANCH_SLICES_H

#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

/* Ascending: in this order, and by number, they are read. */
enum slice_kind {
	SLICE_FACTS,     /* number 0: all that is short, or changes with every block */
	SLICE_DATASET,   /* a dataset */
	SLICE_COMMITTED, /* the commitments of the block at a height, which never change */
	SLICE_OPENED,    /* which of them are used up */
	SLICE_KINDS
};

struct slice {
	enum slice_kind kind;
	uint32_t number;
};

/* A zeroed one is empty; some may be in it twice. */
struct slices {
	struct slice *list;
	size_t count, room;
};

void slices_add(struct slices *slices, enum slice_kind kind, uint32_t number);
void slices_clear(struct slices *slices);

/* What names a slice, for the database: bytes that ascend as slices do. The read fails on another kind. */
enum { SLICE_KEY_SIZE = 5 };
void slices_key_write(const struct slice *slice, uint8_t key[SLICE_KEY_SIZE]);
struct slice slices_key_read(struct reader *key_reader);

#endif
