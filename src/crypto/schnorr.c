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

static pthread_once_t schnorr_once = PTHREAD_ONCE_INIT;
static secp256k1_context *schnorr_shared;

/* Blinded with fresh randomness: one guard more against keys that leak by time or power. */
static void schnorr_create_shared(void)
{
	uint8_t blinding[32];

	schnorr_shared = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
	random_bytes(blinding, sizeof blinding);
	if (schnorr_shared == NULL || !secp256k1_context_randomize(schnorr_shared, blinding)) {
		fprintf(stderr, "libsecp256k1 cannot make a context\n");
		abort();
	}
	wipe(blinding, sizeof blinding);
}

static const secp256k1_context *schnorr_context(void)
{
	pthread_once(&schnorr_once, schnorr_create_shared);
	return schnorr_shared;
}

/* From any thread, as all that only reads the context. */
bool schnorr_verify_bytes(const uint8_t signature[64], const void *message, size_t message_size, const uint8_t key[32])
{
	secp256k1_xonly_pubkey parsed_key;

	return secp256k1_xonly_pubkey_parse(schnorr_context(), &parsed_key, key) &&
		secp256k1_schnorrsig_verify(schnorr_context(), signature, message, message_size, &parsed_key);
}

bool schnorr_verify(const uint8_t signature[64], const uint8_t message[32], const uint8_t key[32])
{
	return schnorr_verify_bytes(signature, message, 32, key);
}

/* `aux` is mixed into the nonce (BIP340): fresh randomness guards against faults and side channels; a signature is as
 * unforgeable with zeros. A secret that is 0 or not below the order fails. */
bool schnorr_sign(uint8_t signature[64], const uint8_t message[32], const uint8_t secret[32], const uint8_t aux[32])
{
	secp256k1_keypair key_pair;
	bool signed_well = secp256k1_keypair_create(schnorr_context(), &key_pair, secret) &&
		secp256k1_schnorrsig_sign32(schnorr_context(), signature, message, &key_pair, aux);

	wipe(&key_pair, sizeof key_pair);
	return signed_well;
}

bool schnorr_key(uint8_t key[32], const uint8_t secret[32])
{
	uint8_t compressed_key[33];

	if (!schnorr_public(compressed_key, secret))
		return false;
	memcpy(key, compressed_key + 1, 32);
	return true;
}

/* Half of all strings of 32 bytes are no point's x, and nobody can spend what is paid to such a key. */
bool schnorr_key_valid(const uint8_t key[32])
{
	secp256k1_xonly_pubkey parsed_key;

	return secp256k1_xonly_pubkey_parse(schnorr_context(), &parsed_key, key);
}

/* BIP341: without a script tree the key alone is hashed, which is not the same as with a root of zeros. */
static void schnorr_output_tweak(uint8_t tweak[32], const uint8_t internal_key[32], const uint8_t *merkle_root)
{
	uint8_t tweak_input[64];

	memcpy(tweak_input, internal_key, 32);
	if (merkle_root != NULL)
		memcpy(tweak_input + 32, merkle_root, 32);
	tagged_hash(tweak, "TapTweak", tweak_input, merkle_root != NULL ? 64 : 32);
}

bool schnorr_output_key(uint8_t key[32], int *parity, const uint8_t internal_key[32], const uint8_t *merkle_root)
{
	secp256k1_xonly_pubkey parsed_key;
	secp256k1_xonly_pubkey output_key;
	secp256k1_pubkey point;
	uint8_t tweak[32];

	schnorr_output_tweak(tweak, internal_key, merkle_root);
	return secp256k1_xonly_pubkey_parse(schnorr_context(), &parsed_key, internal_key) &&
		secp256k1_xonly_pubkey_tweak_add(schnorr_context(), &point, &parsed_key, tweak) &&
		secp256k1_xonly_pubkey_from_pubkey(schnorr_context(), &output_key, parity, &point) &&
		secp256k1_xonly_pubkey_serialize(schnorr_context(), key, &output_key);
}

/* The internal secret is negated first if its point has an odd y, since BIP341 tweaks the x-only key; the library does
 * that within the keypair. */
bool schnorr_output_secret(uint8_t output_secret[32], const uint8_t secret[32], const uint8_t *merkle_root)
{
	secp256k1_keypair key_pair;
	uint8_t internal_key[32];
	uint8_t tweak[32];
	bool tweaked = false;

	if (schnorr_key(internal_key, secret)) {
		schnorr_output_tweak(tweak, internal_key, merkle_root);
		tweaked = secp256k1_keypair_create(schnorr_context(), &key_pair, secret) &&
			secp256k1_keypair_xonly_tweak_add(schnorr_context(), &key_pair, tweak) &&
			secp256k1_keypair_sec(schnorr_context(), output_secret, &key_pair);
		wipe(&key_pair, sizeof key_pair);
	}
	return tweaked;
}

bool schnorr_tweak_check(const uint8_t key[32], int parity, const uint8_t internal_key[32], const uint8_t tweak[32])
{
	secp256k1_xonly_pubkey parsed_key;

	return secp256k1_xonly_pubkey_parse(schnorr_context(), &parsed_key, internal_key) &&
		secp256k1_xonly_pubkey_tweak_add_check(schnorr_context(), key, parity, &parsed_key, tweak);
}

static bool schnorr_serialize_point(uint8_t public_key[33], const secp256k1_pubkey *point)
{
	size_t point_size = 33;

	return secp256k1_ec_pubkey_serialize(schnorr_context(), public_key, &point_size, point,
		SECP256K1_EC_COMPRESSED);
}

bool schnorr_public(uint8_t public_key[33], const uint8_t secret[32])
{
	secp256k1_pubkey point;

	return secp256k1_ec_pubkey_create(schnorr_context(), &point, secret) &&
		schnorr_serialize_point(public_key, &point);
}

bool schnorr_public_valid(const uint8_t public_key[33])
{
	secp256k1_pubkey point;

	return secp256k1_ec_pubkey_parse(schnorr_context(), &point, public_key, 33);
}

/* BIP32 without the private key. The sum is the point at infinity, or the tweak too large, in one of 2^127 cases: it
 * fails, and BIP32 takes the next index. */
bool schnorr_public_add(uint8_t public_key[33], const uint8_t tweak[32])
{
	secp256k1_pubkey point;

	return secp256k1_ec_pubkey_parse(schnorr_context(), &point, public_key, 33) &&
		secp256k1_ec_pubkey_tweak_add(schnorr_context(), &point, tweak) &&
		schnorr_serialize_point(public_key, &point);
}

bool schnorr_secret_valid(const uint8_t secret[32])
{
	return secp256k1_ec_seckey_verify(schnorr_context(), secret);
}

bool schnorr_secret_add(uint8_t secret[32], const uint8_t tweak[32])
{
	return secp256k1_ec_seckey_tweak_add(schnorr_context(), secret, tweak);
}
