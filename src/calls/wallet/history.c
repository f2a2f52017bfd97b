/* Transactions of a wallet: listtransactions, gettransaction, abandontransaction. */
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/which.h"
#include "consensus/coinbase.h"
#include "consensus/payload/contribution.h"

enum {
	HISTORY_LIST_MAX = 100000,
};

/* Change only if the wallet paid something in: somebody who was told a change address and pays to it is a payer. */
static bool history_is_change(const struct ledger *ledger, const struct ledger_tx *history_tx, size_t output)
{
	return history_tx->mine[output] != NULL && history_tx->mine[output]->branch == ACCOUNT_CHANGE &&
		ledger_debit(ledger, history_tx) > 0;
}

static int64_t history_output_sum(const struct ledger_tx *history_tx)
{
	int64_t outputs_sum = 0;
	size_t i;

	for (i = 0; i < history_tx->tx->output_count; i++)
		outputs_sum += history_tx->tx->outputs[i].amount;
	return outputs_sum;
}

/* Fields that do not depend on the output. */
static void history_add_common(json_t *listed_fields, struct wallets *wallets, const struct ledger *ledger,
	const struct ledger_tx *history_tx)
{
	const struct index_entry *block_entry = NULL;

	json_object_set_new(listed_fields, "confirmations", json_integer(ledger_depth(ledger, history_tx)));
	if (history_tx->coinbase)
		json_object_set_new(listed_fields, "generated", json_true());
	if (history_tx->struck_at != 0)
		json_object_set_new(listed_fields, "struckheight", json_integer(history_tx->struck_at));
	/* Height and block are the ledger's own: a chain that is built anew may not know the block yet. */
	if (history_tx->height != 0) {
		block_entry = chain_find(wallets_chain(wallets), history_tx->block);
		json_object_set_new(listed_fields, "blockhash", json_hash(history_tx->block));
		json_object_set_new(listed_fields, "blockheight", json_integer(history_tx->height));
		if (block_entry != NULL)
			json_object_set_new(listed_fields, "blocktime", json_integer(block_entry->header.time));
	} else {
		json_object_set_new(listed_fields, "trusted",
			json_boolean(history_tx->in_mempool && ledger_from_us(ledger, history_tx)));
	}
	json_object_set_new(listed_fields, "txid", json_hash(history_tx->txid));
	json_object_set_new(listed_fields, "time", json_integer((json_int_t)history_tx->time));
	json_object_set_new(listed_fields, "timereceived", json_integer((json_int_t)history_tx->time));
}

/* The coinbase pays proofs first, then data, then runs: where the second begins is known from its block, where the last
 * from what it states of a merge. */
static const char *history_reward(const struct spec *spec, const struct ledger_tx *history_tx, size_t output)
{
	struct coinbase_parts paid_parts;

	coinbase_part(spec, history_tx->tx, history_tx->height, &paid_parts);
	if (output >= paid_parts.runs)
		return "run";
	return output >= history_tx->first_data ? "data" : "generate";
}

static const char *history_category(const struct spec *spec, const struct ledger *ledger,
	const struct ledger_tx *history_tx, size_t output)
{
	if (!history_tx->coinbase)
		return "receive";
	if (history_tx->height == 0)
		return "orphan";
	if (ledger_is_struck(history_tx, output))
		return "struck";
	if (ledger_immature(ledger, history_tx))
		return "immature";
	return history_reward(spec, history_tx, output);
}

/* Address and label of an output, or which data it registers. */
static json_t *history_show_output(const struct spec *spec, const struct ledger_tx *history_tx, size_t output)
{
	const struct tx_output *tx_output = &history_tx->tx->outputs[output];
	const uint8_t *output_key = script_p2tr_key(&tx_output->script);
	struct contribution contribution;
	json_t *listed_output = json_object();

	if (output_key != NULL)
		json_object_set_new(listed_output, "address", show_address(spec, output_key));
	else if (contribution_parse(&tx_output->script, &contribution))
		json_object_set_new(listed_output, "contribution", json_hex(contribution.root, 32));
	if (history_tx->mine[output] != NULL)
		json_object_set_new(listed_output, "label",
			json_string(history_tx->mine[output]->label != NULL ? history_tx->mine[output]->label : ""));
	json_object_set_new(listed_output, "vout", json_integer((json_int_t)output));
	return listed_output;
}

/* Appends what the transaction sent and received, an object an output, as Bitcoin Core lists it: sent ones first. */
static void history_append_details(json_t *details, struct wallet *wallet, const struct ledger_tx *history_tx)
{
	const struct ledger *ledger = wallet_ledger(wallet);
	int64_t wallet_debit = ledger_debit(ledger, history_tx);
	bool from_us = ledger_from_us(ledger, history_tx);
	json_t *listed_output;
	size_t i;

	for (i = 0; i < history_tx->tx->output_count && wallet_debit > 0; i++) {
		if (history_is_change(ledger, history_tx, i))
			continue;
		listed_output = history_show_output(wallet_spec(wallet), history_tx, i);
		json_object_set_new(listed_output, "category", json_string("send"));
		json_object_set_new(listed_output, "amount", json_amount(-history_tx->tx->outputs[i].amount));
		/* Only where all inputs are the wallet's: of somebody else's it does not know what they are worth. */
		if (from_us)
			json_object_set_new(listed_output, "fee",
				json_amount(history_output_sum(history_tx) - wallet_debit));
		json_object_set_new(listed_output, "abandoned", json_boolean(history_tx->abandoned));
		json_array_append_new(details, listed_output);
	}
	for (i = 0; i < history_tx->tx->output_count; i++) {
		if (history_tx->mine[i] == NULL || history_is_change(ledger, history_tx, i))
			continue;
		listed_output = history_show_output(wallet_spec(wallet), history_tx, i);
		json_object_set_new(listed_output, "category",
			json_string(history_category(wallet_spec(wallet), ledger, history_tx, i)));
		if (history_tx->coinbase && history_tx->height > 0)
			json_object_set_new(listed_output, "reward",
				json_string(history_reward(wallet_spec(wallet), history_tx, i)));
		json_object_set_new(listed_output, "amount", json_amount(history_tx->tx->outputs[i].amount));
		json_object_set_new(listed_output, "abandoned", json_boolean(history_tx->abandoned));
		json_array_append_new(details, listed_output);
	}
}

/* --- listtransactions --- */

static const struct rpc_arg listtransactions_args[] = {
	{ .name = "label",
		.type = RPC_TEXT,
		.fallback = "\"*\"",
		.help = "Only outputs to addresses of this label; \"*\": all." },
	{ .name = "count",
		.type = RPC_INT,
		.fallback = "10",
		.min = 0,
		.max = HISTORY_LIST_MAX,
		.help = "How many at most." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = HISTORY_LIST_MAX,
		.help = "How many of the newest to leave out." },
	{ 0 },
};

/* Takes those of details that bear the label into newest_first, until that has `room` of them. */
static void history_take_labelled(json_t *newest_first, json_t *details, const char *label, size_t list_room,
	json_t *listed_fields)
{
	const char *output_label;
	json_t *listed_output;
	size_t i;

	/* Backwards, as the list is turned around at the end: within a transaction the sent ones stand first again. */
	for (i = json_array_size(details); i-- > 0 && json_array_size(newest_first) < list_room;) {
		listed_output = json_array_get(details, i);
		output_label = json_string_value(json_object_get(listed_output, "label"));
		if (strcmp(label, "*") != 0 && (output_label == NULL || strcmp(output_label, label) != 0))
			continue;
		json_object_update(listed_output, listed_fields);
		json_array_append(newest_first, listed_output);
	}
}

static enum rpc_outcome call_listtransactions(struct rpc_request *history_request, void *context)
{
	struct wallet *wallet = which_wallet(history_request, context);
	struct ledger_tx **wallet_txs;
	json_t *newest_first;
	json_t *details;
	json_t *listed_fields;
	json_t *oldest_first;
	size_t tx_count;
	size_t list_skip;
	size_t list_room;
	size_t i;

	if (wallet == NULL)
		return RPC_DONE;
	list_skip = (size_t)rpc_int(history_request, "skip");
	list_room = (size_t)rpc_int(history_request, "count") + list_skip;
	newest_first = json_array();
	wallet_txs = ledger_list(wallet_ledger(wallet), &tx_count);
	/* From the newest on, and no further than the answer goes: a wallet may have many thousands. */
	while (tx_count > 0 && json_array_size(newest_first) < list_room) {
		tx_count--;
		details = json_array();
		listed_fields = json_object();
		history_append_details(details, wallet, wallet_txs[tx_count]);
		history_add_common(listed_fields, context, wallet_ledger(wallet), wallet_txs[tx_count]);
		history_take_labelled(newest_first, details, rpc_text(history_request, "label"), list_room,
			listed_fields);
		json_decref(details);
		json_decref(listed_fields);
	}
	free(wallet_txs);
	oldest_first = json_array();
	for (i = json_array_size(newest_first); i-- > list_skip;)
		json_array_append(oldest_first, json_array_get(newest_first, i));
	json_decref(newest_first);
	return rpc_reply(history_request, oldest_first);
}

/* --- gettransaction --- */

static const struct rpc_arg gettransaction_args[] = {
	{ .name = "txid", .type = RPC_HASH, .help = "Id of a transaction of the wallet's." },
	{ .name = "include_watchonly",
		.type = RPC_BOOL,
		.optional = true,
		.help = "Ignored; here for Bitcoin Core's order of arguments." },
	{ .name = "verbose", .type = RPC_BOOL, .fallback = "false", .help = "Include the decoded transaction." },
	{ 0 },
};

static struct ledger_tx *history_find_tx(struct rpc_request *history_request, struct wallet *wallet)
{
	struct ledger_tx *history_tx;
	uint8_t history_txid[32];

	rpc_hash(history_request, "txid", history_txid);
	history_tx = ledger_find(wallet_ledger(wallet), history_txid);
	if (history_tx == NULL)
		rpc_fail(history_request, RPC_INVALID_ADDRESS_OR_KEY, "Invalid or non-wallet transaction id");
	return history_tx;
}

static enum rpc_outcome call_gettransaction(struct rpc_request *history_request, void *context)
{
	struct wallet *wallet = which_wallet(history_request, context);
	const struct ledger *ledger;
	struct ledger_tx *history_tx;
	int64_t tx_fee = 0;
	int64_t wallet_debit;
	json_t *details;
	json_t *transaction_shown;

	if (wallet == NULL)
		return RPC_DONE;
	history_tx = history_find_tx(history_request, wallet);
	if (history_tx == NULL)
		return RPC_DONE;
	ledger = wallet_ledger(wallet);
	wallet_debit = ledger_debit(ledger, history_tx);
	if (ledger_from_us(ledger, history_tx))
		tx_fee = history_output_sum(history_tx) - wallet_debit;
	transaction_shown = json_object();
	details = json_array();
	history_append_details(details, wallet, history_tx);
	/* As Bitcoin Core counts: fee is negative, and so what the wallet lost is shown without it. */
	json_object_set_new(transaction_shown, "amount",
		json_amount(ledger_credit(history_tx) - wallet_debit - tx_fee));
	if (ledger_from_us(ledger, history_tx))
		json_object_set_new(transaction_shown, "fee", json_amount(tx_fee));
	history_add_common(transaction_shown, context, ledger, history_tx);
	json_object_set_new(transaction_shown, "details", details);
	json_object_set_new(transaction_shown, "hex", show_tx_hex(history_tx->tx));
	if (rpc_bool(history_request, "verbose"))
		json_object_set_new(transaction_shown, "decoded", show_tx(wallet_spec(wallet), history_tx->tx));
	return rpc_reply(history_request, transaction_shown);
}

/* --- abandontransaction --- */

static const struct rpc_arg abandontransaction_args[] = {
	{ .name = "txid", .type = RPC_HASH, .help = "Id of a transaction of the wallet's." },
	{ 0 },
};

static enum rpc_outcome call_abandontransaction(struct rpc_request *history_request, void *context)
{
	struct wallet *wallet = which_wallet(history_request, context);
	struct ledger_tx *history_tx;
	struct errmsg err;

	if (wallet == NULL)
		return RPC_DONE;
	history_tx = history_find_tx(history_request, wallet);
	if (history_tx == NULL)
		return RPC_DONE;
	if (!wallets_abandon(context, wallet, history_tx, &err))
		return rpc_fail(history_request, RPC_INVALID_ADDRESS_OR_KEY, "%s", err.text);
	return rpc_reply(history_request, NULL);
}

static const struct rpc_method history_methods[] = {
	{ "listtransactions", "Wallet", call_listtransactions, listtransactions_args,
		"Lists the newest transactions, the newest last. Category \"generate\" is a miner's reward, \"data\" "
		"the reward of a dataset's owner, \"run\" that of a run, \"immature\" any of them before it can be "
		"spent, \"orphan\" one whose block is no longer in the chain, \"struck\" a miner's that is gone: "
		"his run of the next round was false, or was not disclosed.",
		"[\n  {\n    \"address\": \"text\",\n"
		"    \"category\": \"send|receive|generate|data|run|immature|orphan|struck\",\n"
		"    \"reward\": \"generate|data|run\",   (only of a coinbase) what it is for, whatever became of it\n"
		"    \"amount\": x,\n    \"label\": \"text\",\n    \"vout\": n,\n    "
		"\"fee\": x,                (numeric, only sent)\n"
		"    \"contribution\": \"hex\",   (string, only where it registers data) root of the data\n"
		"    \"confirmations\": n,\n    \"blockhash\": \"hex\",\n    \"blockheight\": n,\n"
		"    \"blocktime\": n,\n"
		"    \"struckheight\": n,       (numeric, only if struck) of the block that took it\n"
		"    \"txid\": \"hex\",\n    \"time\": n,\n    \"timereceived\": n,\n    \"abandoned\": true|false\n"
		"  }, ...\n]",
		NULL, 0 },
	{ "gettransaction", "Wallet", call_gettransaction, gettransaction_args,
		"Tells all about a transaction of the wallet's.",
		"{\n  \"amount\": x,          (numeric) what it brought, without the fee\n  \"fee\": x,\n"
		"  \"confirmations\": n,\n"
		"  \"blockhash\": \"hex\",\n  \"blockheight\": n,\n  \"blocktime\": n,\n  \"txid\": \"hex\",\n"
		"  \"time\": n,\n"
		"  \"details\": [...],     as in listtransactions\n  \"hex\": \"hex\",\n  "
		"\"decoded\": {...}      only with verbose\n}",
		NULL, 0 },
	{ "abandontransaction", "Wallet", call_abandontransaction, abandontransaction_args,
		"Gives up a transaction that is in no block and not in the mempool: what it spends can be spent again.",
		NULL, NULL, 0 },
};

void calls_history_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, history_methods, sizeof history_methods / sizeof *history_methods, wallets);
}
