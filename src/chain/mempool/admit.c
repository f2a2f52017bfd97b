/* Judging transactions. */
#include "chain/mempool/admit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/coins.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/mempool/policy.h"
#include "consensus/sighash.h"
#include "consensus/spending.h"
#include "util/clock.h"
#include "util/mem.h"

/* What judging finds out about a transaction. */
struct judgement {
	const struct tx *tx;
	struct spending spending;
	struct coin *coins; /* what its inputs spend */
	int64_t fee;
	size_t weight, size;
};

static void judgement_init(struct judgement *judgement, const struct chain *chain, const struct tx *tx)
{
	memset(judgement, 0, sizeof *judgement);
	judgement->tx = tx;
	judgement->weight = tx_weight(tx);
	judgement->size = (judgement->weight + 3) / 4;
	spending_init(&judgement->spending, tx, chain_tip(chain)->height + 1);
	judgement->coins = mem_calloc(tx->input_count, sizeof *judgement->coins);
}

static void judgement_clear(struct judgement *judgement)
{
	for (size_t i = 0; i < judgement->tx->input_count; i++)
		chain_coin_clear(&judgement->coins[i]);
	free(judgement->coins);
	spending_clear(&judgement->spending);
}

/* Nobody held may spend the same or register the same. First come, first held: there is no replacement by fee, so
 * nobody can have a payment that is waiting taken back. */
static bool check_conflicts(const struct chain *chain, const struct tx *tx, struct reject *reject)
{
	for (size_t i = 0; i < tx->input_count; i++)
		if (mempool_spender(chain->mempool, &tx->inputs[i].prev) != NULL)
			return reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
				"input %zu is spent by a transaction of the mempool", i);
	for (size_t i = 0; i < tx->output_count; i++) {
		struct contribution data;

		if (contribution_parse(&tx->outputs[i].script, &data) &&
			map_get(&chain->mempool->roots, data.root) != NULL)
			return reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
				"a transaction of the mempool registers the same blob");
	}
	return true;
}

/* The coin an input spends: of the mempool, as if its transaction were in the next block, or of the chain. */
static enum db_result find_coin(struct chain *chain, const struct outpoint *outpoint, struct coin *coin,
	struct errmsg *err)
{
	const struct mempool_tx *parent = mempool_find(chain->mempool, outpoint->txid);
	const struct tx_output *output;

	if (parent == NULL)
		return coins_get(chain->db, outpoint, coin, err);
	if (outpoint->index >= parent->entry.tx->output_count)
		return DB_MISSING;
	output = &parent->entry.tx->outputs[outpoint->index];
	if (!coin_is_output(output))
		return DB_MISSING;
	memset(coin, 0, sizeof *coin);
	/* No coinbase: those come with blocks alone, so maturity is not asked of it. */
	coin->height = chain_tip(chain)->height + 1;
	coin->output.amount = output->amount;
	coin->output.script.data = mem_dup(output->script.data, output->script.size);
	coin->output.script.size = output->script.size;
	return DB_FOUND;
}

static bool add_coin(struct chain *chain, struct spending *spending, const struct coin *coin, struct reject *reject)
{
	const struct spending_coin added = {
		.output = coin->output,
		.height = coin->height,
		.coinbase = coin->coinbase,
		.time = chain_at(chain, spending_time_height(spending, coin->height))->median_time,
	};

	switch (spending_add(spending, &added, chain->spec->maturity)) {
	case SPENDING_OK:
		return true;
	case SPENDING_IMMATURE:
		return reject_as(reject, REJECT_NOT_YET, REASON_BAD_TXNS_PREMATURE_SPEND_OF_COINBASE,
			"coinbase of height %u", (unsigned)coin->height);
	case SPENDING_TOO_MUCH:
		break;
	}
	return reject_set(reject, REASON_BAD_TXNS_INPUTVALUES_OUTOFRANGE, "sum of the inputs");
}

/* Maturity and locks are judged as for the next block, since that is the first that could hold it. A coin of the
 * mempool counts as made in that block. */
static enum chain_result find_inputs(struct chain *chain, struct judgement *judgement, struct reject *reject)
{
	struct spending *spending = &judgement->spending;
	const struct tx *tx = judgement->tx;
	struct errmsg err;

	for (size_t i = 0; i < tx->input_count; i++) {
		struct coin *coin = &judgement->coins[i];

		switch (find_coin(chain, &tx->inputs[i].prev, coin, &err)) {
		case DB_FOUND:
			break;
		case DB_MISSING:
			reject_as(reject, REJECT_NOT_YET, REASON_BAD_TXNS_INPUTS_MISSINGORSPENT, "input %zu", i);
			return CHAIN_ORPHAN;
		case DB_FAILED:
			return halt_fail(chain, &err);
		}
		if (!add_coin(chain, spending, coin, reject))
			return CHAIN_REJECTED;
	}
	judgement->fee = spending_fee(spending);
	if (judgement->fee >= 0)
		return CHAIN_NEW;
	reject_set(reject, REASON_BAD_TXNS_IN_BELOWOUT, "%" PRId64 " are missing", -judgement->fee);
	return CHAIN_REJECTED;
}

/* How long chains of unconfirmed transactions may become: for the newcomer, and for each of its ancestors. What is done
 * for a transaction later (a block's choice, its removal) goes through its family: a long one would make that dear for
 * all. The walks end at the limit themselves. */
static bool check_family(const struct mempool *mempool, const struct tx *tx, struct reject *reject)
{
	struct mempool_tx *ancestors[MEMPOOL_ANCESTORS], *descendants[MEMPOOL_ANCESTORS];
	size_t count = mempool_relatives(mempool, tx, true, ancestors, MEMPOOL_ANCESTORS);

	if (count >= MEMPOOL_ANCESTORS)
		return reject_set(reject, REASON_TOO_LONG_MEMPOOL_CHAIN, "more than %d unconfirmed ancestors",
			MEMPOOL_ANCESTORS - 1);
	for (size_t i = 0; i < count; i++)
		if (mempool_relatives(mempool, ancestors[i]->entry.tx, false, descendants, MEMPOOL_ANCESTORS) >=
			MEMPOOL_ANCESTORS - 1)
			return reject_set(reject, REASON_TOO_LONG_MEMPOOL_CHAIN,
				"an ancestor has %d unconfirmed descendants", MEMPOOL_ANCESTORS - 1);
	return true;
}

/* What needs no coin, and so no look at the disk, comes first. */
static bool check_alone(struct chain *chain, const struct tx *tx, size_t size, struct reject *reject)
{
	const struct index_entry *tip = chain_tip(chain);
	uint64_t registered = 0;

	if (!tx_check(tx, reject) || !contribution_check(chain->spec, tx, &registered, reject))
		return false;
	if (tx_is_coinbase(tx))
		return reject_set(reject, REASON_COINBASE, "a coinbase by itself");
	if (registered > chain->spec->blob_budget)
		return reject_set(reject, REASON_BAD_CONTRIB_BUDGET, "it registers more than a block may");
	if (!policy_check(tx, size, reject))
		return false;
	if (!tx_is_final(tx, tip->height + 1, tip->median_time))
		return reject_set(reject, REASON_NON_FINAL, "its locktime has not come");
	return check_conflicts(chain, tx, reject) && registry_check_tx(chain->registry, tx, reject);
}

/* Cheap before dear, and signatures last. They are verified once: a block that holds the transaction later relies on
 * it being here (chain/connect.c), since its coins and its bytes cannot have changed. */
static enum chain_result judge_tx(struct chain *chain, struct judgement *judgement, bool signatures,
	struct reject *reject)
{
	const struct tx *tx = judgement->tx;
	enum chain_result result;

	if (!check_alone(chain, tx, judgement->size, reject))
		return CHAIN_REJECTED;
	result = find_inputs(chain, judgement, reject);
	if (result != CHAIN_NEW)
		return result;
	if (!spending_locks_met(&judgement->spending, chain_tip(chain)->median_time)) {
		reject_set(reject, REASON_NON_BIP68_FINAL, "a relative lock is not met");
		return CHAIN_REJECTED;
	}
	if (!policy_check_fee(judgement->fee, judgement->size, chain->mempool->floor_rate, reject) ||
		!check_family(chain->mempool, tx, reject) ||
		(signatures && !sighash_verify(tx, judgement->spending.outputs, reject)))
		return CHAIN_REJECTED;
	return CHAIN_NEW;
}

static struct mempool_tx *mempool_tx_new(const struct chain *chain, const struct tx *tx,
	const struct judgement *judgement)
{
	struct mempool_tx *held = mem_calloc(1, sizeof *held);

	held->entry.tx = tx;
	memcpy(held->entry.txid, tx_txid(tx), 32);
	memcpy(held->entry.wtxid, tx_wtxid(tx), 32);
	held->entry.fee = judgement->fee;
	held->entry.weight = judgement->weight;
	held->entry.time = (uint64_t)clock_wall();
	held->entry.height = chain_tip(chain)->height;
	held->size = judgement->size;
	return held;
}

/* --- contributions whose blob is missing --- */

/* Blobs the transaction registers that are not here; the array is the caller's. */
static size_t missing_blobs(const struct chain *chain, const struct tx *tx, struct blob_want **wants)
{
	size_t count = 0;

	*wants = NULL;
	for (size_t i = 0; i < tx->output_count; i++) {
		struct contribution data;
		struct blob_want want;

		if (!contribution_parse(&tx->outputs[i].script, &data))
			continue;
		memcpy(want.root, data.root, 32);
		want.size = data.size;
		if (wants_here(chain->blobs, &want))
			continue;
		*wants = mem_realloc(*wants, (count + 1) * sizeof **wants);
		(*wants)[count++] = want;
	}
	return count;
}

static bool blobs_complete(const struct chain *chain, const struct tx *tx)
{
	struct blob_want *wants;
	bool complete = missing_blobs(chain, tx, &wants) == 0;

	free(wants);
	return complete;
}

static enum chain_result wait_for_blob(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject)
{
	struct blob_want *wants;
	size_t count;

	if (!places_take(&chain->mempool->places, tx, source, reject)) {
		tx_unref(tx);
		return CHAIN_REJECTED;
	}
	reject_set(reject, REASON_MISSING_BLOB, "the bytes it registers are not here");
	/* A blob may come at once, and take the transaction with it: it is not touched any more. */
	count = missing_blobs(chain, tx, &wants);
	for (size_t i = 0; i < count; i++)
		NOTIFY(&chain->notices, blob_wanted, wants[i].root, wants[i].size, source != NULL ? source->peer : 0);
	free(wants);
	return CHAIN_ORPHAN;
}

/* --- from outside --- */

static bool is_known(const struct mempool *mempool, const struct tx *tx)
{
	return mempool_find(mempool, tx_txid(tx)) != NULL || places_hold(&mempool->places, tx_wtxid(tx));
}

/* After the notice the transaction may be gone: the pool is trimmed, and a subscriber may have brought a block. So its
 * id is what is asked for in the end. */
enum chain_result chain_add_tx(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject)
{
	struct judgement judgement;
	enum chain_result result;
	struct mempool_tx *held;
	uint8_t txid[32];

	if (chain->failed || is_known(chain->mempool, tx)) {
		tx_unref(tx);
		return halt_explain(chain, chain->failed ? CHAIN_ERROR : CHAIN_KNOWN, reject);
	}
	judgement_init(&judgement, chain, tx);
	result = judge_tx(chain, &judgement, true, reject);
	held = result == CHAIN_NEW && blobs_complete(chain, tx) ? mempool_tx_new(chain, tx, &judgement) : NULL;
	judgement_clear(&judgement);
	if (result != CHAIN_NEW) {
		tx_unref(tx);
		return halt_explain(chain, result, reject);
	}
	if (held == NULL)
		return wait_for_blob(chain, tx, source, reject);
	mempool_insert(chain->mempool, held);
	memcpy(txid, held->entry.txid, 32);
	NOTIFY(&chain->notices, tx_added, tx, source != NULL ? source->peer : 0);
	mempool_trim(chain);
	if (mempool_find(chain->mempool, txid) != NULL)
		return CHAIN_NEW;
	reject_set(reject, REASON_MEMPOOL_FULL, "it pays less than what is held");
	return CHAIN_REJECTED;
}

/* Entering may free other places, or bring blobs: each round looks at the list as it is. */
void admit_blob_arrived(struct chain *chain)
{
	struct places *places = &chain->mempool->places;

	for (size_t i = 0; i < places->count;) {
		const struct waiting_tx waiting = places->waiting[i];
		struct reject reject;

		if (!blobs_complete(chain, waiting.tx)) {
			i++;
			continue;
		}
		places_remove(places, i);
		chain_add_tx(chain, waiting.tx, &waiting.source, &reject);
	}
}

/* --- a new tip --- */

static bool admit_again(struct chain *chain, struct mempool_tx *held, struct reject *reject)
{
	struct judgement judgement;
	bool taken;

	judgement_init(&judgement, chain, held->entry.tx);
	taken = judge_tx(chain, &judgement, false, reject) == CHAIN_NEW;
	judgement_clear(&judgement);
	if (taken)
		mempool_insert(chain->mempool, held);
	return taken;
}

/* After blocks were undone nothing is taken for granted: the pool is emptied, and all of it has to enter again, what
 * the undone blocks held first. */
static void enter_again(struct chain *chain)
{
	struct mempool *mempool = chain->mempool;
	const struct tx **returned = mempool->returned;
	const size_t returned_count = mempool->returned_count;
	struct reject reject;
	size_t count;
	struct mempool_tx **all = mempool_empty(mempool, &count);

	mempool->undone = false;
	mempool->returned = NULL;
	mempool->returned_count = 0;
	for (size_t i = 0; i < returned_count; i++)
		chain_add_tx(chain, returned[i], NULL, &reject);
	for (size_t i = 0; i < count; i++) {
		reject.reason = "conflict";
		if (!admit_again(chain, all[i], &reject)) {
			NOTIFY(&chain->notices, tx_removed, all[i]->entry.tx, reject.reason);
			mempool_tx_free(all[i]);
		}
	}
	free(returned);
	free(all);
}

/* Only after blocks were undone is anything judged anew: a block on top of the tip takes away what it conflicts with,
 * and nothing else can have become wrong. */
void admit_new_tip(struct chain *chain)
{
	chain->mempool->floor_rate = 0;
	if (chain->mempool->undone)
		enter_again(chain);
	mempool_expire(chain);
	mempool_trim(chain);
}
