/* The file with this process's id. */
#include "operator/pid_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/file.h"

enum { PID_FILE_TEXT_MAX = 32 };

/* Another text is somebody's, whatever it is. */
static bool pid_file_is_free(const char *path, struct errmsg *err)
{
	struct buf found;
	bool ok;

	if (!file_exists(path))
		return true;
	buf_init(&found);
	ok = file_read(path, PID_FILE_TEXT_MAX, &found, err);
	for (size_t i = 0; i < found.size && ok; i++)
		ok = strchr("0123456789\n", found.data[i]) != NULL || errmsg_set(err, "%s: holds something else", path);
	buf_clear(&found);
	return ok || errmsg_wrap(err, "The process id cannot be written");
}

bool pid_file_write(const char *path, struct errmsg *err)
{
	char text[PID_FILE_TEXT_MAX];
	int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	return pid_file_is_free(path, err) && file_write_atomic(path, text, (size_t)size, 0644, err);
}
