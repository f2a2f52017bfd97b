/* Files and directories.
 *
 * Paths are UTF-8 strings as the system takes them. Every failure names the path and the system's reason. */
#ifndef ATELIER_UTIL_FILE_H
#define ATELIER_UTIL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/error.h"

/* Opens a regular file to be read: a descriptor, or -1. A pipe, a device or a folder is refused at once: nobody waits
 * for a pipe's other end, or reads a device that never ends. */
int file_open(const char *path, struct errmsg *err);

/* Appends the whole file, which must be a regular one, to b; fails if it is larger than max_size (b is then as it was).
 * file_read_rest does so from where an open descriptor stands, whatever it leads to: a program's standard input. */
bool file_read(const char *path, size_t max_size, struct buf *buf, struct errmsg *err);
bool file_read_rest(int fd, size_t max_size, struct buf *buf, const char *name, struct errmsg *err);

/* Replaces the file's contents so that a crash at any moment leaves the old or the new ones: temporary file beside it,
 * its name with the ending, fsync, rename, fsync of the folder. mode is that of the new file, such as 0600. */
#define FILE_DRAFT_ENDING ".new"
bool file_write_atomic(const char *path, const void *data, size_t size, unsigned mode, struct errmsg *err);

/* A new file may be renamed to this name: it is free, a regular file's, or a link's, which goes and not what it leads
 * to. (Root's rename would put a file in the place of /dev/null.) */
bool file_replaceable(const char *path, struct errmsg *err);

bool file_exists(const char *path);
bool file_size(const char *path, uint64_t *size, struct errmsg *err);
bool file_remove(const char *path, struct errmsg *err); /* a file that is missing already is no failure */
bool file_sync(const char *path, struct errmsg *err);   /* what was written to it, by whomever */
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

/* False if a name in the folder leads to a pipe, a device or a socket, for who opens them without looking would wait.
 */
bool dir_check_files(const char *path, struct errmsg *err);

/* Whether two names lead to one file or folder, as different as they are: links, hard links, dots. False if one leads
 * nowhere. */
bool file_same(const char *path, const char *other_path);

/* Whether a new file of this name would come to lie in the folder, or below it, through whatever links and dots the
 * name leads there. Folders of the name that are missing count as new too; where ".." follows one of them, the answer
 * is yes. False if there is no such folder. */
bool path_inside(const char *path, const char *folder);

/* "path/name"; an absolute name is returned alone, and so is name where path is empty. path_beside: name in the folder
 * of the file path. The caller frees both. */
char *path_join(const char *path, const char *name);
char *path_beside(const char *path, const char *name);

/* The user's home folder, or NULL. path_expand: the path, with that for a leading ~ where no shell has done so. The
 * caller frees both. */
char *path_home(void);
char *path_expand(const char *path);

#endif
