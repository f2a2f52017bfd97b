/* Executing a block: its proofs, then its update.
 *
 * The rule of blame: an engine may be wrong (hardware, BLAS, compiler), and then what it says of others is worth
 * nothing. So no proof is called false before the engine has computed the step once more with every product checked,
 * has come to the same result, and has passed its start-up check again; where it fails at any of this, the reference
 * engine computes instead. A digest that is found is right whoever found it: to agree by accident is as hard as to
 * break H. */
#include "consensus/verify.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "ml/delta.h"
#include "ml/selftest.h"
#include "util/bytes.h"
#include "util/mem.h"

/* A job's own memory for steps: taken when first needed, the reference engine's almost never. */
struct runner {
	const struct spec *spec;
	const struct state *parent;
	atomic_bool *cancel;
	unsigned threads;
	struct backend *fast, *reference;
};

static void runner_clear(struct runner *runner)
{
	backend_free(runner->fast);
	backend_free(runner->reference);
}

static struct backend *backend_of(struct runner *runner, const struct backend_kind *kind)
{
	struct backend **backend = kind->reference == NULL ? &runner->reference : &runner->fast;

	if (*backend == NULL)
		*backend = backend_new(kind, &spec_course(runner->spec)->train,
			runner->threads > 0 ? runner->threads : 1);
	return *backend;
}

/* === Proofs === */

enum finding { FINDING_RIGHT, FINDING_FALSE, FINDING_CANCELLED, FINDING_MISCALCULATED };

/* Executes the step on one kind of backend, its products checked if asked; found gets the digest, zeros where the step
 * has no result. */
static enum finding execute_step(struct runner *runner, const struct backend_kind *kind, bool checked,
	const struct verify_proof *proof, uint8_t *delta, uint8_t found[32])
{
	const struct step_job job = {
		.state = runner->parent,
		.seed = proof->seed,
		.windows = proof->windows,
		.checked = checked,
		.cancel = runner->cancel,
	};

	memset(found, 0, 32);
	switch (backend_execute(backend_of(runner, kind), &job, delta)) {
	case STEP_OK:
		sha256(found, delta, step_delta_size(&spec_course(runner->spec)->train));
		return memcmp(found, proof->header.digest, 32) == 0 ? FINDING_RIGHT : FINDING_FALSE;
	case STEP_FAILED:
		return FINDING_FALSE;
	case STEP_MISCALCULATED:
		return FINDING_MISCALCULATED;
	case STEP_CANCELLED:
		break;
	}
	return FINDING_CANCELLED;
}

/* The engine proved wrong. What it computed says nothing, so the reference engine, which knows no BLAS, will compute
 * everything from now on. Where even that fails its check there is no verdict, the job is cancelled, and the node ends:
 * false. */
static bool replace_backend(struct runner *runner, const struct backend_kind *kind, const char *found_out)
{
	struct errmsg err;

	backend_distrust(kind, found_out);
	if (selftest_run(kind->reference, &err))
		return true;
	backend_distrust(kind->reference, err.text);
	if (runner->cancel != NULL)
		atomic_store(runner->cancel, true);
	return false;
}

static enum finding execute_instead(struct runner *runner, const struct backend_kind *kind, const char *found_out,
	const struct verify_proof *proof, uint8_t *delta, uint8_t found[32])
{
	if (replace_backend(runner, kind, found_out))
		return execute_step(runner, kind->reference, false, proof, delta, found);
	return FINDING_CANCELLED;
}

/* Before somebody is blamed for what an engine found, it executes the step once more with every product checked, and
 * passes its start-up check again, which sees what is not a product. A digest that is found after all is right, whoever
 * found it. */
static enum finding repeat_step(struct runner *runner, const struct backend_kind *kind,
	const struct verify_proof *proof, uint8_t *delta, uint8_t found[32])
{
	uint8_t before[32];
	enum finding finding;
	struct errmsg err;

	memcpy(before, found, 32);
	finding = execute_step(runner, kind, true, proof, delta, found);
	if (finding == FINDING_MISCALCULATED)
		return execute_instead(runner, kind, "a product is wrong", proof, delta, found);
	if (finding == FINDING_RIGHT)
		backend_distrust(kind, "a step gave one result and then another");
	if (finding != FINDING_FALSE)
		return finding;
	if (memcmp(before, found, 32) != 0)
		return execute_instead(runner, kind, "a step gave one result and then another", proof, delta, found);
	if (!selftest_again(kind, &err))
		return execute_instead(runner, kind, err.text, proof, delta, found);
	return FINDING_FALSE;
}

static enum finding refuse_digest(const struct verify_proof *proof, const uint8_t found[32], struct reject *reject)
{
	static const uint8_t no_result[32];
	char id[65], stated[65], given[65];

	hex_encode_reversed(id, proof->id, 32);
	hex_encode(stated, proof->header.digest, 32);
	hex_encode(given, found, 32);
	if (memcmp(found, no_result, 32) == 0)
		reject_set(reject, REASON_BAD_PROOF_DIGEST,
			"proof %.16s...: its step has no result, the header states %.16s...", id, stated);
	else
		reject_set(reject, REASON_BAD_PROOF_DIGEST,
			"proof %.16s...: its step gives %.16s..., the header states %.16s...", id, given, stated);
	return FINDING_FALSE;
}

/* The body of a right one is kept: the update needs all bodies, and nobody executes a step twice for it. FALSE comes
 * only from an engine that was doubted and held (repeat_step), or from the reference engine, which nothing is left to
 * doubt with. */
static enum finding run_proof(struct runner *runner, struct verify_proof *proof, uint8_t found[32],
	struct reject *reject)
{
	uint8_t *delta = mem_alloc(step_delta_size(&spec_course(runner->spec)->train));
	const struct backend_kind *kind = backend_selected();
	enum finding finding = execute_step(runner, kind, false, proof, delta, found);

	if (finding == FINDING_FALSE && kind->reference != NULL)
		finding = repeat_step(runner, kind, proof, delta, found);
	if (finding == FINDING_RIGHT) {
		free(proof->delta);
		proof->delta = delta;
		return finding;
	}
	free(delta);
	return finding == FINDING_FALSE ? refuse_digest(proof, found, reject) : FINDING_CANCELLED;
}

/* A body that was computed or checked before: only damage can make it differ. */
static enum finding check_body(const struct runner *runner, const struct verify_proof *proof, uint8_t found[32],
	struct reject *reject)
{
	const struct train_config *train = &spec_course(runner->spec)->train;

	sha256(found, proof->delta, step_delta_size(train));
	if (memcmp(found, proof->header.digest, 32) == 0 &&
		delta_check(proof->delta, step_delta_size(train), model_count(&train->model)))
		return FINDING_RIGHT;
	reject_set(reject, REASON_BAD_PROOF_BODY, "a body is not what its header commits to");
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
		return reject_set(reject, REASON_CANCELLED, "the execution was cancelled");
	return finding == FINDING_RIGHT;
}

/* === Blocks === */

static bool check_proofs(struct runner *runner, struct verify_job *job, struct verdict *verdict)
{
	uint8_t found[32];

	for (size_t i = 0; i < job->proof_count; i++) {
		struct verify_proof *proof = &job->proofs[i];

		switch (proof->delta != NULL ? check_body(runner, proof, found, &verdict->reject) :
					       run_proof(runner, proof, found, &verdict->reject)) {
		case FINDING_RIGHT:
			atomic_fetch_add(&job->steps_done, 1);
			break;
		case FINDING_FALSE:
			verdict->false_proof = i;
			return false;
		case FINDING_CANCELLED:
		/* run_proof has no other verdict left: an engine that miscalculates was replaced there. */
		case FINDING_MISCALCULATED:
			verdict->cancelled = true;
			return false;
		}
	}
	return true;
}

/* A void block states no values (section 13), whatever was computed before it was found to be one. */
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

/* The update as one kind of backend computes it, with every product checked: nobody would notice a wrong loss or value
 * before the next block is refused for what it states of this one. NULL if cancelled, or if a product is *wrong. */
static struct state *measure_update(struct runner *runner, const struct backend_kind *kind, struct verify_job *job,
	const struct update_proof *proofs, struct update_outcome *outcome, bool *wrong)
{
	struct backend *backend = backend_of(runner, kind);
	struct state *state = NULL;

	backend_check(backend, kind->reference != NULL);
	if (job->parent_benchmark == NULL)
		job->parent_benchmark = benchmark_new(backend, job->parent, job->benchmark, job->ticket, &job->cancel);
	if (job->parent_benchmark != NULL) {
		const struct update_job update = {
			.parent = job->parent,
			.benchmark = job->parent_benchmark,
			.windows = job->benchmark,
			.proofs = proofs,
			.proof_count = job->proof_count,
			.slots = job->spec->slots,
			.leave_out = job->has_v_ref,
			.v_ref = job->v_ref,
			.cancel = &job->cancel,
		};

		state = update_execute(backend, &update, outcome);
	}
	*wrong = backend_wrong(backend);
	backend_check(backend, false);
	/* Not even the benchmark of the parent may stay: siblings of the block would be measured against it. */
	if (*wrong) {
		state_unref(state);
		benchmark_unref(job->parent_benchmark);
		job->parent_benchmark = NULL;
		return NULL;
	}
	return state;
}

/* False if cancelled. Nobody is to blame any more: whatever the update does to the model, the block is valid, void at
 * worst (section 10). */
static bool run_update(struct runner *runner, struct verify_job *job, struct verdict *verdict)
{
	struct update_proof *proofs = mem_alloc(job->proof_count * sizeof *proofs);
	const struct backend_kind *kind = backend_selected();
	struct update_outcome outcome;
	bool wrong;

	for (size_t i = 0; i < job->proof_count; i++)
		proofs[i] = (struct update_proof){ .delta = job->proofs[i].delta, .slot = job->proofs[i].slot };
	verdict->state = measure_update(runner, kind, job, proofs, &outcome, &wrong);
	if (wrong && replace_backend(runner, kind, "a product is wrong"))
		verdict->state = measure_update(runner, kind->reference, job, proofs, &outcome, &wrong);
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
	struct runner runner = {
		.spec = job->spec,
		.parent = job->parent,
		.cancel = &job->cancel,
		.threads = job->threads,
	};

	memset(verdict, 0, sizeof *verdict);
	verdict->false_proof = SIZE_MAX;
	if (check_proofs(&runner, job, verdict)) {
		verdict->valid = run_update(&runner, job, verdict);
		verdict->cancelled = !verdict->valid;
	}
	runner_clear(&runner);
}

/* Leaves a job that may be cleared once more. */
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
