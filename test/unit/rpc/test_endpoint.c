/* JSON-RPC over HTTP on loopback: addresses with wallets, statuses, answers that come late or after the end. */
#include "http/http_helper.h"
#include "rpc/endpoint.h"
#include "unit.h"

static struct rpc_request *waiting;

struct fixture {
	struct place place;
	struct rpc_table *table;
};

static const struct rpc_arg echo_args[] = {
	{ .name = "value", .type = RPC_ANY, .optional = true, .help = "Anything." },
	{ 0 },
};

static enum rpc_outcome echo(struct rpc_request *r, void *context)
{
	(void)context;
	return rpc_reply(r, json_pack("{s:O?,s:s?}", "value", rpc_json(r, "value"), "wallet", rpc_wallet(r)));
}

static enum rpc_outcome later(struct rpc_request *r, void *context)
{
	waiting = r;
	event_base_loopbreak(context);
	return RPC_PENDING;
}

static void end_loop(void *context)
{
	event_base_loopbreak(context);
}

static enum rpc_outcome stop(struct rpc_request *r, void *context)
{
	rpc_on_sent(r, end_loop, context);
	return rpc_reply(r, json_string("stopping"));
}

static const struct rpc_method methods[] = {
	{ "echo", "Test", echo, echo_args, "Echoes.", "value", NULL, 0 },
	{ "later", "Test", later, NULL, "Answers later.", NULL, NULL, 0 },
	{ "stop", "Test", stop, NULL, "Ends the loop.", NULL, NULL, 0 },
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->place.base = event_base_new();
	f->table = rpc_table_new();
	rpc_table_add(f->table, methods, sizeof methods / sizeof methods[0], f->place.base);
	f->place.endpoint = endpoint_of(f->table);
	f->place.only = RPC_POST_ONLY;
	place_open(&f->place);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	place_close(&f->place);
	rpc_table_free(f->table);
	free(f);
	return 0;
}

static void check(const struct fixture *f, const char *path, const char *body, int status, const char *answer)
{
	char *cookie = place_cookie(&f->place);

	caller_check(&f->place, cookie, path, body, status, answer);
	free(cookie);
}

static void test_call(void **state)
{
	struct fixture *f = *state;

	check(f, "/", "{\"method\":\"echo\",\"params\":[1.50],\"id\":1}", 200,
		"{\"result\":{\"value\":1.50,\"wallet\":null},\"error\":null,\"id\":1}\n");
	check(f, "/", "{\"method\":\"unknown\",\"id\":1}", 404, NULL);
	check(f, "/", "{", 500, NULL);
	check(f, "/", "{}", 400, NULL);
	check(f, "/", "", 500, NULL);
	check(f, "/", "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}", 204, "");
}

static void test_wallet(void **state)
{
	static const char call[] = "{\"method\":\"echo\",\"id\":1}";
	struct fixture *f = *state;
	char long_name[200] = "/wallet/", *path;

	path = endpoint_path("my w/\xc3\xa4");
	assert_string_equal(path, "/wallet/my%20w%2F%C3%A4");
	check(f, path, call, 200,
		"{\"result\":{\"value\":null,\"wallet\":\"my w/\xc3\xa4\"},\"error\":null,\"id\":1}\n");
	free(path);
	path = endpoint_path(NULL);
	assert_string_equal(path, "/");
	free(path);
	check(f, "/wallet/", call, 200, "{\"result\":{\"value\":null,\"wallet\":null},\"error\":null,\"id\":1}\n");
	check(f, "/wallet", call, 404, "Not found\n");
	check(f, "/wallet/a%00b", call, 404, "Not found\n");
	memset(long_name + 8, 'a', 128);
	check(f, long_name, call, 200, NULL);
	memset(long_name + 8, 'a', 129);
	check(f, long_name, call, 404, "Not found\n");
}

/* What the head of an answer says, and what is no POST. */
static void test_heads(void **state)
{
	struct fixture *f = *state;
	char header[200], text[400];
	int fd;

	place_authorization(&f->place, header);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n{}", header);
	fd = raw_connect(&f->place, text);
	raw_expect(&f->place, fd, "\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: ");
	close(fd);
	fd = raw_connect(&f->place, "GET / HTTP/1.1\r\n\r\n");
	raw_expect(&f->place, fd, "\r\n\r\nThe JSON-RPC server takes POST requests only\n");
	close(fd);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 99999999\r\n\r\n{}", header);
	raw_check(&f->place, text, "413");
}

static void test_later(void **state)
{
	struct fixture *f = *state;
	char *cookie = place_cookie(&f->place), *text;
	struct caller c;

	caller_start(&c, &f->place, cookie, "/", "{\"method\":\"later\",\"id\":1}");
	event_base_dispatch(f->place.base);
	check(f, "/", "{\"method\":\"echo\"}", 200, NULL);
	rpc_reply(waiting, json_integer(5));
	text = caller_finish(&c);
	assert_string_equal(text, "{\"result\":5,\"error\":null,\"id\":1}\n");
	free(text);
	free(cookie);
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	char *cookie = place_cookie(&f->place), *text;
	struct caller c;

	caller_start(&c, &f->place, cookie, "/", "{\"method\":\"stop\",\"id\":1}");
	event_base_dispatch(f->place.base);
	http_server_free(f->place.server);
	f->place.server = NULL;
	text = caller_join(&c);
	assert_int_equal(c.status, 200);
	assert_string_equal(text, "{\"result\":\"stopping\",\"error\":null,\"id\":1}\n");
	free(text);
	free(cookie);
}

static void test_free_while_waiting(void **state)
{
	struct fixture *f = *state;
	char *cookie = place_cookie(&f->place), *text;
	struct caller c;

	caller_start(&c, &f->place, cookie, "/", "{\"method\":\"later\",\"id\":1}");
	event_base_dispatch(f->place.base);
	http_server_free(f->place.server);
	f->place.server = NULL;
	/* The answer goes nowhere, and harms nobody. */
	rpc_reply(waiting, json_string("late"));
	text = caller_join(&c);
	assert_int_not_equal(c.status, 200);
	free(text);
	free(cookie);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wallet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_waiting, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
