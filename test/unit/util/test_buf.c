/* Writer and reader: layout, CompactSize in all its lengths, the sticky error, bounds. */
#include "unit.h"
#include "util/buf.h"

static void test_integers(void **state)
{
	static const uint8_t want[] = { 1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8 };
	struct buf b;
	struct reader r;

	(void)state;
	buf_init(&b);
	buf_put_u8(&b, 1);
	buf_put_le16(&b, 0x0203);
	buf_put_le32(&b, 0x04050607);
	buf_put_le64(&b, 0x08090a0b0c0d0e0f);
	assert_int_equal(b.size, sizeof want);
	assert_memory_equal(b.data, want, sizeof want);

	reader_init(&r, b.data, b.size);
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_le16(&r), 0x0203);
	assert_int_equal(reader_le32(&r), 0x04050607);
	assert_false(reader_done(&r));
	assert_true(reader_le64(&r) == 0x08090a0b0c0d0e0f);
	assert_true(reader_done(&r));
	buf_clear(&b);
	assert_null(b.data);
}

static void test_compact(void **state)
{
	static const struct {
		uint64_t v;
		size_t size;
	} cases[] = { { 0, 1 }, { 0xfc, 1 }, { 0xfd, 3 }, { 0xffff, 3 }, { 0x10000, 5 }, { 0x02000000, 5 },
		{ 0x02000001, 5 }, { 0xffffffff, 5 }, { 0x100000000, 9 }, { UINT64_MAX, 9 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf b;
		struct reader r;

		buf_init(&b);
		buf_put_compact(&b, cases[i].v);
		assert_int_equal(b.size, cases[i].size);
		assert_int_equal(buf_compact_size(cases[i].v), cases[i].size);
		reader_init(&r, b.data, b.size);
		assert_true(reader_compact_any(&r) == cases[i].v);
		assert_true(reader_done(&r));
		reader_init(&r, b.data, b.size);
		if (cases[i].v <= READER_COMPACT_MAX) {
			assert_true(reader_compact(&r) == cases[i].v);
			assert_true(reader_done(&r));
		} else {
			assert_true(reader_compact(&r) == 0);
			assert_false(r.ok);
		}
		buf_clear(&b);
	}
}

static void test_compact_not_canonical(void **state)
{
	static const uint8_t forms[][9] = { { 0xfd, 0xfc, 0 }, { 0xfe, 0xff, 0xff, 0, 0 },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 } };
	static const size_t sizes[] = { 3, 5, 9 };
	struct reader r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		reader_init(&r, forms[i], sizes[i]);
		assert_true(reader_compact_any(&r) == 0);
		assert_false(r.ok);
	}
}

static void test_sticky(void **state)
{
	static const uint8_t data[] = { 1, 2, 3 };
	uint8_t out[4] = { 9, 9, 9, 9 };
	struct reader r;

	(void)state;
	reader_init(&r, data, sizeof data);
	assert_int_equal(reader_left(&r), 3);
	assert_int_equal(reader_le32(&r), 0);
	assert_false(r.ok);
	assert_int_equal(reader_left(&r), 0);
	/* The byte that is there is not given out any more. */
	assert_int_equal(reader_u8(&r), 0);
	assert_false(reader_copy(&r, out, 4));
	assert_memory_equal(out, "\0\0\0\0", 4);
	assert_null(reader_bytes(&r, 0));
	assert_false(reader_done(&r));

	reader_init(&r, data, sizeof data);
	assert_ptr_equal(reader_bytes(&r, 3), data);
	assert_true(reader_done(&r));
	assert_null(reader_bytes(&r, 1));
	reader_init(&r, data, sizeof data);
	assert_null(reader_bytes(&r, SIZE_MAX));
	reader_init(&r, data, sizeof data);
	reader_fail(&r);
	assert_int_equal(reader_u8(&r), 0);
}

static void test_empty(void **state)
{
	struct reader r;

	(void)state;
	reader_init(&r, NULL, 0);
	assert_non_null(reader_bytes(&r, 0));
	assert_true(reader_done(&r));
	assert_int_equal(reader_u8(&r), 0);
	assert_false(reader_done(&r));
}

static void test_growth(void **state)
{
	struct buf b;
	char *text;

	(void)state;
	buf_init(&b);
	for (unsigned i = 0; i < 100000; i++)
		buf_put_le32(&b, i);
	assert_int_equal(b.size, 400000);
	for (unsigned i = 0; i < 100000; i += 777) {
		struct reader r;

		reader_init(&r, b.data + 4 * i, 4);
		assert_int_equal(reader_le32(&r), i);
	}
	buf_reset(&b);
	buf_put_text(&b, "abc");
	buf_put(&b, NULL, 0);
	text = buf_take_text(&b);
	assert_string_equal(text, "abc");
	assert_int_equal(b.size, 0);
	assert_null(b.data);
	free(text);
	text = buf_take_text(&b);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_compact_not_canonical),
		cmocka_unit_test(test_sticky),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
