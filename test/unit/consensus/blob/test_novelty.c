/* What a blob is refused for: poor and repeated pages, what it shares with others and with the benchmark, and samples
 * that were made to be a burden. */
#include "consensus/blob/novelty.h"
#include "crypto/siphash.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

enum { SIZE = 65536 };

static struct spec spec;

static int setup(void **state)
{
	(void)state;
	return spec_builtin(&spec, "main") ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	spec_clear(&spec);
	return 0;
}

/* Noise, the same for the same number. */
static void fill(uint8_t *blob, size_t size, uint64_t number)
{
	uint8_t key[16] = { 1 };

	for (size_t i = 0; i < size; i += 8) {
		uint64_t counter[2] = { number, i };

		write_le64(blob + i, siphash(key, counter, sizeof counter));
	}
}

static uint8_t *noise(uint64_t number)
{
	uint8_t *blob = mem_alloc(SIZE);

	fill(blob, SIZE, number);
	return blob;
}

static void expect(const uint8_t *blob, size_t size, const char *reason, const char *told)
{
	struct novelty novelty;
	struct reject reject = { .reason = "", .detail = "" };

	if (novelty_check(&spec, blob, size, &novelty, &reject))
		novelty_clear(&novelty);
	if (strcmp(reject.reason, reason) != 0 || strstr(reject.detail, told) == NULL)
		fail_msg("%s (%s) instead of %s (%s)", reject.reason, reject.detail, reason, told);
}

/* Each refusal names the first page at fault and its offset. */
static void test_pages(void **state)
{
	uint8_t *blob = noise(1);

	(void)state;
	expect(blob, SIZE, "", "");
	memset(blob + 5 * 4096, 0, 4096);
	expect(blob, SIZE, "bad-contrib-pages", "page 5, at byte 20480, has too few");
	fill(blob + 5 * 4096, 4096, 77);
	memcpy(blob + 7 * 4096, blob + 2 * 4096, 4096);
	expect(blob, SIZE, "bad-contrib-pages", "page 7, at byte 28672, is equal");
	blob[7 * 4096 + 11]++;
	expect(blob, SIZE, "", "");
	/* A last page is judged by its own length, from 256 bytes on. */
	memset(blob + 8 * 4096, 0, 256);
	expect(blob, 8 * 4096 + 255, "", "");
	expect(blob, 8 * 4096 + 256, "bad-contrib-pages", "page 8");
	/* A spec may have no filter. */
	spec.pages.distinct = 0;
	expect(blob, 8 * 4096 + 256, "", "");
	spec.pages.distinct = 512;
	free(blob);
}

static void test_benchmark(void **state)
{
	size_t benchmark_size;
	const uint8_t *benchmark = course_benchmark(spec_course(&spec), &benchmark_size);
	uint8_t *blob = noise(2);

	(void)state;
	assert_true(benchmark_size >= 8192);
	memcpy(blob, benchmark, 8192);
	expect(blob, 32768, "", "");
	/* Many strings of a text are there several times, so it takes more of it than a quarter. */
	expect(blob, 16384, "bad-contrib-novelty", "benchmark: 1/4 is the most");
	free(blob);
}

/* A third of the samples may be another's, and no more; however often a string is repeated, it counts once. */
static void test_shared(void **state)
{
	struct novelty novelty, other;
	uint8_t *blob = noise(3), *copy = noise(4);

	(void)state;
	memcpy(copy, blob, SIZE / 2);
	memcpy(copy + SIZE / 2, blob, SIZE / 4);
	assert_true(novelty_sample(&novelty, copy, SIZE));
	assert_true(novelty_sample(&other, blob, SIZE));
	assert_true(novelty.count < SIZE / 64 * 9 / 10);
	assert_in_range(novelty_shared(&novelty, &other), SIZE / 128 * 4 / 5, SIZE / 128 * 6 / 5);
	assert_int_equal(novelty_shared(&other, &novelty), novelty_shared(&novelty, &other));
	assert_int_equal(novelty_shared(&novelty, &novelty), novelty.count);
	for (size_t i = 0; i < novelty.count; i++)
		assert_true(novelty.samples[i] % 64 == 0 && (i == 0 || novelty.samples[i - 1] < novelty.samples[i]));
	assert_false(novelty_resembles(33, 100));
	assert_true(novelty_resembles(34, 100));
	assert_false(novelty_resembles(33, 99));
	assert_false(novelty_resembles(0, 0));
	novelty_clear(&novelty);
	novelty_clear(&other);
	free(blob);
	free(copy);
}

/* Bytes chosen so that nearly each string is sampled would fill everybody's index. */
static void test_crowded(void **state)
{
	struct novelty novelty;
	uint8_t *blob = noise(5);
	size_t found = 16;

	(void)state;
	/* A string goes on with the byte that makes the next one sampled, where there is one. */
	for (; found < 32768; found++) {
		uint8_t drawn = blob[found];

		for (int i = 0; i < 256; i++) {
			blob[found] = (uint8_t)(drawn + i);
			if (siphash_string(blob + found - 15) % 64 == 0)
				break;
		}
	}
	assert_false(novelty_sample(&novelty, blob, 32768));
	expect(blob, 32768, "bad-contrib-novelty", "more sampled strings than chance gives");
	free(blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_benchmark),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_crowded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
