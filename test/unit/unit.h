/* What every unit test includes: cmocka, with the headers it wants before it, and a scratch folder. */
#ifndef ATELIER_TEST_UNIT_H
#define ATELIER_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A new folder for one test; the caller frees the name. Remove it with scratch_remove. */
static inline char *scratch_new(void)
{
	const char *base = getenv("TMPDIR");
	char path[512];

	snprintf(path, sizeof path, "%s/atelier-unit-XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	return strdup(path);
}

static inline void scratch_remove(char *path)
{
	char command[600];

	snprintf(command, sizeof command, "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
	free(path);
}

#endif
