/* Key-path spends against the vectors of BIP341 and of Bitcoin Core. */
#include <jansson.h>

#include "consensus/change.h"
#include "consensus/sighash.h"
#include "crypto/schnorr.h"
#include "util/mem.h"
#include "vectors.h"

static struct bytes from_hex(const char *hex)
{
	struct bytes bytes = { mem_alloc(strlen(hex) / 2), strlen(hex) / 2 };

	assert_true(hex_decode(bytes.data, bytes.size, hex));
	return bytes;
}

static const struct tx *parse_tx(const char *hex)
{
	struct bytes raw = from_hex(hex);
	struct reader reader;
	const struct tx *tx;

	reader_init(&reader, raw.data, raw.size);
	tx = tx_read(&reader);
	assert_non_null(tx);
	assert_true(reader_done(&reader));
	free(raw.data);
	return tx;
}

static void free_outputs(struct tx_output *outputs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(outputs[i].script.data);
	free(outputs);
}

/* === BIP341 === */

static void check_wallet_input(const struct vectors *vectors, struct sighash_cache *cache, const struct tx *signed_tx)
{
	static const uint8_t aux[32];
	const char *want = vectors_text(vectors, "witness");
	size_t input = strtoul(vectors_text(vectors, "input"), NULL, 10);
	uint8_t hash_type = (uint8_t)strtoul(vectors_text(vectors, "type"), NULL, 10);
	uint8_t hash[32], signature[65] = { [64] = hash_type }, secret[32];
	struct reject reject;

	assert_true(sighash_taproot(cache, input, hash_type, NULL, hash));
	assert_hex(hash, 32, vectors_text(vectors, "hash"));
	assert_int_equal(vectors_bytes(vectors, "tweaked", secret, 32), 32);
	assert_true(schnorr_sign(signature, hash, secret, aux));
	assert_hex(signature, hash_type ? 65 : 64, want);
	assert_hex(signed_tx->inputs[input].witness[0].data, signed_tx->inputs[input].witness[0].size, want);
	cache->tx = signed_tx;
	if (!sighash_verify_input(cache, input, &reject))
		fail_msg("%s: %s", reject.reason, reject.detail);
}

/* The outputs that the record's transaction spends, for free_outputs. */
static struct tx_output *read_spent(const struct vectors *vectors, size_t count)
{
	struct tx_output *spent = mem_calloc(count, sizeof *spent);
	const char *text;
	char *script;
	size_t i;

	for (i = 0; (text = vectors_find(vectors, "spent", i)) != NULL; i++) {
		assert_true(i < count);
		spent[i].amount = strtoll(text, &script, 10);
		spent[i].script = from_hex(script + 1);
	}
	assert_int_equal(i, count);
	return spent;
}

static void test_wallet_vectors(void **state)
{
	const struct tx *tx, *signed_tx;
	struct sighash_cache cache;
	struct vectors vectors;
	struct tx_output *spent;
	size_t inputs = 0;

	(void)state;
	vectors_open(&vectors, "bip341-spends.txt");
	assert_true(vectors_next(&vectors));
	tx = parse_tx(vectors_text(&vectors, "unsigned"));
	signed_tx = parse_tx(vectors_text(&vectors, "signed"));
	spent = read_spent(&vectors, tx->input_count);
	sighash_init(&cache, tx, spent);
	assert_hex(cache.amounts, 32, vectors_text(&vectors, "amounts"));
	assert_hex(cache.outputs, 32, vectors_text(&vectors, "outputs"));
	assert_hex(cache.prevouts, 32, vectors_text(&vectors, "prevouts"));
	assert_hex(cache.scripts, 32, vectors_text(&vectors, "scripts"));
	assert_hex(cache.sequences, 32, vectors_text(&vectors, "sequences"));
	for (; vectors_next(&vectors); inputs++) {
		sighash_init(&cache, tx, spent);
		check_wallet_input(&vectors, &cache, signed_tx);
	}
	assert_int_equal(inputs, 7);
	free_outputs(spent, tx->input_count);
	tx_unref(tx);
	tx_unref(signed_tx);
}

/* === Bitcoin Core === */

static json_t *parse_json(const char *text)
{
	json_error_t err;
	json_t *json = json_loads(text, 0, &err);

	if (json == NULL)
		fail_msg("%s", err.text);
	return json;
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	assert_non_null(text);
	return text;
}

/* The lines of its spends, the caller's. They are many, so they lie outside the repository, beside the source folder;
 * the test is skipped where they do not. */
static char *read_spends(void)
{
	const char *source = getenv("ATELIER_SRCDIR");
	char path[1024];
	struct errmsg err;
	struct buf text;

	snprintf(path, sizeof path, "%s/../shared/vectors/taproot-spends.jsonl", source != NULL ? source : ".");
	if (!file_exists(path)) {
		print_message("# skipped: there is no %s\n", path);
		skip();
	}
	buf_init(&text);
	if (!file_read(path, 16 << 20, &text, &err))
		fail_msg("%s", err.text);
	return buf_take_text(&text);
}

struct spend_counts {
	size_t key_success, key_failure, other;
};

/* One witness of a line of taproot-spends.jsonl. BIP341: a key-path spend has one element besides the annex. */
static void check_spend(const json_t *line, const char *which, struct tx *tx, const struct tx_output *spent,
	struct spend_counts *counts)
{
	const json_t *witness = json_object_get(json_object_get(line, which), "witness");
	size_t index = (size_t)json_integer_value(json_object_get(line, "index")), elements;
	struct tx_input *input = &tx->inputs[index];
	bool want = strcmp(which, "success") == 0, ok;
	struct sighash_cache cache;
	struct reject reject = { .reason = "none" };

	if (witness == NULL)
		return;
	tx_set_witness(tx, index, NULL, 0);
	input->witness_count = json_array_size(witness);
	input->witness = mem_realloc(input->witness, input->witness_count * sizeof *input->witness);
	for (size_t i = 0; i < input->witness_count; i++)
		input->witness[i] = from_hex(json_string_value(json_array_get(witness, i)));
	elements = input->witness_count;
	if (elements >= 2 && input->witness[elements - 1].size && input->witness[elements - 1].data[0] == 0x50)
		elements--;
	sighash_init(&cache, tx, spent);
	ok = sighash_verify_input(&cache, index, &reject);
	if (elements == 1) {
		if (ok != want)
			fail_msg("%s, %s: %s", text_at(line, "comment"), which, reject.reason);
		*(want ? &counts->key_success : &counts->key_failure) += 1;
	} else {
		assert_false(ok);
		assert_string_equal(reject.reason, elements ? "bad-txns-scriptpath" : "bad-txns-witness");
		counts->other++;
	}
}

static void check_line(const char *text, struct spend_counts *counts)
{
	json_t *line = parse_json(text), *item;
	struct tx *tx = change_open(parse_tx(text_at(line, "tx")));
	struct tx_output *spent = mem_calloc(tx->input_count, sizeof *spent);
	size_t i;

	json_array_foreach(json_object_get(line, "prevouts"), i, item) {
		struct bytes raw = from_hex(json_string_value(item));
		struct reader reader;

		reader_init(&reader, raw.data, raw.size);
		spent[i].amount = (int64_t)reader_le64(&reader);
		spent[i].script.size = reader_compact(&reader);
		spent[i].script.data = mem_dup(reader_bytes(&reader, spent[i].script.size), spent[i].script.size);
		assert_true(reader_done(&reader));
		free(raw.data);
	}
	assert_int_equal(i, tx->input_count);
	check_spend(line, "success", tx, spent, counts);
	check_spend(line, "failure", tx, spent, counts);
	free_outputs(spent, tx->input_count);
	tx_unref(tx);
	json_decref(line);
}

static void test_taproot_spends(void **state)
{
	char *text = read_spends(), *line, *rest;
	struct spend_counts counts = { 0 };

	(void)state;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		check_line(line, &counts);
	assert_int_equal(counts.key_success, 120);
	assert_int_equal(counts.key_failure, 120);
	assert_int_equal(counts.other, 1642);
	free(text);
}

/* === The forms of a witness === */

static const uint8_t secret[32] = { [31] = 3 };

/* One input of two, signed with the hash type over the annex (NULL: none); the signature has `size` bytes. */
static void sign(struct tx *tx, struct sighash_cache *cache, uint8_t hash_type, size_t size, const struct bytes *annex)
{
	static const uint8_t aux[32];
	uint8_t hash[32], signature[66] = { [64] = hash_type };

	assert_true(sighash_taproot(cache, 0, hash_type, annex, hash));
	assert_true(schnorr_sign(signature, hash, secret, aux));
	tx_set_witness(tx, 0, signature, size);
	if (annex != NULL) {
		tx->inputs[0].witness = mem_realloc(tx->inputs[0].witness, 2 * sizeof(struct bytes));
		tx->inputs[0].witness[1] = (struct bytes){ mem_dup(annex->data, annex->size), annex->size };
		tx->inputs[0].witness_count = 2;
	}
}

static const char *verdict(const struct sighash_cache *cache)
{
	static struct reject reject;

	return sighash_verify_input(cache, 0, &reject) ? "valid" : reject.reason;
}

static void test_witness_forms(void **state)
{
	static const uint8_t types[] = { 0x01, 0x02, 0x03, 0x81, 0x82, 0x83 };
	struct bytes annex = { (uint8_t *)"\x50"
					  "abc",
		4 };
	struct tx_output spent[2] = { { 7, { mem_calloc(1, 34), 34 } }, { 8, { mem_calloc(1, 34), 34 } } };
	struct tx *tx = tx_new();
	struct sighash_cache cache;
	uint8_t hash[32], key[32];
	struct reject reject;

	(void)state;
	assert_true(schnorr_key(key, secret));
	script_p2tr(spent[0].script.data, key);
	script_p2tr(spent[1].script.data, key);
	for (size_t i = 0; i < 2; i++)
		tx_add_input(tx, &(struct outpoint){ { 1 }, (uint32_t)i }, 5);
	tx_add_output(tx, 1, spent[0].script.data, 34);
	sighash_init(&cache, tx, spent);
	sign(tx, &cache, 0, 64, NULL);
	assert_string_equal(verdict(&cache), "valid");
	assert_false(sighash_verify(tx, spent, &reject)); /* the other input has no witness */
	assert_string_equal(reject.reason, "bad-txns-witness");
	for (size_t i = 0; i < sizeof types; i++) {
		sign(tx, &cache, types[i], 65, NULL);
		assert_string_equal(verdict(&cache), "valid");
		sign(tx, &cache, types[i], 65, &annex);
		assert_string_equal(verdict(&cache), "valid");
		tx->inputs[0].witness[1].data[3]++;
		assert_string_equal(verdict(&cache), "bad-txns-signature");
		tx->inputs[0].witness[1].data[0]++; /* no annex any more, but a script path */
		assert_string_equal(verdict(&cache), "bad-txns-scriptpath");
	}
	sign(tx, &cache, 0, 65, NULL); /* the default type written out */
	assert_string_equal(verdict(&cache), "bad-txns-signature");
	sign(tx, &cache, 1, 64, NULL); /* a type left out */
	assert_string_equal(verdict(&cache), "bad-txns-signature");
	for (size_t size = 0; size <= 66; size += size == 0 ? 63 : 3) {
		sign(tx, &cache, 0, size, NULL);
		assert_string_equal(verdict(&cache), "bad-txns-witness");
	}
	for (unsigned type = 0; type < 256; type++)
		assert_int_equal(sighash_taproot(&cache, 0, (uint8_t)type, NULL, hash),
			type == 0 || memchr(types, (int)type, sizeof types));
	/* SINGLE needs an output of the input's number; ALL does not. */
	assert_false(sighash_taproot(&cache, 1, SIGHASH_SINGLE, NULL, hash));
	assert_false(sighash_taproot(&cache, 1, SIGHASH_SINGLE | SIGHASH_ANYONECANPAY, NULL, hash));
	assert_true(sighash_taproot(&cache, 1, SIGHASH_ALL, NULL, hash));
	sign(tx, &cache, 0, 64, NULL);
	spent[0].script.size = 33;
	assert_string_equal(verdict(&cache), "bad-txns-script");
	free(spent[0].script.data);
	free(spent[1].script.data);
	tx_unref(tx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wallet_vectors),
		cmocka_unit_test(test_taproot_spends),
		cmocka_unit_test(test_witness_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
