/* bech32, bech32m and addresses: the vectors of BIP350, and what our own errors say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/address.h"
#include "vectors.h"

static void test_strings(void **state)
{
	json_t *root = vectors_json("bech32m.json");
	char hrp[BECH32_HRP_MAX + 1];
	uint8_t values[BECH32_TEXT_MAX];
	char text[BECH32_TEXT_MAX + 2];
	struct errmsg err;
	enum bech32_form form;
	json_t *entry;
	size_t count;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "valid"), i, entry) {
		assert_true(bech32_decode(hrp, values, &count, &form, json_string_value(entry), &err));
		assert_int_equal(form, BECH32_M);
		assert_true(bech32_encode(text, hrp, values, count, form));
		assert_int_equal(strcasecmp(text, json_string_value(entry)), 0);
	}
	json_array_foreach(json_object_get(root, "invalid"), i, entry) {
		const char *prefix = json_string_value(json_object_get(entry, "prefix_byte"));
		char whole[128] = "";

		if (prefix != NULL)
			assert_true(hex_decode((uint8_t *)whole, 1, prefix));
		strcat(whole, vectors_text(entry, "string"));
		err.text[0] = 0;
		assert_false(bech32_decode(hrp, values, &count, &form, whole, &err) && form == BECH32_M);
	}
	json_decref(root);
}

static void check_address(const char *address, const char *script)
{
	char lower[BECH32_TEXT_MAX + 1];
	char again[BECH32_TEXT_MAX + 1];
	uint8_t program[2 + ADDRESS_PROGRAM_MAX];
	struct errmsg err;
	char hrp[3] = "";
	size_t size;
	int version;
	size_t i;

	for (i = 0; address[i]; i++)
		lower[i] = address[i] >= 'A' && address[i] <= 'Z' ? (char)(address[i] + 32) : address[i];
	lower[i] = 0;
	memcpy(hrp, lower, 2);
	assert_true(address_decode(&version, program + 2, &size, hrp, address, &err));
	program[0] = (uint8_t)(version == 0 ? 0 : 0x50 + version);
	program[1] = (uint8_t)size;
	assert_hex(program, 2 + size, script);
	assert_true(address_encode(again, hrp, version, program + 2, size));
	assert_string_equal(again, lower);
}

static void test_addresses(void **state)
{
	json_t *root = vectors_json("bech32m.json");
	uint8_t program[ADDRESS_PROGRAM_MAX];
	const char *address;
	struct errmsg err;
	json_t *entry;
	size_t size;
	int version;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "valid_address"), i, entry)
		check_address(vectors_text(entry, "address"), vectors_text(entry, "script"));
	json_array_foreach(json_object_get(root, "invalid_address"), i, entry) {
		address = vectors_text(entry, "address");
		err.text[0] = 0;
		assert_false(address_decode(&version, program, &size, "bc", address, &err));
		assert_true(err.text[0]);
		assert_false(address_decode(&version, program, &size, "tb", address, &err));
	}
	json_decref(root);
}

static void test_errors(void **state)
{
	static const char *const cases[][2] = {
		{ "", "no separator" },
		{ "1qyrz8wqd2c9m", "no prefix" },
		{ "atl1qqqq", "too short" },
		{ "atl1qqqqqqb", "bech32 does not use" },
		{ "Atl1qqqqqqq", "mixes" },
		{ "atl1qqqqqqq", "checksum" },
		{ "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr", "another network" },
		{ "atl1\x80qqqqqq", "printable" },
	};
	uint8_t program[ADDRESS_PROGRAM_MAX] = { 0 };
	char text[BECH32_TEXT_MAX + 1];
	struct errmsg err;
	size_t size;
	int version;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		err.text[0] = 0;
		assert_false(address_decode(&version, program, &size, "atl", cases[i][0], &err));
		assert_non_null(strstr(err.text, cases[i][1]));
	}
	assert_true(address_encode(text, "atl", 1, program, 32));
	assert_true(address_decode(&version, program, &size, "atl", text, &err));
	assert_true(version == 1 && size == 32);
	assert_false(address_encode(text, "atl", 17, program, 32));
	assert_false(address_encode(text, "atl", 1, program, 1));
	assert_false(address_encode(text, "atl", 0, program, 33));
	assert_false(address_encode(text, "ATL", 1, program, 32));
	assert_false(address_encode(text, "", 1, program, 32));
	assert_false(bech32_encode(text, "anunusuallylonghumanreadablepart", program, 60, BECH32_M));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("bech32", tests, NULL, NULL);
}
