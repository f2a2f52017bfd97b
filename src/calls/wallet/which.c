/* The wallet that a request is for. */
#include "calls/wallet/which.h"

struct wallet *which_wallet(struct rpc_request *r, struct wallets *wallets)
{
	const char *name = rpc_wallet(r), *down;
	struct wallet *wallet = NULL;
	size_t count;

	/* A wallet whose disk failed is opened again as soon as it can be: before anything is said about it. */
	wallets_mend(wallets);
	count = wallets_count(wallets);
	down = wallets_down(wallets, name);
	/* One that is down is not to be taken for one that is not there; and while one is down another is not taken for
	 * it because it is the only one left. */
	if (down != NULL && (name != NULL || count == 0)) {
		rpc_fail(r, RPC_WALLET_ERROR, "The wallet is down until it can be opened again: %s", down);
	} else if (name != NULL) {
		wallet = wallets_find(wallets, name);
		if (wallet == NULL)
			rpc_fail(r, RPC_WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded");
	} else if (count == 1 && down == NULL) {
		wallet = wallets_at(wallets, 0);
	} else if (count == 0) {
		rpc_fail(r, RPC_WALLET_NOT_FOUND,
			"No wallet is loaded. Load a wallet using loadwallet or create a new one with createwallet.");
	} else {
		rpc_fail(r, RPC_WALLET_NOT_SPECIFIED,
			"Several wallets are loaded: name one in the address, /wallet/<name>");
	}
	return wallet;
}
