/* Files that are written whole or not at all. */
#include <sys/stat.h>

#include "store/out_file.h"
#include "unit.h"
#include "util/file.h"

static int setup(void **state)
{
	*state = scratch_new();
	return 0;
}

static int teardown(void **state)
{
	scratch_remove(*state);
	return 0;
}

static void put_file(const char *path, bool replace, size_t pieces)
{
	struct errmsg err = { "" };
	struct out_file out;

	assert_true(out_file_open(&out, path, replace, &err));
	for (size_t i = 0; i < pieces; i++)
		assert_true(out_file_put(&out, "0123456789", 10, &err));
	assert_int_equal(out.size, 10 * pieces);
	assert_true(out_file_commit(&out, &err));
	out_file_clear(&out);
}

static void check_contents(const char *path, size_t pieces)
{
	struct buf b;

	buf_init(&b);
	assert_true(file_read(path, 10 * pieces, &b, NULL));
	assert_int_equal(b.size, 10 * pieces);
	for (size_t i = 0; i < b.size; i++)
		assert_int_equal(b.data[i], '0' + (int)(i % 10));
	buf_clear(&b);
}

/* Larger than what is kept in memory; written again only where that is asked for. */
static void test_whole(void **state)
{
	char *path = path_join(*state, "out");
	struct errmsg err = { "" };
	struct out_file out;

	put_file(path, false, 250000);
	check_contents(path, 250000);
	assert_false(out_file_open(&out, path, false, &err));
	assert_non_null(strstr(err.text, "exists already"));
	out_file_clear(&out);
	put_file(path, true, 3);
	check_contents(path, 3);
	free(path);
}

/* One that came meanwhile is not replaced; what is given up leaves nothing. */
static void test_given_up(void **state)
{
	char *path = path_join(*state, "out");
	struct errmsg err = { "" };
	struct out_file out;

	assert_true(out_file_open(&out, path, false, &err));
	assert_true(out_file_put(&out, "mine", 4, &err));
	assert_false(file_exists(path));
	put_file(path, false, 2);
	assert_false(out_file_commit(&out, &err));
	assert_non_null(strstr(err.text, "exists already"));
	out_file_clear(&out);
	check_contents(path, 2);
	assert_true(file_remove(path, &err));
	assert_int_equal(rmdir(*state), 0); /* it is empty */
	assert_int_equal(mkdir(*state, 0700), 0);
	free(path);
}

/* A pipe is refused at once, not waited for. */
static void test_no_regular_file(void **state)
{
	char *pipe = path_join(*state, "pipe");
	struct errmsg err;
	struct out_file out;

	alarm(60); /* ends the test should it wait */
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_false(out_file_open(&out, pipe, true, &err));
	assert_non_null(strstr(err.text, "is not a regular file"));
	out_file_clear(&out);
	alarm(0);
	free(pipe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_regular_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
