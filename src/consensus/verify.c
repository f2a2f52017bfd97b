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
struct verify_runner {
	const struct spec *spec;
	const struct state *parent;
	atomic_bool *cancel;
	unsigned threads;
	struct backend *fast, *reference;
};

static void verify_runner_clear(struct verify_runner *verify_runner)
{
	backend_free(verify_runner->fast);
	backend_free(verify_runner->reference);
}

static struct backend *verify_backend(struct verify_runner *verify_runner, const struct backend_kind *kind)
{
	struct backend **backend = kind->reference == NULL ? &verify_runner->reference : &verify_runner->fast;

	if (*backend == NULL)
		*backend = backend_new(kind, &spec_course(verify_runner->spec)->train,
			verify_runner->threads > 0 ? verify_runner->threads : 1);
	return *backend;
}

/* === Proofs === */

enum verify_finding { VERIFY_RIGHT, VERIFY_FALSE, VERIFY_CANCELLED, VERIFY_MISCALCULATED };

/* Executes the step on one kind of backend, its products checked if asked; found gets the digest, zeros where the step
 * has no result. */
static enum verify_finding verify_execute_step(struct verify_runner *verify_runner, const struct backend_kind *kind,
	bool checked, const struct verify_proof *proof, uint8_t *delta, uint8_t found_digest[32])
{
	const struct step_job step_job = {
		.state = proof->state != NULL ? proof->state : verify_runner->parent,
		.seed = proof->seed,
		.windows = proof->windows,
		.checked = checked,
		.cancel = verify_runner->cancel,
	};

	memset(found_digest, 0, 32);
	switch (backend_execute(verify_backend(verify_runner, kind), &step_job, delta)) {
	case STEP_OK:
		sha256(found_digest, delta, step_delta_size(&spec_course(verify_runner->spec)->train));
		return memcmp(found_digest, proof->header.digest, 32) == 0 ? VERIFY_RIGHT : VERIFY_FALSE;
	case STEP_FAILED:
		return VERIFY_FALSE;
	case STEP_MISCALCULATED:
		return VERIFY_MISCALCULATED;
	case STEP_CANCELLED:
		break;
	}
	return VERIFY_CANCELLED;
}

/* The engine proved wrong. What it computed says nothing, so the reference engine, which knows no BLAS, will compute
 * everything from now on. Where even that fails its check there is no verdict, the job is cancelled, and the node ends:
 * false. */
static bool verify_replace_backend(struct verify_runner *verify_runner, const struct backend_kind *kind,
	const char *found_out)
{
	struct errmsg err;

	backend_distrust(kind, found_out);
	if (selftest_run(kind->reference, &err))
		return true;
	backend_distrust(kind->reference, err.text);
	if (verify_runner->cancel != NULL)
		atomic_store(verify_runner->cancel, true);
	return false;
}

static enum verify_finding verify_execute_instead(struct verify_runner *verify_runner, const struct backend_kind *kind,
	const char *found_out, const struct verify_proof *proof, uint8_t *delta, uint8_t found_digest[32])
{
	if (verify_replace_backend(verify_runner, kind, found_out))
		return verify_execute_step(verify_runner, kind->reference, false, proof, delta, found_digest);
	return VERIFY_CANCELLED;
}

/* Before somebody is blamed for what an engine found, it executes the step once more with every product checked, and
 * passes its start-up check again, which sees what is not a product. A digest that is found after all is right, whoever
 * found it. */
static enum verify_finding verify_repeat_step(struct verify_runner *verify_runner, const struct backend_kind *kind,
	const struct verify_proof *proof, uint8_t *delta, uint8_t found_digest[32])
{
	uint8_t first_digest[32];
	enum verify_finding finding;
	struct errmsg err;

	memcpy(first_digest, found_digest, 32);
	finding = verify_execute_step(verify_runner, kind, true, proof, delta, found_digest);
	if (finding == VERIFY_MISCALCULATED)
		return verify_execute_instead(verify_runner, kind, "a product is wrong", proof, delta, found_digest);
	if (finding == VERIFY_RIGHT)
		backend_distrust(kind, "a step gave one result and then another");
	if (finding != VERIFY_FALSE)
		return finding;
	if (memcmp(first_digest, found_digest, 32) != 0)
		return verify_execute_instead(verify_runner, kind, "a step gave one result and then another", proof,
			delta, found_digest);
	if (!selftest_again(kind, &err))
		return verify_execute_instead(verify_runner, kind, err.text, proof, delta, found_digest);
	return VERIFY_FALSE;
}

static enum verify_finding verify_refuse_digest(const struct verify_proof *proof, const uint8_t found_digest[32],
	struct reject *reject)
{
	static const uint8_t no_result[32];
	char proof_id[65], stated_digest[65], given_digest[65];

	hex_encode_reversed(proof_id, proof->id, 32);
	hex_encode(stated_digest, proof->header.digest, 32);
	hex_encode(given_digest, found_digest, 32);
	if (memcmp(found_digest, no_result, 32) == 0)
		reject_set(reject, REASON_BAD_PROOF_DIGEST,
			"proof %.16s...: its step has no result, the header states %.16s...", proof_id, stated_digest);
	else
		reject_set(reject, REASON_BAD_PROOF_DIGEST,
			"proof %.16s...: its step gives %.16s..., the header states %.16s...", proof_id, given_digest,
			stated_digest);
	return VERIFY_FALSE;
}

/* The body of a right one is kept: the update needs all bodies, and nobody executes a step twice for it. FALSE comes
 * only from an engine that was doubted and held (verify_repeat_step), or from the reference engine, which nothing is
 * left to doubt with. */
static enum verify_finding verify_run_proof(struct verify_runner *verify_runner, struct verify_proof *proof,
	uint8_t found_digest[32], struct reject *reject)
{
	uint8_t *delta = mem_alloc(step_delta_size(&spec_course(verify_runner->spec)->train));
	const struct backend_kind *kind = backend_selected();
	enum verify_finding finding = verify_execute_step(verify_runner, kind, false, proof, delta, found_digest);

	if (finding == VERIFY_FALSE && kind->reference != NULL)
		finding = verify_repeat_step(verify_runner, kind, proof, delta, found_digest);
	if (finding == VERIFY_RIGHT) {
		free(proof->delta);
		proof->delta = delta;
		return finding;
	}
	free(delta);
	return finding == VERIFY_FALSE ? verify_refuse_digest(proof, found_digest, reject) : VERIFY_CANCELLED;
}

/* A body that was computed or checked before: only damage can make it differ. */
static enum verify_finding verify_check_body(const struct verify_runner *verify_runner,
	const struct verify_proof *proof, uint8_t found_digest[32], struct reject *reject)
{
	const struct train_config *train = &spec_course(verify_runner->spec)->train;

	sha256(found_digest, proof->delta, step_delta_size(train));
	if (memcmp(found_digest, proof->header.digest, 32) == 0 &&
		delta_check(proof->delta, step_delta_size(train), model_count(&train->model)))
		return VERIFY_RIGHT;
	reject_set(reject, REASON_BAD_PROOF_BODY, "a body is not what its header commits to");
	return VERIFY_FALSE;
}

bool verify_one(const struct spec *spec, const struct state *parent, struct verify_proof *proof, unsigned threads,
	atomic_bool *cancel, uint8_t found_digest[32], struct reject *reject)
{
	struct verify_runner verify_runner = { .spec = spec, .parent = parent, .cancel = cancel, .threads = threads };
	uint8_t unwanted_digest[32];
	enum verify_finding finding;

	if (found_digest == NULL)
		found_digest = unwanted_digest;
	finding = verify_run_proof(&verify_runner, proof, found_digest, reject);
	verify_runner_clear(&verify_runner);
	if (finding == VERIFY_CANCELLED)
		return reject_set(reject, REASON_CANCELLED, "the execution was cancelled");
	return finding == VERIFY_RIGHT;
}

/* === Blocks === */

static enum verify_finding verify_look_at(struct verify_runner *verify_runner, struct verify_proof *proof,
	uint8_t found_digest[32], struct reject *reject)
{
	if (proof->known_right)
		return VERIFY_RIGHT;
	return proof->delta != NULL ? verify_check_body(verify_runner, proof, found_digest, reject) :
				      verify_run_proof(verify_runner, proof, found_digest, reject);
}

/* Of a late proof: no update is made of it. */
static void verify_drop_body(struct verify_proof *proof)
{
	proof->known_right = true;
	free(proof->delta);
	proof->delta = NULL;
}

static bool verify_check_proofs(struct verify_runner *verify_runner, struct verify_job *verify_job,
	struct verdict *verdict)
{
	uint8_t found_digest[32];

	for (size_t i = 0; i < verify_job->proof_count; i++) {
		struct verify_proof *proof = &verify_job->proofs[i];

		switch (verify_look_at(verify_runner, proof, found_digest, &verdict->reject)) {
		case VERIFY_RIGHT:
			atomic_fetch_add(&verify_job->steps_done, 1);
			if (i >= verify_job->body_count)
				verify_drop_body(proof);
			break;
		case VERIFY_FALSE:
			verdict->false_proof = i;
			return false;
		case VERIFY_CANCELLED:
		/* verify_run_proof has no other verdict left: an engine that miscalculates was replaced there. */
		case VERIFY_MISCALCULATED:
			verdict->cancelled = true;
			return false;
		}
	}
	return true;
}

/* A void block states no values (section 13), whatever was computed before it was found to be one. */
static void verify_state_outcome(const struct update_outcome *update, uint32_t slots, struct outcome *outcome)
{
	*outcome = (struct outcome){ .is_void = update->is_void, .slots = slots };
	for (uint32_t i = 0; i < slots; i++) {
		outcome->slot[i].count = update->slots[i].count;
		if (update->is_void)
			continue;
		outcome->slot[i].left_out = update->slots[i].state == UPDATE_LEFT_OUT;
		outcome->slot[i].effect = update->slots[i].effect;
		outcome->slot[i].value = update->slots[i].value;
		outcome->slot[i].own = update->slots[i].own;
		outcome->slot[i].known = update->slots[i].known;
	}
}

/* The update as one kind of backend computes it, with every product checked: nobody would notice a wrong loss or value
 * before the next block is refused for what it states of this one. NULL if cancelled, or if a product is *wrong. */
static struct state *verify_measure_update(struct verify_runner *verify_runner, const struct backend_kind *kind,
	struct verify_job *verify_job, const struct update_proof *proofs, struct update_outcome *outcome,
	bool *product_wrong)
{
	struct backend *backend = verify_backend(verify_runner, kind);
	struct state *updated_state = NULL;

	backend_check(backend, kind->reference != NULL);
	if (verify_job->parent_benchmark == NULL)
		verify_job->parent_benchmark = benchmark_new(backend, verify_job->parent, verify_job->benchmark,
			verify_job->ticket, &verify_job->cancel);
	if (verify_job->parent_benchmark != NULL) {
		const struct update_job update = {
			.parent = verify_job->parent,
			.benchmark = verify_job->parent_benchmark,
			.windows = verify_job->benchmark,
			.own = verify_job->own,
			.proofs = proofs,
			.proof_count = verify_job->body_count,
			.slots = verify_job->spec->slots,
			.v_ref = verify_job->v_ref,
			.cancel = &verify_job->cancel,
		};

		updated_state = update_execute(backend, &update, outcome);
	}
	*product_wrong = backend_wrong(backend);
	backend_check(backend, false);
	/* Not even the benchmark of the parent may stay: siblings of the block would be measured against it. */
	if (*product_wrong) {
		state_unref(updated_state);
		benchmark_unref(verify_job->parent_benchmark);
		verify_job->parent_benchmark = NULL;
		return NULL;
	}
	return updated_state;
}

/* False if cancelled. Nobody is to blame any more: whatever the update does to the model, the block is valid, void at
 * worst (section 10). */
static bool verify_run_update(struct verify_runner *verify_runner, struct verify_job *verify_job,
	struct verdict *verdict)
{
	struct update_proof *update_proofs = mem_alloc(verify_job->body_count * sizeof *update_proofs);
	const struct backend_kind *kind = backend_selected();
	struct update_outcome update_outcome;
	bool product_wrong;

	for (size_t i = 0; i < verify_job->body_count; i++)
		update_proofs[i] = (struct update_proof){ .delta = verify_job->proofs[i].delta,
			.slot = verify_job->proofs[i].slot };
	verdict->state = verify_measure_update(verify_runner, kind, verify_job, update_proofs, &update_outcome,
		&product_wrong);
	if (product_wrong && verify_replace_backend(verify_runner, kind, "a product is wrong"))
		verdict->state = verify_measure_update(verify_runner, kind->reference, verify_job, update_proofs,
			&update_outcome, &product_wrong);
	free(update_proofs);
	if (verdict->state == NULL)
		return false;
	verify_state_outcome(&update_outcome, verify_job->spec->slots, &verdict->outcome);
	verdict->loss_before = update_outcome.loss_before;
	verdict->loss_after = update_outcome.loss_after;
	return true;
}

void verify_run(struct verify_job *verify_job, struct verdict *verdict)
{
	struct verify_runner verify_runner = {
		.spec = verify_job->spec,
		.parent = verify_job->parent,
		.cancel = &verify_job->cancel,
		.threads = verify_job->threads,
	};

	memset(verdict, 0, sizeof *verdict);
	verdict->false_proof = SIZE_MAX;
	if (verify_check_proofs(&verify_runner, verify_job, verdict)) {
		verdict->valid = verify_run_update(&verify_runner, verify_job, verdict);
		verdict->cancelled = !verdict->valid;
	}
	verify_runner_clear(&verify_runner);
}

/* Leaves a job that may be cleared once more. */
void verify_job_clear(struct verify_job *verify_job)
{
	for (size_t i = 0; i < verify_job->proof_count; i++) {
		free(verify_job->proofs[i].windows);
		free(verify_job->proofs[i].delta);
		state_unref(verify_job->proofs[i].state);
	}
	free(verify_job->proofs);
	free(verify_job->benchmark);
	for (size_t i = 0; i < UPDATE_SLOTS_MAX; i++) {
		free(verify_job->own[i].windows);
		verify_job->own[i].windows = NULL;
	}
	benchmark_unref(verify_job->parent_benchmark);
	state_unref(verify_job->parent);
	verify_job->proofs = NULL;
	verify_job->proof_count = 0;
	verify_job->benchmark = NULL;
	verify_job->parent_benchmark = NULL;
	verify_job->parent = NULL;
}
