/* The forms of scripts: each byte of P2TR counts, and a script of no bytes is neither form. */
#include "consensus/script.h"
#include "unit.h"

static const uint8_t key[32] = { 1, 2, 3, [31] = 32 };

static void test_p2tr(void **state)
{
	uint8_t raw[P2TR_SIZE + 1] = { 0 }, other[32];
	struct bytes script = { raw, P2TR_SIZE };

	(void)state;
	script_p2tr(raw, key);
	assert_ptr_equal(script_p2tr_key(&script), raw + 2);
	assert_memory_equal(script_p2tr_key(&script), key, 32);
	assert_true(script_pays(&script, key));
	for (size_t i = 0; i < 32; i++) {
		memcpy(other, key, 32);
		other[i] ^= 1;
		assert_false(script_pays(&script, other));
	}
	for (size_t i = 0; i < 2; i++) {
		raw[i] ^= 1;
		assert_null(script_p2tr_key(&script));
		assert_false(script_pays(&script, key));
		raw[i] ^= 1;
	}
	for (script.size = 0; script.size <= sizeof raw; script.size++)
		assert_int_equal(script_p2tr_key(&script) != NULL, script.size == P2TR_SIZE);
	assert_false(script_is_op_return(&script));
}

static void test_op_return(void **state)
{
	uint8_t raw[3] = { 0x6a, 0x01, 0x00 };
	struct bytes script = { raw, sizeof raw };

	(void)state;
	assert_true(script_is_op_return(&script));
	script.size = 1;
	assert_true(script_is_op_return(&script));
	script.size = 0;
	assert_false(script_is_op_return(&script));
	raw[0] = 0x51;
	script.size = 3;
	assert_false(script_is_op_return(&script));
}

/* Every length of a payload has one script, which reads back. */
static void test_payload(void **state)
{
	static const uint8_t filling[251];

	(void)state;
	for (size_t size = 0; size <= sizeof filling; size++) {
		struct buf payload, script;
		struct reader reader;

		buf_init(&script);
		script_begin_payload(&payload, 7);
		buf_put(&payload, filling, size);
		script_end_payload(&payload, &script);
		assert_int_equal(script.size, (size + 4 > 75 ? 3 : 2) + 4 + size);
		assert_true(script_read_payload(&(struct bytes){ script.data, script.size }, &reader));
		assert_int_equal(reader_u8(&reader), 7);
		assert_int_equal(reader_left(&reader), size);
		assert_false(script_read_payload(&(struct bytes){ script.data, script.size - 1 }, &reader));
		buf_clear(&script);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_p2tr),
		cmocka_unit_test(test_op_return),
		cmocka_unit_test(test_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
