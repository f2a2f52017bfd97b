/* Chains with a spacing: how early blocks may be dated, and which of several equal tips wins. */
#include "chain/chain_helper.h"
#include "consensus/pace.h"
#include "util/clock.h"

enum { SPACING = 10 };

/* A chain of its own, paying its own key, whose clock shows so many seconds since genesis. */
static void pace_start(struct helper *h, uint32_t key)
{
	helper_start(h);
	helper_key(h, key);
}

static void pace_clock(int64_t seconds)
{
	clock_set_mock((int64_t)helper_spec()->genesis_time + seconds);
}

static int pace_setup(void **unused)
{
	(void)unused;
	helper_spec()->spacing = SPACING;
	return 0;
}

/* Clocks stand still and steps are fast: the chain dates its blocks itself, four a spacing. */
static void test_burst(void **unused)
{
	const uint32_t spacing_eighth = 2 * SPACING;
	struct helper h;
	struct block *block;
	struct reject reject;

	(void)unused;
	pace_start(&h, 0x11);
	pace_clock(0);
	helper_mine(&h, 24);
	assert_int_equal(chain_tip(h.chain)->height, 24);
	for (uint32_t height = PACE_BACK; height <= 24; height++)
		assert_true(
			chain_at(h.chain, height)->header.time - chain_at(h.chain, height - PACE_BACK)->header.time >=
			spacing_eighth);
	assert_true(chain_at(h.chain, 24)->header.time >= chain_spec(h.chain)->genesis_time + 3 * spacing_eighth);
	/* One second less is refused, by the header alone. */
	block = chain_template(h.chain, h.key);
	block->header.time--;
	assert_int_equal(helper_offer(&h, block, &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "time-too-soon");
	assert_int_equal(reject.ban_score, 100);
	helper_stop(&h);
}

/* Further than the future limit ahead nothing is taken: a template is dated later than any clock. */
static void test_not_due(void **unused)
{
	struct helper h;
	struct block *block;
	struct reject reject;
	uint32_t due;

	(void)unused;
	pace_start(&h, 0x11);
	pace_clock(0);
	while ((block = chain_template(h.chain, h.key))->header.time <=
		chain_spec(h.chain)->genesis_time + spec_future_limit(h.spec)) {
		block_unref(block);
		helper_mine(&h, 1);
	}
	due = block->header.time - spec_future_limit(h.spec);
	assert_int_equal(helper_offer(&h, block, &reject), CHAIN_REJECTED);
	assert_string_equal(reject.reason, "time-too-new");
	assert_int_equal(reject.code, REJECT_NOT_YET);
	/* The tip itself is not too far ahead: mining need not pause. */
	assert_int_equal(chain_clock_lag(h.chain), 0);
	clock_set_mock(due);
	assert_int_equal(helper_offer(&h, chain_template(h.chain, h.key), &reject), CHAIN_NEW);
	/* It is where the clock has gone back far enough. */
	pace_clock(-1000);
	assert_true(chain_clock_lag(h.chain) > 900);
	helper_stop(&h);
}

/* Both dated as early as may be: all nodes come to the lower ticket, whichever came first, and stay there. */
static void test_ties(void **unused)
{
	struct helper a, b;
	const struct index_entry *own_a, *own_b, *lower;
	uint8_t id[32];

	(void)unused;
	pace_start(&a, 0x11);
	pace_start(&b, 0x22);
	for (uint32_t height = 1; height <= 12; height++) {
		pace_clock(0);
		helper_mine(&a, 1);
		helper_mine(&b, 1);
		own_a = chain_tip(a.chain);
		own_b = chain_tip(b.chain);
		lower = u256_compare(u256_from_bytes(own_a->ticket), u256_from_bytes(own_b->ticket)) < 0 ? own_a :
													   own_b;
		memcpy(id, lower->id, 32);
		helper_feed(&a, &b, height, height);
		helper_settle(&a);
		assert_memory_equal(chain_tip(a.chain)->id, id, 32);
		assert_true(chain_beats(a.chain, chain_tip(a.chain), chain_tip(a.chain)) == false);
		if (lower == own_a)
			helper_feed(&b, &a, height, height);
		helper_settle(&b);
		assert_memory_equal(chain_tip(b.chain)->id, id, 32);
	}
	helper_close(&a);
	helper_open(&a);
	helper_settle(&a);
	assert_memory_equal(chain_tip(a.chain)->id, id, 32);
	helper_stop(&a);
	helper_stop(&b);
}

/* A block that is dated later than it had to be: the first connected stays, on both sides; and a third one, dated early
 * again, moves only the node whose first was dated early. */
static void test_late_dates(void **unused)
{
	struct helper early, late, other;
	const struct index_entry *tip;
	uint8_t early_id[32], late_id[32], other_id[32];
	bool other_lower;

	(void)unused;
	pace_start(&early, 0x11);
	pace_start(&late, 0x22);
	pace_start(&other, 0x33);
	pace_clock(0);
	helper_mine(&early, 1);
	helper_mine(&other, 1);
	pace_clock(60);
	helper_mine(&late, 1);
	tip = chain_tip(other.chain);
	other_lower = u256_compare(u256_from_bytes(tip->ticket), u256_from_bytes(chain_tip(early.chain)->ticket)) < 0;
	memcpy(early_id, chain_tip(early.chain)->id, 32);
	memcpy(late_id, chain_tip(late.chain)->id, 32);
	memcpy(other_id, tip->id, 32);
	helper_feed(&late, &early, 1, 1);
	helper_feed(&early, &late, 1, 1);
	helper_settle(&early);
	helper_settle(&late);
	assert_memory_equal(chain_tip(early.chain)->id, early_id, 32);
	assert_memory_equal(chain_tip(late.chain)->id, late_id, 32);
	helper_feed(&early, &other, 1, 1);
	helper_feed(&late, &other, 1, 1);
	helper_settle(&early);
	helper_settle(&late);
	assert_memory_equal(chain_tip(early.chain)->id, other_lower ? other_id : early_id, 32);
	assert_memory_equal(chain_tip(late.chain)->id, late_id, 32);
	helper_stop(&early);
	helper_stop(&late);
	helper_stop(&other);
}

struct overtaking {
	const struct chain *chain;
	size_t by_proven; /* times it was so when a proof had been found right */
};

static void note_overtaking(void *context, const struct index_entry *entry, const struct source *source)
{
	struct overtaking *seen = context;

	(void)source;
	assert_true(chain_beats(seen->chain, entry, chain_tip(seen->chain)));
	seen->by_proven += chain_is_overtaken(seen->chain);
}

/* From the moment when the own proof of a better block is known to be right until its verdict, a miner had better wait.
 */
static void test_overtaken(void **unused)
{
	struct helper a, b;
	struct overtaking seen = { .by_proven = 0 };

	(void)unused;
	pace_start(&a, 0x11);
	pace_start(&b, 0x22);
	pace_clock(60);
	helper_mine_loose(&a);
	helper_mine(&a, 1);
	seen.chain = b.chain;
	chain_subscribe(b.chain, &(struct chain_events){ .context = &seen, .block_proven = note_overtaking });
	assert_false(chain_is_overtaken(b.chain));
	helper_feed(&b, &a, 1, 1);
	helper_settle(&b);
	assert_int_equal(seen.by_proven, 1);
	assert_int_equal(chain_tip(b.chain)->height, 1);
	assert_false(chain_is_overtaken(b.chain));
	chain_unsubscribe(b.chain, &seen);
	helper_stop(&a);
	helper_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_burst, pace_setup),
		cmocka_unit_test_setup(test_not_due, pace_setup),
		cmocka_unit_test_setup(test_ties, pace_setup),
		cmocka_unit_test_setup(test_late_dates, pace_setup),
		cmocka_unit_test_setup(test_overtaken, pace_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
