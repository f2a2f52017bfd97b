/* Which wallet is meant: a client names it in the address (/wallet/NAME, atelier-cli -rpcwallet=NAME); with one wallet
 * loaded it need not. */
#ifndef ATELIER_CALLS_WALLET_WHICH_H
#define ATELIER_CALLS_WALLET_WHICH_H

#include "rpc/method.h"
#include "wallet/wallets.h"

/* The wallet, or NULL: then the request has been answered, and is gone with its arguments. */
struct wallet *which_wallet(struct rpc_request *request, struct wallets *wallets);

#endif
