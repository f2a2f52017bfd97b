/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", Indocrypt 2012): 64 bits of a keyed hash. The
 * protocol samples strings of data by it with a key that everybody knows (doc/protocol.md section 12): not for secrets.
 */
#ifndef ATELIER_CRYPTO_SIPHASH_H
#define ATELIER_CRYPTO_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *data, size_t size);

/* The same of 16 bytes with a key of zeros, without a loop: for each byte of a blob. */
uint64_t siphash_string(const uint8_t string[16]);

#endif
