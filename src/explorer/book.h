/* What a block did for keys: whose coins came and went, who mined, proved, trained runs, and what they were paid.
 *
 * It follows from the block, the coins that it took, its outcome and its ancestors alone, so it is the same whenever it
 * is asked for: added when the block comes, subtracted when it goes, it leaves nothing behind. */
#ifndef ATELIER_EXPLORER_BOOK_H
#define ATELIER_EXPLORER_BOOK_H

#include "chain/chain.h"

/* What is counted of a key. Amounts are base units. */
enum book_column {
	BOOK_BALANCE,
	BOOK_TXS,      /* transactions that pay it or are paid by it, coinbases too */
	BOOK_RECEIVED, /* by those that paid it more than they took: change is not counted */
	BOOK_SENT,     /* and by those that took more */
	BOOK_BLOCKS,
	BOOK_PROOFS,      /* in time: own and loose ones */
	BOOK_LATE,        /* proofs */
	BOOK_MERGED,      /* runs */
	BOOK_LEFT_OUT,    /* runs */
	BOOK_STRUCK,      /* runs */
	BOOK_EMPTY,       /* seats */
	BOOK_PAID_PROOFS, /* amounts, as the coinbase has them */
	BOOK_PAID_DATA,
	BOOK_PAID_RUNS,
	BOOK_LOST, /* amount of stakes */
};
enum { BOOK_COLUMNS = BOOK_LOST + 1 };

/* All that a key has of them. */
struct book_sums {
	int64_t of[BOOK_COLUMNS];
};
int64_t book_earned(const struct book_sums *sums); /* for proofs, data and runs */
bool book_gave(const struct book_sums *sums);      /* it has mined, proved, trained, or was paid for data */

/* A change of one column. Of BOOK_BALANCE one for each transaction that touches the key, and each stake it lost: */
struct book_entry {
	uint8_t key[32];
	enum book_column column;
	int64_t amount;
	uint32_t place;   /* of the transaction in its block; stakes that are lost have those after the last one */
	bool is_struck;   /* a stake that is lost */
	uint8_t txid[32]; /* of the transaction; of the coinbase whose output 0 was the stake */
};

/* Sorted by key, column and place, no two with the same of all three; all that is in BOOK_TXS, BOOK_RECEIVED and
 * BOOK_SENT follows from BOOK_BALANCE and is not here. */
struct book {
	struct book_entry *entries;
	size_t count, cap;
};

/* Of a block that is, or was, connected. False with the error set if the coins that it took cannot be read. */
bool book_gather(struct book *book, struct chain *chain, const struct index_entry *entry, const struct block *block,
	struct errmsg *err);
void book_clear(struct book *book);

#endif
