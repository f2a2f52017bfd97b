/* What a signature of a taproot key path signs (BIP341), and whether it does. */
#include "consensus/sighash.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/schnorr.h"

enum { SIGHASH_OUTPUT_MASK = 3, SIGHASH_SIGNATURE_SIZE = 64, SIGHASH_ANNEX_TAG = 0x50 };

static void sighash_put_bytes(struct buf *signed_bytes, const struct bytes *bytes)
{
	buf_put_compact(signed_bytes, bytes->size);
	buf_put(signed_bytes, bytes->data, bytes->size);
}

static void sighash_put_outpoint(struct buf *signed_bytes, const struct outpoint *outpoint)
{
	buf_put(signed_bytes, outpoint->txid, 32);
	buf_put_le32(signed_bytes, outpoint->index);
}

static void sighash_put_output(struct buf *signed_bytes, const struct tx_output *output)
{
	buf_put_le64(signed_bytes, (uint64_t)output->amount);
	sighash_put_bytes(signed_bytes, &output->script);
}

/* Hashes what is in the buffer and empties it. */
static void sighash_take_part(struct buf *sighash_part, uint8_t hash[32])
{
	sha256(hash, sighash_part->data, sighash_part->size);
	buf_reset(sighash_part);
}

/* The hashes that all inputs share, once for the transaction: with n inputs, signing over all of them would hash n * n
 * of them. They are over what is spent too (amounts, scripts), so a signer cannot be told a wrong amount. */
void sighash_init(struct sighash_cache *sighash, const struct tx *tx, const struct tx_output *spent)
{
	struct buf sighash_part;

	buf_init(&sighash_part);
	sighash->tx = tx;
	sighash->spent = spent;
	for (size_t i = 0; i < tx->input_count; i++)
		sighash_put_outpoint(&sighash_part, &tx->inputs[i].prev);
	sighash_take_part(&sighash_part, sighash->prevouts);
	for (size_t i = 0; i < tx->input_count; i++)
		buf_put_le64(&sighash_part, (uint64_t)spent[i].amount);
	sighash_take_part(&sighash_part, sighash->amounts);
	for (size_t i = 0; i < tx->input_count; i++)
		sighash_put_bytes(&sighash_part, &spent[i].script);
	sighash_take_part(&sighash_part, sighash->scripts);
	for (size_t i = 0; i < tx->input_count; i++)
		buf_put_le32(&sighash_part, tx->inputs[i].sequence);
	sighash_take_part(&sighash_part, sighash->sequences);
	for (size_t i = 0; i < tx->output_count; i++)
		sighash_put_output(&sighash_part, &tx->outputs[i]);
	sighash_take_part(&sighash_part, sighash->outputs);
	buf_clear(&sighash_part);
}

/* 0x00 to 0x03, 0x81 to 0x83. 0x80 alone is none, as the default has no variant, and all others are left for later
 * rules (BIP341). */
static bool sighash_type_is_defined(uint8_t hash_type)
{
	uint8_t output_type = hash_type & (uint8_t)~SIGHASH_ANYONECANPAY;

	return hash_type == SIGHASH_DEFAULT || (output_type >= SIGHASH_ALL && output_type <= SIGHASH_SINGLE);
}

/* What the message says of the input itself. With ANYONECANPAY it speaks for itself, and its place among the inputs is
 * free. */
static void sighash_put_input(struct buf *signed_message, const struct sighash_cache *sighash, size_t index,
	uint8_t hash_type)
{
	const struct tx_input *input = &sighash->tx->inputs[index];

	if (hash_type & SIGHASH_ANYONECANPAY) {
		sighash_put_outpoint(signed_message, &input->prev);
		sighash_put_output(signed_message, &sighash->spent[index]);
		buf_put_le32(signed_message, input->sequence);
	} else {
		buf_put_le32(signed_message, (uint32_t)index);
	}
}

/* Fields and order are BIP341's. SINGLE without an output of the same place has no message: before taproot it signed
 * the number 1, and such a signature could be used again for any other transaction. */
bool sighash_taproot(const struct sighash_cache *sighash, size_t input, uint8_t hash_type, const struct bytes *annex,
	uint8_t hash[32])
{
	const struct tx *tx = sighash->tx;
	uint8_t output_type = hash_type & SIGHASH_OUTPUT_MASK, part_hash[32];
	struct buf signed_message, sighash_part;

	if (!sighash_type_is_defined(hash_type) || (output_type == SIGHASH_SINGLE && input >= tx->output_count))
		return false;
	buf_init(&signed_message);
	buf_init(&sighash_part);
	buf_put_u8(&signed_message, 0); /* epoch */
	buf_put_u8(&signed_message, hash_type);
	buf_put_le32(&signed_message, tx->version);
	buf_put_le32(&signed_message, tx->locktime);
	if (!(hash_type & SIGHASH_ANYONECANPAY)) {
		buf_put(&signed_message, sighash->prevouts, 32);
		buf_put(&signed_message, sighash->amounts, 32);
		buf_put(&signed_message, sighash->scripts, 32);
		buf_put(&signed_message, sighash->sequences, 32);
	}
	if (output_type != SIGHASH_NONE && output_type != SIGHASH_SINGLE)
		buf_put(&signed_message, sighash->outputs, 32);
	buf_put_u8(&signed_message, annex != NULL); /* spend type; a script path would add 2 */
	sighash_put_input(&signed_message, sighash, input, hash_type);
	if (annex != NULL) {
		sighash_put_bytes(&sighash_part, annex);
		sighash_take_part(&sighash_part, part_hash);
		buf_put(&signed_message, part_hash, 32);
	}
	if (output_type == SIGHASH_SINGLE) {
		sighash_put_output(&sighash_part, &tx->outputs[input]);
		sighash_take_part(&sighash_part, part_hash);
		buf_put(&signed_message, part_hash, 32);
	}
	tagged_hash(hash, "TapSighash", signed_message.data, signed_message.size);
	buf_clear(&signed_message);
	buf_clear(&sighash_part);
	return true;
}

/* The signature of a key-path witness, and its annex or NULL; NULL if it is no such witness. An annex means nothing
 * yet, but it is signed: nobody on the way can add one, take it off or change it. */
static const struct bytes *sighash_split_witness(const struct tx_input *input, size_t index, const struct bytes **annex,
	struct reject *reject)
{
	size_t witness_count = input->witness_count;
	const struct bytes *last_element = witness_count ? &input->witness[witness_count - 1] : NULL;
	enum reason why = REASON_BAD_TXNS_WITNESS;

	*annex = NULL;
	if (witness_count >= 2 && last_element->size && last_element->data[0] == SIGHASH_ANNEX_TAG) {
		*annex = last_element;
		witness_count--;
	}
	if (witness_count == 1 &&
		(input->witness[0].size == SIGHASH_SIGNATURE_SIZE ||
			input->witness[0].size == SIGHASH_SIGNATURE_SIZE + 1))
		return &input->witness[0];
	if (witness_count > 1)
		why = REASON_BAD_TXNS_SCRIPTPATH;
	reject_set(reject, why, "the witness of input %zu is no signature (%zu elements)", index, witness_count);
	return NULL;
}

/* One witness has one reading: a signature of 64 bytes is of the default type, one of 65 of another, named in the last.
 * Other lengths, and the default type written out, are no signatures, so nobody on the way can give a transaction
 * another wtxid by writing it another way. */
bool sighash_verify_input(const struct sighash_cache *sighash, size_t input, struct reject *reject)
{
	const uint8_t *key = script_p2tr_key(&sighash->spent[input].script);
	const struct bytes *signature, *annex;
	uint8_t hash_type = SIGHASH_DEFAULT, hash[32];

	if (key == NULL)
		return reject_set(reject, REASON_BAD_TXNS_SCRIPT, "input %zu spends what is not P2TR", input);
	signature = sighash_split_witness(&sighash->tx->inputs[input], input, &annex, reject);
	if (signature == NULL)
		return false;
	if (signature->size > SIGHASH_SIGNATURE_SIZE) {
		hash_type = signature->data[SIGHASH_SIGNATURE_SIZE];
		if (hash_type == SIGHASH_DEFAULT) /* has a shorter form */
			return reject_set(reject, REASON_BAD_TXNS_SIGNATURE, "input %zu states the default hash type",
				input);
	}
	if (!sighash_taproot(sighash, input, hash_type, annex, hash))
		return reject_set(reject, REASON_BAD_TXNS_SIGNATURE, "hash type 0x%02x of input %zu signs nothing",
			hash_type, input);
	if (!schnorr_verify(signature->data, hash, key))
		return reject_set(reject, REASON_BAD_TXNS_SIGNATURE, "the signature of input %zu is false", input);
	return true;
}

/* spent[i] is what input i spends: as many as there are inputs. */
bool sighash_verify(const struct tx *tx, const struct tx_output *spent, struct reject *reject)
{
	struct sighash_cache sighash;

	sighash_init(&sighash, tx, spent);
	for (size_t i = 0; i < tx->input_count; i++)
		if (!sighash_verify_input(&sighash, i, reject))
			return false;
	return true;
}
