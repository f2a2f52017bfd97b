/* Bytes: integers, hexadecimal and base64 text.
 *
 * The one pair of helpers for wire integers, which are little-endian. Big-endian are keys of the database, so that they
 * stand there by number, and what BIP32 writes. Pointers need no alignment. Bounds are the caller's: see util/buf.h for
 * a reader and a writer that check them. */
#ifndef ATELIER_UTIL_BYTES_H
#define ATELIER_UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t read_le16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}
static inline uint32_t read_le32(const uint8_t *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}
static inline uint64_t read_le64(const uint8_t *bytes)
{
	return read_le32(bytes) | (uint64_t)read_le32(bytes + 4) << 32;
}
static inline void write_le16(uint8_t *bytes, uint16_t number)
{
	bytes[0] = (uint8_t)number;
	bytes[1] = (uint8_t)(number >> 8);
}
static inline void write_le32(uint8_t *bytes, uint32_t number)
{
	write_le16(bytes, (uint16_t)number);
	write_le16(bytes + 2, (uint16_t)(number >> 16));
}
static inline void write_le64(uint8_t *bytes, uint64_t number)
{
	write_le32(bytes, (uint32_t)number);
	write_le32(bytes + 4, (uint32_t)(number >> 32));
}

static inline uint32_t read_be32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}
static inline void write_be32(uint8_t *bytes, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(number >> (24 - 8 * i));
}

/* Writes 2 * size lower-case digits and a terminating zero. */
void hex_encode(char *hex, const uint8_t *data, size_t size);

/* Reads exactly 2 * size digits of either case; false if text is of another length or holds another character. */
bool hex_decode(uint8_t *bytes, size_t size, const char *hex);

/* Hashes and ids are shown with their bytes reversed, as Bitcoin does; keys and blob roots are not. */
void hex_encode_reversed(char *hex, const uint8_t *data, size_t size);
bool hex_decode_reversed(uint8_t *bytes, size_t size, const char *hex);

/* Writes BASE64_SIZE(size) characters (RFC 4648, padded) and a terminating zero. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4)
void base64_encode(char *base64, const uint8_t *data, size_t size);

#endif
