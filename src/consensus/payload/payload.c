/* The table of payload kinds, and the rules that follow from it. */
#include "consensus/payload/payload.h"

#include "consensus/payload/commitment.h"

struct payload_row {
	uint8_t kind_byte;
	enum payload_kind kind;
	bool coinbase_only;
	/* Reads what follows the kind to its end. NULL: any form will do here, because who pays attention to this kind
	 * compares it byte by byte with what it must be (coinbase_check). */
	bool (*formed)(struct reader *payload);
	const char *outside, *malformed; /* what is wrong, after "output 3 " */
};

static const struct payload_row payload_rows[] = {
	{ PAYLOAD_BYTE_OUTCOME, PAYLOAD_OUTCOME, .coinbase_only = true,
		.outside = "states an outcome outside a coinbase" },
	{ PAYLOAD_BYTE_DATA, PAYLOAD_DATA, .formed = contribution_formed,
		.malformed = "is no well-formed contribution" },
	{ PAYLOAD_BYTE_COMMITMENT, PAYLOAD_COMMITMENT, .formed = commitment_formed,
		.malformed = "is no well-formed commitment" },
};

/* The row of the script's payload; NULL with *kind NONE or RESERVED. A payload of a kind without a row is valid, or a
 * later version could not give it rules without splitting the chain. */
static const struct payload_row *payload_row(const struct bytes *script, enum payload_kind *kind)
{
	struct reader payload;
	uint8_t kind_byte;

	*kind = PAYLOAD_NONE;
	if (!script_read_payload(script, &payload))
		return NULL;
	kind_byte = reader_u8(&payload);
	for (size_t i = 0; i < sizeof payload_rows / sizeof payload_rows[0]; i++) {
		if (payload_rows[i].kind_byte != kind_byte)
			continue;
		*kind = payload_rows[i].formed == NULL || payload_rows[i].formed(&payload) ? payload_rows[i].kind :
											     PAYLOAD_BAD;
		return &payload_rows[i];
	}
	*kind = PAYLOAD_RESERVED;
	return NULL;
}

enum payload_kind payload_kind(const struct bytes *script)
{
	enum payload_kind kind;

	payload_row(script, &kind);
	return kind;
}

/* A contribution in a coinbase passes here; coinbase_check leaves no place for one. */
bool payload_check(const struct bytes *script, size_t index, bool in_coinbase, struct reject *reject)
{
	enum payload_kind kind;
	const struct payload_row *kind_row = payload_row(script, &kind);

	if (kind_row == NULL)
		return true;
	if (kind == PAYLOAD_BAD)
		return reject_set(reject, REASON_BAD_CONTRIB_FORMAT, "output %zu %s", index, kind_row->malformed);
	if (kind_row->coinbase_only && !in_coinbase)
		return reject_set(reject, REASON_BAD_CONTRIB_FORMAT, "output %zu %s", index, kind_row->outside);
	return true;
}
