/* The door: the model for programs, as clients of OpenAI's API ask for it (doc/api.md).
 *
 *     GET  /v1/models, /v1/models/NAME
 *     POST /v1/completions, /v1/chat/completions
 *
 * Tokens are bytes. Texts are exact, so a seed gives the same text again; with "receipt": true each comes with what the
 * node signs. Who may: web/door/apikeys.h. Requests wait for the writer in the order in which they came; there are
 * DOOR_REQUESTS at most, DOOR_REQUESTS_EACH of one key, and who comes then gets 429. A client that has gone
 * ends its texts. */
#ifndef ATELIER_WEB_DOOR_DOOR_H
#define ATELIER_WEB_DOOR_DOOR_H

#include "calls/calls.h"
#include "http/server.h"
#include "web/door/apikeys.h"

enum { DOOR_REQUESTS = 24, DOOR_REQUESTS_EACH = 4, DOOR_BODY_MAX = 512 << 10 };

struct door;

/* The keys are borrowed. */
struct door *door_new(struct apikeys *apikeys);
/* The chain is open: chain, settings and writer of the parts, which outlive the door. */
void door_begin(struct door *door, const struct calls_parts *parts);
/* When the writer is closed: nothing is under way any more. */
void door_free(struct door *door);

/* An endpoint of each method; its context is the door. */
bool door_has_path(const char *path);
void door_handle(void *context, const struct http_request *request, struct http_exchange *exchange);

#endif
