/* Building and signing: picks coins, adds change, pays the fee, signs every input by its key path (BIP341,
 * SIGHASH_DEFAULT).
 *
 * Coins are taken largest first, confirmed ones before the wallet's own unconfirmed change; coins that others have
 * not got into a block yet, and immature ones, are never taken. So payments need few inputs, at the price of slowly
 * splitting large coins; privacy between a wallet's addresses is not a goal. Change of less than SPEND_DUST goes to
 * the fee. Building changes nothing: the coins are spent once the transaction is in the mempool (wallets_send). */
#ifndef ATELIER_WALLET_SPEND_H
#define ATELIER_WALLET_SPEND_H

#include "chain/mempool/policy.h"
#include "wallet/wallet.h"

enum {
	SPEND_DUST = POLICY_DUST, /* base units: a P2TR output below costs more than it is worth to spend */
	SPEND_RATE_MIN = POLICY_RATE_MIN,
	SPEND_FEE_MAX = 10000000, /* 0.1 ATL: more is taken for a mistake */
	SPEND_WEIGHT_MAX = 4 * POLICY_TX_SIZE,
	SPEND_OUTPUTS_MAX = 2500,
};

enum spend_result {
	SPEND_OK,
	SPEND_LOCKED,
	SPEND_FUNDS,   /* not enough that can be spent */
	SPEND_REFUSED, /* dust, fee or size out of range */
};

struct spend_request {
	const struct tx_output *outputs; /* P2TR or OP_RETURN; OP_RETURN outputs may burn any amount */
	size_t count;
	int64_t rate; /* base units for 1000 virtual bytes; 0: SPEND_RATE_MIN */
	/* One an output, or NULL: the wallet pays. Those marked (P2TR outputs) pay the fee in equal parts out of their
	 * amounts, the first of them the remainder too. */
	const bool *pays_fee;
};

/* On SPEND_OK *tx is the caller's and fee what it pays. */
enum spend_result spend_build(struct wallet *wallet, const struct spend_request *request, const struct tx **tx,
	int64_t *fee, struct errmsg *err);

/* The same of one coin that is not there yet: output `place` of `source`, a transaction of the wallet's own that nobody
 * has been told of. All that it holds beyond the request's outputs, which spend_single_fee is enough for, is the fee.
 * NULL: the wallet is locked. */
int64_t spend_single_fee(const struct spend_request *request);
const struct tx *spend_single(struct wallet *wallet, const struct tx *source, uint32_t place,
	const struct spend_request *request, struct errmsg *err);

#endif
