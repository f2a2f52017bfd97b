/* Addresses, balances and coins of a wallet. */
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/which.h"
#include "consensus/script.h"
#include "crypto/bech32.h"

/* Bitcoin Core's maxconf where none is given: more than any chain has blocks. */
enum {
	CONFIRMATIONS_MAX = 9999999,
};

/* --- getnewaddress, getrawchangeaddress --- */

static const struct rpc_arg getnewaddress_args[] = {
	{ .name = "label", .type = RPC_TEXT, .fallback = "\"\"", .max = WALLET_LABEL_MAX, .help = "A name for it." },
	{ .name = "address_type",
		.type = RPC_TEXT,
		.fallback = "\"bech32m\"",
		.help = "\"bech32m\": there is no other." },
	{ 0 },
};

static enum rpc_outcome new_address(struct rpc_request *r, struct wallets *wallets, enum account_branch branch,
	const char *label)
{
	struct wallet *wallet = which_wallet(r, wallets);
	struct errmsg err;
	uint8_t key[32];

	if (wallet == NULL)
		return RPC_DONE;
	if (strcmp(rpc_text(r, "address_type"), "bech32m") != 0)
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "Unknown address type '%s'",
			rpc_text(r, "address_type"));
	/* Written down before it is answered: an address that was given out is not given out again after a restart. */
	if (!wallet_new_address(wallet, branch, *label != 0 ? label : NULL, key, &err))
		return rpc_fail(r, RPC_DATABASE_ERROR, "%s", err.text);
	return rpc_reply(r, show_address(wallet_spec(wallet), key));
}

static enum rpc_outcome call_getnewaddress(struct rpc_request *r, void *context)
{
	return new_address(r, context, ACCOUNT_RECEIVE, rpc_text(r, "label"));
}

static const struct rpc_arg getrawchangeaddress_args[] = {
	{ .name = "address_type",
		.type = RPC_TEXT,
		.fallback = "\"bech32m\"",
		.help = "\"bech32m\": there is no other." },
	{ 0 },
};

static enum rpc_outcome call_getrawchangeaddress(struct rpc_request *r, void *context)
{
	return new_address(r, context, ACCOUNT_CHANGE, "");
}

/* --- getaddressinfo, validateaddress, setlabel --- */

static const struct rpc_arg address_args[] = {
	{ .name = "address", .type = RPC_TEXT, .max = 200, .help = "The address." },
	{ 0 },
};

/* A taproot output counts as "script" to Bitcoin Core, although a key is all that this wallet puts into it. */
static void add_script(json_t *answer, const uint8_t key[32])
{
	uint8_t script[P2TR_SIZE];

	script_p2tr(script, key);
	json_object_set_new(answer, "scriptPubKey", json_hex(script, sizeof script));
	json_object_set_new(answer, "isscript", json_true());
	json_object_set_new(answer, "iswitness", json_true());
	json_object_set_new(answer, "witness_version", json_integer(1));
	json_object_set_new(answer, "witness_program", json_hex(key, 32));
}

static enum rpc_outcome call_validateaddress(struct rpc_request *r, void *context)
{
	const struct spec *spec = chain_spec(wallets_chain(context));
	json_t *answer = json_object();
	struct rpc_error error;
	uint8_t key[32];

	/* A wrong address is the answer here, and not a failure of the call. */
	if (argument_address(spec, rpc_text(r, "address"), key, &error)) {
		json_object_set_new(answer, "isvalid", json_true());
		json_object_set_new(answer, "address", show_address(spec, key));
		add_script(answer, key);
	} else {
		json_object_set_new(answer, "isvalid", json_false());
		json_object_set_new(answer, "error", json_string(error.message.text));
	}
	return rpc_reply(r, answer);
}

static enum rpc_outcome call_getaddressinfo(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	const struct ledger_script *script;
	struct rpc_error error;
	json_t *answer;
	json_t *labels;
	uint8_t key[32];
	char path[48];

	if (wallet == NULL)
		return RPC_DONE;
	if (!argument_address(wallet_spec(wallet), rpc_text(r, "address"), key, &error))
		return rpc_fail_with(r, &error);
	script = ledger_script(wallet_ledger(wallet), key);
	answer = json_object();
	labels = json_array();
	json_object_set_new(answer, "address", show_address(wallet_spec(wallet), key));
	add_script(answer, key);
	json_object_set_new(answer, "ismine", json_boolean(script != NULL));
	json_object_set_new(answer, "solvable", json_boolean(script != NULL));
	json_object_set_new(answer, "iswatchonly", json_false());
	json_object_set_new(answer, "ischange", json_boolean(script != NULL && script->branch == ACCOUNT_CHANGE));
	if (script != NULL) {
		/* BIP86: other wallets that are given the words find the same keys under this path. */
		snprintf(path, sizeof path, "m/86'/%u'/0'/%d/%u", wallet_account(wallet)->coin, (int)script->branch,
			script->index);
		json_object_set_new(answer, "hdkeypath", json_string(path));
		if (script->branch == ACCOUNT_RECEIVE)
			json_array_append_new(labels, json_string(script->label != NULL ? script->label : ""));
	}
	json_object_set_new(answer, "labels", labels);
	return rpc_reply(r, answer);
}

static const struct rpc_arg setlabel_args[] = {
	{ .name = "address", .type = RPC_TEXT, .max = 200, .help = "An address of the wallet." },
	{ .name = "label", .type = RPC_TEXT, .max = WALLET_LABEL_MAX, .help = "The name for it." },
	{ 0 },
};

static enum rpc_outcome call_setlabel(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct ledger_script *script;
	struct rpc_error error;
	struct errmsg err;
	uint8_t key[32];

	if (wallet == NULL)
		return RPC_DONE;
	if (!argument_address(wallet_spec(wallet), rpc_text(r, "address"), key, &error))
		return rpc_fail_with(r, &error);
	script = ledger_script(wallet_ledger(wallet), key);
	if (script == NULL)
		return rpc_fail(r, RPC_INVALID_ADDRESS_OR_KEY, "The address is not one of this wallet's");
	if (!wallet_set_label(wallet, script, rpc_text(r, "label"), &err))
		return rpc_fail(r, RPC_DATABASE_ERROR, "%s", err.text);
	return rpc_reply(r, NULL);
}

/* --- getbalance, getbalances --- */

static const struct rpc_arg getbalance_args[] = {
	{ .name = "dummy", .type = RPC_TEXT, .fallback = "\"*\"", .help = "\"*\", as in Bitcoin Core." },
	{ .name = "minconf",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = CONFIRMATIONS_MAX,
		.help = "Count coins with at least so many confirmations." },
	{ 0 },
};

static enum rpc_outcome call_getbalance(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct ledger_coin *coins;
	int64_t sum = 0;
	size_t count;
	size_t i;

	if (wallet == NULL)
		return RPC_DONE;
	if (strcmp(rpc_text(r, "dummy"), "*") != 0 && *rpc_text(r, "dummy") != 0)
		return rpc_fail(r, RPC_METHOD_NOT_FOUND, "dummy first argument must be excluded or set to \"*\".");
	coins = ledger_coins(wallet_ledger(wallet), &count);
	for (i = 0; i < count; i++)
		/* Trusted: in a block, or the wallet's own and in the mempool. What a stranger sent may never be
		 * confirmed. */
		if (coins[i].trusted && !coins[i].immature && coins[i].depth >= rpc_int(r, "minconf"))
			sum += coins[i].amount;
	free(coins);
	return rpc_reply(r, json_amount(sum));
}

static enum rpc_outcome call_getbalances(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct ledger_balance balance;
	json_t *mine;
	json_t *last;

	if (wallet == NULL)
		return RPC_DONE;
	ledger_balance(wallet_ledger(wallet), &balance);
	mine = json_pack("{s:o,s:o,s:o}", "trusted", json_amount(balance.trusted), "untrusted_pending",
		json_amount(balance.pending), "immature", json_amount(balance.immature));
	last = json_pack("{s:o,s:I}", "hash", json_hash(wallet_synced(wallet)->id), "height",
		(json_int_t)wallet_synced(wallet)->height);
	return rpc_reply(r, json_pack("{s:o,s:o}", "mine", mine, "lastprocessedblock", last));
}

/* --- listunspent --- */

static const struct rpc_arg listunspent_args[] = {
	{ .name = "minconf",
		.type = RPC_INT,
		.fallback = "1",
		.min = 0,
		.max = CONFIRMATIONS_MAX,
		.help = "At least so many confirmations." },
	{ .name = "maxconf",
		.type = RPC_INT,
		.fallback = "9999999",
		.min = 0,
		.max = CONFIRMATIONS_MAX,
		.help = "At most so many." },
	{ .name = "addresses", .type = RPC_ARRAY, .optional = true, .help = "Only coins of these addresses." },
	{ .name = "include_unsafe",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "Include what others sent and no block holds yet." },
	{ 0 },
};

/* Whether the address is in the list; an empty list names all. */
static bool is_wanted(const json_t *addresses, const json_t *address)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(addresses, i, entry)
		if (json_equal(entry, address))
			return true;
	return json_array_size(addresses) == 0;
}

static json_t *show_coin(const struct ledger_coin *coin, json_t *address)
{
	const struct bytes *script = &coin->entry->tx->outputs[coin->outpoint.index].script;
	json_t *object = json_object();

	json_object_set_new(object, "txid", json_hash(coin->outpoint.txid));
	json_object_set_new(object, "vout", json_integer(coin->outpoint.index));
	json_object_set(object, "address", address);
	json_object_set_new(object, "label", json_string(coin->script->label != NULL ? coin->script->label : ""));
	json_object_set_new(object, "scriptPubKey", json_hex(script->data, script->size));
	json_object_set_new(object, "amount", json_amount(coin->amount));
	json_object_set_new(object, "confirmations", json_integer(coin->depth));
	json_object_set_new(object, "spendable", json_boolean(coin->trusted));
	json_object_set_new(object, "solvable", json_true());
	json_object_set_new(object, "safe", json_boolean(coin->trusted));
	return object;
}

/* All are checked first: an address that is mistyped would else seem to hold no coins. */
static bool check_addresses(const struct spec *spec, const json_t *addresses, struct rpc_error *error)
{
	const json_t *entry;
	uint8_t key[32];
	size_t i;

	json_array_foreach(addresses, i, entry) {
		if (!json_is_text(entry))
			return rpc_error_set(error, RPC_TYPE_ERROR, "addresses: each must be a string");
		if (!argument_address(spec, json_string_value(entry), key, error))
			return false;
	}
	return true;
}

static enum rpc_outcome call_listunspent(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct ledger_coin *coins;
	struct rpc_error error;
	json_t *addresses;
	json_t *address;
	json_t *list;
	size_t count;
	size_t i;

	if (wallet == NULL)
		return RPC_DONE;
	addresses = rpc_json(r, "addresses");
	if (!check_addresses(wallet_spec(wallet), addresses, &error))
		return rpc_fail_with(r, &error);
	list = json_array();
	coins = ledger_coins(wallet_ledger(wallet), &count);
	for (i = 0; i < count; i++) {
		if (coins[i].immature || coins[i].depth < rpc_int(r, "minconf") ||
			coins[i].depth > rpc_int(r, "maxconf") || (!coins[i].trusted && !rpc_bool(r, "include_unsafe")))
			continue;
		address = show_address(wallet_spec(wallet), coins[i].script->key);
		if (is_wanted(addresses, address))
			json_array_append_new(list, show_coin(&coins[i], address));
		json_decref(address);
	}
	free(coins);
	return rpc_reply(r, list);
}

static const struct rpc_method methods[] = {
	{ "getnewaddress", "Wallet", call_getnewaddress, getnewaddress_args,
		"Gives an address that has not been given out before. Miners and contributors of data are paid to such "
		"addresses too.",
		"\"text\"  (string) the address", NULL, 0 },
	{ "getrawchangeaddress", "Wallet", call_getrawchangeaddress, getrawchangeaddress_args,
		"Gives a new address for change.", "\"text\"  (string) the address", NULL, 0 },
	{ "getaddressinfo", "Wallet", call_getaddressinfo, address_args, "Tells what the wallet knows of an address.",
		"{\n  \"address\": \"text\",\n  \"scriptPubKey\": \"hex\",\n  \"ismine\": true|false,\n"
		"  \"ischange\": true|false,\n  \"hdkeypath\": \"text\",  (string, only the wallet's own)\n"
		"  \"labels\": [\"text\"],\n  ...\n}",
		"\"ratl1...\"", 0 },
	{ "setlabel", "Wallet", call_setlabel, setlabel_args, "Names an address of the wallet.", NULL,
		"\"ratl1...\" \"shop\"", 0 },
	{ "validateaddress", "Util", call_validateaddress, address_args,
		"Tells whether an address of this chain is right, or what is wrong with it.",
		"{\n  \"isvalid\": true|false,\n  \"error\": \"text\",         (string, only if it is not)\n"
		"  \"address\": \"text\",       (string, and the others, only if it is)\n  \"scriptPubKey\": \"hex\",\n"
		"  \"witness_version\": 1,\n  \"witness_program\": \"hex\",\n  ...\n}",
		"\"ratl1...\"", 0 },
	{ "getbalance", "Wallet", call_getbalance, getbalance_args,
		"Gives what can be spent: mature coins in blocks, and unconfirmed change of the wallet's own.",
		"x  (numeric)", NULL, 0 },
	{ "getbalances", "Wallet", call_getbalances, NULL, "Gives all balances of a wallet.",
		"{\n  \"mine\": {\n    \"trusted\": x,            (numeric) can be spent\n"
		"    \"untrusted_pending\": x,  (numeric) from others, in no block yet\n"
		"    \"immature\": x            (numeric) rewards that cannot be spent yet\n  },\n"
		"  \"lastprocessedblock\": {\"hash\": \"hex\", \"height\": n}\n}",
		NULL, 0 },
	{ "listunspent", "Wallet", call_listunspent, listunspent_args,
		"Lists coins that can be spent, rewards once they are mature.",
		"[\n  {\n    \"txid\": \"hex\",\n    \"vout\": n,\n    \"address\": \"text\",\n"
		"    \"label\": \"text\",\n"
		"    \"scriptPubKey\": \"hex\",\n    \"amount\": x,\n    \"confirmations\": n,\n    "
		"\"spendable\": true|false,\n"
		"    \"solvable\": true,\n    \"safe\": true|false\n  }, ...\n]",
		NULL, 0 },
};

void calls_address_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, wallets);
}
