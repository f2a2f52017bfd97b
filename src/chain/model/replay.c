/* Replaying updates, block by block. */
#include "chain/model/replay.h"

#include <stdlib.h>
#include <string.h>

#include "chain/block_records.h"
#include "chain/model/snapshots.h"
#include "consensus/blob/round_blob.h"
#include "consensus/branch/rounds.h"
#include "consensus/payload/round_tx.h"
#include "ml/merge.h"
#include "ml/update.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/queue.h"

struct replay *replay_new(const struct spec *spec, const struct record_file *blocks, const struct blobs *blobs,
	const struct full_entry *target)
{
	struct replay *replay = mem_calloc(1, sizeof *replay);

	replay->spec = spec;
	replay->blocks = blocks;
	replay->blobs = blobs;
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

/* A machine on which it comes out otherwise would find every block false. */
static struct state *replay_genesis_state(const struct spec *spec, struct errmsg *err)
{
	struct state *genesis_state = spec_initial_state(spec);

	if (memcmp(state_root(genesis_state), spec->genesis.model_root, 32) == 0)
		return genesis_state;
	state_unref(genesis_state);
	errmsg_set(err,
		"The state that the chain begins with does not have genesis' model_root: this build or this "
		"machine computes otherwise");
	return NULL;
}

/* Whichever it is, what comes of it is compared with the index after each block: a base that lies is found out at
 * once. */
static struct state *replay_base_state(const struct replay *replay, const struct replay_base *base, struct errmsg *err)
{
	if (base->state != NULL)
		return state_ref(base->state);
	if (base->path != NULL)
		return snapshots_read(base->path, replay->spec, &base->full->entry, err);
	return replay_genesis_state(replay->spec, err);
}

/* The index keeps what was measured then: nothing of it is measured again. */
static void replay_update_outcome(const struct outcome *stated, struct update_outcome *replayed)
{
	memset(replayed, 0, sizeof *replayed);
	replayed->is_void = stated->is_void;
	for (uint32_t i = 0; i < stated->slots; i++) {
		replayed->slots[i].count = stated->slot[i].count;
		replayed->slots[i].state = stated->slot[i].count == 0 ? UPDATE_EMPTY :
			stated->slot[i].left_out                      ? UPDATE_LEFT_OUT :
									UPDATE_USED;
	}
}

/* Where what a merged run changed lies: of all together it is more than memory may hold. */
struct replay_source {
	const struct replay *replay;
	const struct rounds_run *run;
	struct errmsg *err;
};

/* What the blocks of a round say of its runs, by the same rules as the registry hears it: `runs` has a place for each
 * seat, of zeros. */
static bool replay_hear_round(const struct replay *replay, const struct full_entry *merging, struct rounds_run *runs,
	struct errmsg *err)
{
	const uint32_t base = merging->entry.height - replay->spec->round_blocks;

	for (uint32_t height = base + 1; height < merging->entry.height; height++) {
		const struct full_entry *full = entry_full(chain_ancestor(&merging->entry, height));
		const struct block *block = block_records_read(replay->blocks, replay->spec, full, false, err);
		struct round_tx round_tx;

		if (block == NULL)
			return errmsg_wrap(err, "Start with -reindex");
		for (size_t i = 1; i < block->tx_count; i++)
			if (round_tx_is_on(replay->spec, block->txs[i]) && round_tx_parse(block->txs[i], &round_tx))
				rounds_hear(replay->spec, base, height, &round_tx, runs);
		block_unref(block);
	}
	return true;
}

/* From the blob that a block of the round named. */
static bool replay_read_change(void *source_context, uint8_t *code)
{
	const struct replay_source *source = source_context;
	const struct replay *replay = source->replay;
	const struct rounds_run *run = source->run;
	struct errmsg *err = source->err;
	struct round_disclosed disclosed;
	bool change_read = false;
	struct buf blob;

	buf_init(&blob);
	if (blobs_read_file(replay->blobs, run->blob, &blob, err) != BLOBS_SOUND)
		errmsg_wrap(err, "Put the file back, from another node, or start with -reindex");
	else
		change_read = round_blob_split(replay->spec, run->length, blob.data, blob.size, &disclosed) ||
			errmsg_set(err, "The blob of a run has another size than was disclosed: start with -reindex");
	if (change_read)
		memcpy(code, disclosed.result, round_code_size(replay->spec));
	buf_clear(&blob);
	return change_read;
}

/* The state after a merge from that after the update, whose reference it takes. Nothing is read but of the seats that
 * were merged. */
static struct state *replay_merge(const struct replay *replay, const struct full_entry *full,
	const struct merge_statement *stated, struct state *updated_state, struct errmsg *err)
{
	struct rounds_run said[ROUND_SEATS_MAX] = { 0 };
	struct replay_source sources[ROUND_SEATS_MAX];
	struct merge_run runs[ROUND_SEATS_MAX];
	struct state *merged_state = NULL;

	if (stated->is_void || replay_hear_round(replay, full, said, err)) {
		for (uint32_t i = 0; i < stated->seats; i++) {
			sources[i] = (struct replay_source){ replay, &said[i], err };
			runs[i] = (struct merge_run){
				.length = said[i].length,
				.seat = (enum merge_seat)stated->seat[i],
				.read = stated->seat[i] == MERGE_MERGED ? replay_read_change : NULL,
				.source = &sources[i],
			};
		}
		merged_state = merge_replay(&spec_course(replay->spec)->train, updated_state, runs, stated->seats,
			stated->is_void, stated->is_second);
	}
	state_unref(updated_state);
	return merged_state;
}

/* The state after one block, from the one before it. */
static struct state *replay_block(const struct replay *replay, const struct full_entry *full,
	const struct state *parent_state, struct errmsg *err)
{
	const struct block *block = block_records_read(replay->blocks, replay->spec, full, true, err);
	struct update_job replay_job = { .parent = parent_state, .slots = replay->spec->slots, .cancel = replay->stop };
	struct update_outcome replayed_outcome;
	struct block_outcome stated;
	struct update_proof *replay_proofs;
	struct state *replayed_state;

	if (block == NULL) {
		errmsg_wrap(err, "Start with -reindex");
		return NULL;
	}
	replay_job.proof_count = block_body_count(block);
	replay_job.proofs = replay_proofs = mem_calloc(replay_job.proof_count, sizeof *replay_proofs);
	for (size_t i = 0; i < replay_job.proof_count; i++) {
		uint8_t proof_seed[32];

		header_seed(block_proof(block, i), proof_seed);
		replay_proofs[i] = (struct update_proof){ block->bodies[i], spec_slot(replay->spec, proof_seed) };
	}
	chain_outcome(&full->entry, &stated);
	replay_update_outcome(&stated.outcome, &replayed_outcome);
	replayed_state = update_replay(&spec_course(replay->spec)->train, &replay_job, &replayed_outcome);
	free(replay_proofs);
	block_unref(block);
	if (replayed_state != NULL && stated.merge.seats > 0) {
		replayed_state = replay_merge(replay, full, &stated.merge, replayed_state, err);
		if (replayed_state == NULL)
			return NULL;
	}
	if (replayed_state != NULL && memcmp(state_root(replayed_state), full->entry.model_root_after, 32) == 0)
		return replayed_state;
	errmsg_set(err,
		replayed_state == NULL ? "cancelled" :
					 "Replaying block %u does not give the model state the index has "
					 "for it: start with -reindex",
		(unsigned)full->entry.height);
	state_unref(replayed_state);
	return NULL;
}

/* States on the way are let go one by one: two at a time is all this takes. */
static struct state *replay_from(struct replay *replay, const struct replay_base *base, struct state *replay_state)
{
	const struct index_entry *target = &replay->target->entry;
	uint32_t base_height = base->full->entry.height;

	for (uint32_t height = base_height + 1; replay_state != NULL && height <= target->height; height++) {
		struct state *next_state = NULL;

		queue_pause(replay->stop);
		if (atomic_load(replay->stop))
			errmsg_set(&replay->err, "cancelled");
		else
			next_state = replay_block(replay, entry_full(chain_ancestor(target, height)), replay_state,
				&replay->err);
		state_unref(replay_state);
		replay_state = next_state;
		if (replay->progress != NULL)
			replay->progress(replay->progress_context, "Replaying the model", height - base_height,
				target->height - base_height);
	}
	return replay_state;
}

/* A base that is damaged is passed over for one further back. From one that is sound, a block that cannot be replayed
 * is the end: no other base would help. */
void replay_run(struct replay *replay)
{
	for (size_t i = 0; i < replay->base_count; i++) {
		struct state *state = replay_base_state(replay, &replay->bases[i], &replay->err);

		if (state == NULL) {
			log_warn("[chain] %s: going back to an earlier state", replay->err.text);
			continue;
		}
		replay->state = replay_from(replay, &replay->bases[i], state);
		return;
	}
}
