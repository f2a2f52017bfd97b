/* contributedata: a file becomes a dataset of the chain (doc/protocol.md section 12). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/pay.h"
#include "calls/wallet/which.h"
#include "consensus/payload/contribution.h"
#include "consensus/payload/payload.h"
#include "rpc/convert.h"
#include "util/file.h"

static const struct rpc_arg contributedata_args[] = {
	{ .name = "file",
		.type = RPC_TEXT,
		.max = 4096,
		.help = "Path of the file, as the node sees it; \"\" if the bytes are given as hexdata." },
	{ .name = "licence",
		.type = RPC_TEXT,
		.max = 16,
		.help = "Licence tag of 1 to 16 printable characters without spaces, such as CC-BY-4.0." },
	{ .name = "title", .type = RPC_TEXT, .max = 64, .help = "Title of at most 64 bytes." },
	{ .name = "owner",
		.type = RPC_TEXT,
		.optional = true,
		.max = 90,
		.help = "Address that is paid when the data improve the model; a new one of the wallet if left out." },
	{ .name = "hexdata", .type = RPC_HEX, .optional = true, .help = "The bytes themselves, with file \"\"." },
	{ .name = "fee_rate",
		.type = RPC_DECIMAL,
		.optional = true,
		.max = COIN * 10000,
		.help = "Base units for each virtual byte, up to three decimals; at least 1, the default." },
	{ 0 },
};

static bool read_file(const char *name, size_t max_size, struct buf *blob, struct errmsg *err)
{
	char *path = path_expand(name);
	bool ok = file_read(path, max_size, blob, err);

	free(path);
	return ok;
}

/* The blob's bytes; false: the request has been answered. */
static bool read_blob(struct rpc_request *r, const struct spec *spec, struct buf *blob)
{
	const char *path = rpc_text(r, "file");
	struct errmsg err;

	if (rpc_has(r, "hexdata")) {
		if (*path != 0) {
			rpc_fail(r, RPC_INVALID_PARAMETER, "Give either a file or hexdata, not both");
			return false;
		}
		rpc_hex(r, "hexdata", blob);
	} else if (!read_file(path, spec->blob_max, blob, &err)) {
		rpc_fail(r, RPC_INVALID_PARAMETER, "%s", err.text);
		return false;
	}
	if (blob->size < spec->blob_min || blob->size > spec->blob_max) {
		rpc_fail(r, RPC_INVALID_PARAMETER,
			"The data have %zu bytes; on this chain a contribution has %" PRIu32 " to %" PRIu32, blob->size,
			spec->blob_min, spec->blob_max);
		return false;
	}
	return true;
}

/* The key that is paid; false: the request has been answered. */
static bool choose_owner(struct rpc_request *r, struct wallet *wallet, uint8_t key[32])
{
	struct rpc_error error;
	struct errmsg err;

	if (rpc_has(r, "owner")) {
		if (argument_address(wallet_spec(wallet), rpc_text(r, "owner"), key, &error))
			return true;
		rpc_fail_with(r, &error);
		return false;
	}
	if (wallet_new_address(wallet, ACCOUNT_RECEIVE, "data owner", key, &err))
		return true;
	rpc_fail(r, RPC_WALLET_ERROR, "%s", err.text);
	return false;
}

/* The payload's script, proven to parse; false: the request has been answered. */
static bool describe_data(struct rpc_request *r, struct wallet *wallet, const struct buf *blob,
	struct contribution *data, struct buf *script)
{
	struct bytes written;

	/* The root stands for the bytes from here on: it is what the chain registers, and by which peers check what
	 * they fetch. */
	contribution_root(blob->data, blob->size, data->root);
	data->size = blob->size;
	snprintf(data->licence, sizeof data->licence, "%s", rpc_text(r, "licence"));
	snprintf(data->title, sizeof data->title, "%s", rpc_text(r, "title"));
	if (!choose_owner(r, wallet, data->owner))
		return false;
	contribution_script(script, data);
	written = (struct bytes){ script->data, script->size };
	/* Read again by consensus' own parser: what it would not take must not be paid for. All else that can be wrong
	 * has been checked, so only the texts are left. */
	if (payload_kind(&written) == PAYLOAD_DATA)
		return true;
	rpc_fail(r, RPC_INVALID_PARAMETER,
		"The licence tag must be 1 to 16 printable characters without spaces, the title "
		"UTF-8 without control characters");
	return false;
}

/* Keeps the blob and sends the transaction that registers it. */
static enum rpc_outcome register_blob(struct rpc_request *r, struct wallets *wallets, struct wallet *wallet,
	const struct buf *blob, const struct contribution *data, const struct buf *script)
{
	struct chain *chain = wallets_chain(wallets);
	struct tx_output burn = {
		/* Burned, not paid to anybody: to fill the chain with worthless data costs a miner too, to whom a fee
		 * would come back. */
		.amount = (int64_t)blob->size * chain_spec(chain)->burn_rate,
		.script = { script->data, script->size },
	};
	const struct spend_request request = { .outputs = &burn, .count = 1, .rate = pay_rate(r, "fee_rate") };
	struct reject reject = { .reason = "", .detail = "" };
	uint8_t txid[32];
	const struct tx *tx;
	int64_t fee;
	size_t number;

	/* Somebody may register the same bytes while this waits in the mempool; which of both is right is settled by
	 * the chain. */
	if (registry_find(chain_registry(chain), data->root, &number) != NULL)
		return rpc_fail(r, RPC_VERIFY_ALREADY_IN_CHAIN,
			"These bytes are registered on the chain already, as dataset %zu", number);
	/* First the transaction, which may fail for want of coins, and then the bytes, and last the sending: nothing is
	 * kept that is not paid for, and no transaction is known whose bytes nobody has. */
	tx = pay_build(r, wallet, &request, &fee);
	if (tx == NULL)
		return RPC_DONE;
	switch (chain_add_blob(chain, data->root, blob->data, blob->size, true, &reject)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
		break;
	case CHAIN_ORPHAN:
	case CHAIN_REJECTED:
		tx_unref(tx);
		return rpc_fail(r, RPC_VERIFY_REJECTED, "The data are not taken: %s (%s)", reject.reason,
			reject.detail);
	case CHAIN_ERROR:
		tx_unref(tx);
		return rpc_fail(r, RPC_DATABASE_ERROR, "The data could not be stored: see the log");
	}
	memcpy(txid, tx_txid(tx), 32);
	if (!pay_send(r, wallets, wallet, tx))
		return RPC_DONE;
	return rpc_reply(r,
		json_pack("{s:o,s:o,s:I,s:o,s:o,s:o}", "txid", json_hash(txid), "root", json_hex(data->root, 32),
			"size", (json_int_t)blob->size, "owner", show_address(wallet_spec(wallet), data->owner),
			"burned", json_amount(burn.amount), "fee", json_amount(fee)));
}

static enum rpc_outcome call_contributedata(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct contribution data = { .size = 0 };
	enum rpc_outcome outcome = RPC_DONE;
	struct buf blob, script;

	if (wallet == NULL)
		return RPC_DONE;
	buf_init(&blob);
	buf_init(&script);
	if (read_blob(r, wallet_spec(wallet), &blob) && describe_data(r, wallet, &blob, &data, &script))
		outcome = register_blob(r, context, wallet, &blob, &data, &script);
	buf_clear(&blob);
	buf_clear(&script);
	return outcome;
}

static const struct rpc_method methods[] = {
	{ "contributedata", "Data", call_contributedata, contributedata_args,
		"Registers a file as training data: the wallet sends a transaction that names the data, their licence "
		"and their owner, and burns burn_rate base units a byte (getchainspec). The bytes become public. When "
		"the model is trained on them and improves by it, the owner is paid.",
		"{\"txid\": \"hex\", \"root\": \"hex\", \"size\": n, \"owner\": \"address\", "
		"\"burned\": amount, \"fee\": amount}",
		"/usr/share/common-licenses/GPL-3 GPL-3.0 \"GNU GPL version 3\"", 0 },
};

void calls_contribute_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, wallets);
}
