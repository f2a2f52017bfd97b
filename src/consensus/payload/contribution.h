/* Data contributions: blobs that a transaction registers, and burns money for (doc/protocol.md section 12). */
#ifndef ATELIER_CONSENSUS_PAYLOAD_CONTRIBUTION_H
#define ATELIER_CONSENSUS_PAYLOAD_CONTRIBUTION_H

#include "consensus/payload/licence.h"
#include "consensus/tx.h"

struct contribution {
	uint8_t root[32];
	uint64_t size;
	uint8_t owner[32];
	uint8_t salt[32]; /* opens the commitment: consensus/payload/commitment.h */
	char licence[LICENCE_MAX + 1], title[65];
};

struct spec;

/* Whether the script is a well-formed data contribution; fills `contribution`, of which nothing is to be used if it is
 * not. */
bool contribution_parse(const struct bytes *script, struct contribution *contribution);
/* The first one of a transaction; false: it has none. */
bool contribution_find(const struct tx *tx, struct contribution *contribution);
/* The same of what follows the kind, for the table of payloads. */
bool contribution_formed(struct reader *payload);
/* Appends the payload that follows the kind; licence and title must be valid. */
void contribution_write(struct buf *out, const struct contribution *contribution);
/* Appends the script, likewise. */
void contribution_script(struct buf *out, const struct contribution *contribution);
/* Whether licence (an expression, consensus/payload/licence.h) and title (at most 64 bytes of UTF-8 without control
 * characters) can be registered. */
bool contribution_text_is_valid(const struct contribution *contribution);

/* Size and licence of every data contribution of a transaction that passed tx_check. Adds the sizes to *registered, for
 * the block's budget. What they must burn depends on the blocks before (consensus/branch/fees.h). */
bool contribution_check(const struct spec *spec, const struct tx *tx, uint64_t *registered_bytes,
	struct reject *reject);

/* Bytes that a transaction registers. */
uint64_t contribution_bytes(const struct tx *tx);

/* root of a blob: Merkle over pages. */
enum { CONTRIBUTION_PAGE = 4096 };
void contribution_root(const uint8_t *blob, size_t size, uint8_t root[32]);

#endif
