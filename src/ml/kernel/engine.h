/* Engines: who multiplies matrices whose operands lie on exact grids.
 *
 * Operands come from ml/kernel/exact.h, already rounded so that every sum is exact; so an engine is a private choice,
 * and all of them give the same bits (doc/protocol.md section 3). An engine takes them in one of two forms: rounded
 * floats, which it multiplies into floats, or the int8 integers behind them, which it multiplies into exact int32 sums.
 *
 *     ENGINE_OPENBLAS   floats: cblas_sgemm of whatever BLAS is linked
 *     ENGINE_REFERENCE  integers, plain C: slow but with few rows; for texts, tests, in place of a wrong engine
 *     ENGINE_ONEDNN     integers, oneDNN's int8 product: if built with it, on processors that add without saturating
 *     ENGINE_PLAIN      cblas_sgemm without any rounding: inexact, to measure against; never for a proof */
#ifndef ATELIER_ML_KERNEL_ENGINE_H
#define ATELIER_ML_KERNEL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

enum engine { ENGINE_OPENBLAS, ENGINE_REFERENCE, ENGINE_ONEDNN, ENGINE_PLAIN };

enum engine_form { ENGINE_FLOATS, ENGINE_INTEGERS, ENGINE_UNROUNDED };

enum engine_form engine_form(enum engine engine);

/* Whether this build and this processor have the engine; else false with the reason. ml/selftest.h tests what
 * is there. */
bool engine_usable(enum engine engine, struct errmsg *err);

/* Called once, before other threads start. Makes the libraries run single-threaded inside their caller, which is what a
 * pool of workers wants, unless `threads` asks for more (0 leaves the libraries' own choice), and oneDNN with the
 * instructions that are fastest, unless the environment says otherwise (ONEDNN_MAX_CPU_ISA). Without effect on a BLAS
 * that takes OpenBLAS's place. */
void engine_init(int threads);

/* Whether OpenBLAS took this processor for one that is much older, and the environment (OPENBLAS_CORETYPE) says
 * nothing of it: it does then. The library reads that when a program is loaded and at no other time, so main executes
 * the program once more, first of all. */
bool engine_name_processor(void);

/* OpenBLAS's name of newer kernels than those so called, that this processor can run; NULL: it has the right ones, or
 * so its own choice is. Static. */
const char *engine_better_kernels(const char *kernels);

/* OpenBLAS's name of the processor that its kernels are for; NULL if the engine has no such choice. Static. */
const char *engine_kernels(enum engine engine);

/* Y[i][j] = sum over k of A(i, k) * B(j, k), for i < m, j < n; added to what is there if `add`. A(i, k) is a[i * lda +
 * k], or a[k * lda + i] if a_transposed; B(j, k) likewise. The elements of a and b are floats, or int8_t for an engine
 * of that form. Y is y[i * ldy + j]: floats, or int32_t. */
struct engine_product {
	size_t m, n, k;
	const void *a, *b;
	size_t lda, ldb;
	bool a_transposed, b_transposed, add;
	void *y;
	size_t ldy;
};

/* ENGINE_PLAIN takes any k and any values. For the others k is part of one chunk: along it both operands are on the
 * grids that ml/kernel/exact.h gives them, and `add` adds to sums over other parts of the same chunk, so that they
 * stay exact. */
void engine_multiply(enum engine engine, const struct engine_product *product);

#endif
