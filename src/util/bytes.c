/* Text of bytes: hexadecimal digits in both orders, and base64. */
#include "util/bytes.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

/* The value of a digit, or -1. isxdigit would ask the locale. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void hex_encode(char *out, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * size] = 0;
}

bool hex_decode(uint8_t *out, size_t size, const char *text)
{
	/* The length first: the loop below then reads no digit behind the end. */
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static void reverse_bytes(uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size / 2; i++) {
		uint8_t t = p[i];

		p[i] = p[size - 1 - i];
		p[size - 1 - i] = t;
	}
}

/* Straight from the end: no copy of the bytes is turned round. */
void hex_encode_reversed(char *out, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[data[size - 1 - i] >> 4];
		out[2 * i + 1] = digits[data[size - 1 - i] & 15];
	}
	out[2 * size] = 0;
}

bool hex_decode_reversed(uint8_t *out, size_t size, const char *text)
{
	if (!hex_decode(out, size, text))
		return false;
	reverse_bytes(out, size);
	return true;
}

void base64_encode(char *out, const uint8_t *data, size_t size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	/* Three bytes are 24 bits, four letters of 6; what is missing in the last group counts as zero and is shown as
	 * =. */
	for (size_t i = 0; i < size; i += 3, out += 4) {
		uint32_t bits = (uint32_t)data[i] << 16;

		if (i + 1 < size)
			bits |= (uint32_t)data[i + 1] << 8;
		if (i + 2 < size)
			bits |= data[i + 2];
		out[0] = letters[bits >> 18];
		out[1] = letters[bits >> 12 & 63];
		out[2] = i + 1 < size ? letters[bits >> 6 & 63] : '=';
		out[3] = i + 2 < size ? letters[bits & 63] : '=';
	}
	*out = 0;
}
