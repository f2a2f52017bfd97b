/* The server: connections in their places, requests read stage by stage, exchanges that wait for their answers.
 *
 * A connection goes round: HEAD -> BODY -> BUSY (-> STREAM) -> ANSWER -> HEAD, or out of it by END. One request at a
 * time: what a client sends ahead waits in the buffer, whose high mark bounds it. */
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
#include "http/visitor.h"
#include "util/descriptors.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/size.h"

enum {
	SERVER_AHEAD_MAX = 2 * HTTP_HEAD_MAX, /* bytes read before they are asked for */
	SERVER_BODY_PACE = 16 << 10,          /* bytes a second of a body, at least */
};

static const struct timeval server_refusal_delay = { 0, 250000 };
static const struct timeval server_sent_delay = { 0, 100000 };
static const struct timeval server_end_delay = { 2, 0 };

enum http_stage {
	HTTP_STAGE_HEAD,    /* the head of a request is awaited */
	HTTP_STAGE_BODY,    /* the body, of one who may call */
	HTTP_STAGE_BUSY,    /* the endpoint works */
	HTTP_STAGE_REFUSED, /* wrong credentials: the answer waits a moment */
	HTTP_STAGE_STREAM,  /* a part of the answer has been sent, and more will come */
	HTTP_STAGE_ANSWER,  /* the answer is on its way */
	HTTP_STAGE_END,     /* the last answer has left; what still comes is thrown away until the client closes */
};

struct http_connection {
	struct http_server *server;
	struct bufferevent *wire;
	struct event *deadline;
	enum http_stage stage;
	bool trusted;  /* has shown the credentials */
	bool finished; /* will send nothing more */
	struct http_head head;
	char *path, *query;                   /* of the request; NULL before they are known */
	const struct http_endpoint *endpoint; /* whom it is for, from HTTP_STAGE_BODY on */
	struct http_exchange *exchange;       /* in HTTP_STAGE_BUSY and HTTP_STAGE_STREAM */
	struct visitor visitor;
	struct http_connection *next, **link; /* the server's list: whose last request, or who without one, is oldest */
};

/* It outlives whoever goes first. The endpoint holds it until it answers, whatever has become of the connection (NULL
 * then) and of the server (NULL then, and out of its list). After the answer the server holds it while `sent` is still
 * to be called, and it is the timer's being there that tells the two times apart. So it is freed in one place of
 * these: by the answer if there is no server or nothing more to call, else by the timer, else by the server's end. */
struct http_exchange {
	struct http_server *server;
	struct http_connection *connection;
	struct event *timer;
	void (*sent)(void *context);
	void *sent_context;
	struct http_exchange *next, **link; /* the server's list */
};

struct http_server {
	struct event_base *base;
	struct listeners *doors;
	struct event *admit; /* somebody came, went or is busy: looks again whether the doors may be open */
	struct http_endpoint endpoints[HTTP_ENDPOINTS_MAX];
	size_t endpoint_count;
	const char *name, *fields, *only;
	const char *(*put_refusal)(const char *target, int status, const char *text, struct buf *body);
	int (*admits)(void *context, const struct http_request *request);
	void *admits_context;
	bool is_open;
	struct credentials credentials;
	struct http_connection *connections, **last;
	size_t count, most;
	struct timeval timeout;
	struct http_exchange *exchanges;
	struct log_limit full, guesses;
	bool closing; /* answers are written at once */
};

/* --- places --- */

static void server_set_stage(struct http_connection *connection, enum http_stage stage)
{
	connection->stage = stage;
	event_active(connection->server->admit, EV_TIMEOUT, 0);
}

static void server_put_last(struct http_connection *connection)
{
	connection->next = NULL;
	connection->link = connection->server->last;
	*connection->link = connection;
	connection->server->last = &connection->next;
}

static void server_take_out(struct http_connection *connection)
{
	*connection->link = connection->next;
	if (connection->next != NULL)
		connection->next->link = connection->link;
	else
		connection->server->last = connection->link;
}

static void http_connection_free(struct http_connection *connection)
{
	server_take_out(connection);
	connection->server->count--;
	event_active(connection->server->admit, EV_TIMEOUT, 0);
	if (connection->exchange != NULL)
		connection->exchange->connection = NULL;
	event_free(connection->deadline);
	bufferevent_free(connection->wire);
	http_head_clear(&connection->head);
	free(connection->path);
	free(connection->query);
	free(connection);
}

/* Who goes first when the places are taken: the oldest stranger; if there is none, the oldest who asks for nothing or
 * has most likely gone. Strangers fall in the order in which they came, so that one who knows the password always gets
 * in: he is the youngest, and has as many turns of the loop as there are places to show it. Whoever waits for an
 * answer never falls: an endpoint's work is not to be had for the asking by whoever comes next. Where everybody may
 * ask, whose body is not whole yet does not wait for one: of such the oldest request goes, if nobody else does. Who
 * sends his at once is the youngest, and has as many turns of the loop as there are such. `of`: somebody of his group,
 * or NULL for anybody. */
static struct http_connection *server_find_expendable(const struct http_server *server, const struct visitor *of)
{
	struct http_connection *idle_connection = NULL, *slow_connection = NULL;

	for (struct http_connection *connection = server->connections; connection != NULL;
		connection = connection->next) {
		if (of != NULL && !visitor_is_neighbour(of, &connection->visitor))
			continue;
		if (!connection->trusted)
			return connection;
		if (idle_connection == NULL &&
			(connection->stage == HTTP_STAGE_HEAD || connection->stage == HTTP_STAGE_END ||
				connection->finished))
			idle_connection = connection;
		if (slow_connection == NULL && server->is_open && connection->stage == HTTP_STAGE_BODY)
			slow_connection = connection;
	}
	return idle_connection != NULL ? idle_connection : slow_connection;
}

/* Where everybody may ask, whoever is far away could take all places for long, by reading answers slowly: the oldest of
 * them falls for somebody on this machine, who may be the operator. NULL: none, or credentials keep such out. */
static struct http_connection *server_find_remote(const struct http_server *server)
{
	for (struct http_connection *connection = server->connections; connection != NULL && server->is_open;
		connection = connection->next)
		if (!connection->visitor.is_local)
			return connection;
	return NULL;
}

static size_t server_count_neighbours(const struct http_server *server, const struct visitor *visitor)
{
	size_t neighbours = 0;

	for (const struct http_connection *connection = server->connections; connection != NULL;
		connection = connection->next)
		neighbours += visitor_is_neighbour(visitor, &connection->visitor);
	return neighbours;
}

/* With all places taken by clients at work the next one waits outside. */
static void server_on_admit(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;

	(void)fd;
	(void)what;
	listeners_set_open(server->doors,
		server->count < server->most || server_find_expendable(server, NULL) != NULL ||
			server_find_remote(server) != NULL);
}

/* Bytes of a stage: none is told of before `low` are there, and not many more are read. */
static void server_await_bytes(struct http_connection *connection, size_t low)
{
	bufferevent_setwatermark(connection->wire, EV_READ, low, low + SERVER_AHEAD_MAX);
}

/* The head has its deadline as a whole, and not from byte to byte: who sends one now and then holds no place. */
static void server_await_head(struct http_connection *connection)
{
	http_head_clear(&connection->head);
	free(connection->path);
	free(connection->query);
	connection->path = connection->query = NULL;
	bufferevent_set_timeouts(connection->wire, NULL, &connection->server->timeout);
	event_add(connection->deadline, &connection->server->timeout);
	server_await_bytes(connection, 0);
	server_set_stage(connection, HTTP_STAGE_HEAD);
}

/* --- answers --- */

/* Writes what the loop would write, were it still running. */
static void server_flush_wire(struct bufferevent *wire)
{
	struct evbuffer *answer_bytes = bufferevent_get_output(wire);

	evbuffer_unfreeze(answer_bytes, 1);
	evbuffer_write(answer_bytes, bufferevent_getfd(wire));
	evbuffer_freeze(answer_bytes, 1);
}

static bool server_is_head(const struct http_connection *connection)
{
	return connection->head.method != NULL && strcmp(connection->head.method, "HEAD") == 0;
}

/* Date, connection, the server's own lines, and `fields`, lines of the head each with its end; the empty line is still
 * missing. */
static void server_send_head(struct http_connection *connection, int answer_status, const char *fields)
{
	const char *server_fields = connection->server->fields;
	time_t now = time(NULL);
	char date[64];
	struct tm utc;

	if (connection->finished || connection->server->closing)
		connection->head.keep_alive = false;
	gmtime_r(&now, &utc);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
	evbuffer_add_printf(bufferevent_get_output(connection->wire),
		"HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n%s%s", answer_status, http_head_reason(answer_status),
		date, connection->head.keep_alive ? "keep-alive" : "close", server_fields != NULL ? server_fields : "",
		fields);
	event_del(connection->deadline);
	bufferevent_set_timeouts(connection->wire, NULL, &connection->server->timeout);
}

/* The body may be emptied. The connection lives on: what ends it comes from the loop (server_on_write), so callers may
 * go on using it. */
static void server_send_answer(struct http_connection *connection, int answer_status, const char *fields,
	struct evbuffer *answer_body)
{
	struct evbuffer *answer_bytes = bufferevent_get_output(connection->wire);

	server_send_head(connection, answer_status, fields);
	if (answer_status != 204 && answer_status != 304)
		evbuffer_add_printf(answer_bytes, "Content-Length: %zu\r\n", evbuffer_get_length(answer_body));
	evbuffer_add(answer_bytes, "\r\n", 2);
	if (!server_is_head(connection))
		evbuffer_add_buffer(answer_bytes, answer_body);
	server_set_stage(connection, HTTP_STAGE_ANSWER);
	if (connection->server->closing)
		server_flush_wire(connection->wire);
}

/* What is no request for the endpoint. Whatever body comes with it is not read, so nothing can follow it. */
static void server_refuse_request(struct http_connection *connection, int refusal_status, const char *fields,
	const char *refusal_text)
{
	const struct http_server *server = connection->server;
	struct evbuffer *refusal = mem_check(evbuffer_new());
	const char *refusal_type = "text/plain";
	char refusal_fields[128];
	struct buf words;

	buf_init(&words);
	if (server->put_refusal != NULL)
		refusal_type = server->put_refusal(connection->head.target, refusal_status, refusal_text, &words);
	else
		buf_put_text(&words, refusal_text);
	snprintf(refusal_fields, sizeof refusal_fields, "Content-Type: %s\r\n%s", refusal_type, fields);
	evbuffer_add(refusal, words.data, words.size);
	buf_clear(&words);
	connection->head.keep_alive = false;
	server_send_answer(connection, refusal_status, refusal_fields, refusal);
	evbuffer_free(refusal);
}

/* --- exchanges --- */

static struct http_exchange *http_exchange_new(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	struct http_exchange *exchange = mem_calloc(1, sizeof *exchange);

	exchange->server = server;
	exchange->connection = connection;
	connection->exchange = exchange;
	exchange->next = server->exchanges;
	exchange->link = &server->exchanges;
	if (exchange->next != NULL)
		exchange->next->link = &exchange->next;
	server->exchanges = exchange;
	return exchange;
}

/* The client waits no more. */
static void http_exchange_settle(struct http_exchange *exchange)
{
	if (exchange->connection != NULL)
		exchange->connection->exchange = NULL;
	exchange->connection = NULL;
}

static void http_exchange_unlink(struct http_exchange *exchange)
{
	http_exchange_settle(exchange);
	if (exchange->server == NULL)
		return;
	*exchange->link = exchange->next;
	if (exchange->next != NULL)
		exchange->next->link = exchange->link;
	exchange->server = NULL;
}

static void http_exchange_free(struct http_exchange *exchange)
{
	http_exchange_unlink(exchange);
	if (exchange->timer != NULL)
		event_free(exchange->timer);
	free(exchange);
}

static void server_release_body(const void *data, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	free((void *)(uintptr_t)data);
}

/* What is to be done may free the server: the exchange is gone before. */
static void server_after_sent(evutil_socket_t fd, short what, void *arg)
{
	struct http_exchange *exchange = arg;
	void (*sent)(void *context) = exchange->sent;
	void *context = exchange->sent_context;

	(void)fd;
	(void)what;
	http_exchange_free(exchange);
	sent(context);
}

/* An answer's lines of the head. */
static void server_put_fields(const struct http_answer *answer, char *fields, size_t size)
{
	snprintf(fields, size, "%s%s%s%s", answer->type != NULL ? "Content-Type: " : "",
		answer->type != NULL ? answer->type : "", answer->type != NULL ? "\r\n" : "",
		answer->fields != NULL ? answer->fields : "");
}

/* Megabytes are handed over, not copied. */
static void server_send_body(struct http_connection *connection, struct http_answer *answer)
{
	struct evbuffer *answer_body = mem_check(evbuffer_new());
	char fields[512];

	if (answer->body.size) {
		evbuffer_add_reference(answer_body, answer->body.data, answer->body.size, server_release_body, NULL);
		buf_init(&answer->body);
	}
	server_put_fields(answer, fields, sizeof fields);
	server_send_answer(connection, answer->status, fields, answer_body);
	evbuffer_free(answer_body);
}

void http_server_answer(struct http_exchange *exchange, struct http_answer *answer)
{
	struct http_connection *connection = exchange->connection;

	http_exchange_settle(exchange);
	if (connection != NULL)
		server_send_body(connection, answer);
	buf_clear(&answer->body);
	if (exchange->server == NULL || answer->sent == NULL) {
		http_exchange_free(exchange);
		return;
	}
	exchange->sent = answer->sent;
	exchange->sent_context = answer->sent_context;
	exchange->timer = mem_check(evtimer_new(exchange->server->base, server_after_sent, exchange));
	evtimer_add(exchange->timer, &server_sent_delay);
}

/* --- streams --- */

static bool server_is_streaming(const struct http_exchange *exchange)
{
	return exchange->connection != NULL && exchange->connection->stage == HTTP_STAGE_STREAM;
}

/* Without a length the answer's end is that of its chunks, or of the connection for who does not know chunks. */
bool http_server_begin(struct http_exchange *exchange, const struct http_answer *answer)
{
	struct http_connection *connection = exchange->connection;
	char fields[512];

	if (connection == NULL)
		return false;
	connection->head.keep_alive = connection->head.keep_alive && connection->head.has_chunks;
	server_put_fields(answer, fields, sizeof fields);
	server_send_head(connection, answer->status, fields);
	evbuffer_add_printf(bufferevent_get_output(connection->wire), "%s\r\n",
		connection->head.has_chunks ? "Transfer-Encoding: chunked\r\n" : "");
	server_set_stage(connection, HTTP_STAGE_STREAM);
	return true;
}

/* The connection ends in a turn of the loop of its own, since whoever pushes may be its handler still. */
static void server_hang_up(struct http_connection *connection)
{
	connection->exchange->connection = NULL;
	connection->exchange = NULL;
	event_active(connection->deadline, EV_TIMEOUT, 0);
}

bool http_server_push(struct http_exchange *exchange, const void *data, size_t size)
{
	struct http_connection *connection = exchange->connection;
	struct evbuffer *answer_bytes;

	if (!server_is_streaming(exchange))
		return false;
	if (size == 0)
		return true; /* an empty chunk would be the last */
	answer_bytes = bufferevent_get_output(connection->wire);
	if (evbuffer_get_length(answer_bytes) + size > HTTP_STREAM_MAX) {
		server_hang_up(connection);
		return false;
	}
	if (connection->head.has_chunks)
		evbuffer_add_printf(answer_bytes, "%zx\r\n", size);
	evbuffer_add(answer_bytes, data, size);
	if (connection->head.has_chunks)
		evbuffer_add(answer_bytes, "\r\n", 2);
	return true;
}

bool http_server_is_heard(const struct http_exchange *exchange)
{
	return exchange->connection != NULL;
}

void http_server_end(struct http_exchange *exchange)
{
	struct http_connection *connection = exchange->connection;

	if (server_is_streaming(exchange)) {
		if (connection->head.has_chunks)
			evbuffer_add(bufferevent_get_output(connection->wire), "0\r\n\r\n", 5);
		server_set_stage(connection, HTTP_STAGE_ANSWER);
		/* All may have left already, and then nothing else would tell of it. */
		bufferevent_trigger(connection->wire, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
	}
	http_exchange_free(exchange);
}

/* --- who may --- */

static void server_refuse_stranger(struct http_connection *connection)
{
	server_refuse_request(connection, 401, "WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n", "Unauthorized\n");
}

/* Whether the client may. If not it is answered, or will be: whoever guesses shall not guess fast. */
static bool server_is_authorized(struct http_connection *connection)
{
	const char *given = connection->head.fields[HTTP_AUTHORIZATION];

	if (connection->server->is_open || credentials_match(&connection->server->credentials, given))
		return true;
	if (given == NULL) {
		server_refuse_stranger(connection);
		return false;
	}
	if (log_limit_allows(&connection->server->guesses))
		log_warn("%s: wrong credentials from %s", connection->server->name, connection->visitor.host);
	event_add(connection->deadline, &server_refusal_delay);
	server_set_stage(connection, HTTP_STAGE_REFUSED);
	return false;
}

/* --- requests --- */

/* Takes path and query of what a request line names, be that a path or a whole address; none if it is neither. */
static void server_read_target(struct http_connection *connection)
{
	struct evhttp_uri *uri = evhttp_uri_parse(connection->head.target);
	const char *path, *query;

	if (uri == NULL)
		return;
	path = evhttp_uri_get_path(uri);
	query = evhttp_uri_get_query(uri);
	connection->path = mem_strdup(path != NULL ? path : "");
	connection->query = mem_strdup(query != NULL ? query : "");
	evhttp_uri_free(uri);
}

/* Without a body yet. */
static struct http_request server_request_of(const struct http_connection *connection)
{
	return (struct http_request){
		.head = &connection->head,
		.path = connection->path != NULL ? connection->path : "",
		.query = connection->query != NULL ? connection->query : "",
		.from = &connection->visitor,
	};
}

static bool server_takes_method(const struct http_endpoint *endpoint, const char *method)
{
	return strcmp(endpoint->method, method) == 0 ||
		(strcmp(endpoint->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* Finds whom a request is for. If there is nobody, `allow` says with which methods there would be, on this path or,
 * with a path NULL, on any: "" if none. */
static const struct http_endpoint *server_find_endpoint(const struct http_server *server, const char *method,
	const char *path, char *allow, size_t allow_size)
{
	size_t allow_used = 0;

	allow[0] = '\0';
	for (size_t i = 0; i < server->endpoint_count; i++) {
		const struct http_endpoint *endpoint = &server->endpoints[i];

		if (path != NULL && !endpoint->has_path(path))
			continue;
		if (server_takes_method(endpoint, method))
			return endpoint;
		if (strstr(allow, endpoint->method) == NULL && allow_used + strlen(endpoint->method) + 3 < allow_size)
			allow_used += (size_t)snprintf(allow + allow_used, allow_size - allow_used, "%s%s",
				allow_used > 0 ? ", " : "", endpoint->method);
	}
	return NULL;
}

static void server_read_body(struct http_connection *connection)
{
	const struct http_endpoint *endpoint = connection->endpoint;
	struct evbuffer *request_bytes = bufferevent_get_input(connection->wire);
	size_t body_size = (size_t)connection->head.length;
	struct http_request request = server_request_of(connection);

	if (evbuffer_get_length(request_bytes) < body_size)
		return;
	request.size = body_size;
	request.body = body_size ? (const char *)evbuffer_pullup(request_bytes, (ev_ssize_t)body_size) : NULL;
	/* However long the work takes. */
	event_del(connection->deadline);
	bufferevent_set_timeouts(connection->wire, NULL, &connection->server->timeout);
	server_await_bytes(connection, 0);
	server_set_stage(connection, HTTP_STAGE_BUSY);
	/* The body stays where it lies until the handler has read it. The connection is still there then: no handler
	 * runs the loop, and nothing else ends connections. */
	endpoint->handle(endpoint->context, &request, http_exchange_new(connection));
	evbuffer_drain(request_bytes, body_size);
}

static void server_refuse_method(struct http_connection *connection, const char *allow)
{
	char allow_field[80];

	snprintf(allow_field, sizeof allow_field, "Allow: %s\r\n", allow);
	server_refuse_request(connection, 405, allow_field, connection->server->only);
}

/* Whether it may be asked for anything at all; if not it is answered, or will be. */
static bool server_is_welcome(struct http_connection *connection)
{
	const struct http_server *server = connection->server;
	const struct http_request request = server_request_of(connection);
	char allow[64];
	int refusal_status;

	if (server_find_endpoint(server, connection->head.method, NULL, allow, sizeof allow) == NULL) {
		server_refuse_method(connection, allow);
		return false;
	}
	refusal_status = server->admits != NULL ? server->admits(server->admits_context, &request) : 0;
	if (refusal_status != 0) {
		snprintf(allow, sizeof allow, "%s\n", http_head_reason(refusal_status));
		server_refuse_request(connection, refusal_status, "", allow);
		return false;
	}
	return server_is_authorized(connection);
}

/* The body has its deadline as a whole, by its length, and may besides not stop on the way. */
static void server_await_body(struct http_connection *connection)
{
	const struct timeval *timeout = &connection->server->timeout;
	const struct timeval whole = { .tv_sec = timeout->tv_sec +
			(time_t)(connection->head.length / SERVER_BODY_PACE) };

	if (connection->head.expects)
		evbuffer_add_printf(bufferevent_get_output(connection->wire), "HTTP/1.1 100 Continue\r\n\r\n");
	event_add(connection->deadline, &whole);
	bufferevent_set_timeouts(connection->wire, timeout, timeout);
	server_await_bytes(connection, (size_t)connection->head.length);
	server_set_stage(connection, HTTP_STAGE_BODY);
	server_read_body(connection);
}

/* The head is whole: only now, and only for one who may call, the body is read. */
static void server_take_head(struct http_connection *connection)
{
	const struct http_head *head = &connection->head;
	char allow[64] = "";

	server_read_target(connection);
	if (!server_is_welcome(connection))
		return;
	connection->trusted = true;
	server_take_out(connection);
	server_put_last(connection);
	connection->endpoint = connection->path == NULL ?
		NULL :
		server_find_endpoint(connection->server, head->method, connection->path, allow, sizeof allow);
	if (connection->endpoint == NULL && allow[0] != '\0') {
		server_refuse_method(connection, allow);
	} else if (connection->endpoint == NULL) {
		server_refuse_request(connection, 404, "", "Not found\n");
	} else if (head->encoded) {
		server_refuse_request(connection, 411, "", "A Content-Length is needed\n");
	} else if (head->length > connection->endpoint->body_max) {
		server_refuse_request(connection, 413, "", "The request is too large\n");
	} else {
		server_await_body(connection);
	}
}

static void server_read_head(struct http_connection *connection)
{
	struct evbuffer *request_bytes = bufferevent_get_input(connection->wire);
	int head_result = HTTP_MORE;
	size_t head_line_size;
	char *head_line;

	while (head_result == HTTP_MORE &&
		(head_line = evbuffer_readln(request_bytes, &head_line_size, EVBUFFER_EOL_CRLF)) != NULL) {
		head_result = http_head_line(&connection->head, head_line, head_line_size);
		free(head_line);
	}
	if (head_result == HTTP_MORE && connection->head.size + evbuffer_get_length(request_bytes) > HTTP_HEAD_MAX)
		head_result = 431;
	if (head_result == HTTP_WHOLE)
		server_take_head(connection);
	else if (head_result != HTTP_MORE)
		server_refuse_request(connection, head_result, "", "Bad request\n");
}

/* --- what the loop tells of a connection --- */

static void server_on_read(struct bufferevent *wire, void *arg)
{
	struct http_connection *connection = arg;

	switch (connection->stage) {
	case HTTP_STAGE_HEAD:
		server_read_head(connection);
		break;
	case HTTP_STAGE_BODY:
		server_read_body(connection);
		break;
	case HTTP_STAGE_END:
		evbuffer_drain(bufferevent_get_input(wire), SIZE_MAX);
		break;
	case HTTP_STAGE_BUSY:
	case HTTP_STAGE_REFUSED:
	case HTTP_STAGE_STREAM:
	case HTTP_STAGE_ANSWER:
		break; /* the next request waits */
	}
}

/* Closing at once could take the answer from a client that is still sending: the system answers bytes that nobody reads
 * with a reset, and that drops what the client has not read yet. */
static void server_end_connection(struct http_connection *connection)
{
	if (connection->finished) {
		http_connection_free(connection);
		return;
	}
	shutdown(bufferevent_getfd(connection->wire), SHUT_WR);
	event_add(connection->deadline, &server_end_delay);
	server_await_bytes(connection, 0);
	server_set_stage(connection, HTTP_STAGE_END);
	evbuffer_drain(bufferevent_get_input(connection->wire), SIZE_MAX);
}

/* All that was to be sent has left. It may have been no more than a "100 Continue". */
static void server_on_write(struct bufferevent *wire, void *arg)
{
	struct http_connection *connection = arg;

	(void)wire;
	if (connection->stage != HTTP_STAGE_ANSWER)
		return;
	if (!connection->head.keep_alive) {
		server_end_connection(connection);
		return;
	}
	/* The next request may be here already, and then no byte comes that would tell of it; nor one that would end it
	 * if its sender has closed his side. */
	server_await_head(connection);
	server_read_head(connection);
	if (connection->finished && (connection->stage == HTTP_STAGE_HEAD || connection->stage == HTTP_STAGE_BODY))
		http_connection_free(connection);
}

/* Who has sent his last byte may still wait for an answer, unless the endpoint takes it for leaving. */
static void server_on_event(struct bufferevent *wire, short what, void *arg)
{
	struct http_connection *connection = arg;
	bool waits = (connection->stage == HTTP_STAGE_BUSY && !connection->endpoint->ends_at_eof) ||
		connection->stage == HTTP_STAGE_REFUSED || connection->stage == HTTP_STAGE_ANSWER;

	(void)wire;
	connection->finished = true;
	if (!(what & BEV_EVENT_EOF) || !waits)
		http_connection_free(connection);
	else
		event_active(connection->server->admit, EV_TIMEOUT, 0);
}

static void server_on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *connection = arg;

	(void)fd;
	(void)what;
	if (connection->stage == HTTP_STAGE_REFUSED)
		server_refuse_stranger(connection);
	else
		http_connection_free(connection);
}

static void http_connection_new(struct http_server *server, evutil_socket_t fd, const struct visitor *visitor)
{
	struct http_connection *connection = mem_calloc(1, sizeof *connection);

	connection->server = server;
	server_put_last(connection);
	server->count++;
	connection->visitor = *visitor;
	connection->wire = mem_check(bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE));
	connection->deadline = mem_check(evtimer_new(server->base, server_on_deadline, connection));
	bufferevent_setcb(connection->wire, server_on_read, server_on_write, server_on_event, connection);
	bufferevent_enable(connection->wire, EV_READ | EV_WRITE);
	server_await_head(connection);
}

/* With all places taken one comes in at a time: the doors close behind him, and server_on_admit opens them in the
 * loop's next turn. What those inside have sent is read in between, so nobody falls who has just shown his credentials.
 */
static void server_on_entered(void *context, evutil_socket_t fd, const struct sockaddr *from)
{
	struct http_server *server = context;
	const struct visitor visitor = visitor_of(from);
	const bool is_far = server->is_open && !visitor.is_local,
		   is_one_of_many = is_far && server_count_neighbours(server, &visitor) >= HTTP_PER_GROUP,
		   full = is_one_of_many || server->count >= server->most;
	struct http_connection *first = full ? server_find_expendable(server, is_one_of_many ? &visitor : NULL) : NULL;

	if (full && first == NULL && !is_far)
		first = server_find_remote(server);
	/* Some versions of libevent accept what was in the queue when the doors were closed. */
	if (full && first == NULL) {
		evutil_closesocket(fd);
		return;
	}
	if (first != NULL) {
		if (!first->trusted && !is_one_of_many && log_limit_allows(&server->full))
			log_warn("%s: all %zu connections are taken; the oldest that has asked for nothing yet, from "
				 "%s, is closed",
				server->name, server->most, first->visitor.host);
		http_connection_free(first);
	}
	http_connection_new(server, fd, &visitor);
	if (server->count >= server->most)
		listeners_set_open(server->doors, false);
}

/* --- starting and stopping --- */

static bool server_bind_all(struct http_server *server, const struct http_server_config *config, struct errmsg *err)
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
	server->name = config->name;
	server->fields = config->fields;
	server->only = config->only;
	server->put_refusal = config->put_refusal;
	server->is_open = config->is_open;
	server->admits = config->admits;
	server->admits_context = config->admits_context;
	server->endpoint_count = size_min(config->endpoint_count, HTTP_ENDPOINTS_MAX);
	for (size_t i = 0; i < server->endpoint_count; i++)
		server->endpoints[i] = config->endpoints[i];
	server->last = &server->connections;
	server->most = config->connections ? config->connections : descriptors_for_rpc(descriptors_raise(0));
	server->timeout.tv_sec = config->timeout ? config->timeout : HTTP_TIMEOUT;
	server->doors = listeners_new(base, server->name, server_on_entered, server);
	server->admit = mem_check(event_new(base, -1, 0, server_on_admit, server));
	/* The cookie comes last: that of a node which has the port already stays as it is. */
	if (!server_bind_all(server, config, err) ||
		(!server->is_open &&
			!credentials_init(&server->credentials, config->user, config->password, config->cookie_path,
				err))) {
		http_server_free(server);
		return NULL;
	}
	return server;
}

/* One that the endpoint still works on stays, without a server, until it answers. */
static void server_abandon_exchange(struct http_exchange *exchange)
{
	struct evbuffer *empty_body = mem_check(evbuffer_new());
	bool endpoint_works = exchange->timer == NULL;

	if (exchange->connection != NULL && !server_is_streaming(exchange))
		server_send_answer(exchange->connection, 503, "", empty_body);
	evbuffer_free(empty_body);
	if (endpoint_works)
		http_exchange_unlink(exchange);
	else
		http_exchange_free(exchange);
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
		server_abandon_exchange(server->exchanges);
	while (server->connections != NULL)
		http_connection_free(server->connections);
	listeners_free(server->doors);
	event_free(server->admit);
	credentials_clear(&server->credentials);
	free(server);
}
