/* The reward bucket (doc/protocol.md section 13): what of the compute part the blocks so far have not paid out. */
#ifndef ATELIER_CONSENSUS_BRANCH_BUCKET_H
#define ATELIER_CONSENSUS_BRANCH_BUCKET_H

#include "consensus/branch/part.h"

struct bucket {
	int64_t amount;
};

struct bucket_undo {
	int64_t amount_before;
};

/* The contract of consensus/branch/part.h. Any undo fits. */
void bucket_apply(struct bucket *bucket, const struct branch_block *block, struct bucket_undo *undo);
void bucket_undo(struct bucket *bucket, const struct bucket_undo *undo);
void bucket_write(struct buf *out, const struct bucket *bucket);
bool bucket_read(struct bucket *bucket, struct reader *bucket_reader);
void bucket_undo_write(struct buf *out, const struct bucket_undo *undo);
bool bucket_undo_read(struct bucket_undo *undo, struct reader *bucket_reader);

#endif
