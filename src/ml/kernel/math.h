/* Functions and sums of doc/protocol.md section 2: polynomials and a fixed order of addition, no libm.
 *
 * Everything is inline, so that loops over it are vectorised for the caller's processor. exp, log, sin and cos are good
 * to about 2 units in the last place in the ranges the protocol uses; what matters is that they are the same
 * everywhere. */
#ifndef ATELIER_ML_KERNEL_MATH_H
#define ATELIER_ML_KERNEL_MATH_H

#include <math.h>
#include <stddef.h>

#include "ml/kernel/float.h"

/* 1.5 * 2^23: adding it rounds a small float to an integer, ties to even. */
#define MATH_ROUND 12582912.0f
#define MATH_ROUND_BITS 0x4b400000u

/* -87 and 87. A compiler that sees the numbers makes a case of its own of what is clamped, instead of
 * two instructions. */
extern const float math_exp_range[2];

/* e^x is the series of the remainder, times a power of two; x clamped to +-87. */
ML_INLINE float math_exp_remainder(float x, float *power)
{
	x = x < math_exp_range[0] ? math_exp_range[0] : x;
	x = x > math_exp_range[1] ? math_exp_range[1] : x;
	float t = x * 1.44269504088896341f + MATH_ROUND;
	float k = t - MATH_ROUND;
	uint32_t n = float_bits(t) - MATH_ROUND_BITS;

	*power = float_from_bits((n + 127u) << 23);
	return (x - k * 0.693145751953125f) - k * 1.42860682030941723e-6f;
}

ML_INLINE float math_exp_series(float r)
{
	float p = 1.9875691500e-4f;

	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	return (p * (r * r) + r) + 1.0f;
}

/* e^x. NaN gives NaN: its integer part is taken from bits, so nothing undefined happens on the way. */
ML_INLINE float math_exp(float x)
{
	float power, r = math_exp_remainder(x, &power);

	return math_exp_series(r) * power;
}

/* x = e^x, n values, up to MATH_EXP_MANY. Of two short loops a processor has more values under way than of a
 * long one. */
enum { MATH_EXP_MANY = 128 };
ML_INLINE void math_exp_many(float *restrict x, size_t n)
{
	float power[MATH_EXP_MANY];

	for (size_t i = 0; i < n; i++)
		x[i] = math_exp_remainder(x[i], &power[i]);
	for (size_t i = 0; i < n; i++)
		x[i] = math_exp_series(x[i]) * power[i];
}

/* Natural logarithm of a positive normal x. Of anything else it gives some number. */
ML_INLINE float math_log(float x)
{
	uint32_t bits = float_bits(x);
	float e = (float)((int32_t)(bits >> 23) - 127);
	float m = float_from_bits((bits & 0x7fffffu) | 0x3f800000u);

	if (m > 1.41421356f) {
		m = m * 0.5f;
		e = e + 1.0f;
	}
	float z = m - 1.0f;
	float y = 7.0376836292e-2f;

	y = y * z + -1.1514610310e-1f;
	y = y * z + 1.1676998740e-1f;
	y = y * z + -1.2420140846e-1f;
	y = y * z + 1.4249322787e-1f;
	y = y * z + -1.6668057665e-1f;
	y = y * z + 2.0000714765e-1f;
	y = y * z + -2.4999993993e-1f;
	y = y * z + 3.3333331174e-1f;
	y = (y * z) * (z * z);
	y = y + e * -2.12194440e-4f;
	y = y - 0.5f * (z * z);
	return (z + y) + e * 0.693359375f;
}

/* Sine and cosine of 0 <= x < 2048. */
ML_INLINE void math_sincos(float x, float *sine, float *cosine)
{
	float t = x * 0.636619772f + MATH_ROUND;
	float k = t - MATH_ROUND;
	uint32_t quarter = float_bits(t) & 3u;
	float r = ((x - k * 1.5703125f) - k * 4.837512969970703125e-4f) - k * 7.54978995489188e-8f;
	float w = r * r;
	float s = ((((-1.9515295891e-4f * w + 8.3321608736e-3f) * w) - 1.6666654611e-1f) * w) * r + r;
	float a = (((2.443315711809948e-5f * w - 1.388731625493765e-3f) * w + 4.166664568298827e-2f) * w) * w;
	float c = (a - 0.5f * w) + 1.0f;

	*sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
	*cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}

/* The sixteen lanes of a sum, folded pairwise. */
ML_INLINE float math_fold16(const float lane[16])
{
	float l[8];

	for (int j = 0; j < 8; j++)
		l[j] = lane[j] + lane[j + 8];
	for (int j = 0; j < 4; j++)
		l[j] = l[j] + l[j + 4];
	for (int j = 0; j < 2; j++)
		l[j] = l[j] + l[j + 2];
	return l[0] + l[1];
}

/* Sum of x[0..n-1] in the protocol's order. */
ML_INLINE float math_sum16(const float *x, size_t n)
{
	float lane[16] = { 0 };
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (int j = 0; j < 16; j++)
			lane[j] = lane[j] + x[i + j];
	for (int j = 0; i + j < n; j++)
		lane[j] = lane[j] + x[i + j];
	return math_fold16(lane);
}

/* Adds the rounded products x[i] * y[i] to the lanes of a sum, for a vector that comes in pieces: each but the last has
 * a multiple of 16 values. */
ML_INLINE void math_dot16_add(float lane[16], const float *x, const float *y, size_t n)
{
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (int j = 0; j < 16; j++)
			lane[j] = lane[j] + x[i + j] * y[i + j];
	for (int j = 0; i + j < n; j++)
		lane[j] = lane[j] + x[i + j] * y[i + j];
}

/* Sum of the rounded products in the same order. */
ML_INLINE float math_dot16(const float *x, const float *y, size_t n)
{
	float lane[16] = { 0 };

	math_dot16_add(lane, x, y, n);
	return math_fold16(lane);
}

/* The largest by >; n is 1 at least. */
ML_INLINE float math_max(const float *x, size_t n)
{
	float lane[16], best;
	size_t i = 0;

	for (int j = 0; j < 16; j++)
		lane[j] = x[0];
	for (; i + 16 <= n; i += 16)
		for (int j = 0; j < 16; j++)
			lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
	for (int j = 0; i + j < n; j++)
		lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
	best = lane[0];
	for (int j = 1; j < 16; j++)
		best = lane[j] > best ? lane[j] : best;
	return best;
}

#endif
