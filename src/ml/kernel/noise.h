/* Draws: every random choice of the protocol, from Philox keyed by a seed (doc/protocol.md section 7).
 *
 * Pure functions of (key, domain, index); nothing here has a state. */
#ifndef ATELIER_ML_KERNEL_NOISE_H
#define ATELIER_ML_KERNEL_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include "ml/model.h"

enum noise_domain {
	NOISE_SLOT = 1,
	NOISE_WINDOW,
	NOISE_ROUNDING,
	NOISE_DATASET,
	NOISE_BENCHMARK,
	NOISE_INIT,
	NOISE_RUN,        /* the dataset of a seat, of a base's ticket */
	NOISE_AUDIT,      /* which segment a seat shows */
	NOISE_DITHER = 9, /* and 256 more for each further draw of a token */
	NOISE_OFFSET,
	NOISE_TEXT, /* which byte is written, of the text's seed */
};

/* The four words of draw `index`. */
void noise_words(const uint8_t key[32], enum noise_domain domain, uint32_t index, uint32_t out[4]);

/* NOISE_MANY draws at once, of indices that follow each other: four words each, one draw after the other. Here and
 * below `out` is best aligned to 64 bytes: that is a third of the time. */
enum { NOISE_MANY = 16 };
void noise_many(const uint8_t key[32], enum noise_domain domain, uint32_t first, uint32_t out[4 * NOISE_MANY]);

/* The words that dither the gradient of a token's logits, one a logit (doc/protocol.md section 4). */
void noise_dither(const uint8_t key[32], uint32_t token, uint32_t out[MODEL_VOCABULARY]);

/* A number in 0 .. n-1 (0 if n is 0) from draw `index`: floor(r * n / 2^64) of its first 64 bits. */
uint64_t noise_uniform(const uint8_t key[32], enum noise_domain domain, uint32_t index, uint64_t n);

/* Slot of a step, 0 .. slots-1. */
uint32_t noise_slot(const uint8_t seed[32], uint32_t slots);

/* Which of the groups of offsets a step's windows have, 0 .. NOISE_GROUPS-1. */
enum { NOISE_GROUPS = 8 };
uint32_t noise_group(const uint8_t seed[32]);

/* A window: 8 drawn bytes, then ctx - 7 bytes from one of so many places. */
struct noise_window {
	uint8_t prefix[8];
	uint64_t place; /* 0 .. places-1 */
};

/* domain: NOISE_WINDOW (key: the seed; index: iteration * batch + row; its place is not used) or NOISE_BENCHMARK (key:
 * the parent's ticket). */
void noise_window(const uint8_t key[32], enum noise_domain domain, uint32_t index, uint64_t places,
	struct noise_window *out);

/* Gathers `count` windows, indices 0 .. count-1, each from any offset of bytes in memory: out is [count][ctx + 1]. Less
 * than ctx - 7 bytes must not come here. */
void noise_gather(const uint8_t key[32], enum noise_domain domain, size_t count, const uint8_t *dataset, uint64_t size,
	uint32_t ctx, uint8_t *out);

#endif
