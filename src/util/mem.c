#include "util/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *p, size_t size)
{
	if (p == NULL) {
		fprintf(stderr, "Out of memory: %zu bytes could not be had\n", size);
		abort();
	}
	return p;
}

void *mem_alloc(size_t size)
{
	return check(malloc(size ? size : 1), size);
}

void *mem_calloc(size_t count, size_t size)
{
	return check(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *mem_realloc(void *old, size_t size)
{
	return check(realloc(old, size ? size : 1), size);
}

void *mem_dup(const void *data, size_t size)
{
	void *p = mem_alloc(size);

	if (size)
		memcpy(p, data, size);
	return p;
}

char *mem_strdup(const char *text)
{
	return mem_dup(text, strlen(text) + 1);
}

void *mem_align(size_t size)
{
	if (size > SIZE_MAX - 63)
		check(NULL, size);
	return check(aligned_alloc(64, (size + 63) / 64 * 64 + (size == 0) * 64), size);
}
