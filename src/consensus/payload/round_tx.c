/* Round transactions: their one form, read and written. */
#include "consensus/payload/round_tx.h"

#include <inttypes.h>
#include <string.h>

#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/delta.h"
#include "util/mem.h"

enum { ROUND_TX_VERSION = 1 };

/* A coinbase's has 0xffffffff. No transaction has the id 0, so neither is ever a coin's. */
static const struct outpoint round_tx_outpoint = { .index = 0xfffffffe };
#define ROUND_TX_SEQUENCE 0xffffffffu

/* --- the form --- */

bool round_tx_is(const struct tx *tx)
{
	const struct outpoint *first_outpoint = tx->input_count > 0 ? &tx->inputs[0].prev : NULL;

	return first_outpoint != NULL && first_outpoint->index == round_tx_outpoint.index &&
		memcmp(first_outpoint->txid, round_tx_outpoint.txid, sizeof round_tx_outpoint.txid) == 0;
}

/* What stands round the payload has no freedom at all: one statement has one txid and one wtxid, and nobody can make
 * another of it that nodes would have to look at again. Only a signature is its signer's to choose. */
static bool round_tx_is_bare(const struct tx *tx)
{
	return round_tx_is(tx) && tx->version == ROUND_TX_VERSION && tx->locktime == 0 && tx->input_count == 1 &&
		tx->inputs[0].script.size == 0 && tx->inputs[0].sequence == ROUND_TX_SEQUENCE &&
		tx->inputs[0].witness_count == 0 && tx->output_count == 1 && tx->outputs[0].amount == 0;
}

bool round_tx_parse(const struct tx *tx, struct round_tx *round_tx)
{
	struct reader payload;
	uint8_t kind_byte;

	memset(round_tx, 0, sizeof *round_tx);
	if (!round_tx_is_bare(tx) || !script_read_payload(&tx->outputs[0].script, &payload))
		return false;
	kind_byte = reader_u8(&payload);
	if (kind_byte != ROUND_COMMIT && kind_byte != ROUND_DISCLOSURE && kind_byte != ROUND_CHALLENGE)
		return false;
	round_tx->kind = (enum round_kind)kind_byte;
	round_tx->height = reader_le32(&payload);
	if (round_tx->kind == ROUND_CHALLENGE)
		round_tx->segment = reader_le32(&payload);
	else
		round_tx->length = reader_le32(&payload);
	reader_copy(&payload, round_tx->root, sizeof round_tx->root);
	if (round_tx->kind == ROUND_COMMIT)
		reader_copy(&payload, round_tx->signature, sizeof round_tx->signature);
	return reader_done(&payload);
}

const struct tx *round_tx_build(const struct round_tx *round_tx)
{
	struct tx *tx = tx_new();
	struct buf payload, script;

	tx->version = ROUND_TX_VERSION;
	tx_add_input(tx, &round_tx_outpoint, ROUND_TX_SEQUENCE);
	script_begin_payload(&payload, (uint8_t)round_tx->kind);
	buf_put_le32(&payload, round_tx->height);
	buf_put_le32(&payload, round_tx->kind == ROUND_CHALLENGE ? round_tx->segment : round_tx->length);
	buf_put(&payload, round_tx->root, sizeof round_tx->root);
	if (round_tx->kind == ROUND_COMMIT)
		buf_put(&payload, round_tx->signature, sizeof round_tx->signature);
	buf_init(&script);
	script_end_payload(&payload, &script);
	tx_add_output(tx, 0, script.data, script.size);
	buf_clear(&script);
	return tx_seal(tx);
}

/* --- on a chain --- */

bool round_tx_is_on(const struct spec *spec, const struct tx *tx)
{
	return spec->round_blocks > 0 && round_tx_is(tx);
}

bool round_tx_check(const struct spec *spec, const struct tx *tx, struct reject *reject)
{
	struct round_tx round_tx;

	if (!round_tx_is_on(spec, tx))
		return true;
	if (!round_tx_parse(tx, &round_tx))
		return reject_set(reject, REASON_BAD_ROUND_FORMAT, "a round transaction is not of their one form");
	return round_tx.kind == ROUND_CHALLENGE || (round_tx.length >= 1 && round_tx.length <= spec->segments) ||
		reject_set(reject, REASON_BAD_ROUND_FORMAT, "a run of %" PRIu32 " segments", round_tx.length);
}

/* The text in front keeps it apart from everything else that a wallet's key signs. */
void round_commit_hash(const uint8_t base_id[32], const uint8_t seat_id[32], uint32_t length, const uint8_t root[32],
	uint8_t hash[32])
{
	struct buf committed;

	buf_init(&committed);
	buf_put_text(&committed, "atelier commit");
	buf_put(&committed, base_id, 32);
	buf_put(&committed, seat_id, 32);
	buf_put_le32(&committed, length);
	buf_put(&committed, root, 32);
	sha256(hash, committed.data, committed.size);
	buf_clear(&committed);
}

size_t round_code_size(const struct spec *spec)
{
	return delta_size(model_count(&spec_course(spec)->train.model));
}

size_t round_blob_size(const struct spec *spec, enum round_kind kind, uint32_t length)
{
	switch (kind) {
	case ROUND_COMMIT:
		return 0;
	case ROUND_DISCLOSURE:
		return 32 * (size_t)length + 2 * round_code_size(spec);
	case ROUND_CHALLENGE:
		return round_code_size(spec);
	}
	return 0;
}

/* Four times what all seats need in the blocks there are: a quarter of these has room for all. Who leaves his own
 * blocks empty keeps somebody out only with three quarters of them, and the others may not be filled up by his own. */
uint32_t round_disclosures_most(const struct spec *spec)
{
	/* On a chain without rounds both are 0. */
	return spec->round_blocks > 0 ? (4 * spec->round_blocks + spec->round_reveal - 1) / spec->round_reveal : 0;
}

/* Each costs every node a segment. But the blocks behind the last disclosures have room for all seats together: who
 * discloses late has not hidden behind others who are challenged. */
uint32_t round_challenges_most(const struct spec *spec)
{
	const uint32_t blocks_left = spec->round_blocks > 0 ?
		spec->round_blocks - 2 - spec->round_work - spec->round_reveal :
		0;

	return blocks_left > 0 ? (spec->round_blocks + blocks_left - 1) / blocks_left : 0;
}
