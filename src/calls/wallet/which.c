/* The wallet that a request is for. */
#include "calls/wallet/which.h"

struct wallet *which_wallet(struct rpc_request *request, struct wallets *wallets)
{
	const char *wallet_named = rpc_wallet(request), *down_reason;
	struct wallet *wallet = NULL;
	size_t loaded_count;

	/* A wallet whose disk failed is opened again as soon as it can be: before anything is said about it. */
	wallets_mend(wallets);
	loaded_count = wallets_count(wallets);
	down_reason = wallets_down(wallets, wallet_named);
	/* One that is down is not to be taken for one that is not there; and while one is down another is not taken for
	 * it because it is the only one left. */
	if (down_reason != NULL && (wallet_named != NULL || loaded_count == 0)) {
		rpc_fail(request, RPC_WALLET_ERROR, "The wallet is down until it can be opened again: %s", down_reason);
	} else if (wallet_named != NULL) {
		wallet = wallets_find(wallets, wallet_named);
		if (wallet == NULL)
			rpc_fail(request, RPC_WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded");
	} else if (loaded_count == 1 && down_reason == NULL) {
		wallet = wallets_at(wallets, 0);
	} else if (loaded_count == 0) {
		rpc_fail(request, RPC_WALLET_NOT_FOUND,
			"No wallet is loaded. Load a wallet using loadwallet or create a new one with createwallet.");
	} else {
		rpc_fail(request, RPC_WALLET_NOT_SPECIFIED,
			"Several wallets are loaded: name one in the address, /wallet/<name>");
	}
	return wallet;
}
