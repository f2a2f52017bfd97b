/* Keys and signatures: the vectors of BIP340 and of BIP341. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/schnorr.h"
#include "vectors.h"

/* Cuts a line of comma-separated values in place. */
static int cut(char *line, char **fields, int max)
{
	int count = 0;

	line[strcspn(line, "\r\n")] = 0;
	while (count < max) {
		fields[count++] = line;
		line = strchr(line, ',');
		if (line == NULL)
			break;
		*line++ = 0;
	}
	return count;
}

static void check_bip340(char **fields)
{
	size_t size = strlen(fields[4]) / 2;
	bool valid = strcmp(fields[6], "TRUE") == 0;
	uint8_t message[256];
	uint8_t signature[64];
	uint8_t made[64];
	uint8_t secret[32];
	uint8_t derived[32];
	uint8_t key[32];
	uint8_t aux[32];

	assert_true(size <= sizeof message && hex_decode(message, size, fields[4]));
	assert_true(hex_decode(key, 32, fields[2]) && hex_decode(signature, 64, fields[5]));
	assert_int_equal(schnorr_verify_bytes(signature, message, size, key), valid);
	if (size != 32)
		return;
	assert_int_equal(schnorr_verify(signature, message, key), valid);
	if (fields[1][0] == 0)
		return;
	assert_true(hex_decode(secret, 32, fields[1]) && hex_decode(aux, 32, fields[3]));
	assert_true(schnorr_key(derived, secret));
	assert_memory_equal(derived, key, 32);
	assert_true(schnorr_sign(made, message, secret, aux));
	assert_memory_equal(made, signature, 64);
}

static void test_bip340(void **state)
{
	FILE *file = vectors_open("bip-0340/test-vectors.csv");
	char line[2048];
	char *fields[8];
	int count = 0;

	(void)state;
	assert_non_null(fgets(line, sizeof line, file));
	for (; fgets(line, sizeof line, file) != NULL; count++) {
		assert_int_equal(cut(line, fields, 8), 8);
		check_bip340(fields);
	}
	assert_int_equal(count, 19);
	fclose(file);
}

static void test_bip341_outputs(void **state)
{
	json_t *root = vectors_json("bip-0341/wallet-test-vectors.json");
	uint8_t internal[32];
	uint8_t merkle[32];
	uint8_t tweak[32];
	uint8_t key[32];
	const char *merkle_text;
	json_t *entry;
	json_t *steps;
	int parity;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "scriptPubKey"), i, entry) {
		steps = json_object_get(entry, "intermediary");
		merkle_text = json_string_value(json_object_get(steps, "merkleRoot"));
		assert_true(hex_decode(internal, 32, vectors_text(json_object_get(entry, "given"), "internalPubkey")));
		assert_true(merkle_text == NULL || hex_decode(merkle, 32, merkle_text));
		assert_true(schnorr_output_key(key, &parity, internal, merkle_text ? merkle : NULL));
		assert_hex(key, 32, vectors_text(steps, "tweakedPubkey"));
		assert_true(hex_decode(tweak, 32, vectors_text(steps, "tweak")));
		assert_true(schnorr_tweak_check(key, parity, internal, tweak));
		assert_false(schnorr_tweak_check(key, !parity, internal, tweak));
		tweak[31] ^= 1;
		assert_false(schnorr_tweak_check(key, parity, internal, tweak));
	}
	assert_true(i >= 7);
	json_decref(root);
}

static void test_bip341_secrets(void **state)
{
	json_t *root = vectors_json("bip-0341/wallet-test-vectors.json");
	json_t *spends = json_object_get(json_array_get(json_object_get(root, "keyPathSpending"), 0), "inputSpending");
	const char *merkle_text;
	uint8_t merkle[32];
	uint8_t secret[32];
	json_t *entry;
	size_t i;

	(void)state;
	json_array_foreach(spends, i, entry) {
		merkle_text = json_string_value(json_object_get(json_object_get(entry, "given"), "merkleRoot"));
		assert_true(hex_decode(secret, 32, vectors_text(json_object_get(entry, "given"), "internalPrivkey")));
		assert_true(merkle_text == NULL || hex_decode(merkle, 32, merkle_text));
		assert_true(schnorr_output_secret(secret, secret, merkle_text ? merkle : NULL));
		assert_hex(secret, 32, vectors_text(json_object_get(entry, "intermediary"), "tweakedPrivkey"));
	}
	assert_true(i >= 7);
	json_decref(root);
}

static void test_key_ranges(void **state)
{
	uint8_t order[32];
	uint8_t secret[32] = { 0 };
	uint8_t out[64];
	uint8_t public_key[33];

	(void)state;
	assert_true(hex_decode(order, 32, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
	assert_false(schnorr_key(out, secret));
	assert_false(schnorr_secret_valid(secret));
	assert_false(schnorr_sign(out, order, secret, order));
	assert_false(schnorr_output_secret(out, secret, NULL));
	assert_false(schnorr_public(public_key, order));
	assert_false(schnorr_secret_valid(order));
	order[31]--;
	assert_true(schnorr_secret_valid(order));
	secret[31] = 1;
	assert_true(schnorr_public(public_key, secret));
	assert_hex(public_key, 33, "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
	assert_true(schnorr_public_valid(public_key));
	assert_true(schnorr_public_add(public_key, secret));
	assert_hex(public_key, 33, "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5");
	assert_false(schnorr_secret_add(secret, order)); /* 1 + (n - 1) is no key */
	public_key[0] = 5;
	assert_false(schnorr_public_valid(public_key));
	memset(out, 0xff, 32);
	assert_false(schnorr_key_valid(out));
	assert_true(schnorr_key_valid(public_key + 1));
	assert_false(schnorr_output_key(secret, NULL, out, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bip340),
		cmocka_unit_test(test_bip341_outputs),
		cmocka_unit_test(test_bip341_secrets),
		cmocka_unit_test(test_key_ranges),
	};

	return cmocka_run_group_tests_name("schnorr", tests, NULL, NULL);
}
