/* The calls of wallets.
 *
 * A client names a wallet in the address (/wallet/NAME, atelier-cli -rpcwallet=NAME); with one wallet loaded it need
 * not. */
#ifndef ATELIER_CALLS_WALLET_WALLET_H
#define ATELIER_CALLS_WALLET_WALLET_H

#include "rpc/table.h"
#include "wallet/spend.h"
#include "wallet/wallets.h"

/* All of them; the parts below are registered by it, each with the wallets as its context. */
void calls_wallet_add(struct rpc_table *table, struct wallets *wallets);
void calls_address_add(struct rpc_table *table, struct wallets *wallets);    /* addresses, balances and coins */
void calls_history_add(struct rpc_table *table, struct wallets *wallets);    /* transactions */
void calls_send_add(struct rpc_table *table, struct wallets *wallets);       /* payments */
void calls_contribute_add(struct rpc_table *table, struct wallets *wallets); /* contributedata */

/* The wallet that is meant, or NULL: then the request has been answered, and is gone with its arguments. */
struct wallet *calls_wallet_named(struct rpc_request *r, struct wallets *wallets);

/* Builds, signs and hands over a transaction. False: the request has been answered with the reason. */
bool calls_wallet_spend(struct rpc_request *r, struct wallets *wallets, struct wallet *wallet,
	const struct spend_request *request, uint8_t txid[32], int64_t *fee);

/* The same in two steps, for who must do something between them. */
const struct tx *calls_wallet_build(struct rpc_request *r, struct wallet *wallet, const struct spend_request *request,
	int64_t *fee);
bool calls_wallet_send(struct rpc_request *r, struct wallets *wallets, struct wallet *wallet, const struct tx *tx);

/* A fee rate argument, in base units for each virtual byte with up to three decimals, as spend_request wants it; 0: not
 * given. */
int64_t calls_wallet_rate(const struct rpc_request *r, const char *name);

#endif
