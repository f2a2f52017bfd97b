/* Contributions whose blob is missing, or whose commitment is not old enough: they wait apart, PLACES_MAX of them at
 * most, and no more bytes than may be pending (chain/mempool/pending.h): one for each coin, since no more of them can
 * come true. When all is taken, whoever has most, by address, gives up for somebody who has fewer. Bytes that are here
 * for a transaction alone go when it does. */
#ifndef ATELIER_CHAIN_MEMPOOL_PLACES_H
#define ATELIER_CHAIN_MEMPOOL_PLACES_H

#include "chain/mempool/pending.h"
#include "chain/verify/wants.h"

enum { PLACES_MAX = 64 };

struct waiting_place {
	const struct tx *tx;
	struct source source;
	uint64_t since;
	struct blob_want *registered; /* by the transaction */
	size_t registered_count;
	struct pending_share share;
	/* Height of the block that it came too early for, since its commitment was too young, or missing: its bytes are
	 * not asked for. 0: they are. */
	uint32_t early_at;
};

struct places {
	struct waiting_place waiting[PLACES_MAX]; /* in order of arrival */
	size_t count;
	struct map spenders; /* coin_key -> the struct tx here that spends it */
};

void places_init(struct places *places);
void places_clear(struct places *places);

/* A place for one more of this source (NULL: this node's own), and the transaction, which is taken, in it. False: it
 * stays the caller's. Those that have waited for an hour go first. */
bool places_take(struct chain *chain, const struct tx *waiting_tx, const struct source *source, uint32_t early_at,
	struct reject *reject);
/* Takes it out of its place; the transaction is the caller's then. */
void places_remove(struct chain *chain, size_t i);
/* Those that wait in vain: a block has what they spend. */
void places_drop_conflicts(struct chain *chain, const struct tx *tx);

bool places_hold(const struct places *places, const uint8_t wtxid[32]);
/* Its owner wants it no more; nothing if it has no place. */
void places_abandon(struct chain *chain, const uint8_t wtxid[32]);
/* Whether one of them registers the blob in that size (0: in any). */
bool places_want(const struct places *places, const uint8_t root[32], uint64_t size);

/* Drops unconfirmed bytes of a transaction that is in no place, nor in the mempool, any more, unless another's are the
 * same. */
void places_release_blobs(struct chain *chain, const struct tx *gone_tx);

#endif
