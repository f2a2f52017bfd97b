/* Why an object is refused: the verdict of every consensus check.
 *
 * A check returns true, or false with the reject filled. `reason` is one of the reasons of doc/protocol.md and points
 * to static text, `why` says which one (consensus/reasons.h); `detail` says in words what was expected and what was
 * found. */
#ifndef ATELIER_CONSENSUS_REJECT_H
#define ATELIER_CONSENSUS_REJECT_H

#include <stdbool.h>

#include "consensus/reasons.h"

struct reject {
	enum reject_code code;
	enum reason why;
	const char *reason; /* for example "bad-proof-ticket" */
	int ban_score;      /* 100: the sender must have known better */
	char detail[192];
};

/* Fills `reject` (NULL allowed) with the reason's usual verdict and returns false. INVALID and MALFORMED carry ban
 * score 100, the others 0. */
bool reject_set(struct reject *reject, enum reason why, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same where this place makes the verdict another one. */
bool reject_as(struct reject *reject, enum reject_code code, enum reason why, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* INVALID for a reason of an earlier time, of which the text is left: from the database it may be one that this version
 * does not know. The text must last as long as the reject. */
bool reject_again(struct reject *reject, const char *reason, const char *detail);

/* Whether a peer who sent this block, or this transaction by itself, must have known better. */
bool reject_blames_block(const struct reject *reject);
bool reject_blames_tx(const struct reject *reject);

#endif
