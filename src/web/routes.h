/* Paths below /api/ and the calls of JSON-RPC that they stand for, so that the page, curl and RPC say the same thing
 * (doc/rest.md).
 *
 * What is asked for by GET changes nothing, and its arguments are those that cost little. Actions are posted. Pure:
 * texts in, a call out. */
#ifndef ATELIER_WEB_ROUTES_H
#define ATELIER_WEB_ROUTES_H

#include <stdbool.h>

#include "rpc/json.h"
#include "util/error.h"

enum route_flag {
	ROUTE_BLOCK = 1, /* the piece names a block, and may be its height */
	ROUTE_PEERS = 2, /* shows addresses of peers, which are for this machine's own users */
	ROUTE_CHAIN = 8, /* what it tells follows from the active chain and verdicts over blocks alone */
	ROUTE_KEY = 4,   /* of an action: it touches a wallet, and is for who has the page's key */
	ROUTE_SOLD = 16, /* of an action: it tells what the model writes, which costs with -price */
};

struct route {
	const char *path;   /* "tx/:txid": the last piece of the path is the argument of this name */
	const char *method; /* of JSON-RPC */
	const char *fixed;  /* further arguments, an object's text; NULL: none */
	const char
		*query; /* names of arguments that the query, or an action's body, may have, blanks round each; NULL */
	unsigned flags; /* of enum route_flag */
};

enum routes_result {
	ROUTES_FOUND,
	ROUTES_NONE,  /* there is no such path */
	ROUTES_WRONG, /* err says what is wrong with piece or query */
};

/* The route of a path (what follows "/api/") and a query, and the call's arguments by name: a new object, in FOUND
 * alone. */
enum routes_result routes_read(const char *path, const char *query, const struct route **route, json_t **params,
	struct errmsg *err);

/* The height that a block's name is, if it is one. */
bool routes_height(const json_t *name, uint32_t *height);

/* What may be posted: the action of this path, or NULL; and its arguments out of a body: a new object, or NULL with the
 * reason. */
const struct route *routes_find_action(const char *path);
json_t *routes_read_body(const struct route *action, const char *body, size_t size, struct errmsg *err);

#endif
