/* Gathering the windows of single proofs, and of all proofs of a block. */
#include "chain/verify/step_inputs.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/verify/branch.h"
#include "consensus/reward.h"
#include "consensus/spec.h"
#include "util/mem.h"

/* The draw is the parent ticket's: nobody can choose what to train on without finding another parent. */
void step_inputs_draw(const struct spec *spec, const struct registry *registry, const struct index_entry *parent,
	struct step_draw *step_draw)
{
	uint64_t weight;

	memset(step_draw, 0, sizeof *step_draw);
	step_draw->registry = registry;
	memcpy(step_draw->ticket, parent->ticket, 32);
	weight = registry_draw(registry, parent->ticket, spec->slots, step_draw->dataset);
	step_draw->weight = weight < REWARD_FULL_WEIGHT ? (uint32_t)weight : REWARD_FULL_WEIGHT;
}

/* Dataset 0 is the spec's own corpus, which is always here. */
bool step_inputs_gather(const struct spec *spec, struct blobs *blobs, const struct registry *registry, uint32_t dataset,
	blobs_gatherer *gather, void *context, struct blob_want *missing, struct errmsg *err)
{
	const struct dataset *drawn_dataset = registry_get(registry, dataset);

	if (dataset == 0) {
		size_t corpus_size;
		const uint8_t *corpus = course_training(spec_course(spec), &corpus_size);
		const struct course_data corpus_data = course_data_in_memory(corpus, corpus_size);

		return gather(context, &corpus_data);
	}
	if (blobs_gather(blobs, drawn_dataset->root, gather, context, err))
		return true;
	/* What is here and cannot be read is not mended by asking for it. */
	if (missing != NULL && !blobs_has(blobs, drawn_dataset->root)) {
		memcpy(missing->root, drawn_dataset->root, 32);
		missing->size = drawn_dataset->size;
	}
	return false;
}

struct step_gathering {
	const struct course *course;
	const uint8_t *ticket;
	uint8_t seed[32]; /* of a step */
	uint8_t *windows;
	uint32_t slot; /* of the step, or of the own pages */
	struct course_own *own;
};

static bool step_inputs_gather_windows(void *context, const struct course_data *data)
{
	const struct step_gathering *gathering = context;

	return course_gather_step(gathering->course, gathering->ticket, gathering->seed, gathering->slot, data,
		gathering->windows);
}

uint8_t *step_inputs_windows(const struct spec *spec, struct blobs *blobs, const struct step_draw *step_draw,
	const struct header *header, uint32_t *slot, struct blob_want *missing, struct errmsg *err)
{
	struct step_gathering gathering = {
		.course = spec_course(spec),
		.ticket = step_draw->ticket,
		.windows = mem_alloc(step_windows_size(&spec_course(spec)->train)),
	};

	header_seed(header, gathering.seed);
	*slot = gathering.slot = spec_slot(spec, gathering.seed);
	if (step_inputs_gather(spec, blobs, step_draw->registry, step_draw->dataset[*slot], step_inputs_gather_windows,
		    &gathering, missing, err))
		return gathering.windows;
	free(gathering.windows);
	return NULL;
}

static bool step_inputs_gather_own(void *context, const struct course_data *data)
{
	const struct step_gathering *gathering = context;

	return course_gather_own(gathering->course, gathering->ticket, gathering->slot, data, gathering->own);
}

/* Once for a slot with proofs. */
static bool step_inputs_own(struct chain *chain, const struct step_draw *step_draw, uint32_t slot,
	struct course_own *own, struct blob_want *missing, struct errmsg *err)
{
	struct step_gathering gathering = {
		.course = spec_course(chain->spec),
		.ticket = step_draw->ticket,
		.slot = slot,
		.own = own,
	};

	return own->windows != NULL ||
		step_inputs_gather(chain->spec, chain->blobs, step_draw->registry, step_draw->dataset[slot],
			step_inputs_gather_own, &gathering, missing, err);
}

/* A body that is at hand needs no windows: what they give is known. */
static bool step_inputs_proof(struct chain *chain, const struct step_draw *step_draw, const struct header *header,
	bool known, struct verify_proof *step_proof, struct blob_want *missing_blob, struct errmsg *err)
{
	const uint8_t *known_body;

	step_proof->header = *header;
	header_id(header, step_proof->id);
	header_seed(header, step_proof->seed);
	step_proof->slot = spec_slot(chain->spec, step_proof->seed);
	known_body = known ? proof_cache_body(chain->proofs, step_proof->id) : NULL;
	if (known_body != NULL) {
		step_proof->delta = mem_dup(known_body, block_body_size(chain->spec));
		return true;
	}
	step_proof->windows = step_inputs_windows(chain->spec, chain->blobs, step_draw, header, &step_proof->slot,
		missing_blob, err);
	return step_proof->windows != NULL;
}

/* What a block's children draw stands in the outcome of each of them: no registry of then is needed, and a number means
 * the same dataset as long as it is on the branch. */
const struct index_entry *step_inputs_late_draw(const struct registry *registry, const struct index_entry *parent,
	const struct header *header, struct step_draw *step_draw)
{
	const struct index_entry *child = index_late_child(parent, header);
	struct block_outcome child_outcome;

	if (child == NULL)
		return NULL;
	chain_outcome(child, &child_outcome);
	memset(step_draw, 0, sizeof *step_draw);
	step_draw->registry = registry;
	step_draw->weight = child_outcome.weight;
	memcpy(step_draw->ticket, child->parent->ticket, 32);
	memcpy(step_draw->dataset, child_outcome.dataset, sizeof step_draw->dataset);
	return child->parent;
}

static bool step_inputs_late_known(const struct chain *chain, const uint8_t proof_id[32], bool known)
{
	return known && proof_cache_verdict(chain->proofs, proof_id) == PROOF_RIGHT;
}

/* One that was executed before, for the pool or for a sibling, needs nothing more. */
static bool step_inputs_late(struct chain *chain, const struct registry *registry, const struct index_entry *parent,
	const struct header *header, bool known, struct verify_proof *late_proof, struct blob_want *missing,
	struct errmsg *err)
{
	const struct index_entry *late_parent;
	struct step_draw late_draw;

	late_proof->header = *header;
	header_id(header, late_proof->id);
	header_seed(header, late_proof->seed);
	late_proof->slot = spec_slot(chain->spec, late_proof->seed);
	late_proof->known_right = step_inputs_late_known(chain, late_proof->id, known);
	if (late_proof->known_right)
		return true;
	late_parent = step_inputs_late_draw(registry, parent, header, &late_draw);
	late_proof->state = late_parent != NULL ? states_get(chain->states, entry_full(late_parent)) : NULL;
	if (late_proof->state == NULL)
		return errmsg_set(err, "the model state before a late proof is not at hand");
	late_proof->windows = step_inputs_windows(chain->spec, chain->blobs, &late_draw, header, &late_proof->slot,
		missing, err);
	return late_proof->windows != NULL;
}

const struct full_entry *step_inputs_missing_state(struct chain *chain, const struct full_entry *full,
	const struct block *block, bool known)
{
	if (!states_has(chain->states, entry_parent(full)))
		return entry_parent(full);
	for (size_t i = block_body_count(block); i < block_proof_count(block); i++) {
		const struct index_entry *late_child = index_late_child(full->entry.parent, block_proof(block, i));

		if (late_child != NULL && !step_inputs_late_known(chain, block_proof_id(block, i), known) &&
			!states_has(chain->states, entry_parent(entry_full(late_child))))
			return entry_parent(entry_full(late_child));
	}
	return NULL;
}

/* What the block is measured by: where it merges a round, the merge's windows, which begin with those of every block.
 */
static uint8_t *step_inputs_benchmark(const struct spec *spec, const struct index_entry *step_parent)
{
	const struct course *course = spec_course(spec);
	const bool merges = spec_merges(spec, step_parent->height + 1);
	uint8_t *benchmark = mem_alloc(merges ? course_merge_size(course) : course_benchmark_size(course));

	if (merges)
		course_gather_merge(course, step_parent->ticket, benchmark);
	else
		course_gather_benchmark(course, step_parent->ticket, benchmark);
	return benchmark;
}

/* All that the job needs is copied or counted: it runs on a worker, where neither registry nor index may be touched. */
bool step_inputs_block(struct chain *chain, const struct full_entry *full, const struct block *block,
	struct state *parent_state, bool known, struct verify_job *step_job, struct block_outcome *step_outcome,
	struct blob_want *missing, struct errmsg *err)
{
	const struct index_entry *step_parent = full->entry.parent;
	const struct registry *step_registry = branch_registry(chain, entry_full(step_parent), err);
	bool gathered = step_registry != NULL;
	struct block_outcome parent_outcome;
	struct step_draw step_draw;

	memset(step_job, 0, sizeof *step_job);
	memset(step_outcome, 0, sizeof *step_outcome);
	atomic_init(&step_job->cancel, false);
	atomic_init(&step_job->steps_done, 0);
	step_job->spec = chain->spec;
	step_job->parent = parent_state;
	step_job->parent_benchmark = known ? states_benchmark(chain->states, entry_full(step_parent)) : NULL;
	if (gathered) {
		step_inputs_draw(chain->spec, step_registry, step_parent, &step_draw);
		memcpy(step_outcome->dataset, step_draw.dataset, sizeof step_outcome->dataset);
		step_job->v_ref = registry_v_ref(step_registry,
			step_parent->height > 0 ? &chain_outcome(step_parent, &parent_outcome)->outcome : NULL);
		step_outcome->v_ref = step_job->v_ref;
		step_outcome->weight = step_draw.weight;
		memcpy(step_job->ticket, step_parent->ticket, 32);
		step_job->benchmark = step_inputs_benchmark(chain->spec, step_parent);
		step_job->proof_count = block_proof_count(block);
		step_job->body_count = block_body_count(block);
		step_job->proofs = mem_calloc(step_job->proof_count, sizeof *step_job->proofs);
	}
	for (size_t i = 0; gathered && i < step_job->body_count; i++)
		gathered = step_inputs_proof(chain, &step_draw, block_proof(block, i), known, &step_job->proofs[i],
				   missing, err) &&
			step_inputs_own(chain, &step_draw, step_job->proofs[i].slot,
				&step_job->own[step_job->proofs[i].slot], missing, err);
	if (gathered && step_inputs_missing_state(chain, full, block, known) != NULL)
		step_job->proof_count = step_job->body_count;
	for (size_t i = block_body_count(block); gathered && i < step_job->proof_count; i++)
		gathered = step_inputs_late(chain, step_registry, step_parent, block_proof(block, i), known,
			&step_job->proofs[i], missing, err);
	if (!gathered)
		verify_job_clear(step_job);
	return gathered;
}
