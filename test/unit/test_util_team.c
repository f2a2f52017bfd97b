/* Teams: every task once, on members' threads, and all done when team_run returns. */
#include "unit.h"

#include "util/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { TASKS = 1000, MEMBERS = 4 };

struct work {
	int runs[TASKS];       /* by whoever took the task: no two may take one */
	atomic_int by[MEMBERS];
	pthread_t threads[MEMBERS];
	atomic_int waiting;
};

static void count_task(void *arg, size_t task, unsigned member)
{
	struct work *w = arg;

	w->runs[task]++;
	atomic_fetch_add(&w->by[member], 1);
	w->threads[member] = pthread_self();
}

static void check(struct team *team, struct work *w, size_t tasks)
{
	int total = 0;

	memset(w, 0, sizeof(*w));
	team_run(team, count_task, w, tasks);
	for (size_t i = 0; i < TASKS; i++)
		assert_int_equal(w->runs[i], i < tasks);
	for (unsigned i = 0; i < MEMBERS; i++)
		total += w->by[i];
	assert_int_equal(total, tasks);
}

static void test_tasks(void **state)
{
	static const size_t counts[] = {0, 1, 2, 3, 7, TASKS};
	struct team *team = team_new(MEMBERS);
	struct work w;

	(void)state;
	assert_int_equal(team_members(team), MEMBERS);
	for (int round = 0; round < 200; round++)
		check(team, &w, counts[round % 6]);
	team_free(team);
}

/* Waits until all members are in a task at once: so they are different threads, and the caller is member 0. */
static void meet(void *arg, size_t task, unsigned member)
{
	struct work *w = arg;

	count_task(arg, task, member);
	atomic_fetch_add(&w->waiting, 1);
	while (atomic_load(&w->waiting) < MEMBERS)
		;
}

static void test_threads(void **state)
{
	struct team *team = team_new(MEMBERS);
	struct work w = {0};

	(void)state;
	team_run(team, meet, &w, MEMBERS);
	assert_true(pthread_equal(w.threads[0], pthread_self()));
	for (int i = 0; i < MEMBERS; i++) {
		assert_int_equal(w.by[i], 1);
		for (int j = 0; j < i; j++)
			assert_false(pthread_equal(w.threads[i], w.threads[j]));
	}
	team_free(team);
}

static void test_alone(void **state)
{
	struct work w;

	(void)state;
	assert_null(team_new(1));
	assert_int_equal(team_members(NULL), 1);
	check(NULL, &w, 10);
	assert_int_equal(w.by[0], 10);
	team_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tasks), cmocka_unit_test(test_threads), cmocka_unit_test(test_alone),
	};

	return cmocka_run_group_tests_name("util/team", tests, NULL, NULL);
}
