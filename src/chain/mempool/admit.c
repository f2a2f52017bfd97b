/* Which transactions enter the mempool: consensus as far as it can be told now, then policy (chain/mempool/mempool.h).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "consensus/sighash.h"
#include "util/clock.h"
#include "util/mem.h"

enum { VERSION_MAX = 2, WAITING_SECONDS = 3600 };

/* What judging finds out about a transaction. */
struct judgement {
	const struct tx *tx;
	struct tx_output *outputs; /* what its inputs spend; scripts owned by coins */
	struct coin *coins;
	uint32_t *heights, *times;
	int64_t fee;
	size_t weight, size;
};

static void judgement_init(struct judgement *judgement, const struct tx *tx)
{
	memset(judgement, 0, sizeof *judgement);
	judgement->tx = tx;
	judgement->weight = tx_weight(tx);
	judgement->size = (judgement->weight + 3) / 4;
	judgement->outputs = mem_calloc(tx->input_count, sizeof *judgement->outputs);
	judgement->coins = mem_calloc(tx->input_count, sizeof *judgement->coins);
	judgement->heights = mem_calloc(tx->input_count, sizeof *judgement->heights);
	judgement->times = mem_calloc(tx->input_count, sizeof *judgement->times);
}

static void judgement_clear(struct judgement *judgement)
{
	for (size_t i = 0; i < judgement->tx->input_count; i++)
		coin_clear(&judgement->coins[i]);
	free(judgement->coins);
	free(judgement->outputs);
	free(judgement->heights);
	free(judgement->times);
}

/* Policy that needs the transaction alone. */
static bool check_standard(const struct tx *tx, size_t size, struct reject *reject)
{
	if (tx->version < 1 || tx->version > VERSION_MAX)
		return reject_set(reject, REJECT_POLICY, "version", "version %" PRIu32, tx->version);
	if (size > MEMPOOL_TX_SIZE)
		return reject_set(reject, REJECT_POLICY, "tx-size", "%zu virtual bytes, %d at most", size,
			(int)MEMPOOL_TX_SIZE);
	for (size_t i = 0; i < tx->output_count; i++) {
		if (contribution_parse(&tx->outputs[i].script, NULL) == CONTRIBUTION_RESERVED)
			return reject_set(reject, REJECT_POLICY, "contrib-reserved", "output %zu is of a reserved kind",
				i);
		if (output_is_coin(&tx->outputs[i]) && tx->outputs[i].amount < MEMPOOL_DUST)
			return reject_set(reject, REJECT_POLICY, "dust", "output %zu is below %d", i,
				(int)MEMPOOL_DUST);
	}
	return true;
}

/* Nobody held may spend the same or register the same. */
static bool check_conflicts(const struct chain *chain, const struct tx *tx, struct reject *reject)
{
	for (size_t i = 0; i < tx->input_count; i++)
		if (chain_mempool_spender(chain, &tx->inputs[i].prev) != NULL)
			return reject_set(reject, REJECT_POLICY, "txn-mempool-conflict",
				"input %zu is spent by a transaction of the mempool", i);
	for (size_t i = 0; i < tx->output_count; i++) {
		struct contribution data;

		if (contribution_parse(&tx->outputs[i].script, &data) == CONTRIBUTION_DATA &&
			map_get(&chain->mempool->roots, data.root) != NULL)
			return reject_set(reject, REJECT_POLICY, "txn-mempool-conflict",
				"a transaction of the mempool registers the same blob");
	}
	return true;
}

/* The coin an input spends: of the mempool, as if its transaction were in the next block, or of the chain. */
static enum db_result find_coin(struct chain *chain, const struct outpoint *outpoint, struct coin *coin,
	struct errmsg *err)
{
	const struct mempool_entry *parent = chain_mempool_find(chain, outpoint->txid);
	const struct tx_output *output;

	if (parent == NULL)
		return coins_get(chain->db, outpoint, coin, err);
	if (outpoint->index >= parent->tx->output_count)
		return DB_MISSING;
	output = &parent->tx->outputs[outpoint->index];
	if (!output_is_coin(output))
		return DB_MISSING;
	memset(coin, 0, sizeof *coin);
	coin->height = chain_tip(chain)->height + 1;
	coin->output.amount = output->amount;
	coin->output.script.data = mem_dup(output->script.data, output->script.size);
	coin->output.script.size = output->script.size;
	return DB_FOUND;
}

static enum chain_result find_inputs(struct chain *chain, struct judgement *judgement, struct reject *reject)
{
	const struct index_entry *tip = chain_tip(chain);
	const struct tx *tx = judgement->tx;
	struct errmsg err;
	int64_t in = 0;

	for (size_t i = 0; i < tx->input_count; i++) {
		struct coin *coin = &judgement->coins[i];

		switch (find_coin(chain, &tx->inputs[i].prev, coin, &err)) {
		case DB_FOUND:
			break;
		case DB_MISSING:
			reject_set(reject, REJECT_NOT_YET, "bad-txns-inputs-missingorspent", "input %zu", i);
			return CHAIN_ORPHAN;
		case DB_FAILED:
			return chain_fail(chain, &err);
		}
		if (coin->coinbase && tip->height + 1 - coin->height < chain->spec->maturity) {
			reject_set(reject, REJECT_NOT_YET, "bad-txns-premature-spend-of-coinbase",
				"coinbase of height %u", (unsigned)coin->height);
			return CHAIN_REJECTED;
		}
		in += coin->output.amount;
		judgement->outputs[i] = coin->output;
		judgement->heights[i] = coin->height;
		judgement->times[i] = chain_at(chain, coin->height > tip->height ? tip->height : coin->height - 1)
					      ->median_time;
	}
	for (size_t i = 0; i < tx->output_count; i++)
		in -= tx->outputs[i].amount;
	judgement->fee = in;
	if (in >= 0)
		return CHAIN_NEW;
	reject_set(reject, REJECT_INVALID, "bad-txns-in-belowout", "%" PRId64 " are missing", -in);
	return CHAIN_REJECTED;
}

static bool check_fee(const struct mempool *mempool, const struct judgement *judgement, struct reject *reject)
{
	if (judgement->fee < (int64_t)judgement->size)
		return reject_set(reject, REJECT_POLICY, "min relay fee not met", "%" PRId64 " < %zu", judgement->fee,
			judgement->size);
	if (mempool->floor_rate > 0 && mempool_tx_rate(judgement->fee, judgement->size) <= mempool->floor_rate)
		return reject_set(reject, REJECT_POLICY, "mempool min fee not met", "%" PRId64 " per 1000 bytes asked",
			mempool->floor_rate);
	return true;
}

/* How long chains of unconfirmed transactions may become: for the newcomer, and for each of its ancestors. */
static bool check_family(const struct mempool *mempool, const struct tx *tx, struct reject *reject)
{
	struct mempool_tx *ancestors[MEMPOOL_ANCESTORS], *descendants[MEMPOOL_ANCESTORS];
	size_t count = mempool_relatives(mempool, tx, true, ancestors, MEMPOOL_ANCESTORS);

	if (count >= MEMPOOL_ANCESTORS)
		return reject_set(reject, REJECT_POLICY, "too-long-mempool-chain", "more than %d unconfirmed ancestors",
			MEMPOOL_ANCESTORS - 1);
	for (size_t i = 0; i < count; i++)
		if (mempool_relatives(mempool, ancestors[i]->entry.tx, false, descendants, MEMPOOL_ANCESTORS) >=
			MEMPOOL_ANCESTORS - 1)
			return reject_set(reject, REJECT_POLICY, "too-long-mempool-chain",
				"an ancestor has %d unconfirmed descendants", MEMPOOL_ANCESTORS - 1);
	return true;
}

static bool check_alone(struct chain *chain, const struct tx *tx, size_t size, struct reject *reject)
{
	const struct index_entry *tip = chain_tip(chain);
	uint64_t registered = 0;

	if (!tx_check(tx, reject) || !contribution_check(chain->spec, tx, &registered, reject))
		return false;
	if (tx_is_coinbase(tx))
		return reject_set(reject, REJECT_INVALID, "coinbase", "a coinbase by itself");
	if (registered > chain->spec->blob_budget)
		return reject_set(reject, REJECT_INVALID, "bad-contrib-budget", "it registers more than a block may");
	if (!check_standard(tx, size, reject))
		return false;
	if (!tx_is_final(tx, tip->height + 1, tip->median_time))
		return reject_set(reject, REJECT_NOT_YET, "non-final", "its locktime has not come");
	return check_conflicts(chain, tx, reject) && registry_check_tx(chain->registry, tx, reject);
}

static enum chain_result judge(struct chain *chain, struct judgement *judgement, bool signatures, struct reject *reject)
{
	const struct index_entry *tip = chain_tip(chain);
	const struct tx *tx = judgement->tx;
	enum chain_result result;

	if (!check_alone(chain, tx, judgement->size, reject))
		return CHAIN_REJECTED;
	result = find_inputs(chain, judgement, reject);
	if (result != CHAIN_NEW)
		return result;
	if (!tx_sequence_locks_met(tx, judgement->heights, judgement->times, tip->height + 1, tip->median_time)) {
		reject_set(reject, REJECT_NOT_YET, "non-BIP68-final", "a relative lock is not met");
		return CHAIN_REJECTED;
	}
	if (!check_fee(chain->mempool, judgement, reject) || !check_family(chain->mempool, tx, reject) ||
		(signatures && !sighash_verify(tx, judgement->outputs, reject)))
		return CHAIN_REJECTED;
	return CHAIN_NEW;
}

static struct mempool_tx *mempool_tx_new(const struct chain *chain, struct tx *tx, const struct judgement *judgement)
{
	struct mempool_tx *held = mem_calloc(1, sizeof *held);

	held->entry.tx = tx;
	tx_txid(tx, held->entry.txid);
	tx_wtxid(tx, held->entry.wtxid);
	held->entry.fee = judgement->fee;
	held->entry.weight = judgement->weight;
	held->entry.time = (uint64_t)clock_wall();
	held->entry.height = chain_tip(chain)->height;
	held->size = judgement->size;
	return held;
}

bool mempool_enter_again(struct chain *chain, struct mempool_tx *held, struct reject *reject)
{
	struct judgement judgement;
	bool taken;

	judgement_init(&judgement, held->entry.tx);
	taken = judge(chain, &judgement, false, reject) == CHAIN_NEW;
	judgement_clear(&judgement);
	if (taken)
		mempool_insert(chain->mempool, held);
	return taken;
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

		if (contribution_parse(&tx->outputs[i].script, &data) != CONTRIBUTION_DATA)
			continue;
		memcpy(want.root, data.root, 32);
		want.size = data.size;
		if (blob_is_here(chain, &want))
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

/* Takes it out of its place; the transaction is the caller's then. */
static void place_remove(struct mempool *mempool, size_t i)
{
	const struct tx *tx = mempool->waiting[i].tx;
	uint8_t key[32];

	for (size_t j = 0; j < tx->input_count; j++) {
		outpoint_key(&tx->inputs[j].prev, key);
		map_remove(&mempool->waiting_spenders, key);
	}
	memmove(&mempool->waiting[i], &mempool->waiting[i + 1],
		(--mempool->waiting_count - i) * sizeof mempool->waiting[0]);
}

static void place_add(struct mempool *mempool, struct tx *tx, const struct source *source)
{
	struct waiting_tx *waiting = &mempool->waiting[mempool->waiting_count++];
	uint8_t key[32];

	*waiting = (struct waiting_tx){ .tx = tx, .since = (uint64_t)clock_wall() };
	if (source != NULL)
		waiting->source = *source;
	tx_wtxid(tx, waiting->wtxid);
	for (size_t i = 0; i < tx->input_count; i++) {
		outpoint_key(&tx->inputs[i].prev, key);
		map_put(&mempool->waiting_spenders, key, tx);
	}
}

static void place_drop(struct mempool *mempool, size_t i)
{
	struct tx *tx = mempool->waiting[i].tx;

	place_remove(mempool, i);
	tx_free(tx);
}

void mempool_forget_waiting(struct mempool *mempool, const struct tx *tx)
{
	for (size_t i = 0; i < mempool->waiting_count; i++)
		if (mempool->waiting[i].tx == tx) {
			place_drop(mempool, i);
			return;
		}
}

/* Places that one group has; all of this node's own are one's too. */
static size_t places_of(const struct mempool *mempool, const uint8_t group[SOURCE_GROUP])
{
	size_t count = 0;

	for (size_t i = 0; i < mempool->waiting_count; i++)
		count += memcmp(mempool->waiting[i].source.group, group, SOURCE_GROUP) == 0;
	return count;
}

/* A place for one more of this group. Whoever has most gives up his eldest, but not to one who has as many. */
static bool place_make(struct mempool *mempool, const struct source *source, struct reject *reject)
{
	static const uint8_t own[SOURCE_GROUP];
	size_t most = places_of(mempool, source != NULL ? source->group : own), eldest = MEMPOOL_WAITING;

	if (mempool->waiting_count < MEMPOOL_WAITING)
		return true;
	for (size_t i = 0; i < MEMPOOL_WAITING; i++) {
		size_t count = places_of(mempool, mempool->waiting[i].source.group);

		if (count > most) {
			most = count;
			eldest = i;
		}
	}
	if (eldest == MEMPOOL_WAITING)
		return reject_set(reject, REJECT_POLICY, "missing-blob", "too many contributions wait for their blobs");
	place_drop(mempool, eldest);
	return true;
}

/* Whether none that waits spends the same. */
static bool place_check(const struct mempool *mempool, const struct tx *tx, struct reject *reject)
{
	uint8_t key[32];

	for (size_t i = 0; i < tx->input_count; i++) {
		outpoint_key(&tx->inputs[i].prev, key);
		if (map_get(&mempool->waiting_spenders, key) != NULL)
			return reject_set(reject, REJECT_POLICY, "txn-mempool-conflict",
				"input %zu is spent by a contribution that waits for its blob", i);
	}
	return true;
}

static enum chain_result wait_for_blob(struct chain *chain, struct tx *tx, const struct source *source,
	struct reject *reject)
{
	struct mempool *mempool = chain->mempool;
	struct blob_want *wants;
	size_t count;

	while (mempool->waiting_count > 0 && mempool->waiting[0].since + WAITING_SECONDS < (uint64_t)clock_wall())
		place_drop(mempool, 0);
	if (!place_check(mempool, tx, reject) || !place_make(mempool, source, reject)) {
		tx_free(tx);
		return CHAIN_REJECTED;
	}
	place_add(mempool, tx, source);
	reject_set(reject, REJECT_NOT_YET, "missing-blob", "the bytes it registers are not here");
	/* A blob may come at once, and take the transaction with it: it is not touched any more. */
	count = missing_blobs(chain, tx, &wants);
	for (size_t i = 0; i < count; i++)
		NOTIFY(chain, blob_wanted, wants[i].root, wants[i].size, source != NULL ? source->peer : 0);
	free(wants);
	return CHAIN_ORPHAN;
}

void mempool_blob_arrived(struct chain *chain)
{
	struct mempool *mempool = chain->mempool;

	for (size_t i = 0; i < mempool->waiting_count;) {
		const struct waiting_tx waiting = mempool->waiting[i];
		struct reject reject;

		if (!blobs_complete(chain, waiting.tx)) {
			i++;
			continue;
		}
		place_remove(mempool, i);
		chain_add_tx(chain, waiting.tx, &waiting.source, &reject);
	}
}

/* --- from outside --- */

static bool is_known(const struct mempool *mempool, const struct tx *tx)
{
	uint8_t id[32];

	tx_txid(tx, id);
	if (map_get(&mempool->by_txid, id) != NULL)
		return true;
	tx_wtxid(tx, id);
	for (size_t i = 0; i < mempool->waiting_count; i++)
		if (memcmp(mempool->waiting[i].wtxid, id, 32) == 0)
			return true;
	return false;
}

enum chain_result chain_add_tx(struct chain *chain, struct tx *tx, const struct source *source, struct reject *reject)
{
	struct judgement judgement;
	enum chain_result result;
	struct mempool_tx *held;
	uint8_t txid[32];

	if (chain->failed || is_known(chain->mempool, tx)) {
		tx_free(tx);
		return chain->failed ? CHAIN_ERROR : CHAIN_KNOWN;
	}
	judgement_init(&judgement, tx);
	result = judge(chain, &judgement, true, reject);
	held = result == CHAIN_NEW && blobs_complete(chain, tx) ? mempool_tx_new(chain, tx, &judgement) : NULL;
	judgement_clear(&judgement);
	if (result != CHAIN_NEW) {
		tx_free(tx);
		return result;
	}
	if (held == NULL)
		return wait_for_blob(chain, tx, source, reject);
	mempool_insert(chain->mempool, held);
	memcpy(txid, held->entry.txid, 32);
	NOTIFY(chain, tx_added, tx, source != NULL ? source->peer : 0);
	mempool_trim(chain);
	if (map_get(&chain->mempool->by_txid, txid) != NULL)
		return CHAIN_NEW;
	reject_set(reject, REJECT_POLICY, "mempool full", "it pays less than what is held");
	return CHAIN_REJECTED;
}
