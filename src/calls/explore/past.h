/* What blocks of the active chain did, in short: kept from call to call, since reading it from their outcomes takes a
 * fifth of a microsecond a block. It follows the chain when it is asked, and not before. */
#ifndef ATELIER_CALLS_EXPLORE_PAST_H
#define ATELIER_CALLS_EXPLORE_PAST_H

#include "chain/chain.h"

struct past;

struct past *past_new(struct chain *chain);
void past_free(struct past *past);

struct past_block {
	int32_t loss; /* of the model after it, in millionths of a nat; below 0: not known, or not of the reserved text
		       */
	bool is_void, merges;
};

/* All are borrowed until the tip changes. */

/* By height, up to the tip's; of genesis there is nothing to be read. */
const struct past_block *past_blocks(struct past *past);
/* Heights, ascending, of the blocks that were not void and had a slot of this dataset with a proof. */
const uint32_t *past_draws(struct past *past, uint32_t dataset, size_t *count);

#endif
