/* Paths as calls, with calls that are made up: what is kept of their answers and how long, what who is far away gets,
 * and a call that is answered after the end. */
#include "http/far_helper.h"
#include "http/http_helper.h"
#include "util/clock.h"
#include "web/api.h"

static struct rpc_request *waiting;
static int calls;
static int64_t call_takes; /* ms */

/* Tells how often it was called. */
static enum rpc_outcome count_calls(struct rpc_request *request, void *context)
{
	(void)context;
	if (call_takes > 0)
		clock_set_mono(clock_mono_ms() + call_takes);
	return rpc_reply(request, json_integer(++calls));
}

static enum rpc_outcome show_peers(struct rpc_request *request, void *context)
{
	(void)context;
	return rpc_reply(request,
		json_pack("[{s:s,s:s,s:s,s:i}]", "addr", "1.2.3.4:5", "addrlocal", "6.7.8.9:1", "name", "n", "id", 3));
}

static enum rpc_outcome wait_for_test(struct rpc_request *request, void *context)
{
	(void)context;
	waiting = request;
	return RPC_PENDING;
}

static enum rpc_outcome fail_so(struct rpc_request *request, void *context)
{
	(void)context;
	return rpc_fail(request, RPC_DATABASE_ERROR, "The disk");
}

static enum rpc_outcome say_much(struct rpc_request *request, void *context)
{
	json_t *much = json_array();

	(void)context;
	for (int i = 0; i < API_FAR_MAX / 2; i++)
		json_array_append_new(much, json_integer(0));
	return rpc_reply(request, much);
}

static const struct rpc_method methods[] = {
	{ "getchainspec", "Test", count_calls, NULL, "Of the chain.", NULL, NULL, 0 },
	{ "getmininginfo", "Test", count_calls, NULL, "Of anything.", NULL, NULL, 0 },
	{ "getpeerinfo", "Test", show_peers, NULL, "Peers.", NULL, NULL, 0 },
	{ "gettraininginfo", "Test", wait_for_test, NULL, "Later.", NULL, NULL, 0 },
	{ "getruns", "Test", fail_so, NULL, "Fails.", NULL, NULL, 0 },
	{ "getnetworkinfo", "Test", say_much, NULL, "Much.", NULL, NULL, 0 },
};

struct fixture {
	struct place place;
	struct rpc_table *table;
	struct api *api;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	calls = 0;
	call_takes = 0;
	far_group = 0;
	clock_set_mono(5000);
	f->table = rpc_table_new();
	rpc_table_add(f->table, methods, sizeof methods / sizeof methods[0], NULL);
	f->api = api_new(f->table);
	f->place.base = event_base_new();
	f->place.endpoint = (struct http_endpoint){ "GET", api_has_path, 0, api_handle, f->api, false };
	f->place.is_open = true;
	place_open(&f->place);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	clock_set_mono(0);
	place_close(&f->place);
	if (f->api != NULL)
		api_free(f->api);
	rpc_table_free(f->table);
	free(f);
	return 0;
}

static void check(struct fixture *f, const char *path, const char *answer)
{
	char text[200];
	int fd;

	snprintf(text, sizeof text, "GET /api/%s HTTP/1.1\r\nConnection: close\r\n\r\n", path);
	fd = raw_connect(&f->place, text);
	raw_expect(&f->place, fd, answer);
	close(fd);
}

/* An answer is kept for a second, one that follows from the chain for longer. */
static void test_kept(void **state)
{
	struct fixture *f = *state;

	check(f, "spec", "\r\n\r\n1\n");
	check(f, "spec", "\r\n\r\n1\n");
	check(f, "mining", "\r\n\r\n2\n");
	check(f, "mining", "\r\n\r\n2\n");
	clock_set_mono(6000);
	check(f, "mining", "\r\n\r\n3\n");
	check(f, "spec", "\r\n\r\n1\n");
	api_forget(f->api);
	check(f, "mining", "\r\n\r\n4\n");
	check(f, "spec", "\r\n\r\n1\n");
	check(f, "spec?a=b", "HTTP/1.1 400 ");
	check(f, "runs", "HTTP/1.1 500 ");
	check(f, "runs", "{\"error\":{\"code\":-20,\"message\":\"The disk\"}}\n");
	check(f, "model", "HTTP/1.1 404 ");
}

static void test_peers(void **state)
{
	struct fixture *f = *state;

	check(f, "peers", "\r\n\r\n[{\"addr\":\"1.2.3.4:5\",\"addrlocal\":\"6.7.8.9:1\",\"name\":\"n\",\"id\":3}]\n");
	far_group = 1;
	check(f, "peers", "\r\n\r\n[{\"id\":3}]\n");
	far_group = 0;
	check(f, "peers", "addrlocal");
}

/* Who is far away gets no answer that is long, and none while such as he have taken too much time. */
static void test_far(void **state)
{
	struct fixture *f = *state;

	check(f, "network", "HTTP/1.1 200 ");
	far_group = 1;
	check(f, "network", "HTTP/1.1 403 ");
	call_takes = 1000;
	check(f, "mining", "\r\n\r\n1\n");
	check(f, "mining", "HTTP/1.1 429 ");
	check(f, "peers", "HTTP/1.1 429 ");
	far_group = 0;
	check(f, "mining", "\r\n\r\n2\n");
	/* What is kept costs nothing. */
	call_takes = 0;
	check(f, "spec", "\r\n\r\n3\n");
	far_group = 2;
	check(f, "spec", "\r\n\r\n3\n");
	clock_set_mono(clock_mono_ms() + 4000);
	check(f, "peers", "\r\n\r\n[{\"id\":3}]\n");
}

static void test_late(void **state)
{
	struct fixture *f = *state;
	int fd = raw_connect(&f->place, "GET /api/training HTTP/1.1\r\n\r\n"), other;

	for (int turn = 0; turn < 60000 && waiting == NULL; turn++)
		event_base_loop(f->place.base, EVLOOP_NONBLOCK);
	rpc_reply(waiting, json_integer(7));
	raw_expect(&f->place, fd, "\r\n\r\n7\n");
	clock_set_mono(9000);
	waiting = NULL;
	other = raw_connect(&f->place, "GET /api/training HTTP/1.1\r\n\r\n");
	for (int turn = 0; turn < 60000 && waiting == NULL; turn++)
		event_base_loop(f->place.base, EVLOOP_NONBLOCK);
	http_server_free(f->place.server);
	f->place.server = NULL;
	api_free(f->api);
	f->api = NULL;
	rpc_reply(waiting, json_integer(8));
	close(fd);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_far, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
