#include "ml/float.h"

#include <cblas.h>
#include <stdint.h>
#include <stdlib.h>

#include "ml/engine.h"
#include "ml/exact.h"
#include "util/mem.h"

/* Only OpenBLAS has it. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));

void engine_init(int blas_threads)
{
	if (openblas_set_num_threads && blas_threads > 0)
		openblas_set_num_threads(blas_threads);
}

static void multiply_openblas(const struct engine_product *p)
{
	/* beta = 0: with 1, the library may add into y while it sums, and that is not exact. */
	cblas_sgemm(CblasRowMajor, p->a_transposed ? CblasTrans : CblasNoTrans, p->b_transposed ? CblasNoTrans : CblasTrans,
		    (int)p->m, (int)p->n, (int)p->k, 1.0f, p->a, (int)p->lda, p->b, (int)p->ldb, 0.0f, p->y, (int)p->ldy);
}

/* The integers of one operand, [rows][k], and the grid of each row. Rounding to a grid does not change the grid, so it is
 * found again from the rounded values. */
static void read_integers(const float *x, size_t ld, bool transposed, size_t rows, size_t k, int8_t *q, float *grid)
{
	size_t row_stride = transposed ? 1 : ld, k_stride = transposed ? ld : 1;

	for (size_t i = 0; i < rows; i++) {
		const float *row = x + i * row_stride;
		uint32_t largest = 0;

		for (size_t j = 0; j < k; j++) {
			uint32_t bits = float_bits(row[j * k_stride]) & 0x7fffffffu;

			largest = bits > largest ? bits : largest;
		}
		uint32_t e = exact_exponent(largest);
		float scale = float_from_bits((260u - e) << 23);

		grid[i] = float_from_bits((e - 6u) << 23);
		for (size_t j = 0; j < k; j++)
			q[i * k + j] = (int8_t)(row[j * k_stride] * scale);
	}
}

static void multiply_reference(const struct engine_product *p)
{
	int8_t *a = mem_alloc(p->m * p->k), *b = mem_alloc(p->n * p->k);
	float *grid_a = mem_alloc(p->m * sizeof(float)), *grid_b = mem_alloc(p->n * sizeof(float));

	read_integers(p->a, p->lda, p->a_transposed, p->m, p->k, a, grid_a);
	read_integers(p->b, p->ldb, p->b_transposed, p->n, p->k, b, grid_b);
	for (size_t i = 0; i < p->m; i++) {
		for (size_t j = 0; j < p->n; j++) {
			int32_t sum = 0;

			for (size_t k = 0; k < p->k; k++)
				sum += a[i * p->k + k] * b[j * p->k + k];
			p->y[i * p->ldy + j] = (float)sum * (grid_a[i] * grid_b[j]);
		}
	}
	free(a);
	free(b);
	free(grid_a);
	free(grid_b);
}

void engine_multiply(enum engine engine, const struct engine_product *p)
{
	switch (engine) {
	case ENGINE_OPENBLAS:
		multiply_openblas(p);
		return;
	case ENGINE_REFERENCE:
		multiply_reference(p);
		return;
	}
}
