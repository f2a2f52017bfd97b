/* Commitments: their hash, their payload, and what they cost. */
#include "consensus/payload/commitment.h"

#include "consensus/payload/payload.h"
#include "crypto/hash.h"

/* The words in front keep it apart from every other hash of the protocol; lengths stand before what has none of its
 * own, so no two registrations write the same bytes. Licence and title are in it, or whoever finds the next block could
 * register an owner's data under other words. Without the salt a guess at somebody's data could be confirmed. */
void commitment_hash(const struct contribution *contribution, uint8_t hash[32])
{
	struct buf committed;

	buf_init(&committed);
	buf_put_text(&committed, "atelier data");
	contribution_write(&committed, contribution);
	sha256(hash, committed.data, committed.size);
	buf_clear(&committed);
}

static bool commitment_read(struct reader *payload, uint8_t hash[32])
{
	return reader_copy(payload, hash, 32) && reader_done(payload);
}

bool commitment_formed(struct reader *payload)
{
	uint8_t unwanted_hash[32];

	return commitment_read(payload, unwanted_hash);
}

bool commitment_parse(const struct bytes *script, uint8_t hash[32])
{
	struct reader payload;

	return script_read_payload(script, &payload) && reader_u8(&payload) == PAYLOAD_BYTE_COMMITMENT &&
		commitment_read(&payload, hash);
}

void commitment_script(struct buf *out, const uint8_t hash[32])
{
	struct buf payload;

	script_begin_payload(&payload, PAYLOAD_BYTE_COMMITMENT);
	buf_put(&payload, hash, 32);
	script_end_payload(&payload, out);
}

/* Every node remembers each of them for weeks: hence the burn, and how many a block may bring. */
bool commitment_check(const struct tx *tx, size_t *committed, struct reject *reject)
{
	uint8_t hash[32];

	for (size_t i = 0; i < tx->output_count; i++) {
		if (!commitment_parse(&tx->outputs[i].script, hash))
			continue;
		if (tx->outputs[i].amount < COMMITMENT_BURN)
			return reject_set(reject, REASON_BAD_COMMITMENT_BURN, "output %zu burns %lld instead of %d", i,
				(long long)tx->outputs[i].amount, COMMITMENT_BURN);
		if (++*committed > COMMITMENT_BLOCK_MAX)
			return reject_set(reject, REASON_BAD_COMMITMENT_COUNT, "more than %d commitments",
				COMMITMENT_BLOCK_MAX);
	}
	return true;
}
