/* Two looks at each part: how large its largest value is, and how many are not far below it. */
#include "ml/kernel/census.h"

#include "ml/kernel/exact.h"
#include "ml/kernel/float.h"

/* Steps of a grid lie 2^6 times below its exponent; 8 of them 2^3. */
enum { CENSUS_BELOW = 3, CENSUS_SIDE = 16 };

#define CENSUS_SHARP (1.0f - 0x1p-6f)

ML_INLINE int32_t census_bits(float x)
{
	return (int32_t)(float_bits(x) & 0x7fffffffu);
}

/* The bits of 8 steps of the grid with this exponent. Sizes compare as their bits do. */
ML_INLINE int32_t census_least(uint32_t exponent)
{
	return (int32_t)((exponent - CENSUS_BELOW) << 23);
}

static void census_add(struct census *census, size_t parts, uint64_t seen, uint64_t level)
{
	atomic_fetch_add_explicit(&census->parts, (long long)parts, memory_order_relaxed);
	atomic_fetch_add_explicit(&census->seen, (long long)seen, memory_order_relaxed);
	atomic_fetch_add_explicit(&census->level, (long long)level, memory_order_relaxed);
}

ML_CLONES void census_rows(struct census *census, const float *x, size_t rows, size_t cols)
{
	uint64_t seen = 0, level = 0;
	size_t parts = 0;

	for (size_t i = 0; i < rows; i++)
		for (size_t left = 0; left < cols; left += EXACT_CHUNK, parts++) {
			const float *part = x + i * cols + left;
			const size_t count = cols - left < EXACT_CHUNK ? cols - left : EXACT_CHUNK;
			int32_t largest = 0;
			uint32_t above = 0;

			for (size_t j = 0; j < count; j++)
				largest = census_bits(part[j]) > largest ? census_bits(part[j]) : largest;
			const uint32_t exponent = exact_exponent((uint32_t)largest);
			const int32_t least = census_least(exponent);

			for (size_t j = 0; j < count; j++)
				above += census_bits(part[j]) >= least;
			seen += above;
			level += exponent;
		}
	census_add(census, parts, seen, level);
}

/* Some columns at a time, all rows of the part: a line of memory has their values side by side. */
ML_CLONES static void census_some_columns(struct census *census, const float *x, size_t ld, size_t rows, size_t count)
{
	int32_t largest[CENSUS_SIDE] = { 0 }, least[CENSUS_SIDE] = { 0 };
	uint32_t above[CENSUS_SIDE] = { 0 };
	uint64_t seen = 0, level = 0;

	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < count; j++) {
			const int32_t bits = census_bits(x[i * ld + j]);

			largest[j] = bits > largest[j] ? bits : largest[j];
		}
	for (size_t j = 0; j < count; j++)
		least[j] = census_least(exact_exponent((uint32_t)largest[j]));
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < count; j++)
			above[j] += census_bits(x[i * ld + j]) >= least[j];
	for (size_t j = 0; j < count; j++) {
		seen += above[j];
		level += exact_exponent((uint32_t)largest[j]);
	}
	census_add(census, count, seen, level);
}

void census_columns(struct census *census, const float *x, size_t rows, size_t cols)
{
	for (size_t top = 0; top < rows; top += EXACT_CHUNK)
		for (size_t left = 0; left < cols; left += CENSUS_SIDE)
			census_some_columns(census, x + top * cols + left, cols,
				rows - top < EXACT_CHUNK ? rows - top : EXACT_CHUNK,
				cols - left < CENSUS_SIDE ? cols - left : CENSUS_SIDE);
}

ML_CLONES size_t census_sharp(const float *p, size_t count)
{
	size_t sharp = 0;

	for (size_t i = 0; i < count; i++)
		sharp += p[i] >= CENSUS_SHARP;
	return sharp;
}
