/* A new file that is there whole or not at all, written piece by piece.
 *
 * The bytes go to a temporary file beside it; out_file_commit syncs that and gives it the name. Unless `replace` is set
 * a file that has the name already is never touched: opening and committing fail then. What is no regular file is not
 * replaced either way. For contents that fit in memory there is file_write_atomic. */
#ifndef ATELIER_STORE_OUT_FILE_H
#define ATELIER_STORE_OUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/error.h"

struct out_file {
	char *path, *temporary;
	bool replace;
	int fd;             /* -1 once closed */
	uint64_t size;      /* bytes put so far */
	struct buf waiting; /* bytes that are not written yet */
};

/* Fills out_file, whatever the result; out_file_clear is due. The file will have mode 0644. */
bool out_file_open(struct out_file *out_file, const char *path, bool replace, struct errmsg *err);
bool out_file_put(struct out_file *out_file, const void *data, size_t size, struct errmsg *err);
bool out_file_commit(struct out_file *out_file, struct errmsg *err);

/* Releases all; what was not committed leaves nothing behind. */
void out_file_clear(struct out_file *out_file);

#endif
