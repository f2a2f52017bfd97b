/* What a registry is made of. Private to registry.c and its tests. */
#ifndef ATELIER_CONSENSUS_BRANCH_REGISTRY_STATE_H
#define ATELIER_CONSENSUS_BRANCH_REGISTRY_STATE_H

#include "consensus/branch/bucket.h"
#include "consensus/branch/commitments.h"
#include "consensus/branch/listed.h"
#include "consensus/branch/registry.h"
#include "consensus/branch/rounds.h"
#include "consensus/branch/values.h"

struct registry {
	const struct spec *spec;
	uint32_t height;
	struct bucket bucket;
	struct fees fees;
	struct values values;
	struct datasets datasets;
	struct commitments commitments;
	struct listed listed;
	struct rounds rounds;
};

struct registry_undo {
	uint32_t height; /* of the block that was applied */
	struct bucket_undo bucket;
	struct fees_undo fees;
	struct values_undo values;
	struct datasets_undo datasets;
	struct commitments_undo commitments;
	struct listed_undo listed;
	struct rounds_undo rounds;
};

#endif
