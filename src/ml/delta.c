#include "ml/float.h"

#include "ml/delta.h"
#include "ml/noise.h"

size_t delta_size(size_t n)
{
	return (n + DELTA_BLOCK - 1) / DELTA_BLOCK * DELTA_BLOCK_SIZE;
}

ML_INLINE float power_of_two(int e)
{
	return float_from_bits((uint32_t)(e + 127) << 23);
}

/* The smallest exponent in range that brings all values to at most 126, or 1 if there is none. */
static int block_exponent(const float x[DELTA_BLOCK])
{
	uint32_t largest = 0;

	for (int i = 0; i < DELTA_BLOCK; i++) {
		uint32_t bits = float_bits(x[i]) & 0x7fffffffu;

		largest = bits > largest ? bits : largest;
	}
	int e = DELTA_EXPONENT_MIN;

	while (e <= 0 && !(float_from_bits(largest) * power_of_two(-e) <= 126.0f))
		e++;
	return e;
}

static void block_encode(const float x[DELTA_BLOCK], int e, const uint8_t seed[32], uint32_t first_draw, uint8_t *out)
{
	uint32_t noise[4] = {0};

	out[0] = (uint8_t)(int8_t)e;
	for (int i = 0; i < DELTA_BLOCK; i++) {
		if (i % 4 == 0)
			noise_words(seed, NOISE_ROUNDING, first_draw + (uint32_t)i / 4, noise);
		float y = x[i] * power_of_two(-e) + (float)(noise[i % 4] >> 8) * 0x1p-24f;
		int q = (int)y;

		if ((float)q > y)
			q--;
		out[1 + i] = (uint8_t)(int8_t)q;
	}
}

bool delta_encode(const float *x, size_t n, const uint8_t seed[32], uint8_t *out)
{
	for (size_t first = 0; first < n; first += DELTA_BLOCK, out += DELTA_BLOCK_SIZE) {
		size_t count = n - first < DELTA_BLOCK ? n - first : DELTA_BLOCK;
		float block[DELTA_BLOCK] = {0};

		memcpy(block, x + first, count * sizeof(float));
		int e = block_exponent(block);

		if (e > 0)
			return false;
		block_encode(block, e, seed, (uint32_t)(first / 4), out);
	}
	return true;
}

bool delta_check(const uint8_t *delta, size_t size, size_t n)
{
	if (size != delta_size(n))
		return false;
	for (size_t at = 0; at < size; at += DELTA_BLOCK_SIZE) {
		int e = (int8_t)delta[at];

		if (e < DELTA_EXPONENT_MIN || e > 0)
			return false;
	}
	for (size_t i = n % DELTA_BLOCK; i != 0 && i < DELTA_BLOCK; i++)
		if (delta[size - DELTA_BLOCK + i] != 0)
			return false;
	return true;
}

static void block_decode(const uint8_t *restrict block, size_t count, float *restrict out)
{
	float scale = power_of_two((int8_t)block[0]);

	for (size_t i = 0; i < count; i++)
		out[i] = (float)(int8_t)block[1 + i] * scale;
}

void delta_decode(const uint8_t *delta, size_t first, size_t count, float *out)
{
	const uint8_t *block = delta + first / DELTA_BLOCK * DELTA_BLOCK_SIZE;

	for (size_t done = 0; done < count; done += DELTA_BLOCK, block += DELTA_BLOCK_SIZE)
		block_decode(block, count - done < DELTA_BLOCK ? count - done : DELTA_BLOCK, out + done);
}
