/* The choice between branches, and the way from one to the other (doc/protocol.md section 15). */
#include "chain/choose.h"

#include <inttypes.h>

#include "chain/connect.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/mempool/admit.h"
#include "chain/model/run_blobs.h"
#include "chain/tip.h"
#include "chain/verify/dispatch.h"
#include "util/clock.h"
#include "util/warning.h"

/* Whether a switch would undo more than is done without asking. The operator's refusal of the tip is asking enough, and
 * before the first sync has ended there is nothing to protect. But below what is pruned no state of the model is left:
 * a node that went there could not begin again after its end. */
static bool choose_is_too_deep(struct chain *chain, struct full_entry *best_branch, const struct index_entry *fork)
{
	const struct index_entry *tip = chain_tip(chain);
	const uint32_t undone_depth = tip->height - fork->height;
	const bool is_pruned = fork->height < chain->pruning.height;

	if (!is_pruned && (undone_depth <= CHOOSE_REORG_MAX || chain->initial_download || tip->status == ENTRY_INVALID))
		return false;
	best_branch->refused_deep = true;
	/* Its ancestors come next: they are told of with it. */
	if (chain->refused != NULL && u256_compare(chain->refused->entry.chain_work, best_branch->entry.chain_work) > 0)
		return true;
	chain->refused = best_branch;
	warning_set(WARNING_BRANCH,
		"A branch with more work, verified up to height %" PRIu32 ", leaves the active chain "
		"%" PRIu32 " blocks below its tip: it is not taken %s",
		best_branch->entry.height, undone_depth,
		is_pruned ? "as it begins where this node has pruned (-reindex begins anew)" :
			    "without asking (invalidateblock on the active branch does)");
	return true;
}

/* The warning about a branch that is not taken lasts as long as it would be the best one. */
static void choose_look_at_refused(struct chain *chain)
{
	const struct full_entry *refused_branch = chain->refused;

	if (refused_branch == NULL ||
		(refused_branch->refused_deep && entry_verified(&refused_branch->entry) &&
			u256_compare(refused_branch->entry.chain_work, chain_tip(chain)->chain_work) > 0))
		return;
	chain->refused = NULL;
	warning_clear(WARNING_BRANCH);
}

/* Goes from the tip to `best`. False if a block on the way is invalid (it is marked), or the disk failed. Where it ends
 * half way the tip is a sound one all the same, and the next round of choose_activate_best goes on from there: back to
 * the old branch, if that is the best again. */
static bool choose_switch_to(struct chain *chain, struct full_entry *best_branch, const struct index_entry *fork,
	struct errmsg *err)
{
	struct reject switch_reject;

	while (chain_tip(chain) != fork)
		if (!connect_undo_tip(chain, err)) {
			halt_fail(chain, err);
			return false;
		}
	for (uint32_t branch_height = fork->height + 1; branch_height <= best_branch->entry.height; branch_height++) {
		struct full_entry *next_full = entry_full(chain_ancestor(&best_branch->entry, branch_height));

		switch (connect_block(chain, next_full, &switch_reject, err)) {
		case CONNECT_OK:
			break;
		case CONNECT_INVALID:
			connect_refuse(chain, next_full, switch_reject.reason);
			NOTIFY(&chain->notices, block_verdict, &next_full->entry, &next_full->source, &switch_reject);
			return false;
		case CONNECT_FAILED:
			halt_fail(chain, err);
			return false;
		}
	}
	return true;
}

/* After the last step of a switch: what depended on the old tip. The state first, without which nothing more can be
 * verified; those outside last, when all in here is the new tip's. */
static void choose_tip_changed(struct chain *chain)
{
	const struct index_entry *tip = chain_tip(chain);
	struct errmsg err;
	struct state *tip_state = states_rebuild(chain->states, entry_full(tip), NULL, &err);

	if (tip_state == NULL) {
		halt_fail(chain, &err);
		return;
	}
	state_unref(tip_state);
	states_pin(chain->states, entry_full(tip));
	proof_cache_new_tip(chain->proofs, tip->id);
	loose_pool_new_tip(chain);
	candidates_new_tip(chain);
	audits_new_tip(chain);
	admit_new_tip(chain);
	tip_end_download(chain);
	wants_ask_again(chain);
	run_blobs_ask(chain);
	prune_work(chain);
	NOTIFY(&chain->notices, tip, tip);
}

/* Ends because each round connects more work, or as much with a lower ticket, or marks a branch refused, and there are
 * finitely many of each. */
static void choose_activate_best(struct chain *chain)
{
	const struct index_entry *tip_before = chain_tip(chain), *tip, *fork;
	struct errmsg err;
	struct full_entry *best_branch;

	while (!chain->failed) {
		tip = chain_tip(chain);
		best_branch = index_best_verified(&chain->index);
		if (&best_branch->entry == tip)
			break;
		fork = index_fork(tip, &best_branch->entry);
		if (!choose_is_too_deep(chain, best_branch, fork))
			choose_switch_to(chain, best_branch, fork, &err);
	}
	choose_look_at_refused(chain);
	if (!chain->failed && chain_tip(chain) != tip_before)
		choose_tip_changed(chain);
	candidates_tell(chain);
}

/* Verified blocks first, since they may make a tip whose children can be verified then. Not reentrant: notices call
 * back into the chain, and a switch of branches must not begin in the middle of another. */
void choose_advance(struct chain *chain)
{
	struct errmsg err;

	/* A notice may have brought the next block: it is taken up when the notices are over. */
	chain->again = true;
	if (chain->advancing || chain->closing)
		return;
	chain->advancing = true;
	while (chain->again && !chain->failed) {
		chain->again = false;
		choose_activate_best(chain);
		dispatch_start(chain);
	}
	/* Verified and not connected: a branch beside the tip. */
	if (!chain->failed && !connect_save_verified(chain, &err))
		halt_fail(chain, &err);
	chain->advancing = false;
}

/* Once for all results that came in together: two blocks that were verified meanwhile are one switch. */
void choose_resume(void *chain)
{
	if (((struct chain *)chain)->again)
		choose_advance(chain);
}

bool chain_retry(struct chain *chain, uint32_t *height, struct errmsg *why)
{
	const bool is_due = clock_mono_ms() >= chain->retry_at;
	bool is_stuck = false;

	for (size_t i = 0; i < chain->waiting_count; i++) {
		is_stuck = is_stuck || chain->waiting[i].full->stuck;
		if (is_due)
			chain->waiting[i].full->stuck = false;
	}
	if (is_due && is_stuck)
		choose_advance(chain);
	if (chain->put_off != NULL && waiting_find(chain, chain->put_off) == NULL)
		chain->put_off = NULL;
	if (chain->put_off == NULL)
		return false;
	*height = chain->put_off->entry.height;
	*why = chain->put_off_why;
	return true;
}
