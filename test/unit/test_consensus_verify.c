/* A block verified from end to end on a private chain small enough for a test, and everything that can be false about it.
 *
 * Includes verify.c, so that a machine whose BLAS is broken can be played. */
#include "unit.h"

#include "ml/step.h"

static enum step_result shaky_execute(struct step *s, const struct step_job *job, uint8_t *delta);
static struct step *watched_new(const struct train_config *config, enum engine engine, unsigned threads);

#define step_execute shaky_execute
#define step_new watched_new
#include "consensus/verify.c"
#undef step_execute
#undef step_new

#include "consensus/window.h"

/* === A machine with a broken BLAS === */

static bool blas_is_broken;
static int reference_engines;
static const struct step *reference_step;
static int steps_executed;

static struct step *watched_new(const struct train_config *config, enum engine engine, unsigned threads)
{
	struct step *s = step_new(config, engine, threads);

	if (engine == ENGINE_REFERENCE) {
		reference_engines++;
		reference_step = s;
	}
	return s;
}

static enum step_result shaky_execute(struct step *s, const struct step_job *job, uint8_t *delta)
{
	enum step_result result = step_execute(s, job, delta);

	steps_executed++;
	if (blas_is_broken && s != reference_step)
		delta[1] ^= 1;
	return result;
}

/* === A block of three proofs === */

enum { PROOFS = 3 };

static struct spec spec;
static uint8_t dataset[2][100];

static int setup(void **state)
{
	static const char json[] = "{\"name\":\"tiny\",\"d\":16,\"heads\":1,\"layers\":1,\"ff\":16,\"batch\":2,\"bench_rows\":2,"
		"\"bench_bytes\":1000}";
	char *path;

	(void)state;
	for (size_t i = 0; i < sizeof dataset; i++)
		dataset[i / 100][i % 100] = (uint8_t)(i * i % 97);
	return spec_parse(&spec, json, strlen(json), &path, NULL) && spec_finish(&spec, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	spec_clear(&spec);
	return 0;
}

static void reset(void)
{
	blas_is_broken = false;
	reference_engines = steps_executed = 0;
	reference_step = NULL;
}

static struct state *initial_state(void)
{
	uint8_t key[32];

	spec_init_key(&spec, key);
	return state_new_initial(&spec.train.model, key);
}

static void gather(struct verify_proof *proof, uint32_t number)
{
	free(proof->windows);
	proof->windows = mem_alloc(window_step_size(&spec));
	window_gather_step(&spec, proof->seed, dataset[number], sizeof dataset[number], proof->windows);
}

/* What a miner does: the step, and the header that states its digest. The first nonce that gives the slot wanted. */
static void mine(struct verify_proof *proof, const struct state *parent, uint32_t slot)
{
	struct step *step = step_new(&spec.train, ENGINE_OPENBLAS, 1);
	struct step_job job = { .state = parent, .seed = proof->seed };
	uint8_t *delta = mem_alloc(step_delta_size(&spec.train));

	memcpy(proof->header.prev, spec.genesis_id, 32);
	do {
		proof->header.nonce++;
		header_seed(&proof->header, proof->seed);
		proof->slot = window_slot(&spec, proof->seed);
	} while (proof->slot != slot);
	gather(proof, proof->slot);
	job.windows = proof->windows;
	assert_int_equal(step_execute(step, &job, delta), STEP_OK);
	sha256(proof->header.digest, delta, step_delta_size(&spec.train));
	header_id(&proof->header, proof->id);
	free(delta);
	step_free(step);
}

static void job_init(struct verify_job *job)
{
	memset(job, 0, sizeof *job);
	job->spec = &spec;
	job->parent = initial_state();
	job->benchmark = mem_alloc(window_benchmark_size(&spec));
	memcpy(job->ticket, spec.genesis_ticket, 32);
	window_gather_benchmark(&spec, job->ticket, job->benchmark);
	job->v_ref = spec.v_0;
	job->proofs = mem_calloc(PROOFS, sizeof *job->proofs);
	job->proof_count = PROOFS;
	for (size_t i = 0; i < PROOFS; i++) {
		job->proofs[i].header.miner[0] = (uint8_t)i;
		mine(&job->proofs[i], job->parent, i % 2);
	}
	reset();
}

static void assert_valid(struct verify_job *job, uint8_t root[32])
{
	struct verdict verdict;

	verify_run(job, &verdict);
	if (!verdict.valid)
		fail_msg("%s: %s", verdict.reject.reason, verdict.reject.detail);
	assert_false(verdict.cancelled);
	assert_true(verdict.false_proof == SIZE_MAX);
	memcpy(root, state_root(verdict.state), 32);
	state_unref(verdict.state);
}

static void assert_false_proof(struct verify_job *job, size_t number, const char *reason)
{
	struct verdict verdict;

	verify_run(job, &verdict);
	assert_false(verdict.valid);
	assert_false(verdict.cancelled);
	assert_null(verdict.state);
	assert_int_equal(verdict.false_proof, number);
	assert_string_equal(verdict.reject.reason, reason);
	assert_int_equal(verdict.reject.code, REJECT_INVALID);
}

/* As before the job ran: nothing is known of any proof. */
static void forget(struct verify_job *job)
{
	for (size_t i = 0; i < job->proof_count; i++) {
		free(job->proofs[i].delta);
		job->proofs[i].delta = NULL;
	}
	atomic_store(&job->steps_done, 0);
	reset();
}

/* === Tests === */

static void test_true_block(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	uint32_t counts[16] = { 0 };

	(void)state;
	job_init(&job);
	for (int i = 0; i < PROOFS; i++)
		counts[job.proofs[i].slot]++;
	verify_run(&job, &verdict);
	assert_true(verdict.valid);
	assert_int_equal(steps_executed, PROOFS);
	assert_int_equal(reference_engines, 0);
	assert_int_equal(atomic_load(&job.steps_done), PROOFS);
	assert_false(verdict.outcome.is_void);
	assert_int_equal(verdict.outcome.slots, spec.slots);
	for (uint32_t i = 0; i < spec.slots; i++) {
		assert_int_equal(verdict.outcome.slot[i].count, counts[i]);
		assert_int_equal(verdict.outcome.slot[i].value != 0, counts[i] > 0);
		assert_false(verdict.outcome.slot[i].left_out);
	}
	for (int i = 0; i < PROOFS; i++) {
		assert_non_null(job.proofs[i].delta);
		assert_false(job.proofs[i].engine_fault);
	}
	assert_non_null(job.parent_benchmark);
	assert_true(verdict.loss_before > 0 && verdict.loss_after > 0);
	assert_memory_not_equal(state_root(verdict.state), state_root(job.parent), 32);
	state_unref(verdict.state);
	verify_job_clear(&job);
}

/* Bodies that are known, and a benchmark that is known, give the same state without executing anything. */
static void test_known_bodies(void **state)
{
	struct verify_job job;
	uint8_t first[32], second[32];

	(void)state;
	job_init(&job);
	assert_valid(&job, first);
	reset();
	assert_valid(&job, second);
	assert_int_equal(steps_executed, 0);
	assert_memory_equal(first, second, 32);
	forget(&job);
	assert_valid(&job, second);
	assert_int_equal(steps_executed, PROOFS);
	assert_memory_equal(first, second, 32);
	job.proofs[1].delta[70] ^= 1;
	assert_false_proof(&job, 1, "bad-proof-body");
	verify_job_clear(&job);
}

static void test_false_digest(void **state)
{
	struct verify_job job;

	(void)state;
	job_init(&job);
	for (size_t i = 0; i < PROOFS; i++)
		for (size_t bit = i; bit < 256; bit += 85) {
			job.proofs[i].header.digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false_proof(&job, i, "bad-proof-digest");
			assert_int_equal(atomic_load(&job.steps_done), i);
			assert_int_equal(reference_engines, 1); /* which had the last word */
			job.proofs[i].header.digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
			forget(&job);
		}
	verify_job_clear(&job);
}

/* The digest of a body that is almost right: one mantissa off by one. */
static void test_false_delta(void **state)
{
	struct verify_job job;
	uint8_t root[32];

	(void)state;
	job_init(&job);
	assert_valid(&job, root);
	job.proofs[2].delta[5] ^= 1;
	sha256(job.proofs[2].header.digest, job.proofs[2].delta, step_delta_size(&spec.train));
	forget(&job);
	assert_false_proof(&job, 2, "bad-proof-digest");
	verify_job_clear(&job);
}

static void test_false_inputs(void **state)
{
	struct verify_job job;
	struct verify_proof *proof;
	struct state *parent;
	uint8_t root[32];

	(void)state;
	job_init(&job);
	proof = &job.proofs[1];
	gather(proof, 1 - proof->slot); /* worked on the other slot's dataset */
	assert_false_proof(&job, 1, "bad-proof-digest");
	gather(proof, proof->slot);
	forget(&job);
	proof->seed[9] ^= 1;            /* the same windows, but the rounding is drawn from the seed too */
	assert_false_proof(&job, 1, "bad-proof-digest");
	proof->seed[9] ^= 1;
	forget(&job);
	assert_valid(&job, root);

	parent = job.parent;            /* started from another state */
	job.parent = state_new_initial(&spec.train.model, root);
	forget(&job);
	assert_false_proof(&job, 0, "bad-proof-digest");
	state_unref(job.parent);
	job.parent = parent;
	verify_job_clear(&job);
}

static void test_cancel(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	struct reject reject;

	(void)state;
	job_init(&job);
	atomic_store(&job.cancel, true);
	verify_run(&job, &verdict);
	assert_true(verdict.cancelled);
	assert_false(verdict.valid);
	assert_null(verdict.state);
	assert_true(verdict.false_proof == SIZE_MAX);
	assert_false(verify_one(&spec, job.parent, &job.proofs[0], 2, &job.cancel, NULL, &reject));
	assert_int_equal(reject.code, REJECT_NOT_YET);
	assert_int_equal(reject.ban_score, 0);
	verify_job_clear(&job);
}

static void test_one(void **state)
{
	struct verify_job job;
	struct reject reject;
	uint8_t found[32];

	(void)state;
	job_init(&job);
	assert_true(verify_one(&spec, job.parent, &job.proofs[0], 2, NULL, found, &reject));
	assert_memory_equal(found, job.proofs[0].header.digest, 32);
	assert_non_null(job.proofs[0].delta);
	job.proofs[0].header.digest[0] ^= 1;
	/* An audit executes, though the body is known. */
	assert_false(verify_one(&spec, job.parent, &job.proofs[0], 2, NULL, found, &reject));
	assert_string_equal(reject.reason, "bad-proof-digest");
	assert_int_equal(found[0], job.proofs[0].header.digest[0] ^ 1);
	verify_job_clear(&job);
}

/* Nobody is blamed for a fault of this machine, and what it computes itself is computed soundly. */
static void test_broken_engine(void **state)
{
	struct verify_job job;
	uint8_t sound[32], root[32];

	(void)state;
	job_init(&job);
	assert_valid(&job, sound);
	forget(&job);
	blas_is_broken = true;
	assert_valid(&job, root);
	assert_memory_equal(root, sound, 32);
	assert_true(job.proofs[0].engine_fault);
	assert_int_equal(reference_engines, 1);
	assert_int_equal(steps_executed, 1 + PROOFS); /* the first one twice, and then no more with that engine */
	verify_job_clear(&job);
}

static void test_void_block(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	uint32_t gate = spec.train.gate_ppm;
	size_t bytes = model_count(&spec.train.model) * 4, counted = 0;
	uint8_t *zeros = mem_calloc(1, bytes);

	(void)state;
	spec.train.gate_ppm = 1; /* no loss falls to a millionth */
	job_init(&job);
	verify_run(&job, &verdict);
	assert_true(verdict.valid);
	assert_true(verdict.outcome.is_void);
	for (uint32_t i = 0; i < spec.slots; i++) {
		counted += verdict.outcome.slot[i].count;
		assert_true(verdict.outcome.slot[i].value == 0);
	}
	assert_int_equal(counted, PROOFS);
	assert_memory_equal(state_theta(verdict.state), state_theta(job.parent), bytes);
	assert_memory_equal(state_momentum(verdict.state), zeros, bytes);
	spec.train.gate_ppm = gate;
	state_unref(verdict.state);
	verify_job_clear(&job);
	free(zeros);
}

/* With v_ref standing on records, a slot below it is left out and the state is the others' alone. (A v_ref is positive;
 * here it may be negative, so that the threshold lies between the two values, whatever they are.) */
static void test_left_out(void **state)
{
	struct verify_job job;
	struct verdict plain, strict;
	uint32_t worse;

	(void)state;
	job_init(&job);
	verify_run(&job, &plain);
	assert_true(plain.valid && !plain.outcome.is_void);
	assert_true(plain.outcome.slot[0].count > 0 && plain.outcome.slot[1].count > 0);
	worse = plain.outcome.slot[1].value < plain.outcome.slot[0].value;
	job.v_ref = -(plain.outcome.slot[worse].value + 1);
	verify_run(&job, &strict);
	assert_false(strict.outcome.slot[worse].left_out); /* v_ref does not stand on records */
	assert_memory_equal(state_root(strict.state), state_root(plain.state), 32);
	state_unref(strict.state);
	job.has_v_ref = true;
	verify_run(&job, &strict);
	assert_true(strict.valid && !strict.outcome.is_void);
	assert_true(strict.outcome.slot[worse].left_out);
	assert_false(strict.outcome.slot[1 - worse].left_out);
	assert_true(strict.outcome.slot[worse].value == plain.outcome.slot[worse].value);
	assert_memory_not_equal(state_root(strict.state), state_root(plain.state), 32);
	state_unref(strict.state);
	state_unref(plain.state);
	verify_job_clear(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_true_block),
		cmocka_unit_test(test_known_bodies),
		cmocka_unit_test(test_false_digest),
		cmocka_unit_test(test_false_delta),
		cmocka_unit_test(test_false_inputs),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_broken_engine),
		cmocka_unit_test(test_void_block),
		cmocka_unit_test(test_left_out),
	};

	return cmocka_run_group_tests_name("verify", tests, setup, teardown);
}
