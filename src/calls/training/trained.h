/* What the present model was trained on, for people and other programs: every dataset that a slot with a proof had, in
 * a block that was not void, up to the tip. */
#ifndef ATELIER_CALLS_TRAINING_TRAINED_H
#define ATELIER_CALLS_TRAINING_TRAINED_H

#include "chain/chain.h"
#include "ml/files/tensorfile.h"
#include "rpc/json.h"

struct trained {
	struct tensorfile_dataset *datasets; /* by number; the corpus first */
	size_t count;
	uint64_t slots; /* of all of them */
};

void trained_gather(const struct chain *chain, struct trained *trained);
void trained_clear(struct trained *trained);

/* An array of at most `count` of them, from `skip` on. */
json_t *trained_show(const struct trained *trained, size_t skip, size_t count);

#endif
