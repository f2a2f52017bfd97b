/* The door: the model for programs, as clients of OpenAI's API ask for it (doc/api.md).
 *
 *     GET  /v1/models, /v1/models/NAME
 *     POST /v1/completions, /v1/chat/completions
 *
 * Tokens are bytes. Texts are exact, so a seed gives the same text again; with "receipt": true each comes with what the
 * node signs. Who may: web/door/apikeys.h. As many texts are with the writer as it writes at a time, three quarters of
 * that of one guest (a key, or an address) at most; of the others that wait the next is one of the guest who has least
 * there. So nobody keeps others waiting by asking much. DOOR_REQUESTS are here at most, DOOR_REQUESTS_EACH of one key,
 * DOOR_REQUESTS_LOCAL of this machine's programs while they need none; who comes then gets 429. A client that has gone
 * ends its texts. */
#ifndef ATELIER_WEB_DOOR_DOOR_H
#define ATELIER_WEB_DOOR_DOOR_H

#include "calls/calls.h"
#include "http/server.h"
#include "web/door/apikeys.h"

enum { DOOR_REQUESTS = 320, DOOR_REQUESTS_EACH = 64, DOOR_REQUESTS_LOCAL = 256, DOOR_BODY_MAX = 512 << 10 };

struct door;
struct event_base;

/* Adds getdoorinfo to the table. It and the keys are borrowed, and outlive the door. */
struct door *door_new(struct event_base *base, struct rpc_table *table, struct apikeys *apikeys);
/* The chain is open: chain, settings and writer of the parts, which outlive the door. */
void door_begin(struct door *door, const struct calls_parts *parts);
/* In two strokes: before the writer is closed, after which nothing is begun; and then, when nothing is under way. */
void door_close(struct door *door);
void door_free(struct door *door);

/* 0, or the status to refuse a POST with by its head alone: 401 for who may not have texts, so that no body of his is
 * waited for or read. */
int door_judge(struct door *door, const struct http_request *request);
/* What was refused by its head, as clients read it. */
void door_put_refusal(int status, const char *text, struct buf *body);

/* An endpoint of each method; its context is the door. */
bool door_has_path(const char *path);
void door_handle(void *context, const struct http_request *request, struct http_exchange *exchange);

#endif
