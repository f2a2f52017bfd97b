/* The mempool: transactions that wait for a block.
 *
 * Policy, beyond consensus: at least 1 base unit per virtual byte; at most 100,000 virtual bytes; no output below
 * 330 units but OP_RETURN ones; at most 25 unconfirmed ancestors and as many descendants, oneself included; no
 * replacement: who spends what a held transaction spends, or registers the root it registers, is refused; two weeks at
 * most. When the pool is over its bytes, what pays least per byte goes, descendants with it, and what comes must pay
 * more than that.
 *
 * A contribution enters only when its blob is here. Until then it waits apart, MEMPOOL_WAITING of them at most: one for
 * each coin, since no more of them can come true; when all places are taken, whoever has most of them, by address,
 * gives one up for somebody who has fewer. */
#ifndef ATELIER_CHAIN_MEMPOOL_MEMPOOL_H
#define ATELIER_CHAIN_MEMPOOL_MEMPOOL_H

#include "chain/chain.h"
#include "util/map.h"

enum {
	MEMPOOL_BYTES = 64 << 20,
	MEMPOOL_ANCESTORS = 25,
	MEMPOOL_TX_SIZE = 100000,
	MEMPOOL_DUST = 330,
	MEMPOOL_SECONDS = 14 * 86400,
	MEMPOOL_WAITING = 64,
};

struct mempool_tx {
	struct mempool_entry entry; /* first: what others see of it */
	size_t size;                /* virtual bytes */
	uint64_t order;             /* 1, 2, ... as they came: parents before children */
	bool marked;                /* of a walk under way */
};

/* A contribution whose blob is missing. */
struct waiting_tx {
	struct tx *tx;
	uint8_t wtxid[32];
	struct source source;
	uint64_t since;
};

struct mempool {
	size_t bytes_max, bytes;
	struct map by_txid, by_wtxid;
	struct map spenders; /* outpoint_key -> struct mempool_tx */
	struct map roots;    /* registered blob root -> struct mempool_tx */
	uint64_t order;
	int64_t floor_rate; /* units per 1000 bytes that the last one that had to go paid; 0: none had to */
	struct waiting_tx waiting[MEMPOOL_WAITING]; /* in order of arrival */
	size_t waiting_count;
	struct map waiting_spenders; /* outpoint_key -> the waiting struct tx that spends it */
	/* A switch of branches under way: what the blocks undone held, parents first. */
	bool undone;
	struct tx **returned;
	size_t returned_count;
};

struct mempool *mempool_new(size_t bytes_max);
void mempool_free(struct mempool *mempool);

const struct mempool_tx *mempool_find_wtxid(const struct mempool *mempool, const uint8_t wtxid[32]);
/* Whether a held or waiting transaction registers the blob. */
bool mempool_wants(const struct mempool *mempool, const uint8_t root[32], uint64_t size);
/* Transactions for a block, parents first, best payers first, within weight and blob budget; borrowed pointers, the
 * array is the caller's. */
const struct mempool_tx **mempool_select(const struct chain *chain, size_t weight_max, size_t *count);

/* What the chain tells. */
void mempool_block_connected(struct chain *chain, const struct block *block);
void mempool_block_disconnected(struct chain *chain, const struct block *block);
void mempool_new_tip(struct chain *chain);
void mempool_blob_arrived(struct chain *chain);

/* Inside: mempool.c keeps them, accept.c judges them. */
void mempool_forget_waiting(struct mempool *mempool, const struct tx *tx); /* one of them; it is freed */
void mempool_insert(struct mempool *mempool, struct mempool_tx *held);
/* Judges a transaction that was in the pool before anew; false: it stays the caller's. */
bool mempool_enter_again(struct chain *chain, struct mempool_tx *held, struct reject *reject);
int64_t mempool_tx_rate(int64_t fee, size_t size); /* units per 1000 virtual bytes */
/* All of them, parents before children; the array is the caller's. */
struct mempool_tx **mempool_list(const struct mempool *mempool, size_t *count);
/* Relatives of a transaction (itself not among them), each once, nearest first; at most max. Returns how many. */
size_t mempool_relatives(const struct mempool *mempool, const struct tx *tx, bool ancestors, struct mempool_tx **out,
	size_t max);
/* Removes it and all that descends from it; reason NULL: a block holds it, nobody is told. */
void mempool_remove(struct chain *chain, struct mempool_tx *held, const char *reason, bool descendants);
void mempool_trim(struct chain *chain);

#endif
