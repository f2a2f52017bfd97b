/* Attention in tiles of sixteen queries: each output one chain of additions, sixteen outputs to a vector. */
#include "ml/kernel/attention.h"

#include <stdbool.h>

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"

/* Queries side by side, and keys taken together: everything is done on tiles [key][query] of 16 x 16. */
enum { TILE = 16, TILE_SIZE = TILE * TILE };
/* Floats from one packed row to the next: a constant, so that sixteen rows are read through one pointer, and an odd
 * number of cache lines, so that rows spread over all of the cache. */
enum { ROW = ATTENTION_HEAD_MAX + 16 };

/* y[r][l] = sum over k = 0 .. count-1, ascending, of x(r, k) * b[k * b_k + l], for r, l < TILE, on from y if `more`.
 * x(r, k) is x[r * x_row + k * x_k]. */
struct chains {
	const float *x;
	size_t x_row, x_k;
	const float *b;
	size_t b_k, count;
	bool more;
	float *y;
	size_t y_row;
};

/* Floats side by side; rows need no alignment. The sums of one pass must all fit into registers: so there are two
 * sizes. */
typedef float lanes16 __attribute__((vector_size(64), aligned(4)));
typedef float lanes8 __attribute__((vector_size(32), aligned(4)));

#define DEFINE_CHAINS(name, lanes, rows)                                                           \
	ML_INLINE void name(struct chains c)                                                       \
	{                                                                                          \
		const size_t width = sizeof(lanes) / sizeof(float);                                \
                                                                                                   \
		for (size_t part = 0; part < TILE / width * (TILE / (rows)); part++) {             \
			size_t first = part * width / TILE * (rows), column = part * width % TILE; \
			const float *x = c.x + first * c.x_row, *b = c.b + column;                 \
			float *y = c.y + first * c.y_row + column;                                 \
			lanes sum[rows];                                                           \
                                                                                                   \
			for (int r = 0; r < (rows); r++)                                           \
				sum[r] = c.more ? *(lanes *)(y + r * c.y_row) : (lanes){ 0 };      \
			for (size_t k = 0; k < c.count; k++) {                                     \
				lanes side = *(const lanes *)(b + k * c.b_k);                      \
                                                                                                   \
				for (int r = 0; r < (rows); r++)                                   \
					sum[r] = sum[r] + x[r * c.x_row + k * c.x_k] * side;       \
			}                                                                          \
			for (int r = 0; r < (rows); r++)                                           \
				*(lanes *)(y + r * c.y_row) = sum[r];                              \
		}                                                                                  \
	}

/* A lane is one output and its chain never leaves it, so 8 lanes or 16, 8 rows or 16, are the same bits. */
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

size_t attention_kept(size_t ctx)
{
	return ctx / TILE * (ctx / TILE + 1) / 2 * TILE_SIZE;
}

size_t attention_scratch(size_t ctx, size_t head)
{
	return ATTENTION_HEAD_MAX * TILE + 2 * ctx * ROW + ctx * TILE + 2 * ctx * head;
}

/* A tile's rows of x, ROW apart. */
ML_INLINE void pack(const float *restrict x, size_t stride, size_t head, float *restrict y)
{
	for (size_t i = 0; i < TILE; i++)
		for (size_t c = 0; c < head; c += TILE)
			memcpy(y + i * ROW + c, x + i * stride + c, TILE * sizeof(float));
}

/* Asks for the rows of another tile while there is work on this one. */
ML_INLINE void prefetch(const float *x, size_t stride, size_t head)
{
	for (size_t i = 0; i < TILE; i++)
		for (size_t c = 0; c < head; c += TILE)
			__builtin_prefetch(x + i * stride + c);
}

/* y [head][TILE] = x [TILE][head] transposed. */
ML_INLINE void turn(const float *restrict x, size_t stride, size_t head, float *restrict y)
{
	for (size_t c = 0; c < head; c++)
		for (size_t i = 0; i < TILE; i++)
			y[c * TILE + i] = x[i * stride + c];
}

/* s [keys][TILE]: s[j][i] = sum over c ascending of rows[j][c] * columns[c][i]. */
ML_INLINE void compare(bool wide, const float *rows, const float *columns, size_t keys, size_t head, float *s)
{
	for (size_t j = 0; j < keys; j += TILE)
		chains(wide,
			(struct chains){
				.x = rows + j * ROW,
				.x_row = ROW,
				.x_k = 1,
				.b = columns,
				.b_k = TILE,
				.count = head,
				.y = s + j * TILE,
				.y_row = TILE,
			});
}

/* y [TILE][head]: y[i][c] = sum over j ascending of p[j][i] * rows[j][c]. */
ML_INLINE void gather(bool wide, const float *p, const float *rows, size_t keys, size_t head, float *y, size_t stride)
{
	for (size_t c = 0; c < head; c += TILE)
		chains(wide,
			(struct chains){
				.x = p,
				.x_row = 1,
				.x_k = TILE,
				.b = rows + c,
				.b_k = ROW,
				.count = keys,
				.y = y + c,
				.y_row = stride,
			});
}

/* y [keys][head]: y[j][c] += sum over i ascending of p[j][i] * x[i][c]; the last tile of keys begins. */
ML_INLINE void scatter(bool wide, const float *p, const float *x, size_t stride, size_t keys, size_t head, float *y)
{
	for (size_t j = 0; j < keys; j += TILE)
		for (size_t c = 0; c < head; c += TILE)
			chains(wide,
				(struct chains){
					.x = p + j * TILE,
					.x_row = TILE,
					.x_k = 1,
					.b = x + c,
					.b_k = stride,
					.count = TILE,
					.more = j + TILE < keys,
					.y = y + j * head + c,
					.y_row = head,
				});
}

/* Sixteen lanes of sums for each query become sixteen sums, in the order of math_fold16. */
ML_INLINE void fold(float *restrict sum)
{
	for (int half = TILE_SIZE / 2; half >= TILE; half /= 2)
		for (int x = 0; x < half; x++)
			sum[x] = sum[x] + sum[x + half];
}

/* From TILE - j on: whether queries 0, 1, .. of a tile see its key j, as masks of bits. */
static const uint32_t seen[2 * TILE] = { [TILE... 2 * TILE - 1] = 0xffffffffu };

/* In the tile of the queries' own keys, those after a query become +0. */
ML_INLINE void mask(float *restrict s)
{
	for (int j = 0; j < TILE; j++)
		for (int i = 0; i < TILE; i++)
			s[j * TILE + i] = float_from_bits(float_bits(s[j * TILE + i]) & seen[TILE - j + i]);
}

/* Or, in a copy y, the query's x, which is its score with the very first key. */
ML_INLINE void mask_with(const float *restrict s, const float *restrict x, float *restrict y)
{
	for (int j = 0; j < TILE; j++)
		for (int i = 0; i < TILE; i++)
			y[j * TILE + i] = float_from_bits((float_bits(s[j * TILE + i]) & seen[TILE - j + i]) |
				(float_bits(x[i]) & ~seen[TILE - j + i]));
}

/* Scores of TILE queries, the last keys being their own, become probabilities. */
ML_INLINE void softmax(float *restrict s, size_t keys, float scale)
{
	float largest[TILE_SIZE], sum[TILE_SIZE] = { 0 }, *own = s + (keys - TILE) * TILE;

	mask_with(own, s, largest);
	for (const float *tile = s; tile < own; tile += TILE_SIZE)
		for (int x = 0; x < TILE_SIZE; x++)
			largest[x] = tile[x] > largest[x] ? tile[x] : largest[x];
	for (int half = TILE_SIZE / 2; half >= TILE; half /= 2)
		for (int x = 0; x < half; x++)
			largest[x] = largest[x + half] > largest[x] ? largest[x + half] : largest[x];
	for (size_t j = 0; j < keys; j++)
		for (int i = 0; i < TILE; i++)
			s[j * TILE + i] = (s[j * TILE + i] - largest[i]) * scale;
	for (size_t x = 0; x < keys * TILE; x += MATH_EXP_MANY)
		math_exp_many(s + x, MATH_EXP_MANY);
	mask(own);
	for (const float *tile = s; tile <= own; tile += TILE_SIZE)
		for (int x = 0; x < TILE_SIZE; x++)
			sum[x] = sum[x] + tile[x];
	fold(sum);
	for (int i = 0; i < TILE; i++)
		sum[i] = 1.0f / sum[i];
	for (size_t j = 0; j < keys; j++)
		for (int i = 0; i < TILE; i++)
			s[j * TILE + i] = s[j * TILE + i] * sum[i];
}

/* Tile by tile of queries, top down. Keys and values are packed as the tiles come: what tile i needs are the rows
 * packed so far, so every row is packed once, and the scores of a tile are as wide as it sees. Keys of its own tile
 * that come after a query are computed too and masked: sixteen lanes of work are cheaper than a ragged edge. */
ML_CLONES void attention_forward(const struct attention *s, const float *q, const float *k, const float *v, float *p,
	float *a)
{
	float *queries = s->scratch, *keys = queries + ATTENTION_HEAD_MAX * TILE, *values = keys + s->ctx * ROW;
	float scale = 1.0f / sqrtf((float)s->head);
	bool wide = has_wide_vectors();

	for (size_t i = 0; i < s->ctx; i += TILE) {
		size_t here = i * s->stride, next = (i + TILE) * s->stride;

		pack(k + here, s->stride, s->head, keys + i * ROW);
		pack(v + here, s->stride, s->head, values + i * ROW);
		turn(q + here, s->stride, s->head, queries);
		if (i + TILE < s->ctx) {
			prefetch(q + next, s->stride, s->head);
			prefetch(k + next, s->stride, s->head);
			prefetch(v + next, s->stride, s->head);
		}
		compare(wide, keys, queries, i + TILE, s->head, p);
		softmax(p, i + TILE, scale);
		/* Adding the zeros after a query changes no sum: v is finite, and a chain is never -0. */
		gather(wide, p, values, i + TILE, s->head, a + i * s->stride_a, s->stride_a);
		p += (i + TILE) * TILE;
	}
}

/* dp becomes ds. */
ML_INLINE void softmax_backward(const float *restrict p, float *restrict ds, size_t keys, float scale)
{
	float sum[TILE_SIZE] = { 0 };

	mask(ds + (keys - TILE) * TILE);
	for (size_t first = 0; first < keys * TILE; first += TILE_SIZE)
		for (int x = 0; x < TILE_SIZE; x++)
			sum[x] = sum[x] + p[first + x] * ds[first + x];
	fold(sum);
	for (size_t j = 0; j < keys; j++)
		for (int i = 0; i < TILE; i++)
			ds[j * TILE + i] = (p[j * TILE + i] * (ds[j * TILE + i] - sum[i])) * scale;
}

/* Again tile by tile of queries, so each dq is one chain over its keys. dk and dv are sums over queries: they grow in
 * sum_k and sum_v, where a tile's last keys are its own and begin there (`more` is false), and those before go on. So
 * their chains run over queries ascending, as the protocol says, and only in the end go to where the caller wants them,
 * which may have another stride. */
ML_CLONES void attention_backward(const struct attention *s, const float *q, const float *k, const float *v,
	const float *p, const float *da, float *dq, float *dk, float *dv)
{
	size_t size = s->ctx * s->head;
	float *gradient = s->scratch, *keys = gradient + ATTENTION_HEAD_MAX * TILE, *values = keys + s->ctx * ROW;
	float *ds = values + s->ctx * ROW, *sum_k = ds + s->ctx * TILE, *sum_v = sum_k + size;
	float scale = 1.0f / sqrtf((float)s->head);
	bool wide = has_wide_vectors();

	for (size_t i = 0; i < s->ctx; i += TILE) {
		size_t here = i * s->stride, next = (i + TILE) * s->stride;

		pack(k + here, s->stride, s->head, keys + i * ROW);
		pack(v + here, s->stride, s->head, values + i * ROW);
		if (i + TILE < s->ctx) {
			prefetch(q + next, s->stride, s->head);
			prefetch(k + next, s->stride, s->head);
			prefetch(v + next, s->stride, s->head);
			prefetch(da + (i + TILE) * s->stride_a, s->stride_a, s->head);
		}
		turn(da + i * s->stride_a, s->stride_a, s->head, gradient);
		compare(wide, values, gradient, i + TILE, s->head, ds);
		softmax_backward(p, ds, i + TILE, scale);
		gather(wide, ds, keys, i + TILE, s->head, dq + i * s->stride, s->stride);
		scatter(wide, ds, q + i * s->stride, s->stride, i + TILE, s->head, sum_k);
		scatter(wide, p, da + i * s->stride_a, s->stride_a, i + TILE, s->head, sum_v);
		p += (i + TILE) * TILE;
	}
	for (size_t j = 0; j < s->ctx; j++) {
		memcpy(dk + j * s->stride, sum_k + j * s->head, s->head * sizeof(float));
		memcpy(dv + j * s->stride, sum_v + j * s->head, s->head * sizeof(float));
	}
}
