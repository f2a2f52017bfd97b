/* Transactions of a wallet: listtransactions, gettransaction, abandontransaction. */
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/which.h"
#include "consensus/payload/contribution.h"

enum {
	LIST_MAX = 100000,
};

/* Change only if the wallet paid something in: somebody who was told a change address and pays to it is a payer. */
static bool is_change(const struct ledger *ledger, const struct ledger_tx *entry, size_t output)
{
	return entry->mine[output] != NULL && entry->mine[output]->branch == ACCOUNT_CHANGE &&
		ledger_debit(ledger, entry) > 0;
}

static int64_t output_sum(const struct ledger_tx *entry)
{
	int64_t sum = 0;
	size_t i;

	for (i = 0; i < entry->tx->output_count; i++)
		sum += entry->tx->outputs[i].amount;
	return sum;
}

/* Fields that do not depend on the output. */
static void add_common(json_t *object, struct wallets *wallets, const struct ledger *ledger,
	const struct ledger_tx *entry)
{
	const struct index_entry *block = NULL;

	json_object_set_new(object, "confirmations", json_integer(ledger_depth(ledger, entry)));
	if (entry->coinbase)
		json_object_set_new(object, "generated", json_true());
	/* Height and block are the ledger's own: a chain that is built anew may not know the block yet. */
	if (entry->height != 0) {
		block = chain_find(wallets_chain(wallets), entry->block);
		json_object_set_new(object, "blockhash", json_hash(entry->block));
		json_object_set_new(object, "blockheight", json_integer(entry->height));
		if (block != NULL)
			json_object_set_new(object, "blocktime", json_integer(block->header.time));
	} else {
		json_object_set_new(object, "trusted",
			json_boolean(entry->in_mempool && ledger_from_us(ledger, entry)));
	}
	json_object_set_new(object, "txid", json_hash(entry->txid));
	json_object_set_new(object, "time", json_integer((json_int_t)entry->time));
	json_object_set_new(object, "timereceived", json_integer((json_int_t)entry->time));
}

static const char *category_of(const struct ledger *ledger, const struct ledger_tx *entry, size_t output)
{
	if (!entry->coinbase)
		return "receive";
	if (entry->height == 0)
		return "orphan";
	if (ledger_immature(ledger, entry))
		return "immature";
	/* The coinbase pays proofs first and data after: where the second begins is known from its block. */
	return output >= entry->first_data ? "data" : "generate";
}

/* Address and label of an output, or which data it registers. */
static json_t *show_output(const struct spec *spec, const struct ledger_tx *entry, size_t output)
{
	const struct tx_output *out = &entry->tx->outputs[output];
	const uint8_t *key = script_p2tr_key(&out->script);
	struct contribution contribution;
	json_t *object = json_object();

	if (key != NULL)
		json_object_set_new(object, "address", show_address(spec, key));
	else if (contribution_parse(&out->script, &contribution))
		json_object_set_new(object, "contribution", json_hex(contribution.root, 32));
	if (entry->mine[output] != NULL)
		json_object_set_new(object, "label",
			json_string(entry->mine[output]->label != NULL ? entry->mine[output]->label : ""));
	json_object_set_new(object, "vout", json_integer((json_int_t)output));
	return object;
}

/* Appends what the transaction sent and received, an object an output, as Bitcoin Core lists it: sent ones first. */
static void append_details(json_t *list, struct wallet *wallet, const struct ledger_tx *entry)
{
	const struct ledger *ledger = wallet_ledger(wallet);
	int64_t debit = ledger_debit(ledger, entry);
	bool from_us = ledger_from_us(ledger, entry);
	json_t *object;
	size_t i;

	for (i = 0; i < entry->tx->output_count && debit > 0; i++) {
		if (is_change(ledger, entry, i))
			continue;
		object = show_output(wallet_spec(wallet), entry, i);
		json_object_set_new(object, "category", json_string("send"));
		json_object_set_new(object, "amount", json_amount(-entry->tx->outputs[i].amount));
		/* Only where all inputs are the wallet's: of somebody else's it does not know what they are worth. */
		if (from_us)
			json_object_set_new(object, "fee", json_amount(output_sum(entry) - debit));
		json_object_set_new(object, "abandoned", json_boolean(entry->abandoned));
		json_array_append_new(list, object);
	}
	for (i = 0; i < entry->tx->output_count; i++) {
		if (entry->mine[i] == NULL || is_change(ledger, entry, i))
			continue;
		object = show_output(wallet_spec(wallet), entry, i);
		json_object_set_new(object, "category", json_string(category_of(ledger, entry, i)));
		json_object_set_new(object, "amount", json_amount(entry->tx->outputs[i].amount));
		json_object_set_new(object, "abandoned", json_boolean(entry->abandoned));
		json_array_append_new(list, object);
	}
}

/* --- listtransactions --- */

static const struct rpc_arg listtransactions_args[] = {
	{ .name = "label",
		.type = RPC_TEXT,
		.fallback = "\"*\"",
		.help = "Only outputs to addresses of this label; \"*\": all." },
	{ .name = "count", .type = RPC_INT, .fallback = "10", .min = 0, .max = LIST_MAX, .help = "How many at most." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = LIST_MAX,
		.help = "How many of the newest to leave out." },
	{ 0 },
};

/* Takes those of details that bear the label into newest_first, until that has `room` of them. */
static void take_labelled(json_t *newest_first, json_t *details, const char *label, size_t room, json_t *common)
{
	const char *found;
	json_t *object;
	size_t i;

	/* Backwards, as the list is turned around at the end: within a transaction the sent ones stand first again. */
	for (i = json_array_size(details); i-- > 0 && json_array_size(newest_first) < room;) {
		object = json_array_get(details, i);
		found = json_string_value(json_object_get(object, "label"));
		if (strcmp(label, "*") != 0 && (found == NULL || strcmp(found, label) != 0))
			continue;
		json_object_update(object, common);
		json_array_append(newest_first, object);
	}
}

static enum rpc_outcome call_listtransactions(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct ledger_tx **txs;
	json_t *newest_first;
	json_t *details;
	json_t *common;
	json_t *list;
	size_t count;
	size_t skip;
	size_t room;
	size_t i;

	if (wallet == NULL)
		return RPC_DONE;
	skip = (size_t)rpc_int(r, "skip");
	room = (size_t)rpc_int(r, "count") + skip;
	newest_first = json_array();
	txs = ledger_list(wallet_ledger(wallet), &count);
	/* From the newest on, and no further than the answer goes: a wallet may have many thousands. */
	while (count > 0 && json_array_size(newest_first) < room) {
		count--;
		details = json_array();
		common = json_object();
		append_details(details, wallet, txs[count]);
		add_common(common, context, wallet_ledger(wallet), txs[count]);
		take_labelled(newest_first, details, rpc_text(r, "label"), room, common);
		json_decref(details);
		json_decref(common);
	}
	free(txs);
	list = json_array();
	for (i = json_array_size(newest_first); i-- > skip;)
		json_array_append(list, json_array_get(newest_first, i));
	json_decref(newest_first);
	return rpc_reply(r, list);
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

static struct ledger_tx *find_tx(struct rpc_request *r, struct wallet *wallet)
{
	struct ledger_tx *entry;
	uint8_t txid[32];

	rpc_hash(r, "txid", txid);
	entry = ledger_find(wallet_ledger(wallet), txid);
	if (entry == NULL)
		rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "Invalid or non-wallet transaction id");
	return entry;
}

static enum rpc_outcome call_gettransaction(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	const struct ledger *ledger;
	struct ledger_tx *entry;
	int64_t fee = 0;
	int64_t debit;
	json_t *details;
	json_t *answer;

	if (wallet == NULL)
		return RPC_DONE;
	entry = find_tx(r, wallet);
	if (entry == NULL)
		return RPC_DONE;
	ledger = wallet_ledger(wallet);
	debit = ledger_debit(ledger, entry);
	if (ledger_from_us(ledger, entry))
		fee = output_sum(entry) - debit;
	answer = json_object();
	details = json_array();
	append_details(details, wallet, entry);
	/* As Bitcoin Core counts: fee is negative, and so what the wallet lost is shown without it. */
	json_object_set_new(answer, "amount", json_amount(ledger_credit(entry) - debit - fee));
	if (ledger_from_us(ledger, entry))
		json_object_set_new(answer, "fee", json_amount(fee));
	add_common(answer, context, ledger, entry);
	json_object_set_new(answer, "details", details);
	json_object_set_new(answer, "hex", show_tx_hex(entry->tx));
	if (rpc_bool(r, "verbose"))
		json_object_set_new(answer, "decoded", show_tx(wallet_spec(wallet), entry->tx));
	return rpc_reply(r, answer);
}

/* --- abandontransaction --- */

static const struct rpc_arg abandontransaction_args[] = {
	{ .name = "txid", .type = RPC_HASH, .help = "Id of a transaction of the wallet's." },
	{ 0 },
};

static enum rpc_outcome call_abandontransaction(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct ledger_tx *entry;
	struct errmsg err;

	if (wallet == NULL)
		return RPC_DONE;
	entry = find_tx(r, wallet);
	if (entry == NULL)
		return RPC_DONE;
	if (!wallet_abandon(wallet, entry, &err))
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "%s", err.text);
	return rpc_reply(r, NULL);
}

static const struct rpc_method methods[] = {
	{ "listtransactions", "Wallet", call_listtransactions, listtransactions_args,
		"Lists the newest transactions, the newest last. Category \"generate\" is a miner's reward, \"data\" "
		"the reward of a dataset's owner, \"immature\" either before it can be spent, \"orphan\" one whose "
		"block is no longer in the chain.",
		"[\n  {\n    \"address\": \"text\",\n"
		"    \"category\": \"send|receive|generate|data|immature|orphan\",\n"
		"    \"amount\": x,\n    \"label\": \"text\",\n    \"vout\": n,\n    "
		"\"fee\": x,                (numeric, only sent)\n"
		"    \"contribution\": \"hex\",   (string, only where it registers data) root of the data\n"
		"    \"confirmations\": n,\n    \"blockhash\": \"hex\",\n    \"blockheight\": n,\n"
		"    \"blocktime\": n,\n"
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
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, wallets);
}
