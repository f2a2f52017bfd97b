/* Arguments that name something: a block, an address, what was serialised. */
#include "calls/argument.h"

#include <string.h>

#include "crypto/address.h"
#include "util/bytes.h"

/* Any entry of the index, on whatever branch and in whatever state, refused ones too: what may be done with it is for
 * each call to say. */
const struct index_entry *argument_entry(struct rpc_request *request, const struct chain *chain, const char *name)
{
	uint8_t block_id[32];
	const struct index_entry *named_entry;

	rpc_hash(request, name, block_id);
	named_entry = chain_find(chain, block_id);
	if (named_entry == NULL)
		rpc_fail(request, RPC_INVALID_ADDRESS_OR_KEY, "Block not found");
	return named_entry;
}

bool argument_raw(const struct rpc_request *request, const char *name, struct buf *raw)
{
	const char *hex_text = rpc_text(request, name);
	/* An odd digit makes hex_decode fail: it wants twice as many digits as bytes.
	 * No bound of its own where the argument has none: the request's body has one, RPC_BODY_MAX, and this is half
	 * of it. */
	size_t raw_size = strlen(hex_text) / 2;

	return hex_decode(buf_extend(raw, raw_size), raw_size, hex_text);
}

bool argument_address(const struct spec *spec, const char *address, uint8_t key[32], struct rpc_error *error)
{
	struct errmsg err;

	return address_to_key(key, spec->hrp, address, &err) ||
		rpc_error_set(error, RPC_INVALID_ADDRESS_OR_KEY, "Invalid address: %s", err.text);
}
