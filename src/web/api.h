/* /api/: GET a path, and get what the call of JSON-RPC answers that it stands for (web/routes.h).
 *
 * The body is the call's result alone, or {"error": {"code", "message"}} with a status of 400 or more. */
#ifndef ATELIER_WEB_API_H
#define ATELIER_WEB_API_H

#include "chain/chain.h"
#include "http/server.h"
#include "rpc/table.h"

enum { API_FAR_MAX = 4 << 20 }; /* bytes of an answer to who is not on this machine */

struct api;

/* The table is borrowed, and outlives all calls that were begun. Answers are kept (web/cache.h): those that follow from
 * the active chain alone (ROUTE_CHAIN) until it changes, others until the chain tells anything, a second at most.
 *
 * Who is not on this machine gets answers of API_FAR_MAX bytes, and 429 while such as he have taken more of the loop's
 * time than they may (web/budget.h). */
struct api *api_new(struct rpc_table *table);
/* The chain is open, and outlives the api: until then the table lets no call through. */
void api_begin(struct api *api, struct chain *chain);
/* Something has changed that the chain does not tell: only what follows from the active chain is still true. */
void api_forget(struct api *api);
void api_free(struct api *api); /* after the server */

bool api_has_path(const char *path);
const char *api_name_of(const char *path); /* what follows "/api/", of such a path */

/* Puts a block's id in the place of its height, where "blockhash" among a call's arguments is one. False: the active
 * chain has none there. chain may be NULL. */
bool api_resolve_block(const struct chain *chain, json_t *params);

/* Handler of an endpoint; its context is the struct api. */
void api_handle(void *context, const struct http_request *request, struct http_exchange *exchange);

#endif
