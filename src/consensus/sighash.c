/* What a signature of a taproot key path signs (BIP341), and whether it does. */
#include "consensus/sighash.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/schnorr.h"

enum { SIGHASH_OUTPUT_MASK = 3, SIGNATURE_SIZE = 64, ANNEX_TAG = 0x50 };

static void put_bytes(struct buf *out, const struct bytes *bytes)
{
	buf_put_compact(out, bytes->size);
	buf_put(out, bytes->data, bytes->size);
}

static void put_outpoint(struct buf *out, const struct outpoint *outpoint)
{
	buf_put(out, outpoint->txid, 32);
	buf_put_le32(out, outpoint->index);
}

static void put_output(struct buf *out, const struct tx_output *output)
{
	buf_put_le64(out, (uint64_t)output->amount);
	put_bytes(out, &output->script);
}

/* Hashes what is in the buffer and empties it. */
static void take_hash(struct buf *part, uint8_t hash[32])
{
	sha256(hash, part->data, part->size);
	buf_reset(part);
}

/* The hashes that all inputs share, once for the transaction: with n inputs, signing over all of them would hash n * n
 * of them. They are over what is spent too (amounts, scripts), so a signer cannot be told a wrong amount. */
void sighash_init(struct sighash_cache *cache, const struct tx *tx, const struct tx_output *spent)
{
	struct buf part;

	buf_init(&part);
	cache->tx = tx;
	cache->spent = spent;
	for (size_t i = 0; i < tx->input_count; i++)
		put_outpoint(&part, &tx->inputs[i].prev);
	take_hash(&part, cache->prevouts);
	for (size_t i = 0; i < tx->input_count; i++)
		buf_put_le64(&part, (uint64_t)spent[i].amount);
	take_hash(&part, cache->amounts);
	for (size_t i = 0; i < tx->input_count; i++)
		put_bytes(&part, &spent[i].script);
	take_hash(&part, cache->scripts);
	for (size_t i = 0; i < tx->input_count; i++)
		buf_put_le32(&part, tx->inputs[i].sequence);
	take_hash(&part, cache->sequences);
	for (size_t i = 0; i < tx->output_count; i++)
		put_output(&part, &tx->outputs[i]);
	take_hash(&part, cache->outputs);
	buf_clear(&part);
}

/* 0x00 to 0x03, 0x81 to 0x83. 0x80 alone is none, as the default has no variant, and all others are left for later
 * rules (BIP341). */
static bool hash_type_is_defined(uint8_t hash_type)
{
	uint8_t output_type = hash_type & (uint8_t)~SIGHASH_ANYONECANPAY;

	return hash_type == SIGHASH_DEFAULT || (output_type >= SIGHASH_ALL && output_type <= SIGHASH_SINGLE);
}

/* What the message says of the input itself. With ANYONECANPAY it speaks for itself, and its place among the inputs is
 * free. */
static void put_input(struct buf *message, const struct sighash_cache *cache, size_t index, uint8_t hash_type)
{
	const struct tx_input *input = &cache->tx->inputs[index];

	if (hash_type & SIGHASH_ANYONECANPAY) {
		put_outpoint(message, &input->prev);
		put_output(message, &cache->spent[index]);
		buf_put_le32(message, input->sequence);
	} else {
		buf_put_le32(message, (uint32_t)index);
	}
}

/* Fields and order are BIP341's. SINGLE without an output of the same place has no message: before taproot it signed
 * the number 1, and such a signature could be used again for any other transaction. */
bool sighash_taproot(const struct sighash_cache *cache, size_t input, uint8_t hash_type, const struct bytes *annex,
	uint8_t hash[32])
{
	const struct tx *tx = cache->tx;
	uint8_t output_type = hash_type & SIGHASH_OUTPUT_MASK, part_hash[32];
	struct buf message, part;

	if (!hash_type_is_defined(hash_type) || (output_type == SIGHASH_SINGLE && input >= tx->output_count))
		return false;
	buf_init(&message);
	buf_init(&part);
	buf_put_u8(&message, 0); /* epoch */
	buf_put_u8(&message, hash_type);
	buf_put_le32(&message, tx->version);
	buf_put_le32(&message, tx->locktime);
	if (!(hash_type & SIGHASH_ANYONECANPAY)) {
		buf_put(&message, cache->prevouts, 32);
		buf_put(&message, cache->amounts, 32);
		buf_put(&message, cache->scripts, 32);
		buf_put(&message, cache->sequences, 32);
	}
	if (output_type != SIGHASH_NONE && output_type != SIGHASH_SINGLE)
		buf_put(&message, cache->outputs, 32);
	buf_put_u8(&message, annex != NULL); /* spend type; a script path would add 2 */
	put_input(&message, cache, input, hash_type);
	if (annex != NULL) {
		put_bytes(&part, annex);
		take_hash(&part, part_hash);
		buf_put(&message, part_hash, 32);
	}
	if (output_type == SIGHASH_SINGLE) {
		put_output(&part, &tx->outputs[input]);
		take_hash(&part, part_hash);
		buf_put(&message, part_hash, 32);
	}
	tagged_hash(hash, "TapSighash", message.data, message.size);
	buf_clear(&message);
	buf_clear(&part);
	return true;
}

/* The signature of a key-path witness, and its annex or NULL; NULL if it is no such witness. An annex means nothing
 * yet, but it is signed: nobody on the way can add one, take it off or change it. */
static const struct bytes *split_witness(const struct tx_input *input, size_t index, const struct bytes **annex,
	struct reject *reject)
{
	size_t count = input->witness_count;
	const struct bytes *last = count ? &input->witness[count - 1] : NULL;
	enum reason why = REASON_BAD_TXNS_WITNESS;

	*annex = NULL;
	if (count >= 2 && last->size && last->data[0] == ANNEX_TAG) {
		*annex = last;
		count--;
	}
	if (count == 1 && (input->witness[0].size == SIGNATURE_SIZE || input->witness[0].size == SIGNATURE_SIZE + 1))
		return &input->witness[0];
	if (count > 1)
		why = REASON_BAD_TXNS_SCRIPTPATH;
	reject_set(reject, why, "the witness of input %zu is no signature (%zu elements)", index, count);
	return NULL;
}

/* One witness has one reading: a signature of 64 bytes is of the default type, one of 65 of another, named in the last.
 * Other lengths, and the default type written out, are no signatures, so nobody on the way can give a transaction
 * another wtxid by writing it another way. */
bool sighash_verify_input(const struct sighash_cache *cache, size_t input, struct reject *reject)
{
	const uint8_t *key = script_p2tr_key(&cache->spent[input].script);
	const struct bytes *signature, *annex;
	uint8_t hash_type = SIGHASH_DEFAULT, hash[32];

	if (key == NULL)
		return reject_set(reject, REASON_BAD_TXNS_SCRIPT, "input %zu spends what is not P2TR", input);
	signature = split_witness(&cache->tx->inputs[input], input, &annex, reject);
	if (signature == NULL)
		return false;
	if (signature->size > SIGNATURE_SIZE) {
		hash_type = signature->data[SIGNATURE_SIZE];
		if (hash_type == SIGHASH_DEFAULT) /* has a shorter form */
			return reject_set(reject, REASON_BAD_TXNS_SIGNATURE, "input %zu states the default hash type",
				input);
	}
	if (!sighash_taproot(cache, input, hash_type, annex, hash))
		return reject_set(reject, REASON_BAD_TXNS_SIGNATURE, "hash type 0x%02x of input %zu signs nothing",
			hash_type, input);
	if (!schnorr_verify(signature->data, hash, key))
		return reject_set(reject, REASON_BAD_TXNS_SIGNATURE, "the signature of input %zu is false", input);
	return true;
}

/* spent[i] is what input i spends: as many as there are inputs. */
bool sighash_verify(const struct tx *tx, const struct tx_output *spent, struct reject *reject)
{
	struct sighash_cache cache;

	sighash_init(&cache, tx, spent);
	for (size_t i = 0; i < tx->input_count; i++)
		if (!sighash_verify_input(&cache, i, reject))
			return false;
	return true;
}
