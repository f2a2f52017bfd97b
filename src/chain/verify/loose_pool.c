/* The pool of loose proofs, and the jobs that execute them. */
#include "chain/verify/loose_pool.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/tip.h"
#include "chain/verify/step_inputs.h"
#include "consensus/pace.h"
#include "util/clock.h"
#include "util/mem.h"

struct pooled_loose {
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
	struct pooled_loose *pool; /* ascending by seed */
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
static bool loose_pool_find(const struct loose_pool *loose, const uint8_t seed[32], size_t *pool_at)
{
	size_t low = 0, high = loose->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int seed_order = memcmp(loose->pool[middle].seed, seed, 32);

		if (seed_order == 0) {
			*pool_at = middle;
			return true;
		}
		if (seed_order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*pool_at = low;
	return false;
}

/* As many as a block may take: more would only wait to be forgotten with the tip. */
bool loose_pool_put(struct loose_pool *loose, const struct header *header)
{
	uint8_t loose_seed[32];
	size_t pool_at;

	header_seed(header, loose_seed);
	if (loose->count == loose->max || loose_pool_find(loose, loose_seed, &pool_at))
		return false;
	memmove(&loose->pool[pool_at + 1], &loose->pool[pool_at], (loose->count - pool_at) * sizeof *loose->pool);
	loose->count++;
	loose->pool[pool_at].header = *header;
	memcpy(loose->pool[pool_at].seed, loose_seed, 32);
	header_id(header, loose->pool[pool_at].id);
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

static const struct loose_job *loose_job_find(const struct loose_pool *loose, const uint8_t id[32])
{
	for (const struct loose_job *loose_job = loose->jobs; loose_job != NULL; loose_job = loose_job->next)
		if (memcmp(loose_job->proof.id, id, 32) == 0)
			return loose_job;
	return NULL;
}

bool chain_loose_known(const struct chain *chain, const uint8_t id[32])
{
	return proof_cache_verdict(chain->proofs, id) != PROOF_UNKNOWN;
}

/* --- execution --- */

static void loose_job_free(struct loose_job *loose_job)
{
	struct loose_pool *loose = loose_job->chain->loose;
	struct loose_job **link = &loose->jobs;

	while (*link != loose_job)
		link = &(*link)->next;
	*link = loose_job->next;
	loose->job_count--;
	loose->running -= loose_job->running;
	loose_job->group->loose--;
	sources_release(loose_job->group);
	state_unref(loose_job->state);
	free(loose_job->proof.windows);
	free(loose_job->proof.delta);
	free(loose_job);
}

static void loose_job_run(void *job_arg)
{
	struct loose_job *loose_job = job_arg;

	loose_job->right = verify_one(loose_job->chain->spec, loose_job->state, &loose_job->proof, 1,
		&loose_job->cancel, NULL, &loose_job->reject);
}

/* The verdict is about the proof, not the job: it is remembered even if the pool is full by now, and the job is gone
 * before anybody is told, who may hand in the next proof at once. */
static void loose_job_done(void *job_arg, bool cancelled)
{
	struct loose_job *loose_job = job_arg;
	struct chain *chain = loose_job->chain;
	const struct header loose_header = loose_job->proof.header;
	const struct source loose_source = loose_job->source;
	struct reject loose_reject = loose_job->reject;
	bool loose_right = loose_job->right;

	if (cancelled || atomic_load(&loose_job->cancel)) {
		chain->again = true;
		loose_job_free(loose_job);
		return;
	}
	sources_proved(loose_job->group, loose_right, clock_wall());
	proof_cache_put(chain->proofs, &loose_header, loose_right ? PROOF_RIGHT : PROOF_FALSE, loose_job->proof.delta);
	chain->proofs_executed += loose_right;
	chain->proofs_false += !loose_right;
	loose_job_free(loose_job);
	if (loose_right && !loose_pool_put(chain->loose, &loose_header)) {
		loose_right = false;
		reject_set(&loose_reject, REASON_LOOSE_POOL_FULL, "enough proofs wait for the next block");
	}
	NOTIFY(&chain->notices, proof_verdict, &loose_header, &loose_source, loose_right ? NULL : &loose_reject);
	chain->again = true;
}

/* The dataset may be missing, or the tip's state not at hand: then the proof is dropped, not refused. Its sender may
 * try again. */
static bool loose_job_start(struct chain *chain, struct loose_job *loose_job)
{
	const struct index_entry *tip = chain_tip(chain);
	struct errmsg err;
	struct step_draw loose_draw;

	step_inputs_draw(chain->spec, chain->registry, tip, &loose_draw);
	loose_job->proof.windows = step_inputs_windows(chain->spec, chain->blobs, &loose_draw, &loose_job->proof.header,
		&loose_job->proof.slot, NULL, &err);
	loose_job->state = loose_job->proof.windows != NULL ? states_get(chain->states, entry_full(tip)) : NULL;
	if (loose_job->state == NULL) {
		loose_job_free(loose_job);
		return false;
	}
	loose_job->running = true;
	chain->loose->running++;
	sources_serve(chain->sources, loose_job->group);
	queue_post(chain->queue,
		&(struct queue_job){
			.kind = QUEUE_LOOSE,
			.owner = chain->loose,
			.run = loose_job_run,
			.done = loose_job_done,
			.arg = loose_job,
		});
	return true;
}

/* All are for the tip's child, so what tells them apart is who brought them, and when. */
static struct loose_job *loose_job_next(const struct loose_pool *loose)
{
	const int64_t now = clock_wall();
	struct loose_job *next_loose = NULL;
	struct contender best_contender;

	for (struct loose_job *loose_job = loose->jobs; loose_job != NULL; loose_job = loose_job->next) {
		const struct contender contender = {
			.standing = sources_standing(loose_job->group, now),
			.served = loose_job->group->served,
			.order = loose_job->order,
		};

		if (loose_job->running || loose_job->group->blocks > 0 ||
			(next_loose != NULL && !schedule_before(&contender, &best_contender)))
			continue;
		best_contender = contender;
		next_loose = loose_job;
	}
	return next_loose;
}

void loose_pool_start(struct chain *chain, struct workload *load)
{
	while (!chain->closing && !chain->failed && schedule_loose_fits(load)) {
		struct loose_job *loose_job = loose_job_next(chain->loose);

		if (loose_job == NULL)
			return;
		load->loose += loose_job_start(chain, loose_job);
	}
}

/* Those of a group, or (NULL) all. */
static void loose_jobs_cancel(struct chain *chain, const struct source_group *group, bool running)
{
	struct loose_job *loose_job = chain->loose->jobs;

	while (loose_job != NULL) {
		struct loose_job *next_loose = loose_job->next;

		if (group == NULL || loose_job->group == group) {
			if (!loose_job->running)
				loose_job_free(loose_job);
			else if (running)
				atomic_store(&loose_job->cancel, true);
		}
		loose_job = next_loose;
	}
}

void loose_pool_forget(struct chain *chain, const struct source_group *group, bool discouraged)
{
	loose_jobs_cancel(chain, group, discouraged);
}

/* All were for a child of the old tip, and no block can take them in any more. */
void loose_pool_new_tip(struct chain *chain)
{
	loose_jobs_cancel(chain, NULL, true);
	chain->loose->count = 0;
}

void loose_pool_stop(struct chain *chain)
{
	loose_jobs_cancel(chain, NULL, true);
	queue_leave(chain->queue, chain->loose);
}

/* --- from outside --- */

static size_t loose_strangers(const struct loose_pool *loose, int64_t now)
{
	size_t strangers = 0;

	for (const struct loose_job *loose_job = loose->jobs; loose_job != NULL; loose_job = loose_job->next)
		strangers += sources_standing(loose_job->group, now) == STANDING_STRANGER;
	return strangers;
}

/* A proof costs its sender nothing to state and this node a step to refuse: so one for each address, and never more
 * than a block could take. */
static bool loose_has_place(const struct loose_pool *loose, struct source_group *group, struct reject *reject)
{
	const int64_t now = clock_wall();

	if (!group->own && group->loose > 0)
		return reject_set(reject, REASON_LOOSE_ONE_AT_A_TIME, "its address has a proof here that waits");
	if (loose->count == loose->max ||
		!schedule_queue_fits(loose->max, loose->job_count, loose_strangers(loose, now),
			sources_standing(group, now)))
		return reject_as(reject, REJECT_NOT_YET, REASON_LOOSE_POOL_FULL,
			"enough proofs wait for the next block");
	return true;
}

static enum chain_result loose_job_queue(struct chain *chain, const struct header *header, const uint8_t id[32],
	const struct source *source, struct reject *reject)
{
	struct loose_pool *loose = chain->loose;
	struct source_group *group = sources_take(chain->sources, source);
	struct loose_job *loose_job, **link = &loose->jobs;

	if (!loose_has_place(loose, group, reject)) {
		sources_release(group);
		return CHAIN_REJECTED;
	}
	loose_job = mem_calloc(1, sizeof *loose_job);
	loose_job->chain = chain;
	loose_job->group = group;
	loose_job->order = ++loose->order;
	if (source != NULL)
		loose_job->source = *source;
	loose_job->proof.header = *header;
	memcpy(loose_job->proof.id, id, 32);
	header_seed(header, loose_job->proof.seed);
	atomic_init(&loose_job->cancel, false);
	while (*link != NULL)
		link = &(*link)->next;
	*link = loose_job;
	loose->job_count++;
	group->loose++;
	return CHAIN_NEW;
}

uint64_t loose_pool_latest(const struct spec *spec, const struct parent_view *parent_view)
{
	const uint64_t now = (uint64_t)clock_wall();
	const uint64_t least_time = pace_least_time(spec, parent_view->height + 1, parent_view->base_time);

	return (least_time > now ? least_time : now) + spec_future_limit(spec);
}

/* From what is known to what must be computed: an id that was judged, one that is in work, then the rules, then a look
 * at the seed. A proof gets no further than this until a worker is free. */
enum chain_result loose_pool_add(struct chain *chain, const struct header *header, const struct source *source,
	struct reject *reject)
{
	const struct index_entry *tip = chain_tip(chain);
	const struct loose_job *loose_job;
	struct parent_view parent_view;
	uint8_t loose_id[32], loose_seed[32];
	size_t pool_at;

	header_id(header, loose_id);
	if (proof_cache_verdict(chain->proofs, loose_id) == PROOF_FALSE) {
		reject_set(reject, REASON_BAD_PROOF_DIGEST, "this proof was executed before");
		return CHAIN_REJECTED;
	}
	if (chain_loose_known(chain, loose_id))
		return CHAIN_KNOWN;
	loose_job = loose_job_find(chain->loose, loose_id);
	if (loose_job != NULL && source != NULL && memcmp(loose_job->group->key, source->group, SOURCE_GROUP) == 0)
		return CHAIN_KNOWN;
	if (loose_job != NULL) {
		reject_set(reject, REASON_LOOSE_IN_WORK, "the same proof has no verdict yet");
		return CHAIN_REJECTED;
	}
	if (memcmp(header->prev, tip->id, 32) != 0) {
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_PROOF_PARENT, "the proof is not for the present tip");
		return CHAIN_ORPHAN;
	}
	index_parent_view(tip, &parent_view);
	if (!block_check_loose(chain->spec, header, &parent_view, loose_pool_latest(chain->spec, &parent_view), reject))
		return CHAIN_REJECTED;
	header_seed(header, loose_seed);
	if (loose_pool_find(chain->loose, loose_seed, &pool_at)) {
		/* Another digest for a seed whose digest has been found: it cannot be right. */
		reject_set(reject, REASON_BAD_PROOF_DIGEST, "another digest of this seed is right");
		return CHAIN_REJECTED;
	}
	return loose_job_queue(chain, header, loose_id, source, reject);
}
