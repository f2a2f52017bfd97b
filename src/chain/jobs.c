/* Verification of stored blocks: which one next, on which worker, and what its verdict means.
 *
 * A block is taken up when its parent is verified and its branch could become the best, by the headers known: branches
 * with less work than the tip cost nothing. The best goes first; each source has one block in work at most, so that no
 * peer fills the workers. The own proof is executed by itself, before anybody is asked for the blobs that the block
 * registers: a false block costs one step, and cannot make the node wait for blobs that do not exist. Once it is right
 * and the blobs are here the block may be announced. The other proofs, mostly known from the pool of loose ones, and the
 * update follow. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "util/bytes.h"
#include "util/log.h"
#include "util/mem.h"

struct block_job {
	struct block_job *next;
	struct chain *chain;
	struct node *node;
	struct block *block;
	struct block_outcome outcome;
	struct verify_job verify;
	struct verdict verdict;
};

/* --- what a block waits for --- */

bool blob_is_here(const struct chain *chain, const struct blob_want *want)
{
	return blobs_size(chain->blobs, want->root) == want->size;
}

static size_t block_wants(const struct block *block, struct blob_want **wants)
{
	size_t count = 0;

	*wants = NULL;
	for (size_t i = 1; i < block->tx_count; i++) {
		for (size_t j = 0; j < block->txs[i]->output_count; j++) {
			struct contribution data;

			if (contribution_parse(&block->txs[i]->outputs[j].script, &data) != CONTRIBUTION_DATA)
				continue;
			*wants = mem_realloc(*wants, (count + 1) * sizeof **wants);
			memcpy((*wants)[count].root, data.root, 32);
			(*wants)[count++].size = data.size;
		}
	}
	return count;
}

/* The first of the blobs it needs for its next job. */
static size_t first_want(const struct waiting_block *waiting)
{
	return waiting->node->proven ? 0 : waiting->registered_count;
}

static bool blobs_are_here(const struct chain *chain, const struct waiting_block *waiting)
{
	for (size_t i = first_want(waiting); i < waiting->want_count; i++)
		if (!blob_is_here(chain, &waiting->wants[i]))
			return false;
	return true;
}

/* From a copy: whoever is told may bring a blob or a block at once, and the list changes. */
static void ask_for_blobs(struct chain *chain, const struct waiting_block *waiting)
{
	const size_t first = first_want(waiting), count = waiting->want_count - first;
	const uint64_t source = waiting->node->source;
	struct blob_want *wants;

	if (count == 0)
		return;
	wants = mem_dup(waiting->wants + first, count * sizeof *wants);
	for (size_t i = 0; i < count; i++)
		if (!blob_is_here(chain, &wants[i]))
			NOTIFY(chain, blob_wanted, wants[i].root, wants[i].size, source);
	free(wants);
}

void jobs_tell_wants(const struct chain *chain, const struct chain_events *events)
{
	for (size_t i = 0; events->blob_wanted != NULL && i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];

		for (size_t j = first_want(waiting); j < waiting->want_count; j++)
			if (!blob_is_here(chain, &waiting->wants[j]))
				events->blob_wanted(events->context, waiting->wants[j].root, waiting->wants[j].size,
					waiting->node->source);
	}
}

void jobs_ask_again(struct chain *chain)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		ask_for_blobs(chain, &chain->waiting[i]);
}

void jobs_wait(struct chain *chain, struct node *node, const struct block *block)
{
	struct waiting_block *waiting;

	if (chain->waiting_count == chain->waiting_cap) {
		chain->waiting_cap = chain->waiting_cap ? chain->waiting_cap * 2 : 16;
		chain->waiting = mem_realloc(chain->waiting, chain->waiting_cap * sizeof *chain->waiting);
	}
	waiting = &chain->waiting[chain->waiting_count++];
	waiting->node = node;
	waiting->want_count = waiting->registered_count = block_wants(block, &waiting->wants);
	for (size_t i = 0; i < waiting->want_count; i++)
		blobs_settle(chain->blobs, waiting->wants[i].root);
	index_note_stored(node);
}

bool jobs_want(const struct chain *chain, const struct blob_want *want)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		for (size_t j = 0; j < chain->waiting[i].want_count; j++)
			if (memcmp(&chain->waiting[i].wants[j].root, want->root, 32) == 0 &&
				chain->waiting[i].wants[j].size == want->size)
				return true;
	return false;
}

static struct waiting_block *waiting_find(struct chain *chain, const struct node *node)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		if (chain->waiting[i].node == node)
			return &chain->waiting[i];
	return NULL;
}

bool jobs_has(const struct chain *chain, const struct node *node)
{
	for (size_t i = 0; i < chain->waiting_count; i++)
		if (chain->waiting[i].node == node)
			return true;
	return false;
}

static void waiting_remove(struct chain *chain, struct waiting_block *waiting)
{
	free(waiting->wants);
	*waiting = chain->waiting[--chain->waiting_count];
}

/* --- the end of a job --- */

static void job_free(struct block_job *job)
{
	struct block_job **link = &job->chain->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	job->chain->job_count--;
	job->node->in_work = false;
	verify_job_clear(&job->verify);
	block_free(job->block);
	free(job);
}

static void refuse(struct chain *chain, struct node *node, const struct reject *reject)
{
	connect_refuse(chain, node, reject->reason);
	NOTIFY(chain, block_verdict, &node->entry, node->source, reject);
}

void warn_engine(const struct verify_proof *proof)
{
	if (proof->engine_fault)
		log_error("[chain] the BLAS of this machine gives wrong products: the reference engine had to put a proof "
			"right. Run the self-test, and do not mine on it");
}

/* Remembers every proof that was executed, whatever became of the block. */
static void keep_proofs(struct chain *chain, const struct block_job *job)
{
	for (size_t i = 0; i < job->verify.proof_count; i++) {
		const struct verify_proof *proof = &job->verify.proofs[i];

		warn_engine(proof);
		if (i == job->verdict.false_proof) {
			proofs_put(chain->proofs, &proof->header, PROOF_FALSE, NULL);
			chain->proofs_false++;
		} else if (proof->delta != NULL) {
			if (proofs_verdict(chain->proofs, proof->id) == PROOF_UNKNOWN)
				chain->proofs_executed++;
			proofs_put(chain->proofs, &proof->header, PROOF_RIGHT, proof->delta);
		}
	}
}

/* The block's proofs and its update are right: its bodies go to disk, its outcome into the index. */
static bool accept(struct chain *chain, struct block_job *job, struct errmsg *err)
{
	const size_t count = job->verify.proof_count;
	struct index_entry *entry = &job->node->entry;
	uint8_t **bodies = mem_calloc(count, sizeof *bodies);
	struct db_batch *batch;
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		bodies[i] = job->verify.proofs[i].delta;
	if (job->node->bodies.size == 0)
		ok = stored_append_bodies(chain->blocks, chain->spec, job->node, bodies, count, err);
	free(bodies);
	if (!ok)
		return false;
	entry->outcome = job->outcome;
	entry->outcome.outcome = job->verdict.outcome;
	entry->outcome.loss_before = job->verdict.loss_before;
	entry->outcome.loss_after = job->verdict.loss_after;
	memcpy(entry->model_root_after, state_root(job->verdict.state), 32);
	index_set_status(&chain->index, job->node, ENTRY_VERIFIED);
	states_put(chain->states, job->node, job->verdict.state);
	/* Not synced by itself: if a crash loses it, the block is verified again; and connecting it syncs. */
	batch = db_batch_new();
	index_save(batch, job->node);
	ok = db_write(chain->db, batch, false, err);
	db_batch_free(batch);
	return ok;
}

static void rest_done(void *arg, bool cancelled)
{
	struct block_job *job = arg;
	struct chain *chain = job->chain;
	struct node *node = job->node;
	struct errmsg err;
	bool ok = true;

	cancelled = cancelled || job->verdict.cancelled;
	if (!cancelled)
		keep_proofs(chain, job);
	/* A verdict for a block that the operator refused meanwhile is of no use. */
	if (!cancelled && node->entry.status == ENTRY_STORED && !chain->failed) {
		waiting_remove(chain, waiting_find(chain, node));
		if (!job->verdict.valid) {
			refuse(chain, node, &job->verdict.reject);
		} else {
			ok = accept(chain, job, &err);
			if (ok)
				NOTIFY(chain, block_verdict, &node->entry, node->source, NULL);
		}
	}
	state_unref(job->verdict.state);
	job_free(job);
	if (!ok)
		chain_fail(chain, &err);
	chain_advance(chain);
}

static void rest_run(void *arg)
{
	struct block_job *job = arg;

	verify_run(&job->verify, &job->verdict);
}

static void post_rest(struct block_job *job)
{
	NOTIFY(job->chain, block_proven, &job->node->entry, job->node->source);
	pool_post(job->chain->pool, rest_run, rest_done, job, true);
}

/* The own proof is right, and with it the block may ask for its blobs; the rest waits for them. */
static void own_right(struct block_job *job)
{
	struct chain *chain = job->chain;
	struct node *node = job->node;
	struct waiting_block *waiting = waiting_find(chain, node);
	const struct verify_proof *own = &job->verify.proofs[0];

	node->proven = true;
	if (blobs_are_here(chain, waiting)) {
		post_rest(job);
		return;
	}
	proofs_put(chain->proofs, &own->header, PROOF_RIGHT, own->delta);
	job_free(job);
	ask_for_blobs(chain, waiting);
	chain_advance(chain);
}

static void own_run(void *arg)
{
	struct block_job *job = arg;

	job->verdict.valid = verify_one(job->verify.spec, job->verify.parent, &job->verify.proofs[0],
		job->verify.threads, &job->verify.cancel, NULL, &job->verdict.reject);
}

static void own_done(void *arg, bool cancelled)
{
	struct block_job *job = arg;

	cancelled = cancelled || atomic_load(&job->verify.cancel) || job->node->entry.status != ENTRY_STORED;
	if (!cancelled && job->verdict.valid) {
		own_right(job);
		return;
	}
	job->verdict.cancelled = cancelled;
	job->verdict.false_proof = cancelled ? SIZE_MAX : 0;
	rest_done(job, cancelled);
}

/* --- the beginning of a job --- */

/* The bytes of a stored block are gone or damaged: it must be fetched again. */
static void lose_block(struct chain *chain, struct node *node, const struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();
	struct errmsg failure;

	log_error("[chain] %s: the block will be fetched again", err->text);
	waiting_remove(chain, waiting_find(chain, node));
	index_set_status(&chain->index, node, ENTRY_HEADER);
	node->block.size = 0;
	index_save(batch, node);
	if (!db_write(chain->db, batch, false, &failure))
		chain_fail(chain, &failure);
	db_batch_free(batch);
}

/* What can be said before any step is executed. */
static bool check_first(struct chain *chain, struct node *node, const struct block *block, struct reject *reject)
{
	const struct index_entry *parent = node->entry.parent;
	struct errmsg err;

	if (memcmp(node->entry.header.model_root, parent->model_root_after, 32) != 0)
		return reject_set(reject, REJECT_INVALID, "bad-model-root",
			"the model root is not that of the state after the parent");
	for (size_t i = 0; i <= block->loose_count; i++) {
		uint8_t id[32];

		header_id(i == 0 ? &block->header : &block->loose[i - 1], id);
		if (proofs_verdict(chain->proofs, id) != PROOF_FALSE)
			continue;
		reject_set(reject, REJECT_INVALID, "bad-proof-digest",
			"proof %zu was executed before, and its digest was not what the step gives", i);
		/* Whoever passes a block on has executed its own proof, not yet the others. */
		if (i > 0)
			reject->ban_score = 0;
		return false;
	}
	if (parent != chain_tip(chain))
		return true;
	switch (connect_check(chain, node, block, reject, &err)) {
	case CONNECT_OK:
		return true;
	case CONNECT_INVALID:
		return false;
	case CONNECT_FAILED:
		chain_fail(chain, &err);
		return true;
	}
	return true;
}

/* A dataset's bytes turned out to be missing: the block waits for them too. */
static void want_more(struct chain *chain, struct node *node, const struct blob_want *missing, const struct errmsg *err)
{
	struct waiting_block *waiting = waiting_find(chain, node);

	if (missing->size == 0) {
		log_error("[chain] block %" PRIu32 " cannot be verified: %s", node->entry.height, err->text);
		node->in_work = true;    /* never again in this run */
		return;
	}
	waiting->wants = mem_realloc(waiting->wants, (waiting->want_count + 1) * sizeof *waiting->wants);
	waiting->wants[waiting->want_count++] = *missing;
	ask_for_blobs(chain, waiting);
}

static void start_job(struct chain *chain, struct node *node, struct state *parent)
{
	struct blob_want missing = { .size = 0 };
	struct block_job *job;
	struct reject reject;
	struct block *block;
	struct errmsg err;

	block = stored_read(chain->blocks, chain->spec, node, false, &err);
	if (block == NULL || !check_first(chain, node, block, &reject) || chain->failed) {
		state_unref(parent);
		if (block == NULL) {
			lose_block(chain, node, &err);
		} else if (!chain->failed) {
			waiting_remove(chain, waiting_find(chain, node));
			refuse(chain, node, &reject);
		}
		block_free(block);
		return;
	}
	job = mem_calloc(1, sizeof *job);
	job->chain = chain;
	job->node = node;
	job->block = block;
	job->verdict.false_proof = SIZE_MAX;
	if (!gather_block(chain, node, block, parent, true, &job->verify, &job->outcome, &missing, &err)) {
		want_more(chain, node, &missing, &err);
		block_free(block);
		free(job);
		return;
	}
	/* A block at the tip is alone, and everybody waits for it. Where branches compete each has a worker of the pool: there
	 * must not be so many threads for every one of them. */
	job->verify.threads = chain->job_count == 0 ? pool_threads(chain->pool) : 1;
	job->next = chain->jobs;
	chain->jobs = job;
	chain->job_count++;
	node->in_work = true;
	if (job->verify.proofs[0].delta != NULL)
		own_right(job);
	else
		pool_post(chain->pool, own_run, own_done, job, true);
}

/* --- which block next --- */

struct state_request {
	struct chain *chain;
	struct node *node;
};

static void state_ready(void *context, struct state *state)
{
	struct state_request *request = context;
	struct chain *chain = request->chain;

	/* Without the parent's state the block cannot be verified in this run; the log says why. */
	request->node->in_work = state == NULL;
	state_unref(state);
	free(request);
	chain_advance(chain);
}

static bool source_is_busy(const struct chain *chain, uint64_t source)
{
	if (source == 0)
		return false;
	for (const struct block_job *job = chain->jobs; job != NULL; job = job->next)
		if (job->node->source == source)
			return true;
	return false;
}

static bool is_ready(const struct chain *chain, const struct waiting_block *waiting)
{
	const struct node *node = waiting->node;

	return !node->in_work && entry_verified(node->entry.parent) && !source_is_busy(chain, node->source) &&
		u256_compare(node->promised_work, chain_tip(chain)->chain_work) >= 0 && blobs_are_here(chain, waiting);
}

/* The ready block whose branch has most work, dropping those that wait no more (refused meanwhile). */
static struct node *pick(struct chain *chain)
{
	struct node *best = NULL;

	for (size_t i = 0; i < chain->waiting_count;) {
		struct node *node = chain->waiting[i].node;

		if (node->entry.status != ENTRY_STORED && !node->in_work) {
			waiting_remove(chain, &chain->waiting[i]);
			continue;
		}
		if (node->entry.status == ENTRY_STORED && is_ready(chain, &chain->waiting[i]) &&
			(best == NULL || u256_compare(node->stored_work, best->stored_work) > 0))
			best = node;
		i++;
	}
	return best;
}

void jobs_start(struct chain *chain)
{
	const unsigned threads = pool_threads(chain->pool);
	const size_t most = threads > 1 ? threads - 1 : 1;
	struct node *node;

	while (!chain->failed && !chain->closing && chain->job_count < most && (node = pick(chain)) != NULL) {
		struct state *parent = states_get(chain->states, node_parent(node));

		if (parent != NULL) {
			start_job(chain, node, parent);
		} else {
			struct state_request *request = mem_alloc(sizeof *request);

			*request = (struct state_request){ chain, node };
			node->in_work = true;
			states_request(chain->states, node_parent(node), state_ready, request);
		}
	}
}

void jobs_stop(struct chain *chain)
{
	for (struct block_job *job = chain->jobs; job != NULL; job = job->next)
		atomic_store(&job->verify.cancel, true);
	while (chain->job_count > 0) {
		pool_wait(chain->pool);
		pool_drain(chain->pool);
	}
	for (size_t i = 0; i < chain->waiting_count; i++)
		free(chain->waiting[i].wants);
	free(chain->waiting);
	chain->waiting = NULL;
	chain->waiting_count = 0;
}

void chain_activity(const struct chain *chain, struct chain_activity *activity)
{
	memset(activity, 0, sizeof *activity);
	activity->blocks_waiting = chain->waiting_count - chain->job_count;
	activity->blocks_verifying = chain->job_count;
	activity->proofs_verifying = loose_busy(chain->loose);
	activity->proofs_executed = chain->proofs_executed;
	activity->proofs_false = chain->proofs_false;
	activity->initial_download = chain->initial_download;
	if (chain->jobs != NULL) {
		activity->steps_done = atomic_load(&chain->jobs->verify.steps_done);
		activity->steps_total = (uint32_t)chain->jobs->verify.proof_count;
	}
}
