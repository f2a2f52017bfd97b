#include "consensus/verify.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/block.h"
#include "crypto/hash.h"
#include "ml/delta.h"
#include "util/bytes.h"
#include "util/mem.h"

void verify_job_clear(struct verify_job *job)
{
	state_unref(job->parent);
	benchmark_unref(job->parent_benchmark);
	free(job->benchmark);
	for (size_t i = 0; i < job->proof_count; i++) {
		free(job->proofs[i].windows);
		free(job->proofs[i].delta);
	}
	free(job->proofs);
	job->parent = NULL;
	job->parent_benchmark = NULL;
	job->benchmark = NULL;
	job->proofs = NULL;
	job->proof_count = 0;
}

/* ---- One proof ---- */

struct execution {
	struct step *step;
	const struct state *parent;
	const atomic_bool *cancel;
	step_progress *progress;
	void *progress_context;
};

static enum step_result execute(const struct execution *with, const struct verify_proof *proof, uint8_t *delta,
				uint8_t digest[32])
{
	const struct train_config *config = step_config(with->step);
	const struct step_job job = {
		.state = with->parent, .seed = proof->seed, .windows = proof->windows, .cancel = with->cancel,
		.progress = with->progress, .progress_context = with->progress_context,
	};
	enum step_result result = step_execute(with->step, &job, delta);

	memset(digest, 0, 32);
	if (result == STEP_OK)
		sha256(digest, delta, step_delta_size(config));
	return result;
}

static bool agrees(enum step_result result, const struct verify_proof *proof, const uint8_t digest[32])
{
	return result == STEP_OK && memcmp(digest, proof->header.digest, 32) == 0;
}

static bool refuse(const struct verify_proof *proof, enum step_result result, const uint8_t digest[32],
		   struct reject *reject)
{
	char id[65], expected[65], found[65];

	hex_encode_reversed(id, proof->id, 32);
	hex_encode(expected, proof->header.digest, 32);
	hex_encode(found, digest, 32);
	if (result == STEP_FAILED)
		return reject_set(reject, REJECT_INVALID, "bad-proof-digest",
				  "proof %.16s...: its step has no result, the header states %.16s...", id, expected);
	return reject_set(reject, REJECT_INVALID, "bad-proof-digest",
			  "proof %.16s...: the step gives %.16s..., the header states %.16s...", id, found, expected);
}

/* Fills proof->delta if the step gives the stated digest. Before a proof counts as false, the plain C engine repeats it:
 * a fault of this machine's BLAS must not cut off an honest peer. */
static enum step_result verify_proof(const struct execution *with, struct verify_proof *proof, uint8_t digest[32],
				     struct reject *reject, bool *right)
{
	const struct train_config *config = step_config(with->step);
	uint8_t *delta = mem_alloc(step_delta_size(config));
	enum step_result result = execute(with, proof, delta, digest);

	*right = agrees(result, proof, digest);
	if (!*right && result != STEP_CANCELLED) {
		struct execution again = {step_new(config, ENGINE_REFERENCE), with->parent, with->cancel, NULL, NULL};

		result = execute(&again, proof, delta, digest);
		*right = agrees(result, proof, digest);
		step_free(again.step);
	}
	if (!*right) {
		free(delta);
		if (result != STEP_CANCELLED)
			refuse(proof, result, digest, reject);
		return result;
	}
	free(proof->delta);
	proof->delta = delta;
	return result;
}

bool verify_one(const struct spec *spec, const struct state *parent, struct verify_proof *proof, atomic_bool *cancel,
		uint8_t found[32], struct reject *reject)
{
	struct execution with = {.step = step_new(&spec->train, ENGINE_OPENBLAS), .parent = parent, .cancel = cancel};
	uint8_t digest[32];
	bool right;

	if (verify_proof(&with, proof, digest, reject, &right) == STEP_CANCELLED)
		reject_set(reject, REJECT_NOT_YET, "cancelled", "the execution was cancelled");
	if (found)
		memcpy(found, digest, 32);
	step_free(with.step);
	return right;
}

/* ---- A block ---- */

/* Progress over the whole block. */
static bool execute_proofs(struct verify_job *job, struct step *step, struct verdict *verdict)
{
	struct execution with = {.step = step, .parent = job->parent, .cancel = &job->cancel};

	for (size_t i = 0; i < job->proof_count; i++) {
		struct verify_proof *proof = &job->proofs[i];
		uint8_t digest[32];
		bool right = true;

		if (!proof->delta &&
		    verify_proof(&with, proof, digest, &verdict->reject, &right) == STEP_CANCELLED) {
			verdict->cancelled = true;
			return false;
		}
		if (!right) {
			verdict->false_proof = i;
			return false;
		}
		atomic_fetch_add(&job->steps_done, 1);
	}
	return true;
}

static void state_outcome(const struct verify_job *job, const struct update_outcome *from, struct verdict *verdict)
{
	struct outcome *outcome = &verdict->outcome;

	*outcome = (struct outcome){.is_void = from->is_void, .slots = job->spec->slots};
	for (uint32_t s = 0; s < outcome->slots; s++) {
		outcome->slot[s].count = from->slots[s].count;
		if (from->is_void)
			continue;
		outcome->slot[s].left_out = from->slots[s].state == UPDATE_LEFT_OUT;
		outcome->slot[s].value = from->slots[s].value;
	}
	verdict->loss_before = from->loss_before;
	verdict->loss_after = from->loss_after;
}

static void update_model(struct verify_job *job, struct step *step, struct verdict *verdict)
{
	struct update_proof *proofs = mem_calloc(job->proof_count, sizeof(*proofs));
	struct update_job update = {
		.parent = job->parent, .windows = job->benchmark, .proofs = proofs, .proof_count = job->proof_count,
		.slots = job->spec->slots, .leave_out = job->has_v_ref, .v_ref = job->v_ref, .cancel = &job->cancel,
	};
	struct update_outcome outcome;

	for (size_t i = 0; i < job->proof_count; i++)
		proofs[i] = (struct update_proof){job->proofs[i].delta, job->proofs[i].slot};
	if (!job->parent_benchmark)
		job->parent_benchmark = benchmark_new(step, job->parent, job->benchmark, &job->cancel);
	update.benchmark = job->parent_benchmark;
	verdict->state = update.benchmark ? update_execute(step, &update, &outcome) : NULL;
	verdict->cancelled = !verdict->state;
	if (verdict->state) {
		state_outcome(job, &outcome, verdict);
		verdict->valid = true;
	}
	free(proofs);
}

void verify_run(struct verify_job *job, struct verdict *verdict)
{
	struct step *step = step_new(&job->spec->train, ENGINE_OPENBLAS);

	*verdict = (struct verdict){.false_proof = SIZE_MAX};
	if (execute_proofs(job, step, verdict))
		update_model(job, step, verdict);
	step_free(step);
}
