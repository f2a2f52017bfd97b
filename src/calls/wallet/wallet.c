/* Wallets as such: made, loaded, locked, told about. */
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/wallet/which.h"
#include "crypto/wipe.h"
#include "util/clock.h"

/* Bitcoin Core's longest time to stay unlocked, about three years; bytes of a passphrase and of words. */
enum {
	WALLET_UNLOCK_SECONDS_MAX = 100000000,
	WALLET_TEXT_MAX = 1024,
};

/* Answers a failure of creating or loading. */
static enum rpc_outcome wallet_call_fail(struct rpc_request *wallet_request, enum wallets_result wallets_error,
	const struct errmsg *err)
{
	enum rpc_code wallet_error_code = RPC_WALLET_ERROR;

	switch (wallets_error) {
	case WALLETS_BAD_NAME:
	case WALLETS_BAD_WORDS:
		wallet_error_code = RPC_INVALID_PARAMETER;
		break;
	case WALLETS_EXISTS:
		wallet_error_code = RPC_WALLET_ALREADY_EXISTS;
		break;
	case WALLETS_MISSING:
		wallet_error_code = RPC_WALLET_NOT_FOUND;
		break;
	case WALLETS_LOADED:
		wallet_error_code = RPC_WALLET_ALREADY_LOADED;
		break;
	case WALLETS_OK:
	case WALLETS_FAILED:
		break;
	}
	return rpc_fail(wallet_request, wallet_error_code, "%s", err->text);
}

/* --- whether the wallet is loaded when the node starts --- */

#define LOAD_ON_STARTUP_ARG                                                                                  \
	{                                                                                                    \
		.name = "load_on_startup", .type = RPC_BOOL, .optional = true,                               \
		.help = "Whether the node loads the wallet when it starts, from now on; left out: as it is." \
	}

/* The wallet itself has been dealt with, so a failure is no more than a warning. */
static void wallet_call_set_startup(struct wallets *wallets, const char *name, bool load, json_t *wallet_answer)
{
	char startup_warning[sizeof(struct errmsg) + 128];
	struct errmsg err;

	if (wallets_set_startup(wallets, name, load, &err))
		return;
	snprintf(startup_warning, sizeof startup_warning,
		"The list of the wallets to load at the start could not be changed: %s", err.text);
	json_object_set_new(wallet_answer, "warning", json_string(startup_warning));
}

/* Does what load_on_startup asks for, if it asks. */
static void wallet_call_heed_startup(struct rpc_request *wallet_request, struct wallets *wallets, const char *name,
	json_t *wallet_answer)
{
	if (rpc_has(wallet_request, "load_on_startup"))
		wallet_call_set_startup(wallets, name, rpc_bool(wallet_request, "load_on_startup"), wallet_answer);
}

/* --- createwallet --- */

static const struct rpc_arg createwallet_args[] = {
	{ .name = "wallet_name",
		.type = RPC_TEXT,
		.max = 64,
		.help = "Its name: letters, digits, \"-\", \"_\", \".\"." },
	{ .name = "disable_private_keys", .type = RPC_BOOL, .fallback = "false", .help = "Must be false." },
	{ .name = "blank", .type = RPC_BOOL, .fallback = "false", .help = "Must be false." },
	{ .name = "passphrase",
		.type = RPC_TEXT,
		.optional = true,
		.max = WALLET_TEXT_MAX,
		.help = "Encrypts the seed. Without one who can read the file can spend." },
	{ .name = "mnemonic",
		.type = RPC_TEXT,
		.optional = true,
		.max = WALLET_TEXT_MAX,
		.help = "Restore the wallet of these BIP39 words; the whole chain is then looked through." },
	{ .name = "descriptors",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "Must be true; here for Bitcoin Core's order of arguments." },
	{ .name = "load_on_startup",
		.type = RPC_BOOL,
		.fallback = "true",
		.help = "Whether the node loads it whenever it starts." },
	{ 0 },
};

static enum rpc_outcome call_createwallet(struct rpc_request *wallet_request, void *context)
{
	const char *passphrase = rpc_has(wallet_request, "passphrase") ? rpc_text(wallet_request, "passphrase") : NULL;
	struct wallets *wallets = context;
	enum wallets_result create_result;
	struct wallet *wallet;
	struct errmsg err;
	json_t *wallet_answer;

	if (rpc_bool(wallet_request, "disable_private_keys") || rpc_bool(wallet_request, "blank"))
		return rpc_fail(wallet_request, RPC_WALLET_ERROR,
			"Wallets without keys of their own are not supported");
	if (!rpc_bool(wallet_request, "descriptors"))
		return rpc_fail(wallet_request, RPC_WALLET_ERROR, "There are no wallets of Bitcoin Core's older kind");
	create_result = wallets_create(wallets, rpc_text(wallet_request, "wallet_name"),
		passphrase != NULL ? passphrase : "", rpc_text(wallet_request, "mnemonic"), &wallet, &err);
	if (create_result != WALLETS_OK)
		return wallet_call_fail(wallet_request, create_result, &err);
	wallet_answer = json_object();
	json_object_set_new(wallet_answer, "name", json_string(wallet_name(wallet)));
	/* In Bitcoin Core's words, whose createwallet warns of this too: "" was perhaps meant to be a variable of a
	 * script. */
	if (passphrase != NULL && *passphrase == 0)
		json_object_set_new(wallet_answer, "warning",
			json_string("Empty string given as passphrase, wallet will not be encrypted."));
	wallet_call_set_startup(wallets, wallet_name(wallet), rpc_bool(wallet_request, "load_on_startup"),
		wallet_answer);
	return rpc_reply(wallet_request, wallet_answer);
}

/* --- loadwallet, unloadwallet, listwallets, listwalletdir --- */

static const struct rpc_arg loadwallet_args[] = {
	{ .name = "filename", .type = RPC_TEXT, .max = 64, .help = "The wallet's name." },
	LOAD_ON_STARTUP_ARG,
	{ 0 },
};

static enum rpc_outcome call_loadwallet(struct rpc_request *wallet_request, void *context)
{
	enum wallets_result load_result;
	struct wallet *wallet;
	struct errmsg err;
	json_t *wallet_answer;

	load_result = wallets_load(context, rpc_text(wallet_request, "filename"), &wallet, &err);
	if (load_result != WALLETS_OK)
		return wallet_call_fail(wallet_request, load_result, &err);
	wallet_answer = json_pack("{s:s}", "name", wallet_name(wallet));
	wallet_call_heed_startup(wallet_request, context, wallet_name(wallet), wallet_answer);
	return rpc_reply(wallet_request, wallet_answer);
}

static const struct rpc_arg unloadwallet_args[] = {
	{ .name = "wallet_name",
		.type = RPC_TEXT,
		.optional = true,
		.max = 64,
		.help = "Its name, if not in the address." },
	LOAD_ON_STARTUP_ARG,
	{ 0 },
};

static enum rpc_outcome call_unloadwallet(struct rpc_request *wallet_request, void *context)
{
	const char *named = rpc_has(wallet_request, "wallet_name") ? rpc_text(wallet_request, "wallet_name") :
								     rpc_wallet(wallet_request);
	struct wallets *wallets = context;
	struct wallet *wallet;
	json_t *wallet_answer;

	wallets_mend(wallets);
	wallet = named != NULL ? wallets_find(wallets, named) : which_wallet(wallet_request, wallets);
	if (wallet == NULL && named == NULL)
		return RPC_DONE;
	if (wallet == NULL && wallets_down(wallets, named) == NULL)
		return rpc_fail(wallet_request, RPC_WALLET_NOT_FOUND,
			"Requested wallet does not exist or is not loaded");
	wallet_answer = json_object();
	/* Before the wallet goes, whose name it is. */
	wallet_call_heed_startup(wallet_request, wallets, wallet != NULL ? wallet_name(wallet) : named, wallet_answer);
	if (wallet != NULL)
		wallets_unload(wallets, wallet);
	else
		/* One that is down is unloaded too: else it would be tried again for ever, and its operator told of
		 * it. */
		wallets_forget(wallets, named);
	return rpc_reply(wallet_request, wallet_answer);
}

static enum rpc_outcome call_listwallets(struct rpc_request *wallet_request, void *context)
{
	struct wallets *wallets = context;
	json_t *loaded_names = json_array();
	size_t i;

	wallets_mend(wallets);
	for (i = 0; i < wallets_count(wallets); i++)
		json_array_append_new(loaded_names, json_string(wallet_name(wallets_at(wallets, i))));
	return rpc_reply(wallet_request, loaded_names);
}

static enum rpc_outcome call_listwalletdir(struct rpc_request *wallet_request, void *context)
{
	json_t *wallet_list = json_array();
	char **wallet_names;
	size_t wallet_count;
	size_t i;

	wallet_names = wallets_on_disk(context, &wallet_count);
	for (i = 0; i < wallet_count; i++) {
		json_array_append_new(wallet_list, json_pack("{s:s}", "name", wallet_names[i]));
		free(wallet_names[i]);
	}
	free(wallet_names);
	return rpc_reply(wallet_request, json_pack("{s:o}", "wallets", wallet_list));
}

/* --- getwalletinfo --- */

/* In parts of the way to the tip by height; it stays an object until the wallet is told of blocks as they come. */
static void wallet_call_add_scanning(json_t *wallet_answer, struct wallets *wallets, struct wallet *wallet)
{
	uint32_t synced_height = wallet_synced(wallet)->height;
	uint32_t tip_height = chain_tip(wallets_chain(wallets))->height;
	json_t *scanning = json_false();

	if (!wallets_is_level(wallets, wallet)) {
		scanning = json_object();
		json_object_set_new(scanning, "progress",
			json_fixed(tip_height > synced_height ? (int64_t)synced_height * 10000 / tip_height : 10000,
				4));
	}
	json_object_set_new(wallet_answer, "scanning", scanning);
	json_object_set_new(wallet_answer, "lastprocessedblock",
		json_pack("{s:o,s:I}", "hash", json_hash(wallet_synced(wallet)->id), "height",
			(json_int_t)synced_height));
}

static enum rpc_outcome call_getwalletinfo(struct rpc_request *wallet_request, void *context)
{
	struct wallet *wallet = which_wallet(wallet_request, context);
	const struct account *account;
	struct ledger_balance wallet_balance;
	char xpub[BIP32_TEXT_MAX + 1];
	json_t *wallet_answer;
	char account_path[32];

	if (wallet == NULL)
		return RPC_DONE;
	account = wallet_account(wallet);
	ledger_balance(wallet_ledger(wallet), &wallet_balance);
	/* Who has it sees all that the wallet gets and spends, and can spend nothing: it is shown without unlocking. */
	bip32_encode(xpub, &account->node);
	snprintf(account_path, sizeof account_path, "m/86'/%u'/0'", account->coin);
	wallet_answer = json_object();
	json_object_set_new(wallet_answer, "walletname", json_string(wallet_name(wallet)));
	json_object_set_new(wallet_answer, "walletversion", json_integer(1));
	json_object_set_new(wallet_answer, "format", json_string("leveldb"));
	json_object_set_new(wallet_answer, "balance", json_amount(wallet_balance.trusted));
	json_object_set_new(wallet_answer, "unconfirmed_balance", json_amount(wallet_balance.pending));
	json_object_set_new(wallet_answer, "immature_balance", json_amount(wallet_balance.immature));
	json_object_set_new(wallet_answer, "txcount", json_integer((json_int_t)wallet_ledger(wallet)->txs.count));
	json_object_set_new(wallet_answer, "keypoolsize", json_integer(WALLET_GAP));
	if (account->has_passphrase)
		json_object_set_new(wallet_answer, "unlocked_until", json_integer(wallet_unlocked_until(wallet)));
	json_object_set_new(wallet_answer, "private_keys_enabled", json_true());
	json_object_set_new(wallet_answer, "birthtime", json_integer((json_int_t)wallet_birth_time(wallet)));
	json_object_set_new(wallet_answer, "account", json_pack("{s:s,s:s}", "path", account_path, "xpub", xpub));
	wallet_call_add_scanning(wallet_answer, context, wallet);
	return rpc_reply(wallet_request, wallet_answer);
}

/* --- passphrases and words --- */

static const struct rpc_arg walletpassphrase_args[] = {
	{ .name = "passphrase", .type = RPC_TEXT, .max = WALLET_TEXT_MAX, .help = "The wallet's passphrase." },
	{ .name = "timeout",
		.type = RPC_INT,
		.min = 0,
		.max = WALLET_UNLOCK_SECONDS_MAX,
		.help = "Seconds to keep it unlocked." },
	{ 0 },
};

/* The wallet that is meant, if it has a passphrase or, with has false, none. */
static struct wallet *wallet_call_which(struct rpc_request *wallet_request, struct wallets *wallets,
	bool has_passphrase)
{
	struct wallet *wallet = which_wallet(wallet_request, wallets);

	if (wallet == NULL || wallet_account(wallet)->has_passphrase == has_passphrase)
		return wallet;
	rpc_fail(wallet_request, RPC_WRONG_ENCRYPTION_STATE,
		has_passphrase ? "The wallet has no passphrase: encryptwallet gives it one" :
				 "The wallet has a passphrase already: walletpassphrasechange changes it");
	return NULL;
}

static enum rpc_outcome call_walletpassphrase(struct rpc_request *wallet_request, void *context)
{
	struct wallet *wallet = wallet_call_which(wallet_request, context, true);

	if (wallet == NULL)
		return RPC_DONE;
	/* Guesses are slowed down by scrypt alone, on the loop's thread: whoever may call has the node's credentials
	 * already. */
	if (!wallet_unlock(wallet, rpc_text(wallet_request, "passphrase"), rpc_int(wallet_request, "timeout")))
		return rpc_fail(wallet_request, RPC_PASSPHRASE_INCORRECT,
			"Error: The wallet passphrase entered was incorrect.");
	return rpc_reply(wallet_request, NULL);
}

static enum rpc_outcome call_walletlock(struct rpc_request *wallet_request, void *context)
{
	struct wallet *wallet = wallet_call_which(wallet_request, context, true);

	if (wallet == NULL)
		return RPC_DONE;
	wallet_lock(wallet);
	return rpc_reply(wallet_request, NULL);
}

static enum rpc_outcome wallet_call_change_passphrase(struct rpc_request *wallet_request, struct wallet *wallet,
	const char *old, const char *fresh)
{
	struct errmsg err;
	bool wrong;

	/* No way back to a wallet without one: it would write the seed as it is, by a slip of a script. */
	if (*fresh == 0)
		return rpc_fail(wallet_request, RPC_INVALID_PARAMETER, "passphrase cannot be empty");
	if (wallet_change_passphrase(wallet, old, fresh, &wrong, &err))
		return rpc_reply(wallet_request, NULL);
	return rpc_fail(wallet_request, wrong ? RPC_PASSPHRASE_INCORRECT : RPC_WALLET_ERROR, "%s", err.text);
}

static const struct rpc_arg encryptwallet_args[] = {
	{ .name = "passphrase", .type = RPC_TEXT, .max = WALLET_TEXT_MAX, .help = "The passphrase from now on." },
	{ 0 },
};

static enum rpc_outcome call_encryptwallet(struct rpc_request *wallet_request, void *context)
{
	struct wallet *wallet = wallet_call_which(wallet_request, context, false);

	return wallet == NULL ?
		RPC_DONE :
		wallet_call_change_passphrase(wallet_request, wallet, "", rpc_text(wallet_request, "passphrase"));
}

static const struct rpc_arg walletpassphrasechange_args[] = {
	{ .name = "oldpassphrase", .type = RPC_TEXT, .max = WALLET_TEXT_MAX, .help = "The passphrase until now." },
	{ .name = "newpassphrase", .type = RPC_TEXT, .max = WALLET_TEXT_MAX, .help = "The passphrase from now on." },
	{ 0 },
};

static enum rpc_outcome call_walletpassphrasechange(struct rpc_request *wallet_request, void *context)
{
	struct wallet *wallet = wallet_call_which(wallet_request, context, true);

	if (wallet == NULL)
		return RPC_DONE;
	return wallet_call_change_passphrase(wallet_request, wallet, rpc_text(wallet_request, "oldpassphrase"),
		rpc_text(wallet_request, "newpassphrase"));
}

static enum rpc_outcome call_dumpmnemonic(struct rpc_request *wallet_request, void *context)
{
	struct wallet *wallet = which_wallet(wallet_request, context);
	char words[BIP39_TEXT_MAX + 1];
	json_t *wallet_answer;

	if (wallet == NULL)
		return RPC_DONE;
	if (!wallet_is_unlocked(wallet) || !account_words(wallet_account(wallet), words))
		return rpc_fail(wallet_request, RPC_UNLOCK_NEEDED,
			"Error: Please enter the wallet passphrase with walletpassphrase first.");
	wallet_answer = json_string(words);
	/* The answer holds them still, on its way to the client: who asks for them has them in his terminal next. */
	wipe(words, sizeof words);
	return rpc_reply(wallet_request, wallet_answer);
}

static const struct rpc_method wallet_methods[] = {
	{ "createwallet", "Wallet", call_createwallet, createwallet_args,
		"Makes a wallet from 24 new words, or restores one from its words, and loads it. Write the words down "
		"(dumpmnemonic): they are all one needs to restore the wallet.",
		"{\n  \"name\": \"text\",\n  \"warning\": \"text\"  (string, optional)\n}", "\"alice\"", 0 },
	{ "loadwallet", "Wallet", call_loadwallet, loadwallet_args, "Loads a wallet from the folder of wallets.",
		"{\n  \"name\": \"text\",\n  \"warning\": \"text\"  (string, optional)\n}", "\"alice\" true", 0 },
	{ "unloadwallet", "Wallet", call_unloadwallet, unloadwallet_args, "Unloads a wallet.",
		"{\n  \"warning\": \"text\"  (string, optional)\n}", "\"alice\"", 0 },
	{ "listwallets", "Wallet", call_listwallets, NULL, "Names the wallets that are loaded.", "[\"text\", ...]",
		NULL, 0 },
	{ "listwalletdir", "Wallet", call_listwalletdir, NULL, "Names the wallets in the folder of wallets.",
		"{\n  \"wallets\": [{\"name\": \"text\"}, ...]\n}", NULL, 0 },
	{ "getwalletinfo", "Wallet", call_getwalletinfo, NULL,
		"Tells about a wallet: balances, keys, how far it has looked.",
		"{\n  \"walletname\": \"text\",\n  \"walletversion\": n,\n  \"format\": \"leveldb\",\n"
		"  \"balance\": x,\n"
		"  \"unconfirmed_balance\": x,\n  \"immature_balance\": x,\n  \"txcount\": n,\n"
		"  \"keypoolsize\": n,         (numeric) addresses looked for beyond the last one used\n"
		"  \"unlocked_until\": n,      (numeric, only with a passphrase) Unix seconds; 0: locked\n"
		"  \"private_keys_enabled\": true,\n  \"birthtime\": n,\n"
		"  \"account\": {\"path\": \"text\", \"xpub\": \"text\"},\n"
		"  \"scanning\": false,        (boolean or object) {\"progress\": x} while it looks through the chain\n"
		"  \"lastprocessedblock\": {\"hash\": \"hex\", \"height\": n}\n}",
		NULL, 0 },
	{ "walletpassphrase", "Wallet", call_walletpassphrase, walletpassphrase_args,
		"Unlocks a wallet for a time: needed to send, to see the words, and on a chain with rounds once a "
		"round, for the commits of its runs.",
		NULL, "\"my passphrase\" 60", 0 },
	{ "walletlock", "Wallet", call_walletlock, NULL, "Locks a wallet at once.", NULL, NULL, 0 },
	{ "encryptwallet", "Wallet", call_encryptwallet, encryptwallet_args,
		"Gives a passphrase to a wallet that has none, and locks it. "
		"Copies of its files made before stay readable.",
		NULL, "\"my passphrase\"", 0 },
	{ "walletpassphrasechange", "Wallet", call_walletpassphrasechange, walletpassphrasechange_args,
		"Changes the passphrase. Copies of the files made before keep the old one.", NULL,
		"\"old one\" \"new one\"", 0 },
	{ "dumpmnemonic", "Wallet", call_dumpmnemonic, NULL,
		"Gives the words from which the wallet can be restored (BIP39, without a passphrase of its own). "
		"Who has them can spend everything.",
		"\"text\"  (string) the words", NULL, 0 },
};

void calls_wallet_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, wallet_methods, sizeof wallet_methods / sizeof *wallet_methods, wallets);
}
