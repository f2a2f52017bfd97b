/* The base fee of data: how it rises and falls, its window, its bounds, and what a block must burn by it. */
#include "consensus/branch/fees.h"
#include "consensus/registry_fixture.h"

static struct spec spec;

static int setup(void **state)
{
	(void)state;
	return spec_builtin(&spec, "regtest") ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	spec_clear(&spec);
	return 0;
}

static uint32_t target(void)
{
	return spec.blob_budget / 64;
}

/* A block that registers so many bytes, in two contributions of one transaction and one of another. */
static struct block *example_registering(uint64_t used, int64_t burn)
{
	uint64_t half = used / 2, quarter = used / 4;
	struct contribution data[3] = { example_data(1, half), example_data(2, quarter),
		example_data(3, used - half - quarter) };
	struct block *block = example_block(0, data, 2);
	struct tx *tx = tx_copy(block->txs[2]);

	add_data_output(tx, &data[2]);
	for (size_t i = 0; i < tx->output_count; i++)
		tx->outputs[i].amount = burn;
	tx_unref(block->txs[2]);
	block->txs[2] = tx_seal(tx);
	tx = tx_copy(block->txs[1]);
	tx->outputs[0].amount = burn;
	tx_unref(block->txs[1]);
	block->txs[1] = tx_seal(tx);
	return block;
}

static struct fees_undo use(struct fees *fees, uint64_t used)
{
	struct block *block = example_registering(used, 0);
	const struct branch_block on_top = { .spec = &spec, .block = block };
	struct fees_undo undo;

	fees_apply(fees, &on_top, &undo);
	block_unref(block);
	return undo;
}

static uint64_t after(uint64_t rate, uint64_t used)
{
	struct fees fees;

	fees_init(&fees, &spec);
	fees.rates[FEES_WINDOW - 1] = rate;
	use(&fees, used);
	return fees_least(&fees, 1);
}

static void test_rate(void **state)
{
	(void)state;
	assert_true(after(655360, 0) == 655360); /* the floor: burn_rate 10 */
	assert_true(after(655360, target()) == 655360);
	assert_true(after(655360, 2 * target()) == 737280); /* an eighth more */
	assert_true(after(655360, spec.blob_budget) == 737280);
	assert_true(after(655360, target() + target() / 2) == 655360 + 40960);
	assert_true(after(737280, 0) == 655360); /* 737280 - 92160 is less */
	assert_true(after(1000000, 0) == 875000);
	assert_true(after(1000001, 0) == 875000); /* rounded down: -125000.125 */
	assert_true(after(1000001, target() - 1) == 1000000);
	assert_true(after(1000001, target() + 1) == 1000001);
	assert_true(after(5 * target(), target() - 1) == 5 * target() - 1);   /* -5/8 */
	assert_true(after(16 * target(), target() - 1) == 16 * target() - 2); /* -2, exactly */
	assert_true(after(16 * target(), target() + 1) == 16 * target() + 2);
	assert_true(after(FEES_RATE_MAX, 2 * target()) == FEES_RATE_MAX);
	assert_true(after(FEES_RATE_MAX - 1, 2 * target()) == FEES_RATE_MAX);
	assert_true(after(FEES_RATE_MAX, 0) == FEES_RATE_MAX / 8 * 7);
}

/* A debt fills a block up to the target, and no further. */
static void test_debt(void **state)
{
	struct fees fees;

	(void)state;
	fees_init(&fees, &spec);
	use(&fees, 2 * target());
	assert_true(fees.debt == 0);
	use(&fees, 2 * target() + 1);
	assert_true(fees.debt == 1);
	use(&fees, target() + 5); /* what the block itself registers comes first */
	assert_true(fees.debt == 1);
	use(&fees, target() - 5);
	assert_true(fees.debt == 0);
	fees.rates[FEES_WINDOW - 1] = 16 * target();
	use(&fees, 5 * target());
	assert_true(fees_least(&fees, 1) == 18 * target() && fees.debt == 3 * target());
	use(&fees, target() / 2);
	assert_true(fees_least(&fees, 1) == 18 * target() && fees.debt == 3 * target() - target() / 2);
	use(&fees, 0);
	use(&fees, 0);
	assert_true(fees_least(&fees, 1) == 18 * target() && fees.debt == target() / 2);
	use(&fees, target() / 4);
	assert_true(fees_least(&fees, 1) == 18 * target() - 18 * target() / 32 && fees.debt == 0);
}

/* A budget full counts 62 targets of debt; 2016 are the most. */
static void test_debt_is_bounded(void **state)
{
	struct fees fees;

	(void)state;
	fees_init(&fees, &spec);
	for (uint64_t i = 1; i <= 40; i++) {
		use(&fees, spec.blob_budget);
		assert_true(fees.debt == (i * 62 < 2016 ? i * 62 : 2016) * target());
	}
	assert_true(fees.debt <= FEES_DEBT_MAX);
	for (int i = 0; i < 2016; i++) {
		assert_true(fees.debt > 0);
		use(&fees, 0);
	}
	assert_true(fees.debt == 0);
}

/* Nobody registers more than a target a block for long at one price: not who waits for the rate to fall after each full
 * block, nor who fills all blocks as long as the first of them is among the last 12. */
static void test_bundles(void **state)
{
	enum { BLOCKS = 8000 };

	(void)state;
	for (int patient = 0; patient < 2; patient++) {
		struct fees fees;
		uint64_t registered = 0;

		fees_init(&fees, &spec);
		for (int i = 0; i < BLOCKS; i++) {
			bool at_floor = fees_least(&fees, patient ? 1 : FEES_WINDOW) == 655360;

			registered += at_floor ? spec.blob_budget : 0;
			use(&fees, at_floor ? spec.blob_budget : 0);
		}
		assert_true(registered <= (uint64_t)target() * BLOCKS * 6 / 5);
		assert_true(registered >= (uint64_t)target() * BLOCKS * 4 / 5);
	}
}

static void test_free_data(void **state)
{
	struct spec paid = spec;

	(void)state;
	spec.burn_rate = 0;
	assert_true(after(0, spec.blob_budget) == 0);
	spec = paid;
}

static void test_burn(void **state)
{
	(void)state;
	assert_true(fees_burn(655360, 4096) == 40960);
	assert_true(fees_burn(0, 4096) == 0);
	assert_true(fees_burn(1, 1) == 1);
	assert_true(fees_burn(1, 65536) == 1);
	assert_true(fees_burn(1, 65537) == 2);
	assert_true(fees_burn(655361, 4096) == 40961);
	assert_true(fees_burn(FEES_RATE_MAX, 1 << 24) == INT64_C(1) << 62);
	assert_true(fees_burn(FEES_RATE_MAX, 32768) > MAX_MONEY);
}

static void test_offer(void **state)
{
	struct fees fees;

	(void)state;
	fees_init(&fees, &spec);
	assert_true(fees_offer(&fees, &spec) == 655360);
	use(&fees, 2 * target());
	assert_true(fees_offer(&fees, &spec) == 829440);
	fees.rates[FEES_WINDOW - 1] = FEES_RATE_MAX;
	assert_true(fees_offer(&fees, &spec) == FEES_RATE_MAX);
}

/* The least of 12: others pay what full blocks cost 12 blocks later, and it stays for as long. */
static void test_window(void **state)
{
	struct fees fees;
	uint64_t rates[40] = { 655360 };

	(void)state;
	fees_init(&fees, &spec);
	for (int i = 1; i < 40; i++) {
		use(&fees, i < 20 ? 2 * target() : 0);
		rates[i] = fees_least(&fees, 1);
		if (i < 20)
			assert_true(rates[i] == rates[i - 1] + rates[i - 1] / 8);
		else
			assert_true(rates[i] < rates[i - 1] || rates[i] == rates[0]);
		for (uint32_t blocks = 1; blocks <= FEES_WINDOW; blocks++) {
			uint64_t least = UINT64_MAX;

			for (int j = i; j > i - (int)blocks; j--)
				if (rates[j > 0 ? j : 0] < least)
					least = rates[j > 0 ? j : 0];
			assert_true(fees_least(&fees, blocks) == least);
		}
	}
	assert_true(rates[19] > 9 * rates[0]); /* 1.125^19 is 9.37 */
}

static void test_undo(void **state)
{
	enum { BLOCKS = 200 };
	uint32_t dice = 1;
	struct fees before[BLOCKS], fees;
	struct fees_undo undo[BLOCKS];

	(void)state;
	fees_init(&fees, &spec);
	fees.rates[FEES_WINDOW - 1] = FEES_RATE_MAX - 5;
	for (int i = 0; i < BLOCKS; i++) {
		before[i] = fees;
		dice = dice * 1103515245 + 12345;
		undo[i] = use(&fees, (dice >> 8) % (3 * target()));
		assert_true(fees.debt <= FEES_DEBT_MAX);
		assert_true(fees_least(&fees, 1) <= FEES_RATE_MAX && fees_least(&fees, 1) >= 655360);
	}
	for (int i = BLOCKS; i-- > 0;) {
		fees_undo(&fees, &undo[i]);
		assert_memory_equal(&fees, &before[i], sizeof fees);
	}
}

static void test_damaged_bytes(void **state)
{
	struct fees fees, back;
	struct reader reader;
	struct buf bytes;

	(void)state;
	fees_init(&fees, &spec);
	for (int i = 0; i < 2; i++) {
		fees.rates[3] = FEES_RATE_MAX + (uint64_t)i;
		buf_init(&bytes);
		fees_write(&bytes, &fees);
		reader_init(&reader, bytes.data, bytes.size);
		assert_int_equal(fees_read(&back, &reader), i == 0);
		buf_clear(&bytes);
	}
	fees_init(&fees, &spec);
	for (uint64_t i = 0; i < 2; i++) {
		struct fees_undo undo = { 655360, FEES_DEBT_MAX + i };

		fees.debt = FEES_DEBT_MAX + i;
		buf_init(&bytes);
		fees_write(&bytes, &fees);
		reader_init(&reader, bytes.data, bytes.size);
		assert_int_equal(fees_read(&back, &reader), i == 0);
		buf_reset(&bytes);
		fees_undo_write(&bytes, &undo);
		reader_init(&reader, bytes.data, bytes.size);
		assert_int_equal(fees_undo_read(&undo, &reader), i == 0);
		buf_clear(&bytes);
	}
}

/* A block pays the least of the last 12 rates for each of its contributions, to the unit; a transaction for the mempool
 * that of fewer blocks. */
static void test_block_must_burn(void **state)
{
	struct registry *registry = registry_new(&spec);
	const uint64_t used = 4 * 40001;
	struct contribution committed;
	struct reject reject;

	(void)state;
	for (uint32_t number = 1; number <= 3; number++) {
		committed = example_data(number, number == 1 ? used / 2 : used / 4);
		commit(registry, &committed, 1);
	}
	for (int i = 0; i < 16; i++) {
		uint64_t rate = registry_data_rate(registry, FEES_WINDOW);
		struct contribution full = example_data(10 + (uint32_t)i, 2 * target());
		struct block *enough = example_registering(used, fees_burn(rate, used / 2)),
			     *less = example_registering(used, fees_burn(rate, used / 2) - 1);

		assert_int_equal(rate > 655360, i >= 12);
		assert_true(registry_check_block(registry, enough, &reject));
		assert_false(registry_check_block(registry, less, &reject));
		assert_string_equal(reject.reason, "bad-contrib-burn");
		assert_int_equal(reject.code, REJECT_INVALID);
		assert_true(registry_check_burn(registry, enough->txs[1], FEES_WINDOW, &reject));
		assert_int_equal(registry_check_burn(registry, enough->txs[1], 6, &reject), i < 6);
		assert_int_equal(registry_check_burn(registry, enough->txs[1], 1, &reject), i == 0);
		if (i > 0)
			assert_int_equal(reject.code, REJECT_POLICY);
		apply(registry, 0, &full, 1, NULL);
		block_unref(enough);
		block_unref(less);
	}
	registry_free(registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_debt),
		cmocka_unit_test(test_debt_is_bounded),
		cmocka_unit_test(test_bundles),
		cmocka_unit_test(test_free_data),
		cmocka_unit_test(test_burn),
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_damaged_bytes),
		cmocka_unit_test(test_block_must_burn),
	};

	return cmocka_run_group_tests_name("fees", tests, setup, teardown);
}
