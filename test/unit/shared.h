/* Data of others that tests read from beside the source folder: ../shared. A test that does not find it is skipped. */
#ifndef ATELIER_TEST_SHARED_H
#define ATELIER_TEST_SHARED_H

#include "unit.h"
#include "util/buf.h"
#include "util/file.h"

/* The file's contents, zero-terminated, the caller's; skips the test where there is no such folder. */
static inline char *shared_read(const char *name)
{
	const char *source = getenv("ATELIER_SRCDIR");
	char path[1024];
	struct errmsg err;
	struct buf text;

	snprintf(path, sizeof path, "%s/../shared", source != NULL ? source : ".");
	if (!file_exists(path))
		skip();
	snprintf(path, sizeof path, "%s/../shared/%s", source != NULL ? source : ".", name);
	buf_init(&text);
	if (!file_read(path, 16 << 20, &text, &err))
		fail_msg("%s", err.text);
	return buf_take_text(&text);
}

#endif
