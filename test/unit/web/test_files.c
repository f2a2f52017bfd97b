/* Names of the page's files out of paths: nothing outside of the folders, nothing hidden. */
#include "unit.h"
#include "web/files.h"

static void check(const char *path, const char *expected)
{
	char *file = files_path("/f", path);

	if (expected == NULL ? file != NULL : file == NULL || strcmp(file, expected) != 0)
		fail_msg("%s leads to %s", path, file != NULL ? file : "nothing");
	free(file);
}

static void test_paths(void **state)
{
	static const char *const none[] = { "", "a", "//", "/.", "/..", "/../a", "/a/..", "/a/../b", "/a/", "//a",
		"/a//b", "/.a", "/a/.b", "/%2e%2e/a", "/a%00", "/a b", "/a\\..\\b", "/~a", "/a?b", "/lib/a.js",
		"/lib/dygraphs", "/lib/dygraphs/", "/lib/dygraphs/../a", "/lib/jquery/a.js", "/lib/../a",
		"/lib/chart.jsx/a", "/\xc3\xa4" };

	(void)state;
	check("/", "/f/index.html");
	check("/a.js", "/f/a.js");
	check("/views/A-b_1.min.css", "/f/views/A-b_1.min.css");
	check("/lib", "/f/lib");
	check("/lib/dygraphs/dygraph.min.js", "/usr/share/javascript/dygraphs/dygraph.min.js");
	check("/lib/chart.js/Chart.min.js", "/usr/share/javascript/chart.js/Chart.min.js");
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		check(none[i], NULL);
}

static void test_folder(void **state)
{
	char *chosen = files_folder("/mine"), *own = files_folder("");

	(void)state;
	assert_string_equal(chosen, "/mine");
	/* This test runs in the build folder. */
	assert_non_null(strstr(own, "/share/web"));
	free(chosen);
	free(own);
	assert_false(files_has_path("/api/chain") || files_has_path("/v1/models"));
	assert_true(files_has_path("/") && files_has_path("/api.js"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
