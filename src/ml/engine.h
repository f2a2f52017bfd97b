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

/* Y[i][j] = sum over k of A(i, k) * B(j, k), for i < m, j < n. A(i, k) is a[i * lda + k], or a[k * lda + i] if
 * a_transposed; B(j, k) likewise. Y is y[i * ldy + j] and is overwritten. */
struct engine_product {
	size_t m, n, k;
	const float *a, *b;
	size_t lda, ldb;
	bool a_transposed, b_transposed;
	float *y;
	size_t ldy;
};

/* One chunk: p->k is at most 1024, and along k both operands are on the grids that ml/exact.h gives them. */

void engine_multiply(enum engine engine, const struct engine_product *p);

#endif
