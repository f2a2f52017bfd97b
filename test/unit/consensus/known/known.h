/* Reading the known answers of doc/protocol.md section 18: one table of questions for each of its blocks of lines. */
#ifndef ATELIER_TEST_CONSENSUS_KNOWN_H
#define ATELIER_TEST_CONSENSUS_KNOWN_H

#include <stdlib.h>
#include <string.h>

#include "consensus/spec.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/file.h"

enum { ANSWER_MAX = 4000 };

struct question {
	const char *name;
	/* Takes the text behind the name, and writes to out, of ANSWER_MAX bytes; nothing: another program answers. */
	void (*answer)(const char *arguments, char *out);
	size_t least; /* lines of it the document has at least */
};

static inline void put_hex(char *out, const uint8_t *data, size_t size)
{
	assert_true(2 * size < ANSWER_MAX);
	hex_encode(out, data, size);
}

/* Asserts one line "name arguments = value" and returns the question's number. */
static inline size_t known_check_line(const struct question *questions, size_t count, char *line)
{
	char *value = strstr(line, " = "), *arguments, found[ANSWER_MAX];

	assert_non_null(value);
	*value = 0;
	value += 3;
	arguments = line + strcspn(line, " ");
	if (*arguments)
		*arguments++ = 0;
	for (size_t i = 0; i < count; i++)
		if (strcmp(questions[i].name, line) == 0) {
			questions[i].answer(arguments, found);
			if (found[0] && strcmp(found, value) != 0)
				fail_msg("%s %s: found %s, the document says %s", line, arguments, found, value);
			return i;
		}
	fail_msg("the document has a known answer of unknown name %s", line);
	return 0;
}

/* All lines of block `number` of the section, 0 being the first. */
static inline void known_check(const struct question *questions, size_t count, size_t number)
{
	const char *source = getenv("ATELIER_SRCDIR");
	char *path = path_join(source != NULL ? source : ".", "doc/protocol.md"), *text, *line, *end, *rest;
	size_t *lines = calloc(count, sizeof *lines);
	struct errmsg err;
	struct buf raw;

	assert_non_null(lines);
	buf_init(&raw);
	if (!file_read(path, 1 << 20, &raw, &err))
		fail_msg("%s", err.text);
	free(path);
	text = buf_take_text(&raw);
	end = strstr(text, "\n## 18.");
	for (size_t i = 0; i <= number; i++) {
		assert_non_null(end);
		line = strstr(end + 3, "```\n");
		assert_non_null(line);
		end = strstr(line + 4, "```");
	}
	assert_non_null(end);
	*end = 0;
	for (line = strtok_r(line + 4, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		lines[known_check_line(questions, count, line)]++;
	for (size_t i = 0; i < count; i++)
		if (lines[i] < questions[i].least)
			fail_msg("the document has %zu known answers for %s", lines[i], questions[i].name);
	free(lines);
	free(text);
}

/* Regtest but for sizes at which every chunk and micro-batch is cut. */
static inline void known_odd_spec(struct spec *spec)
{
	struct errmsg err;

	assert_true(spec_builtin(spec, "regtest"));
	strcpy(spec->name, "odd");
	strcpy(spec->hrp, "rodd");
	spec->courses[0].train.model = (struct model_config){ .d = 48, .layers = 1, .heads = 3, .ff = 528, .ctx = 96 };
	spec->courses[0].train.batch = spec->courses[0].train.bench_rows = 13;
	spec->courses[0].train.iterations = 1;
	assert_true(spec_finish(spec, &err));
}

static inline void known_shared_spec(struct spec *spec)
{
	struct errmsg err;

	assert_true(spec_builtin(spec, "regtest"));
	strcpy(spec->name, "shared");
	strcpy(spec->hrp, "shr");
	spec->usage_ppm = 250000;
	assert_true(spec_finish(spec, &err));
}

/* The spec named first; *rest is the text behind the name. */
static inline void known_spec(struct spec *spec, const char *arguments, const char **rest)
{
	char name[17] = { 0 };
	size_t size = strcspn(arguments, " ");

	assert_true(size < sizeof name);
	memcpy(name, arguments, size);
	*rest = arguments + size;
	if (strcmp(name, "odd") == 0)
		known_odd_spec(spec);
	else if (strcmp(name, "shared") == 0)
		known_shared_spec(spec);
	else
		assert_true(spec_builtin(spec, name));
}

#endif
