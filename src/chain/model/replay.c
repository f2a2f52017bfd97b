/* Replaying updates, block by block. */
#include "chain/model/replay.h"

#include <stdlib.h>
#include <string.h>

#include "chain/block_records.h"
#include "chain/model/snapshots.h"
#include "consensus/spec.h"
#include "ml/update.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/queue.h"

struct replay *replay_new(const struct spec *spec, const struct record_file *blocks, const struct full_entry *target)
{
	struct replay *replay = mem_calloc(1, sizeof *replay);

	replay->spec = spec;
	replay->blocks = blocks;
	replay->target = target;
	atomic_init(&replay->cancel, false);
	replay->stop = &replay->cancel;
	return replay;
}

void replay_add_base(struct replay *replay, const struct full_entry *full, struct state *state, const char *path)
{
	replay->bases = mem_realloc(replay->bases, (replay->base_count + 1) * sizeof *replay->bases);
	replay->bases[replay->base_count++] = (struct replay_base){ full, state,
		path != NULL ? mem_strdup(path) : NULL };
}

void replay_free(struct replay *replay)
{
	if (replay == NULL)
		return;
	for (size_t i = 0; i < replay->base_count; i++) {
		state_unref(replay->bases[i].state);
		free(replay->bases[i].path);
	}
	free(replay->bases);
	free(replay);
}

/* Whichever it is, what comes of it is compared with the index after each block: a base that lies is found out at
 * once. */
static struct state *base_state(const struct replay *replay, const struct replay_base *base, struct errmsg *err)
{
	if (base->state != NULL)
		return state_ref(base->state);
	if (base->path != NULL)
		return snapshots_read(base->path, replay->spec, &base->full->entry, err);
	return spec_initial_state(replay->spec);
}

/* The index keeps what was measured then: nothing of it is measured again. */
static void outcome_for_update(const struct outcome *from, struct update_outcome *to)
{
	memset(to, 0, sizeof *to);
	to->is_void = from->is_void;
	for (uint32_t i = 0; i < from->slots; i++) {
		to->slots[i].count = from->slot[i].count;
		to->slots[i].value = from->slot[i].value;
		to->slots[i].state = from->slot[i].count == 0 ? UPDATE_EMPTY :
			from->slot[i].left_out                ? UPDATE_LEFT_OUT :
								UPDATE_USED;
	}
}

/* The state after one block, from the one before it. */
static struct state *replay_block(const struct replay *replay, const struct full_entry *full,
	const struct state *parent, struct errmsg *err)
{
	const struct block *block = block_records_read(replay->blocks, replay->spec, full, true, err);
	struct update_job job = { .parent = parent, .slots = replay->spec->slots, .cancel = replay->stop };
	struct update_outcome outcome;
	struct update_proof *proofs;
	struct state *state;

	if (block == NULL) {
		errmsg_wrap(err, "Start with -reindex");
		return NULL;
	}
	job.proof_count = 1 + block->loose_count;
	job.proofs = proofs = mem_calloc(job.proof_count, sizeof *proofs);
	for (size_t i = 0; i < job.proof_count; i++) {
		uint8_t seed[32];

		header_seed(block_proof(block, i), seed);
		proofs[i] = (struct update_proof){ block->bodies[i], spec_slot(replay->spec, seed) };
	}
	outcome_for_update(&full->entry.outcome.outcome, &outcome);
	state = update_replay(&spec_course(replay->spec)->train, &job, &outcome);
	free(proofs);
	block_unref(block);
	if (state != NULL && memcmp(state_root(state), full->entry.model_root_after, 32) == 0)
		return state;
	errmsg_set(err,
		state == NULL ? "cancelled" :
				"Replaying block %u does not give the model state the index has "
				"for it: start with -reindex",
		(unsigned)full->entry.height);
	state_unref(state);
	return NULL;
}

/* States on the way are let go one by one: two at a time is all this takes. */
static struct state *replay_from(struct replay *replay, const struct replay_base *base, struct state *state)
{
	const struct index_entry *target = &replay->target->entry;
	uint32_t first = base->full->entry.height;

	for (uint32_t height = first + 1; state != NULL && height <= target->height; height++) {
		struct state *next = NULL;

		queue_pause(replay->stop);
		if (atomic_load(replay->stop))
			errmsg_set(&replay->err, "cancelled");
		else
			next = replay_block(replay, entry_full(chain_ancestor(target, height)), state, &replay->err);
		state_unref(state);
		state = next;
		if (replay->progress != NULL)
			replay->progress(replay->progress_context, "Replaying the model", height - first,
				target->height - first);
	}
	return state;
}

/* A base that is damaged is passed over for one further back. From one that is sound, a block that cannot be replayed
 * is the end: no other base would help. */
void replay_run(struct replay *replay)
{
	for (size_t i = 0; i < replay->base_count; i++) {
		struct state *state = base_state(replay, &replay->bases[i], &replay->err);

		if (state == NULL) {
			log_warn("[chain] %s: going back to an earlier state", replay->err.text);
			continue;
		}
		replay->state = replay_from(replay, &replay->bases[i], state);
		return;
	}
}
