/* Files: reading with a bound, replacing so that a crash loses nothing, locks, folders, names. */
#include "util/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/mem.h"

/* The system's reason is in errno: to be called before anything else is. */
static bool file_fail(struct errmsg *err, const char *path, const char *what)
{
	return errmsg_set(err, "%s: %s: %s", path, what, strerror(errno));
}

static int file_open_again(const char *path, int flags, unsigned mode)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

bool file_read_at(int fd, uint64_t offset, void *out, size_t size, const char *name, struct errmsg *err)
{
	uint8_t *read_to = out;

	while (size) {
		/* Short reads and writes are no failure: the rest is asked for again, and then the reason comes. */
		ssize_t bytes_read = pread(fd, read_to, size, (off_t)offset);

		if (bytes_read < 0 && errno == EINTR)
			continue;
		if (bytes_read < 0)
			return file_fail(err, name, "cannot be read");
		if (bytes_read == 0)
			return errmsg_set(err, "%s: ends too early", name);
		read_to += bytes_read;
		offset += (uint64_t)bytes_read;
		size -= (size_t)bytes_read;
	}
	return true;
}

bool file_write_at(int fd, uint64_t offset, const void *data, size_t size, const char *name, struct errmsg *err)
{
	const uint8_t *write_from = data;

	/* With the offset in the call no two threads share a position, and readers need no lock. */
	while (size) {
		ssize_t bytes_written = pwrite(fd, write_from, size, (off_t)offset);

		if (bytes_written < 0 && errno == EINTR)
			continue;
		if (bytes_written < 0)
			return file_fail(err, name, "cannot be written");
		write_from += bytes_written;
		offset += (uint64_t)bytes_written;
		size -= (size_t)bytes_written;
	}
	return true;
}

/* The size that fstat tells is no promise: pipes, /proc, growing files. So it reads until nothing comes, and stops once
 * there is more than max_size: at most 64 KiB too many are held. On failure buf is as it was. */
bool file_read_rest(int fd, size_t max_size, struct buf *buf, const char *name, struct errmsg *err)
{
	size_t buf_size_before = buf->size;

	for (;;) {
		uint8_t *read_to = buf_extend(buf, 65536);
		ssize_t bytes_read = read(fd, read_to, 65536);

		buf->size -= 65536;
		if (bytes_read < 0 && errno == EINTR)
			continue;
		if (bytes_read < 0) {
			buf->size = buf_size_before;
			return file_fail(err, name, "cannot be read");
		}
		if (bytes_read == 0)
			return true;
		buf->size += (size_t)bytes_read;
		if (buf->size - buf_size_before > max_size) {
			buf->size = buf_size_before;
			return errmsg_set(err, "%s: is larger than %zu bytes", name, max_size);
		}
	}
}

int file_open(const char *path, struct errmsg *err)
{
	/* Without O_NONBLOCK a pipe would keep us here until somebody writes to it. */
	int fd = file_open_again(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat file_info;

	if (fd < 0)
		file_fail(err, path, "cannot be opened");
	else if (fstat(fd, &file_info) == 0 && S_ISREG(file_info.st_mode))
		return fd;
	else
		errmsg_set(err, "%s: is not a regular file", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

bool file_read(const char *path, size_t max_size, struct buf *buf, struct errmsg *err)
{
	int fd = file_open(path, err);
	bool ok;

	if (fd < 0)
		return false;
	ok = file_read_rest(fd, max_size, buf, path, err);
	close(fd);
	return ok;
}

/* Writes and syncs a file that must not exist before: O_EXCL follows no link that somebody has put there. What is left
 * of an earlier attempt that died is removed. close can be what tells of a full disk (NFS): it counts. */
static bool file_write_new(const char *path, const void *data, size_t size, unsigned mode, struct errmsg *err)
{
	int fd;
	bool ok;

	unlink(path);
	fd = file_open_again(path, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (fd < 0)
		return file_fail(err, path, "cannot be created");
	ok = file_write_at(fd, 0, data, size, path, err);
	if (ok && fsync(fd) != 0)
		ok = file_fail(err, path, "cannot be synced");
	if (close(fd) != 0 && ok)
		ok = file_fail(err, path, "cannot be closed");
	return ok;
}

static char *path_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder;

	if (slash == NULL)
		return mem_strdup(".");
	if (slash == path)
		return mem_strdup("/");
	folder = mem_strdup(path);
	folder[slash - path] = 0;
	return folder;
}

/* lstat: of a link, the link itself is what goes. A name that cannot be looked at is left to the rename to judge. */
bool file_replaceable(const char *path, struct errmsg *err)
{
	struct stat file_info;

	return lstat(path, &file_info) != 0 || S_ISREG(file_info.st_mode) || S_ISLNK(file_info.st_mode) ||
		errmsg_set(err, "%s: is not a regular file", path);
}

/* Invariant: at each moment `path` names the old bytes or the new ones, whole. The new ones are on the disk before
 * their name is (fsync, then rename); the name is before we say so (fsync of the folder). A crash leaves at most a
 * ".new" beside it, which the next write removes. */
bool file_write_atomic(const char *path, const void *data, size_t size, unsigned mode, struct errmsg *err)
{
	size_t path_size = strlen(path);
	char *temporary, *folder;
	bool ok;

	if (!file_replaceable(path, err))
		return false;
	temporary = mem_alloc(path_size + sizeof FILE_DRAFT_ENDING);
	folder = path_folder(path);
	memcpy(temporary, path, path_size);
	memcpy(temporary + path_size, FILE_DRAFT_ENDING, sizeof FILE_DRAFT_ENDING);
	ok = file_write_new(temporary, data, size, mode, err);
	if (ok && rename(temporary, path) != 0)
		ok = file_fail(err, path, "cannot be replaced");
	if (!ok)
		unlink(temporary);
	else
		ok = file_sync_dir(folder, err);
	free(folder);
	free(temporary);
	return ok;
}

bool file_exists(const char *path)
{
	struct stat file_info;

	return stat(path, &file_info) == 0;
}

bool file_size(const char *path, uint64_t *size, struct errmsg *err)
{
	struct stat file_info;

	if (stat(path, &file_info) != 0)
		return file_fail(err, path, "cannot be examined");
	*size = (uint64_t)file_info.st_size;
	return true;
}

bool file_remove(const char *path, struct errmsg *err)
{
	if (unlink(path) != 0 && errno != ENOENT)
		return file_fail(err, path, "cannot be removed");
	return true;
}

static bool file_sync_path(const char *path, int flags, struct errmsg *err)
{
	int fd = file_open_again(path, flags, 0);
	bool ok = true;

	if (fd < 0)
		return file_fail(err, path, "cannot be opened");
	/* Some file systems do not sync folders and say so with EINVAL. */
	if (fsync(fd) != 0 && errno != EINVAL)
		ok = file_fail(err, path, "cannot be synced");
	close(fd);
	return ok;
}

/* By another descriptor than it was written by: what is synced is the file's. */
bool file_sync(const char *path, struct errmsg *err)
{
	return file_sync_path(path, O_RDONLY, err);
}

/* A new name is in the folder's own data: syncing the file alone would not keep it. */
bool file_sync_dir(const char *path, struct errmsg *err)
{
	return file_sync_path(path, O_RDONLY | O_DIRECTORY, err);
}

/* flock and not fcntl: its lock belongs to this opening of the file, so that a second node within one process is held
 * off too, and closing some other descriptor of the file does not let go of it. The file stays: to remove it would let
 * two hold locks on two files of one name. */
int file_lock(const char *path, struct errmsg *err)
{
	int fd = file_open_again(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0) {
		file_fail(err, path, "cannot be opened");
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			errmsg_set(err, "%s: is locked by another process", path);
		else
			file_fail(err, path, "cannot be locked");
		close(fd);
		return -1;
	}
	return fd;
}

void file_unlock(int fd)
{
	close(fd);
}

/* Tried first and looked at afterwards: somebody else may make it at the same time. */
static bool dir_make_one(const char *path, struct errmsg *err)
{
	struct stat file_info;

	if (mkdir(path, 0700) == 0)
		return true;
	if (errno == EEXIST) {
		if (stat(path, &file_info) == 0 && S_ISDIR(file_info.st_mode))
			return true;
		return errmsg_set(err, "%s: is not a folder", path);
	}
	return file_fail(err, path, "cannot be created");
}

bool dir_make(const char *path, struct errmsg *err)
{
	char *copy = mem_strdup(path);
	bool ok = true;

	for (char *slash = copy[0] ? strchr(copy + 1, '/') : NULL; slash != NULL && ok;
		slash = strchr(slash + 1, '/')) {
		*slash = 0;
		ok = dir_make_one(copy, err);
		*slash = '/';
	}
	if (ok)
		ok = dir_make_one(path, err);
	free(copy);
	return ok;
}

/* A link that leads nowhere is no file at all. */
bool dir_check_files(const char *path, struct errmsg *err)
{
	DIR *folder = opendir(path);
	struct dirent *folder_item;
	bool ok = folder != NULL || file_fail(err, path, "cannot be read");

	while (ok && (folder_item = readdir(folder)) != NULL) {
		struct stat file_info;

		ok = fstatat(dirfd(folder), folder_item->d_name, &file_info, 0) != 0 || S_ISREG(file_info.st_mode) ||
			S_ISDIR(file_info.st_mode) ||
			errmsg_set(err, "%s/%s: is not a regular file", path, folder_item->d_name);
	}
	if (folder != NULL)
		closedir(folder);
	return ok;
}

static bool file_same_inode(const struct stat *this_file, const struct stat *other_file)
{
	return this_file->st_dev == other_file->st_dev && this_file->st_ino == other_file->st_ino;
}

bool file_same(const char *path, const char *other_path)
{
	struct stat this_file, other_file;

	return stat(path, &this_file) == 0 && stat(other_path, &other_file) == 0 &&
		file_same_inode(&this_file, &other_file);
}

/* The folder of a path, or the next one above it that exists; the caller frees it. *unsure: a ".." was passed on the
 * way. */
static char *path_nearest_folder(const char *path, bool *folder_unsure)
{
	char *folder = path_folder(path), *above;
	struct stat file_info;

	*folder_unsure = false;
	while ((stat(folder, &file_info) != 0 || !S_ISDIR(file_info.st_mode)) && strcmp(folder, ".") != 0) {
		size_t size = strlen(folder);

		if (size >= 2 && strcmp(folder + size - 2, "..") == 0)
			*folder_unsure = true;
		above = path_folder(folder);
		free(folder);
		folder = above;
	}
	return folder;
}

/* By device and inode, upwards from the nearest folder there is: text can spell one folder in many ways. Where a ".."
 * follows what does not exist yet, nobody can say where it will lead: the answer is then yes, the careful one. */
bool path_inside(const char *path, const char *folder)
{
	struct stat folder_info, inner_info, outer_info;
	bool path_found;
	char *inner_path, *outer_path;

	if (stat(folder, &folder_info) != 0)
		return false;
	inner_path = path_nearest_folder(path, &path_found);
	/* Upwards by "..", which the system resolves: links have no say. The root is its own parent, and ends it. */
	while (!path_found && stat(inner_path, &inner_info) == 0) {
		path_found = file_same_inode(&inner_info, &folder_info);
		outer_path = path_join(inner_path, "..");
		free(inner_path);
		inner_path = outer_path;
		if (stat(inner_path, &outer_info) != 0 || file_same_inode(&outer_info, &inner_info))
			break;
	}
	free(inner_path);
	return path_found;
}

char *path_beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char *folder = mem_strdup(path), *path_made;

	folder[slash == NULL ? 0 : slash - path + 1] = 0;
	path_made = path_join(folder, name);
	free(folder);
	return path_made;
}

char *path_home(void)
{
	const char *home_path = getenv("HOME");
	const struct passwd *passwd_user;

	if (home_path == NULL || *home_path == 0) {
		passwd_user = getpwuid(getuid());
		home_path = passwd_user != NULL ? passwd_user->pw_dir : NULL;
	}
	return home_path != NULL ? mem_strdup(home_path) : NULL;
}

char *path_expand(const char *path)
{
	char *home_path = path[0] == '~' && (path[1] == '/' || path[1] == 0) ? path_home() : NULL, *expanded_path;

	if (home_path == NULL)
		return mem_strdup(path);
	expanded_path = path[1] == 0 ? mem_strdup(home_path) : path_join(home_path, path + 2);
	free(home_path);
	return expanded_path;
}

char *path_join(const char *path, const char *name)
{
	size_t path_size = strlen(path), name_size = strlen(name);
	char *joined_path;

	if (path_size == 0 || name[0] == '/')
		return mem_strdup(name);
	joined_path = mem_alloc(path_size + name_size + 2);
	memcpy(joined_path, path, path_size);
	if (path[path_size - 1] != '/')
		joined_path[path_size++] = '/';
	memcpy(joined_path + path_size, name, name_size + 1);
	return joined_path;
}
