/* Warnings: what is set is shown, and the log tells when it begins and when it ends, each once. */
#include "unit.h"
#include "util/buf.h"
#include "util/file.h"
#include "util/log.h"
#include "util/warning.h"

static size_t count(const char *path, const char *what)
{
	struct buf text;
	size_t found = 0;
	char *line;

	buf_init(&text);
	assert_true(file_read(path, 1 << 20, &text, NULL));
	line = buf_take_text(&text);
	for (const char *at = line; (at = strstr(at, what)) != NULL; at += strlen(what))
		found++;
	free(line);
	return found;
}

static void test_kinds(void **state)
{
	struct errmsg text;

	(void)state;
	for (int kind = 0; kind < WARNING_KINDS; kind++) {
		assert_false(warning_get((enum warning)kind, &text));
		warning_set((enum warning)kind, "number %d", kind);
	}
	for (int kind = 0; kind < WARNING_KINDS; kind++) {
		char expected[32];

		snprintf(expected, sizeof expected, "number %d", kind);
		assert_true(warning_get((enum warning)kind, &text));
		assert_string_equal(text.text, expected);
		warning_clear((enum warning)kind);
		assert_false(warning_get((enum warning)kind, &text));
	}
}

static void test_log(void **state)
{
	char *folder = scratch_new(), *path = path_join(folder, "log");
	struct errmsg text;

	(void)state;
	assert_true(log_init(path, false, 0, NULL));
	warning_clear(WARNING_CLOCK);
	assert_int_equal(count(path, "\n"), 0);
	warning_set(WARNING_CLOCK, "%d seconds behind", 3);
	warning_set(WARNING_CLOCK, "%d seconds behind", 4);
	assert_true(warning_get(WARNING_CLOCK, &text));
	assert_string_equal(text.text, "4 seconds behind");
	assert_int_equal(count(path, "Z Warning: 3 seconds behind\n"), 1);
	assert_int_equal(count(path, "\n"), 1);
	warning_clear(WARNING_CLOCK);
	warning_clear(WARNING_CLOCK);
	assert_int_equal(count(path, "Z No longer so: 4 seconds behind\n"), 1);
	assert_int_equal(count(path, "\n"), 2);
	log_close();
	free(path);
	scratch_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
