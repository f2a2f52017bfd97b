/* Pieces are gathered, written to the temporary file, and given the name at the end. */
#include "store/out_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/file.h"
#include "util/mem.h"

/* Bytes that are gathered before they are written: a small piece costs no call of the system. */
enum { OUT_FILE_PIECE = 1 << 20 };

static bool out_file_fail(struct errmsg *err, const char *path, const char *what)
{
	return errmsg_set(err, "%s: %s: %s", path, what, strerror(errno));
}

/* Anything of that name counts, a link that leads nowhere too. */
static bool out_file_check_free(const struct out_file *out_file, struct errmsg *err)
{
	struct stat file_info;

	if (out_file->replace)
		return file_replaceable(out_file->path, err);
	if (lstat(out_file->path, &file_info) != 0)
		return true;
	return errmsg_set(err, "%s: exists already", out_file->path);
}

bool out_file_open(struct out_file *out_file, const char *path, bool replace, struct errmsg *err)
{
	size_t path_length = strlen(path);

	*out_file = (struct out_file){ .path = mem_strdup(path), .replace = replace, .fd = -1 };
	buf_init(&out_file->waiting);
	if (!out_file_check_free(out_file, err))
		return false;
	out_file->temporary = mem_alloc(path_length + 8);
	memcpy(out_file->temporary, path, path_length);
	/* Beside the name it will get, since rename does not cross file systems. */
	memcpy(out_file->temporary + path_length, ".XXXXXX", 8);
	out_file->fd = mkstemp(out_file->temporary);
	if (out_file->fd < 0) {
		out_file_fail(err, path, "cannot be created");
		free(out_file->temporary);
		out_file->temporary = NULL;
		return false;
	}
	/* mkstemp gives 0600: an export is for other programs, perhaps other users', to read. */
	return fchmod(out_file->fd, 0644) == 0 || out_file_fail(err, path, "cannot be made readable");
}

static bool out_file_flush(struct out_file *out_file, struct errmsg *err)
{
	if (!file_write_at(out_file->fd, out_file->size - out_file->waiting.size, out_file->waiting.data,
		    out_file->waiting.size, out_file->path, err))
		return false;
	buf_reset(&out_file->waiting);
	return true;
}

bool out_file_put(struct out_file *out_file, const void *data, size_t size, struct errmsg *err)
{
	buf_put(&out_file->waiting, data, size);
	out_file->size += size;
	return out_file->waiting.size < OUT_FILE_PIECE || out_file_flush(out_file, err);
}

static bool out_file_sync_folder(const char *path, struct errmsg *err)
{
	char *folder = mem_strdup(path), *slash = strrchr(folder, '/');
	bool synced;

	if (slash != NULL)
		slash[slash == folder] = 0;
	synced = file_sync_dir(slash != NULL ? folder : ".", err);
	free(folder);
	return synced;
}

/* Synced before it gets its name: the name never stands for half a file. */
bool out_file_commit(struct out_file *out_file, struct errmsg *err)
{
	bool closed;

	if (!out_file_flush(out_file, err))
		return false;
	if (fsync(out_file->fd) != 0)
		return out_file_fail(err, out_file->path, "cannot be synced");
	closed = close(out_file->fd) == 0;
	out_file->fd = -1;
	if (!closed)
		return out_file_fail(err, out_file->path, "cannot be closed");
	/* The second look, since writing takes long: what somebody put there meanwhile stays. */
	if (!out_file_check_free(out_file, err))
		return false;
	if (rename(out_file->temporary, out_file->path) != 0)
		return out_file_fail(err, out_file->path, "cannot be given its name");
	free(out_file->temporary);
	out_file->temporary = NULL;
	return out_file_sync_folder(out_file->path, err);
}

void out_file_clear(struct out_file *out_file)
{
	if (out_file->fd >= 0)
		close(out_file->fd);
	if (out_file->temporary != NULL)
		unlink(out_file->temporary);
	free(out_file->temporary);
	free(out_file->path);
	buf_clear(&out_file->waiting);
}
