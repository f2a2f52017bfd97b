/* verify.c on a machine that can be made to compute wrongly, and that counts what it computes. For one test program
 * each: it includes verify.c and the faulty engine. */
#ifndef ATELIER_TEST_VERIFY_FIXTURE_H
#define ATELIER_TEST_VERIFY_FIXTURE_H

#include "ml/backend_cpu.h"
#include "ml/faulty_engine.h"
#include "ml/run.h"
#include "ml/selftest.h"
#include "unit.h"
#include "util/warning.h"

static enum step_result watched_execute(struct backend *b, const struct step_job *job, uint8_t *delta);
static struct backend *watched_new(const struct backend_kind *kind, const struct train_config *config,
	unsigned threads);
static enum step_result watched_segment(struct backend *b, const struct run_segment *segment, uint8_t *code);
static bool watched_again(const struct backend_kind *kind, struct errmsg *err);
static bool watched_run(const struct backend_kind *kind, struct errmsg *err);

#define backend_execute watched_execute
#define backend_new watched_new
#define selftest_again watched_again
#define selftest_run watched_run
#define run_execute watched_segment
#include "consensus/verify.c"
#undef backend_execute
#undef backend_new
#undef selftest_again
#undef selftest_run
#undef run_execute

#include "consensus/spec.h"

/* === A machine that computes wrongly === */

static int reference_engines, steps_executed, steps_checked, segments_executed, segments_checked, selftests;
static int wrong_steps; /* the first so many of a job end with a wrong bit that is no product's */
static bool fails_selftest, reference_fails_selftest;

static struct backend *watched_new(const struct backend_kind *kind, const struct train_config *config, unsigned threads)
{
	reference_engines += kind == backend_cpu(ENGINE_REFERENCE);
	return backend_new(kind, config, threads);
}

static enum step_result watched_execute(struct backend *b, const struct step_job *job, uint8_t *delta)
{
	enum step_result result = backend_execute(b, job, delta);

	steps_executed++;
	steps_checked += job->checked;
	if (steps_executed <= wrong_steps)
		delta[1] ^= 1;
	return result;
}

static enum step_result watched_segment(struct backend *b, const struct run_segment *segment, uint8_t *code)
{
	segments_executed++;
	segments_checked += segment->checked;
	return run_execute(b, segment, code);
}

static bool watched_again(const struct backend_kind *kind, struct errmsg *err)
{
	selftests++;
	assert_ptr_equal(kind, backend_cpu(ENGINE_OPENBLAS));
	return !fails_selftest || errmsg_set(err, "a played fault");
}

static bool watched_run(const struct backend_kind *kind, struct errmsg *err)
{
	assert_ptr_equal(kind, backend_cpu(ENGINE_REFERENCE));
	return !reference_fails_selftest || errmsg_set(err, "a played fault");
}

static void reset(void)
{
	struct errmsg warning;

	engine_fault(FAULT_LAST_BIT, SIZE_MAX, SIZE_MAX);
	fails_selftest = reference_fails_selftest = false;
	reference_engines = steps_executed = steps_checked = selftests = wrong_steps = 0;
	segments_executed = segments_checked = 0;
	backend_select(backend_cpu(ENGINE_OPENBLAS));
	warning_clear(WARNING_ENGINE);
	assert_false(warning_get(WARNING_ENGINE, &warning));
}

/* What the operator and the rest of the node see of it. */
static void assert_trust(enum backend_trust wanted, const char *words)
{
	struct errmsg warning;

	assert_int_equal(backend_trust(), wanted);
	assert_ptr_equal(backend_selected(),
		backend_cpu(wanted == BACKEND_TRUSTED ? ENGINE_OPENBLAS : ENGINE_REFERENCE));
	assert_int_equal(warning_get(WARNING_ENGINE, &warning), wanted != BACKEND_TRUSTED);
	if (words != NULL && strstr(warning.text, words) == NULL)
		fail_msg("no '%s' in: %s", words, warning.text);
}

#endif
