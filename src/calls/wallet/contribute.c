/* contributedata: a file becomes a dataset of the chain (doc/protocol.md section 12). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/offer.h"
#include "calls/wallet/pay.h"
#include "calls/wallet/spdx.h"
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
		.max = LICENCE_MAX,
		.help = "Their licence, as an SPDX expression: CC-BY-4.0, MIT OR Apache-2.0, or LicenseRef- and a name "
			"for one of your own." },
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
	{ .name = "leave_out_pages",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Contribute the file without its pages of 4096 bytes that are nearly empty, or there twice." },
	{ .name = "dry_run",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Only say what would be registered and burned, or why it would be refused." },
	{ 0 },
};

/* The key that is paid; false: the request has been answered. */
static bool contribute_choose_owner(struct rpc_request *contribute_request, struct wallet *wallet,
	uint8_t owner_key[32])
{
	struct rpc_error error;
	struct errmsg err;

	if (rpc_has(contribute_request, "owner")) {
		if (argument_address(wallet_spec(wallet), rpc_text(contribute_request, "owner"), owner_key, &error))
			return true;
		rpc_fail_with(contribute_request, &error);
		return false;
	}
	if (wallet_new_address(wallet, ACCOUNT_RECEIVE, "data owner", owner_key, &err))
		return true;
	rpc_fail(contribute_request, RPC_WALLET_ERROR, "%s", err.text);
	return false;
}

/* An expression that this chain admits, and nobody's slip of the pen; false: the request has been answered. */
static bool contribute_check_licence(struct rpc_request *contribute_request, const struct spec *spec)
{
	const char *licence_text = rpc_text(contribute_request, "licence");
	struct errmsg err;

	if (!licence_parse(licence_text, NULL, NULL, NULL)) {
		rpc_fail(contribute_request, RPC_INVALID_PARAMETER,
			"The licence must be an SPDX expression such as CC-BY-4.0 or MIT OR Apache-2.0; for one of "
			"your own, LicenseRef- and a name");
		return false;
	}
	if (!licence_is_admitted(licence_text, spec->licences, spec->licence_count)) {
		rpc_fail(contribute_request, RPC_INVALID_PARAMETER,
			"This chain does not admit data under the licence %s: getchainspec lists those it does",
			licence_text);
		return false;
	}
	if (spdx_review(licence_text, &err) != SPDX_MISTAKE)
		return true;
	rpc_fail(contribute_request, RPC_INVALID_PARAMETER, "%s", err.text);
	return false;
}

static json_t *contribute_show_warnings(const char *licence_text)
{
	json_t *licence_warnings = json_array();
	struct errmsg err;

	if (spdx_review(licence_text, &err) != SPDX_LISTED)
		json_array_append_new(licence_warnings, json_string(err.text));
	return licence_warnings;
}

/* The payload's script, proven to parse; false: the request has been answered. */
static bool contribute_describe(struct rpc_request *contribute_request, struct wallet *wallet,
	const struct buf *contributed_bytes, struct contribution *contribution, struct buf *payload_script)
{
	struct bytes written;

	/* The root stands for the bytes from here on: it is what the chain registers, and by which peers check what
	 * they fetch. */
	contribution_root(contributed_bytes->data, contributed_bytes->size, contribution->root);
	contribution->size = contributed_bytes->size;
	snprintf(contribution->licence, sizeof contribution->licence, "%s", rpc_text(contribute_request, "licence"));
	snprintf(contribution->title, sizeof contribution->title, "%s", rpc_text(contribute_request, "title"));
	if (!contribute_choose_owner(contribute_request, wallet, contribution->owner))
		return false;
	contribution_script(payload_script, contribution);
	written = (struct bytes){ payload_script->data, payload_script->size };
	/* Read again by consensus' own parser: what it would not take must not be paid for. All else that can be wrong
	 * has been checked, so only the title is left. */
	if (payload_kind(&written) == PAYLOAD_DATA)
		return true;
	rpc_fail(contribute_request, RPC_INVALID_PARAMETER, "The title must be UTF-8 without control characters");
	return false;
}

/* Keeps the blob and sends the transaction that registers it. */
static enum rpc_outcome contribute_register(struct rpc_request *contribute_request, struct wallets *wallets,
	struct wallet *wallet, const struct offer *offer, const struct contribution *contribution,
	const struct buf *payload_script)
{
	const struct buf *contributed_bytes = &offer->bytes;
	struct chain *chain = wallets_chain(wallets);
	struct tx_output burn = {
		/* Burned, not paid to anybody: to fill the chain with worthless data costs a miner too, to whom a fee
		 * would come back. By the newest rate, which is enough for FEES_WINDOW blocks. */
		.amount = fees_burn(registry_data_rate(chain_registry(chain), 1), contributed_bytes->size),
		.script = { payload_script->data, payload_script->size },
	};
	const struct spend_request burn_request = { .outputs = &burn,
		.count = 1,
		.rate = pay_rate(contribute_request, "fee_rate") };
	struct reject blob_reject = { .reason = "", .detail = "" };
	uint8_t burn_txid[32];
	const struct tx *burn_tx;
	int64_t burn_fee;
	size_t dataset_number;

	/* Somebody may register the same bytes while this waits in the mempool; which of both is right is settled by
	 * the chain. */
	if (registry_find(chain_registry(chain), contribution->root, &dataset_number) != NULL)
		return rpc_fail(contribute_request, RPC_VERIFY_ALREADY_IN_CHAIN,
			"These bytes are registered on the chain already, as dataset %zu", dataset_number);
	/* First the transaction, which may fail for want of coins, and then the bytes, and last the sending: nothing is
	 * kept that is not paid for, and no transaction is known whose bytes nobody has. */
	burn_tx = pay_build(contribute_request, wallet, &burn_request, &burn_fee);
	if (burn_tx == NULL)
		return RPC_DONE;
	switch (chain_add_blob(chain, contribution->root, contributed_bytes->data, contributed_bytes->size, true,
		&blob_reject)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
		break;
	case CHAIN_ORPHAN:
	case CHAIN_REJECTED:
		tx_unref(burn_tx);
		return rpc_fail(contribute_request, RPC_VERIFY_REJECTED, "The data are not taken: %s (%s)",
			blob_reject.reason, blob_reject.detail);
	case CHAIN_ERROR:
		tx_unref(burn_tx);
		return rpc_fail(contribute_request, RPC_DATABASE_ERROR, "The data could not be stored: see the log");
	}
	memcpy(burn_txid, tx_txid(burn_tx), 32);
	if (!pay_send(contribute_request, wallets, wallet, burn_tx))
		return RPC_DONE;
	return rpc_reply(contribute_request,
		offer_show(offer,
			json_pack("{s:o,s:o,s:I,s:o,s:o,s:o,s:o}", "txid", json_hash(burn_txid), "root",
				json_hex(contribution->root, 32), "size", (json_int_t)contributed_bytes->size, "owner",
				show_address(wallet_spec(wallet), contribution->owner), "burned",
				json_amount(burn.amount), "fee", json_amount(burn_fee), "warnings",
				contribute_show_warnings(contribution->licence))));
}

static enum rpc_outcome call_contributedata(struct rpc_request *contribute_request, void *context)
{
	struct wallet *wallet = which_wallet(contribute_request, context);
	struct contribution contribution = { .size = 0 };
	enum rpc_outcome contribute_outcome = RPC_DONE;
	struct buf payload_script;
	struct offer offer;

	if (wallet == NULL)
		return RPC_DONE;
	offer_init(&offer);
	buf_init(&payload_script);
	if (contribute_check_licence(contribute_request, wallet_spec(wallet)) &&
		offer_read(contribute_request, wallet_spec(wallet), &offer) &&
		offer_judge(contribute_request, wallets_chain(context), &offer) &&
		contribute_describe(contribute_request, wallet, &offer.bytes, &contribution, &payload_script))
		contribute_outcome = contribute_register(contribute_request, context, wallet, &offer, &contribution,
			&payload_script);
	offer_clear(&offer);
	buf_clear(&payload_script);
	return contribute_outcome;
}

static const struct rpc_method contribute_methods[] = {
	{ "contributedata", "Data", call_contributedata, contributedata_args,
		"Registers a file as training data: the wallet sends a transaction that names the data, their licence "
		"and their owner, and burns what estimatedatafee tells. The bytes become public. When "
		"the model is trained on them and improves by it, the owner is paid.",
		"{\"txid\": \"hex\", \"root\": \"hex\", \"size\": n, \"owner\": \"address\", "
		"\"burned\": amount, \"fee\": amount, \"warnings\": [\"text\"], \"left_out\": [n, ...] "
		"(numbers of pages, with leave_out_pages)}, "
		"or, of a dry_run, root, size, burned and left_out alone",
		"/usr/share/common-licenses/GPL-3 GPL-3.0-or-later \"GNU GPL version 3\"", 0 },
};

void calls_contribute_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, contribute_methods, sizeof contribute_methods / sizeof *contribute_methods, wallets);
}
