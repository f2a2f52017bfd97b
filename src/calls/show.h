/* How chain objects look in answers: Bitcoin Core's field names where it has them, plus our own.
 *
 * All functions return a new value or add fields to an object. Model losses and values are exact decimals made from the
 * protocol's integers; a loss that was not computed is null. */
#ifndef ATELIER_CALLS_SHOW_H
#define ATELIER_CALLS_SHOW_H

#include "chain/chain.h"
#include "ml/text/decoder.h"
#include "rpc/error.h"
#include "rpc/json.h"

/* The address of an x-only key on this chain. */
json_t *show_address(const struct spec *spec, const uint8_t key[32]);

/* An output's script: hexadecimal, what kind it is, and whom it pays or which data it registers. */
json_t *show_script(const struct spec *spec, const struct bytes *script);

/* decoderawtransaction's object. */
json_t *show_tx(const struct spec *spec, const struct tx *tx);
json_t *show_tx_hex(const struct tx *tx);

/* A 256-bit number, most significant digit first. */
json_t *show_u256(struct u256 number);
/* How many times harder than the easiest target, with 8 decimals. */
json_t *show_difficulty(const struct spec *spec, uint32_t bits);

/* A mean loss in nats, with 6 decimals; null if it is not finite. */
json_t *show_loss(float loss);
/* That of the model after a block: a void update leaves it as it was. */
json_t *show_loss_after(const struct block_outcome *block_outcome);
/* The same in millionths of a nat, to be counted with; below 0 where it would be null. And such a number shown. */
int64_t show_micro_loss(float loss);
int64_t show_micro_loss_after(const struct block_outcome *block_outcome);
json_t *show_micro(int64_t micro_loss);
/* An array of 256, with 6 decimals; null for one that is beyond a million. */
json_t *show_logits(const struct decoder_logits *logits);
/* 2^-32 nats as nats, with 10 decimals. */
json_t *show_value(int64_t value);

/* A rate of the base fee of data (consensus/branch/fees.h) as base units a byte, rounded up to 3 decimals. */
json_t *show_data_rate(uint64_t rate);

/* getblockheader's object. */
json_t *show_entry(struct chain *chain, const struct index_entry *entry);
/* What became of one slot of a block: its dataset, proofs, and what these were worth. */
json_t *show_slot(const struct block_outcome *block_outcome, uint32_t slot);
/* What a statement of a merge says of a seat, in words. */
const char *show_verdict(uint8_t verdict);
/* Whether the merge of the round from that base is measured by what its runs train on, and not by the reserved text: as
 * the merge at the base came to nothing. */
bool show_is_judged_by_data(const struct chain *chain, uint32_t base);
const char *show_judged_by(const struct chain *chain, uint32_t base); /* in words */
/* How many seats have each of these. */
json_t *show_verdicts(const struct merge_statement *statement);
/* Adds what is known from ENTRY_VERIFIED on: losses, outcome and model_root_after. Nothing before. */
void show_add_result(json_t *shown, const struct index_entry *entry);

/* getblock's object; verbosity 1 or 2. */
json_t *show_block(struct chain *chain, const struct index_entry *entry, const struct block *block, int verbosity);

/* What the coinbase of a block at that height pays: to miners for its proofs, to the owners of the data of its
 * parent's, and for the runs that its parent merged. */
struct show_payments {
	int64_t miners, data, runs;
};
void show_sum_payments(const struct spec *spec, uint32_t height, const struct block *block,
	struct show_payments *payments);

/* A proof alone: id, seed, ticket, slot, miner and the like. */
json_t *show_proof(const struct spec *spec, const struct header *header);

/* The same of a proof of a block, with its dataset; of a late one with its parent's height and what it is worth, 1 or
 * less. */
json_t *show_block_proof(const struct spec *spec, const struct index_entry *entry, const struct block *block,
	size_t index);

/* Confirmations as Core counts them: 1 for the tip, -1 off the active chain. */
int64_t show_confirmations(const struct chain *chain, const struct index_entry *entry);

/* The texts of the warnings that are set (util/warning.h). */
json_t *show_warnings(void);

const char *show_status(enum entry_status status);

#endif
