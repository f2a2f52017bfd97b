/* The delta code: what a step changed, in 65/64 byte a parameter (doc/protocol.md section 6).
 *
 * Blocks of 64 values: one signed byte e in [-40, 0] and 64 signed mantissas q, each value being q * 2^e. Encoding
 * rounds stochastically with noise drawn from the seed, so its error has mean zero. */
#ifndef ATELIER_ML_DELTA_H
#define ATELIER_ML_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DELTA_BLOCK = 64, DELTA_BLOCK_SIZE = 65, DELTA_EXPONENT_MIN = -40 };

/* Bytes of the code of n values: 65 * ceil(n / 64). */
size_t delta_size(size_t n);

/* Encodes x[0..n-1] to out (delta_size(n) bytes) with the noise of a 32-byte seed. False if a value does not fit (not
 * finite, or above 126 in size): the step fails. */
bool delta_encode(const float *x, size_t n, const uint8_t seed[32], uint8_t *out);

/* Whether size bytes are well formed for n values: the length, exponents in range, zeros as padding of the last
 * block. Values decoded from a well-formed code are finite. */
bool delta_check(const uint8_t *delta, size_t size, size_t n);

/* Decodes values first .. first + count - 1 of a well-formed code to out; first is a multiple of 64. */
void delta_decode(const uint8_t *delta, size_t first, size_t count, float *out);

#endif
