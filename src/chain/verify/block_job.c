/* The verification of one block: how its job begins, what it does on its worker, and what the verdict means. */
#include "chain/verify/block_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/block_records.h"
#include "chain/connect.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/novelty/samples.h"
#include "chain/tip.h"
#include "chain/verify/step_inputs.h"
#include "ml/backend.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

/* --- the end of a job --- */

/* The turn ends with it, so the address may have its next block verified. */
static void block_job_free(struct block_job *block_job)
{
	struct block_job **link = &block_job->chain->jobs;

	while (*link != block_job)
		link = &(*link)->next;
	*link = block_job->next;
	block_job->chain->job_count--;
	block_job->full->in_work = false;
	sources_turn_end(&block_job->turn);
	verify_job_clear(&block_job->verify);
	round_inputs_clear(&block_job->round);
	block_unref(block_job->block);
	free(block_job);
}

static void block_job_refuse(struct chain *chain, struct full_entry *full, const struct reject *reject)
{
	connect_refuse(chain, full, reject->reason);
	NOTIFY(&chain->notices, block_verdict, &full->entry, &full->source, reject);
}

/* Remembers every proof that was executed, whatever became of the block. A proof's verdict is about the proof: the same
 * one, loose or in a sibling, is not executed again. */
static void block_job_keep_proofs(struct chain *chain, const struct block_job *block_job)
{
	for (size_t i = 0; i < block_job->verify.proof_count; i++) {
		const struct verify_proof *proof = &block_job->verify.proofs[i];

		if (i == block_job->verdict.false_proof) {
			proof_cache_put(chain->proofs, &proof->header, PROOF_FALSE, NULL);
			chain->proofs_false++;
		} else if (proof->delta != NULL || proof->known_right) {
			if (proof_cache_verdict(chain->proofs, proof->id) == PROOF_UNKNOWN)
				chain->proofs_executed++;
			proof_cache_put(chain->proofs, &proof->header, PROOF_RIGHT, proof->delta);
			candidates_keep(chain, &proof->header);
		}
	}
}

/* Also where the job was cancelled: a verdict is about the segment, and on no later one of them. */
static void block_job_keep_audits(struct chain *chain, const struct block_job *block_job)
{
	const uint32_t before = block_job->full->entry.height - 1, round_blocks = chain->spec->round_blocks;
	const uint32_t base = round_blocks > 0 ? before - before % round_blocks : 0;

	for (size_t i = 0; i < block_job->verify.round.seat_count; i++) {
		const struct verify_seat *seat = &block_job->verify.round.seats[i];

		if (seat->segment.windows != NULL && seat->standing != VERIFY_SEAT_DISCLOSED)
			audits_keep(chain, base, seat->key,
				seat->standing == VERIFY_SEAT_TRUE ? AUDITS_TRUE : AUDITS_FALSE);
	}
	for (size_t i = 0; i < block_job->verify.round.challenge_count; i++) {
		const struct verify_challenge *challenge = &block_job->verify.round.challenges[i];

		if (challenge->segment.windows != NULL && challenge->found != VERIFY_UNKNOWN)
			audits_keep(chain, base, challenge->key,
				challenge->found == VERIFY_SEGMENT_TRUE ? AUDITS_TRUE : AUDITS_FALSE);
	}
}

/* Its bytes alone may show that a blob is no contribution; what it resembles depends on the branch, and is asked when
 * the block is connected (chain/connect.c). */
static bool block_job_check_blobs(struct chain *chain, const struct block *block, struct reject *reject)
{
	struct blob_want *registered;
	size_t registered_count = wants_of_block(block, &registered);
	bool blobs_good = true;
	struct errmsg err;

	for (size_t i = 0; blobs_good && i < registered_count; i++)
		blobs_good = judge_blob(chain->judge, chain->registry, registered[i].root, reject, &err) != JUDGE_BAD ||
			judge_novelty(chain->judge, registered[i].root) != NULL;
	free(registered);
	return blobs_good;
}

/* What runs changed is part of the states after them: their blobs stay. */
static bool block_job_keep_runs(struct chain *chain, const struct block_job *block_job, struct db_batch *kept_batch,
	size_t *kept_count, struct errmsg *err)
{
	struct blob_want *of_round;
	size_t of_round_count = wants_of_round(chain->spec, block_job->block, &of_round);
	bool noted = true;

	for (size_t i = 0; noted && i < of_round_count; i++)
		noted = prune_note_blob(chain, kept_batch, of_round[i].root, block_job->full->entry.height, err);
	free(of_round);
	*kept_count += of_round_count;
	return noted;
}

/* To connect a block the blobs that it registers are not needed, but what was sampled of them. Before the index says
 * that the block is verified. */
static bool block_job_keep_blobs(struct chain *chain, const struct block_job *block_job, struct errmsg *err)
{
	struct db_batch *kept_batch = db_batch_new();
	struct blob_want *registered;
	size_t registered_count = wants_of_block(block_job->block, &registered), kept_count = registered_count;
	bool kept = true;

	for (size_t i = 0; kept && i < registered_count; i++) {
		kept = judge_blob(chain->judge, chain->registry, registered[i].root, NULL, err) != JUDGE_FAILED;
		if (kept)
			samples_put(kept_batch, registered[i].root, judge_novelty(chain->judge, registered[i].root));
	}
	free(registered);
	kept = kept && block_job_keep_runs(chain, block_job, kept_batch, &kept_count, err) &&
		(kept_count == 0 || db_write(chain->db, kept_batch, false, err));
	db_batch_free(kept_batch);
	return kept;
}

/* The block's proofs and its update are right: its bodies go to disk, its outcome into the index. */
static bool block_job_accept(struct chain *chain, struct block_job *block_job, struct errmsg *err)
{
	const size_t body_count = block_job->verify.body_count;
	struct index_entry *verified = &block_job->full->entry;
	uint8_t **proof_bodies = mem_calloc(body_count, sizeof *proof_bodies);
	bool accepted = true;

	for (size_t i = 0; i < body_count; i++)
		/* Borrowed: the job frees them. */
		proof_bodies[i] = block_job->verify.proofs[i].delta;
	if (block_job->full->bodies.size == 0)
		accepted = block_records_append_bodies(chain->blocks, chain->spec, block_job->full, proof_bodies,
			body_count, err);
	free(proof_bodies);
	if (!accepted || !block_job_keep_blobs(chain, block_job, err))
		return false;
	block_job->outcome.outcome = block_job->verdict.outcome;
	block_job->outcome.loss_before = block_job->verdict.loss_before;
	block_job->outcome.loss_after = block_job->verdict.loss_after;
	block_job->outcome.merge = block_job->verdict.merge;
	index_set_outcome(block_job->full, &block_job->outcome);
	memcpy(verified->model_root_after, state_root(block_job->verdict.state), 32);
	/* One millisecond is the least: 0 says that it was not in this run. */
	verified->verify_ms = (uint32_t)(clock_mono_ms() - block_job->began) + 1;
	index_set_status(&chain->index, block_job->full, ENTRY_VERIFIED);
	states_put(chain->states, block_job->full, block_job->verdict.state);
	states_keep_benchmark(chain->states, entry_parent(block_job->full), block_job->verify.parent_benchmark);
	/* The index on disk is told in a moment; if a crash comes before, the block is verified again. */
	connect_note_verified(chain, block_job->full);
	return true;
}

/* Bytes that were here could not be read. Those that are gone or damaged are asked for when it is picked again. */
static void block_job_lose_round(struct block_job *block_job)
{
	struct chain *chain = block_job->chain;

	if (!round_inputs_lose(chain->blobs, &block_job->round))
		waiting_put_off(chain, block_job->full, &block_job->unread_why);
	else
		log_error("[chain] block %" PRIu32 " waits for bytes that were lost: %s", block_job->full->entry.height,
			block_job->unread_why.text);
}

/* On the loop again. Between post and here the operator may have refused the block, the disk may have failed, or the
 * chain may be closing: the verdict counts only for an entry that still waits for it. What the proofs showed is kept
 * either way. */
static void block_job_rest_done(void *job_arg, bool cancelled)
{
	struct block_job *block_job = job_arg;
	struct chain *chain = block_job->chain;
	struct full_entry *full = block_job->full;
	struct errmsg err;
	bool accepted = true;

	block_job_keep_audits(chain, block_job);
	round_inputs_note_sound(chain->blobs, &block_job->round);
	if (block_job->round_unread)
		block_job_lose_round(block_job);
	cancelled = cancelled || block_job->verdict.cancelled;
	if (!cancelled)
		block_job_keep_proofs(chain, block_job);
	/* A verdict for a block that the operator refused meanwhile is of no use. */
	if (!cancelled && entry_waits(full) && !chain->failed) {
		waiting_drop(chain, waiting_find(chain, full));
		if (block_job->verdict.valid)
			block_job->verdict.valid = block_job_check_blobs(chain, block_job->block,
				&block_job->verdict.reject);
		if (!block_job->verdict.valid) {
			block_job_refuse(chain, full, &block_job->verdict.reject);
		} else {
			accepted = block_job_accept(chain, block_job, &err);
			if (accepted)
				NOTIFY(&chain->notices, block_verdict, &full->entry, &full->source, NULL);
		}
	}
	state_unref(block_job->verdict.state);
	block_job_free(block_job);
	if (!accepted)
		halt_fail(chain, &err);
	chain->again = true;
}

static void block_job_rest_run(void *job_arg)
{
	struct block_job *block_job = job_arg;

	block_job->verify.threads = queue_threads();
	block_job->round_unread = !round_inputs_read(block_job->chain->spec, &block_job->round,
		&block_job->verify.round, &block_job->unread_why);
	if (block_job->round_unread) {
		block_job->verdict.cancelled = true;
		return;
	}
	verify_run(&block_job->verify, &block_job->verdict);
	block_job->round_unread = block_job->verdict.cancelled &&
		!round_inputs_were_read(&block_job->round, &block_job->verify.round, &block_job->unread_why);
}

/* All threads for one block, as far as a step of this model can use them, since everybody waits for the one at the tip.
 * Of several that are verified at a time the queue gives them to the one whose bringer stands highest, in the middle of
 * another's too; of equals, to the first. */
static void block_job_post(struct block_job *block_job, queue_run *part_run, queue_done *part_done)
{
	queue_post(block_job->chain->queue,
		&(struct queue_job){
			.kind = QUEUE_BLOCK,
			.rank = block_job->turn.standing,
			.threads = backend_threads(backend_selected(), &spec_course(block_job->chain->spec)->train,
				block_job->chain->threads),
			.owner = block_job->chain,
			.run = part_run,
			.done = part_done,
			.arg = block_job,
		});
}

static void block_job_post_rest(struct block_job *block_job)
{
	NOTIFY(&block_job->chain->notices, block_proven, &block_job->full->entry, &block_job->full->source);
	block_job_post(block_job, block_job_rest_run, block_job_rest_done);
}

/* Bytes that the past has turned out to be missing: the block waits for them too. */
static void block_job_want_more(struct chain *chain, struct full_entry *full, const struct blob_want *missing,
	const struct errmsg *err)
{
	struct waiting_block *waiting = waiting_find(chain, full);

	if (missing->size == 0) {
		waiting_put_off(chain, full, err);
		return;
	}
	wants_add(waiting, missing);
	wants_ask(chain, waiting);
}

/* Whether all is here that the rest of the block needs. A state that is not, of a late proof's parent or of the base of
 * runs, is asked for when the block is picked again; so are blobs. */
static bool block_job_gather_rest(struct block_job *block_job)
{
	struct chain *chain = block_job->chain;
	struct full_entry *full = block_job->full;
	struct blob_want missing = { .size = 0 };
	struct errmsg err;

	if (!wants_met(chain, waiting_find(chain, full))) {
		wants_ask(chain, waiting_find(chain, full));
		return false;
	}
	if (block_job->verify.proof_count < block_proof_count(block_job->block) ||
		round_inputs_missing_state(chain, full, block_job->block) != NULL)
		return false;
	if (round_inputs_gather(chain, full, block_job->block, true, &block_job->round, &block_job->verify.round,
		    &missing, &err))
		return true;
	block_job_want_more(chain, full, &missing, &err);
	return false;
}

/* The own proof is right: the block goes to disk, and may ask for its blobs and states; the rest waits for them. */
static void block_job_own_right(struct block_job *block_job)
{
	struct chain *chain = block_job->chain;
	struct full_entry *full = block_job->full;
	const struct verify_proof *own_proof = &block_job->verify.proofs[0];
	struct errmsg err;

	full->proven = true;
	if (full->entry.held && !waiting_store(chain, full, block_job->block, &err)) {
		block_job_free(block_job);
		halt_fail(chain, &err);
		return;
	}
	if (block_job_gather_rest(block_job)) {
		block_job_post_rest(block_job);
		return;
	}
	proof_cache_put(chain->proofs, &own_proof->header, PROOF_RIGHT, own_proof->delta);
	block_job_free(block_job);
	chain->again = true;
}

static void block_job_own_run(void *job_arg)
{
	struct block_job *block_job = job_arg;

	block_job->verdict.valid = verify_one(block_job->verify.spec, block_job->verify.parent,
		&block_job->verify.proofs[0], queue_threads(), &block_job->verify.cancel, NULL,
		&block_job->verdict.reject);
}

/* Exactly one of three ways on: right, and the job goes on; false, and it ends as a refused block does; cancelled, and
 * it ends without a word. */
static void block_job_own_done(void *job_arg, bool cancelled)
{
	struct block_job *block_job = job_arg;

	cancelled = cancelled || atomic_load(&block_job->verify.cancel) || !entry_waits(block_job->full);
	if (!cancelled)
		sources_proved(block_job->turn.group, block_job->verdict.valid, clock_wall());
	if (!cancelled && block_job->verdict.valid) {
		block_job_own_right(block_job);
		return;
	}
	block_job->verdict.cancelled = cancelled;
	block_job->verdict.false_proof = cancelled ? SIZE_MAX : 0;
	block_job_rest_done(block_job, cancelled);
}

/* --- the beginning of a job --- */

/* The bytes of a block are gone or damaged: it must be fetched again. */
static void block_job_lose(struct chain *chain, struct full_entry *full, const struct errmsg *err)
{
	struct db_batch *lost_batch = db_batch_new();
	struct errmsg write_failure;

	log_error("[chain] %s: the block will be fetched again", err->text);
	waiting_drop(chain, waiting_find(chain, full));
	index_set_status(&chain->index, full, ENTRY_HEADER);
	full->block.size = 0;
	index_save(lost_batch, full);
	if (!db_write(chain->db, lost_batch, false, &write_failure))
		halt_fail(chain, &write_failure);
	db_batch_free(lost_batch);
}

/* What can be said before any step is executed. */
static bool block_job_check_first(struct chain *chain, struct full_entry *full, const struct block *block,
	struct reject *reject)
{
	const struct index_entry *parent = full->entry.parent;
	struct errmsg err;

	if (memcmp(full->entry.header.model_root, parent->model_root_after, 32) != 0)
		return reject_set(reject, REASON_BAD_MODEL_ROOT,
			"the model root is not that of the state after the parent");
	for (size_t i = 0; i < block_proof_count(block); i++) {
		if (proof_cache_verdict(chain->proofs, block_proof_id(block, i)) != PROOF_FALSE)
			continue;
		reject_set(reject, REASON_BAD_PROOF_DIGEST,
			"proof %zu was executed before, and its digest was not what the step gives", i);
		/* Whoever passes a block on has executed its own proof, not yet the others. */
		if (i > 0)
			reject->ban_score = 0;
		return false;
	}
	if (parent != chain_tip(chain))
		return true;
	switch (connect_check(chain, full, block, reject, &err)) {
	case CONNECT_OK:
		return true;
	case CONNECT_INVALID:
		return false;
	case CONNECT_FAILED:
		halt_fail(chain, &err);
		return true;
	}
	return true;
}

/* Puts a job to work whose block and inputs are all here. */
static void block_job_begin(struct block_job *block_job)
{
	struct chain *chain = block_job->chain;

	sources_turn_begin(&block_job->turn, chain->sources, waiting_find(chain, block_job->full)->group, clock_wall());
	block_job->next = chain->jobs;
	chain->jobs = block_job;
	chain->job_count++;
	block_job->full->in_work = true;
	if (block_job->verify.proofs[0].delta != NULL)
		block_job_own_right(block_job);
	else
		block_job_post(block_job, block_job_own_run, block_job_own_done);
}

/* Every reason not to begin comes before the first step is executed, the cheapest first: a block costs its sender as
 * much as it costs us, or it costs nothing. */
void block_job_start(struct chain *chain, struct full_entry *full, struct state *parent)
{
	struct blob_want missing = { .size = 0 };
	struct block_job *block_job;
	struct reject reject;
	const struct block *block;
	struct errmsg err;

	block = waiting_read(chain, waiting_find(chain, full), &err);
	if (block == NULL || !block_job_check_first(chain, full, block, &reject) || chain->failed) {
		state_unref(parent);
		if (block == NULL) {
			block_job_lose(chain, full, &err);
		} else if (!chain->failed) {
			waiting_drop(chain, waiting_find(chain, full));
			block_job_refuse(chain, full, &reject);
		}
		block_unref(block);
		return;
	}
	block_job = mem_calloc(1, sizeof *block_job);
	block_job->chain = chain;
	block_job->full = full;
	block_job->block = block;
	block_job->verdict.false_proof = SIZE_MAX;
	block_job->began = clock_mono_ms();
	if (!step_inputs_block(chain, full, block, parent, true, &block_job->verify, &block_job->outcome, &missing,
		    &err)) {
		block_job_want_more(chain, full, &missing, &err);
		block_unref(block);
		free(block_job);
		return;
	}
	block_job_begin(block_job);
}
