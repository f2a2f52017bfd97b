/* Rechecking what was verified before. */
#include <stdlib.h>

#include "chain/block_records.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/verify/branch.h"
#include "chain/verify/step_inputs.h"
#include "ml/run.h"
#include "util/mem.h"

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
	missing_state = step_inputs_missing_state(chain, entry_full(entry), audited, false);
	block_unref(audited);
	return missing_state != NULL ? &missing_state->entry : NULL;
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
	/* The bodies will be made again, but that those on disk are what they should be is part of the audit. */
	audited = block_records_read(chain->blocks, chain->spec, full, full->bodies.size != 0, err);
	if (audited == NULL) {
		halt_name_remedy(err);
		return NULL;
	}
	if (step_inputs_missing_state(chain, full, audited, false) != NULL) {
		errmsg_set(err, "a model state that the block starts from is not in memory");
		block_unref(audited);
		return NULL;
	}
	audit_job = mem_calloc(1, sizeof *audit_job);
	if (!step_inputs_block(chain, full, audited, states_get(chain->states, entry_parent(full)), false, audit_job,
		    &audit_outcome, NULL, err)) {
		free(audit_job);
		audit_job = NULL;
	}
	block_unref(audited);
	return audit_job;
}

struct recheck_gathering {
	const struct course *course;
	const uint8_t *segment_seed;
	uint8_t *windows;
};

static bool recheck_gather_run(void *context, const struct course_data *data)
{
	const struct recheck_gathering *gathering = context;

	return run_gather(gathering->course, gathering->segment_seed, data, gathering->windows);
}

uint8_t *chain_run_windows(struct chain *chain, uint32_t dataset, const uint8_t segment_seed[32], struct errmsg *err)
{
	const struct course *course = spec_course(chain->spec);
	struct recheck_gathering gathering = {
		.course = course,
		.segment_seed = segment_seed,
		.windows = mem_alloc(run_windows_size(&course->train)),
	};

	if (step_inputs_gather(chain->spec, chain->blobs, chain->registry, dataset, recheck_gather_run, &gathering,
		    NULL, err))
		return gathering.windows;
	free(gathering.windows);
	return NULL;
}

const struct registry *chain_registry_at(struct chain *chain, const struct index_entry *entry, struct errmsg *err)
{
	if (entry_verified(entry))
		return branch_registry(chain, entry_full(entry), err);
	errmsg_set(err, "The block has not been verified");
	return NULL;
}
