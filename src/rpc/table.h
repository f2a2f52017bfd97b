/* The table of all RPC methods, and the way of a JSON-RPC text through it: parse, find the method, check the arguments,
 * call, print the answer. Knows nothing of HTTP but its status codes.
 *
 * JSON-RPC 1.0 (no "jsonrpc" field: Bitcoin Core's legacy form), 2.0 and batches of both, at most RPC_BATCH_MAX calls.
 * "params" is an array, or an object with the arguments' names; there "args" may hold the first ones in order.
 * The table has `help` and `uptime` itself. Everything here runs on the loop's thread. */
#ifndef ATELIER_RPC_TABLE_H
#define ATELIER_RPC_TABLE_H

#include <stddef.h>

#include "rpc/method.h"

#define RPC_BATCH_MAX 1000

struct rpc_table;

struct rpc_table *rpc_table_new(void);
void rpc_table_free(struct rpc_table *table); /* all requests must have been answered */

/* Adds methods; they and all they point to are borrowed. context is given to their handlers. */
void rpc_table_add(struct rpc_table *table, const struct rpc_method *methods, size_t count, void *context);

/* While what is not NULL every call but those with RPC_EARLY fails with RPC_IN_WARMUP and this text (copied). */
void rpc_table_set_warmup(struct rpc_table *table, const char *what);

/* The answer to a text. body is empty (size 0) with status 204: nothing but notifications. sent may be NULL. */
struct rpc_answer {
	int status; /* of HTTP */
	struct buf body;
	rpc_sent *sent; /* to be called when the answer has left */
	void *sent_context;
};

/* Takes the answer: answered must buf_clear the body. Called exactly once, perhaps before rpc_table_execute returns. */
typedef void rpc_answered(void *context, struct rpc_answer *answer);

/* Executes a request's text. wallet may be NULL. */
void rpc_table_execute(struct rpc_table *table, const char *text, size_t size, const char *wallet,
	rpc_answered *answered, void *context);

/* The same for one method, called from within: its result, or an error {"code", "message"}; both are borrowed, and of
 * both NULL the result is null. params (an array, an object, NULL) is borrowed. What the method wants to be told of an
 * answer that was sent (rpc_on_sent) it is not told. */
typedef void rpc_called(void *context, const json_t *result, const json_t *error);
void rpc_table_call(struct rpc_table *table, const char *method, json_t *params, const char *wallet, rpc_called *called,
	void *context);

#endif
