/* Rewards computed by hand, and the coinbase that follows from them: nothing in it can be changed. */
#include "consensus/change.h"
#include "consensus/registry_fixture.h"

/* === Amounts === */

static void test_parts(void **state)
{
	struct spec spec;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	assert_true(reward_compute_part(&spec, 1) == 3500000000);
	assert_true(reward_data_part(&spec, 1) == 1500000000);
	assert_true(reward_compute_part(&spec, 149) == 3500000000);
	assert_true(reward_compute_part(&spec, 150) == 1750000000);
	assert_true(reward_data_part(&spec, 150) == 750000000);
	spec.subsidy = 3; /* 2.1 and the rest */
	assert_true(reward_compute_part(&spec, 1) == 2);
	assert_true(reward_data_part(&spec, 1) == 1);
	spec.subsidy = 1;
	assert_true(reward_compute_part(&spec, 1) == 0);
	assert_true(reward_data_part(&spec, 1) == 1);
	spec_clear(&spec);
}

static void test_bucket(void **state)
{
	static const struct {
		uint32_t height;
		int64_t bucket;
		struct reward_proofs proofs;
		int64_t worth, after;
	} cases[] = {
		{ 1, 0, { .loose = 0 }, 875000000, 2625000000 }, { 1, 0, { .loose = 3 }, 875000000, 0 },
		{ 1, 0, { .loose = 4 }, 700000000, 0 }, { 1, 0, { .loose = 6 }, 500000000, 0 },
		{ 1, 0, { .loose = 8 }, 388888888, 8 },                     /* what does not divide stays */
		{ 1, 10500000000, { .loose = 16 }, 823529411, 13 },         /* 14e9 / 17 */
		{ 1, 56000000000, { .loose = 0 }, 875000000, 55125000000 }, /* full: nothing is added */
		{ 1, 55000000000, { .loose = 16 }, 875000000, 41125000000 },
		{ 150, 56000000000, { .loose = 0 }, 437500000,
			27562500000 }, /* halved: what the smaller bucket cannot hold is lost */
		{ 64 * 150, 56000000000, { .loose = 3 }, 0, 0 },
		{ 1, 0, { 0, { [15] = 3 } }, 875000000, 164062500 },    /* late by a block: a sixteenth less */
		{ 1, 0, { 3, { [12] = 1, [8] = 2 } }, 608695652, 1 },   /* 4 * 3.5e9 / 23; a half, and 3/4, divide */
		{ 1, 0, { 1, { [12] = 1 } }, 875000000, 1093750000 },   /* 3.5e9 - 2.75 * 875e6 */
		{ 1, 0, { 16, { [8] = 1, [12] = 1 } }, 191780821, 18 }, /* 14e9 / 73 = 191780821.9 */
	};
	struct spec spec;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t after;

		assert_true(reward_proof(&spec, cases[i].height, cases[i].bucket, &cases[i].proofs, &after) ==
			cases[i].worth);
		assert_true(after == cases[i].after);
	}
	spec_clear(&spec);
}

/* Worth falls with age, to half and no further; older ones are worth nothing. */
static void test_late(void **state)
{
	static const uint32_t sixteenths[] = { 0, 15, 12, 8, 8, 8, 8, 0, 0 };

	(void)state;
	for (uint32_t back = 0; back < sizeof sixteenths / sizeof sixteenths[0]; back++) {
		assert_int_equal(reward_late_sixteenths(back), sixteenths[back]);
		assert_true(reward_late(1003, back) == 1003 * (int64_t)sixteenths[back] / 16);
	}
	assert_int_equal(reward_late_sixteenths(UINT32_MAX), 0);
}

static int64_t pay_of(const struct spec *spec, uint32_t height, uint32_t proofs, int64_t value, int64_t v_ref)
{
	const struct reward_slot slot = { proofs, value, v_ref, REWARD_FULL_WEIGHT };

	return reward_slot(spec, height, &slot);
}

/* While there are few data, whatever they are worth, their part of full pay, rounded down once. */
static void test_slot_weight(void **state)
{
	struct reward_slot slot = { 2, 1000, 1000, 0 };
	struct spec spec;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	assert_true(reward_slot(&spec, 1, &slot) == 0);
	slot.weight = REWARD_FULL_WEIGHT / 2;
	assert_true(reward_slot(&spec, 1, &slot) == 375000000);
	slot.weight = 1;
	assert_true(reward_slot(&spec, 1, &slot) == 44);
	slot = (struct reward_slot){ 1, 1, 7, 65536 };
	assert_true(reward_slot(&spec, 1, &slot) == 209263); /* 53571428.57 / 256 = 209263.4 */
	spec_clear(&spec);
}

static void test_slot(void **state)
{
	static const struct {
		uint32_t count;
		int64_t value, v_ref, pay;
	} cases[] = {
		{ 1, 1000, 1000, 375000000 }, /* half of the proofs that a slot gets on average */
		{ 2, 1000, 1000, 750000000 },
		{ 5, 1000, 1000, 750000000 },
		{ 2, 5000, 1000, 750000000 },
		{ 2, 500, 1000, 375000000 },
		{ 2, 333, 1000, 249750000 },
		{ 1, 1, 7, 53571428 }, /* 750e6 * 2 * 1 / 28 = 53571428.57 */
		{ 2, 0, 1000, 0 },
		{ 2, -1000, 1000, 0 },
		{ 0, 1000, 1000, 0 },
	};
	struct spec spec;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(pay_of(&spec, 1, cases[i].count, cases[i].value, cases[i].v_ref) == cases[i].pay);
	assert_true(pay_of(&spec, 150, 2, 1000, 1000) == 375000000);
	spec.slots = 7; /* floor(1.5e9 / 7) = 214285714 before anything else */
	assert_true(pay_of(&spec, 1, 1, 9, 9) == 214285714);
	spec_clear(&spec);
}

static void test_extremes(void **state)
{
	int64_t most = INT64_C(1) << 47, after;
	struct spec spec;

	(void)state;
	assert_true(spec_builtin(&spec, "regtest"));
	spec.subsidy = 1000000000000;
	spec.k = 64;
	spec.slots = 14;
	assert_true(pay_of(&spec, 1, 257, most, most) == 21428571428);
	assert_true(pay_of(&spec, 1, UINT32_MAX, most, most) == 21428571428);
	assert_true(pay_of(&spec, 1, 257, most - 1, most) == 21428571427);
	assert_true(pay_of(&spec, 1, 1, most, most) == 4687499999);
	assert_true(pay_of(&spec, 1, 1, most, 1) == 4687499999);
	assert_true(pay_of(&spec, 1, 1, 1, most) == 0);
	assert_true(reward_proof(&spec, 1, 16 * INT64_C(700000000000), &(struct reward_proofs){ .loose = 256 },
			    &after) == 10937500000);
	assert_true(after == 16 * INT64_C(700000000000) - 257 * INT64_C(10937500000));
	spec_clear(&spec);
}

/* === The coinbase === */

static const uint8_t miner[32] = { 1 };

/* Block 5 on regtest: two loose proofs, fees, and a parent that did dataset 1 good. */
struct example {
	struct spec spec;
	struct registry *registry;
	struct header loose[2];
	struct block_outcome parent;
	struct coinbase_facts facts;
};

static void example_init(struct example *e)
{
	struct contribution data = example_data(0, 65536);

	memset(e, 0, sizeof *e);
	assert_true(spec_builtin(&e->spec, "regtest"));
	e->registry = registry_new(&e->spec);
	apply(e->registry, 0, &data, 1, NULL);
	for (int i = 0; i < 3; i++)
		apply(e->registry, 0, NULL, 0, &(struct block_outcome){ .outcome.is_void = true });
	assert_true(registry_bucket(e->registry) == 4 * INT64_C(2625000000));
	e->loose[0].miner[0] = 2;
	e->loose[1].miner[0] = 3;
	e->parent = example_outcome(2, 1, 2147483);
	e->parent.outcome.slot[1].count = 2;
	e->parent.outcome.slot[1].value = 4294967; /* as good as can be, but dataset 0 has no owner */
	e->facts = (struct coinbase_facts){
		.height = 5,
		.fees = 1234,
		.miner = miner,
		.loose = e->loose,
		.loose_count = 2,
		.registry = e->registry,
		.parent = &e->parent,
	};
}

static void example_clear(struct example *e)
{
	registry_free(e->registry);
	spec_clear(&e->spec);
}

static void assert_pays(const struct tx_output *output, int64_t amount, const uint8_t key[32])
{
	assert_true(output->amount == amount);
	assert_int_equal(output->script.size, P2TR_SIZE);
	assert_memory_equal(output->script.data + 2, key, 32);
}

static void assert_refused(const struct example *e, const struct tx *tx, const char *reason)
{
	struct reject reject = { .reason = "" };

	if (coinbase_check(&e->spec, tx, &e->facts, &reject))
		fail_msg("taken, where %s was expected", reason);
	assert_string_equal(reject.reason, reason);
	assert_int_equal(reject.code, REJECT_INVALID);
}

/* The coinbase, to be changed. */
static struct tx *build_open(const struct example *e)
{
	return change_open(coinbase_build(&e->spec, &e->facts));
}

static void test_build(void **state)
{
	struct example e;
	struct tx *tx;
	struct outcome stated;

	(void)state;
	example_init(&e);
	tx = build_open(&e);
	assert_true(coinbase_check(&e.spec, tx, &e.facts, NULL));
	assert_true(tx_check(tx, NULL));
	assert_true(tx_is_coinbase(tx));
	assert_int_equal(tx->output_count, 5);
	/* w = 875000000, w / 16 = 54687500 */
	assert_pays(&tx->outputs[0], 875000000 + 1234 + 2 * 54687500, miner);
	assert_pays(&tx->outputs[1], 820312500, e.loose[0].miner);
	assert_pays(&tx->outputs[2], 820312500, e.loose[1].miner);
	/* floor(750000000 * 2 * 2147483 / (4 * 4294967)) */
	assert_pays(&tx->outputs[3], 187499956, registry_get(e.registry, 1)->owner);
	assert_true(outcome_parse(&tx->outputs[4].script, 2, &stated));
	assert_true(stated.slot[0].value == 2147483 && stated.slot[1].value == 4294967);
	assert_int_equal(tx->outputs[4].amount, 0);
	assert_int_equal(tx->inputs[0].script.size, 2);
	assert_memory_equal(tx->inputs[0].script.data, "\x01\x05", 2);
	tx_unref(tx);
	example_clear(&e);
}

/* Block 1 and the child of a void block: nothing for data. */
static void test_build_void(void **state)
{
	struct example e;
	struct outcome stated;
	struct tx *tx;

	(void)state;
	example_init(&e);
	e.parent.outcome.is_void = true;
	for (int i = 0; i < 2; i++) {
		tx = build_open(&e);
		assert_int_equal(tx->output_count, 4);
		assert_true(outcome_parse(&tx->outputs[3].script, 2, &stated));
		assert_true(stated.is_void);
		tx_unref(tx);
		e.facts.parent = NULL;
	}
	e.spec.subsidy = 0; /* amounts of zero are left out */
	tx = build_open(&e);
	assert_int_equal(tx->output_count, 2);
	assert_pays(&tx->outputs[0], 1234, miner);
	e.facts.fees = 0;
	tx_unref(tx);
	tx = build_open(&e);
	assert_int_equal(tx->output_count, 1);
	tx_unref(tx);
	example_clear(&e);
}

/* The first block after a halving pays the data of the last one before it in full. */
static void test_build_halving(void **state)
{
	struct example e;
	struct tx *tx;

	(void)state;
	example_init(&e);
	e.facts.height = 150;
	e.facts.loose_count = 0;
	tx = build_open(&e);
	assert_pays(&tx->outputs[0], 437500000 + 1234, miner);
	assert_pays(&tx->outputs[1], 187499956, registry_get(e.registry, 1)->owner);
	tx_unref(tx);
	example_clear(&e);
}

static void test_height_push(void **state)
{
	static const struct {
		uint32_t height;
		const char *script;
		size_t size;
	} cases[] = {
		{ 1, "\x01\x01", 2 },
		{ 16, "\x01\x10", 2 },
		{ 17, "\x01\x11", 2 },
		{ 127, "\x01\x7f", 2 },
		{ 128, "\x02\x80\x00", 3 },
		{ 255, "\x02\xff\x00", 3 },
		{ 256, "\x02\x00\x01", 3 },
		{ 32767, "\x02\xff\x7f", 3 },
		{ 32768, "\x03\x00\x80\x00", 4 },
		{ 0x800000, "\x04\x00\x00\x80\x00", 5 },
		{ UINT32_MAX, "\x05\xff\xff\xff\xff\x00", 6 },
	};
	struct example e;

	(void)state;
	example_init(&e);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tx *tx;

		e.facts.height = cases[i].height;
		tx = build_open(&e);
		assert_int_equal(tx->inputs[0].script.size, cases[i].size);
		assert_memory_equal(tx->inputs[0].script.data, cases[i].script, cases[i].size);
		tx_unref(tx);
	}
	example_clear(&e);
}

static void flip_amount_bits(const struct example *e, struct tx *tx, size_t i)
{
	const char *reason = i + 1 == tx->output_count ? "bad-cb-outcome" : "bad-cb-outputs";

	for (int bit = 0; bit < 64; bit++) {
		int64_t before = tx->outputs[i].amount;

		tx->outputs[i].amount = (int64_t)((uint64_t)before ^ UINT64_C(1) << bit);
		assert_refused(e, tx, reason);
		tx->outputs[i].amount = before;
	}
}

static void flip_script_bits(const struct example *e, struct tx *tx, size_t i)
{
	const char *reason = i + 1 == tx->output_count ? "bad-cb-outcome" : "bad-cb-outputs";
	struct bytes *script = &tx->outputs[i].script;

	for (size_t bit = 0; bit < 8 * script->size; bit++) {
		script->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(e, tx, reason);
		script->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	script->size--;
	assert_refused(e, tx, reason);
	script->size++;
}

static void test_every_bit(void **state)
{
	struct example e;
	struct tx *tx;

	(void)state;
	example_init(&e);
	tx = build_open(&e);
	for (size_t i = 0; i < tx->output_count; i++) {
		flip_amount_bits(&e, tx, i);
		flip_script_bits(&e, tx, i);
	}
	assert_true(coinbase_check(&e.spec, tx, &e.facts, NULL));
	tx_unref(tx);
	example_clear(&e);
}

static void test_outputs_moved(void **state)
{
	struct example e;
	struct tx *tx;
	struct tx_output output;

	(void)state;
	example_init(&e);
	tx = build_open(&e);
	output = tx->outputs[1];
	tx->outputs[1] = tx->outputs[2];
	tx->outputs[2] = output;
	assert_refused(&e, tx, "bad-cb-outputs");
	tx->outputs[2] = tx->outputs[1];
	tx->outputs[1] = output;
	tx->output_count--;
	assert_refused(&e, tx, "bad-cb-outputs");
	tx->output_count++;
	tx_add_output(tx, 0, miner, sizeof miner);
	assert_refused(&e, tx, "bad-cb-outputs");
	free(tx->outputs[--tx->output_count].script.data);
	tx->output_count = 0;
	assert_refused(&e, tx, "bad-cb-outputs");
	tx->output_count = 5;
	assert_true(coinbase_check(&e.spec, tx, &e.facts, NULL));
	tx_unref(tx);
	example_clear(&e);
}

static void test_input(void **state)
{
	struct example e;
	struct tx *tx;

	(void)state;
	example_init(&e);
	tx = build_open(&e);
	tx->version = 2;
	assert_refused(&e, tx, "bad-cb-height");
	tx->version = 1;
	tx->locktime = 1;
	assert_refused(&e, tx, "bad-cb-height");
	tx->locktime = 0;
	tx->inputs[0].sequence--;
	assert_refused(&e, tx, "bad-cb-height");
	tx->inputs[0].sequence++;
	tx->inputs[0].prev.index--;
	assert_refused(&e, tx, "bad-cb-height");
	tx->inputs[0].prev.index++;
	tx->inputs[0].prev.txid[31] = 1;
	assert_refused(&e, tx, "bad-cb-height");
	tx->inputs[0].prev.txid[31] = 0;
	for (int bit = 0; bit < 16; bit++) {
		tx->inputs[0].script.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(&e, tx, "bad-cb-height");
		tx->inputs[0].script.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(coinbase_check(&e.spec, tx, &e.facts, NULL));
	tx_add_input(tx, &(struct outpoint){ .index = UINT32_MAX }, UINT32_MAX);
	assert_refused(&e, tx, "bad-cb-height");
	tx->input_count--;
	tx_set_witness(tx, 0, miner, 32); /* which no txid covers */
	assert_refused(&e, tx, "bad-cb-height");
	tx_unref(tx);
	example_clear(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_slot),
		cmocka_unit_test(test_slot_weight),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_build_void),
		cmocka_unit_test(test_build_halving),
		cmocka_unit_test(test_height_push),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_outputs_moved),
		cmocka_unit_test(test_input),
	};

	return cmocka_run_group_tests_name("reward", tests, NULL, NULL);
}
