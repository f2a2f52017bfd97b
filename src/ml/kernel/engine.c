/* The engines: cblas_sgemm, plain C, oneDNN. */
#include <cblas.h>

#include "ml/kernel/float.h"
#ifdef HAVE_ONEDNN
#include <dnnl.h>
#endif

#include "ml/kernel/engine.h"

/* Only OpenBLAS has the first; the second is there if a library brings OpenMP with it. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));
extern void omp_set_num_threads(int threads) __attribute__((weak));

static int library_threads;

/* Called once, before there are threads to race for the number. The team shares work out itself; a library that does so
 * too would only add threads. */
void engine_init(int threads)
{
	library_threads = threads;
	if (openblas_set_num_threads && threads > 0)
		openblas_set_num_threads(threads);
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
static bool has_exact_bytes(void)
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
	return has_exact_bytes() ||
		errmsg_set(err, "this processor has no VNNI instructions: without them int8 products saturate");
}

static void multiply_floats(const struct engine_product *p)
{
	cblas_sgemm(CblasRowMajor, p->a_transposed ? CblasTrans : CblasNoTrans,
		p->b_transposed ? CblasNoTrans : CblasTrans, (int)p->m, (int)p->n, (int)p->k, 1.0f, p->a, (int)p->lda,
		p->b, (int)p->ldb, p->add ? 1.0f : 0.0f, p->y, (int)p->ldy);
}

/* The judge of the others: no library, no vector intrinsics, nothing to configure. int32 cannot overflow: 127^2 * 1024.
 */
static void multiply_reference(const struct engine_product *p)
{
	size_t a_row = p->a_transposed ? 1 : p->lda, a_k = p->a_transposed ? p->lda : 1;
	size_t b_row = p->b_transposed ? 1 : p->ldb, b_k = p->b_transposed ? p->ldb : 1;
	const int8_t *a = p->a, *b = p->b;
	int32_t *y = p->y;

	for (size_t i = 0; i < p->m; i++) {
		for (size_t j = 0; j < p->n; j++) {
			int32_t sum = p->add ? y[i * p->ldy + j] : 0;

			for (size_t k = 0; k < p->k; k++)
				sum += a[i * a_row + k * a_k] * b[j * b_row + k * b_k];
			y[i * p->ldy + j] = sum;
		}
	}
}

/* False if the library cannot: it takes memory of its own. */
static bool multiply_onednn(const struct engine_product *p)
{
#ifdef HAVE_ONEDNN
	int32_t offset = 0;

	/* OpenMP keeps this number for each thread apart. */
	if (omp_set_num_threads && library_threads > 0)
		omp_set_num_threads(library_threads);
	return dnnl_gemm_s8s8s32(p->a_transposed ? 'T' : 'N', p->b_transposed ? 'N' : 'T', 'F', (dnnl_dim_t)p->m,
		       (dnnl_dim_t)p->n, (dnnl_dim_t)p->k, 1.0f, p->a, (dnnl_dim_t)p->lda, 0, p->b, (dnnl_dim_t)p->ldb,
		       0, p->add ? 1.0f : 0.0f, p->y, (dnnl_dim_t)p->ldy, &offset) == dnnl_success;
#else
	(void)p;
	return false;
#endif
}

/* An engine that cannot, for want of memory, is no error: the reference gives the same sums. */
void engine_multiply(enum engine engine, const struct engine_product *p)
{
	switch (engine) {
	case ENGINE_OPENBLAS:
	case ENGINE_PLAIN:
		multiply_floats(p);
		return;
	case ENGINE_ONEDNN:
		if (multiply_onednn(p))
			return;
		break;
	case ENGINE_REFERENCE:
		break;
	}
	multiply_reference(p);
}
