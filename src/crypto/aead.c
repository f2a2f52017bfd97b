/* AES-256-GCM of libcrypto: nonce, text and tag in one piece. */
#include "crypto/aead.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/wipe.h"
#include "util/random.h"

enum {
	AEAD_NONCE_SIZE = 12,
	AEAD_TAG_SIZE = 16,
};

void aead_seal(uint8_t *sealed, const uint8_t key[32], const void *plain, size_t plain_size, const void *extra,
	size_t extra_size)
{
	EVP_CIPHER_CTX *aead_context = EVP_CIPHER_CTX_new();
	uint8_t *ciphertext = sealed + AEAD_NONCE_SIZE;
	int written = 0;
	bool done;

	/* Never given by the caller: a nonce used twice under one key gives both texts away. */
	random_bytes(sealed, AEAD_NONCE_SIZE);
	done = aead_context != NULL && EVP_EncryptInit_ex2(aead_context, EVP_aes_256_gcm(), key, sealed, NULL) &&
		EVP_EncryptUpdate(aead_context, NULL, &written, extra, (int)extra_size) &&
		EVP_EncryptUpdate(aead_context, ciphertext, &written, plain, (int)plain_size) &&
		EVP_EncryptFinal_ex(aead_context, ciphertext + written, &written) &&
		EVP_CIPHER_CTX_ctrl(aead_context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, ciphertext + plain_size);
	EVP_CIPHER_CTX_free(aead_context);
	/* Only a library without the cipher, or without memory, fails here; a wallet must not go on and write its
	 * secrets unsealed. */
	if (!done) {
		fprintf(stderr, "libcrypto cannot provide AES-256-GCM\n");
		abort();
	}
}

bool aead_open(uint8_t *plain, const uint8_t key[32], const uint8_t *sealed, size_t sealed_size, const void *extra,
	size_t extra_size)
{
	EVP_CIPHER_CTX *aead_context;
	uint8_t tag[AEAD_TAG_SIZE];
	size_t plain_size;
	int written = 0;
	bool opened;

	if (sealed_size < AEAD_OVERHEAD)
		return false;
	plain_size = sealed_size - AEAD_OVERHEAD;
	/* A copy, as libcrypto takes the tag by a pointer that is not const. */
	memcpy(tag, sealed + AEAD_NONCE_SIZE + plain_size, AEAD_TAG_SIZE);
	aead_context = EVP_CIPHER_CTX_new();
	opened = aead_context != NULL && EVP_DecryptInit_ex2(aead_context, EVP_aes_256_gcm(), key, sealed, NULL) &&
		EVP_DecryptUpdate(aead_context, NULL, &written, extra, (int)extra_size) &&
		EVP_DecryptUpdate(aead_context, plain, &written, sealed + AEAD_NONCE_SIZE, (int)plain_size) &&
		EVP_CIPHER_CTX_ctrl(aead_context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) &&
		EVP_DecryptFinal_ex(aead_context, plain + written, &written) == 1;
	/* What was written before the tag was checked may be anything, a forger's choice too: nobody gets to see it. */
	EVP_CIPHER_CTX_free(aead_context);
	if (!opened)
		wipe(plain, plain_size);
	return opened;
}
