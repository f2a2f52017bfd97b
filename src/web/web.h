/* The page's server: a browser's window into the node, at http://127.0.0.1:PORT/ (doc/rest.md).
 *
 * It gives out the page's files (web/files.h) and, below /api/, what calls of JSON-RPC answer (web/api.h), what happens
 * (web/events.h), and some things to do (web/actions.h). Nobody is asked for credentials, but for the page's key
 * (web/key.h) where a wallet is touched. It listens on this machine alone unless it is told otherwise, and takes
 * requests of its own pages only (web/guard.h). Everything is on the loop's thread. */
#ifndef ATELIER_WEB_WEB_H
#define ATELIER_WEB_WEB_H

#include "chain/chain.h"
#include "config/settings.h"
#include "credit/credit.h"
#include "rpc/table.h"
#include "util/error.h"
#include "work/runner.h"
#include "work/text/writer.h"

struct web;
struct event_base;

/* Listens, as the settings say, which are borrowed, and adds getpageaddress to the table, which must outlive it. Where
 * the port is taken that nobody asked for, a warning says so, and the rest does nothing. NULL if what was asked for is
 * not to be had. */
struct web *web_open(struct event_base *base, const struct settings *settings, struct rpc_table *table,
	struct errmsg *err);

/* The chain is open, and what trains this node's own runs, what writes texts, and what they cost whom. All are
 * borrowed, and freed after web_free; but the writer has answered all by then. */
void web_begin(struct web *web, struct chain *chain, const struct runner *runner, struct writer *writer,
	struct credit *credit);

/* Whether a key of the API has this name, or there is no door that would ask for one; context: the web. */
bool web_has_key(void *context, const char *name);

/* The loop will not run any more: before the parts that answer calls are closed. Then the end. NULL allowed for both.
 */
void web_close(struct web *web);
void web_free(struct web *web);

#endif
