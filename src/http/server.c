/* The server: connections in their places, requests read stage by stage, exchanges that wait for their answers.
 *
 * A connection goes round: HEAD -> BODY -> BUSY -> ANSWER -> HEAD, or out of it by END. One request at a time: what a
 * client sends ahead waits in the buffer, whose high mark bounds it. */
#include "http/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "http/credentials.h"
#include "http/head.h"
#include "http/listeners.h"
#include "util/descriptors.h"
#include "util/log.h"
#include "util/mem.h"

enum { AHEAD_MAX = 2 * HTTP_HEAD_MAX }; /* bytes read before they are asked for */

static const struct timeval refusal_delay = { 0, 250000 };
static const struct timeval sent_delay = { 0, 100000 };
static const struct timeval end_delay = { 2, 0 };

enum stage {
	STAGE_HEAD,    /* the head of a request is awaited */
	STAGE_BODY,    /* the body, of one who may call */
	STAGE_BUSY,    /* the endpoint works */
	STAGE_REFUSED, /* wrong credentials: the answer waits a moment */
	STAGE_ANSWER,  /* the answer is on its way */
	STAGE_END,     /* the last answer has left; what still comes is thrown away until the client closes */
};

struct connection {
	struct http_server *server;
	struct bufferevent *wire;
	struct event *deadline;
	enum stage stage;
	bool trusted;  /* has shown the credentials */
	bool finished; /* will send nothing more */
	struct http_head head;
	char *path;                     /* of the request; NULL before it is known */
	struct http_exchange *exchange; /* in STAGE_BUSY */
	char host[64];
	struct connection *next, **link; /* the server's list, oldest first */
};

/* It outlives whoever goes first. The endpoint holds it until it answers, whatever has become of the connection (NULL
 * then) and of the server (NULL then, and out of its list). After the answer the server holds it while `sent` is still
 * to be called, and it is the timer's being there that tells the two times apart. So it is freed in one place of
 * these: by the answer if there is no server or nothing more to call, else by the timer, else by the server's end. */
struct http_exchange {
	struct http_server *server;
	struct connection *connection;
	struct event *timer;
	void (*sent)(void *context);
	void *sent_context;
	struct http_exchange *next, **link; /* the server's list */
};

struct http_server {
	struct event_base *base;
	struct listeners *doors;
	struct event *admit; /* somebody came, went or is busy: looks again whether the doors may be open */
	struct http_endpoint endpoint;
	struct credentials credentials;
	struct connection *connections, **last;
	size_t count, most;
	struct timeval timeout;
	struct http_exchange *exchanges;
	struct log_limit full, guesses;
	bool closing; /* answers are written at once */
};

/* --- places --- */

static void set_stage(struct connection *c, enum stage stage)
{
	c->stage = stage;
	event_active(c->server->admit, EV_TIMEOUT, 0);
}

static void connection_free(struct connection *c)
{
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	else
		c->server->last = c->link;
	c->server->count--;
	event_active(c->server->admit, EV_TIMEOUT, 0);
	if (c->exchange != NULL)
		c->exchange->connection = NULL;
	event_free(c->deadline);
	bufferevent_free(c->wire);
	http_head_clear(&c->head);
	free(c->path);
	free(c);
}

/* Who goes first when the places are taken: the oldest stranger; if there is none, the oldest who asks for nothing or
 * has most likely gone. Strangers fall in the order in which they came, so that one who knows the password always gets
 * in: he is the youngest, and has as many turns of the loop as there are places to show it. Whoever waits for an
 * answer never falls: an endpoint's work is not to be had for the asking by whoever comes next. */
static struct connection *find_expendable(const struct http_server *server)
{
	struct connection *idle = NULL;

	for (struct connection *c = server->connections; c != NULL; c = c->next) {
		if (!c->trusted)
			return c;
		if (idle == NULL && (c->stage == STAGE_HEAD || c->stage == STAGE_END || c->finished))
			idle = c;
	}
	return idle;
}

/* With all places taken by clients at work the next one waits outside. */
static void on_admit(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;

	(void)fd;
	(void)what;
	listeners_set_open(server->doors, server->count < server->most || find_expendable(server) != NULL);
}

/* Bytes of a stage: none is told of before `low` are there, and not many more are read. */
static void await_bytes(struct connection *c, size_t low)
{
	bufferevent_setwatermark(c->wire, EV_READ, low, low + AHEAD_MAX);
}

/* The head has its deadline as a whole, and not from byte to byte: who sends one now and then holds no place. */
static void await_head(struct connection *c)
{
	http_head_clear(&c->head);
	free(c->path);
	c->path = NULL;
	bufferevent_set_timeouts(c->wire, NULL, &c->server->timeout);
	event_add(c->deadline, &c->server->timeout);
	await_bytes(c, 0);
	set_stage(c, STAGE_HEAD);
}

/* --- answers --- */

/* Writes what the loop would write, were it still running. */
static void flush_wire(struct bufferevent *wire)
{
	struct evbuffer *out = bufferevent_get_output(wire);

	evbuffer_unfreeze(out, 1);
	evbuffer_write(out, bufferevent_getfd(wire));
	evbuffer_freeze(out, 1);
}

/* `fields` are lines of the head, each with its end. The body is emptied. The connection lives on: what ends it comes
 * from the loop (on_write), so callers may go on using it. */
static void send_answer(struct connection *c, int status, const char *fields, struct evbuffer *body)
{
	struct evbuffer *out = bufferevent_get_output(c->wire);
	time_t now = time(NULL);
	char date[64];
	struct tm utc;

	if (c->finished || c->server->closing)
		c->head.keep_alive = false;
	gmtime_r(&now, &utc);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n%s", status, http_head_reason(status),
		date, c->head.keep_alive ? "keep-alive" : "close", fields);
	if (status != 204)
		evbuffer_add_printf(out, "Content-Length: %zu\r\n", evbuffer_get_length(body));
	evbuffer_add(out, "\r\n", 2);
	evbuffer_add_buffer(out, body);
	event_del(c->deadline);
	bufferevent_set_timeouts(c->wire, NULL, &c->server->timeout);
	set_stage(c, STAGE_ANSWER);
	if (c->server->closing)
		flush_wire(c->wire);
}

/* What is no request for the endpoint. Whatever body comes with it is not read, so nothing can follow it. */
static void refuse_request(struct connection *c, int status, const char *fields, const char *text)
{
	struct evbuffer *body = mem_check(evbuffer_new());
	char all[128];

	snprintf(all, sizeof all, "Content-Type: text/plain\r\n%s", fields);
	evbuffer_add(body, text, strlen(text));
	c->head.keep_alive = false;
	send_answer(c, status, all, body);
	evbuffer_free(body);
}

/* --- exchanges --- */

static struct http_exchange *exchange_new(struct connection *c)
{
	struct http_server *server = c->server;
	struct http_exchange *e = mem_calloc(1, sizeof *e);

	e->server = server;
	e->connection = c;
	c->exchange = e;
	e->next = server->exchanges;
	e->link = &server->exchanges;
	if (e->next != NULL)
		e->next->link = &e->next;
	server->exchanges = e;
	return e;
}

/* The client waits no more. */
static void exchange_settle(struct http_exchange *e)
{
	if (e->connection != NULL)
		e->connection->exchange = NULL;
	e->connection = NULL;
}

static void exchange_unlink(struct http_exchange *e)
{
	exchange_settle(e);
	if (e->server == NULL)
		return;
	*e->link = e->next;
	if (e->next != NULL)
		e->next->link = e->link;
	e->server = NULL;
}

static void exchange_free(struct http_exchange *e)
{
	exchange_unlink(e);
	if (e->timer != NULL)
		event_free(e->timer);
	free(e);
}

static void release_body(const void *data, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	free((void *)(uintptr_t)data);
}

/* What is to be done may free the server: the exchange is gone before. */
static void after_sent(evutil_socket_t fd, short what, void *arg)
{
	struct http_exchange *e = arg;
	void (*sent)(void *context) = e->sent;
	void *context = e->sent_context;

	(void)fd;
	(void)what;
	exchange_free(e);
	sent(context);
}

/* Megabytes are handed over, not copied. */
static void send_body(struct connection *c, struct http_answer *answer)
{
	struct evbuffer *body = mem_check(evbuffer_new());
	char fields[128] = "";

	if (answer->body.size) {
		evbuffer_add_reference(body, answer->body.data, answer->body.size, release_body, NULL);
		buf_init(&answer->body);
	}
	if (answer->type != NULL)
		snprintf(fields, sizeof fields, "Content-Type: %s\r\n", answer->type);
	send_answer(c, answer->status, fields, body);
	evbuffer_free(body);
}

void http_server_answer(struct http_exchange *e, struct http_answer *answer)
{
	struct connection *c = e->connection;

	exchange_settle(e);
	if (c != NULL)
		send_body(c, answer);
	buf_clear(&answer->body);
	if (e->server == NULL || answer->sent == NULL) {
		exchange_free(e);
		return;
	}
	e->sent = answer->sent;
	e->sent_context = answer->sent_context;
	e->timer = mem_check(evtimer_new(e->server->base, after_sent, e));
	evtimer_add(e->timer, &sent_delay);
}

/* --- who may --- */

static void refuse_stranger(struct connection *c)
{
	refuse_request(c, 401, "WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n", "Unauthorized\n");
}

/* Whether the client may. If not it is answered, or will be: whoever guesses shall not guess fast. */
static bool is_authorized(struct connection *c)
{
	const char *given = c->head.authorization;

	if (credentials_match(&c->server->credentials, given))
		return true;
	if (given == NULL) {
		refuse_stranger(c);
		return false;
	}
	if (log_limit_allows(&c->server->guesses))
		log_warn("RPC: wrong credentials from %s", c->host);
	event_add(c->deadline, &refusal_delay);
	set_stage(c, STAGE_REFUSED);
	return false;
}

/* --- requests --- */

/* The path of what a request line names, be that a path or a whole address; a new string, NULL if it is neither. */
static char *path_of(const char *target)
{
	struct evhttp_uri *uri = evhttp_uri_parse(target);
	const char *path;
	char *copy;

	if (uri == NULL)
		return NULL;
	path = evhttp_uri_get_path(uri);
	copy = mem_strdup(path != NULL ? path : "");
	evhttp_uri_free(uri);
	return copy;
}

static void read_body(struct connection *c)
{
	const struct http_endpoint *endpoint = &c->server->endpoint;
	struct evbuffer *in = bufferevent_get_input(c->wire);
	size_t size = (size_t)c->head.length;
	struct http_request request = { .path = c->path, .size = size };

	if (evbuffer_get_length(in) < size)
		return;
	request.body = size ? (const char *)evbuffer_pullup(in, (ev_ssize_t)size) : NULL;
	/* However long the work takes. */
	bufferevent_set_timeouts(c->wire, NULL, &c->server->timeout);
	await_bytes(c, 0);
	set_stage(c, STAGE_BUSY);
	/* The body stays where it lies until the handler has read it. The connection is still there then: no handler
	 * runs the loop, and nothing else ends connections. */
	endpoint->handle(endpoint->context, &request, exchange_new(c));
	evbuffer_drain(in, size);
}

/* The head is whole: only now, and only for one who may call, the body is read. */
static void take_head(struct connection *c)
{
	const struct http_endpoint *endpoint = &c->server->endpoint;
	const struct http_head *head = &c->head;
	char allow[64];

	if (strcmp(head->method, endpoint->method) != 0) {
		snprintf(allow, sizeof allow, "Allow: %s\r\n", endpoint->method);
		refuse_request(c, 405, allow, endpoint->only);
		return;
	}
	if (!is_authorized(c))
		return;
	c->trusted = true;
	c->path = path_of(head->target);
	if (c->path == NULL || !endpoint->has_path(c->path)) {
		refuse_request(c, 404, "", "Not found\n");
	} else if (head->encoded) {
		refuse_request(c, 411, "", "A Content-Length is needed\n");
	} else if (head->length > endpoint->body_max) {
		refuse_request(c, 413, "", "The request is too large\n");
	} else {
		if (head->expects)
			evbuffer_add_printf(bufferevent_get_output(c->wire), "HTTP/1.1 100 Continue\r\n\r\n");
		event_del(c->deadline);
		bufferevent_set_timeouts(c->wire, &c->server->timeout, &c->server->timeout);
		await_bytes(c, (size_t)head->length);
		set_stage(c, STAGE_BODY);
		read_body(c);
	}
}

static void read_head(struct connection *c)
{
	struct evbuffer *in = bufferevent_get_input(c->wire);
	int result = HTTP_MORE;
	size_t size;
	char *line;

	while (result == HTTP_MORE && (line = evbuffer_readln(in, &size, EVBUFFER_EOL_CRLF)) != NULL) {
		result = http_head_line(&c->head, line, size);
		free(line);
	}
	if (result == HTTP_MORE && c->head.size + evbuffer_get_length(in) > HTTP_HEAD_MAX)
		result = 431;
	if (result == HTTP_WHOLE)
		take_head(c);
	else if (result != HTTP_MORE)
		refuse_request(c, result, "", "Bad request\n");
}

/* --- what the loop tells of a connection --- */

static void on_read(struct bufferevent *wire, void *arg)
{
	struct connection *c = arg;

	switch (c->stage) {
	case STAGE_HEAD:
		read_head(c);
		break;
	case STAGE_BODY:
		read_body(c);
		break;
	case STAGE_END:
		evbuffer_drain(bufferevent_get_input(wire), SIZE_MAX);
		break;
	case STAGE_BUSY:
	case STAGE_REFUSED:
	case STAGE_ANSWER:
		break; /* the next request waits */
	}
}

/* Closing at once could take the answer from a client that is still sending: the system answers bytes that nobody reads
 * with a reset, and that drops what the client has not read yet. */
static void end_connection(struct connection *c)
{
	if (c->finished) {
		connection_free(c);
		return;
	}
	shutdown(bufferevent_getfd(c->wire), SHUT_WR);
	event_add(c->deadline, &end_delay);
	await_bytes(c, 0);
	set_stage(c, STAGE_END);
	evbuffer_drain(bufferevent_get_input(c->wire), SIZE_MAX);
}

/* All that was to be sent has left. It may have been no more than a "100 Continue". */
static void on_write(struct bufferevent *wire, void *arg)
{
	struct connection *c = arg;

	(void)wire;
	if (c->stage != STAGE_ANSWER)
		return;
	if (!c->head.keep_alive) {
		end_connection(c);
		return;
	}
	/* The next request may be here already, and then no byte comes that would tell of it. */
	await_head(c);
	read_head(c);
}

/* Who has sent his last byte may still wait for an answer. */
static void on_event(struct bufferevent *wire, short what, void *arg)
{
	struct connection *c = arg;
	bool waits = c->stage == STAGE_BUSY || c->stage == STAGE_REFUSED || c->stage == STAGE_ANSWER;

	(void)wire;
	c->finished = true;
	if (!(what & BEV_EVENT_EOF) || !waits)
		connection_free(c);
	else
		event_active(c->server->admit, EV_TIMEOUT, 0);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd;
	(void)what;
	if (c->stage == STAGE_REFUSED)
		refuse_stranger(c);
	else
		connection_free(c);
}

static void connection_new(struct http_server *server, evutil_socket_t fd, const struct sockaddr *from)
{
	struct connection *c = mem_calloc(1, sizeof *c);
	const void *ip = from->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)from)->sin6_addr :
						       (const void *)&((const struct sockaddr_in *)from)->sin_addr;

	c->server = server;
	c->link = server->last;
	*c->link = c;
	server->last = &c->next;
	server->count++;
	evutil_inet_ntop(from->sa_family, ip, c->host, sizeof c->host);
	c->wire = mem_check(bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE));
	c->deadline = mem_check(evtimer_new(server->base, on_deadline, c));
	bufferevent_setcb(c->wire, on_read, on_write, on_event, c);
	bufferevent_enable(c->wire, EV_READ | EV_WRITE);
	await_head(c);
}

/* With all places taken one comes in at a time: the doors close behind him, and on_admit opens them in the loop's next
 * turn. What those inside have sent is read in between, so nobody falls who has just shown his credentials. */
static void on_entered(void *context, evutil_socket_t fd, const struct sockaddr *from)
{
	struct http_server *server = context;
	bool full = server->count >= server->most;
	struct connection *first = full ? find_expendable(server) : NULL;

	/* Some versions of libevent accept what was in the queue when the doors were closed. */
	if (full && first == NULL) {
		evutil_closesocket(fd);
		return;
	}
	if (first != NULL) {
		if (!first->trusted && log_limit_allows(&server->full))
			log_warn("RPC: all %zu connections are taken; "
				 "the oldest without credentials, from %s, is closed",
				server->most, first->host);
		connection_free(first);
	}
	connection_new(server, fd, from);
	if (server->count >= server->most)
		listeners_set_open(server->doors, false);
}

/* --- starting and stopping --- */

static bool bind_all(struct http_server *server, const struct http_server_config *config, struct errmsg *err)
{
	struct errmsg reason;

	for (size_t i = 0; i < config->bind_count; i++)
		if (!listeners_bind(server->doors, config->binds[i], config->port, err))
			return false;
	if (config->bind_count)
		return true;
	if (!listeners_bind(server->doors, "127.0.0.1", config->port, err))
		return false;
	/* A machine may have no IPv6. */
	if (!listeners_bind(server->doors, "::1", config->port, &reason))
		log_debug(LOG_RPC, "%s", reason.text);
	return true;
}

struct http_server *http_server_new(struct event_base *base, const struct http_server_config *config,
	struct errmsg *err)
{
	struct http_server *server = mem_calloc(1, sizeof *server);

	server->base = base;
	server->endpoint = config->endpoint;
	server->last = &server->connections;
	server->most = config->connections ? config->connections : descriptors_for_rpc(descriptors_raise(0));
	server->timeout.tv_sec = config->timeout ? config->timeout : HTTP_TIMEOUT;
	server->doors = listeners_new(base, on_entered, server);
	server->admit = mem_check(event_new(base, -1, 0, on_admit, server));
	/* The cookie comes last: that of a node which has the port already stays as it is. */
	if (!bind_all(server, config, err) ||
		!credentials_init(&server->credentials, config->user, config->password, config->cookie_path, err)) {
		http_server_free(server);
		return NULL;
	}
	return server;
}

/* One that the endpoint still works on stays, without a server, until it answers. */
static void abandon_exchange(struct http_exchange *e)
{
	struct evbuffer *nothing = mem_check(evbuffer_new());
	bool waiting = e->timer == NULL;

	if (e->connection != NULL)
		send_answer(e->connection, 503, "", nothing);
	evbuffer_free(nothing);
	if (waiting)
		exchange_unlink(e);
	else
		exchange_free(e);
}

void http_server_close(struct http_server *server)
{
	server->closing = true;
}

void http_server_free(struct http_server *server)
{
	if (server == NULL)
		return;
	http_server_close(server);
	while (server->exchanges != NULL)
		abandon_exchange(server->exchanges);
	while (server->connections != NULL)
		connection_free(server->connections);
	listeners_free(server->doors);
	event_free(server->admit);
	credentials_clear(&server->credentials);
	free(server);
}
