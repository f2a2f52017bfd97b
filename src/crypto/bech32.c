/* The text of bech32: one alphabet, one checksum, two constants that it may end in. */
#include "crypto/bech32.h"

#include <string.h>

static const char bech32_charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

enum {
	BECH32_CHECKSUM_SIZE = 6,
};

/* Runs over one value: the remainder by the BCH code's generator (BIP173). */
static uint32_t bech32_checksum_step(uint32_t checksum, uint32_t value)
{
	static const uint32_t generator[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
	uint32_t checksum_top = checksum >> 25;
	int i;

	checksum = (checksum & 0x1ffffff) << 5 ^ value;
	for (i = 0; i < 5; i++)
		if (checksum_top >> i & 1)
			checksum ^= generator[i];
	return checksum;
}

/* The prefix counts as its characters' high bits, a zero, and their low bits: so it is covered by the checksum too. */
static uint32_t bech32_checksum_hrp(const char *hrp)
{
	uint32_t checksum = 1;
	size_t i;

	for (i = 0; hrp[i]; i++)
		checksum = bech32_checksum_step(checksum, (uint32_t)hrp[i] >> 5);
	checksum = bech32_checksum_step(checksum, 0);
	for (i = 0; hrp[i]; i++)
		checksum = bech32_checksum_step(checksum, hrp[i] & 31);
	return checksum;
}

static uint32_t bech32_constant(enum bech32_form form)
{
	return form == BECH32_M ? 0x2bc830a3 : 1;
}

bool bech32_encode(char *bech32_text, const char *hrp, const uint8_t *values, size_t value_count, enum bech32_form form)
{
	size_t hrp_size = strlen(hrp);
	uint32_t checksum;
	size_t i;

	if (hrp_size < 1 || hrp_size > BECH32_HRP_MAX ||
		value_count > BECH32_TEXT_MAX - BECH32_CHECKSUM_SIZE - 1 - hrp_size)
		return false;
	/* BIP173: printable ASCII. Upper case is refused, since the checksum is that of the lower-case form. */
	for (i = 0; i < hrp_size; i++)
		if (hrp[i] < 33 || hrp[i] > 126 || (hrp[i] >= 'A' && hrp[i] <= 'Z'))
			return false;
	checksum = bech32_checksum_hrp(hrp);
	memcpy(bech32_text, hrp, hrp_size);
	bech32_text += hrp_size;
	*bech32_text++ = '1';
	for (i = 0; i < value_count; i++) {
		if (values[i] > 31)
			return false;
		checksum = bech32_checksum_step(checksum, values[i]);
		*bech32_text++ = bech32_charset[values[i]];
	}
	for (i = 0; i < BECH32_CHECKSUM_SIZE; i++)
		checksum = bech32_checksum_step(checksum, 0);
	/* What the text ends in makes the remainder of the whole this constant, which is how a reader tells the forms
	 * apart. */
	checksum ^= bech32_constant(form);
	for (i = 0; i < BECH32_CHECKSUM_SIZE; i++)
		*bech32_text++ = bech32_charset[checksum >> 5 * (5 - i) & 31];
	*bech32_text = 0;
	return true;
}

/* Copies text in lower case; false if it is too long, mixes cases or holds other than printable ASCII. */
static bool bech32_to_lower(char *lower_text, size_t *text_size, const char *text, struct errmsg *err)
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
		lower_text[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
	}
	lower_text[i] = 0;
	*text_size = i;
	if (has_lower && has_upper)
		return errmsg_set(err, "The address mixes upper and lower case");
	return true;
}

bool bech32_decode(char *hrp, uint8_t *values, size_t *value_count, enum bech32_form *form, const char *text,
	struct errmsg *err)
{
	char lower_text[BECH32_TEXT_MAX + 1];
	const char *separator;
	const char *symbol;
	size_t hrp_size;
	uint32_t checksum;
	size_t text_size = 0;
	size_t i;

	if (!bech32_to_lower(lower_text, &text_size, text, err))
		return false;
	/* The last 1: the prefix may hold others, the values none. */
	separator = strrchr(lower_text, '1');
	hrp_size = separator == NULL ? 0 : (size_t)(separator - lower_text);
	if (hrp_size < 1)
		return errmsg_set(err,
			separator == NULL ? "The address has no separator 1" :
					    "The address has no prefix before its 1");
	if (text_size - hrp_size - 1 < BECH32_CHECKSUM_SIZE)
		return errmsg_set(err, "The address is too short for its checksum");
	memcpy(hrp, lower_text, hrp_size);
	hrp[hrp_size] = 0;
	checksum = bech32_checksum_hrp(hrp);
	*value_count = text_size - hrp_size - 1 - BECH32_CHECKSUM_SIZE;
	for (i = 0; i < *value_count + BECH32_CHECKSUM_SIZE; i++) {
		symbol = strchr(bech32_charset, separator[1 + i]);
		if (symbol == NULL)
			return errmsg_set(err, "The address has a character that bech32 does not use");
		checksum = bech32_checksum_step(checksum, (uint32_t)(symbol - bech32_charset));
		if (i < *value_count)
			values[i] = (uint8_t)(symbol - bech32_charset);
	}
	/* Which of both it must be depends on the witness version, which is the caller's to read. */
	if (checksum != bech32_constant(BECH32_FIRST) && checksum != bech32_constant(BECH32_M))
		return errmsg_set(err, "The address has a wrong checksum: it was mistyped");
	*form = checksum == bech32_constant(BECH32_M) ? BECH32_M : BECH32_FIRST;
	return true;
}
