/* Digests of libcrypto, fetched once: fetching each time would cost more than most of what is hashed. */
#include "crypto/hash.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t hash_once = PTHREAD_ONCE_INIT;
static pthread_key_t hash_thread_context;
static EVP_MD *hash_md_sha256;
static EVP_MD *hash_md_ripemd160;

/* A node that cannot hash can neither verify nor keep anything: it ends here, as with memory that is not to be had, and
 * no caller has to carry a failure that never happens. */
static void hash_require_libcrypto(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "libcrypto cannot provide %s\n", what);
		abort();
	}
}

static void hash_free_context(void *hash_context)
{
	EVP_MD_CTX_free(hash_context);
}

/* Never freed: they live as long as the process, and other threads may still hash while it ends. */
static void hash_fetch_digests(void)
{
	hash_md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	/* OpenSSL 3 had moved it to the legacy provider until 3.0.7: there a node stops at once, with a reason. */
	hash_md_ripemd160 = EVP_MD_fetch(NULL, "RIPEMD160", NULL);
	hash_require_libcrypto(hash_md_sha256 != NULL, "SHA-256");
	hash_require_libcrypto(hash_md_ripemd160 != NULL, "RIPEMD-160");
	hash_require_libcrypto(pthread_key_create(&hash_thread_context, hash_free_context) == 0,
		"a context for each thread");
}

/* For those who hash piece by piece: theirs until they are done, as a thread may have two hashes under way. */
static EVP_MD_CTX *hash_new_context(void)
{
	EVP_MD_CTX *hash_context;

	pthread_once(&hash_once, hash_fetch_digests);
	hash_context = EVP_MD_CTX_new();
	hash_require_libcrypto(hash_context != NULL, "a hashing context");
	return hash_context;
}

/* For the one-call functions, each of which leaves it ready for the next: none of them calls another while it has it in
 * use. Freed by the key's destructor when the thread ends. */
static EVP_MD_CTX *hash_context_of_thread(void)
{
	EVP_MD_CTX *hash_context;

	pthread_once(&hash_once, hash_fetch_digests);
	hash_context = pthread_getspecific(hash_thread_context);
	if (hash_context == NULL) {
		hash_context = hash_new_context();
		hash_require_libcrypto(pthread_setspecific(hash_thread_context, hash_context) == 0,
			"a context for each thread");
	}
	return hash_context;
}

static void hash_start(EVP_MD_CTX *hash_context, const EVP_MD *md)
{
	hash_require_libcrypto(EVP_DigestInit_ex2(hash_context, md, NULL), "a digest");
}

static void hash_feed(EVP_MD_CTX *hash_context, const void *data, size_t size)
{
	hash_require_libcrypto(EVP_DigestUpdate(hash_context, data, size), "a digest");
}

static void hash_finish(EVP_MD_CTX *hash_context, uint8_t *digest)
{
	hash_require_libcrypto(EVP_DigestFinal_ex(hash_context, digest, NULL), "a digest");
}

/* The tag's digest fills one block of SHA-256 with its double, so that nothing hashed without a tag begins alike. */
static void hash_start_tagged(EVP_MD_CTX *hash_context, const char *tag)
{
	uint8_t tag_digest[32];

	sha256(tag_digest, tag, strlen(tag));
	hash_start(hash_context, hash_md_sha256);
	hash_feed(hash_context, tag_digest, sizeof tag_digest);
	hash_feed(hash_context, tag_digest, sizeof tag_digest);
}

void sha256(uint8_t digest[32], const void *data, size_t size)
{
	EVP_MD_CTX *hash_context = hash_context_of_thread();

	hash_start(hash_context, hash_md_sha256);
	hash_feed(hash_context, data, size);
	hash_finish(hash_context, digest);
}

/* `digest` may be the input of the second hash: the digest is written when all input has been read. */
void sha256d(uint8_t digest[32], const void *data, size_t size)
{
	sha256(digest, data, size);
	sha256(digest, digest, 32);
}

void ripemd160(uint8_t digest[20], const void *data, size_t size)
{
	EVP_MD_CTX *hash_context = hash_context_of_thread();

	hash_start(hash_context, hash_md_ripemd160);
	hash_feed(hash_context, data, size);
	hash_finish(hash_context, digest);
}

void hash160(uint8_t digest[20], const void *data, size_t size)
{
	uint8_t inner_digest[32];

	sha256(inner_digest, data, size);
	ripemd160(digest, inner_digest, sizeof inner_digest);
}

void hmac_sha512(uint8_t digest[64], const void *key, size_t key_size, const void *data, size_t size)
{
	hash_require_libcrypto(EVP_Q_mac(NULL, "HMAC", NULL, "SHA512", NULL, key, key_size, data, size, digest, 64,
				       NULL) != NULL,
		"HMAC-SHA512");
}

void tagged_hash(uint8_t digest[32], const char *tag, const void *data, size_t size)
{
	EVP_MD_CTX *hash_context = hash_context_of_thread();

	hash_start_tagged(hash_context, tag);
	hash_feed(hash_context, data, size);
	hash_finish(hash_context, digest);
}

void sha256_init(struct sha256 *hash)
{
	hash->context = hash_new_context();
	hash_start(hash->context, hash_md_sha256);
}

void sha256_init_tagged(struct sha256 *hash, const char *tag)
{
	hash->context = hash_new_context();
	hash_start_tagged(hash->context, tag);
}

void sha256_update(struct sha256 *hash, const void *data, size_t size)
{
	hash_feed(hash->context, data, size);
}

/* A hash that is begun owns a context until sha256_final or sha256_clear, one of which is due on every way out. */
void sha256_final(struct sha256 *hash, uint8_t digest[32])
{
	hash_finish(hash->context, digest);
	sha256_clear(hash);
}

void sha256_final_double(struct sha256 *hash, uint8_t digest[32])
{
	sha256_final(hash, digest);
	sha256(digest, digest, 32);
}

void sha256_clear(struct sha256 *hash)
{
	EVP_MD_CTX_free(hash->context);
	hash->context = NULL;
}
