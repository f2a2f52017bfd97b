/* Randomness of the system, alone: there is no generator of our own that could be predicted or forked. */
#include "util/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *out, size_t size)
{
	uint8_t *at = out;

	while (size) {
		/* Waits once, early at boot, until the system has gathered enough; later never. A signal cuts it short.
		 */
		ssize_t got = getrandom(at, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fprintf(stderr, "The system gives no randomness: %s\n", strerror(errno));
			abort();
		}
		at += got;
		size -= (size_t)got;
	}
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof v);
	return v;
}

uint64_t random_below(uint64_t bound)
{
	/* The first 2^64 mod bound values would make small results likelier. */
	uint64_t skip = -bound % bound, v;

	do
		v = random_u64();
	while (v < skip);
	return v % bound;
}
