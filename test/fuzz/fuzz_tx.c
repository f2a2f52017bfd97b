/* Transactions: what parses is written back byte for byte, and every rule gives a verdict on it. */
#include <string.h>

#include "consensus/payload/contribution.h"
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
		check_spends(tx);
	}
	tx_unref(tx);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	uint8_t script[P2TR_SIZE] = { 0x51, 32, 7 };
	struct tx *tx = tx_new();
	size_t inputs = index + 1;

	if (index > 3) {
		tx_unref(tx);
		return false;
	}
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
