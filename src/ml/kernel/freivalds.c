/* Freivalds' check, modulo 2^31 - 1: projections of operands, and the balance of what products owe. */
#include "ml/kernel/freivalds.h"

#include "ml/kernel/float.h"
#include "util/random.h"

/* ---- Modulo p ---- */

#define P (((int64_t)1 << 31) - 1)

ML_INLINE int64_t modulo(int64_t x)
{
	int64_t rest = x % P;

	return rest < 0 ? rest + P : rest;
}

/* Numbers below 2^31: a product has 62 bits and is reduced at once, so the sum of up to 2^32 of them fits. */
static int64_t dot_modulo(const int32_t *x, const int32_t *y, size_t n)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += modulo((int64_t)x[i] * y[i]);
	return modulo(sum);
}

static void draw_pair(struct freivalds_pair pair, size_t n)
{
	for (int i = 0; i < 2; i++) {
		random_bytes(pair.v[i], n * sizeof(int32_t));
		/* 0 and p are one number, which is drawn twice as often as others: that does not matter. */
		for (size_t j = 0; j < n; j++)
			pair.v[i][j] &= P;
	}
}

void freivalds_draw(struct freivalds_vectors *vectors, size_t widest)
{
	draw_pair(vectors->r, widest);
	draw_pair(vectors->s, FREIVALDS_ROWS);
}

/* ---- The integers behind a matrix ---- */

/* GCC 12 multiplies two numbers of 32 bits at once into 64 if it does not know AVX-512, whose product of 64 bits is
 * slower. */
#ifdef HAVE_TARGET_CLONES
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define CLONES
#endif

enum kind { BYTES, SUMS, FLOATS };

/* As it lies in memory: int8_t, int32_t, or floats whose element (i, j) is a multiple of both grids' steps. A grid of
 * NULL is 1 everywhere. */
struct matrix {
	const void *x;
	size_t ld, rows, cols;
	const float *row_grids, *col_grids;
	float most; /* MOST: a compiler that sees the number makes a case of its own of what is clamped */
};

/* Sums are smaller in size. */
#define MOST 0x1p24f

/* 1 / step, of a power of two. */
ML_INLINE float inverse(float step)
{
	return float_from_bits(0x7f000000u - float_bits(step));
}

/* Columns that are looked at at a time: so many products of a sum and a number modulo p have a sum in 63 bits. */
enum { PIECE = 256 };

/* q [count] = elements (i, left) .. of m. What is not an integer, or too large, gives some number. */
ML_INLINE void read_row(enum kind kind, const struct matrix *m, size_t i, size_t left, size_t count,
	int32_t *restrict q)
{
	const size_t at = i * m->ld + left;

	if (kind == BYTES) {
		for (size_t j = 0; j < count; j++)
			q[j] = ((const int8_t *)m->x)[at + j];
		return;
	}
	if (kind == SUMS) {
		memcpy(q, (const int32_t *)m->x + at, count * sizeof *q);
		return;
	}
	const float *restrict x = (const float *)m->x + at;
	float scale = m->row_grids != NULL ? inverse(m->row_grids[i]) : 1.0f, most = m->most;

	for (size_t j = 0; j < count; j++) {
		float y = m->col_grids != NULL ? x[j] * scale * inverse(m->col_grids[left + j]) : x[j] * scale;

		y = y < most ? y : most;
		y = y > -most ? y : -most;
		q[j] = (int32_t)y;
	}
}

/* out[.][i] = sum over j of M(i, j) w[.][j]. */
ML_INLINE void sum_across(enum kind kind, const struct matrix *m, const int32_t *restrict w0,
	const int32_t *restrict w1, struct freivalds_pair out)
{
	int32_t q[PIECE];

	for (size_t i = 0; i < m->rows; i++) {
		int64_t total0 = 0, total1 = 0;

		for (size_t left = 0; left < m->cols; left += PIECE) {
			size_t count = m->cols - left < PIECE ? m->cols - left : PIECE;
			uint64_t sum0 = 0, sum1 = 0; /* which a wrong sum may overflow */

			read_row(kind, m, i, left, count, q);
			for (size_t j = 0; j < count; j++) {
				sum0 += (uint64_t)((int64_t)q[j] * w0[left + j]);
				sum1 += (uint64_t)((int64_t)q[j] * w1[left + j]);
			}
			total0 += modulo((int64_t)sum0);
			total1 += modulo((int64_t)sum1);
		}
		out.v[0][i] = (int32_t)modulo(total0);
		out.v[1][i] = (int32_t)modulo(total1);
	}
}

CLONES static void across_bytes(const struct matrix *m, struct freivalds_pair w, struct freivalds_pair out)
{
	sum_across(BYTES, m, w.v[0], w.v[1], out);
}

CLONES static void across_sums(const struct matrix *m, struct freivalds_pair w, struct freivalds_pair out)
{
	sum_across(SUMS, m, w.v[0], w.v[1], out);
}

CLONES static void across_floats(const struct matrix *m, struct freivalds_pair w, struct freivalds_pair out)
{
	sum_across(FLOATS, m, w.v[0], w.v[1], out);
}

/* out[.][j] = sum over i of M(i, j) w[.][i], of an operand: its integers have 7 bits, w has 31, and a matrix at most
 * 2^15 rows: 53 bits in all, so one reduction in the end is enough. */
ML_INLINE void sum_down(enum kind kind, const struct matrix *m, struct freivalds_pair w, struct freivalds_pair out)
{
	for (size_t left = 0; left < m->cols; left += PIECE) {
		size_t count = m->cols - left < PIECE ? m->cols - left : PIECE;
		int64_t sums[2][PIECE] = { { 0 } };
		int32_t q[PIECE];

		for (size_t i = 0; i < m->rows; i++) {
			read_row(kind, m, i, left, count, q);
			for (size_t j = 0; j < count; j++) {
				sums[0][j] += (int64_t)q[j] * w.v[0][i];
				sums[1][j] += (int64_t)q[j] * w.v[1][i];
			}
		}
		for (size_t j = 0; j < count; j++) {
			out.v[0][left + j] = (int32_t)modulo(sums[0][j]);
			out.v[1][left + j] = (int32_t)modulo(sums[1][j]);
		}
	}
}

CLONES static void down_bytes(const struct matrix *m, struct freivalds_pair w, struct freivalds_pair out)
{
	sum_down(BYTES, m, w, out);
}

CLONES static void down_floats(const struct matrix *m, struct freivalds_pair w, struct freivalds_pair out)
{
	sum_down(FLOATS, m, w, out);
}

static struct matrix matrix_of(const struct freivalds_operand *x)
{
	struct matrix m = { .x = x->values, .ld = x->ld, .rows = x->rows, .cols = x->count, .most = MOST };

	if (x->transposed) {
		m.rows = x->count;
		m.cols = x->rows;
	}
	if (x->form == ENGINE_FLOATS && x->transposed)
		m.col_grids = x->grids;
	else if (x->form == ENGINE_FLOATS)
		m.row_grids = x->grids;
	return m;
}

static void sum_rows(enum engine_form form, const struct matrix *m, struct freivalds_pair w, struct freivalds_pair out)
{
	if (form == ENGINE_FLOATS)
		across_floats(m, w, out);
	else
		across_bytes(m, w, out);
}

/* ---- The check ---- */

void freivalds_project(const struct freivalds_vectors *vectors, const struct freivalds_operand *b,
	struct freivalds_pair out)
{
	struct matrix m = matrix_of(b);

	if (b->transposed)
		sum_rows(b->form, &m, vectors->r, out);
	else if (b->form == ENGINE_FLOATS)
		down_floats(&m, vectors->r, out);
	else
		down_bytes(&m, vectors->r, out);
}

static struct freivalds_pair from_row(struct freivalds_pair pair, size_t row)
{
	return (struct freivalds_pair){ { pair.v[0] + row, pair.v[1] + row } };
}

/* The balance is s A B r - s C r, modulo p. A r' with r' = B r known, or s A first where A lies transposed: either is a
 * vector of at most FREIVALDS_ROWS, and one dot product makes the number of it. Parts are just added up, each smaller
 * than p: 2^32 of them could be under way. */
void freivalds_expect(struct freivalds *f, const struct freivalds_operand *a, struct freivalds_pair projected,
	size_t row)
{
	int32_t memory[2][FREIVALDS_ROWS];
	struct freivalds_pair s = from_row(f->vectors->s, row), inner = { { memory[0], memory[1] } };
	struct matrix m = matrix_of(a);

	sum_rows(a->form, &m, a->transposed ? s : projected, inner);
	for (int i = 0; i < 2; i++)
		f->balance[i] += dot_modulo(inner.v[i], a->transposed ? projected.v[i] : s.v[i], m.rows);
}

/* Whether every float has the bits of the integer that is read in it: else the balance, which is made of those
 * integers, would say nothing of the floats that the model goes on with. */
ML_CLONES static bool are_whole(const struct matrix *m)
{
	uint32_t differ = 0;
	int32_t q[PIECE];

	for (size_t i = 0; i < m->rows; i++) {
		for (size_t left = 0; left < m->cols; left += PIECE) {
			size_t count = m->cols - left < PIECE ? m->cols - left : PIECE;
			const float *x = (const float *)m->x + i * m->ld + left;
			float grid = m->row_grids[i];

			read_row(FLOATS, m, i, left, count, q);
			for (size_t j = 0; j < count; j++)
				differ |= float_bits((float)q[j] * (grid * m->col_grids[left + j])) ^ float_bits(x[j]);
		}
	}
	return differ == 0;
}

/* Sums within 2^24 that are equal modulo p are equal. A larger one may be wrong and right modulo p. */
ML_CLONES static bool are_small(const struct matrix *m)
{
	const int32_t most = 1 << 24;
	bool large = false;

	for (size_t i = 0; i < m->rows; i++)
		for (size_t j = 0; j < m->cols; j++) {
			int32_t q = ((const int32_t *)m->x)[i * m->ld + j];

			large |= (q > most) | (q < -most);
		}
	return !large;
}

void freivalds_deduct(struct freivalds *f, const struct freivalds_sums *c)
{
	int32_t memory[2][FREIVALDS_ROWS];
	struct freivalds_pair r = from_row(f->vectors->r, c->column), s = from_row(f->vectors->s, c->row);
	struct freivalds_pair sums = { { memory[0], memory[1] } };
	struct matrix m = { .x = c->values, .ld = c->ld, .rows = c->m, .cols = c->n, .most = MOST };

	if (c->form == ENGINE_FLOATS) {
		m.row_grids = c->grids_a;
		m.col_grids = c->grids_b;
		across_floats(&m, r, sums);
		f->wrong = f->wrong || !are_whole(&m);
	} else {
		across_sums(&m, r, sums);
		f->wrong = f->wrong || !are_small(&m);
	}
	for (int i = 0; i < 2; i++)
		f->balance[i] -= dot_modulo(sums.v[i], s.v[i], c->m);
}

/* A wrong product passes with a probability of p^-1 for its r and as much for its s, of two pairs: 2^-60 in all. Wrong
 * ones that were summed up in one balance are no likelier to cancel: nobody knows r and s. */
void freivalds_settle(struct freivalds *f)
{
	for (int i = 0; i < 2; i++) {
		f->wrong = f->wrong || modulo(f->balance[i]) != 0;
		f->balance[i] = 0;
	}
}
