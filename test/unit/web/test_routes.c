/* Paths below /api/ as calls: which, with which arguments, and what is none or wrong. */
#include "unit.h"
#include "web/routes.h"

static void check(const char *path, const char *query, const char *method, const char *expected)
{
	const struct route *route;
	struct errmsg err;
	struct buf text;
	json_t *params;
	char *printed;

	if (routes_read(path, query, &route, &params, &err) != ROUTES_FOUND)
		fail_msg("%s?%s is no path", path, query);
	assert_string_equal(route->method, method);
	buf_init(&text);
	json_print(params, 0, &text);
	printed = buf_take_text(&text);
	assert_string_equal(printed, expected);
	free(printed);
	json_decref(params);
}

static void check_refused(const char *path, const char *query, enum routes_result result)
{
	const struct route *route;
	struct errmsg err;
	json_t *params;

	if (routes_read(path, query, &route, &params, &err) != result)
		fail_msg("%s?%s", path, query);
}

static void test_found(void **state)
{
	(void)state;
	check("chain", "", "getblockchaininfo", "{}");
	check("block/7", "", "getblock", "{\"verbosity\":2,\"blockhash\":7}");
	check("block/00ab", "", "getblock", "{\"verbosity\":2,\"blockhash\":\"00ab\"}");
	check("tx/ab", "", "getrawtransaction", "{\"verbosity\":2,\"txid\":\"ab\"}");
	check("round", "", "getround", "{}");
	check("round/12", "", "getround", "{\"base\":12}");
	check("dataset/a%20b%2Fc", "", "getdataset", "{\"dataset\":\"a b/c\"}");
	check("dataset/%5B1%5D", "", "getdataset", "{\"dataset\":\"[1]\"}");
	check("datasets", "", "listdatasets", "{\"count\":100}");
	check("datasets", "skip=3&count=5", "listdatasets", "{\"count\":5,\"skip\":3}");
	check("datasets", "count=a+b%2B", "listdatasets", "{\"count\":\"a b+\"}");
	check("datasets", "count=true", "listdatasets", "{\"count\":true}");
	check("datasets", "count=null", "listdatasets", "{\"count\":\"null\"}");
}

static void test_refused(void **state)
{
	static const char *const none[] = { "", "/", "chain/", "chain/x", "chai", "block", "block/", "block/1/2",
		"tx/1/", "stop", "Chain", "../chain" };
	static const char *const wrong[] = { "depth=1", "count", "count=", "count=1&", "&count=1", "count=1&count=1",
		"=1", " =1", "count skip=1", "count=%ff", "count=1&skip", "verbosity=0" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		check_refused(none[i], "", ROUTES_NONE);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		check_refused("datasets", wrong[i], ROUTES_WRONG);
	check_refused("chain", "count=1", ROUTES_WRONG);
	check_refused("block/%ff", "", ROUTES_WRONG);
}

static char *body_of(const char *path, const char *body)
{
	const struct route *action = routes_find_action(path);
	struct errmsg err = { "" };
	struct buf text;
	json_t *params;

	assert_non_null(action);
	params = routes_read_body(action, body, strlen(body), &err);
	assert_true(params != NULL || err.text[0] != '\0');
	if (params == NULL)
		return NULL;
	buf_init(&text);
	json_print(params, 0, &text);
	json_decref(params);
	return buf_take_text(&text);
}

static void test_bodies(void **state)
{
	static const char *const wrong[] = { "", "{", "[]", "null", "\"file\"", "{\"file\":\"/etc/passwd\"}",
		"{\"title\":\"t\",\"fee_rate\":1}", "{\"\":1}", "{\" title\":1}", "{\"title\":1,\"title\":2}" };
	char *body = body_of("contribute", "{\"title\":\"t\",\"wallet\":\"w\",\"hexdata\":null}");

	(void)state;
	assert_string_equal(body, "{\"file\":\"\",\"title\":\"t\",\"wallet\":\"w\",\"hexdata\":null}");
	free(body);
	body = body_of("generate", "{}");
	assert_string_equal(body, "{}");
	free(body);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_null(body_of("contribute", wrong[i]));
	assert_null(body_of("wallets", "{\"wallet\":\"w\"}"));
	assert_null(body_of("audit/run", "{\"height\":1,\"challenge\":true}"));
	assert_null(routes_find_action("stop"));
	assert_null(routes_find_action("chain"));
	assert_null(routes_find_action(""));
	assert_true(routes_find_action("contribute")->flags & ROUTE_KEY);
	assert_false(routes_find_action("audit/proof")->flags & ROUTE_KEY);
}

static void test_height(void **state)
{
	json_t *height = json_integer(4294967295), *large = json_integer(4294967296), *below = json_integer(-1),
	       *text = json_string("5");
	uint32_t number = 0;

	(void)state;
	assert_true(routes_height(height, &number));
	assert_int_equal(number, UINT32_MAX);
	assert_false(routes_height(large, &number) || routes_height(below, &number) || routes_height(text, &number) ||
		routes_height(NULL, &number));
	json_decref(height);
	json_decref(large);
	json_decref(below);
	json_decref(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_height),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
