/* Lines of the log. */
#include "store/progress.h"

#include "util/log.h"

void progress_init(struct progress *progress, const char *what, const char *path, uint64_t size)
{
	*progress = (struct progress){ .what = what, .path = path, .size = size };
}

/* By tenths: ten lines however large the file is. */
void progress_add(struct progress *progress, uint64_t bytes)
{
	uint64_t done_before = progress->done;
	progress->done += bytes;
	if (progress->size >= PROGRESS_LEAST &&
		progress->done * 10 / progress->size != done_before * 10 / progress->size)
		log_info("%s %s: %d %%", progress->what, progress->path, (int)(progress->done * 100 / progress->size));
}
