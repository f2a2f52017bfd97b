/* A block verified from end to end on a private chain small enough for a test, and everything that can be false about
 * it.
 *
 * The machine may be one that computes wrongly (verify_fixture.h). */
#include "consensus/verify_fixture.h"

/* === A block of three proofs === */

enum { PROOFS = 3 };

static struct spec spec;
static uint8_t dataset[2][100];

static int setup(void **state)
{
	static const char json[] =
		"{\"name\":\"tiny\",\"d\":16,\"heads\":1,\"layers\":1,\"ff\":16,\"batch\":2,\"bench_rows\":2,"
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

static struct state *initial_state(void)
{
	uint8_t key[32];

	spec_init_key(&spec, key);
	return state_new_initial(&spec_course(&spec)->train.model, key);
}

static void gather(struct verify_proof *proof, uint32_t number)
{
	const struct course_data data = course_data_in_memory(dataset[number], sizeof dataset[number]);

	free(proof->windows);
	proof->windows = mem_alloc(step_windows_size(&spec_course(&spec)->train));
	assert_true(course_gather_step(spec_course(&spec), spec.genesis_ticket, proof->seed, proof->slot, &data,
		proof->windows));
}

/* What a miner does: the step, and the header that states its digest. The first nonce that gives the slot wanted. */
static void mine(struct verify_proof *proof, const struct state *parent, uint32_t slot)
{
	struct backend *backend = backend_new(backend_cpu(ENGINE_OPENBLAS), &spec_course(&spec)->train, 1);
	struct step_job job = { .state = parent, .seed = proof->seed };
	uint8_t *delta = mem_alloc(step_delta_size(&spec_course(&spec)->train));

	memcpy(proof->header.prev, spec.genesis_id, 32);
	do {
		proof->header.nonce++;
		header_seed(&proof->header, proof->seed);
		proof->slot = spec_slot(&spec, proof->seed);
	} while (proof->slot != slot);
	gather(proof, proof->slot);
	job.windows = proof->windows;
	assert_int_equal(backend_execute(backend, &job, delta), STEP_OK);
	sha256(proof->header.digest, delta, step_delta_size(&spec_course(&spec)->train));
	header_id(&proof->header, proof->id);
	free(delta);
	backend_free(backend);
}

static void job_init(struct verify_job *job)
{
	reset();
	memset(job, 0, sizeof *job);
	job->spec = &spec;
	job->parent = initial_state();
	job->benchmark = mem_alloc(course_benchmark_size(spec_course(&spec)));
	memcpy(job->ticket, spec.genesis_ticket, 32);
	course_gather_benchmark(spec_course(&spec), job->ticket, job->benchmark);
	job->v_ref = spec.v_0;
	job->proofs = mem_calloc(PROOFS, sizeof *job->proofs);
	job->proof_count = job->body_count = PROOFS;
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
	uint32_t counts[OUTCOME_MAX_SLOTS] = { 0 };

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
		assert_int_equal(verdict.outcome.slot[i].effect != 0, counts[i] > 0);
		assert_true(verdict.outcome.slot[i].value == 0); /* no own pages */
		assert_false(verdict.outcome.slot[i].left_out);
	}
	for (int i = 0; i < PROOFS; i++)
		assert_non_null(job.proofs[i].delta);
	assert_trust(BACKEND_TRUSTED, NULL);
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
			assert_int_equal(reference_engines, 0);
			assert_trust(BACKEND_TRUSTED, NULL);
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
	sha256(job.proofs[2].header.digest, job.proofs[2].delta, step_delta_size(&spec_course(&spec)->train));
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
	proof->seed[9] ^= 1; /* the same windows, but the rounding is drawn from the seed too */
	assert_false_proof(&job, 1, "bad-proof-digest");
	proof->seed[9] ^= 1;
	forget(&job);
	assert_valid(&job, root);

	parent = job.parent; /* started from another state */
	job.parent = state_new_initial(&spec_course(&spec)->train.model, root);
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

/* A false proof costs two executions and a self-test, and never one on the reference engine. */
static void test_false_is_cheap(void **state)
{
	struct verify_job job;
	struct reject reject;

	(void)state;
	job_init(&job);
	job.proofs[0].header.digest[0] ^= 1;
	assert_false(verify_one(&spec, job.parent, &job.proofs[0], 1, NULL, NULL, &reject));
	assert_string_equal(reject.reason, "bad-proof-digest");
	assert_int_equal(reference_engines, 0);
	assert_int_equal(steps_executed, 2);
	assert_int_equal(steps_checked, 1);
	assert_int_equal(selftests, 1);
	assert_trust(BACKEND_TRUSTED, NULL);
	verify_job_clear(&job);
}

/* Nobody is blamed for products of this machine that are wrong again and again: the reference engine has the last word,
 * and what is left of the block is computed by it alone. A false proof is still found. */
static void test_broken_engine(void **state)
{
	struct verify_job job;
	uint8_t sound[32], root[32];

	(void)state;
	job_init(&job);
	assert_valid(&job, sound);
	forget(&job);
	engine_fault(FAULT_LARGE, 0, SIZE_MAX);
	assert_valid(&job, root);
	assert_memory_equal(root, sound, 32);
	assert_trust(BACKEND_REPLACED, "a product is wrong");
	assert_int_equal(reference_engines, 1);
	assert_int_equal(steps_executed, 2 + PROOFS); /* the first one, once more, and then none with that engine */
	assert_int_equal(selftests, 0);
	job.proofs[1].header.digest[0] ^= 1;
	forget(&job);
	engine_fault(FAULT_LARGE, 0, SIZE_MAX);
	assert_false_proof(&job, 1, "bad-proof-digest");
	assert_trust(BACKEND_REPLACED, NULL);
	verify_job_clear(&job);
}

/* One wrong sum in one product, whichever it is: where the digest suffers, the step is executed again and found right,
 * and the engine is used no more, the miscalculation having cost nobody anything. */
static void test_engine_wrong_once(void **state)
{
	struct verify_job job;
	uint8_t sound[32], root[32];
	size_t harmful = 0;

	(void)state;
	job_init(&job);
	assert_valid(&job, sound);
	for (size_t at = 0; at < 32; at += 3) {
		forget(&job);
		engine_fault(FAULT_LARGE, at, at + 1);
		assert_valid(&job, root);
		assert_memory_equal(root, sound, 32);
		if (steps_executed == PROOFS)
			continue;
		harmful++;
		assert_int_equal(steps_executed, PROOFS + 1);
		assert_trust(BACKEND_REPLACED, "one result and then another");
	}
	assert_true(harmful > 5);
	verify_job_clear(&job);
}

/* One wrong sum while losses and values are measured, whichever it is: no step would tell, but the next block would be
 * refused for what it states of this one, today and after every restart. */
static void test_measured_wrong_once(void **state)
{
	struct verify_job job;
	struct verdict sound, found;
	size_t at = 0, harmful = 0;

	(void)state;
	job_init(&job);
	verify_run(&job, &sound);
	assert_true(sound.valid);
	do {
		reset();
		benchmark_unref(job.parent_benchmark);
		job.parent_benchmark = NULL;
		engine_fault(FAULT_LARGE, at, at + 1);
		verify_run(&job, &found);
		assert_true(found.valid);
		assert_int_equal(steps_executed, 0);
		assert_true(found.loss_before == sound.loss_before && found.loss_after == sound.loss_after);
		assert_memory_equal(&found.outcome, &sound.outcome, sizeof sound.outcome);
		assert_memory_equal(state_root(found.state), state_root(sound.state), 32);
		assert_trust(faulty.spoiled > 0 ? BACKEND_REPLACED : BACKEND_TRUSTED,
			faulty.spoiled > 0 ? "a product is wrong" : NULL);
		harmful += faulty.spoiled;
		state_unref(found.state);
	} while (faulty.products > at++);
	assert_true(harmful > 20);
	state_unref(sound.state);
	verify_job_clear(&job);
}

/* Wrong between the products: two results that differ, or a start-up check that fails now. */
static void test_broken_otherwise(void **state)
{
	struct verify_job job;
	struct reject reject;

	(void)state;
	job_init(&job);
	wrong_steps = 1;
	job.proofs[0].header.digest[0] ^= 1;
	assert_false(verify_one(&spec, job.parent, &job.proofs[0], 1, NULL, NULL, &reject));
	assert_trust(BACKEND_REPLACED, "one result and then another");
	assert_int_equal(reference_engines, 1);
	job.proofs[0].header.digest[0] ^= 1;

	reset();
	wrong_steps = 2;
	fails_selftest = true;
	assert_true(verify_one(&spec, job.parent, &job.proofs[0], 1, NULL, NULL, &reject));
	assert_trust(BACKEND_REPLACED, "a played fault");
	assert_int_equal(steps_executed, 3);
	assert_int_equal(reference_engines, 1);
	verify_job_clear(&job);
}

/* Where the reference engine fails its check too there is no verdict. */
static void test_broken_machine(void **state)
{
	struct verify_job job;
	struct verdict verdict;

	(void)state;
	job_init(&job);
	engine_fault(FAULT_LARGE, 0, SIZE_MAX);
	reference_fails_selftest = true;
	verify_run(&job, &verdict);
	assert_true(verdict.cancelled);
	assert_false(verdict.valid);
	assert_true(verdict.false_proof == SIZE_MAX);
	assert_true(atomic_load(&job.cancel));
	assert_trust(BACKEND_NONE, "nothing can be verified");
	reset();
	verify_job_clear(&job);
}

static void test_void_block(void **state)
{
	struct verify_job job;
	struct verdict verdict;
	uint32_t gate = spec_course(&spec)->train.gate_ppm;
	size_t bytes = model_count(&spec_course(&spec)->train.model) * 4, counted = 0;
	uint8_t *zeros = mem_calloc(1, bytes);

	(void)state;
	spec.courses[0].train.gate_ppm = 1; /* no loss falls to a millionth */
	job_init(&job);
	verify_run(&job, &verdict);
	assert_true(verdict.valid);
	assert_true(verdict.outcome.is_void);
	for (uint32_t i = 0; i < spec.slots; i++) {
		counted += verdict.outcome.slot[i].count;
		assert_true(verdict.outcome.slot[i].effect == 0 && verdict.outcome.slot[i].value == 0);
	}
	assert_int_equal(counted, PROOFS);
	assert_memory_equal(state_theta(verdict.state), state_theta(job.parent), bytes);
	assert_memory_equal(state_momentum(verdict.state), zeros, bytes);
	spec.courses[0].train.gate_ppm = gate;
	state_unref(verdict.state);
	verify_job_clear(&job);
	free(zeros);
}

/* A slot below -v_ref is left out and the state is the others' alone. (A v_ref is positive;
 * here it may be negative, so that the threshold lies between the two values, whatever they are.) */
static float *copy_floats(const float *x, size_t n)
{
	return memcpy(mem_align(n * sizeof(float)), x, n * sizeof(float));
}

/* Whatever weights a chain has come to, what fails by protocol is no fault of the engine. */
static void test_overflow_is_no_fault(void **state)
{
	const size_t n = model_count(&spec_course(&spec)->train.model);
	struct verify_job job;
	uint8_t root[32];
	float *theta;
	size_t voids = 0, rounds = 0;

	(void)state;
	job_init(&job);
	assert_valid(&job, root); /* all bodies are known now */
	theta = copy_floats(state_theta(job.parent), n);
	for (; rounds < 16; rounds++) {
		float *v = copy_floats(state_momentum(job.parent), n);
		struct verdict verdict;

		for (size_t i = 0; i < n; i++)
			theta[i] *= 32;
		state_unref(job.parent);
		benchmark_unref(job.parent_benchmark);
		job.parent_benchmark = NULL;
		job.parent = state_new(&spec_course(&spec)->train.model, copy_floats(theta, n), v);
		verify_run(&job, &verdict);
		assert_true(verdict.valid);
		voids += verdict.outcome.is_void;
		assert_trust(BACKEND_TRUSTED, NULL);
		state_unref(verdict.state);
	}
	assert_true(voids > 2 && voids < rounds);
	free(theta);
	verify_job_clear(&job);
}

/* A step that fails has no digest: whatever a header states for its seed is false, and a chain on which every step
 * fails is no gift to whoever makes digests up. */
static void test_failing_seed(void **state)
{
	const struct train_config *train = &spec_course(&spec)->train;
	const size_t n = model_count(&train->model);
	uint8_t *still = mem_calloc(1, step_delta_size(train));
	struct verify_job job;
	struct reject reject;
	float *theta;

	(void)state;
	job_init(&job);
	theta = copy_floats(state_theta(job.parent), n);
	theta[n - 1] = 0x1p60f; /* no grid is as coarse */
	state_unref(job.parent);
	job.parent = state_new(&train->model, theta, mem_calloc(n, sizeof(float)));
	assert_false_proof(&job, 0, "bad-proof-digest");
	for (size_t i = 0; i < PROOFS; i++) {
		/* That of the step as it was, that of a step which changes nothing, and none. */
		assert_false(verify_one(&spec, job.parent, &job.proofs[i], 1, NULL, NULL, &reject));
		assert_string_equal(reject.reason, "bad-proof-digest");
		sha256(job.proofs[i].header.digest, still, step_delta_size(train));
		assert_false(verify_one(&spec, job.parent, &job.proofs[i], 1, NULL, NULL, &reject));
		memset(job.proofs[i].header.digest, 0, 32);
		assert_false(verify_one(&spec, job.parent, &job.proofs[i], 1, NULL, NULL, &reject));
		assert_string_equal(reject.reason, "bad-proof-digest");
	}
	assert_trust(BACKEND_TRUSTED, NULL);
	free(still);
	verify_job_clear(&job);
}

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
	worse = plain.outcome.slot[1].effect < plain.outcome.slot[0].effect;
	job.v_ref = -(plain.outcome.slot[worse].effect + 1);
	verify_run(&job, &strict);
	assert_true(strict.valid && !strict.outcome.is_void);
	assert_true(strict.outcome.slot[worse].left_out);
	assert_false(strict.outcome.slot[1 - worse].left_out);
	assert_true(strict.outcome.slot[worse].effect == plain.outcome.slot[worse].effect);
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
		cmocka_unit_test(test_false_is_cheap),
		cmocka_unit_test(test_broken_engine),
		cmocka_unit_test(test_engine_wrong_once),
		cmocka_unit_test(test_measured_wrong_once),
		cmocka_unit_test(test_broken_otherwise),
		cmocka_unit_test(test_broken_machine),
		cmocka_unit_test(test_void_block),
		cmocka_unit_test(test_overflow_is_no_fault),
		cmocka_unit_test(test_failing_seed),
		cmocka_unit_test(test_left_out),
	};

	return cmocka_run_group_tests_name("verify", tests, setup, teardown);
}
