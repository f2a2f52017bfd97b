/* Coins, fee, change and signatures of one payment, in this order; nothing outside the plan changes. */
#include "wallet/spend.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/script.h"
#include "consensus/sighash.h"
#include "crypto/schnorr.h"
#include "crypto/wipe.h"
#include "util/mem.h"
#include "util/random.h"

enum {
	INPUT_WEIGHT = 4 * 41 + 1 + 1 + 64, /* outpoint, empty script, sequence; witness of one 64-byte signature */
	CHANGE_SIZE = 8 + 1 + P2TR_SIZE,
};

static const uint32_t sequence = 0xfffffffe; /* no relative lock; a locktime would count */

/* What is being built: the coins taken so far out of those that can be. */
struct plan {
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
static enum spend_result check_outputs(struct plan *plan, struct errmsg *err)
{
	const struct spend_request *request = plan->request;
	const struct tx_output *output;
	size_t i;

	if (request->count == 0 || request->count > SPEND_OUTPUTS_MAX) {
		errmsg_set(err, "A transaction needs 1 to %d outputs", SPEND_OUTPUTS_MAX);
		return SPEND_REFUSED;
	}
	for (i = 0; i < request->count; i++) {
		output = &request->outputs[i];
		if (script_p2tr_key(&output->script) != NULL && output->amount < SPEND_DUST) {
			errmsg_set(err, "An amount is below %d base units: spending it would cost more", SPEND_DUST);
			return SPEND_REFUSED;
		}
		if (output->amount < 0 || output->amount > MAX_MONEY - plan->target) {
			errmsg_set(err, "The amounts are out of range");
			return SPEND_REFUSED;
		}
		plan->target += output->amount;
		plan->outputs_size += 8 + buf_compact_size(output->script.size) + output->script.size;
	}
	return SPEND_OK;
}

/* A total order, down to the outpoint: the same coins give the same choice, whatever the order of the ledger's map. */
static int compare_coins(const void *a, const void *b)
{
	const struct ledger_coin *left = a;
	const struct ledger_coin *right = b;
	bool left_confirmed = left->depth > 0;
	bool right_confirmed = right->depth > 0;

	if (left_confirmed != right_confirmed)
		return right_confirmed - left_confirmed;
	if (left->amount != right->amount)
		return left->amount < right->amount ? 1 : -1;
	return memcmp(&left->outpoint, &right->outpoint, sizeof left->outpoint);
}

static void find_coins(struct plan *plan, const struct ledger *ledger)
{
	size_t count;
	size_t i;

	plan->coins = ledger_coins(ledger, &count);
	for (i = 0; i < count; i++)
		if (plan->coins[i].trusted && !plan->coins[i].immature)
			plan->coins[plan->coin_count++] = plan->coins[i];
	if (plan->coin_count > 0)
		qsort(plan->coins, plan->coin_count, sizeof *plan->coins, compare_coins);
}

static size_t weight_of(const struct plan *plan, bool with_change)
{
	size_t counts = buf_compact_size(plan->taken) + buf_compact_size(plan->request->count + with_change);
	size_t size = 4 + 4 + counts + plan->outputs_size + (with_change ? CHANGE_SIZE : 0); /* version, locktime */

	return 4 * size + 2 + plan->taken * INPUT_WEIGHT; /* marker and flag of the witness */
}

/* Rate times virtual size, both rounded up. Up, or a node that asks for just this rate would refuse it. With a rate of
 * SPEND_FEE_MAX at most, the product would need 10^11 bytes to overflow. */
static int64_t fee_of(const struct plan *plan, bool with_change)
{
	int64_t size = (int64_t)(weight_of(plan, with_change) + 3) / 4;

	return (size * plan->rate + 999) / 1000;
}

/* Whether the coins taken are enough; then fee and change are set. rest is what the coins hold beyond what was asked
 * for. Where the payees pay, coins that reach the target are enough; else they must reach the fee as well. */
static bool settle_fee(struct plan *plan)
{
	bool subtract = plan->request->pays_fee != NULL;
	int64_t rest = plan->sum - plan->target;

	if (plan->taken == 0 || rest < 0)
		return false;
	plan->fee = fee_of(plan, true);
	plan->change = subtract ? rest : rest - plan->fee;
	if (plan->change >= SPEND_DUST)
		return true;
	/* Too little for an output: the fee takes it, or, where the payees pay the fee, their share of it. */
	plan->change = 0;
	plan->fee = fee_of(plan, false);
	if (!subtract && rest < plan->fee)
		return false;
	if (rest > plan->fee || !subtract)
		plan->fee = rest;
	return true;
}

/* One coin more until it is enough. Each adds to the fee too, by its input: where it is worth less than that, the sum
 * is further from enough than before, and the next one is taken as well. */
static enum spend_result choose_coins(struct plan *plan, struct errmsg *err)
{
	while (!settle_fee(plan)) {
		if (plan->taken == plan->coin_count) {
			errmsg_set(err, "Insufficient funds");
			return SPEND_FUNDS;
		}
		plan->sum += plan->coins[plan->taken++].amount;
	}
	if (weight_of(plan, plan->change > 0) > SPEND_WEIGHT_MAX) {
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
static enum spend_result subtract_fee(struct tx *tx, const struct plan *plan, struct errmsg *err)
{
	/* What the coins hold beyond outputs and change already goes to the fee. */
	int64_t owed = plan->fee - (plan->sum - plan->target - plan->change);
	const bool *pays = plan->request->pays_fee;
	int64_t payees = 0;
	bool first = true;
	size_t i;

	for (i = 0; i < tx->output_count; i++)
		payees += pays[i];
	for (i = 0; i < tx->output_count; i++) {
		if (!pays[i])
			continue;
		tx->outputs[i].amount -= owed / payees + (first ? owed % payees : 0);
		first = false;
		if (tx->outputs[i].amount < SPEND_DUST) {
			errmsg_set(err, "The amount is too small to pay the fee");
			return SPEND_REFUSED;
		}
	}
	if (first)
		errmsg_set(err, "There is no payee who could pay the fee");
	return first ? SPEND_REFUSED : SPEND_OK;
}

/* The address is only looked up: it is given out when the payment is recorded, and two payments built before that share
 * it. */
static void add_change(struct tx *tx, const struct plan *plan, const struct wallet *wallet)
{
	uint8_t script[P2TR_SIZE];
	struct tx_output last;
	uint8_t key[32];
	size_t place;

	wallet_peek_address(wallet, ACCOUNT_CHANGE, key);
	script_p2tr(script, key);
	tx_add_output(tx, plan->change, script, sizeof script);
	place = random_below(tx->output_count); /* so that its place does not tell which output is change */
	last = tx->outputs[tx->output_count - 1];
	memmove(&tx->outputs[place + 1], &tx->outputs[place], (tx->output_count - 1 - place) * sizeof last);
	tx->outputs[place] = last;
}

/* Checked at once by the rules of consensus: a signature that is wrong, by a bug or a fault of memory, is not sent.
 * Signatures come last, when nothing changes any more: each covers all inputs and outputs. */
static bool sign_inputs(struct tx *tx, const struct plan *plan, struct wallet *wallet)
{
	struct tx_output *spent = mem_calloc(plan->taken, sizeof *spent);
	struct sighash_cache cache;
	uint8_t signature[64];
	uint8_t secret[32];
	uint8_t hash[32];
	uint8_t aux[32];
	bool ok = true;
	size_t i;

	for (i = 0; i < plan->taken; i++)
		spent[i] = plan->coins[i].entry->tx->outputs[plan->coins[i].outpoint.index];
	sighash_init(&cache, tx, spent);
	for (i = 0; i < plan->taken && ok; i++) {
		/* BIP340's auxiliary randomness: a fault in one of two signatures of a message does not give the secret
		 * away. */
		random_bytes(aux, sizeof aux);
		ok = wallet_secret(wallet, plan->coins[i].script, secret) &&
			sighash_taproot(&cache, i, SIGHASH_DEFAULT, NULL, hash) &&
			schnorr_sign(signature, hash, secret, aux);
		if (ok)
			tx_set_witness(tx, i, signature, sizeof signature);
	}
	ok = ok && sighash_verify(tx, spent, NULL);
	wipe(secret, sizeof secret);
	free(spent);
	return ok;
}

static enum spend_result make_tx(struct plan *plan, struct wallet *wallet, struct tx *tx, struct errmsg *err)
{
	const struct tx_output *output;
	enum spend_result result;
	size_t i;

	for (i = 0; i < plan->request->count; i++) {
		output = &plan->request->outputs[i];
		tx_add_output(tx, output->amount, output->script.data, output->script.size);
	}
	if (plan->request->pays_fee != NULL) {
		result = subtract_fee(tx, plan, err);
		if (result != SPEND_OK)
			return result;
	}
	if (plan->change > 0)
		add_change(tx, plan, wallet);
	for (i = 0; i < plan->taken; i++)
		tx_add_input(tx, &plan->coins[i].outpoint, sequence);
	if (!sign_inputs(tx, plan, wallet)) {
		errmsg_set(err, "The transaction could not be signed");
		return SPEND_LOCKED;
	}
	return SPEND_OK;
}

enum spend_result spend_build(struct wallet *wallet, const struct spend_request *request, const struct tx **tx,
	int64_t *fee, struct errmsg *err)
{
	struct plan plan = { .request = request, .rate = request->rate ? request->rate : SPEND_RATE_MIN };
	enum spend_result result;
	struct tx *built;

	/* First of all, so that a locked wallet says so and not that it has no coins. */
	if (!wallet_is_unlocked(wallet)) {
		errmsg_set(err, "The wallet is locked: unlock it with walletpassphrase first");
		return SPEND_LOCKED;
	}
	if (plan.rate < SPEND_RATE_MIN || plan.rate > SPEND_FEE_MAX) {
		errmsg_set(err, "The fee rate is not in 1 to 10000 base units for each virtual byte");
		return SPEND_REFUSED;
	}
	result = check_outputs(&plan, err);
	if (result != SPEND_OK)
		return result;
	find_coins(&plan, wallet_ledger(wallet));
	result = choose_coins(&plan, err);
	if (result == SPEND_OK) {
		built = tx_new();
		result = make_tx(&plan, wallet, built, err);
		if (result == SPEND_OK)
			*tx = tx_seal(built);
		else
			tx_unref(built);
	}
	free(plan.coins);
	*fee = plan.fee;
	return result;
}
