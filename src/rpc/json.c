/* JSON read and written over jansson's values: numbers keep their own text, strings may hold any bytes. */
#include "rpc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

#define DECIMAL_MARK '\xff'

/* --- parsing --- */

struct parser {
	const char *start, *p, *end;
	unsigned depth;
	size_t values;
	struct errmsg *err;
};

static json_t *parse_value(struct parser *s);

static json_t *parse_fail(struct parser *s, const char *what)
{
	errmsg_set(s->err, "%s at byte %zu", what, (size_t)(s->p - s->start));
	return NULL;
}

static void skip_blanks(struct parser *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* Takes the character if it is next, blanks before it skipped. */
static bool take_byte(struct parser *s, char c)
{
	skip_blanks(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
	while (is_digit(p, end))
		p++;
	return p;
}

/* The end of the number that starts at p, or NULL if none does.
 * RFC 8259's grammar, narrower than strtod's: no "+1", "01", ".5", "1." or "0x10", which JSON does not have. */
static const char *number_end(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	if (!is_digit(p, end))
		return NULL;
	p = *p == '0' ? p + 1 : skip_digits(p, end);
	if (p < end && *p == '.') {
		if (!is_digit(++p, end))
			return NULL;
		p = skip_digits(p, end);
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!is_digit(p, end))
			return NULL;
		p = skip_digits(p, end);
	}
	return p;
}

/* A number's value: an integer where its text says no more than that, else a decimal with all of the text. */
static json_t *make_number(const char *text, size_t size)
{
	char shortest[24], *marked;
	json_t *value;
	int64_t integer;

	/* "-0", "1.0", "1e3" and what exceeds int64_t print as something else, and so stay as they are. */
	if (size < sizeof shortest) {
		char copy[24];

		memcpy(copy, text, size);
		copy[size] = 0;
		integer = strtoll(copy, NULL, 10);
		snprintf(shortest, sizeof shortest, "%lld", (long long)integer);
		if (strcmp(copy, shortest) == 0)
			return json_integer(integer);
	}
	marked = mem_alloc(size + 1);
	marked[0] = DECIMAL_MARK;
	memcpy(marked + 1, text, size);
	/* Without jansson's check for UTF-8, which the mark is there to fail. */
	value = json_stringn_nocheck(marked, size + 1);
	free(marked);
	return value;
}

static json_t *parse_number(struct parser *s)
{
	const char *end = number_end(s->p, s->end);
	json_t *value;

	if (end == NULL)
		return parse_fail(s, "Not a number");
	value = make_number(s->p, (size_t)(end - s->p));
	s->p = end;
	return value;
}

static bool parse_hex4(struct parser *s, unsigned *out)
{
	char text[5];
	uint8_t bytes[2];

	if (s->end - s->p < 4)
		return false;
	memcpy(text, s->p, 4);
	text[4] = 0;
	if (!hex_decode(bytes, 2, text))
		return false;
	*out = (unsigned)bytes[0] << 8 | bytes[1];
	s->p += 4;
	return true;
}

static void put_utf8(struct buf *b, unsigned c)
{
	if (c < 0x80) {
		buf_put_u8(b, (uint8_t)c);
		return;
	}
	if (c < 0x800) {
		buf_put_u8(b, (uint8_t)(0xc0 | c >> 6));
	} else if (c < 0x10000) {
		buf_put_u8(b, (uint8_t)(0xe0 | c >> 12));
		buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	} else {
		buf_put_u8(b, (uint8_t)(0xf0 | c >> 18));
		buf_put_u8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		buf_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_put_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
}

/* What stands behind \u: one code unit, or the two of a surrogate pair. */
static bool parse_unicode(struct parser *s, struct buf *out)
{
	unsigned c, low;

	if (!parse_hex4(s, &c) || (c >= 0xdc00 && c <= 0xdfff))
		return false;
	/* The first half of a pair must be followed by the second; either one alone is no character. */
	if (c >= 0xd800 && c <= 0xdbff) {
		if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
			return false;
		s->p += 2;
		if (!parse_hex4(s, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	put_utf8(out, c);
	return true;
}

static bool parse_escape(struct parser *s, struct buf *out)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (s->p == s->end)
		return false;
	if (*s->p == 'u') {
		s->p++;
		return parse_unicode(s, out);
	}
	found = *s->p ? strchr(names, *s->p) : NULL;
	if (found == NULL)
		return false;
	buf_put_u8(out, (uint8_t)values[found - names]);
	s->p++;
	return true;
}

/* A string's contents; the opening quote has been taken. */
static bool parse_text(struct parser *s, struct buf *out)
{
	while (s->p < s->end && *s->p != '"') {
		if ((unsigned char)*s->p < 0x20) {
			parse_fail(s, "Control character in a string");
			return false;
		}
		if (*s->p != '\\') {
			buf_put_u8(out, (uint8_t)*s->p++);
			continue;
		}
		s->p++;
		if (!parse_escape(s, out)) {
			parse_fail(s, "Bad escape in a string");
			return false;
		}
	}
	if (s->p == s->end) {
		parse_fail(s, "String without an end");
		return false;
	}
	s->p++;
	return true;
}

static json_t *parse_string(struct parser *s)
{
	struct buf text;
	json_t *value = NULL;

	buf_init(&text);
	if (parse_text(s, &text)) {
		/* An empty buffer has no memory: jansson takes NULL for a failure and not for "". */
		buf_reserve(&text, 1);
		value = json_stringn((const char *)text.data, text.size);
		if (value == NULL)
			parse_fail(s, "String that is not UTF-8");
	}
	buf_clear(&text);
	return value;
}

static json_t *parse_array(struct parser *s)
{
	json_t *array = json_array();

	if (take_byte(s, ']'))
		return array;
	do {
		json_t *item = parse_value(s);

		if (item == NULL)
			goto bad;
		json_array_append_new(array, item);
	} while (take_byte(s, ','));
	if (take_byte(s, ']'))
		return array;
	parse_fail(s, "Expected ',' or ']'");
bad:
	json_decref(array);
	return NULL;
}

static bool parse_member(struct parser *s, json_t *object)
{
	json_t *key = NULL, *value;
	bool ok = false;

	if (take_byte(s, '"'))
		key = parse_string(s);
	else
		parse_fail(s, "Expected a name in quotes");
	if (key == NULL)
		return false;
	if (!json_is_text(key)) {
		parse_fail(s, "Name with a byte 0");
	} else if (json_object_get(object, json_string_value(key)) != NULL) {
		/* With one name twice a filter in front of the node and the node could read different values. */
		parse_fail(s, "Name that is there already");
	} else if (!take_byte(s, ':')) {
		parse_fail(s, "Expected ':'");
	} else {
		value = parse_value(s);
		ok = value != NULL && json_object_set_new(object, json_string_value(key), value) == 0;
	}
	json_decref(key);
	return ok;
}

static json_t *parse_object(struct parser *s)
{
	json_t *object = json_object();

	if (take_byte(s, '}'))
		return object;
	do {
		if (!parse_member(s, object))
			goto bad;
	} while (take_byte(s, ','));
	if (take_byte(s, '}'))
		return object;
	parse_fail(s, "Expected ',' or '}'");
bad:
	json_decref(object);
	return NULL;
}

static json_t *parse_word(struct parser *s)
{
	/* What follows a word ("nullx") is the caller's to refuse: no value may stand there without a comma. */
	static const char *const words[] = { "null", "true", "false" };

	for (size_t i = 0; i < 3; i++) {
		size_t size = strlen(words[i]);

		if ((size_t)(s->end - s->p) >= size && memcmp(s->p, words[i], size) == 0) {
			s->p += size;
			return i == 0 ? json_null() : json_boolean(i == 1);
		}
	}
	return parse_fail(s, "Not a JSON value");
}

static json_t *parse_nested(struct parser *s)
{
	bool is_array = *s->p++ == '[';
	json_t *value;

	/* Each level is a frame or two of the stack, here and where values are printed or freed. */
	if (s->depth == JSON_DEPTH_MAX)
		return parse_fail(s, "Nested too deeply");
	s->depth++;
	value = is_array ? parse_array(s) : parse_object(s);
	s->depth--;
	return value;
}

static json_t *parse_value(struct parser *s)
{
	skip_blanks(s);
	if (s->p == s->end)
		return parse_fail(s, "Value missing");
	/* A value of two bytes of text takes a hundred of memory: the text's length is no bound of it. */
	if (++s->values > JSON_VALUES_MAX)
		return parse_fail(s, "Too many values");
	if (*s->p == '[' || *s->p == '{')
		return parse_nested(s);
	if (*s->p == '"') {
		s->p++;
		return parse_string(s);
	}
	if (*s->p == '-' || is_digit(s->p, s->end))
		return parse_number(s);
	return parse_word(s);
}

json_t *json_parse(const char *text, size_t size, struct errmsg *err)
{
	struct parser s = { .err = err };
	json_t *value;

	/* An empty text may come as NULL. */
	s.start = s.p = size ? text : "";
	s.end = s.p + size;
	value = parse_value(&s);
	skip_blanks(&s);
	if (value != NULL && s.p != s.end) {
		json_decref(value);
		return parse_fail(&s, "Text behind the value");
	}
	return value;
}

/* --- printing --- */

static const char *decimal_text(const json_t *value)
{
	const char *text = json_is_string(value) ? json_string_value(value) : NULL;

	return text != NULL && text[0] == DECIMAL_MARK ? text + 1 : NULL;
}

static int append_text(const char *data, size_t size, void *out)
{
	buf_put(out, data, size);
	return 0;
}

/* `indent` is the program's own, and the depth bounded where a value was parsed or built: the product is small. */
static void new_line(unsigned indent, unsigned depth, struct buf *out)
{
	if (indent == 0)
		return;
	buf_put_u8(out, '\n');
	memset(buf_extend(out, (size_t)indent * depth), ' ', (size_t)indent * depth);
}

static void print_text(const char *text, size_t size, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";

	buf_put_u8(out, '"');
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		const char *named = c ? strchr("\bb\ff\nn\rr\tt\"\"\\\\", c) : NULL;

		/* The pairs above are character and name; a name is found too where it is no character to escape. */
		if (named != NULL && (c < 0x20 || c == '"' || c == '\\')) {
			buf_put_u8(out, '\\');
			buf_put_u8(out, (uint8_t)named[1]);
		} else if (c < 0x20 || c == 0x7f) {
			/* DEL as well, which JSON would allow, as by Bitcoin Core: answers are printed on terminals,
			 * and hold what strangers wrote. */
			buf_put_text(out, "\\u00");
			buf_put_u8(out, (uint8_t)digits[c >> 4]);
			buf_put_u8(out, (uint8_t)digits[c & 15]);
		} else {
			buf_put_u8(out, c);
		}
	}
	buf_put_u8(out, '"');
}

static void print_at(const json_t *value, unsigned indent, unsigned depth, struct buf *out);

static void print_array(const json_t *array, unsigned indent, unsigned depth, struct buf *out)
{
	size_t i;
	json_t *item;

	buf_put_u8(out, '[');
	json_array_foreach(array, i, item) {
		if (i)
			buf_put_u8(out, ',');
		new_line(indent, depth + 1, out);
		print_at(item, indent, depth + 1, out);
	}
	if (json_array_size(array))
		new_line(indent, depth, out);
	buf_put_u8(out, ']');
}

static void print_object(json_t *object, unsigned indent, unsigned depth, struct buf *out)
{
	const char *key, *comma = "";
	json_t *item;

	buf_put_u8(out, '{');
	json_object_foreach(object, key, item) {
		buf_put_text(out, comma);
		comma = ",";
		new_line(indent, depth + 1, out);
		print_text(key, strlen(key), out);
		buf_put_text(out, indent ? ": " : ":");
		print_at(item, indent, depth + 1, out);
	}
	if (*comma)
		new_line(indent, depth, out);
	buf_put_u8(out, '}');
}

static void print_at(const json_t *value, unsigned indent, unsigned depth, struct buf *out)
{
	const char *number = decimal_text(value);

	if (number != NULL)
		buf_put_text(out, number);
	else if (json_is_array(value))
		print_array(value, indent, depth, out);
	else if (json_is_object(value))
		/* json_object_foreach wants an object that is not const, and changes nothing. */
		print_object((json_t *)(uintptr_t)value, indent, depth, out);
	else if (json_is_string(value))
		print_text(json_string_value(value), json_string_length(value), out);
	else
		json_dump_callback(value, append_text, out, JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
}

void json_print(const json_t *value, unsigned indent, struct buf *out)
{
	print_at(value, indent, 0, out);
}

/* --- new values --- */

json_t *json_fixed(int64_t value, unsigned decimals)
{
	char text[48], *p = text + sizeof text;
	/* Negated as unsigned: INT64_MIN has no positive twin. */
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	/* Digits from the last on; one at least stands before the point. */
	for (unsigned i = 0; left || i <= decimals; i++, left /= 10) {
		if (i == decimals && i > 0)
			*--p = '.';
		*--p = (char)('0' + left % 10);
	}
	if (value < 0)
		*--p = '-';
	return make_number(p, (size_t)(text + sizeof text - p));
}

json_t *json_amount(int64_t units)
{
	return json_fixed(units, 8);
}

json_t *json_decimal(const char *text)
{
	return make_number(text, strlen(text));
}

json_t *json_hex(const uint8_t *data, size_t size)
{
	char *text = mem_alloc(2 * size + 1);
	json_t *value;

	hex_encode(text, data, size);
	value = json_stringn_nocheck(text, 2 * size);
	free(text);
	return value;
}

json_t *json_u64(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, value);
	return json_string(text);
}

json_t *json_hash(const uint8_t hash[32])
{
	char text[65];

	hex_encode_reversed(text, hash, 32);
	return json_stringn_nocheck(text, 64);
}

json_t *json_text(const char *text, size_t size)
{
	json_t *value = json_stringn(size ? text : "", size);
	struct buf fixed;

	if (value != NULL)
		return value;
	/* Not UTF-8: keep the longest good pieces. A character has 4 bytes at most. */
	buf_init(&fixed);
	for (size_t i = 0; i < size;) {
		size_t length = 0;

		for (size_t n = 1; n <= 4 && i + n <= size && length == 0; n++) {
			json_t *piece = json_stringn(text + i, n);

			if (piece != NULL)
				length = n;
			json_decref(piece);
		}
		if (length)
			buf_put(&fixed, text + i, length);
		else
			buf_put_text(&fixed, "\xef\xbf\xbd");
		i += length ? length : 1;
	}
	value = json_stringn((const char *)fixed.data, fixed.size);
	buf_clear(&fixed);
	return value;
}

/* --- looking at values --- */

bool json_is_any_number(const json_t *value)
{
	return json_is_number(value) || decimal_text(value);
}

bool json_is_any_text(const json_t *value)
{
	return json_is_string(value) && decimal_text(value) == NULL;
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
	struct buf text;

	if (!json_is_any_number(value))
		return NULL;
	buf_init(&text);
	json_print(value, 0, &text);
	return buf_take_text(&text);
}
