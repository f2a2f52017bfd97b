/* The pool of loose proofs, and the jobs that execute them. */
#include "chain/verify/loose_pool.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/tip.h"
#include "chain/verify/step_inputs.h"
#include "util/clock.h"
#include "util/mem.h"

struct pooled {
	struct header header;
	uint8_t id[32], seed[32];
};

struct loose_job {
	struct loose_job *next;
	struct chain *chain;
	struct verify_proof proof;
	struct state *state; /* the tip's, while it is in work */
	struct source source;
	struct source_group *group;
	uint64_t order;
	bool running, right;
	atomic_bool cancel;
	struct reject reject;
};

struct loose_pool {
	const struct spec *spec;
	size_t max;
	struct pooled *pool; /* ascending by seed */
	size_t count;
	struct loose_job *jobs; /* oldest first */
	size_t job_count, running;
	uint64_t order; /* the last one given */
};

struct loose_pool *loose_pool_new(const struct spec *spec)
{
	struct loose_pool *loose = mem_calloc(1, sizeof *loose);

	loose->spec = spec;
	loose->max = 4 * (size_t)spec->k;
	loose->pool = mem_calloc(loose->max, sizeof *loose->pool);
	return loose;
}

void loose_pool_free(struct loose_pool *loose)
{
	if (loose == NULL)
		return;
	free(loose->pool);
	free(loose);
}

size_t loose_pool_busy(const struct loose_pool *loose)
{
	return loose->job_count;
}

size_t loose_pool_running(const struct loose_pool *loose)
{
	return loose->running;
}

/* Where a seed stands or would stand; true if it is there. */
static bool pool_find(const struct loose_pool *loose, const uint8_t seed[32], size_t *at)
{
	size_t low = 0, high = loose->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = memcmp(loose->pool[middle].seed, seed, 32);

		if (order == 0) {
			*at = middle;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*at = low;
	return false;
}

/* As many as a block may take: more would only wait to be forgotten with the tip. */
bool loose_pool_put(struct loose_pool *loose, const struct header *header)
{
	uint8_t seed[32];
	size_t at;

	header_seed(header, seed);
	if (loose->count == loose->max || pool_find(loose, seed, &at))
		return false;
	memmove(&loose->pool[at + 1], &loose->pool[at], (loose->count - at) * sizeof *loose->pool);
	loose->count++;
	loose->pool[at].header = *header;
	memcpy(loose->pool[at].seed, seed, 32);
	header_id(header, loose->pool[at].id);
	return true;
}

size_t chain_loose_count(const struct chain *chain)
{
	return chain->loose->count;
}

const struct header *chain_loose_get(const struct chain *chain, size_t index)
{
	return index < chain->loose->count ? &chain->loose->pool[index].header : NULL;
}

static const struct loose_job *job_find(const struct loose_pool *loose, const uint8_t id[32])
{
	for (const struct loose_job *job = loose->jobs; job != NULL; job = job->next)
		if (memcmp(job->proof.id, id, 32) == 0)
			return job;
	return NULL;
}

bool chain_loose_known(const struct chain *chain, const uint8_t id[32])
{
	return proof_cache_verdict(chain->proofs, id) != PROOF_UNKNOWN;
}

/* --- execution --- */

static void job_free(struct loose_job *job)
{
	struct loose_pool *loose = job->chain->loose;
	struct loose_job **link = &loose->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	loose->job_count--;
	loose->running -= job->running;
	job->group->loose--;
	sources_release(job->group);
	state_unref(job->state);
	free(job->proof.windows);
	free(job->proof.delta);
	free(job);
}

static void job_run(void *arg)
{
	struct loose_job *job = arg;

	job->right = verify_one(job->chain->spec, job->state, &job->proof, 1, &job->cancel, NULL, &job->reject);
}

/* The verdict is about the proof, not the job: it is remembered even if the pool is full by now, and the job is gone
 * before anybody is told, who may hand in the next proof at once. */
static void job_done(void *arg, bool cancelled)
{
	struct loose_job *job = arg;
	struct chain *chain = job->chain;
	const struct header header = job->proof.header;
	const struct source source = job->source;
	struct reject reject = job->reject;
	bool right = job->right;

	if (cancelled || atomic_load(&job->cancel)) {
		chain->again = true;
		job_free(job);
		return;
	}
	sources_proved(job->group, right, clock_wall());
	proof_cache_put(chain->proofs, &header, right ? PROOF_RIGHT : PROOF_FALSE, job->proof.delta);
	chain->proofs_executed += right;
	chain->proofs_false += !right;
	job_free(job);
	if (right && !loose_pool_put(chain->loose, &header)) {
		right = false;
		reject_set(&reject, REASON_LOOSE_POOL_FULL, "enough proofs wait for the next block");
	}
	NOTIFY(&chain->notices, proof_verdict, &header, &source, right ? NULL : &reject);
	chain->again = true;
}

/* The dataset may be missing, or the tip's state not at hand: then the proof is dropped, not refused. Its sender may
 * try again. */
static bool start_job(struct chain *chain, struct loose_job *job)
{
	const struct index_entry *tip = chain_tip(chain);
	struct errmsg err;
	struct draw draw;

	step_inputs_draw(chain->spec, chain->registry, tip, &draw);
	job->proof.windows = step_inputs_windows(chain->spec, chain->blobs, &draw, &job->proof.header, &job->proof.slot,
		NULL, &err);
	job->state = job->proof.windows != NULL ? states_get(chain->states, entry_full(tip)) : NULL;
	if (job->state == NULL) {
		job_free(job);
		return false;
	}
	job->running = true;
	chain->loose->running++;
	sources_serve(chain->sources, job->group);
	queue_post(chain->queue,
		&(struct queue_job){
			.kind = QUEUE_LOOSE,
			.owner = chain->loose,
			.run = job_run,
			.done = job_done,
			.arg = job,
		});
	return true;
}

/* All are for the tip's child, so what tells them apart is who brought them, and when. */
static struct loose_job *next_job(const struct loose_pool *loose)
{
	const int64_t now = clock_wall();
	struct loose_job *found = NULL;
	struct contender best;

	for (struct loose_job *job = loose->jobs; job != NULL; job = job->next) {
		const struct contender contender = {
			.standing = sources_standing(job->group, now),
			.served = job->group->served,
			.order = job->order,
		};

		if (job->running || job->group->blocks > 0 || (found != NULL && !schedule_before(&contender, &best)))
			continue;
		best = contender;
		found = job;
	}
	return found;
}

void loose_pool_start(struct chain *chain, struct workload *load)
{
	while (!chain->closing && !chain->failed && schedule_loose_fits(load)) {
		struct loose_job *job = next_job(chain->loose);

		if (job == NULL)
			return;
		load->loose += start_job(chain, job);
	}
}

/* Those of a group, or (NULL) all. */
static void cancel_jobs(struct chain *chain, const struct source_group *group, bool running)
{
	struct loose_job *job = chain->loose->jobs;

	while (job != NULL) {
		struct loose_job *next = job->next;

		if (group == NULL || job->group == group) {
			if (!job->running)
				job_free(job);
			else if (running)
				atomic_store(&job->cancel, true);
		}
		job = next;
	}
}

void loose_pool_forget(struct chain *chain, const struct source_group *group, bool discouraged)
{
	cancel_jobs(chain, group, discouraged);
}

/* All were for a child of the old tip, and no block can take them in any more. */
void loose_pool_new_tip(struct chain *chain)
{
	cancel_jobs(chain, NULL, true);
	chain->loose->count = 0;
}

void loose_pool_stop(struct chain *chain)
{
	cancel_jobs(chain, NULL, true);
	queue_leave(chain->queue, chain->loose);
}

/* --- from outside --- */

static size_t strangers_waiting(const struct loose_pool *loose, int64_t now)
{
	size_t count = 0;

	for (const struct loose_job *job = loose->jobs; job != NULL; job = job->next)
		count += sources_standing(job->group, now) == STANDING_STRANGER;
	return count;
}

/* A proof costs its sender nothing to state and this node a step to refuse: so one for each address, and never more
 * than a block could take. */
static bool has_place(const struct loose_pool *loose, struct source_group *group, struct reject *reject)
{
	const int64_t now = clock_wall();

	if (!group->own && group->loose > 0)
		return reject_set(reject, REASON_LOOSE_ONE_AT_A_TIME, "its address has a proof here that waits");
	if (loose->count == loose->max ||
		!schedule_queue_fits(loose->max, loose->job_count, strangers_waiting(loose, now),
			sources_standing(group, now)))
		return reject_as(reject, REJECT_NOT_YET, REASON_LOOSE_POOL_FULL,
			"enough proofs wait for the next block");
	return true;
}

static enum chain_result queue_job(struct chain *chain, const struct header *header, const uint8_t id[32],
	const struct source *source, struct reject *reject)
{
	struct loose_pool *loose = chain->loose;
	struct source_group *group = sources_take(chain->sources, source);
	struct loose_job *job, **link = &loose->jobs;

	if (!has_place(loose, group, reject)) {
		sources_release(group);
		return CHAIN_REJECTED;
	}
	job = mem_calloc(1, sizeof *job);
	job->chain = chain;
	job->group = group;
	job->order = ++loose->order;
	if (source != NULL)
		job->source = *source;
	job->proof.header = *header;
	memcpy(job->proof.id, id, 32);
	header_seed(header, job->proof.seed);
	atomic_init(&job->cancel, false);
	while (*link != NULL)
		link = &(*link)->next;
	*link = job;
	loose->job_count++;
	group->loose++;
	return CHAIN_NEW;
}

/* From what is known to what must be computed: an id that was judged, one that is in work, then the rules, then a look
 * at the seed. A proof gets no further than this until a worker is free. */
enum chain_result loose_pool_add(struct chain *chain, const struct header *header, const struct source *source,
	struct reject *reject)
{
	const struct index_entry *tip = chain_tip(chain);
	const uint64_t now = (uint64_t)clock_wall();
	const struct loose_job *job;
	struct parent_view view;
	uint8_t id[32], seed[32];
	size_t at;

	header_id(header, id);
	if (proof_cache_verdict(chain->proofs, id) == PROOF_FALSE) {
		reject_set(reject, REASON_BAD_PROOF_DIGEST, "this proof was executed before");
		return CHAIN_REJECTED;
	}
	if (chain_loose_known(chain, id))
		return CHAIN_KNOWN;
	job = job_find(chain->loose, id);
	if (job != NULL && source != NULL && memcmp(job->group->key, source->group, SOURCE_GROUP) == 0)
		return CHAIN_KNOWN;
	if (job != NULL) {
		reject_set(reject, REASON_LOOSE_IN_WORK, "the same proof has no verdict yet");
		return CHAIN_REJECTED;
	}
	if (memcmp(header->prev, tip->id, 32) != 0) {
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_PROOF_PARENT, "the proof is not for the present tip");
		return CHAIN_ORPHAN;
	}
	index_parent_view(tip, &view);
	if (!block_check_loose(chain->spec, header, &view, now + spec_future_limit(chain->spec), reject))
		return CHAIN_REJECTED;
	header_seed(header, seed);
	if (pool_find(chain->loose, seed, &at)) {
		/* Another digest for a seed whose digest has been found: it cannot be right. */
		reject_set(reject, REASON_BAD_PROOF_DIGEST, "another digest of this seed is right");
		return CHAIN_REJECTED;
	}
	return queue_job(chain, header, id, source, reject);
}
