/* Little-endian integers, hexadecimal text, error texts. */
#include "unit.h"
#include "util/bytes.h"
#include "util/error.h"

static void test_little_endian(void **state)
{
	uint8_t b[9] = { 0 };

	(void)state;
	write_le64(b + 1, 0x1122334455667788);
	assert_int_equal(b[1], 0x88);
	assert_int_equal(b[8], 0x11);
	assert_true(read_le64(b + 1) == 0x1122334455667788);
	assert_int_equal(read_le32(b + 1), 0x55667788);
	assert_int_equal(read_le16(b + 7), 0x1122);
}

static void test_hex(void **state)
{
	static const uint8_t data[] = { 0x00, 0xff, 0x1a };
	uint8_t out[3];
	char text[7];

	(void)state;
	hex_encode(text, data, 3);
	assert_string_equal(text, "00ff1a");
	assert_true(hex_decode(out, 3, "00Ff1A"));
	assert_memory_equal(out, data, 3);
	hex_encode_reversed(text, data, 3);
	assert_string_equal(text, "1aff00");
	assert_true(hex_decode_reversed(out, 3, "1aff00"));
	assert_memory_equal(out, data, 3);
	assert_false(hex_decode(out, 3, "00ff1"));
	assert_false(hex_decode(out, 3, "00ff1a0"));
	assert_false(hex_decode(out, 3, "00fg1a"));
	assert_false(hex_decode_reversed(out, 3, " 0ff1a"));
}

static void test_base64(void **state)
{
	/* RFC 4648 section 10 */
	static const char *const cases[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	static const uint8_t high[] = { 0xfb, 0xff, 0xfe };
	char text[9];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		base64_encode(text, (const uint8_t *)cases[i][0], strlen(cases[i][0]));
		assert_string_equal(text, cases[i][1]);
		assert_int_equal(strlen(text), BASE64_SIZE(strlen(cases[i][0])));
	}
	base64_encode(text, high, 3);
	assert_string_equal(text, "+//+");
}

static void test_error(void **state)
{
	struct errmsg err;
	char text[2 * sizeof err.text];

	(void)state;
	assert_false(errmsg_set(NULL, "dropped %d", 1));
	assert_false(errmsg_wrap(NULL, "dropped"));
	assert_false(errmsg_set(&err, "a %d", 1));
	assert_false(errmsg_wrap(&err, "file %s", "x"));
	assert_string_equal(err.text, "file x: a 1");

	/* A cut does not split the two bytes of a character. */
	memset(text, 'a', sizeof text);
	memcpy(text + sizeof err.text - 2, "\xc3\xa4", 2);
	text[sizeof text - 1] = 0;
	errmsg_set(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof err.text - 2);
	errmsg_wrap(&err, "a");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_little_endian),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
