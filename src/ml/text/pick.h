/* Which byte comes next: chosen from logits by options and a seed, the same on every machine (doc/protocol.md section
 * 21).
 */
#ifndef ATELIER_ML_TEXT_PICK_H
#define ATELIER_ML_TEXT_PICK_H

#include <stdint.h>

#include "ml/model.h"

enum { PICK_PPM = 1000000, PICK_TEMPERATURE_MAX = 10 * PICK_PPM };

struct pick_options {
	uint32_t temperature; /* in millionths, PICK_TEMPERATURE_MAX at most; 0: always the likeliest byte */
	uint32_t top_k;       /* among so many of the likeliest; 0: all 256 */
	uint32_t top_p;       /* among the likeliest that have this part of the probability, in millionths; 0: all */
	uint64_t seed;
};

/* The byte at place `index` of what is written, from finite logits. */
uint8_t pick_byte(const float logits[MODEL_VOCABULARY], const struct pick_options *options, uint32_t index);

/* For showing: the natural logarithms of the probabilities at temperature 1, in millionths. */
void pick_micro_logs(const float logits[MODEL_VOCABULARY], int32_t out[MODEL_VOCABULARY]);

/* Bytes from the likeliest to the least likely; of equal ones the lower comes first. */
void pick_order(const float logits[MODEL_VOCABULARY], uint8_t out[MODEL_VOCABULARY]);

#endif
