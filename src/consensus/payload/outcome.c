/* The statement of an outcome: one form only, so that two coinbases that mean the same are the same. */
#include "consensus/payload/outcome.h"

#include "consensus/payload/payload.h"

enum { SLOT_EMPTY = 0, SLOT_USED = 1, SLOT_LEFT_OUT = 2 };

void outcome_script(struct buf *out, const struct outcome *outcome)
{
	struct buf payload;

	script_begin_payload(&payload, PAYLOAD_BYTE_OUTCOME);
	buf_put_u8(&payload, outcome->is_void);
	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++) {
		bool empty = outcome->slot[i].count == 0;

		buf_put_u8(&payload, empty ? SLOT_EMPTY : outcome->slot[i].left_out ? SLOT_LEFT_OUT : SLOT_USED);
		buf_put_le64(&payload, empty ? 0 : (uint64_t)outcome->slot[i].value);
	}
	script_end_payload(&payload, out);
}

/* A count is not stated, only whether there was one: a slot with proofs is read back as one of a single proof. */
static bool read_slot(struct reader *payload, struct outcome *outcome, uint32_t slot)
{
	uint8_t state = reader_u8(payload);
	int64_t value = (int64_t)reader_le64(payload);

	outcome->slot[slot].count = state != SLOT_EMPTY;
	outcome->slot[slot].left_out = state == SLOT_LEFT_OUT;
	outcome->slot[slot].value = value;
	if (state == SLOT_EMPTY)
		return value == 0;
	return state <= SLOT_LEFT_OUT && value >= -OUTCOME_VALUE_MAX && value <= OUTCOME_VALUE_MAX;
}

bool outcome_parse(const struct bytes *script, uint32_t slots, struct outcome *outcome)
{
	struct reader payload;
	uint8_t is_void;

	*outcome = (struct outcome){ .slots = slots };
	if (slots > OUTCOME_MAX_SLOTS || !script_read_payload(script, &payload) ||
		reader_u8(&payload) != PAYLOAD_BYTE_OUTCOME)
		return false;
	is_void = reader_u8(&payload);
	if (is_void > 1)
		return false;
	outcome->is_void = is_void;
	for (uint32_t i = 0; !is_void && i < slots; i++)
		if (!read_slot(&payload, outcome, i))
			return false;
	return reader_done(&payload);
}
