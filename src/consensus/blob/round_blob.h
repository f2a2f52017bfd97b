/* The bytes that come with round transactions (doc/protocol.md section 20): what hashes show of them. Whether a segment
 * is true is for who executes it. */
#ifndef ATELIER_CONSENSUS_BLOB_ROUND_BLOB_H
#define ATELIER_CONSENSUS_BLOB_ROUND_BLOB_H

#include "consensus/reject.h"
#include "consensus/spec.h"

/* The blob of a disclosure in its parts: pointers into it. */
struct round_disclosed {
	const uint8_t *digests; /* d_1 .. d_t, 32 bytes each, t being the length of the run */
	const uint8_t *audited; /* Q_j, what the drawn segment starts from */
	const uint8_t *result;  /* Q_t, what the run changed */
};

/* False: it has not the size of one of a run of so many segments. */
bool round_blob_split(const struct spec *spec, uint32_t length, const uint8_t *blob, size_t size,
	struct round_disclosed *disclosed);

/* d_j, j = 0 .. t; d_0 is H(Q_0), which no list has. */
void round_blob_digest(const struct spec *spec, const uint8_t *digests, uint32_t segment, uint8_t digest[32]);

/* Whether it shows what that segment starts from. */
bool round_blob_shows(const struct spec *spec, const struct round_disclosed *disclosed, uint32_t segment);

/* Whether bytes, the first of such a blob, begin with the list of digests that was committed to. */
bool round_blob_begins(uint32_t length, const uint8_t *bytes, size_t count, const uint8_t trace_root[32]);

/* The rule for disclosures, whole: size, list, Q_j of the drawn segment and result (bad-round-disclosure). */
bool round_blob_check_disclosure(const struct spec *spec, uint32_t length, const uint8_t *blob, size_t size,
	const uint8_t trace_root[32], uint32_t audited, struct reject *reject);
/* Whether it would be right if its list had been committed to, and one of its segments were drawn: another branch can
 * have it then, where the seat signed something else, or the beacon is another block. */
bool round_blob_is_elsewhere(const struct spec *spec, uint32_t length, const uint8_t *blob, size_t size);

/* The rule for challenges as far as hashes go: the blob is the Q_j that was disclosed a digest of
 * (bad-round-challenge). */
bool round_blob_check_challenge(const struct spec *spec, const uint8_t *blob, size_t size, const uint8_t *digests,
	uint32_t segment, struct reject *reject);

#endif
