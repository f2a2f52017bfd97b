/* Lines of the log. */
#include "store/progress.h"

#include "util/log.h"

void progress_init(struct progress *p, const char *what, const char *path, uint64_t size)
{
	*p = (struct progress){ .what = what, .path = path, .size = size };
}

/* By tenths: ten lines however large the file is. */
void progress_add(struct progress *p, uint64_t bytes)
{
	uint64_t before = p->done;
	p->done += bytes;
	if (p->size >= PROGRESS_LEAST && p->done * 10 / p->size != before * 10 / p->size)
		log_info("%s %s: %d %%", p->what, p->path, (int)(p->done * 100 / p->size));
}
