/* Freivalds' check, modulo 2^31 - 1: projections of operands, and the balance of what products owe. */
#include "ml/kernel/freivalds.h"

#include "ml/kernel/float.h"
#include "util/random.h"

/* ---- Modulo p ---- */

#define FREIVALDS_P (((int64_t)1 << 31) - 1)

ML_INLINE int64_t freivalds_modulo(int64_t x)
{
	int64_t rest = x % FREIVALDS_P;

	return rest < 0 ? rest + FREIVALDS_P : rest;
}

/* Numbers below 2^31: a product has 62 bits and is reduced at once, so the sum of up to 2^32 of them fits. */
static int64_t freivalds_dot(const int32_t *x, const int32_t *y, size_t n)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += freivalds_modulo((int64_t)x[i] * y[i]);
	return freivalds_modulo(sum);
}

static void freivalds_draw_pair(struct freivalds_pair pair, size_t n)
{
	for (int i = 0; i < 2; i++) {
		random_bytes(pair.v[i], n * sizeof(int32_t));
		/* 0 and p are one number, which is drawn twice as often as others: that does not matter. */
		for (size_t j = 0; j < n; j++)
			pair.v[i][j] &= FREIVALDS_P;
	}
}

void freivalds_draw(struct freivalds_vectors *vectors, size_t widest)
{
	freivalds_draw_pair(vectors->r, widest);
	freivalds_draw_pair(vectors->s, FREIVALDS_ROWS);
}

/* ---- The integers behind a matrix ---- */

/* GCC 12 multiplies two numbers of 32 bits at once into 64 if it does not know AVX-512, whose product of 64 bits is
 * slower. */
#ifdef HAVE_TARGET_CLONES
#define FREIVALDS_CLONES __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define FREIVALDS_CLONES
#endif

enum freivalds_kind { FREIVALDS_BYTES, FREIVALDS_SUMS, FREIVALDS_FLOATS };

/* As it lies in memory: int8_t, int32_t, or floats whose element (i, j) is a multiple of both grids' steps. A grid of
 * NULL is 1 everywhere. */
struct freivalds_matrix {
	const void *x;
	size_t ld, rows, cols;
	const float *row_grids, *col_grids;
	float most; /* FREIVALDS_MOST: a compiler that sees the number makes a case of its own of what is clamped */
};

/* Sums are smaller in size. */
#define FREIVALDS_MOST 0x1p24f

/* 1 / step, of a power of two. */
ML_INLINE float freivalds_inverse(float step)
{
	return float_from_bits(0x7f000000u - float_bits(step));
}

/* Columns that are looked at at a time: so many products of a sum and a number modulo p have a sum in 63 bits. */
enum { FREIVALDS_PIECE = 256 };

/* q [count] = elements (i, left) .. of m. What is not an integer, or too large, gives some number. */
ML_INLINE void freivalds_read_row(enum freivalds_kind kind, const struct freivalds_matrix *matrix, size_t i,
	size_t left, size_t count, int32_t *restrict q)
{
	const size_t at = i * matrix->ld + left;

	if (kind == FREIVALDS_BYTES) {
		for (size_t j = 0; j < count; j++)
			q[j] = ((const int8_t *)matrix->x)[at + j];
		return;
	}
	if (kind == FREIVALDS_SUMS) {
		memcpy(q, (const int32_t *)matrix->x + at, count * sizeof *q);
		return;
	}
	const float *restrict x = (const float *)matrix->x + at;
	float scale = matrix->row_grids != NULL ? freivalds_inverse(matrix->row_grids[i]) : 1.0f, most = matrix->most;

	for (size_t j = 0; j < count; j++) {
		float y = matrix->col_grids != NULL ? x[j] * scale * freivalds_inverse(matrix->col_grids[left + j]) :
						      x[j] * scale;

		y = y < most ? y : most;
		y = y > -most ? y : -most;
		q[j] = (int32_t)y;
	}
}

/* out[.][i] = sum over j of M(i, j) w[.][j]. */
ML_INLINE void freivalds_sum_across(enum freivalds_kind kind, const struct freivalds_matrix *matrix,
	const int32_t *restrict w0, const int32_t *restrict w1, struct freivalds_pair out)
{
	int32_t q[FREIVALDS_PIECE];

	for (size_t i = 0; i < matrix->rows; i++) {
		int64_t total0 = 0, total1 = 0;

		for (size_t left = 0; left < matrix->cols; left += FREIVALDS_PIECE) {
			size_t count = matrix->cols - left < FREIVALDS_PIECE ? matrix->cols - left : FREIVALDS_PIECE;
			uint64_t sum0 = 0, sum1 = 0; /* which a wrong sum may overflow */

			freivalds_read_row(kind, matrix, i, left, count, q);
			for (size_t j = 0; j < count; j++) {
				sum0 += (uint64_t)((int64_t)q[j] * w0[left + j]);
				sum1 += (uint64_t)((int64_t)q[j] * w1[left + j]);
			}
			total0 += freivalds_modulo((int64_t)sum0);
			total1 += freivalds_modulo((int64_t)sum1);
		}
		out.v[0][i] = (int32_t)freivalds_modulo(total0);
		out.v[1][i] = (int32_t)freivalds_modulo(total1);
	}
}

FREIVALDS_CLONES static void freivalds_across_bytes(const struct freivalds_matrix *matrix, struct freivalds_pair w,
	struct freivalds_pair out)
{
	freivalds_sum_across(FREIVALDS_BYTES, matrix, w.v[0], w.v[1], out);
}

FREIVALDS_CLONES static void freivalds_across_sums(const struct freivalds_matrix *matrix, struct freivalds_pair w,
	struct freivalds_pair out)
{
	freivalds_sum_across(FREIVALDS_SUMS, matrix, w.v[0], w.v[1], out);
}

FREIVALDS_CLONES static void freivalds_across_floats(const struct freivalds_matrix *matrix, struct freivalds_pair w,
	struct freivalds_pair out)
{
	freivalds_sum_across(FREIVALDS_FLOATS, matrix, w.v[0], w.v[1], out);
}

/* out[.][j] = sum over i of M(i, j) w[.][i], of an operand: its integers have 7 bits, w has 31, and a matrix at most
 * 2^15 rows: 53 bits in all, so one reduction in the end is enough. */
ML_INLINE void freivalds_sum_down(enum freivalds_kind kind, const struct freivalds_matrix *matrix,
	struct freivalds_pair w, struct freivalds_pair out)
{
	for (size_t left = 0; left < matrix->cols; left += FREIVALDS_PIECE) {
		size_t count = matrix->cols - left < FREIVALDS_PIECE ? matrix->cols - left : FREIVALDS_PIECE;
		int64_t sums[2][FREIVALDS_PIECE] = { { 0 } };
		int32_t q[FREIVALDS_PIECE];

		for (size_t i = 0; i < matrix->rows; i++) {
			freivalds_read_row(kind, matrix, i, left, count, q);
			for (size_t j = 0; j < count; j++) {
				sums[0][j] += (int64_t)q[j] * w.v[0][i];
				sums[1][j] += (int64_t)q[j] * w.v[1][i];
			}
		}
		for (size_t j = 0; j < count; j++) {
			out.v[0][left + j] = (int32_t)freivalds_modulo(sums[0][j]);
			out.v[1][left + j] = (int32_t)freivalds_modulo(sums[1][j]);
		}
	}
}

FREIVALDS_CLONES static void freivalds_down_bytes(const struct freivalds_matrix *matrix, struct freivalds_pair w,
	struct freivalds_pair out)
{
	freivalds_sum_down(FREIVALDS_BYTES, matrix, w, out);
}

FREIVALDS_CLONES static void freivalds_down_floats(const struct freivalds_matrix *matrix, struct freivalds_pair w,
	struct freivalds_pair out)
{
	freivalds_sum_down(FREIVALDS_FLOATS, matrix, w, out);
}

static struct freivalds_matrix freivalds_matrix_of(const struct freivalds_operand *x)
{
	struct freivalds_matrix matrix = { .x = x->values,
		.ld = x->ld,
		.rows = x->rows,
		.cols = x->count,
		.most = FREIVALDS_MOST };

	if (x->transposed) {
		matrix.rows = x->count;
		matrix.cols = x->rows;
	}
	if (x->form == ENGINE_FLOATS && x->transposed)
		matrix.col_grids = x->grids;
	else if (x->form == ENGINE_FLOATS)
		matrix.row_grids = x->grids;
	return matrix;
}

static void freivalds_sum_rows(enum engine_form form, const struct freivalds_matrix *matrix, struct freivalds_pair w,
	struct freivalds_pair out)
{
	if (form == ENGINE_FLOATS)
		freivalds_across_floats(matrix, w, out);
	else
		freivalds_across_bytes(matrix, w, out);
}

/* ---- The check ---- */

void freivalds_project(const struct freivalds_vectors *vectors, const struct freivalds_operand *b,
	struct freivalds_pair out)
{
	struct freivalds_matrix matrix = freivalds_matrix_of(b);

	if (b->transposed)
		freivalds_sum_rows(b->form, &matrix, vectors->r, out);
	else if (b->form == ENGINE_FLOATS)
		freivalds_down_floats(&matrix, vectors->r, out);
	else
		freivalds_down_bytes(&matrix, vectors->r, out);
}

static struct freivalds_pair freivalds_from_row(struct freivalds_pair pair, size_t row)
{
	return (struct freivalds_pair){ { pair.v[0] + row, pair.v[1] + row } };
}

/* The balance is s A B r - s C r, modulo p. A r' with r' = B r known, or s A first where A lies transposed: either is a
 * vector of at most FREIVALDS_ROWS, and one dot product makes the number of it. Parts are just added up, each smaller
 * than p: 2^32 of them could be under way. */
void freivalds_expect(struct freivalds *freivalds, const struct freivalds_operand *a, struct freivalds_pair projected,
	size_t row)
{
	int32_t memory[2][FREIVALDS_ROWS];
	struct freivalds_pair s = freivalds_from_row(freivalds->vectors->s, row), inner = { { memory[0], memory[1] } };
	struct freivalds_matrix matrix = freivalds_matrix_of(a);

	freivalds_sum_rows(a->form, &matrix, a->transposed ? s : projected, inner);
	for (int i = 0; i < 2; i++)
		freivalds->balance[i] += freivalds_dot(inner.v[i], a->transposed ? projected.v[i] : s.v[i],
			matrix.rows);
}

/* Whether every float has the bits of the integer that is read in it: else the balance, which is made of those
 * integers, would say nothing of the floats that the model goes on with. */
ML_CLONES static bool freivalds_are_whole(const struct freivalds_matrix *matrix)
{
	uint32_t differ = 0;
	int32_t q[FREIVALDS_PIECE];

	for (size_t i = 0; i < matrix->rows; i++) {
		for (size_t left = 0; left < matrix->cols; left += FREIVALDS_PIECE) {
			size_t count = matrix->cols - left < FREIVALDS_PIECE ? matrix->cols - left : FREIVALDS_PIECE;
			const float *x = (const float *)matrix->x + i * matrix->ld + left;
			float grid = matrix->row_grids[i];

			freivalds_read_row(FREIVALDS_FLOATS, matrix, i, left, count, q);
			for (size_t j = 0; j < count; j++)
				differ |= float_bits((float)q[j] * (grid * matrix->col_grids[left + j])) ^
					float_bits(x[j]);
		}
	}
	return differ == 0;
}

/* Sums within 2^24 that are equal modulo p are equal. A larger one may be wrong and right modulo p. */
ML_CLONES static bool freivalds_are_small(const struct freivalds_matrix *matrix)
{
	const int32_t most = 1 << 24;
	bool large = false;

	for (size_t i = 0; i < matrix->rows; i++)
		for (size_t j = 0; j < matrix->cols; j++) {
			int32_t q = ((const int32_t *)matrix->x)[i * matrix->ld + j];

			large |= (q > most) | (q < -most);
		}
	return !large;
}

void freivalds_deduct(struct freivalds *freivalds, const struct freivalds_sums *sums)
{
	int32_t memory[2][FREIVALDS_ROWS];
	struct freivalds_pair r = freivalds_from_row(freivalds->vectors->r, sums->column),
			      s = freivalds_from_row(freivalds->vectors->s, sums->row);
	struct freivalds_pair inner = { { memory[0], memory[1] } };
	struct freivalds_matrix matrix = { .x = sums->values,
		.ld = sums->ld,
		.rows = sums->m,
		.cols = sums->n,
		.most = FREIVALDS_MOST };

	if (sums->form == ENGINE_FLOATS) {
		matrix.row_grids = sums->grids_a;
		matrix.col_grids = sums->grids_b;
		freivalds_across_floats(&matrix, r, inner);
		freivalds->wrong = freivalds->wrong || !freivalds_are_whole(&matrix);
	} else {
		freivalds_across_sums(&matrix, r, inner);
		freivalds->wrong = freivalds->wrong || !freivalds_are_small(&matrix);
	}
	for (int i = 0; i < 2; i++)
		freivalds->balance[i] -= freivalds_dot(inner.v[i], s.v[i], sums->m);
}

/* A wrong product passes with a probability of p^-1 for its r and as much for its s, of two pairs: 2^-60 in all. Wrong
 * ones that were summed up in one balance are no likelier to cancel: nobody knows r and s. */
void freivalds_settle(struct freivalds *freivalds)
{
	for (int i = 0; i < 2; i++) {
		freivalds->wrong = freivalds->wrong || freivalds_modulo(freivalds->balance[i]) != 0;
		freivalds->balance[i] = 0;
	}
}
