/* How fast a chain may go: how early a block may be dated, and how many proofs beside its own it may list
 * (doc/protocol.md section 8). Both look PACE_BACK blocks back, since one time alone says little: every miner sets his
 * own.
 *
 * `base_time` is the time of the block's ancestor PACE_BACK blocks back, of genesis where there is none. */
#ifndef ATELIER_CONSENSUS_PACE_H
#define ATELIER_CONSENSUS_PACE_H

#include <stdint.h>

#include "consensus/spec.h"

enum { PACE_BACK = 8 };

/* Earliest time of a block at that height; 0 where the chain has no spacing. */
uint64_t pace_least_time(const struct spec *spec, uint32_t height, uint32_t base_time);

/* Most proofs, loose and late, beside its own of a block with that time. */
uint32_t pace_most_proofs(const struct spec *spec, uint32_t time, uint32_t base_time);

#endif
