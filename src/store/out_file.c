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
enum { PIECE = 1 << 20 };

static bool fail_out(struct errmsg *err, const char *path, const char *what)
{
	return errmsg_set(err, "%s: %s: %s", path, what, strerror(errno));
}

/* Anything of that name counts, a link that leads nowhere too. */
static bool check_free(const struct out_file *out, struct errmsg *err)
{
	struct stat info;

	if (out->replace)
		return file_replaceable(out->path, err);
	if (lstat(out->path, &info) != 0)
		return true;
	return errmsg_set(err, "%s: exists already", out->path);
}

bool out_file_open(struct out_file *out, const char *path, bool replace, struct errmsg *err)
{
	size_t length = strlen(path);

	*out = (struct out_file){ .path = mem_strdup(path), .replace = replace, .fd = -1 };
	buf_init(&out->waiting);
	if (!check_free(out, err))
		return false;
	out->temporary = mem_alloc(length + 8);
	memcpy(out->temporary, path, length);
	/* Beside the name it will get, since rename does not cross file systems. */
	memcpy(out->temporary + length, ".XXXXXX", 8);
	out->fd = mkstemp(out->temporary);
	if (out->fd < 0) {
		fail_out(err, path, "cannot be created");
		free(out->temporary);
		out->temporary = NULL;
		return false;
	}
	/* mkstemp gives 0600: an export is for other programs, perhaps other users', to read. */
	return fchmod(out->fd, 0644) == 0 || fail_out(err, path, "cannot be made readable");
}

static bool flush_waiting(struct out_file *out, struct errmsg *err)
{
	if (!file_write_at(out->fd, out->size - out->waiting.size, out->waiting.data, out->waiting.size, out->path,
		    err))
		return false;
	buf_reset(&out->waiting);
	return true;
}

bool out_file_put(struct out_file *out, const void *data, size_t size, struct errmsg *err)
{
	buf_put(&out->waiting, data, size);
	out->size += size;
	return out->waiting.size < PIECE || flush_waiting(out, err);
}

static bool sync_folder(const char *path, struct errmsg *err)
{
	char *folder = mem_strdup(path), *slash = strrchr(folder, '/');
	bool ok;

	if (slash != NULL)
		slash[slash == folder] = 0;
	ok = file_sync_dir(slash != NULL ? folder : ".", err);
	free(folder);
	return ok;
}

/* Synced before it gets its name: the name never stands for half a file. */
bool out_file_commit(struct out_file *out, struct errmsg *err)
{
	bool closed;

	if (!flush_waiting(out, err))
		return false;
	if (fsync(out->fd) != 0)
		return fail_out(err, out->path, "cannot be synced");
	closed = close(out->fd) == 0;
	out->fd = -1;
	if (!closed)
		return fail_out(err, out->path, "cannot be closed");
	/* The second look, since writing takes long: what somebody put there meanwhile stays. */
	if (!check_free(out, err))
		return false;
	if (rename(out->temporary, out->path) != 0)
		return fail_out(err, out->path, "cannot be given its name");
	free(out->temporary);
	out->temporary = NULL;
	return sync_folder(out->path, err);
}

void out_file_clear(struct out_file *out)
{
	if (out->fd >= 0)
		close(out->fd);
	if (out->temporary != NULL)
		unlink(out->temporary);
	free(out->temporary);
	free(out->path);
	buf_clear(&out->waiting);
}
