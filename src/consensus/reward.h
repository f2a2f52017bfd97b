/* Rewards and the coinbase (doc/protocol.md section 13). */
#ifndef ATELIER_CONSENSUS_REWARD_H
#define ATELIER_CONSENSUS_REWARD_H

#include "consensus/registry.h"

int64_t reward_compute_part(const struct spec *spec, uint32_t height); /* R */
int64_t reward_data_part(const struct spec *spec, uint32_t height);    /* R_d */

/* Worth of each of the 1 + loose proofs of the block at `height`, and the bucket after it. */
int64_t reward_proof(const struct spec *spec, uint32_t height, int64_t bucket, size_t loose, int64_t *bucket_after);

/* Pay of one slot of the block at `height`; 0 if it earned nothing. */
int64_t reward_slot(const struct spec *spec, uint32_t height, uint32_t count, int64_t value, int64_t v_ref);

/* What of a block the coinbase depends on. */
struct coinbase_facts {
	uint32_t height;
	int64_t fees;
	const uint8_t *miner; /* 32 bytes */
	const struct header *loose;
	size_t loose_count;
	const struct registry *registry;    /* after the parent */
	const struct block_outcome *parent; /* NULL for block 1 */
};

/* The one coinbase that such a block must have. */
const struct tx *coinbase_build(const struct spec *spec, const struct coinbase_facts *facts);
/* Compares a block's coinbase with it and names the first difference. */
bool coinbase_check(const struct spec *spec, const struct tx *coinbase, const struct coinbase_facts *facts,
	struct reject *reject);

#endif
