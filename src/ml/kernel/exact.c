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
ML_INLINE float grid_magic(uint32_t exponent)
{
	return float_from_bits(((exponent + 17u) << 23) | 0x400000u);
}

ML_INLINE float grid_step(uint32_t exponent)
{
	return float_from_bits((exponent - 6u) << 23);
}

ML_INLINE float grid_round(float x, float magic)
{
	return (x + magic) - magic;
}

ML_INLINE int8_t grid_steps(float x, float magic)
{
	return (int8_t)(uint8_t)float_bits(x + magic);
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

ML_INLINE size_t chunk_at(size_t first, size_t total)
{
	return total - first < EXACT_CHUNK ? total - first : EXACT_CHUNK;
}

/* ---- Largest sizes ---- */

ML_INLINE int32_t row_largest(const float *restrict x, size_t count)
{
	int32_t largest = 0;

	for (size_t j = 0; j < count; j++)
		largest = larger(size_bits(x[j]), largest);
	return largest;
}

/* The same, and the columns' on the way. */
ML_INLINE int32_t row_and_columns_largest(const float *restrict x, size_t count, int32_t *restrict columns)
{
	int32_t largest = 0;

	for (size_t j = 0; j < count; j++) {
		int32_t bits = size_bits(x[j]);

		largest = larger(bits, largest);
		columns[j] = larger(bits, columns[j]);
	}
	return largest;
}

ML_CLONES static void columns_largest(const float *restrict x, size_t ld, size_t rows, size_t cols,
	int32_t *restrict largest)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols; j++)
			largest[j] = larger(size_bits(x[i * ld + j]), largest[j]);
}

void exact_largest(const float *x, size_t rows, size_t cols, int32_t *largest)
{
	columns_largest(x, cols, rows, cols, largest);
}

/* ---- Rounding: to floats if y is given, to integers if q is ---- */

/* One row of a chunk. A value that no grid reaches gives some number: the caller is told by grid_exists at the end, and
 * throws the operand away, so that these loops have no branch. */
ML_INLINE void round_row(const float *restrict x, size_t count, int32_t largest, float *restrict y, int8_t *restrict q,
	float *restrict grid)
{
	uint32_t exponent = exact_exponent((uint32_t)largest);
	float magic = grid_magic(exponent);

	*grid = grid_step(exponent);
	if (y != NULL) {
		for (size_t j = 0; j < count; j++)
			y[j] = grid_round(x[j], magic);
	} else {
		for (size_t j = 0; j < count; j++)
			q[j] = grid_steps(x[j], magic);
	}
}

/* Rows first .. last - 1 of x [rows][cols]. */
struct rows {
	const float *x;
	size_t rows, cols, first, last;
};

ML_INLINE bool round_rows(struct rows r, float *restrict y, int8_t *restrict q, float *restrict grids,
	int32_t *restrict columns)
{
	int32_t overall = 0;

	for (size_t i = r.first; i < r.last; i++) {
		for (size_t left = 0; left < r.cols; left += EXACT_CHUNK) {
			size_t count = chunk_at(left, r.cols), at = i * r.cols + left;
			int32_t largest = columns != NULL ? row_and_columns_largest(r.x + at, count, columns + left) :
							    row_largest(r.x + at, count);

			round_row(r.x + at, count, largest, y != NULL ? y + at : NULL, q != NULL ? q + at : NULL,
				grids + left / EXACT_CHUNK * r.rows + i);
			overall = larger(largest, overall);
		}
	}
	return grid_exists(overall);
}

/* Rows that are asked for ahead of their use. */
enum { AHEAD = 4 };

/* Columns whose largest sizes are known, at most EXACT_CHUNK of them. */
struct columns {
	const float *x;
	size_t ld, rows, count;
	const int32_t *largest;
	size_t out_ld; /* of y or q */
};

ML_INLINE bool round_columns(struct columns c, float *restrict y, int8_t *restrict q, float *restrict grids)
{
	float magic[EXACT_CHUNK];
	int32_t overall = 0;

	for (size_t j = 0; j < c.count; j++) {
		uint32_t exponent = exact_exponent((uint32_t)c.largest[j]);

		magic[j] = grid_magic(exponent);
		grids[j] = grid_step(exponent);
		overall = larger(c.largest[j], overall);
	}
	for (size_t i = 0; i < c.rows; i++) {
		const float *restrict in = c.x + i * c.ld;

		/* Rows apart from each other are new to the processor's own prefetching every time. */
		for (size_t j = 0; i + AHEAD < c.rows && j < c.count; j += 16)
			__builtin_prefetch(in + AHEAD * c.ld + j);
		if (y != NULL) {
			for (size_t j = 0; j < c.count; j++)
				y[i * c.out_ld + j] = grid_round(in[j], magic[j]);
		} else {
			for (size_t j = 0; j < c.count; j++)
				q[i * c.out_ld + j] = grid_steps(in[j], magic[j]);
		}
	}
	return grid_exists(overall);
}

ML_CLONES static bool rows_to_floats(struct rows r, float *y, float *grids, int32_t *columns)
{
	return columns != NULL ? round_rows(r, y, NULL, grids, columns) : round_rows(r, y, NULL, grids, NULL);
}

ML_CLONES static bool rows_to_integers(struct rows r, int8_t *q, float *grids, int32_t *columns)
{
	return columns != NULL ? round_rows(r, NULL, q, grids, columns) : round_rows(r, NULL, q, grids, NULL);
}

ML_CLONES static bool columns_to_floats(struct columns c, float *y, float *grids)
{
	return round_columns(c, y, NULL, grids);
}

ML_CLONES static bool columns_to_integers(struct columns c, int8_t *q, float *grids)
{
	return round_columns(c, NULL, q, grids);
}

/* ---- Dither ---- */

/* The two halves of a word are uniform, so their difference has a triangular density over one step to each side: added
 * before rounding it makes the error's mean zero, and its variance the same, for every x. `shift` has 17 bits and part
 * is a power of two: their product is exact. */
ML_CLONES void exact_dither(float *restrict x, const uint32_t *restrict noise, size_t n, float largest)
{
	uint32_t exponent = exact_exponent(float_bits(largest));
	float magic = grid_magic(exponent), part = grid_step(exponent) * 0x1p-16f;

	for (size_t j = 0; j < n; j++) {
		int32_t shift = (int32_t)(noise[j] >> 16) - (int32_t)(noise[j] & 0xffff);

		x[j] = grid_round(x[j] + (float)shift * part, magic);
	}
}

/* ---- Operands ---- */

static size_t chunks_of(size_t k)
{
	return (k + EXACT_CHUNK - 1) / EXACT_CHUNK;
}

/* Bytes of the values in their larger form, up to where their grids begin. */
static size_t grids_offset(size_t rows, size_t cols)
{
	return (rows * cols * sizeof(float) + 63) / 64 * 64;
}

/* Enough for either side: whether it is rounded by rows or by columns, as floats or as bytes. */
size_t exact_operand_size(size_t rows, size_t cols)
{
	size_t by_rows = rows * chunks_of(cols), by_columns = cols * chunks_of(rows);

	return grids_offset(rows, cols) + (by_rows > by_columns ? by_rows : by_columns) * sizeof(float);
}

static float *grids_of(void *memory, size_t rows, size_t cols)
{
	return (float *)((char *)memory + grids_offset(rows, cols));
}

bool exact_some_rows(enum engine engine, const float *x, size_t rows, size_t cols, size_t first, size_t count,
	void *memory, int32_t *largest)
{
	const struct rows r = { x, rows, cols, first, first + count };

	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		return rows_to_floats(r, memory, grids_of(memory, rows, cols), largest);
	case ENGINE_INTEGERS:
		return rows_to_integers(r, memory, grids_of(memory, rows, cols), largest);
	case ENGINE_UNROUNDED:
		break;
	}
	return true;
}

struct exact_operand exact_rows_operand(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	if (engine_form(engine) == ENGINE_UNROUNDED)
		return (struct exact_operand){ x, cols, NULL };
	return (struct exact_operand){ memory, cols, grids_of(memory, rows, cols) };
}

struct exact_operand exact_rows(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	if (!exact_some_rows(engine, x, rows, cols, 0, rows, memory, NULL))
		return (struct exact_operand){ 0 };
	return exact_rows_operand(engine, x, rows, cols, memory);
}

/* Into an operand [..][cols] at `offset`. */
static bool columns_to(enum engine engine, struct columns c, void *memory, size_t offset, float *grids)
{
	return engine_form(engine) == ENGINE_FLOATS ? columns_to_floats(c, (float *)memory + offset, grids) :
						      columns_to_integers(c, (int8_t *)memory + offset, grids);
}

struct exact_operand exact_part(enum engine engine, const float *x, size_t ld, size_t rows, size_t cols,
	const int32_t *largest, void *memory)
{
	float *grids = grids_of(memory, rows, cols);

	if (engine_form(engine) == ENGINE_UNROUNDED)
		return (struct exact_operand){ x, ld, NULL };
	for (size_t left = 0; left < cols; left += EXACT_CHUNK) {
		struct columns c = { x + left, ld, rows, chunk_at(left, cols), largest + left, cols };

		if (!columns_to(engine, c, memory, left, grids + left))
			return (struct exact_operand){ 0 };
	}
	return (struct exact_operand){ memory, cols, grids };
}

/* A grid is a column's within a chunk of rows, along which the product contracts. */
struct exact_operand exact_columns(enum engine engine, const float *x, size_t rows, size_t cols, void *memory)
{
	float *grids = grids_of(memory, rows, cols);
	int32_t largest[EXACT_CHUNK];

	if (engine_form(engine) == ENGINE_UNROUNDED)
		return (struct exact_operand){ x, cols, NULL };
	for (size_t top = 0; top < rows; top += EXACT_CHUNK) {
		for (size_t left = 0; left < cols; left += EXACT_CHUNK) {
			struct columns c = { x + top * cols + left, cols, chunk_at(top, rows), chunk_at(left, cols),
				largest, cols };

			memset(largest, 0, sizeof largest);
			columns_largest(c.x, cols, c.rows, c.count, largest);
			if (!columns_to(engine, c, memory, top * cols + left, grids + top / EXACT_CHUNK * cols + left))
				return (struct exact_operand){ 0 };
		}
	}
	return (struct exact_operand){ memory, cols, grids };
}

/* ---- Products ---- */

/* The columns of y that are summed as integers at a time: few enough for sums to be in the cache when they are used. */
enum { TILE = 512 };

size_t exact_scratch_size(size_t m, size_t n)
{
	return m * n * sizeof(float);
}

/* y = or += the sums [m][n] in units of the two grids. */
ML_CLONES static void from_integers(const int32_t *restrict sums, const float *restrict grids_a,
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
static const void *operand_element(struct exact_operand o, bool transposed, size_t row, size_t k, size_t size)
{
	return (const char *)o.values + (transposed ? k * o.ld + row : row * o.ld + k) * size;
}

/* The part of p from index k and column n on, as far as a chunk and `columns` reach. */
static struct engine_product part_of(const struct exact_product *p, size_t k, size_t n, size_t columns, size_t size)
{
	return (struct engine_product){
		.m = p->m,
		.n = p->n - n < columns ? p->n - n : columns,
		.k = chunk_at(k, p->k),
		.a = operand_element(p->a, p->a_transposed, 0, k, size),
		.lda = p->a.ld,
		.a_transposed = p->a_transposed,
		.b = operand_element(p->b, p->b_transposed, n, k, size),
		.ldb = p->b.ld,
		.b_transposed = p->b_transposed,
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
			.values = operand_element(b, transposed, 0, first, size),
			.ld = b.ld,
			.rows = n,
			.count = chunk_at(first, k),
			.transposed = transposed,
			.grids = b.grids + first / EXACT_CHUNK * n,
		};

		freivalds_project(vectors, &chunk, (struct freivalds_pair){ { out.v[0] + first, out.v[1] + first } });
	}
}

/* p's check expects the product of a part, which begins at index k. */
static void expect_part(enum engine engine, const struct exact_product *p, const struct engine_product *part, size_t k)
{
	if (p->check == NULL)
		return;
	const struct freivalds_operand a = {
		.form = engine_form(engine),
		.values = part->a,
		.ld = part->lda,
		.rows = part->m,
		.count = part->k,
		.transposed = part->a_transposed,
		.grids = p->a.grids + k / EXACT_CHUNK * p->m,
	};

	freivalds_expect(p->check, &a, (struct freivalds_pair){ { p->projected.v[0] + k, p->projected.v[1] + k } },
		p->check_row);
}

/* It sees the sums of a part, which begins at index k and column n. */
static void deduct_part(enum engine engine, const struct exact_product *p, const struct engine_product *part, size_t k,
	size_t n)
{
	if (p->check == NULL)
		return;
	const struct freivalds_sums sums = {
		.form = engine_form(engine),
		.values = part->y,
		.ld = part->ldy,
		.m = part->m,
		.n = part->n,
		.row = p->check_row,
		.column = n,
		.grids_a = p->a.grids + k / EXACT_CHUNK * p->m,
		.grids_b = p->b.grids + k / EXACT_CHUNK * p->n + n,
	};

	freivalds_deduct(p->check, &sums);
}

/* It has seen a whole product. */
static void settle_product(const struct exact_product *p)
{
	if (p->check != NULL)
		freivalds_settle(p->check);
}

/* ---- Ways to multiply ---- */

static void add_rows(float *y, size_t ldy, const float *x, size_t m, size_t n)
{
	for (size_t i = 0; i < m; i++)
		ops_add(y + i * ldy, x + i * n, n);
}

/* The first chunk's sums are y, the others' come to scratch and are added: one rounding a chunk, k ascending, as the
 * protocol says. The check looks at a chunk's sums before that addition, while they are multiples of both grids. */
static void multiply_floats(enum engine engine, const struct exact_product *p, float *scratch)
{
	for (size_t k = 0; k < p->k; k += EXACT_CHUNK) {
		struct engine_product part = part_of(p, k, 0, p->n, sizeof(float));

		part.y = k == 0 ? p->y : scratch;
		part.ldy = k == 0 ? p->ldy : p->n;
		engine_multiply(engine, &part);
		expect_part(engine, p, &part, k);
		deduct_part(engine, p, &part, k, 0);
		settle_product(p);
		if (k > 0)
			add_rows(p->y, p->ldy, scratch, p->m, p->n);
	}
}

/* The same bits: an int32 sum below 2^24 becomes a float exactly, and times the two grids' steps, powers of two, it is
 * what the floats' sum would be. A chunk of A is expected once, its sums are
 * deducted tile by tile. */
static void multiply_integers(enum engine engine, const struct exact_product *p, int32_t *sums)
{
	for (size_t k = 0; k < p->k; k += EXACT_CHUNK) {
		for (size_t n = 0; n < p->n; n += TILE) {
			struct engine_product part = part_of(p, k, n, TILE, 1);

			part.y = sums;
			part.ldy = part.n;
			engine_multiply(engine, &part);
			if (n == 0)
				expect_part(engine, p, &part, k);
			deduct_part(engine, p, &part, k, n);
			from_integers(sums, p->a.grids + k / EXACT_CHUNK * p->m,
				p->b.grids + k / EXACT_CHUNK * p->n + n, p->m, part.n, k > 0, p->y + n, p->ldy);
		}
		settle_product(p);
	}
}

static void multiply_plain(enum engine engine, const struct exact_product *p)
{
	engine_multiply(engine,
		&(struct engine_product){
			.m = p->m,
			.n = p->n,
			.k = p->k,
			.a = p->a.values,
			.lda = p->a.ld,
			.a_transposed = p->a_transposed,
			.b = p->b.values,
			.ldb = p->b.ld,
			.b_transposed = p->b_transposed,
			.y = p->y,
			.ldy = p->ldy,
		});
}

void exact_multiply(enum engine engine, const struct exact_product *p, void *scratch)
{
	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		multiply_floats(engine, p, scratch);
		return;
	case ENGINE_INTEGERS:
		multiply_integers(engine, p, scratch);
		return;
	case ENGINE_UNROUNDED:
		multiply_plain(engine, p);
		return;
	}
}

/* Floats that are not to be added to y are summed there, and only the others in scratch. What is to be added must be a
 * chunk's whole sum first: one rounding a chunk, and the check sees it before. */
static struct engine_product part_with_sums(enum engine engine, const struct exact_product *p, bool add, void *scratch)
{
	enum engine_form form = engine_form(engine);
	struct engine_product part = part_of(p, 0, 0, p->n, form == ENGINE_INTEGERS ? 1 : sizeof(float));
	bool in_place = form == ENGINE_UNROUNDED || (form == ENGINE_FLOATS && !add);

	part.y = in_place ? p->y : scratch;
	part.ldy = in_place ? p->ldy : p->n;
	return part;
}

/* Within a chunk the parts' sums are exact, so what is added to what is already there is not rounded: a chunk in parts
 * gives the bits of a chunk at once. */
void exact_add_part(enum engine engine, const struct exact_product *p, bool first, bool add, void *scratch)
{
	struct engine_product part = part_with_sums(engine, p, add, scratch);

	part.add = !first || (engine_form(engine) == ENGINE_UNROUNDED && add);
	engine_multiply(engine, &part);
	expect_part(engine, p, &part, 0);
}

void exact_end_parts(enum engine engine, const struct exact_product *p, bool add, void *scratch)
{
	struct engine_product part = part_with_sums(engine, p, add, scratch);

	deduct_part(engine, p, &part, 0, 0);
	switch (engine_form(engine)) {
	case ENGINE_FLOATS:
		if (add)
			add_rows(p->y, p->ldy, scratch, p->m, p->n);
		return;
	case ENGINE_INTEGERS:
		from_integers(scratch, p->a.grids, p->b.grids, p->m, p->n, add, p->y, p->ldy);
		return;
	case ENGINE_UNROUNDED:
		return;
	}
}
