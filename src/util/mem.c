/* Memory that is there or ends the process; large arrays on large pages. */
#include "util/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* abort, not exit: no destructor runs, and a core shows who asked for so much. stderr, since the log is above this. */
static void *mem_check_size(void *memory, size_t size)
{
	if (memory == NULL) {
		fprintf(stderr, "Out of memory: %zu bytes could not be had\n", size);
		abort();
	}
	return memory;
}

void *mem_check(void *mem_made)
{
	if (mem_made == NULL) {
		fprintf(stderr, "Out of memory: a library could not make what was asked of it\n");
		abort();
	}
	return mem_made;
}

void *mem_alloc(size_t size)
{
	/* malloc(0) may give NULL, which would look like a failure. */
	return mem_check_size(malloc(size ? size : 1), size);
}

void *mem_calloc(size_t count, size_t size)
{
	return mem_check_size(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *mem_realloc(void *old, size_t size)
{
	return mem_check_size(realloc(old, size ? size : 1), size);
}

void *mem_dup(const void *data, size_t size)
{
	void *mem_copy = mem_alloc(size);

	if (size)
		memcpy(mem_copy, data, size);
	return mem_copy;
}

char *mem_strdup(const char *text)
{
	return mem_dup(text, strlen(text) + 1);
}

/* Arrays of many megabytes lie on large pages where the system has them: walking page tables costs a pass over them as
 * much as the memory does, in a virtual machine more. */
#define MEM_LARGE_PAGE ((size_t)2 << 20)

static size_t mem_alignment(size_t size)
{
	return size >= MEM_LARGE_PAGE ? MEM_LARGE_PAGE : 64;
}

size_t mem_aligned_size(size_t size)
{
	size_t alignment = mem_alignment(size);

	return (size + alignment - 1) / alignment * alignment + (size == 0) * alignment;
}

void *mem_align(size_t size)
{
	size_t alignment = mem_alignment(size);
	void *memory;

	/* aligned_alloc wants a multiple of the alignment; one that wraps would be small. */
	if (size > SIZE_MAX - (alignment - 1))
		mem_check_size(NULL, size);
	memory = mem_check_size(aligned_alloc(alignment, mem_aligned_size(size)), size);
#ifdef MADV_HUGEPAGE
	/* Advice: where it is not taken, all works as before. */
	if (alignment == MEM_LARGE_PAGE)
		madvise(memory, mem_aligned_size(size), MADV_HUGEPAGE);
#endif
	return memory;
}

/* By itself the C library takes the size of what is freed for the size of what is worth keeping, up to 32 MB: deltas
 * and gradients then lie among small things that live long, in one heap a thread, and little of them ever comes back. A
 * node of `test` had 400 MB in use, and 1.4 GB of memory after 80 blocks. A threshold that is set stays as it is. */
void mem_return_arrays(void)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 22);
#endif
}
