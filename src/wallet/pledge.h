/* Pledges: data on their way into the chain (doc/protocol.md section 12), in two transactions.
 *
 * The first commits to the data without naming them, and pays a coin to the wallet itself; the second, which spends
 * just that coin, registers them. Both are signed at once, so that a wallet may be locked when the second is due; and
 * both are written down, with the bytes, before the first is sent. From then on nothing is decided any more: the second
 * is handed to the mempool again with each block, as every own transaction is, and enters when its commitment is deep
 * enough. So neither a restart nor a reorganisation can lose it or send another: it has one id.
 *
 * The salt follows from the wallet's seed. So what a wallet has committed to, and what became of it is lost (it was
 * restored from its words, or gave the registration up), is found among its transactions by whoever has the bytes and
 * says the same of them: then the second is made anew, of other coins, and nothing is burned for the first.
 *
 * How far a pledge is follows from ledger and registry, and is not stored. */
#ifndef ATELIER_WALLET_PLEDGE_H
#define ATELIER_WALLET_PLEDGE_H

#include "consensus/branch/registry.h"
#include "consensus/payload/commitment.h"
#include "wallet/spend.h"

/* Both transactions, the caller's. */
struct pledge_txs {
	const struct tx *commitment, *registration;
	bool is_committed; /* the commitment is in a block, or in the mempool, already */
	int64_t fee;       /* of what has not been sent */
};

/* Builds them: `burn` base units for the registration, beside COMMITMENT_BURN for the commitment; `rate` as in
 * spend_request. Fills in the contribution's salt, and, if any owner will do and the wallet has committed to these
 * bytes for another one, that owner. Gives out no address: recording them does (wallet_record_pledge). */
enum spend_result pledge_build(struct wallet *wallet, struct contribution *contribution, bool any_owner, int64_t burn,
	int64_t rate, struct pledge_txs *txs, struct errmsg *err);
void pledge_release(struct pledge_txs *txs);

enum pledge_stage {
	PLEDGE_COMMITTING,  /* the commitment waits for a block */
	PLEDGE_WAITING,     /* it is in one, and not deep enough */
	PLEDGE_REGISTERING, /* the registration may be in the next block */
	PLEDGE_REGISTERED,
	PLEDGE_REFUSED, /* the bytes can be no dataset of this branch: it is offered again on another one */
	PLEDGE_FAILED,
};

struct pledge_status {
	enum pledge_stage stage;
	struct contribution contribution;
	uint32_t depth, needed; /* blocks: the commitment's own and those on it, and how many it takes */
	bool in_mempool;        /* the registration is */
	size_t dataset;         /* its number, once REGISTERED */
	uint32_t height;        /* of the block that registered it */
	const char *why;        /* something is wrong, if anything is; of the pledge, or static */
};

void pledge_look(struct wallet *wallet, const struct registry *registry, const struct wallet_pledge *pledge,
	struct pledge_status *status);
const char *pledge_stage_name(enum pledge_stage stage);
/* Whether its registration was refused for what the bytes are, and so would be again on each block of this branch. */
bool pledge_is_refused(const struct wallet_pledge *pledge);

#endif
