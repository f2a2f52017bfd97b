/* How many bytes of data the contributions register that no block has, and by whom they came.
 *
 * Until a block has it, a contribution has paid nothing, and its bytes lie on our disk (chain/blobs.h). So what is
 * registered counts from when a place is taken to when the transaction leaves the mempool, be the bytes here or not;
 * one address group has a quarter of the room at most. What this node sends itself does not count. */
#ifndef ATELIER_CHAIN_MEMPOOL_PENDING_H
#define ATELIER_CHAIN_MEMPOOL_PENDING_H

#include "chain/chain.h"
#include "util/map.h"

struct pending {
	struct map groups; /* padded group -> its bytes, a uint64_t on the heap; none has 0 */
	uint64_t bytes, most;
};

/* What is counted of one transaction. */
struct pending_share {
	uint8_t group[SOURCE_GROUP];
	uint64_t bytes; /* 0: it registers nothing, or is this node's own */
};

void pending_init(struct pending *pending);
void pending_clear(struct pending *pending);

/* What a transaction of this source (NULL: this node) will count. */
struct pending_share pending_share_of(const struct tx *tx, const struct source *source);
void pending_add(struct pending *pending, const struct pending_share *share);
void pending_remove(struct pending *pending, const struct pending_share *share);
uint64_t pending_of(const struct pending *pending, const uint8_t group[SOURCE_GROUP]);

/* Whether its group may have so much more: REJECT_NOT_YET, blob-pool-full. */
bool pending_check(const struct pending *pending, const struct pending_share *share, struct reject *reject);

#endif
