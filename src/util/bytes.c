/* Text of bytes: hexadecimal digits in both orders, and base64. */
#include "util/bytes.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

/* The value of a digit, or -1. isxdigit would ask the locale. */
static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

void hex_encode(char *hex, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		hex[2 * i] = hex_digits[data[i] >> 4];
		hex[2 * i + 1] = hex_digits[data[i] & 15];
	}
	hex[2 * size] = 0;
}

bool hex_decode(uint8_t *bytes, size_t size, const char *hex)
{
	/* The length first: the loop below then reads no digit behind the end. */
	if (strlen(hex) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high_digit = hex_digit(hex[2 * i]), low_digit = hex_digit(hex[2 * i + 1]);

		if (high_digit < 0 || low_digit < 0)
			return false;
		bytes[i] = (uint8_t)(high_digit << 4 | low_digit);
	}
	return true;
}

static void reverse_bytes(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size / 2; i++) {
		uint8_t byte = bytes[i];

		bytes[i] = bytes[size - 1 - i];
		bytes[size - 1 - i] = byte;
	}
}

/* Straight from the end: no copy of the bytes is turned round. */
void hex_encode_reversed(char *hex, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		hex[2 * i] = hex_digits[data[size - 1 - i] >> 4];
		hex[2 * i + 1] = hex_digits[data[size - 1 - i] & 15];
	}
	hex[2 * size] = 0;
}

bool hex_decode_reversed(uint8_t *bytes, size_t size, const char *hex)
{
	if (!hex_decode(bytes, size, hex))
		return false;
	reverse_bytes(bytes, size);
	return true;
}

void base64_encode(char *base64, const uint8_t *data, size_t size)
{
	static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	/* Three bytes are 24 bits, four letters of 6; what is missing in the last group counts as zero and is shown as
	 * =. */
	for (size_t i = 0; i < size; i += 3, base64 += 4) {
		uint32_t base64_bits = (uint32_t)data[i] << 16;

		if (i + 1 < size)
			base64_bits |= (uint32_t)data[i + 1] << 8;
		if (i + 2 < size)
			base64_bits |= data[i + 2];
		base64[0] = base64_letters[base64_bits >> 18];
		base64[1] = base64_letters[base64_bits >> 12 & 63];
		base64[2] = i + 1 < size ? base64_letters[base64_bits >> 6 & 63] : '=';
		base64[3] = i + 2 < size ? base64_letters[base64_bits & 63] : '=';
	}
	*base64 = 0;
}
