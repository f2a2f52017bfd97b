/* A growable byte writer and a bounded byte reader: the wire format's integers and lengths.
 *
 * Everything is little-endian. CompactSize is Bitcoin's variable-length integer: one byte below 0xfd, else the marker
 * 0xfd, 0xfe or 0xff and 2, 4 or 8 bytes.
 *
 * The writer cannot fail (memory that runs out ends the process); whoever writes bounds what he writes.
 * The reader never reads past its end. Its error flag is sticky: after the first failure every read gives zero or NULL
 * and takes nothing, so a parser may read a whole structure and test `ok` (or reader_done) once at the end. A count
 * must still be checked against what is left before memory is taken for it. */
#ifndef ATELIER_UTIL_BUF_H
#define ATELIER_UTIL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned; may be NULL while size is 0 */
	size_t size, cap;
};

void buf_init(struct buf *buf);
void buf_clear(struct buf *buf);                   /* releases the memory; it is then as after buf_init */
void buf_reset(struct buf *buf);                   /* empties it and keeps the memory */
void buf_reserve(struct buf *buf, size_t more);    /* room for `more` further bytes without moving */
uint8_t *buf_extend(struct buf *buf, size_t size); /* appends size uninitialised bytes; borrowed until the next call */
void buf_put(struct buf *buf, const void *data, size_t size); /* data must not lie inside buf */
void buf_put_text(struct buf *buf, const char *text);         /* without the terminating zero */
void buf_put_u8(struct buf *buf, uint8_t number);
void buf_put_le16(struct buf *buf, uint16_t number);
void buf_put_le32(struct buf *buf, uint32_t number);
void buf_put_le64(struct buf *buf, uint64_t number);
void buf_put_compact(struct buf *buf, uint64_t compact_number);

/* The contents as a zero-terminated string on the heap; b is then empty. Zero bytes inside are kept. */
char *buf_take_text(struct buf *buf);

/* How many bytes CompactSize takes for a number: 1, 3, 5 or 9. */
size_t buf_compact_size(uint64_t compact_number);

struct reader {
	const uint8_t *p, *end; /* borrowed: the bytes must outlive the reader */
	bool ok;
};

#define READER_COMPACT_MAX 0x02000000u

void reader_init(struct reader *reader, const void *data, size_t size);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_le16(struct reader *reader);
uint32_t reader_le32(struct reader *reader);
uint64_t reader_le64(struct reader *reader);

/* A CompactSize that is a length or a count: fails on a longer form than needed and above READER_COMPACT_MAX. */
size_t reader_compact(struct reader *reader);

/* A CompactSize that is any number: only the longer form fails. */
uint64_t reader_compact_any(struct reader *reader);

/* The next size bytes, borrowed, or NULL on failure. Never NULL on success, a size of zero included. */
const uint8_t *reader_bytes(struct reader *reader, size_t size);

/* Copies the next size bytes; on failure out is filled with zeros. */
bool reader_copy(struct reader *reader, void *out, size_t size);

size_t reader_left(const struct reader *reader); /* bytes not read yet; 0 after a failure */
bool reader_done(const struct reader *reader);   /* no failure, and nothing left */
void reader_fail(struct reader *reader);         /* for a parser that found a value it does not accept */

#endif
