/* A weight matrix of the model, y = x W^T, and its way back, by exact products (doc/protocol.md sections 3 and 4).
 *
 * Here: the matrix rounded once for all tokens of a pass, products with blocks of tokens, and the gradient of the
 * matrix, which contracts over all tokens of a chunk. Not here: which tokens form a block or a chunk (ml/pass.c). */
#ifndef ATELIER_ML_KERNEL_LINEAR_H
#define ATELIER_ML_KERNEL_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/kernel/engine.h"
#include "ml/kernel/exact.h"
#include "ml/profile.h"

struct linear {
	size_t offset; /* of W [out][in] in theta and in the gradient */
	size_t out, in;
	void *memory[2]; /* exact_operand_size(out, in) bytes each, the owner's */
	struct exact_operand by_rows, by_columns;
	/* Of a checked pass: by_rows' and by_columns' projections, [in] and [out], the owner's memory. */
	const struct freivalds_vectors *vectors; /* NULL: not checked */
	struct freivalds_pair projected[2];
};

/* Rows of W whose gradient linear_gradient computes at a time, at most. */
enum { LINEAR_ROWS = 1024 };

/* Tokens that it takes at a time: a gradient is rounded and multiplied by parts, so that both operands and the sum stay
 * in a core's own cache. */
enum { LINEAR_TOKENS = 256 };

/* Rows of W in such a part. */
enum { LINEAR_PART_ROWS = 256 };

/* Kinds of tokens, if they are told apart. */
enum { LINEAR_KINDS = 256 };

/* One thread's memory, for blocks of `tokens` and matrices of `widest` rows or columns at most. */
struct linear_work {
	void *rounded; /* linear_rounded_size bytes */
	void *part;    /* linear_part_size bytes */
	float *sums;   /* [LINEAR_KINDS][LINEAR_PART_ROWS] */
	void *scratch; /* linear_scratch_size bytes */
	struct profile *profile;
	struct freivalds *check;         /* what products are checked by; NULL: they are not */
	struct freivalds_pair projected; /* [LINEAR_TOKENS], for it */
	bool refused;                    /* what was taken cannot be rounded */
};
size_t linear_rounded_size(size_t tokens, size_t widest);
size_t linear_part_size(void);
size_t linear_scratch_size(size_t tokens, size_t widest);

/* All that return bool return false if rounding fails, or the check finds a product wrong. */

/* Rounds W for linear_forward, and for linear_backward too if asked. */
bool linear_round(struct linear *linear, enum engine engine, const float *theta, bool backward);

/* Takes rows first .. first + count - 1 of x [tokens][width], what the next product multiplies: best while they are in
 * the cache. The first come first. largest [width], NULL if not wanted, becomes that of all rows as exact_largest has
 * it. */
void linear_take(struct linear_work *work, enum engine engine, const float *x, size_t tokens, size_t width,
	size_t first, size_t count, int32_t *largest);

/* y [tokens][out] = x [tokens][in] W^T, and dx [tokens][in] = dy [tokens][out] W, of an x or dy that was taken. */
bool linear_forward(const struct linear *linear, enum engine engine, const struct linear_work *work, const float *x,
	size_t tokens, float *y);
bool linear_backward(const struct linear *linear, enum engine engine, const struct linear_work *work, const float *dy,
	size_t tokens, float *dx);

/* A chunk's gradient of W, dy^T x: what it is made of. */
struct linear_chunk {
	const float *dy, *x;                   /* [tokens][out], [tokens][in] */
	size_t tokens;                         /* at most 1024 */
	const int32_t *dy_largest, *x_largest; /* [out], [in] over the chunk's tokens; not looked at by ENGINE_PLAIN */
	/* If tokens of one kind have one row of x: each token's kind, and x [kind_count][in] is a row for each. Only of
	 * engines that take floats. NULL: they have not. */
	const uint8_t *kinds;
	size_t kind_count;
};

/* Rows first .. first + count - 1 (LINEAR_ROWS at most) of the gradient at gradient + offset, overwritten or
 * added to. */
bool linear_gradient(const struct linear *linear, enum engine engine, const struct linear_work *work,
	const struct linear_chunk *chunk, size_t first, size_t count, bool add, float *gradient);

#endif
