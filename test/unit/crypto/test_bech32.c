/* bech32, bech32m and addresses: the vectors of BIP350, and what our own errors say. */
#include "crypto/address.h"
#include "vectors.h"

static void check_valid(const char *whole)
{
	char hrp[BECH32_HRP_MAX + 1], text[BECH32_TEXT_MAX + 2];
	uint8_t values[BECH32_TEXT_MAX];
	struct errmsg err;
	enum bech32_form form;
	size_t count;

	assert_true(bech32_decode(hrp, values, &count, &form, whole, &err));
	assert_int_equal(form, BECH32_M);
	assert_true(bech32_encode(text, hrp, values, count, form));
	assert_int_equal(strcasecmp(text, whole), 0);
}

static void check_invalid(const char *whole)
{
	char hrp[BECH32_HRP_MAX + 1];
	uint8_t values[BECH32_TEXT_MAX];
	struct errmsg err;
	enum bech32_form form;
	size_t count;

	assert_false(bech32_decode(hrp, values, &count, &form, whole, &err) && form == BECH32_M);
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

static void check_no_address(const char *address)
{
	uint8_t program[ADDRESS_PROGRAM_MAX];
	struct errmsg err = { "" };
	size_t size;
	int version;

	assert_false(address_decode(&version, program, &size, "bc", address, &err));
	assert_true(err.text[0]);
	assert_false(address_decode(&version, program, &size, "tb", address, &err));
}

static void test_bip350(void **state)
{
	size_t strings = 0, addresses = 0;
	struct vectors vectors;

	(void)state;
	vectors_open(&vectors, "bip350.txt");
	while (vectors_next(&vectors)) {
		const char *valid = vectors_find(&vectors, "valid", 0), *invalid = vectors_find(&vectors, "invalid", 0);
		const char *address = vectors_find(&vectors, "address", 0);
		char whole[BECH32_TEXT_MAX] = "";

		if (valid != NULL) {
			check_valid(valid);
		} else if (invalid != NULL) {
			check_invalid(invalid);
		} else if (vectors_find(&vectors, "hex", 0) != NULL) {
			vectors_bytes(&vectors, "hex", (uint8_t *)whole, sizeof whole - 1);
			check_invalid(whole);
		} else if (address != NULL) {
			check_address(address, vectors_text(&vectors, "script"));
			addresses++;
			continue;
		} else {
			check_no_address(vectors_text(&vectors, "no_address"));
			addresses++;
			continue;
		}
		strings++;
	}
	assert_int_equal(strings, 21);
	assert_int_equal(addresses, 23);
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
		cmocka_unit_test(test_bip350),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("bech32", tests, NULL, NULL);
}
