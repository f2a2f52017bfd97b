/* JSON values as numbers, amounts, bytes: exact, or refused with Bitcoin Core's words. */
#include "rpc/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

#define CONVERT_DECIMALS 8
/* Bitcoin's bound, 21 million coins in units of 10^-8, for amounts in a request. */
#define CONVERT_AMOUNT_MAX (INT64_C(21000000) * 100000000)
#define CONVERT_DIGITS_MAX 18 /* fit int64_t whatever they are */

static bool convert_wrong_type(const json_t *json, const char *name, const char *expected, struct rpc_error *error)
{
	return rpc_error_set(error, RPC_TYPE_ERROR, "%s must be a %s, not %s", name, expected, json_type_name(json));
}

/* A number's text, also that of a string which contains one. A new string, or NULL.
 * Strings are numbers here too since many JSON libraries have but doubles, in which 0.1 is already another amount.
 * Bitcoin Core takes them for amounts as well. */
static char *convert_number_text(const json_t *json)
{
	const char *string;
	size_t string_size;
	json_t *inner;
	char *number = NULL;

	if (!json_is_text(json))
		return json_number_text(json);
	string = json_string_value(json);
	string_size = json_string_length(json);
	/* The parser would take blanks around the number. */
	if (string_size == 0 || strpbrk(string, " \t\r\n") != NULL)
		return NULL;
	inner = json_parse(string, string_size, NULL);
	if (inner != NULL)
		number = json_number_text(inner);
	json_decref(inner);
	return number;
}

/* The exponent behind the digits of a number, limited to what can make a difference. */
static int64_t convert_exponent(const char *letter)
{
	long long exponent = *letter ? strtoll(letter + 1, NULL, 10) : 0;

	return exponent > 1000000000 ? 1000000000 : exponent < -1000000000 ? -1000000000 : exponent;
}

/* A JSON number's text in units of 10^-8; false if it has more decimals than that, or is too large. */
/* The value is (digits read) * 10^scale. Zeros are held back until another digit follows, so that 1.500000000 has one
 * decimal: what is counted is what the number says, not how it is written. */
static bool convert_fixed(const char *decimal, int64_t *units)
{
	bool negative = *decimal == '-', behind_point = false;
	int64_t scale = CONVERT_DECIMALS, mantissa = 0;
	size_t digits = 0, zeros = 0; /* zeros: behind the last other digit; they count if one more follows */
	const char *digit = decimal + negative;

	for (; *digit && *digit != 'e' && *digit != 'E'; digit++) {
		if (*digit == '.') {
			behind_point = true;
			continue;
		}
		scale -= behind_point;
		if (*digit == '0') {
			zeros += mantissa != 0;
			continue;
		}
		digits += zeros + 1;
		/* However many zeros a text begins with, none has been counted: `mantissa` was 0. */
		if (digits > CONVERT_DIGITS_MAX)
			return false;
		for (; zeros; zeros--)
			mantissa *= 10;
		mantissa = mantissa * 10 + (*digit - '0');
	}
	/* Zeros at the end were held back: behind the point each has lowered the scale, before it each is a factor of
	 * ten. Both come back here. */
	scale += convert_exponent(digit) + (int64_t)zeros;
	if (mantissa == 0) {
		*units = 0;
		return true;
	}
	/* Also what keeps the loop below short whatever the exponent, as in 1e1000000000. */
	if (scale < 0 || (int64_t)digits + scale > CONVERT_DIGITS_MAX)
		return false;
	while (scale--)
		mantissa *= 10;
	*units = negative ? -mantissa : mantissa;
	return true;
}

bool convert_decimal(const json_t *json, const char *name, int64_t *units, struct rpc_error *error)
{
	char *decimal = convert_number_text(json);
	bool ok;

	if (decimal == NULL && !json_is_text(json))
		return convert_wrong_type(json, name, "number", error);
	ok = decimal != NULL && convert_fixed(decimal, units);
	free(decimal);
	return ok || rpc_error_set(error, RPC_TYPE_ERROR, "%s must be a number with at most 8 decimals", name);
}

bool convert_amount(const json_t *json, const char *name, int64_t *units, struct rpc_error *error)
{
	char *decimal = convert_number_text(json);
	int64_t amount;
	bool ok;

	if (decimal == NULL && !json_is_text(json))
		return convert_wrong_type(json, name, "number or string", error);
	ok = decimal != NULL && convert_fixed(decimal, &amount);
	free(decimal);
	if (!ok)
		return rpc_error_set(error, RPC_TYPE_ERROR, "Invalid amount: %s needs at most 8 decimals", name);
	if (amount < 0 || amount > CONVERT_AMOUNT_MAX)
		return rpc_error_set(error, RPC_TYPE_ERROR, "Amount out of range: %s", name);
	*units = amount;
	return true;
}

bool convert_int(const json_t *json, const char *name, int64_t min, int64_t max, int64_t *out, struct rpc_error *error)
{
	json_int_t integer = json_integer_value(json);

	if (!json_is_any_number(json))
		return convert_wrong_type(json, name, "number", error);
	if (!json_is_integer(json))
		return rpc_error_set(error, RPC_MISC_ERROR, "%s must be an integer in the range of 64 bits", name);
	if (integer < min || integer > max)
		return rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be between %lld and %lld, not %lld", name,
			(long long)min, (long long)max, (long long)integer);
	*out = integer;
	return true;
}

bool convert_u64(const json_t *json, const char *name, uint64_t *out, struct rpc_error *error)
{
	char *integer_text = convert_number_text(json), *integer_end = NULL;
	unsigned long long u64 = 0;
	/* strtoull alone would take a sign and wrap "-1" around to the largest number. */
	bool ok = integer_text != NULL && integer_text[strspn(integer_text, "0123456789")] == 0;

	if (integer_text == NULL && !json_is_text(json))
		return convert_wrong_type(json, name, "number or string", error);
	if (ok) {
		errno = 0;
		u64 = strtoull(integer_text, &integer_end, 10);
		ok = errno == 0;
	}
	free(integer_text);
	if (!ok)
		return rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be a whole number from 0 to %" PRIu64, name,
			UINT64_MAX);
	*out = u64;
	return true;
}

char *convert_text(const json_t *json, const char *name, struct rpc_error *error)
{
	if (json_is_text(json))
		return mem_strdup(json_string_value(json));
	if (json_is_any_number(json))
		return json_number_text(json);
	if (json_is_boolean(json))
		return mem_strdup(json_is_true(json) ? "true" : "false");
	convert_wrong_type(json, name, "string", error);
	return NULL;
}

static bool convert_is_hex(const char *text)
{
	return text[strspn(text, "0123456789abcdefABCDEF")] == 0;
}

/* The text of 64 digits; a new string, or NULL. */
static char *convert_text_of_32(const json_t *json, const char *name, struct rpc_error *error)
{
	char *hex_text = convert_text(json, name, error);

	if (hex_text == NULL)
		return NULL;
	/* Bitcoin Core's words, which scripts look for; it repeats the whole value, which is cut here. */
	if (strlen(hex_text) != 64)
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be of length 64 (not %zu, for '%.80s')", name,
			strlen(hex_text), hex_text);
	else if (!convert_is_hex(hex_text))
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be hexadecimal string (not '%.80s')", name,
			hex_text);
	else
		return hex_text;
	free(hex_text);
	return NULL;
}

/* Ids are shown with their bytes reversed, as in Bitcoin; keys and roots of blobs are not. Mixed up, either is a valid
 * text of the other: no check can find it. */
bool convert_hash(const json_t *json, const char *name, uint8_t hash[32], struct rpc_error *error)
{
	char *hex_text = convert_text_of_32(json, name, error);
	bool ok = hex_text != NULL && hex_decode_reversed(hash, 32, hex_text);

	free(hex_text);
	return ok;
}

bool convert_key(const json_t *json, const char *name, uint8_t key[32], struct rpc_error *error)
{
	char *hex_text = convert_text_of_32(json, name, error);
	bool ok = hex_text != NULL && hex_decode(key, 32, hex_text);

	free(hex_text);
	return ok;
}

bool convert_hex(const json_t *json, const char *name, size_t max, struct buf *out, struct rpc_error *error)
{
	char *hex_text = convert_text(json, name, error);
	size_t digit_count;
	bool ok = false;

	if (hex_text == NULL)
		return false;
	digit_count = strlen(hex_text);
	if (digit_count % 2 || !convert_is_hex(hex_text))
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be hexadecimal string (not '%.80s')", name,
			hex_text);
	else if (digit_count / 2 > max)
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must have at most %zu bytes, not %zu", name, max,
			digit_count / 2);
	else
		ok = hex_decode(buf_extend(out, digit_count / 2), digit_count / 2, hex_text);
	free(hex_text);
	return ok;
}
