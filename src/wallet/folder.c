/* Drafts and exchanges of folders, by renames that are synced one by one.
 *
 *                          NAME    .NAME.new  .NAME.old
 *      before              old     -          -
 *      folder_begin        old     draft      -          killed here: the draft goes
 *      first rename        -       draft      old        killed here: old gets its name back, the draft goes
 *      second rename       new     -          old        killed here: old goes
 *      folder_install      new     -          -
 *
 * So of the two wallets one has the name, or .NAME.old says that none had it at that moment. */
#include "wallet/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/db.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"

static const char new_ending[] = ".new";
static const char old_ending[] = ".old";

enum { ENDING_SIZE = 4 };

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* The folder that the wallet lies in. A path without a slash lies in the working directory. */
static char *parent_of(const char *path)
{
	size_t size = (size_t)(name_of(path) - path);
	char *parent = mem_strdup(size > 0 ? path : ".");

	if (size > 0)
		parent[size] = 0;
	return parent;
}

/* "dir/.NAME.ending" for "dir/NAME". */
static char *sibling_path(const char *path, const char *ending)
{
	size_t size = strlen(path) + ENDING_SIZE + 2;
	char *joined = mem_alloc(size);

	snprintf(joined, size, "%.*s.%s%s", (int)(name_of(path) - path), path, name_of(path), ending);
	return joined;
}

char *folder_draft(const char *path)
{
	return sibling_path(path, new_ending);
}

static bool has_file(const char *path, const char *name)
{
	char *file = path_join(path, name);
	bool found = file_exists(file);

	free(file);
	return found;
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* The name of anything in the folder that ends so; the caller frees it. NULL: there is none, or no folder. */
static char *any_entry(const char *path, const char *end)
{
	DIR *dir = opendir(path);
	struct dirent *found = NULL;
	char *name = NULL;

	while (dir != NULL && name == NULL && (found = readdir(dir)) != NULL)
		if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0 &&
			ends_with(found->d_name, end))
			name = mem_strdup(found->d_name);
	if (dir != NULL)
		closedir(dir);
	return name;
}

/* LevelDB keeps a log at any moment, and takes one that is gone for one that was empty. */
static enum folder_state look_for_log(const char *path, struct errmsg *err)
{
	char *found = any_entry(path, ".log");

	if (found == NULL)
		errmsg_set(err,
			"The log is missing in %s, and what was written last with it: the wallet is neither opened nor "
			"overwritten. Put the .log file back; an empty one, 999999.log, opens the wallet without it",
			path);
	free(found);
	return found != NULL ? FOLDER_WALLET : FOLDER_BROKEN;
}

/* lstat first: a link that leads nowhere is something that has the name, not a free place. */
enum folder_state folder_look(const char *path, struct errmsg *err)
{
	struct stat info;
	char *found;

	if (lstat(path, &info) != 0 && errno == ENOENT)
		return FOLDER_FREE;
	if (has_file(path, "CURRENT"))
		return look_for_log(path, err);
	if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
		errmsg_set(err, "%s is no folder that can be looked into", path);
		return FOLDER_BROKEN;
	}
	found = any_entry(path, "");
	if (found == NULL)
		return FOLDER_FREE;
	errmsg_set(err,
		"The file CURRENT is missing in %s, beside %s: the wallet is neither opened nor overwritten. CURRENT "
		"is one line, the name of the newest MANIFEST file",
		path, found);
	free(found);
	return FOLDER_BROKEN;
}

/* Renames, and is not content before it will last. Both names lie in one folder, so one sync is enough for both. */
static bool move_folder(const char *from, const char *to, struct errmsg *err)
{
	char *parent = parent_of(to);
	bool ok = rename(from, to) == 0 ||
		errmsg_set(err, "%s cannot be renamed to %s: %s", from, name_of(to), strerror(errno));

	ok = ok && file_sync_dir(parent, err);
	free(parent);
	return ok;
}

/* LevelDB removes its own files alone: whatever else somebody put there is kept, and the folder with it. */
static bool destroy_folder(const char *path, struct errmsg *err)
{
	return db_destroy(path, err) &&
		(!file_exists(path) ||
			errmsg_set(err, "%s cannot be removed: it has files that are no wallet's", path));
}

static void destroy_or_tell(const char *path)
{
	struct errmsg err;

	if (!destroy_folder(path, &err))
		log_error("%s. The next start tries again", err.text);
}

/* NAME and ".NAME.old": the new one took its place. ".NAME.old" alone: it was about to. A wallet that is broken decides
 * nothing: of the two the old one may be the only whole one, and both are left for a person. */
static bool settle_old(const char *path, const char *old, struct errmsg *err)
{
	if (!file_exists(old))
		return true;
	switch (folder_look(path, err)) {
	case FOLDER_FREE:
		log_warn("Renaming %s, left by a process that ended too early, to %s", old, name_of(path));
		return move_folder(old, path, err);
	case FOLDER_WALLET:
		log_info("Removing %s, which %s has replaced", old, name_of(path));
		return destroy_folder(old, err);
	case FOLDER_BROKEN:
		break;
	}
	return false;
}

bool folder_settle(const char *path, struct errmsg *err)
{
	char *old = sibling_path(path, old_ending), *draft = folder_draft(path);
	bool ok = settle_old(path, old, err);

	if (ok && file_exists(draft)) {
		log_warn("Removing %s, left by a process that ended too early", draft);
		ok = destroy_folder(draft, err);
	}
	free(old);
	free(draft);
	return ok;
}

void folder_settle_all(const char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *found;
	struct errmsg err;
	const char *ending;
	char *path;

	while (stream != NULL && (found = readdir(stream)) != NULL) {
		size_t size = strlen(found->d_name);

		if (size < ENDING_SIZE + 2 || found->d_name[0] != '.')
			continue;
		ending = found->d_name + size - ENDING_SIZE;
		if (strcmp(ending, new_ending) != 0 && strcmp(ending, old_ending) != 0)
			continue;
		path = path_join(dir, found->d_name + 1);
		/* ".NAME.new" is named after NAME: the dot in front and the ending go. */
		path[strlen(path) - ENDING_SIZE] = 0;
		if (!folder_settle(path, &err))
			log_error("%s", err.text);
		free(path);
	}
	if (stream != NULL)
		closedir(stream);
}

/* Settled first: a draft or an old one that was left behind would be in the way of this exchange. */
bool folder_begin(const char *path, struct errmsg *err)
{
	char *draft = folder_draft(path);
	bool ok = folder_settle(path, err) && dir_make(draft, err);

	free(draft);
	return ok;
}

/* The steps between the old one and the new one; undone if one fails. */
static bool exchange_folders(const char *path, const char *draft, const char *old, struct errmsg *err)
{
	bool had = folder_look(path, err) == FOLDER_WALLET;

	if (!file_sync_dir(draft, err))
		return false;
	if (had && !move_folder(path, old, err)) {
		move_folder(old, path, NULL); /* where only the sync failed */
		return false;
	}
	if (move_folder(draft, path, err))
		return true;
	/* The new one may have its name by now, and only not for sure: it goes back, or there would be two. */
	if (had || !file_exists(draft))
		move_folder(path, draft, NULL);
	if (had)
		move_folder(old, path, NULL);
	if (had && !file_exists(path))
		log_error("%s is left as %s. The next start tries again", path, name_of(old));
	return false;
}

bool folder_install(const char *path, struct errmsg *err)
{
	char *old = sibling_path(path, old_ending), *draft = folder_draft(path);
	bool ok = exchange_folders(path, draft, old, err);

	if (!ok)
		destroy_or_tell(draft);
	else if (file_exists(old))
		destroy_or_tell(old);
	free(old);
	free(draft);
	return ok;
}

void folder_give_up(const char *path)
{
	char *draft = folder_draft(path);

	destroy_or_tell(draft);
	free(draft);
}

void folder_withdraw(const char *path)
{
	char *draft = folder_draft(path);
	struct errmsg err;

	if (move_folder(path, draft, &err))
		destroy_or_tell(draft);
	else
		log_error("%s", err.text);
	free(draft);
}

/* A wallet that was copied or restored may be open to others; it is opened all the same, with a warning where that
 * cannot be mended. */
static void restrict_to(const char *path, mode_t mode)
{
	struct stat info;

	if (stat(path, &info) == 0 && (info.st_mode & 0777) != mode && chmod(path, mode) != 0)
		log_warn("The mode of %s cannot be changed to %o: %s", path, (unsigned)mode, strerror(errno));
}

void folder_make_private(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *found;
	char *file;

	restrict_to(path, 0700);
	while (dir != NULL && (found = readdir(dir)) != NULL) {
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		file = path_join(path, found->d_name);
		restrict_to(file, 0600);
		free(file);
	}
	if (dir != NULL)
		closedir(dir);
}
