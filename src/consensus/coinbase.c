/* The coinbase: built from the facts, and compared with what a block has. */
#include "consensus/coinbase.h"

#include <string.h>

#include "consensus/reward.h"

enum { COINBASE_TENDER_SHARE = 16 }; /* the block's miner gets 1 / this of each loose or late proof's reward */

/* --- building --- */

/* A direct push of the height as a minimal little-endian signed integer. As in BIP34, so that no two coinbases have one
 * txid; the highest bit is a sign, hence the byte behind it. Heights below 17 are pushed like the others (section
 * 13). */
static void coinbase_height_script(struct buf *height_push, uint32_t height)
{
	uint8_t height_bytes[5];
	uint8_t height_size = 0;

	for (uint64_t height_left = height; height_left; height_left >>= 8)
		height_bytes[height_size++] = (uint8_t)height_left;
	if (height_size && height_bytes[height_size - 1] & 0x80)
		height_bytes[height_size++] = 0;
	buf_put_u8(height_push, height_size);
	buf_put(height_push, height_bytes, height_size);
}

static void coinbase_add_input(struct tx *coinbase, uint32_t height)
{
	struct outpoint none = { .index = UINT32_MAX };
	struct tx_input *input = tx_add_input(coinbase, &none, UINT32_MAX);
	struct buf height_push;

	buf_init(&height_push);
	coinbase_height_script(&height_push, height);
	/* The input owns the bytes now. */
	input->script = (struct bytes){ height_push.data, height_push.size };
}

/* No output for nothing (section 13): every coin is worth something, also when the subsidy has ended. */
static void coinbase_pay_key(struct tx *coinbase, int64_t amount, const uint8_t key[32])
{
	uint8_t payee_script[P2TR_SIZE];

	if (amount == 0)
		return;
	script_p2tr(payee_script, key);
	tx_add_output(coinbase, amount, payee_script, sizeof payee_script);
}

/* Whether it states a merge behind the outcome: its parent is the last block of a round (section 20). */
static bool coinbase_has_statement(const struct coinbase_facts *facts)
{
	return facts->parent != NULL && facts->parent->merge.seats > 0;
}

static uint32_t coinbase_late_back(const struct coinbase_facts *facts, size_t i)
{
	return registry_late_back(facts->registry, &facts->late[i]);
}

/* The share is why a miner includes what others have found. It is rounded down once, and what another's miner gets is
 * the rest, so the sum is what the bucket gave. */
static void coinbase_add_compute(struct tx *coinbase, const struct spec *spec, const struct coinbase_facts *facts)
{
	struct reward_proofs proofs = { .loose = facts->loose_count };
	int64_t bucket_after, proof_worth, own_pay;

	for (size_t i = 0; i < facts->late_count; i++)
		proofs.late[reward_late_sixteenths(coinbase_late_back(facts, i))]++;
	proof_worth = reward_proof(spec, facts->height, registry_bucket(facts->registry), &proofs, &bucket_after);
	own_pay = proof_worth + facts->fees + (int64_t)facts->loose_count * (proof_worth / COINBASE_TENDER_SHARE);
	for (size_t i = 0; i < facts->late_count; i++)
		own_pay += reward_late(proof_worth, coinbase_late_back(facts, i)) / COINBASE_TENDER_SHARE;
	coinbase_pay_key(coinbase, own_pay, facts->miner);
	for (size_t i = 0; i < facts->loose_count; i++)
		coinbase_pay_key(coinbase, proof_worth - proof_worth / COINBASE_TENDER_SHARE, facts->loose[i].miner);
	for (size_t i = 0; i < facts->late_count; i++) {
		int64_t late_worth = reward_late(proof_worth, coinbase_late_back(facts, i));

		coinbase_pay_key(coinbase, late_worth - late_worth / COINBASE_TENDER_SHARE, facts->late[i].miner);
	}
}

/* One block late: what data was worth is known when a block has been executed, and its miner states its coinbase before
 * that. The subsidy is that of the block that used the data. What dataset 0 would earn is not minted. */
static void coinbase_add_data(struct tx *coinbase, const struct spec *spec, const struct coinbase_facts *facts)
{
	const struct block_outcome *parent = facts->parent;

	if (parent == NULL || parent->outcome.is_void)
		return;
	for (uint32_t i = 0; i < parent->outcome.slots; i++) {
		if (parent->dataset[i] == 0) /* no owner */
			continue;
		coinbase_pay_key(coinbase,
			reward_slot(spec, facts->height - 1,
				&(struct reward_slot){
					.proofs = parent->outcome.slot[i].count,
					.value = parent->outcome.slot[i].value,
					.v_ref = parent->v_ref,
					.weight = parent->weight,
				}),
			registry_get(facts->registry, parent->dataset[i])->owner);
	}
}

/* To whose runs the parent's merge found true: the first block after it knows, and each is paid of the subsidy of the
 * block whose seat he had. */
static void coinbase_add_runs(struct tx *coinbase, const struct spec *spec, const struct coinbase_facts *facts)
{
	struct round_view merged_round;

	if (!coinbase_has_statement(facts) || !registry_merged_round(facts->registry, &merged_round))
		return;
	for (uint32_t i = 0; i < merged_round.seats; i++)
		if (merge_statement_is_true(&facts->parent->merge, i))
			coinbase_pay_key(coinbase,
				reward_run(spec, merged_round.seat[i].height, merged_round.run[i].length),
				merged_round.seat[i].key);
}

static void coinbase_add_outcome(struct tx *coinbase, const struct coinbase_facts *facts)
{
	const struct outcome nothing = { .is_void = true };
	struct buf statement;

	buf_init(&statement);
	outcome_script(&statement, facts->parent != NULL ? &facts->parent->outcome : &nothing);
	tx_add_output(coinbase, 0, statement.data, statement.size);
	if (coinbase_has_statement(facts)) {
		buf_reset(&statement);
		merge_statement_script(&statement, &facts->parent->merge);
		tx_add_output(coinbase, 0, statement.data, statement.size);
	}
	buf_clear(&statement);
}

const struct tx *coinbase_build(const struct spec *spec, const struct coinbase_facts *facts)
{
	struct tx *coinbase = tx_new();

	coinbase->version = 1;
	coinbase_add_input(coinbase, facts->height);
	coinbase_add_compute(coinbase, spec, facts);
	coinbase_add_data(coinbase, spec, facts);
	coinbase_add_runs(coinbase, spec, facts);
	coinbase_add_outcome(coinbase, facts);
	return tx_seal(coinbase);
}

/* --- checking --- */

static bool coinbase_bytes_equal(const struct bytes *stated, const struct bytes *right)
{
	return stated->size == right->size &&
		(stated->size == 0 || memcmp(stated->data, right->data, stated->size) == 0);
}

static bool coinbase_refuse(struct reject *reject, enum reason why, const char *detail)
{
	return reject_set(reject, why, "%s", detail);
}

/* No witness: the coinbase's leaf in tx_root is its txid, so whoever passes the block on could add one. */
static bool coinbase_check_input(const struct tx *coinbase, const struct tx *right_coinbase, struct reject *reject)
{
	const struct tx_input *stated = coinbase->inputs, *right = right_coinbase->inputs;

	if (coinbase->version != right_coinbase->version || coinbase->locktime != right_coinbase->locktime)
		return coinbase_refuse(reject, REASON_BAD_CB_HEIGHT, "version or locktime of the coinbase");
	if (coinbase->input_count != 1 || memcmp(stated->prev.txid, right->prev.txid, 32) != 0 ||
		stated->prev.index != right->prev.index || stated->sequence != right->sequence ||
		stated->witness_count != 0)
		return coinbase_refuse(reject, REASON_BAD_CB_HEIGHT,
			"the coinbase's one input: outpoint, sequence or a witness");
	if (!coinbase_bytes_equal(&stated->script, &right->script))
		return coinbase_refuse(reject, REASON_BAD_CB_HEIGHT, "the coinbase does not push this block's height");
	return true;
}

static bool coinbase_check_amount(size_t i, const struct tx_output *paid, const struct tx_output *owed,
	struct reject *reject)
{
	if (paid->amount != owed->amount)
		return reject_set(reject, REASON_BAD_CB_OUTPUTS, "output %zu pays %lld instead of %lld", i,
			(long long)paid->amount, (long long)owed->amount);
	if (!coinbase_bytes_equal(&paid->script, &owed->script))
		return reject_set(reject, REASON_BAD_CB_OUTPUTS, "output %zu pays another key", i);
	return true;
}

/* An output of the right one that pays nobody: an OP_RETURN of amount 0, as no payment is. */
static bool coinbase_check_statement(const struct tx_output *stated, const struct tx_output *right, const char *detail,
	struct reject *reject)
{
	return (stated->amount == 0 && coinbase_bytes_equal(&stated->script, &right->script)) ||
		coinbase_refuse(reject, REASON_BAD_CB_OUTCOME, detail);
}

/* Payments before their number: the first that is wrong tells more. Behind them the right one has the outcome, always,
 * and the statement of a merge, if there was one. */
static bool coinbase_check_outputs(const struct tx *coinbase, const struct tx *right_coinbase, bool has_statement,
	struct reject *reject)
{
	size_t payments = right_coinbase->output_count - (has_statement ? 2 : 1);

	for (size_t i = 0; i < payments && i < coinbase->output_count; i++)
		if (!coinbase_check_amount(i, &coinbase->outputs[i], &right_coinbase->outputs[i], reject))
			return false;
	if (coinbase->output_count != right_coinbase->output_count)
		return reject_set(reject, REASON_BAD_CB_OUTPUTS, "%zu outputs instead of %zu", coinbase->output_count,
			right_coinbase->output_count);
	return coinbase_check_statement(&coinbase->outputs[payments], &right_coinbase->outputs[payments],
		       "no output states what the parent did to the model", reject) &&
		(!has_statement ||
			coinbase_check_statement(&coinbase->outputs[payments + 1],
				&right_coinbase->outputs[payments + 1],
				"the last output does not state what became of the round's runs", reject));
}

bool coinbase_check(const struct spec *spec, const struct tx *coinbase, const struct coinbase_facts *facts,
	struct reject *reject)
{
	const struct tx *right_coinbase = coinbase_build(spec, facts);
	bool ok = coinbase_check_input(coinbase, right_coinbase, reject) &&
		coinbase_check_outputs(coinbase, right_coinbase, coinbase_has_statement(facts), reject);

	tx_unref(right_coinbase);
	return ok;
}

/* --- reading --- */

void coinbase_part(const struct spec *spec, const struct tx *coinbase, uint32_t height, struct coinbase_parts *parts)
{
	size_t outputs_left = coinbase->output_count;

	memset(parts, 0, sizeof *parts);
	if (height > 0 && spec_merges(spec, height - 1) && outputs_left > 0 &&
		merge_statement_parse(&coinbase->outputs[outputs_left - 1].script, spec->round_blocks, &parts->merge))
		outputs_left--;
	else
		parts->merge.seats = 0;
	parts->outcome = parts->runs = outputs_left > 0 ? outputs_left - 1 : 0;
	for (uint32_t i = 0; i < parts->merge.seats && parts->runs > 0; i++)
		if (merge_statement_is_true(&parts->merge, i) &&
			reward_run(spec, spec_seat_height(spec, height - 1, i), 1) > 0)
			parts->runs--;
}

/* Amounts of zero have no output: each belongs to the next proof whose key it pays, and what is left before those of
 * runs is for data. */
size_t coinbase_payments(const struct spec *spec, const struct block *block, uint32_t height,
	struct coinbase_payment payments[])
{
	const struct tx *coinbase = block->txs[0];
	struct coinbase_parts parts;
	size_t paid = 0;

	coinbase_part(spec, coinbase, height, &parts);
	for (size_t i = 0; i < block_proof_count(block) && paid < parts.runs; i++)
		if (script_pays(&coinbase->outputs[paid].script, block_proof(block, i)->miner)) {
			payments[paid] = (struct coinbase_payment){ COINBASE_PROOF, i, &coinbase->outputs[paid] };
			paid++;
		}
	for (; paid < parts.runs; paid++)
		payments[paid] = (struct coinbase_payment){ COINBASE_DATA, 0, &coinbase->outputs[paid] };
	for (uint32_t seat = 0; seat < parts.merge.seats && paid < parts.outcome; seat++)
		if (merge_statement_is_true(&parts.merge, seat) &&
			reward_run(spec, spec_seat_height(spec, height - 1, seat), 1) > 0) {
			payments[paid] = (struct coinbase_payment){ COINBASE_RUN, seat, &coinbase->outputs[paid] };
			paid++;
		}
	return paid;
}
