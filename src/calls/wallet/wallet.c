/* Wallets as such: made, loaded, locked, told about. */
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/wallet/which.h"
#include "crypto/wipe.h"
#include "util/clock.h"

/* Bitcoin Core's longest time to stay unlocked, about three years; bytes of a passphrase and of words. */
enum {
	UNLOCK_SECONDS_MAX = 100000000,
	TEXT_MAX = 1024,
};

/* Answers a failure of creating or loading. */
static enum rpc_outcome fail_wallets(struct rpc_request *r, enum wallets_result result, const struct errmsg *err)
{
	enum rpc_code code = RPC_WALLET_ERROR;

	switch (result) {
	case WALLETS_BAD_NAME:
	case WALLETS_BAD_WORDS:
		code = RPC_INVALID_PARAMETER;
		break;
	case WALLETS_EXISTS:
		code = RPC_WALLET_ALREADY_EXISTS;
		break;
	case WALLETS_MISSING:
		code = RPC_WALLET_NOT_FOUND;
		break;
	case WALLETS_LOADED:
		code = RPC_WALLET_ALREADY_LOADED;
		break;
	case WALLETS_OK:
	case WALLETS_FAILED:
		break;
	}
	return rpc_fail(r, code, "%s", err->text);
}

/* --- whether the wallet is loaded when the node starts --- */

#define STARTUP_ARG                                                                                          \
	{                                                                                                    \
		.name = "load_on_startup", .type = RPC_BOOL, .optional = true,                               \
		.help = "Whether the node loads the wallet when it starts, from now on; left out: as it is." \
	}

/* The wallet itself has been dealt with, so a failure is no more than a warning. */
static void set_startup(struct wallets *wallets, const char *name, bool load, json_t *answer)
{
	char text[sizeof(struct errmsg) + 128];
	struct errmsg err;

	if (wallets_set_startup(wallets, name, load, &err))
		return;
	snprintf(text, sizeof text, "The list of the wallets to load at the start could not be changed: %s", err.text);
	json_object_set_new(answer, "warning", json_string(text));
}

/* Does what load_on_startup asks for, if it asks. */
static void heed_startup(struct rpc_request *r, struct wallets *wallets, const char *name, json_t *answer)
{
	if (rpc_has(r, "load_on_startup"))
		set_startup(wallets, name, rpc_bool(r, "load_on_startup"), answer);
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
		.max = TEXT_MAX,
		.help = "Encrypts the seed. Without one who can read the file can spend." },
	{ .name = "mnemonic",
		.type = RPC_TEXT,
		.optional = true,
		.max = TEXT_MAX,
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

static enum rpc_outcome call_createwallet(struct rpc_request *r, void *context)
{
	const char *passphrase = rpc_has(r, "passphrase") ? rpc_text(r, "passphrase") : NULL;
	struct wallets *wallets = context;
	enum wallets_result result;
	struct wallet *wallet;
	struct errmsg err;
	json_t *answer;

	if (rpc_bool(r, "disable_private_keys") || rpc_bool(r, "blank"))
		return rpc_fail(r, RPC_WALLET_ERROR, "Wallets without keys of their own are not supported");
	if (!rpc_bool(r, "descriptors"))
		return rpc_fail(r, RPC_WALLET_ERROR, "There are no wallets of Bitcoin Core's older kind");
	result = wallets_create(wallets, rpc_text(r, "wallet_name"), passphrase != NULL ? passphrase : "",
		rpc_text(r, "mnemonic"), &wallet, &err);
	if (result != WALLETS_OK)
		return fail_wallets(r, result, &err);
	answer = json_object();
	json_object_set_new(answer, "name", json_string(wallet_name(wallet)));
	/* In Bitcoin Core's words, whose createwallet warns of this too: "" was perhaps meant to be a variable of a
	 * script. */
	if (passphrase != NULL && *passphrase == 0)
		json_object_set_new(answer, "warning",
			json_string("Empty string given as passphrase, wallet will not be encrypted."));
	set_startup(wallets, wallet_name(wallet), rpc_bool(r, "load_on_startup"), answer);
	return rpc_reply(r, answer);
}

/* --- loadwallet, unloadwallet, listwallets, listwalletdir --- */

static const struct rpc_arg loadwallet_args[] = {
	{ .name = "filename", .type = RPC_TEXT, .max = 64, .help = "The wallet's name." },
	STARTUP_ARG,
	{ 0 },
};

static enum rpc_outcome call_loadwallet(struct rpc_request *r, void *context)
{
	enum wallets_result result;
	struct wallet *wallet;
	struct errmsg err;
	json_t *answer;

	result = wallets_load(context, rpc_text(r, "filename"), &wallet, &err);
	if (result != WALLETS_OK)
		return fail_wallets(r, result, &err);
	answer = json_pack("{s:s}", "name", wallet_name(wallet));
	heed_startup(r, context, wallet_name(wallet), answer);
	return rpc_reply(r, answer);
}

static const struct rpc_arg unloadwallet_args[] = {
	{ .name = "wallet_name",
		.type = RPC_TEXT,
		.optional = true,
		.max = 64,
		.help = "Its name, if not in the address." },
	STARTUP_ARG,
	{ 0 },
};

static enum rpc_outcome call_unloadwallet(struct rpc_request *r, void *context)
{
	const char *named = rpc_has(r, "wallet_name") ? rpc_text(r, "wallet_name") : rpc_wallet(r);
	struct wallets *wallets = context;
	struct wallet *wallet;
	json_t *answer;

	wallets_mend(wallets);
	wallet = named != NULL ? wallets_find(wallets, named) : which_wallet(r, wallets);
	if (wallet == NULL && named == NULL)
		return RPC_DONE;
	if (wallet == NULL && wallets_down(wallets, named) == NULL)
		return rpc_fail(r, RPC_WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded");
	answer = json_object();
	/* Before the wallet goes, whose name it is. */
	heed_startup(r, wallets, wallet != NULL ? wallet_name(wallet) : named, answer);
	if (wallet != NULL)
		wallets_unload(wallets, wallet);
	else
		/* One that is down is unloaded too: else it would be tried again for ever, and its operator told of
		 * it. */
		wallets_forget(wallets, named);
	return rpc_reply(r, answer);
}

static enum rpc_outcome call_listwallets(struct rpc_request *r, void *context)
{
	struct wallets *wallets = context;
	json_t *names = json_array();
	size_t i;

	wallets_mend(wallets);
	for (i = 0; i < wallets_count(wallets); i++)
		json_array_append_new(names, json_string(wallet_name(wallets_at(wallets, i))));
	return rpc_reply(r, names);
}

static enum rpc_outcome call_listwalletdir(struct rpc_request *r, void *context)
{
	json_t *list = json_array();
	char **names;
	size_t count;
	size_t i;

	names = wallets_on_disk(context, &count);
	for (i = 0; i < count; i++) {
		json_array_append_new(list, json_pack("{s:s}", "name", names[i]));
		free(names[i]);
	}
	free(names);
	return rpc_reply(r, json_pack("{s:o}", "wallets", list));
}

/* --- getwalletinfo --- */

/* In parts of the way to the tip by height; it stays an object until the wallet is told of blocks as they come. */
static void add_scanning(json_t *answer, struct wallets *wallets, struct wallet *wallet)
{
	uint32_t height = wallet_synced(wallet)->height;
	uint32_t tip = chain_tip(wallets_chain(wallets))->height;
	json_t *scanning = json_false();

	if (!wallets_is_level(wallets, wallet)) {
		scanning = json_object();
		json_object_set_new(scanning, "progress",
			json_fixed(tip > height ? (int64_t)height * 10000 / tip : 10000, 4));
	}
	json_object_set_new(answer, "scanning", scanning);
	json_object_set_new(answer, "lastprocessedblock",
		json_pack("{s:o,s:I}", "hash", json_hash(wallet_synced(wallet)->id), "height", (json_int_t)height));
}

static enum rpc_outcome call_getwalletinfo(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	const struct account *account;
	struct ledger_balance balance;
	char xpub[BIP32_TEXT_MAX + 1];
	json_t *answer;
	char path[32];

	if (wallet == NULL)
		return RPC_DONE;
	account = wallet_account(wallet);
	ledger_balance(wallet_ledger(wallet), &balance);
	/* Who has it sees all that the wallet gets and spends, and can spend nothing: it is shown without unlocking. */
	bip32_encode(xpub, &account->node);
	snprintf(path, sizeof path, "m/86'/%u'/0'", account->coin);
	answer = json_object();
	json_object_set_new(answer, "walletname", json_string(wallet_name(wallet)));
	json_object_set_new(answer, "walletversion", json_integer(1));
	json_object_set_new(answer, "format", json_string("leveldb"));
	json_object_set_new(answer, "balance", json_amount(balance.trusted));
	json_object_set_new(answer, "unconfirmed_balance", json_amount(balance.pending));
	json_object_set_new(answer, "immature_balance", json_amount(balance.immature));
	json_object_set_new(answer, "txcount", json_integer((json_int_t)wallet_ledger(wallet)->txs.count));
	json_object_set_new(answer, "keypoolsize", json_integer(WALLET_GAP));
	if (account->has_passphrase)
		json_object_set_new(answer, "unlocked_until", json_integer(wallet_unlocked_until(wallet)));
	json_object_set_new(answer, "private_keys_enabled", json_true());
	json_object_set_new(answer, "birthtime", json_integer((json_int_t)wallet_birth_time(wallet)));
	json_object_set_new(answer, "account", json_pack("{s:s,s:s}", "path", path, "xpub", xpub));
	add_scanning(answer, context, wallet);
	return rpc_reply(r, answer);
}

/* --- passphrases and words --- */

static const struct rpc_arg walletpassphrase_args[] = {
	{ .name = "passphrase", .type = RPC_TEXT, .max = TEXT_MAX, .help = "The wallet's passphrase." },
	{ .name = "timeout",
		.type = RPC_INT,
		.min = 0,
		.max = UNLOCK_SECONDS_MAX,
		.help = "Seconds to keep it unlocked." },
	{ 0 },
};

/* The wallet that is meant, if it has a passphrase or, with has false, none. */
static struct wallet *wallet_with(struct rpc_request *r, struct wallets *wallets, bool has)
{
	struct wallet *wallet = which_wallet(r, wallets);

	if (wallet == NULL || wallet_account(wallet)->has_passphrase == has)
		return wallet;
	rpc_fail(r, RPC_WRONG_ENCRYPTION_STATE,
		has ? "The wallet has no passphrase: encryptwallet gives it one" :
		      "The wallet has a passphrase already: walletpassphrasechange changes it");
	return NULL;
}

static enum rpc_outcome call_walletpassphrase(struct rpc_request *r, void *context)
{
	struct wallet *wallet = wallet_with(r, context, true);

	if (wallet == NULL)
		return RPC_DONE;
	/* Guesses are slowed down by scrypt alone, on the loop's thread: whoever may call has the node's credentials
	 * already. */
	if (!wallet_unlock(wallet, rpc_text(r, "passphrase"), rpc_int(r, "timeout")))
		return rpc_fail(r, RPC_PASSPHRASE_INCORRECT, "Error: The wallet passphrase entered was incorrect.");
	return rpc_reply(r, NULL);
}

static enum rpc_outcome call_walletlock(struct rpc_request *r, void *context)
{
	struct wallet *wallet = wallet_with(r, context, true);

	if (wallet == NULL)
		return RPC_DONE;
	wallet_lock(wallet);
	return rpc_reply(r, NULL);
}

static enum rpc_outcome change_passphrase(struct rpc_request *r, struct wallet *wallet, const char *old,
	const char *fresh)
{
	struct errmsg err;
	bool wrong;

	/* No way back to a wallet without one: it would write the seed as it is, by a slip of a script. */
	if (*fresh == 0)
		return rpc_fail(r, RPC_INVALID_PARAMETER, "passphrase cannot be empty");
	if (wallet_change_passphrase(wallet, old, fresh, &wrong, &err))
		return rpc_reply(r, NULL);
	return rpc_fail(r, wrong ? RPC_PASSPHRASE_INCORRECT : RPC_WALLET_ERROR, "%s", err.text);
}

static const struct rpc_arg encryptwallet_args[] = {
	{ .name = "passphrase", .type = RPC_TEXT, .max = TEXT_MAX, .help = "The passphrase from now on." },
	{ 0 },
};

static enum rpc_outcome call_encryptwallet(struct rpc_request *r, void *context)
{
	struct wallet *wallet = wallet_with(r, context, false);

	return wallet == NULL ? RPC_DONE : change_passphrase(r, wallet, "", rpc_text(r, "passphrase"));
}

static const struct rpc_arg walletpassphrasechange_args[] = {
	{ .name = "oldpassphrase", .type = RPC_TEXT, .max = TEXT_MAX, .help = "The passphrase until now." },
	{ .name = "newpassphrase", .type = RPC_TEXT, .max = TEXT_MAX, .help = "The passphrase from now on." },
	{ 0 },
};

static enum rpc_outcome call_walletpassphrasechange(struct rpc_request *r, void *context)
{
	struct wallet *wallet = wallet_with(r, context, true);

	if (wallet == NULL)
		return RPC_DONE;
	return change_passphrase(r, wallet, rpc_text(r, "oldpassphrase"), rpc_text(r, "newpassphrase"));
}

static enum rpc_outcome call_dumpmnemonic(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	char words[BIP39_TEXT_MAX + 1];
	json_t *answer;

	if (wallet == NULL)
		return RPC_DONE;
	if (!wallet_is_unlocked(wallet) || !account_words(wallet_account(wallet), words))
		return rpc_fail(r, RPC_UNLOCK_NEEDED,
			"Error: Please enter the wallet passphrase with walletpassphrase first.");
	answer = json_string(words);
	/* The answer holds them still, on its way to the client: who asks for them has them in his terminal next. */
	wipe(words, sizeof words);
	return rpc_reply(r, answer);
}

static const struct rpc_method methods[] = {
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
		"Unlocks a wallet for a time: needed to send and to see the words.", NULL, "\"my passphrase\" 60", 0 },
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
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, wallets);
}
