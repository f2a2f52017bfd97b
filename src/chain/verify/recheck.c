/* Rechecking what was verified before. */
#include <stdlib.h>

#include "chain/block_records.h"
#include "chain/halt.h"
#include "chain/internal.h"
#include "chain/verify/step_inputs.h"
#include "util/mem.h"

/* Nothing that an earlier run found out is believed: no body, no benchmark. */
struct verify_job *chain_audit_job(struct chain *chain, const struct index_entry *entry, struct state *parent,
	struct errmsg *err)
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
	audit_job = mem_calloc(1, sizeof *audit_job);
	if (!step_inputs_block(chain, full, audited, state_ref(parent), false, audit_job, &audit_outcome, NULL, err)) {
		free(audit_job);
		audit_job = NULL;
	}
	block_unref(audited);
	return audit_job;
}
