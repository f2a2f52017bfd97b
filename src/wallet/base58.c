/* Base 58 with a guard of four bytes: long division by hand, over at most BASE58_DATA_MAX bytes. */
#include "wallet/base58.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/wipe.h"

static const char base58_digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

enum {
	BASE58_GUARD_SIZE = 4,
};

/* big_number (big-endian) = big_number * factor + carry; false if it outgrows its size. What is carried from byte to
 * byte stays below 58. */
static bool base58_multiply_add(uint8_t *big_number, size_t size, uint32_t factor, uint32_t carry)
{
	size_t i;

	for (i = size; i-- > 0;) {
		carry += big_number[i] * factor;
		big_number[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return carry == 0;
}

/* big_number = big_number / 58; returns the remainder. */
static unsigned base58_divide(uint8_t *big_number, size_t size)
{
	unsigned digit_rest = 0;
	size_t i;

	for (i = 0; i < size; i++) {
		digit_rest = digit_rest << 8 | big_number[i];
		big_number[i] = (uint8_t)(digit_rest / 58);
		digit_rest %= 58;
	}
	return digit_rest;
}

/* Leading zero bytes are a digit "1" each, as a number would lose them. */
void base58_encode(char *text, const uint8_t *bytes, size_t size)
{
	uint8_t big_number[BASE58_DATA_MAX + BASE58_GUARD_SIZE];
	char reversed_digits[BASE58_TEXT_MAX];
	uint8_t guard[32];
	size_t guarded_size = size + BASE58_GUARD_SIZE;
	size_t first_nonzero = 0;
	size_t digit_count = 0;

	sha256d(guard, bytes, size);
	memcpy(big_number, bytes, size);
	memcpy(big_number + size, guard, BASE58_GUARD_SIZE);
	for (; first_nonzero < guarded_size && big_number[first_nonzero] == 0; first_nonzero++)
		*text++ = base58_digits[0];
	while (first_nonzero < guarded_size) {
		reversed_digits[digit_count++] =
			base58_digits[base58_divide(big_number + first_nonzero, guarded_size - first_nonzero)];
		/* The number grows shorter as it is divided: each digit costs fewer bytes than the one before. */
		while (first_nonzero < guarded_size && big_number[first_nonzero] == 0)
			first_nonzero++;
	}
	while (digit_count > 0)
		*text++ = reversed_digits[--digit_count];
	*text = 0;
	wipe(reversed_digits, sizeof reversed_digits);
}

/* All zeros in front must be "1"s, and no more of these than zeros: one text for one number of bytes. */
bool base58_decode(uint8_t *bytes, size_t size, const char *text)
{
	uint8_t big_number[BASE58_DATA_MAX + BASE58_GUARD_SIZE] = { 0 };
	size_t guarded_size = size + BASE58_GUARD_SIZE;
	const char *digit;
	uint8_t guard[32];
	size_t zeros = 0;
	bool well_formed = true;
	size_t i;

	/* Bounded before anything is multiplied: each digit goes over the whole number, and the text is anybody's. */
	for (i = 0; text[i]; i++)
		zeros += text[i] == base58_digits[0] && zeros == i;
	if (i > BASE58_TEXT_MAX)
		return false;
	for (i = 0; text[i] && well_formed; i++) {
		digit = strchr(base58_digits, text[i]);
		well_formed = digit != NULL &&
			base58_multiply_add(big_number, guarded_size, 58, (uint32_t)(digit - base58_digits));
	}
	for (i = 0; i < guarded_size && big_number[i] == 0;)
		i++;
	sha256d(guard, big_number, size);
	/* The guard catches what is mistyped, all but one in 2^32; whoever forges one only fools himself. */
	well_formed = well_formed && i == zeros && memcmp(guard, big_number + size, BASE58_GUARD_SIZE) == 0;
	if (well_formed)
		memcpy(bytes, big_number, size);
	wipe(big_number, sizeof big_number);
	return well_formed;
}
