/* What a block did to the model, as integers (doc/protocol.md section 10), and its statement in the next coinbase
 * (section 13). */
#ifndef ATELIER_CONSENSUS_PAYLOAD_OUTCOME_H
#define ATELIER_CONSENSUS_PAYLOAD_OUTCOME_H

#include "consensus/script.h"

/* Their statement fits into one push. */
enum { OUTCOME_MAX_SLOTS = 14 };

#define OUTCOME_VALUE_MAX (INT64_C(1) << 47) /* in size */

struct outcome {
	bool is_void;
	uint32_t slots;
	struct {
		uint32_t count; /* proofs of the slot; not in the payload, there only > 0 or not */
		bool left_out;
		int64_t effect; /* A, on the reserved text */
		int64_t value;  /* V, which is paid */
		/* Not in the payload; for people: */
		int64_t own; /* O, on the own pages of its dataset */
		bool known;  /* and whether the model has learned of these */
	} slot[OUTCOME_MAX_SLOTS];
};

/* Appends the script that states it. */
void outcome_script(struct buf *out, const struct outcome *outcome);
/* Reads the statement of a coinbase for a chain of that many slots; counts come back as 0 or 1. False if it is not the
 * exact form that outcome_script gives, or a value exceeds OUTCOME_VALUE_MAX in size. */
bool outcome_parse(const struct bytes *script, uint32_t slots, struct outcome *outcome);

#endif
