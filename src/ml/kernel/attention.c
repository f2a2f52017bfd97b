/* Attention in tiles of sixteen queries: each output one chain of additions, sixteen outputs to a vector. */
#include "ml/kernel/attention.h"

#include <stdbool.h>

#include "ml/kernel/float.h"
#include "ml/kernel/math.h"

/* Queries side by side, and keys taken together: everything is done on tiles [key][query] of 16 x 16. */
enum { ATTENTION_TILE = 16, ATTENTION_TILE_SIZE = ATTENTION_TILE * ATTENTION_TILE };
/* Floats from one packed row to the next: a constant, so that sixteen rows are read through one pointer, and an odd
 * number of cache lines, so that rows spread over all of the cache. */
enum { ATTENTION_ROW = ATTENTION_HEAD_MAX + 16 };

/* y[r][l] = sum over k = 0 .. count-1, ascending, of x(r, k) * b[k * b_k + l], for r, l < ATTENTION_TILE, on from y if
 * `more`. x(r, k) is x[r * x_row + k * x_k]. */
struct attention_chains {
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
typedef float attention_lanes16 __attribute__((vector_size(64), aligned(4)));
typedef float attention_lanes8 __attribute__((vector_size(32), aligned(4)));

#define ATTENTION_DEFINE_CHAINS(name, lanes, rows)                                                                     \
	ML_INLINE void name(struct attention_chains chains)                                                            \
	{                                                                                                              \
		const size_t width = sizeof(lanes) / sizeof(float);                                                    \
                                                                                                                       \
		for (size_t part = 0; part < ATTENTION_TILE / width * (ATTENTION_TILE / (rows)); part++) {             \
			size_t first = part * width / ATTENTION_TILE * (rows), column = part * width % ATTENTION_TILE; \
			const float *x = chains.x + first * chains.x_row, *b = chains.b + column;                      \
			float *y = chains.y + first * chains.y_row + column;                                           \
			lanes sum[rows];                                                                               \
                                                                                                                       \
			for (int r = 0; r < (rows); r++)                                                               \
				sum[r] = chains.more ? *(lanes *)(y + r * chains.y_row) : (lanes){ 0 };                \
			for (size_t k = 0; k < chains.count; k++) {                                                    \
				lanes side = *(const lanes *)(b + k * chains.b_k);                                     \
                                                                                                                       \
				for (int r = 0; r < (rows); r++)                                                       \
					sum[r] = sum[r] + x[r * chains.x_row + k * chains.x_k] * side;                 \
			}                                                                                              \
			for (int r = 0; r < (rows); r++)                                                               \
				*(lanes *)(y + r * chains.y_row) = sum[r];                                             \
		}                                                                                                      \
	}

/* A lane is one output and its chain never leaves it, so 8 lanes or 16, 8 rows or 16, are the same bits. */
ATTENTION_DEFINE_CHAINS(attention_chains_wide, attention_lanes16, 16)
ATTENTION_DEFINE_CHAINS(attention_chains_narrow, attention_lanes8, 8)

/* Whether vectors of sixteen floats are native to the clone that runs here. */
static bool attention_is_wide(void)
{
#if defined(__AVX512F__)
	return true;
#elif defined(HAVE_TARGET_CLONES)
	return __builtin_cpu_supports("avx512f");
#else
	return false;
#endif
}

ML_INLINE void attention_chains(bool wide, struct attention_chains c)
{
	if (wide)
		attention_chains_wide(c);
	else
		attention_chains_narrow(c);
}

size_t attention_kept(size_t ctx)
{
	return ctx / ATTENTION_TILE * (ctx / ATTENTION_TILE + 1) / 2 * ATTENTION_TILE_SIZE;
}

size_t attention_scratch(size_t ctx, size_t head)
{
	return ATTENTION_HEAD_MAX * ATTENTION_TILE + 2 * ctx * ATTENTION_ROW + ctx * ATTENTION_TILE + 2 * ctx * head;
}

/* A tile's rows of x, ROW apart. */
ML_INLINE void attention_pack(const float *restrict x, size_t stride, size_t head, float *restrict y)
{
	for (size_t i = 0; i < ATTENTION_TILE; i++)
		for (size_t c = 0; c < head; c += ATTENTION_TILE)
			memcpy(y + i * ATTENTION_ROW + c, x + i * stride + c, ATTENTION_TILE * sizeof(float));
}

/* Asks for the rows of another tile while there is work on this one. */
ML_INLINE void attention_prefetch(const float *x, size_t stride, size_t head)
{
	for (size_t i = 0; i < ATTENTION_TILE; i++)
		for (size_t c = 0; c < head; c += ATTENTION_TILE)
			__builtin_prefetch(x + i * stride + c);
}

/* y [head][ATTENTION_TILE] = x [ATTENTION_TILE][head] transposed. */
ML_INLINE void attention_turn(const float *restrict x, size_t stride, size_t head, float *restrict y)
{
	for (size_t c = 0; c < head; c++)
		for (size_t i = 0; i < ATTENTION_TILE; i++)
			y[c * ATTENTION_TILE + i] = x[i * stride + c];
}

/* s [keys][ATTENTION_TILE]: s[j][i] = sum over c ascending of rows[j][c] * columns[c][i]. */
ML_INLINE void attention_compare(bool wide, const float *rows, const float *columns, size_t keys, size_t head, float *s)
{
	for (size_t j = 0; j < keys; j += ATTENTION_TILE)
		attention_chains(wide,
			(struct attention_chains){
				.x = rows + j * ATTENTION_ROW,
				.x_row = ATTENTION_ROW,
				.x_k = 1,
				.b = columns,
				.b_k = ATTENTION_TILE,
				.count = head,
				.y = s + j * ATTENTION_TILE,
				.y_row = ATTENTION_TILE,
			});
}

/* y [ATTENTION_TILE][head]: y[i][c] = sum over j ascending of p[j][i] * rows[j][c]. */
ML_INLINE void attention_gather(bool wide, const float *p, const float *rows, size_t keys, size_t head, float *y,
	size_t stride)
{
	for (size_t c = 0; c < head; c += ATTENTION_TILE)
		attention_chains(wide,
			(struct attention_chains){
				.x = p,
				.x_row = 1,
				.x_k = ATTENTION_TILE,
				.b = rows + c,
				.b_k = ATTENTION_ROW,
				.count = keys,
				.y = y + c,
				.y_row = stride,
			});
}

/* y [keys][head]: y[j][c] += sum over i ascending of p[j][i] * x[i][c]; the last tile of keys begins. */
ML_INLINE void attention_scatter(bool wide, const float *p, const float *x, size_t stride, size_t keys, size_t head,
	float *y)
{
	for (size_t j = 0; j < keys; j += ATTENTION_TILE)
		for (size_t c = 0; c < head; c += ATTENTION_TILE)
			attention_chains(wide,
				(struct attention_chains){
					.x = p + j * ATTENTION_TILE,
					.x_row = ATTENTION_TILE,
					.x_k = 1,
					.b = x + c,
					.b_k = stride,
					.count = ATTENTION_TILE,
					.more = j + ATTENTION_TILE < keys,
					.y = y + j * head + c,
					.y_row = head,
				});
}

/* Sixteen lanes of sums for each query become sixteen sums, in the order of math_fold16. */
ML_INLINE void attention_fold(float *restrict sum)
{
	for (int half = ATTENTION_TILE_SIZE / 2; half >= ATTENTION_TILE; half /= 2)
		for (int x = 0; x < half; x++)
			sum[x] = sum[x] + sum[x + half];
}

/* From ATTENTION_TILE - j on: whether queries 0, 1, .. of a tile see its key j, as masks of bits. */
static const uint32_t attention_seen[2 * ATTENTION_TILE] = { [ATTENTION_TILE... 2 * ATTENTION_TILE - 1] = 0xffffffffu };

/* In the tile of the queries' own keys, those after a query become +0. */
ML_INLINE void attention_mask(float *restrict s)
{
	for (int j = 0; j < ATTENTION_TILE; j++)
		for (int i = 0; i < ATTENTION_TILE; i++)
			s[j * ATTENTION_TILE + i] = float_from_bits(
				float_bits(s[j * ATTENTION_TILE + i]) & attention_seen[ATTENTION_TILE - j + i]);
}

/* Or, in a copy y, the query's x, which is its score with the very first key. */
ML_INLINE void attention_mask_with(const float *restrict s, const float *restrict x, float *restrict y)
{
	for (int j = 0; j < ATTENTION_TILE; j++)
		for (int i = 0; i < ATTENTION_TILE; i++)
			y[j * ATTENTION_TILE + i] = float_from_bits(
				(float_bits(s[j * ATTENTION_TILE + i]) & attention_seen[ATTENTION_TILE - j + i]) |
				(float_bits(x[i]) & ~attention_seen[ATTENTION_TILE - j + i]));
}

/* Scores of ATTENTION_TILE queries, the last keys being their own, become probabilities. */
ML_INLINE void attention_softmax(float *restrict s, size_t keys, float scale, float least)
{
	float largest[ATTENTION_TILE_SIZE], sum[ATTENTION_TILE_SIZE] = { 0 },
					    *own = s + (keys - ATTENTION_TILE) * ATTENTION_TILE;

	attention_mask_with(own, s, largest);
	for (const float *tile = s; tile < own; tile += ATTENTION_TILE_SIZE)
		for (int x = 0; x < ATTENTION_TILE_SIZE; x++)
			largest[x] = tile[x] > largest[x] ? tile[x] : largest[x];
	for (int half = ATTENTION_TILE_SIZE / 2; half >= ATTENTION_TILE; half /= 2)
		for (int x = 0; x < half; x++)
			largest[x] = largest[x + half] > largest[x] ? largest[x + half] : largest[x];
	for (size_t j = 0; j < keys; j++)
		for (int i = 0; i < ATTENTION_TILE; i++)
			s[j * ATTENTION_TILE + i] = (s[j * ATTENTION_TILE + i] - largest[i]) * scale;
	for (size_t x = 0; x < keys * ATTENTION_TILE; x += MATH_EXP_MANY)
		math_exp_many(s + x, MATH_EXP_MANY);
	attention_mask(own);
	for (const float *tile = s; tile <= own; tile += ATTENTION_TILE_SIZE)
		for (int x = 0; x < ATTENTION_TILE_SIZE; x++)
			sum[x] = sum[x] + tile[x];
	attention_fold(sum);
	for (int i = 0; i < ATTENTION_TILE; i++)
		sum[i] = 1.0f / sum[i];
	for (size_t j = 0; j < keys; j++)
		for (int i = 0; i < ATTENTION_TILE; i++) {
			float p = s[j * ATTENTION_TILE + i] * sum[i];

			s[j * ATTENTION_TILE + i] = p < least ? 0.0f : p;
		}
}

/* Tile by tile of queries, top down. Keys and values are packed as the tiles come: what tile i needs are the rows
 * packed so far, so every row is packed once, and the scores of a tile are as wide as it sees. Keys of its own tile
 * that come after a query are computed too and masked: sixteen lanes of work are cheaper than a ragged edge. */
ML_CLONES void attention_forward(const struct attention *attention, const float *q, const float *k, const float *v,
	float *p, float *a)
{
	float *queries = attention->scratch, *keys = queries + ATTENTION_HEAD_MAX * ATTENTION_TILE,
	      *values = keys + attention->ctx * ATTENTION_ROW;
	float scale = 1.0f / sqrtf((float)attention->head);
	bool wide = attention_is_wide();

	for (size_t i = 0; i < attention->ctx; i += ATTENTION_TILE) {
		size_t here = i * attention->stride, next = (i + ATTENTION_TILE) * attention->stride;

		attention_pack(k + here, attention->stride, attention->head, keys + i * ATTENTION_ROW);
		attention_pack(v + here, attention->stride, attention->head, values + i * ATTENTION_ROW);
		attention_turn(q + here, attention->stride, attention->head, queries);
		if (i + ATTENTION_TILE < attention->ctx) {
			attention_prefetch(q + next, attention->stride, attention->head);
			attention_prefetch(k + next, attention->stride, attention->head);
			attention_prefetch(v + next, attention->stride, attention->head);
		}
		attention_compare(wide, keys, queries, i + ATTENTION_TILE, attention->head, p);
		attention_softmax(p, i + ATTENTION_TILE, scale, attention->least);
		/* Adding the zeros after a query changes no sum: v is finite, and a chain is never -0. */
		attention_gather(wide, p, values, i + ATTENTION_TILE, attention->head, a + i * attention->stride_a,
			attention->stride_a);
		p += (i + ATTENTION_TILE) * ATTENTION_TILE;
	}
}

/* Positions, and values of a head, that one query's chains run side by side for. */
enum { ATTENTION_SIDE = 16 };

/* As attention_softmax, for one query. */
ML_INLINE void attention_softmax_query(float *restrict s, size_t count, float scale, float least)
{
	float largest = math_max(s, count), sum;

	for (size_t j = 0; j < count; j++)
		s[j] = (s[j] - largest) * scale;
	for (size_t j = 0; j < count; j += MATH_EXP_MANY)
		math_exp_many(s + j, count - j < MATH_EXP_MANY ? count - j : MATH_EXP_MANY);
	sum = 1.0f / math_sum16(s, count);
	for (size_t j = 0; j < count; j++) {
		float p = s[j] * sum;

		s[j] = p < least ? 0.0f : p;
	}
}

/* For a text that grows by a byte at a time. A score's chain still runs over c, and a result's over the positions:
 * sixteen of either go side by side. */
ML_CLONES void attention_query(const struct attention *attention, const float *q, const float *keys,
	const float *values, size_t count, float *a)
{
	float *s = attention->scratch, scale = 1.0f / sqrtf((float)attention->head);

	for (size_t j = 0; j < count; j += ATTENTION_SIDE) {
		attention_lanes16 sum = { 0 };

		for (size_t c = 0; c < attention->head; c++)
			sum = sum + q[c] * *(const attention_lanes16 *)(keys + c * attention->ctx + j);
		*(attention_lanes16 *)(s + j) = sum;
	}
	attention_softmax_query(s, count, scale, attention->least);
	for (size_t c = 0; c < attention->head; c += ATTENTION_SIDE) {
		attention_lanes16 sum = { 0 };

		for (size_t j = 0; j < count; j++)
			sum = sum + s[j] * *(const attention_lanes16 *)(values + j * attention->stride + c);
		*(attention_lanes16 *)(a + c) = sum;
	}
}

/* dp becomes ds. */
ML_INLINE void attention_softmax_backward(const float *restrict p, float *restrict ds, size_t keys, float scale)
{
	float sum[ATTENTION_TILE_SIZE] = { 0 };

	attention_mask(ds + (keys - ATTENTION_TILE) * ATTENTION_TILE);
	for (size_t first = 0; first < keys * ATTENTION_TILE; first += ATTENTION_TILE_SIZE)
		for (int x = 0; x < ATTENTION_TILE_SIZE; x++)
			sum[x] = sum[x] + p[first + x] * ds[first + x];
	attention_fold(sum);
	for (size_t j = 0; j < keys; j++)
		for (int i = 0; i < ATTENTION_TILE; i++)
			ds[j * ATTENTION_TILE + i] = (p[j * ATTENTION_TILE + i] *
							     (ds[j * ATTENTION_TILE + i] - sum[i])) *
				scale;
}

/* Again tile by tile of queries, so each dq is one chain over its keys. dk and dv are sums over queries: they grow in
 * sum_k and sum_v, where a tile's last keys are its own and begin there (`more` is false), and those before go on. So
 * their chains run over queries ascending, as the protocol says, and only in the end go to where the caller wants them,
 * which may have another stride. */
ML_CLONES void attention_backward(const struct attention *attention, const float *q, const float *k, const float *v,
	const float *p, const float *da, float *dq, float *dk, float *dv)
{
	size_t size = attention->ctx * attention->head;
	float *gradient = attention->scratch, *keys = gradient + ATTENTION_HEAD_MAX * ATTENTION_TILE,
	      *values = keys + attention->ctx * ATTENTION_ROW;
	float *ds = values + attention->ctx * ATTENTION_ROW, *sum_k = ds + attention->ctx * ATTENTION_TILE,
	      *sum_v = sum_k + size;
	float scale = 1.0f / sqrtf((float)attention->head);
	bool wide = attention_is_wide();

	for (size_t i = 0; i < attention->ctx; i += ATTENTION_TILE) {
		size_t here = i * attention->stride, next = (i + ATTENTION_TILE) * attention->stride;

		attention_pack(k + here, attention->stride, attention->head, keys + i * ATTENTION_ROW);
		attention_pack(v + here, attention->stride, attention->head, values + i * ATTENTION_ROW);
		if (i + ATTENTION_TILE < attention->ctx) {
			attention_prefetch(q + next, attention->stride, attention->head);
			attention_prefetch(k + next, attention->stride, attention->head);
			attention_prefetch(v + next, attention->stride, attention->head);
			attention_prefetch(da + (i + ATTENTION_TILE) * attention->stride_a, attention->stride_a,
				attention->head);
		}
		attention_turn(da + i * attention->stride_a, attention->stride_a, attention->head, gradient);
		attention_compare(wide, values, gradient, i + ATTENTION_TILE, attention->head, ds);
		attention_softmax_backward(p, ds, i + ATTENTION_TILE, scale);
		attention_gather(wide, ds, keys, i + ATTENTION_TILE, attention->head, dq + i * attention->stride,
			attention->stride);
		attention_scatter(wide, ds, q + i * attention->stride, attention->stride, i + ATTENTION_TILE,
			attention->head, sum_k);
		attention_scatter(wide, p, da + i * attention->stride_a, attention->stride_a, i + ATTENTION_TILE,
			attention->head, sum_v);
		p += (i + ATTENTION_TILE) * ATTENTION_TILE;
	}
	for (size_t j = 0; j < attention->ctx; j++) {
		memcpy(dk + j * attention->stride, sum_k + j * attention->head, attention->head * sizeof(float));
		memcpy(dv + j * attention->stride, sum_v + j * attention->head, attention->head * sizeof(float));
	}
}
