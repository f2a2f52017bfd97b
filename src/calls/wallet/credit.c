/* What customers of this node pay for and use: createinvoice, listinvoices, getcredit, chargekey, getincome. */
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/which.h"
#include "util/clock.h"

#define CREDIT_KEY_HELP "Name of the customer's key, as createapikey was given it."

enum { CREDIT_LIST_MAX = 1000, CREDIT_SKIP_MAX = CREDIT_INVOICES_MAX };

/* Answers where it is off, or the name is none. */
static bool credit_begin(struct rpc_request *credit_request, const struct credit *credit, const char *name)
{
	if (credit_off(credit) != NULL)
		rpc_fail(credit_request, RPC_DATABASE_ERROR, "Nothing is sold until the next start: %s",
			credit_off(credit));
	else if (name != NULL && !credit_is_name(name))
		rpc_fail(credit_request, RPC_INVALID_PARAMETER, "A key's name is 1 to %d bytes", CREDIT_NAME_MAX);
	else
		return true;
	return false;
}

/* --- invoices --- */

static json_t *credit_show_invoice(const struct calls_parts *parts, const struct credit_invoice *invoice)
{
	json_t *shown = json_pack("{s:s,s:o,s:I}", "key", invoice->account->name, "address",
		show_address(chain_spec(parts->chain), invoice->key), "time", (json_int_t)invoice->time);

	if (invoice->amount > 0)
		json_object_set_new(shown, "amount", json_amount(invoice->amount));
	json_object_set_new(shown, "credited", json_amount(invoice->credited));
	json_object_set_new(shown, "pending", json_amount(invoice->pending));
	if (invoice->amount > 0)
		json_object_set_new(shown, "paid", json_boolean(invoice->credited >= invoice->amount));
	return shown;
}

static const struct rpc_arg createinvoice_args[] = {
	{ .name = "key", .type = RPC_TEXT, .max = CREDIT_NAME_MAX, .help = CREDIT_KEY_HELP },
	{ .name = "amount",
		.type = RPC_AMOUNT,
		.optional = true,
		.help = "What is asked for. Whatever comes is credited; this says when the invoice is paid." },
	{ 0 },
};

/* An address that is no invoice's. A wallet that was put back from an old copy begins again with those that it gave out
 * since: whoever pays one of them pays his own invoice, and no other. */
static bool credit_new_address(const struct credit *credit, struct wallet *wallet, uint8_t invoice_key[32],
	struct errmsg *err)
{
	do
		if (!wallet_new_address(wallet, ACCOUNT_RECEIVE, "invoice", invoice_key, err))
			return false;
	while (credit_knows(credit, invoice_key));
	return true;
}

static enum rpc_outcome call_createinvoice(struct rpc_request *credit_request, void *context)
{
	const struct calls_parts *parts = context;
	const char *name = rpc_text(credit_request, "key");
	struct wallet *wallet;
	struct errmsg err;
	uint8_t invoice_key[32];
	size_t invoice_number = 0;

	if (!credit_begin(credit_request, parts->credit, name))
		return RPC_DONE;
	if (!parts->keys.has(parts->keys.context, name))
		return rpc_fail(credit_request, RPC_INVALID_PARAMETER,
			"There is no key of this name (createapikey makes one): nobody could use what is paid");
	if ((wallet = which_wallet(credit_request, parts->wallets)) == NULL)
		return RPC_DONE;
	/* The address first: one that was given out, and is no invoice's, harms nobody. */
	if (!credit_new_address(parts->credit, wallet, invoice_key, &err) ||
		!credit_add_invoice(parts->credit, name, invoice_key, rpc_int(credit_request, "amount"),
			(uint64_t)clock_wall(), &err))
		return rpc_fail(credit_request, RPC_DATABASE_ERROR, "There is no invoice: %s", err.text);
	while (credit_invoice_at(parts->credit, invoice_number + 1) != NULL)
		invoice_number++;
	return rpc_reply(credit_request, credit_show_invoice(parts, credit_invoice_at(parts->credit, invoice_number)));
}

static const struct rpc_arg listinvoices_args[] = {
	{ .name = "key",
		.type = RPC_TEXT,
		.fallback = "\"\"",
		.max = CREDIT_NAME_MAX,
		.help = "Of this key alone; \"\": of all." },
	{ .name = "count",
		.type = RPC_INT,
		.fallback = "20",
		.min = 1,
		.max = CREDIT_LIST_MAX,
		.help = "How many at most, the newest first." },
	{ .name = "skip",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = CREDIT_SKIP_MAX,
		.help = "How many of them to leave out before." },
	{ 0 },
};

/* From the newest back. Skipped are those that would have been listed, not all. */
static enum rpc_outcome call_listinvoices(struct rpc_request *credit_request, void *context)
{
	const struct calls_parts *parts = context;
	const char *name = rpc_text(credit_request, "key");
	int64_t left_out = rpc_int(credit_request, "skip"), count = rpc_int(credit_request, "count");
	size_t invoice_number = 0;
	json_t *shown;

	if (!credit_begin(credit_request, parts->credit, NULL))
		return RPC_DONE;
	shown = json_array();
	while (credit_invoice_at(parts->credit, invoice_number) != NULL)
		invoice_number++;
	while (invoice_number > 0 && count > 0) {
		const struct credit_invoice *invoice = credit_invoice_at(parts->credit, --invoice_number);

		if ((*name != '\0' && strcmp(invoice->account->name, name) != 0) || left_out-- > 0)
			continue;
		json_array_append_new(shown, credit_show_invoice(parts, invoice));
		count--;
	}
	return rpc_reply(credit_request, shown);
}

/* --- accounts --- */

/* What an account would be that has not begun is all zeros, and no error: a key may be asked about before it pays. */
static json_t *credit_show_account(const struct calls_parts *parts, const char *name)
{
	static const struct credit_account nothing;
	const struct credit_account *account = credit_find(parts->credit, name);
	json_t *shown = json_pack("{s:s}", "key", name);

	if (account == NULL)
		account = &nothing;
	json_object_set_new(shown, "balance", json_amount(credit_balance(account)));
	json_object_set_new(shown, "credited", json_amount(account->credited));
	json_object_set_new(shown, "pending", json_amount(account->pending));
	json_object_set_new(shown, "used", json_amount(account->credited - credit_balance(account)));
	json_object_set_new(shown, "tokens", json_integer((json_int_t)account->tokens));
	json_object_set_new(shown, "price", json_amount(credit_price(parts->credit)));
	json_object_set_new(shown, "height", json_integer(credit_at(parts->credit)->height));
	return shown;
}

static const struct rpc_arg getcredit_args[] = {
	{ .name = "key", .type = RPC_TEXT, .max = CREDIT_NAME_MAX, .help = CREDIT_KEY_HELP },
	{ 0 },
};

static enum rpc_outcome call_getcredit(struct rpc_request *credit_request, void *context)
{
	const struct calls_parts *parts = context;
	const char *name = rpc_text(credit_request, "key");

	if (!credit_begin(credit_request, parts->credit, name))
		return RPC_DONE;
	return rpc_reply(credit_request, credit_show_account(parts, name));
}

static const struct rpc_arg chargekey_args[] = {
	{ .name = "key", .type = RPC_TEXT, .max = CREDIT_NAME_MAX, .help = CREDIT_KEY_HELP },
	{ .name = "tokens", .type = RPC_INT, .min = 1, .max = CREDIT_TOKENS_MAX, .help = "How many were served." },
	{ 0 },
};

static enum rpc_outcome call_chargekey(struct rpc_request *credit_request, void *context)
{
	const struct calls_parts *parts = context;
	const char *name = rpc_text(credit_request, "key");
	uint32_t tokens;
	struct errmsg err;

	if (!credit_begin(credit_request, parts->credit, name))
		return RPC_DONE;
	tokens = (uint32_t)rpc_int(credit_request, "tokens");
	if (credit_covers(parts->credit, name, tokens, &err) == CREDIT_SPENT)
		return rpc_fail(credit_request, RPC_INSUFFICIENT_FUNDS, "The key's credit does not cover that");
	if (!credit_use(parts->credit, name, tokens, &err))
		return rpc_fail(credit_request, RPC_DATABASE_ERROR, "Nothing was charged: %s", err.text);
	return rpc_reply(credit_request, credit_show_account(parts, name));
}

#define CREDIT_INVOICE_RESULT                                                                                     \
	"\"key\": \"name\", \"address\": \"address\", \"time\": n, \"amount\": amount,   asked for, if any was\n" \
	"  \"credited\": amount, \"pending\": amount,   paid, deep enough and not; \"paid\": bool}"
#define CREDIT_ACCOUNT_RESULT                                                                     \
	"{\n"                                                                                     \
	"  \"key\": \"name\",\n"                                                                  \
	"  \"balance\": amount,    what is left; below 0 if credit that was used is gone again\n" \
	"  \"credited\": amount, \"pending\": amount,   paid, deep enough and not\n"              \
	"  \"used\": amount, \"tokens\": n, \"price\": amount,   of 1,000 tokens, now\n"          \
	"  \"height\": n           payments up to this block are known\n"                         \
	"}"

static const struct rpc_method credit_methods[] = {
	{ "createinvoice", "Paid use", call_createinvoice, createinvoice_args,
		"Gives an address of a loaded wallet that is a key's alone: whatever anybody pays there is the key's "
		"credit when it is -confirmations blocks deep. If its block is taken back, so is the credit, until "
		"another block has the payment. Coins of a miner's reward that are paid there directly do not count. "
		"Where the node serves texts (-web), the key must be there before.",
		"{" CREDIT_INVOICE_RESULT, "\"alice\" 0.5", 0 },
	{ "listinvoices", "Paid use", call_listinvoices, listinvoices_args, "Lists invoices, the newest first.",
		"[{" CREDIT_INVOICE_RESULT "]", "\"alice\"", 0 },
	{ "getcredit", "Paid use", call_getcredit, getcredit_args,
		"Tells what a key has paid for and used. One that nobody has heard of has nothing.",
		CREDIT_ACCOUNT_RESULT, "\"alice\"", 0 },
	{ "chargekey", "Paid use", call_chargekey, chargekey_args,
		"Charges a key for tokens that were served by other means than this node's, such as the exported model "
		"in another program, at -price. Nothing is charged that its credit does not cover.",
		CREDIT_ACCOUNT_RESULT, "\"alice\" 1000", 0 },
};

void calls_credit_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, credit_methods, sizeof credit_methods / sizeof *credit_methods, parts);
}
