/* What the operator should know as long as it lasts: one text for each kind of trouble.
 *
 * Whoever finds the trouble sets its warning, as often as it is found, and clears it when it is over. The log has a
 * line when it begins and one when it ends; RPC shows what is set under `warnings`, as Bitcoin Core does. Kept for the
 * process as the log is. Any thread. */
#ifndef ATELIER_UTIL_WARNING_H
#define ATELIER_UTIL_WARNING_H

#include <stdbool.h>

#include "util/error.h"

enum warning {
	WARNING_CLOCK,    /* this machine's clock does not fit the chain or the peers */
	WARNING_ISOLATED, /* no connection to another node */
	WARNING_BRANCH,   /* a branch with more work is not taken */
	WARNING_MINING,   /* mining was asked for and pauses */
	WARNING_BYTES,    /* a block waits for the bytes of a dataset */
	WARNING_BLOCK,    /* something that a block needs is here and cannot be read */
	WARNING_WALLET,   /* a wallet cannot be opened */
	WARNING_RUNS,     /* a run of this node's own waits, or is in danger */
	WARNING_TRACES,   /* what it has come to cannot be written */
	WARNING_ENGINE,   /* this machine computes wrongly */
	WARNING_RECHECK,  /* a run of the open round is false */
	WARNING_PAGE,     /* the browser's page is not served */
	WARNING_CREDIT,   /* what customers used cannot be written down */
};
enum { WARNING_KINDS = WARNING_CREDIT + 1 };

/* Sets the warning of this kind. A text that differs from the one before takes its place, without another line. */
void warning_set(enum warning kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Nothing happens if it is not set. */
void warning_clear(enum warning kind);

/* Whether it is set; then the text is copied. */
bool warning_get(enum warning kind, struct errmsg *text);

#endif
