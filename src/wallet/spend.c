/* Coins, fee, change and signatures of one payment, in this order; nothing outside the plan changes. */
#include "wallet/spend.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/script.h"
#include "consensus/sighash.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "util/mem.h"
#include "util/random.h"

enum {
	SPEND_INPUT_WEIGHT = 4 * 41 + 1 + 1 + 64, /* outpoint, empty script, sequence; witness: a 64-byte signature */
	SPEND_CHANGE_SIZE = 8 + 1 + P2TR_SIZE,
	SPEND_AMOUNT_TEXT = 32,
};

static const uint32_t spend_sequence = 0xfffffffe; /* no relative lock; a locktime would count */

/* What is being built: the coins taken so far out of those that can be. */
struct spend_plan {
	const struct spend_request *request;
	struct ledger_coin *coins;
	size_t coin_count;
	size_t taken;
	int64_t sum;    /* of the coins taken */
	int64_t target; /* of the outputs asked for */
	int64_t rate;
	size_t outputs_size; /* serialised */
	int64_t fee;
	int64_t change; /* 0: none */
};

/* Compared with what is left of MAX_MONEY, so that the sum cannot overflow. An OP_RETURN may hold less than dust: it is
 * burnt, not spent. */
static enum spend_result spend_check_outputs(struct spend_plan *plan, struct errmsg *err)
{
	const struct spend_request *request = plan->request;
	const struct tx_output *payee_output;
	size_t i;

	if (request->count == 0 || request->count > SPEND_OUTPUTS_MAX) {
		errmsg_set(err, "A transaction needs 1 to %d outputs", SPEND_OUTPUTS_MAX);
		return SPEND_REFUSED;
	}
	for (i = 0; i < request->count; i++) {
		payee_output = &request->outputs[i];
		if (script_p2tr_key(&payee_output->script) != NULL && payee_output->amount < SPEND_DUST) {
			errmsg_set(err, "An amount is below %d base units: spending it would cost more", SPEND_DUST);
			return SPEND_REFUSED;
		}
		if (payee_output->amount < 0 || payee_output->amount > MAX_MONEY - plan->target) {
			errmsg_set(err, "The amounts are out of range");
			return SPEND_REFUSED;
		}
		plan->target += payee_output->amount;
		plan->outputs_size += 8 + buf_compact_size(payee_output->script.size) + payee_output->script.size;
	}
	return SPEND_OK;
}

/* A total order, down to the outpoint: the same coins give the same choice, whatever the order of the ledger's map. */
static int spend_compare_coins(const void *a, const void *b)
{
	const struct ledger_coin *left_coin = a;
	const struct ledger_coin *right_coin = b;
	bool left_confirmed = left_coin->depth > 0;
	bool right_confirmed = right_coin->depth > 0;

	if (left_confirmed != right_confirmed)
		return right_confirmed - left_confirmed;
	if (left_coin->amount != right_coin->amount)
		return left_coin->amount < right_coin->amount ? 1 : -1;
	return memcmp(&left_coin->outpoint, &right_coin->outpoint, sizeof left_coin->outpoint);
}

static void spend_find_coins(struct spend_plan *plan, const struct ledger *ledger)
{
	size_t known_count;
	size_t i;

	plan->coins = ledger_coins(ledger, &known_count);
	for (i = 0; i < known_count; i++)
		if (plan->coins[i].trusted && !plan->coins[i].immature)
			plan->coins[plan->coin_count++] = plan->coins[i];
	if (plan->coin_count > 0)
		qsort(plan->coins, plan->coin_count, sizeof *plan->coins, spend_compare_coins);
}

static size_t spend_weight(const struct spend_plan *plan, bool with_change)
{
	size_t counts_size = buf_compact_size(plan->taken) + buf_compact_size(plan->request->count + with_change);
	size_t base_size = 4 + 4 + counts_size + plan->outputs_size +
		(with_change ? SPEND_CHANGE_SIZE : 0); /* version, locktime */

	return 4 * base_size + 2 + plan->taken * SPEND_INPUT_WEIGHT; /* marker and flag of the witness */
}

/* Rate times virtual size, both rounded up. Up, or a node that asks for just this rate would refuse it. With a rate of
 * SPEND_FEE_MAX at most, the product would need 10^11 bytes to overflow. */
static int64_t spend_fee(const struct spend_plan *plan, bool with_change)
{
	int64_t virtual_size = (int64_t)(spend_weight(plan, with_change) + 3) / 4;

	return (virtual_size * plan->rate + 999) / 1000;
}

/* Whether the coins taken are enough; then fee and change are set. coins_rest is what the coins hold beyond what was
 * asked for. Where the payees pay, coins that reach the target are enough; else they must reach the fee as well. */
static bool spend_settle_fee(struct spend_plan *plan)
{
	bool subtract = plan->request->pays_fee != NULL;
	int64_t coins_rest = plan->sum - plan->target;

	if (plan->taken == 0 || coins_rest < 0)
		return false;
	plan->fee = spend_fee(plan, true);
	plan->change = subtract ? coins_rest : coins_rest - plan->fee;
	if (plan->change >= SPEND_DUST)
		return true;
	/* Too little for an output: the fee takes it, or, where the payees pay the fee, their share of it. */
	plan->change = 0;
	plan->fee = spend_fee(plan, false);
	if (!subtract && coins_rest < plan->fee)
		return false;
	if (coins_rest > plan->fee || !subtract)
		plan->fee = coins_rest;
	return true;
}

/* For people. */
static const char *spend_amount(int64_t amount, char amount_text[SPEND_AMOUNT_TEXT])
{
	snprintf(amount_text, SPEND_AMOUNT_TEXT, "%" PRId64 ".%08" PRId64, amount / COIN, amount % COIN);
	return amount_text;
}

/* All coins that can be spent are in the plan. */
static enum spend_result spend_refuse_funds(const struct spend_plan *plan, const struct ledger *ledger,
	struct errmsg *err)
{
	const int64_t needed = plan->target + (plan->request->pays_fee == NULL ? spend_fee(plan, false) : 0);
	char needed_text[SPEND_AMOUNT_TEXT], sum_text[SPEND_AMOUNT_TEXT], immature_text[SPEND_AMOUNT_TEXT],
		pending_text[SPEND_AMOUNT_TEXT];
	struct ledger_balance balance;

	ledger_balance(ledger, &balance);
	errmsg_set(err,
		"Insufficient funds: %s ATL are needed, and %s can be spent, beside %s immature and %s unconfirmed",
		spend_amount(needed, needed_text), spend_amount(plan->sum, sum_text),
		spend_amount(balance.immature, immature_text), spend_amount(balance.pending, pending_text));
	return SPEND_FUNDS;
}

/* One coin more until it is enough. Each adds to the fee too, by its input: where it is worth less than that, the sum
 * is further from enough than before, and the next one is taken as well. */
static enum spend_result spend_choose_coins(struct spend_plan *plan, const struct ledger *ledger, struct errmsg *err)
{
	while (!spend_settle_fee(plan)) {
		if (plan->taken == plan->coin_count)
			return spend_refuse_funds(plan, ledger, err);
		plan->sum += plan->coins[plan->taken++].amount;
	}
	if (spend_weight(plan, plan->change > 0) > SPEND_WEIGHT_MAX) {
		errmsg_set(err, "The transaction would need too many inputs: send less at a time");
		return SPEND_REFUSED;
	}
	if (plan->fee > SPEND_FEE_MAX) {
		errmsg_set(err, "The fee of %lld base units exceeds the limit of %d", (long long)plan->fee,
			SPEND_FEE_MAX);
		return SPEND_REFUSED;
	}
	return SPEND_OK;
}

/* Equal parts; the first payee bears what cannot be divided. Before change is added and moved about, while outputs
 * stand where the request has them. */
static enum spend_result spend_subtract_fee(struct tx *payment, const struct spend_plan *plan, struct errmsg *err)
{
	/* What the coins hold beyond outputs and change already goes to the fee. */
	int64_t owed_fee = plan->fee - (plan->sum - plan->target - plan->change);
	const bool *pays = plan->request->pays_fee;
	int64_t payee_count = 0;
	bool first_payee = true;
	size_t i;

	for (i = 0; i < payment->output_count; i++)
		payee_count += pays[i];
	for (i = 0; i < payment->output_count; i++) {
		if (!pays[i])
			continue;
		payment->outputs[i].amount -= owed_fee / payee_count + (first_payee ? owed_fee % payee_count : 0);
		first_payee = false;
		if (payment->outputs[i].amount < SPEND_DUST) {
			errmsg_set(err, "The amount is too small to pay the fee");
			return SPEND_REFUSED;
		}
	}
	if (first_payee)
		errmsg_set(err, "There is no payee who could pay the fee");
	return first_payee ? SPEND_REFUSED : SPEND_OK;
}

/* The address is only looked up: it is given out when the payment is recorded, and two payments built before that share
 * it. */
static void spend_add_change(struct tx *payment, const struct spend_plan *plan, const struct wallet *wallet)
{
	uint8_t change_script[P2TR_SIZE];
	struct tx_output change_output;
	uint8_t change_key[32];
	size_t change_place;

	wallet_peek_address(wallet, ACCOUNT_CHANGE, 0, change_key);
	script_p2tr(change_script, change_key);
	tx_add_output(payment, plan->change, change_script, sizeof change_script);
	change_place = random_below(payment->output_count); /* so that its place does not tell which output is change */
	change_output = payment->outputs[payment->output_count - 1];
	memmove(&payment->outputs[change_place + 1], &payment->outputs[change_place],
		(payment->output_count - 1 - change_place) * sizeof change_output);
	payment->outputs[change_place] = change_output;
}

/* Checked at once by the rules of consensus: a signature that is wrong, by a bug or a fault of memory, is not sent.
 * Signatures come last, when nothing changes any more: each covers all inputs and outputs. */
static bool spend_sign_inputs(struct tx *payment, const struct spend_plan *plan, struct wallet *wallet)
{
	struct tx_output *spent_outputs = mem_calloc(plan->taken, sizeof *spent_outputs);
	struct sighash_cache payment_cache;
	uint8_t signature[64];
	uint8_t signing_secret[32];
	uint8_t signed_hash[32];
	uint8_t signing_aux[32];
	bool is_signed = true;
	size_t i;

	for (i = 0; i < plan->taken; i++)
		spent_outputs[i] = plan->coins[i].entry->tx->outputs[plan->coins[i].outpoint.index];
	sighash_init(&payment_cache, payment, spent_outputs);
	for (i = 0; i < plan->taken && is_signed; i++) {
		/* BIP340's auxiliary randomness: a fault in one of two signatures of a message does not give the secret
		 * away. */
		random_bytes(signing_aux, sizeof signing_aux);
		is_signed = wallet_secret(wallet, plan->coins[i].script, signing_secret) &&
			sighash_taproot(&payment_cache, i, SIGHASH_DEFAULT, NULL, signed_hash) &&
			schnorr_sign(signature, signed_hash, signing_secret, signing_aux);
		if (is_signed)
			tx_set_witness(payment, i, signature, sizeof signature);
	}
	is_signed = is_signed && sighash_verify(payment, spent_outputs, NULL);
	wipe(signing_secret, sizeof signing_secret);
	free(spent_outputs);
	return is_signed;
}

static enum spend_result spend_make_tx(const struct spend_plan *plan, struct wallet *wallet, struct tx *payment,
	struct errmsg *err)
{
	const struct tx_output *payee_output;
	enum spend_result fee_result;
	size_t i;

	for (i = 0; i < plan->request->count; i++) {
		payee_output = &plan->request->outputs[i];
		tx_add_output(payment, payee_output->amount, payee_output->script.data, payee_output->script.size);
	}
	if (plan->request->pays_fee != NULL) {
		fee_result = spend_subtract_fee(payment, plan, err);
		if (fee_result != SPEND_OK)
			return fee_result;
	}
	if (plan->change > 0)
		spend_add_change(payment, plan, wallet);
	for (i = 0; i < plan->taken; i++)
		tx_add_input(payment, &plan->coins[i].outpoint, spend_sequence);
	if (!spend_sign_inputs(payment, plan, wallet)) {
		errmsg_set(err, "The transaction could not be signed");
		return SPEND_LOCKED;
	}
	return SPEND_OK;
}

enum spend_result spend_build(struct wallet *wallet, const struct spend_request *request, const struct tx **tx,
	int64_t *fee, struct errmsg *err)
{
	struct spend_plan plan = { .request = request, .rate = request->rate ? request->rate : SPEND_RATE_MIN };
	enum spend_result build_result;
	struct tx *payment;

	/* First of all, so that a locked wallet says so and not that it has no coins. */
	if (!wallet_check_unlocked(wallet, err))
		return SPEND_LOCKED;
	if (plan.rate < SPEND_RATE_MIN || plan.rate > SPEND_FEE_MAX) {
		errmsg_set(err, "The fee rate is not in 1 to 10000 base units for each virtual byte");
		return SPEND_REFUSED;
	}
	build_result = spend_check_outputs(&plan, err);
	if (build_result != SPEND_OK)
		return build_result;
	spend_find_coins(&plan, wallet_ledger(wallet));
	build_result = spend_choose_coins(&plan, wallet_ledger(wallet), err);
	if (build_result == SPEND_OK) {
		payment = tx_new();
		build_result = spend_make_tx(&plan, wallet, payment, err);
		if (build_result == SPEND_OK)
			*tx = tx_seal(payment);
		else
			tx_unref(payment);
	}
	free(plan.coins);
	*fee = plan.fee;
	return build_result;
}

int64_t spend_single_fee(const struct spend_request *request)
{
	struct spend_plan plan = { .request = request,
		.rate = request->rate ? request->rate : SPEND_RATE_MIN,
		.taken = 1 };
	struct errmsg err;

	spend_check_outputs(&plan, &err);
	return spend_fee(&plan, false);
}

const struct tx *spend_single(struct wallet *wallet, const struct tx *source, uint32_t place,
	const struct spend_request *request, struct errmsg *err)
{
	const struct ledger_tx source_tx = { .tx = source };
	struct ledger_coin coin = { .outpoint.index = place, .entry = &source_tx };
	const struct spend_plan plan = { .request = request, .coins = &coin, .coin_count = 1, .taken = 1 };
	struct tx *payment = tx_new();

	memcpy(coin.outpoint.txid, tx_txid(source), 32);
	coin.script = ledger_output_script(wallet_ledger(wallet), &source->outputs[place]);
	if (spend_make_tx(&plan, wallet, payment, err) == SPEND_OK)
		return tx_seal(payment);
	tx_unref(payment);
	return NULL;
}
