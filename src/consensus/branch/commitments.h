/* The commitments of the last 2016 blocks, and which of them a registration has opened (doc/protocol.md section 12). */
#ifndef ATELIER_CONSENSUS_BRANCH_COMMITMENTS_H
#define ATELIER_CONSENSUS_BRANCH_COMMITMENTS_H

#include "consensus/branch/part.h"
#include "consensus/branch/slices.h"
#include "consensus/payload/commitment.h"

struct commitments_hashes; /* of one block, ascending; copies of a branch's facts share them. Of one thread alone */

struct commitments_block {
	struct commitments_hashes *hashes;              /* NULL: it has none */
	uint8_t opened[(COMMITMENT_BLOCK_MAX + 7) / 8]; /* bit i: a registration has used up number i */
};

struct commitments {
	uint32_t newest;                                    /* height of the last block recorded */
	uint32_t recorded;                                  /* blocks, at most COMMITMENT_WINDOW */
	uint32_t count, opened;                             /* of all of them */
	struct commitments_block blocks[COMMITMENT_WINDOW]; /* that at height h: number h mod COMMITMENT_WINDOW */
};

/* A registration that looks for its commitment. */
struct commitments_claim {
	uint8_t hash[32];
	uint32_t committed; /* height of the block that has it; 0: none */
	uint32_t number;    /* of the claim, for who asks: as it was before they were sorted */
};

struct commitments_opened {
	uint32_t height, place;
};

struct commitments_undo {
	bool has_dropped; /* the oldest block was */
	struct commitments_block dropped;
	struct commitments_opened *opened;
	uint32_t opened_count;
};

/* For registrations of different hashes in the newest block's child, which is at `height`: of each the block whose
 * commitment it opens, the oldest of its hash that is `delay` blocks old and not used up. Sorts the claims by hash.
 * However many they are, the window is walked once. */
void commitments_find(const struct commitments *commitments, struct commitments_claim *claims, size_t count,
	uint32_t height, uint32_t delay);

/* The contract of consensus/branch/part.h; a zeroed one is that after genesis. What commitments_apply opens is what
 * the block says that its registrations were committed to by. */
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
void commitments_changed(const struct commitments *commitments, const struct commitments_undo *undo,
	struct slices *changed);
bool commitments_write_slice(struct buf *out, const struct commitments *commitments, const struct slice *slice);
bool commitments_read_slice(struct commitments *commitments, const struct slice *slice,
	struct reader *commitments_reader);
bool commitments_whole(const struct commitments *commitments);

#endif
