/* The coinbase: built from the facts, and compared with what a block has. */
#include "consensus/coinbase.h"

#include <string.h>

#include "consensus/reward.h"

enum { TENDER_SHARE = 16 }; /* the block's miner gets 1 / this of each loose proof's reward */

/* --- building --- */

/* A direct push of the height as a minimal little-endian signed integer. As in BIP34, so that no two coinbases have one
 * txid; the highest bit is a sign, hence the byte behind it. Heights below 17 are pushed like the others (section
 * 13). */
static void height_script(struct buf *script, uint32_t height)
{
	uint8_t number[5];
	uint8_t size = 0;

	for (uint64_t left = height; left; left >>= 8)
		number[size++] = (uint8_t)left;
	if (size && number[size - 1] & 0x80)
		number[size++] = 0;
	buf_put_u8(script, size);
	buf_put(script, number, size);
}

static void add_input(struct tx *tx, uint32_t height)
{
	struct outpoint none = { .index = UINT32_MAX };
	struct tx_input *input = tx_add_input(tx, &none, UINT32_MAX);
	struct buf script;

	buf_init(&script);
	height_script(&script, height);
	/* The input owns the bytes now. */
	input->script = (struct bytes){ script.data, script.size };
}

/* No output for nothing (section 13): every coin is worth something, also when the subsidy has ended. */
static void pay_key(struct tx *tx, int64_t amount, const uint8_t key[32])
{
	uint8_t script[P2TR_SIZE];

	if (amount == 0)
		return;
	script_p2tr(script, key);
	tx_add_output(tx, amount, script, sizeof script);
}

/* The share is why a miner includes what others have found. It is rounded down once, and what a loose proof's miner
 * gets is the rest, so the sum is what the bucket gave. */
static void add_compute(struct tx *tx, const struct spec *spec, const struct coinbase_facts *facts)
{
	int64_t bucket_after;
	int64_t worth = reward_proof(spec, facts->height, registry_bucket(facts->registry), facts->loose_count,
		&bucket_after);
	int64_t share = worth / TENDER_SHARE;

	pay_key(tx, worth + facts->fees + (int64_t)facts->loose_count * share, facts->miner);
	for (size_t i = 0; i < facts->loose_count; i++)
		pay_key(tx, worth - share, facts->loose[i].miner);
}

/* One block late: what data was worth is known when a block has been executed, and its miner states its coinbase before
 * that. The subsidy is that of the block that used the data. What dataset 0 would earn is not minted. */
static void add_data(struct tx *tx, const struct spec *spec, const struct coinbase_facts *facts)
{
	const struct block_outcome *parent = facts->parent;

	if (parent == NULL || parent->outcome.is_void)
		return;
	for (uint32_t i = 0; i < parent->outcome.slots; i++) {
		if (parent->dataset[i] == 0) /* no owner */
			continue;
		pay_key(tx,
			reward_slot(spec, facts->height - 1, parent->outcome.slot[i].count,
				parent->outcome.slot[i].value, parent->v_ref),
			registry_get(facts->registry, parent->dataset[i])->owner);
	}
}

static void add_outcome(struct tx *tx, const struct coinbase_facts *facts)
{
	const struct outcome nothing = { .is_void = true };
	struct buf script;

	buf_init(&script);
	outcome_script(&script, facts->parent != NULL ? &facts->parent->outcome : &nothing);
	tx_add_output(tx, 0, script.data, script.size);
	buf_clear(&script);
}

const struct tx *coinbase_build(const struct spec *spec, const struct coinbase_facts *facts)
{
	struct tx *tx = tx_new();

	tx->version = 1;
	add_input(tx, facts->height);
	add_compute(tx, spec, facts);
	add_data(tx, spec, facts);
	add_outcome(tx, facts);
	return tx_seal(tx);
}

/* --- checking --- */

static bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static bool refuse_coinbase(struct reject *reject, enum reason why, const char *detail)
{
	return reject_set(reject, why, "%s", detail);
}

/* No witness: the coinbase's leaf in tx_root is its txid, so whoever passes the block on could add one. */
static bool check_input(const struct tx *found, const struct tx *right, struct reject *reject)
{
	const struct tx_input *a = found->inputs, *b = right->inputs;

	if (found->version != right->version || found->locktime != right->locktime)
		return refuse_coinbase(reject, REASON_BAD_CB_HEIGHT, "version or locktime of the coinbase");
	if (found->input_count != 1 || memcmp(a->prev.txid, b->prev.txid, 32) != 0 || a->prev.index != b->prev.index ||
		a->sequence != b->sequence || a->witness_count != 0)
		return refuse_coinbase(reject, REASON_BAD_CB_HEIGHT,
			"the coinbase's one input: outpoint, sequence or a witness");
	if (!bytes_equal(&a->script, &b->script))
		return refuse_coinbase(reject, REASON_BAD_CB_HEIGHT, "the coinbase does not push this block's height");
	return true;
}

static bool check_amount(size_t i, const struct tx_output *found, const struct tx_output *right, struct reject *reject)
{
	if (found->amount != right->amount)
		return reject_set(reject, REASON_BAD_CB_OUTPUTS, "output %zu pays %lld instead of %lld", i,
			(long long)found->amount, (long long)right->amount);
	if (!bytes_equal(&found->script, &right->script))
		return reject_set(reject, REASON_BAD_CB_OUTPUTS, "output %zu pays another key", i);
	return true;
}

/* Payments before their number: the first that is wrong tells more. The last output of the right one is the outcome,
 * which is there always, so last is never below 0. */
static bool check_outputs(const struct tx *found, const struct tx *right, struct reject *reject)
{
	size_t last = right->output_count - 1;

	for (size_t i = 0; i < last && i < found->output_count; i++)
		if (!check_amount(i, &found->outputs[i], &right->outputs[i], reject))
			return false;
	if (found->output_count != right->output_count)
		return reject_set(reject, REASON_BAD_CB_OUTPUTS, "%zu outputs instead of %zu", found->output_count,
			right->output_count);
	if (found->outputs[last].amount != 0 ||
		!bytes_equal(&found->outputs[last].script, &right->outputs[last].script))
		return refuse_coinbase(reject, REASON_BAD_CB_OUTCOME,
			"the last output does not state what the parent did to the model");
	return true;
}

bool coinbase_check(const struct spec *spec, const struct tx *coinbase, const struct coinbase_facts *facts,
	struct reject *reject)
{
	const struct tx *right = coinbase_build(spec, facts);
	bool ok = check_input(coinbase, right, reject) && check_outputs(coinbase, right, reject);

	tx_unref(right);
	return ok;
}
