/* A compiler that makes one rounding of a * b + c is found out by the start-up check, whichever file it does it in. (In
 * delta.c and exact.c the products are exact, so that one rounding is as good as two.)
 *
 * CONTRACTED, from the makefile, is that file: it is compiled here for a processor that has the instruction, with
 * contraction allowed as by -ffp-contract=fast, and stands in for the library's. */
#include "ml/kernel/float.h"

#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__x86_64__)
#pragma GCC target("avx2,fma")
#endif
#ifdef __clang__
#pragma STDC FP_CONTRACT ON
#else
#pragma GCC optimize("fp-contract=fast")
#endif
#undef ML_CLONES
#define ML_CLONES

#include CONTRACTED

#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute pop
#endif

#include "ml/backend_cpu.h"
#include "ml/selftest.h"
#include "unit.h"

/* Whether there is something to find. */
static bool contracts(void)
{
#if !defined(__OPTIMIZE__)
	return false;
#elif defined(__x86_64__)
	return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
#elif defined(__aarch64__)
	return true;
#else
	return false;
#endif
}

static void test_found_out(void **state)
{
	struct errmsg err = { "" };

	(void)state;
	if (!contracts())
		skip();
	assert_false(selftest_run(backend_cpu(ENGINE_REFERENCE), &err));
	assert_non_null(strstr(err.text, "other bits"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_found_out) };

	return cmocka_run_group_tests_name("ml/contraction of " CONTRACTED, tests, NULL, NULL);
}
