/* Samples of a blob, and the limits of what it may have in common with others. */
#include "consensus/blob/novelty.h"

#include <stdlib.h>

#include "consensus/blob/word_set.h"
#include "crypto/siphash.h"
#include "util/bytes.h"
#include "util/mem.h"

enum {
	NOVELTY_SAMPLED = 64,   /* one string in so many */
	NOVELTY_SHARE = 3,      /* a third of the samples at most */
	NOVELTY_BENCH_WORD = 8, /* bytes of a string that is compared with the benchmark */
	NOVELTY_BENCH_SHARE = 4,
};

/* --- samples --- */

static int novelty_compare(const void *sample, const void *other_sample)
{
	uint64_t one = *(const uint64_t *)sample, other = *(const uint64_t *)other_sample;

	return (one > other) - (one < other);
}

/* Sorts, and makes one of equal samples. */
static void novelty_unite(struct novelty *novelty)
{
	size_t united = 0;

	qsort(novelty->samples, novelty->count, sizeof *novelty->samples, novelty_compare);
	for (size_t i = 0; i < novelty->count; i++)
		if (united == 0 || novelty->samples[united - 1] != novelty->samples[i])
			novelty->samples[united++] = novelty->samples[i];
	novelty->count = united;
}

/* The array never has more than twice what is allowed: where it is full, equal ones are united, and that frees half of
 * it or shows that there are too many. */
bool novelty_sample(struct novelty *novelty, const uint8_t *blob, size_t size)
{
	const size_t allowed = size / NOVELTY_SAMPLE_BYTES;

	*novelty = (struct novelty){ .samples = mem_alloc((2 * allowed + 1) * sizeof *novelty->samples) };
	for (size_t i = 0; i + PAGES_STRING <= size; i++) {
		uint64_t sample = siphash_string(blob + i);

		if (sample % NOVELTY_SAMPLED != 0)
			continue;
		if (novelty->count == 2 * allowed) {
			novelty_unite(novelty);
			if (novelty->count > allowed)
				break;
		}
		novelty->samples[novelty->count++] = sample;
	}
	novelty_unite(novelty);
	if (novelty->count > allowed) {
		novelty_clear(novelty);
		return false;
	}
	novelty->samples = mem_realloc(novelty->samples, novelty->count * sizeof *novelty->samples);
	return true;
}

void novelty_clear(struct novelty *novelty)
{
	free(novelty->samples);
	*novelty = (struct novelty){ 0 };
}

/* --- two blobs --- */

size_t novelty_shared(const struct novelty *novelty, const struct novelty *other)
{
	size_t shared = 0;

	for (size_t i = 0, j = 0; i < novelty->count && j < other->count;) {
		shared += novelty->samples[i] == other->samples[j];
		if (novelty->samples[i] <= other->samples[j])
			i++;
		else
			j++;
	}
	return shared;
}

bool novelty_resembles(size_t shared, size_t count)
{
	return NOVELTY_SHARE * shared > count;
}

/* --- the benchmark --- */

static void novelty_add_words(struct word_set *words, const uint8_t *bytes, size_t size, size_t enough)
{
	for (size_t i = 0; i + NOVELTY_BENCH_WORD <= size && words->count < enough; i++)
		word_set_add(words, read_le64(bytes + i));
}

/* Memory is bounded by the benchmark, not by the blob: who has few of its strings is done soon. */
void novelty_count_words(const uint8_t *benchmark, size_t benchmark_size, const uint8_t *blob, size_t size,
	size_t times, size_t *found_count, size_t *word_count)
{
	struct word_set bench_words, found_words, blob_words;

	word_set_init(&bench_words, benchmark_size);
	word_set_init(&found_words, 0);
	word_set_init(&blob_words, 0);
	novelty_add_words(&bench_words, benchmark, benchmark_size, SIZE_MAX);
	for (size_t i = 0; i + NOVELTY_BENCH_WORD <= size; i++)
		if (word_set_has(&bench_words, read_le64(blob + i)))
			word_set_add(&found_words, read_le64(blob + i));
	*found_count = found_words.count;
	novelty_add_words(&blob_words, blob, size, *found_count < SIZE_MAX / times ? times * *found_count : SIZE_MAX);
	*word_count = blob_words.count;
	word_set_clear(&bench_words);
	word_set_clear(&found_words);
	word_set_clear(&blob_words);
}

static bool novelty_check_benchmark(const struct spec *spec, const uint8_t *blob, size_t size, struct reject *reject)
{
	size_t benchmark_size, found_count, word_count;
	const uint8_t *benchmark = course_benchmark(spec_course(spec), &benchmark_size);

	novelty_count_words(benchmark, benchmark_size, blob, size, NOVELTY_BENCH_SHARE, &found_count, &word_count);
	return word_count >= NOVELTY_BENCH_SHARE * found_count ||
		reject_set(reject, REASON_BAD_CONTRIB_NOVELTY,
			"%zu of its %zu different strings of 8 bytes are in the benchmark: 1/4 is the most",
			found_count, word_count);
}

bool novelty_check(const struct spec *spec, const uint8_t *blob, size_t size, struct novelty *novelty,
	struct reject *reject)
{
	struct errmsg why;

	if (!pages_check(&spec->pages, blob, size, &why))
		return reject_set(reject, REASON_BAD_CONTRIB_PAGES, "%s", why.text);
	if (!novelty_sample(novelty, blob, size))
		return reject_set(reject, REASON_BAD_CONTRIB_NOVELTY, "it has more sampled strings than chance gives");
	if (novelty_check_benchmark(spec, blob, size, reject))
		return true;
	novelty_clear(novelty);
	return false;
}
