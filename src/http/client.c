#include "http/client.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/mem.h"

/* What came of a call, filled by the callbacks. */
struct outcome {
	struct event_base *base;
	int status; /* 0: no answer */
	bool failed;
	enum evhttp_request_error failure;
	struct buf *out;
};

static void on_error(enum evhttp_request_error failure, void *arg)
{
	struct outcome *o = arg;

	o->failed = true;
	o->failure = failure;
}

static void on_done(struct evhttp_request *request, void *arg)
{
	struct outcome *o = arg;

	if (request != NULL && evhttp_request_get_response_code(request)) {
		struct evbuffer *body = evhttp_request_get_input_buffer(request);
		size_t size = evbuffer_get_length(body);

		o->status = evhttp_request_get_response_code(request);
		if (size)
			buf_put(o->out, evbuffer_pullup(body, -1), size);
	}
	event_base_loopbreak(o->base);
}

static char *path_of(const char *wallet)
{
	struct buf path;
	char *encoded;

	if (wallet == NULL)
		return mem_strdup("/");
	encoded = evhttp_uriencode(wallet, -1, 0);
	buf_init(&path);
	buf_put_text(&path, "/wallet/");
	buf_put_text(&path, encoded);
	free(encoded);
	return buf_take_text(&path);
}

static void add_headers(struct evhttp_request *request, const struct client_target *target)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	size_t size = strlen(target->credentials);
	char *text = mem_alloc(6 + BASE64_SIZE(size) + 1);

	memcpy(text, "Basic ", 6);
	base64_encode(text + 6, (const uint8_t *)target->credentials, size);
	evhttp_add_header(headers, "Host", target->host);
	evhttp_add_header(headers, "Connection", "close");
	evhttp_add_header(headers, "Content-Type", "application/json");
	evhttp_add_header(headers, "Authorization", text);
	free(text);
}

static enum client_result judge(const struct outcome *o, const struct client_target *target, struct errmsg *err)
{
	if (o->status == 401) {
		errmsg_set(err, "%s port %u refuses these credentials", target->host, target->port);
		return CLIENT_FAILED;
	}
	if (o->status)
		return CLIENT_OK;
	if (!o->failed) {
		errmsg_set(err, "Nobody answers at %s port %u", target->host, target->port);
		return CLIENT_UNREACHABLE;
	}
	if (o->failure == EVREQ_HTTP_TIMEOUT)
		errmsg_set(err, "%s port %u does not answer in time", target->host, target->port);
	else
		errmsg_set(err, "%s port %u hung up without an answer", target->host, target->port);
	return CLIENT_FAILED;
}

enum client_result client_call(const struct client_target *target, const void *body, size_t size, int *status,
	struct buf *out, struct errmsg *err)
{
	struct outcome o = { event_base_new(), 0, false, EVREQ_HTTP_TIMEOUT, out };
	struct evhttp_connection *connection = evhttp_connection_base_new(o.base, NULL, target->host, target->port);
	struct evhttp_request *request = evhttp_request_new(on_done, &o);
	char *path = path_of(target->wallet);
	enum client_result result;

	evhttp_request_set_error_cb(request, on_error);
	add_headers(request, target);
	evbuffer_add(evhttp_request_get_output_buffer(request), body, size);
	evhttp_connection_set_timeout(connection, target->timeout ? (int)target->timeout : -1);
	/* The connection owns the request from here on. */
	if (evhttp_make_request(connection, request, EVHTTP_REQ_POST, path) == 0)
		event_base_dispatch(o.base);
	result = judge(&o, target, err);
	*status = o.status;
	free(path);
	evhttp_connection_free(connection);
	event_base_free(o.base);
	return result;
}
