/* POST below /api/: what the page lets people do (doc/rest.md). The body is a JSON object, a call's arguments by name;
 * the answer is that of a GET.
 *
 * Work (executing again, text) everybody may have done who reaches the page, within limits: one thing at a time for a
 * group of addresses (http/visitor.h), ACTIONS_RUNNING in all. ACTIONS_WAITING more wait for their turns in the order
 * in which they came, ACTIONS_PER_GROUP of a group that is not of this machine; who comes then gets 429. What touches a
 * wallet is for who has the page's key (web/key.h), and is done at once. */
#ifndef ATELIER_WEB_ACTIONS_H
#define ATELIER_WEB_ACTIONS_H

#include "chain/chain.h"
#include "http/server.h"
#include "rpc/endpoint.h"
#include "rpc/table.h"
#include "web/key.h"

enum {
	ACTIONS_RUNNING = 4,
	ACTIONS_WAITING = 16,
	ACTIONS_PER_GROUP = 4,
	ACTIONS_TEXT_MAX = 2048,             /* bytes to be generated */
	ACTIONS_BODY_MAX = 128 << 10,        /* bytes */
	ACTIONS_KEY_BODY_MAX = RPC_BODY_MAX, /* with the key: what is contributed comes in it */
};

struct actions;

/* Both are borrowed, and the table outlives all calls that were begun. is_selling: texts have a price at the door
 * (web/door/door.h), and so are for who has the page's key here. */
struct actions *actions_new(struct rpc_table *table, const struct key *key, bool is_selling);
void actions_begin(struct actions *actions, struct chain *chain);
/* In two strokes, as the parts that do the work: close before them, after which nothing begins any more, and free when
 * the server is gone; who is at work then is answered in the void. */
void actions_close(struct actions *actions);
void actions_free(struct actions *actions);

/* 0, or the status to refuse a POST with by its head alone: 401 without the key where one is needed, 415 if the body
 * says that it is something else than JSON. */
int actions_judge(const struct actions *actions, const struct http_request *request);

/* Two endpoints: whose paths need the key, and whose do not. The context is the struct actions. */
bool actions_has_path(const char *path);
bool actions_has_key_path(const char *path);
void actions_handle(void *context, const struct http_request *request, struct http_exchange *exchange);

#endif
