/* AES-256-GCM of libcrypto: nonce, text and tag in one piece. */
#include "crypto/aead.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/wipe.h"
#include "util/random.h"

enum {
	NONCE_SIZE = 12,
	TAG_SIZE = 16,
};

void aead_seal(uint8_t *out, const uint8_t key[32], const void *plain, size_t size, const void *extra,
	size_t extra_size)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t *text = out + NONCE_SIZE;
	int got = 0;
	bool ok;

	/* Never given by the caller: a nonce used twice under one key gives both texts away. */
	random_bytes(out, NONCE_SIZE);
	ok = context != NULL && EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), key, out, NULL) &&
		EVP_EncryptUpdate(context, NULL, &got, extra, (int)extra_size) &&
		EVP_EncryptUpdate(context, text, &got, plain, (int)size) &&
		EVP_EncryptFinal_ex(context, text + got, &got) &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, text + size);
	EVP_CIPHER_CTX_free(context);
	/* Only a library without the cipher, or without memory, fails here; a wallet must not go on and write its
	 * secrets unsealed. */
	if (!ok) {
		fprintf(stderr, "libcrypto cannot provide AES-256-GCM\n");
		abort();
	}
}

bool aead_open(uint8_t *out, const uint8_t key[32], const uint8_t *sealed, size_t size, const void *extra,
	size_t extra_size)
{
	EVP_CIPHER_CTX *context;
	uint8_t tag[TAG_SIZE];
	size_t plain_size;
	int got = 0;
	bool ok;

	if (size < AEAD_OVERHEAD)
		return false;
	plain_size = size - AEAD_OVERHEAD;
	/* A copy, as libcrypto takes the tag by a pointer that is not const. */
	memcpy(tag, sealed + NONCE_SIZE + plain_size, TAG_SIZE);
	context = EVP_CIPHER_CTX_new();
	ok = context != NULL && EVP_DecryptInit_ex2(context, EVP_aes_256_gcm(), key, sealed, NULL) &&
		EVP_DecryptUpdate(context, NULL, &got, extra, (int)extra_size) &&
		EVP_DecryptUpdate(context, out, &got, sealed + NONCE_SIZE, (int)plain_size) &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) &&
		EVP_DecryptFinal_ex(context, out + got, &got) == 1;
	/* What was written before the tag was checked may be anything, a forger's choice too: nobody gets to see it. */
	EVP_CIPHER_CTX_free(context);
	if (!ok)
		wipe(out, plain_size);
	return ok;
}
