/* The page's key: who has it may do in the browser what touches the wallet.
 *
 * It is 64 digits in a file of mode 0600, new at each start, as the cookie of JSON-RPC is: whoever can read it may. A
 * request says it in X-Atelier-Key; a page learns it from its address, behind #key=, which browsers do not send. */
#ifndef ATELIER_WEB_KEY_H
#define ATELIER_WEB_KEY_H

#include <stdbool.h>

#include "util/error.h"

struct key {
	char digits[65];
	char *path; /* of the file that was written; NULL: none was */
};

/* Makes one and writes it. False if it cannot be written; key_clear is due whatever comes back. */
bool key_init(struct key *key, const char *path, struct errmsg *err);

/* Removes the file. */
void key_clear(struct key *key);

/* Whether what a request says (NULL: nothing) is the key. Takes the same time wherever it differs. */
bool key_match(const struct key *key, const char *given);

#endif
