/* Extended keys, words and taproot accounts: the vectors of BIP32, BIP39 and BIP86. */
#include "crypto/address.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "vectors.h"
#include "wallet/base58.h"
#include "wallet/bip32.h"
#include "wallet/bip39.h"

static void check_text(const struct bip32_key *key, const char *expected)
{
	char text[BIP32_TEXT_MAX + 1];
	struct bip32_key again;

	bip32_encode(text, key);
	assert_string_equal(text, expected);
	assert_true(bip32_decode(&again, text, NULL));
	assert_memory_equal(&again, key, sizeof again);
}

/* The public half, and, where the last step allows it, derived from the parent's public half too. */
static void check_public(const struct bip32_key *master, const struct bip32_key *key, const char *path,
	const char *expected)
{
	const char *last = strrchr(path, '/');
	struct bip32_key half = *key;
	struct bip32_key parent;
	char up[64];

	bip32_make_public(&half);
	check_text(&half, expected);
	if (last == NULL)
		return;
	snprintf(up, sizeof up, "%.*s", (int)(last - path), path);
	assert_true(bip32_derive(&parent, master, up, NULL));
	bip32_make_public(&parent);
	if (strchr(last, '\'') != NULL) {
		assert_false(bip32_child(&half, &parent, key->index));
		return;
	}
	assert_true(bip32_child(&half, &parent, key->index));
	check_text(&half, expected);
}

static void test_bip32(void **state)
{
	struct bip32_key master, key;
	size_t valid = 0, invalid = 0;
	struct vectors vectors;
	uint8_t seed[64];
	const char *text;

	(void)state;
	vectors_open(&vectors, "bip32.txt");
	while (vectors_next(&vectors)) {
		text = vectors_find(&vectors, "invalid", 0);
		if (text != NULL) {
			assert_false(bip32_decode(&key, text, NULL));
			invalid++;
			continue;
		}
		assert_true(bip32_master(&master, seed, vectors_bytes(&vectors, "seed", seed, sizeof seed)));
		text = vectors_text(&vectors, "path");
		assert_true(bip32_derive(&key, &master, text, NULL));
		check_text(&key, vectors_text(&vectors, "xprv"));
		check_public(&master, &key, text, vectors_text(&vectors, "xpub"));
		valid++;
	}
	assert_int_equal(valid, 17);
	assert_int_equal(invalid, 16);
}

static void test_paths(void **state)
{
	static const char *const wrong[] = { "", "n", "m/", "m0", "m/0/", "m//0", "m/2147483648", "m/-1", "m/0''",
		"m/x", "m/0'x", "m/99999999999999999999" };
	struct bip32_key master;
	struct bip32_key marked;
	struct bip32_key key;
	struct errmsg err;
	size_t i;

	(void)state;
	assert_true(bip32_master(&master, (const uint8_t *)"sixteen letters!", 16));
	for (i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(bip32_derive(&key, &master, wrong[i], NULL));
	assert_true(bip32_derive(&key, &master, "m/2147483647h/3", NULL));
	assert_true(bip32_derive(&marked, &master, "m/2147483647'/3", NULL));
	assert_memory_equal(&key, &marked, sizeof key);
	bip32_make_public(&master);
	assert_false(bip32_derive(&key, &master, "m/0'", &err));
	assert_non_null(strstr(err.text, "cannot be followed"));
	master.depth = 255;
	assert_false(bip32_child(&key, &master, 0));
}

static void test_bip39(void **state)
{
	char text[BIP32_TEXT_MAX + 1], words[BIP39_TEXT_MAX + 1];
	uint8_t entropy[BIP39_ENTROPY_MAX], seed[64];
	struct vectors vectors;
	struct bip32_key key;
	size_t size, count = 0;

	(void)state;
	for (vectors_open(&vectors, "bip39.txt"); vectors_next(&vectors); count++) {
		assert_true(bip39_decode(entropy, &size, vectors_text(&vectors, "words"), NULL));
		assert_hex(entropy, size, vectors_text(&vectors, "entropy"));
		assert_true(bip39_encode(words, entropy, size));
		assert_string_equal(words, vectors_text(&vectors, "words"));
		bip39_seed(seed, words, "TREZOR");
		assert_hex(seed, 64, vectors_text(&vectors, "seed"));
		assert_true(bip32_master(&key, seed, 64));
		bip32_encode(text, &key);
		assert_string_equal(text, vectors_text(&vectors, "xprv"));
	}
	assert_int_equal(count, 24);
}

/* By the digest of the published list, a word a line. */
static void test_word_list(void **state)
{
	uint8_t digest[32];
	struct sha256 hash;
	size_t i;

	(void)state;
	sha256_init(&hash);
	for (i = 0; i < 2048; i++) {
		sha256_update(&hash, bip39_words[i], strlen(bip39_words[i]));
		sha256_update(&hash, "\n", 1);
	}
	sha256_final(&hash, digest);
	assert_hex(digest, 32, "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda");
}

static void test_wrong_words(void **state)
{
#define ELEVEN "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
	static const char *const cases[][2] = {
		{ "", "0 words" },
		{ ELEVEN, "11 words" },
		{ ELEVEN "abandon", "checksum" },
		{ ELEVEN "About", "Word 12" },
		{ ELEVEN "abandonabandon", "Word 12" },
		{ ELEVEN ELEVEN ELEVEN, "more than 24" },
		{ ELEVEN "about about", "13 words" },
	};
	uint8_t entropy[BIP39_ENTROPY_MAX];
	char words[BIP39_TEXT_MAX + 1];
	struct errmsg err;
	size_t size;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_false(bip39_decode(entropy, &size, cases[i][0], &err));
		assert_non_null(strstr(err.text, cases[i][1]));
	}
	assert_true(bip39_decode(entropy, &size, "  " ELEVEN "\t\nabout ", &err));
	assert_int_equal(size, 16);
	assert_false(bip39_encode(words, entropy, 15));
	assert_false(bip39_encode(words, entropy, 36));
}

static void test_bip86(void **state)
{
	char address[BECH32_TEXT_MAX + 1];
	uint8_t output[32], seed[64], own[32];
	struct bip32_key master, key;
	struct vectors vectors;
	int count = 0;

	(void)state;
	for (vectors_open(&vectors, "bip86.txt"); vectors_next(&vectors); count++) {
		bip39_seed(seed, vectors_text(&vectors, "words"), "");
		assert_true(bip32_master(&master, seed, sizeof seed));
		check_text(&master, vectors_text(&vectors, "master"));
		assert_true(bip32_derive(&key, &master, vectors_text(&vectors, "path"), NULL));
		check_text(&key, vectors_text(&vectors, "xprv"));
		assert_hex(key.public_key + 1, 32, vectors_text(&vectors, "internal"));
		assert_true(schnorr_output_key(output, NULL, key.public_key + 1, NULL));
		assert_hex(output, 32, vectors_text(&vectors, "output"));
		assert_true(address_encode(address, "bc", 1, output, 32));
		assert_string_equal(address, vectors_text(&vectors, "address"));
		assert_true(schnorr_output_secret(seed, key.secret, NULL) && schnorr_key(own, seed));
		assert_memory_equal(own, output, 32);
	}
	assert_int_equal(count, 3);
}

static void test_base58(void **state)
{
	char text[BASE58_TEXT_MAX + 1];
	uint8_t data[BASE58_DATA_MAX];
	uint8_t again[BASE58_DATA_MAX];
	size_t size;

	(void)state;
	for (size = 0; size <= sizeof data; size++) {
		memset(data, 0, sizeof data);
		if (size > 3)
			memset(data + 3, 0xff, size - 3); /* leading zeros are digits of their own */
		base58_encode(text, data, size);
		assert_true(base58_decode(again, size, text));
		assert_memory_equal(again, data, size);
		assert_false(base58_decode(again, size + (size < sizeof data) - (size == sizeof data), text));
		text[strlen(text) - 1] = text[strlen(text) - 1] == '2' ? '3' : '2';
		assert_false(base58_decode(again, size, text));
		text[0] = '0';
		assert_false(base58_decode(again, size, text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bip32),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_bip39),
		cmocka_unit_test(test_word_list),
		cmocka_unit_test(test_wrong_words),
		cmocka_unit_test(test_bip86),
		cmocka_unit_test(test_base58),
	};

	return cmocka_run_group_tests_name("bip32", tests, NULL, NULL);
}
