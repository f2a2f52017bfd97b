/* What runs earn: a part of each block's compute, paid by the child of a merge to the seats that it found true, and by
 * nobody to the others. Over any rounds no coin is made that no subsidy is for. */
#include "consensus/branch/registry_state.h"
#include "consensus/change.h"
#include "consensus/registry_fixture.h"

enum { PAY_ROUND = 4, PAY_HALVING = 6, PAY_SEGMENTS = 5 };
enum { SEAT_EMPTY, SEAT_MERGED, SEAT_LEFT_OUT, SEAT_STRUCK };

/* A branch from genesis on, whose blocks are what coinbase_build makes of it. */
struct world {
	struct spec spec;
	struct registry *registry;
	struct block_outcome parent;
	uint32_t lengths[PAY_ROUND]; /* of all rounds' runs */
	int64_t fees, paid, minted;  /* so far */
	uint32_t seed;
};

static void world_init(struct world *world, uint32_t run_ppm)
{
	memset(world, 0, sizeof *world);
	assert_true(spec_builtin(&world->spec, "regtest"));
	world->spec.round_blocks = PAY_ROUND;
	world->spec.round_work = world->spec.round_reveal = 1;
	world->spec.run_ppm = run_ppm;
	world->spec.segments = PAY_SEGMENTS;
	for (int seat = 0; seat < PAY_ROUND; seat++)
		world->lengths[seat] = PAY_SEGMENTS;
	world->spec.halving = PAY_HALVING;
	world->registry = registry_new(&world->spec);
	world->parent.outcome.is_void = true;
}

static void world_clear(struct world *world)
{
	registry_free(world->registry);
	spec_clear(&world->spec);
}

static uint32_t dice(struct world *world, uint32_t sides)
{
	world->seed = world->seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)world->seed * sides >> 32);
}

/* The key of whoever mines the block at that height. */
static void miner_of(uint32_t height, uint8_t key[32])
{
	memset(key, 0, 32);
	write_le32(key, height);
	key[31] = 1;
}

static void world_facts(const struct world *world, struct coinbase_facts *facts, struct block *block)
{
	const uint32_t height = registry_height(world->registry) + 1;

	miner_of(height, block->header.miner);
	for (int seat = 0; world->registry->rounds.base > 0 && seat < PAY_ROUND; seat++)
		world->registry->rounds.runs[seat].length = world->lengths[seat];
	*facts = (struct coinbase_facts){
		.height = height,
		.fees = world->fees,
		.miner = block->header.miner,
		.loose = block->loose,
		.loose_count = block->loose_count,
		.registry = world->registry,
		.parent = height > 1 ? &world->parent : NULL,
	};
}

/* The next block; its coinbase, a reference. */
static const struct tx *world_mine(struct world *world, size_t loose)
{
	struct block *block = example_block(loose, NULL, 0);
	struct coinbase_facts facts;
	const struct tx *coinbase;

	for (size_t i = 0; i < loose; i++)
		block->loose[i].miner[0] = (uint8_t)(0x80 + i);
	world_facts(world, &facts, block);
	tx_unref(block->txs[0]);
	block->txs[0] = coinbase = coinbase_build(&world->spec, &facts);
	assert_true(coinbase_check(&world->spec, coinbase, &facts, NULL));
	assert_true(tx_check(coinbase, NULL));
	for (size_t i = 0; i < coinbase->output_count; i++)
		world->paid += coinbase->outputs[i].amount;
	world->paid -= world->fees;
	world->minted += spec_subsidy(&world->spec, facts.height);
	registry_undo_free(registry_apply(world->registry, block, facts.parent));
	world->parent = (struct block_outcome){ .outcome.is_void = true };
	tx_ref(coinbase);
	block_unref(block);
	return coinbase;
}

static void world_skip(struct world *world, uint32_t count)
{
	while (count-- > 0)
		tx_unref(world_mine(world, 0));
}

static void assert_pays(const struct tx_output *output, int64_t amount, uint32_t seat_height)
{
	uint8_t key[32];

	miner_of(seat_height, key);
	assert_true(output->amount == amount);
	assert_true(script_pays(&output->script, key));
}

/* Half of what compute gets is for runs, each by the subsidy of its own seat's block: 5, then 6 to 8 after the halving.
 */
static void test_pays_true_seats(void **state)
{
	struct coinbase_parts parts;
	struct world world;
	const struct tx *coinbase;

	(void)state;
	world_init(&world, 500000);
	assert_true(reward_run_part(&world.spec, 5) == 1750000000 && reward_run_part(&world.spec, 6) == 875000000);
	world_skip(&world, 3 * PAY_ROUND);
	world.parent.merge = (struct merge_statement){ .seats = PAY_ROUND,
		.seat = { SEAT_MERGED, SEAT_STRUCK, SEAT_EMPTY, SEAT_LEFT_OUT } };
	coinbase = world_mine(&world, 1);
	/* Height 13, so R is a quarter and w = 437500000 / 4, and the miner has a sixteenth of the loose proof's. */
	assert_int_equal(coinbase->output_count, 6);
	assert_pays(&coinbase->outputs[0], 109375000 + 6835937, 13);
	assert_true(coinbase->outputs[1].amount == 109375000 - 6835937);
	assert_pays(&coinbase->outputs[2], 1750000000, 5);
	assert_pays(&coinbase->outputs[3], 875000000, 8);
	assert_int_equal(coinbase->outputs[4].amount, 0);
	assert_int_equal(coinbase->outputs[5].amount, 0);
	coinbase_part(&world.spec, coinbase, 13, &parts);
	assert_int_equal(parts.runs, 2);
	assert_int_equal(parts.outcome, 4);
	assert_int_equal(parts.merge.seats, PAY_ROUND);
	assert_int_equal(parts.merge.seat[3], SEAT_LEFT_OUT);
	/* At another height it would state none, and the last output would be the outcome. */
	coinbase_part(&world.spec, coinbase, 12, &parts);
	assert_int_equal(parts.runs, 5);
	assert_int_equal(parts.outcome, 5);
	assert_int_equal(parts.merge.seats, 0);
	tx_unref(coinbase);
	world_clear(&world);
}

/* By its segments, rounded down; nothing at all where there is less than a unit for each. */
static void test_pays_by_length(void **state)
{
	static const uint32_t parts_ppm[] = { 500000, 333333, 1 };
	struct coinbase_parts parts;
	const struct tx *coinbase;
	struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof parts_ppm / sizeof parts_ppm[0]; i++) {
		world_init(&world, parts_ppm[i]);
		for (uint32_t seat = 0; seat < PAY_ROUND; seat++)
			world.lengths[seat] = seat == 3 ? PAY_SEGMENTS : seat + 1;
		world_skip(&world, 2 * PAY_ROUND);
		world.parent.merge = (struct merge_statement){ .seats = PAY_ROUND,
			.seat = { SEAT_MERGED, SEAT_LEFT_OUT, SEAT_STRUCK, SEAT_MERGED } };
		coinbase = world_mine(&world, 0);
		coinbase_part(&world.spec, coinbase, 2 * PAY_ROUND + 1, &parts);
		assert_int_equal(parts.outcome - parts.runs, 3);
		assert_pays(&coinbase->outputs[parts.runs], reward_run_part(&world.spec, 1) / PAY_SEGMENTS, 1);
		assert_pays(&coinbase->outputs[parts.runs + 1], reward_run_part(&world.spec, 2) * 2 / PAY_SEGMENTS, 2);
		assert_pays(&coinbase->outputs[parts.runs + 2], reward_run_part(&world.spec, 4), 4);
		tx_unref(coinbase);
		world_clear(&world);
	}
	world_init(&world, 1000000);
	for (uint32_t height = 1; height < 60 * PAY_HALVING; height += PAY_HALVING) {
		const int64_t part = reward_run_part(&world.spec, height);

		assert_true(reward_run(&world.spec, height, PAY_SEGMENTS) == (part < PAY_SEGMENTS ? 0 : part));
		for (uint32_t length = 1; length < PAY_SEGMENTS; length++) {
			assert_true(reward_run(&world.spec, height, length) ==
				(part < PAY_SEGMENTS ? 0 : part * length / PAY_SEGMENTS));
			assert_true((reward_run(&world.spec, height, length) > 0) == (part >= PAY_SEGMENTS));
		}
	}
	world.spec.segments = world.spec.run_ppm = 0;
	assert_true(reward_run(&world.spec, 1, 1) == 0);
	world_clear(&world);
}

/* A merge that is void has cost the runs as much as any: who is true is paid. */
static void test_void_pays_too(void **state)
{
	struct world world;
	const struct tx *coinbase;

	(void)state;
	world_init(&world, 1000000);
	world_skip(&world, 2 * PAY_ROUND);
	world.parent.merge = (struct merge_statement){ .seats = PAY_ROUND,
		.is_void = true,
		.seat = { SEAT_LEFT_OUT, SEAT_LEFT_OUT, SEAT_EMPTY, SEAT_EMPTY } };
	coinbase = world_mine(&world, 3);
	/* All of compute is the runs', so proofs get nothing, and the first seat's pay is the first output. */
	assert_int_equal(coinbase->output_count, 4);
	assert_pays(&coinbase->outputs[0], 3500000000, 1);
	assert_pays(&coinbase->outputs[1], 3500000000, 2);
	tx_unref(coinbase);
	world_clear(&world);
}

/* Nothing but the child of a merge has a statement; and where runs earn nothing it is all that there is of them. */
static void test_statement_alone(void **state)
{
	struct coinbase_parts parts;
	struct world world;
	const struct tx *coinbase;

	(void)state;
	world_init(&world, 0);
	for (uint32_t height = 1; height <= 2 * PAY_ROUND; height++) {
		coinbase = world_mine(&world, 0);
		assert_int_equal(coinbase->output_count, 2);
		tx_unref(coinbase);
	}
	world.parent.merge = (struct merge_statement){ .seats = PAY_ROUND,
		.seat = { SEAT_MERGED, SEAT_MERGED, SEAT_MERGED, SEAT_MERGED } };
	coinbase = world_mine(&world, 0);
	assert_int_equal(coinbase->output_count, 3);
	coinbase_part(&world.spec, coinbase, 2 * PAY_ROUND + 1, &parts);
	assert_int_equal(parts.runs, 1);
	assert_int_equal(parts.outcome, 1);
	tx_unref(coinbase);
	world_clear(&world);
}

static void assert_refused(const struct world *world, const struct coinbase_facts *facts, const struct tx *tx,
	const char *reason)
{
	struct reject reject = { .reason = "" };

	if (coinbase_check(&world->spec, tx, facts, &reject))
		fail_msg("taken, where %s was expected", reason);
	assert_string_equal(reject.reason, reason);
	assert_int_equal(reject.code, REJECT_INVALID);
}

/* No bit of it can be another: payments, outcome and statement, and neither of the last two can be missing. */
static void test_every_bit(void **state)
{
	struct block *block = example_block(1, NULL, 0);
	struct coinbase_facts facts;
	struct world world;
	struct tx *tx;

	(void)state;
	world_init(&world, 250000);
	world_skip(&world, 2 * PAY_ROUND);
	world.parent.merge = (struct merge_statement){ .seats = PAY_ROUND,
		.seat = { SEAT_MERGED, SEAT_STRUCK, SEAT_EMPTY, SEAT_LEFT_OUT } };
	world_facts(&world, &facts, block);
	tx = change_open(coinbase_build(&world.spec, &facts));
	assert_int_equal(tx->output_count, 6);
	for (size_t i = 0; i < tx->output_count; i++) {
		const char *reason = i < 4 ? "bad-cb-outputs" : "bad-cb-outcome";
		struct bytes *script = &tx->outputs[i].script;

		tx->outputs[i].amount++;
		assert_refused(&world, &facts, tx, reason);
		tx->outputs[i].amount--;
		for (size_t bit = 0; bit < 8 * script->size; bit++) {
			script->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_refused(&world, &facts, tx, reason);
			script->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	tx->output_count--;
	assert_refused(&world, &facts, tx, "bad-cb-outputs");
	tx->output_count++;
	assert_true(coinbase_check(&world.spec, tx, &facts, NULL));
	tx_unref(tx);
	block_unref(block);
	world_clear(&world);
}

/* Of a coinbase that nobody has checked the parts are within its outputs. */
static void test_parts_of_any(void **state)
{
	const struct merge_statement statement = { .seats = PAY_ROUND,
		.seat = { SEAT_MERGED, SEAT_MERGED, SEAT_MERGED, SEAT_MERGED } };
	struct coinbase_parts parts;
	struct tx *tx = tx_new();
	struct world world;
	struct buf script;

	(void)state;
	world_init(&world, 1000000);
	coinbase_part(&world.spec, tx, 2 * PAY_ROUND + 1, &parts);
	assert_int_equal(parts.outcome + parts.runs + parts.merge.seats, 0);
	coinbase_part(&world.spec, tx, 0, &parts);
	assert_int_equal(parts.outcome + parts.runs + parts.merge.seats, 0);
	buf_init(&script);
	merge_statement_script(&script, &statement);
	for (size_t outputs = 1; outputs < 8; outputs++) {
		tx_add_output(tx, 0, script.data, script.size);
		coinbase_part(&world.spec, tx, 2 * PAY_ROUND + 1, &parts);
		assert_int_equal(parts.merge.seats, PAY_ROUND);
		assert_int_equal(parts.outcome, outputs > 2 ? outputs - 2 : 0);
		assert_int_equal(parts.runs, outputs > 6 ? outputs - 6 : 0);
	}
	buf_clear(&script);
	tx_unref(tx);
	world_clear(&world);
}

/* Whatever became of seats, and however many proofs blocks list: what was paid is never more than the subsidies. */
static void test_never_too_much(void **state)
{
	static const uint32_t parts_ppm[] = { 0, 1, 250000, 333333, 999999, 1000000 };

	(void)state;
	for (size_t i = 0; i < sizeof parts_ppm / sizeof parts_ppm[0]; i++) {
		int64_t runs_paid = 0, runs_most = 0;
		struct world world;

		world_init(&world, parts_ppm[i]);
		world.spec.halving = 40;
		world.seed = (uint32_t)i;
		for (uint32_t height = 1; height <= 200; height++) {
			struct coinbase_parts parts;
			const struct tx *coinbase;

			if (spec_merges(&world.spec, height - 1)) {
				for (uint32_t seat = 0; seat < PAY_ROUND; seat++)
					world.lengths[seat] = height / PAY_ROUND % 4 ? 1 + dice(&world, PAY_SEGMENTS) :
										       PAY_SEGMENTS;
				world.parent.merge.seats = PAY_ROUND;
				world.parent.merge.is_void = dice(&world, 2);
				/* Every fourth round all of them: the most that there is to pay. */
				for (uint32_t seat = 0; seat < PAY_ROUND; seat++)
					world.parent.merge.seat[seat] = (uint8_t)(height / PAY_ROUND % 4 ?
							dice(&world, 4) :
							SEAT_MERGED);
			}
			world.fees = dice(&world, 1000);
			coinbase = world_mine(&world, dice(&world, 3) ? dice(&world, 17) : 0);
			coinbase_part(&world.spec, coinbase, height, &parts);
			for (size_t at = parts.runs; at < parts.outcome; at++)
				runs_paid += coinbase->outputs[at].amount;
			runs_most += reward_run_part(&world.spec, height);
			assert_true(world.paid <= world.minted && runs_paid <= runs_most);
			assert_true(world.paid + registry_bucket(world.registry) <= world.minted);
			tx_unref(coinbase);
		}
		assert_true(parts_ppm[i] > 0 ? runs_paid > 0 : runs_paid == 0);
		assert_true(parts_ppm[i] < 1000000 ? world.paid > runs_paid : world.paid == runs_paid);
		world_clear(&world);
	}
}

/* The last block of a round; of the first one nobody has a seat. */
static void test_merges(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 0);
	for (uint32_t height = 0; height < 4 * PAY_ROUND; height++)
		assert_int_equal(spec_merges(&world.spec, height), height == 2 * PAY_ROUND || height == 3 * PAY_ROUND);
	assert_int_equal(spec_seat_height(&world.spec, 2 * PAY_ROUND, 0), 1);
	assert_int_equal(spec_seat_height(&world.spec, 2 * PAY_ROUND, PAY_ROUND - 1), PAY_ROUND);
	world.spec.round_blocks = 0;
	assert_false(spec_merges(&world.spec, 0) || spec_merges(&world.spec, 8));
	world_clear(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pays_true_seats),
		cmocka_unit_test(test_pays_by_length),
		cmocka_unit_test(test_void_pays_too),
		cmocka_unit_test(test_statement_alone),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_parts_of_any),
		cmocka_unit_test(test_never_too_much),
		cmocka_unit_test(test_merges),
	};

	return cmocka_run_group_tests_name("run_pay", tests, NULL, NULL);
}
