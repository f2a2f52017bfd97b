/* What a node earned by selling texts, and the share of it for those who made the model: getincome, settleusage
 * (doc/economics.md). */
#include <stdlib.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "calls/wallet/pay.h"
#include "calls/wallet/which.h"
#include "consensus/script.h"
#include "credit/share.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/mem.h"

enum {
	SETTLE_PEOPLE_MAX = 2000, /* who earned most; a transaction has room for as many */
};

/* --- what has been settled --- */

enum settle_state {
	SETTLE_PAID,    /* in a block */
	SETTLE_WAITING, /* may be in one yet */
	SETTLE_VOID,    /* was never handed to anybody, or has been given up */
};

/* A settlement is written down before its wallet knows the transaction. So one that the wallet does not have was never
 * sent, as the process was killed in between; and one that it has may be sent again, but is the same transaction. Of a
 * wallet that is not loaded nobody can tell. */
static enum settle_state settle_look(const struct calls_parts *parts, const struct credit_settlement *settlement)
{
	struct wallet *wallet = wallets_find(parts->wallets, settlement->wallet);
	const struct ledger_tx *sent_tx;

	if (chain_find_tx(parts->chain, settlement->txid, NULL) != NULL)
		return SETTLE_PAID;
	if (chain_mempool_find(parts->chain, settlement->txid) != NULL || wallet == NULL)
		return SETTLE_WAITING;
	sent_tx = ledger_find(wallet_ledger(wallet), settlement->txid);
	return sent_tx == NULL || sent_tx->abandoned || ledger_conflicted(wallet_ledger(wallet), sent_tx) ?
		SETTLE_VOID :
		SETTLE_WAITING;
}

/* How things stand. What was divided so far, and what of it is left, is as the newest settlement that is not void says;
 * the next one builds on that. */
struct settle_sums {
	int64_t income, share; /* of all time */
	int64_t fresh;         /* of the share, what has not been divided */
	int64_t left;          /* divided, and too little to be paid yet */
	int64_t settled;
	const struct credit_settlement *newest; /* NULL: there is none */
	bool is_waiting;                        /* it is in no block */
};

static void settle_sum_up(const struct calls_parts *parts, struct settle_sums *sums)
{
	const struct credit_settlement *settlement;
	int64_t divided = 0;

	*sums = (struct settle_sums){ .income = credit_income(parts->credit) };
	sums->share = share_of(sums->income, chain_spec(parts->chain)->usage_ppm);
	for (size_t i = 0; (settlement = credit_settlement_at(parts->credit, i)) != NULL; i++) {
		const enum settle_state state = settle_look(parts, settlement);

		if (state == SETTLE_VOID)
			continue;
		sums->settled += settlement->paid;
		sums->newest = settlement;
		sums->is_waiting = state == SETTLE_WAITING;
	}
	for (size_t i = 0; sums->newest != NULL && i < sums->newest->due_count; i++)
		sums->left += sums->newest->dues[i].amount;
	if (sums->newest != NULL)
		divided = sums->newest->shared;
	sums->fresh = sums->share > divided ? sums->share - divided : 0;
}

static bool settle_is_on(struct rpc_request *settle_request, const struct calls_parts *parts)
{
	if (credit_off(parts->credit) != NULL)
		rpc_fail(settle_request, RPC_DATABASE_ERROR, "Nothing is sold until the next start: %s",
			credit_off(parts->credit));
	return credit_off(parts->credit) == NULL;
}

static enum rpc_outcome call_getincome(struct rpc_request *settle_request, void *context)
{
	const struct calls_parts *parts = context;
	int64_t credited = 0, pending = 0, used = 0, tokens = 0;
	const struct credit_account *account;
	struct settle_sums sums;
	json_t *shown;

	if (!settle_is_on(settle_request, parts))
		return RPC_DONE;
	for (size_t i = 0; (account = credit_account_at(parts->credit, i)) != NULL; i++) {
		credited += account->credited;
		pending += account->pending;
		used += account->credited - credit_balance(account);
		tokens += (int64_t)account->tokens;
	}
	settle_sum_up(parts, &sums);
	shown = json_pack("{s:I}", "tokens", (json_int_t)tokens);
	json_object_set_new(shown, "price", json_amount(credit_price(parts->credit)));
	json_object_set_new(shown, "credited", json_amount(credited));
	json_object_set_new(shown, "pending", json_amount(pending));
	json_object_set_new(shown, "used", json_amount(used));
	json_object_set_new(shown, "income", json_amount(sums.income));
	json_object_set_new(shown, "usage_ppm", json_integer(chain_spec(parts->chain)->usage_ppm));
	json_object_set_new(shown, "settled", json_amount(sums.settled));
	json_object_set_new(shown, "owed", json_amount(sums.fresh + sums.left));
	if (sums.is_waiting)
		json_object_set_new(shown, "waiting", json_hash(sums.newest->txid));
	json_object_set_new(shown, "height", json_integer(credit_at(parts->credit)->height));
	return rpc_reply(settle_request, shown);
}

/* --- settling --- */

/* One settlement while it is made. */
struct settle_plan {
	struct share_person *people;
	size_t count;
	struct settle_sums sums;
	struct share_result result;
	struct tx_output *outputs; /* one of result.paid each */
	uint8_t (*scripts)[P2TR_SIZE];
};

static void settle_clear(struct settle_plan *plan)
{
	share_clear(&plan->result);
	free(plan->people);
	free(plan->outputs);
	free(plan->scripts);
}

/* A key's weight is what the chain paid it for proofs, data and runs, less the stakes that it lost: how much of the
 * model it made, in the chain's own measure. */
static void settle_on_key(void *context, const uint8_t key[32], const struct book_sums *sums)
{
	struct settle_plan *plan = context;
	struct share_person *person = &plan->people[plan->count++];
	const int64_t weight = book_earned(sums) - sums->of[BOOK_LOST];

	memcpy(person->key, key, 32);
	person->weight = weight > 0 ? weight : 0;
}

/* Why nothing can be settled now: answered then. */
static bool settle_may(struct rpc_request *settle_request, const struct calls_parts *parts,
	const struct settle_sums *sums)
{
	char waiting_txid[65];

	if (chain_spec(parts->chain)->usage_ppm == 0)
		rpc_fail(settle_request, RPC_MISC_ERROR, "This chain asks for no share (usage_ppm)");
	else if (parts->explorer == NULL || explorer_off(parts->explorer) != NULL ||
		explorer_at(parts->explorer) != chain_tip(parts->chain) ||
		credit_at(parts->credit) != chain_tip(parts->chain))
		rpc_fail(settle_request, RPC_MISC_ERROR,
			"Who made the model is not known: the explorer's index is off, or catches up");
	else if (sums->is_waiting) {
		hex_encode_reversed(waiting_txid, sums->newest->txid, 32);
		rpc_fail(settle_request, RPC_WALLET_ERROR,
			"The last settlement, %s of the wallet %s%s, is in no block yet", waiting_txid,
			sums->newest->wallet,
			wallets_find(parts->wallets, sums->newest->wallet) != NULL ?
				"" :
				" (which is not loaded: load it, or nobody can tell whether it was sent)");
	} else
		return true;
	return false;
}

static bool settle_divide(struct settle_plan *plan, const struct calls_parts *parts)
{
	const struct credit_settlement *newest = plan->sums.newest;

	plan->people = mem_calloc(SETTLE_PEOPLE_MAX, sizeof *plan->people);
	if (!explorer_each_key(parts->explorer, 0, SETTLE_PEOPLE_MAX, settle_on_key, plan))
		return false;
	share_divide(&plan->result, plan->sums.fresh, plan->people, plan->count, newest != NULL ? newest->dues : NULL,
		newest != NULL ? newest->due_count : 0, SPEND_DUST, SETTLE_PEOPLE_MAX);
	plan->outputs = mem_calloc(plan->result.paid_count, sizeof *plan->outputs);
	plan->scripts = mem_calloc(plan->result.paid_count, sizeof *plan->scripts);
	for (size_t i = 0; i < plan->result.paid_count; i++) {
		script_p2tr(plan->scripts[i], plan->result.paid[i].key);
		plan->outputs[i] = (struct tx_output){ .amount = plan->result.paid[i].amount,
			.script = { .data = plan->scripts[i], .size = P2TR_SIZE } };
	}
	return true;
}

static json_t *settle_show(const struct settle_plan *plan, const struct spec *spec, int64_t fee)
{
	json_t *shown = json_object(), *payees = json_array();
	int64_t left = 0;

	for (size_t i = 0; i < plan->result.left_count; i++)
		left += plan->result.left[i].amount;
	for (size_t i = 0; i < plan->result.paid_count; i++) {
		json_t *payee = json_pack("{s:o}", "address", show_address(spec, plan->result.paid[i].key));

		json_object_set_new(payee, "amount", json_amount(plan->result.paid[i].amount));
		json_array_append_new(payees, payee);
	}
	json_object_set_new(shown, "paid", json_amount(plan->result.paid_sum));
	json_object_set_new(shown, "left", json_amount(left + plan->sums.fresh - plan->result.divided));
	json_object_set_new(shown, "fee", json_amount(fee));
	json_object_set_new(shown, "payees", payees);
	return shown;
}

/* Writes it down, then hands it to the wallet, which writes it down too and then sends it: settle_look says what is
 * made of it if the process ends anywhere between. */
static enum rpc_outcome settle_send(struct rpc_request *settle_request, const struct calls_parts *parts,
	struct wallet *wallet, struct settle_plan *plan, const struct tx *payment, int64_t fee)
{
	struct credit_settlement settlement = { .time = (uint64_t)clock_wall(),
		.paid = plan->result.paid_sum,
		.dues = plan->result.left,
		.due_count = plan->result.left_count };
	struct reject payment_reject = { .reason = "", .detail = "" };
	json_t *shown = settle_show(plan, wallet_spec(wallet), fee);
	struct errmsg err;

	if (plan->sums.newest != NULL)
		settlement.shared = plan->sums.newest->shared;
	settlement.shared += plan->result.divided;
	memcpy(settlement.txid, tx_txid(payment), 32);
	strcpy(settlement.wallet, wallet_name(wallet));
	json_object_set_new(shown, "txid", json_hash(settlement.txid));
	plan->result.left = NULL;
	if (!credit_add_settlement(parts->credit, &settlement, &err)) {
		tx_unref(payment);
		json_decref(shown);
		return rpc_fail(settle_request, RPC_DATABASE_ERROR, "Nothing was sent: %s", err.text);
	}
	if (pay_sent(settle_request, wallets_send(parts->wallets, wallet, payment, &payment_reject, &err),
		    &payment_reject, &err))
		return rpc_reply(settle_request, shown);
	json_decref(shown);
	return RPC_DONE;
}

/* Builds the payment and sends it, or, in a dry run, tells of it alone. */
static enum rpc_outcome settle_pay(struct rpc_request *settle_request, const struct calls_parts *parts,
	struct wallet *wallet, struct settle_plan *plan)
{
	const struct spend_request payment_request = { .outputs = plan->outputs, .count = plan->result.paid_count };
	const struct tx *payment;
	struct errmsg err;
	int64_t fee;

	if (plan->result.paid_count == 0)
		return rpc_reply(settle_request, settle_show(plan, wallet_spec(wallet), 0));
	if (!pay_built(settle_request, spend_build(wallet, &payment_request, &payment, &fee, &err), &err))
		return RPC_DONE;
	if (!rpc_bool(settle_request, "dry_run"))
		return settle_send(settle_request, parts, wallet, plan, payment, fee);
	tx_unref(payment);
	return rpc_reply(settle_request, settle_show(plan, wallet_spec(wallet), fee));
}

static const struct rpc_arg settleusage_args[] = {
	{ .name = "dry_run",
		.type = RPC_BOOL,
		.fallback = "false",
		.help = "Tell what would be sent, and send nothing." },
	{ 0 },
};

static enum rpc_outcome call_settleusage(struct rpc_request *settle_request, void *context)
{
	const struct calls_parts *parts = context;
	struct settle_plan plan = { .count = 0 };
	enum rpc_outcome outcome = RPC_DONE;
	struct wallet *wallet;

	if (!settle_is_on(settle_request, parts) || (wallet = which_wallet(settle_request, parts->wallets)) == NULL)
		return RPC_DONE;
	settle_sum_up(parts, &plan.sums);
	if (!settle_may(settle_request, parts, &plan.sums))
		return RPC_DONE;
	if (settle_divide(&plan, parts))
		outcome = settle_pay(settle_request, parts, wallet, &plan);
	else
		rpc_fail(settle_request, RPC_DATABASE_ERROR, "The explorer's index cannot be read");
	settle_clear(&plan);
	return outcome;
}

static const struct rpc_method settle_methods[] = {
	{ "getincome", "Paid use", call_getincome, NULL,
		"Tells what keys used and paid for, and what of that is for those who made the model. That is what the "
		"chain's spec asks for: no rule of the chain enforces it, and no other node can see whether it is "
		"done.",
		"{\n"
		"  \"tokens\": n, \"price\": amount,   used by keys; of 1,000, now\n"
		"  \"credited\": amount, \"pending\": amount, \"used\": amount,   of all keys together\n"
		"  \"income\": amount,     used and paid for\n"
		"  \"usage_ppm\": n,       millionths of the income that are for others\n"
		"  \"settled\": amount, \"owed\": amount,   sent to them; not yet\n"
		"  \"waiting\": \"hex\",     a settlement that is in no block yet, if one is\n"
		"  \"height\": n\n"
		"}",
		NULL, 0 },
	{ "settleusage", "Paid use", call_settleusage, settleusage_args,
		"Sends the share of the income that the chain's spec asks for (usage_ppm), as far as it has not been "
		"sent, to those who made the model, in one transaction of a loaded wallet: in proportion to what the "
		"chain has paid each for proofs, data and runs so far (listcontributors), to the 2,000 who earned "
		"most. Parts of less than 330 base units wait for the next time. The next one can be made when this "
		"one is in a block. It is a promise that the seller keeps, or does not: no rule of the chain enforces "
		"it.",
		"{\n"
		"  \"txid\": \"hex\",        unless there is nothing to send, or dry_run\n"
		"  \"paid\": amount, \"fee\": amount, \"left\": amount,   the last one for next time\n"
		"  \"payees\": [{\"address\": \"address\", \"amount\": amount}]\n"
		"}",
		"true", 0 },
};

void calls_settle_add(struct rpc_table *table, struct calls_parts *parts)
{
	rpc_table_add(table, settle_methods, sizeof settle_methods / sizeof *settle_methods, parts);
}
