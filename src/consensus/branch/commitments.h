/* The commitments of the last 2016 blocks, and which of them a registration has opened (doc/protocol.md section 12). */
#ifndef ATELIER_CONSENSUS_BRANCH_COMMITMENTS_H
#define ATELIER_CONSENSUS_BRANCH_COMMITMENTS_H

#include "consensus/branch/part.h"
#include "consensus/payload/commitment.h"

struct commitments_entry {
	uint8_t hash[32];
	bool is_open; /* a registration has used it up */
};

struct commitments {
	uint32_t newest;   /* height of the last block recorded */
	uint32_t recorded; /* blocks, at most COMMITMENT_WINDOW */
	uint16_t counts[COMMITMENT_WINDOW];
	struct commitments_entry *list; /* of all blocks, oldest first; a block's own ascending by hash */
	size_t count;
};

struct commitments_undo {
	bool has_dropped; /* the oldest block was */
	uint32_t dropped_count;
	struct commitments_entry dropped[COMMITMENT_BLOCK_MAX];
	uint32_t *opened; /* places in the list before the block */
	uint32_t opened_count;
};

/* Height of the block that holds the commitment which this registration, in the newest block's child, which is at
 * `height`, opens: the oldest of its hash that is `delay` blocks old and not used up. 0: there is none. */
uint32_t commitments_find(const struct commitments *commitments, const struct contribution *contribution,
	uint32_t height, uint32_t delay);

/* The contract of consensus/branch/part.h; a zeroed one is that after genesis. */
void commitments_copy(struct commitments *to, const struct commitments *from);
void commitments_clear(struct commitments *commitments);
void commitments_apply(struct commitments *commitments, const struct branch_block *block,
	struct commitments_undo *undo);
bool commitments_undo_fits(const struct commitments *commitments, const struct commitments_undo *undo);
void commitments_undo(struct commitments *commitments, const struct commitments_undo *undo);
void commitments_undo_clear(struct commitments_undo *undo);
void commitments_write(struct buf *out, const struct commitments *commitments);
bool commitments_read(struct commitments *commitments, struct reader *commitments_reader);
void commitments_undo_write(struct buf *out, const struct commitments_undo *undo);
bool commitments_undo_read(struct commitments_undo *undo, struct reader *commitments_reader);

#endif
