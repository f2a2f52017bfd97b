/* Digests of libcrypto, fetched once: fetching each time would cost more than most of what is hashed. */
#include "crypto/hash.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_context;
static EVP_MD *md_sha256;
static EVP_MD *md_ripemd160;

/* A node that cannot hash can neither verify nor keep anything: it ends here, as with memory that is not to be had, and
 * no caller has to carry a failure that never happens. */
static void require_libcrypto(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "libcrypto cannot provide %s\n", what);
		abort();
	}
}

static void free_context(void *context)
{
	EVP_MD_CTX_free(context);
}

/* Never freed: they live as long as the process, and other threads may still hash while it ends. */
static void fetch_digests(void)
{
	md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	/* OpenSSL 3 had moved it to the legacy provider until 3.0.7: there a node stops at once, with a reason. */
	md_ripemd160 = EVP_MD_fetch(NULL, "RIPEMD160", NULL);
	require_libcrypto(md_sha256 != NULL, "SHA-256");
	require_libcrypto(md_ripemd160 != NULL, "RIPEMD-160");
	require_libcrypto(pthread_key_create(&thread_context, free_context) == 0, "a context for each thread");
}

/* For those who hash piece by piece: theirs until they are done, as a thread may have two hashes under way. */
static EVP_MD_CTX *new_context(void)
{
	EVP_MD_CTX *context;

	pthread_once(&once, fetch_digests);
	context = EVP_MD_CTX_new();
	require_libcrypto(context != NULL, "a hashing context");
	return context;
}

/* For the one-call functions, each of which leaves it ready for the next: none of them calls another while it has it in
 * use. Freed by the key's destructor when the thread ends. */
static EVP_MD_CTX *context_of_thread(void)
{
	EVP_MD_CTX *context;

	pthread_once(&once, fetch_digests);
	context = pthread_getspecific(thread_context);
	if (context == NULL) {
		context = new_context();
		require_libcrypto(pthread_setspecific(thread_context, context) == 0, "a context for each thread");
	}
	return context;
}

static void start_digest(EVP_MD_CTX *context, const EVP_MD *md)
{
	require_libcrypto(EVP_DigestInit_ex2(context, md, NULL), "a digest");
}

static void feed_digest(EVP_MD_CTX *context, const void *data, size_t size)
{
	require_libcrypto(EVP_DigestUpdate(context, data, size), "a digest");
}

static void finish_digest(EVP_MD_CTX *context, uint8_t *out)
{
	require_libcrypto(EVP_DigestFinal_ex(context, out, NULL), "a digest");
}

/* The tag's digest fills one block of SHA-256 with its double, so that nothing hashed without a tag begins alike. */
static void start_tagged(EVP_MD_CTX *context, const char *tag)
{
	uint8_t digest[32];

	sha256(digest, tag, strlen(tag));
	start_digest(context, md_sha256);
	feed_digest(context, digest, sizeof digest);
	feed_digest(context, digest, sizeof digest);
}

void sha256(uint8_t out[32], const void *data, size_t size)
{
	EVP_MD_CTX *context = context_of_thread();

	start_digest(context, md_sha256);
	feed_digest(context, data, size);
	finish_digest(context, out);
}

/* `out` may be the input of the second hash: the digest is written when all input has been read. */
void sha256d(uint8_t out[32], const void *data, size_t size)
{
	sha256(out, data, size);
	sha256(out, out, 32);
}

void ripemd160(uint8_t out[20], const void *data, size_t size)
{
	EVP_MD_CTX *context = context_of_thread();

	start_digest(context, md_ripemd160);
	feed_digest(context, data, size);
	finish_digest(context, out);
}

void hash160(uint8_t out[20], const void *data, size_t size)
{
	uint8_t inner[32];

	sha256(inner, data, size);
	ripemd160(out, inner, sizeof inner);
}

void hmac_sha512(uint8_t out[64], const void *key, size_t key_size, const void *data, size_t size)
{
	require_libcrypto(EVP_Q_mac(NULL, "HMAC", NULL, "SHA512", NULL, key, key_size, data, size, out, 64, NULL) !=
			NULL,
		"HMAC-SHA512");
}

void tagged_hash(uint8_t out[32], const char *tag, const void *data, size_t size)
{
	EVP_MD_CTX *context = context_of_thread();

	start_tagged(context, tag);
	feed_digest(context, data, size);
	finish_digest(context, out);
}

void sha256_init(struct sha256 *hash)
{
	hash->context = new_context();
	start_digest(hash->context, md_sha256);
}

void sha256_init_tagged(struct sha256 *hash, const char *tag)
{
	hash->context = new_context();
	start_tagged(hash->context, tag);
}

void sha256_update(struct sha256 *hash, const void *data, size_t size)
{
	feed_digest(hash->context, data, size);
}

/* A hash that is begun owns a context until sha256_final or sha256_clear, one of which is due on every way out. */
void sha256_final(struct sha256 *hash, uint8_t out[32])
{
	finish_digest(hash->context, out);
	sha256_clear(hash);
}

void sha256_final_double(struct sha256 *hash, uint8_t out[32])
{
	sha256_final(hash, out);
	sha256(out, out, 32);
}

void sha256_clear(struct sha256 *hash)
{
	EVP_MD_CTX_free(hash->context);
	hash->context = NULL;
}
