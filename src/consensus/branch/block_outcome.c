/* The byte form of a block's outcome: for the database alone, nothing here is consensus. */
#include "consensus/branch/block_outcome.h"

#include <string.h>

#include "consensus/branch/pieces.h"

/* Bits of the first byte. */
enum { BLOCK_OUTCOME_VOID = 1, BLOCK_OUTCOME_MERGE = 2 };

/* Losses by their bits: what is read back is what was written, NaN too. */
void block_outcome_write(struct buf *out, const struct block_outcome *block_outcome)
{
	uint32_t loss_before_bits, loss_after_bits;

	memcpy(&loss_before_bits, &block_outcome->loss_before, sizeof loss_before_bits);
	memcpy(&loss_after_bits, &block_outcome->loss_after, sizeof loss_after_bits);
	buf_put_u8(out,
		(block_outcome->outcome.is_void ? BLOCK_OUTCOME_VOID : 0) |
			(block_outcome->merge.seats > 0 ? BLOCK_OUTCOME_MERGE : 0));
	buf_put_le32(out, block_outcome->outcome.slots);
	for (uint32_t i = 0; i < block_outcome->outcome.slots; i++) {
		buf_put_le32(out, block_outcome->outcome.slot[i].count);
		buf_put_u8(out, block_outcome->outcome.slot[i].left_out);
		buf_put_le64(out, (uint64_t)block_outcome->outcome.slot[i].effect);
		buf_put_le64(out, (uint64_t)block_outcome->outcome.slot[i].value);
		buf_put_le64(out, (uint64_t)block_outcome->outcome.slot[i].own);
		buf_put_u8(out, block_outcome->outcome.slot[i].known);
		buf_put_le32(out, block_outcome->dataset[i]);
	}
	buf_put_le32(out, block_outcome->weight);
	buf_put_le64(out, (uint64_t)block_outcome->v_ref);
	buf_put_le32(out, loss_before_bits);
	buf_put_le32(out, loss_after_bits);
	if (block_outcome->merge.seats > 0)
		merge_statement_write(out, &block_outcome->merge);
}

bool block_outcome_read(struct reader *outcome_reader, struct block_outcome *block_outcome)
{
	uint32_t loss_before_bits, loss_after_bits;
	uint8_t outcome_bits = reader_u8(outcome_reader);

	if (outcome_bits > (BLOCK_OUTCOME_VOID | BLOCK_OUTCOME_MERGE))
		reader_fail(outcome_reader);
	memset(block_outcome, 0, sizeof *block_outcome);
	block_outcome->outcome.is_void = (outcome_bits & BLOCK_OUTCOME_VOID) != 0;
	block_outcome->outcome.slots = pieces_count(outcome_reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < block_outcome->outcome.slots; i++) {
		block_outcome->outcome.slot[i].count = reader_le32(outcome_reader);
		block_outcome->outcome.slot[i].left_out = pieces_bool(outcome_reader);
		block_outcome->outcome.slot[i].effect = (int64_t)reader_le64(outcome_reader);
		block_outcome->outcome.slot[i].value = (int64_t)reader_le64(outcome_reader);
		block_outcome->outcome.slot[i].own = (int64_t)reader_le64(outcome_reader);
		block_outcome->outcome.slot[i].known = pieces_bool(outcome_reader);
		block_outcome->dataset[i] = reader_le32(outcome_reader);
	}
	block_outcome->weight = reader_le32(outcome_reader);
	block_outcome->v_ref = (int64_t)reader_le64(outcome_reader);
	loss_before_bits = reader_le32(outcome_reader);
	loss_after_bits = reader_le32(outcome_reader);
	memcpy(&block_outcome->loss_before, &loss_before_bits, sizeof loss_before_bits);
	memcpy(&block_outcome->loss_after, &loss_after_bits, sizeof loss_after_bits);
	if (outcome_bits & BLOCK_OUTCOME_MERGE)
		merge_statement_read(outcome_reader, &block_outcome->merge);
	return outcome_reader->ok;
}
