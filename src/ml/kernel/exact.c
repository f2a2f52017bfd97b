/* Rounding to grids, and products over chunks along which every sum is exact. */
#include "ml/kernel/exact.h"

#include "ml/kernel/float.h"
#include "ml/kernel/ops.h"

/* ---- Grids ----
 *
 * Why no sum is ever rounded: along one chunk a row's values are q * step, |q| <= 127, step a power of two. So a
 * product is an integer of at most 127^2 times both steps, and a sum of up to 1024 of them is smaller than 1024 * 127^2
 * < 2^24 such units, whatever is added first: binary32 holds every partial sum exactly, and int32 all the more. Steps
 * are 2^-63 at least, so a unit is 2^-126 at least, a normal number: who flushes subnormals to zero flushes nothing
 * here. They are 2^50 at most, so a sum is below 2^124: nothing overflows. What is rounded are the operands, before,
 * each value on its own; and the addition of one chunk's sum to the next, in the order of the chunks. */

/* (x + magic) - magic is x rounded to the grid, ties to even: magic is 1.5 * 2^23 grid steps, so its last place is one.
 * The low byte of x + magic is the number of steps, in two's complement. */
ML_INLINE float exact_grid_magic(uint32_t exponent)
{
	return float_from_bits(((exponent + 17u) << 23) | 0x400000u);
}

ML_INLINE float exact_grid_step(uint32_t exponent)
{
	return float_from_bits((exponent - 6u) << 23);
}

ML_INLINE float exact_grid_round(float x, float magic)
{
	return (x + magic) - magic;
}

ML_INLINE int8_t exact_grid_steps(float x, float magic)
{
	return (int8_t)(uint8_t)float_bits(x + magic);
}

/* Sizes compared as signed integers, for which every processor has a vector maximum; NaN is above infinity here. */
ML_INLINE int32_t exact_size_bits(float x)
{
	return (int32_t)(float_bits(x) & 0x7fffffffu);
}

ML_INLINE int32_t exact_larger(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

ML_INLINE bool exact_grid_exists(int32_t largest)
{
	return exact_exponent((uint32_t)largest) <= EXACT_EXPONENT_MAX;
}

ML_INLINE size_t exact_chunk_at(size_t first, size_t total)
{
	return total - first < EXACT_CHUNK ? total - first : EXACT_CHUNK;
}

/* ---- Largest sizes ---- */

ML_INLINE int32_t exact_row_largest(const float *restrict x, size_t count)
{
	int32_t largest = 0;

	for (size_t j = 0; j < count; j++)
		largest = exact_larger(exact_size_bits(x[j]), largest);
	return largest;
}

/* The same, and the columns' on the way. */
ML_INLINE int32_t exact_row_and_columns_largest(const float *restrict x, size_t count, int32_t *restrict columns)
{
	int32_t largest = 0;

	for (size_t j = 0; j < count; j++) {
		int32_t bits = exact_size_bits(x[j]);

		largest = exact_larger(bits, largest);
		columns[j] = exact_larger(bits, columns[j]);
	}
	return largest;
}

ML_CLONES static void exact_columns_largest(const float *restrict x, size_t ld, size_t rows, size_t cols,
	int32_t *restrict largest)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols; j++)
			largest[j] = exact_larger(exact_size_bits(x[i * ld + j]), largest[j]);
}

void exact_largest(const float *x, size_t rows, size_t cols, int32_t *largest)
{
	exact_columns_largest(x, cols, rows, cols, largest);
}

/* ---- Rounding: to floats if y is given, to integers if q is ---- */

/* One row of a chunk. A value that no grid reaches gives some number: the caller is told by exact_grid_exists at the
 * end, and throws the operand away, so that these loops have no branch. */
ML_INLINE void exact_round_row(const float *restrict x, size_t count, int32_t largest, float *restrict y,
	int8_t *restrict q, float *restrict grid)
{
	uint32_t exponent = exact_exponent((uint32_t)largest);
	float magic = exact_grid_magic(exponent);

	*grid = exact_grid_step(exponent);
	if (y != NULL) {
		for (size_t j = 0; j < count; j++)
			y[j] = exact_grid_round(x[j], magic);
	} else {
		for (size_t j = 0; j < count; j++)
			q[j] = exact_grid_steps(x[j], magic);
	}
}

/* Rows first .. last - 1 of x [rows][cols]. */
struct exact_row_range {
	const float *x;
	size_t rows, cols, first, last;
};

ML_INLINE bool exact_round_rows(struct exact_row_range range, float *restrict y, int8_t *restrict q,
	float *restrict grids, int32_t *restrict columns)
{
	int32_t overall = 0;

	for (size_t i = range.first; i < range.last; i++) {
		for (size_t left = 0; left < range.cols; left += EXACT_CHUNK) {
			size_t count = exact_chunk_at(left, range.cols), at = i * range.cols + left;
			int32_t largest = columns != NULL ?
				exact_row_and_columns_largest(range.x + at, count, columns + left) :
				exact_row_largest(range.x + at, count);

			exact_round_row(range.x + at, count, largest, y != NULL ? y + at : NULL,
				q != NULL ? q + at : NULL, grids + left / EXACT_CHUNK * range.rows + i);
			overall = exact_larger(largest, overall);
		}
	}
	return exact_grid_exists(overall);
}

/* Rows that are asked for ahead of their use. */
enum { EXACT_AHEAD = 4 };

/* Columns whose largest sizes are known, at most EXACT_CHUNK of them. */
struct exact_column_range {
	const float *x;
	size_t ld, rows, count;
	const int32_t *largest;
	size_t out_ld; /* of y or q */
};

ML_INLINE bool exact_round_columns(struct exact_column_range range, float *restrict y, int8_t *restrict q,
	float *restrict grids)
{
	float magic[EXACT_CHUNK];
	int32_t overall = 0;

	for (size_t j = 0; j < range.count; j++) {
		uint32_t exponent = exact_exponent((uint32_t)range.largest[j]);

		magic[j] = exact_grid_magic(exponent);
		grids[j] = exact_grid_step(exponent);
		overall = exact_larger(range.largest[j], overall);
	}
	for (size_t i = 0; i < range.rows; i++) {
		const float *restrict in = range.x + i * range.ld;

		/* Rows apart from each other are new to the processor's own prefetching every time. */
		for (size_t j = 0; i + EXACT_AHEAD < range.rows && j < range.count; j += 16)
			__builtin_prefetch(in + EXACT_AHEAD * range.ld + j);
		if (y != NULL) {
			for (size_t j = 0; j < range.count; j++)
				y[i * range.out_ld + j] = exact_grid_round(in[j], magic[j]);
		} else {
			for (size_t j = 0; j < range.count; j++)
				q[i * range.out_ld + j] = exact_grid_steps(in[j], magic[j]);
		}
	}
	return exact_grid_exists(overall);
}

ML_CLONES static bool exact_rows_to_floats(struct exact_row_range range, float *y, float *grids, int32_t *columns)
{
	return columns != NULL ? exact_round_rows(range, y, NULL, grids, columns) :
				 exact_round_rows(range, y, NULL, grids, NULL);
}

ML_CLONES static bool exact_rows_to_integers(struct exact_row_range range, int8_t *q, float *grids, int32_t *columns)
{
	return columns != NULL ? exact_round_rows(range, NULL, q, grids, columns) :
				 exact_round_rows(range, NULL, q, grids, NULL);
}

ML_CLONES static bool exact_columns_to_floats(struct exact_column_range range, float *y, float *grids)
{
	return exact_round_columns(range, y, NULL, grids);
}

ML_CLONES static bool exact_columns_to_integers(struct exact_column_range range, int8_t *q, float *grids)
{
	return exact_round_columns(range, NULL, q, grids);
}

/* ---- Dither ---- */

/* The two halves of a word are uniform, so their difference has a triangular density over one step to each side: added
 * before rounding it makes the error's mean zero, and its variance the same, for every x. `shift` has 17 bits and part
 * is a power of two: their product is exact. */
ML_CLONES void exact_dither(float *restrict x, const uint32_t *restrict noise, size_t n, float largest)
{
	uint32_t exponent = exact_exponent(float_bits(largest));
	float magic = exact_grid_magic(exponent), part = exact_grid_step(exponent) * 0x1p-16f;

	for (size_t j = 0; j < n; j++) {
		int32_t shift = (int32_t)(noise[j] >> 16) - (int32_t)(noise[j] & 0xffff);

		x[j] = exact_grid_round(x[j] + (float)shift * part, magic);
	}
}

/* ---- Operands ---- */

static size_t exact_chunks(size_t k)
{
	return (k + EXACT_CHUNK - 1) / EXACT_CHUNK;
}

/* Bytes of the values in their larger form, up to where their grids begin. */
static size_t exact_grids_offset(size_t rows, size_t cols)
{
	return (rows * cols * sizeof(float) + 63) / 64 * 64;
}

/* Enough for either side: whether it is rounded by rows or by columns, as floats or as bytes. */
size_t exact_operand_size(size_t rows, size_t cols)
{
	size_t by_rows = rows * exact_chunks(cols), by_columns = cols * exact_chunks(rows);

	return exact_grids_offset(rows, cols) + (by_rows > by_columns ? by_rows : by_columns) * sizeof(float);
}

static float *exact_grids(void *memory, size_t rows, size_t cols)
{
	return (float *)((char *)memory + exact_grids_offset(rows, cols));
}

bool exact_some_rows(enum engine engine, const float *x, size_t rows, size_t cols, size_t first, size_t count,
	void *memory, int32_t *largest)
{
	const struct exact_row_range range = { x, rows, cols, first, first + count };

	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		return exact_rows_to_floats(range, memory, exact_grids(memory, rows, cols), largest);
	case ENGINE_INTEGERS:
		return exact_rows_to_integers(range, memory, exact_grids(memory, rows, cols), largest);
	case ENGINE_UNROUNDED:
		break;
	}
	return true;
}

struct exact_operand exact_rows_operand(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	if (engine_form(engine) == ENGINE_UNROUNDED)
		return (struct exact_operand){ x, cols, NULL };
	return (struct exact_operand){ memory, cols, exact_grids(memory, rows, cols) };
}

struct exact_operand exact_rows(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	if (!exact_some_rows(engine, x, rows, cols, 0, rows, memory, NULL))
		return (struct exact_operand){ 0 };
	return exact_rows_operand(engine, x, rows, cols, memory);
}

/* Into an operand [..][cols] at `offset`. */
static bool exact_columns_to(enum engine engine, struct exact_column_range range, void *memory, size_t offset,
	float *grids)
{
	return engine_form(engine) == ENGINE_FLOATS ?
		exact_columns_to_floats(range, (float *)memory + offset, grids) :
		exact_columns_to_integers(range, (int8_t *)memory + offset, grids);
}

struct exact_operand exact_part(enum engine engine, const float *x, size_t ld, size_t rows, size_t cols,
	const int32_t *largest, void *memory)
{
	float *grids = exact_grids(memory, rows, cols);

	if (engine_form(engine) == ENGINE_UNROUNDED)
		return (struct exact_operand){ x, ld, NULL };
	for (size_t left = 0; left < cols; left += EXACT_CHUNK) {
		struct exact_column_range range = { x + left, ld, rows, exact_chunk_at(left, cols), largest + left,
			cols };

		if (!exact_columns_to(engine, range, memory, left, grids + left))
			return (struct exact_operand){ 0 };
	}
	return (struct exact_operand){ memory, cols, grids };
}

/* A grid is a column's within a chunk of rows, along which the product contracts. */
struct exact_operand exact_columns(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	float *grids = exact_grids(memory, rows, cols);
	int32_t largest[EXACT_CHUNK];

	if (engine_form(engine) == ENGINE_UNROUNDED)
		return (struct exact_operand){ x, cols, NULL };
	for (size_t top = 0; top < rows; top += EXACT_CHUNK) {
		for (size_t left = 0; left < cols; left += EXACT_CHUNK) {
			struct exact_column_range range = { x + top * cols + left, cols, exact_chunk_at(top, rows),
				exact_chunk_at(left, cols), largest, cols };

			memset(largest, 0, sizeof largest);
			exact_columns_largest(range.x, cols, range.rows, range.count, largest);
			if (!exact_columns_to(engine, range, memory, top * cols + left,
				    grids + top / EXACT_CHUNK * cols + left))
				return (struct exact_operand){ 0 };
		}
	}
	return (struct exact_operand){ memory, cols, grids };
}

/* ---- Products ---- */

/* The columns of y that are summed as integers at a time: few enough for sums to be in the cache when they are used. */
enum { EXACT_TILE = 512 };

size_t exact_scratch_size(size_t m, size_t n)
{
	return m * n * sizeof(float);
}

/* y = or += the sums [m][n] in units of the two grids. */
ML_CLONES static void exact_from_integers(const int32_t *restrict sums, const float *restrict grids_a,
	const float *restrict grids_b, size_t m, size_t n, bool add, float *restrict y, size_t ldy)
{
	for (size_t i = 0; i < m; i++) {
		const int32_t *restrict in = sums + i * n;
		float *restrict out = y + i * ldy;
		float grid = grids_a[i];

		if (add)
			for (size_t j = 0; j < n; j++)
				out[j] = out[j] + (float)in[j] * (grid * grids_b[j]);
		else
			for (size_t j = 0; j < n; j++)
				out[j] = (float)in[j] * (grid * grids_b[j]);
	}
}

/* Element (row, k) of an operand whose elements have `size` bytes. */
static const void *exact_element(struct exact_operand operand, bool transposed, size_t row, size_t k, size_t size)
{
	return (const char *)operand.values + (transposed ? k * operand.ld + row : row * operand.ld + k) * size;
}

/* The part of p from index k and column n on, as far as a chunk and `columns` reach. */
static struct engine_product exact_part_of(const struct exact_product *product, size_t k, size_t n, size_t columns,
	size_t size)
{
	return (struct engine_product){
		.m = product->m,
		.n = product->n - n < columns ? product->n - n : columns,
		.k = exact_chunk_at(k, product->k),
		.a = exact_element(product->a, product->a_transposed, 0, k, size),
		.lda = product->a.ld,
		.a_transposed = product->a_transposed,
		.b = exact_element(product->b, product->b_transposed, n, k, size),
		.ldb = product->b.ld,
		.b_transposed = product->b_transposed,
	};
}

/* ---- Checks ---- */

void exact_project(enum engine engine, const struct freivalds_vectors *vectors, struct exact_operand b, size_t n,
	size_t k, bool transposed, struct freivalds_pair out)
{
	size_t size = engine_form(engine) == ENGINE_INTEGERS ? 1 : sizeof(float);

	for (size_t first = 0; first < k; first += EXACT_CHUNK) {
		struct freivalds_operand chunk = {
			.form = engine_form(engine),
			.values = exact_element(b, transposed, 0, first, size),
			.ld = b.ld,
			.rows = n,
			.count = exact_chunk_at(first, k),
			.transposed = transposed,
			.grids = b.grids + first / EXACT_CHUNK * n,
		};

		freivalds_project(vectors, &chunk, (struct freivalds_pair){ { out.v[0] + first, out.v[1] + first } });
	}
}

/* p's check expects the product of a part, which begins at index k. */
static void exact_expect_part(enum engine engine, const struct exact_product *product,
	const struct engine_product *part, size_t k)
{
	if (product->check == NULL)
		return;
	const struct freivalds_operand a = {
		.form = engine_form(engine),
		.values = part->a,
		.ld = part->lda,
		.rows = part->m,
		.count = part->k,
		.transposed = part->a_transposed,
		.grids = product->a.grids + k / EXACT_CHUNK * product->m,
	};

	freivalds_expect(product->check, &a,
		(struct freivalds_pair){ { product->projected.v[0] + k, product->projected.v[1] + k } },
		product->check_row);
}

/* It sees the sums of a part, which begins at index k and column n. */
static void exact_deduct_part(enum engine engine, const struct exact_product *product,
	const struct engine_product *part, size_t k, size_t n)
{
	if (product->check == NULL)
		return;
	const struct freivalds_sums sums = {
		.form = engine_form(engine),
		.values = part->y,
		.ld = part->ldy,
		.m = part->m,
		.n = part->n,
		.row = product->check_row,
		.column = n,
		.grids_a = product->a.grids + k / EXACT_CHUNK * product->m,
		.grids_b = product->b.grids + k / EXACT_CHUNK * product->n + n,
	};

	freivalds_deduct(product->check, &sums);
}

/* It has seen a whole product. */
static void exact_settle(const struct exact_product *product)
{
	if (product->check != NULL)
		freivalds_settle(product->check);
}

/* ---- Ways to multiply ---- */

static void exact_add_rows(float *y, size_t ldy, const float *x, size_t m, size_t n)
{
	for (size_t i = 0; i < m; i++)
		ops_add(y + i * ldy, x + i * n, n);
}

/* The first chunk's sums are y, the others' come to scratch and are added: one rounding a chunk, k ascending, as the
 * protocol says. The check looks at a chunk's sums before that addition, while they are multiples of both grids. */
static void exact_multiply_floats(enum engine engine, const struct exact_product *product, float *scratch)
{
	for (size_t k = 0; k < product->k; k += EXACT_CHUNK) {
		struct engine_product part = exact_part_of(product, k, 0, product->n, sizeof(float));

		part.y = k == 0 ? product->y : scratch;
		part.ldy = k == 0 ? product->ldy : product->n;
		engine_multiply(engine, &part);
		exact_expect_part(engine, product, &part, k);
		exact_deduct_part(engine, product, &part, k, 0);
		exact_settle(product);
		if (k > 0)
			exact_add_rows(product->y, product->ldy, scratch, product->m, product->n);
	}
}

/* The same bits: an int32 sum below 2^24 becomes a float exactly, and times the two grids' steps, powers of two, it is
 * what the floats' sum would be. A chunk of A is expected once, its sums are
 * deducted tile by tile. */
static void exact_multiply_integers(enum engine engine, const struct exact_product *product, int32_t *sums)
{
	for (size_t k = 0; k < product->k; k += EXACT_CHUNK) {
		for (size_t n = 0; n < product->n; n += EXACT_TILE) {
			struct engine_product part = exact_part_of(product, k, n, EXACT_TILE, 1);

			part.y = sums;
			part.ldy = part.n;
			engine_multiply(engine, &part);
			if (n == 0)
				exact_expect_part(engine, product, &part, k);
			exact_deduct_part(engine, product, &part, k, n);
			exact_from_integers(sums, product->a.grids + k / EXACT_CHUNK * product->m,
				product->b.grids + k / EXACT_CHUNK * product->n + n, product->m, part.n, k > 0,
				product->y + n, product->ldy);
		}
		exact_settle(product);
	}
}

static void exact_multiply_plain(enum engine engine, const struct exact_product *product)
{
	engine_multiply(engine,
		&(struct engine_product){
			.m = product->m,
			.n = product->n,
			.k = product->k,
			.a = product->a.values,
			.lda = product->a.ld,
			.a_transposed = product->a_transposed,
			.b = product->b.values,
			.ldb = product->b.ld,
			.b_transposed = product->b_transposed,
			.y = product->y,
			.ldy = product->ldy,
		});
}

void exact_multiply(enum engine engine, const struct exact_product *product, void *scratch)
{
	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		exact_multiply_floats(engine, product, scratch);
		return;
	case ENGINE_INTEGERS:
		exact_multiply_integers(engine, product, scratch);
		return;
	case ENGINE_UNROUNDED:
		exact_multiply_plain(engine, product);
		return;
	}
}

/* Floats that are not to be added to y are summed there, and only the others in scratch. What is to be added must be a
 * chunk's whole sum first: one rounding a chunk, and the check sees it before. */
static struct engine_product exact_part_with_sums(enum engine engine, const struct exact_product *product, bool add,
	void *scratch)
{
	enum engine_form form = engine_form(engine);
	struct engine_product part = exact_part_of(product, 0, 0, product->n,
		form == ENGINE_INTEGERS ? 1 : sizeof(float));
	bool in_place = form == ENGINE_UNROUNDED || (form == ENGINE_FLOATS && !add);

	part.y = in_place ? product->y : scratch;
	part.ldy = in_place ? product->ldy : product->n;
	return part;
}

/* Within a chunk the parts' sums are exact, so what is added to what is already there is not rounded: a chunk in parts
 * gives the bits of a chunk at once. */
void exact_add_part(enum engine engine, const struct exact_product *product, bool first, bool add, void *scratch)
{
	struct engine_product part = exact_part_with_sums(engine, product, add, scratch);

	part.add = !first || (engine_form(engine) == ENGINE_UNROUNDED && add);
	engine_multiply(engine, &part);
	exact_expect_part(engine, product, &part, 0);
}

void exact_end_parts(enum engine engine, const struct exact_product *product, bool add, void *scratch)
{
	struct engine_product part = exact_part_with_sums(engine, product, add, scratch);

	exact_deduct_part(engine, product, &part, 0, 0);
	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		if (add)
			exact_add_rows(product->y, product->ldy, scratch, product->m, product->n);
		return;
	case ENGINE_INTEGERS:
		exact_from_integers(scratch, product->a.grids, product->b.grids, product->m, product->n, add,
			product->y, product->ldy);
		return;
	case ENGINE_UNROUNDED:
		return;
	}
}
