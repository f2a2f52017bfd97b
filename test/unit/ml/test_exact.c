/* Rounding to grids and exact products, against slow references in double and int64. */
#include <math.h>

#include "ml/kernel/census.h"
#include "ml/kernel/exact.h"
#include "ml/kernel/float.h"
#include "unit.h"
#include "util/mem.h"
#ifdef HAVE_ONEDNN
#include <dnnl.h>
#endif

static uint32_t next_random(void)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)(s >> 16);
}

/* Values of all kinds: zeros of both signs, subnormals, ties, powers of two, the largest mantissas, wide ranges. */
static float awkward(void)
{
	uint32_t r = next_random(), sign = r & 0x80000000u;

	switch (r % 8) {
	case 0:
		return float_from_bits(sign);
	case 1:
		return float_from_bits(sign | (next_random() & 0x7fffff));
	case 2:
		return (sign ? -1.0f : 1.0f) * ((float)(next_random() % 127) + 0.5f);
	case 3:
		return float_from_bits(sign | (100 + next_random() % 60) << 23);
	case 4:
		return float_from_bits(sign | (120 + next_random() % 20) << 23 | 0x7fffff);
	default:
		return float_from_bits(sign | (110 + next_random() % 30) << 23 | (next_random() & 0x7fffff));
	}
}

static float *awkward_matrix(size_t count)
{
	float *x = mem_align(count * sizeof(float));

	for (size_t i = 0; i < count; i++)
		x[i] = awkward();
	return x;
}

/* Section 3 word for word, with exact double arithmetic: q of k values at x[0], x[stride], ...; returns e. */
static int reference_round(const float *x, size_t stride, size_t count, int *q)
{
	uint32_t m = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t bits = float_bits(x[i * stride]) & 0x7fffffffu;

		m = bits > m ? bits : m;
	}
	int e = (int)((m + 0x10000u) >> 23);

	e = e < 70 ? 70 : e;
	for (size_t i = 0; i < count; i++) {
		q[i] = (int)nearbyint(ldexp((double)x[i * stride], 133 - e));
		assert_in_range(q[i] + 127, 0, 254);
	}
	return e;
}

static void check_rounded(const float *x, const float *y, size_t stride, size_t count)
{
	int q[EXACT_CHUNK], e = reference_round(x, stride, count, q);

	for (size_t i = 0; i < count; i++) {
		float expected = (float)ldexp(q[i], e - 133);

		/* As bits: a zero must be +0. */
		assert_int_equal(float_bits(y[i * stride]), float_bits(expected == 0 ? 0.0f : expected));
	}
}

static const size_t sizes[] = { 1, 2, 15, 16, 17, 64, 1023, 1024, 1025, 2049 };
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static size_t chunks(size_t k)
{
	return (k + EXACT_CHUNK - 1) / EXACT_CHUNK;
}

static size_t chunk_size(size_t total, size_t first)
{
	return total - first < EXACT_CHUNK ? total - first : EXACT_CHUNK;
}

static bool round_rows(const float *x, size_t rows, size_t cols, float *y)
{
	void *memory = mem_align(exact_operand_size(rows, cols));
	struct exact_operand operand = exact_rows(ENGINE_OPENBLAS, x, rows, cols, memory);

	if (operand.values != NULL)
		memcpy(y, operand.values, rows * cols * sizeof(float));
	free(memory);
	return operand.values;
}

static bool round_columns(const float *x, size_t rows, size_t cols, float *y)
{
	void *memory = mem_align(exact_operand_size(rows, cols));
	struct exact_operand operand = exact_columns(ENGINE_OPENBLAS, x, rows, cols, memory);

	if (operand.values != NULL)
		memcpy(y, operand.values, rows * cols * sizeof(float));
	free(memory);
	return operand.values;
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t s = 0; s < SIZES; s++) {
		size_t rows = 5, cols = sizes[s];
		float *x = awkward_matrix(rows * cols), *y = mem_align(rows * cols * sizeof(float));

		assert_true(round_rows(x, rows, cols, y));
		for (size_t i = 0; i < rows; i++)
			for (size_t first = 0; first < cols; first += EXACT_CHUNK)
				check_rounded(x + i * cols + first, y + i * cols + first, 1, chunk_size(cols, first));
		free(x);
		free(y);
	}
}

static void test_columns(void **state)
{
	(void)state;
	for (size_t s = 0; s < SIZES; s++) {
		for (size_t cols = 3; cols < 2000; cols = cols * 11 + 1) {
			size_t rows = sizes[s];
			float *x = awkward_matrix(rows * cols), *y = mem_align(rows * cols * sizeof(float));

			assert_true(round_columns(x, rows, cols, y));
			for (size_t j = 0; j < cols; j++)
				for (size_t first = 0; first < rows; first += EXACT_CHUNK)
					check_rounded(x + first * cols + j, y + first * cols + j, cols,
						chunk_size(rows, first));
			free(x);
			free(y);
		}
	}
}

/* A matrix that comes in parts, its columns measured on the way, gives what it gives at once: to every engine. */
static void check_parts(enum engine engine, size_t rows, size_t cols)
{
	enum { FIRST = 5, LEFT = 2 };
	size_t bytes = exact_operand_size(rows, cols), width = cols - LEFT;
	size_t element = engine_form(engine) == ENGINE_INTEGERS ? 1 : sizeof(float);
	float *x = awkward_matrix(rows * cols);
	void *whole = mem_align(bytes), *parts = mem_align(bytes);
	int32_t *largest = mem_calloc(cols, sizeof(int32_t)), *again = mem_calloc(cols, sizeof(int32_t));

	struct exact_operand expected = exact_rows(engine, x, rows, cols, whole);
	assert_true(exact_some_rows(engine, x, rows, cols, 0, FIRST, parts, largest));
	assert_true(exact_some_rows(engine, x, rows, cols, FIRST, rows - FIRST, parts, largest));
	struct exact_operand found = exact_rows_operand(engine, x, rows, cols, parts);
	assert_memory_equal(found.values, expected.values, rows * cols * element);
	if (element == 1)
		assert_memory_equal(found.grids, expected.grids, rows * chunks(cols) * sizeof(float));

	exact_largest(x + FIRST * cols, rows - FIRST, cols, again);
	exact_largest(x, FIRST, cols, again);
	assert_memory_equal(again, largest, cols * sizeof(int32_t));
	expected = exact_columns(engine, x, rows, cols, whole);
	found = exact_part(engine, x + FIRST * cols + LEFT, cols, rows - FIRST, width, largest + LEFT, parts);
	for (size_t i = 0; i < rows - FIRST; i++)
		assert_memory_equal((const char *)found.values + i * found.ld * element,
			(const char *)expected.values + ((i + FIRST) * expected.ld + LEFT) * element, width * element);
	if (element == 1)
		assert_memory_equal(found.grids, expected.grids + LEFT, width * sizeof(float));
	free(x);
	free(whole);
	free(parts);
	free(largest);
	free(again);
}

static void test_parts(void **state)
{
	(void)state;
	for (size_t s = 0; s < SIZES; s++) {
		if (sizes[s] < 3)
			continue;
		check_parts(ENGINE_OPENBLAS, 37, sizes[s]);
		check_parts(ENGINE_REFERENCE, 37, sizes[s]);
	}
}

/* One row of 20 values with `top` as its largest. */
static bool rounds(float top, float *out)
{
	float x[20] = { 0 }, columns[20];
	int32_t largest[20] = { 0 };
	void *memory = mem_align(exact_operand_size(20, 20));

	x[7] = top;
	x[3] = 1.0f;
	bool ok = round_rows(x, 1, 20, out);

	assert_int_equal(round_columns(x, 20, 1, columns), ok);
	exact_largest(x, 1, 20, largest);
	for (enum engine engine = ENGINE_OPENBLAS; engine <= ENGINE_REFERENCE; engine++) {
		assert_int_equal(exact_rows(engine, x, 1, 20, memory).values != NULL, ok);
		assert_int_equal(exact_columns(engine, x, 1, 20, memory).values != NULL, ok);
		assert_int_equal(exact_some_rows(engine, x, 1, 20, 0, 1, memory, NULL), ok);
		assert_int_equal(exact_part(engine, x, 20, 1, 20, largest, memory).values != NULL, ok);
	}
	free(memory);
	return ok;
}

static void test_limits(void **state)
{
	float y[20];

	(void)state;
	/* Exponent 183 is the largest that is taken; just below 2^57 rounds up to 184. */
	assert_true(rounds(float_from_bits(183u << 23), y));
	assert_true(rounds(float_from_bits(183u << 23 | 0x7effff), y));
	assert_false(rounds(float_from_bits(183u << 23 | 0x7f0000), y));
	assert_false(rounds(float_from_bits(184u << 23), y));
	assert_false(rounds(-float_from_bits(184u << 23), y));
	assert_false(rounds(INFINITY, y));
	assert_false(rounds(-INFINITY, y));
	assert_false(rounds(NAN, y));
	assert_false(rounds(float_from_bits(0xffffffff), y));
	assert_false(rounds(float_from_bits(0x7f800001), y));

	/* The floor: below 2^-57 the grid stays 2^-63, so that products of grids stay normal. */
	float tiny[3] = { 0x1p-60f, 0x1.8p-63f, 0x1p-64f }, rounded[3];

	assert_true(round_rows(tiny, 1, 3, rounded));
	assert_true(rounded[0] == 0x1p-60f && rounded[1] == 0x1p-62f && rounded[2] == 0.0f);
}

static void test_ties(void **state)
{
	/* 64 is the largest, so the grid is 1: halves go to even; 127.5 would be 128 and raises the grid to 2. */
	float x[6] = { 64.0f, 0.5f, 1.5f, -2.5f, -0.5f, 3.5f }, y[6];
	float raised[4] = { 127.5f, 1.0f, 3.0f, -5.0f };

	(void)state;
	assert_true(round_rows(x, 1, 6, y));
	assert_true(y[1] == 0.0f && y[2] == 2.0f && y[3] == -2.0f && y[4] == 0.0f && y[5] == 4.0f);
	assert_true(round_rows(raised, 1, 4, y));
	assert_true(y[0] == 128.0f && y[1] == 0.0f && y[2] == 4.0f && y[3] == -4.0f);
	raised[0] = float_from_bits(float_bits(127.5f) - 1);
	assert_true(round_rows(raised, 1, 4, y));
	assert_true(y[0] == 127.0f && y[1] == 1.0f);
}

/* Y = A B^T for A [m][k], B [n][k] by int64, chunk sums added in binary32. */
static void reference_product(const float *a, const float *b, size_t m, size_t n, size_t k, float *y)
{
	int qa[EXACT_CHUNK], qb[EXACT_CHUNK];

	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			for (size_t first = 0; first < k; first += EXACT_CHUNK) {
				size_t count = chunk_size(k, first);
				int e = reference_round(a + i * k + first, 1, count, qa) +
					reference_round(b + j * k + first, 1, count, qb);
				int64_t sum = 0;

				for (size_t c = 0; c < count; c++)
					sum += (int64_t)qa[c] * qb[c];
				float chunk = (float)ldexp((double)sum, e - 266);

				y[i * n + j] = first == 0 ? chunk : y[i * n + j] + chunk;
			}
		}
	}
}

static float *transposed(const float *x, size_t rows, size_t cols)
{
	float *y = mem_align(rows * cols * sizeof(float));

	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols; j++)
			y[j * rows + i] = x[i * cols + j];
	return y;
}

/* The operand of x [rows][k], lying either way, in the engine's form. */
static struct exact_operand operand(enum engine engine, const float *x, size_t rows, size_t k, bool across,
	void *memory)
{
	float *t = transposed(x, rows, k);
	struct exact_operand result = across ? exact_columns(engine, t, k, rows, memory) :
					       exact_rows(engine, x, rows, k, memory);

	free(t);
	assert_non_null(result.values);
	return result;
}

/* All four ways the operands may lie in memory. A chunk may come in parts, and the sum may be added. */
static void check_engine(enum engine engine, const float *a, const float *b, size_t m, size_t n, size_t k,
	const float *expected)
{
	size_t bytes = m * n * sizeof(float), ldy = n + 3;
	float *y = mem_align(m * ldy * sizeof(float));
	void *scratch = mem_align(exact_scratch_size(m, n));
	void *memory_a = mem_align(exact_operand_size(m, k)), *memory_b = mem_align(exact_operand_size(n, k));

	for (int way = 0; way < 16; way++) {
		bool at = way & 1, bt = way & 2, parts = way & 4, add = way & 8;
		struct exact_product p = {
			.m = m,
			.n = n,
			.k = k,
			.a_transposed = at,
			.b_transposed = bt,
			.y = y,
			.ldy = ldy,
			.a = operand(engine, a, m, k, at, memory_a),
			.b = operand(engine, b, n, k, bt, memory_b),
		};
		size_t element = engine_form(engine) == ENGINE_INTEGERS ? 1 : sizeof(float), half = k / 2;

		if ((parts && (k > EXACT_CHUNK || k < 2)) || (add && !parts))
			continue;
		for (size_t i = 0; i < m * ldy; i++)
			y[i] = add ? 0.0f : NAN;
		if (parts) {
			struct exact_product rest = p;

			p.k = half;
			rest.k = k - half;
			rest.a.values = (const char *)p.a.values + half * (at ? p.a.ld : 1) * element;
			rest.b.values = (const char *)p.b.values + half * (bt ? p.b.ld : 1) * element;
			exact_add_part(engine, &p, true, add, scratch);
			exact_add_part(engine, &rest, false, add, scratch);
			exact_end_parts(engine, &rest, add, scratch);
		} else {
			exact_multiply(engine, &p, scratch);
		}
		for (size_t i = 0; i < m; i++)
			assert_memory_equal(y + i * ldy, expected + i * n, bytes / m);
	}
	free(y);
	free(scratch);
	free(memory_a);
	free(memory_b);
}

static void check_product(const float *a, const float *b, size_t m, size_t n, size_t k)
{
	float *expected = mem_align(m * n * sizeof(float));

	reference_product(a, b, m, n, k, expected);
	check_engine(ENGINE_OPENBLAS, a, b, m, n, k, expected);
	check_engine(ENGINE_REFERENCE, a, b, m, n, k, expected);
	if (engine_usable(ENGINE_ONEDNN, NULL))
		check_engine(ENGINE_ONEDNN, a, b, m, n, k, expected);
	free(expected);
}

static void test_products(void **state)
{
	static const size_t ks[] = { 1, 3, 16, 255, 1023, 1024, 1025, 2049 };

	(void)state;
	for (size_t s = 0; s < sizeof ks / sizeof ks[0]; s++) {
		size_t m = 1 + next_random() % 40, n = 1 + next_random() % 40, k = ks[s];
		float *a = awkward_matrix(m * k), *b = awkward_matrix(n * k);

		check_product(a, b, m, n, k);
		free(a);
		free(b);
	}
}

/* Every partial sum as large as it gets: 1024 times 127 * 127, and the same with alternating signs. */
static void test_extreme_products(void **state)
{
	enum { M = 17, K = 1024 };
	float a[M * K], b[M * K];

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		float top = kind < 2 ? 127.0f : float_from_bits(183u << 23 | 0x7e0000);

		for (size_t i = 0; i < (size_t)M * K; i++) {
			a[i] = top;
			b[i] = kind % 2 == 0 ? top : i % 2 == 0 ? top : -top;
		}
		check_product(a, b, M, M, K);
	}
	/* Nothing but products of -0: the sum is +0. */
	for (size_t i = 0; i < (size_t)M * K; i++) {
		a[i] = -0.0f;
		b[i] = -1.0f;
	}
	check_product(a, b, M, M, K);
}

/* === Dither === */

/* Values of a hundredth of a step survive on average, about a quarter of the zeros become a step, and the words say
 * which. */
static void test_dither(void **state)
{
	enum { COUNT = 1 << 17 };
	const float step = 0x1p-10f;
	float *x = mem_align(COUNT * sizeof(float));
	uint32_t *noise = mem_alloc(COUNT * sizeof *noise);
	uint32_t known[] = { 0x80000000, 0x80010000, 0x00008001, 0xffff0000, 0x0000ffff, 0x12341234, 0x80000001,
		0x7fffffff };
	const int want[] = { 0, 1, -1, 1, -1, 0, 0, 0 };

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		noise[i] = (i * 2654435761u ^ i << 7) * 2246822519u;
	for (int percent = -150; percent <= 150; percent += 50) {
		double sum = 0, expected = (double)percent / 100 * (double)step;
		size_t moved = 0;

		for (size_t i = 0; i < COUNT; i++)
			x[i] = (float)(i % 2 ? expected : expected / 50);
		exact_dither(x, noise, COUNT, 127 * step);
		for (size_t i = 0; i < COUNT; i++) {
			assert_true(x[i] / step == (float)(int)(x[i] / step));
			assert_true(fabsf(x[i] - (float)(i % 2 ? expected : expected / 50)) <= 1.5f * step);
			sum += (double)x[i];
			moved += x[i] != 0.0f;
		}
		assert_true(fabs(sum / COUNT - (expected + expected / 50) / 2) < 0.004 * (double)step);
		if (percent == 0)
			assert_true(moved > 0.24 * COUNT && moved < 0.26 * COUNT);
	}
	memset(x, 0, sizeof known / sizeof known[0] * sizeof(float));
	exact_dither(x, known, sizeof known / sizeof known[0], 127 * step);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		assert_true(x[i] == (float)want[i] * step);
	free(x);
	free(noise);
}

/* === The instructions that the libraries use === */

static bool has_newer(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
	return false;
#endif
}

static void test_kernels(void **state)
{
	static const char wish[] = "OPENBLAS_CORETYPE";
	bool is_named;

	(void)state;
	assert_int_equal(engine_better_kernels("Prescott") != NULL, has_newer());
	assert_null(engine_better_kernels("Haswell"));
	assert_null(engine_better_kernels("Cooperlake"));
	assert_null(engine_kernels(ENGINE_REFERENCE));
	setenv(wish, "Haswell", 1);
	assert_false(engine_name_processor());
	assert_string_equal(getenv(wish), "Haswell");
	unsetenv(wish);
	is_named = engine_name_processor();
	assert_int_equal(is_named, getenv(wish) != NULL);
	assert_false(engine_name_processor());
	unsetenv(wish);
}

/* The numbers of the library's sets of instructions are masks. */
static void test_onednn(void **state)
{
	(void)state;
#ifdef HAVE_ONEDNN
	engine_init(1);
	assert_int_equal(dnnl_get_effective_cpu_isa() & ~(unsigned)dnnl_cpu_isa_avx512_core_vnni, 0);
#else
	skip();
#endif
}

/* Value by value, each rounded by the slow reference: what has 8 steps or more before it is rounded. */
static void count_slowly(struct census *census, const float *x, size_t stride, size_t count)
{
	for (size_t first = 0; first < count; first += EXACT_CHUNK) {
		const size_t part = count - first < EXACT_CHUNK ? count - first : EXACT_CHUNK;
		int q[EXACT_CHUNK];
		const int e = reference_round(x + first * stride, stride, part, q);

		census->parts++;
		census->level += e;
		for (size_t i = 0; i < part; i++)
			census->seen += fabs((double)x[(first + i) * stride]) >= ldexp(8, e - 133);
	}
}

static void assert_census_equal(const struct census *a, const struct census *b)
{
	assert_int_equal(a->parts, b->parts);
	assert_int_equal(a->seen, b->seen);
	assert_int_equal(a->level, b->level);
}

/* Several chunks, the last of each kind not whole; and it adds to what is there. */
static void test_census(void **state)
{
	static const size_t shapes[][2] = { { 1, 1 }, { 3, 17 }, { 40, 64 }, { 5, 2300 }, { 2300, 5 }, { 1024, 33 } };
	struct census rows = { 0 }, columns = { 0 }, slow_rows = { 0 }, slow_columns = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const size_t height = shapes[i][0], width = shapes[i][1];
		float *x = awkward_matrix(height * width);

		census_rows(&rows, x, height, width);
		census_columns(&columns, x, height, width);
		for (size_t row = 0; row < height; row++)
			count_slowly(&slow_rows, x + row * width, 1, width);
		for (size_t column = 0; column < width; column++)
			count_slowly(&slow_columns, x + column, width, height);
		assert_census_equal(&rows, &slow_rows);
		assert_census_equal(&columns, &slow_columns);
		free(x);
	}
}

/* On both sides of 8 steps; a part of zeros has none. */
static void test_census_limits(void **state)
{
	const float at = 8.0f / 64, below = float_from_bits(float_bits(at) - 1);
	const float x[] = { 1, at, -at, below, -below, 0, 0, 0 };
	struct census found = { 0 };

	(void)state;
	census_rows(&found, x, 1, 5);
	assert_int_equal(found.seen, 3);
	assert_int_equal(found.level, 127);
	census_rows(&found, x + 5, 1, 3);
	assert_int_equal(found.parts, 2);
	assert_int_equal(found.seen, 3);
	assert_int_equal(found.level, 127 + EXACT_EXPONENT_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_products),
		cmocka_unit_test(test_extreme_products),
		cmocka_unit_test(test_dither),
		cmocka_unit_test(test_census),
		cmocka_unit_test(test_census_limits),
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_onednn),
	};

	engine_init(1);
	return cmocka_run_group_tests_name("ml/exact", tests, NULL, NULL);
}
