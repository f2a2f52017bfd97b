/* What a start-up check (ml/selftest.h) asks of an engine and of this build: products of adversarial operands (ties,
 * largest mantissas, subnormals, zeros of both signs, odd shapes), and each operation between products, whose last bits
 * a compiler changes that contracts a * b + c. */
#ifndef ATELIER_ML_KERNEL_PROBE_H
#define ATELIER_ML_KERNEL_PROBE_H

#include <stddef.h>

#include "crypto/hash.h"
#include "ml/kernel/engine.h"

/* Feeds the hash with the bits of all results. */
void probe_run(enum engine engine, struct sha256 *hash);

/* It as little-endian binary32. */
void probe_floats(const float *x, size_t count, struct sha256 *hash);

#endif
