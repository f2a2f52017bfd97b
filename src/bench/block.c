/* What a block costs: its benchmark gradient, its verification, and the refusal of a false proof. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "consensus/spec.h"
#include "consensus/verify.h"
#include "crypto/hash.h"
#include "util/mem.h"

/* === Value === */

bool bench_value(struct bench *bench)
{
	struct timing *value_times = mem_calloc(2, sizeof *value_times);
	struct backend *backend = backend_new(bench->kind, &spec_course(&bench->spec)->train, bench->threads);
	uint8_t seed[32], *delta = mem_alloc(step_delta_size(&spec_course(&bench->spec)->train));
	uint8_t *benchmark = mem_alloc(course_benchmark_size(spec_course(&bench->spec)));
	bool ok = true;

	bench_seed(&bench->spec, seed);
	struct state *state = spec_initial_state(&bench->spec);
	uint8_t *windows = bench_windows(&bench->spec, seed);

	course_gather_benchmark(spec_course(&bench->spec), seed, benchmark);
	/* The first finds cold memory and does not count. */
	benchmark_unref(benchmark_new(backend, state, benchmark, seed, NULL));
	for (size_t round = 0; ok && round < bench->rounds; round++) {
		struct step_job job = { .state = state, .seed = seed, .windows = windows };

		timing_start(&value_times[0]);
		struct benchmark *at_state = benchmark_new(backend, state, benchmark, seed, NULL);

		timing_stop(&value_times[0]);
		ok = at_state != NULL;
		benchmark_unref(at_state);
		timing_start(&value_times[1]);
		ok = ok && backend_execute(backend, &job, delta) == STEP_OK;
		timing_stop(&value_times[1]);
	}
	if (ok) {
		line_begin(&bench->line, "value", bench->chain, bench->kind->name);
		line_add_times(&bench->line, &value_times[0]);
		line_add(&bench->line, "step_ms", timing_best(&value_times[1]) * 1e3);
		line_add(&bench->line, "part_of_step", timing_best(&value_times[0]) / timing_best(&value_times[1]));
		line_add(&bench->line, "iterations",
			timing_best(&value_times[0]) / timing_best(&value_times[1]) *
				spec_course(&bench->spec)->train.iterations);
		line_end(&bench->line);
	}
	state_unref(state);
	backend_free(backend);
	free(value_times);
	free(delta);
	free(benchmark);
	free(windows);
	return ok;
}

/* === Verification === */

/* A proof as a miner makes it: its header states the digest of its step. */
static bool bench_make_proof(struct bench *bench, struct backend *backend, const struct state *state, uint64_t number,
	struct verify_proof *proof)
{
	uint8_t *delta = mem_alloc(step_delta_size(&spec_course(&bench->spec)->train));

	/* The first nonce will do, whatever its ticket: verify_run executes, and leaves targets to the checks of
	 * headers. */
	proof->header.nonce = number;
	header_seed(&proof->header, proof->seed);
	proof->slot = spec_slot(&bench->spec, proof->seed);
	proof->windows = bench_windows(&bench->spec, proof->seed);
	struct step_job job = { .state = state, .seed = proof->seed, .windows = proof->windows };
	bool ok = backend_execute(backend, &job, delta) == STEP_OK;

	sha256(proof->header.digest, delta, step_delta_size(&spec_course(&bench->spec)->train));
	header_id(&proof->header, proof->id);
	free(delta);
	return ok;
}

/* The own windows of the slots that have proofs, all of dataset 0. */
static void bench_gather_own(const struct spec *spec, struct verify_job *job)
{
	const struct course *course = spec_course(spec);
	size_t size;
	const uint8_t *training = course_training(course, &size);
	const struct course_data data = course_data_in_memory(training, size);

	for (size_t i = 0; i < job->proof_count; i++)
		course_gather_own(course, job->ticket, job->proofs[i].slot, &data, &job->own[job->proofs[i].slot]);
}

/* A block with the k loose proofs that are due, verified by somebody who knows none of them. */
bool bench_verify(struct bench *bench)
{
	size_t proofs = bench->spec.k + 1;
	struct timing *verify_times = mem_calloc(1, sizeof *verify_times);
	struct backend *backend = backend_new(bench->kind, &spec_course(&bench->spec)->train, bench->threads);
	struct verify_job job = {
		.spec = &bench->spec,
		.parent = spec_initial_state(&bench->spec),
		.benchmark = mem_alloc(course_benchmark_size(spec_course(&bench->spec))),
		.v_ref = bench->spec.v_0,
		.proofs = mem_calloc(proofs, sizeof *job.proofs),
		.proof_count = proofs,
		.body_count = proofs,
		.threads = bench->threads,
	};
	bool ok = true;

	memcpy(job.ticket, bench->spec.genesis_ticket, 32);
	course_gather_benchmark(spec_course(&bench->spec), job.ticket, job.benchmark);
	for (size_t i = 0; ok && i < proofs; i++)
		ok = bench_make_proof(bench, backend, job.parent, i, &job.proofs[i]);
	bench_gather_own(&bench->spec, &job);
	backend_free(backend);
	for (size_t round = 0; ok && round < bench->rounds; round++) {
		struct verdict verdict;

		for (size_t i = 0; i < proofs; i++) {
			/* What a round has found out would be taken as known by the next. */
			free(job.proofs[i].delta);
			job.proofs[i].delta = NULL;
		}
		benchmark_unref(job.parent_benchmark);
		job.parent_benchmark = NULL;
		timing_start(verify_times);
		verify_run(&job, &verdict);
		timing_stop(verify_times);
		ok = verdict.valid;
		state_unref(verdict.state);
	}
	if (ok) {
		line_begin(&bench->line, "verify", bench->chain, bench->kind->name);
		line_add_times(&bench->line, verify_times);
		line_add(&bench->line, "steps", (double)proofs);
		if (bench->spec.spacing > 0)
			line_add(&bench->line, "part_of_spacing", timing_best(verify_times) / bench->spec.spacing);
		line_end(&bench->line);
	}
	verify_job_clear(&job);
	free(verify_times);
	return ok;
}

/* === Refusal === */

/* One proof, executed from cold memory as it comes from a peer; true if it was found right. What counts is processor
 * time, which is what a flood of them takes from everything else. */
static bool bench_time_proof(struct bench *bench, const struct state *parent, struct verify_proof *proof,
	struct timing *proof_times)
{
	struct reject proof_reject;
	clock_t start;

	free(proof->delta);
	proof->delta = NULL;
	start = clock();
	bool proof_right = verify_one(&bench->spec, parent, proof, bench->threads, NULL, NULL, &proof_reject);

	proof_times->took[proof_times->count++] = (double)(clock() - start) / CLOCKS_PER_SEC;
	return proof_right;
}

bool bench_refuse(struct bench *bench)
{
	struct timing *refuse_times = mem_calloc(2, sizeof *refuse_times);
	struct backend *backend = backend_new(bench->kind, &spec_course(&bench->spec)->train, bench->threads);
	struct state *parent = spec_initial_state(&bench->spec);
	struct verify_proof right = { .delta = NULL }, wrong;
	bool ok = bench_make_proof(bench, backend, parent, 0, &right);

	backend_free(backend);
	/* Windows are borrowed. Neither has a delta yet, and a proof that is refused gets none. */
	wrong = right;
	wrong.header.digest[0] ^= 1;
	for (size_t round = 0; ok && round < bench->rounds; round++)
		ok = bench_time_proof(bench, parent, &right, &refuse_times[0]) &&
			!bench_time_proof(bench, parent, &wrong, &refuse_times[1]);
	if (ok) {
		line_begin(&bench->line, "refuse", bench->chain, bench->kind->name);
		line_add_times(&bench->line, &refuse_times[1]);
		line_add(&bench->line, "step_ms", timing_best(&refuse_times[0]) * 1e3);
		line_add_ratio(&bench->line, "steps", &refuse_times[1], &refuse_times[0]);
		line_end(&bench->line);
	}
	state_unref(parent);
	free(refuse_times);
	free(right.windows);
	free(right.delta);
	return ok;
}
