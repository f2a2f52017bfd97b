/* The log: form of a line, categories, what comes from outside, rotation, threads. */
#include <pthread.h>

#include "unit.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"

static int setup(void **state)
{
	*state = scratch_new();
	return 0;
}

static int teardown(void **state)
{
	log_close();
	log_set_categories(0);
	scratch_remove(*state);
	return 0;
}

static char *contents(const char *path)
{
	struct buf b;

	buf_init(&b);
	assert_true(file_read(path, 1 << 22, &b, NULL));
	return buf_take_text(&b);
}

static void test_lines(void **state)
{
	char *path = path_join(*state, "debug.log"), *text;
	struct errmsg err = { "" };

	assert_true(log_init(path, false, LOG_NET, &err));
	log_info("height=%d", 7);
	log_warn("odd");
	log_error("bad");
	log_debug(LOG_NET, "seen");
	log_debug(LOG_CHAIN, "not seen");
	text = contents(path);
	/* 2026-01-02T03:04:05Z and a blank: 21 characters. */
	assert_int_equal(text[10], 'T');
	assert_int_equal(text[19], 'Z');
	assert_memory_equal(text + 20, " height=7\n", 10);
	assert_non_null(strstr(text, "Z Warning: odd\n"));
	assert_non_null(strstr(text, "Z Error: bad\n"));
	assert_non_null(strstr(text, "Z [net] seen\n"));
	assert_null(strstr(text, "not seen"));
	free(text);
	free(path);
}

static void test_escapes(void **state)
{
	char *path = path_join(*state, "debug.log"), *text, long_text[3 * LOG_LINE_MAX];

	assert_true(log_init(path, false, 0, NULL));
	log_info("agent=%s", "a\nb\x1b[31m\x7f\xc2\x9b \xc3\xa4");
	text = contents(path);
	assert_non_null(strstr(text, "agent=a\\x0ab\\x1b[31m\\x7f\xc2\\x9b \xc3\xa4\n"));
	free(text);

	memset(long_text, '\n', sizeof long_text);
	long_text[sizeof long_text - 1] = 0;
	log_info("%s", long_text);
	log_info("next");
	text = contents(path);
	assert_true(strlen(text) < 2 * LOG_LINE_MAX);
	assert_non_null(strstr(text, "next\n"));
	free(text);
	free(path);
}

static void test_reopen(void **state)
{
	char *path = path_join(*state, "debug.log"), *old = path_join(*state, "old.log"), *text;
	struct errmsg err = { "" };

	assert_true(log_init(path, false, 0, &err));
	log_info("one");
	assert_int_equal(rename(path, old), 0);
	assert_true(log_reopen(&err));
	log_info("two");
	text = contents(path);
	assert_non_null(strstr(text, "two"));
	assert_null(strstr(text, "one"));
	free(text);
	assert_false(log_init("/nonexistent-folder/x", false, 0, &err));
	log_info("three");
	text = contents(path);
	assert_non_null(strstr(text, "three"));
	free(text);
	free(old);
	free(path);
}

static void test_categories(void **state)
{
	unsigned mask = 0, all = 0, one;

	(void)state;
	assert_true(log_category_parse("1", &mask));
	assert_int_equal(mask, LOG_ALL);
	assert_true(log_category_parse("0", &mask));
	assert_int_equal(mask, 0);
	assert_false(log_category_parse("nonsense", &mask));
	for (unsigned i = 0; log_category_name(i, &one); i++) {
		assert_true(log_category_parse(log_category_name(i, &one), &mask));
		assert_int_equal(mask, one);
		all |= one;
	}
	assert_int_equal(all, LOG_ALL);
}

static void *write_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info("%s", (const char *)arg);
	return NULL;
}

static void test_threads(void **state)
{
	char *path = path_join(*state, "debug.log"), *text, *save = NULL;
	pthread_t thread[2];
	size_t lines = 0;

	assert_true(log_init(path, false, 0, NULL));
	assert_int_equal(pthread_create(&thread[0], NULL, write_many, "aaaaaaaaaa"), 0);
	assert_int_equal(pthread_create(&thread[1], NULL, write_many, "bbbbbbbbbb"), 0);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	text = contents(path);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), lines++) {
		assert_int_equal(strlen(line), 31);
		assert_true(strcmp(line + 21, "aaaaaaaaaa") == 0 || strcmp(line + 21, "bbbbbbbbbb") == 0);
	}
	assert_int_equal(lines, 1000);
	free(text);
	free(path);
}

static void test_limit(void **state)
{
	struct log_limit limit = { 0 }, other = { 0 };

	(void)state;
	clock_set_mono(1000);
	assert_true(log_limit_allows(&limit));
	assert_false(log_limit_allows(&limit));
	clock_set_mono(1000 + LOG_LIMIT_MS - 1);
	assert_false(log_limit_allows(&limit));
	assert_true(log_limit_allows(&other));
	clock_set_mono(1000 + LOG_LIMIT_MS);
	assert_true(log_limit_allows(&limit));
	clock_set_mono(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
		cmocka_unit_test(test_categories),
		cmocka_unit_test(test_limit),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
