/* Spending for a call: every way in which it fails is an answer. */
#include "calls/wallet/pay.h"

#include <string.h>

int64_t pay_rate(const struct rpc_request *pay_request, const char *name)
{
	/* From 10^-8 units a byte to units for 1000 bytes, rounded up. 0, where it was given, is too little like any
	 * other rate under the least. */
	int64_t rate = (rpc_int(pay_request, name) + 99999) / 100000;

	return rate == 0 && rpc_has(pay_request, name) ? 1 : rate;
}

bool pay_built(struct rpc_request *pay_request, enum spend_result build_result, const struct errmsg *err)
{
	switch (build_result) {
	case SPEND_OK:
		return true;
	case SPEND_LOCKED:
		rpc_fail(pay_request, RPC_UNLOCK_NEEDED, "%s", err->text);
		break;
	case SPEND_FUNDS:
		rpc_fail(pay_request, RPC_INSUFFICIENT_FUNDS, "%s", err->text);
		break;
	case SPEND_REFUSED:
		rpc_fail(pay_request, RPC_INVALID_PARAMETER, "%s", err->text);
		break;
	}
	return false;
}

bool pay_sent(struct rpc_request *pay_request, enum chain_result send_result, const struct reject *payment_reject,
	const struct errmsg *err)
{
	switch (send_result) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
		return true;
	case CHAIN_ORPHAN:
	case CHAIN_REJECTED:
		rpc_fail(pay_request, RPC_WALLET_ERROR, "The transaction is not taken: %s (%s)", payment_reject->reason,
			payment_reject->detail);
		break;
	case CHAIN_ERROR:
		rpc_fail(pay_request, RPC_DATABASE_ERROR, "Nothing was sent: %s", err->text);
		break;
	}
	return false;
}

static bool pay_send(struct rpc_request *pay_request, struct wallets *wallets, struct wallet *wallet,
	const struct tx *payment)
{
	struct reject payment_reject = { .reason = "", .detail = "" };
	struct errmsg err;

	return pay_sent(pay_request, wallets_send(wallets, wallet, payment, &payment_reject, &err), &payment_reject,
		&err);
}

bool pay_spend(struct rpc_request *pay_request, struct wallets *wallets, struct wallet *wallet,
	const struct spend_request *spend_request, uint8_t txid[32], int64_t *paid_fee)
{
	const struct tx *payment;
	struct errmsg err;

	if (!pay_built(pay_request, spend_build(wallet, spend_request, &payment, paid_fee, &err), &err))
		return false;
	memcpy(txid, tx_txid(payment), 32);
	return pay_send(pay_request, wallets, wallet, payment);
}
