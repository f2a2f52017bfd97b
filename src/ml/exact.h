/* Exact products: operands rounded to grids on which no order of summation can change a bit (doc/protocol.md section 3).
 *
 * A product contracts over an index k, cut into chunks of 1024. Within a chunk, each row of an operand along k gets a
 * power-of-two grid with at most 127 steps to each side. The functions here write the rounded values as ordinary floats
 * (grid step times integer), ready for sgemm; exact_multiply then runs an engine chunk by chunk.
 *
 * Rounding fails if a value is too large for every grid (2^57 or more), infinite or NaN: then they return false and
 * the outputs are undefined. Matrices are row-major without gaps. */
#ifndef ATELIER_ML_EXACT_H
#define ATELIER_ML_EXACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/engine.h"

enum { EXACT_CHUNK = 1024, EXACT_EXPONENT_MIN = 70, EXACT_EXPONENT_MAX = 183 };

/* Biased exponent of the grid for a chunk whose largest value has these bits (sign cleared): raised where the largest
 * would round to 128 steps. The grid's step is 2^(e - 133). */
static inline uint32_t exact_exponent(uint32_t largest)
{
	uint32_t e = (largest + 0x10000u) >> 23;

	return e < EXACT_EXPONENT_MIN ? EXACT_EXPONENT_MIN : e;
}

/* x [rows][cols] is contracted along its columns: chunks of 1024 columns, a grid for each row and chunk. */
bool exact_rows(const float *x, size_t rows, size_t cols, float *y);

/* x [rows][cols] is contracted along its rows: chunks of 1024 rows, a grid for each column and chunk. */
bool exact_columns(const float *x, size_t rows, size_t cols, float *y);

/* Both at once, for an x that is needed for two products: by_rows gets what exact_rows gives, and x itself becomes what
 * exact_columns gives. rows is at most 1024. */
bool exact_both(float *x, size_t rows, size_t cols, float *by_rows);

/* The product of rounded operands, any k. Chunks after the first (all, if add) go to scratch, [m][n] floats, and are
 * added to y, which has no gaps (ldy = n). scratch is not used if k <= 1024 and not add. */
void exact_multiply(enum engine engine, const struct engine_product *p, bool add, float *scratch);

#endif
