/* One request over libevent's HTTP client, on a loop of its own. */
#include "http/client.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>

#include "http/credentials.h"
#include "util/mem.h"

/* What came of a call, filled by the callbacks. */
struct client_reply {
	struct event_base *base;
	int status; /* 0: no answer */
	bool failed;
	enum evhttp_request_error failure;
	struct buf *out;
};

static void client_on_error(enum evhttp_request_error failure, void *arg)
{
	struct client_reply *reply = arg;

	reply->failed = true;
	reply->failure = failure;
}

static void client_on_done(struct evhttp_request *request, void *arg)
{
	struct client_reply *reply = arg;

	if (request != NULL && evhttp_request_get_response_code(request)) {
		struct evbuffer *body = evhttp_request_get_input_buffer(request);
		size_t size = evbuffer_get_length(body);

		reply->status = evhttp_request_get_response_code(request);
		if (size)
			buf_put(reply->out, evbuffer_pullup(body, -1), size);
	}
	event_base_loopbreak(reply->base);
}

static void client_add_headers(struct evhttp_request *request, const struct client_target *target)
{
	struct evkeyvalq *reply_headers = evhttp_request_get_output_headers(request);
	char *authorization = credentials_field(target->credentials);

	evhttp_add_header(reply_headers, "Host", target->host);
	evhttp_add_header(reply_headers, "Connection", "close");
	evhttp_add_header(reply_headers, "Content-Type", target->type);
	evhttp_add_header(reply_headers, "Authorization", authorization);
	free(authorization);
}

static enum client_result client_judge_reply(const struct client_reply *reply, const struct client_target *target,
	struct errmsg *err)
{
	if (reply->status == 401) {
		errmsg_set(err, "%s port %u refuses these credentials", target->host, target->port);
		return CLIENT_FAILED;
	}
	/* Any other status has an answer in its body. */
	if (reply->status)
		return CLIENT_OK;
	/* libevent tells of an error only once there is a connection. */
	if (!reply->failed) {
		errmsg_set(err, "Nobody answers at %s port %u", target->host, target->port);
		return CLIENT_UNREACHABLE;
	}
	if (reply->failure == EVREQ_HTTP_TIMEOUT)
		errmsg_set(err, "%s port %u does not answer in time", target->host, target->port);
	else
		errmsg_set(err, "%s port %u hung up without an answer", target->host, target->port);
	return CLIENT_FAILED;
}

enum client_result client_call(const struct client_target *target, const void *body, size_t size, int *status,
	struct buf *out, struct errmsg *err)
{
	struct client_reply reply = { mem_check(event_base_new()), 0, false, EVREQ_HTTP_TIMEOUT, out };
	struct evhttp_connection *client_connection = mem_check(
		evhttp_connection_base_new(reply.base, NULL, target->host, target->port));
	struct evhttp_request *client_request = mem_check(evhttp_request_new(client_on_done, &reply));
	enum client_result call_result;

	evhttp_request_set_error_cb(client_request, client_on_error);
	client_add_headers(client_request, target);
	evbuffer_add(evhttp_request_get_output_buffer(client_request), body, size);
	evhttp_connection_set_timeout(client_connection, target->timeout ? (int)target->timeout : -1);
	/* The connection owns the request from here on. */
	if (evhttp_make_request(client_connection, client_request, EVHTTP_REQ_POST, target->path) == 0)
		event_base_dispatch(reply.base);
	call_result = client_judge_reply(&reply, target, err);
	*status = reply.status;
	evhttp_connection_free(client_connection);
	event_base_free(reply.base);
	return call_result;
}
