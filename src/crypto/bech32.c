/* The text of bech32: one alphabet, one checksum, two constants that it may end in. */
#include "crypto/bech32.h"

#include <string.h>

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

enum {
	CHECKSUM_SIZE = 6,
};

/* Runs over one value: the remainder by the BCH code's generator (BIP173). */
static uint32_t checksum_step(uint32_t sum, uint32_t value)
{
	static const uint32_t generator[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
	uint32_t top = sum >> 25;
	int i;

	sum = (sum & 0x1ffffff) << 5 ^ value;
	for (i = 0; i < 5; i++)
		if (top >> i & 1)
			sum ^= generator[i];
	return sum;
}

/* The prefix counts as its characters' high bits, a zero, and their low bits: so it is covered by the checksum too. */
static uint32_t checksum_hrp(const char *hrp)
{
	uint32_t sum = 1;
	size_t i;

	for (i = 0; hrp[i]; i++)
		sum = checksum_step(sum, (uint32_t)hrp[i] >> 5);
	sum = checksum_step(sum, 0);
	for (i = 0; hrp[i]; i++)
		sum = checksum_step(sum, hrp[i] & 31);
	return sum;
}

static uint32_t constant_of(enum bech32_form form)
{
	return form == BECH32_M ? 0x2bc830a3 : 1;
}

bool bech32_encode(char *out, const char *hrp, const uint8_t *values, size_t count, enum bech32_form form)
{
	size_t hrp_size = strlen(hrp);
	uint32_t sum;
	size_t i;

	if (hrp_size < 1 || hrp_size > BECH32_HRP_MAX || count > BECH32_TEXT_MAX - CHECKSUM_SIZE - 1 - hrp_size)
		return false;
	/* BIP173: printable ASCII. Upper case is refused, since the checksum is that of the lower-case form. */
	for (i = 0; i < hrp_size; i++)
		if (hrp[i] < 33 || hrp[i] > 126 || (hrp[i] >= 'A' && hrp[i] <= 'Z'))
			return false;
	sum = checksum_hrp(hrp);
	memcpy(out, hrp, hrp_size);
	out += hrp_size;
	*out++ = '1';
	for (i = 0; i < count; i++) {
		if (values[i] > 31)
			return false;
		sum = checksum_step(sum, values[i]);
		*out++ = charset[values[i]];
	}
	for (i = 0; i < CHECKSUM_SIZE; i++)
		sum = checksum_step(sum, 0);
	/* What the text ends in makes the remainder of the whole this constant, which is how a reader tells the forms
	 * apart. */
	sum ^= constant_of(form);
	for (i = 0; i < CHECKSUM_SIZE; i++)
		*out++ = charset[sum >> 5 * (5 - i) & 31];
	*out = 0;
	return true;
}

/* Copies text in lower case; false if it is too long, mixes cases or holds other than printable ASCII. */
static bool to_lower(char *lower, size_t *size, const char *text, struct errmsg *err)
{
	bool has_lower = false;
	bool has_upper = false;
	size_t i;

	for (i = 0; text[i]; i++) {
		if (i == BECH32_TEXT_MAX)
			return errmsg_set(err, "The address is longer than 90 characters");
		if (text[i] < 33 || text[i] > 126)
			return errmsg_set(err, "The address has a character that is not printable ASCII");
		has_lower |= text[i] >= 'a' && text[i] <= 'z';
		has_upper |= text[i] >= 'A' && text[i] <= 'Z';
		lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
	}
	lower[i] = 0;
	*size = i;
	if (has_lower && has_upper)
		return errmsg_set(err, "The address mixes upper and lower case");
	return true;
}

bool bech32_decode(char *hrp, uint8_t *values, size_t *count, enum bech32_form *form, const char *text,
	struct errmsg *err)
{
	char lower[BECH32_TEXT_MAX + 1];
	const char *separator;
	const char *found;
	size_t hrp_size;
	uint32_t sum;
	size_t size = 0;
	size_t i;

	if (!to_lower(lower, &size, text, err))
		return false;
	/* The last 1: the prefix may hold others, the values none. */
	separator = strrchr(lower, '1');
	hrp_size = separator == NULL ? 0 : (size_t)(separator - lower);
	if (hrp_size < 1)
		return errmsg_set(err,
			separator == NULL ? "The address has no separator 1" :
					    "The address has no prefix before its 1");
	if (size - hrp_size - 1 < CHECKSUM_SIZE)
		return errmsg_set(err, "The address is too short for its checksum");
	memcpy(hrp, lower, hrp_size);
	hrp[hrp_size] = 0;
	sum = checksum_hrp(hrp);
	*count = size - hrp_size - 1 - CHECKSUM_SIZE;
	for (i = 0; i < *count + CHECKSUM_SIZE; i++) {
		found = strchr(charset, separator[1 + i]);
		if (found == NULL)
			return errmsg_set(err, "The address has a character that bech32 does not use");
		sum = checksum_step(sum, (uint32_t)(found - charset));
		if (i < *count)
			values[i] = (uint8_t)(found - charset);
	}
	/* Which of both it must be depends on the witness version, which is the caller's to read. */
	if (sum != constant_of(BECH32_FIRST) && sum != constant_of(BECH32_M))
		return errmsg_set(err, "The address has a wrong checksum: it was mistyped");
	*form = sum == constant_of(BECH32_M) ? BECH32_M : BECH32_FIRST;
	return true;
}
