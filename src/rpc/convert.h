/* From JSON values to what they mean: amounts, integers, hashes, bytes, text.
 *
 * Where a value is not what it should be, `error` says what is wrong with which argument (`name`), with Bitcoin Core's
 * code: RPC_TYPE_ERROR for another JSON type and for amounts, RPC_INVALID_PARAMETER for a bad form or range. Results
 * are then left alone. */
#ifndef ATELIER_RPC_CONVERT_H
#define ATELIER_RPC_CONVERT_H

#include "rpc/error.h"
#include "rpc/json.h"

/* An amount may be a number or a string, has at most 8 decimals, and is in 0..21 million coins. */
bool convert_amount(const json_t *json, const char *name, int64_t *units, struct rpc_error *error);

/* A number or a string with at most 8 decimals, in units of 10^-8. */
bool convert_decimal(const json_t *json, const char *name, int64_t *units, struct rpc_error *error);

/* A whole number below 2^64, or a string of its digits: clients that keep numbers as doubles damage those
 * above 2^53. */
bool convert_u64(const json_t *json, const char *name, uint64_t *out, struct rpc_error *error);

bool convert_int(const json_t *json, const char *name, int64_t min, int64_t max, int64_t *out, struct rpc_error *error);
bool convert_hash(const json_t *json, const char *name, uint8_t hash[32], struct rpc_error *error); /* reversed */
bool convert_key(const json_t *json, const char *name, uint8_t key[32], struct rpc_error *error);   /* in order */

/* Appends the bytes; at most max of them. */
bool convert_hex(const json_t *json, const char *name, size_t max, struct buf *out, struct rpc_error *error);

/* A string, or the original text of a number or of true and false: for labels, hexadecimal text and the like, which a
 * client may have taken for a number. Returns a new string, or NULL. */
char *convert_text(const json_t *json, const char *name, struct rpc_error *error);

#endif
