/* Data contributions: their payload, and what they cost. */
#include "consensus/payload/contribution.h"

#include <string.h>

#include "consensus/payload/payload.h"
#include "consensus/spec.h"
#include "crypto/merkle.h"
#include "crypto/schnorr.h"

enum {
	LICENCE_MAX = 16,
	TITLE_MAX = 64,
	BLOB_PAGE = 4096,
};

/* --- the payload --- */

/* Length of the UTF-8 character at p if it is one (shortest form, no surrogate) and no control character, else 0.
 * Titles come from anybody and end in logs and terminals: with shortest forms and no controls, a title reads one way
 * everywhere, and cannot speak to a terminal. No zero byte either, so the field is a C string. */
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

bool contribution_formed(struct reader *payload)
{
	struct contribution unwanted;

	return read_data(payload, &unwanted);
}

bool contribution_parse(const struct bytes *script, struct contribution *data)
{
	struct reader payload;

	return script_read_payload(script, &payload) && reader_u8(&payload) == PAYLOAD_BYTE_DATA &&
		read_data(&payload, data);
}

/* strnlen: what the wallet's caller filled in may lack its zero. */
bool contribution_text_is_valid(const struct contribution *data)
{
	size_t licence = strnlen(data->licence, sizeof data->licence), title = strnlen(data->title, sizeof data->title);

	return licence <= LICENCE_MAX && title <= TITLE_MAX && licence_is_valid(data->licence, licence) &&
		title_is_valid(data->title, title);
}

void contribution_script(struct buf *out, const struct contribution *data)
{
	struct buf payload;

	script_begin_payload(&payload, PAYLOAD_BYTE_DATA);
	buf_put(&payload, data->root, 32);
	buf_put_le64(&payload, data->size);
	buf_put(&payload, data->owner, 32);
	buf_put_u8(&payload, (uint8_t)strlen(data->licence));
	buf_put_text(&payload, data->licence);
	buf_put_u8(&payload, (uint8_t)strlen(data->title));
	buf_put_text(&payload, data->title);
	script_end_payload(&payload, out);
}

/* --- rules --- */

bool contribution_check(const struct spec *spec, const struct tx *tx, uint64_t *registered, struct reject *reject)
{
	struct contribution data;

	for (size_t i = 0; i < tx->output_count; i++) {
		if (!contribution_parse(&tx->outputs[i].script, &data))
			continue;
		if (data.size < spec->blob_min || data.size > spec->blob_max)
			return reject_set(reject, REASON_BAD_CONTRIB_SIZE, "a blob of %llu bytes; %u to %u are allowed",
				(unsigned long long)data.size, spec->blob_min, spec->blob_max);
		/* A rate up to 10^6 and a size up to 2^24 (section 16): far from 64 bits. */
		if (tx->outputs[i].amount < spec->burn_rate * (int64_t)data.size)
			return reject_set(reject, REASON_BAD_CONTRIB_BURN, "output %zu burns %lld instead of %lld", i,
				(long long)tx->outputs[i].amount, (long long)(spec->burn_rate * (int64_t)data.size));
		*registered += data.size;
	}
	return true;
}

/* --- blobs --- */

void contribution_root(const uint8_t *data, size_t size, uint8_t root[32])
{
	merkle_root_pages(root, data, size, BLOB_PAGE);
}
