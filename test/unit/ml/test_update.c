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

/* A slot's value is the floored mean of its proofs'. Deltas of whole numbers against a slope of one unit of value. */
static void test_slot_values(void **state)
{
	uint8_t deltas[3][DELTA_BLOCK_SIZE] = { { 0, 1 }, { 0, 2 }, { 0, (uint8_t)-5 } };
	struct update_proof proofs[3] = { { deltas[0], 1 }, { deltas[2], 0 }, { deltas[1], 1 } };
	struct update_job job = { .proofs = proofs, .proof_count = 3, .slots = 3, .leave_out = true, .v_ref = 1 };
	struct update_slot slots[UPDATE_SLOTS_MAX] = { 0 };
	float slope[DELTA_BLOCK] = { 0x1p-32f };

	(void)state;
	update_count_proofs(&job, slots);
	assert_int_equal(update_judge_slots(&job, slope, DELTA_BLOCK, slots), 1);
	assert_true(slots[0].count == 1 && slots[0].value == 5 && slots[0].state == UPDATE_USED);
	assert_true(slots[1].count == 2 && slots[1].value == -2 && slots[1].state == UPDATE_LEFT_OUT);
	assert_true(slots[2].count == 0 && slots[2].value == 0 && slots[2].state == UPDATE_EMPTY);
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
		cmocka_unit_test(test_slot_values),
		cmocka_unit_test(test_failed_benchmark),
	};

	return cmocka_run_group_tests_name("ml/update", tests, NULL, NULL);
}
