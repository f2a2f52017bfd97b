/* What only the inside of the module shows: the integers that values become, and a benchmark that failed. */
#include "ml/backend_cpu.h"
#include "ml/update.c"
#include "unit.h"

static void test_value_integer(void **state)
{
	(void)state;
	assert_true(update_value(1.0f) == (int64_t)1 << 32);
	assert_true(update_value(-0.5f) == -((int64_t)1 << 31));
	/* Ties go to even, on both sides. */
	assert_true(update_value(0x1p-33f) == 0 && update_value(-0x1p-33f) == 0);
	assert_true(update_value(0x1.8p-32f) == 2 && update_value(-0x1.8p-32f) == -2);
	assert_true(update_value(0x1.4p-31f) == 2 && update_value(-0x1.4p-31f) == -2);
	assert_true(update_value(0x1.400002p-31f) == 3 && update_value(-0x1.400002p-31f) == -3);
	assert_true(update_value(0x1p-149f) == 0);
	/* 2^47 is 2^15 nats. */
	assert_true(update_value(32767.998f) < UPDATE_VALUE_MAX && update_value(32768.0f) == UPDATE_VALUE_MAX);
	assert_true(update_value(1e38f) == UPDATE_VALUE_MAX && update_value(-1e38f) == -UPDATE_VALUE_MAX);
	assert_true(update_value(-32768.0f) == -UPDATE_VALUE_MAX);
	assert_true(update_value(INFINITY) == -UPDATE_VALUE_MAX && update_value(-INFINITY) == -UPDATE_VALUE_MAX);
	assert_true(update_value(NAN) == -UPDATE_VALUE_MAX && update_value(-NAN) == -UPDATE_VALUE_MAX);
}

static void test_floor_divide(void **state)
{
	(void)state;
	assert_true(update_floor_divide(7, 2) == 3 && update_floor_divide(-7, 2) == -4);
	assert_true(update_floor_divide(-8, 2) == -4 && update_floor_divide(-1, 257) == -1 &&
		update_floor_divide(0, 3) == 0);
}

/* Deltas of whole numbers against a slope of one unit. */
static void test_products(void **state)
{
	uint8_t deltas[2][DELTA_BLOCK_SIZE] = { { 0, 1, 9 }, { 0, (uint8_t)-5 } };
	float slope[DELTA_BLOCK] = { 0x1p-32f };

	(void)state;
	assert_true(update_product(deltas[0], slope, DELTA_BLOCK) == 0x1p-32f);
	assert_true(update_product(deltas[1], slope, DELTA_BLOCK) == -5 * 0x1p-32f);
}

/* What a slot was worth is the floored mean of its proofs', each the mean of both states; paid is what is known of own
 * pages and used. Entropies are 2: known is a loss below 1.75. */
static void test_slot_values(void **state)
{
	enum { COUNT = 7 };
	static const uint32_t slot[COUNT] = { 1, 0, 1, 3, 4, 5, 6 };
	/* Minus the products, in units: of the reserved text and of the own pages, at both states. */
	static const int units[4][COUNT] = {
		{ -1, 4, -3, 1, 1, -8, -2 },
		{ -1, 6, -3, 1, 1, -8, 0 },
		{ 10, 70, 20, 30, 50, 90, 40 },
		{ 12, 74, 23, 30, 50, 90, 40 },
	};
	struct update_proof proofs[COUNT];
	uint8_t windows;
	struct course_own own[7] = { { &windows, 2 }, { &windows, 2 }, { &windows, 2 }, { NULL, 2 }, { &windows, 2 },
		{ &windows, 2 }, { &windows, 2 } };
	struct update_job job = { .own = own, .proofs = proofs, .proof_count = COUNT, .slots = 7, .v_ref = 2 };
	float products[4][COUNT];
	struct update_measurement measurements[2] = {
		{ .loss = { 9, 1.7f, 1.7f, 1.7f, 0, 1.75f, 1, 1.7499f }, .products = { products[0], products[2] } },
		{ .loss = { 9, 9, 9, 9, 9, 9, 9, 9 }, .products = { products[1], products[3] } },
	};
	struct update_slot slots[UPDATE_SLOTS_MAX] = { 0 };

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		proofs[i] = (struct update_proof){ NULL, slot[i] };
		for (int j = 0; j < 4; j++)
			products[j][i] = (float)-units[j][i] * 0x1p-32f;
	}
	update_count_proofs(&job, slots);
	assert_int_equal(update_judge_slots(&job, measurements, slots), 1);
	assert_true(slots[0].count == 1 && slots[0].effect == 5 && slots[0].own == 72 && slots[0].value == 72);
	/* -2 is not below -v_ref; 11 and 21.5, which goes to the even 22: 33 / 2. */
	assert_true(slots[1].count == 2 && slots[1].effect == -2 && slots[1].state == UPDATE_USED);
	assert_true(slots[1].known && slots[1].value == 16);
	assert_true(slots[2].count == 0 && slots[2].value == 0 && slots[2].state == UPDATE_EMPTY && !slots[2].known);
	/* Without an own page; with one as well predicted as entropy tells, at most. */
	assert_true(slots[3].effect == 1 && !slots[3].known && slots[3].own == 0 && slots[3].value == 0);
	assert_true(slots[4].effect == 1 && !slots[4].known && slots[4].own == 50 && slots[4].value == 0);
	assert_true(slots[5].effect == -8 && slots[5].state == UPDATE_LEFT_OUT && slots[5].known);
	assert_true(slots[5].own == 90 && slots[5].value == 0);
	assert_true(slots[6].effect == -1 && slots[6].known && slots[6].value == 40);
}

/* The gate looks at the reserved text, and at all windows together, each row counting alike. */
static void test_gate(void **state)
{
	struct train_config config = {
		.model = { .d = 16, .layers = 1, .heads = 1, .ff = 16, .ctx = 32 },
		.gate_ppm = 1000000,
		.bench_rows = 24,
	};
	uint8_t key[32] = { 0 }, windows;
	struct course_own own[3] = { { NULL, 0 }, { &windows, 0 }, { &windows, 0 } };
	struct update_job job = { .own = own, .slots = 3 };
	struct update_measurement measurements[2] = {
		{ .loss = { 4, NAN, 2, 8 } },
		{ .number = 1, .loss = { 4, NAN, 2, 8 } },
	};
	struct state *proposed = state_new_initial(&config.model, key);

	(void)state;
	/* 24, 3 and 3 rows. */
	assert_true(update_whole_loss(&job, &config, measurements) == (24 * 4 + 3 * 2 + 3 * 8) / 30.0f);
	assert_true(update_is_accepted(&config, &job, proposed, measurements));
	measurements[1].loss[3] = 8.5f;
	assert_false(update_is_accepted(&config, &job, proposed, measurements));
	measurements[1].loss[0] = 3.5f;
	assert_true(update_is_accepted(&config, &job, proposed, measurements));
	measurements[1].loss[0] = 4.25f;
	measurements[1].loss[3] = 1;
	assert_false(update_is_accepted(&config, &job, proposed, measurements));
	config.gate_ppm = 1062500;
	assert_true(update_is_accepted(&config, &job, proposed, measurements));
	state_unref(proposed);
}

/* Rows are numbered alike for all children of a state, whichever slots have proofs, and never twice. */
static void test_row_numbers(void **state)
{
	static const struct train_config config = { .bench_rows = 17 };
	uint8_t reserved, windows[3];
	struct course_own own[3] = { { &windows[0], 0 }, { NULL, 0 }, { &windows[2], 0 } };
	struct update_job job = { .windows = &reserved, .own = own, .slots = 3 };
	struct benchmark_group group;

	(void)state;
	assert_true(update_group(&job, &config, 0, 0, &group));
	assert_true(group.windows == &reserved && group.rows == 17 && group.first_row == 0);
	assert_true(update_group(&job, &config, 0, 1, &group));
	assert_true(group.windows == &windows[0] && group.rows == 2 && group.first_row == 17);
	assert_false(update_group(&job, &config, 0, 2, &group));
	assert_true(update_group(&job, &config, 0, 3, &group));
	assert_true(group.windows == &windows[2] && group.first_row == 21);
	assert_true(update_group(&job, &config, 1, 0, &group));
	assert_int_equal(group.first_row, 23);
	assert_true(update_group(&job, &config, 1, 3, &group));
	assert_int_equal(group.first_row, 44);
}

/* A benchmark's gradient may be not finite where its loss is: that voids the block too. */
static void test_failed_benchmark(void **state)
{
	static const struct train_config config = {
		.model = { .d = 16, .layers = 1, .heads = 1, .ff = 16, .ctx = 32 },
		.batch = 1,
		.iterations = 1,
		.mu_ppm = 900000,
		.eta_ppm = 700000,
		.gate_ppm = 2000000,
		.bench_rows = 1,
	};
	uint8_t key[32] = { 0 }, windows[33] = { 0 };
	uint8_t *delta = mem_calloc(step_delta_size(&config), 1);
	struct backend *backend = backend_new(backend_cpu(ENGINE_REFERENCE), &config, 1);
	struct state *parent = state_new_initial(&config.model, key), *next;
	struct update_proof proof = { delta, 0 };
	struct update_job job = {
		.parent = parent,
		.benchmark = benchmark_new(backend, parent, windows, key, NULL),
		.windows = windows,
		.proofs = &proof,
		.proof_count = 1,
		.slots = 1,
		.v_ref = 1,
	};
	struct update_outcome outcome;

	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		job.benchmark->fails = fails;
		next = update_execute(backend, &job, &outcome);
		assert_int_equal(outcome.is_void, fails);
		state_unref(next);
	}
	benchmark_unref(job.benchmark);
	state_unref(parent);
	backend_free(backend);
	free(delta);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_integer),
		cmocka_unit_test(test_floor_divide),
		cmocka_unit_test(test_products),
		cmocka_unit_test(test_slot_values),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_row_numbers),
		cmocka_unit_test(test_failed_benchmark),
	};

	return cmocka_run_group_tests_name("ml/update", tests, NULL, NULL);
}
