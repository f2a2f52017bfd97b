#include "util/bytes.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

static int digit(char c)
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
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int hi = digit(text[2 * i]), lo = digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static void reverse(uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size / 2; i++) {
		uint8_t t = p[i];

		p[i] = p[size - 1 - i];
		p[size - 1 - i] = t;
	}
}

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
	reverse(out, size);
	return true;
}

void base64_encode(char *out, const uint8_t *data, size_t size)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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
