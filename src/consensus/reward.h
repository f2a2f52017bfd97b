/* Rewards: what a block's proofs and its parent's data earn (doc/protocol.md section 13). */
#ifndef ATELIER_CONSENSUS_REWARD_H
#define ATELIER_CONSENSUS_REWARD_H

#include "consensus/spec.h"

int64_t reward_compute_part(const struct spec *spec, uint32_t height); /* R */
int64_t reward_data_part(const struct spec *spec, uint32_t height);    /* R_d */
/* What of R is for the run of that block's seat (section 20); the rest is for proofs. 0 on chains without rounds. */
int64_t reward_run_part(const struct spec *spec, uint32_t height);
/* What of that a true run of so many segments earns. Whether it is 0 does not depend on how many they are. */
int64_t reward_run(const struct spec *spec, uint32_t height, uint32_t length);

/* The proofs that a block lists beside its own: late[q] of its late ones are worth q sixteenths of a loose one. */
enum { REWARD_SIXTEENTHS = 16 };
struct reward_proofs {
	size_t loose, late[REWARD_SIXTEENTHS + 1];
};

/* Worth of the own and of each loose proof of the block at `height`, and the bucket after it. */
int64_t reward_proof(const struct spec *spec, uint32_t height, int64_t bucket, const struct reward_proofs *proofs,
	int64_t *bucket_after);

/* A late proof whose parent lies `back` blocks below that of its block (consensus/branch/listed.h): its worth in
 * sixteenths, 0 where it cannot be late; and where a loose one is worth `worth`. */
uint32_t reward_late_sixteenths(uint32_t back);
int64_t reward_late(int64_t worth, uint32_t back);

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
