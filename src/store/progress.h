/* How far a file is that takes a while to write: a line of the log for each tenth of it. Files below PROGRESS_LEAST
 * bytes are silent. */
#ifndef ATELIER_STORE_PROGRESS_H
#define ATELIER_STORE_PROGRESS_H

#include <stdint.h>

enum { PROGRESS_LEAST = 8 << 20 };

struct progress {
	const char *what, *path; /* "Writing", and the file; borrowed */
	uint64_t size, done;
};

void progress_init(struct progress *progress, const char *what, const char *path, uint64_t size);
void progress_add(struct progress *progress, uint64_t bytes);

#endif
