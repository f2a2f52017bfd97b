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

/* On the loop: it is asked for by people. */
static bool recheck_round(struct chain *chain, const struct full_entry *full, const struct block *audited,
	struct verify_job *audit_job, struct errmsg *err)
{
	struct round_inputs audit_inputs;
	bool gathered = round_inputs_gather(chain, full, audited, false, &audit_inputs, &audit_job->round, NULL, err) &&
		round_inputs_read(chain->spec, &audit_inputs, &audit_job->round, err);

	round_inputs_clear(&audit_inputs);
	return gathered;
}

/* Nothing that an earlier run found out is believed: no body, no benchmark. */
struct verify_job *chain_audit_job(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	const struct full_entry *full = entry_full(entry);
	struct block_outcome audit_outcome;
	struct verify_job *audit_job;
	const struct block *audited;

	if (entry->parent == NULL || !entry_verified(entry)) {
		errmsg_set(err, "The block has not been verified");
		return NULL;
	}
	if (chain_is_pruned(chain, entry->height, err))
		return NULL;
	/* The bodies will be made again, but that those on disk are what they should be is part of the audit. */
	audited = block_records_read(chain->blocks, chain->spec, full, full->bodies.size != 0, err);
	if (audited == NULL) {
		halt_name_remedy(err);
		return NULL;
	}
	if (recheck_missing_state(chain, full, audited) != NULL) {
		errmsg_set(err, "a model state that the block starts from is not in memory");
		block_unref(audited);
		return NULL;
	}
	audit_job = mem_calloc(1, sizeof *audit_job);
	if (!step_inputs_block(chain, full, audited, states_get(chain->states, entry_parent(full)), false, audit_job,
		    &audit_outcome, NULL, err)) {
		free(audit_job);
		audit_job = NULL;
	} else if (!recheck_round(chain, full, audited, audit_job, err)) {
		verify_job_clear(audit_job);
		free(audit_job);
		audit_job = NULL;
	}
	block_unref(audited);
	return audit_job;
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
