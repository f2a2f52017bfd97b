/* Teams: every task once, on members' threads, and all done when team_run returns. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit.h"
#include "util/team.h"

enum { TASKS = 1000, MEMBERS = 4 };

struct work {
	int runs[TASKS]; /* by whoever took the task: no two may take one */
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

	memset(w, 0, sizeof *w);
	team_run(team, count_task, w, tasks);
	for (size_t i = 0; i < TASKS; i++)
		assert_int_equal(w->runs[i], i < tasks);
	for (unsigned i = 0; i < MEMBERS; i++)
		total += w->by[i];
	assert_int_equal(total, tasks);
}

static void test_tasks(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 3, 7, TASKS };
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
	struct work w = { 0 };

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

/* Sanitizers need address space of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_LIMIT 0
#else
#define CAN_LIMIT 1
#endif

static size_t address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%zu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Where the system starts no more threads, those that there are do the work. */
static void test_few_threads(void **state)
{
	struct rlimit before, little;
	struct team *team;
	struct work w;
	size_t used = address_space();

	(void)state;
	if (!CAN_LIMIT || used == 0)
		skip();
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	little = before;
	little.rlim_cur = used + ((size_t)1 << 20);
	assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
	team = team_new(64);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_in_range(team_members(team), 1, MEMBERS);
	check(team, &w, TASKS);
	team_free(team);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_few_threads),
	};

	return cmocka_run_group_tests_name("util/team", tests, NULL, NULL);
}
