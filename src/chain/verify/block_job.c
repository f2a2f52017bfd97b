/* The verification of one block: how its job begins, what it does on its worker, and what the verdict means. */
#include "chain/verify/block_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/block_records.h"
#include "chain/connect.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/tip.h"
#include "chain/verify/step_inputs.h"
#include "ml/backend.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

/* --- the end of a job --- */

/* The turn ends with it, so the address may have its next block verified. */
static void job_free(struct block_job *job)
{
	struct block_job **link = &job->chain->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	job->chain->job_count--;
	job->full->in_work = false;
	sources_turn_end(&job->turn);
	verify_job_clear(&job->verify);
	block_unref(job->block);
	free(job);
}

static void refuse_block(struct chain *chain, struct full_entry *full, const struct reject *reject)
{
	connect_refuse(chain, full, reject->reason);
	NOTIFY(&chain->notices, block_verdict, &full->entry, &full->source, reject);
}

/* Remembers every proof that was executed, whatever became of the block. A proof's verdict is about the proof: the same
 * one, loose or in a sibling, is not executed again. */
static void keep_proofs(struct chain *chain, const struct block_job *job)
{
	for (size_t i = 0; i < job->verify.proof_count; i++) {
		const struct verify_proof *proof = &job->verify.proofs[i];

		if (i == job->verdict.false_proof) {
			proof_cache_put(chain->proofs, &proof->header, PROOF_FALSE, NULL);
			chain->proofs_false++;
		} else if (proof->delta != NULL) {
			if (proof_cache_verdict(chain->proofs, proof->id) == PROOF_UNKNOWN)
				chain->proofs_executed++;
			proof_cache_put(chain->proofs, &proof->header, PROOF_RIGHT, proof->delta);
		}
	}
}

/* The block's proofs and its update are right: its bodies go to disk, its outcome into the index. */
static bool accept_block(struct chain *chain, struct block_job *job, struct errmsg *err)
{
	const size_t count = job->verify.proof_count;
	struct index_entry *entry = &job->full->entry;
	uint8_t **bodies = mem_calloc(count, sizeof *bodies);
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		/* Borrowed: the job frees them. */
		bodies[i] = job->verify.proofs[i].delta;
	if (job->full->bodies.size == 0)
		ok = block_records_append_bodies(chain->blocks, chain->spec, job->full, bodies, count, err);
	free(bodies);
	if (!ok)
		return false;
	entry->outcome = job->outcome;
	entry->outcome.outcome = job->verdict.outcome;
	entry->outcome.loss_before = job->verdict.loss_before;
	entry->outcome.loss_after = job->verdict.loss_after;
	memcpy(entry->model_root_after, state_root(job->verdict.state), 32);
	/* One millisecond is the least: 0 says that it was not in this run. */
	entry->verify_ms = (uint32_t)(clock_mono_ms() - job->began) + 1;
	index_set_status(&chain->index, job->full, ENTRY_VERIFIED);
	states_put(chain->states, job->full, job->verdict.state);
	states_keep_benchmark(chain->states, entry_parent(job->full), job->verify.parent_benchmark);
	/* The index on disk is told in a moment; if a crash comes before, the block is verified again. */
	connect_note_verified(chain, job->full);
	return true;
}

/* On the loop again. Between post and here the operator may have refused the block, the disk may have failed, or the
 * chain may be closing: the verdict counts only for an entry that still waits for it. What the proofs showed is kept
 * either way. */
static void rest_done(void *arg, bool cancelled)
{
	struct block_job *job = arg;
	struct chain *chain = job->chain;
	struct full_entry *full = job->full;
	struct errmsg err;
	bool ok = true;

	cancelled = cancelled || job->verdict.cancelled;
	if (!cancelled)
		keep_proofs(chain, job);
	/* A verdict for a block that the operator refused meanwhile is of no use. */
	if (!cancelled && entry_waits(full) && !chain->failed) {
		waiting_drop(chain, waiting_find(chain, full));
		if (!job->verdict.valid) {
			refuse_block(chain, full, &job->verdict.reject);
		} else {
			ok = accept_block(chain, job, &err);
			if (ok)
				NOTIFY(&chain->notices, block_verdict, &full->entry, &full->source, NULL);
		}
	}
	state_unref(job->verdict.state);
	job_free(job);
	if (!ok)
		halt_fail(chain, &err);
	chain->again = true;
}

static void rest_run(void *arg)
{
	struct block_job *job = arg;

	job->verify.threads = queue_threads();
	verify_run(&job->verify, &job->verdict);
}

/* All threads for one block, as far as a step of this model can use them, since everybody waits for the one at the tip.
 * Of several that are verified at a time the queue gives them to the one whose bringer stands highest, in the middle of
 * another's too; of equals, to the first. */
static void post_part(struct block_job *job, queue_run *run, queue_done *done)
{
	queue_post(job->chain->queue,
		&(struct queue_job){
			.kind = QUEUE_BLOCK,
			.rank = job->turn.standing,
			.threads = backend_threads(backend_selected(), &spec_course(job->chain->spec)->train,
				job->chain->threads),
			.owner = job->chain,
			.run = run,
			.done = done,
			.arg = job,
		});
}

static void post_rest(struct block_job *job)
{
	NOTIFY(&job->chain->notices, block_proven, &job->full->entry, &job->full->source);
	post_part(job, rest_run, rest_done);
}

/* The own proof is right: the block goes to disk, and may ask for its blobs; the rest waits for them. */
static void own_right(struct block_job *job)
{
	struct chain *chain = job->chain;
	struct full_entry *full = job->full;
	const struct verify_proof *own = &job->verify.proofs[0];
	struct errmsg err;

	full->proven = true;
	if (full->entry.held && !waiting_store(chain, full, job->block, &err)) {
		job_free(job);
		halt_fail(chain, &err);
		return;
	}
	if (wants_met(chain, waiting_find(chain, full))) {
		post_rest(job);
		return;
	}
	proof_cache_put(chain->proofs, &own->header, PROOF_RIGHT, own->delta);
	job_free(job);
	wants_ask(chain, waiting_find(chain, full));
	chain->again = true;
}

static void own_run(void *arg)
{
	struct block_job *job = arg;

	job->verdict.valid = verify_one(job->verify.spec, job->verify.parent, &job->verify.proofs[0], queue_threads(),
		&job->verify.cancel, NULL, &job->verdict.reject);
}

/* Exactly one of three ways on: right, and the job goes on; false, and it ends as a refused block does; cancelled, and
 * it ends without a word. */
static void own_done(void *arg, bool cancelled)
{
	struct block_job *job = arg;

	cancelled = cancelled || atomic_load(&job->verify.cancel) || !entry_waits(job->full);
	if (!cancelled)
		sources_proved(job->turn.group, job->verdict.valid, clock_wall());
	if (!cancelled && job->verdict.valid) {
		own_right(job);
		return;
	}
	job->verdict.cancelled = cancelled;
	job->verdict.false_proof = cancelled ? SIZE_MAX : 0;
	rest_done(job, cancelled);
}

/* --- the beginning of a job --- */

/* The bytes of a block are gone or damaged: it must be fetched again. */
static void lose_block(struct chain *chain, struct full_entry *full, const struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();
	struct errmsg failure;

	log_error("[chain] %s: the block will be fetched again", err->text);
	waiting_drop(chain, waiting_find(chain, full));
	index_set_status(&chain->index, full, ENTRY_HEADER);
	full->block.size = 0;
	index_save(batch, full);
	if (!db_write(chain->db, batch, false, &failure))
		halt_fail(chain, &failure);
	db_batch_free(batch);
}

/* What can be said before any step is executed. */
static bool check_first(struct chain *chain, struct full_entry *full, const struct block *block, struct reject *reject)
{
	const struct index_entry *parent = full->entry.parent;
	struct errmsg err;

	if (memcmp(full->entry.header.model_root, parent->model_root_after, 32) != 0)
		return reject_set(reject, REASON_BAD_MODEL_ROOT,
			"the model root is not that of the state after the parent");
	for (size_t i = 0; i <= block->loose_count; i++) {
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

/* A dataset's bytes turned out to be missing: the block waits for them too. */
static void want_more(struct chain *chain, struct full_entry *full, const struct blob_want *missing,
	const struct errmsg *err)
{
	struct waiting_block *waiting = waiting_find(chain, full);

	if (missing->size == 0) {
		log_error("[chain] block %" PRIu32 " cannot be verified: %s", full->entry.height, err->text);
		full->stuck = true;
		return;
	}
	wants_add(waiting, missing);
	wants_ask(chain, waiting);
}

/* Puts a job to work whose block and inputs are all here. */
static void start_work(struct block_job *job)
{
	struct chain *chain = job->chain;

	sources_turn_begin(&job->turn, chain->sources, waiting_find(chain, job->full)->group, clock_wall());
	job->next = chain->jobs;
	chain->jobs = job;
	chain->job_count++;
	job->full->in_work = true;
	if (job->verify.proofs[0].delta != NULL)
		own_right(job);
	else
		post_part(job, own_run, own_done);
}

/* Every reason not to begin comes before the first step is executed, the cheapest first: a block costs its sender as
 * much as it costs us, or it costs nothing. */
void block_job_start(struct chain *chain, struct full_entry *full, struct state *parent)
{
	struct blob_want missing = { .size = 0 };
	struct block_job *job;
	struct reject reject;
	const struct block *block;
	struct errmsg err;

	block = waiting_read(chain, waiting_find(chain, full), &err);
	if (block == NULL || !check_first(chain, full, block, &reject) || chain->failed) {
		state_unref(parent);
		if (block == NULL) {
			lose_block(chain, full, &err);
		} else if (!chain->failed) {
			waiting_drop(chain, waiting_find(chain, full));
			refuse_block(chain, full, &reject);
		}
		block_unref(block);
		return;
	}
	job = mem_calloc(1, sizeof *job);
	job->chain = chain;
	job->full = full;
	job->block = block;
	job->verdict.false_proof = SIZE_MAX;
	job->began = clock_mono_ms();
	if (!step_inputs_block(chain, full, block, parent, true, &job->verify, &job->outcome, &missing, &err)) {
		want_more(chain, full, &missing, &err);
		block_unref(block);
		free(job);
		return;
	}
	start_work(job);
}
