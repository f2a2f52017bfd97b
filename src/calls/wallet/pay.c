/* Spending for a call: every way in which it fails is an answer. */
#include "calls/wallet/pay.h"

#include <string.h>

int64_t pay_rate(const struct rpc_request *r, const char *name)
{
	return (rpc_int(r, name) + 99999) / 100000; /* from 10^-8 units a byte to units for 1000 bytes, rounded up */
}

const struct tx *pay_build(struct rpc_request *r, struct wallet *wallet, const struct spend_request *request,
	int64_t *fee)
{
	const struct tx *tx = NULL;
	struct errmsg err;

	switch (spend_build(wallet, request, &tx, fee, &err)) {
	case SPEND_OK:
		break;
	case SPEND_LOCKED:
		rpc_fail(r, RPC_UNLOCK_NEEDED, "%s", err.text);
		break;
	case SPEND_FUNDS:
		rpc_fail(r, RPC_INSUFFICIENT_FUNDS, "%s", err.text);
		break;
	case SPEND_REFUSED:
		rpc_fail(r, RPC_INVALID_PARAMETER, "%s", err.text);
		break;
	}
	return tx;
}

bool pay_send(struct rpc_request *r, struct wallets *wallets, struct wallet *wallet, const struct tx *tx)
{
	struct reject reject = { .reason = "", .detail = "" };
	struct errmsg err;

	switch (wallets_send(wallets, wallet, tx, &reject, &err)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
		return true;
	case CHAIN_ORPHAN:
	case CHAIN_REJECTED:
		rpc_fail(r, RPC_WALLET_ERROR, "The transaction is not taken: %s (%s)", reject.reason, reject.detail);
		break;
	case CHAIN_ERROR:
		rpc_fail(r, RPC_DATABASE_ERROR, "Nothing was sent: %s", err.text);
		break;
	}
	return false;
}

bool pay_spend(struct rpc_request *r, struct wallets *wallets, struct wallet *wallet,
	const struct spend_request *request, uint8_t txid[32], int64_t *fee)
{
	const struct tx *tx = pay_build(r, wallet, request, fee);

	if (tx == NULL)
		return false;
	memcpy(txid, tx_txid(tx), 32);
	return pay_send(r, wallets, wallet, tx);
}
