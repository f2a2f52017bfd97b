/* Hashes, Merkle trees, Philox, key derivation and encryption, against published answers. */
#include <pthread.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/merkle.h"
#include "crypto/philox.h"
#include "crypto/siphash.h"
#include "crypto/wipe.h"
#include "util/mem.h"
#include "vectors.h"

static void test_sha256(void **state)
{
	uint8_t out[64];
	uint8_t piece[32];
	struct sha256 hash;

	(void)state;
	sha256(out, "abc", 3); /* FIPS 180-4 */
	assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256(out, NULL, 0);
	assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256d(out, "hello", 5);
	assert_hex(out, 32, "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50");
	sha256_init(&hash);
	sha256_update(&hash, "a", 1);
	sha256_update(&hash, "", 0);
	sha256(piece, "between", 7); /* another hash in the same thread does not disturb this one */
	sha256_update(&hash, "bc", 2);
	sha256_final(&hash, out);
	assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_init(&hash);
	sha256_update(&hash, "hello", 5);
	sha256_final_double(&hash, out);
	assert_hex(out, 32, "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50");
	sha256_init(&hash);
	sha256_clear(&hash);
	assert_null(hash.context);
}

static void test_other_digests(void **state)
{
	uint8_t out[64];
	uint8_t key[33];

	(void)state;
	ripemd160(out, "abc", 3); /* the authors' page */
	assert_hex(out, 20, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc");
	assert_true(hex_decode(key, 33, "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"));
	hash160(out, key, 33); /* the public key of secret 1; the program of BIP173's example address */
	assert_hex(out, 20, "751e76e8199196d454941c45d1b3a323f1433bd6");
	hmac_sha512(out, "Jefe", 4, "what do ya want for nothing?", 28); /* RFC 4231, case 2 */
	assert_hex(out, 64,
		"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
		"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
}

/* The paper's appendix, and the authors' vectors: key and message count up from 0. */
static void test_siphash(void **state)
{
	uint8_t key[16], message[16];
	static const uint8_t no_key[16];

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		key[i] = message[i] = i;
	assert_true(siphash(key, message, 15) == 0xa129ca6149be45e5);
	assert_true(siphash(key, message, 0) == 0x726fdb47dd0e0e31);
	assert_true(siphash(key, message, 1) == 0x74f839c593dc67fd);
	assert_true(siphash(key, message, 8) == 0x93f5f5799a932462);
	assert_true(siphash_string(message) == siphash(no_key, message, 16));
}

static void test_tagged_hash(void **state)
{
	uint8_t prefix[64 + 3];
	uint8_t direct[32];
	uint8_t out[32];
	struct sha256 hash;

	(void)state;
	sha256(prefix, "TapLeaf", 7);
	memcpy(prefix + 32, prefix, 32);
	memcpy(prefix + 64, "xyz", 3);
	sha256(direct, prefix, sizeof prefix);
	tagged_hash(out, "TapLeaf", "xyz", 3);
	assert_memory_equal(out, direct, 32);
	sha256_init_tagged(&hash, "TapLeaf");
	sha256_update(&hash, "xy", 2);
	sha256_update(&hash, "z", 1);
	sha256_final(&hash, out);
	assert_memory_equal(out, direct, 32);
}

static void *hash_much(void *arg)
{
	uint8_t *out = arg;
	int i;

	memset(out, 0, 32);
	for (i = 0; i < 2000; i++)
		sha256(out, out, 32);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	uint8_t outs[5][32];
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_much, outs[i]), 0);
	hash_much(outs[4]);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_memory_equal(outs[i], outs[4], 32);
	}
}

/* The rule as it is written down: level by level. */
static void merkle_by_levels(uint8_t root[32], uint8_t (*hashes)[32], size_t count)
{
	uint8_t joined[65];
	size_t i;

	joined[0] = 1;
	for (; count > 1; count = (count + 1) / 2)
		for (i = 0; i < count; i += 2) {
			memcpy(joined + 1, hashes[i], 32);
			if (i + 1 < count) {
				memcpy(joined + 33, hashes[i + 1], 32);
				sha256(hashes[i / 2], joined, sizeof joined);
			} else {
				memmove(hashes[i / 2], hashes[i], 32);
			}
		}
	memcpy(root, hashes[0], 32);
}

static void test_merkle_root(void **state)
{
	uint8_t items[40][32];
	uint8_t hashes[40][32];
	uint8_t expected[32];
	uint8_t leaf[33];
	uint8_t root[32];
	size_t count;
	size_t i;

	(void)state;
	merkle_root(root, NULL, 0);
	assert_hex(root, 32, "0000000000000000000000000000000000000000000000000000000000000000");
	for (i = 0; i < 40; i++)
		sha256(items[i], &i, sizeof i);
	for (count = 1; count <= 40; count++) {
		leaf[0] = 0;
		for (i = 0; i < count; i++) {
			memcpy(leaf + 1, items[i], 32);
			sha256(hashes[i], leaf, sizeof leaf);
		}
		merkle_by_levels(expected, hashes, count);
		merkle_root(root, items[0], count);
		assert_memory_equal(root, expected, 32);
	}
}

static void test_merkle_pages(void **state)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 65, 127, 128, 129, 32, 1000 };
	uint8_t hashes[16][32];
	uint8_t expected[32];
	uint8_t data[1000];
	uint8_t page[65];
	uint8_t root[32];
	size_t count;
	size_t take;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7);
	for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(expected, 0, 32);
		page[0] = 0;
		for (count = 0; count * 64 < sizes[i]; count++) {
			take = sizes[i] - count * 64 < 64 ? sizes[i] - count * 64 : 64;
			memcpy(page + 1, data + count * 64, take);
			sha256(hashes[count], page, 1 + take);
		}
		if (count > 0)
			merkle_by_levels(expected, hashes, count);
		merkle_root_pages(root, data, sizes[i], 64);
		assert_memory_equal(root, expected, 32);
	}
}

/* Random123's known answers for philox4x32 with 10 rounds. */
static void test_philox(void **state)
{
	static const uint32_t cases[3][10] = {
		{ 0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
		{ 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
			0xa20bc7c6, 0x6d5451fd },
		{ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
			0x5001e420, 0x24126ea1 },
	};
	uint32_t out[4];
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		philox4x32(out, cases[i], cases[i] + 4);
		assert_memory_equal(out, cases[i] + 6, sizeof out);
	}
}

static void test_kdf(void **state)
{
	uint8_t out[64];

	(void)state;
	/* RFC 7914, section 12 */
	assert_true(kdf_scrypt(out, 64, "password", (const uint8_t *)"NaCl", 4, 1024, 8, 16));
	assert_hex(out, 64,
		"fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
		"2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
	assert_true(kdf_scrypt(out, 64, "", (const uint8_t *)"", 0, 16, 1, 1));
	assert_hex(out, 64,
		"77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
		"fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
	assert_false(kdf_scrypt(out, 64, "password", (const uint8_t *)"NaCl", 4, 1000, 8, 16));
	assert_false(kdf_scrypt(out, 64, "password", (const uint8_t *)"NaCl", 4, 1 << 24, 8, 1));
	assert_true(kdf_pbkdf2_sha512(out, 64, "password", (const uint8_t *)"salt", 4, 2));
	assert_hex(out, 64,
		"e1d9c16aa681708a45f5c7c4e215ceb66e011a2e9f0040713f18aefdb866d53c"
		"f76cab2868a39b9f7840edce4fef5a82be67335c77a6068e04112754f27ccf4e");
}

static void test_aead(void **state)
{
	uint8_t key[32] = { 0 };
	uint8_t sealed[16 + AEAD_OVERHEAD] = { 0 };
	uint8_t again[16 + AEAD_OVERHEAD];
	uint8_t plain[16];
	size_t i;

	(void)state;
	/* Test case 14 of the GCM specification: all zero */
	assert_true(hex_decode(sealed + 12, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"));
	memset(plain, 1, sizeof plain);
	assert_true(aead_open(plain, key, sealed, sizeof sealed, NULL, 0));
	assert_hex(plain, 16, "00000000000000000000000000000000");
	assert_false(aead_open(plain, key, sealed, AEAD_OVERHEAD - 1, NULL, 0));

	aead_seal(sealed, key, "sixteen letters!", 16, "name", 4);
	aead_seal(again, key, "sixteen letters!", 16, "name", 4);
	assert_memory_not_equal(sealed, again, 12);
	assert_true(aead_open(plain, key, sealed, sizeof sealed, "name", 4));
	assert_memory_equal(plain, "sixteen letters!", 16);
	assert_false(aead_open(plain, key, sealed, sizeof sealed, "nome", 4));
	assert_hex(plain, 16, "00000000000000000000000000000000");
	for (i = 0; i < sizeof sealed; i++) {
		sealed[i] ^= 0x10;
		assert_false(aead_open(plain, key, sealed, sizeof sealed, "name", 4));
		sealed[i] ^= 0x10;
	}
	key[31] = 1;
	assert_false(aead_open(plain, key, sealed, sizeof sealed, "name", 4));
}

static void test_wipe(void **state)
{
	char text[] = "secret";

	(void)state;
	wipe_text(NULL);
	wipe_text(text);
	assert_memory_equal(text, "\0\0\0\0\0\0", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_other_digests),
		cmocka_unit_test(test_siphash),
		cmocka_unit_test(test_tagged_hash),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_merkle_root),
		cmocka_unit_test(test_merkle_pages),
		cmocka_unit_test(test_philox),
		cmocka_unit_test(test_kdf),
		cmocka_unit_test(test_aead),
		cmocka_unit_test(test_wipe),
	};

	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
