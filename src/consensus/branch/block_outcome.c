/* The byte form of a block's outcome: for the database alone, nothing here is consensus. */
#include "consensus/branch/block_outcome.h"

#include <string.h>

#include "consensus/branch/pieces.h"

/* Losses by their bits: what is read back is what was written, NaN too. */
void block_outcome_write(struct buf *out, const struct block_outcome *outcome)
{
	uint32_t before, after;

	memcpy(&before, &outcome->loss_before, sizeof before);
	memcpy(&after, &outcome->loss_after, sizeof after);
	buf_put_u8(out, outcome->outcome.is_void);
	buf_put_le32(out, outcome->outcome.slots);
	for (uint32_t i = 0; i < outcome->outcome.slots; i++) {
		buf_put_le32(out, outcome->outcome.slot[i].count);
		buf_put_u8(out, outcome->outcome.slot[i].left_out);
		buf_put_le64(out, (uint64_t)outcome->outcome.slot[i].value);
		buf_put_le32(out, outcome->dataset[i]);
	}
	buf_put_le64(out, (uint64_t)outcome->v_ref);
	buf_put_le32(out, before);
	buf_put_le32(out, after);
}

bool block_outcome_read(struct reader *reader, struct block_outcome *outcome)
{
	uint32_t before, after;

	memset(outcome, 0, sizeof *outcome);
	outcome->outcome.is_void = pieces_bool(reader);
	outcome->outcome.slots = pieces_count(reader, OUTCOME_MAX_SLOTS);
	for (uint32_t i = 0; i < outcome->outcome.slots; i++) {
		outcome->outcome.slot[i].count = reader_le32(reader);
		outcome->outcome.slot[i].left_out = pieces_bool(reader);
		outcome->outcome.slot[i].value = (int64_t)reader_le64(reader);
		outcome->dataset[i] = reader_le32(reader);
	}
	outcome->v_ref = (int64_t)reader_le64(reader);
	before = reader_le32(reader);
	after = reader_le32(reader);
	memcpy(&outcome->loss_before, &before, sizeof before);
	memcpy(&outcome->loss_after, &after, sizeof after);
	return reader->ok;
}
