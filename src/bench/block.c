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

bool bench_value(struct bench *b)
{
	struct timing *times = mem_calloc(2, sizeof *times);
	struct backend *backend = backend_new(b->kind, &spec_course(&b->spec)->train, b->threads);
	uint8_t seed[32], *delta = mem_alloc(step_delta_size(&spec_course(&b->spec)->train));
	uint8_t *benchmark = mem_alloc(course_benchmark_size(spec_course(&b->spec)));
	bool ok = true;

	bench_seed(&b->spec, seed);
	struct state *state = spec_initial_state(&b->spec);
	uint8_t *windows = bench_windows(&b->spec, seed);

	course_gather_benchmark(spec_course(&b->spec), seed, benchmark);
	/* The first finds cold memory and does not count. */
	benchmark_unref(benchmark_new(backend, state, benchmark, seed, NULL));
	for (size_t round = 0; ok && round < b->rounds; round++) {
		struct step_job job = { .state = state, .seed = seed, .windows = windows };

		timing_start(&times[0]);
		struct benchmark *at_state = benchmark_new(backend, state, benchmark, seed, NULL);

		timing_stop(&times[0]);
		ok = at_state != NULL;
		benchmark_unref(at_state);
		timing_start(&times[1]);
		ok = ok && backend_execute(backend, &job, delta) == STEP_OK;
		timing_stop(&times[1]);
	}
	if (ok) {
		line_begin(&b->line, "value", b->chain, b->kind->name);
		line_add_times(&b->line, &times[0]);
		line_add(&b->line, "step_ms", timing_best(&times[1]) * 1e3);
		line_add(&b->line, "part_of_step", timing_best(&times[0]) / timing_best(&times[1]));
		line_add(&b->line, "iterations",
			timing_best(&times[0]) / timing_best(&times[1]) * spec_course(&b->spec)->train.iterations);
		line_end(&b->line);
	}
	state_unref(state);
	backend_free(backend);
	free(times);
	free(delta);
	free(benchmark);
	free(windows);
	return ok;
}

/* === Verification === */

/* A proof as a miner makes it: its header states the digest of its step. */
static bool make_proof(struct bench *b, struct backend *backend, const struct state *state, uint64_t number,
	struct verify_proof *proof)
{
	uint8_t *delta = mem_alloc(step_delta_size(&spec_course(&b->spec)->train));

	/* The first nonce will do, whatever its ticket: verify_run executes, and leaves targets to the checks of
	 * headers. */
	proof->header.nonce = number;
	header_seed(&proof->header, proof->seed);
	proof->slot = spec_slot(&b->spec, proof->seed);
	proof->windows = bench_windows(&b->spec, proof->seed);
	struct step_job job = { .state = state, .seed = proof->seed, .windows = proof->windows };
	bool ok = backend_execute(backend, &job, delta) == STEP_OK;

	sha256(proof->header.digest, delta, step_delta_size(&spec_course(&b->spec)->train));
	header_id(&proof->header, proof->id);
	free(delta);
	return ok;
}

/* A block with the k loose proofs that are due, verified by somebody who knows none of them. */
bool bench_verify(struct bench *b)
{
	size_t proofs = b->spec.k + 1;
	struct timing *t = mem_calloc(1, sizeof *t);
	struct backend *backend = backend_new(b->kind, &spec_course(&b->spec)->train, b->threads);
	struct verify_job job = {
		.spec = &b->spec,
		.parent = spec_initial_state(&b->spec),
		.benchmark = mem_alloc(course_benchmark_size(spec_course(&b->spec))),
		.v_ref = b->spec.v_0,
		.proofs = mem_calloc(proofs, sizeof *job.proofs),
		.proof_count = proofs,
		.threads = b->threads,
	};
	bool ok = true;

	memcpy(job.ticket, b->spec.genesis_ticket, 32);
	course_gather_benchmark(spec_course(&b->spec), job.ticket, job.benchmark);
	for (size_t i = 0; ok && i < proofs; i++)
		ok = make_proof(b, backend, job.parent, i, &job.proofs[i]);
	backend_free(backend);
	for (size_t round = 0; ok && round < b->rounds; round++) {
		struct verdict verdict;

		for (size_t i = 0; i < proofs; i++) {
			/* What a round has found out would be taken as known by the next. */
			free(job.proofs[i].delta);
			job.proofs[i].delta = NULL;
		}
		benchmark_unref(job.parent_benchmark);
		job.parent_benchmark = NULL;
		timing_start(t);
		verify_run(&job, &verdict);
		timing_stop(t);
		ok = verdict.valid;
		state_unref(verdict.state);
	}
	if (ok) {
		line_begin(&b->line, "verify", b->chain, b->kind->name);
		line_add_times(&b->line, t);
		line_add(&b->line, "steps", (double)proofs);
		if (b->spec.spacing > 0)
			line_add(&b->line, "part_of_spacing", timing_best(t) / b->spec.spacing);
		line_end(&b->line);
	}
	verify_job_clear(&job);
	free(t);
	return ok;
}

/* === Refusal === */

/* One proof, executed from cold memory as it comes from a peer; true if it was found right. What counts is processor
 * time, which is what a flood of them takes from everything else. */
static bool time_proof(struct bench *b, const struct state *parent, struct verify_proof *proof, struct timing *t)
{
	struct reject reject;
	clock_t start;

	free(proof->delta);
	proof->delta = NULL;
	start = clock();
	bool right = verify_one(&b->spec, parent, proof, b->threads, NULL, NULL, &reject);

	t->took[t->count++] = (double)(clock() - start) / CLOCKS_PER_SEC;
	return right;
}

bool bench_refuse(struct bench *b)
{
	struct timing *times = mem_calloc(2, sizeof *times);
	struct backend *backend = backend_new(b->kind, &spec_course(&b->spec)->train, b->threads);
	struct state *parent = spec_initial_state(&b->spec);
	struct verify_proof right = { .delta = NULL }, wrong;
	bool ok = make_proof(b, backend, parent, 0, &right);

	backend_free(backend);
	/* Windows are borrowed. Neither has a delta yet, and a proof that is refused gets none. */
	wrong = right;
	wrong.header.digest[0] ^= 1;
	for (size_t round = 0; ok && round < b->rounds; round++)
		ok = time_proof(b, parent, &right, &times[0]) && !time_proof(b, parent, &wrong, &times[1]);
	if (ok) {
		line_begin(&b->line, "refuse", b->chain, b->kind->name);
		line_add_times(&b->line, &times[1]);
		line_add(&b->line, "step_ms", timing_best(&times[0]) * 1e3);
		line_add_ratio(&b->line, "steps", &times[1], &times[0]);
		line_end(&b->line);
	}
	state_unref(parent);
	free(times);
	free(right.windows);
	free(right.delta);
	return ok;
}
