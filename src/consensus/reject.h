/* Why an object is refused: the verdict of every consensus check.
 *
 * A check returns true, or false with the reject filled. `reason` is one of the reasons of doc/protocol.md and points
 * to static text; `detail` says in words what was expected and what was found. */
#ifndef ATELIER_CONSENSUS_REJECT_H
#define ATELIER_CONSENSUS_REJECT_H

#include <stdbool.h>

enum reject_code {
	REJECT_MALFORMED, /* does not parse */
	REJECT_INVALID,   /* breaks a rule: never valid */
	REJECT_POLICY,    /* valid perhaps, not taken into this node's mempool */
	REJECT_NOT_YET,   /* depends on time or on something missing: may be offered again */
};

struct reject {
	enum reject_code code;
	const char *reason; /* for example "bad-proof-ticket" */
	int ban_score;      /* 100: the sender must have known better */
	char detail[192];
};

/* Fills `reject` (NULL allowed) and returns false. INVALID and MALFORMED carry ban score 100, the others 0. */
bool reject_set(struct reject *reject, enum reject_code code, const char *reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
