/* Exact products: operands rounded to grids on which no order of summation can change a bit (doc/protocol.md section 3).
 *
 * A product contracts over an index k, cut into chunks of 1024. Within a chunk, each row of an operand along k gets a
 * power-of-two grid with at most 127 steps to each side. The first functions here write the rounded values as ordinary
 * floats (grid step times integer), ready for sgemm; those on operands write what a given engine takes, and exact_multiply
 * runs it chunk by chunk.
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

/* Both at once, for an x that is needed for two products. rows is at most 1024. */
bool exact_both(const float *x, size_t rows, size_t cols, float *by_rows, float *by_columns);

/* ---- Operands in the form that an engine takes ---- */

/* An operand is opaque memory of exact_operand_size floats: rounded floats, or int8 integers [rows][cols] followed by the
 * grids' steps. For sizes of 16 and more it is rows * cols. */
size_t exact_operand_size(size_t rows, size_t cols);

/* As exact_rows and exact_columns, into `memory`. Returns the operand, NULL if rounding fails: that is `memory`, or x itself
 * for an engine that does not round. */
const void *exact_operand_rows(enum engine engine, const float *x, size_t rows, size_t cols, void *memory);
const void *exact_operand_columns(enum engine engine, const float *x, size_t rows, size_t cols, void *memory);

/* As exact_both. out gets the operands. */
struct exact_pair {
	const void *by_rows, *by_columns;
};
bool exact_operand_both(enum engine engine, const float *x, size_t rows, size_t cols, void *by_rows, void *by_columns,
			struct exact_pair *out);

/* The product of operands in the engine's form, without gaps (lda, ldb, ldy are the natural ones), any k; added to y if
 * `add`. scratch is [m][n] floats. */
void exact_multiply(enum engine engine, const struct engine_product *p, bool add, void *scratch);

#endif
