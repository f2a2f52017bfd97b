/* Transactions: bytes there and back, every truncation, hostile lengths, and each context-free rule broken alone. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "consensus/script.h"
#include "consensus/tx.h"
#include "unit.h"
#include "util/bytes.h"
#include "util/mem.h"

/* Bitcoin's first coinbase, and the signed transaction of BIP143's first example. */
static const char first_coinbase[] =
	"01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054"
	"696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420"
	"666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61"
	"deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";
static const char bip143[] =
	"01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26b"
	"a6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecba"
	"b4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202c"
	"b206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2"
	"d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a95"
	"4c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253"
	"f62fc70f07aeee635711000000";

static const struct tx *parse(const uint8_t *data, size_t size)
{
	struct reader reader;
	const struct tx *tx;

	reader_init(&reader, data, size);
	tx = tx_read(&reader);
	assert_int_equal(tx != NULL, reader.ok);
	if (tx != NULL && !reader_done(&reader)) {
		tx_unref(tx);
		return NULL;
	}
	return tx;
}

static uint8_t *from_hex(const char *hex, size_t *size)
{
	uint8_t *raw;

	*size = strlen(hex) / 2;
	raw = mem_alloc(*size);
	assert_true(hex_decode(raw, *size, hex));
	return raw;
}

static void assert_round_trip(const struct tx *tx, const uint8_t *raw, size_t size)
{
	struct buf out;

	buf_init(&out);
	tx_write(&out, tx, true);
	assert_int_equal(out.size, size);
	assert_memory_equal(out.data, raw, size);
	assert_int_equal(tx_size(tx, true), size);
	buf_reset(&out);
	tx_write(&out, tx, false);
	assert_int_equal(tx_size(tx, false), out.size);
	buf_clear(&out);
}

static void check_known(const char *hex, const char *txid, const char *wtxid, size_t weight)
{
	size_t size;
	uint8_t *raw = from_hex(hex, &size);
	const struct tx *tx = parse(raw, size);
	struct tx *copy;
	char text[65];

	assert_non_null(tx);
	assert_round_trip(tx, raw, size);
	copy = tx_copy(tx);
	assert_round_trip(copy, raw, size);
	tx_unref(copy);
	hex_encode_reversed(text, tx_txid(tx), 32);
	assert_string_equal(text, txid);
	hex_encode_reversed(text, tx_wtxid(tx), 32);
	assert_string_equal(text, wtxid);
	assert_int_equal(tx_weight(tx), weight);
	tx_unref(tx);
	/* No part of it is a transaction, nor is anything longer. */
	for (size_t i = 0; i < size; i++) {
		uint8_t *part = mem_dup(raw, i); /* exactly as long, so that a sanitizer sees a step too far */

		assert_null(parse(part, i));
		free(part);
	}
	raw = mem_realloc(raw, size + 1);
	raw[size] = 0;
	assert_null(parse(raw, size + 1));
	free(raw);
}

static void test_known(void **state)
{
	(void)state;
	check_known(first_coinbase, "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
		"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b", 816);
	check_known(bip143, "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609",
		"c36c38370907df2324d9ce9d149d191192f338b37665a82e78e76a12c909b762", 1042);
}

/* Bytes put together from pieces, all hex. */
static void assert_refused(const char *what, const char *hex)
{
	size_t size;
	uint8_t *raw = from_hex(hex, &size);
	const struct tx *tx = parse(raw, size);

	if (tx != NULL)
		fail_msg("taken: %s", what);
	free(raw);
}

#define VERSION "02000000"
#define ZEROS32 "0000000000000000000000000000000000000000000000000000000000000000"
#define INPUT              \
	ZEROS32 "00000000" \
		"00"       \
		"ffffffff"
#define OUTPUT             \
	"0000000000000000" \
	"00"
#define LOCK "00000000"

static void test_hostile(void **state)
{
	static const char *const lengths[] = { "fdffff", "fe00000002", "fe01000002", "feffffffff", "ffffffffffffffffff",
		"ff0000000001000000", "fd0100", "fe01000000", "ff0100000000000000" };
	static const char *const places[][2] = {
		{ VERSION, INPUT "01" OUTPUT LOCK },               /* inputs */
		{ VERSION "0001", INPUT "01" OUTPUT "0100" LOCK }, /* inputs behind the flag */
		{ VERSION "01" ZEROS32 "00000000",
			"00ffffffff"
			"01" OUTPUT LOCK },          /* scriptSig */
		{ VERSION "01" INPUT, OUTPUT LOCK }, /* outputs */
		{ VERSION "01" INPUT "01"
			  "0000000000000000",
			"00" LOCK }, /* script */
		{ VERSION "0001"
			  "01" INPUT "01" OUTPUT,
			"0100" LOCK }, /* witness elements */
		{ VERSION "0001"
			  "01" INPUT "01" OUTPUT "01",
			"00" LOCK }, /* witness element */
	};
	char hex[600];

	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
			snprintf(hex, sizeof hex, "%s%s%s", places[i][0], lengths[j], places[i][1]);
			assert_refused(hex, hex);
		}
	assert_refused("no inputs",
		VERSION "00"
			"01" OUTPUT LOCK "0000000000000000000000000000000000000000");
	assert_refused("no inputs behind the flag",
		VERSION "0001"
			"00"
			"01" OUTPUT LOCK);
	assert_refused("an unknown flag",
		VERSION "0002"
			"01" INPUT "01" OUTPUT "0101aa" LOCK);
	assert_refused("a flag of 0",
		VERSION "0000"
			"01" INPUT "01" OUTPUT "0101aa" LOCK);
	assert_refused("a witness that is none",
		VERSION "0001"
			"01" INPUT "01" OUTPUT "00" LOCK);
}

static void test_empty_parts(void **state)
{
	static const char *const whole[] = { VERSION "01" INPUT "00" LOCK, VERSION "01" INPUT "01" OUTPUT LOCK,
		VERSION "0001"
			"01" INPUT "01" OUTPUT "020000" LOCK,
		VERSION "0001"
			"02" INPUT INPUT "01" OUTPUT "00"
			"0101aa" LOCK };

	(void)state;
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		size_t size;
		uint8_t *raw = from_hex(whole[i], &size);
		const struct tx *tx = parse(raw, size);

		assert_non_null(tx);
		assert_round_trip(tx, raw, size);
		tx_unref(tx);
		free(raw);
	}
}

/* === Sealing === */

static struct tx *valid(void);

static void ask_open_for_txid(struct tx *tx)
{
	tx_txid(tx);
}

static void ask_open_for_wtxid(struct tx *tx)
{
	tx_wtxid(tx);
}

static void hold_open(struct tx *tx)
{
	tx_ref(tx);
}

static void add_input_to_sealed(struct tx *tx)
{
	tx_seal(tx);
	tx_add_input(tx, &(struct outpoint){ { 3 }, 0 }, 0);
}

static void add_output_to_sealed(struct tx *tx)
{
	tx_seal(tx);
	tx_add_output(tx, 1, NULL, 0);
}

static void sign_sealed(struct tx *tx)
{
	tx_seal(tx);
	tx_set_witness(tx, 0, (const uint8_t *)"x", 1);
}

static void seal_sealed(struct tx *tx)
{
	tx_seal(tx);
	tx_seal(tx);
}

/* Whether it ends the process, which must not be this one. */
static void assert_aborts(void (*misuse)(struct tx *))
{
	struct rlimit none = { 0 };
	pid_t child = fork();
	int status;

	assert_int_not_equal(child, -1);
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		misuse(valid());
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_misuse(void **state)
{
	(void)state;
	assert_aborts(ask_open_for_txid);
	assert_aborts(ask_open_for_wtxid);
	assert_aborts(hold_open);
	assert_aborts(add_input_to_sealed);
	assert_aborts(add_output_to_sealed);
	assert_aborts(sign_sealed);
	assert_aborts(seal_sealed);
}

/* A sealed one lives as long as anybody holds it; its copy is open, and another one. */
static void test_sealed(void **state)
{
	const struct tx *tx, *held;
	struct tx *open, *copy;
	uint8_t txid[32];
	size_t bare;

	(void)state;
	open = valid();
	bare = tx_size(open, true);
	tx_set_witness(open, 1, (const uint8_t *)"witness", 7);
	tx = tx_seal(open);
	assert_ptr_equal(tx, open);
	assert_int_equal(tx_size(tx, false), bare);
	assert_int_equal(tx_size(tx, true), bare + 2 + 1 + 1 + 8);
	assert_memory_not_equal(tx_txid(tx), tx_wtxid(tx), 32);
	memcpy(txid, tx_txid(tx), 32);
	held = tx_ref(tx);
	assert_ptr_equal(held, tx);
	tx_unref(tx);
	assert_memory_equal(tx_txid(held), txid, 32);
	copy = tx_copy(held);
	tx_set_witness(copy, 1, (const uint8_t *)"other", 5);
	assert_int_equal(tx_size(copy, true), bare + 2 + 1 + 1 + 6);
	tx_seal(copy);
	assert_memory_equal(tx_txid(copy), txid, 32); /* which no witness changes */
	assert_memory_not_equal(tx_wtxid(copy), tx_wtxid(held), 32);
	tx_unref(copy);
	tx_unref(held);
	tx_unref(NULL);
}

/* === Rules === */

static const uint8_t p2tr[P2TR_SIZE] = { 0x51, 32, 9 };

static struct tx *valid(void)
{
	struct tx *tx = tx_new();

	tx_add_input(tx, &(struct outpoint){ { 1 }, 0 }, 0xffffffff);
	tx_add_input(tx, &(struct outpoint){ { 1 }, 1 }, 0xffffffff);
	tx_add_output(tx, 5 * COIN, p2tr, sizeof p2tr);
	tx_add_output(tx, 0, (const uint8_t *)"\x6a\x01z", 3);
	return tx;
}

static void assert_check(struct tx *tx, const char *reason)
{
	struct reject reject = { .reason = "none" };

	if (tx_check(tx, &reject)) {
		if (reason != NULL)
			fail_msg("passes instead of %s", reason);
	} else {
		assert_string_equal(reject.reason, reason ? reason : "none");
		assert_int_equal(reject.code, REJECT_INVALID);
	}
	tx_unref(tx);
}

static void set_script(struct bytes *script, const void *data, size_t size)
{
	free(script->data);
	*script = (struct bytes){ mem_dup(data, size), size };
}

static struct tx *with_script(const void *script, size_t size)
{
	struct tx *tx = valid();

	set_script(&tx->outputs[1].script, script, size);
	return tx;
}

static struct tx *with_amounts(int64_t first, int64_t second)
{
	struct tx *tx = valid();

	tx->outputs[0].amount = first;
	tx->outputs[1].amount = second;
	return tx;
}

static void test_inputs(void **state)
{
	struct tx *tx;

	(void)state;
	assert_check(valid(), NULL);
	assert_check(tx_new(), "bad-txns-vin-empty");
	tx = valid();
	tx->inputs[1].prev.index = 0;
	assert_check(tx, "bad-txns-inputs-duplicate");
	tx = valid();
	tx->inputs[1].prev.index = 0;
	tx->inputs[1].prev.txid[31] = 1;
	assert_check(tx, NULL);
	tx = valid();
	tx->inputs[1].prev = (struct outpoint){ { 0 }, UINT32_MAX };
	assert_check(tx, "bad-txns-prevout-null");
	tx = valid();
	set_script(&tx->inputs[1].script, "", 1);
	assert_check(tx, "bad-txns-scriptsig");
}

static void test_outputs(void **state)
{
	uint8_t script[OP_RETURN_MAX + 1] = { 0x6a };
	struct tx *tx = tx_new();

	(void)state;
	tx_add_input(tx, &(struct outpoint){ { 1 }, 0 }, 0);
	assert_check(tx, "bad-txns-vout-empty");
	assert_check(with_amounts(-1, 0), "bad-txns-vout-negative");
	assert_check(with_amounts(INT64_MIN, 0), "bad-txns-vout-negative");
	assert_check(with_amounts(MAX_MONEY, 0), NULL);
	assert_check(with_amounts(MAX_MONEY + 1, 0), "bad-txns-vout-toolarge");
	assert_check(with_amounts(INT64_MAX, INT64_MAX), "bad-txns-vout-toolarge");
	assert_check(with_amounts(MAX_MONEY, 1), "bad-txns-txouttotal-toolarge");
	assert_check(with_script("", 0), "bad-txns-script");
	assert_check(with_script("\x6a", 1), NULL);
	assert_check(with_script(script, OP_RETURN_MAX), NULL);
	assert_check(with_script(script, OP_RETURN_MAX + 1), "bad-txns-script");
	memcpy(script, p2tr, sizeof p2tr);
	assert_check(with_script(script, P2TR_SIZE), NULL);
	assert_check(with_script(script, P2TR_SIZE - 1), "bad-txns-script");
	assert_check(with_script(script, P2TR_SIZE + 1), "bad-txns-script");
	script[1] = 31;
	assert_check(with_script(script, P2TR_SIZE), "bad-txns-script");
	memcpy(script, "\x00\x20", 2);
	assert_check(with_script(script, P2TR_SIZE), "bad-txns-script");
}

static void test_amounts(void **state)
{
	(void)state;
	assert_false(tx_amount_valid(-1));
	assert_true(tx_amount_valid(0));
	assert_true(tx_amount_valid(MAX_MONEY));
	assert_false(tx_amount_valid(MAX_MONEY + 1));
}

static void test_contributions(void **state)
{
	static const char outcome[] = "\x6a\x05"
				      "atl\x00\x01",
			  data[] = "\x6a\x05"
				   "atl\x01\x01",
			  later[] = "\x6a\x05"
				    "atl\x02\x01";
	struct tx *tx;

	(void)state;
	assert_check(with_script(outcome, 7), "bad-contrib-format");
	assert_check(with_script(data, 7), "bad-contrib-format");
	assert_check(with_script(later, 7), NULL);
	tx = tx_new();
	tx_add_input(tx, &(struct outpoint){ { 0 }, UINT32_MAX }, 0xffffffff);
	set_script(&tx->inputs[0].script, "\x01\x01", 2);
	tx_add_output(tx, 0, (const uint8_t *)outcome, 7);
	assert_true(tx_is_coinbase(tx));
	assert_check(tx, NULL);
}

static void test_coinbase(void **state)
{
	struct tx *tx = valid();

	(void)state;
	assert_false(tx_is_coinbase(tx));
	tx->inputs[0].prev = (struct outpoint){ { 0 }, UINT32_MAX };
	assert_false(tx_is_coinbase(tx)); /* two inputs */
	tx->input_count = 1;
	assert_true(tx_is_coinbase(tx));
	tx->inputs[0].prev.index--;
	assert_false(tx_is_coinbase(tx));
	tx->inputs[0].prev = (struct outpoint){ { 0, 1 }, UINT32_MAX };
	assert_false(tx_is_coinbase(tx));
	tx_unref(tx);
}

static void test_final(void **state)
{
	struct tx *tx = valid();

	(void)state;
	tx->inputs[0].sequence = 0xfffffffe;
	assert_true(tx_is_final(tx, 0, 0));
	tx->locktime = 100;
	assert_false(tx_is_final(tx, 100, 2000000000));
	assert_true(tx_is_final(tx, 101, 0));
	tx->locktime = 499999999;
	assert_false(tx_is_final(tx, 100, 2000000000));
	tx->locktime = 500000000;
	assert_false(tx_is_final(tx, 600000000, 500000000));
	assert_true(tx_is_final(tx, 0, 500000001));
	assert_false(tx_is_final(tx, 0, 500000000));
	tx->inputs[0].sequence = 0xffffffff;
	assert_true(tx_is_final(tx, 0, 0));
	tx_unref(tx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_empty_parts),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_inputs),
		cmocka_unit_test(test_outputs),
		cmocka_unit_test(test_amounts),
		cmocka_unit_test(test_contributions),
		cmocka_unit_test(test_coinbase),
		cmocka_unit_test(test_final),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
