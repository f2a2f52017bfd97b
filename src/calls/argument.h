/* Arguments that several calls have, and what they mean on this chain. */
#ifndef ATELIER_CALLS_ARGUMENT_H
#define ATELIER_CALLS_ARGUMENT_H

#include "chain/chain.h"
#include "rpc/method.h"

/* The entry of a hash argument, or NULL: then the request has been answered ("Block not found"). */
const struct index_entry *argument_entry(struct rpc_request *request, const struct chain *chain, const char *name);

/* Appends the bytes of a text argument that holds something serialised. False if it is not hexadecimal: to Core that is
 * a thing that cannot be decoded, like any other. */
bool argument_raw(const struct rpc_request *request, const char *name, struct buf *raw);

/* The key behind an address of this chain; false with RPC_INVALID_ADDRESS_OR_KEY. */
bool argument_address(const struct spec *spec, const char *address, uint8_t key[32], struct rpc_error *error);

#endif
