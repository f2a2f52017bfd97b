/* Exact products: operands rounded to grids on which no order of summation can change a bit (doc/protocol.md section
 * 3).
 *
 * A product contracts over an index k, cut into chunks of 1024. Within a chunk, each row of an operand along k gets a
 * power-of-two grid with at most 127 steps to each side. Here matrices become operands in the form that an engine
 * takes, rounded floats or the int8 integers behind them, and operands are multiplied.
 *
 * Rounding fails if a value is too large for every grid (2^57 or more), infinite or NaN. Matrices are row-major;
 * ENGINE_PLAIN takes them as they are. */
#ifndef ATELIER_ML_KERNEL_EXACT_H
#define ATELIER_ML_KERNEL_EXACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/kernel/engine.h"
#include "ml/kernel/freivalds.h"

enum { EXACT_CHUNK = 1024, EXACT_EXPONENT_MIN = 70, EXACT_EXPONENT_MAX = 183 };

/* Biased exponent of the grid for a chunk whose largest value has these bits (sign cleared): raised where the largest
 * would round to 128 steps. The grid's step is 2^(e - 133). */
static inline uint32_t exact_exponent(uint32_t largest)
{
	uint32_t e = (largest + 0x10000u) >> 23;

	return e < EXACT_EXPONENT_MIN ? EXACT_EXPONENT_MIN : e;
}

/* ---- Operands ---- */

/* Borrows the memory it was made in, or for ENGINE_PLAIN the matrix itself. */
struct exact_operand {
	const void *values; /* floats or int8_t, NULL: rounding failed */
	size_t ld;          /* from one row to the next */
	const float *grids; /* the grids' steps, [chunks][as many as the chunk has grids] */
};

/* Bytes of memory for an operand of x [rows][cols], whatever the engine and the direction. */
size_t exact_operand_size(size_t rows, size_t cols);

/* x [rows][cols] is contracted along its columns: a grid for each row and each chunk of 1024 columns. */
struct exact_operand exact_rows(enum engine engine, const float *x, size_t rows, size_t cols, void *memory);

/* The same row by row, while they come: rows first .. first + count - 1 of x. The operand, exact_rows_operand, is whole
 * when all have come; false if one cannot be rounded. On the way `largest` [cols], NULL if not wanted, grows as by
 * exact_largest. */
bool exact_some_rows(enum engine engine, const float *x, size_t rows, size_t cols, size_t first, size_t count,
	void *memory, int32_t *largest);
struct exact_operand exact_rows_operand(enum engine engine, const float *x, size_t rows, size_t cols, void *memory);

/* x [rows][cols] is contracted along its rows: a grid for each column and each chunk of 1024 rows. */
struct exact_operand exact_columns(enum engine engine, const float *x, size_t rows, size_t cols, void *memory);

/* The bits of the largest size in each column of x [rows][cols], if larger than what `largest` [cols] has: it starts as
 * zeros, and the larger of two such numbers is that of both parts. */
void exact_largest(const float *x, size_t rows, size_t cols, int32_t *largest);

/* As exact_columns for some of a chunk's rows and columns, x [rows][cols] with ld floats from one row to the next,
 * where `largest` [cols] is known for the whole chunk. */
struct exact_operand exact_part(enum engine engine, const float *x, size_t ld, size_t rows, size_t cols,
	const int32_t *largest, void *memory);

/* Rounds n values, none of which exceeds `largest` in size, to the grid for `largest`, in place. Before that each is
 * shifted by the difference of the two halves of its word of noise, less than a step up or down: so what is much
 * smaller than a step, and would be lost on the grids above, survives on average, and whoever does not know the noise
 * does not know the result, however small the values are. For the gradient of the logits (doc/protocol.md
 * section 4). */
void exact_dither(float *x, const uint32_t *noise, size_t n, float largest);

/* ---- Products ---- */

/* y [m][n] = A [m][k] B [n][k]^T. An operand that was made along its rows has k rows: it is transposed. */
struct exact_product {
	size_t m, n, k;
	struct exact_operand a, b;
	bool a_transposed, b_transposed;
	float *y;
	size_t ldy;
	/* Sees whether the engine is right, or NULL. `projected` [k] is then B's, and m is FREIVALDS_ROWS at most. Not
	 * of ENGINE_PLAIN. */
	struct freivalds *check;
	struct freivalds_pair projected;
	size_t check_row; /* where parts of other rows come in turns with these: their place */
};

/* The projection of an operand B [n][k] that was made along its rows if transposed. */
void exact_project(enum engine engine, const struct freivalds_vectors *vectors, struct exact_operand b, size_t n,
	size_t k, bool transposed, struct freivalds_pair out);

/* Bytes of scratch memory for the functions below. */
size_t exact_scratch_size(size_t m, size_t n);

/* Any k. */
void exact_multiply(enum engine engine, const struct exact_product *product, void *scratch);

/* A product over one chunk that comes in parts along k, all with the same scratch and y: exact_add_part for each, the
 * first with `first`, then exact_end_parts. The sum is added to y if `add`. A check has to be settled by the caller. */
void exact_add_part(enum engine engine, const struct exact_product *product, bool first, bool add, void *scratch);
void exact_end_parts(enum engine engine, const struct exact_product *product, bool add, void *scratch);

#endif
