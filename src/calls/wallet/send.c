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
struct send_payees {
	struct tx_output *outputs;
	bool *pays_fee;
	bool any_pays;
	size_t count;
};

static void send_payees_init(struct send_payees *payees, size_t room)
{
	payees->outputs = mem_calloc(room, sizeof *payees->outputs);
	payees->pays_fee = mem_calloc(room, sizeof *payees->pays_fee);
	payees->any_pays = false;
	payees->count = 0;
}

static void send_payees_clear(struct send_payees *payees)
{
	while (payees->count > 0)
		free(payees->outputs[--payees->count].script.data);
	free(payees->outputs);
	free(payees->pays_fee);
}

static void send_payees_add(struct send_payees *payees, const uint8_t payee_key[32], int64_t payee_amount,
	bool pays_fee)
{
	struct tx_output *payee_output = &payees->outputs[payees->count];

	payee_output->amount = payee_amount;
	payee_output->script.data = mem_alloc(P2TR_SIZE);
	payee_output->script.size = P2TR_SIZE;
	script_p2tr(payee_output->script.data, payee_key);
	payees->pays_fee[payees->count++] = pays_fee;
	payees->any_pays = payees->any_pays || pays_fee;
}

/* Pays, answers, and releases payees. */
static enum rpc_outcome send_pay_payees(struct rpc_request *send_request, struct wallets *wallets,
	struct wallet *wallet, struct send_payees *payees)
{
	struct spend_request spend_request = {
		.outputs = payees->outputs,
		.count = payees->count,
		.rate = pay_rate(send_request, "fee_rate"),
		/* NULL: the wallet pays the fee on top. Else those marked share it, out of what they get. */
		.pays_fee = payees->any_pays ? payees->pays_fee : NULL,
	};
	uint8_t sent_txid[32];
	int64_t sent_fee;
	bool is_paid;

	is_paid = pay_spend(send_request, wallets, wallet, &spend_request, sent_txid, &sent_fee);
	send_payees_clear(payees);
	if (!is_paid)
		return RPC_DONE;
	if (!rpc_bool(send_request, "verbose"))
		return rpc_reply(send_request, json_hash(sent_txid));
	return rpc_reply(send_request,
		json_pack("{s:o,s:o}", "txid", json_hash(sent_txid), "fee", json_amount(sent_fee)));
}

/* Bitcoin Core's arguments that have no meaning here stand in their places all the same: a client that gives them by
 * number must not have another argument taken for one. */
#define SEND_IGNORED "Ignored; here for Bitcoin Core's order of arguments."
#define SEND_FEE_RATE_HELP "Base units for each virtual byte, up to three decimals; at least 1, the default."

static const struct rpc_arg sendtoaddress_args[] = {
	{ .name = "address", .type = RPC_TEXT, .max = 90, .help = "Whom to pay." },
	{ .name = "amount", .type = RPC_AMOUNT, .help = "How much." },
	{ .name = "comment", .type = RPC_TEXT, .optional = true, .help = SEND_IGNORED },
	{ .name = "comment_to", .type = RPC_TEXT, .optional = true, .help = SEND_IGNORED },
	{ .name = "subtractfeefromamount", .type = RPC_BOOL, .fallback = "false", .help = "The payee pays the fee." },
	{ .name = "replaceable", .type = RPC_BOOL, .optional = true, .help = SEND_IGNORED },
	{ .name = "conf_target", .type = RPC_INT, .optional = true, .help = SEND_IGNORED },
	{ .name = "estimate_mode", .type = RPC_TEXT, .optional = true, .help = SEND_IGNORED },
	{ .name = "avoid_reuse", .type = RPC_BOOL, .optional = true, .help = SEND_IGNORED },
	{ .name = "fee_rate", .type = RPC_DECIMAL, .optional = true, .max = COIN * 10000, .help = SEND_FEE_RATE_HELP },
	{ .name = "verbose", .type = RPC_BOOL, .fallback = "false", .help = "Answer with an object that has the fee." },
	{ 0 },
};

static enum rpc_outcome call_sendtoaddress(struct rpc_request *send_request, void *context)
{
	struct wallet *wallet = which_wallet(send_request, context);
	struct rpc_error error;
	struct send_payees payees;
	uint8_t payee_key[32];

	if (wallet == NULL)
		return RPC_DONE;
	if (!argument_address(wallet_spec(wallet), rpc_text(send_request, "address"), payee_key, &error))
		return rpc_fail_with(send_request, &error);
	send_payees_init(&payees, 1);
	send_payees_add(&payees, payee_key, rpc_int(send_request, "amount"),
		rpc_bool(send_request, "subtractfeefromamount"));
	return send_pay_payees(send_request, context, wallet, &payees);
}

static const struct rpc_arg sendmany_args[] = {
	{ .name = "dummy", .type = RPC_TEXT, .fallback = "\"\"", .help = "Must be \"\", as in Bitcoin Core." },
	{ .name = "amounts", .type = RPC_OBJECT, .help = "Amounts by address." },
	{ .name = "minconf", .type = RPC_INT, .optional = true, .help = SEND_IGNORED },
	{ .name = "comment", .type = RPC_TEXT, .optional = true, .help = SEND_IGNORED },
	{ .name = "subtractfeefrom",
		.type = RPC_ARRAY,
		.optional = true,
		.help = "Addresses that share in paying the fee." },
	{ .name = "replaceable", .type = RPC_BOOL, .optional = true, .help = SEND_IGNORED },
	{ .name = "conf_target", .type = RPC_INT, .optional = true, .help = SEND_IGNORED },
	{ .name = "estimate_mode", .type = RPC_TEXT, .optional = true, .help = SEND_IGNORED },
	{ .name = "fee_rate", .type = RPC_DECIMAL, .optional = true, .max = COIN * 10000, .help = SEND_FEE_RATE_HELP },
	{ .name = "verbose", .type = RPC_BOOL, .fallback = "false", .help = "Answer with an object that has the fee." },
	{ 0 },
};

/* Whether the array names the address. */
static bool send_names_address(const json_t *fee_payers, const char *address)
{
	const json_t *fee_payer;
	size_t i;

	json_array_foreach(fee_payers, i, fee_payer)
		if (json_is_text(fee_payer) && strcmp(json_string_value(fee_payer), address) == 0)
			return true;
	return false;
}

/* Every address that is to pay the fee must be one that is paid: another would be overlooked, and the payer would be
 * charged with a fee that somebody else was meant to bear. */
static bool send_check_fee_payers(const json_t *fee_payers, const json_t *amounts, struct rpc_error *error)
{
	const json_t *fee_payer;
	size_t i;

	json_array_foreach(fee_payers, i, fee_payer)
		if (!json_is_text(fee_payer) || json_object_get(amounts, json_string_value(fee_payer)) == NULL)
			return rpc_error_set(error, RPC_INVALID_PARAMETER,
				"subtractfeefrom names an address that is not among the amounts");
	return true;
}

static bool send_add_amounts(struct send_payees *payees, const struct spec *spec, json_t *amounts,
	const json_t *fee_payers, struct rpc_error *error)
{
	const char *payee_address;
	json_t *payee_value;
	uint8_t payee_key[32];
	int64_t payee_amount;

	/* Names of an object are different from each other, but one address has two spellings, in upper case too: such
	 * pays it twice, in two outputs, where Bitcoin Core refuses. */
	json_object_foreach(amounts, payee_address, payee_value) {
		if (!argument_address(spec, payee_address, payee_key, error) ||
			!convert_amount(payee_value, payee_address, &payee_amount, error))
			return false;
		send_payees_add(payees, payee_key, payee_amount, send_names_address(fee_payers, payee_address));
	}
	return send_check_fee_payers(fee_payers, amounts, error);
}

static enum rpc_outcome call_sendmany(struct rpc_request *send_request, void *context)
{
	struct wallet *wallet = which_wallet(send_request, context);
	struct rpc_error error;
	struct send_payees payees;
	json_t *amounts;

	if (wallet == NULL)
		return RPC_DONE;
	amounts = rpc_json(send_request, "amounts");
	if (*rpc_text(send_request, "dummy") != 0)
		return rpc_fail(send_request, RPC_INVALID_PARAMETER, "Dummy value must be set to \"\"");
	if (json_object_size(amounts) > SPEND_OUTPUTS_MAX)
		return rpc_fail(send_request, RPC_INVALID_PARAMETER, "A transaction has at most %d payees",
			SPEND_OUTPUTS_MAX);
	/* The bound above is looked at first: the object may have as many members as fit into a request. */
	send_payees_init(&payees, json_object_size(amounts));
	if (!send_add_amounts(&payees, wallet_spec(wallet), amounts, rpc_json(send_request, "subtractfeefrom"),
		    &error)) {
		send_payees_clear(&payees);
		return rpc_fail_with(send_request, &error);
	}
	return send_pay_payees(send_request, context, wallet, &payees);
}

static const struct rpc_method send_methods[] = {
	{ "sendtoaddress", "Wallet", call_sendtoaddress, sendtoaddress_args, "Pays an amount to an address.",
		"\"hex\"  (string) the transaction's id; with verbose {\"txid\": \"hex\", \"fee\": x}",
		"\"ratl1...\" 0.5", 0 },
	{ "sendmany", "Wallet", call_sendmany, sendmany_args, "Pays several addresses with one transaction.",
		"\"hex\"  (string) the transaction's id; with verbose {\"txid\": \"hex\", \"fee\": x}",
		"\"\" '{\"ratl1...\": 0.5, \"ratl1...\": 2}'", 0 },
};

void calls_send_add(struct rpc_table *table, struct wallets *wallets)
{
	rpc_table_add(table, send_methods, sizeof send_methods / sizeof *send_methods, wallets);
}
