/* The growable writer and the bounded reader of the wire format. */
#include "util/buf.h"

#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

void buf_init(struct buf *b)
{
	*b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
	free(b->data);
	buf_init(b);
}

void buf_reset(struct buf *b)
{
	b->size = 0;
}

/* Growth doubles, so that appending costs the same for each byte, however many there are. A buffer never shrinks: one
 * that is reset and filled again comes to rest. */
void buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap < 32 ? 32 : b->cap;

	if (more <= b->cap - b->size)
		return;
	/* Doubling cannot pass SIZE_MAX before the allocation fails; a sum that wraps asks for what cannot be had. */
	if (more > SIZE_MAX / 2 - b->size)
		cap = SIZE_MAX;
	else
		while (cap - b->size < more)
			cap *= 2;
	b->data = mem_realloc(b->data, cap);
	b->cap = cap;
}

uint8_t *buf_extend(struct buf *b, size_t size)
{
	uint8_t *at;

	/* One byte at least: data is then not NULL, and what was asked for is a pointer that memcpy takes. */
	buf_reserve(b, size ? size : 1);
	at = b->data + b->size;
	b->size += size;
	return at;
}

/* buf_extend may move the bytes: data inside b would then point to memory that is free. */
void buf_put(struct buf *b, const void *data, size_t size)
{
	if (size)
		memcpy(buf_extend(b, size), data, size);
}

void buf_put_text(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	*buf_extend(b, 1) = v;
}

void buf_put_le16(struct buf *b, uint16_t v)
{
	write_le16(buf_extend(b, 2), v);
}

void buf_put_le32(struct buf *b, uint32_t v)
{
	write_le32(buf_extend(b, 4), v);
}

void buf_put_le64(struct buf *b, uint64_t v)
{
	write_le64(buf_extend(b, 8), v);
}

void buf_put_compact(struct buf *b, uint64_t v)
{
	if (v < 0xfd) {
		buf_put_u8(b, (uint8_t)v);
	} else if (v <= 0xffff) {
		buf_put_u8(b, 0xfd);
		buf_put_le16(b, (uint16_t)v);
	} else if (v <= 0xffffffff) {
		buf_put_u8(b, 0xfe);
		buf_put_le32(b, (uint32_t)v);
	} else {
		buf_put_u8(b, 0xff);
		buf_put_le64(b, v);
	}
}

char *buf_take_text(struct buf *b)
{
	char *text;

	/* The memory changes hands: the buffer forgets it, and the caller frees it. */
	buf_put_u8(b, 0);
	text = (char *)b->data;
	buf_init(b);
	return text;
}

size_t buf_compact_size(uint64_t v)
{
	return v < 0xfd ? 1 : v <= 0xffff ? 3 : v <= 0xffffffff ? 5 : 9;
}

void reader_init(struct reader *r, const void *data, size_t size)
{
	/* An empty input may come with NULL; readers still hand out pointers that are not NULL, so that NULL means
	 * failure. */
	r->p = size ? data : (const uint8_t *)"";
	r->end = r->p + size;
	r->ok = true;
}

/* All reads go through here: here alone is the bound. p <= end holds always, and size is compared with the rest, since
 * p + size may lie behind the end of memory. */
const uint8_t *reader_bytes(struct reader *r, size_t size)
{
	const uint8_t *at = r->p;

	if (!r->ok || size > (size_t)(r->end - r->p)) {
		r->ok = false;
		return NULL;
	}
	r->p += size;
	return at;
}

bool reader_copy(struct reader *r, void *out, size_t size)
{
	const uint8_t *at = reader_bytes(r, size);

	/* memcpy of nothing still wants pointers; out may be NULL then. */
	if (size == 0)
		return at != NULL;
	if (at == NULL)
		memset(out, 0, size);
	else
		memcpy(out, at, size);
	return at != NULL;
}

uint8_t reader_u8(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 1);

	return at != NULL ? at[0] : 0;
}

uint16_t reader_le16(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 2);

	return at != NULL ? read_le16(at) : 0;
}

uint32_t reader_le32(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 4);

	return at != NULL ? read_le32(at) : 0;
}

uint64_t reader_le64(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 8);

	return at != NULL ? read_le64(at) : 0;
}

/* A number has one form, the shortest: with two, the same transaction could be sent as different bytes. */
uint64_t reader_compact_any(struct reader *r)
{
	uint8_t first = reader_u8(r);
	uint64_t v = first;
	size_t size = first < 0xfd ? 1 : first == 0xfd ? 3 : first == 0xfe ? 5 : 9;

	if (size == 3)
		v = reader_le16(r);
	else if (size == 5)
		v = reader_le32(r);
	else if (size == 9)
		v = reader_le64(r);
	if (r->ok && buf_compact_size(v) != size)
		r->ok = false;
	return r->ok ? v : 0;
}

size_t reader_compact(struct reader *r)
{
	uint64_t v = reader_compact_any(r);

	/* A count above what any message holds is refused before somebody takes memory for it. */
	if (v > READER_COMPACT_MAX) {
		r->ok = false;
		return 0;
	}
	return (size_t)v;
}

size_t reader_left(const struct reader *r)
{
	return r->ok ? (size_t)(r->end - r->p) : 0;
}

bool reader_done(const struct reader *r)
{
	return r->ok && r->p == r->end;
}

void reader_fail(struct reader *r)
{
	r->ok = false;
}
