/* Arguments that name something: a block, an address, what was serialised. */
#include "calls/argument.h"

#include <string.h>

#include "crypto/address.h"
#include "util/bytes.h"

/* Any entry of the index, on whatever branch and in whatever state, refused ones too: what may be done with it is for
 * each call to say. */
const struct index_entry *argument_entry(struct rpc_request *r, const struct chain *chain, const char *name)
{
	uint8_t id[32];
	const struct index_entry *entry;

	rpc_hash(r, name, id);
	entry = chain_find(chain, id);
	if (entry == NULL)
		rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "Block not found");
	return entry;
}

bool argument_raw(const struct rpc_request *r, const char *name, struct buf *raw)
{
	const char *text = rpc_text(r, name);
	/* An odd digit makes hex_decode fail: it wants twice as many digits as bytes.
	 * No bound of its own where the argument has none: the request's body has one, RPC_BODY_MAX, and this is half
	 * of it. */
	size_t size = strlen(text) / 2;

	return hex_decode(buf_extend(raw, size), size, text);
}

bool argument_address(const struct spec *spec, const char *text, uint8_t key[32], struct rpc_error *error)
{
	struct errmsg err;

	return address_to_key(key, spec->hrp, text, &err) ||
		rpc_error_set(error, RPC_INVALID_ADDRESS_OR_KEY, "Invalid address: %s", err.text);
}
