/* The kinds of "atl" payloads (doc/protocol.md section 12), one row each: where one may stand, and what form it must
 * have.
 *
 * A new kind is a row here and a module that reads and writes it. Kinds without a row are reserved: valid whatever they
 * carry, so that a later version can give them rules, and not relayed until then. */
#ifndef ATELIER_CONSENSUS_PAYLOAD_PAYLOAD_H
#define ATELIER_CONSENSUS_PAYLOAD_PAYLOAD_H

#include "consensus/reject.h"
#include "consensus/script.h"

/* The byte behind the magic. */
enum {
	PAYLOAD_BYTE_OUTCOME = 0,
	PAYLOAD_BYTE_DATA = 1,
	PAYLOAD_BYTE_MERGE = 2, /* in coinbases, where rounds are; elsewhere reserved */
	PAYLOAD_BYTE_COMMITMENT = 6,
};

enum payload_kind {
	PAYLOAD_NONE,       /* no payload */
	PAYLOAD_OUTCOME,    /* what a block did to the model: consensus/payload/outcome.h */
	PAYLOAD_DATA,       /* a data contribution: consensus/payload/contribution.h */
	PAYLOAD_COMMITMENT, /* to a data contribution: consensus/payload/commitment.h */
	PAYLOAD_RESERVED,   /* a kind of no row */
	PAYLOAD_BAD,        /* a kind whose form is not met */
};

enum payload_kind payload_kind(const struct bytes *script);

/* Whether output `index` of a transaction, a coinbase or not, may have this script as far as payloads go. */
bool payload_check(const struct bytes *script, size_t index, bool in_coinbase, struct reject *reject);

#endif
