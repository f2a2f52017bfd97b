/* JSON with exact numbers, on jansson's values.
 *
 * jansson keeps a number that is no 64-bit integer as a double, which damages amounts and long digit strings. So
 * parsing and printing are done here. A number that is an integer in its shortest form and fits int64_t is a jansson
 * integer; every other number is a *decimal*: a jansson string that starts with the byte 0xff (which no valid UTF-8
 * text contains, so nobody can smuggle one in) followed by the number's text. Only this module knows that; use
 * json_decimal to make one and json_number_text to read one. A jansson real may be printed, with 16 digits; parsing
 * never makes one. Everything else is jansson's: json_object_get, json_array_append_new, json_pack, ...
 *
 * "Returns a new value" means that the caller owns the reference. Converters say in `error` what was wrong with which
 * argument (`name`), with Bitcoin Core's code. */
#ifndef ATELIER_RPC_JSON_H
#define ATELIER_RPC_JSON_H

#include "rpc/error.h"
#include "util/buf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 128
#define JSON_VALUES_MAX 1000000 /* in one text: bounds the memory that a text of many small values takes */

/* Parses a whole text (RFC 8259, strictly: UTF-8, no duplicate keys, no \u0000). Returns a new value, or NULL. */
json_t *json_parse(const char *text, size_t size, struct errmsg *err);

/* Appends the value's text. indent 0: one line, without blanks; else that many blanks a level. Keys keep their order. */
void json_print(const json_t *value, unsigned indent, struct buf *out);

/* New values. */
json_t *json_amount(int64_t units);                       /* exact coins with 8 decimals: 50.00000000 */
json_t *json_decimal(const char *text);                   /* text must be a JSON number */
json_t *json_fixed(int64_t value, unsigned decimals);     /* value / 10^decimals, exact; decimals at most 18 */
json_t *json_hex(const uint8_t *data, size_t size);       /* bytes in order: keys, roots of blobs, scripts */
json_t *json_hash(const uint8_t hash[32]);                /* bytes reversed: ids of blocks, transactions, proofs */
json_t *json_text(const char *text, size_t size);         /* any bytes: what is not UTF-8 becomes U+FFFD */

/* "string", "number", "bool", "null", "array" or "object": a decimal is a number. */
const char *json_type_name(const json_t *value);
bool json_is_text(const json_t *value);                   /* a string, not a decimal */
bool json_is_any_number(const json_t *value);

/* The text of a number, as it was parsed; a new string, or NULL if it is no number. */
char *json_number_text(const json_t *value);

/* Converters. An amount may be a number or a string, has at most 8 decimals, and is in 0..21 million coins. */
bool json_to_amount(const json_t *value, const char *name, int64_t *units, struct rpc_error *error);
/* A number with at most 8 decimals, in units of 10^-8. Number or string. */
bool json_to_decimal(const json_t *value, const char *name, int64_t *units, struct rpc_error *error);
bool json_to_int(const json_t *value, const char *name, int64_t min, int64_t max, int64_t *out,
		 struct rpc_error *error);
bool json_to_hash(const json_t *value, const char *name, uint8_t hash[32], struct rpc_error *error); /* reversed hex */
bool json_to_key(const json_t *value, const char *name, uint8_t key[32], struct rpc_error *error);   /* hex in order */
/* Appends the bytes; at most max of them. */
bool json_to_hex(const json_t *value, const char *name, size_t max, struct buf *out, struct rpc_error *error);
/* A string, or the original text of a number or of true and false: for labels, hexadecimal text and the like, which a
 * client may have taken for a number. Returns a new string, or NULL. */
char *json_to_text(const json_t *value, const char *name, struct rpc_error *error);

#endif
