/* Authenticated encryption: AES-256-GCM (NIST SP 800-38D), over libcrypto.
 *
 * A sealed text is 12 bytes of nonce, the ciphertext and 16 bytes of tag: AEAD_OVERHEAD bytes longer than the plain
 * one. The nonce is drawn at random by aead_seal: one key must not seal more than 2^32 texts. extra is bound to the
 * text without being part of it. */
#ifndef ATELIER_CRYPTO_AEAD_H
#define ATELIER_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_OVERHEAD 28

/* Writes plain_size + AEAD_OVERHEAD bytes to sealed, which must not overlap plain. */
void aead_seal(uint8_t *sealed, const uint8_t key[32], const void *plain, size_t plain_size, const void *extra,
	size_t extra_size);

/* Writes sealed_size - AEAD_OVERHEAD bytes to plain; false (and plain wiped) if key, extra or any byte is not what was
 * sealed. */
bool aead_open(uint8_t *plain, const uint8_t key[32], const uint8_t *sealed, size_t sealed_size, const void *extra,
	size_t extra_size);

#endif
