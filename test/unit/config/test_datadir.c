/* Where a node lives: folders, ports, the configuration file and its section, private chains. */
#include "config/datadir.h"
#include "unit.h"
#include "util/file.h"

static char *base;

static int setup(void **state)
{
	(void)state;
	base = scratch_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(base);
	return 0;
}

static void put(const char *name, const char *text)
{
	char *path = path_join(base, name);

	assert_true(file_write_atomic(path, text, strlen(text), 0600, NULL));
	free(path);
}

/* Finds with -datadir=base and one more argument (or NULL). */
static bool find(struct datadir *l, struct options **options, const char *argument, struct errmsg *err)
{
	char datadir[600], copy[700];
	char *argv[] = { "x", datadir, copy };

	snprintf(datadir, sizeof datadir, "-datadir=%s", base);
	snprintf(copy, sizeof copy, "%s", argument != NULL ? argument : "");
	*options = options_new(datadir_options);
	assert_true(options_parse_args(*options, argument ? 3 : 2, argv, NULL, NULL));
	return datadir_find(l, *options, err);
}

static void check(const char *argument, const char *chain, const char *folder, int rpc_port, int p2p_port)
{
	struct options *options;
	struct datadir l;
	char *data = *folder ? path_join(base, folder) : strdup(base), *cookie = path_join(data, ".cookie"), *found;

	assert_true(find(&l, &options, argument, NULL));
	assert_string_equal(l.chain, chain);
	assert_string_equal(l.base, base);
	assert_string_equal(l.data, data);
	assert_int_equal(l.rpc_port, rpc_port);
	assert_int_equal(l.p2p_port, p2p_port);
	found = datadir_cookie(&l);
	assert_string_equal(found, cookie);
	free(found);
	free(cookie);
	free(data);
	datadir_clear(&l);
	options_free(options);
}

static void check_error(const char *argument, const char *word)
{
	struct options *options;
	struct errmsg err = { "" };
	struct datadir l;

	assert_false(find(&l, &options, argument, &err));
	if (strstr(err.text, word) == NULL)
		fail_msg("'%s' has no '%s'", err.text, word);
	datadir_clear(&l);
	options_free(options);
}

static void test_builtin(void **state)
{
	(void)state;
	check(NULL, "main", "", 9432, 9433);
	check("-chain=main", "main", "", 9432, 9433);
	check("-testnet", "test", "test", 19432, 19433);
	check("-chain=test", "test", "test", 19432, 19433);
	check("-regtest", "regtest", "regtest", 29432, 29433);
	check_error("-chain=nonsense", "nonsense");
}

/* The folder of a chain in it is for the node to make. */
static void test_missing(void **state)
{
	char *sound = base;

	(void)state;
	put("file", "");
	base = path_join(sound, "missing");
	check_error("-regtest", "/missing");
	free(base);
	base = path_join(sound, "file");
	check_error("-regtest", "/file");
	free(base);
	base = sound;
}

static void test_conf(void **state)
{
	struct options *options;
	struct datadir l;

	(void)state;
	put("atelier.conf", "regtest=1\nrpcport=1\n[regtest]\nrpcport=2\n[main]\nrpcport=3\n");
	check(NULL, "regtest", "regtest", 29432, 29433);
	assert_true(find(&l, &options, NULL, NULL));
	assert_string_equal(options_string(options, "rpcport"), "2");
	datadir_clear(&l);
	options_free(options);
	check("-noregtest", "main", "", 9432, 9433);
	check_error("-testnet", "Only one of");
	check_error("-conf=missing.conf", "missing.conf");
	put("other.conf", "testnet=1\n");
	check("-conf=other.conf", "test", "test", 19432, 19433);
	put("atelier.conf", "nonsense=1\n");
	check_error(NULL, "atelier.conf:1");
}

static void check_spec(const char *spec, const char *word)
{
	char argument[600];

	put("spec.json", spec);
	snprintf(argument, sizeof argument, "-chainspec=%s/spec.json", base);
	if (word != NULL)
		check_error(argument, word);
	else
		check(argument, "ward7", "ward7", 39432, 40000);
}

static void test_private(void **state)
{
	(void)state;
	check_spec("{\"name\":\"ward7\",\"p2p_port\":40000}", NULL);
	check_spec("{}", "name");
	check_spec("{\"name\":\"../up\"}", "name");
	check_spec("{\"name\":\"\"}", "name");
	check_spec("{\"name\":\"abcdefghijklmnopq\"}", "name");
	check_spec("{\"name\":\"blocks\"}", "taken");
	check_spec("{\"name\":\"regtest\"}", "taken");
	check_spec("{\"name\":\"a\",\"rpc_port\":0}", "rpc_port");
	check_spec("{\"name\":\"a\",\"rpc_port\":65536}", "rpc_port");
	check_spec("{\"name\":\"a\",\"p2p_port\":\"1\"}", "p2p_port");
	check_spec("{\"name\":\"a\",\"rpc_port\":39433}", "are both 39433");
	check_spec("[", "spec.json");
	check_spec("1", "spec.json");
	check_error("-chainspec=/nonexistent-folder/s", "nonexistent-folder");
	check_error("-chainspec=", "names no file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_builtin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
