/* Figures of published vectors, from test/data/vectors: lines "key = value", records apart by an empty line, comments
 * by #. A key may come several times in a record. A test that misses a file or a figure fails. */
#ifndef ATELIER_TEST_VECTORS_H
#define ATELIER_TEST_VECTORS_H

#include "unit.h"
#include "util/buf.h"
#include "util/bytes.h"
#include "util/file.h"

struct vectors {
	char *file, *rest; /* all of it; what is still to be read */
	char *record;      /* this record's lines, one zero-terminated text each, an empty one behind the last */
};

/* Opens a file by its name in that folder. vectors_next closes it behind the last record. */
static inline void vectors_open(struct vectors *vectors, const char *name)
{
	const char *source = getenv("ATELIER_SRCDIR");
	char path[1024];
	struct errmsg err;
	struct buf text;

	snprintf(path, sizeof path, "%s/test/data/vectors/%s", source != NULL ? source : ".", name);
	buf_init(&text);
	if (!file_read(path, 1 << 20, &text, &err))
		fail_msg("%s", err.text);
	vectors->file = vectors->rest = buf_take_text(&text);
	vectors->record = NULL;
}

/* Goes on to the next record; false behind the last. */
static inline bool vectors_next(struct vectors *vectors)
{
	char *line = vectors->rest, *out;

	for (; *line == '\n' || *line == '#'; line += *line == '\n')
		line += strcspn(line, "\n");
	if (*line == 0) {
		free(vectors->file);
		return false;
	}
	vectors->record = line;
	for (out = line; *out != 0 && *out != '\n'; out++) {
		out += strcspn(out, "\n");
		assert_int_equal(*out, '\n');
		*out = 0;
	}
	vectors->rest = *out == '\n' ? out + 1 : out;
	*out = 0;
	return true;
}

/* The value of a key's line of that number, counted from 0; NULL if the record has none. */
static inline const char *vectors_find(const struct vectors *vectors, const char *key, size_t number)
{
	size_t size = strlen(key);
	const char *line;

	for (line = vectors->record; *line != 0; line += strlen(line) + 1)
		if (strncmp(line, key, size) == 0 && strncmp(line + size, " = ", 3) == 0 && number-- == 0)
			return line + size + 3;
	return NULL;
}

static inline const char *vectors_text(const struct vectors *vectors, const char *key)
{
	const char *text = vectors_find(vectors, key, 0);

	if (text == NULL)
		fail_msg("no '%s' in a record", key);
	return text;
}

/* Decodes a figure of at most max bytes, and returns its size. */
static inline size_t vectors_bytes(const struct vectors *vectors, const char *key, uint8_t *out, size_t max)
{
	const char *text = vectors_text(vectors, key);
	size_t size = strlen(text) / 2;

	assert_true(size <= max);
	assert_true(hex_decode(out, size, text));
	return size;
}

static inline void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char *text = malloc(2 * size + 1);

	hex_encode(text, bytes, size);
	assert_string_equal(text, expected);
	free(text);
}

#endif
