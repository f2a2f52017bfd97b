/* Transactions: Bitcoin's segwit serialisation, with P2TR and OP_RETURN outputs only (doc/protocol.md section 11).
 *
 * A transaction is built, then sealed. While it is built it is a `struct tx *` with one owner, who may change it.
 * Sealing computes its ids and sizes, once; from then on it is a `const struct tx *`, never changes again, and is
 * counted: whoever keeps one takes a reference of his own (tx_ref), whoever is handed one to keep releases it
 * (tx_unref). What was read is sealed. Who wants another transaction copies it (tx_copy) and seals the copy.
 *
 * Counts are atomic, so any thread may hold and release a sealed transaction. To change one that is sealed, or to ask
 * one that is not for its id, is a bug: it ends the process.
 *
 * A struct tx owns its arrays. Parsing bounds every length by the bytes that are there. */
#ifndef ATELIER_CONSENSUS_TX_H
#define ATELIER_CONSENSUS_TX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consensus/reject.h"
#include "consensus/script.h"

#define COIN INT64_C(100000000)
#define MAX_MONEY (INT64_C(21000000) * COIN)

struct outpoint {
	uint8_t txid[32];
	uint32_t index;
};

struct tx_input {
	struct outpoint prev;
	struct bytes script; /* scriptSig: empty unless coinbase */
	uint32_t sequence;
	struct bytes *witness;
	size_t witness_count;
};

struct tx_output {
	int64_t amount;
	struct bytes script;
};

struct tx {
	uint32_t version, locktime;
	struct tx_input *inputs;
	size_t input_count;
	struct tx_output *outputs;
	size_t output_count;
	/* What sealing adds, for tx_txid, tx_wtxid, tx_size and the count of references. */
	struct {
		bool done;
		uint8_t txid[32], wtxid[32];
		size_t size, size_bare; /* with witnesses, without */
		atomic_size_t references;
	} seal;
};

/* Building: version 2, nothing in it. The pointers that adding returns last until the next is added. */
struct tx *tx_new(void);
struct tx *tx_copy(const struct tx *tx); /* unsealed, whatever tx is */
struct tx_input *tx_add_input(struct tx *tx, const struct outpoint *prev, uint32_t sequence);
struct tx_output *tx_add_output(struct tx *tx, int64_t amount, const uint8_t *script, size_t size); /* copies */
void tx_set_witness(struct tx *tx, size_t input, const uint8_t *item, size_t size);                 /* one element */
const struct tx *tx_seal(struct tx *tx); /* the same, with the builder's reference */

/* Holding: tx_ref returns its argument. tx_unref takes one that is not sealed too, and NULL. */
const struct tx *tx_ref(const struct tx *tx);
void tx_unref(const struct tx *tx);

/* Reads one transaction, sealed; NULL (and tx_reader->ok false) if the bytes are not one. */
const struct tx *tx_read(struct reader *tx_reader);
void tx_write(struct buf *raw_tx, const struct tx *tx, bool with_witness);
size_t tx_size(const struct tx *tx, bool with_witness);
size_t tx_weight(const struct tx *tx);
const uint8_t *tx_txid(const struct tx *tx); /* 32 bytes, as long as the transaction; sealed ones only */
const uint8_t *tx_wtxid(const struct tx *tx);
bool tx_is_coinbase(const struct tx *tx);

bool tx_amount_valid(int64_t amount);

/* Every rule that needs no context, contributions' own included (sections 11 and 12 but for sizes, burn and budget). */
bool tx_check(const struct tx *tx, struct reject *reject);

/* nLockTime against the block's height and the parent's median time. */
bool tx_is_final(const struct tx *tx, uint32_t height, uint32_t median_time);

#endif
