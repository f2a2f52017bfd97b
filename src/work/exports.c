/* Which paths a model may be exported to. */
#include "work/exports.h"

#include <stdlib.h>

#include "util/file.h"

static const char *const exports_own_folders[] = { "blocks", "blobs", "chainstate", "model", "wallets" };
enum { EXPORTS_OWN_FOLDERS = sizeof exports_own_folders / sizeof *exports_own_folders };

char *exports_path(const struct settings *settings, const char *given)
{
	char *export_given = path_expand(given), *exports_folder = path_join(settings->datadir.data, "exports");
	char *export_path = path_join(exports_folder, export_given);

	free(exports_folder);
	free(export_given);
	return export_path;
}

/* A path that lies in the chain's data folder by this name. */
static bool exports_inside_own(const struct settings *settings, const char *export_path, const char *name)
{
	char *own_folder = path_join(settings->datadir.data, name);
	bool export_inside = path_inside(export_path, own_folder);

	free(own_folder);
	return export_inside;
}

/* The folders may be links to other disks, and `exports` too: so each is asked for by itself. */
static bool exports_among_own(const struct settings *settings, const char *export_path)
{
	for (size_t i = 0; i < EXPORTS_OWN_FOLDERS; i++)
		if (exports_inside_own(settings, export_path, exports_own_folders[i]))
			return true;
	return (path_inside(export_path, settings->datadir.base) || path_inside(export_path, settings->datadir.data)) &&
		!exports_inside_own(settings, export_path, "exports");
}

static bool exports_is_option(const struct settings *settings, const char *export_path, const char *option)
{
	char *export_option = path_join(settings->datadir.data, options_string(settings->options, option));
	bool export_is_same = file_same(export_path, export_option);

	free(export_option);
	return export_is_same;
}

/* Files that the operator has elsewhere. */
static bool exports_is_own(const struct settings *settings, const char *export_path)
{
	const char *own_spec = settings->datadir.chainspec, *own_weights = settings->spec.initial_state_path;
	char *own_initial = own_spec == NULL || own_weights == NULL ? NULL : path_beside(own_spec, own_weights);
	bool is_own_file = file_same(export_path, settings->datadir.conf) ||
		exports_is_option(settings, export_path, "debuglogfile") ||
		exports_is_option(settings, export_path, "pid") ||
		(own_spec != NULL && file_same(export_path, own_spec)) ||
		(settings->corpus_path != NULL && file_same(export_path, settings->corpus_path)) ||
		(own_initial != NULL && file_same(export_path, own_initial));

	for (size_t i = 0; i < settings->loadblock.count && !is_own_file; i++)
		is_own_file = file_same(export_path, settings->loadblock.values[i]);
	free(own_initial);
	return is_own_file;
}

bool exports_check(const struct settings *settings, const char *export_path, struct errmsg *err)
{
	char *exports_folder = path_join(settings->datadir.data, "exports");
	bool ok = dir_make(exports_folder, err);

	free(exports_folder);
	if (!ok)
		return false;
	if (exports_among_own(settings, export_path))
		return errmsg_set(err,
			"%s: lies among the node's own files; of its data directory only the folder exports of "
			"the chain is for this",
			export_path);
	return !exports_is_own(settings, export_path) ||
		errmsg_set(err, "%s: is one of the node's own files", export_path);
}
