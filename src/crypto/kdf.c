/* scrypt and PBKDF2 of libcrypto. */
#include "crypto/kdf.h"

#include <openssl/evp.h>
#include <string.h>

/* Bytes of scrypt's table, 128 * r * n. */
static const uint64_t kdf_scrypt_memory_max = 1 << 30;

/* The bound is on memory, since the parameters may come from a file that somebody else has written. */
bool kdf_scrypt(uint8_t *derived_key, size_t derived_size, const char *passphrase, const uint8_t *salt,
	size_t salt_size, uint64_t n, uint32_t r, uint32_t p)
{
	/* libcrypto counts the blocks of p and some of its own on top of the table. */
	return EVP_PBE_scrypt(passphrase, strlen(passphrase), salt, salt_size, n, r, p,
		       kdf_scrypt_memory_max + (uint64_t)1024 * r * p, derived_key, derived_size) == 1;
}

bool kdf_pbkdf2_sha512(uint8_t *derived_key, size_t derived_size, const char *passphrase, const uint8_t *salt,
	size_t salt_size, uint32_t rounds)
{
	return PKCS5_PBKDF2_HMAC(passphrase, (int)strlen(passphrase), salt, (int)salt_size, (int)rounds, EVP_sha512(),
		       (int)derived_size, derived_key) == 1;
}
