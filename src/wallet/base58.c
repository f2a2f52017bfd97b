/* Base 58 with a guard of four bytes: long division by hand, over at most BASE58_DATA_MAX bytes. */
#include "wallet/base58.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/wipe.h"

static const char digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

enum {
	GUARD_SIZE = 4,
};

/* number (big-endian) = number * factor + add; false if it outgrows its size. What add carries from byte to byte stays
 * below 58. */
static bool multiply_add(uint8_t *number, size_t size, uint32_t factor, uint32_t add)
{
	size_t i;

	for (i = size; i-- > 0;) {
		add += number[i] * factor;
		number[i] = (uint8_t)add;
		add >>= 8;
	}
	return add == 0;
}

/* number = number / 58; returns the remainder. */
static unsigned divide_by_58(uint8_t *number, size_t size)
{
	unsigned rest = 0;
	size_t i;

	for (i = 0; i < size; i++) {
		rest = rest << 8 | number[i];
		number[i] = (uint8_t)(rest / 58);
		rest %= 58;
	}
	return rest;
}

/* Leading zero bytes are a digit "1" each, as a number would lose them. */
void base58_encode(char *out, const uint8_t *data, size_t size)
{
	uint8_t number[BASE58_DATA_MAX + GUARD_SIZE];
	char reversed[BASE58_TEXT_MAX];
	uint8_t guard[32];
	size_t total = size + GUARD_SIZE;
	size_t first = 0;
	size_t count = 0;

	sha256d(guard, data, size);
	memcpy(number, data, size);
	memcpy(number + size, guard, GUARD_SIZE);
	for (; first < total && number[first] == 0; first++)
		*out++ = digits[0];
	while (first < total) {
		reversed[count++] = digits[divide_by_58(number + first, total - first)];
		/* The number grows shorter as it is divided: each digit costs fewer bytes than the one before. */
		while (first < total && number[first] == 0)
			first++;
	}
	while (count > 0)
		*out++ = reversed[--count];
	*out = 0;
	wipe(reversed, sizeof reversed);
}

/* All zeros in front must be "1"s, and no more of these than zeros: one text for one number of bytes. */
bool base58_decode(uint8_t *out, size_t size, const char *text)
{
	uint8_t number[BASE58_DATA_MAX + GUARD_SIZE] = { 0 };
	size_t total = size + GUARD_SIZE;
	const char *digit;
	uint8_t guard[32];
	size_t zeros = 0;
	bool ok = true;
	size_t i;

	/* Bounded before anything is multiplied: each digit goes over the whole number, and the text is anybody's. */
	for (i = 0; text[i]; i++)
		zeros += text[i] == digits[0] && zeros == i;
	if (i > BASE58_TEXT_MAX)
		return false;
	for (i = 0; text[i] && ok; i++) {
		digit = strchr(digits, text[i]);
		ok = digit != NULL && multiply_add(number, total, 58, (uint32_t)(digit - digits));
	}
	for (i = 0; i < total && number[i] == 0;)
		i++;
	sha256d(guard, number, size);
	/* The guard catches what is mistyped, all but one in 2^32; whoever forges one only fools himself. */
	ok = ok && i == zeros && memcmp(guard, number + size, GUARD_SIZE) == 0;
	if (ok)
		memcpy(out, number, size);
	wipe(number, sizeof number);
	return ok;
}
