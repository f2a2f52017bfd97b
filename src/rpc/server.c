#include "rpc/server.h"

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

#include "http/head.h"
#include "http/listeners.h"
#include "util/bytes.h"
#include "util/descriptors.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"

enum {
	WALLET_NAME_MAX = 128,
	AHEAD_MAX = 2 * HTTP_HEAD_MAX, /* bytes read before they are asked for */
};

static const struct timeval refusal_delay = { 0, 250000 };
static const struct timeval sent_delay = { 0, 100000 };
static const struct timeval end_delay = { 2, 0 };

enum stage {
	STAGE_HEAD,    /* the head of a request is awaited */
	STAGE_BODY,    /* the body, of one who may call */
	STAGE_BUSY,    /* the table works */
	STAGE_REFUSED, /* wrong credentials: the answer waits a moment */
	STAGE_ANSWER,  /* the answer is on its way */
	STAGE_END,     /* the last answer has left; what still comes is thrown away until the client closes */
};

/* One connection. */
struct client {
	struct rpc_server *server;
	struct bufferevent *wire;
	struct event *deadline;
	enum stage stage;
	bool trusted;  /* has shown the credentials */
	bool finished; /* will send nothing more */
	struct http_head head;
	char *wallet;              /* "" for the plain address */
	struct exchange *exchange; /* while the table works */
	char host[64];
	struct client *next, **link; /* the server's list, oldest first */
};

/* One request that the table works on. */
struct exchange {
	struct rpc_server *server; /* NULL once that is gone */
	struct client *client;     /* NULL once it is answered, or the client is gone */
	struct event *timer;
	rpc_sent *sent;
	void *sent_context;
	struct exchange *next, **link; /* the server's list */
};

struct rpc_server {
	struct event_base *base;
	struct listeners *doors;
	struct event *admit; /* somebody came, went or is busy: looks again whether the doors may be open */
	struct rpc_table *table;
	char *authorization; /* what the client's header must say */
	char *cookie_path;   /* NULL: no cookie was written */
	struct client *clients, **last;
	size_t client_count, client_max;
	struct timeval timeout;
	struct exchange *exchanges;
	struct log_limit full, guesses;
	bool closing; /* answers are written at once */
};

/* Connections */

static void set_stage(struct client *c, enum stage stage)
{
	c->stage = stage;
	event_active(c->server->admit, EV_TIMEOUT, 0);
}

static void client_free(struct client *c)
{
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	else
		c->server->last = c->link;
	c->server->client_count--;
	event_active(c->server->admit, EV_TIMEOUT, 0);
	if (c->exchange != NULL)
		c->exchange->client = NULL;
	event_free(c->deadline);
	bufferevent_free(c->wire);
	http_head_clear(&c->head);
	free(c->wallet);
	free(c);
}

/* Who goes first when the places are taken: the oldest stranger; if there is none, the oldest who asks for nothing or
 * has most likely gone. */
static struct client *expendable(const struct rpc_server *server)
{
	struct client *idle = NULL;

	for (struct client *c = server->clients; c; c = c->next) {
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
	struct rpc_server *server = arg;

	(void)fd;
	(void)what;
	listeners_set_open(server->doors, server->client_count < server->client_max || expendable(server) != NULL);
}

/* Bytes of a stage: none is told of before `low` are there, and not many more are read. */
static void expect(struct client *c, size_t low)
{
	bufferevent_setwatermark(c->wire, EV_READ, low, low + AHEAD_MAX);
}

static void await_head(struct client *c)
{
	http_head_clear(&c->head);
	free(c->wallet);
	c->wallet = NULL;
	bufferevent_set_timeouts(c->wire, NULL, &c->server->timeout);
	event_add(c->deadline, &c->server->timeout);
	expect(c, 0);
	set_stage(c, STAGE_HEAD);
}

/* Answers */

/* Writes what the loop would write, were it still running. */
static void flush(struct bufferevent *wire)
{
	struct evbuffer *out = bufferevent_get_output(wire);

	evbuffer_unfreeze(out, 1);
	evbuffer_write(out, bufferevent_getfd(wire));
	evbuffer_freeze(out, 1);
}

/* `fields` are lines of the head, each with its end. The body is emptied. */
static void send_answer(struct client *c, int status, const char *fields, struct evbuffer *body)
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
		flush(c->wire);
}

/* What is no request for the table. Whatever body comes with it is not read. */
static void refuse(struct client *c, int status, const char *fields, const char *text)
{
	struct evbuffer *body = mem_check(evbuffer_new());
	char all[128];

	snprintf(all, sizeof all, "Content-Type: text/plain\r\n%s", fields);
	evbuffer_add(body, text, strlen(text));
	c->head.keep_alive = false;
	send_answer(c, status, all, body);
	evbuffer_free(body);
}

static void refuse_stranger(struct client *c)
{
	refuse(c, 401, "WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n", "Unauthorized\n");
}

/* Exchanges */

static struct exchange *exchange_new(struct client *c)
{
	struct rpc_server *server = c->server;
	struct exchange *e = mem_calloc(1, sizeof *e);

	e->server = server;
	e->client = c;
	c->exchange = e;
	e->next = server->exchanges;
	e->link = &server->exchanges;
	if (e->next != NULL)
		e->next->link = &e->next;
	server->exchanges = e;
	return e;
}

/* The client waits no more. */
static void exchange_settle(struct exchange *e)
{
	if (e->client != NULL)
		e->client->exchange = NULL;
	e->client = NULL;
}

static void exchange_unlink(struct exchange *e)
{
	exchange_settle(e);
	if (e->server == NULL)
		return;
	*e->link = e->next;
	if (e->next != NULL)
		e->next->link = e->link;
	e->server = NULL;
}

static void exchange_free(struct exchange *e)
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

static void after_sent(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *e = arg;
	rpc_sent *sent = e->sent;
	void *context = e->sent_context;

	(void)fd;
	(void)what;
	exchange_free(e);
	sent(context);
}

static void send_body(struct client *c, struct rpc_answer *answer)
{
	struct evbuffer *body = mem_check(evbuffer_new());

	if (answer->body.size) {
		evbuffer_add_reference(body, answer->body.data, answer->body.size, release_body, NULL);
		buf_init(&answer->body);
	}
	send_answer(c, answer->status, answer->status == 204 ? "" : "Content-Type: application/json\r\n", body);
	evbuffer_free(body);
}

static void on_answer(void *context, struct rpc_answer *answer)
{
	struct exchange *e = context;
	struct client *c = e->client;

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

/* Who may */

/* Takes the same time wherever the texts differ; only the length shows. */
static bool same_text(const char *a, const char *b)
{
	size_t size = strlen(a);
	unsigned char difference = 0;

	if (strlen(b) != size)
		return false;
	for (size_t i = 0; i < size; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return difference == 0;
}

static bool authorized(struct client *c)
{
	const char *given = c->head.authorization;

	if (given != NULL && same_text(given, c->server->authorization))
		return true;
	if (given == NULL) {
		refuse_stranger(c);
		return false;
	}
	if (log_limit_allows(&c->server->guesses))
		log_warn("RPC: wrong credentials from %s", c->host);
	/* Whoever guesses shall not guess fast. */
	event_add(c->deadline, &refusal_delay);
	set_stage(c, STAGE_REFUSED);
	return false;
}

/* The wallet's name out of /wallet/NAME; "" for the plain address. A new string, or NULL if it is another address. */
static char *wallet_of(const char *target)
{
	static const char prefix[] = "/wallet/";
	struct evhttp_uri *uri = evhttp_uri_parse(target);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	char *name, *copy = NULL;
	size_t size;

	if (uri == NULL)
		return NULL;
	if (path == NULL || *path == 0 || strcmp(path, "/") == 0) {
		copy = mem_strdup("");
	} else if (strncmp(path, prefix, sizeof prefix - 1) == 0) {
		name = evhttp_uridecode(path + sizeof prefix - 1, 0, &size);
		if (name != NULL && size <= WALLET_NAME_MAX && strlen(name) == size)
			copy = mem_strdup(name);
		free(name);
	}
	evhttp_uri_free(uri);
	return copy;
}

/* Requests */

static void read_body(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->wire);
	size_t size = (size_t)c->head.length;
	const char *text;

	if (evbuffer_get_length(in) < size)
		return;
	text = size ? (const char *)evbuffer_pullup(in, (ev_ssize_t)size) : NULL;
	/* However long the work takes. */
	bufferevent_set_timeouts(c->wire, NULL, &c->server->timeout);
	expect(c, 0);
	set_stage(c, STAGE_BUSY);
	rpc_table_execute(c->server->table, text, size, *c->wallet ? c->wallet : NULL, on_answer, exchange_new(c));
	evbuffer_drain(in, size);
}

/* The head is whole: only now, and only for one who may call, the body is read. */
static void begin(struct client *c)
{
	const struct http_head *head = &c->head;

	if (!head->is_post) {
		refuse(c, 405, "Allow: POST\r\n", "The JSON-RPC server takes POST requests only\n");
		return;
	}
	if (!authorized(c))
		return;
	c->trusted = true;
	c->wallet = wallet_of(head->target);
	if (c->wallet == NULL) {
		refuse(c, 404, "", "Not found\n");
	} else if (head->encoded) {
		refuse(c, 411, "", "A Content-Length is needed\n");
	} else if (head->length > RPC_BODY_MAX) {
		refuse(c, 413, "", "The request is too large\n");
	} else {
		if (head->expects)
			evbuffer_add_printf(bufferevent_get_output(c->wire), "HTTP/1.1 100 Continue\r\n\r\n");
		event_del(c->deadline);
		bufferevent_set_timeouts(c->wire, &c->server->timeout, &c->server->timeout);
		expect(c, (size_t)head->length);
		set_stage(c, STAGE_BODY);
		read_body(c);
	}
}

static void read_head(struct client *c)
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
		begin(c);
	else if (result != HTTP_MORE)
		refuse(c, result, "", "Bad request\n");
}

static void on_read(struct bufferevent *wire, void *arg)
{
	struct client *c = arg;

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

/* Closing at once could take the answer from a client that is still sending. */
static void end(struct client *c)
{
	if (c->finished) {
		client_free(c);
		return;
	}
	shutdown(bufferevent_getfd(c->wire), SHUT_WR);
	event_add(c->deadline, &end_delay);
	expect(c, 0);
	set_stage(c, STAGE_END);
	evbuffer_drain(bufferevent_get_input(c->wire), SIZE_MAX);
}

/* All that was to be sent has left. */
static void on_write(struct bufferevent *wire, void *arg)
{
	struct client *c = arg;

	(void)wire;
	if (c->stage != STAGE_ANSWER)
		return;
	if (!c->head.keep_alive) {
		end(c);
		return;
	}
	await_head(c);
	read_head(c);
}

/* Who has sent his last byte may still wait for an answer. */
static void on_event(struct bufferevent *wire, short what, void *arg)
{
	struct client *c = arg;
	bool waits = c->stage == STAGE_BUSY || c->stage == STAGE_REFUSED || c->stage == STAGE_ANSWER;

	(void)wire;
	c->finished = true;
	if (!(what & BEV_EVENT_EOF) || !waits)
		client_free(c);
	else
		event_active(c->server->admit, EV_TIMEOUT, 0);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->stage == STAGE_REFUSED)
		refuse_stranger(c);
	else
		client_free(c);
}

static void client_new(struct rpc_server *server, evutil_socket_t fd, const struct sockaddr *from)
{
	struct client *c = mem_calloc(1, sizeof *c);
	const void *ip = from->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)from)->sin6_addr :
						       (const void *)&((const struct sockaddr_in *)from)->sin_addr;

	c->server = server;
	c->link = server->last;
	*c->link = c;
	server->last = &c->next;
	server->client_count++;
	evutil_inet_ntop(from->sa_family, ip, c->host, sizeof c->host);
	c->wire = mem_check(bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE));
	c->deadline = mem_check(evtimer_new(server->base, on_deadline, c));
	bufferevent_setcb(c->wire, on_read, on_write, on_event, c);
	bufferevent_enable(c->wire, EV_READ | EV_WRITE);
	await_head(c);
}

/* With all places taken one comes in at a time, and what those inside have sent is read before the next. */
static void on_entered(void *context, evutil_socket_t fd, const struct sockaddr *from)
{
	struct rpc_server *server = context;
	bool full = server->client_count >= server->client_max;
	struct client *first = full ? expendable(server) : NULL;

	/* Some versions of libevent accept what was in the queue when the doors were closed. */
	if (full && first == NULL) {
		evutil_closesocket(fd);
		return;
	}
	if (first != NULL) {
		if (!first->trusted && log_limit_allows(&server->full))
			log_warn(
				"RPC: all %zu connections are taken; the oldest without credentials, from %s, is closed",
				server->client_max, first->host);
		client_free(first);
	}
	client_new(server, fd, from);
	if (server->client_count >= server->client_max)
		listeners_set_open(server->doors, false);
}

/* Starting and stopping */

static bool bind_all(struct rpc_server *server, const struct rpc_server_config *config, struct errmsg *err)
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

static void set_authorization(struct rpc_server *server, const char *user, const char *password)
{
	static const char scheme[] = "Basic ";
	struct buf plain;

	buf_init(&plain);
	buf_put_text(&plain, user);
	buf_put_u8(&plain, ':');
	buf_put_text(&plain, password);
	server->authorization = mem_alloc(sizeof scheme + BASE64_SIZE(plain.size));
	memcpy(server->authorization, scheme, sizeof scheme);
	base64_encode(server->authorization + sizeof scheme - 1, plain.data, plain.size);
	buf_clear(&plain);
}

static bool write_cookie(struct rpc_server *server, const char *path, struct errmsg *err)
{
	uint8_t secret[32];
	char digits[65], text[96];
	int size;

	random_bytes(secret, sizeof secret);
	hex_encode(digits, secret, sizeof secret);
	size = snprintf(text, sizeof text, "__cookie__:%s", digits);
	set_authorization(server, "__cookie__", digits);
	if (!file_write_atomic(path, text, (size_t)size, 0600, err))
		return errmsg_wrap(err, "The RPC cookie cannot be written");
	server->cookie_path = mem_strdup(path);
	return true;
}

static bool start(struct rpc_server *server, const struct rpc_server_config *config, struct errmsg *err)
{
	if (!bind_all(server, config, err))
		return false;
	if (config->password == NULL || *config->password == 0)
		return write_cookie(server, config->cookie_path, err);
	set_authorization(server, config->user != NULL ? config->user : "", config->password);
	return true;
}

struct rpc_server *rpc_server_new(struct event_base *base, struct rpc_table *table,
	const struct rpc_server_config *config, struct errmsg *err)
{
	struct rpc_server *server = mem_calloc(1, sizeof *server);

	server->base = base;
	server->table = table;
	server->last = &server->clients;
	server->client_max = config->connections ? config->connections : descriptors_for_rpc(descriptors_raise(0));
	server->timeout.tv_sec = config->timeout ? config->timeout : RPC_TIMEOUT;
	server->doors = listeners_new(base, on_entered, server);
	server->admit = mem_check(event_new(base, -1, 0, on_admit, server));
	if (!start(server, config, err)) {
		rpc_server_free(server);
		return NULL;
	}
	return server;
}

/* Those the table still works on stay, without a server, until it answers. */
static void abandon(struct exchange *e)
{
	struct evbuffer *nothing = mem_check(evbuffer_new());
	bool waiting = e->timer == NULL;

	if (e->client != NULL)
		send_answer(e->client, 503, "", nothing);
	evbuffer_free(nothing);
	if (waiting)
		exchange_unlink(e);
	else
		exchange_free(e);
}

void rpc_server_close(struct rpc_server *server)
{
	server->closing = true;
}

void rpc_server_free(struct rpc_server *server)
{
	if (server == NULL)
		return;
	rpc_server_close(server);
	while (server->exchanges != NULL)
		abandon(server->exchanges);
	while (server->clients != NULL)
		client_free(server->clients);
	listeners_free(server->doors);
	event_free(server->admit);
	if (server->cookie_path != NULL)
		file_remove(server->cookie_path, NULL);
	free(server->cookie_path);
	free(server->authorization);
	free(server);
}
