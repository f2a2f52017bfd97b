/* Data contributions: their payload, and what they register. */
#include "consensus/payload/contribution.h"

#include <string.h>

#include "consensus/payload/payload.h"
#include "consensus/spec.h"
#include "crypto/merkle.h"
#include "crypto/schnorr.h"

enum { CONTRIBUTION_TITLE_MAX = 64 };

/* --- the payload --- */

/* Length of the UTF-8 character at utf8 if it is one (shortest form, no surrogate) and no control character, else 0.
 * Titles come from anybody and end in logs and terminals: with shortest forms and no controls, a title reads one way
 * everywhere, and cannot speak to a terminal. No zero byte either, so the field is a C string. */
static size_t contribution_character_length(const uint8_t *utf8, size_t left)
{
	static const uint32_t utf8_least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = utf8[0] < 0x80 ? 1 :
		utf8[0] >> 5 == 6      ? 2 :
		utf8[0] >> 4 == 14     ? 3 :
		utf8[0] >> 3 == 30     ? 4 :
					 0;
	uint32_t code_point;

	if (length == 0 || length > left)
		return 0;
	code_point = length == 1 ? utf8[0] : utf8[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if (utf8[i] >> 6 != 2)
			return 0;
		code_point = code_point << 6 | (utf8[i] & 0x3f);
	}
	if (code_point < utf8_least[length] || code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
		return 0;
	return code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f) ? 0 : length;
}

static bool contribution_title_is_valid(const char *title, size_t title_left)
{
	const uint8_t *utf8 = (const uint8_t *)title;

	while (title_left) {
		size_t length = contribution_character_length(utf8, title_left);

		if (length == 0)
			return false;
		utf8 += length;
		title_left -= length;
	}
	return true;
}

/* A zero byte within would hide what follows it from whoever reads the field as a C string. */
static bool contribution_licence_is_valid(const char *licence, size_t licence_size)
{
	return strlen(licence) == licence_size && licence_parse(licence, NULL, NULL, NULL);
}

/* A string with its length in front, into a field of max + 1 bytes. */
static size_t contribution_read_text(struct reader *reader, char *text, size_t max)
{
	size_t text_size = reader_u8(reader);

	if (text_size > max) {
		reader_fail(reader);
		text_size = 0;
	}
	reader_copy(reader, text, text_size);
	text[text_size] = 0;
	return text_size;
}

static bool contribution_read(struct reader *payload, struct contribution *contribution)
{
	size_t licence_size, title_size;

	reader_copy(payload, contribution->root, 32);
	contribution->size = reader_le64(payload);
	reader_copy(payload, contribution->owner, 32);
	reader_copy(payload, contribution->salt, 32);
	licence_size = contribution_read_text(payload, contribution->licence, LICENCE_MAX);
	title_size = contribution_read_text(payload, contribution->title, CONTRIBUTION_TITLE_MAX);
	return reader_done(payload) && contribution_licence_is_valid(contribution->licence, licence_size) &&
		contribution_title_is_valid(contribution->title, title_size) && schnorr_key_valid(contribution->owner);
}

bool contribution_formed(struct reader *payload)
{
	struct contribution unwanted_contribution;

	return contribution_read(payload, &unwanted_contribution);
}

bool contribution_parse(const struct bytes *script, struct contribution *contribution)
{
	struct reader payload;

	return script_read_payload(script, &payload) && reader_u8(&payload) == PAYLOAD_BYTE_DATA &&
		contribution_read(&payload, contribution);
}

bool contribution_find(const struct tx *tx, struct contribution *contribution)
{
	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, contribution))
			return true;
	return false;
}

/* strnlen: what the wallet's caller filled in may lack its zero. */
bool contribution_text_is_valid(const struct contribution *contribution)
{
	size_t licence_size = strnlen(contribution->licence, sizeof contribution->licence),
	       title_size = strnlen(contribution->title, sizeof contribution->title);

	return licence_size <= LICENCE_MAX && title_size <= CONTRIBUTION_TITLE_MAX &&
		contribution_licence_is_valid(contribution->licence, licence_size) &&
		contribution_title_is_valid(contribution->title, title_size);
}

void contribution_write(struct buf *out, const struct contribution *contribution)
{
	buf_put(out, contribution->root, 32);
	buf_put_le64(out, contribution->size);
	buf_put(out, contribution->owner, 32);
	buf_put(out, contribution->salt, 32);
	buf_put_u8(out, (uint8_t)strlen(contribution->licence));
	buf_put_text(out, contribution->licence);
	buf_put_u8(out, (uint8_t)strlen(contribution->title));
	buf_put_text(out, contribution->title);
}

void contribution_script(struct buf *out, const struct contribution *contribution)
{
	struct buf payload;

	script_begin_payload(&payload, PAYLOAD_BYTE_DATA);
	contribution_write(&payload, contribution);
	script_end_payload(&payload, out);
}

/* --- rules --- */

bool contribution_check(const struct spec *spec, const struct tx *tx, uint64_t *registered_bytes, struct reject *reject)
{
	struct contribution contribution;

	for (size_t i = 0; i < tx->output_count; i++) {
		if (!contribution_parse(&tx->outputs[i].script, &contribution))
			continue;
		if (contribution.size < spec->blob_min || contribution.size > spec->blob_max)
			return reject_set(reject, REASON_BAD_CONTRIB_SIZE, "a blob of %llu bytes; %u to %u are allowed",
				(unsigned long long)contribution.size, spec->blob_min, spec->blob_max);
		if (!licence_is_admitted(contribution.licence, spec->licences, spec->licence_count))
			return reject_set(reject, REASON_BAD_CONTRIB_LICENCE,
				"this chain does not admit the licence %s", contribution.licence);
		*registered_bytes += contribution.size;
	}
	return true;
}

uint64_t contribution_bytes(const struct tx *tx)
{
	struct contribution contribution;
	uint64_t registered_bytes = 0;

	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, &contribution))
			registered_bytes += contribution.size;
	return registered_bytes;
}

/* --- blobs --- */

void contribution_root(const uint8_t *blob, size_t size, uint8_t root[32])
{
	merkle_root_pages(root, blob, size, CONTRIBUTION_PAGE);
}
