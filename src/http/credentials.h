/* Who may: HTTP's "Basic" authorization (RFC 7617), with a user and a password, or with a cookie file.
 *
 * The cookie is `__cookie__:<64 digits>` in a file of mode 0600, new at each start: whoever can read it may. Where a
 * password is set there is no cookie. */
#ifndef ATELIER_HTTP_CREDENTIALS_H
#define ATELIER_HTTP_CREDENTIALS_H

#include <stdbool.h>

#include "util/error.h"

struct credentials {
	char *field;       /* what a request's Authorization must say */
	char *cookie_path; /* of the file that was written; NULL: none was */
};

/* Takes user and password, or writes the cookie where the password is NULL or "". False if that cannot be written;
 * credentials_clear is due whatever comes back. */
bool credentials_init(struct credentials *credentials, const char *user, const char *password, const char *cookie_path,
	struct errmsg *err);

/* Removes the cookie. */
void credentials_clear(struct credentials *credentials);

/* Whether a request's Authorization (NULL: it had none) is the right one. Takes the same time wherever it differs. */
bool credentials_match(const struct credentials *credentials, const char *given);

/* Whether two texts are the same, in a time that tells nothing but their lengths. */
bool credentials_same(const char *given, const char *right);

/* "user:password" as a request's Authorization; a new string. */
char *credentials_field(const char *plain);

#endif
