/* Paths below /api/ and the calls of JSON-RPC that they stand for, so that the page, curl and RPC say the same thing
 * (doc/rest.md).
 *
 * Only calls that change nothing stand here, with those of their arguments that cost little. Pure: texts in, a call
 * out. */
#ifndef ATELIER_WEB_ROUTES_H
#define ATELIER_WEB_ROUTES_H

#include <stdbool.h>

#include "rpc/json.h"
#include "util/error.h"

enum route_flag {
	ROUTE_BLOCK = 1, /* the piece names a block, and may be its height */
	ROUTE_PEERS = 2, /* shows addresses of peers, which are for this machine's own users */
};

struct route {
	const char *path;   /* "tx/:txid": the last piece of the path is the argument of this name */
	const char *method; /* of JSON-RPC */
	const char *fixed;  /* further arguments, an object's text; NULL: none */
	const char *query;  /* names of arguments that the query may have, blanks round each; NULL: none */
	unsigned flags;     /* of enum route_flag */
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

/* All of them; ended by a path NULL. */
extern const struct route routes_all[];

#endif
