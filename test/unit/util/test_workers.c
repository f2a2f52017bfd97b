/* The worker pool: results come back on this thread, order, urgent jobs, shutting down with jobs that wait. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "unit.h"
#include "util/workers.h"

struct job {
	int number;
	pthread_t ran_on;
	bool ran, done, cancelled;
};

static pthread_t loop_thread;
static atomic_int notices;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_int gate_reached;
static int order[16], order_count; /* written by the only worker */

static void notify(void *context)
{
	assert_ptr_equal(context, &notices);
	atomic_fetch_add(&notices, 1);
}

static void run(void *arg)
{
	struct job *job = arg;

	job->ran_on = pthread_self();
	job->ran = true;
}

static void run_ordered(void *arg)
{
	struct job *job = arg;

	order[order_count++] = job->number;
	job->ran = true;
}

/* Holds the worker until the test opens the gate. */
static void run_gate(void *arg)
{
	struct job *job = arg;

	job->ran = true;
	atomic_store(&gate_reached, 1);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void done(void *arg, bool cancelled)
{
	struct job *job = arg;

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_false(job->done);
	job->done = true;
	job->cancelled = cancelled;
}

static void drain_all(struct workers *p)
{
	while (workers_pending(p)) {
		workers_wait(p);
		workers_drain(p);
	}
}

static void test_results(void **state)
{
	static struct job jobs[200];
	struct workers *p = workers_new(3, notify, &notices);

	(void)state;
	loop_thread = pthread_self();
	atomic_store(&notices, 0);
	assert_int_equal(workers_threads(p), 3);
	assert_int_equal(workers_drain(p), 0);
	for (int i = 0; i < 200; i++)
		workers_post(p, run, done, &jobs[i], false);
	drain_all(p);
	for (int i = 0; i < 200; i++) {
		assert_true(jobs[i].ran && jobs[i].done && !jobs[i].cancelled);
		assert_false(pthread_equal(jobs[i].ran_on, loop_thread));
	}
	workers_free(p);
	assert_int_equal(atomic_load(&notices), 200);
}

static void test_order(void **state)
{
	struct job first = { 0 }, jobs[6] = { { 0 } };
	struct workers *p = workers_new(1, NULL, NULL);

	(void)state;
	loop_thread = pthread_self();
	order_count = 0;
	pthread_mutex_lock(&gate);
	workers_post(p, run_gate, done, &first, false);
	for (int i = 0; i < 6; i++) {
		jobs[i].number = i;
		workers_post(p, run_ordered, done, &jobs[i], i == 3 || i == 5);
	}
	assert_int_equal(workers_pending(p), 7);
	pthread_mutex_unlock(&gate);
	drain_all(p);
	assert_memory_equal(order, ((int[]){ 3, 5, 0, 1, 2, 4 }), 6 * sizeof(int));
	workers_free(p);
}

static struct workers *reposting;
static struct job reposted;

static void done_and_post(void *arg, bool cancelled)
{
	done(arg, cancelled);
	workers_post(reposting, run, done, &reposted, false);
}

static void *free_pool(void *arg)
{
	loop_thread = pthread_self();
	workers_free(arg);
	return NULL;
}

/* A wait with an end comes back without a result, and at once with one. */
static void test_wait_for(void **state)
{
	struct job job = { 0 };
	struct workers *p = workers_new(1, NULL, NULL);

	(void)state;
	loop_thread = pthread_self();
	workers_wait_for(p, 1000000); /* nothing is pending */
	pthread_mutex_lock(&gate);
	workers_post(p, run_gate, done, &job, false);
	workers_wait_for(p, 20);
	assert_int_equal(workers_drain(p), 0);
	pthread_mutex_unlock(&gate);
	workers_wait_for(p, 1000000);
	assert_int_equal(workers_drain(p), 1);
	workers_free(p);
}

static void count_call(void *context)
{
	++*(int *)context;
}

/* What comes after a drain is called once for all results, and not where there were none. */
static void test_after_drain(void **state)
{
	struct workers *p = workers_new(1, NULL, NULL);
	struct job jobs[4] = { { 0 } };
	int calls = 0;

	(void)state;
	loop_thread = pthread_self();
	workers_after_drain(p, count_call, &calls);
	assert_int_equal(workers_drain(p), 0);
	assert_int_equal(calls, 0);
	for (int i = 0; i < 3; i++)
		workers_post(p, run, done, &jobs[i], false);
	drain_all(p);
	assert_in_range(calls, 1, 3);
	calls = 0;
	workers_after_drain(p, NULL, NULL);
	workers_post(p, run, done, &jobs[3], false);
	drain_all(p);
	assert_int_equal(calls, 0);
	workers_free(p);
}

static void test_free_cancels(void **state)
{
	struct job running = { 0 }, waiting[3] = { { 0 } };
	pthread_t freeing;

	(void)state;
	atomic_store(&gate_reached, 0);
	reposted = (struct job){ 0 };
	reposting = workers_new(1, NULL, NULL);
	pthread_mutex_lock(&gate);
	workers_post(reposting, run_gate, done_and_post, &running, false);
	while (!atomic_load(&gate_reached))
		usleep(1000);
	for (int i = 0; i < 3; i++)
		workers_post(reposting, run, done, &waiting[i], i == 1);
	/* workers_free waits for the job behind the gate. The pause lets it begin before that opens; if it does not, a
	 * job that waits may run, which is no failure. */
	assert_int_equal(pthread_create(&freeing, NULL, free_pool, reposting), 0);
	usleep(50000);
	pthread_mutex_unlock(&gate);
	pthread_join(freeing, NULL);
	assert_true(running.ran && running.done && !running.cancelled);
	assert_true(reposted.done && reposted.cancelled && !reposted.ran);
	for (int i = 0; i < 3; i++)
		assert_true(waiting[i].done && waiting[i].cancelled == !waiting[i].ran);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_wait_for),
		cmocka_unit_test(test_after_drain),
		cmocka_unit_test(test_free_cancels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
