/* JSON-RPC over HTTP: listens, checks who may, hands the body to the table (rpc/table.h) and sends its answer.
 *
 * Everybody may call who can read the cookie file (`.cookie`, mode 0600, `__cookie__:<64 digits>`, new at each start),
 * or who knows the user and password where they are set (then there is no cookie). POST to `/` or `/wallet/NAME`. Wrong
 * credentials are answered with 401 after a short delay. A body needs a Content-Length and may have RPC_BODY_MAX bytes,
 * of which none is read before the credentials.
 *
 * Strangers can fill neither memory nor the log, nor take all descriptors. A bounded number of connections is held;
 * when all places are taken the oldest that has shown no credentials is closed for the next, or else the oldest without
 * a request; and where all wait for answers, nobody is let in until one has his. Who has not sent the head of a request
 * in time is hung up on. */
#ifndef ATELIER_RPC_SERVER_H
#define ATELIER_RPC_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "rpc/table.h"
#include "util/error.h"

enum { RPC_TIMEOUT = 30 };                       /* seconds */
#define RPC_BODY_MAX ((32u << 20) + (64u << 10)) /* a blob of 16 MiB as hexadecimal text, and what surrounds it */

struct event_base;

struct rpc_server_config {
	const char *const *binds; /* addresses; an address may have a port of its own: "127.0.0.1:29432", "[::1]:1" */
	size_t bind_count;        /* 0: 127.0.0.1 and, where there is one, ::1 */
	uint16_t port;
	const char *user, *password; /* password NULL or "": cookie */
	const char *cookie_path;
	size_t connections; /* at most; 0: DESCRIPTORS_RPC, or an eighth of the descriptors if that is less */
	unsigned timeout;   /* seconds for the head of a request, or without a byte of its body; 0: RPC_TIMEOUT */
};

struct rpc_server;

/* Listens. Fails if an address cannot be bound or the cookie cannot be written; NULL then. The table is borrowed and
 * must be freed after the server. */
struct rpc_server *rpc_server_new(struct event_base *base, struct rpc_table *table,
	const struct rpc_server_config *config, struct errmsg *err);

/* The loop will not run any more: from now on answers are written at once, as far as the connection takes them. */
void rpc_server_close(struct rpc_server *server);

/* Stops listening and removes the cookie. Clients that still wait get 503; their requests must still be answered
 * (rpc_reply, rpc_fail), which then goes nowhere. */
void rpc_server_free(struct rpc_server *server);

#endif
