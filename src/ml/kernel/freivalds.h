/* Freivalds' check: whether an engine's products are what their operands give, for a few per cent of what they cost.
 *
 * If C = A B then s C r = (s A) (B r) for all vectors r and s; if not, for almost none. The check is made on the
 * integers behind operands and sums, modulo the prime p = 2^31 - 1, with r and s uniform modulo p. Sums are smaller
 * than p, so one that is wrong is wrong modulo p; then C r is wrong for all but a fraction 1/p of the r, and s C r for
 * all but 1/p of the s. Two pairs of vectors leave a probability of 2^-60, and need no more than products of 32 bits.
 * (One pair modulo 2^61 - 1 costs as many of these and more reductions; r and s of 64 bits modulo 2^64 see an error of
 * 2^24 with a probability of 2^-40 only.)
 *
 * r and s come from the operating system's randomness, anew for every step, and never leave this process: nobody can
 * make up operands on which a faulty engine would pass. Sums in floats must have the very bits of an integer times both
 * grids: so -0, NaN and what lies between two multiples is wrong too. */
#ifndef ATELIER_ML_KERNEL_FREIVALDS_H
#define ATELIER_ML_KERNEL_FREIVALDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ml/kernel/engine.h"

/* Rows of A, and chunk of the contraction, at most. */
enum { FREIVALDS_ROWS = 1024 };

/* Two vectors modulo p. */
struct freivalds_pair {
	int32_t *v[2];
};

/* The vectors of one step, which all its threads read. */
struct freivalds_vectors {
	struct freivalds_pair r; /* as many as C has columns, at most */
	struct freivalds_pair s; /* [FREIVALDS_ROWS] */
};
void freivalds_draw(struct freivalds_vectors *vectors, size_t widest);

/* One thread's check. */
struct freivalds {
	const struct freivalds_vectors *vectors;
	int64_t balance[2]; /* modulo p: what s C r has to be yet */
	bool wrong;
};

/* An operand over one chunk or a part of it, in the form that the engine takes, not ENGINE_UNROUNDED: X(i, k) of i <
 * rows, k < count, lying as in struct engine_product. grids [rows]: the steps of the grids; of floats. */
struct freivalds_operand {
	enum engine_form form;
	const void *values;
	size_t ld, rows, count;
	bool transposed;
	const float *grids;
};

/* out [count] = B r. */
void freivalds_project(const struct freivalds_vectors *vectors, const struct freivalds_operand *b,
	struct freivalds_pair out);

/* The rows of A, of which the first is number `row` of those under way, will be multiplied by a B with this B r
 * [count]. */
void freivalds_expect(struct freivalds *freivalds, const struct freivalds_operand *a, struct freivalds_pair projected,
	size_t row);

/* The sums C [m][n] from that row and from column `column` on: floats, or int32_t. */
struct freivalds_sums {
	enum engine_form form;
	const void *values;
	size_t ld, m, n, row, column;
	const float *grids_a, *grids_b; /* [m], [n]; of floats */
};
void freivalds_deduct(struct freivalds *freivalds, const struct freivalds_sums *sums);

/* Now everything expected has been deducted: if that does not add up, f->wrong becomes true. */
void freivalds_settle(struct freivalds *freivalds);

#endif
