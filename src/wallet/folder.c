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

static const char folder_new_ending[] = ".new";
static const char folder_old_ending[] = ".old";

enum { FOLDER_ENDING_SIZE = 4 };

static const char *folder_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* The folder that the wallet lies in. A path without a slash lies in the working directory. */
static char *folder_parent_of(const char *path)
{
	size_t parent_size = (size_t)(folder_name_of(path) - path);
	char *parent_folder = mem_strdup(parent_size > 0 ? path : ".");

	if (parent_size > 0)
		parent_folder[parent_size] = 0;
	return parent_folder;
}

/* "dir/.NAME.ending" for "dir/NAME". */
static char *folder_sibling_path(const char *path, const char *ending)
{
	size_t sibling_size = strlen(path) + FOLDER_ENDING_SIZE + 2;
	char *sibling = mem_alloc(sibling_size);

	snprintf(sibling, sibling_size, "%.*s.%s%s", (int)(folder_name_of(path) - path), path, folder_name_of(path),
		ending);
	return sibling;
}

char *folder_draft(const char *path)
{
	return folder_sibling_path(path, folder_new_ending);
}

static bool folder_has_file(const char *path, const char *name)
{
	char *member = path_join(path, name);
	bool is_there = file_exists(member);

	free(member);
	return is_there;
}

static bool folder_ends_with(const char *entry_name, const char *name_end)
{
	size_t name_size = strlen(entry_name), end_size = strlen(name_end);

	return name_size >= end_size && strcmp(entry_name + name_size - end_size, name_end) == 0;
}

/* The name of anything in the folder that ends so; the caller frees it. NULL: there is none, or no folder. */
static char *folder_any_entry(const char *path, const char *name_end)
{
	DIR *folder_stream = opendir(path);
	struct dirent *folder_entry = NULL;
	char *entry_name = NULL;

	while (folder_stream != NULL && entry_name == NULL && (folder_entry = readdir(folder_stream)) != NULL)
		if (strcmp(folder_entry->d_name, ".") != 0 && strcmp(folder_entry->d_name, "..") != 0 &&
			folder_ends_with(folder_entry->d_name, name_end))
			entry_name = mem_strdup(folder_entry->d_name);
	if (folder_stream != NULL)
		closedir(folder_stream);
	return entry_name;
}

/* LevelDB keeps a log at any moment, and takes one that is gone for one that was empty. */
static enum folder_state folder_look_for_log(const char *path, struct errmsg *err)
{
	char *log_file = folder_any_entry(path, ".log");

	if (log_file == NULL)
		errmsg_set(err,
			"The log is missing in %s, and what was written last with it: the wallet is neither opened nor "
			"overwritten. Put the .log file back; an empty one, 999999.log, opens the wallet without it",
			path);
	free(log_file);
	return log_file != NULL ? FOLDER_WALLET : FOLDER_BROKEN;
}

/* lstat first: a link that leads nowhere is something that has the name, not a free place. */
enum folder_state folder_look(const char *path, struct errmsg *err)
{
	struct stat folder_stat;
	char *stray_file;

	if (lstat(path, &folder_stat) != 0 && errno == ENOENT)
		return FOLDER_FREE;
	if (folder_has_file(path, "CURRENT"))
		return folder_look_for_log(path, err);
	if (stat(path, &folder_stat) != 0 || !S_ISDIR(folder_stat.st_mode)) {
		errmsg_set(err, "%s is no folder that can be looked into", path);
		return FOLDER_BROKEN;
	}
	stray_file = folder_any_entry(path, "");
	if (stray_file == NULL)
		return FOLDER_FREE;
	errmsg_set(err,
		"The file CURRENT is missing in %s, beside %s: the wallet is neither opened nor overwritten. CURRENT "
		"is one line, the name of the newest MANIFEST file",
		path, stray_file);
	free(stray_file);
	return FOLDER_BROKEN;
}

/* Renames, and is not content before it will last. Both names lie in one folder, so one sync is enough for both. */
static bool folder_move(const char *from, const char *to, struct errmsg *err)
{
	char *parent_folder = folder_parent_of(to);
	bool is_moved = rename(from, to) == 0 ||
		errmsg_set(err, "%s cannot be renamed to %s: %s", from, folder_name_of(to), strerror(errno));

	is_moved = is_moved && file_sync_dir(parent_folder, err);
	free(parent_folder);
	return is_moved;
}

/* LevelDB removes its own files alone: whatever else somebody put there is kept, and the folder with it. */
static bool folder_destroy(const char *path, struct errmsg *err)
{
	return db_destroy(path, err) &&
		(!file_exists(path) ||
			errmsg_set(err, "%s cannot be removed: it has files that are no wallet's", path));
}

static void folder_destroy_or_tell(const char *path)
{
	struct errmsg err;

	if (!folder_destroy(path, &err))
		log_error("%s. The next start tries again", err.text);
}

/* NAME and ".NAME.old": the new one took its place. ".NAME.old" alone: it was about to. A wallet that is broken decides
 * nothing: of the two the old one may be the only whole one, and both are left for a person. */
static bool folder_settle_old(const char *path, const char *old_folder, struct errmsg *err)
{
	if (!file_exists(old_folder))
		return true;
	switch (folder_look(path, err)) {
	case FOLDER_FREE:
		log_warn("Renaming %s, left by a process that ended too early, to %s", old_folder,
			folder_name_of(path));
		return folder_move(old_folder, path, err);
	case FOLDER_WALLET:
		log_info("Removing %s, which %s has replaced", old_folder, folder_name_of(path));
		return folder_destroy(old_folder, err);
	case FOLDER_BROKEN:
		break;
	}
	return false;
}

bool folder_settle(const char *path, struct errmsg *err)
{
	char *old_folder = folder_sibling_path(path, folder_old_ending), *draft_folder = folder_draft(path);
	bool is_settled = folder_settle_old(path, old_folder, err);

	if (is_settled && file_exists(draft_folder)) {
		log_warn("Removing %s, left by a process that ended too early", draft_folder);
		is_settled = folder_destroy(draft_folder, err);
	}
	free(old_folder);
	free(draft_folder);
	return is_settled;
}

void folder_settle_all(const char *dir)
{
	DIR *folder_stream = opendir(dir);
	struct dirent *folder_entry;
	struct errmsg err;
	const char *ending;
	char *wallet_folder;

	while (folder_stream != NULL && (folder_entry = readdir(folder_stream)) != NULL) {
		size_t name_size = strlen(folder_entry->d_name);

		if (name_size < FOLDER_ENDING_SIZE + 2 || folder_entry->d_name[0] != '.')
			continue;
		ending = folder_entry->d_name + name_size - FOLDER_ENDING_SIZE;
		if (strcmp(ending, folder_new_ending) != 0 && strcmp(ending, folder_old_ending) != 0)
			continue;
		wallet_folder = path_join(dir, folder_entry->d_name + 1);
		/* ".NAME.new" is named after NAME: the dot in front and the ending go. */
		wallet_folder[strlen(wallet_folder) - FOLDER_ENDING_SIZE] = 0;
		if (!folder_settle(wallet_folder, &err))
			log_error("%s", err.text);
		free(wallet_folder);
	}
	if (folder_stream != NULL)
		closedir(folder_stream);
}

/* Settled first: a draft or an old one that was left behind would be in the way of this exchange. */
bool folder_begin(const char *path, struct errmsg *err)
{
	char *draft_folder = folder_draft(path);
	bool has_begun = folder_settle(path, err) && dir_make(draft_folder, err);

	free(draft_folder);
	return has_begun;
}

/* The steps between the old one and the new one; undone if one fails. */
static bool folder_exchange(const char *path, const char *draft_folder, const char *old_folder, struct errmsg *err)
{
	bool had_wallet = folder_look(path, err) == FOLDER_WALLET;

	if (!file_sync_dir(draft_folder, err))
		return false;
	if (had_wallet && !folder_move(path, old_folder, err)) {
		folder_move(old_folder, path, NULL); /* where only the sync failed */
		return false;
	}
	if (folder_move(draft_folder, path, err))
		return true;
	/* The new one may have its name by now, and only not for sure: it goes back, or there would be two. */
	if (had_wallet || !file_exists(draft_folder))
		folder_move(path, draft_folder, NULL);
	if (had_wallet)
		folder_move(old_folder, path, NULL);
	if (had_wallet && !file_exists(path))
		log_error("%s is left as %s. The next start tries again", path, folder_name_of(old_folder));
	return false;
}

bool folder_install(const char *path, struct errmsg *err)
{
	char *old_folder = folder_sibling_path(path, folder_old_ending), *draft_folder = folder_draft(path);
	bool is_installed = folder_exchange(path, draft_folder, old_folder, err);

	if (!is_installed)
		folder_destroy_or_tell(draft_folder);
	else if (file_exists(old_folder))
		folder_destroy_or_tell(old_folder);
	free(old_folder);
	free(draft_folder);
	return is_installed;
}

void folder_give_up(const char *path)
{
	char *draft_folder = folder_draft(path);

	folder_destroy_or_tell(draft_folder);
	free(draft_folder);
}

void folder_withdraw(const char *path)
{
	char *draft_folder = folder_draft(path);
	struct errmsg err;

	if (folder_move(path, draft_folder, &err))
		folder_destroy_or_tell(draft_folder);
	else
		log_error("%s", err.text);
	free(draft_folder);
}

/* A wallet that was copied or restored may be open to others; it is opened all the same, with a warning where that
 * cannot be mended. */
static void folder_restrict(const char *path, mode_t mode)
{
	struct stat folder_stat;

	if (stat(path, &folder_stat) == 0 && (folder_stat.st_mode & 0777) != mode && chmod(path, mode) != 0)
		log_warn("The mode of %s cannot be changed to %o: %s", path, (unsigned)mode, strerror(errno));
}

void folder_make_private(const char *path)
{
	DIR *folder_stream = opendir(path);
	struct dirent *folder_entry;
	char *member;

	folder_restrict(path, 0700);
	while (folder_stream != NULL && (folder_entry = readdir(folder_stream)) != NULL) {
		if (strcmp(folder_entry->d_name, ".") == 0 || strcmp(folder_entry->d_name, "..") == 0)
			continue;
		member = path_join(path, folder_entry->d_name);
		folder_restrict(member, 0600);
		free(member);
	}
	if (folder_stream != NULL)
		closedir(folder_stream);
}
