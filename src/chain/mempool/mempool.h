/* The mempool: transactions that wait for a block.
 *
 * There is no replacement: who spends what a held transaction spends, or registers the root it registers, is refused;
 * but of two registrations of one root the one with the earlier commitment stays.
 * When the pool is over its bytes, what pays least per byte goes, descendants with it, and what comes must pay more
 * than that. What else a transaction must fulfil is in chain/mempool/policy.h and admit.h. A contribution enters only
 * when its blob is here and its commitment old enough; until then it waits apart (chain/mempool/places.h). Transactions
 * of rounds are apart from all of this (chain/mempool/round_pool.h); whoever asks from outside finds them here. */
#ifndef ATELIER_CHAIN_MEMPOOL_MEMPOOL_H
#define ATELIER_CHAIN_MEMPOOL_MEMPOOL_H

#include "chain/chain.h"
#include "chain/mempool/places.h"
#include "chain/mempool/round_pool.h"
#include "util/map.h"

enum { MEMPOOL_BYTES = 64 << 20 };

struct mempool_tx {
	struct mempool_entry entry; /* first: what others see of it */
	size_t size;                /* virtual bytes */
	uint64_t order;             /* 1, 2, ... as they came: parents before children */
	bool marked;                /* of a walk under way */
	struct pending_share share; /* of the bytes that no block has */
};

struct mempool {
	size_t bytes_max, bytes;
	struct map by_txid, by_wtxid;
	struct map spenders; /* coin_key -> struct mempool_tx */
	struct map roots;    /* registered blob root -> struct mempool_tx */
	uint64_t order;
	int64_t floor_rate; /* units per 1000 bytes that the last one that had to go paid; 0: none had to */
	struct places places;
	struct pending pending;       /* of places and tables */
	atomic_bool challenge_cancel; /* ends the segment that is executed for a challenge */
	struct round_pool rounds;     /* apart from all of these: they spend no coins, and pay nothing */
	/* A switch of branches under way: what the blocks undone held, parents first. */
	bool undone;
	const struct tx **returned;
	size_t returned_count;
};

struct mempool *mempool_new(size_t bytes_max);
void mempool_free(struct mempool *mempool);

struct mempool_tx *mempool_find(const struct mempool *mempool, const uint8_t txid[32]);
struct mempool_tx *mempool_find_wtxid(const struct mempool *mempool, const uint8_t wtxid[32]);
struct mempool_tx *mempool_spender(const struct mempool *mempool, const struct outpoint *outpoint); /* NULL: none */
/* Whether a held or waiting transaction registers the blob, the latter in that size (0: in any). */
bool mempool_wants(const struct mempool *mempool, const uint8_t root[32], uint64_t size);
/* All of them, parents before children; the array is the caller's. */
struct mempool_tx **mempool_list(const struct mempool *mempool, size_t *count);
/* Relatives of a transaction (itself not among them), each once, nearest first; at most max. Returns how many. */
size_t mempool_relatives(const struct mempool *mempool, const struct tx *tx, bool ancestors,
	struct mempool_tx **relatives, size_t relatives_max);

/* Takes what has been judged (chain/mempool/admit.h). */
void mempool_insert(struct mempool *mempool, struct mempool_tx *pool_tx);
/* The same, and removes what registers one of its roots. */
void mempool_displace(struct chain *chain, struct mempool_tx *pool_tx);
/* Takes all out of the tables, in order, to be judged anew; the array and what is in it are the caller's. */
struct mempool_tx **mempool_empty(struct mempool *mempool, size_t *count);
void mempool_tx_free(struct mempool_tx *pool_tx);
/* Removes it and all that descends from it; reason NULL: a block holds it, nobody is told. */
void mempool_remove(struct chain *chain, struct mempool_tx *pool_tx, const char *reason, bool descendants);
void mempool_trim(struct chain *chain);   /* what is over its bytes */
void mempool_expire(struct chain *chain); /* what is too old */
/* Contributions that burn less than the next block asks for: its rate may have risen. */
void mempool_drop_data(struct chain *chain);

void mempool_block_connected(struct chain *chain, const struct block *block);
void mempool_block_disconnected(struct chain *chain, const struct block *block);

#endif
