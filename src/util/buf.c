/* The growable writer and the bounded reader of the wire format. */
#include "util/buf.h"

#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

void buf_init(struct buf *buf)
{
	*buf = (struct buf){ 0 };
}

void buf_clear(struct buf *buf)
{
	free(buf->data);
	buf_init(buf);
}

void buf_reset(struct buf *buf)
{
	buf->size = 0;
}

/* Growth doubles, so that appending costs the same for each byte, however many there are. A buffer never shrinks: one
 * that is reset and filled again comes to rest. */
void buf_reserve(struct buf *buf, size_t more)
{
	size_t buf_cap = buf->cap < 32 ? 32 : buf->cap;

	if (more <= buf->cap - buf->size)
		return;
	/* Doubling cannot pass SIZE_MAX before the allocation fails; a sum that wraps asks for what cannot be had. */
	if (more > SIZE_MAX / 2 - buf->size)
		buf_cap = SIZE_MAX;
	else
		while (buf_cap - buf->size < more)
			buf_cap *= 2;
	buf->data = mem_realloc(buf->data, buf_cap);
	buf->cap = buf_cap;
}

uint8_t *buf_extend(struct buf *buf, size_t size)
{
	uint8_t *buf_at;

	/* One byte at least: data is then not NULL, and what was asked for is a pointer that memcpy takes. */
	buf_reserve(buf, size ? size : 1);
	buf_at = buf->data + buf->size;
	buf->size += size;
	return buf_at;
}

/* buf_extend may move the bytes: data inside it would then point to memory that is free. */
void buf_put(struct buf *buf, const void *data, size_t size)
{
	if (size)
		memcpy(buf_extend(buf, size), data, size);
}

void buf_put_text(struct buf *buf, const char *text)
{
	buf_put(buf, text, strlen(text));
}

void buf_put_u8(struct buf *buf, uint8_t number)
{
	*buf_extend(buf, 1) = number;
}

void buf_put_le16(struct buf *buf, uint16_t number)
{
	write_le16(buf_extend(buf, 2), number);
}

void buf_put_le32(struct buf *buf, uint32_t number)
{
	write_le32(buf_extend(buf, 4), number);
}

void buf_put_le64(struct buf *buf, uint64_t number)
{
	write_le64(buf_extend(buf, 8), number);
}

void buf_put_compact(struct buf *buf, uint64_t compact_number)
{
	if (compact_number < 0xfd) {
		buf_put_u8(buf, (uint8_t)compact_number);
	} else if (compact_number <= 0xffff) {
		buf_put_u8(buf, 0xfd);
		buf_put_le16(buf, (uint16_t)compact_number);
	} else if (compact_number <= 0xffffffff) {
		buf_put_u8(buf, 0xfe);
		buf_put_le32(buf, (uint32_t)compact_number);
	} else {
		buf_put_u8(buf, 0xff);
		buf_put_le64(buf, compact_number);
	}
}

char *buf_take_text(struct buf *buf)
{
	char *buf_text;

	/* The memory changes hands: the buffer forgets it, and the caller frees it. */
	buf_put_u8(buf, 0);
	buf_text = (char *)buf->data;
	buf_init(buf);
	return buf_text;
}

size_t buf_compact_size(uint64_t compact_number)
{
	return compact_number < 0xfd ? 1 : compact_number <= 0xffff ? 3 : compact_number <= 0xffffffff ? 5 : 9;
}

void reader_init(struct reader *reader, const void *data, size_t size)
{
	/* An empty input may come with NULL; readers still hand out pointers that are not NULL, so that NULL means
	 * failure. */
	reader->p = size ? data : (const uint8_t *)"";
	reader->end = reader->p + size;
	reader->ok = true;
}

/* All reads go through here: here alone is the bound. p <= end holds always, and size is compared with the rest, since
 * p + size may lie behind the end of memory. */
const uint8_t *reader_bytes(struct reader *reader, size_t size)
{
	const uint8_t *reader_at = reader->p;

	if (!reader->ok || size > (size_t)(reader->end - reader->p)) {
		reader->ok = false;
		return NULL;
	}
	reader->p += size;
	return reader_at;
}

bool reader_copy(struct reader *reader, void *out, size_t size)
{
	const uint8_t *reader_at = reader_bytes(reader, size);

	/* memcpy of nothing still wants pointers; out may be NULL then. */
	if (size == 0)
		return reader_at != NULL;
	if (reader_at == NULL)
		memset(out, 0, size);
	else
		memcpy(out, reader_at, size);
	return reader_at != NULL;
}

uint8_t reader_u8(struct reader *reader)
{
	const uint8_t *reader_at = reader_bytes(reader, 1);

	return reader_at != NULL ? reader_at[0] : 0;
}

uint16_t reader_le16(struct reader *reader)
{
	const uint8_t *reader_at = reader_bytes(reader, 2);

	return reader_at != NULL ? read_le16(reader_at) : 0;
}

uint32_t reader_le32(struct reader *reader)
{
	const uint8_t *reader_at = reader_bytes(reader, 4);

	return reader_at != NULL ? read_le32(reader_at) : 0;
}

uint64_t reader_le64(struct reader *reader)
{
	const uint8_t *reader_at = reader_bytes(reader, 8);

	return reader_at != NULL ? read_le64(reader_at) : 0;
}

/* A number has one form, the shortest: with two, the same transaction could be sent as different bytes. */
uint64_t reader_compact_any(struct reader *reader)
{
	uint8_t compact_marker = reader_u8(reader);
	uint64_t compact_number = compact_marker;
	size_t compact_size = compact_marker < 0xfd ? 1 : compact_marker == 0xfd ? 3 : compact_marker == 0xfe ? 5 : 9;

	if (compact_size == 3)
		compact_number = reader_le16(reader);
	else if (compact_size == 5)
		compact_number = reader_le32(reader);
	else if (compact_size == 9)
		compact_number = reader_le64(reader);
	if (reader->ok && buf_compact_size(compact_number) != compact_size)
		reader->ok = false;
	return reader->ok ? compact_number : 0;
}

size_t reader_compact(struct reader *reader)
{
	uint64_t compact_number = reader_compact_any(reader);

	/* A count above what any message holds is refused before somebody takes memory for it. */
	if (compact_number > READER_COMPACT_MAX) {
		reader->ok = false;
		return 0;
	}
	return (size_t)compact_number;
}

size_t reader_left(const struct reader *reader)
{
	return reader->ok ? (size_t)(reader->end - reader->p) : 0;
}

bool reader_done(const struct reader *reader)
{
	return reader->ok && reader->p == reader->end;
}

void reader_fail(struct reader *reader)
{
	reader->ok = false;
}
