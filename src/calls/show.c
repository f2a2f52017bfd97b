/* Objects of answers, field by field: transactions, entries of the index, blocks, proofs, warnings. */
#include "calls/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/coinbase.h"
#include "consensus/payload/commitment.h"
#include "consensus/payload/round_tx.h"
#include "consensus/reward.h"
#include "consensus/spec.h"
#include "crypto/address.h"
#include "util/mem.h"
#include "util/warning.h"

json_t *show_address(const struct spec *spec, const uint8_t key[32])
{
	char address[BECH32_TEXT_MAX + 1];

	return address_from_key(address, spec->hrp, key) ? json_string(address) : json_null();
}

static json_t *show_contribution(const struct spec *spec, const struct contribution *contributed)
{
	json_t *shown = json_object();

	json_object_set_new(shown, "root", json_hex(contributed->root, 32));
	json_object_set_new(shown, "size", json_integer((json_int_t)contributed->size));
	json_object_set_new(shown, "owner", show_address(spec, contributed->owner));
	json_object_set_new(shown, "licence", json_text(contributed->licence, strlen(contributed->licence)));
	json_object_set_new(shown, "title", json_text(contributed->title, strlen(contributed->title)));
	json_object_set_new(shown, "salt", json_hex(contributed->salt, 32));
	return shown;
}

json_t *show_script(const struct spec *spec, const struct bytes *script)
{
	json_t *shown = json_object();
	struct contribution contributed;
	uint8_t commitment[32];
	const uint8_t *key;

	json_object_set_new(shown, "hex", json_hex(script->data, script->size));
	key = script_p2tr_key(script);
	if (key != NULL) {
		json_object_set_new(shown, "address", show_address(spec, key));
		json_object_set_new(shown, "type", json_string("witness_v1_taproot"));
		return shown;
	}
	/* No output on this chain is nonstandard: it takes decoderawtransaction to be given one. */
	json_object_set_new(shown, "type", json_string(script_is_op_return(script) ? "nulldata" : "nonstandard"));
	if (contribution_parse(script, &contributed))
		json_object_set_new(shown, "contribution", show_contribution(spec, &contributed));
	if (commitment_parse(script, commitment))
		json_object_set_new(shown, "commitment", json_hex(commitment, 32));
	return shown;
}

static json_t *show_tx_input(const struct tx *tx, size_t i)
{
	const struct tx_input *tx_input = &tx->inputs[i];
	json_t *shown = json_object();

	if (tx_is_coinbase(tx)) {
		json_object_set_new(shown, "coinbase", json_hex(tx_input->script.data, tx_input->script.size));
	} else {
		json_t *script_shown = json_object();

		json_object_set_new(shown, "txid", json_hash(tx_input->prev.txid));
		json_object_set_new(shown, "vout", json_integer(tx_input->prev.index));
		/* Consensus refuses a scriptSig: the object stands here, always empty, for clients that expect it. */
		json_object_set_new(script_shown, "asm", json_string(""));
		json_object_set_new(script_shown, "hex", json_hex(tx_input->script.data, tx_input->script.size));
		json_object_set_new(shown, "scriptSig", script_shown);
	}
	if (tx_input->witness_count > 0) {
		json_t *witness_shown = json_array();

		for (size_t item = 0; item < tx_input->witness_count; item++)
			json_array_append_new(witness_shown,
				json_hex(tx_input->witness[item].data, tx_input->witness[item].size));
		json_object_set_new(shown, "txinwitness", witness_shown);
	}
	json_object_set_new(shown, "sequence", json_integer(tx_input->sequence));
	return shown;
}

/* What a round transaction says: for whose seat, and what of its run. Roots as those of data are shown. */
static json_t *show_round_tx(const struct round_tx *round_tx)
{
	static const char *const kind_names[] = {
		[ROUND_COMMIT] = "commit",
		[ROUND_DISCLOSURE] = "disclosure",
		[ROUND_CHALLENGE] = "challenge",
	};
	json_t *shown = json_object();

	json_object_set_new(shown, "kind", json_string(kind_names[round_tx->kind]));
	json_object_set_new(shown, "seat", json_integer(round_tx->height));
	if (round_tx->kind == ROUND_CHALLENGE)
		json_object_set_new(shown, "segment", json_integer(round_tx->segment));
	else
		json_object_set_new(shown, "length", json_integer(round_tx->length));
	json_object_set_new(shown, round_tx->kind == ROUND_COMMIT ? "root" : "blob", json_hex(round_tx->root, 32));
	if (round_tx->kind == ROUND_COMMIT)
		json_object_set_new(shown, "signature", json_hex(round_tx->signature, 64));
	return shown;
}

json_t *show_tx(const struct spec *spec, const struct tx *tx)
{
	json_t *shown = json_object(), *inputs_shown = json_array(), *outputs_shown = json_array();
	size_t weight = tx_weight(tx);
	struct round_tx round_tx;

	json_object_set_new(shown, "txid", json_hash(tx_txid(tx)));
	json_object_set_new(shown, "hash", json_hash(tx_wtxid(tx)));
	json_object_set_new(shown, "version", json_integer(tx->version));
	json_object_set_new(shown, "size", json_integer((json_int_t)tx_size(tx, true)));
	/* BIP141: a quarter of the weight, rounded up. */
	json_object_set_new(shown, "vsize", json_integer((json_int_t)((weight + 3) / 4)));
	json_object_set_new(shown, "weight", json_integer((json_int_t)weight));
	json_object_set_new(shown, "locktime", json_integer(tx->locktime));
	for (size_t i = 0; i < tx->input_count; i++)
		json_array_append_new(inputs_shown, show_tx_input(tx, i));
	for (size_t i = 0; i < tx->output_count; i++) {
		json_t *output_shown = json_object();

		json_object_set_new(output_shown, "value", json_amount(tx->outputs[i].amount));
		json_object_set_new(output_shown, "n", json_integer((json_int_t)i));
		json_object_set_new(output_shown, "scriptPubKey", show_script(spec, &tx->outputs[i].script));
		json_array_append_new(outputs_shown, output_shown);
	}
	json_object_set_new(shown, "vin", inputs_shown);
	json_object_set_new(shown, "vout", outputs_shown);
	if (round_tx_is_on(spec, tx) && round_tx_parse(tx, &round_tx))
		json_object_set_new(shown, "round", show_round_tx(&round_tx));
	return shown;
}

json_t *show_tx_hex(const struct tx *tx)
{
	struct buf raw_tx;
	json_t *tx_hex;

	buf_init(&raw_tx);
	tx_write(&raw_tx, tx, true);
	tx_hex = json_hex(raw_tx.data, raw_tx.size);
	buf_clear(&raw_tx);
	return tx_hex;
}

json_t *show_u256(struct u256 number)
{
	char shown_text[65];

	u256_hex(number, shown_text);
	return json_string(shown_text);
}

json_t *show_difficulty(const struct spec *spec, uint32_t bits)
{
	struct u256 target, easiest_target = target_limit(spec->k);
	struct u256 difficulty;
	bool is_huge;

	if (!target_from_compact(bits, &target))
		return json_integer(0);
	/* Room above both for the eight decimals; a target that small is not met by anyone. */
	easiest_target = u256_shift_right(easiest_target, 32);
	target = u256_shift_right(target, 32);
	if (u256_compare(target, (struct u256){ { 0 } }) == 0)
		target = (struct u256){ { 1 } };
	difficulty = u256_div(u256_mul_u64(easiest_target, 100000000, NULL), target);
	is_huge = difficulty.limb[1] != 0 || difficulty.limb[2] != 0 || difficulty.limb[3] != 0 ||
		difficulty.limb[0] > INT64_MAX;
	return json_fixed(is_huge ? INT64_MAX : (int64_t)difficulty.limb[0], 8);
}

int64_t show_micro_loss(float loss)
{
	/* False for NaN as well; a mean loss of so many nats there is not. */
	return loss >= 0 && loss < 1e6f ? (int64_t)(loss * 1e6f + 0.5f) : -1;
}

int64_t show_micro_loss_after(const struct block_outcome *block_outcome)
{
	const struct merge_statement *merge = &block_outcome->merge;
	const bool is_unchanged = block_outcome->outcome.is_void && (merge->seats == 0 || merge->is_void);

	return show_micro_loss(is_unchanged ? block_outcome->loss_before : block_outcome->loss_after);
}

json_t *show_micro(int64_t micro_loss)
{
	return micro_loss < 0 ? json_null() : json_fixed(micro_loss, 6);
}

json_t *show_loss(float loss)
{
	return show_micro(show_micro_loss(loss));
}

json_t *show_loss_after(const struct block_outcome *block_outcome)
{
	return show_micro(show_micro_loss_after(block_outcome));
}

json_t *show_logits(const struct decoder_logits *logits)
{
	json_t *shown_array = json_array();

	for (size_t i = 0; i < MODEL_VOCABULARY; i++) {
		float logit = logits->of[i];
		bool is_shown = logit > -1e6f && logit < 1e6f;

		json_array_append_new(shown_array,
			is_shown ? json_fixed((int64_t)(logit * 1e6 + (logit < 0 ? -0.5 : 0.5)), 6) : json_null());
	}
	return shown_array;
}

json_t *show_value(int64_t value)
{
	/* |value| <= 2^47: the whole nats are at most 2^15. */
	__int128 scaled = (__int128)value * 10000000000;
	/* Cut towards 0 at the tenth decimal, which is finer than 2^-32. */
	return json_fixed((int64_t)(scaled / ((__int128)1 << 32)), 10);
}

/* Rounded up, like what is burnt: who multiplies it burns enough. The whole units first, or the product had 65 bits. */
json_t *show_data_rate(uint64_t rate)
{
	uint64_t whole_units = rate / FEES_RATE_UNIT, fraction = rate % FEES_RATE_UNIT;

	return json_fixed((int64_t)(whole_units * 1000 + (fraction * 1000 + FEES_RATE_UNIT - 1) / FEES_RATE_UNIT), 3);
}

/* Bitcoin Core's words for getchaintips; "valid-proofs" is ours: executed and found right, and not connected yet. */
const char *show_status(enum entry_status status)
{
	switch (status) {
	case ENTRY_HEADER:
		return "headers-only";
	case ENTRY_STORED:
		return "valid-headers";
	case ENTRY_VERIFIED:
		return "valid-proofs";
	case ENTRY_CONNECTED:
		return "valid-fork";
	case ENTRY_INVALID:
		return "invalid";
	}
	return "unknown";
}

int64_t show_confirmations(const struct chain *chain, const struct index_entry *entry)
{
	if (!chain_is_active(chain, entry))
		return -1;
	return (int64_t)chain_tip(chain)->height - entry->height + 1;
}

/* The header's own fields. */
static void show_add_header(json_t *shown, const struct spec *spec, const struct header *header)
{
	char header_bits[9];
	uint8_t header_hash[32];

	snprintf(header_bits, sizeof header_bits, "%08x", header->bits);
	json_object_set_new(shown, "version", json_integer(header->version));
	json_object_set_new(shown, "merkleroot", json_hash(header->tx_root));
	json_object_set_new(shown, "proofs_root", json_hash(header->proofs_root));
	json_object_set_new(shown, "model_root", json_hash(header->model_root));
	json_object_set_new(shown, "miner", show_address(spec, header->miner));
	json_object_set_new(shown, "time", json_integer(header->time));
	json_object_set_new(shown, "nonce", json_u64(header->nonce));
	json_object_set_new(shown, "bits", json_string(header_bits));
	json_object_set_new(shown, "difficulty", show_difficulty(spec, header->bits));
	json_object_set_new(shown, "digest", json_hex(header->digest, 32));
	header_seed(header, header_hash);
	json_object_set_new(shown, "seed", json_hash(header_hash));
	header_ticket(header, header_hash);
	json_object_set_new(shown, "ticket", json_hash(header_hash));
}

json_t *show_entry(struct chain *chain, const struct index_entry *entry)
{
	json_t *shown = json_object();

	json_object_set_new(shown, "hash", json_hash(entry->id));
	json_object_set_new(shown, "confirmations", json_integer(show_confirmations(chain, entry)));
	json_object_set_new(shown, "height", json_integer(entry->height));
	show_add_header(shown, chain_spec(chain), &entry->header);
	json_object_set_new(shown, "mediantime", json_integer(entry->median_time));
	json_object_set_new(shown, "chainwork", show_u256(entry->chain_work));
	json_object_set_new(shown, "nTx", json_integer(entry->tx_count));
	json_object_set_new(shown, "nproofs",
		json_integer(entry->height == 0 ? 0 : 1 + (json_int_t)entry->loose_count));
	json_object_set_new(shown, "nlate", json_integer((json_int_t)entry->late_count));
	if (entry->parent != NULL)
		json_object_set_new(shown, "previousblockhash", json_hash(entry->parent->id));
	if (chain_is_active(chain, entry) && entry != chain_tip(chain))
		json_object_set_new(shown, "nextblockhash", json_hash(chain_at(chain, entry->height + 1)->id));
	return shown;
}

const char *show_verdict(uint8_t verdict)
{
	static const char *const verdict_names[] = { "empty", "merged", "left out", "struck" };

	return verdict_names[verdict];
}

bool show_is_judged_by_data(const struct chain *chain, uint32_t base)
{
	struct block_outcome base_outcome;

	return merge_statement_is_futile(&chain_outcome(chain_at(chain, base), &base_outcome)->merge);
}

const char *show_judged_by(const struct chain *chain, uint32_t base)
{
	return show_is_judged_by_data(chain, base) ? "own pages" : "reserved text";
}

json_t *show_verdicts(const struct merge_statement *statement)
{
	json_int_t seats_with[4] = { 0 };
	json_t *shown = json_object();

	for (uint32_t seat = 0; seat < statement->seats; seat++)
		seats_with[statement->seat[seat]]++;
	for (uint8_t verdict = 0; verdict < 4; verdict++)
		json_object_set_new(shown, show_verdict(verdict), json_integer(seats_with[verdict]));
	return shown;
}

json_t *show_slot(const struct block_outcome *block_outcome, uint32_t slot)
{
	json_t *slot_shown = json_object();

	json_object_set_new(slot_shown, "dataset", json_integer(block_outcome->dataset[slot]));
	json_object_set_new(slot_shown, "proofs", json_integer(block_outcome->outcome.slot[slot].count));
	if (block_outcome->outcome.slot[slot].count == 0 || block_outcome->outcome.is_void)
		return slot_shown;
	json_object_set_new(slot_shown, "left_out", json_boolean(block_outcome->outcome.slot[slot].left_out));
	json_object_set_new(slot_shown, "effect", show_value(block_outcome->outcome.slot[slot].effect));
	json_object_set_new(slot_shown, "known", json_boolean(block_outcome->outcome.slot[slot].known));
	json_object_set_new(slot_shown, "own", show_value(block_outcome->outcome.slot[slot].own));
	json_object_set_new(slot_shown, "value", show_value(block_outcome->outcome.slot[slot].value));
	return slot_shown;
}

/* The slots of a block's outcome, each with the dataset it had. */
static json_t *show_outcome(const struct block_outcome *block_outcome)
{
	json_t *shown = json_object(), *slots_shown = json_array();

	json_object_set_new(shown, "void", json_boolean(block_outcome->outcome.is_void));
	json_object_set_new(shown, "v_ref", show_value(block_outcome->v_ref));
	for (uint32_t slot = 0; slot < block_outcome->outcome.slots; slot++)
		json_array_append_new(slots_shown, show_slot(block_outcome, slot));
	json_object_set_new(shown, "slots", slots_shown);
	return shown;
}

void show_add_result(json_t *shown, const struct index_entry *entry)
{
	struct block_outcome outcome;

	if (entry->status != ENTRY_VERIFIED && entry->status != ENTRY_CONNECTED)
		return;
	chain_outcome(entry, &outcome);
	json_object_set_new(shown, "loss_before", show_loss(outcome.loss_before));
	json_object_set_new(shown, "loss_after", show_loss(outcome.loss_after));
	json_object_set_new(shown, "outcome", show_outcome(&outcome));
	json_object_set_new(shown, "model_root_after", json_hash(entry->model_root_after));
}

json_t *show_proof(const struct spec *spec, const struct header *header)
{
	uint8_t proof_hash[32];
	json_t *shown = json_object();

	header_id(header, proof_hash);
	json_object_set_new(shown, "id", json_hash(proof_hash));
	header_seed(header, proof_hash);
	json_object_set_new(shown, "seed", json_hash(proof_hash));
	json_object_set_new(shown, "slot", json_integer(spec_slot(spec, proof_hash)));
	header_ticket(header, proof_hash);
	json_object_set_new(shown, "ticket", json_hash(proof_hash));
	json_object_set_new(shown, "digest", json_hex(header->digest, 32));
	json_object_set_new(shown, "miner", show_address(spec, header->miner));
	json_object_set_new(shown, "time", json_integer(header->time));
	return shown;
}

void show_sum_payments(const struct spec *spec, uint32_t height, const struct block *block,
	struct show_payments *payments)
{
	struct coinbase_payment *paid = mem_alloc(block->txs[0]->output_count * sizeof *paid);
	const size_t paid_count = coinbase_payments(spec, block, height, paid);
	int64_t *const sums[] = {
		[COINBASE_PROOF] = &payments->miners,
		[COINBASE_DATA] = &payments->data,
		[COINBASE_RUN] = &payments->runs,
	};

	*payments = (struct show_payments){ 0, 0, 0 };
	for (size_t i = 0; i < paid_count; i++)
		*sums[paid[i].pays] += paid[i].output->amount;
	free(paid);
}

json_t *show_block_proof(const struct spec *spec, const struct index_entry *entry, const struct block *block,
	size_t index)
{
	const struct header *proof_header = block_proof(block, index);
	json_t *shown = show_proof(spec, proof_header);
	const struct index_entry *trained = entry; /* which has the outcome of its slots */
	struct block_outcome outcome;
	uint8_t proof_seed[32];

	while (trained->parent != NULL && memcmp(trained->header.prev, proof_header->prev, 32) != 0)
		trained = trained->parent;
	header_seed(proof_header, proof_seed);
	/* Which dataset a slot had is part of the outcome, and known from verification on. */
	if (trained->status == ENTRY_VERIFIED || trained->status == ENTRY_CONNECTED)
		json_object_set_new(shown, "dataset",
			json_integer(chain_outcome(trained, &outcome)->dataset[spec_slot(spec, proof_seed)]));
	if (trained != entry) {
		json_object_set_new(shown, "parent_height", json_integer((json_int_t)trained->height - 1));
		json_object_set_new(shown, "worth",
			json_fixed(625 * (int64_t)reward_late_sixteenths(entry->height - trained->height), 4));
	}
	return shown;
}

static json_t *show_payment(const struct spec *spec, const char *payee, const struct tx_output *paid_output)
{
	const uint8_t *paid_key = script_p2tr_key(&paid_output->script);
	json_t *shown = json_object();

	if (paid_key != NULL)
		json_object_set_new(shown, payee, show_address(spec, paid_key));
	json_object_set_new(shown, "amount", json_amount(paid_output->amount));
	return shown;
}

/* Proofs with what the coinbase paid them, then what it paid for data, and for runs. */
static void show_add_rewards(json_t *shown, const struct spec *spec, const struct index_entry *entry,
	const struct block *block)
{
	struct coinbase_payment *paid = mem_alloc(block->txs[0]->output_count * sizeof *paid);
	const size_t paid_count = coinbase_payments(spec, block, entry->height, paid);
	json_t *proofs_shown = json_array(), *late_shown = json_array(), *data_shown = json_array(),
	       *runs_shown = json_array();
	struct coinbase_parts paid_parts;
	size_t at = 0;

	for (size_t i = 0; i < block_proof_count(block); i++) {
		const bool is_paid = at < paid_count && paid[at].pays == COINBASE_PROOF && paid[at].number == i;
		json_t *proof_shown = show_block_proof(spec, entry, block, i);

		json_object_set_new(proof_shown, "reward", json_amount(is_paid ? paid[at].output->amount : 0));
		json_array_append_new(i < block_body_count(block) ? proofs_shown : late_shown, proof_shown);
		at += is_paid;
	}
	for (; at < paid_count && paid[at].pays == COINBASE_DATA; at++)
		json_array_append_new(data_shown, show_payment(spec, "owner", paid[at].output));
	for (; at < paid_count; at++) {
		json_t *payment_shown = show_payment(spec, "miner", paid[at].output);

		json_object_set_new(payment_shown, "seat",
			json_integer(spec_seat_height(spec, entry->height - 1, (uint32_t)paid[at].number)));
		json_array_append_new(runs_shown, payment_shown);
	}
	json_object_set_new(shown, "proofs", proofs_shown);
	json_object_set_new(shown, "late", late_shown);
	json_object_set_new(shown, "data_payments", data_shown);
	/* Of the child of a merge, be it that nobody was paid. */
	coinbase_part(spec, block->txs[0], entry->height, &paid_parts);
	if (paid_parts.merge.seats > 0)
		json_object_set(shown, "run_payments", runs_shown);
	json_decref(runs_shown);
	free(paid);
}

json_t *show_block(struct chain *chain, const struct index_entry *entry, const struct block *block, int verbosity)
{
	const struct spec *spec = chain_spec(chain);
	json_t *shown = show_entry(chain, entry), *txs_shown = json_array();
	struct buf raw_block;
	size_t txs_weight = 0;

	buf_init(&raw_block);
	/* Without the bodies, as a block is stored and sent; so "size" is comparable whether a block has been verified
	 * or not. The weight is that of its transactions, which is what block_weight bounds. */
	block_write(&raw_block, spec, block, false);
	for (size_t i = 0; i < block->tx_count; i++) {
		const struct tx *tx = block->txs[i];

		txs_weight += tx_weight(tx);
		json_array_append_new(txs_shown, verbosity >= 2 ? show_tx(spec, tx) : json_hash(tx_txid(tx)));
	}
	json_object_set_new(shown, "size", json_integer((json_int_t)raw_block.size));
	json_object_set_new(shown, "weight", json_integer((json_int_t)txs_weight));
	buf_clear(&raw_block);
	json_object_set_new(shown, "tx", txs_shown);
	if (block->tx_count > 0)
		show_add_rewards(shown, spec, entry, block);
	show_add_result(shown, entry);
	return shown;
}

json_t *show_warnings(void)
{
	json_t *warnings = json_array();
	struct errmsg warning_text;

	for (int kind = 0; kind < WARNING_KINDS; kind++) {
		if (warning_get((enum warning)kind, &warning_text))
			json_array_append_new(warnings, json_text(warning_text.text, strlen(warning_text.text)));
	}
	return warnings;
}
