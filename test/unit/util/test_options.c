/* Options: forms, precedence, sections, negation, numbers, errors that say where, the help text. */
#include "unit.h"
#include "util/file.h"
#include "util/options.h"

static const struct option_spec table[] = {
	{ "help", NULL, "Prints this.", "General", NULL, OPTION_COMMAND_LINE },
	{ "datadir", "<folder>", "Where everything lies.", "General", NULL, 0 },
	{ "listen", NULL, "Takes connections from other nodes.", "Network", "1", 0 },
	{ "port", "<port>", "Where other nodes connect to.", "Network", "9433", 0 },
	{ "connect", "<host>", "Connects to this node only.", "Network", NULL, OPTION_MULTI },
	{ "debug", "[=<category>]", "Writes debug lines.", "Network", NULL, OPTION_MULTI },
	{ "secret", NULL, "Not shown.", "Network", NULL, OPTION_HIDDEN },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static struct options *make(void)
{
	return options_new(table);
}

#define ARGS(o, err, ...)                                                                   \
	options_parse_args(o, (int)(sizeof(char *[]){ "x", __VA_ARGS__ } / sizeof(char *)), \
		(char *[]){ "x", __VA_ARGS__ }, NULL, err)

static bool text(struct options *o, const char *lines, struct errmsg *err)
{
	return options_parse_text(o, "a.conf", lines, strlen(lines), err);
}

static void test_forms(void **state)
{
	struct options *o = make();

	(void)state;
	assert_false(options_is_set(o, "listen"));
	assert_true(options_bool(o, "listen"));
	assert_null(options_string(o, "datadir"));
	assert_true(ARGS(o, NULL, "-datadir=/a=b", "--port=1", "-nolisten", "-help", "-port=2"));
	assert_string_equal(options_string(o, "datadir"), "/a=b");
	assert_string_equal(options_string(o, "port"), "2");
	assert_false(options_bool(o, "listen"));
	assert_true(options_is_set(o, "listen"));
	assert_true(options_bool(o, "help"));
	assert_true(ARGS(o, NULL, "-nolisten=0", "-datadir="));
	assert_true(options_bool(o, "listen"));
	assert_string_equal(options_string(o, "datadir"), "");
	options_set(o, "port", "3");
	assert_string_equal(options_string(o, "port"), "3");
	options_free(o);
}

static void test_operands(void **state)
{
	char *argv[] = { "x", "-listen", "getblock", "-port=7" };
	struct options *o = make();
	struct errmsg err;
	int at;

	(void)state;
	assert_true(options_parse_args(o, 4, argv, &at, NULL));
	assert_int_equal(at, 2);
	assert_string_equal(options_string(o, "port"), "9433");
	assert_true(options_parse_args(o, 2, argv, &at, NULL));
	assert_int_equal(at, 2);
	assert_false(options_parse_args(o, 4, argv, NULL, &err));
	assert_non_null(strstr(err.text, "getblock"));
	options_free(o);
}

static void test_file_and_precedence(void **state)
{
	struct options *o = make();

	(void)state;
	assert_true(text(o,
		"# a comment\r\n"
		"  port = 10 \t# another\n"
		"port=11\n"
		"datadir=/with#hash\n"
		"connect=a\n"
		"\n"
		"[regtest]\n"
		"port=20\n"
		"connect=b\n"
		"[test] # of the public kind\n"
		"port=30",
		NULL));
	assert_string_equal(options_string(o, "port"), "10");
	assert_string_equal(options_string(o, "datadir"), "/with#hash");
	options_set_section(o, "regtest");
	assert_string_equal(options_string(o, "port"), "20");
	assert_int_equal(options_count(o, "connect"), 2);
	assert_string_equal(options_value(o, "connect", 0), "b");
	assert_string_equal(options_value(o, "connect", 1), "a");
	options_set_section(o, "test");
	assert_string_equal(options_string(o, "port"), "30");
	assert_int_equal(options_count(o, "connect"), 1);
	assert_true(ARGS(o, NULL, "-port=40", "-connect=c", "-connect=d"));
	assert_string_equal(options_string(o, "port"), "40");
	assert_string_equal(options_value(o, "connect", 0), "c");
	assert_string_equal(options_value(o, "connect", 1), "d");
	assert_string_equal(options_value(o, "connect", 2), "a");
	assert_null(options_value(o, "connect", 3));
	options_free(o);
}

static void test_negated_multi(void **state)
{
	struct options *o = make();

	(void)state;
	assert_true(text(o, "connect=a\n[regtest]\nconnect=b\nnoconnect=1\nconnect=c\n", NULL));
	options_set_section(o, "regtest");
	assert_int_equal(options_count(o, "connect"), 1);
	assert_string_equal(options_value(o, "connect", 0), "c");
	assert_true(ARGS(o, NULL, "-connect=d", "-noconnect"));
	assert_int_equal(options_count(o, "connect"), 0);
	assert_true(options_is_set(o, "connect"));
	assert_false(options_bool(o, "connect"));
	assert_true(ARGS(o, NULL, "-debug", "-debug=net"));
	assert_string_equal(options_value(o, "debug", 0), "1");
	assert_string_equal(options_value(o, "debug", 1), "net");
	options_free(o);
}

static void test_errors(void **state)
{
	static const struct {
		const char *lines, *place, *word;
	} cases[] = {
		{ "\nnonsense=1\n", "a.conf:2", "nonsense" },
		{ "[test]\nnonsense=1\n", "a.conf:2", "nonsense" },
		{ "port\n", "a.conf:1", "name=value" },
		{ "[regtest\n", "a.conf:1", "[name]" },
		{ "[]\n", "a.conf:1", "[name]" },
		{ "help=1\n", "a.conf:1", "help" },
		{ "=1\n", "a.conf:1", "no option" },
		{ "listen=maybe\n", "a.conf:1", "0 or 1" },
		{ "nolisten=\n", "a.conf:1", "0 or 1" },
	};
	struct errmsg err;
	struct options *o;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		o = make();
		assert_false(text(o, cases[i].lines, &err));
		assert_non_null(strstr(err.text, cases[i].place));
		assert_non_null(strstr(err.text, cases[i].word));
		options_free(o);
	}
	o = make();
	assert_false(options_parse_text(o, "a.conf", "port=1\0 0", 9, &err));
	assert_false(ARGS(o, &err, "-nonsense=1"));
	assert_non_null(strstr(err.text, "-nonsense=1"));
	assert_false(ARGS(o, &err, "-no"));
	assert_false(ARGS(o, &err, "--"));
	assert_false(ARGS(o, &err, "-port"));
	assert_non_null(strstr(err.text, "-port=<port>"));
	options_skip_unknown(o);
	assert_true(text(o, "nonsense=1\nnononsense=1\nport=8\n", &err));
	assert_string_equal(options_string(o, "port"), "8");
	assert_false(ARGS(o, &err, "-nonsense=1"));
	assert_false(options_parse_file(o, "/nonexistent-folder/a.conf", &err));
	options_free(o);
}

static void test_int(void **state)
{
	static const char *const bad[] = { "", "x", "1x", " 1", "+1", "1.5", "-", "99999999999999999999", "65536",
		"0" };
	struct options *o = make();
	struct errmsg err;
	int64_t v = -7;

	(void)state;
	assert_true(options_int(o, "port", 1, 65535, &v, NULL));
	assert_int_equal(v, 9433);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		options_set(o, "port", bad[i]);
		assert_false(options_int(o, "port", 1, 65535, &v, &err));
		assert_non_null(strstr(err.text, "port"));
		assert_int_equal(v, 9433);
	}
	options_set(o, "port", "-12");
	assert_true(options_int(o, "port", -12, 5, &v, NULL));
	assert_int_equal(v, -12);
	assert_true(options_int(o, "datadir", 1, 5, &v, NULL));
	assert_int_equal(v, 0);
	options_free(o);
}

static void test_file(void **state)
{
	char *folder = scratch_new(), *path = path_join(folder, "a.conf");
	struct options *o = make();
	struct errmsg err;

	(void)state;
	assert_true(file_write_atomic(path, "port=5\nfoo=1\n", 13, 0600, NULL));
	assert_false(options_parse_file(o, path, &err));
	assert_non_null(strstr(err.text, "a.conf:2"));
	assert_true(file_write_atomic(path, "port=5\n", 7, 0600, NULL));
	assert_true(options_parse_file(o, path, &err));
	assert_string_equal(options_string(o, "port"), "5");
	options_free(o);
	free(path);
	scratch_remove(folder);
}

static void test_help(void **state)
{
	static const struct option_spec more[] = {
		{ "mine", NULL,
			"Trains and mines in the background, with as many threads as are given, "
			"whenever the node is synced.",
			"Mining", NULL, 0 },
		{ NULL, NULL, NULL, NULL, NULL, 0 },
	};
	struct options *o = make();
	char *help, *line, *save = NULL;

	(void)state;
	options_add_table(o, more);
	assert_true(ARGS(o, NULL, "-mine"));
	help = options_help(o);
	assert_memory_equal(help, "General:\n\n  -help\n       Prints this.\n", 38);
	assert_non_null(strstr(help, "\nNetwork:\n\n  -listen\n"));
	assert_non_null(strstr(help, "  -port=<port>\n       Where other nodes connect to. (default: 9433)\n"));
	assert_non_null(strstr(help, "  -debug[=<category>]\n"));
	assert_null(strstr(help, "secret"));
	for (line = strtok_r(help, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		assert_true(strlen(line) < 80);
	free(help);
	options_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_file_and_precedence),
		cmocka_unit_test(test_negated_multi),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
