#include "ml/float.h"

#include "ml/exact.h"
#include "ml/ops.h"

/* (x + magic) - magic is x rounded to the grid, ties to even: magic is 1.5 * 2^23 grid steps, so its last place is one. */
ML_INLINE float grid_magic(uint32_t exponent)
{
	return float_from_bits(((exponent + 17u) << 23) | 0x400000u);
}

/* Sizes compared as signed integers, for which every processor has a vector maximum; NaN is above infinity here. */
ML_INLINE int32_t size_bits(float x)
{
	return (int32_t)(float_bits(x) & 0x7fffffffu);
}

ML_INLINE int32_t larger(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

ML_INLINE bool grid_exists(int32_t largest)
{
	return exact_exponent((uint32_t)largest) <= EXACT_EXPONENT_MAX;
}

ML_CLONES bool exact_rows(const float *restrict x, size_t rows, size_t cols, float *restrict y)
{
	int32_t overall = 0;

	for (size_t i = 0; i < rows; i++) {
		for (size_t first = 0; first < cols; first += EXACT_CHUNK) {
			size_t count = cols - first < EXACT_CHUNK ? cols - first : EXACT_CHUNK;
			const float *restrict in = x + i * cols + first;
			float *restrict out = y + i * cols + first;
			int32_t largest = 0;

			for (size_t j = 0; j < count; j++)
				largest = larger(size_bits(in[j]), largest);
			float magic = grid_magic(exact_exponent((uint32_t)largest));

			for (size_t j = 0; j < count; j++)
				out[j] = (in[j] + magic) - magic;
			overall = larger(largest, overall);
		}
	}
	return grid_exists(overall);
}

ML_CLONES bool exact_columns(const float *restrict x, size_t rows, size_t cols, float *restrict y)
{
	int32_t largest[EXACT_CHUNK], overall = 0;
	float magic[EXACT_CHUNK];

	for (size_t top = 0; top < rows; top += EXACT_CHUNK) {
		size_t bottom = rows - top < EXACT_CHUNK ? rows : top + EXACT_CHUNK;

		for (size_t left = 0; left < cols; left += EXACT_CHUNK) {
			size_t count = cols - left < EXACT_CHUNK ? cols - left : EXACT_CHUNK;

			for (size_t j = 0; j < count; j++)
				largest[j] = 0;
			for (size_t i = top; i < bottom; i++)
				for (size_t j = 0; j < count; j++)
					largest[j] = larger(size_bits(x[i * cols + left + j]), largest[j]);
			for (size_t j = 0; j < count; j++) {
				magic[j] = grid_magic(exact_exponent((uint32_t)largest[j]));
				overall = larger(largest[j], overall);
			}
			for (size_t i = top; i < bottom; i++)
				for (size_t j = 0; j < count; j++)
					y[i * cols + left + j] = (x[i * cols + left + j] + magic[j]) - magic[j];
		}
	}
	return grid_exists(overall);
}

/* One read serves the row results and the columns' maxima. A tile as wide as a chunk is the rows' chunk as well. */
ML_CLONES bool exact_both(float *restrict x, size_t rows, size_t cols, float *restrict by_rows)
{
	int32_t largest[EXACT_CHUNK], overall = 0;
	float magic[EXACT_CHUNK];

	for (size_t left = 0; left < cols; left += EXACT_CHUNK) {
		size_t count = cols - left < EXACT_CHUNK ? cols - left : EXACT_CHUNK;

		for (size_t j = 0; j < count; j++)
			largest[j] = 0;
		for (size_t i = 0; i < rows; i++) {
			const float *restrict in = x + i * cols + left;
			float *restrict out = by_rows + i * cols + left;
			int32_t in_row = 0;

			for (size_t j = 0; j < count; j++) {
				int32_t bits = size_bits(in[j]);

				in_row = larger(bits, in_row);
				largest[j] = larger(bits, largest[j]);
			}
			float row_magic = grid_magic(exact_exponent((uint32_t)in_row));

			for (size_t j = 0; j < count; j++)
				out[j] = (in[j] + row_magic) - row_magic;
			overall = larger(in_row, overall);
		}
		for (size_t j = 0; j < count; j++)
			magic[j] = grid_magic(exact_exponent((uint32_t)largest[j]));
		for (size_t i = 0; i < rows; i++)
			for (size_t j = 0; j < count; j++)
				x[i * cols + left + j] = (x[i * cols + left + j] + magic[j]) - magic[j];
	}
	return grid_exists(overall);
}

void exact_multiply(enum engine engine, const struct engine_product *p, bool add, float *scratch)
{
	for (size_t first = 0; first < p->k; first += EXACT_CHUNK) {
		struct engine_product chunk = *p;
		bool to_scratch = add || first > 0;

		chunk.a += first * (p->a_transposed ? p->lda : 1);
		chunk.b += first * (p->b_transposed ? p->ldb : 1);
		chunk.k = p->k - first < EXACT_CHUNK ? p->k - first : EXACT_CHUNK;
		if (to_scratch) {
			chunk.y = scratch;
			chunk.ldy = p->n;
		}
		engine_multiply(engine, &chunk);
		if (to_scratch)
			ops_add(p->y, scratch, p->m * p->n);
	}
}
