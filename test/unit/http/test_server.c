/* The HTTP server on loopback: who may, methods and paths, sizes, clients that hang up or say nothing, answers that
 * come late, shutting down in the middle. Its endpoint tells what it was asked. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "http/far_helper.h"
#include "http/http_helper.h"
#include "util/file.h"

static struct http_exchange *waiting;

static void end_loop(void *context)
{
	event_base_loopbreak(context);
}

static void answer_text(struct http_exchange *exchange, const char *text, void (*sent)(void *), void *context)
{
	struct http_answer answer = { .status = 200, .type = "text/plain", .sent = sent, .sent_context = context };

	buf_put_text(&answer.body, text);
	http_server_answer(exchange, &answer);
}

static bool has_path(const char *path)
{
	return strcmp(path, "/") == 0 || strncmp(path, "/a", 2) == 0;
}

/* More than systems hold of what nobody reads. */
static void answer_much(struct http_exchange *exchange)
{
	struct http_answer answer = { .status = 200, .type = "text/plain" };

	memset(buf_extend(&answer.body, 32 << 20), 'x', 32 << 20);
	http_server_answer(exchange, &answer);
}

/* "later" is answered by the test; "stop" ends the loop when the answer has left; all else is told again. */
static void handle(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	char text[200];

	snprintf(text, sizeof text, "%s %.*s", request->path, (int)request->size,
		request->size != 0 ? request->body : "");
	if (strcmp(text, "/ later") == 0) {
		waiting = exchange;
		event_base_loopbreak(context);
	} else if (strcmp(text, "/ much") == 0) {
		answer_much(exchange);
	} else if (strcmp(text, "/ nothing") == 0) {
		http_server_answer(exchange, &(struct http_answer){ .status = 204 });
	} else {
		answer_text(exchange, text, strcmp(text, "/ stop") == 0 ? end_loop : NULL, context);
	}
}

static int setup(void **state)
{
	struct place *f = calloc(1, sizeof *f);

	f->base = event_base_new();
	f->endpoint = (struct http_endpoint){
		.method = "POST",
		.has_path = has_path,
		.body_max = 100,
		.handle = handle,
		.context = f->base,
	};
	f->only = "POST only\n";
	place_open(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	place_close(*state);
	free(*state);
	return 0;
}

static void test_call(void **state)
{
	struct place *f = *state;
	char *cookie = place_cookie(f);

	caller_check(f, cookie, "/", "body", 200, "/ body");
	caller_check(f, cookie, "/a%20b?x=y", "", 200, "/a%20b ");
	caller_check(f, cookie, "/ab/c", "body", 200, "/ab/c body");
	caller_check(f, cookie, "/b", "body", 404, "Not found\n");
	caller_check(f, cookie, "/", "nothing", 204, "");
	free(cookie);
}

static void test_cookie(void **state)
{
	struct place *f = *state;
	char *cookie = place_cookie(f);
	struct stat info;

	assert_int_equal(stat(f->cookie, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_memory_equal(cookie, "__cookie__:", 11);
	assert_int_equal(strlen(cookie), 11 + 64);
	cookie[20] ^= 1;
	caller_check(f, cookie, "/", "body", 401, NULL);
	caller_check(f, "", "/", "body", 401, NULL);
	free(cookie);

	http_server_free(f->server);
	f->server = NULL;
	assert_false(file_exists(f->cookie));
}

static void test_password(void **state)
{
	struct place *f = *state;
	char own[32];
	const char *const bound[] = { own };
	struct http_server_config config = {
		.binds = bound,
		.bind_count = 1,
		.port = 1,
		.user = "me",
		.password = "se:cret",
		.cookie_path = f->cookie,
		.name = "RPC",
		.endpoints = &f->endpoint,
		.endpoint_count = 1,
	};
	struct errmsg err;

	http_server_free(f->server);
	snprintf(own, sizeof own, "127.0.0.1:%u", f->port);
	f->server = http_server_new(f->base, &config, NULL);
	assert_non_null(f->server);
	assert_false(file_exists(f->cookie));
	caller_check(f, "me:se:cret", "/", "body", 200, NULL);
	caller_check(f, "me:se:creT", "/", "body", 401, NULL);

	/* The port is taken, and the cookie of who took it is not touched. */
	config.password = NULL;
	assert_null(http_server_new(f->base, &config, &err));
	assert_non_null(strstr(err.text, "cannot be bound"));
	assert_false(file_exists(f->cookie));
	config.binds = (const char *const[]){ "nonsense" };
	assert_null(http_server_new(f->base, &config, &err));
	assert_non_null(strstr(err.text, "nonsense"));
}

static void test_raw(void **state)
{
	struct place *f = *state;
	char header[200], text[400];
	int fd = raw_connect(f, "GET / HTTP/1.1\r\n\r\n");

	raw_expect(f, fd, "HTTP/1.1 405 Method Not Allowed\r\n");
	close(fd);
	fd = raw_connect(f, "GET / HTTP/1.1\r\n\r\n");
	raw_expect(f, fd,
		"\r\nConnection: close\r\nContent-Type: text/plain\r\nAllow: POST\r\nContent-Length: 10\r\n\r\n"
		"POST only\n");
	close(fd);
	place_authorization(f, header);
	raw_check(f, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "401");
	snprintf(text, sizeof text, "POST /x HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n{}", header);
	raw_check(f, text, "404");
	snprintf(text, sizeof text, "POST http://h/a?b HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n{}", header);
	raw_check(f, text, "200");
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 101\r\n\r\n{}", header);
	raw_check(f, text, "413");
}

static void test_keep_alive(void **state)
{
	struct place *f = *state;
	char header[200], one[400], text[900];
	int fd;

	place_authorization(f, header);
	snprintf(one, sizeof one, "POST / HTTP/1.1\r\n%sContent-Length: 4\r\n\r\nbody", header);
	fd = raw_connect(f, one);
	raw_expect(f, fd, "/ body");
	/* Two at once; the end of the client's sending does not cost it the answers. */
	snprintf(text, sizeof text, "%s%s", one, one);
	raw_send(fd, text);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	raw_expect(f, fd, "/ bodyHTTP/1.1 200");
	close(fd);
	snprintf(text, sizeof text, "POST / HTTP/1.0\n%sContent-Length: 2\n\n{}", header);
	fd = raw_connect(f, text);
	raw_expect(f, fd, "Connection: close");
	raw_expect(f, fd, NULL);
	close(fd);
}

/* Who closes his side while his answer is on its way is not waited for, whatever part of a request may be behind it. */
static void test_half_closed(void **state)
{
	struct place *f = *state;
	static char piece[1 << 16];
	char header[200], text[900];

	place_restart(f, 0, 3600);
	place_authorization(f, header);
	for (int part = 0; part < 3; part++) {
		ssize_t more = 1;
		int fd;

		snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 4\r\n\r\nmuch%s%s%s", header,
			part > 0 ? "POST / HTTP/1.1\r\n" : "", part > 1 ? header : "",
			part > 1 ? "Content-Length: 4\r\n\r\nbo" : "");
		fd = raw_connect(f, text);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		for (int turn = 0; turn < 60000 && more != 0; turn++) {
			event_base_loop(f->base, EVLOOP_NONBLOCK);
			more = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
			if (more < 0)
				usleep(1000);
		}
		assert_int_equal(more, 0);
		close(fd);
	}
}

/* The body of somebody unknown is not read, however much there may be; who asks first may send his. */
static void test_body(void **state)
{
	struct place *f = *state;
	char header[200], text[400];
	int fd = raw_connect(f, "POST / HTTP/1.1\r\nContent-Length: 33000000\r\n\r\n");

	raw_expect(f, fd, "HTTP/1.1 401");
	close(fd);
	place_authorization(f, header);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", header);
	fd = raw_connect(f, text);
	raw_expect(f, fd, "HTTP/1.1 100");
	raw_send(fd, "{}");
	raw_expect(f, fd, "HTTP/1.1 200");
	close(fd);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n", header);
	raw_check(f, text, "411");
}

/* Silent connections are closed for those that come, the oldest first, and the operator always gets in. */
static void test_strangers(void **state)
{
	enum { PLACES = 4, STRANGERS = 20 };
	struct place *f = *state;
	char *cookie;
	int fds[STRANGERS];

	place_restart(f, PLACES, 0);
	cookie = place_cookie(f);
	for (int i = 0; i < STRANGERS; i++)
		fds[i] = raw_connect(f, i % 2 ? "" : "POST / HT");
	caller_check(f, cookie, "/", "body", 200, NULL);
	for (int i = 0; i < STRANGERS - PLACES; i++)
		raw_expect(f, fds[i], NULL);
	caller_check(f, cookie, "/", "body", 200, NULL);
	for (int i = 0; i < STRANGERS; i++)
		close(fds[i]);
	free(cookie);
}

/* Where all places are taken by clients that wait for answers, the next waits until one has his. */
static void test_full_of_work(void **state)
{
	struct place *f = *state;
	struct caller first, second;
	char *cookie, *text;

	place_restart(f, 1, 0);
	cookie = place_cookie(f);
	caller_start(&first, f, cookie, "/", "later");
	event_base_dispatch(f->base);
	caller_start(&second, f, cookie, "/", "body");
	for (int i = 0; i < 20; i++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	answer_text(waiting, "now", NULL, NULL);
	text = caller_finish(&first);
	assert_string_equal(text, "now");
	free(text);
	text = caller_finish(&second);
	assert_int_equal(second.status, 200);
	free(text);
	free(cookie);
}

/* Whoever does not come to the point is hung up on, even if a byte comes now and then. */
static void test_timeout(void **state)
{
	struct place *f = *state;
	char *cookie, *text;
	struct caller c;
	int fd, slow;
	char byte;

	place_restart(f, 0, 1);
	fd = raw_connect(f, "POST / HTTP/1.1\r\nx: ");
	slow = raw_connect(f, "");
	for (int turn = 0; turn < 600 && recv(slow, &byte, 1, MSG_DONTWAIT) != 0; turn++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		send(slow, "x", 1, MSG_NOSIGNAL);
		usleep(100000);
	}
	raw_expect(f, slow, NULL);
	raw_expect(f, fd, NULL);
	close(fd);
	close(slow);
	/* Work may take longer. */
	cookie = place_cookie(f);
	caller_start(&c, f, cookie, "/", "later");
	event_base_dispatch(f->base);
	for (int i = 0; i < 15; i++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(100000);
	}
	answer_text(waiting, "now", NULL, NULL);
	text = caller_finish(&c);
	assert_int_equal(c.status, 200);
	free(text);
	free(cookie);
}

static void test_later(void **state)
{
	struct place *f = *state;
	char *cookie = place_cookie(f), *text;
	struct caller c;

	caller_start(&c, f, cookie, "/", "later");
	event_base_dispatch(f->base);
	caller_check(f, cookie, "/", "body", 200, NULL);
	answer_text(waiting, "now", NULL, NULL);
	text = caller_finish(&c);
	assert_string_equal(text, "now");
	free(text);
	free(cookie);
}

static void test_hang_up(void **state)
{
	struct place *f = *state;
	char header[200], text[400], *cookie = place_cookie(f);
	int fd;

	place_authorization(f, header);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 5\r\n\r\nlater", header);
	/* The connection is gone, and the loop has seen that or not, when the answer comes. */
	fd = raw_connect(f, text);
	event_base_dispatch(f->base);
	close(fd);
	answer_text(waiting, "nobody", NULL, NULL);
	caller_check(f, cookie, "/", "body", 200, NULL);
	fd = raw_connect(f, text);
	event_base_dispatch(f->base);
	close(fd);
	caller_check(f, cookie, "/", "body", 200, NULL);
	answer_text(waiting, "nobody", NULL, NULL);
	caller_check(f, cookie, "/", "body", 200, NULL);
	free(cookie);
}

static void test_stop(void **state)
{
	struct place *f = *state;
	char *cookie = place_cookie(f), *text;
	struct caller c;

	caller_start(&c, f, cookie, "/", "stop");
	event_base_dispatch(f->base);
	http_server_free(f->server);
	f->server = NULL;
	text = caller_join(&c);
	assert_int_equal(c.status, 200);
	assert_string_equal(text, "/ stop");
	free(text);
	free(cookie);
}

/* After the loop's end an answer still reaches who waits for it. */
static void test_answer_while_closing(void **state)
{
	struct place *f = *state;
	char *cookie = place_cookie(f), *text;
	struct caller c;

	caller_start(&c, f, cookie, "/", "later");
	event_base_dispatch(f->base);
	http_server_close(f->server);
	answer_text(waiting, "just in time", NULL, NULL);
	text = caller_join(&c);
	assert_int_equal(c.status, 200);
	assert_string_equal(text, "just in time");
	free(text);
	free(cookie);
}

/* Sends a request that is answered later, and turns the loop until it is the handler's. */
static int ask_for_later(struct place *f, const char *version, struct http_exchange **exchange)
{
	char header[200], text[400];
	int fd;

	place_authorization(f, header);
	snprintf(text, sizeof text, "POST / HTTP/%s\r\n%sContent-Length: 5\r\n\r\nlater", version, header);
	fd = raw_connect(f, text);
	event_base_dispatch(f->base);
	*exchange = waiting;
	return fd;
}

static const struct http_answer stream_head = { .status = 200, .type = "text/x", .fields = "X: y\r\n" };

/* An answer in pieces: in chunks, and the connection goes on; or up to its end, for who knows no chunks. */
static void test_stream(void **state)
{
	struct place *f = *state;
	struct http_exchange *exchange;
	char header[200], text[400];
	int fd = ask_for_later(f, "1.1", &exchange);

	assert_false(http_server_push(exchange, "early", 5));
	assert_true(http_server_begin(exchange, &stream_head));
	raw_expect(f, fd,
		"Connection: keep-alive\r\nContent-Type: text/x\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_true(http_server_push(exchange, "first", 5) && http_server_push(exchange, "", 0));
	raw_expect(f, fd, "5\r\nfirst\r\n");
	assert_true(http_server_is_heard(exchange));
	assert_true(http_server_push(exchange, "0123456789abcdef", 16));
	http_server_end(exchange);
	raw_expect(f, fd, "10\r\n0123456789abcdef\r\n0\r\n\r\n");
	place_authorization(f, header);
	snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%sContent-Length: 4\r\n\r\nbody", header);
	raw_send(fd, text);
	raw_expect(f, fd, "/ body");
	close(fd);

	fd = ask_for_later(f, "1.0", &exchange);
	assert_true(http_server_begin(exchange, &stream_head) && http_server_push(exchange, "piece", 5));
	raw_expect(f, fd, "X: y\r\n\r\npiece");
	http_server_end(exchange);
	raw_expect(f, fd, NULL);
	close(fd);
}

/* Who has gone is found out, and so is who does not read, of whom no more waits than may. */
static void test_stream_unheard(void **state)
{
	struct place *f = *state;
	struct http_exchange *exchange;
	static char piece[HTTP_STREAM_MAX / 4];
	size_t pushed = 0;
	int fd = ask_for_later(f, "1.1", &exchange);

	assert_true(http_server_begin(exchange, &stream_head));
	close(fd);
	for (int turn = 0; turn < 60000 && http_server_is_heard(exchange); turn++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_false(http_server_is_heard(exchange) || http_server_push(exchange, "x", 1));
	http_server_end(exchange);

	fd = ask_for_later(f, "1.1", &exchange);
	assert_true(http_server_begin(exchange, &stream_head));
	/* The system's own buffers take some megabytes first. */
	while (http_server_push(exchange, piece, sizeof piece)) {
		pushed += sizeof piece;
		assert_true(pushed < 64 << 20);
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
	assert_false(http_server_is_heard(exchange));
	http_server_end(exchange);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	close(fd);

	fd = ask_for_later(f, "1.1", &exchange);
	assert_true(http_server_begin(exchange, &stream_head));
	http_server_free(f->server);
	f->server = NULL;
	assert_false(http_server_push(exchange, "x", 1));
	http_server_end(exchange);
	raw_expect(f, fd, NULL);
	close(fd);
}

/* Several endpoints, whoever asks: by path and method, with whom the owner does not admit left out, and HEAD. */
static void answer_first(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	struct http_answer answer = { .status = 200, .type = "text/plain", .fields = "A: b\r\n" };

	(void)context;
	assert_true(request->from->is_local);
	buf_put_text(&answer.body, request->query);
	http_server_answer(exchange, &answer);
}

static bool is_b(const char *path)
{
	return strcmp(path, "/b") == 0;
}

static int admits(void *context, const struct http_request *request)
{
	(void)context;
	return strcmp(request->query, "no") == 0 ? 403 : 0;
}

static void handle_later(void *context, const struct http_request *request, struct http_exchange *exchange)
{
	(void)request;
	waiting = exchange;
	event_base_loopbreak(context);
}

/* Asks from a group, and waits in vain for an answer. */
static int ask_from(struct place *f, uint8_t group, struct http_exchange **exchange)
{
	int fd;

	far_group = group;
	fd = raw_connect(f, "GET /b HTTP/1.1\r\n\r\n");
	event_base_dispatch(f->base);
	*exchange = waiting;
	return fd;
}

/* Where everybody may ask, a group that is far away has so many places, and gives way to who is on this machine. */
static void test_far_groups(void **state)
{
	enum { PLACES = HTTP_PER_GROUP + 2 };
	static const char *const loopback[] = { "127.0.0.1" };
	struct place *f = *state;
	const struct http_endpoint endpoint = { "GET", is_b, 0, handle_later, f->base, false };
	const struct http_server_config config = {
		.name = "Test",
		.binds = loopback,
		.bind_count = 1,
		.port = f->port,
		.is_open = true,
		.connections = PLACES,
		.endpoints = &endpoint,
		.endpoint_count = 1,
	};
	struct http_exchange *exchanges[PLACES + 1], *waiting_more;
	int fds[PLACES + 1], one_more;

	http_server_free(f->server);
	f->server = http_server_new(f->base, &config, NULL);
	for (int i = 0; i < HTTP_PER_GROUP; i++)
		fds[i] = ask_from(f, 1, &exchanges[i]);
	one_more = raw_connect(f, "GET /b HTTP/1.1\r\n\r\n");
	raw_expect(f, one_more, NULL);
	close(one_more);
	/* One of theirs who has his answer makes room for another of theirs. */
	answer_text(exchanges[0], "now", NULL, NULL);
	raw_expect(f, fds[0], "now");
	one_more = ask_from(f, 1, &waiting_more);
	raw_expect(f, fds[0], NULL);
	close(fds[0]);
	fds[0] = one_more;
	exchanges[0] = waiting_more;
	/* Another group takes what is left; who is on this machine gets in still, and the first of the others goes. */
	for (int i = HTTP_PER_GROUP; i < PLACES; i++)
		fds[i] = ask_from(f, 2, &exchanges[i]);
	one_more = raw_connect(f, "GET /b HTTP/1.1\r\n\r\n");
	raw_expect(f, one_more, NULL);
	close(one_more);
	fds[PLACES] = ask_from(f, 0, &exchanges[PLACES]);
	raw_expect(f, fds[1], NULL);
	for (int i = 0; i <= PLACES; i++) {
		answer_text(exchanges[i], "now", NULL, NULL);
		if (i != 1)
			raw_expect(f, fds[i], "now");
		close(fds[i]);
	}
}

/* A server that asks nobody for credentials, with few places, in the place of the one that is there. */
static void open_for_all(struct place *f, size_t places, unsigned timeout)
{
	static const char *const loopback[] = { "127.0.0.1" };
	const struct http_server_config config = {
		.name = "Test",
		.binds = loopback,
		.bind_count = 1,
		.port = f->port,
		.is_open = true,
		.connections = places,
		.timeout = timeout,
		.endpoints = &f->endpoint,
		.endpoint_count = 1,
	};

	http_server_free(f->server);
	f->server = http_server_new(f->base, &config, NULL);
	assert_non_null(f->server);
}

/* Who has sent half a body gives way to who comes, the oldest request first, and may send the rest till then. */
static void test_half_bodies(void **state)
{
	enum { PLACES = 4 };
	static const char half[] = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo";
	struct place *f = *state;
	int fds[PLACES], others[2];

	open_for_all(f, PLACES, 0);
	fds[0] = raw_connect(f, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nfull");
	raw_expect(f, fds[0], "/ full");
	/* The oldest connection has the youngest request. */
	for (int i = 1; i < PLACES + 1; i++) {
		if (i < PLACES)
			fds[i] = raw_connect(f, half);
		else
			raw_send(fds[0], half);
		for (int turn = 0; turn < 20; turn++)
			event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
	for (int i = 0; i < 2; i++) {
		others[i] = raw_connect(f, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nnext");
		raw_expect(f, others[i], "/ next");
		raw_expect(f, fds[1], NULL);
	}
	for (int i = 2; i < PLACES + 1; i++) {
		raw_send(fds[i % PLACES], "dy");
		raw_expect(f, fds[i % PLACES], "/ body");
	}
	for (int i = 0; i < PLACES; i++)
		close(fds[i]);
	close(others[0]);
	close(others[1]);
}

/* A body that comes a byte now and then is hung up on, as a head is. */
static void test_slow_body(void **state)
{
	struct place *f = *state;
	int slow, sent = 0;
	char byte;

	open_for_all(f, 0, 1);
	slow = raw_connect(f, "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
	for (; sent < 99 && recv(slow, &byte, 1, MSG_DONTWAIT) != 0; sent++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		send(slow, "x", 1, MSG_NOSIGNAL);
		usleep(100000);
	}
	assert_true(sent < 99);
	close(slow);
}

static const char *put_refusal(const char *target, int status, const char *text, struct buf *body)
{
	char words[200];

	snprintf(words, sizeof words, "<%s %d %s>", target != NULL ? target : "?", status, text);
	buf_put_text(body, words);
	return "text/x";
}

/* Refusals are put as the owner wants, to who has said what he asks for. */
static void test_refusals(void **state)
{
	static const char *const loopback[] = { "127.0.0.1" };
	struct place *f = *state;
	const struct http_server_config config = {
		.name = "Test",
		.binds = loopback,
		.bind_count = 1,
		.port = f->port,
		.is_open = true,
		.endpoints = &f->endpoint,
		.endpoint_count = 1,
		.only = "not so\n",
		.put_refusal = put_refusal,
	};
	static const char *const asked[][2] = {
		{ "GET /b?c HTTP/1.1\r\n\r\n",
			"Type: text/x\r\nAllow: POST\r\nContent-Length: 18\r\n\r\n</b?c 405 not so\n>" },
		{ "POST /b HTTP/1.1\r\n\r\n", "</b 404 Not found\n>" },
		{ "POST / HTTP/1.1\r\nExpect: x\r\n\r\n", "</ 417 Bad request\n>" },
		{ "x\r\n\r\n", "<? 400 Bad request\n>" },
	};

	http_server_free(f->server);
	f->server = http_server_new(f->base, &config, NULL);
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		int fd = raw_connect(f, asked[i][0]);

		raw_expect(f, fd, asked[i][1]);
		close(fd);
	}
}

static void test_endpoints(void **state)
{
	static const char *const loopback[] = { "127.0.0.1" };
	struct place *f = *state;
	const struct http_endpoint endpoints[] = {
		f->endpoint,
		{ .method = "GET", .has_path = is_b, .handle = answer_first },
		{ .method = "POST", .has_path = is_b, .body_max = 1, .handle = answer_first },
	};
	const struct http_server_config config = {
		.name = "Test",
		.binds = loopback,
		.bind_count = 1,
		.port = f->port,
		.is_open = true,
		.fields = "All: of them\r\n",
		.admits = admits,
		.endpoints = endpoints,
		.endpoint_count = 3,
		.only = "not so\n",
	};
	int fd;

	http_server_free(f->server);
	f->server = http_server_new(f->base, &config, NULL);
	assert_non_null(f->server);
	assert_false(file_exists(f->cookie));
	fd = raw_connect(f, "GET /b?que%20ry HTTP/1.1\r\n\r\n");
	raw_expect(f, fd, "All: of them\r\nContent-Type: text/plain\r\nA: b\r\nContent-Length: 8\r\n\r\nque%20ry");
	raw_send(fd, "HEAD /b?query HTTP/1.1\r\n\r\nGET /b?next HTTP/1.1\r\n\r\n");
	raw_expect(f, fd, "Content-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n");
	close(fd);
	raw_check(f, "POST /b HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", "200");
	raw_check(f, "POST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nxx", "413");
	raw_check(f, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nxx", "200");
	raw_check(f, "GET /b?no HTTP/1.1\r\n\r\n", "403");
	raw_check(f, "GET /c HTTP/1.1\r\n\r\n", "404");
	raw_check(f, "HEAD /a HTTP/1.1\r\n\r\n", "405");
	raw_check(f, "DELETE /b HTTP/1.1\r\n\r\n", "405");
	fd = raw_connect(f, "GET / HTTP/1.1\r\n\r\n");
	raw_expect(f, fd, "Content-Type: text/plain\r\nAllow: POST\r\nContent-Length: 7\r\n\r\nnot so");
	close(fd);
	fd = raw_connect(f, "PUT / HTTP/1.1\r\n\r\n");
	raw_expect(f, fd, "All: of them\r\nContent-Type: text/plain\r\nAllow: POST, GET\r\n");
	close(fd);
}

static void test_free_while_waiting(void **state)
{
	struct place *f = *state;
	char *cookie = place_cookie(f), *text;
	struct caller c;

	caller_start(&c, f, cookie, "/", "later");
	event_base_dispatch(f->base);
	http_server_free(f->server);
	f->server = NULL;
	/* The answer goes nowhere, and harms nobody. */
	answer_text(waiting, "late", end_loop, f->base);
	text = caller_join(&c);
	assert_int_not_equal(c.status, 200);
	free(text);
	free(cookie);
}

static void test_unreachable(void **state)
{
	struct client_target target = { "127.0.0.1", helper_free_port(), "a:b", "/", "text/plain", 60 };
	struct errmsg err;
	struct buf out;
	int status;

	(void)state;
	buf_init(&out);
	assert_int_equal(client_call(&target, "{}", 2, &status, &out, &err), CLIENT_UNREACHABLE);
	assert_int_equal(status, 0);
	buf_clear(&out);
}

static void *no_memory(size_t size)
{
	(void)size;
	return NULL;
}

/* Where libevent has no memory for an event the process ends with a line, as it does for memory of its own. */
static void test_no_memory(void **state)
{
	struct place *f = *state;
	char words[256] = "";
	int told[2], status;
	pid_t child;

	assert_int_equal(pipe(told), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(told[1], STDERR_FILENO);
		event_set_mem_functions(no_memory, realloc, free);
		http_server_new(f->base,
			&(struct http_server_config){ .name = "RPC", .endpoints = &f->endpoint, .endpoint_count = 1 },
			NULL);
		_exit(0);
	}
	close(told[1]);
	assert_true(read(told[0], words, sizeof words - 1) > 0);
	close(told[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_memory_equal(words, "Out of memory", 13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cookie, setup, teardown),
		cmocka_unit_test_setup_teardown(test_password, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_half_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_of_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer_while_closing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_unheard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endpoints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_far_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_half_bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_waiting, setup, teardown),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
