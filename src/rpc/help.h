/* The text of `help`, made from the tables. Used by rpc/table.c. Results are new strings. */
#ifndef ATELIER_RPC_HELP_H
#define ATELIER_RPC_HELP_H

#include "rpc/method.h"

/* One line: `getblock "blockhash" ( verbosity )`. Appends it. */
void help_line(const struct rpc_method *method, struct buf *help_text);

/* All about one method. */
char *help_method(const struct rpc_method *method);

#endif
