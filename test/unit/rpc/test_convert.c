/* From JSON values to amounts, integers, hashes, bytes and text: exact results, codes and texts of errors. */
#include "rpc/convert.h"
#include "unit.h"

static json_t *parse(const char *text)
{
	json_t *value = json_parse(text, strlen(text), NULL);

	assert_non_null(value);
	return value;
}

static void test_amount_good(void **state)
{
	static const struct {
		const char *text;
		int64_t units;
	} good[] = {
		{ "0", 0 },
		{ "1", 100000000 },
		{ "0.00000001", 1 },
		{ "\"0.00000001\"", 1 },
		{ "0.1", 10000000 },
		{ "0.29", 29000000 },
		{ "1e-8", 1 },
		{ "1E2", 10000000000 },
		{ "0.10000000000000000000000", 10000000 },
		{ "20999999.99999999", 2099999999999999 },
		{ "21000000.0", 2100000000000000 },
		{ "100e-10", 1 },
		{ "0.000000000001e4", 1 },
		{ "0e999999999999999999999", 0 },
		{ "10.010", 1001000000 },
		{ "-0", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		json_t *value = parse(good[i].text);
		int64_t units = -1;

		assert_true(convert_amount(value, "amount", &units, NULL));
		assert_int_equal(units, good[i].units);
		json_decref(value);
	}
}

static void test_amount_bad(void **state)
{
	static const char *const bad[] = {
		"-0.00000001",
		"21000000.00000001",
		"0.000000001",
		"20999999.999999999",
		"1e-9",
		"1e30",
		"1e999999999999",
		"1e-999999999999",
		"true",
		"null",
		"[]",
		"\"\"",
		"\"1.\"",
		"\" 1\"",
		"\"1 \"",
		"\"1,5\"",
		"\"+1\"",
		"\"0x1\"",
		"\"[1]\"",
		"92233720368547758.08",
		"\"true\"",
		"123456789012345678901234567890",
		"0.1000000000000000000000001",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json_t *value = parse(bad[i]);
		struct rpc_error error = { 0 };
		int64_t units = -7;

		assert_false(convert_amount(value, "amount", &units, &error));
		assert_int_equal(error.code, RPC_TYPE_ERROR);
		assert_non_null(strstr(error.message.text, "amount"));
		assert_int_equal(units, -7);
		json_decref(value);
	}
}

static void test_decimal(void **state)
{
	json_t *value = parse("-1.5"), *deep = parse("0.123456789"), *word = parse("\"a\"");
	struct rpc_error error;
	int64_t units = 0;

	(void)state;
	assert_true(convert_decimal(value, "t", &units, &error));
	assert_int_equal(units, -150000000);
	assert_false(convert_decimal(deep, "t", &units, &error));
	assert_false(convert_decimal(word, "t", &units, &error));
	assert_int_equal(error.code, RPC_TYPE_ERROR);
	json_decref(value);
	json_decref(deep);
	json_decref(word);
}

static void test_int(void **state)
{
	static const struct {
		const char *text;
		enum rpc_code code;
		const char *word;
	} bad[] = {
		{ "\"5\"", RPC_TYPE_ERROR, "string" },
		{ "true", RPC_TYPE_ERROR, "bool" },
		{ "1.5", RPC_MISC_ERROR, "integer" },
		{ "9223372036854775808", RPC_MISC_ERROR, "64 bits" },
		{ "-4", RPC_INVALID_PARAMETER, "between -3 and 10" },
		{ "11", RPC_INVALID_PARAMETER, "not 11" },
	};
	int64_t v = 0;
	json_t *value = parse("-3");

	(void)state;
	assert_true(convert_int(value, "n", -3, 10, &v, NULL));
	assert_int_equal(v, -3);
	json_decref(value);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct rpc_error error = { 0 };

		value = parse(bad[i].text);
		assert_false(convert_int(value, "n", -3, 10, &v, &error));
		assert_int_equal(error.code, bad[i].code);
		assert_non_null(strstr(error.message.text, bad[i].word));
		assert_int_equal(v, -3);
		json_decref(value);
	}
}

#define DIGITS "00000000000000000000000000000000000000000000000000000000000000"

static void test_hash(void **state)
{
	json_t *good = parse("\"ab" DIGITS "\""), *brief = parse("\"abc\""), *wrong = parse("\"zz" DIGITS "\"");
	/* 64 digits that a client takes for a number. */
	json_t *number = parse("12" DIGITS), *list = parse("[]");
	struct rpc_error error;
	uint8_t hash[32];

	(void)state;
	assert_true(convert_hash(good, "txid", hash, NULL));
	assert_int_equal(hash[31], 0xab);
	assert_int_equal(hash[0], 0);
	assert_true(convert_key(good, "key", hash, NULL));
	assert_int_equal(hash[0], 0xab);
	assert_true(convert_hash(number, "txid", hash, NULL));
	assert_int_equal(hash[31], 0x12);
	assert_false(convert_hash(brief, "txid", hash, &error));
	assert_int_equal(error.code, RPC_INVALID_PARAMETER);
	assert_string_equal(error.message.text, "txid must be of length 64 (not 3, for 'abc')");
	assert_false(convert_hash(wrong, "txid", hash, &error));
	assert_int_equal(error.code, RPC_INVALID_PARAMETER);
	assert_non_null(strstr(error.message.text, "txid must be hexadecimal string"));
	assert_false(convert_key(list, "key", hash, &error));
	assert_int_equal(error.code, RPC_TYPE_ERROR);
	json_decref(good);
	json_decref(brief);
	json_decref(wrong);
	json_decref(number);
	json_decref(list);
}

static void test_hex(void **state)
{
	static const char *const bad[] = { "\"abc\"", "\"0x00\"", "\"0g\"", "\"010203\"" };
	json_t *good = parse("\"01fF\""), *number = parse("1234"), *empty = parse("\"\"");
	struct rpc_error error;
	struct buf out;

	(void)state;
	buf_init(&out);
	assert_true(convert_hex(good, "hex", 2, &out, NULL));
	assert_true(convert_hex(number, "hex", 2, &out, NULL));
	assert_true(convert_hex(empty, "hex", 0, &out, NULL));
	assert_int_equal(out.size, 4);
	assert_memory_equal(out.data, "\x01\xff\x12\x34", 4);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json_t *value = parse(bad[i]);

		assert_false(convert_hex(value, "hex", 2, &out, &error));
		assert_int_equal(error.code, RPC_INVALID_PARAMETER);
		json_decref(value);
	}
	assert_int_equal(out.size, 4);
	buf_clear(&out);
	json_decref(good);
	json_decref(number);
	json_decref(empty);
}

static void test_text(void **state)
{
	static const char *const cases[][2] = { { "\"a\"", "a" }, { "12", "12" }, { "1e5", "1e5" }, { "0.50", "0.50" },
		{ "true", "true" }, { "false", "false" } };
	static const char *const bad[] = { "null", "[]", "{}", "\"a\\u0000\"" };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		json_t *value = parse(cases[i][0]);
		char *text = convert_text(value, "label", NULL);

		assert_string_equal(text, cases[i][1]);
		free(text);
		json_decref(value);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json_t *value = parse(bad[i]);
		struct rpc_error error;

		assert_null(convert_text(value, "label", &error));
		assert_int_equal(error.code, RPC_TYPE_ERROR);
		assert_non_null(strstr(error.message.text, "label must be a string"));
		json_decref(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amount_good),
		cmocka_unit_test(test_amount_bad),
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
