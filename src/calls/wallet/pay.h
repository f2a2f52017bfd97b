/* What calls that spend stand on: a wallet builds, signs and hands over a transaction; if not, the request is answered
 * with the reason. */
#ifndef ATELIER_CALLS_WALLET_PAY_H
#define ATELIER_CALLS_WALLET_PAY_H

#include "rpc/method.h"
#include "wallet/spend.h"
#include "wallet/wallets.h"

/* Builds, signs and hands over a transaction. False: the request has been answered with the reason. */
bool pay_spend(struct rpc_request *pay_request, struct wallets *wallets, struct wallet *wallet,
	const struct spend_request *spend_request, uint8_t txid[32], int64_t *paid_fee);

/* What building or sending came to, as an answer: true, and there is none, where it went well. */
bool pay_built(struct rpc_request *pay_request, enum spend_result build_result, const struct errmsg *err);
bool pay_sent(struct rpc_request *pay_request, enum chain_result send_result, const struct reject *payment_reject,
	const struct errmsg *err);

/* A fee rate argument, in base units for each virtual byte with up to three decimals, as spend_request wants it; 0: not
 * given. */
int64_t pay_rate(const struct rpc_request *pay_request, const char *name);

#endif
