/* Verification of blocks: which one next, on which worker, and what its verdict means.
 *
 * A block is taken up when its parent is verified and its branch could become the best, by the headers known: branches
 * with less work than the tip cost nothing. Which goes first says chain/verify/schedule.h; each address has one block
 * in work at most, so that no peer fills the workers. The own proof is executed by itself, before the block is written
 * and before anybody is asked for the blobs that it registers: a false block costs one step and no disk, and cannot
 * make the node wait for blobs that do not exist. Once it is right and the blobs are here the block may be announced.
 * The other proofs, mostly known from the pool of loose ones, and the update follow. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

/* A worker given to a group. */
struct turn {
	struct chain *chain;
	struct group *group;
	enum standing standing; /* when it began */
};

struct block_job {
	struct block_job *next;
	struct chain *chain;
	struct node *node;
	struct turn turn;
	struct block *block;
	struct block_outcome outcome;
	struct verify_job verify;
	struct verdict verdict;
	int64_t began; /* clock_mono_ms */
};

static void turn_begin(struct turn *turn, struct chain *chain, struct group *group)
{
	*turn = (struct turn){ chain, group, sources_standing(group, clock_wall()) };
	sources_serve(chain->sources, group);
	group->uses++;
	group->blocks++;
	chain->strangers_count += turn->standing == STANDING_STRANGER;
}

static void turn_end(const struct turn *turn)
{
	turn->chain->strangers_count -= turn->standing == STANDING_STRANGER;
	turn->group->blocks--;
	sources_release(turn->group);
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
	turn_end(&job->turn);
	verify_job_clear(&job->verify);
	block_free(job->block);
	free(job);
}

static void refuse(struct chain *chain, struct node *node, const struct reject *reject)
{
	connect_refuse(chain, node, reject->reason);
	NOTIFY(chain, block_verdict, &node->entry, &node->source, reject);
}

/* Remembers every proof that was executed, whatever became of the block. */
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
		ok = block_records_append_bodies(chain->blocks, chain->spec, job->node, bodies, count, err);
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
	if (!cancelled && node_waits(node) && !chain->failed) {
		waiting_drop(chain, waiting_find(chain, node));
		if (!job->verdict.valid) {
			refuse(chain, node, &job->verdict.reject);
		} else {
			ok = accept(chain, job, &err);
			if (ok)
				NOTIFY(chain, block_verdict, &node->entry, &node->source, NULL);
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

/* All threads for one block, since everybody waits for the one at the tip. Where branches compete each has a worker of
 * the pool: there must not be so many threads for every one of them, but a stranger's does not keep them
 * from others. */
static unsigned threads_for(const struct block_job *job)
{
	for (const struct block_job *other = job->chain->jobs; other != NULL; other = other->next)
		if (other != job && other->verify.threads > 1 && other->turn.standing >= job->turn.standing)
			return 1;
	return workers_threads(job->chain->workers);
}

static void post_rest(struct block_job *job)
{
	NOTIFY(job->chain, block_proven, &job->node->entry, &job->node->source);
	job->verify.threads = threads_for(job);
	workers_post(job->chain->workers, rest_run, rest_done, job, true);
}

/* The own proof is right: the block goes to disk, and may ask for its blobs; the rest waits for them. */
static void own_right(struct block_job *job)
{
	struct chain *chain = job->chain;
	struct node *node = job->node;
	const struct verify_proof *own = &job->verify.proofs[0];
	struct errmsg err;

	node->proven = true;
	if (node->entry.held && !waiting_store(chain, node, job->block, &err)) {
		job_free(job);
		chain_fail(chain, &err);
		return;
	}
	if (waiting_has_blobs(chain, waiting_find(chain, node))) {
		post_rest(job);
		return;
	}
	proof_cache_put(chain->proofs, &own->header, PROOF_RIGHT, own->delta);
	job_free(job);
	waiting_ask(chain, waiting_find(chain, node));
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

	cancelled = cancelled || atomic_load(&job->verify.cancel) || !node_waits(job->node);
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
static void lose_block(struct chain *chain, struct node *node, const struct errmsg *err)
{
	struct db_batch *batch = db_batch_new();
	struct errmsg failure;

	log_error("[chain] %s: the block will be fetched again", err->text);
	waiting_drop(chain, waiting_find(chain, node));
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
		if (proof_cache_verdict(chain->proofs, id) != PROOF_FALSE)
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
		node->stuck = true;
		return;
	}
	waiting_want(waiting, missing);
	waiting_ask(chain, waiting);
}

/* Puts a job to work whose block and inputs are all here. */
static void start_work(struct block_job *job)
{
	struct chain *chain = job->chain;

	turn_begin(&job->turn, chain, waiting_find(chain, job->node)->group);
	job->verify.threads = threads_for(job);
	job->next = chain->jobs;
	chain->jobs = job;
	chain->job_count++;
	job->node->in_work = true;
	if (job->verify.proofs[0].delta != NULL)
		own_right(job);
	else
		workers_post(chain->workers, own_run, own_done, job, true);
}

static void start_job(struct chain *chain, struct node *node, struct state *parent)
{
	struct blob_want missing = { .size = 0 };
	struct block_job *job;
	struct reject reject;
	struct block *block;
	struct errmsg err;

	block = waiting_read(chain, waiting_find(chain, node), &err);
	if (block == NULL || !check_first(chain, node, block, &reject) || chain->failed) {
		state_unref(parent);
		if (block == NULL) {
			lose_block(chain, node, &err);
		} else if (!chain->failed) {
			waiting_drop(chain, waiting_find(chain, node));
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
	job->began = clock_mono_ms();
	if (!step_inputs_block(chain, node, block, parent, true, &job->verify, &job->outcome, &missing, &err)) {
		want_more(chain, node, &missing, &err);
		block_free(block);
		free(job);
		return;
	}
	start_work(job);
}

/* --- which block next --- */

struct state_request {
	struct node *node;
	struct turn turn;
};

static void state_ready(void *context, struct state *state)
{
	struct state_request *request = context;
	struct chain *chain = request->turn.chain;

	/* Without the parent's state the block cannot be verified in this run; the log says why. */
	request->node->stuck = state == NULL;
	request->node->in_work = false;
	chain->request_count--;
	turn_end(&request->turn);
	state_unref(state);
	free(request);
	chain_advance(chain);
}

static void request_state(struct chain *chain, struct node *node)
{
	struct state_request *request = mem_alloc(sizeof *request);

	request->node = node;
	turn_begin(&request->turn, chain, waiting_find(chain, node)->group);
	node->in_work = true;
	chain->request_count++;
	states_request(chain->states, node_parent(node), state_ready, request);
}

static bool is_ready(const struct chain *chain, const struct waiting_block *waiting)
{
	const struct node *node = waiting->node;

	return !node->in_work && !node->stuck && !waiting->dropped && node_waits(node) &&
		entry_verified(node->entry.parent) && (waiting->group->own || waiting->group->blocks == 0) &&
		u256_compare(node->promised_work, chain_tip(chain)->chain_work) >= 0 &&
		waiting_has_blobs(chain, waiting);
}

void jobs_load(const struct chain *chain, struct workload *load)
{
	*load = (struct workload){
		.workers = workers_threads(chain->workers),
		.blocks = chain->job_count + chain->request_count,
		.strangers_blocks = chain->strangers_count,
		.loose = loose_pool_running(chain->loose),
	};
}

/* The ready block that goes first, if a worker may be had for it. */
static struct node *pick(struct chain *chain)
{
	const int64_t now = clock_wall();
	struct contender best;
	struct node *found = NULL;
	struct workload load;

	waiting_prune(chain);
	jobs_load(chain, &load);
	for (size_t i = 0; i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];
		const struct index_entry *parent = waiting->node->entry.parent;
		const struct contender contender = {
			.proven = parent->chain_work,
			.on_tip = parent == chain_tip(chain),
			.standing = sources_standing(waiting->group, now),
			.served = waiting->group->served,
			.order = waiting->order,
		};

		if (!schedule_block_fits(&load, contender.standing) || !is_ready(chain, waiting) ||
			(found != NULL && !schedule_before(&contender, &best)))
			continue;
		best = contender;
		found = waiting->node;
	}
	return found;
}

void jobs_start(struct chain *chain)
{
	struct node *node;

	while (!chain->failed && !chain->closing && (node = pick(chain)) != NULL) {
		struct state *parent = states_get(chain->states, node_parent(node));

		if (parent != NULL)
			start_job(chain, node, parent);
		else
			request_state(chain, node);
	}
}

void jobs_cancel_dropped(struct chain *chain)
{
	for (struct block_job *job = chain->jobs; job != NULL; job = job->next) {
		const struct waiting_block *waiting = waiting_find(chain, job->node);

		if (waiting != NULL && waiting->dropped)
			atomic_store(&job->verify.cancel, true);
	}
}

void jobs_stop(struct chain *chain)
{
	for (struct block_job *job = chain->jobs; job != NULL; job = job->next)
		atomic_store(&job->verify.cancel, true);
	while (chain->job_count > 0) {
		workers_wait(chain->workers);
		workers_drain(chain->workers);
	}
}

void chain_activity(const struct chain *chain, struct chain_activity *activity)
{
	memset(activity, 0, sizeof *activity);
	activity->blocks_waiting = chain->waiting_count - chain->job_count;
	activity->blocks_verifying = chain->job_count;
	activity->proofs_verifying = loose_pool_busy(chain->loose);
	activity->proofs_executed = chain->proofs_executed;
	activity->proofs_false = chain->proofs_false;
	activity->initial_download = chain->initial_download;
	if (chain->jobs != NULL) {
		activity->steps_done = atomic_load(&chain->jobs->verify.steps_done);
		activity->steps_total = (uint32_t)chain->jobs->verify.proof_count;
	}
}
