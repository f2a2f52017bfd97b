/* OP_RETURN payloads that start with "atl" (doc/protocol.md sections 12 and 13), and the scripts we make. */
#ifndef ATELIER_CONSENSUS_CONTRIBUTION_H
#define ATELIER_CONSENSUS_CONTRIBUTION_H

#include "consensus/tx.h"

enum contribution_kind {
	CONTRIBUTION_NONE,
	CONTRIBUTION_OUTCOME,
	CONTRIBUTION_DATA,
	CONTRIBUTION_RESERVED,
	CONTRIBUTION_BAD
};

struct contribution {
	uint8_t root[32];
	uint64_t size;
	uint8_t owner[32];
	char licence[17], title[65];
};

struct spec;

enum { OUTCOME_MAX_SLOTS = 16 };

#define OUTCOME_VALUE_MAX (INT64_C(1) << 47) /* in size */

/* What a block did to the model, as integers (section 10): what the next coinbase states. */
struct outcome {
	bool is_void;
	uint32_t slots;
	struct {
		uint32_t count; /* proofs of the slot; not in the payload, there only > 0 or not */
		bool left_out;
		int64_t value;
	} slot[OUTCOME_MAX_SLOTS];
};

/* Which kind of "atl" payload the script carries. DATA fills `data` (NULL allowed). */
enum contribution_kind contribution_parse(const struct bytes *script, struct contribution *data);
/* Appends the script; licence and title must be valid. */
void contribution_script(struct buf *out, const struct contribution *data);
/* Whether licence (1..16 visible ASCII characters) and title (at most 64 bytes of UTF-8 without control characters) can
 * be registered. */
bool contribution_text_is_valid(const struct contribution *data);

/* Size and burn of every data contribution of a transaction that passed tx_check. Adds the sizes to *registered, for
 * the block's budget. */
bool contribution_check(const struct spec *spec, const struct tx *tx, uint64_t *registered, struct reject *reject);

void outcome_script(struct buf *out, const struct outcome *outcome);
/* Reads the statement of a coinbase for a chain of that many slots; counts come back as 0 or 1. False if it is not the
 * exact form that outcome_script gives, or a value exceeds OUTCOME_VALUE_MAX in size. */
bool outcome_parse(const struct bytes *script, uint32_t slots, struct outcome *outcome);

void script_p2tr(uint8_t out[P2TR_SIZE], const uint8_t key[32]);

/* root of a blob: Merkle over 4 KiB pages. */
void blob_root(const uint8_t *data, size_t size, uint8_t root[32]);

#endif
