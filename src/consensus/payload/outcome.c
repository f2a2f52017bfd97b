/* The statement of an outcome: one form only, so that two coinbases that mean the same are the same. */
#include "consensus/payload/outcome.h"

#include "consensus/payload/payload.h"

enum { OUTCOME_EMPTY = 0, OUTCOME_USED = 1, OUTCOME_LEFT_OUT = 2 };

void outcome_script(struct buf *out, const struct outcome *outcome)
{
	struct buf statement;

	script_begin_payload(&statement, PAYLOAD_BYTE_OUTCOME);
	buf_put_u8(&statement, outcome->is_void);
	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++) {
		bool empty = outcome->slot[i].count == 0;

		buf_put_u8(&statement,
			empty                             ? OUTCOME_EMPTY :
				outcome->slot[i].left_out ? OUTCOME_LEFT_OUT :
							    OUTCOME_USED);
		buf_put_le64(&statement, empty ? 0 : (uint64_t)outcome->slot[i].effect);
		buf_put_le64(&statement, empty ? 0 : (uint64_t)outcome->slot[i].value);
	}
	script_end_payload(&statement, out);
}

static bool outcome_in_range(int64_t nats)
{
	return nats >= -OUTCOME_VALUE_MAX && nats <= OUTCOME_VALUE_MAX;
}

/* A count is not stated, only whether there was one: a slot with proofs is read back as one of a single proof. */
static bool outcome_read_slot(struct reader *statement, struct outcome *outcome, uint32_t slot)
{
	uint8_t slot_state = reader_u8(statement);
	int64_t slot_effect = (int64_t)reader_le64(statement);
	int64_t slot_value = (int64_t)reader_le64(statement);

	outcome->slot[slot].count = slot_state != OUTCOME_EMPTY;
	outcome->slot[slot].left_out = slot_state == OUTCOME_LEFT_OUT;
	outcome->slot[slot].effect = slot_effect;
	outcome->slot[slot].value = slot_value;
	if (slot_state == OUTCOME_EMPTY)
		return slot_effect == 0 && slot_value == 0;
	return slot_state <= OUTCOME_LEFT_OUT && outcome_in_range(slot_effect) && outcome_in_range(slot_value);
}

bool outcome_parse(const struct bytes *script, uint32_t slots, struct outcome *outcome)
{
	struct reader statement;
	uint8_t is_void;

	*outcome = (struct outcome){ .slots = slots };
	if (slots > OUTCOME_MAX_SLOTS || !script_read_payload(script, &statement) ||
		reader_u8(&statement) != PAYLOAD_BYTE_OUTCOME)
		return false;
	is_void = reader_u8(&statement);
	if (is_void > 1)
		return false;
	outcome->is_void = is_void;
	for (uint32_t i = 0; !is_void && i < slots; i++)
		if (!outcome_read_slot(&statement, outcome, i))
			return false;
	return reader_done(&statement);
}
