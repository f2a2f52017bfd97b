/* The calls that need nothing but the chain: blocks, transactions, mempool, datasets and proofs.
 *
 * Tables are registered one by one, each with its context. submitblock and reconsiderblock answer when verdicts are
 * there, so their context lives: rpc_submit_new subscribes to the chain's events, rpc_submit_close answers whoever
 * still waits, and rpc_submit_free comes after chain_close. */
#ifndef ATELIER_RPC_RPC_CHAIN_H
#define ATELIER_RPC_RPC_CHAIN_H

#include "chain/chain.h"
#include "rpc/table.h"

/* rpc_blockchain.c: getblockchaininfo, getblock, ... , invalidateblock */
void rpc_blockchain_add(struct rpc_table *table, struct chain *chain);
/* rpc_tx.c: getrawtransaction, decoderawtransaction, sendrawtransaction, gettxout, mempool calls */
void rpc_tx_add(struct rpc_table *table, struct chain *chain);
/* rpc_data.c: listdatasets, getdataset, getproof, getblob */
void rpc_data_add(struct rpc_table *table, struct chain *chain);

/* rpc_submit.c: submitblock, reconsiderblock */
struct event_base;
struct rpc_submit;
struct rpc_submit *rpc_submit_new(struct rpc_table *table, struct chain *chain, struct event_base *base);
void rpc_submit_close(struct rpc_submit *submit);
void rpc_submit_free(struct rpc_submit *submit);

/* The entry of a hash argument, or NULL: then the request has been answered ("Block not found"). */
const struct index_entry *rpc_chain_entry(struct rpc_request *r, const struct chain *chain, const char *name);

/* Appends the bytes of a text argument that holds something serialised. False if it is not hexadecimal: to Core that is
 * a thing that cannot be decoded, like any other. */
bool rpc_chain_raw(const struct rpc_request *r, const char *name, struct buf *raw);

#endif
