/* The registry: registering, drawing, v_ref, quarantine, undo of random histories, and its byte forms. */
#include "consensus/branch/registry_state.h"
#include "consensus/registry_fixture.h"
#include "crypto/hash.h"

static struct spec spec;

static void corpus_root(uint8_t root[32])
{
	size_t size;
	const uint8_t *bytes = course_training(spec_course(&spec), &size);

	contribution_root(bytes, size, root);
}

static int setup(void **state)
{
	(void)state;
	if (!spec_builtin(&spec, "regtest"))
		return -1;
	spec.v_min = 42949; /* below the values that the tests take */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	spec_clear(&spec);
	return 0;
}

/* A ticket that looks like one: draws depend on its first 16 bytes. */
static void example_ticket(uint8_t ticket[32], uint32_t number)
{
	sha256(ticket, &number, sizeof number);
}

/* === Registering === */

static void test_register(void **state)
{
	struct contribution data[2] = { example_data(0, 5000), example_data(1, 6000) };
	struct registry *registry = registry_new(&spec);
	const struct dataset *dataset;
	struct block *block = example_block(0, data, 2);
	uint8_t root[32];
	size_t number, size;

	(void)state;
	assert_int_equal(registry_count(registry), 1);
	assert_int_equal(registry_height(registry), 0);
	assert_true(registry_bucket(registry) == 0);
	corpus_root(root);
	course_training(spec_course(&spec), &size);
	dataset = registry_find(registry, root, &number);
	assert_ptr_equal(dataset, registry_get(registry, 0));
	assert_int_equal(number, 0);
	assert_int_equal(dataset->size, size);

	registry_undo_free(registry_apply(registry, block, NULL));
	assert_int_equal(registry_count(registry), 3);
	assert_int_equal(registry_height(registry), 1);
	assert_true(registry_bucket(registry) == 2625000000);
	dataset = registry_find(registry, data[1].root, &number);
	assert_int_equal(number, 2);
	assert_int_equal(dataset->size, 6000);
	assert_int_equal(dataset->height, 1);
	assert_int_equal(dataset->output, 0);
	assert_string_equal(dataset->title, "number 1");
	assert_string_equal(dataset->licence, "CC0-1.0");
	assert_memory_equal(dataset->owner, data[1].owner, 32);
	assert_memory_equal(dataset->txid, tx_txid(block->txs[2]), 32);
	data[1].root[31] ^= 1;
	assert_null(registry_find(registry, data[1].root, NULL));
	block_unref(block);
	registry_free(registry);
}

static void test_duplicates(void **state)
{
	struct contribution data[3] = { example_data(0, 5000), example_data(1, 5000), example_data(1, 6000) };
	struct registry *registry = registry_new(&spec);
	struct block *block = example_block(0, data, 3);
	struct tx *twice = tx_new();
	struct reject reject;

	(void)state;
	commit(registry, &data[0], 1);
	commit(registry, &data[1], 1);
	assert_true(registry_check_tx(registry, block->txs[1], &reject));
	assert_true(registry_check_tx(registry, block->txs[2], &reject));
	assert_false(registry_check_block(registry, block, &reject));
	assert_string_equal(reject.reason, "bad-contrib-duplicate");
	assert_int_equal(reject.code, REJECT_INVALID);
	tx_unref(block->txs[--block->tx_count]);
	assert_true(registry_check_block(registry, block, &reject));
	apply(registry, 0, data, 1, NULL);
	assert_false(registry_check_block(registry, block, &reject));
	assert_int_equal(reject.code, REJECT_INVALID);
	assert_false(registry_check_tx(registry, block->txs[1], &reject));
	assert_string_equal(reject.reason, "bad-contrib-duplicate");
	assert_int_equal(reject.code, REJECT_POLICY);
	assert_int_equal(reject.ban_score, 0);
	assert_true(registry_check_tx(registry, block->txs[2], &reject));
	add_data_output(twice, &data[1]);
	add_data_output(twice, &data[1]);
	assert_false(registry_check_tx(registry, twice, &reject));
	assert_int_equal(reject.code, REJECT_INVALID);
	corpus_root(data[0].root); /* nobody is paid for the genesis corpus */
	commit(registry, &data[0], 1);
	tx_unref(twice);
	twice = tx_new();
	add_data_output(twice, &data[0]);
	assert_false(registry_check_tx(registry, twice, &reject));
	assert_string_equal(reject.reason, "bad-contrib-duplicate");
	tx_unref(twice);
	block_unref(block);
	registry_free(registry);
}

/* === Commitments === */

/* The x coordinate of twice the curve's generator. */
static void set_other_owner(struct contribution *data)
{
	assert_true(hex_decode(data->owner, 32, "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"));
}

/* Why the next block may not register the data: "" if it may. */
static const char *refusal(const struct registry *registry, const struct contribution *data)
{
	static struct reject reject;
	struct block *block = example_block(0, data, 1);
	bool ok = registry_check_block(registry, block, &reject),
	     ok_alone = registry_check_tx(registry, block->txs[1], NULL);

	assert_int_equal(ok, ok_alone);
	assert_true(ok || reject.code == REJECT_INVALID);
	block_unref(block);
	return ok ? "" : reject.reason;
}

/* Of its own hash, old enough and not too old; what can come true is no verdict over the transaction. */
static void test_commitment_window(void **state)
{
	struct contribution data = example_data(0, 5000), other = data;
	struct spec slow = spec;
	struct registry *registry;
	struct block *block = example_block(0, &data, 1);
	struct reject reject;

	(void)state;
	slow.commit_delay = 3;
	registry = registry_new(&slow);
	commit(registry, &data, 1);
	other.salt[7]++;
	for (uint32_t height = 2; height <= 2019; height++) {
		assert_int_equal(registry_committed(registry, &data), height >= 1 + 3 && height <= 1 + 2016);
		assert_string_equal(refusal(registry, &other), "bad-contrib-commitment");
		apply(registry, 0, NULL, 0, NULL);
	}
	assert_false(registry_check_tx(registry, block->txs[1], &reject));
	assert_string_equal(reject.reason, "bad-contrib-commitment");
	assert_int_equal(reject.code, REJECT_NOT_YET);
	memcpy(other.salt, data.salt, 32);
	set_other_owner(&other); /* another owner opens nothing, nor does another root */
	commit(registry, &data, 1);
	for (int i = 0; i < 3; i++)
		apply(registry, 0, NULL, 0, NULL);
	assert_string_equal(refusal(registry, &data), "");
	assert_string_equal(refusal(registry, &other), "bad-contrib-commitment");
	other = data;
	other.root[0] ^= 1;
	assert_string_equal(refusal(registry, &other), "bad-contrib-commitment");
	other = data; /* nor does the owner's own, registered by somebody else under other words */
	snprintf(other.licence, sizeof other.licence, "MIT");
	assert_string_equal(refusal(registry, &other), "bad-contrib-commitment");
	other = data;
	other.title[0]++;
	assert_string_equal(refusal(registry, &other), "bad-contrib-commitment");
	block_unref(block);
	registry_free(registry);
}

/* Each opens one registration, the oldest first; undone, it is closed again. */
static void test_commitment_once(void **state)
{
	struct contribution data = example_data(0, 5000);
	struct registry *registry = registry_new(&spec);
	struct block *block = example_block(0, &data, 1);
	struct registry_undo *undo;

	(void)state;
	commit(registry, &data, 2);
	commit(registry, &data, 1);
	assert_int_equal(registry_committed(registry, &data), 1);
	apply(registry, 0, &data, 1, NULL);
	assert_int_equal(registry_get(registry, 1)->committed, 1);
	assert_int_equal(registry_committed(registry, &data), 1);
	apply(registry, 0, &data, 1, NULL);
	assert_int_equal(registry_committed(registry, &data), 2);
	undo = registry_apply(registry, block, NULL);
	assert_int_equal(registry_committed(registry, &data), 0);
	assert_true(registry_undo(registry, undo));
	assert_int_equal(registry_committed(registry, &data), 2);
	registry_undo_free(undo);
	block_unref(block);
	registry_free(registry);
}

/* Who committed himself earlier takes the place of who registered first, for data of that size, up to data_delay blocks
 * after it: number, height and all but the owner's own stay. */
static void test_commitment_replaces(void **state)
{
	struct contribution first = example_data(0, 5000), thief = first, resized;
	struct spec slow = spec;
	struct registry *registry, *late;
	const struct dataset *dataset;

	(void)state;
	slow.data_delay = 2;
	registry = registry_new(&slow);
	set_other_owner(&thief);
	snprintf(thief.title, sizeof thief.title, "mine");
	resized = first;
	resized.size++;
	commit(registry, &first, 1);
	commit(registry, &thief, 1);
	apply(registry, 0, NULL, 0, NULL);
	apply(registry, 0, &thief, 1, NULL); /* at height 4 */
	commit(registry, &thief, 1);
	assert_string_equal(refusal(registry, &thief), "bad-contrib-duplicate"); /* later than what he has */
	assert_string_equal(refusal(registry, &resized), "bad-contrib-duplicate");
	assert_string_equal(refusal(registry, &first), "");
	late = registry_copy(registry);
	apply(registry, 0, &first, 1, NULL);
	dataset = registry_get(registry, 1);
	assert_int_equal(registry_count(registry), 2);
	assert_memory_equal(dataset->owner, first.owner, 32);
	assert_string_equal(dataset->title, first.title);
	assert_int_equal(dataset->height, 4);
	assert_int_equal(dataset->committed, 1);
	assert_string_equal(refusal(registry, &thief), "bad-contrib-duplicate");
	apply(late, 0, NULL, 0, NULL);
	assert_string_equal(refusal(late, &first), "bad-contrib-duplicate"); /* at height 7 */
	registry_free(late);
	registry_free(registry);
}

/* === Drawing === */

static void test_draw_delay(void **state)
{
	struct contribution data = example_data(0, 5000);
	struct spec slow = spec;
	struct registry *registry;

	(void)state;
	slow.data_delay = 3;
	registry = registry_new(&slow);
	apply(registry, 0, &data, 1, NULL);
	for (uint32_t height = 1; height < 6; height++) {
		assert_true(registry_can_draw(registry, 0));
		assert_int_equal(registry_can_draw(registry, 1), height + 1 >= 1 + 3);
		apply(registry, 0, NULL, 0, NULL);
	}
	registry_free(registry);
}

/* How often each of three datasets gets a slot: in proportion to min(size, 2^24), whatever the other slots have. */
static void test_draw_weights(void **state)
{
	struct contribution data[2] = { example_data(0, 3 << 23), example_data(1, 1 << 23) };
	struct registry *registry = registry_new(&spec);
	uint32_t seen[16][3] = { { 0 } }, drawn[16], total = 10000, twice = 0;
	uint8_t ticket[32];

	(void)state;
	apply(registry, 0, data, 2, NULL);
	for (uint32_t i = 0; i < total; i++) {
		example_ticket(ticket, i);
		registry_draw(registry, ticket, 16, drawn);
		for (int slot = 0; slot < 16; slot++) {
			assert_in_range(drawn[slot], 0, 2);
			seen[slot][drawn[slot]]++;
		}
		twice += drawn[0] == drawn[1];
	}
	/* The corpus weighs 196608 of 25362432: 77.5 of 10000. The others 2 to 1. */
	for (int slot = 0; slot < 16; slot++) {
		assert_in_range(seen[slot][0], 40, 120);
		assert_in_range(seen[slot][1], 6615 - 200, 6615 + 200);
		assert_in_range(seen[slot][2], 3308 - 200, 3308 + 200);
	}
	/* One slot says nothing of another: 4/9 + 1/9 of them are equal. */
	assert_in_range(twice, 5555 - 200, 5555 + 200);
	registry_free(registry);
}

static void test_draw_repeats(void **state)
{
	struct registry *registry = registry_new(&spec), *copy;
	struct contribution data[40];
	uint32_t a[16], b[16], equal = 0;
	uint8_t ticket[32];

	(void)state;
	example_ticket(ticket, 1);
	registry_draw(registry, ticket, 2, a);
	assert_true(a[0] == 0 && a[1] == 0);
	for (uint32_t i = 0; i < 40; i++)
		data[i] = example_data(i, 20000 + i);
	apply(registry, 0, data, 40, NULL);
	copy = registry_copy(registry);
	registry_draw(registry, ticket, 16, a);
	registry_draw(copy, ticket, 16, b);
	assert_memory_equal(a, b, sizeof a);
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < i; j++)
			equal += a[i] == a[j];
	assert_in_range(equal, 0, 20);         /* of 120 pairs */
	registry_draw(registry, ticket, 4, b); /* the number of slots does not change the first ones */
	assert_memory_equal(a, b, 4 * sizeof *a);
	registry_free(copy);
	registry_free(registry);
}

/* A text in a hundred pieces gets the slots that it would get in one. */
static void test_draw_splitting(void **state)
{
	enum { PIECES = 100, SIZE = 100000, DRAWS = 20000 };
	struct registry *whole = registry_new(&spec), *split = registry_new(&spec);
	struct contribution data[1 + PIECES] = { example_data(0, 1000000) };
	uint32_t drawn[14], own = 0, other = 0, slots = 0;
	uint8_t ticket[32];

	(void)state;
	data[1] = example_data(1, PIECES * SIZE);
	apply(whole, 0, data, 2, NULL);
	for (uint32_t i = 1; i <= PIECES; i++)
		data[i] = example_data(i, SIZE);
	apply(split, 0, data, 1 + PIECES, NULL);
	for (uint32_t i = 0; i < DRAWS / 14; i++, slots += 14) {
		example_ticket(ticket, i);
		registry_draw(whole, ticket, 14, drawn);
		for (int slot = 0; slot < 14; slot++)
			other += drawn[slot] != 2;
		registry_draw(split, ticket, 14, drawn);
		for (int slot = 0; slot < 14; slot++)
			own += drawn[slot] >= 2;
	}
	assert_true(other > slots / 20);
	assert_int_equal(own, slots - other); /* to the very slot, as the weights are the same */
	registry_free(whole);
	registry_free(split);
}

/* === v_ref === */

/* Values from `first` on, one in each slot. */
static struct block_outcome full_outcome(uint32_t slots, int64_t first)
{
	struct block_outcome outcome = { .outcome.slots = slots };

	for (uint32_t i = 0; i < slots; i++) {
		outcome.outcome.slot[i].count = 1;
		outcome.outcome.slot[i].value = first + i;
	}
	return outcome;
}

static void test_v_ref(void **state)
{
	struct registry *registry = registry_new(&spec);
	struct block_outcome last = full_outcome(1, 1000000), useless = full_outcome(4, -3);

	(void)state;
	assert_true(registry_v_ref(registry, NULL) == spec.v_0);
	apply(registry, 0, NULL, 0, NULL);
	for (int i = 0; i < 31; i++) {
		struct block_outcome outcome = full_outcome(2, 100000 + 2 * i);

		outcome.outcome.slot[i % 2].left_out = true; /* counts all the same */
		apply(registry, 0, NULL, 0, &outcome);
	}
	useless.outcome.slot[0].value = INT64_C(1) << 40; /* no proof */
	useless.outcome.slot[0].count = 0;
	apply(registry, 0, NULL, 0, &useless);
	useless = full_outcome(2, 1);
	useless.outcome.is_void = true;
	apply(registry, 0, NULL, 0, &useless);
	useless = full_outcome(2, spec.v_min - 2); /* too little */
	apply(registry, 0, NULL, 0, &useless);
	/* 62 records, and the parent's own: 63. */
	assert_true(registry_v_ref(registry, &last.outcome) == spec.v_0);
	last = full_outcome(2, 1000000);
	assert_true(registry_v_ref(registry, &last.outcome) == 100015); /* element 15 of 64 */
	last = full_outcome(2, spec.v_min);
	assert_true(registry_v_ref(registry, &last.outcome) == 100013);
	last = full_outcome(2, spec.v_min - 1); /* one of them is enough */
	assert_true(registry_v_ref(registry, &last.outcome) == spec.v_0);
	last = full_outcome(5, 1000000);
	assert_true(registry_v_ref(registry, &last.outcome) == 100016); /* element 16 of 67 */
	registry_free(registry);
}

/* Blocks 1 to 5 have 13 values each. They count for the child of block 2016, and block 1 no more for its child. */
static void test_v_ref_window(void **state)
{
	struct registry *registry = registry_new(&spec);
	struct block_outcome full = full_outcome(13, 50000), empty = full_outcome(0, 0);

	(void)state;
	for (uint32_t height = 1; height <= 2018; height++) {
		const struct block_outcome *own = height <= 5 ? &full : &empty,
					   *parent = height - 1 <= 5 ? &full : &empty;

		apply(registry, 0, NULL, 0, height == 1 ? NULL : parent);
		assert_int_equal(registry_v_ref(registry, &own->outcome) != spec.v_0, height >= 5 && height <= 2016);
	}
	registry_free(registry);
}

/* === Quarantine === */

/* Gives dataset 1 these observations one block after the other; true if it can be drawn after the last. */
static bool observe_all(struct registry *registry, const int *x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct block_outcome outcome = example_outcome(2, 1, (int64_t)x[i] * 65536);

		assert_true(registry_can_draw(registry, 1));
		apply(registry, 0, NULL, 0, &outcome);
	}
	return registry_can_draw(registry, 1);
}

static struct registry *one_dataset(void)
{
	struct contribution data = example_data(0, 5000);
	struct registry *registry = registry_new(&spec);

	apply(registry, 0, &data, 1, NULL);
	return registry;
}

/* The border at eight draws: sum^2 = 7 * squares. Sums count 2^-16 nats, and the mean is far below -v_ref / 2. */
static void test_quarantine(void **state)
{
	static const int border[8] = { -10, -90, -90, -90, -50, -90, -70, -70 };
	static const int over[8] = { -10, -90, -90, -90, -50, -90, -70, -71 };
	static const int steady[8] = { -70, -70, -70, -70, -70, -70, -70, -70 }, good[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct registry *registry = one_dataset();

	(void)state;
	assert_true(observe_all(registry, border, 8));
	assert_int_equal(registry_get(registry, 1)->draws, 8);
	assert_true(registry_get(registry, 1)->sum == -560);
	assert_true(registry_get(registry, 1)->squares == 44800);
	registry_free(registry);

	registry = one_dataset();
	assert_false(observe_all(registry, over, 8));
	registry_free(registry);

	registry = one_dataset();
	assert_true(observe_all(registry, good, 8));
	assert_int_equal(registry_get(registry, 1)->total_draws, 8);
	/* 8 * floor(750e6 * 2 * 65536 / (4 * 4294967)) */
	assert_true(registry_get(registry, 1)->total_paid == 8 * 5722046);
	assert_true(registry_get(registry, 1)->value_sum == 8);
	registry_free(registry);

	registry = one_dataset();
	assert_true(observe_all(registry, steady, 7));
	assert_int_equal(registry_get(registry, 1)->quarantine_draws, 0);
	assert_false(observe_all(registry, steady, 1));
	assert_int_equal(registry_get(registry, 1)->quarantine_draws, 8);
	assert_true(registry_get(registry, 1)->quarantine_sum == -560);
	registry_free(registry);
}

/* By 32 draws, as long as their mean is not below -v_0 / 2, which is 655.36 observed; quarantine begins anew, and undo
 * takes back. */
static void test_proven(void **state)
{
	const struct block_outcome good = example_outcome(2, 1, 65536), awful = example_outcome(2, 1, -1000 * 65536),
				   border = example_outcome(2, 1, -(21626 + 32) * 65536),
				   over = example_outcome(2, 1, -(21627 + 32) * 65536);
	struct registry *registry = one_dataset();
	struct registry_undo *undo;
	struct block *block = example_block(0, NULL, 0);

	(void)state;
	for (uint32_t i = 0; i < 32; i++) {
		assert_true(registry_is_proven(registry, 0));
		assert_false(registry_is_proven(registry, 1));
		apply(registry, 0, NULL, 0, &good);
	}
	assert_true(registry_is_proven(registry, 1));
	undo = registry_apply(registry, block, &over);
	assert_true(registry_can_draw(registry, 1));
	assert_false(registry_is_proven(registry, 1));
	assert_true(registry_undo(registry, undo));
	registry_undo_free(undo);
	assert_true(registry_is_proven(registry, 1));
	apply(registry, 0, NULL, 0, &border);
	assert_true(registry_is_proven(registry, 1));
	for (uint32_t i = 33; i < 64; i++)
		apply(registry, 0, NULL, 0, &awful);
	assert_true(registry_can_draw(registry, 1));
	assert_false(registry_is_proven(registry, 1));
	for (uint32_t i = 64; registry_can_draw(registry, 1); i++)
		apply(registry, 0, NULL, 0, &awful);
	while (!registry_can_draw(registry, 1))
		apply(registry, 0, NULL, 0, NULL);
	apply(registry, 0, NULL, 0, NULL);
	for (uint32_t i = 0; i < 32; i++) {
		assert_false(registry_is_proven(registry, 1));
		apply(registry, 0, NULL, 0, &good);
	}
	assert_true(registry_is_proven(registry, 1));
	block_unref(block);
	registry_free(registry);
}

/* So many draws of +-spread round the mean; true if the dataset can be drawn after the last. */
static bool observe_spread(uint32_t draws, int mean, int spread)
{
	struct registry *registry = one_dataset();
	bool active = true;

	for (uint32_t i = 0; i < draws; i++) {
		int x = mean + (i % 2 ? spread : -spread);

		active = observe_all(registry, &x, 1);
		if (!active && i + 1 < draws)
			fail_msg("in quarantine after %u draws", i + 1);
	}
	registry_free(registry);
	return active;
}

/* With a spread s round a mean m: sum^2 / (draws * squares) = m^2 / (m^2 + s^2), which is 7/8 at 8 draws, 5/8 at 16,
 * 81/205 at 32 and 81/333 at 64. In between nobody looks. */
static void test_quarantine_bounds(void **state)
{
	(void)state;
	assert_false(observe_spread(8, -1000, 377));
	assert_true(observe_spread(15, -1000, 378));
	assert_true(observe_spread(16, -1000, 775));
	assert_false(observe_spread(16, -1000, 774));
	assert_true(observe_spread(31, -1000, 775));
	assert_false(observe_spread(32, -1000, 1237));
	assert_true(observe_spread(63, -1000, 1238));
	assert_true(observe_spread(64, -1000, 1764));
	assert_false(observe_spread(64, -1000, 1763));
}

/* However sure it is that data harm, they may as long as they harm little: by half of v_ref. */
static void test_quarantine_least(void **state)
{
	struct block_outcome outcome = example_outcome(2, 1, -100 * 65536);
	struct registry *registry = one_dataset();

	(void)state;
	outcome.v_ref = 2 * 100 * 65536;
	for (int i = 0; i < 64; i++)
		apply(registry, 0, NULL, 0, &outcome);
	assert_true(registry_can_draw(registry, 1));
	outcome.v_ref--;
	for (int i = 64; i < 95; i++)
		apply(registry, 0, NULL, 0, &outcome);
	assert_true(registry_can_draw(registry, 1));
	apply(registry, 0, NULL, 0, &outcome);
	assert_false(registry_can_draw(registry, 1));
	registry_free(registry);
}

/* What is paid for says nothing of what harms, and the other way round. */
static void test_effect_and_value(void **state)
{
	struct block_outcome outcome = example_outcome(2, 1, -4294967);
	struct registry *registry = one_dataset();

	(void)state;
	outcome.outcome.slot[0].value = 4294967;
	outcome.outcome.slot[0].known = true;
	for (int i = 0; i < 7; i++)
		apply(registry, 0, NULL, 0, &outcome);
	assert_true(registry_get(registry, 1)->total_paid == 7 * INT64_C(375000000));
	assert_int_equal(registry_get(registry, 1)->known, 7);
	apply(registry, 0, NULL, 0, &outcome);
	assert_false(registry_can_draw(registry, 1));
	assert_int_equal(registry_get(registry, 1)->known, 0);
	registry_free(registry);
}

/* Values are floored, not truncated: -1 is an x of -1. */
static void test_observation_floor(void **state)
{
	struct registry *registry = one_dataset();
	struct block_outcome outcome = example_outcome(2, 1, -1);

	(void)state;
	apply(registry, 0, NULL, 0, &outcome);
	assert_true(registry_get(registry, 1)->sum == -1);
	outcome.outcome.slot[0].effect = 65535;
	apply(registry, 0, NULL, 0, &outcome);
	assert_true(registry_get(registry, 1)->sum == -1);
	assert_int_equal(registry_get(registry, 1)->draws, 2);
	outcome.outcome.slot[0].count = 0;
	apply(registry, 0, NULL, 0, &outcome);
	outcome.outcome.slot[0].count = 1;
	outcome.outcome.is_void = true;
	apply(registry, 0, NULL, 0, &outcome);
	assert_int_equal(registry_get(registry, 1)->draws, 2);
	assert_int_equal(registry_get(registry, 1)->total_draws, 2);
	registry_free(registry);
}

/* While it lasts, what was drawn before it began counts no more: a second slot of the same block, the block after it.
 */
static void test_quarantine_release(void **state)
{
	static const int steady[8] = { -70, -70, -70, -70, -70, -70, -70, -70 };
	struct registry *registry = one_dataset();
	struct block_outcome twice = example_outcome(2, 1, -70 * 65536);
	uint32_t height, until;

	(void)state;
	twice.dataset[1] = 1;
	twice.outcome.slot[1] = twice.outcome.slot[0];
	assert_true(observe_all(registry, steady, 7));
	apply(registry, 0, NULL, 0, &twice);
	height = registry_height(registry);
	until = registry_get(registry, 1)->quarantined_until;
	assert_int_equal(until, height + 2016);
	apply(registry, 0, NULL, 0, &twice);
	assert_int_equal(registry_get(registry, 1)->draws, 0);
	assert_int_equal(registry_get(registry, 1)->total_draws, 11);
	assert_true(registry_get(registry, 1)->sum == 0 && registry_get(registry, 1)->squares == 0);
	while (registry_height(registry) + 1 <= until) {
		assert_false(registry_can_draw(registry, 1));
		apply(registry, 0, NULL, 0, NULL);
	}
	assert_true(registry_can_draw(registry, 1));
	/* The outcome of the last block in quarantine, then that of the first after it. */
	apply(registry, 0, NULL, 0, &twice);
	assert_int_equal(registry_get(registry, 1)->draws, 0);
	assert_true(observe_all(registry, steady, 7)); /* statistics started again */
	assert_int_equal(registry_get(registry, 1)->draws, 7);
	registry_free(registry);
}

/* Who is in quarantine cannot begin anew: the root is taken, then and afterwards. */
static void test_quarantine_is_kept(void **state)
{
	static const int steady[8] = { -70, -70, -70, -70, -70, -70, -70, -70 };
	struct contribution data = example_data(0, 5000);
	struct registry *registry = one_dataset();
	struct block *block = example_block(0, &data, 1);
	struct reject reject;

	(void)state;
	assert_false(observe_all(registry, steady, 8));
	for (int i = 0; i <= 2016; i += 1008) {
		assert_int_equal(registry_can_draw(registry, 1), i == 2016);
		assert_false(registry_check_tx(registry, block->txs[1], &reject));
		assert_string_equal(reject.reason, "bad-contrib-duplicate");
		assert_false(registry_check_block(registry, block, &reject));
		assert_string_equal(reject.reason, "bad-contrib-duplicate");
		for (int j = 0; j < 1008; j++)
			apply(registry, 0, NULL, 0, NULL);
	}
	block_unref(block);
	registry_free(registry);
}

static void test_observation_extremes(void **state)
{
	int64_t most = INT64_C(1) << 47, x = INT64_C(1) << 31;
	struct registry *registry = one_dataset();
	struct block_outcome outcome = example_outcome(2, 1, most);
	struct dataset *dataset = &registry->datasets.list[1];

	(void)state;
	dataset->draws = DATASETS_DRAWS_MAX - 2;
	dataset->sum = (DATASETS_DRAWS_MAX - 2) * x;
	dataset->squares = (unsigned __int128)(DATASETS_DRAWS_MAX - 2) * (uint64_t)x * (uint64_t)x;
	apply(registry, 0, NULL, 0, &outcome);
	apply(registry, 0, NULL, 0, &outcome);
	assert_int_equal(dataset->draws, DATASETS_DRAWS_MAX);
	assert_true(dataset->sum == DATASETS_DRAWS_MAX * x);
	apply(registry, 0, NULL, 0, &outcome); /* nothing more is counted */
	assert_int_equal(dataset->draws, DATASETS_DRAWS_MAX);
	assert_true(dataset->sum == DATASETS_DRAWS_MAX * x);
	assert_int_equal(dataset->total_draws, 3);

	dataset->draws = DATASETS_DRAWS_MAX - 1;
	dataset->sum = (DATASETS_DRAWS_MAX - 1) * -x;
	dataset->squares = (unsigned __int128)(DATASETS_DRAWS_MAX - 1) * (uint64_t)x * (uint64_t)x;
	outcome.outcome.slot[0].effect = -most;
	apply(registry, 0, NULL, 0, &outcome);
	assert_false(registry_can_draw(registry, 1));
	registry_free(registry);
}

/* === Undo and bytes === */

static uint64_t dice_state = 88172645463325252u;

static uint32_t dice(uint32_t n)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)((dice_state >> 32) % n);
}

/* Slices one after the other, a 1 and their keys in front, and a 0 after the last one. */
static void put_slice(struct buf *out, const struct slice *slice, const struct buf *bytes)
{
	uint8_t key[SLICE_KEY_SIZE];

	slices_key_write(slice, key);
	buf_put_u8(out, 1);
	buf_put(out, key, sizeof key);
	buf_put(out, bytes->data, bytes->size);
}

static struct buf written(const struct registry *registry)
{
	struct buf out, bytes;

	buf_init(&out);
	buf_init(&bytes);
	for (int kind = 0; kind < SLICE_KINDS; kind++)
		for (uint32_t i = 0; i < (kind == SLICE_FACTS ? 1 : registry_count(registry) + registry->height); i++) {
			struct slice slice = { (enum slice_kind)kind, i };

			buf_reset(&bytes);
			if (registry_write(&bytes, registry, &slice))
				put_slice(&out, &slice, &bytes);
		}
	buf_clear(&bytes);
	buf_put_u8(&out, 0);
	return out;
}

static struct registry *read_whole(struct reader *reader)
{
	struct registry *registry = registry_new(&spec);
	bool ok = true;

	while (ok && reader_u8(reader) == 1) {
		struct slice slice = slices_key_read(reader);

		ok = reader->ok && registry_read(registry, &slice, reader);
	}
	if (ok && reader->ok && registry_is_whole(registry))
		return registry;
	registry_free(registry);
	return NULL;
}

/* What a database would hold, from which the registry came by nothing but what each block changed. */
enum { STORED_NUMBERS = 2400 };
static struct buf stored[SLICE_KINDS][STORED_NUMBERS];

static void store_changed(const struct registry *registry, struct slices *changed)
{
	for (size_t i = 0; i < changed->count; i++) {
		const struct slice *slice = &changed->list[i];
		struct buf *bytes;

		assert_in_range(slice->number, 0, STORED_NUMBERS - 1);
		bytes = &stored[slice->kind][slice->number];
		buf_reset(bytes);
		assert_true(registry_write(bytes, registry, slice) || bytes->size == 0);
	}
	slices_clear(changed);
}

static void assert_stored(const struct registry *registry)
{
	struct buf whole = written(registry), all;

	buf_init(&all);
	for (int kind = 0; kind < SLICE_KINDS; kind++)
		for (uint32_t i = 0; i < STORED_NUMBERS; i++)
			if (stored[kind][i].size > 0)
				put_slice(&all, &(struct slice){ (enum slice_kind)kind, i }, &stored[kind][i]);
	buf_put_u8(&all, 0);
	assert_int_equal(all.size, whole.size);
	assert_memory_equal(all.data, whole.data, all.size);
	buf_clear(&all);
	buf_clear(&whole);
}

static void assert_same(const struct buf *a, const struct buf *b)
{
	assert_int_equal(a->size, b->size);
	assert_memory_equal(a->data, b->data, a->size);
}

static struct block_outcome random_outcome(const struct registry *registry)
{
	struct block_outcome outcome = { .outcome.slots = 4, .v_ref = 1 + dice(1 << 30), .weight = dice(1 << 24) };
	uint8_t ticket[32];

	example_ticket(ticket, dice(UINT32_MAX));
	registry_draw(registry, ticket, 4, outcome.dataset);
	outcome.outcome.is_void = dice(10) == 0;
	for (uint32_t i = 0; i < 4; i++) {
		outcome.outcome.slot[i].count = dice(3);
		if (outcome.outcome.slot[i].count && !outcome.outcome.is_void) {
			outcome.outcome.slot[i].value = ((int64_t)dice(1 << 30) - (1 << 29)) *
				(int64_t)(1 + dice(1 << 10));
			outcome.outcome.slot[i].effect = outcome.outcome.slot[i].value - (int64_t)dice(1 << 30);
			outcome.outcome.slot[i].own = outcome.outcome.slot[i].value + (int64_t)dice(2);
			outcome.outcome.slot[i].known = dice(2);
			outcome.outcome.slot[i].left_out = dice(5) == 0;
		}
	}
	return outcome;
}

static struct registry_undo *through_bytes(struct registry_undo *undo)
{
	struct registry_undo *back;
	struct reader reader;
	struct buf bytes;

	buf_init(&bytes);
	registry_undo_write(&bytes, undo);
	reader_init(&reader, bytes.data, bytes.size);
	back = registry_undo_read(&reader);
	assert_non_null(back);
	assert_true(reader_done(&reader));
	buf_clear(&bytes);
	registry_undo_free(undo);
	return back;
}

/* To what the next blocks register, and more. */
static void add_commitments(struct block *block, uint32_t registered)
{
	struct tx *tx = tx_new();

	for (uint32_t i = dice(4); i > 0; i--) {
		struct contribution data = example_data(registered + dice(4), 4096);

		add_commitment_output(tx, &data);
	}
	block->txs = mem_realloc(block->txs, (block->tx_count + 1) * sizeof *block->txs);
	block->txs[block->tx_count++] = tx_seal(tx);
}

static struct registry_undo *random_block(struct registry *registry, uint32_t *registered)
{
	struct block_outcome parent = random_outcome(registry);
	struct contribution data[3];
	uint32_t count = dice(20) == 0 ? 1 + dice(3) : 0;
	struct block *block;
	struct registry_undo *undo;

	for (uint32_t i = 0; i < count; i++)
		data[i] = example_data((*registered)++, 4096 + dice(1 << 20));
	block = example_block(dice(16), data, count);
	add_commitments(block, *registered);
	undo = registry_apply(registry, block, registry_height(registry) ? &parent : NULL);
	block_unref(block);
	return through_bytes(undo);
}

/* Forward and, every now and then, some blocks back: what is left is what was before, to the byte; and so it is if
 * nothing was written but what each block changed. */
static void test_undo(void **state)
{
	enum { BACK = 30, BLOCKS = 2200 };
	struct registry *registry = registry_new(&spec);
	struct registry_undo *undo[BACK];
	struct buf before[BACK];
	struct slices changed = { 0 };
	uint32_t registered = 0;

	(void)state;
	while (registry_height(registry) < BLOCKS) {
		uint32_t depth = 1 + dice(BACK);

		for (uint32_t i = 0; i < depth; i++) {
			before[i] = written(registry);
			undo[i] = random_block(registry, &registered);
			registry_changed(registry, undo[i], &changed);
			store_changed(registry, &changed);
		}
		assert_stored(registry);
		for (uint32_t i = depth; i > 0; i--) {
			struct buf after;

			if (i > 1)
				assert_false(registry_undo(registry, undo[0])); /* another block's */
			registry_changed(registry, undo[i - 1], &changed);
			assert_true(registry_undo(registry, undo[i - 1]));
			store_changed(registry, &changed);
			after = written(registry);
			assert_same(&before[i - 1], &after);
			buf_clear(&after);
			buf_clear(&before[i - 1]);
			registry_undo_free(undo[i - 1]);
		}
		assert_stored(registry);
		for (uint32_t i = 0; i < 40; i++) {
			undo[0] = random_block(registry, &registered);
			registry_changed(registry, undo[0], &changed);
			store_changed(registry, &changed);
			registry_undo_free(undo[0]);
		}
	}
	assert_true(registry_count(registry) > 100);
	for (int kind = 0; kind < SLICE_KINDS; kind++)
		for (uint32_t i = 0; i < STORED_NUMBERS; i++)
			buf_clear(&stored[kind][i]);
	registry_free(registry);
}

static void test_copy_and_bytes(void **state)
{
	struct registry *registry = registry_new(&spec), *copy, *back;
	struct buf a, b, c;
	struct reader reader;
	uint32_t registered = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		registry_undo_free(random_block(registry, &registered));
	a = written(registry);
	copy = registry_copy(registry);
	registry_undo_free(random_block(registry, &registered));
	b = written(copy); /* untouched by what its original did since */
	assert_same(&a, &b);
	reader_init(&reader, a.data, a.size);
	back = read_whole(&reader);
	assert_non_null(back);
	assert_true(reader_done(&reader));
	c = written(back);
	assert_same(&a, &c);
	for (size_t i = 0; i < registry_count(copy); i++) {
		size_t number;

		assert_non_null(registry_find(back, registry_get(copy, i)->root, &number));
		assert_int_equal(number, i);
	}
	buf_clear(&a);
	buf_clear(&b);
	buf_clear(&c);
	registry_free(back);
	registry_free(copy);
	registry_free(registry);
}

/* Cut short everywhere, and with any byte changed: NULL or another registry, never a crash. */
static void test_damaged_bytes(void **state)
{
	struct registry *registry = registry_new(&spec);
	struct reader reader;
	struct buf bytes;
	uint32_t registered = 0;

	(void)state;
	for (int i = 0; i < 40; i++)
		registry_undo_free(random_block(registry, &registered));
	bytes = written(registry);
	for (size_t size = 0; size < bytes.size; size++) {
		uint8_t *cut = mem_dup(bytes.data, size);

		reader_init(&reader, cut, size);
		assert_null(read_whole(&reader));
		free(cut);
	}
	for (size_t i = 0; i < bytes.size; i++) {
		bytes.data[i] ^= 0xff;
		reader_init(&reader, bytes.data, bytes.size);
		registry_free(read_whole(&reader));
		bytes.data[i] ^= 0xff;
	}
	buf_clear(&bytes);
	registry_free(registry);
}

/* No block has more values than slots: what keeps a dropped block's values has room for so many. */
static void test_value_counts(void **state)
{
	enum { COUNTS_AT = 1 + 4 + 8 + 8 * (FEES_WINDOW + 1) + 4 + 1 + SLICE_KEY_SIZE };
	struct registry *registry = one_dataset();
	struct block_outcome nothing = { .outcome.is_void = true };

	(void)state;
	apply(registry, 0, NULL, 0, &nothing);
	for (uint8_t count = OUTCOME_MAX_SLOTS - 1; count <= OUTCOME_MAX_SLOTS + 1; count++) {
		uint8_t values[(OUTCOME_MAX_SLOTS + 1) * 8] = { 1 };
		struct buf good = written(registry), bytes;
		struct registry *back;
		struct reader reader;

		buf_init(&bytes);
		buf_put(&bytes, good.data, COUNTS_AT);
		buf_put_u8(&bytes, count);
		buf_put(&bytes, values, 8 * (size_t)count);
		buf_put(&bytes, good.data + COUNTS_AT + 1, good.size - COUNTS_AT - 1);
		reader_init(&reader, bytes.data, bytes.size);
		back = read_whole(&reader);
		assert_int_equal(back != NULL, count <= OUTCOME_MAX_SLOTS);
		registry_free(back);
		buf_clear(&bytes);
		buf_clear(&good);
	}
	registry_free(registry);
}

static void test_outcome_bytes(void **state)
{
	struct registry *registry = one_dataset();
	struct block_outcome outcome = random_outcome(registry), back;
	struct reader reader;
	struct buf bytes;

	(void)state;
	outcome.loss_before = 1.5f;
	outcome.loss_after = 1.25f;
	buf_init(&bytes);
	block_outcome_write(&bytes, &outcome);
	reader_init(&reader, bytes.data, bytes.size);
	assert_true(block_outcome_read(&reader, &back));
	assert_true(reader_done(&reader));
	assert_memory_equal(back.dataset, outcome.dataset, sizeof back.dataset);
	assert_int_equal(back.outcome.is_void, outcome.outcome.is_void);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(back.outcome.slot[i].count, outcome.outcome.slot[i].count);
		assert_int_equal(back.outcome.slot[i].left_out, outcome.outcome.slot[i].left_out);
		assert_true(back.outcome.slot[i].value == outcome.outcome.slot[i].value);
		assert_true(back.outcome.slot[i].effect == outcome.outcome.slot[i].effect);
		assert_true(back.outcome.slot[i].own == outcome.outcome.slot[i].own);
		assert_int_equal(back.outcome.slot[i].known, outcome.outcome.slot[i].known);
	}
	assert_int_equal(back.weight, outcome.weight);
	assert_true(back.v_ref == outcome.v_ref && back.loss_before == 1.5f && back.loss_after == 1.25f);
	for (size_t size = 0; size < bytes.size; size++) {
		reader_init(&reader, bytes.data, size);
		assert_false(block_outcome_read(&reader, &back));
	}
	buf_clear(&bytes);
	registry_free(registry);
}

/* Of a block without a merge not a byte more; of one with it all of it, and no other seats than there may be. */
static void test_merge_bytes(void **state)
{
	struct registry *registry = one_dataset();
	struct block_outcome outcome = random_outcome(registry), back;
	struct reader reader;
	struct buf plain, bytes;

	(void)state;
	buf_init(&plain);
	buf_init(&bytes);
	block_outcome_write(&plain, &outcome);
	outcome.merge = (struct merge_statement){ .seats = 5, .is_void = true, .seat = { 3, 0, 1, 2, 3 } };
	block_outcome_write(&bytes, &outcome);
	assert_int_equal(bytes.size, plain.size + 7);
	assert_int_equal(bytes.data[0], plain.data[0] + 2);
	assert_memory_equal(bytes.data + 1, plain.data + 1, plain.size - 1);
	reader_init(&reader, bytes.data, bytes.size);
	assert_true(block_outcome_read(&reader, &back) && reader_done(&reader));
	assert_memory_equal(&back.merge, &outcome.merge, sizeof back.merge);
	reader_init(&reader, plain.data, plain.size);
	assert_true(block_outcome_read(&reader, &back) && reader_done(&reader) && back.merge.seats == 0);
	for (size_t size = 0; size < bytes.size; size++) {
		reader_init(&reader, bytes.data, size);
		assert_false(block_outcome_read(&reader, &back));
	}
	bytes.data[plain.size] = 0;
	reader_init(&reader, bytes.data, bytes.size);
	assert_false(block_outcome_read(&reader, &back));
	bytes.data[plain.size] = 5;
	bytes.data[plain.size + 2] = 4;
	reader_init(&reader, bytes.data, bytes.size);
	assert_false(block_outcome_read(&reader, &back));
	bytes.data[plain.size + 2] = 3;
	bytes.data[0] |= 4;
	reader_init(&reader, bytes.data, bytes.size);
	assert_false(block_outcome_read(&reader, &back));
	buf_clear(&plain);
	buf_clear(&bytes);
	registry_free(registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_commitment_window),
		cmocka_unit_test(test_commitment_once),
		cmocka_unit_test(test_commitment_replaces),
		cmocka_unit_test(test_draw_delay),
		cmocka_unit_test(test_draw_weights),
		cmocka_unit_test(test_draw_repeats),
		cmocka_unit_test(test_draw_splitting),
		cmocka_unit_test(test_v_ref),
		cmocka_unit_test(test_v_ref_window),
		cmocka_unit_test(test_quarantine),
		cmocka_unit_test(test_proven),
		cmocka_unit_test(test_quarantine_bounds),
		cmocka_unit_test(test_quarantine_least),
		cmocka_unit_test(test_effect_and_value),
		cmocka_unit_test(test_observation_floor),
		cmocka_unit_test(test_quarantine_release),
		cmocka_unit_test(test_quarantine_is_kept),
		cmocka_unit_test(test_observation_extremes),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_copy_and_bytes),
		cmocka_unit_test(test_damaged_bytes),
		cmocka_unit_test(test_value_counts),
		cmocka_unit_test(test_outcome_bytes),
		cmocka_unit_test(test_merge_bytes),
	};

	return cmocka_run_group_tests_name("registry", tests, setup, teardown);
}
