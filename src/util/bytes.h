/* Bytes: little-endian integers, hexadecimal and base64 text.
 *
 * The one pair of helpers for wire integers. Pointers need no alignment. Bounds are the caller's: see util/buf.h for a
 * reader and a writer that check them. */
#ifndef ATELIER_UTIL_BYTES_H
#define ATELIER_UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t read_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t read_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t read_le64(const uint8_t *p)
{
	return read_le32(p) | (uint64_t)read_le32(p + 4) << 32;
}
static inline void write_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void write_le32(uint8_t *p, uint32_t v)
{
	write_le16(p, (uint16_t)v);
	write_le16(p + 2, (uint16_t)(v >> 16));
}
static inline void write_le64(uint8_t *p, uint64_t v)
{
	write_le32(p, (uint32_t)v);
	write_le32(p + 4, (uint32_t)(v >> 32));
}

/* Writes 2 * size lower-case digits and a terminating zero to out. */
void hex_encode(char *out, const uint8_t *data, size_t size);

/* Reads exactly 2 * size digits of either case; false if text is of another length or holds another character. */
bool hex_decode(uint8_t *out, size_t size, const char *text);

/* Hashes and ids are shown with their bytes reversed, as Bitcoin does; keys and blob roots are not. */
void hex_encode_reversed(char *out, const uint8_t *data, size_t size);
bool hex_decode_reversed(uint8_t *out, size_t size, const char *text);

/* Writes BASE64_SIZE(size) characters (RFC 4648, padded) and a terminating zero to out. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4)
void base64_encode(char *out, const uint8_t *data, size_t size);

#endif
