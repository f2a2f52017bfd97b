/* Files: whole reads with a limit, atomic replacement, locks, folders, paths. */
#include <fcntl.h>
#include <sys/stat.h>

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

static void test_write_read(void **state)
{
	char *path = path_join(*state, "f"), *beside = path_join(*state, "f.new");
	struct errmsg err = { "" };
	struct stat info;
	struct buf b;
	uint64_t size;

	buf_init(&b);
	assert_false(file_exists(path));
	assert_false(file_read(path, 10, &b, &err));
	assert_non_null(strstr(err.text, path));
	assert_true(file_write_atomic(path, "first one", 9, 0600, &err));
	assert_true(file_write_atomic(path, "second", 6, 0600, &err));
	assert_false(file_exists(beside));
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_true(file_size(path, &size, &err));
	assert_int_equal(size, 6);

	buf_put_text(&b, "x");
	assert_false(file_read(path, 5, &b, &err));
	assert_int_equal(b.size, 1);
	assert_true(file_read(path, 6, &b, &err));
	assert_int_equal(b.size, 7);
	assert_memory_equal(b.data, "xsecond", 7);
	buf_clear(&b);

	assert_true(file_remove(path, &err));
	assert_false(file_exists(path));
	assert_true(file_remove(path, &err));
	assert_false(file_size(path, &size, &err));
	free(beside);
	free(path);
}

/* A pipe, a device, a folder: refused at once. (A daemon that waits for a pipe's other end is a daemon that hangs.) */
static void test_no_regular_file(void **state)
{
	char *pipe = path_join(*state, "pipe"), *link = path_join(*state, "link");
	const char *const paths[] = { pipe, link, "/dev/zero", *state };
	struct errmsg err;
	struct buf b;

	buf_init(&b);
	alarm(60); /* ends the test should it wait */
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_int_equal(symlink("pipe", link), 0);
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		assert_false(file_read(paths[i], 10, &b, &err));
		assert_non_null(strstr(err.text, "is not a regular file"));
		assert_int_equal(b.size, 0);
		assert_int_equal(file_open(paths[i], NULL), -1);
	}
	assert_false(file_write_atomic(pipe, "a", 1, 0600, &err));
	assert_non_null(strstr(err.text, "is not a regular file"));
	/* Of a folder, by what is in it; folders in it, and links that lead nowhere, are nobody's files. */
	assert_false(dir_check_files(*state, &err));
	assert_non_null(strstr(err.text, "is not a regular file"));
	assert_int_equal(unlink(pipe), 0);
	assert_true(dir_check_files(*state, &err));
	assert_false(dir_check_files(pipe, &err));
	assert_non_null(strstr(err.text, pipe));
	alarm(0);
	buf_clear(&b);
	free(link);
	free(pipe);
}

/* What comes through an open descriptor may be a pipe. */
static void test_read_rest(void **state)
{
	int ends[2];
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "through", 7), 7);
	close(ends[1]);
	assert_true(file_read_rest(ends[0], 7, &b, "a pipe", NULL));
	close(ends[0]);
	assert_int_equal(b.size, 7);
	assert_memory_equal(b.data, "through", 7);
	buf_clear(&b);
}

static void test_atomic_failure_keeps_old(void **state)
{
	char *folder = path_join(*state, "d"), *inside = path_join(folder, "x");
	struct errmsg err = { "" };

	/* The name is taken by a folder: nothing is replaced, and nothing is left behind. */
	assert_true(dir_make(inside, &err));
	assert_false(file_write_atomic(folder, "a", 1, 0600, &err));
	assert_true(file_exists(inside));
	assert_false(file_write_atomic("/nonexistent-folder/x", "a", 1, 0600, &err));
	free(inside);
	inside = path_join(*state, "d.new");
	assert_false(file_exists(inside));
	free(inside);
	free(folder);
}

static void test_at(void **state)
{
	char *path = path_join(*state, "f"), out[4];
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct errmsg err = { "" };

	assert_true(fd >= 0);
	assert_true(file_write_at(fd, 3, "abcd", 4, path, &err));
	assert_true(file_read_at(fd, 4, out, 3, path, &err));
	assert_memory_equal(out, "bcd", 3);
	assert_false(file_read_at(fd, 4, out, 4, path, &err));
	assert_non_null(strstr(err.text, "too early"));
	close(fd);
	assert_false(file_write_at(fd, 0, "a", 1, path, &err));
	free(path);
}

static void test_lock(void **state)
{
	char *path = path_join(*state, ".lock");
	struct errmsg err = { "" };
	int first = file_lock(path, &err), second;

	assert_true(first >= 0);
	assert_int_equal(file_lock(path, &err), -1);
	assert_non_null(strstr(err.text, "locked"));
	file_unlock(first);
	second = file_lock(path, &err);
	assert_true(second >= 0);
	file_unlock(second);
	free(path);
}

static void test_dir(void **state)
{
	char *deep = path_join(*state, "a/b/c"), *file = path_join(*state, "a/f"), *below = path_join(file, "x");
	struct errmsg err = { "" };
	struct stat info;

	assert_true(dir_make(deep, &err));
	assert_true(dir_make(deep, &err));
	assert_int_equal(stat(deep, &info), 0);
	assert_true(S_ISDIR(info.st_mode));
	assert_int_equal(info.st_mode & 0777, 0700);
	assert_true(file_sync_dir(deep, &err));
	assert_true(file_write_atomic(file, "", 0, 0600, &err));
	assert_false(dir_make(file, &err));
	assert_false(dir_make(below, &err));
	assert_non_null(strstr(err.text, "not a folder"));
	free(below);
	free(file);
	free(deep);
}

static void test_join(void **state)
{
	static const char *const cases[][3] = { { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "/", "b", "/b" },
		{ "a", "/b", "/b" }, { "", "b", "b" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *joined = path_join(cases[i][0], cases[i][1]);

		assert_string_equal(joined, cases[i][2]);
		free(joined);
	}
}

/* A place below another is found whatever names lead there, whether or not it exists already. */
static void test_inside(void **state)
{
	static const struct {
		const char *path;
		bool inside;
	} cases[] = {
		{ "own/x", true },
		{ "own/new/deep/x", true },
		{ "own/below/x", true },
		{ "./own//x", true },
		{ "else/../own/x", true },
		{ "link/x", true },
		{ "link/../x", true },
		{ "else/deep/x", true },
		{ "own/../x", false },
		{ "x", false },
		{ "else/x", false },
		{ "else/own", false },
		{ "own", false },
		{ "ownx", false },
		{ "new/deep/x", false },
		{ "own/below/out/x", false },
		{ "new/../own/x", true },
		{ "new/../x", true },
		{ "own/file/x", true },
	};
	char *own = path_join(*state, "own"), *path, here[600];
	struct errmsg err = { "" };

	assert_non_null(getcwd(here, sizeof here));
	assert_int_equal(chdir(*state), 0);
	assert_true(dir_make("own/below", &err) && dir_make("else", &err));
	assert_int_equal(symlink("own/below", "link"), 0);
	assert_int_equal(symlink("../link", "else/deep"), 0);
	assert_int_equal(symlink("../../else", "own/below/out"), 0);
	assert_true(file_write_atomic("own/file", "", 0, 0600, &err));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		path = path_join(*state, cases[i].path);
		if (path_inside(path, own) != cases[i].inside || path_inside(cases[i].path, "own") != cases[i].inside)
			fail_msg("%s", cases[i].path);
		free(path);
	}
	assert_false(path_inside("own/x", "nothing"));
	assert_true(path_inside("x", "/"));
	assert_int_equal(chdir(here), 0);
	free(own);
}

static void test_same(void **state)
{
	char *one = path_join(*state, "one"), *other = path_join(*state, "other"), *third = path_join(*state, "third");

	assert_true(file_write_atomic(one, "", 0, 0600, NULL) && file_write_atomic(third, "", 0, 0600, NULL));
	assert_false(file_same(one, other));
	assert_int_equal(link(one, other), 0);
	assert_true(file_same(one, other));
	assert_false(file_same(one, third));
	free(one);
	free(other);
	free(third);
}

static void check_path(char *found, const char *expected)
{
	assert_string_equal(found, expected);
	free(found);
}

static void test_expand(void **state)
{
	char *home = getenv("HOME") != NULL ? strdup(getenv("HOME")) : NULL;

	(void)state;
	setenv("HOME", "/home/alice", 1);
	check_path(path_home(), "/home/alice");
	check_path(path_expand("~"), "/home/alice");
	check_path(path_expand("~/a/~"), "/home/alice/a/~");
	check_path(path_expand("~bob/a"), "~bob/a");
	check_path(path_expand("./~/a"), "./~/a");
	check_path(path_expand(""), "");
	if (home != NULL)
		setenv("HOME", home, 1);
	else
		unsetenv("HOME");
	free(home);
}

static void test_beside(void **state)
{
	(void)state;
	check_path(path_beside("a/b", "c"), "a/c");
	check_path(path_beside("/b", "c"), "/c");
	check_path(path_beside("b", "c"), "c");
	check_path(path_beside("a/b", "/c"), "/c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_regular_file, setup, teardown),
		cmocka_unit_test(test_read_rest),
		cmocka_unit_test_setup_teardown(test_atomic_failure_keeps_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dir, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same, setup, teardown),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_beside),
		cmocka_unit_test(test_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
