/* Randomness of the system, alone: there is no generator of our own that could be predicted or forked. */
#include "util/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *out, size_t size)
{
	uint8_t *random_at = out;

	while (size) {
		/* Waits once, early at boot, until the system has gathered enough; later never. A signal cuts it short.
		 */
		ssize_t random_got = getrandom(random_at, size, 0);

		if (random_got < 0 && errno == EINTR)
			continue;
		if (random_got <= 0) {
			fprintf(stderr, "The system gives no randomness: %s\n", strerror(errno));
			abort();
		}
		random_at += random_got;
		size -= (size_t)random_got;
	}
}

uint64_t random_u64(void)
{
	uint64_t random_draw;

	random_bytes(&random_draw, sizeof random_draw);
	return random_draw;
}

uint64_t random_below(uint64_t bound)
{
	/* The first 2^64 mod bound values would make small results likelier. */
	uint64_t random_skip = -bound % bound, random_draw;

	do
		random_draw = random_u64();
	while (random_draw < random_skip);
	return random_draw % bound;
}
