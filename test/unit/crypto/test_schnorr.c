/* Keys and signatures: the vectors of BIP340 and of BIP341. */
#include "crypto/schnorr.h"
#include "vectors.h"

static void check_bip340(const struct vectors *vectors)
{
	bool valid = strcmp(vectors_text(vectors, "valid"), "yes") == 0;
	uint8_t message[256], signature[64], made[64], secret[32], derived[32], key[32], aux[32];
	size_t size = 0;

	if (vectors_find(vectors, "message", 0) != NULL)
		size = vectors_bytes(vectors, "message", message, sizeof message);
	assert_int_equal(vectors_bytes(vectors, "key", key, 32), 32);
	assert_int_equal(vectors_bytes(vectors, "signature", signature, 64), 64);
	assert_int_equal(schnorr_verify_bytes(signature, message, size, key), valid);
	if (size != 32)
		return;
	assert_int_equal(schnorr_verify(signature, message, key), valid);
	if (vectors_find(vectors, "secret", 0) == NULL)
		return;
	assert_int_equal(vectors_bytes(vectors, "secret", secret, 32), 32);
	assert_int_equal(vectors_bytes(vectors, "aux", aux, 32), 32);
	assert_true(schnorr_key(derived, secret));
	assert_memory_equal(derived, key, 32);
	assert_true(schnorr_sign(made, message, secret, aux));
	assert_memory_equal(made, signature, 64);
}

static void test_bip340(void **state)
{
	struct vectors vectors;
	int count = 0;

	(void)state;
	for (vectors_open(&vectors, "bip340.txt"); vectors_next(&vectors); count++)
		check_bip340(&vectors);
	assert_int_equal(count, 19);
}

/* The record's root of scripts; NULL if it has none. */
static const uint8_t *merkle_of(const struct vectors *vectors, uint8_t merkle[32])
{
	if (vectors_find(vectors, "merkle", 0) == NULL)
		return NULL;
	assert_int_equal(vectors_bytes(vectors, "merkle", merkle, 32), 32);
	return merkle;
}

static void test_bip341_outputs(void **state)
{
	uint8_t internal[32], merkle[32], tweak[32], key[32];
	struct vectors vectors;
	int parity, count = 0;

	(void)state;
	for (vectors_open(&vectors, "bip341-outputs.txt"); vectors_next(&vectors); count++) {
		assert_int_equal(vectors_bytes(&vectors, "internal", internal, 32), 32);
		assert_true(schnorr_output_key(key, &parity, internal, merkle_of(&vectors, merkle)));
		assert_hex(key, 32, vectors_text(&vectors, "output"));
		assert_int_equal(vectors_bytes(&vectors, "tweak", tweak, 32), 32);
		assert_true(schnorr_tweak_check(key, parity, internal, tweak));
		assert_false(schnorr_tweak_check(key, !parity, internal, tweak));
		tweak[31] ^= 1;
		assert_false(schnorr_tweak_check(key, parity, internal, tweak));
	}
	assert_int_equal(count, 7);
}

static void test_bip341_secrets(void **state)
{
	uint8_t merkle[32], secret[32];
	struct vectors vectors;
	int count = 0;

	(void)state;
	vectors_open(&vectors, "bip341-spends.txt");
	assert_true(vectors_next(&vectors)); /* the transaction */
	for (; vectors_next(&vectors); count++) {
		assert_int_equal(vectors_bytes(&vectors, "secret", secret, 32), 32);
		assert_true(schnorr_output_secret(secret, secret, merkle_of(&vectors, merkle)));
		assert_hex(secret, 32, vectors_text(&vectors, "tweaked"));
	}
	assert_int_equal(count, 7);
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
