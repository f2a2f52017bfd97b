/* Randomness from the operating system, for keys, salts and nonces. Never part of consensus. */
#ifndef ATELIER_UTIL_RANDOM_H
#define ATELIER_UTIL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills out; a system without randomness ends the process with a clear line. */
void random_bytes(void *out, size_t size);

uint64_t random_u64(void);

/* Uniform in 0..bound-1, without bias; bound is 1 at least. */
uint64_t random_below(uint64_t bound);

#endif
