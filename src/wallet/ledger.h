/* What a wallet knows of the chain: its scripts, the transactions that concern it, and the coins that follow from them.
 *
 * Pure memory, no keys and no files. A transaction concerns the wallet if it pays one of its scripts or spends one of
 * its coins. Whether a coin is spent is not stored but follows from the transactions at hand, so that blocks may come
 * and go and transactions may be learnt in any order.
 *
 * A transaction that is not in a block counts while it is in the mempool. One that spends the wallet's own coins keeps
 * them reserved also outside the mempool, until it is abandoned or a block holds another spender (it is then
 * conflicted).
 *
 * Transactions and scripts belong to the ledger and are never removed: pointers to them stay valid until
 * ledger_clear. */
#ifndef ATELIER_WALLET_LEDGER_H
#define ATELIER_WALLET_LEDGER_H

#include "consensus/tx.h"
#include "util/map.h"
#include "wallet/account.h"

struct ledger_script {
	uint8_t key[32]; /* output key: the address */
	enum account_branch branch;
	uint32_t index;
	bool used;   /* some transaction has paid it */
	char *label; /* owned; NULL: none */
};

struct ledger_tx {
	const struct tx *tx;
	uint8_t txid[32];
	uint32_t height;     /* 0: in no block of the active chain */
	uint8_t block[32];   /* its id, where height is not 0 */
	uint64_t time;       /* when first seen, or, if first seen in a block, the block's time */
	uint64_t order;      /* 1, 2, ... as they were learnt */
	uint32_t first_data; /* coinbase: outputs from this one on pay owners of datasets, not miners */
	uint32_t struck_at;  /* height of the block that struck output 0 out of the coins; 0: none did */
	bool coinbase;
	bool is_stake; /* coinbase, where there are rounds: output 0 pays the block's miner, who may be struck */
	bool in_mempool;
	bool abandoned;
	bool recorded;                     /* the wallet's database is known to hold it */
	bool met;                          /* of a walk under way: the ledger's own */
	const struct ledger_script **mine; /* one an output: the wallet's script it pays, or NULL */
};

struct ledger {
	struct map scripts; /* by key */
	struct map txs;     /* by txid */
	struct map spends;  /* by hash of the outpoint: who spends it */
	uint64_t next_order;
	uint32_t tip_height;
	uint32_t maturity;
};

void ledger_init(struct ledger *ledger, uint32_t maturity);
void ledger_clear(struct ledger *ledger);

/* The script is then the ledger's own; one that is there already is returned as it is. */
struct ledger_script *ledger_add_script(struct ledger *ledger, const uint8_t key[32], enum account_branch branch,
	uint32_t index);
struct ledger_script *ledger_script(const struct ledger *ledger, const uint8_t key[32]); /* NULL: not ours */
struct ledger_script *ledger_output_script(const struct ledger *ledger, const struct tx_output *output);

bool ledger_concerns(const struct ledger *ledger, const struct tx *tx);

/* Takes in a reference to tx, in no block and not in the mempool until the caller says so; one that is there already is
 * looked at again for scripts that were added meanwhile. */
struct ledger_tx *ledger_add(struct ledger *ledger, const struct tx *tx, uint64_t time);
struct ledger_tx *ledger_find(const struct ledger *ledger, const uint8_t txid[32]);

/* All transactions in the order they were learnt; the caller frees the array. */
struct ledger_tx **ledger_list(const struct ledger *ledger, size_t *count);

/* Confirmations: 0 in no block, 1 at the tip, -n where a transaction n blocks deep conflicts. */
int64_t ledger_depth(const struct ledger *ledger, const struct ledger_tx *ledger_tx);
bool ledger_conflicted(const struct ledger *ledger, const struct ledger_tx *ledger_tx);
bool ledger_immature(const struct ledger *ledger, const struct ledger_tx *ledger_tx);
/* Whether every input spends a coin of the wallet. */
bool ledger_from_us(const struct ledger *ledger, const struct ledger_tx *ledger_tx);
/* Whether the chain has taken the output from whom it paid (doc/protocol.md section 20): nobody spends it any more. */
bool ledger_is_struck(const struct ledger_tx *ledger_tx, size_t output);
/* What its inputs take from the wallet and its outputs bring. */
int64_t ledger_debit(const struct ledger *ledger, const struct ledger_tx *ledger_tx);
int64_t ledger_credit(const struct ledger_tx *ledger_tx);
/* The spender of an output that counts, or NULL. */
const struct ledger_tx *ledger_spender(const struct ledger *ledger, const struct outpoint *outpoint);

/* A coin of the wallet that nothing spends. */
struct ledger_coin {
	struct outpoint outpoint;
	int64_t amount;
	const struct ledger_script *script;
	const struct ledger_tx *entry;
	int64_t depth;
	bool immature;
	bool trusted; /* in a block, or from the wallet itself and in the mempool */
};

/* Every coin, confirmed or in the mempool; the caller frees the array. */
struct ledger_coin *ledger_coins(const struct ledger *ledger, size_t *count);

struct ledger_balance {
	int64_t trusted; /* can be spent */
	int64_t pending; /* from others, in the mempool */
	int64_t immature;
};
void ledger_balance(const struct ledger *ledger, struct ledger_balance *balance);

#endif
