/* Keys and signatures: BIP340 Schnorr signatures and BIP341 key tweaks over libsecp256k1.
 *
 * Public keys are x-only, 32 bytes; secret keys 32 bytes, big-endian, in [1, n-1]; signatures 64 bytes. There is one
 * libsecp256k1 context, made on first use and blinded with randomness of the system; every function may be called from
 * any thread. Functions return false where an argument is not a key (or a signature not valid) and then leave their
 * outputs unspecified. Secrets in local variables are wiped before return. */
#ifndef ATELIER_CRYPTO_SCHNORR_H
#define ATELIER_CRYPTO_SCHNORR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool schnorr_verify(const uint8_t signature[64], const uint8_t message[32], const uint8_t key[32]);
bool schnorr_verify_bytes(const uint8_t signature[64], const void *message, size_t message_size, const uint8_t key[32]);

/* aux: 32 fresh random bytes (BIP340 "aux_rand"), or fixed ones where the signature must be reproducible. */
bool schnorr_sign(uint8_t signature[64], const uint8_t message[32], const uint8_t secret[32], const uint8_t aux[32]);

/* The x-only key of a secret; false if secret is 0 or not below the group's order. */
bool schnorr_key(uint8_t key[32], const uint8_t secret[32]);

/* Whether these are the x coordinate of a point on the curve. */
bool schnorr_key_valid(const uint8_t key[32]);

/* BIP341: the output key of internal, for a script tree's root or for none (NULL, as BIP86 wants it), and, where parity
 * is not NULL, whether the output point's y is odd. */
bool schnorr_output_key(uint8_t key[32], int *parity, const uint8_t internal_key[32], const uint8_t *merkle_root);

/* BIP341: the secret of schnorr_output_key(schnorr_key(secret), merkle_root). */
bool schnorr_output_secret(uint8_t output_secret[32], const uint8_t secret[32], const uint8_t *merkle_root);

/* BIP341 control blocks: whether key, of this parity, is internal + tweak * G. */
bool schnorr_tweak_check(const uint8_t key[32], int parity, const uint8_t internal_key[32], const uint8_t tweak[32]);

/* Plain points, for BIP32. A compressed public key is 33 bytes. The tweaks fail (with chance 2^-128) where the result
 * would be no key. */
bool schnorr_public(uint8_t public_key[33], const uint8_t secret[32]);
bool schnorr_public_valid(const uint8_t public_key[33]);
bool schnorr_public_add(uint8_t public_key[33], const uint8_t tweak[32]); /* public_key + tweak * G, in place */
bool schnorr_secret_valid(const uint8_t secret[32]);
bool schnorr_secret_add(uint8_t secret[32], const uint8_t tweak[32]); /* secret + tweak mod n, in place */

#endif
