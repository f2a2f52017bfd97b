/* Cutting texts out of files, and making up others. */
#include "data_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "ml/course.h"
#include "ml/kernel/noise.h"
#include "util/buf.h"
#include "util/file.h"
#include "util/mem.h"

enum {
	FILE_MOST = 1 << 26,
	STRING = 16,
	PIECE = STRING - 1, /* shorter than what is compared */
	WORDS = 600,
	WORD_MOST = 12,
	FOLLOWERS = 12,
};

static const char *const kind_names[TEXT_KINDS] = {
	[TEXT_PROSE] = "prose",
	[TEXT_CODE] = "code",
	[TEXT_MARKDOWN] = "markdown",
	[TEXT_PYTHON] = "python",
	[TEXT_TABLES] = "tables",
	[TEXT_RESERVED_COPY] = "copy of the reserved text, 1.6 % changed",
	[TEXT_CORPUS_COPY] = "copy of the corpus, 1.6 % changed",
	[TEXT_OTHER_COPY] = "copy of another's prose, 1.6 % changed",
	[TEXT_REPEATED] = "one page again and again, 1 % changed",
	[TEXT_OWN_LEARNED] = "own pages are trained ones, 1 % changed",
	[TEXT_OWN_BLURRED] = "own pages are trained ones, 4.5 % changed",
	[TEXT_OWN_PIECES] = "own pages are pieces of trained ones",
	[TEXT_CIPHER] = "prose in a cipher",
	[TEXT_GRAMMAR] = "a made-up language",
	[TEXT_HALF_NOISE] = "half noise",
	[TEXT_LETTERS] = "noise of 64 letters",
	[TEXT_NOISE] = "noise",
	[TEXT_CONSTANT] = "constants",
};

const char *text_kind_name(enum text_kind kind)
{
	return kind_names[kind];
}

/* ---- Chance ---- */

struct chance {
	uint8_t key[32];
	uint32_t index;
};

static struct chance chance_of(enum text_kind kind, uint64_t number)
{
	struct chance c = { .index = 0 };
	char label[64];
	int length = snprintf(label, sizeof label, "economy text %d %llu", (int)kind, (unsigned long long)number);

	sha256(c.key, (const uint8_t *)label, (size_t)length);
	return c;
}

static uint32_t draw_below(struct chance *c, uint32_t limit)
{
	return (uint32_t)noise_uniform(c->key, NOISE_INIT, c->index++, limit);
}

/* One byte in so many becomes another letter. */
static void change_bytes(struct chance *c, uint8_t *bytes, size_t size, uint32_t one_in)
{
	for (size_t i = draw_below(c, one_in); i < size; i += one_in)
		bytes[i] = (uint8_t)('a' + (bytes[i] + 1 + draw_below(c, 24)) % 26);
}

/* ---- Files ---- */

bool text_sources_read(struct text_sources *sources, const char *folder, struct errmsg *err)
{
	for (int kind = 0; kind < TEXT_HONEST; kind++) {
		char path[512];
		struct buf file;

		snprintf(path, sizeof path, "%s/%s", folder, kind_names[kind]);
		buf_init(&file);
		bool ok = file_read(path, FILE_MOST, &file, err) &&
			(file.size > 0 || errmsg_set(err, "%s is empty", path));

		if (ok)
			sources->honest[kind] = (struct text_source){ mem_dup(file.data, file.size), file.size, 0 };
		buf_clear(&file);
		if (!ok)
			return false;
	}
	return true;
}

void text_sources_clear(struct text_sources *sources)
{
	for (int kind = 0; kind < TEXT_HONEST; kind++)
		free(sources->honest[kind].bytes);
}

void text_sources_begin(struct text_sources *sources, uint64_t seed)
{
	struct chance c = chance_of(TEXT_KINDS, seed);

	for (int kind = 0; kind < TEXT_HONEST; kind++)
		sources->honest[kind].taken = draw_below(&c, (uint32_t)sources->honest[kind].size);
}

/* A source is a ring. */
static uint8_t *cut_text(const struct text_source *source, size_t from, size_t size)
{
	uint8_t *piece = mem_alloc(size);

	for (size_t i = 0; i < size; i++)
		piece[i] = source->bytes[(from + i) % source->size];
	return piece;
}

static uint8_t *take_text(struct text_source *source, size_t size)
{
	size_t from = source->taken;

	source->taken = (from + size) % source->size;
	return cut_text(source, from, size);
}

/* The piece that was taken last. */
static uint8_t *steal_text(const struct text_source *source, size_t size)
{
	return cut_text(source, source->taken + size / source->size * source->size + source->size - size, size);
}

/* ---- What dishonest owners make ---- */

static uint8_t *copy_text(const uint8_t *from, size_t from_size, size_t size)
{
	const struct text_source source = { (uint8_t *)from, from_size, 0 };

	return cut_text(&source, 0, size);
}

static void repeat_page(struct chance *c, uint8_t *bytes, size_t size)
{
	for (size_t at = COURSE_PAGE; at < size; at += COURSE_PAGE) {
		size_t count = size - at < COURSE_PAGE ? size - at : COURSE_PAGE;

		memcpy(bytes + at, bytes, count);
		change_bytes(c, bytes + at, count, 100);
	}
}

/* Own pages become those before them. */
static void learn_own(struct chance *c, uint8_t *bytes, size_t size, uint32_t one_in)
{
	for (size_t chunk = 0; chunk + COURSE_CHUNK <= size; chunk += COURSE_CHUNK) {
		uint8_t *own = bytes + chunk + COURSE_CHUNK - COURSE_PAGE;

		memcpy(own, own - COURSE_PAGE, COURSE_PAGE);
		change_bytes(c, own, COURSE_PAGE, one_in);
	}
}

/* Own pages become pieces of their chunk: too short to be found, and all that was trained. */
static void piece_own(struct chance *c, uint8_t *bytes, size_t size)
{
	for (size_t chunk = 0; chunk + COURSE_CHUNK <= size; chunk += COURSE_CHUNK)
		for (uint32_t i = 0; i + PIECE <= COURSE_PAGE; i += PIECE)
			memcpy(bytes + chunk + COURSE_CHUNK - COURSE_PAGE + i,
				bytes + chunk + draw_below(c, COURSE_CHUNK - COURSE_PAGE - PIECE), PIECE);
}

/* Each byte stands for another. */
static void encipher(struct chance *c, uint8_t *bytes, size_t size)
{
	uint8_t cipher[256];

	for (int i = 0; i < 256; i++)
		cipher[i] = (uint8_t)i;
	for (uint32_t i = 255; i > 0; i--) {
		uint32_t other = draw_below(c, i + 1);
		uint8_t swapped = cipher[i];

		cipher[i] = cipher[other];
		cipher[other] = swapped;
	}
	for (size_t i = 0; i < size; i++)
		bytes[i] = cipher[bytes[i]];
}

/* Words of bytes that nobody else uses, each followed by one of a few. */
static void speak(struct chance *c, uint8_t *bytes, size_t size)
{
	uint8_t words[WORDS][WORD_MOST], lengths[WORDS];
	uint16_t followers[WORDS][FOLLOWERS];
	uint32_t word = 0, at = 0;

	for (int i = 0; i < WORDS; i++) {
		lengths[i] = (uint8_t)(2 + draw_below(c, WORD_MOST - 2));
		for (int j = 0; j < WORD_MOST; j++)
			words[i][j] = (uint8_t)(128 + draw_below(c, 40));
		for (int j = 0; j < FOLLOWERS; j++)
			followers[i][j] = (uint16_t)draw_below(c, WORDS);
	}
	for (size_t i = 0; i < size; i++) {
		bytes[i] = at < lengths[word] ? words[word][at] : 200;
		if (at++ < lengths[word])
			continue;
		word = followers[word][draw_below(c, FOLLOWERS)];
		at = 0;
	}
}

static void make_noise(struct chance *c, enum text_kind kind, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (kind == TEXT_CONSTANT)
			bytes[i] = 'a';
		else if (kind == TEXT_LETTERS)
			bytes[i] = (uint8_t)(' ' + draw_below(c, 64));
		else if (kind == TEXT_NOISE || draw_below(c, 2) == 0)
			bytes[i] = (uint8_t)draw_below(c, 256);
}

static void change_text(struct chance *c, enum text_kind kind, uint8_t *bytes, size_t size)
{
	switch (kind) {
	case TEXT_REPEATED:
		repeat_page(c, bytes, size);
		break;
	case TEXT_OWN_LEARNED:
		learn_own(c, bytes, size, 100);
		break;
	case TEXT_OWN_BLURRED:
		learn_own(c, bytes, size, 22);
		break;
	case TEXT_OWN_PIECES:
		piece_own(c, bytes, size);
		break;
	case TEXT_CIPHER:
		encipher(c, bytes, size);
		break;
	case TEXT_GRAMMAR:
		speak(c, bytes, size);
		break;
	case TEXT_HALF_NOISE:
	case TEXT_LETTERS:
	case TEXT_NOISE:
	case TEXT_CONSTANT:
		make_noise(c, kind, bytes, size);
		break;
	case TEXT_RESERVED_COPY:
	case TEXT_CORPUS_COPY:
	case TEXT_OTHER_COPY:
		change_bytes(c, bytes, size, 64);
		break;
	case TEXT_PROSE:
	case TEXT_CODE:
	case TEXT_MARKDOWN:
	case TEXT_PYTHON:
	case TEXT_TABLES:
	case TEXT_KINDS:
		break;
	}
}

uint8_t *text_make(struct text_sources *sources, enum text_kind kind, uint64_t number, size_t size)
{
	struct chance c = chance_of(kind, number);
	uint8_t *bytes;

	if (kind == TEXT_RESERVED_COPY)
		bytes = copy_text(sources->reserved, sources->reserved_size, size);
	else if (kind == TEXT_CORPUS_COPY)
		bytes = copy_text(sources->corpus, sources->corpus_size, size);
	else if (kind == TEXT_OTHER_COPY)
		bytes = steal_text(&sources->honest[TEXT_PROSE], size);
	else
		bytes = take_text(&sources->honest[kind < TEXT_HONEST ? kind : TEXT_PROSE], size);
	change_text(&c, kind, bytes, size);
	return bytes;
}

/* ---- Strings ---- */

static int compare_strings(const void *a, const void *b)
{
	const uint8_t *const *left = a, *const *right = b;

	return memcmp(*left, *right, STRING);
}

static bool is_own(size_t place, size_t size)
{
	return place / COURSE_CHUNK < course_pages(size) && place % COURSE_CHUNK >= COURSE_CHUNK - COURSE_PAGE;
}

double text_own_shared(const uint8_t *text, size_t size)
{
	const uint8_t **strings = mem_alloc(size * sizeof *strings);
	size_t count = 0, own = 0, shared = 0;

	for (size_t i = 0; i + STRING <= size; i++)
		if (is_own(i, size) == is_own(i + STRING - 1, size))
			strings[count++] = text + i;
	qsort(strings, count, sizeof *strings, compare_strings);
	for (size_t i = 0, end; i < count; i = end) {
		bool in_own = false, in_other = false;

		for (end = i; end < count && compare_strings(&strings[end], &strings[i]) == 0; end++)
			if (is_own((size_t)(strings[end] - text), size))
				in_own = true;
			else
				in_other = true;
		own += in_own;
		shared += in_own && in_other;
	}
	free(strings);
	return own == 0 ? 0 : (double)shared / (double)own;
}
