/* Transactions: what parses is written back byte for byte, and every rule gives a verdict on it; what says to be of a
 * round is of their one form, or refused. */
#include <string.h>

#include "consensus/payload/contribution.h"
#include "consensus/payload/round_tx.h"
#include "consensus/sighash.h"
#include "consensus/spec.h"
#include "consensus/spending.h"
#include "fuzz.h"
#include "util/mem.h"

static void check_bytes(const struct tx *tx, const uint8_t *data, size_t size)
{
	struct tx *copy = tx_copy(tx);
	struct buf again;

	buf_init(&again);
	tx_write(&again, copy, true);
	FUZZ_PROMISE(again.size == size && memcmp(again.data, data, size) == 0);
	FUZZ_PROMISE(tx_size(tx, true) == size && tx_size(tx, false) <= size);
	FUZZ_PROMISE(tx_weight(tx) == 3 * tx_size(tx, false) + size);
	buf_clear(&again);
	tx_unref(copy);
}

static void check_rules(const struct tx *tx)
{
	struct spec spec = { .blob_min = 4096, .blob_max = 1 << 24, .burn_rate = 1000000 };
	const struct spending_coin coin = { .height = 1 };
	struct spending spending;
	struct reject reject = { .reason = NULL };
	uint64_t registered = 0;

	if (tx_check(tx, &reject))
		contribution_check(&spec, tx, &registered, &reject);
	else
		FUZZ_PROMISE(reject.reason);
	tx_is_final(tx, 100, 1000000000);
	spending_init(&spending, tx, 100);
	for (size_t i = 0; i < tx->input_count; i++)
		spending_add(&spending, &coin, 0);
	spending_locks_met(&spending, 1000000000);
	spending_clear(&spending);
}

/* Whoever builds what was read gets the same transaction: its payload is all that it can say. */
static void check_round(const struct tx *tx)
{
	const struct spec spec = { .round_blocks = 4, .segments = 1024 };
	struct round_tx round_tx;
	const struct tx *again;
	bool ok = round_tx_parse(tx, &round_tx);

	if (ok && round_tx.kind != ROUND_CHALLENGE)
		ok = round_tx.length >= 1 && round_tx.length <= 1024;
	FUZZ_PROMISE(round_tx_check(&spec, tx, NULL) == (ok || !round_tx_is(tx)));
	if (!ok)
		return;
	FUZZ_PROMISE(round_tx_is_on(&spec, tx) && tx_check(tx, NULL));
	again = round_tx_build(&round_tx);
	FUZZ_PROMISE(memcmp(tx_wtxid(again), tx_wtxid(tx), 32) == 0);
	tx_unref(again);
}

static void check_spends(const struct tx *tx)
{
	struct tx_output *spent = mem_calloc(tx->input_count, sizeof *spent);
	uint8_t script[P2TR_SIZE] = { 0x51, 32 };
	struct reject reject;

	for (size_t i = 0; i < tx->input_count; i++)
		spent[i] = (struct tx_output){ 1, { script, sizeof script } };
	FUZZ_PROMISE(!sighash_verify(tx, spent, &reject) && reject.reason != NULL); /* to a key that is none */
	free(spent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader;
	const struct tx *tx;

	reader_init(&reader, data, size);
	tx = tx_read(&reader);
	FUZZ_PROMISE((tx != NULL) == reader.ok);
	if (tx != NULL) {
		check_bytes(tx, data, size - reader_left(&reader));
		check_rules(tx);
		check_round(tx);
		check_spends(tx);
	}
	tx_unref(tx);
	return 0;
}

static bool seed_round(enum round_kind kind, struct buf *out)
{
	const struct tx *tx = round_tx_build(
		&(struct round_tx){ .kind = kind, .height = 9, .length = 3, .root = { 1 } });

	tx_write(out, tx, true);
	tx_unref(tx);
	return true;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	uint8_t script[P2TR_SIZE] = { 0x51, 32, 7 };
	struct tx *tx;
	size_t inputs = index + 1;

	if (index > 3)
		return index <= 6 && seed_round((enum round_kind)(ROUND_COMMIT + index - 4), out);
	tx = tx_new();
	for (size_t i = 0; i < inputs; i++) {
		tx_add_input(tx, &(struct outpoint){ { 9 }, (uint32_t)i }, 0xfffffffe);
		if (index > 0)
			tx_set_witness(tx, i, script, 30 + i);
	}
	tx_add_output(tx, 5 * COIN, script, sizeof script);
	tx_add_output(tx, 0,
		(const uint8_t *)"\x6a\x05"
				 "atl\x02z",
		7);
	tx_write(out, tx, true);
	tx_unref(tx);
	return true;
}
