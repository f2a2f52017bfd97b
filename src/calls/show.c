/* Objects of answers, field by field: transactions, entries of the index, blocks, proofs, warnings. */
#include "calls/show.h"

#include <stdio.h>
#include <string.h>

#include "consensus/payload/contribution.h"
#include "consensus/spec.h"
#include "crypto/address.h"
#include "util/warning.h"

json_t *show_address(const struct spec *spec, const uint8_t key[32])
{
	char text[BECH32_TEXT_MAX + 1];

	return address_from_key(text, spec->hrp, key) ? json_string(text) : json_null();
}

static json_t *show_contribution(const struct spec *spec, const struct contribution *data)
{
	json_t *object = json_object();

	json_object_set_new(object, "root", json_hex(data->root, 32));
	json_object_set_new(object, "size", json_integer((json_int_t)data->size));
	json_object_set_new(object, "owner", show_address(spec, data->owner));
	json_object_set_new(object, "licence", json_text(data->licence, strlen(data->licence)));
	json_object_set_new(object, "title", json_text(data->title, strlen(data->title)));
	return object;
}

json_t *show_script(const struct spec *spec, const struct bytes *script)
{
	json_t *object = json_object();
	struct contribution data;
	const uint8_t *key;

	json_object_set_new(object, "hex", json_hex(script->data, script->size));
	key = script_p2tr_key(script);
	if (key != NULL) {
		json_object_set_new(object, "address", show_address(spec, key));
		json_object_set_new(object, "type", json_string("witness_v1_taproot"));
		return object;
	}
	/* No output on this chain is nonstandard: it takes decoderawtransaction to be given one. */
	json_object_set_new(object, "type", json_string(script_is_op_return(script) ? "nulldata" : "nonstandard"));
	if (contribution_parse(script, &data))
		json_object_set_new(object, "contribution", show_contribution(spec, &data));
	return object;
}

static json_t *show_input(const struct tx *tx, size_t i)
{
	const struct tx_input *input = &tx->inputs[i];
	json_t *object = json_object();

	if (tx_is_coinbase(tx)) {
		json_object_set_new(object, "coinbase", json_hex(input->script.data, input->script.size));
	} else {
		json_t *script = json_object();

		json_object_set_new(object, "txid", json_hash(input->prev.txid));
		json_object_set_new(object, "vout", json_integer(input->prev.index));
		/* Consensus refuses a scriptSig: the object stands here, always empty, for clients that expect it. */
		json_object_set_new(script, "asm", json_string(""));
		json_object_set_new(script, "hex", json_hex(input->script.data, input->script.size));
		json_object_set_new(object, "scriptSig", script);
	}
	if (input->witness_count > 0) {
		json_t *witness = json_array();

		for (size_t w = 0; w < input->witness_count; w++)
			json_array_append_new(witness, json_hex(input->witness[w].data, input->witness[w].size));
		json_object_set_new(object, "txinwitness", witness);
	}
	json_object_set_new(object, "sequence", json_integer(input->sequence));
	return object;
}

json_t *show_tx(const struct spec *spec, const struct tx *tx)
{
	json_t *object = json_object(), *inputs = json_array(), *outputs = json_array();
	size_t weight = tx_weight(tx);

	json_object_set_new(object, "txid", json_hash(tx_txid(tx)));
	json_object_set_new(object, "hash", json_hash(tx_wtxid(tx)));
	json_object_set_new(object, "version", json_integer(tx->version));
	json_object_set_new(object, "size", json_integer((json_int_t)tx_size(tx, true)));
	/* BIP141: a quarter of the weight, rounded up. */
	json_object_set_new(object, "vsize", json_integer((json_int_t)((weight + 3) / 4)));
	json_object_set_new(object, "weight", json_integer((json_int_t)weight));
	json_object_set_new(object, "locktime", json_integer(tx->locktime));
	for (size_t i = 0; i < tx->input_count; i++)
		json_array_append_new(inputs, show_input(tx, i));
	for (size_t i = 0; i < tx->output_count; i++) {
		json_t *output = json_object();

		json_object_set_new(output, "value", json_amount(tx->outputs[i].amount));
		json_object_set_new(output, "n", json_integer((json_int_t)i));
		json_object_set_new(output, "scriptPubKey", show_script(spec, &tx->outputs[i].script));
		json_array_append_new(outputs, output);
	}
	json_object_set_new(object, "vin", inputs);
	json_object_set_new(object, "vout", outputs);
	return object;
}

json_t *show_tx_hex(const struct tx *tx)
{
	struct buf raw;
	json_t *hex;

	buf_init(&raw);
	tx_write(&raw, tx, true);
	hex = json_hex(raw.data, raw.size);
	buf_clear(&raw);
	return hex;
}

json_t *show_u256(struct u256 number)
{
	char text[65];

	u256_hex(number, text);
	return json_string(text);
}

json_t *show_difficulty(const struct spec *spec, uint32_t bits)
{
	struct u256 target, limit = target_limit(spec->k);
	struct u256 scaled;
	bool huge;

	if (!target_from_compact(bits, &target))
		return json_integer(0);
	/* Room above both for the eight decimals; a target that small is not met by anyone. */
	limit = u256_shift_right(limit, 32);
	target = u256_shift_right(target, 32);
	if (u256_compare(target, (struct u256){ { 0 } }) == 0)
		target = (struct u256){ { 1 } };
	scaled = u256_div(u256_mul_u64(limit, 100000000, NULL), target);
	huge = scaled.limb[1] != 0 || scaled.limb[2] != 0 || scaled.limb[3] != 0 || scaled.limb[0] > INT64_MAX;
	return json_fixed(huge ? INT64_MAX : (int64_t)scaled.limb[0], 8);
}

json_t *show_loss(float loss)
{
	/* False for NaN as well; a mean loss of so many nats there is not. */
	if (!(loss >= 0 && loss < 1e6f))
		return json_null();
	return json_fixed((int64_t)(loss * 1e6f + 0.5f), 6);
}

json_t *show_logits(const struct logits *logits)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof logits->of / sizeof *logits->of; i++) {
		float x = logits->of[i];
		bool shown = x > -1e6f && x < 1e6f;

		json_array_append_new(array,
			shown ? json_fixed((int64_t)(x * 1e6 + (x < 0 ? -0.5 : 0.5)), 6) : json_null());
	}
	return array;
}

json_t *show_value(int64_t value)
{
	/* |value| <= 2^47: the whole nats are at most 2^15. */
	__int128 scaled = (__int128)value * 10000000000;
	/* Cut towards 0 at the tenth decimal, which is finer than 2^-32. */
	return json_fixed((int64_t)(scaled / ((__int128)1 << 32)), 10);
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
static void add_header(json_t *object, const struct spec *spec, const struct header *header)
{
	char bits[9];
	uint8_t hash[32];

	snprintf(bits, sizeof bits, "%08x", header->bits);
	json_object_set_new(object, "version", json_integer(header->version));
	json_object_set_new(object, "merkleroot", json_hash(header->tx_root));
	json_object_set_new(object, "proofs_root", json_hash(header->proofs_root));
	json_object_set_new(object, "model_root", json_hash(header->model_root));
	json_object_set_new(object, "miner", show_address(spec, header->miner));
	json_object_set_new(object, "time", json_integer(header->time));
	json_object_set_new(object, "nonce", json_u64(header->nonce));
	json_object_set_new(object, "bits", json_string(bits));
	json_object_set_new(object, "difficulty", show_difficulty(spec, header->bits));
	json_object_set_new(object, "digest", json_hex(header->digest, 32));
	header_seed(header, hash);
	json_object_set_new(object, "seed", json_hash(hash));
	header_ticket(header, hash);
	json_object_set_new(object, "ticket", json_hash(hash));
}

json_t *show_entry(struct chain *chain, const struct index_entry *entry)
{
	json_t *object = json_object();

	json_object_set_new(object, "hash", json_hash(entry->id));
	json_object_set_new(object, "confirmations", json_integer(show_confirmations(chain, entry)));
	json_object_set_new(object, "height", json_integer(entry->height));
	add_header(object, chain_spec(chain), &entry->header);
	json_object_set_new(object, "mediantime", json_integer(entry->median_time));
	json_object_set_new(object, "chainwork", show_u256(entry->chain_work));
	json_object_set_new(object, "nTx", json_integer(entry->tx_count));
	json_object_set_new(object, "nproofs",
		json_integer(entry->height == 0 ? 0 : 1 + (json_int_t)entry->loose_count));
	if (entry->parent != NULL)
		json_object_set_new(object, "previousblockhash", json_hash(entry->parent->id));
	if (chain_is_active(chain, entry) && entry != chain_tip(chain))
		json_object_set_new(object, "nextblockhash", json_hash(chain_at(chain, entry->height + 1)->id));
	return object;
}

/* The slots of a block's outcome, each with the dataset it had. */
static json_t *show_outcome(const struct block_outcome *block)
{
	json_t *object = json_object(), *slots = json_array();

	json_object_set_new(object, "void", json_boolean(block->outcome.is_void));
	json_object_set_new(object, "v_ref", show_value(block->v_ref));
	for (uint32_t s = 0; s < block->outcome.slots; s++) {
		json_t *slot = json_object();

		json_object_set_new(slot, "dataset", json_integer(block->dataset[s]));
		json_object_set_new(slot, "proofs", json_integer(block->outcome.slot[s].count));
		if (block->outcome.slot[s].count > 0 && !block->outcome.is_void) {
			json_object_set_new(slot, "left_out", json_boolean(block->outcome.slot[s].left_out));
			json_object_set_new(slot, "value", show_value(block->outcome.slot[s].value));
		}
		json_array_append_new(slots, slot);
	}
	json_object_set_new(object, "slots", slots);
	return object;
}

void show_add_result(json_t *object, const struct index_entry *entry)
{
	if (entry->status != ENTRY_VERIFIED && entry->status != ENTRY_CONNECTED)
		return;
	json_object_set_new(object, "loss_before", show_loss(entry->outcome.loss_before));
	json_object_set_new(object, "loss_after", show_loss(entry->outcome.loss_after));
	json_object_set_new(object, "outcome", show_outcome(&entry->outcome));
	json_object_set_new(object, "model_root_after", json_hash(entry->model_root_after));
}

json_t *show_proof(const struct spec *spec, const struct header *header)
{
	uint8_t hash[32];
	json_t *object = json_object();

	header_id(header, hash);
	json_object_set_new(object, "id", json_hash(hash));
	header_seed(header, hash);
	json_object_set_new(object, "seed", json_hash(hash));
	json_object_set_new(object, "slot", json_integer(spec_slot(spec, hash)));
	header_ticket(header, hash);
	json_object_set_new(object, "ticket", json_hash(hash));
	json_object_set_new(object, "digest", json_hex(header->digest, 32));
	json_object_set_new(object, "miner", show_address(spec, header->miner));
	json_object_set_new(object, "time", json_integer(header->time));
	return object;
}

/* Proofs with what the coinbase paid them, then what it paid for data. Amounts of zero have no output, so each output
 * belongs to the next proof whose key it pays. */
/* The reward of proof `i`, 0 being the block's own. The coinbase pays those that earned something in their order: `at`
 * is the output that comes next. */
static int64_t take_reward(const struct block *block, size_t i, size_t *at)
{
	const struct header *header = block_proof(block, i);
	const struct tx *coinbase = block->txs[0];
	bool paid = *at < coinbase->output_count && script_pays(&coinbase->outputs[*at].script, header->miner);

	return paid ? coinbase->outputs[(*at)++].amount : 0;
}

void show_sum_payments(const struct block *block, struct show_payments *payments)
{
	size_t at = 0;

	*payments = (struct show_payments){ 0, 0 };
	for (size_t i = 0; i <= block->loose_count; i++)
		payments->miners += take_reward(block, i, &at);
	/* The last one pays nobody: it holds the outcome. */
	for (; at + 1 < block->txs[0]->output_count; at++)
		payments->data += block->txs[0]->outputs[at].amount;
}

static void add_rewards(json_t *object, const struct spec *spec, const struct index_entry *entry,
	const struct block *block)
{
	const struct tx *coinbase = block->txs[0];
	json_t *proofs = json_array(), *data = json_array();
	bool known = entry->status == ENTRY_VERIFIED || entry->status == ENTRY_CONNECTED;
	size_t at = 0;

	for (size_t i = 0; i <= block->loose_count; i++) {
		const struct header *header = block_proof(block, i);
		json_t *proof = show_proof(spec, header);
		uint8_t seed[32];

		header_seed(header, seed);
		/* Which dataset a slot had is part of the outcome, and known from verification on. */
		if (known)
			json_object_set_new(proof, "dataset",
				json_integer(entry->outcome.dataset[spec_slot(spec, seed)]));
		json_object_set_new(proof, "reward", json_amount(take_reward(block, i, &at)));
		json_array_append_new(proofs, proof);
	}
	for (; at + 1 < coinbase->output_count; at++) {
		json_t *payment = json_object();
		const uint8_t *owner = script_p2tr_key(&coinbase->outputs[at].script);

		if (owner != NULL)
			json_object_set_new(payment, "owner", show_address(spec, owner));
		json_object_set_new(payment, "amount", json_amount(coinbase->outputs[at].amount));
		json_array_append_new(data, payment);
	}
	json_object_set_new(object, "proofs", proofs);
	json_object_set_new(object, "data_payments", data);
}

json_t *show_block(struct chain *chain, const struct index_entry *entry, const struct block *block, int verbosity)
{
	const struct spec *spec = chain_spec(chain);
	json_t *object = show_entry(chain, entry), *txs = json_array();
	struct buf raw;
	size_t weight = 0;

	buf_init(&raw);
	/* Without the bodies, as a block is stored and sent; so "size" is comparable whether a block has been verified
	 * or not. The weight is that of its transactions, which is what block_weight bounds. */
	block_write(&raw, spec, block, false);
	for (size_t i = 0; i < block->tx_count; i++) {
		const struct tx *tx = block->txs[i];

		weight += tx_weight(tx);
		json_array_append_new(txs, verbosity >= 2 ? show_tx(spec, tx) : json_hash(tx_txid(tx)));
	}
	json_object_set_new(object, "size", json_integer((json_int_t)raw.size));
	json_object_set_new(object, "weight", json_integer((json_int_t)weight));
	buf_clear(&raw);
	json_object_set_new(object, "tx", txs);
	if (block->tx_count > 0)
		add_rewards(object, spec, entry, block);
	show_add_result(object, entry);
	return object;
}

json_t *show_warnings(void)
{
	json_t *array = json_array();
	struct errmsg text;

	for (int kind = 0; kind < WARNING_KINDS; kind++) {
		if (warning_get((enum warning)kind, &text))
			json_array_append_new(array, json_text(text.text, strlen(text.text)));
	}
	return array;
}
