/* Keys from passphrases, over libcrypto. Both return false only if the parameters are out of range. */
#ifndef ATELIER_CRYPTO_KDF_H
#define ATELIER_CRYPTO_KDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 7914; takes 128 * n * r bytes of memory, 1 GiB at most. n is a power of two above 1. */
bool kdf_scrypt(uint8_t *derived_key, size_t derived_size, const char *passphrase, const uint8_t *salt,
	size_t salt_size, uint64_t n, uint32_t r, uint32_t p);

/* PBKDF2 with HMAC-SHA512 (RFC 8018), as BIP39 uses it. */
bool kdf_pbkdf2_sha512(uint8_t *derived_key, size_t derived_size, const char *passphrase, const uint8_t *salt,
	size_t salt_size, uint32_t rounds);

#endif
