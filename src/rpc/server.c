#include "rpc/server.h"

#include "util/bytes.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEADERS_MAX 8192
#define TIMEOUT_SECONDS 30
#define WALLET_NAME_MAX 128

static const struct timeval refusal_delay = {0, 250000};
static const struct timeval sent_delay = {0, 100000};

/* One HTTP request that is being answered. */
struct exchange {
	struct rpc_server *server; /* NULL once that is gone */
	struct evhttp_request *http; /* NULL once it has been answered */
	struct event *timer;
	rpc_sent *sent;
	void *sent_context;
	struct exchange *next, **link; /* the server's list */
};

struct rpc_server {
	struct event_base *base;
	struct evhttp *http;
	struct rpc_table *table;
	char *authorization; /* what the client's header must say */
	char *cookie_path;   /* NULL: no cookie was written */
	struct exchange *exchanges;
	bool closing;        /* answers are written at once */
};

/* Exchanges */

static struct exchange *exchange_new(struct rpc_server *server, struct evhttp_request *http)
{
	struct exchange *e = mem_calloc(1, sizeof *e);

	e->server = server;
	e->http = http;
	e->next = server->exchanges;
	e->link = &server->exchanges;
	if (e->next)
		e->next->link = &e->next;
	server->exchanges = e;
	return e;
}

static void exchange_unlink(struct exchange *e)
{
	if (e->server == NULL)
		return;
	*e->link = e->next;
	if (e->next)
		e->next->link = e->link;
	e->server = NULL;
}

static void exchange_free(struct exchange *e)
{
	exchange_unlink(e);
	if (e->timer)
		event_free(e->timer);
	free(e);
}

/* Writes what the loop would write, were it still running. */
static void flush(struct evhttp_connection *connection)
{
	struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
	struct evbuffer *out = bufferevent_get_output(stream);

	evbuffer_unfreeze(out, 1);
	evbuffer_write(out, bufferevent_getfd(stream));
	evbuffer_freeze(out, 1);
}

/* The connection may be gone by now: libevent then only releases the request. */
static void send_answer(struct exchange *e, int status, struct evbuffer *body)
{
	struct evhttp_request *http = e->http;
	struct evhttp_connection *connection;

	e->http = NULL;
	if (e->server && e->server->closing)
		evhttp_add_header(evhttp_request_get_output_headers(http), "Connection", "close");
	connection = evhttp_request_get_connection(http);
	evhttp_send_reply(http, status, NULL, body);
	if (e->server && e->server->closing && connection)
		flush(connection);
}

static void send_text(struct exchange *e, int status, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(evhttp_request_get_output_headers(e->http), "Content-Type", "text/plain");
	evbuffer_add(body, text, strlen(text));
	send_answer(e, status, body);
	evbuffer_free(body);
	exchange_free(e);
}

static void set_timer(struct exchange *e, event_callback_fn callback, const struct timeval *delay)
{
	e->timer = evtimer_new(e->server->base, callback, e);
	evtimer_add(e->timer, delay);
}

/* Answers from the table */

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

static void on_answer(void *context, struct rpc_answer *answer)
{
	struct exchange *e = context;
	struct evbuffer *body;

	if (e->server == NULL) {
		buf_clear(&answer->body);
		exchange_free(e);
		return;
	}
	body = evbuffer_new();
	if (answer->body.size) {
		evbuffer_add_reference(body, answer->body.data, answer->body.size, release_body, NULL);
		buf_init(&answer->body);
		evhttp_add_header(evhttp_request_get_output_headers(e->http), "Content-Type", "application/json");
	}
	buf_clear(&answer->body);
	send_answer(e, answer->status, body);
	evbuffer_free(body);
	if (answer->sent == NULL) {
		exchange_free(e);
		return;
	}
	e->sent = answer->sent;
	e->sent_context = answer->sent_context;
	set_timer(e, after_sent, &sent_delay);
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

static void refuse(struct exchange *e)
{
	evhttp_add_header(evhttp_request_get_output_headers(e->http), "WWW-Authenticate", "Basic realm=\"jsonrpc\"");
	send_text(e, 401, "Unauthorized\n");
}

static void refuse_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	refuse(arg);
}

static bool authorized(struct exchange *e)
{
	const char *given = evhttp_find_header(evhttp_request_get_input_headers(e->http), "Authorization");
	char *host = NULL;
	ev_uint16_t port = 0;

	if (given && same_text(given, e->server->authorization))
		return true;
	if (given == NULL) {
		refuse(e);
		return false;
	}
	evhttp_connection_get_peer(evhttp_request_get_connection(e->http), &host, &port);
	log_warn("RPC: wrong credentials from %s", host ? host : "?");
	/* Whoever guesses shall not guess fast. */
	set_timer(e, refuse_later, &refusal_delay);
	return false;
}

/* The wallet's name out of /wallet/NAME; "" for the plain address. A new string, or NULL if it is another address. */
static char *wallet_of(struct evhttp_request *http)
{
	static const char prefix[] = "/wallet/";
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(http));
	char *name, *copy = NULL;
	size_t size;

	if (path == NULL || *path == 0 || strcmp(path, "/") == 0)
		return mem_strdup("");
	if (strncmp(path, prefix, sizeof prefix - 1) != 0)
		return NULL;
	name = evhttp_uridecode(path + sizeof prefix - 1, 0, &size);
	if (name && size <= WALLET_NAME_MAX && strlen(name) == size)
		copy = mem_strdup(name);
	free(name);
	return copy;
}

static void on_request(struct evhttp_request *http, void *arg)
{
	struct rpc_server *server = arg;
	struct exchange *e = exchange_new(server, http);
	struct evbuffer *body = evhttp_request_get_input_buffer(http);
	size_t size = evbuffer_get_length(body);
	char *wallet;

	if (evhttp_request_get_command(http) != EVHTTP_REQ_POST) {
		evhttp_add_header(evhttp_request_get_output_headers(http), "Allow", "POST");
		send_text(e, 405, "The JSON-RPC server takes POST requests only\n");
		return;
	}
	if (!authorized(e))
		return;
	wallet = wallet_of(http);
	if (wallet == NULL) {
		send_text(e, 404, "Not found\n");
		return;
	}
	rpc_table_execute(server->table, (const char *)(size ? evbuffer_pullup(body, -1) : NULL), size,
			  *wallet ? wallet : NULL, on_answer, e);
	free(wallet);
}

/* Starting and stopping */

static bool bind_one(struct rpc_server *server, const char *host, uint16_t port, struct errmsg *err)
{
	struct sockaddr_storage address;
	int size = sizeof address;
	char text[64];
	const void *ip;

	if (evutil_parse_sockaddr_port(host, (struct sockaddr *)&address, &size) != 0)
		return errmsg_set(err, "%s is no address that RPC can be bound to", host);
	if (address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;

		ip = &in6->sin6_addr;
		port = in6->sin6_port ? ntohs(in6->sin6_port) : port;
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&address;

		ip = &in->sin_addr;
		port = in->sin_port ? ntohs(in->sin_port) : port;
	}
	evutil_inet_ntop(address.ss_family, ip, text, sizeof text);
	if (evhttp_bind_socket_with_handle(server->http, text, port) == NULL)
		return errmsg_set(err, "RPC cannot be bound to %s port %u: %s", text, port, strerror(errno));
	log_info("RPC listens at %s port %u", text, port);
	return true;
}

static bool bind_all(struct rpc_server *server, const struct rpc_server_config *config, struct errmsg *err)
{
	struct errmsg reason;

	for (size_t i = 0; i < config->bind_count; i++)
		if (!bind_one(server, config->binds[i], config->port, err))
			return false;
	if (config->bind_count)
		return true;
	if (!bind_one(server, "127.0.0.1", config->port, err))
		return false;
	/* A machine may have no IPv6. */
	if (!bind_one(server, "::1", config->port, &reason))
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
	set_authorization(server, config->user ? config->user : "", config->password);
	return true;
}

struct rpc_server *rpc_server_new(struct event_base *base, struct rpc_table *table,
				  const struct rpc_server_config *config, struct errmsg *err)
{
	struct rpc_server *server = mem_calloc(1, sizeof *server);

	server->base = base;
	server->table = table;
	server->http = evhttp_new(base);
	evhttp_set_max_headers_size(server->http, HEADERS_MAX);
	evhttp_set_max_body_size(server->http, RPC_BODY_MAX);
	evhttp_set_timeout(server->http, TIMEOUT_SECONDS);
	evhttp_set_gencb(server->http, on_request, server);
	if (!start(server, config, err)) {
		rpc_server_free(server);
		return NULL;
	}
	return server;
}

/* Those the table still works on stay, without a server, until it answers. */
static void abandon(struct exchange *e)
{
	bool waiting = e->timer == NULL;

	if (e->http)
		send_answer(e, 503, NULL);
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
	while (server->exchanges)
		abandon(server->exchanges);
	evhttp_free(server->http);
	if (server->cookie_path)
		file_remove(server->cookie_path, NULL);
	free(server->cookie_path);
	free(server->authorization);
	free(server);
}
