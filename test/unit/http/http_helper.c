/* Clients for tests of what answers HTTP. */
#include "http/http_helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "util/bytes.h"
#include "util/file.h"

/* The system chooses one, and it is closed again. */
uint16_t helper_free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

void place_restart(struct place *place, size_t connections, unsigned timeout)
{
	static const char *const loopback[] = { "127.0.0.1" };
	const struct http_server_config config = {
		.binds = loopback,
		.bind_count = 1,
		.port = place->port,
		.cookie_path = place->is_open ? NULL : place->cookie,
		.is_open = place->is_open,
		.connections = connections,
		.timeout = timeout,
		.name = "RPC",
		.endpoints = &place->endpoint,
		.endpoint_count = 1,
		.only = place->only,
	};

	http_server_free(place->server);
	place->server = http_server_new(place->base, &config, NULL);
	assert_non_null(place->server);
}

void place_open(struct place *place)
{
	place->folder = scratch_new();
	place->cookie = path_join(place->folder, ".cookie");
	place->port = helper_free_port();
	place_restart(place, 0, 0);
}

void place_close(struct place *place)
{
	http_server_free(place->server);
	event_base_free(place->base);
	free(place->cookie);
	scratch_remove(place->folder);
}

char *place_cookie(const struct place *place)
{
	struct buf b;

	buf_init(&b);
	assert_true(file_read(place->cookie, 1000, &b, NULL));
	return buf_take_text(&b);
}

void place_authorization(const struct place *place, char out[200])
{
	char *cookie = place_cookie(place);

	strcpy(out, "Authorization: Basic ");
	base64_encode(out + strlen(out), (const uint8_t *)cookie, strlen(cookie));
	strcat(out, "\r\n");
	free(cookie);
}

static void *caller_run(void *arg)
{
	struct caller *c = arg;

	c->result = client_call(&c->target, c->body, strlen(c->body), &c->status, &c->out, &c->err);
	assert_int_equal(write(c->wake[1], "x", 1), 1);
	return NULL;
}

void caller_start(struct caller *c, const struct place *place, const char *credentials, const char *path,
	const char *body)
{
	memset(c, 0, sizeof *c);
	c->target = (struct client_target){
		.host = "127.0.0.1",
		.port = place->port,
		.credentials = credentials,
		.path = path,
		.type = "text/plain",
		.timeout = 60,
	};
	c->base = place->base;
	c->body = body;
	assert_int_equal(pipe(c->wake), 0);
	assert_int_equal(pthread_create(&c->thread, NULL, caller_run, c), 0);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void run_until_readable(struct event_base *base, int fd)
{
	struct event *wake = event_new(base, fd, EV_READ, on_wake, base);

	event_add(wake, NULL);
	event_base_dispatch(base);
	event_free(wake);
}

char *caller_join(struct caller *c)
{
	pthread_join(c->thread, NULL);
	close(c->wake[0]);
	close(c->wake[1]);
	return buf_take_text(&c->out);
}

char *caller_finish(struct caller *c)
{
	run_until_readable(c->base, c->wake[0]);
	return caller_join(c);
}

void caller_check(const struct place *place, const char *credentials, const char *path, const char *body, int status,
	const char *answer)
{
	struct caller c;
	char *text;

	caller_start(&c, place, credentials, path, body);
	text = caller_finish(&c);
	assert_int_equal(c.status, status);
	if (answer != NULL)
		assert_string_equal(text, answer);
	free(text);
}

int raw_connect(const struct place *place, const char *text)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(place->port),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	raw_send(fd, text);
	return fd;
}

void raw_send(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

void raw_check(const struct place *place, const char *text, const char *status)
{
	char answer[64];
	int fd = raw_connect(place, text);

	run_until_readable(place->base, fd);
	assert_true(read(fd, answer, sizeof answer) > 12);
	assert_memory_equal(answer + 9, status, 3);
	close(fd);
}

void raw_expect(const struct place *place, int fd, const char *text)
{
	char found[4096] = "";
	size_t size = 0;
	bool closed = false;

	for (int turn = 0; turn < 60000 && !closed && !(text != NULL && strstr(found, text) != NULL); turn++) {
		ssize_t more;

		event_base_loop(place->base, EVLOOP_NONBLOCK);
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
