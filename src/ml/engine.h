/* Engines: who multiplies matrices whose operands lie on exact grids.
 *
 * Operands come from ml/exact.h, already rounded so that every sum is exact; so an engine is a private choice, and all
 * of them give the same bits (doc/protocol.md section 3). ENGINE_OPENBLAS is cblas_sgemm of whatever BLAS is linked.
 * ENGINE_REFERENCE is plain C: int8 operands, int32 sums; slow, for tests and to repeat a verification that failed. */
#ifndef ATELIER_ML_ENGINE_H
#define ATELIER_ML_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

enum engine { ENGINE_OPENBLAS, ENGINE_REFERENCE };

/* Called once, before other threads start. Makes OpenBLAS run single-threaded inside its caller, which is what a pool
 * of workers wants, unless blas_threads asks for more (0 leaves the library's own choice). Without effect if another
 * BLAS takes OpenBLAS's place. */
void engine_init(int blas_threads);

/* A product of one chunk, row-major. Y is [m][n], row length ldy, overwritten. Operand A contributes A(i, k), stored at
 * a[i * lda + k], or at a[k * lda + i] if a_along_rows; B(j, k) likewise. k <= 1024. */
struct engine_product {
	size_t m, n, k;
	const float *a, *b;
	size_t lda, ldb;
	bool a_along_rows, b_along_rows;
	float *y;
	size_t ldy;
};

void engine_multiply(enum engine engine, const struct engine_product *p);

#endif
