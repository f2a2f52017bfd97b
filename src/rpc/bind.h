/* From a call's "params" to the arguments of a method's table, checked and in one form each. Used by rpc/table.c. */
#ifndef ATELIER_RPC_BIND_H
#define ATELIER_RPC_BIND_H

#include "rpc/method.h"

/* values[i] belongs to args[i]: owned; NULL where it was left out without a fallback. RPC_TEXT, _HEX, _HASH and _KEY
 * are strings, RPC_AMOUNT, _DECIMAL, _INT and _VERBOSITY integers, RPC_BOOL a boolean, the others as they came. */
struct bound {
	json_t *values[RPC_ARGS_MAX];
};

enum bind_result {
	BIND_OK,
	BIND_WRONG, /* error says what */
	BIND_USAGE, /* too many arguments, or one missing: the caller shows how it is done */
};

/* params: an array, an object or NULL. bound needs bind_clear whatever the result. */
enum bind_result bind_params(struct bound *bound, const struct rpc_method *method, json_t *params,
	struct rpc_error *error);
void bind_clear(struct bound *bound);

/* How many arguments a method has. */
size_t bind_count(const struct rpc_method *method);

#endif
