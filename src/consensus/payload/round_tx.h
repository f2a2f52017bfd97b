/* Round transactions: what is said in the course of a round, by a transaction that spends no coin (doc/protocol.md
 * section 20). A commitment to a run is signed by who has the seat; a disclosure and a challenge by nobody, since what
 * they say can be held against what was committed to.
 *
 * Here is their one form alone. Whether the branch may have one now is said by consensus/branch/rounds.h, and whether
 * the bytes that it names are right by who executes them. On a chain without rounds there are none: a transaction of
 * this form is like any other there, and spends a coin that does not exist. */
#ifndef ATELIER_CONSENSUS_PAYLOAD_ROUND_TX_H
#define ATELIER_CONSENSUS_PAYLOAD_ROUND_TX_H

#include "consensus/tx.h"

/* The byte behind the magic of the payload. */
enum round_kind { ROUND_COMMIT = 3, ROUND_DISCLOSURE = 4, ROUND_CHALLENGE = 5 };

struct round_tx {
	enum round_kind kind;
	uint32_t height;       /* of the block whose seat it is */
	uint32_t length;       /* segments of the run, 1 or more (of a challenge 0) */
	uint32_t segment;      /* which one is challenged (of the others 0) */
	uint8_t root[32];      /* that a commitment commits to; or of the blob */
	uint8_t signature[64]; /* of a commitment, over round_commit_hash */
};

struct spec;

/* Whether it claims to be one: by the outpoint of its first input, whatever the chain. */
bool round_tx_is(const struct tx *tx);
/* False if it is not of the one form; round_tx is not to be used then. */
bool round_tx_parse(const struct tx *tx, struct round_tx *round_tx);
/* The transaction that says so: sealed, a reference of the caller's. */
const struct tx *round_tx_build(const struct round_tx *round_tx);

/* Whether the chain has round transactions and this is one. */
bool round_tx_is_on(const struct spec *spec, const struct tx *tx);
/* Whether a transaction that is one on this chain has the form, and its run a length that there is; every other passes.
 * It comes before tx_check. */
bool round_tx_check(const struct spec *spec, const struct tx *tx, struct reject *reject);

/* What the owner of a seat signs: the base names the round and its branch, so that it says nothing on another one. */
void round_commit_hash(const uint8_t base_id[32], const uint8_t seat_id[32], uint32_t length, const uint8_t root[32],
	uint8_t hash[32]);

/* Bytes of the code of a run's state, and of the blob that such a transaction names (0: it names none). Only that of a
 * disclosure depends on how many segments the run has. */
size_t round_code_size(const struct spec *spec);
size_t round_blob_size(const struct spec *spec, enum round_kind kind, uint32_t length);
/* In a block. */
uint32_t round_disclosures_most(const struct spec *spec);
uint32_t round_challenges_most(const struct spec *spec);

#endif
