/* What customers have paid for and used: accounts by the names of keys, their invoices, and what was settled with those
 * who made the model (doc/economics.md).
 *
 * An invoice is an address that is an account's alone. What blocks of the active chain pay it, coinbases excepted, is
 * the account's credit once it is deep enough; no wallet is asked, so it does not matter which are loaded, or who pays.
 * Nothing else is remembered of payments than which block paid what: a block that goes takes its payments with it, and
 * another that has them brings them back, once.
 *
 * What is used is written down before it is handed out, or is not handed out. So kill -9 forgets nothing; a power
 * failure may forget what was used in the second before it, to the customer's advantage. Credit that a reorganisation
 * took back after it was used leaves a balance below zero: nothing more is handed out then.
 *
 * It lies in a LevelDB of its own, `credit/`, made when there is something to write. A disk that fails, or damage,
 * switches it off until the next start: nothing is sold then, and all else goes on. What it holds of payments can be
 * made anew from blocks, the rest cannot. Everything runs on the loop's thread. */
#ifndef ATELIER_CREDIT_CREDIT_H
#define ATELIER_CREDIT_CREDIT_H

#include "chain/chain.h"

enum {
	CREDIT_NAME_MAX = 64,         /* bytes of an account's name */
	CREDIT_INVOICES_MAX = 100000, /* all are in memory */
	CREDIT_TOKENS_MAX = 1 << 24,  /* used at a time */
	CREDIT_CONFIRMATIONS_MAX = 1000
};

struct credit;

/* In the chain's folder. The chain, which outlives it, is subscribed to. price: base units for 1000 tokens, at most
 * 1000 coins; 0: free. confirmations: blocks, a payment's own among them, until it counts; at least 1. */
struct credit *credit_open(struct chain *chain, const char *folder, int64_t price, uint32_t confirmations);
void credit_close(struct credit *credit); /* NULL does nothing */

/* Catches up with the chain for a twentieth of a second, and syncs what was used since; to be called about once a
 * second. True: there is more to catch up with, call soon. */
bool credit_tick(struct credit *credit);

/* Why it is off; NULL: it is not. */
const char *credit_off(const struct credit *credit);
/* The block up to which payments are known; the tip unless it is catching up. */
const struct index_entry *credit_at(const struct credit *credit);
int64_t credit_price(const struct credit *credit);
uint32_t credit_confirmations(const struct credit *credit);

/* 1 to CREDIT_NAME_MAX bytes. */
bool credit_is_name(const char *name);

/* --- using it --- */

enum credit_result {
	CREDIT_OK,
	CREDIT_SPENT,  /* the account's credit does not cover it */
	CREDIT_FAILED, /* it is off: the reason is in err */
};

/* Whether the account can pay for so many tokens, at most CREDIT_TOKENS_MAX, at today's price; where that is 0,
 * everybody can. To be asked before work begins, for all that is under way for the account together. */
enum credit_result credit_covers(struct credit *credit, const char *name, uint32_t tokens, struct errmsg *err);
/* Writes down that so many are about to be handed over, and what they cost; whether they were covered is not asked any
 * more. Where the price is 0 they are only counted. An account begins with its first use or invoice. False: it is off,
 * or now is. */
bool credit_use(struct credit *credit, const char *name, uint32_t tokens, struct errmsg *err);

/* Amounts are base units. */
struct credit_account {
	char name[CREDIT_NAME_MAX + 1];
	uint32_t number;  /* from 0, in the order in which they began */
	uint64_t tokens;  /* used */
	int64_t charged;  /* for them, in thousandths of a base unit */
	int64_t credited; /* paid, and deep enough */
	int64_t pending;  /* paid by blocks that are not deep enough yet */
};

/* What is left, rounded down. */
int64_t credit_balance(const struct credit_account *account);
/* NULL: there is none of this name. Borrowed; numbers may change with the next call of this module. */
const struct credit_account *credit_find(struct credit *credit, const char *name);
/* By number; NULL above. */
const struct credit_account *credit_account_at(struct credit *credit, size_t number);

/* What was used and paid for: of each account the smaller of both, for what is used on credit that was taken back is no
 * income. It falls again with a reorganisation. */
int64_t credit_income(struct credit *credit);

/* --- invoices --- */

struct credit_invoice {
	uint8_t key[32]; /* the address */
	const struct credit_account *account;
	int64_t amount; /* that was asked for; 0: any */
	uint64_t time;  /* Unix, when it was made */
	uint32_t number;
	int64_t credited, pending; /* of what was paid to it, as in struct credit_account */
};

/* The key must be an address that nobody has been told: none that credit_knows, at least. Synced. */
bool credit_add_invoice(struct credit *credit, const char *name, const uint8_t key[32], int64_t amount, uint64_t time,
	struct errmsg *err);
/* Whether the key is an invoice's address. */
bool credit_knows(const struct credit *credit, const uint8_t key[32]);
/* By number, from 0, in the order in which they were made; NULL above. Borrowed as above. */
const struct credit_invoice *credit_invoice_at(struct credit *credit, size_t number);

/* --- settlements (credit/share.h has the arithmetic) --- */

/* One transaction of a wallet's, written down before the wallet is handed it. Whether it was sent, and counts, is for
 * the wallet and the chain to say: so a process that is killed in between neither forgets nor repeats it. */
struct credit_settlement {
	uint8_t txid[32];
	char wallet[CREDIT_NAME_MAX + 1]; /* whose it is */
	uint64_t time;
	int64_t paid;   /* in this one */
	int64_t shared; /* divided among contributors in this one and those that it builds on, what was left too */
	struct credit_due {
		uint8_t key[32];
		int64_t amount;
	} * dues; /* too small to be paid: what they begin with next time, by key, ascending; owned */
	size_t due_count;
};

/* Takes `dues`, whatever happens. Synced. */
bool credit_add_settlement(struct credit *credit, struct credit_settlement *settlement, struct errmsg *err);
/* By number, from 0, in the order in which they were made; NULL above. */
const struct credit_settlement *credit_settlement_at(const struct credit *credit, size_t number);

#endif
