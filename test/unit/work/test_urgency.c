/* Verification, audits, text and mining on one queue: what is urgent goes first, everybody comes to something, and who
 * closes waits for nobody else. All of it on one thread. */
#include <event2/event.h>
#include <event2/thread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "chain/chain_helper.h"
#include "ml/backend.h"
#include "ml/selftest.h"
#include "util/mem.h"
#include "work/attempt.h"
#include "work/auditor.h"
#include "work/miner.h"
#include "work/text/writer.h"

enum { ROUNDS_MAX = 20000, ROUND_MS = 5 };

/* A chain on a queue of one slot, and a loop. */
struct bed {
	struct helper helper;
	struct event_base *base;
};

static void bed_start(struct bed *bed)
{
	helper_start(&bed->helper);
	helper_close(&bed->helper);
	bed->helper.threads = 1;
	helper_open(&bed->helper);
	assert_int_equal(evthread_use_pthreads(), 0);
	bed->base = event_base_new();
	assert_non_null(bed->base);
}

static void bed_stop(struct bed *bed)
{
	helper_stop(&bed->helper);
	event_base_free(bed->base);
}

/* One round of the loop, as a node makes it. */
static void bed_turn(struct bed *bed)
{
	event_base_loop(bed->base, EVLOOP_NONBLOCK);
	queue_wait(bed->helper.queue, ROUND_MS);
	queue_drain(bed->helper.queue);
}

static void bed_until(struct bed *bed, const size_t *count, size_t wanted)
{
	for (int i = 0; i < ROUNDS_MAX && *count < wanted; i++)
		bed_turn(bed);
	assert_true(*count >= wanted);
}

/* An attempt that has no end: one real step after the other, until it is told. */
struct endless {
	const struct spec *spec;
	struct state *state;
	atomic_bool cancel, began;
	bool done, cancelled;
};

static void endless_run(void *arg)
{
	struct endless *e = arg;
	struct backend *backend = backend_new(backend_selected(), &spec_course(e->spec)->train, 1);
	uint8_t *windows = mem_calloc(1, step_windows_size(&spec_course(e->spec)->train));
	uint8_t *body = mem_alloc(step_delta_size(&spec_course(e->spec)->train));
	const uint8_t seed[32] = { 1 };
	const struct step_job job = { .state = e->state, .seed = seed, .windows = windows, .cancel = &e->cancel };

	atomic_store(&e->began, true);
	while (backend_execute(backend, &job, body) != STEP_CANCELLED)
		;
	backend_free(backend);
	free(windows);
	free(body);
}

static void endless_done(void *arg, bool cancelled)
{
	struct endless *e = arg;

	e->done = true;
	e->cancelled = cancelled;
}

static void endless_post(struct endless *e, struct helper *h)
{
	*e = (struct endless){ .spec = h->spec, .state = chain_state(h->chain) };
	queue_post(h->queue,
		&(struct queue_job){
			.kind = QUEUE_ATTEMPT,
			.owner = e,
			.run = endless_run,
			.done = endless_done,
			.arg = e,
		});
	for (int i = 0; i < ROUNDS_MAX && !atomic_load(&e->began); i++)
		usleep(1000);
	assert_true(atomic_load(&e->began));
}

static void endless_end(struct endless *e, struct helper *h)
{
	atomic_store(&e->cancel, true);
	queue_leave(h->queue, e);
	assert_true(e->done && !e->cancelled);
	state_unref(e->state);
}

/* The one thread trains without end, and yet blocks and proofs get their verdicts: in the middle of its steps. */
static void test_verification_first(void **state)
{
	const struct header *proof;
	struct endless endless;
	struct reject reject;
	struct helper from;
	struct bed bed;

	(void)state;
	helper_start(&from);
	helper_mine(&from, 2);
	helper_mine_loose(&from);
	proof = chain_loose_get(from.chain, 0);
	assert_non_null(proof);
	bed_start(&bed);
	endless_post(&endless, &bed.helper);
	helper_feed(&bed.helper, &from, 1, 2);
	bed_until(&bed, &bed.helper.connected, 2);
	assert_int_equal(chain_add_loose(bed.helper.chain, proof, helper_source(8), &reject), CHAIN_NEW);
	bed_until(&bed, &bed.helper.proofs_right, 1);
	assert_int_equal(chain_tip(bed.helper.chain)->height, 2);
	assert_false(endless.done);
	endless_end(&endless, &bed.helper);
	bed_stop(&bed);
	helper_stop(&from);
}

enum { TEXT_SIZE = 16 };

static void on_written(void *context, const struct writer_result *result)
{
	size_t *written = context;

	assert_int_equal(result->status, WRITER_WRITTEN);
	assert_int_equal(result->size, TEXT_SIZE);
	(*written)++;
}

static void on_audited(void *context, const struct audit_report *report)
{
	size_t *right = context;

	assert_string_equal(report->error, "");
	*right += report->valid;
}

/* One thread, three attempts at a time, the blocks that come of them, audits and texts: all come to something, again
 * and again. */
static void test_everybody_comes_on(void **state)
{
	struct miner_stats stats = { 0 };
	size_t audited = 0, written = 0;
	const struct writer_order text = { .count = TEXT_SIZE, .done = on_written, .context = &written };
	struct auditor *auditor;
	struct writer *writer;
	struct miner *miner;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	miner = miner_new(bed.helper.chain, bed.helper.queue, bed.base, 3);
	auditor = auditor_new(bed.helper.chain, bed.helper.queue, bed.base);
	writer = writer_new(bed.helper.chain, bed.helper.queue);
	miner_start(miner, bed.helper.key);
	for (size_t round = 1; round <= 3; round++) {
		const size_t connected = bed.helper.connected;

		bed_until(&bed, &bed.helper.connected, connected + 1);
		auditor_block(auditor, chain_tip(bed.helper.chain), on_audited, &audited);
		assert_non_null(writer_write(writer, &text));
		bed_until(&bed, &audited, round);
		bed_until(&bed, &written, round);
	}
	miner_stats(miner, &stats);
	assert_true(stats.mining && stats.threads == 3 && stats.running <= 3 && stats.blocks > 0);
	assert_true(stats.attempts >= stats.blocks + stats.shares);
	miner_close(miner);
	auditor_close(auditor);
	writer_close(writer);
	miner_stats(miner, &stats);
	assert_int_equal(stats.running, 0);
	helper_close(&bed.helper);
	miner_free(miner);
	auditor_free(auditor);
	writer_free(writer);
	bed_stop(&bed);
}

/* Something urgent that ends when it is told. */
struct gate {
	atomic_bool open, began;
	bool done;
};

static void gate_run(void *arg)
{
	struct gate *gate = arg;

	atomic_store(&gate->began, true);
	while (!atomic_load(&gate->open))
		usleep(1000);
}

static void gate_done(void *arg, bool cancelled)
{
	struct gate *gate = arg;

	assert_false(cancelled);
	gate->done = true;
}

static void on_closed(void *context, const struct audit_report *report)
{
	bool *closed = context;

	assert_true(report->closing);
	*closed = true;
}

/* Attempts and an audit wait, or pause, for something urgent; their owners close all the same, and it goes on. */
static void test_closing_waits_for_nobody(void **state)
{
	struct queue_job urgent = { .kind = QUEUE_BLOCK, .run = gate_run, .done = gate_done };
	struct endless endless;
	struct gate gate = { .done = false };
	struct auditor *auditor;
	struct miner *miner;
	bool closed = false;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	helper_mine(&bed.helper, 1);
	auditor = auditor_new(bed.helper.chain, bed.helper.queue, bed.base);
	miner = miner_new(bed.helper.chain, bed.helper.queue, bed.base, 2);
	endless_post(&endless, &bed.helper);
	urgent.owner = urgent.arg = &gate;
	queue_post(bed.helper.queue, &urgent);
	for (int i = 0; i < ROUNDS_MAX && !atomic_load(&gate.began); i++)
		usleep(1000);
	assert_true(atomic_load(&gate.began));
	miner_start(miner, bed.helper.key);
	auditor_block(auditor, chain_tip(bed.helper.chain), on_closed, &closed);
	bed_turn(&bed);
	miner_set_threads(miner, 1);
	miner_close(miner);
	auditor_close(auditor);
	assert_true(closed);
	endless_end(&endless, &bed.helper);
	assert_false(gate.done);
	atomic_store(&gate.open, true);
	helper_settle(&bed.helper);
	assert_true(gate.done);
	helper_close(&bed.helper);
	miner_free(miner);
	auditor_free(auditor);
	bed_stop(&bed);
}

/* Asks whether its engine can be trusted, as who finds a proof false does. */
struct doubt {
	atomic_bool began;
	bool sound;    /* the worker's */
	size_t passed; /* the loop's */
};

static void doubt_run(void *arg)
{
	struct doubt *doubt = arg;
	struct errmsg err;

	atomic_store(&doubt->began, true);
	doubt->sound = selftest_again(backend_selected(), &err);
}

static void doubt_done(void *arg, bool cancelled)
{
	struct doubt *doubt = arg;

	assert_false(cancelled);
	doubt->passed = doubt->sound;
}

/* Both need one answer: who is found out first does not pause with the lock in his hands for the other, who is more
 * urgent and waits for it. */
static void test_two_in_doubt(void **state)
{
	struct doubt doubts[2] = { { .passed = 0 }, { .passed = 0 } };
	struct bed bed;

	(void)state;
	bed_start(&bed);
	for (unsigned i = 0; i < 2; i++) {
		const struct queue_job job = {
			.kind = QUEUE_BLOCK,
			.rank = i,
			.owner = doubts,
			.run = doubt_run,
			.done = doubt_done,
			.arg = &doubts[i],
		};

		queue_post(bed.helper.queue, &job);
		for (int j = 0; i == 0 && j < ROUNDS_MAX && !atomic_load(&doubts[0].began); j++)
			usleep(100);
	}
	bed_until(&bed, &doubts[1].passed, 1);
	bed_until(&bed, &doubts[0].passed, 1);
	bed_stop(&bed);
}

/* What has not done half of its step when the tip changes is given up, the rest is ended: for that it is counted. */
static void test_advanced(void **unused)
{
	struct attempt attempt;
	uint32_t slot, dataset;
	struct bed bed;

	(void)unused;
	bed_start(&bed);
	attempt_init(&attempt, bed.helper.spec);
	attempt.block = chain_template(bed.helper.chain, bed.helper.key);
	attempt.windows = chain_attempt_windows(bed.helper.chain, &attempt.block->header, &slot, &dataset);
	attempt.state = chain_state(bed.helper.chain);
	assert_false(attempt_is_advanced(&attempt));
	attempt_run(&attempt);
	assert_int_equal(attempt.result, STEP_OK);
	assert_true(attempt_is_advanced(&attempt));
	attempt_reset(&attempt);
	assert_false(attempt_is_advanced(&attempt));
	attempt_clear(&attempt);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_in_doubt), /* first: the check runs once in a while only */
		cmocka_unit_test(test_verification_first),
		cmocka_unit_test(test_everybody_comes_on),
		cmocka_unit_test(test_closing_waits_for_nobody),
		cmocka_unit_test(test_advanced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
