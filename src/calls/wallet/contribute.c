/* contributedata: a file becomes a dataset of the chain (doc/protocol.md section 12); listcontributions: how far. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/offer.h"
#include "calls/wallet/pay.h"
#include "calls/wallet/which.h"
#include "config/spdx.h"
#include "consensus/payload/commitment.h"
#include "rpc/convert.h"
#include "util/file.h"
#include "util/mem.h"
#include "wallet/pledge.h"

/* Whose data are being judged by a worker. */
struct contribute_waiting {
	struct contribute_waiting *next;
	struct calls_contribute *calls;
	struct rpc_request *request;
	struct offer offer;
};

struct calls_contribute {
	struct wallets *wallets;
	struct contribute_waiting *waiting;
};

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
		.help = "Base units for each virtual byte, up to three decimals; at least 1, which is the default." },
	{ .name = "leave_out_pages",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Contribute the file without its pages of 4096 bytes that are nearly empty, or there twice." },
	{ .name = "dry_run",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Only say what would be registered and burned, or why it would be refused." },
	{ .name = "allow_unlisted",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Take a licence id that is not on the SPDX list that this node knows." },
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
	/* The list of this node may be older than the licence: who means it says so, before anything is burned. */
	if (rpc_bool(contribute_request, "allow_unlisted") || spdx_review(licence_text, &err) == SPDX_LISTED)
		return true;
	rpc_fail(contribute_request, RPC_INVALID_PARAMETER,
		"%s%s With allow_unlisted it is taken as it is; a licence of one's own is LicenseRef- and a name",
		err.text, err.text[strlen(err.text) - 1] == '?' ? "" : ".");
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

/* What the chain asks for the bytes. Burned, not paid to anybody: to fill the chain with worthless data costs a miner
 * too, to whom a fee would come back. At a rate that is enough for FEES_WINDOW blocks at least. */
static int64_t contribute_burn(struct chain *chain, const struct offer *offer)
{
	return fees_burn(registry_data_offer(chain_registry(chain)), offer->bytes.size);
}

/* Both transactions, which may fail for want of coins; false: the request has been answered. */
static bool contribute_build(struct rpc_request *contribute_request, struct wallets *wallets, struct wallet *wallet,
	const struct offer *offer, struct contribution *contribution, struct pledge_txs *pledge_txs)
{
	const int64_t data_burn = contribute_burn(wallets_chain(wallets), offer);
	struct errmsg err;

	/* Or it would not find what it has committed to already. */
	if (!wallets_is_level(wallets, wallet)) {
		rpc_fail(contribute_request, RPC_WALLET_ERROR,
			"The wallet looks through the chain: wait until getwalletinfo says that scanning is false");
		return false;
	}
	return contribute_check_free(contribute_request, wallets, wallet, contribution) &&
		pay_built(contribute_request,
			pledge_build(wallet, contribution, !rpc_has(contribute_request, "owner"), data_burn,
				pay_rate(contribute_request, "fee_rate"), pledge_txs, &err),
			&err);
}

/* The answer, but for what only is there when it is done. */
static json_t *contribute_show_built(struct wallets *wallets, const struct offer *offer,
	const struct contribution *contribution, const struct pledge_txs *pledge_txs)
{
	struct chain *chain = wallets_chain(wallets);
	const int64_t commitment_burn = pledge_txs->is_committed ? 0 : COMMITMENT_BURN;

	return offer_show(offer,
		json_pack("{s:o,s:I,s:o,s:o,s:o,s:b,s:o}", "root", json_hex(contribution->root, 32), "size",
			(json_int_t)offer->bytes.size, "owner", show_address(chain_spec(chain), contribution->owner),
			"burned", json_amount(contribute_burn(chain, offer) + commitment_burn), "fee",
			json_amount(pledge_txs->fee), "committed_before", pledge_txs->is_committed, "warnings",
			contribute_show_warnings(contribution->licence)));
}

/* Commits to the data; the wallets see to their registration. First the bytes are kept, then the transactions sent: no
 * transaction is known whose bytes nobody has. Takes the transactions. */
static enum rpc_outcome contribute_send(struct rpc_request *contribute_request, struct wallets *wallets,
	struct wallet *wallet, const struct offer *offer, const struct contribution *contribution,
	struct pledge_txs *pledge_txs)
{
	struct reject pledge_reject = { .reason = "", .detail = "" };
	json_t *answer = contribute_show_built(wallets, offer, contribution, pledge_txs);
	struct pledge_status pledge_status;
	const struct wallet_pledge *pledges;
	size_t pledge_count;
	struct errmsg err;

	json_object_set_new(answer, "commitment", json_hash(tx_txid(pledge_txs->commitment)));
	json_object_set_new(answer, "txid", json_hash(tx_txid(pledge_txs->registration)));
	if (!contribute_keep_blob(contribute_request, wallets_chain(wallets), &offer->bytes, contribution)) {
		pledge_release(pledge_txs);
		json_decref(answer);
		return RPC_DONE;
	}
	if (!pay_sent(contribute_request,
		    wallets_pledge(wallets, wallet, pledge_txs, &offer->bytes, &pledge_reject, &err), &pledge_reject,
		    &err)) {
		json_decref(answer);
		return RPC_DONE;
	}
	pledges = wallet_pledges(wallet, &pledge_count);
	pledge_look(wallet, chain_registry(wallets_chain(wallets)), &pledges[pledge_count - 1], &pledge_status);
	json_object_set_new(answer, "stage", json_string(pledge_stage_name(pledge_status.stage)));
	return rpc_reply(contribute_request, answer);
}

/* What is asked is answered in this order: what costs nothing to find out, what the bytes are, what the wallet can do.
 * A dry run ends where something would be sent, and so is refused whatever the call would be refused for. */
static enum rpc_outcome contribute_offer(struct rpc_request *contribute_request, struct wallets *wallets,
	struct wallet *wallet, struct offer *offer)
{
	struct contribution contribution = { .size = 0 };
	enum rpc_outcome contribute_outcome;
	struct pledge_txs pledge_txs;

	if (!offer_judge(contribute_request, wallets_chain(wallets), offer) ||
		!contribute_describe(contribute_request, wallet, &offer->bytes, &contribution) ||
		!contribute_build(contribute_request, wallets, wallet, offer, &contribution, &pledge_txs))
		return RPC_DONE;
	if (!rpc_bool(contribute_request, "dry_run"))
		return contribute_send(contribute_request, wallets, wallet, offer, &contribution, &pledge_txs);
	contribute_outcome = rpc_reply(contribute_request,
		contribute_show_built(wallets, offer, &contribution, &pledge_txs));
	pledge_release(&pledge_txs);
	return contribute_outcome;
}

/* Takes the request from the list; its offer is freed with it. */
static void contribute_end_waiting(struct contribute_waiting *waiting)
{
	struct contribute_waiting **link = &waiting->calls->waiting;

	while (*link != waiting)
		link = &(*link)->next;
	*link = waiting->next;
	offer_clear(&waiting->offer);
	free(waiting);
}

/* The bytes have been judged. Meanwhile the wallet may have been unloaded: it is looked for again. */
static void contribute_on_judged(void *context)
{
	struct contribute_waiting *waiting = context;
	struct wallets *wallets = waiting->calls->wallets;
	struct wallet *wallet = which_wallet(waiting->request, wallets);

	if (wallet != NULL)
		contribute_offer(waiting->request, wallets, wallet, &waiting->offer);
	contribute_end_waiting(waiting);
}

/* Large data are judged by a worker, which takes seconds, while the loop goes on. */
static enum rpc_outcome call_contributedata(struct rpc_request *contribute_request, void *context)
{
	struct calls_contribute *calls = context;
	struct wallet *wallet = which_wallet(contribute_request, calls->wallets);
	struct contribute_waiting *waiting;

	if (wallet == NULL || !contribute_check_licence(contribute_request, wallet_spec(wallet)))
		return RPC_DONE;
	waiting = mem_calloc(1, sizeof *waiting);
	waiting->calls = calls;
	waiting->request = contribute_request;
	waiting->next = calls->waiting;
	calls->waiting = waiting;
	offer_init(&waiting->offer);
	if (offer_read(contribute_request, wallet_spec(wallet), &waiting->offer)) {
		if (offer_judge_soon(wallets_chain(calls->wallets), &waiting->offer, contribute_on_judged, waiting))
			return RPC_PENDING;
		contribute_offer(contribute_request, calls->wallets, wallet, &waiting->offer);
	}
	contribute_end_waiting(waiting);
	return RPC_DONE;
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
	if (pledge_status->why != NULL)
		json_object_set_new(shown, "why", json_string(pledge_status->why));
	return shown;
}

static enum rpc_outcome call_listcontributions(struct rpc_request *contribute_request, void *context)
{
	const struct calls_contribute *calls = context;
	struct wallet *wallet = which_wallet(contribute_request, calls->wallets);
	const struct wallet_pledge *pledges;
	struct pledge_status pledge_status;
	json_t *listed;
	size_t pledge_count;

	if (wallet == NULL)
		return RPC_DONE;
	listed = json_array();
	pledges = wallet_pledges(wallet, &pledge_count);
	for (size_t i = 0; i < pledge_count; i++) {
		pledge_look(wallet, chain_registry(wallets_chain(calls->wallets)), &pledges[i], &pledge_status);
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
		"the data and improves by it, the owner is paid.\n\n"
		"A wallet that has committed to these bytes already and lost what became of it (it was restored from "
		"its words, or the registration was given up) finds its commitment, keeps the owner stated there if "
		"none is given, and only makes the second transaction.\n\n"
		"A call that fails has burned nothing and given out no address; a dry_run fails where the call would: "
		"for the wallet's lock and its coins, too.",
		"{\n  \"root\": \"hex\",         of the bytes: their name on the chain\n"
		"  \"size\": n,             bytes\n"
		"  \"owner\": \"address\",    that is paid\n"
		"  \"burned\": amount,      by what is sent: the commitment and the registration\n"
		"  \"fee\": amount,         likewise, to miners\n"
		"  \"committed_before\": true|false,  an earlier commitment of the wallet is opened; none is sent\n"
		"  \"warnings\": [\"text\"],  of a licence that is not listed\n"
		"  \"left_out\": [n, ...],  (only with leave_out_pages) numbers of pages, from 0\n"
		"  \"commitment\": \"hex\",   (not of a dry_run, as is what follows) id of the first transaction\n"
		"  \"txid\": \"hex\",         id of the second\n"
		"  \"stage\": \"text\"        how far it is: see listcontributions\n}",
		"/usr/share/common-licenses/GPL-3 GPL-3.0-or-later \"GNU GPL version 3\"", 0 },
	{ "listcontributions", "Data", call_listcontributions, listcontributions_args,
		"Lists what the wallet has contributed with contributedata, and how far each is.\n\n"
		"committing: no block has the commitment yet. waiting: one has, and it is not deep enough for the "
		"registration to follow. registering: the registration waits for a block; why tells if the mempool "
		"does not take it at present, and it is offered again with each block. registered: it is a dataset "
		"(getdataset). refused: the bytes cannot be registered on this branch, as a page is nearly empty or "
		"there twice, or as they are much like a dataset that was earlier; it is not offered again unless "
		"blocks are taken back or the wallet is loaded anew. failed: it cannot come true any more.\n\n"
		"The coin of what is refused or failed is held until abandontransaction of txid frees it.",
		"[\n  {\n    \"root\": \"hex\",\n    \"size\": n,\n    \"owner\": \"address\",\n"
		"    \"licence\": \"text\",\n    \"title\": \"text\",\n    \"commitment\": \"hex\",\n"
		"    \"txid\": \"hex\",       id of the registration\n"
		"    \"stage\": \"committing|waiting|registering|registered|refused|failed\",\n"
		"    \"depth\": n,          blocks: the commitment's own and those on it\n"
		"    \"needed\": n,         depth from which on the registration can follow\n"
		"    \"dataset\": n,        (only registered) its number\n"
		"    \"height\": n,         (only registered) of the block that registered it\n"
		"    \"why\": \"text\"       (only where something is wrong) what, with what the data resemble\n"
		"  }, ...\n]",
		NULL, 0 },
};

struct calls_contribute *calls_contribute_new(struct rpc_table *table, struct wallets *wallets)
{
	struct calls_contribute *calls = mem_calloc(1, sizeof *calls);

	calls->wallets = wallets;
	rpc_table_add(table, contribute_methods, sizeof contribute_methods / sizeof *contribute_methods, calls);
	return calls;
}

void calls_contribute_close(struct calls_contribute *calls)
{
	while (calls->waiting != NULL) {
		chain_judge_forget(wallets_chain(calls->wallets), calls->waiting);
		rpc_fail(calls->waiting->request, RPC_MISC_ERROR, "The node is shutting down");
		contribute_end_waiting(calls->waiting);
	}
}

void calls_contribute_free(struct calls_contribute *calls)
{
	free(calls);
}
