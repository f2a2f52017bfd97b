/* The node: opens its parts in order, runs the loop, and closes them in reverse.
 *
 * Everything runs on the loop's thread; one queue takes all that is long (util/queue.h): verification, mining, and
 * what people ask for (audits, text). SIGINT, SIGTERM and the call `stop` end the loop; running jobs are cancelled
 * then. SIGHUP opens the log anew. When the disk fails, the chain says so, and the node ends too: what was acknowledged
 * before is safe. */
#ifndef ATELIER_NODE_NODE_H
#define ATELIER_NODE_NODE_H

#include "config/settings.h"
#include "util/error.h"

/* Runs until it is told to end. False with the reason if it could not start, or could not go on. */
bool node_run(const struct settings *settings, struct errmsg *err);

#endif
