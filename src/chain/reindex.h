/* -reindex: block files are read again, and every block that fits is ENTRY_STORED in the database; it is verified again
 * as any other.
 *
 * From reindex_begin on, which comes before the old database goes, until reindex_run has come to its end one is
 * `needed`: the next start begins it anew. */
#ifndef ATELIER_CHAIN_REINDEX_H
#define ATELIER_CHAIN_REINDEX_H

#include "chain/chain.h"

bool reindex_needed(const struct chain *chain);
bool reindex_begin(const struct chain *chain, struct errmsg *err);
bool reindex_run(struct chain *chain, const struct chain_options *options, struct errmsg *err);
/* The same for what lies in the block files behind all that a loaded index names: a database that lost its last writes
 * (its log is gone or cut short, or it is an older copy) opens without complaint, and its blocks must not be lost for
 * it. */
bool reindex_rest(struct chain *chain, const struct chain_options *options, struct errmsg *err);

#endif
