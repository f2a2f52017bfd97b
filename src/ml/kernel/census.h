/* How much a product sees of an operand (doc/protocol.md section 20).
 *
 * A product rounds each part of a row to a grid of its own (ml/kernel/exact.h): what is far below the part's largest
 * value is lost, and needs no multiplying. Here such parts are counted, so that weights can be told by which products
 * have little to do. The numbers are integers: the same for every engine and in every order. */
#ifndef ATELIER_ML_KERNEL_CENSUS_H
#define ATELIER_ML_KERNEL_CENSUS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Of an operand; zeros at first. Several threads may add to it at the same time. */
struct census {
	atomic_llong parts;
	atomic_llong seen;  /* values of 8 steps of their part's grid or more, in size */
	atomic_llong level; /* sum of the biased exponents of the parts' grids (exact_exponent) */
};

/* What is counted of a matrix W: X of the product X W^T over all tokens; W as it lies there; W as dY W takes it. */
enum { CENSUS_X, CENSUS_ROWS, CENSUS_COLUMNS, CENSUS_OPERANDS };
struct census_matrix {
	struct census of[CENSUS_OPERANDS];
	atomic_llong sharp; /* of a Wo: weights of attention in its layer of 1 - 2^-6 or more */
};

/* Adds what x [rows][cols] has, contracted along its columns, or along its rows. */
void census_rows(struct census *census, const float *x, size_t rows, size_t cols);
void census_columns(struct census *census, const float *x, size_t rows, size_t cols);

/* How many of so many weights of attention are 1 - 2^-6 or more: a query's others are lost beside that one. */
size_t census_sharp(const float *p, size_t count);

#endif
