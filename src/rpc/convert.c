/* JSON values as numbers, amounts, bytes: exact, or refused with Bitcoin Core's words. */
#include "rpc/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

#define DECIMALS 8
/* Bitcoin's bound, 21 million coins in units of 10^-8, for amounts in a request. */
#define AMOUNT_MAX (INT64_C(21000000) * 100000000)
#define DIGITS_MAX 18 /* fit int64_t whatever they are */

static bool wrong_type(const json_t *value, const char *name, const char *expected, struct rpc_error *error)
{
	return rpc_error_set(error, RPC_TYPE_ERROR, "%s must be a %s, not %s", name, expected, json_type_name(value));
}

/* A number's text, also that of a string which contains one. A new string, or NULL.
 * Strings are numbers here too since many JSON libraries have but doubles, in which 0.1 is already another amount.
 * Bitcoin Core takes them for amounts as well. */
static char *number_text(const json_t *value)
{
	const char *text;
	size_t size;
	json_t *inner;
	char *found = NULL;

	if (!json_is_text(value))
		return json_number_text(value);
	text = json_string_value(value);
	size = json_string_length(value);
	/* The parser would take blanks around the number. */
	if (size == 0 || strpbrk(text, " \t\r\n") != NULL)
		return NULL;
	inner = json_parse(text, size, NULL);
	if (inner != NULL)
		found = json_number_text(inner);
	json_decref(inner);
	return found;
}

/* The exponent behind the digits of a number, limited to what can make a difference. */
static int64_t read_exponent(const char *p)
{
	long long e = *p ? strtoll(p + 1, NULL, 10) : 0;

	return e > 1000000000 ? 1000000000 : e < -1000000000 ? -1000000000 : e;
}

/* A JSON number's text in units of 10^-8; false if it has more decimals than that, or is too large. */
/* The value is (digits read) * 10^scale. Zeros are held back until another digit follows, so that 1.500000000 has one
 * decimal: what is counted is what the number says, not how it is written. */
static bool parse_fixed(const char *text, int64_t *units)
{
	bool negative = *text == '-', behind_point = false;
	int64_t scale = DECIMALS, value = 0;
	size_t digits = 0, zeros = 0; /* zeros: behind the last other digit; they count if one more follows */
	const char *p = text + negative;

	for (; *p && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			behind_point = true;
			continue;
		}
		scale -= behind_point;
		if (*p == '0') {
			zeros += value != 0;
			continue;
		}
		digits += zeros + 1;
		/* However many zeros a text begins with, none has been counted: `value` was 0. */
		if (digits > DIGITS_MAX)
			return false;
		for (; zeros; zeros--)
			value *= 10;
		value = value * 10 + (*p - '0');
	}
	/* Zeros at the end were held back: behind the point each has lowered the scale, before it each is a factor of
	 * ten. Both come back here. */
	scale += read_exponent(p) + (int64_t)zeros;
	if (value == 0) {
		*units = 0;
		return true;
	}
	/* Also what keeps the loop below short whatever the exponent, as in 1e1000000000. */
	if (scale < 0 || (int64_t)digits + scale > DIGITS_MAX)
		return false;
	while (scale--)
		value *= 10;
	*units = negative ? -value : value;
	return true;
}

bool convert_decimal(const json_t *value, const char *name, int64_t *units, struct rpc_error *error)
{
	char *text = number_text(value);
	bool ok;

	if (text == NULL && !json_is_text(value))
		return wrong_type(value, name, "number", error);
	ok = text != NULL && parse_fixed(text, units);
	free(text);
	return ok || rpc_error_set(error, RPC_TYPE_ERROR, "%s must be a number with at most 8 decimals", name);
}

bool convert_amount(const json_t *value, const char *name, int64_t *units, struct rpc_error *error)
{
	char *text = number_text(value);
	int64_t amount;
	bool ok;

	if (text == NULL && !json_is_text(value))
		return wrong_type(value, name, "number or string", error);
	ok = text != NULL && parse_fixed(text, &amount);
	free(text);
	if (!ok)
		return rpc_error_set(error, RPC_TYPE_ERROR, "Invalid amount: %s needs at most 8 decimals", name);
	if (amount < 0 || amount > AMOUNT_MAX)
		return rpc_error_set(error, RPC_TYPE_ERROR, "Amount out of range: %s", name);
	*units = amount;
	return true;
}

bool convert_int(const json_t *value, const char *name, int64_t min, int64_t max, int64_t *out, struct rpc_error *error)
{
	json_int_t v = json_integer_value(value);

	if (!json_is_any_number(value))
		return wrong_type(value, name, "number", error);
	if (!json_is_integer(value))
		return rpc_error_set(error, RPC_MISC_ERROR, "%s must be an integer in the range of 64 bits", name);
	if (v < min || v > max)
		return rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be between %lld and %lld, not %lld", name,
			(long long)min, (long long)max, (long long)v);
	*out = v;
	return true;
}

bool convert_u64(const json_t *value, const char *name, uint64_t *out, struct rpc_error *error)
{
	char *text = number_text(value), *end = NULL;
	unsigned long long number = 0;
	/* strtoull alone would take a sign and wrap "-1" around to the largest number. */
	bool ok = text != NULL && text[strspn(text, "0123456789")] == 0;

	if (text == NULL && !json_is_text(value))
		return wrong_type(value, name, "number or string", error);
	if (ok) {
		errno = 0;
		number = strtoull(text, &end, 10);
		ok = errno == 0;
	}
	free(text);
	if (!ok)
		return rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be a whole number from 0 to %" PRIu64, name,
			UINT64_MAX);
	*out = number;
	return true;
}

char *convert_text(const json_t *value, const char *name, struct rpc_error *error)
{
	if (json_is_text(value))
		return mem_strdup(json_string_value(value));
	if (json_is_any_number(value))
		return json_number_text(value);
	if (json_is_boolean(value))
		return mem_strdup(json_is_true(value) ? "true" : "false");
	wrong_type(value, name, "string", error);
	return NULL;
}

static bool digits_only(const char *text)
{
	return text[strspn(text, "0123456789abcdefABCDEF")] == 0;
}

/* The text of 64 digits; a new string, or NULL. */
static char *text_of_32(const json_t *value, const char *name, struct rpc_error *error)
{
	char *text = convert_text(value, name, error);

	if (text == NULL)
		return NULL;
	/* Bitcoin Core's words, which scripts look for; it repeats the whole value, which is cut here. */
	if (strlen(text) != 64)
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be of length 64 (not %zu, for '%.80s')", name,
			strlen(text), text);
	else if (!digits_only(text))
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be hexadecimal string (not '%.80s')", name, text);
	else
		return text;
	free(text);
	return NULL;
}

/* Ids are shown with their bytes reversed, as in Bitcoin; keys and roots of blobs are not. Mixed up, either is a valid
 * text of the other: no check can find it. */
bool convert_hash(const json_t *value, const char *name, uint8_t hash[32], struct rpc_error *error)
{
	char *text = text_of_32(value, name, error);
	bool ok = text != NULL && hex_decode_reversed(hash, 32, text);

	free(text);
	return ok;
}

bool convert_key(const json_t *value, const char *name, uint8_t key[32], struct rpc_error *error)
{
	char *text = text_of_32(value, name, error);
	bool ok = text != NULL && hex_decode(key, 32, text);

	free(text);
	return ok;
}

bool convert_hex(const json_t *value, const char *name, size_t max, struct buf *out, struct rpc_error *error)
{
	char *text = convert_text(value, name, error);
	size_t size;
	bool ok = false;

	if (text == NULL)
		return false;
	size = strlen(text);
	if (size % 2 || !digits_only(text))
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must be hexadecimal string (not '%.80s')", name, text);
	else if (size / 2 > max)
		rpc_error_set(error, RPC_INVALID_PARAMETER, "%s must have at most %zu bytes, not %zu", name, max,
			size / 2);
	else
		ok = hex_decode(buf_extend(out, size / 2), size / 2, text);
	free(text);
	return ok;
}
