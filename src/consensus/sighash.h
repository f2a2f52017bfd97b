/* BIP341 signature hashes and key-path spends. */
#ifndef ATELIER_CONSENSUS_SIGHASH_H
#define ATELIER_CONSENSUS_SIGHASH_H

#include "consensus/tx.h"

enum { SIGHASH_DEFAULT = 0, SIGHASH_ALL = 1, SIGHASH_NONE = 2, SIGHASH_SINGLE = 3, SIGHASH_ANYONECANPAY = 0x80 };

/* The parts of the hash that all inputs share, computed once a transaction. Borrows tx and spent (one output
 * an input). */
struct sighash_cache {
	const struct tx *tx;
	const struct tx_output *spent;
	uint8_t prevouts[32], amounts[32], scripts[32], sequences[32], outputs[32];
};
void sighash_init(struct sighash_cache *sighash, const struct tx *tx, const struct tx_output *spent);

/* Key-path message of an input; annex NULL if there is none. False for a hash type that is not defined, or
 * SIGHASH_SINGLE without its output. */
bool sighash_taproot(const struct sighash_cache *sighash, size_t input, uint8_t hash_type, const struct bytes *annex,
	uint8_t hash[32]);

/* Checks the witness of one input against the P2TR output it spends. */
bool sighash_verify_input(const struct sighash_cache *sighash, size_t input, struct reject *reject);
/* All inputs. */
bool sighash_verify(const struct tx *tx, const struct tx_output *spent, struct reject *reject);

#endif
