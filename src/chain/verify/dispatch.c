/* What the queue is given to verify: picking, starting, cancelling. */
#include "chain/verify/dispatch.h"

#include <stdlib.h>

#include "chain/internal.h"
#include "chain/tip.h"
#include "chain/verify/block_job.h"
#include "chain/verify/step_inputs.h"
#include "util/clock.h"
#include "util/mem.h"

struct dispatch_request {
	struct full_entry *full;
	struct chain *chain;
	struct source_turn turn;
};

/* A state came back from a replay, or did not. The block is picked again as any other: much may have
 * happened meanwhile. */
static void dispatch_state_ready(void *context, struct state *state)
{
	struct dispatch_request *request = context;
	struct chain *chain = request->chain;
	struct errmsg err;

	errmsg_set(&err, "a model state that it needs cannot be made again, the log says why");
	if (state == NULL && !chain->closing)
		waiting_put_off(chain, request->full, &err);
	request->full->in_work = false;
	chain->request_count--;
	sources_turn_end(&request->turn);
	state_unref(state);
	free(request);
	chain->again = true;
}

/* It counts as a block in work, its address's too: a replay takes a worker as well. */
static void dispatch_request_state(struct chain *chain, struct full_entry *full, const struct full_entry *needed)
{
	struct dispatch_request *request = mem_alloc(sizeof *request);

	request->full = full;
	request->chain = chain;
	sources_turn_begin(&request->turn, chain->sources, waiting_find(chain, full)->group, clock_wall());
	full->in_work = true;
	chain->request_count++;
	states_request(chain->states, needed, QUEUE_BLOCK, request->turn.standing, dispatch_state_ready, request);
}

/* The branch must promise as much work as the tip has, by headers: they are free to make, but without that much
 * nothing that is verified could ever become the best. */
static bool dispatch_is_ready(const struct chain *chain, const struct waiting_block *waiting)
{
	const struct full_entry *full = waiting->full;

	return !full->in_work && !full->stuck && !waiting->dropped && entry_waits(full) &&
		entry_verified(full->entry.parent) && (waiting->group->own || waiting->group->blocks == 0) &&
		u256_compare(full->promised_work, chain_tip(chain)->chain_work) >= 0 && wants_met(chain, waiting);
}

/* Counted anew each time, as each start changes it. */
static void dispatch_take_stock(const struct chain *chain, struct workload *workload)
{
	*workload = (struct workload){
		.workers = chain->threads,
		.blocks = chain->job_count + chain->request_count,
		.strangers_blocks = sources_strangers(chain->sources),
		.loose = loose_pool_running(chain->loose),
	};
}

/* The ready block that goes first, if a worker may be had for it. */
static struct full_entry *dispatch_pick_block(struct chain *chain)
{
	const int64_t now = clock_wall();
	struct contender best_contender;
	struct full_entry *picked = NULL;
	struct workload workload;

	waiting_prune(chain);
	dispatch_take_stock(chain, &workload);
	for (size_t i = 0; i < chain->waiting_count; i++) {
		const struct waiting_block *waiting = &chain->waiting[i];
		const struct index_entry *parent = waiting->full->entry.parent;
		const struct contender contender = {
			.proven = parent->chain_work,
			.on_tip = parent == chain_tip(chain),
			.standing = sources_standing(waiting->group, now),
			.served = waiting->group->served,
			.order = waiting->order,
		};

		if (!schedule_block_fits(&workload, contender.standing) || !dispatch_is_ready(chain, waiting) ||
			(picked != NULL && !schedule_before(&contender, &best_contender)))
			continue;
		best_contender = contender;
		picked = waiting->full;
	}
	return picked;
}

bool chain_is_overtaken(const struct chain *chain)
{
	for (const struct block_job *running_job = chain->jobs; running_job != NULL; running_job = running_job->next)
		if (running_job->full->proven &&
			index_beats(&chain->index, &running_job->full->entry, chain_tip(chain)))
			return true;
	return false;
}

/* The block whose state must be replayed first; NULL: what the job starts from is in memory, or the block cannot be
 * read, which is for the job to find. Nothing is replayed for late proofs or runs before the block's own proof is
 * right. */
static const struct full_entry *dispatch_missing_state(struct chain *chain, const struct full_entry *full)
{
	const struct full_entry *missing_state;
	const struct block *block;
	struct errmsg err;

	if (!states_has(chain->states, entry_parent(full)))
		return entry_parent(full);
	if (!full->proven || (full->entry.late_count == 0 && chain->spec->round_blocks == 0))
		return NULL;
	block = waiting_read(chain, waiting_find(chain, full), &err);
	if (block == NULL)
		return NULL;
	missing_state = step_inputs_missing_state(chain, full, block, true);
	if (missing_state == NULL)
		missing_state = round_inputs_missing_state(chain, full, block);
	block_unref(block);
	return missing_state;
}

/* Ends because every block that is picked is in work afterwards, or gone from the list, or stuck. */
void dispatch_start(struct chain *chain)
{
	struct full_entry *picked;
	struct workload workload;

	while (!chain->failed && !chain->closing && (picked = dispatch_pick_block(chain)) != NULL) {
		const struct full_entry *missing_state = dispatch_missing_state(chain, picked);

		if (missing_state != NULL)
			dispatch_request_state(chain, picked, missing_state);
		else
			block_job_start(chain, picked, states_get(chain->states, entry_parent(picked)));
	}
	dispatch_take_stock(chain, &workload);
	loose_pool_start(chain, &workload);
}

/* A worker looks at the flag between products: it ends within a moment, and its job with it. */
void dispatch_cancel_dropped(struct chain *chain)
{
	for (struct block_job *running_job = chain->jobs; running_job != NULL; running_job = running_job->next) {
		const struct waiting_block *waiting = waiting_find(chain, running_job->full);

		if (waiting != NULL && waiting->dropped)
			atomic_store(&running_job->verify.cancel, true);
	}
}

/* Jobs that queue come back cancelled, those that run see the flag; none starts another while `closing` is set. */
void dispatch_stop(struct chain *chain)
{
	for (struct block_job *running_job = chain->jobs; running_job != NULL; running_job = running_job->next)
		atomic_store(&running_job->verify.cancel, true);
	queue_leave(chain->queue, chain);
}
