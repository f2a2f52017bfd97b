/* Files and directories.
 *
 * Paths are UTF-8 strings as the system takes them. Every failure names the path and the system's reason. */
#ifndef ATELIER_UTIL_FILE_H
#define ATELIER_UTIL_FILE_H

#include "util/buf.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends the whole file to b; fails if it is larger than max_size (b is then as it was). */
bool file_read(const char *path, size_t max_size, struct buf *b, struct errmsg *err);

/* Replaces the file's contents so that a crash at any moment leaves the old or the new ones: temporary file beside it,
 * fsync, rename, fsync of the folder. mode is that of the new file, such as 0600. */
bool file_write_atomic(const char *path, const void *data, size_t size, unsigned mode, struct errmsg *err);

bool file_exists(const char *path);
bool file_size(const char *path, uint64_t *size, struct errmsg *err);
bool file_remove(const char *path, struct errmsg *err); /* a file that is missing already is no failure */
bool file_sync_dir(const char *path, struct errmsg *err);

/* Writes or reads exactly size bytes at an offset of an open file; interrupted calls go on. name: for messages. */
bool file_write_at(int fd, uint64_t offset, const void *data, size_t size, const char *name, struct errmsg *err);
bool file_read_at(int fd, uint64_t offset, void *out, size_t size, const char *name, struct errmsg *err);

/* Takes an advisory lock that lasts until file_unlock or the end of the process; the file is created if need be.
 * Returns a descriptor, or -1 if somebody else holds it. Two locks in one process exclude each other as well. */
int file_lock(const char *path, struct errmsg *err);
void file_unlock(int fd);

/* Creates a folder and those above it, with mode 0700; one that exists already is fine. */
bool dir_make(const char *path, struct errmsg *err);

/* "a/b"; an absolute b is returned alone, and so is b where a is empty. The caller frees it. */
char *path_join(const char *a, const char *b);

#endif
