/* The loose proofs for the tip's child: those being executed, and the pool of those that are right.
 *
 * At most 4k are in the pool, as many as a block takes. Each address has one here that waits or is in work, and no more
 * wait than the pool could hold; the rest stays with the peers, and is tried again. While a block of an address is in
 * work its proofs wait. With a new tip all of it is dropped: they named the old one. */
#ifndef ATELIER_CHAIN_VERIFY_LOOSE_POOL_H
#define ATELIER_CHAIN_VERIFY_LOOSE_POOL_H

#include "chain/verify/sources.h"

struct loose_pool;

struct loose_pool *loose_pool_new(const struct spec *spec);
void loose_pool_free(struct loose_pool *loose);
/* Cancels what is in work and waits. */
void loose_pool_stop(struct chain *chain);
void loose_pool_new_tip(struct chain *chain);
/* What chain_add_loose promises, but for beginning: that is for who calls (chain/choose.h). */
enum chain_result loose_pool_add(struct chain *chain, const struct header *header, const struct source *source,
	struct reject *reject);
/* The latest time of one that is taken now: the block that lists it is dated by a clock like this one, or later. */
uint64_t loose_pool_latest(const struct spec *spec, const struct parent_view *parent_view);
/* A right one, for the tip's child; false if the pool is full or has its seed. */
bool loose_pool_put(struct loose_pool *loose, const struct header *header);
size_t loose_pool_busy(const struct loose_pool *loose);            /* waiting or in work */
size_t loose_pool_running(const struct loose_pool *loose);         /* in work */
void loose_pool_start(struct chain *chain, struct workload *load); /* as many as workers may be had for */
/* Lets go of what a group has waiting; what is in work only if it is discouraged. */
void loose_pool_forget(struct chain *chain, const struct source_group *group, bool discouraged);

#endif
