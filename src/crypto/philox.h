/* Philox4x32-10: counter-based noise that all nodes draw alike.
 *
 * Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC11. A keyed permutation of 128-bit
 * counters: no state, so any draw can be made at any time and in any order. Words are plain integers; how the protocol
 * lays out counters and takes keys from a seed is said in doc/protocol.md and done by the callers. Not for secrets. */
#ifndef ATELIER_CRYPTO_PHILOX_H
#define ATELIER_CRYPTO_PHILOX_H

#include <stdint.h>

#define PHILOX_ROUNDS 10
/* What the key grows by from round to round. */
#define PHILOX_WEYL_0 0x9e3779b9u
#define PHILOX_WEYL_1 0xbb67ae85u

static inline void philox_round(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint32_t k0, uint32_t k1)
{
	uint64_t a = (uint64_t)0xd2511f53 * *c0;
	uint64_t b = (uint64_t)0xcd9e8d57 * *c2;

	*c0 = (uint32_t)(b >> 32) ^ *c1 ^ k0;
	*c1 = (uint32_t)b;
	*c2 = (uint32_t)(a >> 32) ^ *c3 ^ k1;
	*c3 = (uint32_t)a;
}

static inline void philox4x32(uint32_t words[4], const uint32_t counter[4], const uint32_t key[2])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];

	for (uint32_t round = 0; round < PHILOX_ROUNDS; round++)
		philox_round(&c0, &c1, &c2, &c3, key[0] + round * PHILOX_WEYL_0, key[1] + round * PHILOX_WEYL_1);
	words[0] = c0;
	words[1] = c1;
	words[2] = c2;
	words[3] = c3;
}

#endif
