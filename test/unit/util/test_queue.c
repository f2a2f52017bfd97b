/* The queue: results on the loop's thread, urgency, slots, pauses, leaving, the end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "unit.h"
#include "util/queue.h"

/* A job that runs until its gate is open, and pauses for others meanwhile. */
struct probe {
	int number;
	pthread_t ran_on;
	unsigned threads;
	bool is_open, pauses, done, cancelled;
	atomic_bool gate, cancel, ran, ended;
	struct queue *queue;
};

static pthread_t loop_thread;
static atomic_int notices, active, most_active;
static atomic_int order_count;
static int order[64];

static void setup_loop(void)
{
	loop_thread = pthread_self();
	atomic_store(&notices, 0);
	atomic_store(&active, 0);
	atomic_store(&most_active, 0);
	atomic_store(&order_count, 0);
}

static void notify(void *context)
{
	assert_ptr_equal(context, &notices);
	atomic_fetch_add(&notices, 1);
}

static void probe_pause(struct probe *probe)
{
	atomic_fetch_sub(&active, (int)probe->threads);
	queue_pause(&probe->cancel);
	atomic_fetch_add(&active, (int)probe->threads);
}

static void run(void *arg)
{
	struct probe *probe = arg;
	int now;

	probe->ran_on = pthread_self();
	probe->threads = queue_threads();
	now = atomic_fetch_add(&active, (int)probe->threads) + (int)probe->threads;
	if (now > atomic_load(&most_active))
		atomic_store(&most_active, now);
	order[atomic_fetch_add(&order_count, 1)] = probe->number;
	atomic_store(&probe->ran, true);
	while (!probe->is_open && !atomic_load(&probe->gate) && !atomic_load(&probe->cancel)) {
		if (probe->pauses)
			probe_pause(probe);
		usleep(500);
	}
	atomic_fetch_sub(&active, (int)probe->threads);
	atomic_store(&probe->ended, true);
}

static void done(void *arg, bool cancelled)
{
	struct probe *probe = arg;

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_false(probe->done);
	probe->done = true;
	probe->cancelled = cancelled;
}

static void post(struct queue *q, struct probe *probe, enum queue_kind kind, unsigned rank, unsigned threads)
{
	const struct queue_job job = {
		.kind = kind,
		.rank = rank,
		.threads = threads,
		.owner = probe->queue != NULL ? (const void *)probe : q,
		.run = run,
		.done = done,
		.arg = probe,
	};

	queue_post(q, &job);
}

/* Bounded, so that a test that fails ends. */
static void wait_until(atomic_bool *flag)
{
	for (int i = 0; i < 20000 && !atomic_load(flag); i++)
		usleep(1000);
	assert_true(atomic_load(flag));
}

static void drain_all(struct queue *q)
{
	while (queue_pending(q) > 0) {
		queue_wait(q, 0);
		queue_drain(q);
	}
}

static void test_results(void **state)
{
	static struct probe probes[64];
	struct queue *q = queue_new(3, notify, &notices);

	(void)state;
	setup_loop();
	assert_int_equal(queue_capacity(q), 3);
	assert_int_equal(queue_drain(q), 0);
	assert_int_equal(queue_threads(), 1);
	for (int i = 0; i < 64; i++) {
		probes[i].is_open = true;
		post(q, &probes[i], (enum queue_kind)(i % QUEUE_KINDS), 0, 1);
	}
	drain_all(q);
	for (int i = 0; i < 64; i++) {
		assert_true(probes[i].ran && probes[i].done && !probes[i].cancelled);
		assert_false(pthread_equal(probes[i].ran_on, loop_thread));
	}
	queue_free(q);
	assert_int_equal(atomic_load(&notices), 64);
}

/* By kind, then by rank, then as they came. */
static void test_order(void **state)
{
	static const struct {
		enum queue_kind kind;
		unsigned rank;
	} posted[] = {
		{ QUEUE_ATTEMPT, 0 },
		{ QUEUE_GENERATE, 0 },
		{ QUEUE_LOOSE, 0 },
		{ QUEUE_BLOCK, 0 },
		{ QUEUE_AUDIT, 0 },
		{ QUEUE_BLOCK, 2 },
		{ QUEUE_LOOSE, QUEUE_LOOSE_RANKS - 1 },
		{ QUEUE_BLOCK, 0 },
		{ QUEUE_SPARE, 0 },
		{ QUEUE_ATTEMPT, 0 },
	};
	struct probe first = { .number = -1 }, probes[10] = { { 0 } };
	struct queue *q = queue_new(1, NULL, NULL);

	(void)state;
	setup_loop();
	post(q, &first, QUEUE_BLOCK, 2, 1);
	wait_until(&first.ran);
	for (int i = 0; i < 10; i++) {
		probes[i].number = i;
		probes[i].is_open = true;
		post(q, &probes[i], posted[i].kind, posted[i].rank, 1);
	}
	assert_int_equal(queue_pending(q), 11);
	atomic_store(&first.gate, true);
	drain_all(q);
	assert_memory_equal(order, ((int[]){ -1, 5, 3, 7, 6, 2, 4, 1, 0, 9, 8 }), 11 * sizeof(int));
	queue_free(q);
}

/* Never more threads than slots, whatever they ask for; those that write files hold none. */
static void test_slots(void **state)
{
	static struct probe probes[24];
	struct probe files[2] = { { 0 } }, wide = { 0 };
	struct queue *q = queue_new(3, NULL, NULL);

	(void)state;
	setup_loop();
	for (int i = 0; i < 2; i++)
		post(q, &files[i], QUEUE_FILE, 0, 1);
	for (int i = 0; i < 2; i++)
		wait_until(&files[i].ran);
	atomic_store(&active, 0);
	atomic_store(&most_active, 0);
	for (int i = 0; i < 24; i++) {
		probes[i].is_open = true;
		post(q, &probes[i], (enum queue_kind)(i % QUEUE_FILE), 0, 1 + (unsigned)i % 4);
	}
	post(q, &wide, QUEUE_BLOCK, 1, 64);
	wait_until(&wide.ran);
	assert_int_equal(wide.threads, 3);
	atomic_store(&wide.gate, true);
	for (int i = 0; i < 24; i++)
		wait_until(&probes[i].ended);
	assert_in_range(atomic_load(&most_active), 1, 3);
	for (int i = 0; i < 2; i++)
		atomic_store(&files[i].gate, true);
	drain_all(q);
	queue_free(q);
}

/* Of files, what peers ask for comes behind what this node waits for. */
static void test_files(void **state)
{
	struct probe files[QUEUE_FILES] = { { 0 } }, asked = { 0 }, awaited = { 0 };
	struct queue *q = queue_new(1, NULL, NULL);

	(void)state;
	setup_loop();
	for (int i = 0; i < QUEUE_FILES; i++)
		post(q, &files[i], QUEUE_FILE, 0, 1);
	for (int i = 0; i < QUEUE_FILES; i++)
		wait_until(&files[i].ran);
	post(q, &asked, QUEUE_FILE, 0, 1);
	post(q, &awaited, QUEUE_FILE, QUEUE_FILE_RANKS - 1, 1);
	atomic_store(&files[0].gate, true);
	wait_until(&awaited.ran);
	assert_false(atomic_load(&asked.ran));
	for (int i = 1; i < QUEUE_FILES; i++)
		atomic_store(&files[i].gate, true);
	wait_until(&asked.ran);
	atomic_store(&awaited.gate, true);
	atomic_store(&asked.gate, true);
	drain_all(q);
	queue_free(q);
}

/* Attempts lend their slots to a block, which gets all of them, and go on when it is done; nothing is lost. */
static void test_pause(void **state)
{
	struct probe attempts[2] = { { .pauses = true }, { .pauses = true } }, block = { 0 },
		     audit = { .is_open = true };
	struct queue *q = queue_new(2, NULL, NULL);

	(void)state;
	setup_loop();
	for (int i = 0; i < 2; i++)
		post(q, &attempts[i], QUEUE_ATTEMPT, 0, 1);
	for (int i = 0; i < 2; i++)
		wait_until(&attempts[i].ran);
	post(q, &block, QUEUE_BLOCK, 0, 2);
	wait_until(&block.ran);
	assert_int_equal(block.threads, 2);
	assert_int_equal(atomic_load(&active), 2);
	/* An attempt does not come between what waits and is more urgent. */
	post(q, &audit, QUEUE_AUDIT, 0, 1);
	for (int i = 0; i < 2; i++)
		atomic_store(&attempts[i].gate, true);
	usleep(60000);
	assert_false(atomic_load(&attempts[0].ended) || atomic_load(&attempts[1].ended) || atomic_load(&audit.ran));
	atomic_store(&block.gate, true);
	drain_all(q);
	assert_true(audit.ran && attempts[0].ended && attempts[1].ended);
	assert_int_equal(order[3], audit.number);
	queue_free(q);
}

/* A block of higher rank goes before one that runs; one that is cancelled in its pause comes back at once. */
static void test_rank(void **state)
{
	struct probe stranger = { .pauses = true }, own = { 0 };
	struct queue *q = queue_new(1, NULL, NULL);

	(void)state;
	setup_loop();
	post(q, &stranger, QUEUE_BLOCK, 0, 1);
	wait_until(&stranger.ran);
	post(q, &own, QUEUE_BLOCK, 1, 1);
	wait_until(&own.ran);
	assert_false(atomic_load(&stranger.ended));
	atomic_store(&stranger.cancel, true);
	wait_until(&stranger.ended);
	assert_false(atomic_load(&own.ended));
	atomic_store(&own.gate, true);
	drain_all(q);
	queue_free(q);
}

/* Whoever leaves gets all of his back, those that never ran as cancelled, and nobody else's. */
static void test_leave(void **state)
{
	struct probe mine = { 0 }, theirs[3] = { { .is_open = true }, { .is_open = true }, { .is_open = true } };
	struct queue *q = queue_new(1, NULL, NULL);

	(void)state;
	setup_loop();
	mine.queue = q;
	post(q, &theirs[0], QUEUE_LOOSE, 0, 1);
	wait_until(&theirs[0].ended);
	post(q, &mine, QUEUE_LOOSE, 0, 1);
	wait_until(&mine.ran);
	post(q, &theirs[1], QUEUE_LOOSE, 0, 1);
	theirs[2].queue = q;
	post(q, &theirs[2], QUEUE_ATTEMPT, 0, 1);
	queue_leave(q, &theirs[2]);
	assert_true(theirs[2].done && theirs[2].cancelled && !theirs[2].ran);
	atomic_store(&mine.cancel, true);
	queue_leave(q, &mine);
	assert_true(mine.done && !mine.cancelled);
	assert_false(theirs[0].done);
	drain_all(q);
	assert_true(theirs[0].done && theirs[1].done && !theirs[1].cancelled);
	queue_leave(q, &mine);
	queue_free(q);
}

static void *open_later(void *arg)
{
	struct probe *probe = arg;

	usleep(50000);
	atomic_store(&probe->gate, true);
	return NULL;
}

static atomic_int afters;

static void after(void *context)
{
	assert_ptr_equal(context, &afters);
	atomic_fetch_add(&afters, 1);
}

/* What comes after a drain comes once, however many results there were, and not where there was none. */
static void test_after(void **state)
{
	struct probe probes[3] = { { .is_open = true }, { .is_open = true }, { .is_open = true } };
	struct queue *q = queue_new(1, NULL, NULL);
	int drains = 0;

	(void)state;
	setup_loop();
	atomic_store(&afters, 0);
	queue_after_drain(q, after, &afters);
	queue_drain(q);
	for (int i = 0; i < 3; i++)
		post(q, &probes[i], QUEUE_LOOSE, 0, 1);
	for (int i = 0; i < 3; i++)
		wait_until(&probes[i].ended);
	while (queue_pending(q) > 0) {
		queue_wait(q, 0);
		drains += queue_drain(q) > 0;
	}
	assert_int_equal(atomic_load(&afters), drains);
	queue_after_drain(q, NULL, NULL);
	queue_free(q);
}

/* Whatever is urgent has no end, and yet who waits for an audit or a text gets it, a little at a time, and a miner's
 * attempt after a while; the others too, who lend their slots meanwhile. */
static void test_patience(void **state)
{
	struct probe block = { .pauses = true }, loose = { .pauses = true };
	struct probe audit = { .pauses = true }, text = { .pauses = true }, attempt = { .pauses = true };
	struct queue *q = queue_new(2, NULL, NULL);

	(void)state;
	setup_loop();
	post(q, &text, QUEUE_GENERATE, 0, 1);
	wait_until(&text.ran);
	post(q, &block, QUEUE_BLOCK, 2, 2);
	wait_until(&block.ran);
	post(q, &loose, QUEUE_LOOSE, 0, 1);
	post(q, &audit, QUEUE_AUDIT, 0, 1);
	atomic_store(&text.gate, true);
	wait_until(&text.ended);
	wait_until(&audit.ran);
	assert_false(atomic_load(&block.ended) || atomic_load(&loose.ran) || atomic_load(&audit.ended));
	atomic_store(&audit.gate, true);
	wait_until(&audit.ended);
	post(q, &attempt, QUEUE_ATTEMPT, 0, 1);
	wait_until(&attempt.ran);
	assert_false(atomic_load(&block.ended) || atomic_load(&loose.ran));
	atomic_store(&attempt.gate, true);
	wait_until(&attempt.ended);
	atomic_store(&block.gate, true);
	atomic_store(&loose.gate, true);
	drain_all(q);
	assert_true(loose.ran && block.ended);
	queue_free(q);
}

/* Whoever leaves waits for no other's job: his own that pauses goes on beside it, though nobody cancelled it. */
static void test_leave_from_pause(void **state)
{
	struct probe mine = { .pauses = true }, theirs = { 0 };
	struct queue *q = queue_new(1, NULL, NULL);
	pthread_t opening;

	(void)state;
	setup_loop();
	mine.queue = q;
	post(q, &mine, QUEUE_AUDIT, 0, 1);
	wait_until(&mine.ran);
	post(q, &theirs, QUEUE_BLOCK, 0, 1);
	wait_until(&theirs.ran);
	assert_int_equal(pthread_create(&opening, NULL, open_later, &mine), 0);
	queue_leave(q, &mine);
	pthread_join(opening, NULL);
	assert_true(mine.done && !mine.cancelled && !theirs.ended);
	atomic_store(&theirs.gate, true);
	drain_all(q);
	queue_free(q);
}

/* A wait with an end comes back without a result, and at once with one. */
static void test_wait(void **state)
{
	struct probe probe = { 0 };
	struct queue *q = queue_new(1, NULL, NULL);

	(void)state;
	setup_loop();
	queue_wait(q, 1000000); /* nothing is pending */
	post(q, &probe, QUEUE_LOOSE, 0, 1);
	queue_wait(q, 20);
	assert_int_equal(queue_drain(q), 0);
	atomic_store(&probe.gate, true);
	queue_wait(q, 1000000);
	assert_int_equal(queue_drain(q), 1);
	queue_free(q);
}

static struct queue *reposting;
static struct probe reposted;

static void done_and_post(void *arg, bool cancelled)
{
	done(arg, cancelled);
	post(reposting, &reposted, QUEUE_BLOCK, 0, 1);
}

static void test_end(void **state)
{
	struct probe running = { 0 }, paused = { .pauses = true }, waiting[3] = { { 0 } };
	struct queue_job job = { .kind = QUEUE_BLOCK, .run = run, .done = done_and_post, .arg = &running };
	pthread_t opening;

	(void)state;
	setup_loop();
	reposting = queue_new(1, NULL, NULL);
	post(reposting, &paused, QUEUE_ATTEMPT, 0, 1);
	wait_until(&paused.ran);
	queue_post(reposting, &job);
	wait_until(&running.ran);
	for (int i = 0; i < 3; i++)
		post(reposting, &waiting[i], QUEUE_LOOSE, 0, 1);
	atomic_store(&paused.cancel, true);
	assert_int_equal(pthread_create(&opening, NULL, open_later, &running), 0);
	queue_free(reposting);
	pthread_join(opening, NULL);
	assert_true(running.done && !running.cancelled && paused.done && !paused.cancelled);
	assert_true(reposted.done && reposted.cancelled && !reposted.ran);
	for (int i = 0; i < 3; i++)
		assert_true(waiting[i].done && waiting[i].cancelled == !waiting[i].ran);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_rank),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_leave_from_pause),
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
