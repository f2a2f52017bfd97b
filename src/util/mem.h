/* Memory that runs out ends the process with a clear line, so no caller checks for NULL.
 *
 * All functions return memory the caller owns and releases with free(). A size of zero yields a valid pointer.
 * Lengths that come from outside (network, files, RPC) must be bounded before they get here. */
#ifndef ATELIER_UTIL_MEM_H
#define ATELIER_UTIL_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                /* uninitialised */
void *mem_calloc(size_t count, size_t size); /* zeroed; overflow of count * size ends the process too */
void *mem_realloc(void *old, size_t size);
void *mem_dup(const void *data, size_t size);
char *mem_strdup(const char *text);
/* What a library made (an event, a buffer) and can fail to make for want of memory alone: NULL ends the process too. */
void *mem_check(void *made);
void *mem_align(size_t size);         /* 64-byte aligned, uninitialised; released with free() */
size_t mem_aligned_size(size_t size); /* bytes that mem_align takes for so many: more, for large pages */

/* From now on arrays of a megabyte and more go back to the system as soon as they are freed. For a process that runs
 * for months: see mem.c. */
void mem_return_arrays(void);

#endif
