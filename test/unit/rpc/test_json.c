/* JSON: what the parser takes and refuses, numbers that survive unchanged, printing. */
#include "rpc/json.h"
#include "unit.h"

static json_t *parse(const char *text)
{
	return json_parse(text, strlen(text), NULL);
}

static char *print(const json_t *value, unsigned indent)
{
	struct buf out;

	buf_init(&out);
	json_print(value, indent, &out);
	return buf_take_text(&out);
}

static void assert_printed(json_t *value, const char *text)
{
	char *printed = print(value, 0);

	assert_string_equal(printed, text);
	free(printed);
	json_decref(value);
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = {
		"null",
		"true",
		"false",
		"0",
		"-1",
		"9223372036854775807",
		"-9223372036854775808",
		/* What doubles and 64-bit integers would damage. */
		"9223372036854775808",
		"50.00000000",
		"0.1",
		"-0",
		"1e5",
		"1E+5",
		"2099999.99999999999999999999999",
		"12345678901234567890123456789012345678901234567890123456789012345",
		"\"\"",
		/* The model writes any byte. */
		"\"\\u0000a\\u0000\"",
		"\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u007f/\"",
		"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"[]",
		"{}",
		"[1,[2,{\"b\":[],\"a\":{}}],\"x\"]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		json_t *value = parse(texts[i]);

		assert_non_null(value);
		assert_printed(value, texts[i]);
	}
	assert_printed(parse(" [ 1 ,\t2\r\n] "), "[1,2]");
	assert_printed(parse("\"\\u00e4\\u20ac\\ud83d\\ude00\\/\""), "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/\"");
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"nul",
		"nulll",
		"[1,]",
		"[1 2]",
		"[",
		"[1",
		"{",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1,\"a\":2}",
		"\"",
		"\"\n\"",
		"\"\\x\"",
		"\"\\u12\"",
		"{\"a\\u0000\":1}",
		"\"\\ud800\"",
		"\"\\ud800x\"",
		"\"\\ud800\\u0041\"",
		"\"\\udc00\"",
		"\"\\",
		"\"\xff\"",
		"\"\xffz\"",
		"\"\xc3\"",
		"\"\xed\xa0\x80\"",
		"01",
		"-",
		"+1",
		"1.",
		".5",
		"1e",
		"1e+",
		"0x10",
		"1 2",
		"NaN",
		"Infinity",
		"'a'",
		"{\"\xff\":1}",
		"tru",
		"-x",
	};
	struct errmsg err;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		err.text[0] = 0;
		assert_null(json_parse(texts[i], strlen(texts[i]), &err));
		assert_true(err.text[0]);
	}
	assert_null(json_parse("\"a\0b\"", 5, NULL));
	assert_null(json_parse("1\0", 2, NULL));
	assert_null(json_parse(NULL, 0, NULL));
}

static void test_places(void **state)
{
	struct errmsg err;

	(void)state;
	assert_null(json_parse("{\n\"a\": 1,\n}", 11, &err));
	assert_string_equal(err.text, "Expected a name in quotes in line 3"); /* of a file that somebody wrote */
	assert_null(json_parse("{\"a\": 1,}", 9, &err));
	assert_string_equal(err.text, "Expected a name in quotes at byte 8");
}

static void test_bounds(void **state)
{
	size_t many = JSON_VALUES_MAX + 1;
	char *text = malloc(2 * many + 2);
	json_t *value;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	value = json_parse(text, 2 * JSON_DEPTH_MAX, NULL);
	assert_non_null(value);
	json_decref(value);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_null(json_parse(text, 2 * JSON_DEPTH_MAX + 2, NULL));

	/* The array and its items. */
	text[0] = '[';
	for (size_t i = 0; i < many; i++)
		memcpy(text + 1 + 2 * i, "1,", 2);
	text[2 * (many - 2)] = ']';
	value = json_parse(text, 2 * (many - 2) + 1, NULL);
	assert_int_equal(json_array_size(value), JSON_VALUES_MAX - 1);
	json_decref(value);
	text[2 * (many - 2)] = ',';
	text[2 * (many - 1)] = ']';
	assert_null(json_parse(text, 2 * (many - 1) + 1, NULL));
	free(text);
}

static void test_new_values(void **state)
{
	uint8_t hash[32] = { 0 };
	json_t *value;

	(void)state;
	assert_printed(json_amount(5000000000), "50.00000000");
	assert_printed(json_amount(0), "0.00000000");
	assert_printed(json_amount(-1), "-0.00000001");
	assert_printed(json_amount(2100000000000000), "21000000.00000000");
	assert_printed(json_amount(INT64_MIN), "-92233720368.54775808");
	assert_printed(json_fixed(-1234, 3), "-1.234");
	assert_printed(json_fixed(7, 0), "7");
	assert_printed(json_fixed(7, 18), "0.000000000000000007");
	assert_printed(json_decimal("1e-3"), "1e-3");
	assert_printed(json_decimal("12"), "12");
	assert_printed(json_real(0.1), "0.1");
	assert_printed(json_hex((const uint8_t *)"\x01\xab", 2), "\"01ab\"");
	assert_printed(json_hex(NULL, 0), "\"\"");
	hash[0] = 1;
	hash[31] = 0xff;
	value = json_hash(hash);
	assert_memory_equal(json_string_value(value), "ff00", 4);
	assert_string_equal(json_string_value(value) + 60, "0001");
	json_decref(value);
	assert_printed(json_text("a\xc3\xa4"
				 "b",
			       4),
		"\"a\xc3\xa4"
		"b\"");
	assert_printed(json_text("\xff"
				 "1\xc3",
			       3),
		"\"\xef\xbf\xbd"
		"1\xef\xbf\xbd\"");
	assert_printed(json_text(NULL, 0), "\"\"");
	assert_printed(json_text("\0a\0", 3), "\"\\u0000a\\u0000\"");
	assert_printed(json_u64(0), "\"0\"");
	assert_printed(json_u64(UINT64_MAX), "\"18446744073709551615\"");
}

static void test_types(void **state)
{
	static const char *const cases[][2] = { { "null", "null" }, { "1", "number" }, { "1.5", "number" },
		{ "\"1\"", "string" }, { "true", "bool" }, { "[]", "array" }, { "{}", "object" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		json_t *value = parse(cases[i][0]);
		char *text = json_number_text(value);

		assert_string_equal(json_type_name(value), cases[i][1]);
		assert_true(json_is_any_number(value) == (strcmp(cases[i][1], "number") == 0));
		assert_true(json_is_text(value) == (strcmp(cases[i][1], "string") == 0));
		if (text != NULL)
			assert_string_equal(text, cases[i][0]);
		else
			assert_false(json_is_any_number(value));
		free(text);
		json_decref(value);
	}
	assert_string_equal(json_type_name(NULL), "null");
	/* No C string, so nobody takes it for one. */
	for (size_t i = 0; i < 2; i++) {
		json_t *value = parse(i == 0 ? "\"a\\u0000b\"" : "\"ab\"");

		assert_true(json_is_any_text(value));
		assert_true(json_is_text(value) == (i == 1));
		assert_string_equal(json_type_name(value), i == 1 ? "string" : "string with a byte 0");
		json_decref(value);
	}
}

static void test_indented(void **state)
{
	json_t *value = parse("{\"a\":[1,{}],\"b\":[],\"c\":1.50}");
	char *text = print(value, 2);

	(void)state;
	assert_string_equal(text, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": 1.50\n}");
	free(text);
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_new_values),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_indented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
