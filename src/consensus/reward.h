/* Rewards: what a block's proofs and its parent's data earn (doc/protocol.md section 13). */
#ifndef ATELIER_CONSENSUS_REWARD_H
#define ATELIER_CONSENSUS_REWARD_H

#include "consensus/spec.h"

int64_t reward_compute_part(const struct spec *spec, uint32_t height); /* R */
int64_t reward_data_part(const struct spec *spec, uint32_t height);    /* R_d */

/* Worth of each of the 1 + loose proofs of the block at `height`, and the bucket after it. */
int64_t reward_proof(const struct spec *spec, uint32_t height, int64_t bucket, size_t loose, int64_t *bucket_after);

/* As long as the datasets that can be drawn weigh less than this together, only that part of the pay is paid. */
enum { REWARD_FULL_WEIGHT = 1 << 24 };
/* A slot of the block at `height`. */
struct reward_slot {
	uint32_t proofs;
	int64_t value, v_ref; /* 2^-32 nats */
	uint32_t weight;      /* of all datasets that could be drawn, up to REWARD_FULL_WEIGHT */
};
int64_t reward_slot(const struct spec *spec, uint32_t height,
	const struct reward_slot *slot); /* 0: it earned nothing */

#endif
