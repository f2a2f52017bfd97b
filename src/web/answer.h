/* Answers of the page's server: with a tag that tells whether a browser has the same already, and errors as JSON. */
#ifndef ATELIER_WEB_ANSWER_H
#define ATELIER_WEB_ANSWER_H

#include "http/server.h"
#include "rpc/json.h"
#include "util/buf.h"

#define ANSWER_JSON "application/json"

/* Answers a GET with 200 and a tag, or with 304 if `known`, the request's If-None-Match or NULL, has the tag of the
 * same body. The body is empty then. */
void answer_give(struct http_exchange *exchange, const char *known, const char *type, struct buf *body);

/* What a call of JSON-RPC came to: its result as a body (NULL: null); or, answered at once, {"error": error} with the
 * status that stands for its code. Both are borrowed. */
void answer_print(const json_t *result, struct buf *body);
void answer_error(struct http_exchange *exchange, const json_t *error);

/* {"error": {"code": status, "message": text}}, as an answer, and as the body of one. */
void answer_refuse(struct http_exchange *exchange, int status, const char *text);
void answer_put_refusal(int status, const char *text, struct buf *body);

#endif
