/* Extended keys, words and taproot accounts: the vectors of BIP32, BIP39 and BIP86. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/address.h"
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
	json_t *root = vectors_json("bip32.json");
	struct bip32_key master;
	struct bip32_key key;
	uint8_t seed[64];
	const char *path;
	json_t *chain;
	json_t *entry;
	size_t size;
	size_t i;
	size_t j;

	(void)state;
	json_array_foreach(json_object_get(root, "valid"), i, entry) {
		size = strlen(vectors_text(entry, "seed")) / 2;
		assert_true(hex_decode(seed, size, vectors_text(entry, "seed")));
		assert_true(bip32_master(&master, seed, size));
		json_array_foreach(json_object_get(entry, "chains"), j, chain) {
			path = vectors_text(chain, "path");
			assert_true(bip32_derive(&key, &master, path, NULL));
			check_text(&key, vectors_text(chain, "xprv"));
			check_public(&master, &key, path, vectors_text(chain, "xpub"));
		}
	}
	json_array_foreach(json_object_get(root, "invalid"), i, entry)
		assert_false(bip32_decode(&key, vectors_text(entry, "key"), NULL));
	json_decref(root);
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
	json_t *root = vectors_json("bip39-english.json");
	char text[BIP32_TEXT_MAX + 1];
	char words[BIP39_TEXT_MAX + 1];
	uint8_t entropy[BIP39_ENTROPY_MAX];
	struct bip32_key key;
	const char *fields[4];
	uint8_t seed[64];
	json_t *entry;
	size_t size;
	size_t i;
	size_t j;

	(void)state;
	json_array_foreach(root, i, entry) {
		for (j = 0; j < 4; j++)
			fields[j] = json_string_value(json_array_get(entry, j));
		assert_true(bip39_decode(entropy, &size, fields[1], NULL));
		assert_hex(entropy, size, fields[0]);
		assert_true(bip39_encode(words, entropy, size));
		assert_string_equal(words, fields[1]);
		bip39_seed(seed, words, "TREZOR");
		assert_hex(seed, 64, fields[2]);
		assert_true(bip32_master(&key, seed, 64));
		bip32_encode(text, &key);
		assert_string_equal(text, fields[3]);
	}
	assert_true(i >= 24);
	json_decref(root);
}

static void test_word_list(void **state)
{
	FILE *file = vectors_open("bip39-english.txt");
	char line[32];
	size_t i;

	(void)state;
	for (i = 0; fgets(line, sizeof line, file) != NULL; i++) {
		line[strcspn(line, "\n")] = 0;
		assert_true(i < 2048);
		assert_string_equal(bip39_words[i], line);
	}
	assert_int_equal(i, 2048);
	fclose(file);
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
	json_t *root = vectors_json("bip86.json");
	char address[BECH32_TEXT_MAX + 1];
	struct bip32_key master;
	struct bip32_key key;
	uint8_t output[32];
	uint8_t seed[64];
	uint8_t own[32];
	json_t *entry;
	size_t i;

	(void)state;
	bip39_seed(seed, vectors_text(root, "mnemonic"), "");
	assert_true(bip32_master(&master, seed, sizeof seed));
	check_text(&master, vectors_text(root, "rootpriv"));
	json_array_foreach(json_object_get(root, "addresses"), i, entry) {
		assert_true(bip32_derive(&key, &master, vectors_text(entry, "path"), NULL));
		check_text(&key, vectors_text(entry, "xprv"));
		assert_hex(key.public_key + 1, 32, vectors_text(entry, "internal_key"));
		assert_true(schnorr_output_key(output, NULL, key.public_key + 1, NULL));
		assert_hex(output, 32, vectors_text(entry, "output_key"));
		assert_true(address_encode(address, "bc", 1, output, 32));
		assert_string_equal(address, vectors_text(entry, "address"));
		assert_true(schnorr_output_secret(seed, key.secret, NULL) && schnorr_key(own, seed));
		assert_memory_equal(own, output, 32);
	}
	assert_true(i >= 3);
	json_decref(root);
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
