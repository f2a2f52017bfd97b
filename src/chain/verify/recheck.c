/* Rechecking what was verified before. */
#include <stdlib.h>

#include "chain/block_records.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/verify/branch.h"
#include "chain/verify/round_inputs.h"
#include "chain/verify/segments.h"
#include "chain/verify/step_inputs.h"
#include "util/mem.h"

static const struct full_entry *recheck_missing_state(struct chain *chain, const struct full_entry *full,
	const struct block *audited)
{
	const struct full_entry *missing_state = step_inputs_missing_state(chain, full, audited, false);

	return missing_state != NULL ? missing_state : round_inputs_missing_state(chain, full, audited);
}

const struct index_entry *chain_audit_missing(struct chain *chain, const struct index_entry *entry)
{
	const struct full_entry *missing_state;
	const struct block *audited;
	struct errmsg err;

	if (entry->parent == NULL || !entry_verified(entry))
		return NULL;
	audited = block_records_read(chain->blocks, chain->spec, entry_full(entry), false, &err);
	if (audited == NULL)
		return NULL;
	missing_state = recheck_missing_state(chain, entry_full(entry), audited);
	block_unref(audited);
	return missing_state != NULL ? &missing_state->entry : NULL;
}

/* The entry as it was on the loop, for the thread that reads: pruning may change where its bodies are. */
struct chain_audit {
	struct chain *chain;
	struct full_entry full;
	struct round_inputs inputs;
	struct verify_job job;
	bool is_lost; /* one of the inputs */
};

static bool recheck_gather(struct chain_audit *audit, const struct full_entry *full, const struct block *audited,
	struct errmsg *err)
{
	struct chain *chain = audit->chain;
	struct block_outcome audit_outcome;

	if (recheck_missing_state(chain, full, audited) != NULL)
		return errmsg_set(err, "a model state that the block starts from is not in memory");
	return step_inputs_block(chain, full, audited, states_get(chain->states, entry_parent(full)), false,
		       &audit->job, &audit_outcome, NULL, err) &&
		round_inputs_gather(chain, full, audited, false, &audit->inputs, &audit->job.round, NULL, err);
}

/* Nothing that an earlier run found out is believed: no body, no benchmark. */
struct chain_audit *chain_audit_new(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	const struct full_entry *full = entry_full(entry);
	const struct block *audited;
	struct chain_audit *audit;

	if (entry->parent == NULL || !entry_verified(entry)) {
		errmsg_set(err, "The block has not been verified");
		return NULL;
	}
	if (chain_is_pruned(chain, entry->height, err))
		return NULL;
	audited = block_records_read(chain->blocks, chain->spec, full, false, err);
	if (audited == NULL) {
		halt_name_remedy(err);
		return NULL;
	}
	audit = mem_calloc(1, sizeof *audit);
	audit->chain = chain;
	audit->full = *full;
	if (!recheck_gather(audit, full, audited, err)) {
		chain_audit_free(audit);
		audit = NULL;
	}
	block_unref(audited);
	return audit;
}

/* The bodies will be made again, but that those on disk are what they should be is part of the audit. */
static bool recheck_bodies(const struct chain_audit *audit, struct errmsg *err)
{
	const struct block *with_bodies;

	if (audit->full.bodies.size == 0)
		return true;
	with_bodies = block_records_read(audit->chain->blocks, audit->chain->spec, &audit->full, true, err);
	if (with_bodies == NULL)
		halt_name_remedy(err);
	block_unref(with_bodies);
	return with_bodies != NULL;
}

bool chain_audit_read(struct chain_audit *audit, struct errmsg *err)
{
	if (!recheck_bodies(audit, err))
		return false;
	audit->is_lost = !round_inputs_read(audit->chain->spec, &audit->inputs, &audit->job.round, err);
	return !audit->is_lost;
}

struct verify_job *chain_audit_job(struct chain_audit *audit)
{
	return &audit->job;
}

void chain_audit_free(struct chain_audit *audit)
{
	if (audit->is_lost)
		round_inputs_lose(audit->chain->blobs, &audit->inputs);
	round_inputs_note_sound(audit->chain->blobs, &audit->inputs);
	round_inputs_clear(&audit->inputs);
	verify_job_clear(&audit->job);
	free(audit);
}

uint8_t *chain_run_windows(struct chain *chain, uint32_t dataset, const uint8_t segment_seed[32], struct errmsg *err)
{
	return segments_windows(chain, chain->registry, dataset, segment_seed, NULL, err);
}

const struct registry *chain_registry_at(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	if (entry_verified(entry))
		return branch_registry(chain, entry_full(entry), err);
	errmsg_set(err, "The block has not been verified");
	return NULL;
}
