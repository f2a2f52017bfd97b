/* JSON read and written over jansson's values: numbers keep their own text, strings may hold any bytes. */
#include "rpc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

#define JSON_DECIMAL_MARK '\xff'

/* --- parsing --- */

struct json_parser {
	const char *start, *next, *end;
	unsigned depth;
	size_t values;
	struct errmsg *err;
};

static json_t *json_parse_value(struct json_parser *parser);

/* What people write has lines, and what programs send has not. */
static json_t *json_parse_fail(struct json_parser *parser, const char *what)
{
	unsigned line = 1;

	for (const char *read_byte = parser->start; read_byte < parser->next; read_byte++)
		line += *read_byte == '\n';
	if (line > 1)
		errmsg_set(parser->err, "%s in line %u", what, line);
	else
		errmsg_set(parser->err, "%s at byte %zu", what, (size_t)(parser->next - parser->start));
	return NULL;
}

static void json_skip_blanks(struct json_parser *parser)
{
	while (parser->next < parser->end &&
		(*parser->next == ' ' || *parser->next == '\t' || *parser->next == '\n' || *parser->next == '\r'))
		parser->next++;
}

/* Takes the character if it is next, blanks before it skipped. */
static bool json_take_byte(struct json_parser *parser, char byte)
{
	json_skip_blanks(parser);
	if (parser->next == parser->end || *parser->next != byte)
		return false;
	parser->next++;
	return true;
}

static bool json_is_digit(const char *digit, const char *digits_end)
{
	return digit < digits_end && *digit >= '0' && *digit <= '9';
}

static const char *json_skip_digits(const char *digit, const char *digits_end)
{
	while (json_is_digit(digit, digits_end))
		digit++;
	return digit;
}

/* The end of the number that starts at `digit`, or NULL if none does.
 * RFC 8259's grammar, narrower than strtod's: no "+1", "01", ".5", "1." or "0x10", which JSON does not have. */
static const char *json_number_end(const char *digit, const char *digits_end)
{
	if (digit < digits_end && *digit == '-')
		digit++;
	if (!json_is_digit(digit, digits_end))
		return NULL;
	digit = *digit == '0' ? digit + 1 : json_skip_digits(digit, digits_end);
	if (digit < digits_end && *digit == '.') {
		if (!json_is_digit(++digit, digits_end))
			return NULL;
		digit = json_skip_digits(digit, digits_end);
	}
	if (digit < digits_end && (*digit == 'e' || *digit == 'E')) {
		digit++;
		if (digit < digits_end && (*digit == '+' || *digit == '-'))
			digit++;
		if (!json_is_digit(digit, digits_end))
			return NULL;
		digit = json_skip_digits(digit, digits_end);
	}
	return digit;
}

/* A number's value: an integer where its text says no more than that, else a decimal with all of the text. */
static json_t *json_make_number(const char *number, size_t number_size)
{
	char shortest[24], *marked;
	json_t *json_value;
	int64_t integer;

	/* "-0", "1.0", "1e3" and what exceeds int64_t print as something else, and so stay as they are. */
	if (number_size < sizeof shortest) {
		char number_copy[24];

		memcpy(number_copy, number, number_size);
		number_copy[number_size] = 0;
		integer = strtoll(number_copy, NULL, 10);
		snprintf(shortest, sizeof shortest, "%lld", (long long)integer);
		if (strcmp(number_copy, shortest) == 0)
			return json_integer(integer);
	}
	marked = mem_alloc(number_size + 1);
	marked[0] = JSON_DECIMAL_MARK;
	memcpy(marked + 1, number, number_size);
	/* Without jansson's check for UTF-8, which the mark is there to fail. */
	json_value = json_stringn_nocheck(marked, number_size + 1);
	free(marked);
	return json_value;
}

static json_t *json_parse_number(struct json_parser *parser)
{
	const char *number_end = json_number_end(parser->next, parser->end);
	json_t *json_value;

	if (number_end == NULL)
		return json_parse_fail(parser, "Not a number");
	json_value = json_make_number(parser->next, (size_t)(number_end - parser->next));
	parser->next = number_end;
	return json_value;
}

static bool json_parse_hex4(struct json_parser *parser, unsigned *out)
{
	char code_digits[5];
	uint8_t code_unit[2];

	if (parser->end - parser->next < 4)
		return false;
	memcpy(code_digits, parser->next, 4);
	code_digits[4] = 0;
	if (!hex_decode(code_unit, 2, code_digits))
		return false;
	*out = (unsigned)code_unit[0] << 8 | code_unit[1];
	parser->next += 4;
	return true;
}

static void json_put_utf8(struct buf *utf8, unsigned character)
{
	if (character < 0x80) {
		buf_put_u8(utf8, (uint8_t)character);
		return;
	}
	if (character < 0x800) {
		buf_put_u8(utf8, (uint8_t)(0xc0 | character >> 6));
	} else if (character < 0x10000) {
		buf_put_u8(utf8, (uint8_t)(0xe0 | character >> 12));
		buf_put_u8(utf8, (uint8_t)(0x80 | (character >> 6 & 0x3f)));
	} else {
		buf_put_u8(utf8, (uint8_t)(0xf0 | character >> 18));
		buf_put_u8(utf8, (uint8_t)(0x80 | (character >> 12 & 0x3f)));
		buf_put_u8(utf8, (uint8_t)(0x80 | (character >> 6 & 0x3f)));
	}
	buf_put_u8(utf8, (uint8_t)(0x80 | (character & 0x3f)));
}

/* What stands behind \u: one code unit, or the two of a surrogate pair. */
static bool json_parse_unicode(struct json_parser *parser, struct buf *string)
{
	unsigned character, low_surrogate;

	if (!json_parse_hex4(parser, &character) || (character >= 0xdc00 && character <= 0xdfff))
		return false;
	/* The first half of a pair must be followed by the second; either one alone is no character. */
	if (character >= 0xd800 && character <= 0xdbff) {
		if (parser->end - parser->next < 2 || parser->next[0] != '\\' || parser->next[1] != 'u')
			return false;
		parser->next += 2;
		if (!json_parse_hex4(parser, &low_surrogate) || low_surrogate < 0xdc00 || low_surrogate > 0xdfff)
			return false;
		character = 0x10000 + ((character - 0xd800) << 10) + (low_surrogate - 0xdc00);
	}
	json_put_utf8(string, character);
	return true;
}

static bool json_parse_escape(struct json_parser *parser, struct buf *string)
{
	static const char escape_names[] = "\"\\/bfnrt", escape_values[] = "\"\\/\b\f\n\r\t";
	const char *escape;

	if (parser->next == parser->end)
		return false;
	if (*parser->next == 'u') {
		parser->next++;
		return json_parse_unicode(parser, string);
	}
	escape = *parser->next ? strchr(escape_names, *parser->next) : NULL;
	if (escape == NULL)
		return false;
	buf_put_u8(string, (uint8_t)escape_values[escape - escape_names]);
	parser->next++;
	return true;
}

/* A string's contents; the opening quote has been taken. */
static bool json_parse_text(struct json_parser *parser, struct buf *string)
{
	while (parser->next < parser->end && *parser->next != '"') {
		if ((unsigned char)*parser->next < 0x20) {
			json_parse_fail(parser, "Control character in a string");
			return false;
		}
		if (*parser->next != '\\') {
			buf_put_u8(string, (uint8_t)*parser->next++);
			continue;
		}
		parser->next++;
		if (!json_parse_escape(parser, string)) {
			json_parse_fail(parser, "Bad escape in a string");
			return false;
		}
	}
	if (parser->next == parser->end) {
		json_parse_fail(parser, "String without an end");
		return false;
	}
	parser->next++;
	return true;
}

static json_t *json_parse_string(struct json_parser *parser)
{
	struct buf text;
	json_t *json_value = NULL;

	buf_init(&text);
	if (json_parse_text(parser, &text)) {
		/* An empty buffer has no memory: jansson takes NULL for a failure and not for "". */
		buf_reserve(&text, 1);
		json_value = json_stringn((const char *)text.data, text.size);
		if (json_value == NULL)
			json_parse_fail(parser, "String that is not UTF-8");
	}
	buf_clear(&text);
	return json_value;
}

static json_t *json_parse_array(struct json_parser *parser)
{
	json_t *array = json_array();

	if (json_take_byte(parser, ']'))
		return array;
	do {
		json_t *item = json_parse_value(parser);

		if (item == NULL)
			goto bad;
		json_array_append_new(array, item);
	} while (json_take_byte(parser, ','));
	if (json_take_byte(parser, ']'))
		return array;
	json_parse_fail(parser, "Expected ',' or ']'");
bad:
	json_decref(array);
	return NULL;
}

static bool json_parse_member(struct json_parser *parser, json_t *object)
{
	json_t *key = NULL, *json_value;
	bool ok = false;

	if (json_take_byte(parser, '"'))
		key = json_parse_string(parser);
	else
		json_parse_fail(parser, "Expected a name in quotes");
	if (key == NULL)
		return false;
	if (!json_is_text(key)) {
		json_parse_fail(parser, "Name with a byte 0");
	} else if (json_object_get(object, json_string_value(key)) != NULL) {
		/* With one name twice a filter in front of the node and the node could read different values. */
		json_parse_fail(parser, "Name that is there already");
	} else if (!json_take_byte(parser, ':')) {
		json_parse_fail(parser, "Expected ':'");
	} else {
		json_value = json_parse_value(parser);
		ok = json_value != NULL && json_object_set_new(object, json_string_value(key), json_value) == 0;
	}
	json_decref(key);
	return ok;
}

static json_t *json_parse_object(struct json_parser *parser)
{
	json_t *object = json_object();

	if (json_take_byte(parser, '}'))
		return object;
	do {
		if (!json_parse_member(parser, object))
			goto bad;
	} while (json_take_byte(parser, ','));
	if (json_take_byte(parser, '}'))
		return object;
	json_parse_fail(parser, "Expected ',' or '}'");
bad:
	json_decref(object);
	return NULL;
}

static json_t *json_parse_word(struct json_parser *parser)
{
	/* What follows a word ("nullx") is the caller's to refuse: no value may stand there without a comma. */
	static const char *const words[] = { "null", "true", "false" };

	for (size_t i = 0; i < 3; i++) {
		size_t word_size = strlen(words[i]);

		if ((size_t)(parser->end - parser->next) >= word_size &&
			memcmp(parser->next, words[i], word_size) == 0) {
			parser->next += word_size;
			return i == 0 ? json_null() : json_boolean(i == 1);
		}
	}
	return json_parse_fail(parser, "Not a JSON value");
}

static json_t *json_parse_nested(struct json_parser *parser)
{
	bool is_array = *parser->next++ == '[';
	json_t *json_value;

	/* Each level is a frame or two of the stack, here and where values are printed or freed. */
	if (parser->depth == JSON_DEPTH_MAX)
		return json_parse_fail(parser, "Nested too deeply");
	parser->depth++;
	json_value = is_array ? json_parse_array(parser) : json_parse_object(parser);
	parser->depth--;
	return json_value;
}

static json_t *json_parse_value(struct json_parser *parser)
{
	json_skip_blanks(parser);
	if (parser->next == parser->end)
		return json_parse_fail(parser, "Value missing");
	/* A value of two bytes of text takes a hundred of memory: the text's length is no bound of it. */
	if (++parser->values > JSON_VALUES_MAX)
		return json_parse_fail(parser, "Too many values");
	if (*parser->next == '[' || *parser->next == '{')
		return json_parse_nested(parser);
	if (*parser->next == '"') {
		parser->next++;
		return json_parse_string(parser);
	}
	if (*parser->next == '-' || json_is_digit(parser->next, parser->end))
		return json_parse_number(parser);
	return json_parse_word(parser);
}

json_t *json_parse(const char *text, size_t size, struct errmsg *err)
{
	struct json_parser parser = { .err = err };
	json_t *json_value;

	/* An empty text may come as NULL. */
	parser.start = parser.next = size ? text : "";
	parser.end = parser.next + size;
	json_value = json_parse_value(&parser);
	json_skip_blanks(&parser);
	if (json_value != NULL && parser.next != parser.end) {
		json_decref(json_value);
		return json_parse_fail(&parser, "Text behind the value");
	}
	return json_value;
}

/* --- printing --- */

static const char *json_decimal_text(const json_t *value)
{
	const char *text = json_is_string(value) ? json_string_value(value) : NULL;

	return text != NULL && text[0] == JSON_DECIMAL_MARK ? text + 1 : NULL;
}

static int json_append_text(const char *data, size_t size, void *json_out)
{
	buf_put(json_out, data, size);
	return 0;
}

/* `indent` is the program's own, and the depth bounded where a value was parsed or built: the product is small. */
static void json_new_line(unsigned indent, unsigned depth, struct buf *json_out)
{
	if (indent == 0)
		return;
	buf_put_u8(json_out, '\n');
	memset(buf_extend(json_out, (size_t)indent * depth), ' ', (size_t)indent * depth);
}

static void json_print_text(const char *text, size_t size, struct buf *json_out)
{
	static const char hex_digits[] = "0123456789abcdef";

	buf_put_u8(json_out, '"');
	for (size_t i = 0; i < size; i++) {
		unsigned char character = (unsigned char)text[i];
		const char *escape = character ? strchr("\bb\ff\nn\rr\tt\"\"\\\\", character) : NULL;

		/* The pairs above are character and name; a name is found too where it is no character to escape. */
		if (escape != NULL && (character < 0x20 || character == '"' || character == '\\')) {
			buf_put_u8(json_out, '\\');
			buf_put_u8(json_out, (uint8_t)escape[1]);
		} else if (character < 0x20 || character == 0x7f) {
			/* DEL as well, which JSON would allow, as by Bitcoin Core: answers are printed on terminals,
			 * and hold what strangers wrote. */
			buf_put_text(json_out, "\\u00");
			buf_put_u8(json_out, (uint8_t)hex_digits[character >> 4]);
			buf_put_u8(json_out, (uint8_t)hex_digits[character & 15]);
		} else {
			buf_put_u8(json_out, character);
		}
	}
	buf_put_u8(json_out, '"');
}

static void json_print_at(const json_t *value, unsigned indent, unsigned depth, struct buf *out);

static void json_print_array(const json_t *array, unsigned indent, unsigned depth, struct buf *json_out)
{
	size_t item_index;
	json_t *item;

	buf_put_u8(json_out, '[');
	json_array_foreach(array, item_index, item) {
		if (item_index)
			buf_put_u8(json_out, ',');
		json_new_line(indent, depth + 1, json_out);
		json_print_at(item, indent, depth + 1, json_out);
	}
	if (json_array_size(array))
		json_new_line(indent, depth, json_out);
	buf_put_u8(json_out, ']');
}

static void json_print_object(json_t *object, unsigned indent, unsigned depth, struct buf *json_out)
{
	const char *key, *json_comma = "";
	json_t *item;

	buf_put_u8(json_out, '{');
	json_object_foreach(object, key, item) {
		buf_put_text(json_out, json_comma);
		json_comma = ",";
		json_new_line(indent, depth + 1, json_out);
		json_print_text(key, strlen(key), json_out);
		buf_put_text(json_out, indent ? ": " : ":");
		json_print_at(item, indent, depth + 1, json_out);
	}
	if (*json_comma)
		json_new_line(indent, depth, json_out);
	buf_put_u8(json_out, '}');
}

static void json_print_at(const json_t *value, unsigned indent, unsigned depth, struct buf *json_out)
{
	const char *number = json_decimal_text(value);

	if (number != NULL)
		buf_put_text(json_out, number);
	else if (json_is_array(value))
		json_print_array(value, indent, depth, json_out);
	else if (json_is_object(value))
		/* json_object_foreach wants an object that is not const, and changes nothing. */
		json_print_object((json_t *)(uintptr_t)value, indent, depth, json_out);
	else if (json_is_string(value))
		json_print_text(json_string_value(value), json_string_length(value), json_out);
	else
		json_dump_callback(value, json_append_text, json_out, JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
}

void json_print(const json_t *value, unsigned indent, struct buf *json_out)
{
	json_print_at(value, indent, 0, json_out);
}

/* --- new values --- */

json_t *json_fixed(int64_t value, unsigned decimals)
{
	char decimal[48], *first_digit = decimal + sizeof decimal;
	/* Negated as unsigned: INT64_MIN has no positive twin. */
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

	/* Digits from the last on; one at least stands before the point. */
	for (unsigned i = 0; rest || i <= decimals; i++, rest /= 10) {
		if (i == decimals && i > 0)
			*--first_digit = '.';
		*--first_digit = (char)('0' + rest % 10);
	}
	if (value < 0)
		*--first_digit = '-';
	return json_make_number(first_digit, (size_t)(decimal + sizeof decimal - first_digit));
}

json_t *json_amount(int64_t units)
{
	return json_fixed(units, 8);
}

json_t *json_decimal(const char *text)
{
	return json_make_number(text, strlen(text));
}

json_t *json_hex(const uint8_t *data, size_t size)
{
	char *hex_digits = mem_alloc(2 * size + 1);
	json_t *json_value;

	hex_encode(hex_digits, data, size);
	json_value = json_stringn_nocheck(hex_digits, 2 * size);
	free(hex_digits);
	return json_value;
}

json_t *json_u64(uint64_t value)
{
	char integer_text[24];

	snprintf(integer_text, sizeof integer_text, "%" PRIu64, value);
	return json_string(integer_text);
}

json_t *json_hash(const uint8_t hash[32])
{
	char hash_text[65];

	hex_encode_reversed(hash_text, hash, 32);
	return json_stringn_nocheck(hash_text, 64);
}

json_t *json_text(const char *text, size_t size)
{
	json_t *json_value = json_stringn(size ? text : "", size);
	struct buf utf8;

	if (json_value != NULL)
		return json_value;
	/* Not UTF-8: keep the longest good pieces. A character has 4 bytes at most. */
	buf_init(&utf8);
	for (size_t i = 0; i < size;) {
		size_t length = 0;

		for (size_t piece_size = 1; piece_size <= 4 && i + piece_size <= size && length == 0; piece_size++) {
			json_t *piece = json_stringn(text + i, piece_size);

			if (piece != NULL)
				length = piece_size;
			json_decref(piece);
		}
		if (length)
			buf_put(&utf8, text + i, length);
		else
			buf_put_text(&utf8, "\xef\xbf\xbd");
		i += length ? length : 1;
	}
	json_value = json_stringn((const char *)utf8.data, utf8.size);
	buf_clear(&utf8);
	return json_value;
}

/* --- looking at values --- */

bool json_is_any_number(const json_t *value)
{
	return json_is_number(value) || json_decimal_text(value);
}

bool json_is_any_text(const json_t *value)
{
	return json_is_string(value) && json_decimal_text(value) == NULL;
}

bool json_is_text(const json_t *value)
{
	return json_is_any_text(value) && strlen(json_string_value(value)) == json_string_length(value);
}

const char *json_type_name(const json_t *value)
{
	if (value == NULL || json_is_null(value))
		return "null";
	if (json_is_any_number(value))
		return "number";
	if (json_is_boolean(value))
		return "bool";
	if (json_is_string(value))
		return json_is_text(value) ? "string" : "string with a byte 0";
	return json_is_array(value) ? "array" : "object";
}

char *json_number_text(const json_t *value)
{
	struct buf number_text;

	if (!json_is_any_number(value))
		return NULL;
	buf_init(&number_text);
	json_print(value, 0, &number_text);
	return buf_take_text(&number_text);
}
