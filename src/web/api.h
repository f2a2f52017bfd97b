/* /api/: GET a path, and get what the call of JSON-RPC answers that it stands for (web/routes.h).
 *
 * The body is the call's result alone, or {"error": {"code", "message"}} with a status of 400 or more. */
#ifndef ATELIER_WEB_API_H
#define ATELIER_WEB_API_H

#include "chain/chain.h"
#include "http/server.h"
#include "rpc/table.h"

struct api {
	struct rpc_table *table; /* borrowed; outlives all calls that were begun */
	struct chain *chain;     /* NULL while it is being opened: the table lets no call through then */
};

bool api_has_path(const char *path);
const char *api_name_of(const char *path); /* what follows "/api/", of such a path */

/* Puts a block's id in the place of its height, where "blockhash" among a call's arguments is one. False: the active
 * chain has none there. chain may be NULL. */
bool api_resolve_block(const struct chain *chain, json_t *params);

/* Handler of an endpoint; its context is the struct api. */
void api_handle(void *context, const struct http_request *request, struct http_exchange *exchange);

#endif
