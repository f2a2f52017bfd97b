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
		.is_open = true,
		.is_wanted = true };
}

static void one_thing_comes_after_the_other(void **test_state)
{
	struct due_facts facts = facts_at(9);

	(void)test_state;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.is_whole = true;
	assert_int_equal(due_task(&facts), DUE_SIGNATURE);
	facts.is_signed = true;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	facts.is_committed = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.next = 12;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.next = 13;
	assert_int_equal(due_task(&facts), DUE_DISCLOSURE);
	facts.is_disclosed = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

static void windows_end_to_the_block(void **test_state)
{
	struct due_facts facts = facts_at(11);

	(void)test_state;
	assert_int_equal(due_deadline(&facts), 11);
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.next = 12;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.is_whole = facts.is_signed = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.next = 11;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
	facts.is_committed = true;
	assert_int_equal(due_deadline(&facts), 15);
	facts.next = 15;
	assert_int_equal(due_task(&facts), DUE_DISCLOSURE);
	facts.next = 16;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

/* The block with the commit left the branch: it is sent again, or it is too late. */
static void a_commit_that_is_taken_back_is_due_again(void **test_state)
{
	struct due_facts facts = facts_at(10);

	(void)test_state;
	facts.is_whole = facts.is_signed = facts.is_committed = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.is_committed = false;
	assert_int_equal(due_task(&facts), DUE_COMMIT);
}

static void what_is_committed_to_is_saved(void **test_state)
{
	struct due_facts facts = facts_at(14);

	(void)test_state;
	/* The trace is lost: there is time to make it again. */
	facts.is_committed = facts.is_signed = true;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.is_wanted = false;
	assert_int_equal(due_task(&facts), DUE_SEGMENT);
	facts.is_whole = true;
	assert_int_equal(due_task(&facts), DUE_DISCLOSURE);
	/* By another trace: this one opens nothing. */
	facts.is_foreign = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

static void nothing_is_begun_unasked(void **test_state)
{
	struct due_facts facts = facts_at(9);

	(void)test_state;
	facts.is_wanted = false;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts.is_whole = facts.is_signed = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts = facts_at(9);
	facts.has_failed = true;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
	facts = facts_at(9);
	facts.is_open = false;
	assert_int_equal(due_task(&facts), DUE_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thing_comes_after_the_other),
		cmocka_unit_test(windows_end_to_the_block),
		cmocka_unit_test(a_commit_that_is_taken_back_is_due_again),
		cmocka_unit_test(what_is_committed_to_is_saved),
		cmocka_unit_test(nothing_is_begun_unasked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
