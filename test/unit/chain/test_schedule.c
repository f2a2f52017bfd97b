/* Who comes first: every pair and every load of a small world, and the records of addresses. */
#include "chain/verify/schedule.h"
#include "chain/verify/sources.h"
#include "unit.h"

enum { SMALL = 3 }; /* values of each field */

/* The n-th of all contenders whose fields are under SMALL; orders are all different. */
static struct contender contender(unsigned n)
{
	return (struct contender){
		.proven = { .limb = { n % SMALL } },
		.on_tip = n / 3 % 2,
		.standing = (enum standing)(n / 6 % SMALL),
		.served = n / 18 % SMALL,
		.order = n,
	};
}

enum { CONTENDERS = 3 * 2 * 3 * 3 * 2 };

/* Of two different ones exactly one goes first, and going first is handed on: so there is one queue. */
static void test_order_is_total(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < CONTENDERS; i++) {
		for (unsigned j = 0; j < CONTENDERS; j++) {
			const struct contender a = contender(i), b = contender(j);

			assert_int_equal(schedule_before(&a, &b) + schedule_before(&b, &a), i != j);
			for (unsigned k = 0; k < CONTENDERS; k += 7) {
				const struct contender c = contender(k);

				if (schedule_before(&a, &b) && schedule_before(&b, &c))
					assert_true(schedule_before(&a, &c));
			}
		}
	}
}

/* Each criterion decides whatever those after it say. */
static void test_order_of_criteria(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < CONTENDERS; i++) {
		for (unsigned j = 0; j < CONTENDERS; j++) {
			const struct contender a = contender(i), b = contender(j);
			const bool first = schedule_before(&a, &b);

			if (u256_compare(a.proven, b.proven) != 0)
				assert_int_equal(first, u256_compare(a.proven, b.proven) > 0);
			else if (a.on_tip != b.on_tip)
				assert_int_equal(first, a.on_tip);
			else if (a.standing != b.standing)
				assert_int_equal(first, a.standing > b.standing);
			else if (a.served != b.served)
				assert_int_equal(first, a.served < b.served);
			else
				assert_int_equal(first, a.order < b.order);
		}
	}
}

/* However many there are of whatever kind: a worker is left for the next block, and one stranger is always let in where
 * nobody else is. */
static void test_workers(void **unused)
{
	(void)unused;
	for (size_t workers = 1; workers <= 16; workers++) {
		struct workload load = { .workers = workers };
		const size_t most = workers > 1 ? workers - 1 : 1;

		assert_true(schedule_block_fits(&load, STANDING_STRANGER));
		while (schedule_loose_fits(&load))
			load.loose++;
		assert_int_equal(load.loose, most);
		assert_true(schedule_block_fits(&load, STANDING_STRANGER));
		load.loose = 0;
		while (schedule_block_fits(&load, STANDING_STRANGER)) {
			load.blocks++;
			load.strangers_blocks++;
		}
		assert_int_equal(load.blocks, most / 4 > 0 ? most / 4 : 1);
		assert_int_equal(schedule_block_fits(&load, STANDING_TRUSTED), load.blocks < most);
		while (schedule_block_fits(&load, STANDING_TRUSTED))
			load.blocks++;
		assert_int_equal(load.blocks, most);
		assert_false(schedule_loose_fits(&load));
		assert_false(schedule_block_fits(&load, STANDING_OWN));
	}
}

static void test_queue(void **unused)
{
	(void)unused;
	assert_true(schedule_queue_fits(16, 3, 3, STANDING_STRANGER));
	assert_false(schedule_queue_fits(16, 4, 4, STANDING_STRANGER));
	assert_true(schedule_queue_fits(16, 15, 4, STANDING_TRUSTED));
	assert_false(schedule_queue_fits(16, 16, 0, STANDING_OWN));
	assert_true(schedule_queue_fits(1, 0, 0, STANDING_STRANGER));
}

/* Who has most here makes room, a stranger before anybody else, and of his what is furthest from being executed. */
static void test_eviction(void **unused)
{
	const struct lodger base = { STANDING_STRANGER, 100, true, 10, 5 };
	struct lodger other = base;

	(void)unused;
	other.standing = STANDING_TRUSTED;
	other.held = 1000;
	other.ready = false;
	assert_true(schedule_evict_before(&base, &other));
	assert_false(schedule_evict_before(&other, &base));
	other = base;
	other.held = 99;
	other.ready = false;
	other.height = 11;
	assert_true(schedule_evict_before(&base, &other));
	other = base;
	other.ready = false;
	other.height = 9;
	assert_true(schedule_evict_before(&other, &base));
	other = base;
	other.height = 11;
	other.order = 4;
	assert_true(schedule_evict_before(&other, &base));
	other = base;
	other.order = 6;
	assert_true(schedule_evict_before(&other, &base));
	assert_false(schedule_evict_before(&base, &base));
}

/* Right proofs are remembered, by half every day; one false proof undoes them all. */
static void test_credit(void **unused)
{
	const int64_t day = 86400, now = 20000 * day;
	const struct source source = { .peer = 1, .group = { 1 } }, again = { .peer = 2, .group = { 1 } };
	const struct source chosen = { .peer = 3, .group = { 0xff, 3 }, .chosen = true };
	struct sources *sources = sources_new();
	struct source_group *group = sources_take(sources, &source);

	(void)unused;
	assert_int_equal(sources_standing(group, now), STANDING_STRANGER);
	assert_ptr_equal(sources_take(sources, &again), group);
	assert_int_equal(sources_standing(sources_take(sources, &chosen), now), STANDING_TRUSTED);
	assert_int_equal(sources_standing(sources_take(sources, NULL), now), STANDING_OWN);
	for (int i = 0; i < 4; i++)
		sources_proved(group, true, now);
	assert_int_equal(sources_standing(group, now + 2 * day), STANDING_TRUSTED);
	assert_int_equal(sources_standing(group, now + 3 * day), STANDING_STRANGER);
	for (int i = 0; i < 4; i++)
		sources_proved(group, true, now);
	sources_proved(group, false, now);
	assert_int_equal(sources_standing(group, now), STANDING_STRANGER);
	sources_free(sources);
}

static struct source stranger(unsigned i)
{
	return (struct source){ .peer = i + 3, .group = { 9, (uint8_t)i, (uint8_t)(i >> 8) } };
}

/* Strangers come and go by the thousand: who matters is kept. */
static void test_records_are_bounded(void **unused)
{
	const struct source busy = { .peer = 1, .group = { 1 } }, honest = { .peer = 2, .group = { 2 } };
	struct sources *sources = sources_new();
	struct source_group *group = sources_take(sources, &busy);
	size_t kept = 0;

	(void)unused;
	sources_proved(sources_take(sources, &honest), true, 0);
	sources_release(sources_find(sources, honest.group));
	for (unsigned i = 0; i < 3 * SOURCES_MAX; i++) {
		const struct source source = stranger(i);

		sources_release(sources_take(sources, &source));
	}
	assert_ptr_equal(sources_find(sources, busy.group), group);
	assert_non_null(sources_find(sources, honest.group));
	for (unsigned i = 0; i < 3 * SOURCES_MAX; i++)
		kept += sources_find(sources, stranger(i).group) != NULL;
	assert_int_equal(kept, SOURCES_MAX - 2);
	sources_free(sources);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_is_total),
		cmocka_unit_test(test_order_of_criteria),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_records_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
