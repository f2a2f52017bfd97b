/* Targets, work and difficulty (doc/protocol.md section 9). 256-bit numbers are four 64-bit limbs, lowest first. */
#ifndef ATELIER_CONSENSUS_TARGET_H
#define ATELIER_CONSENSUS_TARGET_H

#include <stdbool.h>
#include <stdint.h>

struct spec;

struct u256 {
	uint64_t limb[4];
};

struct u256 u256_from_bytes(const uint8_t le[32]);
void u256_to_bytes(struct u256 a, uint8_t le[32]);
int u256_compare(struct u256 a, struct u256 b);
struct u256 u256_add(struct u256 a, struct u256 b); /* modulo 2^256 */
struct u256 u256_sub(struct u256 a, struct u256 b);
struct u256 u256_mul_u64(struct u256 a, uint64_t b, bool *overflow); /* overflow may be NULL */
struct u256 u256_shift_left(struct u256 a, unsigned bits);
struct u256 u256_shift_right(struct u256 a, unsigned bits);
struct u256 u256_div(struct u256 a, struct u256 b); /* b > 0 */
void u256_hex(struct u256 a, char out[65]);         /* most significant first */

/* Bitcoin's compact form. Decoding returns false for negative, zero or overflowing values. */
bool target_from_compact(uint32_t bits, struct u256 *target);
uint32_t target_to_compact(struct u256 target);

struct u256 target_limit(uint32_t k);                          /* floor(2^256 / k) */
struct u256 target_share(struct u256 target, uint32_t k);      /* min(k * target, 2^256 - 1) */
struct u256 target_work(struct u256 target);                   /* floor(2^256 / (target + 1)) */
bool target_met(const uint8_t ticket[32], struct u256 target); /* ticket <= target */

/* aserti3-2d with the anchor given, as in the algorithm's published description. */
struct u256 target_asert(struct u256 anchor_target, int64_t spacing, int64_t half_life, int64_t time_delta,
	int64_t height_delta, struct u256 limit);

/* The bits that a child of the block (height, time) must have. */
uint32_t target_next_bits(const struct spec *spec, uint32_t height, uint32_t time);

#endif
