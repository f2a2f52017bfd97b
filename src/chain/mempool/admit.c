/* Judging transactions. */
#include "chain/mempool/admit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/coins.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/mempool/policy.h"
#include "chain/mempool/round_admit.h"
#include "consensus/payload/commitment.h"
#include "consensus/sighash.h"
#include "consensus/spending.h"
#include "util/clock.h"
#include "util/mem.h"

/* What judging finds out about a transaction. */
struct admission {
	const struct tx *tx;
	struct spending spending;
	struct coin *coins; /* what its inputs spend */
	int64_t fee;
	size_t weight, size;
	const struct source *source; /* NULL: this node, or it was here before */
	struct pending_share share;
};

static void admission_init(struct admission *admission, const struct chain *chain, const struct tx *newcomer,
	const struct source *source)
{
	memset(admission, 0, sizeof *admission);
	admission->tx = newcomer;
	admission->source = source;
	admission->weight = tx_weight(newcomer);
	admission->size = (admission->weight + 3) / 4;
	spending_init(&admission->spending, newcomer, chain_tip(chain)->height + 1);
	admission->coins = mem_calloc(newcomer->input_count, sizeof *admission->coins);
}

static void admission_clear(struct admission *admission)
{
	for (size_t i = 0; i < admission->tx->input_count; i++)
		chain_coin_clear(&admission->coins[i]);
	free(admission->coins);
	spending_clear(&admission->spending);
}

/* Of two that register the same blob the one with the earlier commitment is right, whoever was here first. */
static bool admit_is_earlier(const struct chain *chain, const struct contribution *registered, const struct tx *held)
{
	uint32_t committed = registry_committed(chain->registry, registered);
	struct contribution held_contribution;

	for (size_t i = 0; i < held->output_count; i++)
		if (contribution_parse(&held->outputs[i].script, &held_contribution) &&
			memcmp(held_contribution.root, registered->root, 32) == 0)
			return committed > 0 && committed < registry_committed(chain->registry, &held_contribution);
	return false;
}

/* Nobody held may spend the same or register the same. First come, first held: there is no replacement by fee, so
 * nobody can have a payment that is waiting taken back. */
static bool admit_check_conflicts(const struct chain *chain, const struct tx *newcomer, struct reject *reject)
{
	for (size_t i = 0; i < newcomer->input_count; i++)
		if (mempool_spender(chain->mempool, &newcomer->inputs[i].prev) != NULL)
			return reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
				"input %zu is spent by a transaction of the mempool", i);
	for (size_t i = 0; i < newcomer->output_count; i++) {
		const struct mempool_tx *held = NULL;
		struct contribution registered;

		if (!contribution_parse(&newcomer->outputs[i].script, &registered))
			continue;
		held = map_get(&chain->mempool->roots, registered.root);
		if (held != NULL && !admit_is_earlier(chain, &registered, held->entry.tx))
			return reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
				"a transaction of the mempool registers the same blob");
		if (judge_knows_bad(chain->judge, registered.root, reject))
			return false;
	}
	return true;
}

/* The coin an input spends: of the mempool, as if its transaction were in the next block, or of the chain. */
static enum db_result admit_find_coin(struct chain *chain, const struct outpoint *outpoint, struct coin *input_coin,
	struct errmsg *err)
{
	const struct mempool_tx *parent = mempool_find(chain->mempool, outpoint->txid);
	const struct tx_output *parent_output;

	if (parent == NULL)
		return coins_get(chain->db, outpoint, input_coin, err);
	if (outpoint->index >= parent->entry.tx->output_count)
		return DB_MISSING;
	parent_output = &parent->entry.tx->outputs[outpoint->index];
	if (!coin_is_output(parent_output))
		return DB_MISSING;
	memset(input_coin, 0, sizeof *input_coin);
	/* No coinbase: those come with blocks alone, so maturity is not asked of it. */
	input_coin->height = chain_tip(chain)->height + 1;
	input_coin->output.amount = parent_output->amount;
	input_coin->output.script.data = mem_dup(parent_output->script.data, parent_output->script.size);
	input_coin->output.script.size = parent_output->script.size;
	return DB_FOUND;
}

static bool admit_add_coin(struct chain *chain, struct spending *input_spending, const struct coin *input_coin,
	struct reject *reject)
{
	const struct spending_coin added = {
		.output = input_coin->output,
		.height = input_coin->height,
		.coinbase = input_coin->coinbase,
		.time = chain_at(chain, spending_time_height(input_spending, input_coin->height))->median_time,
	};

	switch (spending_add(input_spending, &added, chain->spec->maturity)) {
	case SPENDING_OK:
		return true;
	case SPENDING_IMMATURE:
		return reject_as(reject, REJECT_NOT_YET, REASON_BAD_TXNS_PREMATURE_SPEND_OF_COINBASE,
			"coinbase of height %u", (unsigned)input_coin->height);
	case SPENDING_TOO_MUCH:
		break;
	}
	return reject_set(reject, REASON_BAD_TXNS_INPUTVALUES_OUTOFRANGE, "sum of the inputs");
}

/* Maturity and locks are judged as for the next block, since that is the first that could hold it. A coin of the
 * mempool counts as made in that block. */
static enum chain_result admit_find_inputs(struct chain *chain, struct admission *admission, struct reject *reject)
{
	struct spending *newcomer_spending = &admission->spending;
	const struct tx *newcomer = admission->tx;
	struct errmsg err;

	for (size_t i = 0; i < newcomer->input_count; i++) {
		struct coin *input_coin = &admission->coins[i];

		switch (admit_find_coin(chain, &newcomer->inputs[i].prev, input_coin, &err)) {
		case DB_FOUND:
			break;
		case DB_MISSING:
			reject_as(reject, REJECT_NOT_YET, REASON_BAD_TXNS_INPUTS_MISSINGORSPENT, "input %zu", i);
			return CHAIN_ORPHAN;
		case DB_FAILED:
			return halt_fail(chain, &err);
		}
		if (!admit_add_coin(chain, newcomer_spending, input_coin, reject))
			return CHAIN_REJECTED;
	}
	admission->fee = spending_fee(newcomer_spending);
	if (admission->fee >= 0)
		return CHAIN_NEW;
	reject_set(reject, REASON_BAD_TXNS_IN_BELOWOUT, "%" PRId64 " are missing", -admission->fee);
	return CHAIN_REJECTED;
}

/* How long chains of unconfirmed transactions may become: for the newcomer, and for each of its ancestors. What is done
 * for a transaction later (a block's choice, its removal) goes through its family: a long one would make that dear for
 * all. The walks end at the limit themselves. */
static bool admit_check_family(const struct mempool *mempool, const struct tx *newcomer, struct reject *reject)
{
	struct mempool_tx *ancestors[POLICY_ANCESTORS], *descendants[POLICY_ANCESTORS];
	size_t ancestor_count = mempool_relatives(mempool, newcomer, true, ancestors, POLICY_ANCESTORS);

	if (ancestor_count >= POLICY_ANCESTORS)
		return reject_set(reject, REASON_TOO_LONG_MEMPOOL_CHAIN, "more than %d unconfirmed ancestors",
			POLICY_ANCESTORS - 1);
	for (size_t i = 0; i < ancestor_count; i++)
		if (mempool_relatives(mempool, ancestors[i]->entry.tx, false, descendants, POLICY_ANCESTORS) >=
			POLICY_ANCESTORS - 1)
			return reject_set(reject, REASON_TOO_LONG_MEMPOOL_CHAIN,
				"an ancestor has %d unconfirmed descendants", POLICY_ANCESTORS - 1);
	return true;
}

/* What the newcomer would push out is none of its ancestors. */
static bool admit_check_displaced(const struct mempool *mempool, const struct tx *newcomer, struct reject *reject)
{
	struct mempool_tx *ancestors[POLICY_ANCESTORS];
	size_t ancestor_count = mempool_relatives(mempool, newcomer, true, ancestors, POLICY_ANCESTORS);

	for (size_t i = 0; i < newcomer->output_count; i++) {
		struct contribution registered;

		if (!contribution_parse(&newcomer->outputs[i].script, &registered))
			continue;
		for (size_t j = 0; j < ancestor_count; j++)
			if (map_get(&mempool->roots, registered.root) == ancestors[j])
				return reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
					"an ancestor registers the same blob");
	}
	return true;
}

/* Whether it registers what no commitment is old enough for yet. */
static bool admit_is_early(const struct chain *chain, const struct tx *newcomer)
{
	struct reject early_reject;

	return !registry_check_tx(chain->registry, newcomer, &early_reject) && early_reject.code == REJECT_NOT_YET;
}

/* What needs no coin, and so no look at the disk, comes first. One that is early may come true by itself: it is judged
 * like the others, and waits then. */
static bool admit_check_alone(struct chain *chain, const struct tx *newcomer, size_t newcomer_size,
	struct reject *reject)
{
	const struct index_entry *admit_tip = chain_tip(chain);
	uint64_t registered = 0;
	size_t committed = 0;

	if (!tx_check(newcomer, reject) || !commitment_check(newcomer, &committed, reject) ||
		!contribution_check(chain->spec, newcomer, &registered, reject))
		return false;
	if (tx_is_coinbase(newcomer))
		return reject_set(reject, REASON_COINBASE, "a coinbase by itself");
	if (registered > chain->spec->blob_budget)
		return reject_set(reject, REASON_BAD_CONTRIB_BUDGET, "it registers more than a block may");
	if (!policy_check(newcomer, newcomer_size, reject))
		return false;
	if (!tx_is_final(newcomer, admit_tip->height + 1, admit_tip->median_time))
		return reject_set(reject, REASON_NON_FINAL, "its locktime has not come");
	return admit_check_conflicts(chain, newcomer, reject) &&
		(admit_is_early(chain, newcomer) || registry_check_tx(chain->registry, newcomer, reject)) &&
		registry_check_burn(chain->registry, newcomer, POLICY_BURN_BLOCKS, reject);
}

/* Cheap before dear, and signatures last. They are verified once: a block that holds the transaction later relies on
 * it being here (chain/connect.c), since its coins and its bytes cannot have changed. */
static enum chain_result admit_judge(struct chain *chain, struct admission *admission, bool signatures,
	struct reject *reject)
{
	const struct tx *newcomer = admission->tx;
	enum chain_result judged;

	if (!admit_check_alone(chain, newcomer, admission->size, reject))
		return CHAIN_REJECTED;
	/* Not before: sizes are what a block may have now. */
	admission->share = pending_share_of(newcomer, admission->source);
	if (!pending_check(&chain->mempool->pending, &admission->share, reject))
		return CHAIN_REJECTED;
	judged = admit_find_inputs(chain, admission, reject);
	if (judged != CHAIN_NEW)
		return judged;
	if (!spending_locks_met(&admission->spending, chain_tip(chain)->median_time)) {
		reject_set(reject, REASON_NON_BIP68_FINAL, "a relative lock is not met");
		return CHAIN_REJECTED;
	}
	if (!policy_check_fee(admission->fee, admission->size, chain->mempool->floor_rate, reject) ||
		!admit_check_family(chain->mempool, newcomer, reject) ||
		!admit_check_displaced(chain->mempool, newcomer, reject) ||
		(signatures && !sighash_verify(newcomer, admission->spending.outputs, reject)))
		return CHAIN_REJECTED;
	return CHAIN_NEW;
}

static struct mempool_tx *admit_tx_new(const struct chain *chain, const struct tx *newcomer,
	const struct admission *admission)
{
	struct mempool_tx *admitted = mem_calloc(1, sizeof *admitted);

	admitted->entry.tx = newcomer;
	memcpy(admitted->entry.txid, tx_txid(newcomer), 32);
	memcpy(admitted->entry.wtxid, tx_wtxid(newcomer), 32);
	admitted->entry.fee = admission->fee;
	admitted->entry.weight = admission->weight;
	admitted->entry.time = (uint64_t)clock_wall();
	admitted->entry.height = chain_tip(chain)->height;
	admitted->size = admission->size;
	admitted->share = admission->share;
	return admitted;
}

/* --- contributions that wait: for their blob, or for their commitment to be old enough --- */

/* Whether all that it registers is here and judged; what is here is set going. */
static bool admit_data_is_judged(struct chain *chain, const struct blob_want *registered, size_t registered_count)
{
	bool is_judged = true;

	for (size_t i = 0; i < registered_count; i++) {
		if (wants_here(chain->blobs, &registered[i]))
			judge_begin(chain->judge, chain->registry, registered[i].root);
		is_judged = wants_judged(chain, &registered[i]) && is_judged;
	}
	return is_judged;
}

static bool admit_is_complete(struct chain *chain, const struct tx *newcomer)
{
	struct blob_want *registered;
	size_t registered_count = wants_of_tx(newcomer, &registered);
	bool is_judged = admit_data_is_judged(chain, registered, registered_count);

	free(registered);
	return is_judged && !admit_is_early(chain, newcomer);
}

/* What it waits for, each time it is offered: who asks again has not been answered otherwise. */
static enum chain_result admit_tell_waiting(const struct chain *chain, const struct tx *waiting, struct reject *reject)
{
	if (admit_is_early(chain, waiting))
		registry_check_tx(chain->registry, waiting, reject);
	else
		reject_set(reject, REASON_MISSING_BLOB, "the bytes it registers are not here, or not looked at yet");
	return CHAIN_ORPHAN;
}

/* A registration is sent as soon as it can be in the next block; a node that has not got so far yet keeps it here. Its
 * bytes are asked for when this branch has its commitment, and that is old enough: else whoever has coins, and has
 * committed to nothing, could have anything fetched. */
static enum chain_result admit_wait(struct chain *chain, const struct tx *newcomer, const struct source *source,
	struct reject *reject)
{
	const bool is_early = admit_is_early(chain, newcomer);
	struct blob_want *registered;
	size_t registered_count;

	if (!places_take(chain, newcomer, source, is_early ? chain_tip(chain)->height + 1 : 0, reject)) {
		places_release_blobs(chain, newcomer);
		tx_unref(newcomer);
		return CHAIN_REJECTED;
	}
	admit_tell_waiting(chain, newcomer, reject);
	if (is_early)
		return CHAIN_ORPHAN;
	registered_count = wants_of_tx(newcomer, &registered);
	/* A blob may come at once, and take the transaction with it: it is not touched any more. */
	for (size_t i = 0; i < registered_count; i++)
		if (!wants_here(chain->blobs, &registered[i]))
			NOTIFY(&chain->notices, blob_wanted, registered[i].root, registered[i].size,
				source != NULL ? source->peer : 0);
	free(registered);
	return CHAIN_ORPHAN;
}

/* --- novelty --- */

/* Neither may be much of the other: a block could hold both, in whichever order. */
static bool admit_check_rival(struct chain *chain, const uint8_t root[32], const uint8_t rival_root[32],
	struct reject *reject)
{
	const struct novelty *novelty, *rival;
	struct errmsg err;
	size_t shared;

	/* What is held has been judged; it is judged once more where its verdict has made room for others. */
	if (judge_blob(chain->judge, chain->registry, rival_root, NULL, &err) != JUDGE_GOOD)
		return true;
	novelty = judge_novelty(chain->judge, root);
	rival = judge_novelty(chain->judge, rival_root);
	if (novelty == NULL || rival == NULL)
		return true;
	shared = novelty_shared(novelty, rival);
	return (!novelty_resembles(shared, novelty->count) && !novelty_resembles(shared, rival->count)) ||
		reject_set(reject, REASON_TXN_MEMPOOL_CONFLICT,
			"%zu of its %zu sampled strings are in a blob that a transaction of the mempool registers",
			shared, novelty->count);
}

static bool admit_check_rivals(struct chain *chain, const struct tx *newcomer, size_t output, const uint8_t root[32],
	struct reject *reject)
{
	const uint8_t *pool_root;
	size_t pool_at = 0;
	void *pool_tx;

	for (size_t i = 0; i < output; i++) {
		struct contribution sibling;

		if (contribution_parse(&newcomer->outputs[i].script, &sibling) &&
			!admit_check_rival(chain, root, sibling.root, reject))
			return false;
	}
	/* Who registers the same root is pushed out (mempool_displace). */
	while (map_next(&chain->mempool->roots, &pool_at, &pool_root, &pool_tx))
		if (memcmp(pool_root, root, 32) != 0 && !admit_check_rival(chain, root, pool_root, reject))
			return false;
	return true;
}

/* All its blobs are here. One that is registered resembles itself: it only gets another owner. */
static enum chain_result admit_check_novelty(struct chain *chain, const struct tx *newcomer, struct reject *reject)
{
	for (size_t i = 0; i < newcomer->output_count; i++) {
		struct contribution registered;
		struct errmsg err;

		if (!contribution_parse(&newcomer->outputs[i].script, &registered) ||
			registry_find(chain->registry, registered.root, NULL) != NULL)
			continue;
		switch (judge_blob(chain->judge, chain->registry, registered.root, reject, &err)) {
		case JUDGE_GOOD:
			break;
		case JUDGE_BAD:
			return CHAIN_REJECTED;
		case JUDGE_FAILED:
			return halt_fail(chain, &err);
		}
		if (!admit_check_rivals(chain, newcomer, i, registered.root, reject))
			return CHAIN_REJECTED;
	}
	return CHAIN_NEW;
}

/* --- from outside --- */

/* After the notice the transaction may be gone: the pool is trimmed, and a subscriber may have brought a block. So its
 * id is what is asked for in the end. */
enum chain_result chain_add_tx(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject)
{
	struct admission admission;
	enum chain_result judged;
	struct mempool_tx *admitted;
	uint8_t txid[32];
	bool complete;

	if (chain->failed || mempool_find(chain->mempool, tx_txid(tx)) != NULL) {
		tx_unref(tx);
		return halt_explain(chain, chain->failed ? CHAIN_ERROR : CHAIN_KNOWN, reject);
	}
	if (round_tx_is_on(chain->spec, tx))
		return round_admit(chain, tx, source, reject);
	if (places_hold(&chain->mempool->places, tx_wtxid(tx))) {
		judged = admit_tell_waiting(chain, tx, reject);
		tx_unref(tx);
		return judged;
	}
	admission_init(&admission, chain, tx, source);
	judged = admit_judge(chain, &admission, true, reject);
	complete = judged == CHAIN_NEW && admit_is_complete(chain, tx);
	if (complete)
		judged = admit_check_novelty(chain, tx, reject);
	admitted = complete && judged == CHAIN_NEW ? admit_tx_new(chain, tx, &admission) : NULL;
	admission_clear(&admission);
	if (judged != CHAIN_NEW) {
		places_release_blobs(chain, tx);
		tx_unref(tx);
		return halt_explain(chain, judged, reject);
	}
	if (admitted == NULL)
		return admit_wait(chain, tx, source, reject);
	mempool_displace(chain, admitted);
	memcpy(txid, admitted->entry.txid, 32);
	NOTIFY(&chain->notices, tx_added, tx, source != NULL ? source->peer : 0);
	mempool_trim(chain);
	if (mempool_find(chain->mempool, txid) != NULL)
		return CHAIN_NEW;
	reject_set(reject, REASON_MEMPOOL_FULL, "it pays less than what is held");
	return CHAIN_REJECTED;
}

/* Whether it is worth while to judge it again: it may enter, or its bytes may be asked for. Commitments are looked at
 * once a tip. */
static bool admit_may_go_on(struct chain *chain, struct waiting_place *place)
{
	const uint32_t next_height = chain_tip(chain)->height + 1;

	if (place->early_at == 0)
		return admit_data_is_judged(chain, place->registered, place->registered_count);
	if (place->early_at == next_height)
		return false;
	place->early_at = next_height;
	return !admit_is_early(chain, place->tx);
}

/* Entering may free other places, or bring blobs: each round looks at the list as it is. One that comes back, since
 * something is missing yet, stands last, and is not taken twice. */
void admit_waiting(struct chain *chain)
{
	struct places *places = &chain->mempool->places;

	for (size_t i = 0; i < places->count;) {
		const struct waiting_place place = places->waiting[i];
		struct reject reject;

		if (!admit_may_go_on(chain, &places->waiting[i])) {
			i++;
			continue;
		}
		places_remove(chain, i);
		chain_add_tx(chain, place.tx, &place.source, &reject);
	}
}

/* --- a new tip --- */

static bool admit_again(struct chain *chain, struct mempool_tx *admitted, struct reject *reject)
{
	struct admission admission;
	bool taken;

	admission_init(&admission, chain, admitted->entry.tx, NULL);
	taken = admit_judge(chain, &admission, false, reject) == CHAIN_NEW &&
		registry_check_tx(chain->registry, admitted->entry.tx, reject) &&
		admit_check_novelty(chain, admitted->entry.tx, reject) == CHAIN_NEW;
	admission_clear(&admission);
	if (taken)
		mempool_insert(chain->mempool, admitted);
	return taken;
}

/* After blocks were undone nothing is taken for granted: the pool is emptied, and all of it has to enter again, what
 * the undone blocks held first. */
static void admit_all_again(struct chain *chain)
{
	struct mempool *mempool = chain->mempool;
	const struct tx **returned = mempool->returned;
	const size_t returned_count = mempool->returned_count;
	struct reject reject;
	size_t former_count;
	struct mempool_tx **former = mempool_empty(mempool, &former_count);

	mempool->undone = false;
	mempool->returned = NULL;
	mempool->returned_count = 0;
	for (size_t i = 0; i < returned_count; i++)
		chain_add_tx(chain, returned[i], NULL, &reject);
	for (size_t i = 0; i < former_count; i++) {
		reject.reason = "conflict";
		if (!admit_again(chain, former[i], &reject)) {
			NOTIFY(&chain->notices, tx_removed, former[i]->entry.tx, reject.reason);
			places_release_blobs(chain, former[i]->entry.tx);
			mempool_tx_free(former[i]);
		}
	}
	free(returned);
	free(former);
}

/* What resembles a dataset that has come. One at a time, since others go with it. */
static void admit_drop_resembling(struct chain *chain)
{
	struct mempool_tx *resembling;

	do {
		const uint8_t *pool_root;
		size_t pool_at = 0;
		void *pool_value;
		struct reject reject;
		struct errmsg err;

		resembling = NULL;
		while (resembling == NULL && map_next(&chain->mempool->roots, &pool_at, &pool_root, &pool_value))
			if (registry_find(chain->registry, pool_root, NULL) == NULL &&
				judge_blob(chain->judge, chain->registry, pool_root, &reject, &err) == JUDGE_BAD)
				resembling = pool_value;
		if (resembling != NULL)
			mempool_remove(chain, resembling, reject.reason, true);
	} while (resembling != NULL);
}

/* Only after blocks were undone is everything judged anew: a block on top of the tip takes away what it conflicts with,
 * and nothing but registrations can have become wrong (mempool_drop_data), or right. */
void admit_new_tip(struct chain *chain)
{
	chain->mempool->floor_rate = 0;
	if (chain->spec->round_blocks > 0)
		round_admit_new_tip(chain);
	if (chain->mempool->undone)
		admit_all_again(chain);
	mempool_drop_data(chain);
	admit_drop_resembling(chain);
	admit_waiting(chain);
	mempool_expire(chain);
	mempool_trim(chain);
}

void chain_abandon_tx(struct chain *chain, const uint8_t wtxid[32])
{
	places_abandon(chain, wtxid);
}
