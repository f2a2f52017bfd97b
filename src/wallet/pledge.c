/* The two transactions of a pledge, and how far they are. */
#include "wallet/pledge.h"

#include <string.h>

/* --- building --- */

/* Which output is the coin for the registration: its place is as random as that of change. */
static uint32_t pledge_reserve_place(const struct tx *commitment, const uint8_t reserve_key[32])
{
	uint32_t place = 0;

	while (!script_pays(&commitment->outputs[place].script, reserve_key))
		place++;
	return place;
}

/* The commitment's transaction, with the coin that the registration will spend. */
static enum spend_result pledge_build_commitment(struct wallet *wallet, const struct contribution *contribution,
	const uint8_t reserve_key[32], int64_t reserve, int64_t rate, struct pledge_txs *txs, struct errmsg *err)
{
	uint8_t reserve_script[P2TR_SIZE], hash[32];
	struct tx_output outputs[2];
	struct buf script;
	const struct spend_request request = { .outputs = outputs, .count = 2, .rate = rate };
	enum spend_result result;

	buf_init(&script);
	commitment_hash(contribution, hash);
	commitment_script(&script, hash);
	script_p2tr(reserve_script, reserve_key);
	outputs[0] = (struct tx_output){ .amount = COMMITMENT_BURN, .script = { script.data, script.size } };
	outputs[1] = (struct tx_output){ .amount = reserve, .script = { reserve_script, sizeof reserve_script } };
	result = spend_build(wallet, &request, &txs->commitment, &txs->fee, err);
	buf_clear(&script);
	return result;
}

/* The registration's fee comes first: it is part of the coin that the commitment's transaction makes for it. */
static enum spend_result pledge_build_both(struct wallet *wallet, const struct contribution *contribution,
	const struct spend_request *request, struct pledge_txs *txs, struct errmsg *err)
{
	const int64_t registration_fee = spend_single_fee(request);
	enum spend_result result;
	uint8_t reserve_key[32];

	/* The next one is for the change. */
	wallet_peek_address(wallet, ACCOUNT_CHANGE, 1, reserve_key);
	result = pledge_build_commitment(wallet, contribution, reserve_key,
		request->outputs[0].amount + registration_fee, request->rate, txs, err);
	if (result != SPEND_OK)
		return result;
	txs->registration = spend_single(wallet, txs->commitment, pledge_reserve_place(txs->commitment, reserve_key),
		request, err);
	txs->fee += registration_fee;
	if (txs->registration != NULL)
		return SPEND_OK;
	tx_unref(txs->commitment);
	return SPEND_LOCKED;
}

/* --- a commitment that is there --- */

/* Those that can still be opened, by hash; of two with the same the one that has more time left. */
static void pledge_collect_commitments(const struct ledger *ledger, struct map *commitments)
{
	const uint8_t *txid;
	size_t ledger_at = 0;
	void *mapped;

	while (map_next(&ledger->txs, &ledger_at, &txid, &mapped)) {
		const struct ledger_tx *own_tx = mapped, *known_tx;
		uint8_t hash[32];

		if (own_tx->height > 0 ? ledger->tip_height - own_tx->height >= COMMITMENT_WINDOW : !own_tx->in_mempool)
			continue;
		for (size_t i = 0; i < own_tx->tx->output_count; i++) {
			if (!commitment_parse(&own_tx->tx->outputs[i].script, hash))
				continue;
			known_tx = map_get(commitments, hash);
			if (known_tx == NULL || known_tx->height < own_tx->height)
				map_put(commitments, hash, mapped);
		}
	}
}

static const struct ledger_tx *pledge_look_up(const struct map *commitments, const struct contribution *contribution)
{
	uint8_t hash[32];

	commitment_hash(contribution, hash);
	return map_get(commitments, hash);
}

/* Whose the data are to be is not in the commitment in the clear: every address of the wallet is tried. */
static const struct ledger_tx *pledge_find_commitment(const struct ledger *ledger, struct contribution *contribution,
	bool any_owner)
{
	struct contribution tried = *contribution;
	const struct ledger_tx *found;
	const uint8_t *script_key;
	struct map commitments;
	size_t ledger_at = 0;
	void *mapped;

	map_init(&commitments);
	pledge_collect_commitments(ledger, &commitments);
	found = pledge_look_up(&commitments, &tried);
	while (found == NULL && any_owner && commitments.count > 0 &&
		map_next(&ledger->scripts, &ledger_at, &script_key, &mapped)) {
		memcpy(tried.owner, script_key, 32);
		found = pledge_look_up(&commitments, &tried);
	}
	map_clear(&commitments);
	if (found != NULL)
		*contribution = tried;
	return found;
}

enum spend_result pledge_build(struct wallet *wallet, struct contribution *contribution, bool any_owner, int64_t burn,
	int64_t rate, struct pledge_txs *txs, struct errmsg *err)
{
	struct buf script;
	struct tx_output output;
	const struct spend_request request = { .outputs = &output, .count = 1, .rate = rate };
	const struct ledger_tx *committed_tx;
	enum spend_result result;

	*txs = (struct pledge_txs){ .fee = 0 };
	if (!wallet_salt(wallet, contribution->root, contribution->salt, err))
		return SPEND_LOCKED;
	committed_tx = pledge_find_commitment(wallet_ledger(wallet), contribution, any_owner);
	buf_init(&script);
	contribution_script(&script, contribution);
	output = (struct tx_output){ .amount = burn, .script = { script.data, script.size } };
	txs->is_committed = committed_tx != NULL;
	if (txs->is_committed)
		result = spend_build(wallet, &request, &txs->registration, &txs->fee, err);
	else
		result = pledge_build_both(wallet, contribution, &request, txs, err);
	if (txs->is_committed && result == SPEND_OK)
		txs->commitment = tx_ref(committed_tx->tx);
	buf_clear(&script);
	return result;
}

void pledge_release(struct pledge_txs *txs)
{
	tx_unref(txs->commitment);
	tx_unref(txs->registration);
}

/* --- how far it is --- */

bool pledge_is_refused(const struct wallet_pledge *pledge)
{
	return pledge->refused == REASON_BAD_CONTRIB_NOVELTY || pledge->refused == REASON_BAD_CONTRIB_PAGES;
}

static bool pledge_is_lost(const struct ledger *ledger, const struct ledger_tx *wallet_tx)
{
	return wallet_tx->height == 0 && (wallet_tx->abandoned || ledger_conflicted(ledger, wallet_tx));
}

/* Somebody registered the root. The pledge can still take his place if it committed itself earlier, before the data are
 * drawn. */
static bool pledge_may_replace(const struct registry *registry, const struct spec *spec,
	const struct ledger_tx *commitment, const struct dataset *dataset)
{
	return commitment->height > 0 && commitment->height < dataset->committed &&
		registry_height(registry) < dataset->height + spec->data_delay;
}

static void pledge_fail(struct pledge_status *status, const char *why)
{
	status->stage = PLEDGE_FAILED;
	status->why = why;
}

/* Not registered yet. `dataset`, which may be NULL, is what somebody has registered, or another pledge of this wallet.
 */
static void pledge_look_under_way(struct wallet *wallet, const struct registry *registry,
	const struct ledger_tx *commitment, const struct ledger_tx *registration, const struct dataset *dataset,
	struct pledge_status *status)
{
	const struct ledger *ledger = wallet_ledger(wallet);

	if (pledge_is_lost(ledger, commitment))
		pledge_fail(status, "its commitment was abandoned, or its coins were spent otherwise");
	else if (pledge_is_lost(ledger, registration))
		pledge_fail(status, "its registration was abandoned, or its coin was spent otherwise");
	else if (dataset != NULL &&
		(registration->height > 0 || !pledge_may_replace(registry, wallet_spec(wallet), commitment, dataset)))
		pledge_fail(status, "the data are registered to somebody whose commitment or registration was earlier");
	else if (commitment->height == 0)
		status->stage = PLEDGE_COMMITTING;
	else if (status->depth < status->needed)
		status->stage = PLEDGE_WAITING;
	else if (status->depth > COMMITMENT_WINDOW)
		pledge_fail(status, "its commitment is too old: abandon the registration and contribute again");
	else
		status->stage = PLEDGE_REGISTERING;
}

void pledge_look(struct wallet *wallet, const struct registry *registry, const struct wallet_pledge *pledge,
	struct pledge_status *status)
{
	const struct ledger *ledger = wallet_ledger(wallet);
	const struct ledger_tx *commitment = ledger_find(ledger, pledge->commitment);
	const struct ledger_tx *registration = ledger_find(ledger, pledge->registration);
	const struct dataset *dataset;

	*status = (struct pledge_status){ .needed = wallet_spec(wallet)->commit_delay };
	status->in_mempool = registration->in_mempool;
	if (commitment->height > 0)
		status->depth = ledger->tip_height - commitment->height + 1;
	/* What was recorded has one (wallet_record_pledge). */
	contribution_find(registration->tx, &status->contribution);
	dataset = registry_find(registry, status->contribution.root, &status->dataset);
	if (dataset != NULL && memcmp(dataset->txid, pledge->registration, 32) == 0) {
		status->stage = PLEDGE_REGISTERED;
		status->height = registration->height;
	} else {
		pledge_look_under_way(wallet, registry, commitment, registration, dataset, status);
	}
	if (status->stage == PLEDGE_REGISTERING && !status->in_mempool && pledge->refused != REASON_NONE) {
		status->stage = pledge_is_refused(pledge) ? PLEDGE_REFUSED : PLEDGE_REGISTERING;
		status->why = pledge->refusal;
	}
}

const char *pledge_stage_name(enum pledge_stage stage)
{
	switch (stage) {
	case PLEDGE_COMMITTING:
		return "committing";
	case PLEDGE_WAITING:
		return "waiting";
	case PLEDGE_REGISTERING:
		return "registering";
	case PLEDGE_REGISTERED:
		return "registered";
	case PLEDGE_REFUSED:
		return "refused";
	case PLEDGE_FAILED:
		break;
	}
	return "failed";
}
