/* What is due for a run, from its base to its disclosure, and after whatever may come between. */
#include "unit.h"
#include "work/due.h"

/* Base 8, commits in blocks 9..11, beacon 12, disclosures in 13..15. */
static struct due_facts facts_at(uint32_t next)
{
	return (struct due_facts){ .next = next,
		.base = 8,
		.work = 3,
		.reveal = 3,
		.segments = 4,
		.is_open = true,
		.is_wanted = true };
}

static void one_thing_comes_after_the_other(void **test_state)
{
	struct due_facts facts = facts_at(9);

	(void)test_state;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.done = 4;
	assert_int_equal(due_task(&facts), DUE_SIGNATURE);
	facts.signed_length = 4;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	facts.committed_length = 4;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.next = 12;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.next = 13;
	assert_int_equal(due_task(&facts), DUE_DISCLOSURE);
	facts.is_disclosed = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

static void what_is_missed_says_why(void **test_state)
{
	struct due_facts facts = facts_at(11);

	(void)test_state;
	assert_null(due_missed(&facts));
	facts.next = 12;
	assert_non_null(strstr(due_missed(&facts), "no segment"));
	facts.done = 2;
	assert_non_null(strstr(due_missed(&facts), "not signed"));
	facts.signed_length = 2;
	assert_non_null(strstr(due_missed(&facts), "had its commit"));
	facts.committed_length = 2;
	assert_null(due_missed(&facts));
	facts.next = 16;
	assert_non_null(strstr(due_missed(&facts), "earned is lost"));
	facts.is_disclosed = true;
	assert_null(due_missed(&facts));
	facts.is_disclosed = false;
	facts.segments = 0; /* the first has no result */
	assert_null(due_missed(&facts));
}

static void windows_end_to_the_block(void **test_state)
{
	struct due_facts facts = facts_at(11);

	(void)test_state;
	assert_int_equal(due_deadline(&facts), 11);
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.next = 12;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.done = facts.signed_length = 4;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.next = 11;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	facts.committed_length = 4;
	assert_int_equal(due_deadline(&facts), 15);
	facts.next = 15;
	assert_int_equal(due_task(&facts), DUE_DISCLOSURE);
	facts.next = 16;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

/* Blocks before the last that may have a commit a run ends, for any window: with what is there, one segment at least.
 */
static void a_window_that_closes_ends_a_run(void **test_state)
{
	/* Of a window of so many blocks, counted from its base: the tip from which on. */
	static const uint32_t closing[] = { 0, 0, 1, 1, 1, 2, 3 };

	(void)test_state;
	for (uint32_t work = 1; work < sizeof closing / sizeof closing[0]; work++)
		for (uint32_t tip = 8; tip < 8 + work; tip++) {
			struct due_facts facts = facts_at(tip + 1);
			const bool is_closing = tip >= 8 + closing[work];

			facts.work = work;
			assert_int_equal(due_closing(&facts), 8 + closing[work]);
			assert_int_equal(due_task(&facts), DUE_SEGMENT);
			for (facts.done = 1; facts.done < 4; facts.done++) {
				assert_int_equal(due_task(&facts), is_closing ? DUE_SIGNATURE : DUE_SEGMENT);
				assert_int_equal(due_length(&facts), is_closing ? facts.done : 4);
			}
			assert_int_equal(due_task(&facts), DUE_SIGNATURE);
			assert_int_equal(due_length(&facts), 4);
		}
}

/* The tip goes back, another segment comes in, files are lost: what was signed, and then what a block has, is the
 * length. */
static void a_commit_says_the_length(void **test_state)
{
	struct due_facts facts = facts_at(11);

	(void)test_state;
	facts.done = facts.signed_length = 2;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	facts.next = 9;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	facts.done = 3;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	assert_int_equal(due_length(&facts), 2);
	facts.done = 1;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	/* On another machine the same wallet had come further. */
	facts.committed_length = 3;
	facts.done = 2;
	facts.next = 14;
	assert_int_equal(due_length(&facts), 3);
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.done = 3;
	assert_int_equal(due_task(&facts), DUE_DISCLOSURE);
}

/* The block with the commit left the branch: it is sent again, or it is too late. */
static void a_commit_that_is_taken_back_is_due_again(void **test_state)
{
	struct due_facts facts = facts_at(10);

	(void)test_state;
	facts.done = facts.signed_length = facts.committed_length = 4;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.committed_length = 0;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
}

static void what_is_committed_to_is_saved(void **test_state)
{
	struct due_facts facts = facts_at(14);

	(void)test_state;
	/* The trace is lost: there is time to make it again. */
	facts.committed_length = facts.signed_length = 4;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.is_wanted = false;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.done = 4;
	assert_int_equal(due_task(&facts), DUE_DISCLOSURE);
	/* By another trace: this one opens nothing. */
	facts.is_foreign = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

/* The third segment has no result: the run has two, at once, and no one tries that segment again. */
static void a_run_ends_before_a_segment_without_result(void **test_state)
{
	struct due_facts facts = facts_at(9);

	(void)test_state;
	facts.done = facts.segments = 2;
	assert_int_equal(due_length(&facts), 2);
	assert_int_equal(due_task(&facts), DUE_SIGNATURE);
	facts.signed_length = 2;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	facts.done = 1;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.committed_length = 3;
	facts.done = 2;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

static void nothing_is_begun_unasked(void **test_state)
{
	struct due_facts facts = facts_at(9);

	(void)test_state;
	facts.is_wanted = false;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.done = facts.signed_length = 4;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts = facts_at(9);
	facts.segments = 0;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts = facts_at(9);
	facts.is_open = false;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thing_comes_after_the_other),
		cmocka_unit_test(what_is_missed_says_why),
		cmocka_unit_test(windows_end_to_the_block),
		cmocka_unit_test(a_window_that_closes_ends_a_run),
		cmocka_unit_test(a_commit_says_the_length),
		cmocka_unit_test(a_commit_that_is_taken_back_is_due_again),
		cmocka_unit_test(what_is_committed_to_is_saved),
		cmocka_unit_test(a_run_ends_before_a_segment_without_result),
		cmocka_unit_test(nothing_is_begun_unasked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
