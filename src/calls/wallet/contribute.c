/* contributedata: a file becomes a dataset of the chain (doc/protocol.md section 12); listcontributions: how far. */
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
#include "consensus/payload/commitment.h"
#include "rpc/convert.h"
#include "util/file.h"
#include "wallet/pledge.h"

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
static bool contribute_choose_owner(struct rpc_request *contribute_request, const struct wallet *wallet,
	uint8_t owner_key[32])
{
	struct rpc_error error;

	if (!rpc_has(contribute_request, "owner")) {
		/* Given out when the pledge is recorded: a call that is refused must not leave a gap of unused ones. */
		wallet_peek_address(wallet, ACCOUNT_RECEIVE, 0, owner_key);
		return true;
	}
	if (argument_address(wallet_spec(wallet), rpc_text(contribute_request, "owner"), owner_key, &error))
		return true;
	rpc_fail_with(contribute_request, &error);
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

/* What is registered, but for the salt; false: the request has been answered. */
static bool contribute_describe(struct rpc_request *contribute_request, struct wallet *wallet,
	const struct buf *contributed_bytes, struct contribution *contribution)
{
	/* The root stands for the bytes from here on: it is what the chain registers, and by which peers check what
	 * they fetch. */
	contribution_root(contributed_bytes->data, contributed_bytes->size, contribution->root);
	contribution->size = contributed_bytes->size;
	snprintf(contribution->licence, sizeof contribution->licence, "%s", rpc_text(contribute_request, "licence"));
	snprintf(contribution->title, sizeof contribution->title, "%s", rpc_text(contribute_request, "title"));
	/* By consensus' own rules: what a block could not have must not be paid for. */
	if (contribution_text_is_valid(contribution))
		return contribute_choose_owner(contribute_request, wallet, contribution->owner);
	rpc_fail(contribute_request, RPC_INVALID_PARAMETER, "The title must be UTF-8 without control characters");
	return false;
}

/* What pays for it must not be built for nothing: somebody has registered the bytes, or this wallet is about to. False:
 * the request has been answered. */
static bool contribute_check_free(struct rpc_request *contribute_request, struct wallets *wallets,
	struct wallet *wallet, const struct contribution *contribution)
{
	const struct registry *registry = chain_registry(wallets_chain(wallets));
	const struct wallet_pledge *pledges;
	struct pledge_status pledge_status;
	size_t dataset_number, pledge_count;

	/* Somebody may register the same bytes while this is under way; which of both is right is settled by the
	 * chain. */
	if (registry_find(registry, contribution->root, &dataset_number) != NULL) {
		rpc_fail(contribute_request, RPC_VERIFY_ALREADY_IN_CHAIN,
			"These bytes are registered on the chain already, as dataset %zu", dataset_number);
		return false;
	}
	pledges = wallet_pledges(wallet, &pledge_count);
	for (size_t i = 0; i < pledge_count; i++) {
		pledge_look(wallet, registry, &pledges[i], &pledge_status);
		if (pledge_status.stage == PLEDGE_FAILED ||
			memcmp(pledge_status.contribution.root, contribution->root, 32) != 0)
			continue;
		rpc_fail(contribute_request, RPC_WALLET_ERROR,
			"This wallet contributes these bytes already: see listcontributions");
		return false;
	}
	return true;
}

/* Keeps the blob here; false: the request has been answered. */
static bool contribute_keep_blob(struct rpc_request *contribute_request, struct chain *chain,
	const struct buf *contributed_bytes, const struct contribution *contribution)
{
	struct reject blob_reject = { .reason = "", .detail = "" };

	switch (chain_add_blob(chain, contribution->root, contributed_bytes->data, contributed_bytes->size, true,
		&blob_reject)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
		return true;
	case CHAIN_ORPHAN:
	case CHAIN_REJECTED:
		rpc_fail(contribute_request, RPC_VERIFY_REJECTED, "The data are not taken: %s (%s)", blob_reject.reason,
			blob_reject.detail);
		break;
	case CHAIN_ERROR:
		rpc_fail(contribute_request, RPC_DATABASE_ERROR, "The data could not be stored: see the log");
		break;
	}
	return false;
}

/* Commits to the data; the wallets see to their registration. First the transactions, which may fail for want of coins,
 * and then the bytes, and last the sending: nothing is kept that is not paid for, and no transaction is known whose
 * bytes nobody has. */
static enum rpc_outcome contribute_pledge(struct rpc_request *contribute_request, struct wallets *wallets,
	struct wallet *wallet, const struct offer *offer, struct contribution *contribution)
{
	const struct buf *contributed_bytes = &offer->bytes;
	struct chain *chain = wallets_chain(wallets);
	/* Burned, not paid to anybody: to fill the chain with worthless data costs a miner too, to whom a fee would
	 * come back. At a rate that is enough for FEES_WINDOW blocks at least. */
	const int64_t data_burn = fees_burn(registry_data_offer(chain_registry(chain)), contributed_bytes->size);
	struct reject pledge_reject = { .reason = "", .detail = "" };
	uint8_t commitment_txid[32], registration_txid[32];
	struct pledge_txs pledge_txs;
	struct errmsg err;

	if (!contribute_check_free(contribute_request, wallets, wallet, contribution) ||
		!pay_built(contribute_request,
			pledge_build(wallet, contribution, data_burn, pay_rate(contribute_request, "fee_rate"),
				&pledge_txs, &err),
			&err))
		return RPC_DONE;
	memcpy(commitment_txid, tx_txid(pledge_txs.commitment), 32);
	memcpy(registration_txid, tx_txid(pledge_txs.registration), 32);
	if (!contribute_keep_blob(contribute_request, chain, contributed_bytes, contribution)) {
		tx_unref(pledge_txs.commitment);
		tx_unref(pledge_txs.registration);
		return RPC_DONE;
	}
	if (!pay_sent(contribute_request,
		    wallets_pledge(wallets, wallet, pledge_txs.commitment, pledge_txs.registration, contributed_bytes,
			    &pledge_reject, &err),
		    &pledge_reject, &err))
		return RPC_DONE;
	return rpc_reply(contribute_request,
		offer_show(offer,
			json_pack("{s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:s,s:o}", "commitment", json_hash(commitment_txid),
				"txid", json_hash(registration_txid), "root", json_hex(contribution->root, 32), "size",
				(json_int_t)contributed_bytes->size, "owner",
				show_address(wallet_spec(wallet), contribution->owner), "burned",
				json_amount(data_burn + COMMITMENT_BURN), "fee", json_amount(pledge_txs.fee), "stage",
				pledge_stage_name(PLEDGE_COMMITTING), "warnings",
				contribute_show_warnings(contribution->licence))));
}

static enum rpc_outcome call_contributedata(struct rpc_request *contribute_request, void *context)
{
	struct wallet *wallet = which_wallet(contribute_request, context);
	struct contribution contribution = { .size = 0 };
	enum rpc_outcome contribute_outcome = RPC_DONE;
	struct offer offer;

	if (wallet == NULL)
		return RPC_DONE;
	offer_init(&offer);
	if (contribute_check_licence(contribute_request, wallet_spec(wallet)) &&
		offer_read(contribute_request, wallet_spec(wallet), &offer) &&
		offer_judge(contribute_request, wallets_chain(context), &offer) &&
		contribute_describe(contribute_request, wallet, &offer.bytes, &contribution))
		contribute_outcome = contribute_pledge(contribute_request, context, wallet, &offer, &contribution);
	offer_clear(&offer);
	return contribute_outcome;
}

/* --- listcontributions --- */

static const struct rpc_arg listcontributions_args[] = { { 0 } };

static json_t *contribute_show(const struct spec *spec, const struct wallet_pledge *pledge,
	const struct pledge_status *pledge_status)
{
	const struct contribution *contribution = &pledge_status->contribution;
	json_t *shown = json_object();

	json_object_set_new(shown, "root", json_hex(contribution->root, 32));
	json_object_set_new(shown, "size", json_integer((json_int_t)contribution->size));
	json_object_set_new(shown, "owner", show_address(spec, contribution->owner));
	json_object_set_new(shown, "licence", json_string(contribution->licence));
	json_object_set_new(shown, "title", json_text(contribution->title, strlen(contribution->title)));
	json_object_set_new(shown, "commitment", json_hash(pledge->commitment));
	json_object_set_new(shown, "txid", json_hash(pledge->registration));
	json_object_set_new(shown, "stage", json_string(pledge_stage_name(pledge_status->stage)));
	json_object_set_new(shown, "depth", json_integer((json_int_t)pledge_status->depth));
	json_object_set_new(shown, "needed", json_integer((json_int_t)pledge_status->needed));
	if (pledge_status->stage == PLEDGE_REGISTERED) {
		json_object_set_new(shown, "dataset", json_integer((json_int_t)pledge_status->dataset));
		json_object_set_new(shown, "height", json_integer((json_int_t)pledge_status->height));
	}
	if (pledge_status->stage == PLEDGE_FAILED)
		json_object_set_new(shown, "why", json_string(pledge_status->why));
	else if (pledge->refusal != NULL && !pledge_status->in_mempool)
		json_object_set_new(shown, "why", json_string(pledge->refusal));
	return shown;
}

static enum rpc_outcome call_listcontributions(struct rpc_request *contribute_request, void *context)
{
	struct wallet *wallet = which_wallet(contribute_request, context);
	const struct wallet_pledge *pledges;
	struct pledge_status pledge_status;
	json_t *listed;
	size_t pledge_count;

	if (wallet == NULL)
		return RPC_DONE;
	listed = json_array();
	pledges = wallet_pledges(wallet, &pledge_count);
	for (size_t i = 0; i < pledge_count; i++) {
		pledge_look(wallet, chain_registry(wallets_chain(context)), &pledges[i], &pledge_status);
		json_array_append_new(listed, contribute_show(wallet_spec(wallet), &pledges[i], &pledge_status));
	}
	return rpc_reply(contribute_request, listed);
}

static const struct rpc_method contribute_methods[] = {
	{ "contributedata", "Data", call_contributedata, contributedata_args,
		"Registers a file as training data, in two transactions, both signed now. The first commits to the "
		"data without naming them, so that nobody who sees them later can claim them. When it is commit_delay "
		"blocks deep (getchainspec), the wallet sends the second by itself, across restarts, while it is "
		"loaded: it names the data, their licence and their owner, and burns what estimatedatafee tells now; "
		"and the bytes become public. listcontributions says how far that is. When the model is trained on "
		"the data and improves by it, the owner is paid.",
		"{\n  \"commitment\": \"hex\",  id of the first transaction\n"
		"  \"txid\": \"hex\",        id of the second\n  \"root\": \"hex\",\n  \"size\": n,\n"
		"  \"owner\": \"address\",\n  \"burned\": amount,     by both\n"
		"  \"fee\": amount,        of both\n  \"stage\": \"committing\",\n"
		"  \"warnings\": [\"text\"],\n  \"left_out\": [n, ...]  numbers of pages, with leave_out_pages\n}\n"
		"or, of a dry_run, root, size, burned and left_out alone",
		"/usr/share/common-licenses/GPL-3 GPL-3.0-or-later \"GNU GPL version 3\"", 0 },
	{ "listcontributions", "Data", call_listcontributions, listcontributions_args,
		"Lists what the wallet has contributed with contributedata, and how far each is: \"committing\" until "
		"a block has the commitment, \"waiting\" until it is deep enough, \"registering\" until a block has "
		"the registration, then \"registered\"; or \"failed\".",
		"[\n  {\n    \"root\": \"hex\",\n    \"size\": n,\n    \"owner\": \"address\",\n"
		"    \"licence\": \"text\",\n    \"title\": \"text\",\n    \"commitment\": \"hex\",\n"
		"    \"txid\": \"hex\",       id of the registration\n"
		"    \"stage\": \"committing|waiting|registering|registered|failed\",\n"
		"    \"depth\": n,          blocks: the commitment's own and those on it\n"
		"    \"needed\": n,         depth from which on the registration can follow\n"
		"    \"dataset\": n,        (only registered) its number\n"
		"    \"height\": n,         (only registered) of the block that registered it\n"
		"    \"why\": \"text\"       (only where something is wrong)\n  }, ...\n]",
		NULL, 0 },
};

void calls_contribute_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, contribute_methods, sizeof contribute_methods / sizeof *contribute_methods, wallets);
}
