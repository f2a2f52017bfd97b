/* Loose and late proofs that others bring, from their coming to their verdict; the right ones are candidates
 * (chain/verify/candidates.h).
 *
 * Each address has one here that waits or is in work, and of those for the tip's child no more wait than a block takes,
 * of the late ones as many beside; the rest stays with the peers, and is tried again. While a block of an address is in
 * work its proofs wait, and late ones while any for the tip's child can begin. With a new tip what was loose is late.
 */
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
/* All but its digest. NEW: a child of the tip could list it, loose (then `parent` is the tip) or late. KNOWN: a block
 * of the active chain has its seed. ORPHAN: none can list it now. */
enum chain_result loose_pool_check(const struct chain *chain, const struct header *header,
	const struct index_entry **parent, struct reject *reject);
size_t loose_pool_busy(const struct loose_pool *loose);            /* waiting or in work */
size_t loose_pool_running(const struct loose_pool *loose);         /* in work */
void loose_pool_start(struct chain *chain, struct workload *load); /* as many as workers may be had for */
/* Lets go of what a group has waiting; what is in work only if it is discouraged. */
void loose_pool_forget(struct chain *chain, const struct source_group *group, bool discouraged);

#endif
