/* JSON with exact numbers, on jansson's values.
 *
 * jansson keeps a number that is no 64-bit integer as a double, which damages amounts and long digit strings. So
 * parsing and printing are done here. A number that is an integer in its shortest form and fits int64_t is a jansson
 * integer; every other number is a *decimal*: a jansson string that starts with the byte 0xff (which no valid UTF-8
 * text contains, so nobody can smuggle one in) followed by the number's text. Only this module knows that; use
 * json_decimal to make one and json_number_text to read one. A jansson real may be printed, with 16 digits; parsing
 * never makes one. Everything else is jansson's: json_object_get, json_array_append_new, json_pack, ...
 *
 * "Returns a new value" means that the caller owns the reference. What a value means (an amount, a hash) is read by
 * rpc/convert.h. */
#ifndef ATELIER_RPC_JSON_H
#define ATELIER_RPC_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/error.h"

#define JSON_DEPTH_MAX 128
#define JSON_VALUES_MAX 1000000 /* in one text: bounds the memory that a text of many small values takes */

/* Parses a whole text, strictly: RFC 8259, UTF-8, no duplicate keys, no \u0000 in keys. Returns a new value,
 * or NULL. */
json_t *json_parse(const char *text, size_t size, struct errmsg *err);

/* Appends the value's text. indent 0: one line, without blanks; else that many blanks a level. Keys stay in order. */
void json_print(const json_t *value, unsigned indent, struct buf *json_out);

/* New values. */
json_t *json_amount(int64_t units);                   /* exact coins with 8 decimals: 50.00000000 */
json_t *json_decimal(const char *text);               /* text must be a JSON number */
json_t *json_fixed(int64_t value, unsigned decimals); /* value / 10^decimals, exact; decimals at most 18 */
json_t *json_hex(const uint8_t *data, size_t size);   /* bytes in order: keys, roots of blobs, scripts */
json_t *json_u64(uint64_t value);                     /* its digits as a string: doubles hold no more than 2^53 */
json_t *json_hash(const uint8_t hash[32]);            /* bytes reversed: ids of blocks, transactions, proofs */
json_t *json_text(const char *text, size_t size);     /* any bytes: what is not UTF-8 becomes U+FFFD */

/* "string", "string with a byte 0", "number", "bool", "null", "array" or "object": a decimal is a number. */
const char *json_type_name(const json_t *value);
bool json_is_text(const json_t *value);     /* a string without a byte 0: a C string. Not a decimal */
bool json_is_any_text(const json_t *value); /* a string, which may have bytes 0: json_string_length */
bool json_is_any_number(const json_t *value);

/* The text of a number, as it was parsed; a new string, or NULL if it is no number. */
char *json_number_text(const json_t *value);

#endif
