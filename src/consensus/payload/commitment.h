/* Commitments: a hash that says, before anybody knows the data, whose they will be (doc/protocol.md section 12).
 *
 * Who sees a registration on its way could register the same root for himself. So a registration counts only with a
 * commitment that a block had before; it says the salt that opens it, and of two registrations of one root the one
 * with the earlier commitment is right. */
#ifndef ATELIER_CONSENSUS_PAYLOAD_COMMITMENT_H
#define ATELIER_CONSENSUS_PAYLOAD_COMMITMENT_H

#include "consensus/payload/contribution.h"

enum {
	COMMITMENT_BURN = 10000,     /* base units: the least that one burns */
	COMMITMENT_BLOCK_MAX = 1024, /* in a block */
	COMMITMENT_WINDOW = 2016,    /* blocks after its own in which it can be opened */
};

/* What the registration's commitment must say: H("atelier data" | all that the registration says). */
void commitment_hash(const struct contribution *contribution, uint8_t hash[32]);

/* Whether the script is a well-formed commitment; fills hash if it is. */
bool commitment_parse(const struct bytes *script, uint8_t hash[32]);
/* The same of what follows the kind, for the table of payloads. */
bool commitment_formed(struct reader *payload);
/* Appends the script. */
void commitment_script(struct buf *out, const uint8_t hash[32]);

/* The burn of every commitment of a transaction that passed tx_check, and that *committed, to which they are added,
 * stays within what a block may have. */
bool commitment_check(const struct tx *tx, size_t *committed, struct reject *reject);

#endif
