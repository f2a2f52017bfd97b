/* The bucket: one amount. It is clipped where it is filled, so what was before cannot be computed and is kept. */
#include "consensus/branch/bucket.h"

#include "consensus/reward.h"

void bucket_apply(struct bucket *bucket, const struct branch_block *block, struct bucket_undo *undo)
{
	struct reward_proofs proofs = { .loose = block->block->loose_count };

	for (size_t i = 0; i < block->block->late_count; i++)
		proofs.late[reward_late_sixteenths(block->late_backs[i])]++;
	undo->amount_before = bucket->amount;
	reward_proof(block->spec, block->height, bucket->amount, &proofs, &bucket->amount);
}

void bucket_undo(struct bucket *bucket, const struct bucket_undo *undo)
{
	bucket->amount = undo->amount_before;
}

void bucket_write(struct buf *out, const struct bucket *bucket)
{
	buf_put_le64(out, (uint64_t)bucket->amount);
}

bool bucket_read(struct bucket *bucket, struct reader *bucket_reader)
{
	bucket->amount = (int64_t)reader_le64(bucket_reader);
	return bucket_reader->ok;
}

void bucket_undo_write(struct buf *out, const struct bucket_undo *undo)
{
	buf_put_le64(out, (uint64_t)undo->amount_before);
}

bool bucket_undo_read(struct bucket_undo *undo, struct reader *bucket_reader)
{
	undo->amount_before = (int64_t)reader_le64(bucket_reader);
	return bucket_reader->ok;
}
