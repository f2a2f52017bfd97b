#include "consensus/verify.h"

#include "crypto/hash.h"
#include "ml/delta.h"
#include "util/bytes.h"
#include "util/mem.h"

#include <stdlib.h>
#include <string.h>

/* A job's own memory for steps: taken when first needed, the reference engine's almost never. */
struct runner {
	const struct spec *spec;
	const struct state *parent;
	const atomic_bool *cancel;
	unsigned threads;
	struct step *fast, *reference;
	bool engine_fault;
};

static void runner_clear(struct runner *runner)
{
	step_free(runner->fast);
	step_free(runner->reference);
}

static struct step *step_of(struct runner *runner, enum engine engine)
{
	struct step **step = engine == ENGINE_REFERENCE ? &runner->reference : &runner->fast;

	if (*step == NULL)
		*step = step_new(&runner->spec->train, engine, runner->threads > 0 ? runner->threads : 1);
	return *step;
}

/* The engine that this machine can be trusted with. */
static enum engine sound_engine(const struct runner *runner)
{
	return runner->engine_fault ? ENGINE_REFERENCE : engine_selected();
}

/* === Proofs === */

enum finding { FINDING_RIGHT, FINDING_FALSE, FINDING_CANCELLED };

/* Executes the step on one engine; found gets the digest, zeros where the step has no result. */
static enum finding execute(struct runner *runner, enum engine engine, const struct verify_proof *proof, uint8_t *delta,
	uint8_t found[32])
{
	const struct step_job job = {
		.state = runner->parent, .seed = proof->seed, .windows = proof->windows, .cancel = runner->cancel,
	};

	memset(found, 0, 32);
	switch (step_execute(step_of(runner, engine), &job, delta)) {
	case STEP_OK:
		sha256(found, delta, step_delta_size(&runner->spec->train));
		return memcmp(found, proof->header.digest, 32) == 0 ? FINDING_RIGHT : FINDING_FALSE;
	case STEP_FAILED:
		return FINDING_FALSE;
	case STEP_CANCELLED:
		break;
	}
	return FINDING_CANCELLED;
}

static enum finding refuse_digest(const struct verify_proof *proof, const uint8_t found[32], struct reject *reject)
{
	static const uint8_t no_result[32];
	char id[65], stated[65], given[65];

	hex_encode_reversed(id, proof->id, 32);
	hex_encode(stated, proof->header.digest, 32);
	hex_encode(given, found, 32);
	if (memcmp(found, no_result, 32) == 0)
		reject_set(reject, REJECT_INVALID, "bad-proof-digest",
			"proof %.16s...: its step has no result, the header states %.16s...", id, stated);
	else
		reject_set(reject, REJECT_INVALID, "bad-proof-digest",
			"proof %.16s...: its step gives %.16s..., the header states %.16s...", id, given, stated);
	return FINDING_FALSE;
}

/* Before somebody is blamed, the reference engine, which knows no BLAS, has the last word. */
static enum finding run_proof(struct runner *runner, struct verify_proof *proof, uint8_t found[32], struct reject *reject)
{
	uint8_t *delta = mem_alloc(step_delta_size(&runner->spec->train));
	enum engine engine = sound_engine(runner);
	enum finding finding = execute(runner, engine, proof, delta, found);

	proof->engine_fault = false;
	if (finding == FINDING_FALSE && engine != ENGINE_REFERENCE) {
		finding = execute(runner, ENGINE_REFERENCE, proof, delta, found);
		proof->engine_fault = runner->engine_fault = finding == FINDING_RIGHT;
	}
	if (finding == FINDING_RIGHT) {
		free(proof->delta);
		proof->delta = delta;
		return finding;
	}
	free(delta);
	return finding == FINDING_CANCELLED ? finding : refuse_digest(proof, found, reject);
}

/* A body that was computed or checked before: only damage can make it differ. */
static enum finding check_body(const struct runner *runner, const struct verify_proof *proof, uint8_t found[32],
	struct reject *reject)
{
	const struct train_config *train = &runner->spec->train;

	sha256(found, proof->delta, step_delta_size(train));
	if (memcmp(found, proof->header.digest, 32) == 0 &&
	    delta_check(proof->delta, step_delta_size(train), model_count(&train->model)))
		return FINDING_RIGHT;
	reject_set(reject, REJECT_INVALID, "bad-proof-body", "a body is not what its header commits to");
	return FINDING_FALSE;
}

bool verify_one(const struct spec *spec, const struct state *parent, struct verify_proof *proof, unsigned threads,
	atomic_bool *cancel, uint8_t found[32], struct reject *reject)
{
	struct runner runner = { .spec = spec, .parent = parent, .cancel = cancel, .threads = threads };
	uint8_t unwanted[32];
	enum finding finding;

	if (found == NULL)
		found = unwanted;
	finding = run_proof(&runner, proof, found, reject);
	runner_clear(&runner);
	if (finding == FINDING_CANCELLED)
		return reject_set(reject, REJECT_NOT_YET, "cancelled", "the execution was cancelled");
	return finding == FINDING_RIGHT;
}

/* === Blocks === */

static bool check_proofs(struct runner *runner, struct verify_job *job, struct verdict *verdict)
{
	uint8_t found[32];

	for (size_t i = 0; i < job->proof_count; i++) {
		struct verify_proof *proof = &job->proofs[i];

		switch (proof->delta ? check_body(runner, proof, found, &verdict->reject) :
			run_proof(runner, proof, found, &verdict->reject)) {
		case FINDING_RIGHT:
			atomic_fetch_add(&job->steps_done, 1);
			break;
		case FINDING_FALSE:
			verdict->false_proof = i;
			return false;
		case FINDING_CANCELLED:
			verdict->cancelled = true;
			return false;
		}
	}
	return true;
}

static void state_outcome(const struct update_outcome *update, uint32_t slots, struct outcome *outcome)
{
	*outcome = (struct outcome){ .is_void = update->is_void, .slots = slots };
	for (uint32_t i = 0; i < slots; i++) {
		outcome->slot[i].count = update->slots[i].count;
		if (update->is_void)
			continue;
		outcome->slot[i].left_out = update->slots[i].state == UPDATE_LEFT_OUT;
		outcome->slot[i].value = update->slots[i].value;
	}
}

/* False if cancelled. */
static bool run_update(struct runner *runner, struct verify_job *job, struct verdict *verdict)
{
	struct step *step = step_of(runner, sound_engine(runner));
	struct update_proof *proofs;
	struct update_outcome outcome;

	if (job->parent_benchmark == NULL)
		job->parent_benchmark = benchmark_new(step, job->parent, job->benchmark, job->ticket, &job->cancel);
	if (job->parent_benchmark == NULL)
		return false;
	proofs = mem_alloc(job->proof_count * sizeof(*proofs));
	for (size_t i = 0; i < job->proof_count; i++)
		proofs[i] = (struct update_proof){ .delta = job->proofs[i].delta, .slot = job->proofs[i].slot };
	const struct update_job update = {
		.parent = job->parent, .benchmark = job->parent_benchmark, .windows = job->benchmark, .proofs = proofs,
		.proof_count = job->proof_count, .slots = job->spec->slots, .leave_out = job->has_v_ref, .v_ref = job->v_ref,
		.cancel = &job->cancel,
	};

	verdict->state = update_execute(step, &update, &outcome);
	free(proofs);
	if (verdict->state == NULL)
		return false;
	state_outcome(&outcome, job->spec->slots, &verdict->outcome);
	verdict->loss_before = outcome.loss_before;
	verdict->loss_after = outcome.loss_after;
	return true;
}

void verify_run(struct verify_job *job, struct verdict *verdict)
{
	struct runner runner = { .spec = job->spec, .parent = job->parent, .cancel = &job->cancel,
		.threads = job->threads };

	memset(verdict, 0, sizeof(*verdict));
	verdict->false_proof = SIZE_MAX;
	if (check_proofs(&runner, job, verdict)) {
		verdict->valid = run_update(&runner, job, verdict);
		verdict->cancelled = !verdict->valid;
	}
	runner_clear(&runner);
}

void verify_job_clear(struct verify_job *job)
{
	for (size_t i = 0; i < job->proof_count; i++) {
		free(job->proofs[i].windows);
		free(job->proofs[i].delta);
	}
	free(job->proofs);
	free(job->benchmark);
	benchmark_unref(job->parent_benchmark);
	state_unref(job->parent);
	job->proofs = NULL;
	job->proof_count = 0;
	job->benchmark = NULL;
	job->parent_benchmark = NULL;
	job->parent = NULL;
}
