/* Executing a block: its proofs, then its update; and where it ends a round, what that one's runs are and their merge.
 *
 * The rule of blame: an engine may be wrong (hardware, BLAS, compiler), and then what it says of others is worth
 * nothing. So no proof and no segment of a run is called false before the engine has computed the step once more with
 * every product checked, has come to the same result, and has passed its start-up check again; where it fails at any of
 * this, the reference engine computes instead. A digest that is found is right whoever found it: to agree by accident
 * is as hard as to break H. */
#include "consensus/verify.h"

#include <stdlib.h>
#include <string.h>

#include "consensus/blob/round_blob.h"
#include "crypto/hash.h"
#include "ml/delta.h"
#include "ml/merge.h"
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

/* === What gives a code === */

enum verify_finding { VERIFY_RIGHT, VERIFY_FALSE, VERIFY_CANCELLED, VERIFY_MISCALCULATED };

/* A proof's step or a segment of a run, of which a digest is stated. */
struct verify_task {
	const struct verify_proof *proof; /* NULL: the segment */
	const struct verify_segment *segment;
	const uint8_t *digest;
};

static enum step_result verify_give_code(struct verify_runner *verify_runner, const struct backend_kind *kind,
	bool checked, const struct verify_task *task, uint8_t *code)
{
	struct backend *backend = verify_backend(verify_runner, kind);

	if (task->proof != NULL) {
		const struct step_job step_job = {
			.state = task->proof->state != NULL ? task->proof->state : verify_runner->parent,
			.seed = task->proof->seed,
			.windows = task->proof->windows,
			.checked = checked,
			.cancel = verify_runner->cancel,
		};

		return backend_execute(backend, &step_job, code);
	}
	return run_execute(backend,
		&(struct run_segment){
			.base = task->segment->base,
			.segment_seed = task->segment->seed,
			.start = task->segment->start,
			.windows = task->segment->windows,
			.checked = checked,
			.cancel = verify_runner->cancel,
		},
		code);
}

/* Executes the task on one kind of backend, its products checked if asked; found gets the digest, zeros where there is
 * no result. */
static enum verify_finding verify_execute(struct verify_runner *verify_runner, const struct backend_kind *kind,
	bool checked, const struct verify_task *task, uint8_t *code, uint8_t found_digest[32])
{
	memset(found_digest, 0, 32);
	switch (verify_give_code(verify_runner, kind, checked, task, code)) {
	case STEP_OK:
		sha256(found_digest, code, step_delta_size(&spec_course(verify_runner->spec)->train));
		return memcmp(found_digest, task->digest, 32) == 0 ? VERIFY_RIGHT : VERIFY_FALSE;
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
	const char *found_out, const struct verify_task *task, uint8_t *code, uint8_t found_digest[32])
{
	if (verify_replace_backend(verify_runner, kind, found_out))
		return verify_execute(verify_runner, kind->reference, false, task, code, found_digest);
	return VERIFY_CANCELLED;
}

/* Before somebody is blamed for what an engine found, it executes the task once more with every product checked, and
 * passes its start-up check again, which sees what is not a product. A digest that is found after all is right, whoever
 * found it. */
static enum verify_finding verify_execute_again(struct verify_runner *verify_runner, const struct backend_kind *kind,
	const struct verify_task *task, uint8_t *code, uint8_t found_digest[32])
{
	uint8_t first_digest[32];
	enum verify_finding finding;
	struct errmsg err;

	memcpy(first_digest, found_digest, 32);
	finding = verify_execute(verify_runner, kind, true, task, code, found_digest);
	if (finding == VERIFY_MISCALCULATED)
		return verify_execute_instead(verify_runner, kind, "a product is wrong", task, code, found_digest);
	if (finding == VERIFY_RIGHT)
		backend_distrust(kind, "a step gave one result and then another");
	if (finding != VERIFY_FALSE)
		return finding;
	if (memcmp(first_digest, found_digest, 32) != 0)
		return verify_execute_instead(verify_runner, kind, "a step gave one result and then another", task,
			code, found_digest);
	if (!selftest_again(kind, &err))
		return verify_execute_instead(verify_runner, kind, err.text, task, code, found_digest);
	return VERIFY_FALSE;
}

/* FALSE comes only from an engine that was doubted and held, or from the reference engine, which nothing is left to
 * doubt with. */
static enum verify_finding verify_execute_doubting(struct verify_runner *verify_runner, const struct verify_task *task,
	uint8_t *code, uint8_t found_digest[32])
{
	const struct backend_kind *kind = backend_selected();
	enum verify_finding finding = verify_execute(verify_runner, kind, false, task, code, found_digest);

	return finding == VERIFY_FALSE && kind->reference != NULL ?
		verify_execute_again(verify_runner, kind, task, code, found_digest) :
		finding;
}

/* === Proofs === */

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

/* The body of a right one is kept: the update needs all bodies, and nobody executes a step twice for it. */
static enum verify_finding verify_run_proof(struct verify_runner *verify_runner, struct verify_proof *proof,
	uint8_t found_digest[32], struct reject *reject)
{
	const struct verify_task task = { .proof = proof, .digest = proof->header.digest };
	uint8_t *delta = mem_alloc(step_delta_size(&spec_course(verify_runner->spec)->train));
	enum verify_finding finding = verify_execute_doubting(verify_runner, &task, delta, found_digest);

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

/* === Runs === */

/* What it starts from comes from strangers, as the code that one of them says it gives. */
static enum verify_finding verify_run_segment(struct verify_runner *verify_runner, const struct verify_segment *segment,
	uint8_t found_digest[32])
{
	const struct train_config *train = &spec_course(verify_runner->spec)->train;
	const struct verify_task task = { .segment = segment, .digest = segment->digest };
	enum verify_finding finding = VERIFY_FALSE;
	uint8_t *code;

	memset(found_digest, 0, 32);
	if (!run_code_check(train, segment->start, run_code_size(train)))
		return finding;
	code = mem_alloc(run_code_size(train));
	finding = verify_execute_doubting(verify_runner, &task, code, found_digest);
	free(code);
	return finding;
}

bool verify_segment(const struct spec *spec, const struct verify_segment *segment, unsigned threads,
	atomic_bool *cancel, bool *is_right, uint8_t found_digest[32])
{
	struct verify_runner verify_runner = { .spec = spec, .cancel = cancel, .threads = threads };
	uint8_t unwanted_digest[32];
	enum verify_finding finding = verify_run_segment(&verify_runner, segment,
		found_digest != NULL ? found_digest : unwanted_digest);

	verify_runner_clear(&verify_runner);
	*is_right = finding == VERIFY_RIGHT;
	return finding == VERIFY_RIGHT || finding == VERIFY_FALSE;
}

/* False if cancelled. */
static bool verify_find_doubted(struct verify_runner *verify_runner, struct verify_challenge *challenge)
{
	uint8_t found_digest[32];

	switch (verify_run_segment(verify_runner, &challenge->segment, found_digest)) {
	case VERIFY_RIGHT:
		challenge->found = VERIFY_SEGMENT_TRUE;
		return true;
	case VERIFY_FALSE:
		challenge->found = VERIFY_SEGMENT_FALSE;
		return true;
	case VERIFY_CANCELLED:
	case VERIFY_MISCALCULATED:
		break;
	}
	return false;
}

/* The other way round: RIGHT is a challenge of a segment that is false. Its bytes are looked at whatever is known of
 * the segment: they are what the block says is the code. */
static enum verify_finding verify_run_challenge(struct verify_runner *verify_runner, struct verify_challenge *challenge,
	struct reject *reject)
{
	const struct spec *spec = verify_runner->spec;

	if (!round_blob_check_challenge(spec, challenge->segment.start, run_code_size(&spec_course(spec)->train),
		    challenge->digests, challenge->segment.number, reject))
		return VERIFY_FALSE;
	if (challenge->found == VERIFY_UNKNOWN && !verify_find_doubted(verify_runner, challenge))
		return VERIFY_CANCELLED;
	if (challenge->found == VERIFY_SEGMENT_FALSE)
		return VERIFY_RIGHT;
	reject_set(reject, REASON_BAD_ROUND_CHALLENGE, "segment %u is what the run says",
		(unsigned)challenge->segment.number);
	return VERIFY_FALSE;
}

static bool verify_check_disclosure(const struct spec *spec, const struct verify_disclosure *disclosure,
	struct reject *reject)
{
	return round_blob_check_disclosure(spec, disclosure->length, disclosure->blob, disclosure->size,
		disclosure->trace_root, disclosure->segment, reject);
}

/* In the order of the block's transactions, so that everybody names the same reason. */
static bool verify_check_round(struct verify_runner *verify_runner, const struct verify_round *verify_round,
	struct verdict *verdict)
{
	size_t next = 0;

	for (size_t i = 0; i <= verify_round->disclosure_count; i++) {
		enum verify_finding finding = VERIFY_RIGHT;

		while (finding == VERIFY_RIGHT && next < verify_round->challenge_count &&
			verify_round->challenges[next].after == i)
			finding = verify_run_challenge(verify_runner, &verify_round->challenges[next++],
				&verdict->reject);
		if (finding != VERIFY_RIGHT) {
			verdict->cancelled = finding != VERIFY_FALSE;
			return false;
		}
		if (i < verify_round->disclosure_count &&
			!verify_check_disclosure(verify_runner->spec, &verify_round->disclosures[i], &verdict->reject))
			return false;
	}
	return true;
}

/* What it starts from is in memory no longer than that takes. */
static enum verify_finding verify_run_drawn(struct verify_runner *verify_runner, struct verify_seat *seat)
{
	const bool is_read = seat->segment.start == NULL;
	enum verify_finding finding = VERIFY_CANCELLED;
	uint8_t found_digest[32];

	if (is_read)
		seat->segment.start = mem_alloc(run_code_size(&spec_course(verify_runner->spec)->train));
	if (!is_read || seat->read_start(seat->source, seat->segment.start))
		finding = verify_run_segment(verify_runner, &seat->segment, found_digest);
	if (is_read) {
		free(seat->segment.start);
		seat->segment.start = NULL;
	}
	return finding;
}

/* False if cancelled: what was found out until then stays. */
static bool verify_run_seats(struct verify_runner *verify_runner, struct verify_round *verify_round)
{
	for (size_t i = 0; i < verify_round->seat_count; i++) {
		struct verify_seat *seat = &verify_round->seats[i];

		if (seat->standing != VERIFY_SEAT_DISCLOSED)
			continue;
		switch (verify_run_drawn(verify_runner, seat)) {
		case VERIFY_RIGHT:
			seat->standing = VERIFY_SEAT_TRUE;
			break;
		case VERIFY_FALSE:
			seat->standing = VERIFY_SEAT_STRUCK;
			break;
		case VERIFY_CANCELLED:
		case VERIFY_MISCALCULATED:
			return false;
		}
	}
	return true;
}

/* The merge as one kind of backend computes it, on the same terms as the update (verify_measure_update). */
static struct state *verify_measure_merge(struct verify_runner *verify_runner, const struct backend_kind *kind,
	const struct verify_job *verify_job, const struct state *updated_state, struct merge_run *runs,
	struct merge_outcome *outcome, bool *product_wrong)
{
	const struct verify_round *verify_round = &verify_job->round;
	struct backend *backend = verify_backend(verify_runner, kind);
	struct state *merged_state;

	for (size_t i = 0; i < verify_round->seat_count; i++) {
		const struct verify_seat *seat = &verify_round->seats[i];

		runs[i] = (struct merge_run){
			.length = seat->length,
			.seat = seat->standing == VERIFY_SEAT_STRUCK ? MERGE_STRUCK : MERGE_EMPTY,
			.source = seat->source,
		};
		if (seat->standing != VERIFY_SEAT_TRUE)
			continue;
		runs[i].code = seat->change;
		runs[i].read = seat->change == NULL ? seat->read_change : NULL;
	}
	backend_check(backend, kind->reference != NULL);
	merged_state = merge_execute(backend, updated_state,
		verify_round->own_windows != NULL ? verify_round->own_windows : verify_job->benchmark, runs,
		verify_round->seat_count, &verify_job->cancel, outcome);
	*product_wrong = backend_wrong(backend);
	backend_check(backend, false);
	if (!*product_wrong)
		return merged_state;
	state_unref(merged_state);
	return NULL;
}

/* Of the state after the update makes the one after the merge, when all seats are known. False if cancelled. */
static bool verify_run_merge(struct verify_runner *verify_runner, struct verify_job *verify_job,
	struct verdict *verdict)
{
	const struct backend_kind *kind = backend_selected();
	struct state *updated_state = verdict->state;
	struct merge_run runs[ROUND_SEATS_MAX];
	struct merge_outcome outcome;
	bool product_wrong;

	verdict->state = verify_measure_merge(verify_runner, kind, verify_job, updated_state, runs, &outcome,
		&product_wrong);
	if (product_wrong && verify_replace_backend(verify_runner, kind, "a product is wrong"))
		verdict->state = verify_measure_merge(verify_runner, kind->reference, verify_job, updated_state, runs,
			&outcome, &product_wrong);
	state_unref(updated_state);
	if (verdict->state == NULL)
		return false;
	verdict->merge.seats = (uint32_t)verify_job->round.seat_count;
	verdict->merge.is_void = outcome.is_void;
	verdict->merge.is_second = outcome.is_second;
	if (!outcome.is_void) {
		verdict->loss_before = outcome.loss_before;
		verdict->loss_after = outcome.loss_after;
	}
	for (size_t i = 0; i < verify_job->round.seat_count; i++)
		verdict->merge.seat[i] = (uint8_t)runs[i].seat;
	return true;
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
	if (verify_check_proofs(&verify_runner, verify_job, verdict) &&
		verify_check_round(&verify_runner, &verify_job->round, verdict)) {
		verdict->valid = verify_run_seats(&verify_runner, &verify_job->round) &&
			verify_run_update(&verify_runner, verify_job, verdict) &&
			(verify_job->round.seat_count == 0 || verify_run_merge(&verify_runner, verify_job, verdict));
		verdict->cancelled = !verdict->valid;
	}
	verify_runner_clear(&verify_runner);
}

void verify_segment_clear(struct verify_segment *segment)
{
	free(segment->windows);
	free(segment->start);
	state_unref(segment->base);
}

void verify_challenge_clear(struct verify_challenge *challenge)
{
	verify_segment_clear(&challenge->segment);
	free(challenge->digests);
}

void verify_round_clear(struct verify_round *verify_round)
{
	for (size_t i = 0; i < verify_round->disclosure_count; i++)
		free(verify_round->disclosures[i].blob);
	free(verify_round->disclosures);
	for (size_t i = 0; i < verify_round->challenge_count; i++)
		verify_challenge_clear(&verify_round->challenges[i]);
	free(verify_round->challenges);
	for (size_t i = 0; i < verify_round->seat_count; i++) {
		free(verify_round->seats[i].change);
		free(verify_round->seats[i].source);
		verify_segment_clear(&verify_round->seats[i].segment);
	}
	free(verify_round->seats);
	free(verify_round->own_windows);
	*verify_round = (struct verify_round){ 0 };
}

/* Leaves a job that may be cleared once more. */
void verify_job_clear(struct verify_job *verify_job)
{
	for (size_t i = 0; i < verify_job->proof_count; i++) {
		free(verify_job->proofs[i].windows);
		free(verify_job->proofs[i].delta);
		state_unref(verify_job->proofs[i].state);
	}
	verify_round_clear(&verify_job->round);
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
