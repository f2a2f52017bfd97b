/* JSON-RPC over HTTP on loopback: who may, addresses, statuses, clients that hang up or say nothing, shutting down in
 * the middle. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "http/client.h"
#include "rpc/server.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/file.h"

static struct rpc_request *waiting;
static struct event_base *base;

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
	(void)context;
	waiting = r;
	event_base_loopbreak(base);
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

/* A free port: the system chooses one, and it is closed again. */
static uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

struct fixture {
	char *folder, *cookie;
	uint16_t port;
	struct rpc_table *table;
	struct rpc_server *server;
};

static const char *const loopback[] = { "127.0.0.1" };

static struct rpc_server *start_server(const struct fixture *f, size_t connections, unsigned timeout)
{
	const struct rpc_server_config config = {
		.binds = loopback,
		.bind_count = 1,
		.port = f->port,
		.cookie_path = f->cookie,
		.connections = connections,
		.timeout = timeout,
	};
	struct rpc_server *server = rpc_server_new(base, f->table, &config, NULL);

	assert_non_null(server);
	return server;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	base = event_base_new();
	f->folder = scratch_new();
	f->cookie = path_join(f->folder, ".cookie");
	f->port = free_port();
	f->table = rpc_table_new();
	rpc_table_add(f->table, methods, sizeof methods / sizeof methods[0], base);
	f->server = start_server(f, 0, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rpc_server_free(f->server);
	rpc_table_free(f->table);
	event_base_free(base);
	free(f->cookie);
	scratch_remove(f->folder);
	free(f);
	return 0;
}

/* A client on a thread of its own, while the test's thread runs the loop. */
struct client {
	struct client_target target;
	const char *body;
	pthread_t thread;
	enum client_result result;
	int status;
	struct buf out;
	struct errmsg err;
	int wake[2]; /* a byte is written when the call is over */
};

static void *client_run(void *arg)
{
	struct client *c = arg;

	c->result = client_call(&c->target, c->body, strlen(c->body), &c->status, &c->out, &c->err);
	assert_int_equal(write(c->wake[1], "x", 1), 1);
	return NULL;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static char *read_cookie(const struct fixture *f)
{
	struct buf b;

	buf_init(&b);
	assert_true(file_read(f->cookie, 1000, &b, NULL));
	return buf_take_text(&b);
}

static void client_start(struct client *c, const struct fixture *f, const char *credentials, const char *wallet,
	const char *body)
{
	memset(c, 0, sizeof *c);
	c->target = (struct client_target){ "127.0.0.1", f->port, credentials, wallet, 60 };
	c->body = body;
	assert_int_equal(pipe(c->wake), 0);
	assert_int_equal(pthread_create(&c->thread, NULL, client_run, c), 0);
}

/* Runs the loop until the client has its answer; the answer as text, the caller's. */
static char *client_finish(struct client *c)
{
	struct event *wake = event_new(base, c->wake[0], EV_READ, on_wake, base);

	event_add(wake, NULL);
	event_base_dispatch(base);
	event_free(wake);
	pthread_join(c->thread, NULL);
	close(c->wake[0]);
	close(c->wake[1]);
	return buf_take_text(&c->out);
}

static void check(const struct fixture *f, const char *credentials, const char *wallet, const char *body, int status,
	const char *answer)
{
	struct client c;
	char *text;

	client_start(&c, f, credentials, wallet, body);
	text = client_finish(&c);
	assert_int_equal(c.status, status);
	if (answer != NULL)
		assert_string_equal(text, answer);
	free(text);
}

static void test_call(void **state)
{
	struct fixture *f = *state;
	char *cookie = read_cookie(f);

	check(f, cookie, NULL, "{\"method\":\"echo\",\"params\":[1.50],\"id\":1}", 200,
		"{\"result\":{\"value\":1.50,\"wallet\":null},\"error\":null,\"id\":1}\n");
	check(f, cookie, "my w/\xc3\xa4", "{\"method\":\"echo\",\"id\":1}", 200,
		"{\"result\":{\"value\":null,\"wallet\":\"my w/\xc3\xa4\"},\"error\":null,\"id\":1}\n");
	check(f, cookie, NULL, "{\"method\":\"unknown\",\"id\":1}", 404, NULL);
	check(f, cookie, NULL, "{", 500, NULL);
	check(f, cookie, NULL, "", 500, NULL);
	check(f, cookie, NULL, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}", 204, "");
	free(cookie);
}

static void test_cookie(void **state)
{
	struct fixture *f = *state;
	char *cookie = read_cookie(f);
	struct stat info;

	assert_int_equal(stat(f->cookie, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_memory_equal(cookie, "__cookie__:", 11);
	assert_int_equal(strlen(cookie), 11 + 64);
	cookie[20] ^= 1;
	check(f, cookie, NULL, "{\"method\":\"echo\"}", 401, NULL);
	check(f, "", NULL, "{\"method\":\"echo\"}", 401, NULL);
	free(cookie);

	rpc_server_free(f->server);
	f->server = NULL;
	assert_false(file_exists(f->cookie));
}

static void test_password(void **state)
{
	struct fixture *f = *state;
	char own[32];
	const char *const bound[] = { own };
	struct rpc_server_config config = {
		.binds = bound,
		.bind_count = 1,
		.port = 1,
		.user = "me",
		.password = "se:cret",
		.cookie_path = f->cookie,
	};
	struct errmsg err;

	rpc_server_free(f->server);
	snprintf(own, sizeof own, "127.0.0.1:%u", f->port);
	f->server = rpc_server_new(base, f->table, &config, NULL);
	assert_non_null(f->server);
	assert_false(file_exists(f->cookie));
	check(f, "me:se:cret", NULL, "{\"method\":\"echo\"}", 200, NULL);
	check(f, "me:se:creT", NULL, "{\"method\":\"echo\"}", 401, NULL);

	config = (struct rpc_server_config){ .binds = loopback,
		.bind_count = 1,
		.port = f->port,
		.cookie_path = f->cookie };
	assert_null(rpc_server_new(base, f->table, &config, &err));
	assert_non_null(strstr(err.text, "cannot be bound"));
	config.binds = (const char *const[]){ "nonsense" };
	assert_null(rpc_server_new(base, f->table, &config, &err));
	assert_non_null(strstr(err.text, "nonsense"));
}

/* Raw HTTP: what no client of ours sends. */
static int raw_connect(const struct fixture *f, const char *text)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(f->port),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void raw_check(const struct fixture *f, const char *text, const char *status)
{
	struct event *wake;
	char answer[64];
	int fd = raw_connect(f, text);

	wake = event_new(base, fd, EV_READ, on_wake, base);
	event_add(wake, NULL);
	event_base_dispatch(base);
	event_free(wake);
	assert_true(read(fd, answer, sizeof answer) > 12);
	assert_memory_equal(answer + 9, status, 3);
	close(fd);
}

/* What comes back until a text is there, or (NULL) until the server closes; the loop runs meanwhile. */
static void raw_expect(int fd, const char *text)
{
	char found[4096] = "";
	size_t size = 0;
	bool closed = false;

	for (int turn = 0; turn < 60000 && !closed && !(text != NULL && strstr(found, text) != NULL); turn++) {
		ssize_t more;

		event_base_loop(base, EVLOOP_NONBLOCK);
		more = recv(fd, found + size, sizeof found - 1 - size, MSG_DONTWAIT);
		closed = more == 0 || (more < 0 && errno != EAGAIN);
		size += more > 0 ? (size_t)more : 0;
		found[size] = 0;
		if (more < 0)
			usleep(1000);
	}
	if (text != NULL ? strstr(found, text) == NULL : !closed)
		fail_msg("expected %s, found: %s", text ? text : "the end", found);
}

static void authorization(const struct fixture *f, char out[200])
{
	char *cookie = read_cookie(f);

	strcpy(out, "Authorization: Basic ");
	base64_encode(out + strlen(out), (const uint8_t *)cookie, strlen(cookie));
	strcat(out, "\r\n");
	free(cookie);
}

static void test_raw(void **state)
{
	struct fixture *f = *state;
	char header[200], text[400];

	authorization(f, header);
	raw_check(f, "GET / HTTP/1.1\r\n\r\n", "405");
	raw_check(f, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "401");
	snprintf(text, sizeof text, "POST /x HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n{}", header);
	raw_check(f, text, "404");
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n{}", header);
	raw_check(f, text, "400");
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 99999999\r\n\r\n{}", header);
	raw_check(f, text, "413");
}

static void raw_send(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_keep_alive(void **state)
{
	static const char body[] = "{\"method\":\"echo\",\"id\":7}";
	struct fixture *f = *state;
	char header[200], one[400], text[900];
	int fd;

	authorization(f, header);
	snprintf(one, sizeof one, "POST / HTTP/1.1\r\n%sContent-Length: %zu\r\n\r\n%s", header, strlen(body), body);
	fd = raw_connect(f, one);
	raw_expect(fd, "\"id\":7}\n");
	/* Two at once; the end of the client's sending does not cost it the answers. */
	snprintf(text, sizeof text, "%s%s", one, one);
	raw_send(fd, text);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	raw_expect(fd, "\"id\":7}\nHTTP/1.1 200");
	close(fd);
	snprintf(text, sizeof text, "POST / HTTP/1.0\n%sContent-Length: 2\n\n{}", header);
	fd = raw_connect(f, text);
	raw_expect(fd, "Connection: close");
	raw_expect(fd, NULL);
	close(fd);
}

/* The body of somebody unknown is not read, however much there may be; who asks first may send his. */
static void test_body(void **state)
{
	struct fixture *f = *state;
	char header[200], text[400];
	int fd = raw_connect(f, "POST / HTTP/1.1\r\nContent-Length: 33000000\r\n\r\n");

	raw_expect(fd, "HTTP/1.1 401");
	close(fd);
	authorization(f, header);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", header);
	fd = raw_connect(f, text);
	raw_expect(fd, "HTTP/1.1 100");
	raw_send(fd, "{}");
	raw_expect(fd, "HTTP/1.1 400");
	close(fd);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n", header);
	raw_check(f, text, "411");
}

/* Silent connections are closed for those that come, the oldest first, and the operator always gets in. */
static void test_strangers(void **state)
{
	enum { PLACES = 4, STRANGERS = 20 };
	struct fixture *f = *state;
	char *cookie;
	int fds[STRANGERS];

	rpc_server_free(f->server);
	f->server = start_server(f, PLACES, 0);
	cookie = read_cookie(f);
	for (int i = 0; i < STRANGERS; i++)
		fds[i] = raw_connect(f, i % 2 ? "" : "POST / HT");
	check(f, cookie, NULL, "{\"method\":\"echo\"}", 200, NULL);
	for (int i = 0; i < STRANGERS - PLACES; i++)
		raw_expect(fds[i], NULL);
	check(f, cookie, NULL, "{\"method\":\"echo\"}", 200, NULL);
	for (int i = 0; i < STRANGERS; i++)
		close(fds[i]);
	free(cookie);
}

/* Where all places are taken by clients that wait for answers, the next waits until one has his. */
static void test_full_of_work(void **state)
{
	struct fixture *f = *state;
	struct client first, second;
	char *cookie, *text;

	rpc_server_free(f->server);
	f->server = start_server(f, 1, 0);
	cookie = read_cookie(f);
	client_start(&first, f, cookie, NULL, "{\"method\":\"later\",\"id\":1}");
	event_base_dispatch(base);
	client_start(&second, f, cookie, NULL, "{\"method\":\"echo\",\"id\":2}");
	for (int i = 0; i < 20; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	rpc_reply(waiting, json_integer(5));
	text = client_finish(&first);
	assert_string_equal(text, "{\"result\":5,\"error\":null,\"id\":1}\n");
	free(text);
	text = client_finish(&second);
	assert_int_equal(second.status, 200);
	free(text);
	free(cookie);
}

/* Whoever does not come to the point is hung up on, even if a byte comes now and then. */
static void test_timeout(void **state)
{
	struct fixture *f = *state;
	char *cookie, *text;
	struct client c;
	int fd, slow;
	char byte;

	rpc_server_free(f->server);
	f->server = start_server(f, 0, 1);
	fd = raw_connect(f, "POST / HTTP/1.1\r\nx: ");
	slow = raw_connect(f, "");
	for (int turn = 0; turn < 600 && recv(slow, &byte, 1, MSG_DONTWAIT) != 0; turn++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		send(slow, "x", 1, MSG_NOSIGNAL);
		usleep(100000);
	}
	raw_expect(slow, NULL);
	raw_expect(fd, NULL);
	close(fd);
	close(slow);
	/* Work may take longer. */
	cookie = read_cookie(f);
	client_start(&c, f, cookie, NULL, "{\"method\":\"later\",\"id\":1}");
	event_base_dispatch(base);
	for (int i = 0; i < 15; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(100000);
	}
	rpc_reply(waiting, json_integer(5));
	text = client_finish(&c);
	assert_int_equal(c.status, 200);
	free(text);
	free(cookie);
}

static void test_later(void **state)
{
	struct fixture *f = *state;
	char *cookie = read_cookie(f), *text;
	struct client c;

	client_start(&c, f, cookie, NULL, "{\"method\":\"later\",\"id\":1}");
	event_base_dispatch(base);
	check(f, cookie, NULL, "{\"method\":\"echo\"}", 200, NULL);
	rpc_reply(waiting, json_integer(5));
	text = client_finish(&c);
	assert_string_equal(text, "{\"result\":5,\"error\":null,\"id\":1}\n");
	free(text);
	free(cookie);
}

static void test_hang_up(void **state)
{
	struct fixture *f = *state;
	char header[200], text[400], *cookie = read_cookie(f);
	int fd;

	authorization(f, header);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 18\r\n\r\n{\"method\":\"later\"}", header);
	/* The connection is gone, and the loop has seen that or not, when the answer comes. */
	fd = raw_connect(f, text);
	event_base_dispatch(base);
	close(fd);
	rpc_reply(waiting, json_string("nobody"));
	check(f, cookie, NULL, "{\"method\":\"echo\"}", 200, NULL);
	fd = raw_connect(f, text);
	event_base_dispatch(base);
	close(fd);
	check(f, cookie, NULL, "{\"method\":\"echo\"}", 200, NULL);
	rpc_reply(waiting, json_string("nobody"));
	check(f, cookie, NULL, "{\"method\":\"echo\"}", 200, NULL);
	free(cookie);
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	char *cookie = read_cookie(f);
	struct client c;

	client_start(&c, f, cookie, NULL, "{\"method\":\"stop\",\"id\":1}");
	event_base_dispatch(base);
	rpc_server_free(f->server);
	f->server = NULL;
	pthread_join(c.thread, NULL);
	close(c.wake[0]);
	close(c.wake[1]);
	assert_int_equal(c.status, 200);
	assert_memory_equal(c.out.data, "{\"result\":\"stopping\"", 20);
	buf_clear(&c.out);
	free(cookie);
}

/* After the loop's end an answer still reaches who waits for it. */
static void test_answer_while_closing(void **state)
{
	struct fixture *f = *state;
	char *cookie = read_cookie(f);
	struct client c;

	client_start(&c, f, cookie, NULL, "{\"method\":\"later\",\"id\":1}");
	event_base_dispatch(base);
	rpc_server_close(f->server);
	rpc_reply(waiting, json_string("just in time"));
	pthread_join(c.thread, NULL);
	close(c.wake[0]);
	close(c.wake[1]);
	assert_int_equal(c.status, 200);
	assert_memory_equal(c.out.data, "{\"result\":\"just in time\"", 24);
	buf_clear(&c.out);
	free(cookie);
}

static void test_free_while_waiting(void **state)
{
	struct fixture *f = *state;
	char *cookie = read_cookie(f);
	struct client c;

	client_start(&c, f, cookie, NULL, "{\"method\":\"later\",\"id\":1}");
	event_base_dispatch(base);
	rpc_server_free(f->server);
	f->server = NULL;
	/* The answer goes nowhere, and harms nobody. */
	rpc_reply(waiting, json_string("late"));
	pthread_join(c.thread, NULL);
	close(c.wake[0]);
	close(c.wake[1]);
	assert_int_not_equal(c.status, 200);
	buf_clear(&c.out);
	free(cookie);
}

static void test_unreachable(void **state)
{
	struct client_target target = { "127.0.0.1", free_port(), "a:b", NULL, 60 };
	struct errmsg err;
	struct buf out;
	int status;

	(void)state;
	buf_init(&out);
	assert_int_equal(client_call(&target, "{}", 2, &status, &out, &err), CLIENT_UNREACHABLE);
	assert_int_equal(status, 0);
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cookie, setup, teardown),
		cmocka_unit_test_setup_teardown(test_password, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_of_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer_while_closing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_waiting, setup, teardown),
		cmocka_unit_test(test_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
