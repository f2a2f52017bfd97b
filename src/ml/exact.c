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
ML_CLONES bool exact_both(const float *restrict x, size_t rows, size_t cols, float *restrict by_rows,
			  float *restrict by_columns)
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
				by_columns[i * cols + left + j] = (x[i * cols + left + j] + magic[j]) - magic[j];
	}
	return grid_exists(overall);
}

/* ---- The same as integers ---- */

/* The low byte of x + magic is the number of grid steps, in two's complement. */
ML_INLINE int8_t grid_steps(float x, float magic)
{
	return (int8_t)(uint8_t)float_bits(x + magic);
}

ML_INLINE float grid_step(uint32_t exponent)
{
	return float_from_bits((exponent - 6u) << 23);
}

/* grids [chunks][rows]. */
ML_CLONES static bool integer_rows(const float *restrict x, size_t rows, size_t cols, int8_t *restrict y,
				   float *restrict grids)
{
	int32_t overall = 0;

	for (size_t i = 0; i < rows; i++) {
		for (size_t first = 0; first < cols; first += EXACT_CHUNK) {
			size_t count = cols - first < EXACT_CHUNK ? cols - first : EXACT_CHUNK;
			const float *restrict in = x + i * cols + first;
			int8_t *restrict out = y + i * cols + first;
			int32_t largest = 0;

			for (size_t j = 0; j < count; j++)
				largest = larger(size_bits(in[j]), largest);
			uint32_t exponent = exact_exponent((uint32_t)largest);
			float magic = grid_magic(exponent);

			grids[first / EXACT_CHUNK * rows + i] = grid_step(exponent);
			for (size_t j = 0; j < count; j++)
				out[j] = grid_steps(in[j], magic);
			overall = larger(largest, overall);
		}
	}
	return grid_exists(overall);
}

/* From the maxima of `count` columns: their grids' steps and magics; returns the largest maximum. */
ML_INLINE int32_t column_grids(const int32_t *largest, size_t count, float *grids, float *magic)
{
	int32_t overall = 0;

	for (size_t j = 0; j < count; j++) {
		uint32_t exponent = exact_exponent((uint32_t)largest[j]);

		grids[j] = grid_step(exponent);
		magic[j] = grid_magic(exponent);
		overall = larger(largest[j], overall);
	}
	return overall;
}

/* grids [chunks][cols]. */
ML_CLONES static bool integer_columns(const float *restrict x, size_t rows, size_t cols, int8_t *restrict y,
				      float *restrict grids)
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
			overall = larger(column_grids(largest, count, grids + top / EXACT_CHUNK * cols + left, magic),
					 overall);
			for (size_t i = top; i < bottom; i++)
				for (size_t j = 0; j < count; j++)
					y[i * cols + left + j] = grid_steps(x[i * cols + left + j], magic[j]);
		}
	}
	return grid_exists(overall);
}

/* ---- Operands ---- */

static size_t chunks_of(size_t k)
{
	return (k + EXACT_CHUNK - 1) / EXACT_CHUNK;
}

size_t exact_operand_size(size_t rows, size_t cols)
{
	size_t by_rows = rows * chunks_of(cols), by_columns = cols * chunks_of(rows);
	size_t integers = (rows * cols + 3) / 4 + (by_rows > by_columns ? by_rows : by_columns);

	return integers > rows * cols ? integers : rows * cols;
}

/* Where an operand of integers keeps its grids. */
static size_t grids_offset(size_t rows, size_t cols)
{
	return (rows * cols + 3) / 4;
}

const void *exact_operand_rows(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		return exact_rows(x, rows, cols, memory) ? memory : NULL;
	case ENGINE_INTEGERS:
		return integer_rows(x, rows, cols, memory, (float *)memory + grids_offset(rows, cols)) ? memory : NULL;
	case ENGINE_UNROUNDED:
		break;
	}
	return x;
}

const void *exact_operand_columns(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		return exact_columns(x, rows, cols, memory) ? memory : NULL;
	case ENGINE_INTEGERS:
		return integer_columns(x, rows, cols, memory, (float *)memory + grids_offset(rows, cols)) ? memory : NULL;
	case ENGINE_UNROUNDED:
		break;
	}
	return x;
}

bool exact_operand_both(enum engine engine, const float *x, size_t rows, size_t cols, void *by_rows, void *by_columns,
			struct exact_pair *out)
{
	*out = (struct exact_pair){by_rows, by_columns};
	if (engine_form(engine) == ENGINE_FLOATS)
		return exact_both(x, rows, cols, by_rows, by_columns);
	out->by_rows = exact_operand_rows(engine, x, rows, cols, by_rows);
	out->by_columns = exact_operand_columns(engine, x, rows, cols, by_columns);
	return out->by_rows && out->by_columns;
}

/* ---- Products ---- */

/* The chunk of p that begins at `first`; an element has `size` bytes. */
static struct engine_product chunk_of(const struct engine_product *p, size_t first, size_t size)
{
	struct engine_product chunk = *p;

	chunk.a = (const char *)p->a + first * (p->a_transposed ? p->lda : 1) * size;
	chunk.b = (const char *)p->b + first * (p->b_transposed ? p->ldb : 1) * size;
	chunk.k = p->k - first < EXACT_CHUNK ? p->k - first : EXACT_CHUNK;
	return chunk;
}

static void multiply_floats(const struct engine_product *p, bool add, float *scratch)
{
	for (size_t first = 0; first < p->k; first += EXACT_CHUNK) {
		struct engine_product chunk = chunk_of(p, first, sizeof(float));
		bool to_scratch = add || first > 0;

		if (to_scratch) {
			chunk.y = scratch;
			chunk.ldy = p->n;
		}
		engine_multiply(&chunk);
		if (to_scratch)
			ops_add(p->y, scratch, p->m * p->n);
	}
}

/* y = or += the sums in units of the two grids. */
ML_CLONES static void from_integers(const int32_t *restrict sums, const float *restrict grids_a,
				    const float *restrict grids_b, size_t m, size_t n, bool add, float *restrict y)
{
	for (size_t i = 0; i < m; i++) {
		const int32_t *restrict in = sums + i * n;
		float *restrict out = y + i * n;
		float grid = grids_a[i];

		if (add)
			for (size_t j = 0; j < n; j++)
				out[j] = out[j] + (float)in[j] * (grid * grids_b[j]);
		else
			for (size_t j = 0; j < n; j++)
				out[j] = (float)in[j] * (grid * grids_b[j]);
	}
}

static void multiply_integers(enum engine engine, const struct engine_product *p, bool add, int32_t *sums)
{
	const float *grids_a = (const float *)p->a + grids_offset(p->m, p->k);
	const float *grids_b = (const float *)p->b + grids_offset(p->n, p->k);

	for (size_t first = 0; first < p->k; first += EXACT_CHUNK) {
		struct engine_product chunk = chunk_of(p, first, 1);

		engine_multiply_integers(engine, &chunk, sums);
		from_integers(sums, grids_a, grids_b, p->m, p->n, add || first > 0, p->y);
		grids_a += p->m;
		grids_b += p->n;
	}
}

void exact_multiply(enum engine engine, const struct engine_product *p, bool add, void *scratch)
{
	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		multiply_floats(p, add, scratch);
		return;
	case ENGINE_INTEGERS:
		multiply_integers(engine, p, add, scratch);
		return;
	case ENGINE_UNROUNDED:
		engine_multiply_plain(p, add);
		return;
	}
}
