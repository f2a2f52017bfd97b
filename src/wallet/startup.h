/* Which wallets are loaded when the node starts: the file ".startup" in the folder of wallets, a name a line. */
#ifndef ATELIER_WALLET_STARTUP_H
#define ATELIER_WALLET_STARTUP_H

#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

enum { STARTUP_MAX = 1000 }; /* names in the list */

/* The names, in the order they were added; none where there is no file. The caller frees each and the array; NULL: the
 * file cannot be read, or is too long for such a list. Whether the names are fit for wallets is not looked at. */
char **startup_read(const char *dir, size_t *count, struct errmsg *err);

/* Adds the name or takes it off; nothing is written if it is as wanted already. The file is replaced whole. */
bool startup_set(const char *dir, const char *name, bool wanted, struct errmsg *err);

#endif
