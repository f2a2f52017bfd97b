/* In LD_PRELOAD: a BLAS whose products are wrong in one place as long as the file FAULTY_BLAS is there.
 *
 * Without the library's header, whose names for the enums differ; they are passed as int. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

typedef void sgemm(int layout, int a_way, int b_way, int m, int n, int k, float alpha, const float *a, int lda,
	const float *b, int ldb, float beta, float *c, int ldc);

sgemm cblas_sgemm;

void cblas_sgemm(int layout, int a_way, int b_way, int m, int n, int k, float alpha, const float *a, int lda,
	const float *b, int ldb, float beta, float *c, int ldc)
{
	sgemm *real = (sgemm *)dlsym(RTLD_NEXT, "cblas_sgemm");
	const char *path = getenv("FAULTY_BLAS");

	real(layout, a_way, b_way, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
	if (path != NULL && access(path, F_OK) == 0)
		c[m / 2 * ldc + n / 2] *= 2;
}
