/* RPC methods: what a floor writes to offer its calls.
 *
 *     static const struct rpc_arg getblockhash_args[] = {
 *             {.name = "height", .type = RPC_INT, .max = UINT32_MAX, .help = "Height on the active chain."},
 *             {0},
 *     };
 *
 *     static enum rpc_outcome getblockhash(struct rpc_request *r, void *context)
 *     {
 *             ...
 *             if (entry == NULL)
 *                     return rpc_fail(r, RPC_INVALID_PARAMETER, "Block height out of range");
 *             return rpc_reply(r, json_hash(entry->id));
 *     }
 *
 *     {"getblockhash", "Blockchain", getblockhash, getblockhash_args, "Gives the id of ...", "\"hex\"  (string) ...",
 *      "1000", 0},
 *
 * Before a handler is called its arguments have been checked against the table: number, type, form, range. So the
 * getters cannot fail; asking for a name that the table lacks, or with the wrong getter, ends the process.
 *
 * A handler answers exactly once, with rpc_reply or rpc_fail: before it returns (`return rpc_reply(...)`), or later,
 * from the loop's thread, after it has returned RPC_PENDING. It need not care whether the client is still there. The
 * request with everything borrowed from it is gone when the answer has been given. Every request must have been
 * answered before the table is freed; jobs that are cancelled at shut-down answer with rpc_fail. */
#ifndef ATELIER_RPC_METHOD_H
#define ATELIER_RPC_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/convert.h"
#include "rpc/error.h"
#include "rpc/json.h"

enum rpc_type {
	RPC_TEXT,      /* a string; a number or a bool gives its text                        rpc_text */
	RPC_BYTES,     /* the same, but bytes 0 may be among it                              rpc_bytes */
	RPC_HEX,       /* any whole number of bytes                                          rpc_hex */
	RPC_HASH,      /* 64 digits, shown reversed                                          rpc_hash */
	RPC_KEY,       /* 64 digits, in order                                                rpc_key */
	RPC_AMOUNT,    /* coins, number or string, 0..21 million, exact                      rpc_int: base units */
	RPC_DECIMAL,   /* a number or string with at most 8 decimals; min and max in 10^-8   rpc_int: in 10^-8 */
	RPC_INT,       /* an integer in min..max                                             rpc_int */
	RPC_U64,       /* a whole number below 2^64, or a string of its digits                rpc_u64 */
	RPC_BOOL,      /*                                                                    rpc_bool */
	RPC_VERBOSITY, /* an integer in 0..max, or false and true for 0 and 1                rpc_int */
	RPC_ARRAY,     /*                                                                    rpc_json */
	RPC_OBJECT,    /*                                                                    rpc_json */
	RPC_ANY,       /* whatever the handler accepts                                       rpc_json */
};

struct rpc_arg {
	const char *name; /* NULL ends the table */
	enum rpc_type type;
	bool optional;        /* may be left out, or be null */
	const char *fallback; /* JSON text of what an argument that is left out is taken for, such as "1" or "\"a\"";
			       * implies optional; NULL: then rpc_has is false and getters give 0, false, NULL, "" */
	int64_t min, max;     /* for numbers; both 0: no limits. For texts and RPC_HEX: max bytes, 0 for no limit */
	const char *help;
};

#define RPC_ARGS_MAX 16

struct rpc_request;

enum rpc_outcome { RPC_DONE, RPC_PENDING };

typedef enum rpc_outcome rpc_handler(struct rpc_request *request, void *context);

enum rpc_method_flag {
	RPC_EARLY = 1,  /* may be called while the node still starts */
	RPC_HIDDEN = 2, /* `help` does not list it */
};

struct rpc_method {
	const char *name, *category; /* `help` groups by category */
	rpc_handler *handler;
	const struct rpc_arg *args; /* NULL: none */
	const char *help;           /* what it does; full sentences, wrapped when printed */
	const char *result;         /* what it answers; printed line by line; NULL: null */
	const char *example;        /* arguments as for atelier-cli, or NULL: none */
	unsigned flags;             /* of enum rpc_method_flag */
};

/* Answers, and takes the reference of result (NULL: null). Returns RPC_DONE. */
enum rpc_outcome rpc_reply(struct rpc_request *request, json_t *result);
enum rpc_outcome rpc_fail(struct rpc_request *request, enum rpc_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum rpc_outcome rpc_fail_with(struct rpc_request *request, const struct rpc_error *error);

/* Was the argument given, or has it a fallback? */
bool rpc_has(const struct rpc_request *request, const char *name);

/* Getters; strings and values are borrowed from the request. */
const char *rpc_text(const struct rpc_request *request, const char *name); /* NULL if not rpc_has */
const char *rpc_bytes(const struct rpc_request *request, const char *name, size_t *size);
int64_t rpc_int(const struct rpc_request *request, const char *name);
uint64_t rpc_u64(const struct rpc_request *request, const char *name);
bool rpc_bool(const struct rpc_request *request, const char *name);
void rpc_hash(const struct rpc_request *request, const char *name, uint8_t hash[32]);
void rpc_key(const struct rpc_request *request, const char *name, uint8_t key[32]);
void rpc_hex(const struct rpc_request *request, const char *name, struct buf *out); /* appends */
json_t *rpc_json(const struct rpc_request *request, const char *name);              /* NULL if not rpc_has */

/* The wallet that the client named in the address (/wallet/NAME), or NULL. Borrowed. */
const char *rpc_wallet(const struct rpc_request *request);

/* Calls back a moment after the answer has been handed to the client's connection: for `stop`. Not called if the server
 * is freed before. */
typedef void rpc_sent(void *context);
void rpc_on_sent(struct rpc_request *request, rpc_sent *sent, void *context);

#endif
