/* Rewards: what a block's proofs and its parent's data earn (doc/protocol.md section 13). */
#ifndef ATELIER_CONSENSUS_REWARD_H
#define ATELIER_CONSENSUS_REWARD_H

#include "consensus/spec.h"

int64_t reward_compute_part(const struct spec *spec, uint32_t height); /* R */
int64_t reward_data_part(const struct spec *spec, uint32_t height);    /* R_d */

/* Worth of each of the 1 + loose proofs of the block at `height`, and the bucket after it. */
int64_t reward_proof(const struct spec *spec, uint32_t height, int64_t bucket, size_t loose, int64_t *bucket_after);

/* Pay of one slot of the block at `height`; 0 if it earned nothing. */
int64_t reward_slot(const struct spec *spec, uint32_t height, uint32_t proof_count, int64_t slot_value, int64_t v_ref);

#endif
