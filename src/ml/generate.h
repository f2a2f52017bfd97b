/* Text from a model state: sampling byte after byte.
 *
 * For people who use the model; nothing here is consensus. Runs in ordinary fp32 with a cache of keys and values, one
 * byte a pass. What fits into the context is continued as it is; where a prompt does not, or writing has filled it,
 * from the last ctx / 2 bytes. */
#ifndef ATELIER_ML_GENERATE_H
#define ATELIER_ML_GENERATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/state.h"

struct generate_options {
	float temperature;         /* 0: always the likeliest byte */
	uint32_t top_k;            /* 0: all 256 */
	uint64_t seed;             /* same seed, same options, same state: same text on one machine */
	const atomic_bool *cancel; /* may be NULL */
};

/* Continues prompt (may be empty) by up to `count` bytes into out. Returns how many; fewer only if cancelled. */
size_t generate_text(const struct state *state, const uint8_t *prompt, size_t prompt_size,
	const struct generate_options *options, uint8_t *out, size_t count);

/* What the model makes of a text of 1 to ctx bytes: a logit for each byte that may follow. */
struct logits {
	float of[MODEL_VOCABULARY];
};
void generate_logits(const struct state *state, const uint8_t *text, size_t size, struct logits *out);

#endif
