/* Passes over the model: its loss and its gradient, bit-reproducible (doc/protocol.md section 4).
 *
 * Windows are bytes [rows][ctx + 1]: inputs are bytes 0..ctx-1 of a row, targets 1..ctx; the first 8 positions are not
 * counted in the loss. A pass works in the memory of a `struct model` (ml/model.h) and allocates nothing. */
#ifndef ATELIER_ML_PASS_H
#define ATELIER_ML_PASS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/model.h"

/* What dithers the gradient of the logits: the key, and the number of the batch's first row among all that are dithered
 * with that key. Two rows with one number and one key would be dithered alike. */
struct pass_dither {
	const uint8_t *key; /* 32 bytes */
	uint32_t first_row;
};

/* Mean cross-entropy over the counted positions of `rows` windows (1 at least), and its gradient in `gradient` (n
 * floats, overwritten). False if the pass fails: an operand cannot be quantised, a checked product is wrong, or *cancel
 * (may be NULL) became true. Then the outputs are undefined. A loss that is not finite is returned as it is. */
bool pass_gradient(struct model *model, const float *theta, const uint8_t *windows, size_t rows,
	struct pass_dither dither, const atomic_bool *cancel, float *gradient, float *loss);

/* The same loss, forward only. */
bool pass_loss(struct model *model, const float *theta, const uint8_t *windows, size_t rows, const atomic_bool *cancel,
	float *loss);

#endif
