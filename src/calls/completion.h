/* Receipts of texts as JSON: of what the writer wrote, and read again (work/text/receipt.h). */
#ifndef ATELIER_CALLS_COMPLETION_H
#define ATELIER_CALLS_COMPLETION_H

#include "calls/calls.h"
#include "work/text/receipt.h"

/* That of what has been written behind a prompt with these options: a new value. NULL with the error set if the node's
 * key cannot be had. */
json_t *completion_receipt(const struct calls_parts *parts, const struct pick_options *options, const void *prompt,
	size_t prompt_size, const struct writer_result *result, struct errmsg *err);

/* False with the error set. */
bool completion_read(const json_t *shown, struct receipt *receipt, struct rpc_error *error);

#endif
