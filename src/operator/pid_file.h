/* The file with this process's id, for whoever watches or ends it from outside (-pid). A text of one line, in decimal.
 *
 * Its name may be any file's by mistake: only what holds digits and line ends, or nothing, is replaced. Whoever wrote
 * it removes it at the end. */
#ifndef ATELIER_OPERATOR_PID_FILE_H
#define ATELIER_OPERATOR_PID_FILE_H

#include <stdbool.h>

#include "util/error.h"

bool pid_file_write(const char *path, struct errmsg *err);

#endif
