/* Hashes: SHA-256 and what is built from it, RIPEMD-160, HMAC-SHA512, over libcrypto.
 *
 * The digests are fetched once for the process, and each thread keeps one hashing context for the one-call functions,
 * so these take nothing from the heap. All functions may be called from any thread and cannot fail: a libcrypto that
 * lacks one of these digests ends the process with a clear line when it is first used. digest may overlap data. */
#ifndef ATELIER_CRYPTO_HASH_H
#define ATELIER_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

void sha256(uint8_t digest[32], const void *data, size_t size);
void sha256d(uint8_t digest[32], const void *data, size_t size); /* SHA256(SHA256(data)) */
void ripemd160(uint8_t digest[20], const void *data, size_t size);
void hash160(uint8_t digest[20], const void *data, size_t size); /* RIPEMD160(SHA256(data)) */
void hmac_sha512(uint8_t digest[64], const void *key, size_t key_size, const void *data, size_t size);

/* BIP340: SHA256(SHA256(tag) | SHA256(tag) | data). */
void tagged_hash(uint8_t digest[32], const char *tag, const void *data, size_t size);

/* The same piece by piece. init takes memory, and one of the three others must end the hash and release it. */
struct sha256 {
	void *context;
};

void sha256_init(struct sha256 *hash);
void sha256_init_tagged(struct sha256 *hash, const char *tag); /* as tagged_hash */
void sha256_update(struct sha256 *hash, const void *data, size_t size);
void sha256_final(struct sha256 *hash, uint8_t digest[32]);
void sha256_final_double(struct sha256 *hash, uint8_t digest[32]); /* as sha256d */
void sha256_clear(struct sha256 *hash);                            /* no result wanted */

#endif
