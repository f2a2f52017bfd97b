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
	ADDRESS_CONFIRMATIONS_MAX = 9999999,
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

static enum rpc_outcome address_give_new(struct rpc_request *address_request, struct wallets *wallets,
	enum account_branch branch, const char *label)
{
	struct wallet *wallet = which_wallet(address_request, wallets);
	struct errmsg err;
	uint8_t address_key[32];

	if (wallet == NULL)
		return RPC_DONE;
	if (strcmp(rpc_text(address_request, "address_type"), "bech32m") != 0)
		return rpc_fail(address_request, RPC_INVALID_ADDRESS_OR_KEY, "Unknown address type '%s'",
			rpc_text(address_request, "address_type"));
	/* Written down before it is answered: an address that was given out is not given out again after a restart. */
	if (!wallet_new_address(wallet, branch, *label != 0 ? label : NULL, address_key, &err))
		return rpc_fail(address_request, RPC_DATABASE_ERROR, "%s", err.text);
	return rpc_reply(address_request, show_address(wallet_spec(wallet), address_key));
}

static enum rpc_outcome call_getnewaddress(struct rpc_request *address_request, void *context)
{
	return address_give_new(address_request, context, ACCOUNT_RECEIVE, rpc_text(address_request, "label"));
}

static const struct rpc_arg getrawchangeaddress_args[] = {
	{ .name = "address_type",
		.type = RPC_TEXT,
		.fallback = "\"bech32m\"",
		.help = "\"bech32m\": there is no other." },
	{ 0 },
};

static enum rpc_outcome call_getrawchangeaddress(struct rpc_request *address_request, void *context)
{
	return address_give_new(address_request, context, ACCOUNT_CHANGE, "");
}

/* --- getaddressinfo, validateaddress, setlabel --- */

static const struct rpc_arg address_args[] = {
	{ .name = "address", .type = RPC_TEXT, .max = 200, .help = "The address." },
	{ 0 },
};

/* A taproot output counts as "script" to Bitcoin Core, although a key is all that this wallet puts into it. */
static void address_add_script(json_t *address_shown, const uint8_t address_key[32])
{
	uint8_t address_p2tr[P2TR_SIZE];

	script_p2tr(address_p2tr, address_key);
	json_object_set_new(address_shown, "scriptPubKey", json_hex(address_p2tr, sizeof address_p2tr));
	json_object_set_new(address_shown, "isscript", json_true());
	json_object_set_new(address_shown, "iswitness", json_true());
	json_object_set_new(address_shown, "witness_version", json_integer(1));
	json_object_set_new(address_shown, "witness_program", json_hex(address_key, 32));
}

static enum rpc_outcome call_validateaddress(struct rpc_request *address_request, void *context)
{
	const struct spec *spec = chain_spec(wallets_chain(context));
	json_t *address_shown = json_object();
	struct rpc_error error;
	uint8_t address_key[32];

	/* A wrong address is the answer here, and not a failure of the call. */
	if (argument_address(spec, rpc_text(address_request, "address"), address_key, &error)) {
		json_object_set_new(address_shown, "isvalid", json_true());
		json_object_set_new(address_shown, "address", show_address(spec, address_key));
		address_add_script(address_shown, address_key);
	} else {
		json_object_set_new(address_shown, "isvalid", json_false());
		json_object_set_new(address_shown, "error", json_string(error.message.text));
	}
	return rpc_reply(address_request, address_shown);
}

static enum rpc_outcome call_getaddressinfo(struct rpc_request *address_request, void *context)
{
	struct wallet *wallet = which_wallet(address_request, context);
	const struct ledger_script *address_script;
	struct rpc_error error;
	json_t *address_shown;
	json_t *labels;
	uint8_t address_key[32];
	char key_path[48];

	if (wallet == NULL)
		return RPC_DONE;
	if (!argument_address(wallet_spec(wallet), rpc_text(address_request, "address"), address_key, &error))
		return rpc_fail_with(address_request, &error);
	address_script = ledger_script(wallet_ledger(wallet), address_key);
	address_shown = json_object();
	labels = json_array();
	json_object_set_new(address_shown, "address", show_address(wallet_spec(wallet), address_key));
	address_add_script(address_shown, address_key);
	json_object_set_new(address_shown, "ismine", json_boolean(address_script != NULL));
	json_object_set_new(address_shown, "solvable", json_boolean(address_script != NULL));
	json_object_set_new(address_shown, "iswatchonly", json_false());
	json_object_set_new(address_shown, "ischange",
		json_boolean(address_script != NULL && address_script->branch == ACCOUNT_CHANGE));
	if (address_script != NULL) {
		/* BIP86: other wallets that are given the words find the same keys under this path. */
		snprintf(key_path, sizeof key_path, "m/86'/%u'/0'/%d/%u", wallet_account(wallet)->coin,
			(int)address_script->branch, address_script->index);
		json_object_set_new(address_shown, "hdkeypath", json_string(key_path));
		if (address_script->branch == ACCOUNT_RECEIVE)
			json_array_append_new(labels,
				json_string(address_script->label != NULL ? address_script->label : ""));
	}
	json_object_set_new(address_shown, "labels", labels);
	return rpc_reply(address_request, address_shown);
}

static const struct rpc_arg setlabel_args[] = {
	{ .name = "address", .type = RPC_TEXT, .max = 200, .help = "An address of the wallet." },
	{ .name = "label", .type = RPC_TEXT, .max = WALLET_LABEL_MAX, .help = "The name for it." },
	{ 0 },
};

static enum rpc_outcome call_setlabel(struct rpc_request *address_request, void *context)
{
	struct wallet *wallet = which_wallet(address_request, context);
	struct ledger_script *address_script;
	struct rpc_error error;
	struct errmsg err;
	uint8_t address_key[32];

	if (wallet == NULL)
		return RPC_DONE;
	if (!argument_address(wallet_spec(wallet), rpc_text(address_request, "address"), address_key, &error))
		return rpc_fail_with(address_request, &error);
	address_script = ledger_script(wallet_ledger(wallet), address_key);
	if (address_script == NULL)
		return rpc_fail(address_request, RPC_INVALID_ADDRESS_OR_KEY, "The address is not one of this wallet's");
	if (!wallet_set_label(wallet, address_script, rpc_text(address_request, "label"), &err))
		return rpc_fail(address_request, RPC_DATABASE_ERROR, "%s", err.text);
	return rpc_reply(address_request, NULL);
}

/* --- getbalance, getbalances --- */

static const struct rpc_arg getbalance_args[] = {
	{ .name = "dummy", .type = RPC_TEXT, .fallback = "\"*\"", .help = "\"*\", as in Bitcoin Core." },
	{ .name = "minconf",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = ADDRESS_CONFIRMATIONS_MAX,
		.help = "Count coins with at least so many confirmations." },
	{ 0 },
};

static enum rpc_outcome call_getbalance(struct rpc_request *address_request, void *context)
{
	struct wallet *wallet = which_wallet(address_request, context);
	struct ledger_coin *wallet_coins;
	int64_t balance_sum = 0;
	size_t coin_count;
	size_t i;

	if (wallet == NULL)
		return RPC_DONE;
	if (strcmp(rpc_text(address_request, "dummy"), "*") != 0 && *rpc_text(address_request, "dummy") != 0)
		return rpc_fail(address_request, RPC_METHOD_NOT_FOUND,
			"dummy first argument must be excluded or set to \"*\".");
	wallet_coins = ledger_coins(wallet_ledger(wallet), &coin_count);
	for (i = 0; i < coin_count; i++)
		/* Trusted: in a block, or the wallet's own and in the mempool. What a stranger sent may never be
		 * confirmed. */
		if (wallet_coins[i].trusted && !wallet_coins[i].immature &&
			wallet_coins[i].depth >= rpc_int(address_request, "minconf"))
			balance_sum += wallet_coins[i].amount;
	free(wallet_coins);
	return rpc_reply(address_request, json_amount(balance_sum));
}

static enum rpc_outcome call_getbalances(struct rpc_request *address_request, void *context)
{
	struct wallet *wallet = which_wallet(address_request, context);
	struct ledger_balance all_balances;
	json_t *mine;
	json_t *last_block;

	if (wallet == NULL)
		return RPC_DONE;
	ledger_balance(wallet_ledger(wallet), &all_balances);
	mine = json_pack("{s:o,s:o,s:o}", "trusted", json_amount(all_balances.trusted), "untrusted_pending",
		json_amount(all_balances.pending), "immature", json_amount(all_balances.immature));
	last_block = json_pack("{s:o,s:I}", "hash", json_hash(wallet_synced(wallet)->id), "height",
		(json_int_t)wallet_synced(wallet)->height);
	return rpc_reply(address_request, json_pack("{s:o,s:o}", "mine", mine, "lastprocessedblock", last_block));
}

/* --- listunspent --- */

static const struct rpc_arg listunspent_args[] = {
	{ .name = "minconf",
		.type = RPC_INT,
		.fallback = "1",
		.min = 0,
		.max = ADDRESS_CONFIRMATIONS_MAX,
		.help = "At least so many confirmations." },
	{ .name = "maxconf",
		.type = RPC_INT,
		.fallback = "9999999",
		.min = 0,
		.max = ADDRESS_CONFIRMATIONS_MAX,
		.help = "At most so many." },
	{ .name = "addresses", .type = RPC_ARRAY, .optional = true, .help = "Only coins of these addresses." },
	{ .name = "include_unsafe",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "Include what others sent and no block holds yet." },
	{ 0 },
};

/* Whether the address is in the list; an empty list names all. */
static bool address_is_wanted(const json_t *addresses, const json_t *address)
{
	const json_t *listed_address;
	size_t i;

	json_array_foreach(addresses, i, listed_address)
		if (json_equal(listed_address, address))
			return true;
	return json_array_size(addresses) == 0;
}

static json_t *address_show_coin(const struct ledger_coin *wallet_coin, json_t *address)
{
	const struct bytes *coin_script = &wallet_coin->entry->tx->outputs[wallet_coin->outpoint.index].script;
	json_t *coin_shown = json_object();

	json_object_set_new(coin_shown, "txid", json_hash(wallet_coin->outpoint.txid));
	json_object_set_new(coin_shown, "vout", json_integer(wallet_coin->outpoint.index));
	json_object_set(coin_shown, "address", address);
	json_object_set_new(coin_shown, "label",
		json_string(wallet_coin->script->label != NULL ? wallet_coin->script->label : ""));
	json_object_set_new(coin_shown, "scriptPubKey", json_hex(coin_script->data, coin_script->size));
	json_object_set_new(coin_shown, "amount", json_amount(wallet_coin->amount));
	json_object_set_new(coin_shown, "confirmations", json_integer(wallet_coin->depth));
	json_object_set_new(coin_shown, "spendable", json_boolean(wallet_coin->trusted));
	json_object_set_new(coin_shown, "solvable", json_true());
	json_object_set_new(coin_shown, "safe", json_boolean(wallet_coin->trusted));
	return coin_shown;
}

/* All are checked first: an address that is mistyped would else seem to hold no coins. */
static bool address_check_all(const struct spec *spec, const json_t *addresses, struct rpc_error *error)
{
	const json_t *listed_address;
	uint8_t address_key[32];
	size_t i;

	json_array_foreach(addresses, i, listed_address) {
		if (!json_is_text(listed_address))
			return rpc_error_set(error, RPC_TYPE_ERROR, "addresses: each must be a string");
		if (!argument_address(spec, json_string_value(listed_address), address_key, error))
			return false;
	}
	return true;
}

static enum rpc_outcome call_listunspent(struct rpc_request *address_request, void *context)
{
	struct wallet *wallet = which_wallet(address_request, context);
	struct ledger_coin *wallet_coins;
	struct rpc_error error;
	json_t *addresses;
	json_t *coin_address;
	json_t *coins_shown;
	size_t coin_count;
	size_t i;

	if (wallet == NULL)
		return RPC_DONE;
	addresses = rpc_json(address_request, "addresses");
	if (!address_check_all(wallet_spec(wallet), addresses, &error))
		return rpc_fail_with(address_request, &error);
	coins_shown = json_array();
	wallet_coins = ledger_coins(wallet_ledger(wallet), &coin_count);
	for (i = 0; i < coin_count; i++) {
		if (wallet_coins[i].immature || wallet_coins[i].depth < rpc_int(address_request, "minconf") ||
			wallet_coins[i].depth > rpc_int(address_request, "maxconf") ||
			(!wallet_coins[i].trusted && !rpc_bool(address_request, "include_unsafe")))
			continue;
		coin_address = show_address(wallet_spec(wallet), wallet_coins[i].script->key);
		if (address_is_wanted(addresses, coin_address))
			json_array_append_new(coins_shown, address_show_coin(&wallet_coins[i], coin_address));
		json_decref(coin_address);
	}
	free(wallet_coins);
	return rpc_reply(address_request, coins_shown);
}

static const struct rpc_method address_methods[] = {
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
	rpc_table_add(table, address_methods, sizeof address_methods / sizeof *address_methods, wallets);
}
