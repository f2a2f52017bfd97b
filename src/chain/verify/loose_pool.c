/* Loose and late proofs that peers bring: which wait, and the jobs that execute them. */
#include "chain/verify/loose_pool.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/tip.h"
#include "chain/verify/candidates.h"
#include "chain/verify/step_inputs.h"
#include "consensus/pace.h"
#include "util/clock.h"
#include "util/mem.h"

struct loose_job {
	struct loose_job *next;
	struct chain *chain;
	struct verify_proof proof;
	const struct index_entry *parent;
	struct state *state; /* after the parent, while it is executed */
	struct source source;
	struct source_group *group;
	uint64_t order;
	bool running; /* executed, or the state for it is replayed */
	bool right;
	atomic_bool cancel;
	struct reject reject;
};

struct loose_pool {
	size_t max;             /* that wait */
	struct loose_job *jobs; /* oldest first */
	size_t job_count, running;
	uint64_t order; /* the last one given */
};

struct loose_pool *loose_pool_new(const struct spec *spec)
{
	struct loose_pool *loose = mem_calloc(1, sizeof *loose);

	loose->max = 4 * (size_t)spec->k;
	return loose;
}

void loose_pool_free(struct loose_pool *loose)
{
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

static const struct loose_job *loose_job_find(const struct loose_pool *loose, const uint8_t id[32])
{
	for (const struct loose_job *loose_job = loose->jobs; loose_job != NULL; loose_job = loose_job->next)
		if (memcmp(loose_job->proof.id, id, 32) == 0)
			return loose_job;
	return NULL;
}

bool chain_loose_known(const struct chain *chain, const uint8_t id[32])
{
	return proof_cache_verdict(chain->proofs, id) != PROOF_UNKNOWN || chain_candidate(chain, id) != NULL;
}

bool chain_loose_in_work(const struct chain *chain, const uint8_t id[32])
{
	const struct loose_job *loose_job = loose_job_find(chain->loose, id);

	return loose_job != NULL && !atomic_load(&loose_job->cancel);
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
	if (loose_right && !candidates_put(chain, &loose_header)) {
		loose_right = false;
		reject_set(&loose_reject, REASON_LOOSE_POOL_FULL, "enough proofs of its parent wait for a block");
	}
	NOTIFY(&chain->notices, proof_verdict, &loose_header, &loose_source, loose_right ? NULL : &loose_reject);
	chain->again = true;
}

/* The state is the job's. */
static void loose_job_post(struct loose_job *loose_job, struct state *state)
{
	struct chain *chain = loose_job->chain;

	loose_job->state = state;
	queue_post(chain->queue,
		&(struct queue_job){
			.kind = QUEUE_LOOSE,
			.rank = QUEUE_LOOSE_RANKS - 1,
			.owner = chain->loose,
			.run = loose_job_run,
			.done = loose_job_done,
			.arg = loose_job,
		});
}

/* Of an older block, or after a restart: it was replayed, or cannot be had. The sender may try again. */
static void loose_job_state_ready(void *context, struct state *state)
{
	struct loose_job *loose_job = context;
	struct chain *chain = loose_job->chain;

	if (state != NULL && !atomic_load(&loose_job->cancel) && !chain->closing) {
		loose_job_post(loose_job, state);
		return;
	}
	state_unref(state);
	loose_job_free(loose_job);
	chain->again = true;
}

/* False: the dataset may be missing; then the proof is dropped, not refused, and its
 * sender may try again. */
static bool loose_job_gather(struct chain *chain, struct loose_job *loose_job)
{
	struct step_draw loose_draw;
	struct errmsg err;

	if (loose_job->parent == chain_tip(chain))
		step_inputs_draw(chain->spec, chain->registry, loose_job->parent, &loose_draw);
	else if (step_inputs_late_draw(chain->registry, chain_tip(chain), &loose_job->proof.header, &loose_draw) ==
		NULL)
		return false;
	loose_job->proof.windows = step_inputs_windows(chain->spec, chain->blobs, &loose_draw, &loose_job->proof.header,
		&loose_job->proof.slot, NULL, &err);
	return loose_job->proof.windows != NULL;
}

static bool loose_job_start(struct chain *chain, struct loose_job *loose_job)
{
	const struct full_entry *parent_full = entry_full(loose_job->parent);
	struct state *parent_state;

	if (!loose_job_gather(chain, loose_job)) {
		loose_job_free(loose_job);
		return false;
	}
	loose_job->running = true;
	chain->loose->running++;
	sources_serve(chain->sources, loose_job->group);
	parent_state = states_get(chain->states, parent_full);
	if (parent_state != NULL)
		loose_job_post(loose_job, parent_state);
	else
		states_request(chain->states, parent_full, QUEUE_LOOSE, QUEUE_LOOSE_RANKS - 1, loose_job_state_ready,
			loose_job);
	return true;
}

/* For the tip's child before what is late, the newest of that first; then by who brought them, and when. */
static struct loose_job *loose_job_next(const struct loose_pool *loose)
{
	const int64_t now = clock_wall();
	struct loose_job *next_loose = NULL;
	struct contender best_contender;

	for (struct loose_job *loose_job = loose->jobs; loose_job != NULL; loose_job = loose_job->next) {
		const struct contender contender = {
			.proven = loose_job->parent->chain_work,
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

/* What runs sees the flag; what waits goes at once. */
static void loose_job_cancel(struct loose_job *loose_job)
{
	if (loose_job->running)
		atomic_store(&loose_job->cancel, true);
	else
		loose_job_free(loose_job);
}

void loose_pool_forget(struct chain *chain, const struct source_group *group, bool discouraged)
{
	for (struct loose_job *loose_job = chain->loose->jobs, *next_loose; loose_job != NULL; loose_job = next_loose) {
		next_loose = loose_job->next;
		if (loose_job->group == group && (discouraged || !loose_job->running))
			loose_job_cancel(loose_job);
	}
}

/* Blocks that a child of the tip can list proofs of: the tip, and those of the active chain whose proofs are late. */
static bool loose_is_in_reach(const struct chain *chain, const struct index_entry *parent)
{
	return chain_is_active(chain, parent) && parent->height + BLOCK_LATE_BACK >= chain_tip(chain)->height;
}

/* What was for a child of the old tip goes on: it is late. What no block can list any more ends. */
void loose_pool_new_tip(struct chain *chain)
{
	for (struct loose_job *loose_job = chain->loose->jobs, *next_loose; loose_job != NULL; loose_job = next_loose) {
		next_loose = loose_job->next;
		if (!loose_is_in_reach(chain, loose_job->parent) ||
			registry_is_listed(chain->registry, loose_job->proof.seed))
			loose_job_cancel(loose_job);
	}
}

void loose_pool_stop(struct chain *chain)
{
	for (struct loose_job *loose_job = chain->loose->jobs, *next_loose; loose_job != NULL; loose_job = next_loose) {
		next_loose = loose_job->next;
		loose_job_cancel(loose_job);
	}
	queue_leave(chain->queue, chain->loose);
}

/* --- from outside --- */

/* A proof costs its sender nothing to state and this node a step to refuse: so one for each address, and never more
 * than a block could take. Late ones take no places from those for the tip's child. */
static bool loose_has_place(const struct chain *chain, const struct index_entry *parent, struct source_group *group,
	struct reject *reject)
{
	const struct loose_pool *loose = chain->loose;
	const bool late = parent != chain_tip(chain);
	const int64_t now = clock_wall();
	size_t waiting = 0, strangers = 0;

	if (!group->own && group->loose > 0)
		return reject_set(reject, REASON_LOOSE_ONE_AT_A_TIME, "its address has a proof here that waits");
	for (const struct loose_job *loose_job = loose->jobs; loose_job != NULL; loose_job = loose_job->next) {
		if ((loose_job->parent != chain_tip(chain)) != late)
			continue;
		waiting++;
		strangers += sources_standing(loose_job->group, now) == STANDING_STRANGER;
	}
	if (!candidates_has_place(chain, parent) ||
		!schedule_queue_fits(loose->max, waiting, strangers, sources_standing(group, now)))
		return reject_as(reject, REJECT_NOT_YET, REASON_LOOSE_POOL_FULL, "enough proofs wait for %s",
			late ? "being listed late" : "the next block");
	return true;
}

static enum chain_result loose_job_queue(struct chain *chain, const struct header *header,
	const struct index_entry *parent, const struct source *source, struct reject *reject)
{
	struct loose_pool *loose = chain->loose;
	struct source_group *group = sources_take(chain->sources, source);
	struct loose_job *loose_job, **link = &loose->jobs;

	if (!loose_has_place(chain, parent, group, reject)) {
		sources_release(group);
		return CHAIN_REJECTED;
	}
	loose_job = mem_calloc(1, sizeof *loose_job);
	loose_job->chain = chain;
	loose_job->parent = parent;
	loose_job->group = group;
	loose_job->order = ++loose->order;
	if (source != NULL)
		loose_job->source = *source;
	loose_job->proof.header = *header;
	header_id(header, loose_job->proof.id);
	header_seed(header, loose_job->proof.seed);
	atomic_init(&loose_job->cancel, false);
	while (*link != NULL)
		link = &(*link)->next;
	*link = loose_job;
	loose->job_count++;
	group->loose++;
	return CHAIN_NEW;
}

/* The latest time of one that is taken now: the block that lists it is dated by a clock like this one, or later. */
static uint64_t loose_latest(const struct spec *spec, const struct parent_view *tip_view)
{
	const uint64_t now = (uint64_t)clock_wall();
	const uint64_t least_time = pace_least_time(spec, tip_view->height + 1, tip_view->base_time);

	return (least_time > now ? least_time : now) + spec_future_limit(spec);
}

/* One that is right but for a ticket under the block target may be late when a block has come: its sender may know that
 * one. What is wrong in another way says so first, whatever its ticket. */
static bool loose_check_next(const struct chain *chain, const struct header *header, const struct parent_view *tip_view,
	struct reject *reject)
{
	struct u256 block_target;
	uint8_t ticket[32];

	if (block_check_loose(chain->spec, header, tip_view, loose_latest(chain->spec, tip_view), reject))
		return true;
	header_ticket(header, ticket);
	if (reject->why != REASON_BAD_PROOF_TICKET || !target_from_compact(header->bits, &block_target) ||
		!target_met(ticket, block_target))
		return false;
	return reject_as(reject, REJECT_NOT_YET, REASON_BAD_PROOF_TICKET,
		"the ticket is a block's, and its parent has no other child yet");
}

enum chain_result loose_pool_check(const struct chain *chain, const struct header *header,
	const struct index_entry **parent, struct reject *reject)
{
	const struct index_entry *tip = chain_tip(chain);
	struct parent_view tip_view;
	uint8_t seed[32];
	uint32_t back;

	*parent = chain_find(chain, header->prev);
	if (*parent == NULL || !loose_is_in_reach(chain, *parent)) {
		reject_as(reject, REJECT_NOT_YET, REASON_BAD_PROOF_PARENT,
			"its parent is not the tip, nor one of the %d blocks below it", BLOCK_LATE_BACK);
		return CHAIN_ORPHAN;
	}
	index_parent_view(tip, &tip_view);
	if (*parent == tip ? !loose_check_next(chain, header, &tip_view, reject) :
			     !block_check_late(chain->spec, header, &tip_view, loose_latest(chain->spec, &tip_view),
				     &back, reject))
		return CHAIN_REJECTED;
	header_seed(header, seed);
	/* A block has paid it, or another digest of its seed, which were no better. */
	return registry_is_listed(chain->registry, seed) ? CHAIN_KNOWN : CHAIN_NEW;
}

/* From what is known to what must be computed: an id that was judged, one that is in work, then the rules, then a look
 * at the seed. A proof gets no further than this until a worker is free. */
enum chain_result loose_pool_add(struct chain *chain, const struct header *header, const struct source *source,
	struct reject *reject)
{
	const struct loose_job *loose_job;
	const struct index_entry *parent;
	enum chain_result checked;
	uint8_t loose_id[32], loose_seed[32];

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
	checked = loose_pool_check(chain, header, &parent, reject);
	if (checked != CHAIN_NEW)
		return checked;
	header_seed(header, loose_seed);
	if (candidates_has_seed(chain, parent, loose_seed)) {
		/* Another digest for a seed whose digest has been found: it cannot be right. */
		reject_set(reject, REASON_BAD_PROOF_DIGEST, "another digest of this seed is right");
		return CHAIN_REJECTED;
	}
	return loose_job_queue(chain, header, parent, source, reject);
}
