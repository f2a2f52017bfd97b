/* Binary32 as the protocol means it: every operation rounded on its own (doc/protocol.md section 2).
 *
 * The first include of every .c file in this folder. It refuses a compiler mode that computes otherwise, and switches
 * off contraction (a * b + c in one rounding) in the source itself, because a user's CFLAGS may ask for it: the flags
 * in module.am say the same to compilers that let the command line win. */
#ifndef ATELIER_ML_KERNEL_FLOAT_H
#define ATELIER_ML_KERNEL_FLOAT_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "-ffast-math changes results; Atelier's nodes must agree on every bit"
#endif
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD != 0
#error "float must be evaluated in float; on 32-bit x86 use -msse2 -mfpmath=sse"
#endif

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

/* A function that is compiled for several processors, the best being chosen at start. The results are the same. */
#ifdef HAVE_TARGET_CLONES
#define ML_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define ML_CLONES
#endif

/* A helper that must become part of its caller, so that it is compiled for the caller's processor. */
#define ML_INLINE static inline __attribute__((always_inline, unused))

ML_INLINE uint32_t float_bits(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

ML_INLINE float float_from_bits(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Neither infinite nor NaN, whatever the compiler believes about such values. */
ML_INLINE int float_is_finite(float x)
{
	return (float_bits(x) & 0x7fffffffu) < 0x7f800000u;
}

ML_INLINE int float_all_finite(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!float_is_finite(x[i]))
			return 0;
	return 1;
}

#endif
