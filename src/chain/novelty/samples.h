/* Samples of blobs (consensus/blob/novelty.h) in the database, twice: by blob, and which datasets of the active chain
 * have which. Whoever verified a block that registers a blob wrote down the first, so that connecting needs no bytes;
 * the second comes and goes with the blocks that are connected. */
#ifndef ATELIER_CHAIN_NOVELTY_SAMPLES_H
#define ATELIER_CHAIN_NOVELTY_SAMPLES_H

#include "consensus/blob/novelty.h"
#include "store/db.h"

void samples_put(struct db_batch *batch, const uint8_t root[32], const struct novelty *novelty);
/* On DB_FOUND the novelty is the caller's. */
enum db_result samples_get(struct db *db, const uint8_t root[32], struct novelty *novelty, struct errmsg *err);

/* The samples are those of dataset `number` from now on, or no more. */
void samples_register(struct db_batch *batch, uint32_t number, const struct novelty *novelty);
void samples_forget(struct db_batch *batch, uint32_t number, const struct novelty *novelty);

/* Adds to shared[number] how many of the samples each dataset from `first` to below `end` has. From any thread. */
bool samples_count_shared(struct db *db, const struct novelty *novelty, uint32_t first, uint32_t end, uint32_t shared[],
	struct errmsg *err);

#endif
