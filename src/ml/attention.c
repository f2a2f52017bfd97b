#include "ml/float.h"

#include "ml/attention.h"
#include "ml/math.h"

/* Sixteen floats side by side; the compiler splits them where registers are narrower. Rows need no alignment. */
typedef float lanes __attribute__((vector_size(64), aligned(4)));
enum { LANES = 16, ROWS = 8 };

/* y[r][j] = sum over k = first .. last-1, ascending, of x(r, k) * b[k][j], for r < ROWS and j < width, a multiple of
 * LANES. x(r, k) is x[r * x_row + k * x_k]. ROWS rows share each load of b. */
ML_INLINE void chains(const float *x, size_t x_row, size_t x_k, const float *b, size_t b_stride, size_t first, size_t last,
		      size_t width, float *y, size_t y_stride)
{
	for (size_t j = 0; j < width; j += LANES) {
		lanes sum[ROWS];

#pragma GCC unroll 8
		for (int r = 0; r < ROWS; r++)
			sum[r] = (lanes){0};
		for (size_t k = first; k < last; k++) {
			lanes column = *(const lanes *)(b + k * b_stride + j);

#pragma GCC unroll 8
			for (int r = 0; r < ROWS; r++)
				sum[r] = sum[r] + x[r * x_row + k * x_k] * column;
		}
#pragma GCC unroll 8
		for (int r = 0; r < ROWS; r++)
			*(lanes *)(y + r * y_stride + j) = sum[r];
	}
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

/* How many columns the chains compute for rows that end before `row`: whole vectors. */
ML_INLINE size_t round_lanes(size_t count)
{
	return (count + LANES - 1) / LANES * LANES;
}

size_t attention_scratch(size_t ctx, size_t head)
{
	return ctx * ctx + 4 * ctx * head;
}

/* Row i of the scores becomes probabilities; what lies right of the diagonal becomes +0. */
ML_INLINE void softmax_row(float *restrict s, size_t i, size_t ctx, float scale)
{
	size_t count = i + 1, whole = round_lanes(count);
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

	pack_transposed(k, s->stride, s->ctx, s->head, k_columns);
	pack(v, s->stride, s->ctx, s->head, values);
	for (size_t i = 0; i < s->ctx; i += ROWS) {
		float *rows = p + i * s->ctx;

		chains(q + i * s->stride, s->stride, 1, k_columns, s->ctx, 0, s->head, round_lanes(i + ROWS), rows, s->ctx);
		for (size_t r = 0; r < ROWS; r++)
			softmax_row(rows + r * s->ctx, i + r, s->ctx, scale);
		/* Adding the zeros right of the diagonal changes no sum: v is finite, and a chain is never -0. */
		chains(rows, s->ctx, 1, values, s->head, 0, i + ROWS, s->head, a + i * s->stride_a, s->stride_a);
	}
}

/* Row i of dp becomes ds. */
ML_INLINE void softmax_row_backward(const float *restrict p, float *restrict ds, size_t i, size_t ctx, float scale)
{
	size_t count = i + 1, whole = round_lanes(count);

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

	pack_transposed(v, s->stride, s->ctx, s->head, v_columns);
	pack(k, s->stride, s->ctx, s->head, keys);
	pack(q, s->stride, s->ctx, s->head, queries);
	pack(da, s->stride_a, s->ctx, s->head, gradient);
	for (size_t i = 0; i < s->ctx; i += ROWS) {
		float *rows = ds + i * s->ctx;

		chains(gradient + i * s->head, s->head, 1, v_columns, s->ctx, 0, s->head, round_lanes(i + ROWS), rows, s->ctx);
		for (size_t r = 0; r < ROWS; r++)
			softmax_row_backward(p + (i + r) * s->ctx, rows + r * s->ctx, i + r, s->ctx, scale);
		chains(rows, s->ctx, 1, keys, s->head, 0, i + ROWS, s->head, dq + i * s->stride, s->stride);
	}
	for (size_t j = 0; j < s->ctx; j += ROWS) {
		chains(ds + j, 1, s->ctx, queries, s->head, j, s->ctx, s->head, dk + j * s->stride, s->stride);
		chains(p + j, 1, s->ctx, gradient, s->head, j, s->ctx, s->head, dv + j * s->stride, s->stride);
	}
}
