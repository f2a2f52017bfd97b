/* Which paths a model may be exported to. */
#include "work/exports.h"

#include <stdlib.h>

#include "util/file.h"

static const char *const own_folders[] = { "blocks", "blobs", "chainstate", "model", "wallets" };
enum { OWN_FOLDERS = sizeof own_folders / sizeof *own_folders };

char *exports_path(const struct settings *settings, const char *given)
{
	char *expanded = path_expand(given), *folder = path_join(settings->datadir.data, "exports");
	char *path = path_join(folder, expanded);

	free(folder);
	free(expanded);
	return path;
}

/* A path that lies in the chain's data folder by this name. */
static bool inside_own(const struct settings *settings, const char *path, const char *name)
{
	char *folder = path_join(settings->datadir.data, name);
	bool inside = path_inside(path, folder);

	free(folder);
	return inside;
}

/* The folders may be links to other disks, and `exports` too: so each is asked for by itself. */
static bool among_own(const struct settings *settings, const char *path)
{
	for (size_t i = 0; i < OWN_FOLDERS; i++)
		if (inside_own(settings, path, own_folders[i]))
			return true;
	return (path_inside(path, settings->datadir.base) || path_inside(path, settings->datadir.data)) &&
		!inside_own(settings, path, "exports");
}

static bool is_option(const struct settings *settings, const char *path, const char *option)
{
	char *named = path_join(settings->datadir.data, options_string(settings->options, option));
	bool same = file_same(path, named);

	free(named);
	return same;
}

/* Files that the operator has elsewhere. */
static bool is_own(const struct settings *settings, const char *path)
{
	const char *spec = settings->datadir.chainspec, *weights = settings->spec.initial_state_path;
	char *initial = spec == NULL || weights == NULL ? NULL : path_beside(spec, weights);
	bool own = file_same(path, settings->datadir.conf) || is_option(settings, path, "debuglogfile") ||
		is_option(settings, path, "pid") || (spec != NULL && file_same(path, spec)) ||
		(settings->corpus_path != NULL && file_same(path, settings->corpus_path)) ||
		(initial != NULL && file_same(path, initial));

	for (size_t i = 0; i < settings->loadblock.count && !own; i++)
		own = file_same(path, settings->loadblock.values[i]);
	free(initial);
	return own;
}

bool exports_check(const struct settings *settings, const char *path, struct errmsg *err)
{
	char *folder = path_join(settings->datadir.data, "exports");
	bool ok = dir_make(folder, err);

	free(folder);
	if (!ok)
		return false;
	if (among_own(settings, path))
		return errmsg_set(err,
			"%s: lies among the node's own files; of its data directory only the folder exports of "
			"the chain is for this",
			path);
	return !is_own(settings, path) || errmsg_set(err, "%s: is one of the node's own files", path);
}
