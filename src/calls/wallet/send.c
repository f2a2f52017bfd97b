/* Payments: sendtoaddress and sendmany. */
#include <stdlib.h>
#include <string.h>

#include "calls/argument.h"
#include "calls/calls.h"
#include "calls/wallet/pay.h"
#include "calls/wallet/which.h"
#include "consensus/script.h"
#include "rpc/convert.h"
#include "util/mem.h"

/* Outputs of a request while it is put together. The scripts are owned; what is paid in all, and whether it can be, is
 * for the wallet to find out. */
struct payees {
	struct tx_output *outputs;
	bool *pays_fee;
	bool any_pays;
	size_t count;
};

static void payees_init(struct payees *payees, size_t room)
{
	payees->outputs = mem_calloc(room, sizeof *payees->outputs);
	payees->pays_fee = mem_calloc(room, sizeof *payees->pays_fee);
	payees->any_pays = false;
	payees->count = 0;
}

static void payees_clear(struct payees *payees)
{
	while (payees->count > 0)
		free(payees->outputs[--payees->count].script.data);
	free(payees->outputs);
	free(payees->pays_fee);
}

static void payees_add(struct payees *payees, const uint8_t key[32], int64_t amount, bool pays_fee)
{
	struct tx_output *output = &payees->outputs[payees->count];

	output->amount = amount;
	output->script.data = mem_alloc(P2TR_SIZE);
	output->script.size = P2TR_SIZE;
	script_p2tr(output->script.data, key);
	payees->pays_fee[payees->count++] = pays_fee;
	payees->any_pays = payees->any_pays || pays_fee;
}

/* Pays, answers, and releases payees. */
static enum rpc_outcome pay_payees(struct rpc_request *r, struct wallets *wallets, struct wallet *wallet,
	struct payees *payees)
{
	struct spend_request request = {
		.outputs = payees->outputs,
		.count = payees->count,
		.rate = pay_rate(r, "fee_rate"),
		/* NULL: the wallet pays the fee on top. Else those marked share it, out of what they get. */
		.pays_fee = payees->any_pays ? payees->pays_fee : NULL,
	};
	uint8_t txid[32];
	int64_t fee;
	bool ok;

	ok = pay_spend(r, wallets, wallet, &request, txid, &fee);
	payees_clear(payees);
	if (!ok)
		return RPC_DONE;
	if (!rpc_bool(r, "verbose"))
		return rpc_reply(r, json_hash(txid));
	return rpc_reply(r, json_pack("{s:o,s:o}", "txid", json_hash(txid), "fee", json_amount(fee)));
}

/* Bitcoin Core's arguments that have no meaning here stand in their places all the same: a client that gives them by
 * number must not have another argument taken for one. */
#define IGNORED "Ignored; here for Bitcoin Core's order of arguments."
#define FEE_RATE_HELP "Base units for each virtual byte, up to three decimals; at least 1, the default."

static const struct rpc_arg sendtoaddress_args[] = {
	{ .name = "address", .type = RPC_TEXT, .max = 90, .help = "Whom to pay." },
	{ .name = "amount", .type = RPC_AMOUNT, .help = "How much." },
	{ .name = "comment", .type = RPC_TEXT, .optional = true, .help = IGNORED },
	{ .name = "comment_to", .type = RPC_TEXT, .optional = true, .help = IGNORED },
	{ .name = "subtractfeefromamount", .type = RPC_BOOL, .fallback = "false", .help = "The payee pays the fee." },
	{ .name = "replaceable", .type = RPC_BOOL, .optional = true, .help = IGNORED },
	{ .name = "conf_target", .type = RPC_INT, .optional = true, .help = IGNORED },
	{ .name = "estimate_mode", .type = RPC_TEXT, .optional = true, .help = IGNORED },
	{ .name = "avoid_reuse", .type = RPC_BOOL, .optional = true, .help = IGNORED },
	{ .name = "fee_rate", .type = RPC_DECIMAL, .optional = true, .max = COIN * 10000, .help = FEE_RATE_HELP },
	{ .name = "verbose", .type = RPC_BOOL, .fallback = "false", .help = "Answer with an object that has the fee." },
	{ 0 },
};

static enum rpc_outcome call_sendtoaddress(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct rpc_error error;
	struct payees payees;
	uint8_t key[32];

	if (wallet == NULL)
		return RPC_DONE;
	if (!argument_address(wallet_spec(wallet), rpc_text(r, "address"), key, &error))
		return rpc_fail_with(r, &error);
	payees_init(&payees, 1);
	payees_add(&payees, key, rpc_int(r, "amount"), rpc_bool(r, "subtractfeefromamount"));
	return pay_payees(r, context, wallet, &payees);
}

static const struct rpc_arg sendmany_args[] = {
	{ .name = "dummy", .type = RPC_TEXT, .fallback = "\"\"", .help = "Must be \"\", as in Bitcoin Core." },
	{ .name = "amounts", .type = RPC_OBJECT, .help = "Amounts by address." },
	{ .name = "minconf", .type = RPC_INT, .optional = true, .help = IGNORED },
	{ .name = "comment", .type = RPC_TEXT, .optional = true, .help = IGNORED },
	{ .name = "subtractfeefrom",
		.type = RPC_ARRAY,
		.optional = true,
		.help = "Addresses that share in paying the fee." },
	{ .name = "replaceable", .type = RPC_BOOL, .optional = true, .help = IGNORED },
	{ .name = "conf_target", .type = RPC_INT, .optional = true, .help = IGNORED },
	{ .name = "estimate_mode", .type = RPC_TEXT, .optional = true, .help = IGNORED },
	{ .name = "fee_rate", .type = RPC_DECIMAL, .optional = true, .max = COIN * 10000, .help = FEE_RATE_HELP },
	{ .name = "verbose", .type = RPC_BOOL, .fallback = "false", .help = "Answer with an object that has the fee." },
	{ 0 },
};

/* Whether the array names the address. */
static bool names_address(const json_t *array, const char *address)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(array, i, entry)
		if (json_is_text(entry) && strcmp(json_string_value(entry), address) == 0)
			return true;
	return false;
}

/* Every address that is to pay the fee must be one that is paid: another would be overlooked, and the payer would be
 * charged with a fee that somebody else was meant to bear. */
static bool check_fee_payers(const json_t *array, const json_t *amounts, struct rpc_error *error)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(array, i, entry)
		if (!json_is_text(entry) || json_object_get(amounts, json_string_value(entry)) == NULL)
			return rpc_error_set(error, RPC_INVALID_PARAMETER,
				"subtractfeefrom names an address that is not among the amounts");
	return true;
}

static bool add_amounts(struct payees *payees, const struct spec *spec, json_t *amounts, const json_t *fee_payers,
	struct rpc_error *error)
{
	const char *address;
	json_t *value;
	uint8_t key[32];
	int64_t amount;

	/* Names of an object are different from each other, but one address has two spellings, in upper case too: such
	 * pays it twice, in two outputs, where Bitcoin Core refuses. */
	json_object_foreach(amounts, address, value) {
		if (!argument_address(spec, address, key, error) || !convert_amount(value, address, &amount, error))
			return false;
		payees_add(payees, key, amount, names_address(fee_payers, address));
	}
	return check_fee_payers(fee_payers, amounts, error);
}

static enum rpc_outcome call_sendmany(struct rpc_request *r, void *context)
{
	struct wallet *wallet = which_wallet(r, context);
	struct rpc_error error;
	struct payees payees;
	json_t *amounts;

	if (wallet == NULL)
		return RPC_DONE;
	amounts = rpc_json(r, "amounts");
	if (*rpc_text(r, "dummy") != 0)
		return rpc_fail(r, RPC_INVALID_PARAMETER, "Dummy value must be set to \"\"");
	if (json_object_size(amounts) > SPEND_OUTPUTS_MAX)
		return rpc_fail(r, RPC_INVALID_PARAMETER, "A transaction has at most %d payees", SPEND_OUTPUTS_MAX);
	/* The bound above is looked at first: the object may have as many members as fit into a request. */
	payees_init(&payees, json_object_size(amounts));
	if (!add_amounts(&payees, wallet_spec(wallet), amounts, rpc_json(r, "subtractfeefrom"), &error)) {
		payees_clear(&payees);
		return rpc_fail_with(r, &error);
	}
	return pay_payees(r, context, wallet, &payees);
}

static const struct rpc_method methods[] = {
	{ "sendtoaddress", "Wallet", call_sendtoaddress, sendtoaddress_args, "Pays an amount to an address.",
		"\"hex\"  (string) the transaction's id; with verbose {\"txid\": \"hex\", \"fee\": x}",
		"\"ratl1...\" 0.5", 0 },
	{ "sendmany", "Wallet", call_sendmany, sendmany_args, "Pays several addresses with one transaction.",
		"\"hex\"  (string) the transaction's id; with verbose {\"txid\": \"hex\", \"fee\": x}",
		"\"\" '{\"ratl1...\": 0.5, \"ratl1...\": 2}'", 0 },
};

void calls_send_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, wallets);
}
