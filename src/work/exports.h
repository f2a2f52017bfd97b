/* Where models may be exported to: anywhere but among the files that the node lives from.
 *
 * A relative path lies in the folder `exports` of the chain's data folder. Everything else in the data directory is
 * refused, by whatever links and dots a path leads there, and so are the chain's folders where they lie elsewhere, and
 * the files that the options and the spec name: configuration, log, process id, cookie, spec, corpus, initial state. */
#ifndef ATELIER_WORK_EXPORTS_H
#define ATELIER_WORK_EXPORTS_H

#include "config/settings.h"

/* The whole path of what a caller named; the caller frees it. */
char *exports_path(const struct settings *settings, const char *given);

/* Whether a file of this path may be made, or replaced. Creates the folder `exports` before it looks. */
bool exports_check(const struct settings *settings, const char *export_path, struct errmsg *err);

#endif
