/* Round transactions: one form, and no other way to write it. */
#include "consensus/change.h"
#include "consensus/payload/payload.h"
#include "consensus/payload/round_tx.h"
#include "consensus/spec.h"
#include "crypto/hash.h"
#include "ml/delta.h"
#include "unit.h"
#include "util/bytes.h"

static const enum round_kind kinds[] = { ROUND_COMMIT, ROUND_DISCLOSURE, ROUND_CHALLENGE };
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static struct round_tx example(enum round_kind kind)
{
	struct round_tx round_tx = { .kind = kind, .height = 0x01020304 };

	if (kind == ROUND_CHALLENGE)
		round_tx.segment = 0x0a0b0c0d;
	else
		round_tx.length = 0x00000305;
	for (size_t i = 0; i < sizeof round_tx.root; i++)
		round_tx.root[i] = (uint8_t)(i + 1);
	for (size_t i = 0; kind == ROUND_COMMIT && i < sizeof round_tx.signature; i++)
		round_tx.signature[i] = (uint8_t)(200 - i);
	return round_tx;
}

/* Ends with the transaction released. */
static bool parses(const struct tx *tx)
{
	struct round_tx unwanted;
	bool ok = round_tx_parse(tx, &unwanted);

	tx_unref(tx);
	return ok;
}

static struct tx *open_example(enum round_kind kind)
{
	struct round_tx round_tx = example(kind);

	return change_open(round_tx_build(&round_tx));
}

static void set_script(struct tx *tx, const void *data, size_t size)
{
	free(tx->outputs[0].script.data);
	tx->outputs[0].script = (struct bytes){ mem_dup(data, size), size };
}

static void test_there_and_back(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		struct round_tx round_tx = example(kinds[i]), back;
		const struct tx *tx = round_tx_build(&round_tx), *read;
		struct reader reader;
		struct buf raw;

		buf_init(&raw);
		tx_write(&raw, tx, true);
		reader_init(&reader, raw.data, raw.size);
		read = tx_read(&reader);
		assert_non_null(read);
		assert_true(round_tx_is(read));
		assert_false(tx_is_coinbase(read));
		assert_true(round_tx_parse(read, &back));
		assert_memory_equal(&back, &round_tx, sizeof back);
		assert_true(tx_check(read, NULL));
		assert_int_equal(payload_kind(&read->outputs[0].script), PAYLOAD_RESERVED);
		buf_clear(&raw);
		tx_unref(read);
		tx_unref(tx);
	}
}

/* Byte by byte, as the document lays it out. */
static void test_bytes(void **state)
{
	static const uint8_t disclosure[] = { 0x6a, 44, 'a', 't', 'l', 4, 4, 3, 2, 1, 5, 3, 0, 0 },
			     challenge[] = { 0x6a, 44, 'a', 't', 'l', 5, 4, 3, 2, 1, 13, 12, 11, 10 },
			     commit[] = { 0x6a, 0x4c, 108, 'a', 't', 'l', 3, 4, 3, 2, 1, 5, 3, 0, 0 };
	struct tx *tx = open_example(ROUND_DISCLOSURE);

	(void)state;
	assert_int_equal(tx->version, 1);
	assert_int_equal(tx->locktime, 0);
	assert_int_equal(tx->inputs[0].prev.index, 0xfffffffe);
	assert_int_equal(tx->inputs[0].sequence, 0xffffffff);
	assert_int_equal(tx->outputs[0].script.size, 46);
	assert_memory_equal(tx->outputs[0].script.data, disclosure, sizeof disclosure);
	tx_unref(tx);
	tx = open_example(ROUND_CHALLENGE);
	assert_int_equal(tx->outputs[0].script.size, 46);
	assert_memory_equal(tx->outputs[0].script.data, challenge, sizeof challenge);
	tx_unref(tx);
	tx = open_example(ROUND_COMMIT);
	assert_int_equal(tx->outputs[0].script.size, 111);
	assert_memory_equal(tx->outputs[0].script.data, commit, sizeof commit);
	tx_unref(tx);
}

/* Whatever is round the payload. */
static void test_bare(void **state)
{
	struct outpoint coin = { { 1 }, 0 };
	uint8_t p2tr[P2TR_SIZE] = { 0x51, 32, 9 };
	struct tx *tx;

	(void)state;
	for (int i = 0; i < KINDS; i++) {
		assert_true(parses(open_example(kinds[i])));
		tx = open_example(kinds[i]);
		tx->version = 2;
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx->locktime = 1;
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx->inputs[0].sequence--;
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx->inputs[0].script = (struct bytes){ mem_dup("", 1), 1 };
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx_set_witness(tx, 0, p2tr, 0);
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx_add_input(tx, &coin, 0xffffffff);
		assert_true(round_tx_is(tx));
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx->outputs[0].amount = 1;
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx_add_output(tx, 0, p2tr, sizeof p2tr);
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx->inputs[0].prev.index = 0xffffffff;
		assert_false(round_tx_is(tx));
		assert_false(parses(tx));
		tx = open_example(kinds[i]);
		tx->inputs[0].prev.txid[31] = 1;
		assert_false(round_tx_is(tx));
		assert_false(parses(tx));
	}
	/* The first input decides. */
	tx = tx_new();
	tx_add_input(tx, &coin, 0xffffffff);
	tx_add_input(tx, &(struct outpoint){ .index = 0xfffffffe }, 0xffffffff);
	assert_false(round_tx_is(tx));
	tx_unref(tx);
	tx = tx_new();
	assert_false(round_tx_is(tx));
	assert_false(parses(tx));
}

/* Every other script: shorter, longer, of another kind, pushed otherwise. */
static void test_script(void **state)
{
	static const uint8_t others[] = { 0, 1, 2, 6, 7, 255 };

	(void)state;
	for (int i = 0; i < KINDS; i++) {
		struct tx *tx = open_example(kinds[i]);
		const struct bytes *script = &tx->outputs[0].script;
		const size_t start = script->data[1] == 0x4c ? 3 : 2, size = script->size - start;
		uint8_t other[160];

		for (size_t part = 0; part <= size + 1; part++) {
			memcpy(other, script->data, script->size);
			other[script->size] = 0;
			other[start - 1] = (uint8_t)part;
			tx = change_open(tx);
			set_script(tx, other, start + part);
			script = &tx->outputs[0].script;
			assert_int_equal(round_tx_parse(tx, &(struct round_tx){ 0 }), part == size);
			tx_unref(tx);
			tx = open_example(kinds[i]);
			script = &tx->outputs[0].script;
		}
		for (size_t j = 0; j < sizeof others; j++) {
			script->data[start + 3] = others[j];
			assert_false(round_tx_parse(tx, &(struct round_tx){ 0 }));
		}
		for (int j = 0; j < KINDS; j++) { /* a commitment alone has another size */
			script->data[start + 3] = (uint8_t)kinds[j];
			assert_int_equal(round_tx_parse(tx, &(struct round_tx){ 0 }),
				(kinds[i] == ROUND_COMMIT) == (kinds[j] == ROUND_COMMIT));
		}
		script->data[start + 3] = (uint8_t)kinds[i];
		script->data[start] = 'A';
		assert_false(round_tx_parse(tx, &(struct round_tx){ 0 }));
		if (start == 2) { /* a push that is not minimal */
			memcpy(other + 3, script->data + 2, size);
			other[0] = 0x6a;
			other[1] = 0x4c;
			other[2] = (uint8_t)size;
			other[3] = 'a';
			set_script(tx, other, size + 3);
			assert_false(round_tx_parse(tx, &(struct round_tx){ 0 }));
		}
		tx_unref(tx);
	}
}

/* Only where the chain has them. */
static void test_check(void **state)
{
	struct spec spec = { .round_blocks = 0 };
	struct tx *tx = open_example(ROUND_COMMIT);
	struct reject reject;

	(void)state;
	tx->version = 2;
	assert_false(round_tx_is_on(&spec, tx));
	assert_true(round_tx_check(&spec, tx, &reject));
	spec.round_blocks = 4;
	spec.segments = 0x305;
	assert_true(round_tx_is_on(&spec, tx));
	assert_false(round_tx_check(&spec, tx, &reject));
	assert_string_equal(reject.reason, "bad-round-format");
	assert_int_equal(reject.code, REJECT_INVALID);
	tx->version = 1;
	assert_true(round_tx_check(&spec, tx, &reject));
	tx->inputs[0].prev.index = 7;
	tx->version = 2;
	assert_false(round_tx_is_on(&spec, tx));
	assert_true(round_tx_check(&spec, tx, &reject));
	tx_unref(tx);
}

/* A run has one segment at least, and no more than the chain's have. */
static void test_lengths(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 7, 8, 0x00010001, UINT32_MAX };
	const struct spec spec = { .round_blocks = 4, .segments = 7 };

	(void)state;
	for (int i = 0; i < KINDS; i++)
		for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
			struct round_tx round_tx = example(kinds[i]);
			struct reject reject = { .reason = "" };
			const struct tx *tx;

			round_tx.length = lengths[j];
			tx = round_tx_build(&round_tx);
			assert_int_equal(round_tx_check(&spec, tx, &reject),
				kinds[i] == ROUND_CHALLENGE || j == 1 || j == 2);
			tx_unref(tx);
		}
}

static void test_hash(void **state)
{
	uint8_t bytes[14 + 32 + 32 + 4 + 32] = "atelier commit", ids[3][32], expected[32], hash[32];

	(void)state;
	for (int i = 0; i < 3; i++) {
		memset(ids[i], 0x11 * (i + 1), 32);
		memcpy(bytes + 14 + 32 * i + (i < 2 ? 0 : 4), ids[i], 32);
	}
	write_le32(bytes + 14 + 64, 0x01020304);
	sha256(expected, bytes, sizeof bytes);
	round_commit_hash(ids[0], ids[1], 0x01020304, ids[2], hash);
	assert_memory_equal(hash, expected, 32);
}

static void test_sizes(void **state)
{
	struct spec spec;
	size_t code_size;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	code_size = 65 * ((model_count(&spec_course(&spec)->train.model) + 63) / 64);
	assert_int_equal(round_code_size(&spec), code_size);
	assert_int_equal(round_blob_size(&spec, ROUND_COMMIT, 5), 0);
	assert_int_equal(round_blob_size(&spec, ROUND_DISCLOSURE, 5), 5 * 32 + 2 * code_size);
	assert_int_equal(round_blob_size(&spec, ROUND_DISCLOSURE, 1), 32 + 2 * code_size);
	assert_int_equal(round_blob_size(&spec, ROUND_CHALLENGE, 0), code_size);
	spec_clear(&spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_script),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests_name("round transactions", tests, NULL, NULL);
}
