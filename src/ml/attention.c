#include "ml/float.h"

#include <stdbool.h>

#include "ml/attention.h"
#include "ml/math.h"

enum { ROWS = 8, TILE = 16 };

/* y[r][j] = sum over k = first .. last-1, ascending, of x(r, k) * b[k][j], for r < ROWS and j < width, a multiple of TILE.
 * x(r, k) is x[r * x_row + k * x_k]. */
struct chains {
	const float *x;
	size_t x_row, x_k;
	const float *b;
	size_t b_stride, first, last, width;
	float *y;
	size_t y_stride;
};

/* Floats side by side; rows need no alignment. The ROWS sums share each load of b, and must all fit into registers: so
 * there are two widths. */
typedef float lanes16 __attribute__((vector_size(64), aligned(4)));
typedef float lanes8 __attribute__((vector_size(32), aligned(4)));

#define DEFINE_CHAINS(name, lanes, count)                                           \
	ML_INLINE void name(struct chains c)                                        \
	{                                                                           \
		for (size_t j = 0; j < c.width; j += (count)) {                     \
			lanes sum[ROWS] = {0};                                      \
                                                                                    \
			for (size_t k = c.first; k < c.last; k++) {                 \
				const float *x = c.x + k * c.x_k;                   \
				lanes b = *(const lanes *)(c.b + k * c.b_stride + j); \
                                                                                    \
				for (int r = 0; r < ROWS; r++)                      \
					sum[r] = sum[r] + x[r * c.x_row] * b;       \
			}                                                           \
			for (int r = 0; r < ROWS; r++)                              \
				*(lanes *)(c.y + r * c.y_stride + j) = sum[r];      \
		}                                                                   \
	}

DEFINE_CHAINS(chains_wide, lanes16, 16)
DEFINE_CHAINS(chains_narrow, lanes8, 8)

/* Whether vectors of sixteen floats are native to the clone that runs here. */
static bool has_wide_vectors(void)
{
#if defined(__AVX512F__)
	return true;
#elif defined(HAVE_TARGET_CLONES)
	return __builtin_cpu_supports("avx512f");
#else
	return false;
#endif
}

ML_INLINE void chains(bool wide, struct chains c)
{
	if (wide)
		chains_wide(c);
	else
		chains_narrow(c);
}

/* y [rows][cols] = x; y [cols][rows] = x transposed: so that the chains read rows side by side. */
ML_INLINE void pack(const float *x, size_t stride, size_t rows, size_t cols, float *y)
{
	for (size_t i = 0; i < rows; i++)
		memcpy(y + i * cols, x + i * stride, cols * sizeof(float));
}

ML_INLINE void pack_transposed(const float *restrict x, size_t stride, size_t rows, size_t cols, float *restrict y)
{
	for (size_t j = 0; j < cols; j++)
		for (size_t i = 0; i < rows; i++)
			y[j * rows + i] = x[i * stride + j];
}

/* Columns are computed in whole tiles. */
ML_INLINE size_t round_up(size_t count)
{
	return (count + TILE - 1) / TILE * TILE;
}

size_t attention_scratch(size_t ctx, size_t head)
{
	return ctx * ctx + 4 * ctx * head;
}

/* Row i of the scores becomes probabilities; what lies right of the diagonal becomes +0. */
ML_INLINE void softmax_row(float *restrict s, size_t i, size_t ctx, float scale)
{
	size_t count = i + 1, whole = round_up(count);
	float largest = math_max(s, count);

	for (size_t j = 0; j < whole; j++)
		s[j] = math_exp((s[j] - largest) * scale);
	memset(s + count, 0, (ctx - count) * sizeof(float));
	float r = 1.0f / math_sum16(s, whole);

	for (size_t j = 0; j < whole; j++)
		s[j] = s[j] * r;
}

ML_CLONES void attention_forward(const struct attention *s, const float *q, const float *k, const float *v, float *p,
				 float *a)
{
	float *k_columns = s->scratch, *values = k_columns + s->ctx * s->head;
	float scale = 1.0f / sqrtf((float)s->head);
	bool wide = has_wide_vectors();

	pack_transposed(k, s->stride, s->ctx, s->head, k_columns);
	pack(v, s->stride, s->ctx, s->head, values);
	for (size_t i = 0; i < s->ctx; i += ROWS) {
		float *rows = p + i * s->ctx;

		chains(wide, (struct chains){
			.x = q + i * s->stride, .x_row = s->stride, .x_k = 1, .b = k_columns, .b_stride = s->ctx,
			.last = s->head, .width = round_up(i + ROWS), .y = rows, .y_stride = s->ctx,
		});
		for (size_t r = 0; r < ROWS; r++)
			softmax_row(rows + r * s->ctx, i + r, s->ctx, scale);
		/* Adding the zeros right of the diagonal changes no sum: v is finite, and a chain is never -0. */
		chains(wide, (struct chains){
			.x = rows, .x_row = s->ctx, .x_k = 1, .b = values, .b_stride = s->head,
			.last = i + ROWS, .width = s->head, .y = a + i * s->stride_a, .y_stride = s->stride_a,
		});
	}
}

/* Row i of dp becomes ds. */
ML_INLINE void softmax_row_backward(const float *restrict p, float *restrict ds, size_t i, size_t ctx, float scale)
{
	size_t count = i + 1, whole = round_up(count);

	memset(ds + count, 0, (ctx - count) * sizeof(float));
	float d = math_dot16(p, ds, whole);

	for (size_t j = 0; j < whole; j++)
		ds[j] = (p[j] * (ds[j] - d)) * scale;
}

ML_CLONES void attention_backward(const struct attention *s, const float *q, const float *k, const float *v, const float *p,
				  const float *da, float *dq, float *dk, float *dv)
{
	size_t size = s->ctx * s->head;
	float *v_columns = s->scratch, *keys = v_columns + size, *queries = keys + size, *gradient = queries + size;
	float *ds = gradient + size, scale = 1.0f / sqrtf((float)s->head);
	bool wide = has_wide_vectors();

	pack_transposed(v, s->stride, s->ctx, s->head, v_columns);
	pack(k, s->stride, s->ctx, s->head, keys);
	pack(q, s->stride, s->ctx, s->head, queries);
	pack(da, s->stride_a, s->ctx, s->head, gradient);
	for (size_t i = 0; i < s->ctx; i += ROWS) {
		float *rows = ds + i * s->ctx;

		chains(wide, (struct chains){
			.x = gradient + i * s->head, .x_row = s->head, .x_k = 1, .b = v_columns, .b_stride = s->ctx,
			.last = s->head, .width = round_up(i + ROWS), .y = rows, .y_stride = s->ctx,
		});
		for (size_t r = 0; r < ROWS; r++)
			softmax_row_backward(p + (i + r) * s->ctx, rows + r * s->ctx, i + r, s->ctx, scale);
		chains(wide, (struct chains){
			.x = rows, .x_row = s->ctx, .x_k = 1, .b = keys, .b_stride = s->head,
			.last = i + ROWS, .width = s->head, .y = dq + i * s->stride, .y_stride = s->stride,
		});
	}
	for (size_t j = 0; j < s->ctx; j += ROWS) {
		chains(wide, (struct chains){
			.x = ds + j, .x_row = 1, .x_k = s->ctx, .b = queries, .b_stride = s->head,
			.first = j, .last = s->ctx, .width = s->head, .y = dk + j * s->stride, .y_stride = s->stride,
		});
		chains(wide, (struct chains){
			.x = p + j, .x_row = 1, .x_k = s->ctx, .b = gradient, .b_stride = s->head,
			.first = j, .last = s->ctx, .width = s->head, .y = dv + j * s->stride, .y_stride = s->stride,
		});
	}
}
