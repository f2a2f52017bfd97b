/* JSON-RPC's place on the HTTP server: a POST to `/`, or to `/wallet/NAME` for the calls of a wallet, is handed to the
 * table (rpc/table.h), and its answer sent. */
#ifndef ATELIER_RPC_ENDPOINT_H
#define ATELIER_RPC_ENDPOINT_H

#include "http/server.h"
#include "rpc/table.h"

#define RPC_BODY_MAX ((32u << 20) + (64u << 10)) /* a blob of 16 MiB as hexadecimal text, and what surrounds it */
#define RPC_CONTENT_TYPE "application/json"

/* The table is borrowed, and must be freed after the server. */
struct http_endpoint endpoint_of(struct rpc_table *table);

#define RPC_POST_ONLY "The JSON-RPC server takes POST requests only\n"

/* The path for a wallet's calls; NULL: of all others. A new string. */
char *endpoint_path(const char *wallet);

#endif
