/* The calls that need nothing but the chain: blocks, transactions, mempool, datasets and proofs.
 *
 * Tables are registered one by one, each with its context. submitblock and reconsiderblock answer when verdicts are
 * there, so their context lives: calls_submit_new subscribes to the chain's events, calls_submit_close answers whoever
 * still waits, and calls_submit_free comes after chain_close. */
#ifndef ATELIER_CALLS_CHAIN_H
#define ATELIER_CALLS_CHAIN_H

#include "chain/chain.h"
#include "rpc/table.h"

/* rpc_blockchain.c: getblockchaininfo, getblock, ... , invalidateblock */
void calls_chain_add(struct rpc_table *table, struct chain *chain);
/* rpc_tx.c: getrawtransaction, decoderawtransaction, sendrawtransaction, gettxout, mempool calls */
void calls_tx_add(struct rpc_table *table, struct chain *chain);
/* rpc_data.c: listdatasets, getdataset, getproof, getblob */
void calls_data_add(struct rpc_table *table, struct chain *chain);

/* rpc_submit.c: submitblock, reconsiderblock */
struct event_base;
struct calls_submit;
struct calls_submit *calls_submit_new(struct rpc_table *table, struct chain *chain, struct event_base *base);
void calls_submit_close(struct calls_submit *submit);
void calls_submit_free(struct calls_submit *submit);

/* The entry of a hash argument, or NULL: then the request has been answered ("Block not found"). */
const struct index_entry *calls_chain_entry(struct rpc_request *r, const struct chain *chain, const char *name);

/* Appends the bytes of a text argument that holds something serialised. False if it is not hexadecimal: to Core that is
 * a thing that cannot be decoded, like any other. */
bool calls_chain_raw(const struct rpc_request *r, const char *name, struct buf *raw);

#endif
