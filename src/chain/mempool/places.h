/* Contributions whose blob is missing, or whose commitment is not old enough: they wait apart, PLACES_MAX of them at
 * most: one for each coin, since no more of them can come true; when all places are taken, whoever has most of them, by
 * address, gives one up for somebody who has fewer. */
#ifndef ATELIER_CHAIN_MEMPOOL_PLACES_H
#define ATELIER_CHAIN_MEMPOOL_PLACES_H

#include "chain/chain.h"
#include "util/map.h"

enum { PLACES_MAX = 64 };

struct waiting_place {
	const struct tx *tx;
	struct source source;
	uint64_t since;
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
bool places_take(struct places *places, const struct tx *waiting_tx, const struct source *source,
	struct reject *reject);
/* Takes it out of its place; the transaction is the caller's then. */
void places_remove(struct places *places, size_t i);
/* Those that wait in vain: a block has what they spend. */
void places_drop_conflicts(struct places *places, const struct tx *tx);

bool places_hold(const struct places *places, const uint8_t wtxid[32]);
/* Its owner wants it no more; nothing if it has no place. */
void places_abandon(struct places *places, const uint8_t wtxid[32]);
/* Whether one of them registers the blob. */
bool places_want(const struct places *places, const uint8_t root[32], uint64_t size);

#endif
