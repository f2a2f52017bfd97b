/* libsecp256k1, with one context for all threads: it is only read once it is blinded. */
#include "crypto/schnorr.h"

#include <pthread.h>
#include <secp256k1.h>
#include <secp256k1_extrakeys.h>
#include <secp256k1_schnorrsig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/wipe.h"
#include "util/random.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static secp256k1_context *shared;

/* Blinded with fresh randomness: one guard more against keys that leak by time or power. */
static void create_shared(void)
{
	uint8_t seed[32];

	shared = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
	random_bytes(seed, sizeof seed);
	if (shared == NULL || !secp256k1_context_randomize(shared, seed)) {
		fprintf(stderr, "libsecp256k1 cannot make a context\n");
		abort();
	}
	wipe(seed, sizeof seed);
}

static const secp256k1_context *shared_context(void)
{
	pthread_once(&once, create_shared);
	return shared;
}

/* From any thread, as all that only reads the context. */
bool schnorr_verify_bytes(const uint8_t signature[64], const void *message, size_t size, const uint8_t key[32])
{
	secp256k1_xonly_pubkey parsed;

	return secp256k1_xonly_pubkey_parse(shared_context(), &parsed, key) &&
		secp256k1_schnorrsig_verify(shared_context(), signature, message, size, &parsed);
}

bool schnorr_verify(const uint8_t signature[64], const uint8_t message[32], const uint8_t key[32])
{
	return schnorr_verify_bytes(signature, message, 32, key);
}

/* `aux` is mixed into the nonce (BIP340): fresh randomness guards against faults and side channels; a signature is as
 * unforgeable with zeros. A secret that is 0 or not below the order fails. */
bool schnorr_sign(uint8_t signature[64], const uint8_t message[32], const uint8_t secret[32], const uint8_t aux[32])
{
	secp256k1_keypair pair;
	bool ok = secp256k1_keypair_create(shared_context(), &pair, secret) &&
		secp256k1_schnorrsig_sign32(shared_context(), signature, message, &pair, aux);

	wipe(&pair, sizeof pair);
	return ok;
}

bool schnorr_key(uint8_t key[32], const uint8_t secret[32])
{
	uint8_t compressed[33];

	if (!schnorr_public(compressed, secret))
		return false;
	memcpy(key, compressed + 1, 32);
	return true;
}

/* Half of all strings of 32 bytes are no point's x, and nobody can spend what is paid to such a key. */
bool schnorr_key_valid(const uint8_t key[32])
{
	secp256k1_xonly_pubkey parsed;

	return secp256k1_xonly_pubkey_parse(shared_context(), &parsed, key);
}

/* BIP341: without a script tree the key alone is hashed, which is not the same as with a root of zeros. */
static void output_tweak(uint8_t tweak[32], const uint8_t internal[32], const uint8_t *merkle_root)
{
	uint8_t joined[64];

	memcpy(joined, internal, 32);
	if (merkle_root != NULL)
		memcpy(joined + 32, merkle_root, 32);
	tagged_hash(tweak, "TapTweak", joined, merkle_root != NULL ? 64 : 32);
}

bool schnorr_output_key(uint8_t key[32], int *parity, const uint8_t internal[32], const uint8_t *merkle_root)
{
	secp256k1_xonly_pubkey parsed;
	secp256k1_xonly_pubkey output;
	secp256k1_pubkey point;
	uint8_t tweak[32];

	output_tweak(tweak, internal, merkle_root);
	return secp256k1_xonly_pubkey_parse(shared_context(), &parsed, internal) &&
		secp256k1_xonly_pubkey_tweak_add(shared_context(), &point, &parsed, tweak) &&
		secp256k1_xonly_pubkey_from_pubkey(shared_context(), &output, parity, &point) &&
		secp256k1_xonly_pubkey_serialize(shared_context(), key, &output);
}

/* The internal secret is negated first if its point has an odd y, since BIP341 tweaks the x-only key; the library does
 * that within the keypair. */
bool schnorr_output_secret(uint8_t out[32], const uint8_t secret[32], const uint8_t *merkle_root)
{
	secp256k1_keypair pair;
	uint8_t internal[32];
	uint8_t tweak[32];
	bool ok = false;

	if (schnorr_key(internal, secret)) {
		output_tweak(tweak, internal, merkle_root);
		ok = secp256k1_keypair_create(shared_context(), &pair, secret) &&
			secp256k1_keypair_xonly_tweak_add(shared_context(), &pair, tweak) &&
			secp256k1_keypair_sec(shared_context(), out, &pair);
		wipe(&pair, sizeof pair);
	}
	return ok;
}

bool schnorr_tweak_check(const uint8_t key[32], int parity, const uint8_t internal[32], const uint8_t tweak[32])
{
	secp256k1_xonly_pubkey parsed;

	return secp256k1_xonly_pubkey_parse(shared_context(), &parsed, internal) &&
		secp256k1_xonly_pubkey_tweak_add_check(shared_context(), key, parity, &parsed, tweak);
}

static bool serialize_point(uint8_t public_key[33], const secp256k1_pubkey *point)
{
	size_t size = 33;

	return secp256k1_ec_pubkey_serialize(shared_context(), public_key, &size, point, SECP256K1_EC_COMPRESSED);
}

bool schnorr_public(uint8_t public_key[33], const uint8_t secret[32])
{
	secp256k1_pubkey point;

	return secp256k1_ec_pubkey_create(shared_context(), &point, secret) && serialize_point(public_key, &point);
}

bool schnorr_public_valid(const uint8_t public_key[33])
{
	secp256k1_pubkey point;

	return secp256k1_ec_pubkey_parse(shared_context(), &point, public_key, 33);
}

/* BIP32 without the private key. The sum is the point at infinity, or the tweak too large, in one of 2^127 cases: it
 * fails, and BIP32 takes the next index. */
bool schnorr_public_add(uint8_t public_key[33], const uint8_t tweak[32])
{
	secp256k1_pubkey point;

	return secp256k1_ec_pubkey_parse(shared_context(), &point, public_key, 33) &&
		secp256k1_ec_pubkey_tweak_add(shared_context(), &point, tweak) && serialize_point(public_key, &point);
}

bool schnorr_secret_valid(const uint8_t secret[32])
{
	return secp256k1_ec_seckey_verify(shared_context(), secret);
}

bool schnorr_secret_add(uint8_t secret[32], const uint8_t tweak[32])
{
	return secp256k1_ec_seckey_tweak_add(shared_context(), secret, tweak);
}
