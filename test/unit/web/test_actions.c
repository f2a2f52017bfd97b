/* Turns of work that is asked for from the page: one for a group of addresses, so many in all, so many that wait; who
 * has gone, and what is at work still when all ends. The work is a call that is answered when the test says so. */
#include "http/far_helper.h"
#include "http/http_helper.h"
#include "web/actions.h"

enum { REQUESTS_MAX = 64 };

static struct rpc_request *at_work[REQUESTS_MAX];
static size_t begun;

static const struct rpc_arg work_args[] = {
	{ .name = "prompt", .type = RPC_TEXT, .optional = true, .help = "Whose it is." },
	{ 0 },
};

static enum rpc_outcome work(struct rpc_request *request, void *context)
{
	(void)context;
	if (rpc_has(request, "prompt") && strcmp(rpc_text(request, "prompt"), "fail") == 0)
		return rpc_fail(request, RPC_INVALID_PARAMETER, "at once");
	at_work[begun++] = request;
	return RPC_PENDING;
}

static const struct rpc_method methods[] = {
	{ "generatetext", "Test", work, work_args, "Works.", NULL, NULL, 0 },
};

struct fixture {
	struct place place;
	struct rpc_table *table;
	struct key key;
	struct actions *actions;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	begun = 0;
	far_group = 0;
	f->table = rpc_table_new();
	rpc_table_add(f->table, methods, 1, NULL);
	f->actions = actions_new(f->table, &f->key, false);
	f->place.base = event_base_new();
	f->place.endpoint = (struct http_endpoint){ "POST", actions_has_path, 1000, actions_handle, f->actions, true };
	f->place.is_open = true;
	place_open(&f->place);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	place_close(&f->place);
	if (f->actions != NULL)
		actions_free(f->actions);
	rpc_table_free(f->table);
	free(f);
	return 0;
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 20; i++) {
		event_base_loop(f->place.base, EVLOOP_NONBLOCK);
		usleep(500);
	}
}

static int ask(struct fixture *f, uint8_t group, const char *prompt)
{
	char text[300];
	int fd;

	far_group = group;
	snprintf(text, sizeof text,
		"POST /api/generate HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
		"{\"prompt\":\"%s\"}",
		strlen(prompt) + 13, prompt);
	fd = raw_connect(&f->place, text);
	turn(f);
	return fd;
}

static void finish(size_t index)
{
	rpc_reply(at_work[index], json_integer((json_int_t)index));
}

/* One at a time of a group, and others meanwhile; whoever waits comes in the order in which he came. */
static void test_turns(void **state)
{
	struct fixture *f = *state;
	int first = ask(f, 0, "a"), second = ask(f, 0, "b"), failed = ask(f, 0, "fail"), third = ask(f, 0, "c"),
	    far = ask(f, 1, "far");

	assert_int_equal(begun, 2);
	assert_string_equal(rpc_text(at_work[1], "prompt"), "far");
	finish(0);
	raw_expect(&f->place, first, "\r\n\r\n0\n");
	assert_int_equal(begun, 3);
	assert_string_equal(rpc_text(at_work[2], "prompt"), "b");
	/* One that fails at once lets the next begin. */
	finish(2);
	raw_expect(&f->place, second, "\r\n\r\n2\n");
	raw_expect(&f->place, failed, "HTTP/1.1 400 ");
	assert_int_equal(begun, 4);
	assert_string_equal(rpc_text(at_work[3], "prompt"), "c");
	finish(3);
	finish(1);
	raw_expect(&f->place, third, "\r\n\r\n3\n");
	raw_expect(&f->place, far, "\r\n\r\n1\n");
	close(first);
	close(second);
	close(third);
	close(failed);
	close(far);
}

/* So many at work, so many that wait, so many of one group that is far away. */
static void test_bounds(void **state)
{
	struct fixture *f = *state;
	int fds[REQUESTS_MAX], count = 0, refused;

	for (uint8_t group = 1; group <= ACTIONS_RUNNING + 1; group++)
		fds[count++] = ask(f, group, "a");
	assert_int_equal(begun, ACTIONS_RUNNING);
	for (int i = 0; i < ACTIONS_PER_GROUP; i++)
		fds[count++] = ask(f, 1, "a");
	refused = ask(f, 1, "a");
	raw_expect(&f->place, refused, "HTTP/1.1 429 ");
	close(refused);
	for (int i = ACTIONS_PER_GROUP + 1; i < ACTIONS_WAITING; i++)
		fds[count++] = ask(f, 0, "a");
	refused = ask(f, 0, "a");
	raw_expect(&f->place, refused, "HTTP/1.1 429 ");
	close(refused);
	assert_int_equal(begun, ACTIONS_RUNNING);
	for (size_t i = 0; i < begun; i++)
		finish(i);
	assert_int_equal(begun, count);
	for (int i = 0; i < count; i++) {
		raw_expect(&f->place, fds[i], "HTTP/1.1 200 ");
		close(fds[i]);
	}
}

/* Who has gone waits no more, and makes room. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	int first = ask(f, 0, "a"), last;

	for (int i = 0; i < 3 * ACTIONS_WAITING; i++)
		close(ask(f, 0, "gone"));
	turn(f);
	last = ask(f, 0, "last");
	finish(0);
	assert_int_equal(begun, 2);
	assert_string_equal(rpc_text(at_work[1], "prompt"), "last");
	finish(1);
	raw_expect(&f->place, first, "\r\n\r\n0\n");
	raw_expect(&f->place, last, "\r\n\r\n1\n");
	close(first);
	close(last);
}

/* After the end nothing begins, and what is answered then harms nobody. */
static void test_end(void **state)
{
	struct fixture *f = *state;
	int first = ask(f, 0, "a"), second = ask(f, 0, "b"), other = ask(f, 1, "c");

	actions_close(f->actions);
	finish(0);
	assert_int_equal(begun, 2);
	http_server_free(f->place.server);
	f->place.server = NULL;
	actions_free(f->actions);
	f->actions = NULL;
	finish(1);
	assert_int_equal(begun, 2);
	close(first);
	close(second);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
