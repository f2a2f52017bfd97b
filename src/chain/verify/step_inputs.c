/* Gathering the windows of single proofs, and of all proofs of a block. */
#include "chain/verify/step_inputs.h"

#include <stdlib.h>
#include <string.h>

#include "chain/internal.h"
#include "chain/verify/branch.h"
#include "consensus/spec.h"
#include "util/mem.h"

/* The draw is the parent ticket's: nobody can choose what to train on without finding another parent. */
void step_inputs_draw(const struct spec *spec, const struct registry *registry, const struct index_entry *parent,
	struct draw *draw)
{
	memset(draw, 0, sizeof *draw);
	draw->registry = registry;
	registry_draw(registry, parent->ticket, spec->slots, draw->dataset);
}

/* Dataset 0 is the spec's own corpus, which is always here. */
uint8_t *step_inputs_windows(const struct spec *spec, struct blobs *blobs, const struct draw *draw,
	const struct header *header, uint32_t *slot, struct blob_want *missing, struct errmsg *err)
{
	uint8_t *windows = mem_alloc(step_windows_size(&spec_course(spec)->train));
	const struct dataset *dataset;
	uint8_t seed[32];
	size_t size;

	header_seed(header, seed);
	*slot = spec_slot(spec, seed);
	if (draw->dataset[*slot] == 0) {
		const uint8_t *data = course_training(spec_course(spec), &size);

		course_gather_step(spec_course(spec), seed, data, size, windows);
		return windows;
	}
	dataset = registry_get(draw->registry, draw->dataset[*slot]);
	if (blobs_gather(blobs, spec, dataset->root, seed, windows, err))
		return windows;
	/* What is here and cannot be read is not mended by asking for it. */
	if (missing != NULL && !blobs_has(blobs, dataset->root)) {
		memcpy(missing->root, dataset->root, 32);
		missing->size = dataset->size;
	}
	free(windows);
	return NULL;
}

/* A body that is at hand needs no windows: what they give is known. */
static bool inputs_of_proof(struct chain *chain, const struct draw *draw, const struct header *header, bool known,
	struct verify_proof *proof, struct blob_want *missing, struct errmsg *err)
{
	const uint8_t *body;

	proof->header = *header;
	header_id(header, proof->id);
	header_seed(header, proof->seed);
	proof->slot = spec_slot(chain->spec, proof->seed);
	body = known ? proof_cache_body(chain->proofs, proof->id) : NULL;
	if (body != NULL) {
		proof->delta = mem_dup(body, block_body_size(chain->spec));
		return true;
	}
	proof->windows = step_inputs_windows(chain->spec, chain->blobs, draw, header, &proof->slot, missing, err);
	return proof->windows != NULL;
}

/* All that the job needs is copied or counted: it runs on a worker, where neither registry nor index may be touched. */
bool step_inputs_block(struct chain *chain, const struct full_entry *full, const struct block *block,
	struct state *parent, bool known, struct verify_job *job, struct block_outcome *outcome,
	struct blob_want *missing, struct errmsg *err)
{
	const struct index_entry *above = full->entry.parent;
	const struct registry *registry = branch_registry(chain, entry_full(above), err);
	bool ok = registry != NULL;
	struct draw draw;

	memset(job, 0, sizeof *job);
	memset(outcome, 0, sizeof *outcome);
	atomic_init(&job->cancel, false);
	atomic_init(&job->steps_done, 0);
	job->spec = chain->spec;
	job->parent = parent;
	job->parent_benchmark = known ? states_benchmark(chain->states, entry_full(above)) : NULL;
	if (ok) {
		step_inputs_draw(chain->spec, registry, above, &draw);
		memcpy(outcome->dataset, draw.dataset, sizeof outcome->dataset);
		job->has_v_ref = registry_v_ref(registry, above->height > 0 ? &above->outcome.outcome : NULL,
			&job->v_ref);
		outcome->v_ref = job->v_ref;
		memcpy(job->ticket, above->ticket, 32);
		job->benchmark = mem_alloc(course_benchmark_size(spec_course(chain->spec)));
		course_gather_benchmark(spec_course(chain->spec), above->ticket, job->benchmark);
		job->proof_count = 1 + block->loose_count;
		job->proofs = mem_calloc(job->proof_count, sizeof *job->proofs);
	}
	for (size_t i = 0; ok && i < job->proof_count; i++)
		ok = inputs_of_proof(chain, &draw, block_proof(block, i), known, &job->proofs[i], missing, err);
	if (!ok)
		verify_job_clear(job);
	return ok;
}
