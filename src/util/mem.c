/* Memory that is there or ends the process; large arrays on large pages. */
#include "util/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* abort, not exit: no destructor runs, and a core shows who asked for so much. stderr, since the log is above this. */
static void *check_size(void *p, size_t size)
{
	if (p == NULL) {
		fprintf(stderr, "Out of memory: %zu bytes could not be had\n", size);
		abort();
	}
	return p;
}

void *mem_check(void *made)
{
	if (made == NULL) {
		fprintf(stderr, "Out of memory: a library could not make what was asked of it\n");
		abort();
	}
	return made;
}

void *mem_alloc(size_t size)
{
	/* malloc(0) may give NULL, which would look like a failure. */
	return check_size(malloc(size ? size : 1), size);
}

void *mem_calloc(size_t count, size_t size)
{
	return check_size(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *mem_realloc(void *old, size_t size)
{
	return check_size(realloc(old, size ? size : 1), size);
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

/* Arrays of many megabytes lie on large pages where the system has them: walking page tables costs a pass over them as
 * much as the memory does, in a virtual machine more. */
#define LARGE_PAGE ((size_t)2 << 20)

static size_t alignment_of(size_t size)
{
	return size >= LARGE_PAGE ? LARGE_PAGE : 64;
}

size_t mem_aligned_size(size_t size)
{
	size_t alignment = alignment_of(size);

	return (size + alignment - 1) / alignment * alignment + (size == 0) * alignment;
}

void *mem_align(size_t size)
{
	size_t alignment = alignment_of(size);
	void *memory;

	/* aligned_alloc wants a multiple of the alignment; one that wraps would be small. */
	if (size > SIZE_MAX - (alignment - 1))
		check_size(NULL, size);
	memory = check_size(aligned_alloc(alignment, mem_aligned_size(size)), size);
#ifdef MADV_HUGEPAGE
	/* Advice: where it is not taken, all works as before. */
	if (alignment == LARGE_PAGE)
		madvise(memory, mem_aligned_size(size), MADV_HUGEPAGE);
#endif
	return memory;
}
