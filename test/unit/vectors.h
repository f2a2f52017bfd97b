/* The published test vectors beside the source: $ATELIER_SRCDIR/../shared/vectors. A test that does not find them skips
 * itself. Only for unit tests, which include it after cmocka. */
#ifndef ATELIER_TEST_VECTORS_H
#define ATELIER_TEST_VECTORS_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"

/* An open file, which the caller closes. */
static inline FILE *vectors_open(const char *name)
{
	const char *source = getenv("ATELIER_SRCDIR");
	char path[4096];
	FILE *file;

	snprintf(path, sizeof path, "%s/../shared/vectors/%s", source != NULL ? source : ".", name);
	file = fopen(path, "r");
	if (file == NULL)
		skip();
	return file;
}

/* The parsed file, which the caller releases with json_decref. */
static inline json_t *vectors_json(const char *name)
{
	FILE *file = vectors_open(name);
	json_t *root = json_loadf(file, JSON_ALLOW_NUL, NULL);

	fclose(file);
	assert_non_null(root);
	return root;
}

static inline const char *vectors_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	assert_non_null(text);
	return text;
}

static inline void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char *text = malloc(2 * size + 1);
	size_t i;

	hex_encode(text, bytes, size);
	assert_int_equal(strlen(expected), 2 * size);
	for (i = 0; i < 2 * size; i++) /* the vectors come in either case */
		assert_int_equal(text[i], expected[i] >= 'A' && expected[i] <= 'F' ? expected[i] + 32 : expected[i]);
	free(text);
}

#endif
