/* The page's files: what lies in one folder, and the libraries that draw its pictures, which stay where the system puts
 * them.
 *
 *     /               index.html
 *     /views/a.js     views/a.js in the folder
 *     /lib/dygraphs/  dygraphs' folder below /usr/share/javascript; /lib/chart.js/ likewise
 *
 * Nothing outside these folders is given out, nor what begins with a dot: names are of few characters, and nothing in
 * them is decoded. A file has at most FILES_MAX bytes. */
#ifndef ATELIER_WEB_FILES_H
#define ATELIER_WEB_FILES_H

#include "http/server.h"
#include "util/error.h"

#define FILES_MAX (4u << 20) /* bytes of one */

/* Where the page's files lie: the folder that was chosen; else that of the source tree if this program has been started
 * in its build folder, or the installed one. The caller frees it. */
char *files_folder(const char *chosen);

/* The file that a path means, in the folder; NULL: none. The caller frees it. Whether there is such a file is not
 * looked at. */
char *files_path(const char *folder, const char *path);

/* Whether a path is of the page, and not of the API or of what else lies on the server. */
bool files_has_path(const char *path);

/* Handler of an endpoint; its context is the folder's name. */
void files_handle(void *context, const struct http_request *request, struct http_exchange *exchange);

#endif
