/* An HTTP/1.1 server: it listens, checks who may, reads requests, and sends the answers that its endpoints give, at
 * once or later. It knows nothing of what the bodies say.
 *
 * Who may: whoever its owner admits by the request's head, and who has credentials (http/credentials.h) if it asks for
 * some. Wrong credentials are answered with 401 after a short delay. A body needs a Content-Length, of which the
 * endpoint says how large it may be, and none of it is read before the credentials.
 *
 * Strangers can fill neither memory nor the log, nor take all descriptors. A bounded number of connections is held;
 * when all places are taken the oldest that has shown no credentials is closed for the next, or else the oldest without
 * a request; and where all wait for answers, nobody is let in until one has his. Who has not sent the head of a request
 * in time, or a body in a time that its length gives, is hung up on. Where no credentials are asked for, who has sent a
 * head counts as known, and gives way as the last while his body is not whole; but a group that is not of this machine
 * has at most HTTP_PER_GROUP places, among whom room is made as among all, and gives way to who is, whatever it waits
 * for.
 *
 * Everything is on the loop's thread. */
#ifndef ATELIER_HTTP_SERVER_H
#define ATELIER_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/head.h"
#include "http/visitor.h"
#include "util/buf.h"
#include "util/error.h"

enum { HTTP_TIMEOUT = 30 /* seconds */, HTTP_ENDPOINTS_MAX = 8, HTTP_PER_GROUP = 16 };

struct event_base;
struct http_server;

/* A request that was handed to the endpoint and has no answer yet. */
struct http_exchange;

/* What is asked. Borrowed: gone when the handler returns. */
struct http_request {
	const struct http_head *head;
	const char *path;  /* of the address, as it was sent: %20 is not decoded; "" where an address has none */
	const char *query; /* what follows its ?, as it was sent; "" where nothing does */
	const struct visitor *from;
	const char *body; /* not terminated */
	size_t size;
};

/* Who answers: the first of its method whose paths these are. */
struct http_endpoint {
	const char *method; /* "POST"; "GET" takes HEAD too, and its answer goes without the body then */
	bool (*has_path)(const char *path); /* what is no endpoint's path is answered with 404 */
	size_t body_max;                    /* bytes; more are answered with 413 */
	/* Answers exactly once, with http_server_answer: before it returns, or later from the loop's thread. It need
	 * not care whether the client is still there, or the server. */
	void (*handle)(void *context, const struct http_request *request, struct http_exchange *exchange);
	void *context;
	bool ends_at_eof; /* who closes his side, if only for sending, has left, and waits for no answer */
};

struct http_server_config {
	const char *name;         /* the log's word for it: "RPC" */
	const char *const *binds; /* addresses; an address may have a port of its own: "127.0.0.1:29432", "[::1]:1" */
	size_t bind_count;        /* 0: 127.0.0.1 and, where there is one, ::1 */
	uint16_t port;
	bool is_open;                /* nobody is asked for credentials, and there are no cookie and no password */
	const char *user, *password; /* password NULL or "": cookie */
	const char *cookie_path;
	size_t connections; /* at most; 0: DESCRIPTORS_RPC, or an eighth of the descriptors if that is less */
	unsigned timeout;   /* seconds for the head of a request, or without a byte of its body; 0: HTTP_TIMEOUT */
	const char *fields; /* lines of the head of every answer, each with its end; NULL: none. Borrowed */
	/* Looks at a head before anything else is done with it: 0, or the status to refuse it with. NULL admits all. */
	int (*admits)(void *context, const struct http_request *request);
	void *admits_context;
	const struct http_endpoint *endpoints; /* at most HTTP_ENDPOINTS_MAX; copied */
	size_t endpoint_count;
	const char *only; /* what is said to who comes with a method that no endpoint has. Borrowed */
	/* How a refusal is put to who asked for `target` (NULL: nobody knows), whose words are `text`, a line: appends
	 * the body, and gives its type. NULL: the text is the body. */
	const char *(*put_refusal)(const char *target, int status, const char *text, struct buf *body);
};

/* Listens. Fails if an address cannot be bound or the cookie cannot be written; NULL then. What the contexts point to
 * must outlive the server. */
struct http_server *http_server_new(struct event_base *base, const struct http_server_config *config,
	struct errmsg *err);

/* The answer to a request. */
struct http_answer {
	int status;
	const char *type;   /* Content-Type; NULL: none is named */
	const char *fields; /* further lines of the head, each with its end; NULL: none */
	struct buf body;
	void (*sent)(void *context); /* called a moment after the answer has been handed to the connection; may be NULL.
				      * Not called if the server is freed before */
	void *sent_context;
};

/* Ends an exchange, and takes the body: it is empty then. */
void http_server_answer(struct http_exchange *exchange, struct http_answer *answer);

/* An answer that comes piece by piece, with a head of this status, type and fields; body and sent of `answer` do not
 * count. Each piece goes off as it comes. A client that does not read costs no more than HTTP_STREAM_MAX bytes: if more
 * would wait for him, or none go for the server's timeout, he is hung up on. Not for HEAD.
 *
 * The exchange stays the endpoint's until http_server_end. False, of any of the first three: nobody hears it any more
 * (he has gone, was hung up on, or the server is no more), and http_server_end is due all the same. */
enum { HTTP_STREAM_MAX = 256 << 10 };
bool http_server_begin(struct http_exchange *exchange, const struct http_answer *answer);
bool http_server_push(struct http_exchange *exchange, const void *data, size_t size);
bool http_server_is_heard(const struct http_exchange *exchange);
void http_server_end(struct http_exchange *exchange);

/* The loop will not run any more: from now on answers are written at once, as far as the connection takes them. */
void http_server_close(struct http_server *server);

/* Stops listening and removes the cookie. Clients that still wait get 503; their exchanges must still be answered,
 * which then goes nowhere. NULL allowed. */
void http_server_free(struct http_server *server);

#endif
