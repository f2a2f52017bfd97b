/* The engines: cblas_sgemm, plain C, oneDNN. */
#include <cblas.h>
#include <stdlib.h>

#include "ml/kernel/float.h"
#ifdef HAVE_ONEDNN
#include <dnnl.h>
#endif

#include "ml/kernel/engine.h"

/* Only OpenBLAS has the first two; the last is there if a library brings OpenMP with it. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));
extern char *openblas_get_corename(void) __attribute__((weak));
extern void omp_set_num_threads(int threads) __attribute__((weak));

static int engine_library_threads;

/* OpenBLAS's name of the newest kernels that this processor and system can run, of those that it has for processors of
 * more than one maker. NULL: none that is worth asking for. */
static const char *engine_newest_kernels(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512bf16"))
		return "Cooperlake";
	if (__builtin_cpu_supports("avx512vl"))
		return "SkylakeX";
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return "Haswell";
#endif
	return NULL;
}

/* OpenBLAS 0.3.21, Debian 12's, takes Intel's models from 0xb0 on (Raptor Lake, Emerald Rapids) for a Pentium 4, and
 * multiplies a third as fast as they can. */
const char *engine_better_kernels(const char *kernels)
{
	return strcmp(kernels, "Prescott") == 0 ? engine_newest_kernels() : NULL;
}

/* The library could be asked to choose once more where it is, but not safely: a thread that it has begun meanwhile may
 * find it without kernels. One process in six hundred crashed. */
bool engine_name_processor(void)
{
	static const char wish[] = "OPENBLAS_CORETYPE";
	const char *better = openblas_get_corename ? engine_better_kernels(openblas_get_corename()) : NULL;

	return better != NULL && getenv(wish) == NULL && setenv(wish, better, 0) == 0;
}

/* Products in AMX's tiles took oneDNN 2.6 twice as long as with VNNI, of every size that was tried
 * (doc/performance.md). A user may name another set of instructions, by the library's own variables. */
static void engine_limit_onednn(void)
{
#ifdef HAVE_ONEDNN
	if (getenv("ONEDNN_MAX_CPU_ISA") == NULL && getenv("DNNL_MAX_CPU_ISA") == NULL)
		(void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core_vnni);
#endif
}

/* The team shares work out itself; a library that does so too would only add threads. */
void engine_init(int threads)
{
	engine_library_threads = threads;
	engine_limit_onednn();
	if (openblas_set_num_threads && threads > 0)
		openblas_set_num_threads(threads);
}

const char *engine_kernels(enum engine engine)
{
	return engine_form(engine) != ENGINE_INTEGERS && openblas_get_corename ? openblas_get_corename() : NULL;
}

enum engine_form engine_form(enum engine engine)
{
	switch (engine) {
	case ENGINE_OPENBLAS:
		return ENGINE_FLOATS;
	case ENGINE_REFERENCE:
	case ENGINE_ONEDNN:
		return ENGINE_INTEGERS;
	case ENGINE_PLAIN:
		break;
	}
	return ENGINE_UNROUNDED;
}

/* Before these instructions, x86 processors multiply bytes into pairs of 16 bits that saturate. */
static bool engine_has_exact_bytes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("avx512vnni");
#else
	return true;
#endif
}

bool engine_usable(enum engine engine, struct errmsg *err)
{
	if (engine != ENGINE_ONEDNN)
		return true;
#ifndef HAVE_ONEDNN
	return errmsg_set(err, "this build has no oneDNN: configure --with-onednn");
#endif
	return engine_has_exact_bytes() ||
		errmsg_set(err, "this processor has no VNNI instructions: without them int8 products saturate");
}

static void engine_multiply_floats(const struct engine_product *product)
{
	cblas_sgemm(CblasRowMajor, product->a_transposed ? CblasTrans : CblasNoTrans,
		product->b_transposed ? CblasNoTrans : CblasTrans, (int)product->m, (int)product->n, (int)product->k,
		1.0f, product->a, (int)product->lda, product->b, (int)product->ldb, product->add ? 1.0f : 0.0f,
		product->y, (int)product->ldy);
}

/* Both operands lie along k: still plain C, but such as compilers make vectors of. With few rows of A, as texts have
 * them, reading B is what takes the time, and it is read as it is. With more of them B is widened once for several:
 * processors multiply pairs of 16 bits. */
enum { ENGINE_CHUNK = 1024, ENGINE_ROWS = 16, ENGINE_FEW = 4 };

ML_CLONES static void engine_multiply_few(const struct engine_product *product)
{
	for (size_t j = 0; j < product->n; j++) {
		const int8_t *restrict b = (const int8_t *)product->b + j * product->ldb;

		for (size_t i = 0; i < product->m; i++) {
			const int8_t *restrict a = (const int8_t *)product->a + i * product->lda;
			int32_t *y = (int32_t *)product->y + i * product->ldy + j, sum = product->add ? *y : 0;

			for (size_t k = 0; k < product->k; k++)
				sum += a[k] * b[k];
			*y = sum;
		}
	}
}

ML_INLINE void engine_widen(const int8_t *restrict from, size_t count, int16_t *restrict to)
{
	for (size_t k = 0; k < count; k++)
		to[k] = from[k];
}

/* Sums of four rows of A, at a time; those behind the last are zeros. */
ML_INLINE void engine_dot_rows(const int16_t a[ENGINE_ROWS][ENGINE_CHUNK], size_t rows, const int16_t *restrict b,
	size_t count, int32_t *restrict sums)
{
	for (size_t i = 0; i < rows; i += 4) {
		int32_t sum[4] = { 0 };

		for (size_t k = 0; k < count; k++) {
			sum[0] += a[i][k] * b[k];
			sum[1] += a[i + 1][k] * b[k];
			sum[2] += a[i + 2][k] * b[k];
			sum[3] += a[i + 3][k] * b[k];
		}
		memcpy(sums + i, sum, sizeof sum);
	}
}

ML_CLONES static void engine_multiply_many(const struct engine_product *product)
{
	_Alignas(64) int16_t a[ENGINE_ROWS][ENGINE_CHUNK], b[ENGINE_CHUNK];

	for (size_t first = 0; first < product->m; first += ENGINE_ROWS) {
		size_t rows = product->m - first < ENGINE_ROWS ? product->m - first : ENGINE_ROWS;
		int32_t *y = (int32_t *)product->y + first * product->ldy, sums[ENGINE_ROWS];

		for (size_t i = 0; i < ENGINE_ROWS; i++)
			if (i < rows)
				engine_widen((const int8_t *)product->a + (first + i) * product->lda, product->k, a[i]);
			else
				memset(a[i], 0, product->k * sizeof a[i][0]);
		for (size_t j = 0; j < product->n; j++) {
			engine_widen((const int8_t *)product->b + j * product->ldb, product->k, b);
			engine_dot_rows(a, rows, b, product->k, sums);
			for (size_t i = 0; i < rows; i++)
				y[i * product->ldy + j] = sums[i] + (product->add ? y[i * product->ldy + j] : 0);
		}
	}
}

/* The judge of the others: no library, no vector intrinsics, nothing to configure. int32 cannot overflow: 127^2 * 1024.
 */
static void engine_multiply_reference(const struct engine_product *product)
{
	size_t a_row = product->a_transposed ? 1 : product->lda, a_k = product->a_transposed ? product->lda : 1;
	size_t b_row = product->b_transposed ? 1 : product->ldb, b_k = product->b_transposed ? product->ldb : 1;
	const int8_t *a = product->a, *b = product->b;
	int32_t *y = product->y;

	if (!product->a_transposed && !product->b_transposed) {
		(product->m < ENGINE_FEW ? engine_multiply_few : engine_multiply_many)(product);
		return;
	}
	for (size_t i = 0; i < product->m; i++) {
		for (size_t j = 0; j < product->n; j++) {
			int32_t sum = product->add ? y[i * product->ldy + j] : 0;

			for (size_t k = 0; k < product->k; k++)
				sum += a[i * a_row + k * a_k] * b[j * b_row + k * b_k];
			y[i * product->ldy + j] = sum;
		}
	}
}

/* False if the library cannot: it takes memory of its own. */
static bool engine_multiply_onednn(const struct engine_product *product)
{
#ifdef HAVE_ONEDNN
	int32_t offset = 0;

	/* OpenMP keeps this number for each thread apart. */
	if (omp_set_num_threads && engine_library_threads > 0)
		omp_set_num_threads(engine_library_threads);
	return dnnl_gemm_s8s8s32(product->a_transposed ? 'T' : 'N', product->b_transposed ? 'N' : 'T', 'F',
		       (dnnl_dim_t)product->m, (dnnl_dim_t)product->n, (dnnl_dim_t)product->k, 1.0f, product->a,
		       (dnnl_dim_t)product->lda, 0, product->b, (dnnl_dim_t)product->ldb, 0, product->add ? 1.0f : 0.0f,
		       product->y, (dnnl_dim_t)product->ldy, &offset) == dnnl_success;
#else
	(void)product;
	return false;
#endif
}

/* An engine that cannot, for want of memory, is no error: the reference gives the same sums. */
void engine_multiply(enum engine engine, const struct engine_product *product)
{
	switch (engine) {
	case ENGINE_OPENBLAS:
	case ENGINE_PLAIN:
		engine_multiply_floats(product);
		return;
	case ENGINE_ONEDNN:
		if (engine_multiply_onednn(product))
			return;
		break;
	case ENGINE_REFERENCE:
		break;
	}
	engine_multiply_reference(product);
}
