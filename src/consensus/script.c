/* P2TR and OP_RETURN: the only place that knows their bytes. */
#include "consensus/script.h"

#include <string.h>

enum {
	OP_1 = 0x51,
	OP_RETURN = 0x6a,
	OP_PUSHDATA1 = 0x4c,
	SCRIPT_DIRECT_PUSH_MAX = 75,
	SCRIPT_KEY_SIZE = 32,
};

static const uint8_t payload_magic[3] = { 'a', 't', 'l' };

void script_p2tr(uint8_t script[P2TR_SIZE], const uint8_t key[32])
{
	script[0] = OP_1;
	script[1] = SCRIPT_KEY_SIZE;
	memcpy(script + 2, key, SCRIPT_KEY_SIZE);
}

/* Whether the key is a point is not asked: that would cost a square root an output, and who pays to one that is none
 * has lost his own money only. */
const uint8_t *script_p2tr_key(const struct bytes *script)
{
	if (script->size != P2TR_SIZE || script->data[0] != OP_1 || script->data[1] != SCRIPT_KEY_SIZE)
		return NULL;
	return script->data + 2;
}

bool script_pays(const struct bytes *script, const uint8_t key[32])
{
	const uint8_t *paid_key = script_p2tr_key(script);

	return paid_key != NULL && memcmp(paid_key, key, SCRIPT_KEY_SIZE) == 0;
}

/* One byte is enough: whatever follows it, nobody can spend it. */
bool script_is_op_return(const struct bytes *script)
{
	return script->size > 0 && script->data[0] == OP_RETURN;
}

/* One payload has one script: the push is as short as it can be and reaches to the end. A payload that could be pushed
 * in two ways would be one to some readers and none to others. */
bool script_read_payload(const struct bytes *script, struct reader *payload)
{
	const uint8_t *opcodes = script->data;
	size_t push_start;

	if (script->size < 2 || opcodes[0] != OP_RETURN)
		return false;
	if (opcodes[1] <= SCRIPT_DIRECT_PUSH_MAX)
		push_start = 2;
	else if (opcodes[1] == OP_PUSHDATA1 && script->size >= 3 && opcodes[2] > SCRIPT_DIRECT_PUSH_MAX)
		push_start = 3;
	else
		return false;
	if (script->size - push_start != opcodes[push_start - 1] ||
		script->size - push_start < sizeof payload_magic + 1)
		return false;
	if (memcmp(opcodes + push_start, payload_magic, sizeof payload_magic) != 0)
		return false;
	reader_init(payload, opcodes + push_start + sizeof payload_magic,
		script->size - push_start - sizeof payload_magic);
	return true;
}

void script_begin_payload(struct buf *payload, uint8_t kind)
{
	buf_init(payload);
	buf_put(payload, payload_magic, sizeof payload_magic);
	buf_put_u8(payload, kind);
}

/* One byte of length is enough: the longest payload, a contribution with the longest texts, has 238 bytes. */
void script_end_payload(struct buf *payload, struct buf *script)
{
	buf_put_u8(script, OP_RETURN);
	if (payload->size > SCRIPT_DIRECT_PUSH_MAX)
		buf_put_u8(script, OP_PUSHDATA1);
	buf_put_u8(script, (uint8_t)payload->size);
	buf_put(script, payload->data, payload->size);
	buf_clear(payload);
}
