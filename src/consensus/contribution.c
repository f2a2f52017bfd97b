#include "consensus/contribution.h"

#include <string.h>

#include "consensus/spec.h"
#include "crypto/merkle.h"
#include "crypto/schnorr.h"

enum {
	OP_1 = 0x51,
	OP_RETURN = 0x6a,
	OP_PUSHDATA1 = 0x4c,
	DIRECT_PUSH_MAX = 75,
	KIND_OUTCOME = 0,
	KIND_DATA = 1,
	LICENCE_MAX = 16,
	TITLE_MAX = 64,
	SLOT_EMPTY = 0,
	SLOT_USED = 1,
	SLOT_LEFT_OUT = 2,
	BLOB_PAGE = 4096,
};

static const uint8_t magic[3] = { 'a', 't', 'l' };

/* === Scripts === */

void script_p2tr(uint8_t out[P2TR_SIZE], const uint8_t key[32])
{
	out[0] = OP_1;
	out[1] = 32;
	memcpy(out + 2, key, 32);
}

/* The payload of OP_RETURN and one minimal push, with a magic and a kind; false for any other script. */
static bool read_payload(const struct bytes *script, struct reader *payload)
{
	const uint8_t *p = script->data;
	size_t start;

	if (script->size < 2 || p[0] != OP_RETURN)
		return false;
	if (p[1] <= DIRECT_PUSH_MAX)
		start = 2;
	else if (p[1] == OP_PUSHDATA1 && script->size >= 3 && p[2] > DIRECT_PUSH_MAX)
		start = 3;
	else
		return false;
	if (script->size - start != p[start - 1] || script->size - start < sizeof magic + 1)
		return false;
	if (memcmp(p + start, magic, sizeof magic) != 0)
		return false;
	reader_init(payload, p + start + sizeof magic, script->size - start - sizeof magic);
	return true;
}

static void write_script(struct buf *out, const struct buf *payload)
{
	buf_put_u8(out, OP_RETURN);
	if (payload->size > DIRECT_PUSH_MAX)
		buf_put_u8(out, OP_PUSHDATA1);
	buf_put_u8(out, (uint8_t)payload->size);
	buf_put(out, payload->data, payload->size);
}

static void begin_payload(struct buf *payload, uint8_t kind)
{
	buf_init(payload);
	buf_put(payload, magic, sizeof magic);
	buf_put_u8(payload, kind);
}

/* === Data === */

/* Length of the UTF-8 character at p if it is one (shortest form, no surrogate) and no control character, else 0. */
static size_t printable_length(const uint8_t *p, size_t left)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	uint32_t c;

	if (length == 0 || length > left)
		return 0;
	c = length == 1 ? p[0] : p[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) ? 0 : length;
}

static bool title_is_valid(const char *title, size_t size)
{
	const uint8_t *p = (const uint8_t *)title;

	while (size) {
		size_t length = printable_length(p, size);

		if (length == 0)
			return false;
		p += length;
		size -= length;
	}
	return true;
}

static bool licence_is_valid(const char *licence, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (licence[i] < 0x21 || licence[i] > 0x7e)
			return false;
	return size > 0;
}

/* A string with its length in front, into a field of max + 1 bytes. */
static size_t read_text(struct reader *reader, char *text, size_t max)
{
	size_t size = reader_u8(reader);

	if (size > max) {
		reader_fail(reader);
		size = 0;
	}
	reader_copy(reader, text, size);
	text[size] = 0;
	return size;
}

static bool read_data(struct reader *payload, struct contribution *data)
{
	size_t licence, title;

	reader_copy(payload, data->root, 32);
	data->size = reader_le64(payload);
	reader_copy(payload, data->owner, 32);
	licence = read_text(payload, data->licence, LICENCE_MAX);
	title = read_text(payload, data->title, TITLE_MAX);
	return reader_done(payload) && licence_is_valid(data->licence, licence) && title_is_valid(data->title, title) &&
		schnorr_key_valid(data->owner);
}

enum contribution_kind contribution_parse(const struct bytes *script, struct contribution *data)
{
	struct contribution unwanted;
	struct reader payload;

	if (!read_payload(script, &payload))
		return CONTRIBUTION_NONE;
	switch (reader_u8(&payload)) {
	case KIND_OUTCOME:
		return CONTRIBUTION_OUTCOME;
	case KIND_DATA:
		return read_data(&payload, data != NULL ? data : &unwanted) ? CONTRIBUTION_DATA : CONTRIBUTION_BAD;
	}
	return CONTRIBUTION_RESERVED;
}

bool contribution_text_is_valid(const struct contribution *data)
{
	size_t licence = strnlen(data->licence, sizeof data->licence), title = strnlen(data->title, sizeof data->title);

	return licence <= LICENCE_MAX && title <= TITLE_MAX && licence_is_valid(data->licence, licence) &&
		title_is_valid(data->title, title);
}

void contribution_script(struct buf *out, const struct contribution *data)
{
	struct buf payload;

	begin_payload(&payload, KIND_DATA);
	buf_put(&payload, data->root, 32);
	buf_put_le64(&payload, data->size);
	buf_put(&payload, data->owner, 32);
	buf_put_u8(&payload, (uint8_t)strlen(data->licence));
	buf_put_text(&payload, data->licence);
	buf_put_u8(&payload, (uint8_t)strlen(data->title));
	buf_put_text(&payload, data->title);
	write_script(out, &payload);
	buf_clear(&payload);
}

bool contribution_check(const struct spec *spec, const struct tx *tx, uint64_t *registered, struct reject *reject)
{
	struct contribution data;

	for (size_t i = 0; i < tx->output_count; i++) {
		if (contribution_parse(&tx->outputs[i].script, &data) != CONTRIBUTION_DATA)
			continue;
		if (data.size < spec->blob_min || data.size > spec->blob_max)
			return reject_set(reject, REJECT_INVALID, "bad-contrib-size",
				"a blob of %llu bytes; %u to %u are allowed", (unsigned long long)data.size,
				spec->blob_min, spec->blob_max);
		if (tx->outputs[i].amount < spec->burn_rate * (int64_t)data.size)
			return reject_set(reject, REJECT_INVALID, "bad-contrib-burn",
				"output %zu burns %lld instead of %lld", i, (long long)tx->outputs[i].amount,
				(long long)(spec->burn_rate * (int64_t)data.size));
		*registered += data.size;
	}
	return true;
}

/* === Outcome === */

void outcome_script(struct buf *out, const struct outcome *outcome)
{
	struct buf payload;

	begin_payload(&payload, KIND_OUTCOME);
	buf_put_u8(&payload, outcome->is_void);
	for (uint32_t i = 0; !outcome->is_void && i < outcome->slots; i++) {
		bool empty = outcome->slot[i].count == 0;

		buf_put_u8(&payload, empty ? SLOT_EMPTY : outcome->slot[i].left_out ? SLOT_LEFT_OUT : SLOT_USED);
		buf_put_le64(&payload, empty ? 0 : (uint64_t)outcome->slot[i].value);
	}
	write_script(out, &payload);
	buf_clear(&payload);
}

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
	if (slots > OUTCOME_MAX_SLOTS || !read_payload(script, &payload) || reader_u8(&payload) != KIND_OUTCOME)
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

/* === Blobs === */

void blob_root(const uint8_t *data, size_t size, uint8_t root[32])
{
	merkle_root_pages(root, data, size, BLOB_PAGE);
}
