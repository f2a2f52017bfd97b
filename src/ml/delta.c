/* The delta code: 64 values to a block of 65 bytes, rounded with noise of the step's seed. */
#include "ml/delta.h"

#include "ml/kernel/float.h"
#include "ml/kernel/noise.h"

_Static_assert(4 * NOISE_MANY == DELTA_BLOCK, "a block takes its noise at once");

size_t delta_size(size_t n)
{
	return (n + DELTA_BLOCK - 1) / DELTA_BLOCK * DELTA_BLOCK_SIZE;
}

ML_INLINE float delta_power_of_two(int exponent)
{
	return float_from_bits((uint32_t)(exponent + 127) << 23);
}

/* The smallest exponent in range that brings all values to at most 126, or 1 if there is none. */
ML_INLINE int delta_block_exponent(const float x[DELTA_BLOCK])
{
	int32_t largest = 0;

	for (int i = 0; i < DELTA_BLOCK; i++) {
		int32_t bits = (int32_t)(float_bits(x[i]) & 0x7fffffffu);

		largest = bits > largest ? bits : largest;
	}
	/* 126 is below 2^7: no smaller exponent than this one can do. */
	int exponent = (largest >> 23) - 127 - 7;

	exponent = exponent < DELTA_EXPONENT_MIN ? DELTA_EXPONENT_MIN : exponent;
	/* Negated, so that NaN and infinity find no exponent either. */
	while (exponent <= 0 && !(float_from_bits((uint32_t)largest) * delta_power_of_two(-exponent) <= 126.0f))
		exponent++;
	return exponent > 0 ? 1 : exponent;
}

/* With u uniform in [0, 1), floor(y + u) is y on average: small changes are not lost, they are rounded up now and then.
 * |y| <= 126 by the choice of e, so q is -126 .. 127 and fits; scaling by 2^-e, e <= 0, is exact. The cast rounds to
 * zero, and the next line makes a floor of it. */
ML_INLINE void delta_block_encode(const float x[DELTA_BLOCK], int exponent, const uint32_t noise[DELTA_BLOCK],
	uint8_t *out)
{
	float block_scale = delta_power_of_two(-exponent);

	out[0] = (uint8_t)(int8_t)exponent;
	for (int i = 0; i < DELTA_BLOCK; i++) {
		float y = x[i] * block_scale + (float)(int32_t)(noise[i] >> 8) * 0x1p-24f;
		int32_t q = (int32_t)y;

		q = (float)q > y ? q - 1 : q;
		out[1 + i] = (uint8_t)q;
	}
}

/* A block's noise is 16 draws, numbered by the place of the block's values among all: four values a draw. */
ML_CLONES bool delta_encode(const float *x, size_t n, const uint8_t seed[32], uint8_t *out)
{
	for (size_t first = 0; first < n; first += DELTA_BLOCK, out += DELTA_BLOCK_SIZE) {
		size_t count = n - first < DELTA_BLOCK ? n - first : DELTA_BLOCK;
		float delta_block[DELTA_BLOCK] = { 0 };
		uint32_t noise[4 * NOISE_MANY];

		memcpy(delta_block, x + first, count * sizeof(float));
		int exponent = delta_block_exponent(delta_block);

		if (exponent > 0)
			return false;
		noise_many(seed, NOISE_ROUNDING, (uint32_t)(first / 4), noise);
		delta_block_encode(delta_block, exponent, noise, out);
	}
	return true;
}

/* One body for one list of values: padding that could be anything would make many bodies of one, with digests of their
 * own. Exponents within range keep what is decoded within 2^7, so sums of deltas are finite. */
bool delta_check(const uint8_t *delta, size_t size, size_t n)
{
	if (size != delta_size(n))
		return false;
	for (size_t at = 0; at < size; at += DELTA_BLOCK_SIZE) {
		int exponent = (int8_t)delta[at];

		if (exponent < DELTA_EXPONENT_MIN || exponent > 0)
			return false;
	}
	for (size_t i = n % DELTA_BLOCK; i != 0 && i < DELTA_BLOCK; i++)
		if (delta[size - DELTA_BLOCK + i] != 0)
			return false;
	return true;
}

static void delta_block_decode(const uint8_t *restrict block, size_t count, float *restrict out)
{
	float block_scale = delta_power_of_two((int8_t)block[0]);

	for (size_t i = 0; i < count; i++)
		out[i] = (float)(int8_t)block[1 + i] * block_scale;
}

/* first is the first of a block: ranges that are decoded apart are multiples of them. */
void delta_decode(const uint8_t *delta, size_t first, size_t count, float *out)
{
	const uint8_t *delta_block = delta + first / DELTA_BLOCK * DELTA_BLOCK_SIZE;

	for (size_t done = 0; done < count; done += DELTA_BLOCK, delta_block += DELTA_BLOCK_SIZE)
		delta_block_decode(delta_block, count - done < DELTA_BLOCK ? count - done : DELTA_BLOCK, out + done);
}
