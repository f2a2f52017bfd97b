/* What a block of a chain with rounds needs to be verified beside what its proofs do (doc/protocol.md section 20):
 * blobs of disclosures and challenges, and of a round that it merges the codes and what each disclosed segment
 * trained on.
 *
 * The loop finds out what that is, and gathers windows of segments; what the blobs say, which are large, is read by the
 * worker, as are own pages, which may be of as many datasets as a round has seats.
 * What all seats of a round have changed is more than memory may hold: that is read again when the merge comes to it.
 */
#ifndef ATELIER_CHAIN_VERIFY_ROUND_INPUTS_H
#define ATELIER_CHAIN_VERIFY_ROUND_INPUTS_H

#include "chain/blobs.h"
#include "chain/index.h"
#include "chain/verify/wants.h"
#include "consensus/verify.h"

/* Blobs to be read, and for what; and the datasets whose own pages judge a merge. */
struct round_read;
struct round_dataset;
struct round_inputs {
	const struct blobs *blobs;
	struct round_read *reads; /* owned */
	size_t read_count;
	uint8_t ticket[32];             /* of the parent, which draws the rows of own pages */
	struct round_dataset *datasets; /* owned, each once; none: the reserved text judges, or nothing does */
	size_t dataset_count;
	uint8_t *dataset_of_row; /* owned: [rows of a merge], numbers of those */
	bool datasets_are_sound;
	uint8_t unread[32]; /* the blob that could not be read, and what was found of it */
	enum blobs_found found;
};

/* The base whose state the block's job needs and is not in memory: where it merges, or has challenges. NULL: none. */
const struct full_entry *round_inputs_missing_state(struct chain *chain, const struct full_entry *full,
	const struct block *block);
/* Gathers for the block, on the loop, when that state is in memory. With `known`, segments that were executed
 * before are not again, be they disclosed or challenged. What a transaction says that has no place on the branch is
 * passed over: connecting the block finds that out. False if bytes are not here: `missing`, if not NULL, names them
 * where asking helps. Inputs are to be cleared either way; what is in the round already stays for verify_round_clear.
 */
bool round_inputs_gather(struct chain *chain, const struct full_entry *full, const struct block *block, bool known,
	struct round_inputs *round_inputs, struct verify_round *verify_round, struct blob_want *missing,
	struct errmsg *err);
/* Reads the blobs, and windows of own pages; any thread. False if one cannot be read (round_inputs_lose). */
bool round_inputs_read(const struct spec *spec, struct round_inputs *round_inputs, struct verify_round *verify_round,
	struct errmsg *err);
/* The same of what the job has read by itself, when it has ended without a verdict. */
bool round_inputs_were_read(struct round_inputs *round_inputs, const struct verify_round *verify_round,
	struct errmsg *err);
/* On the loop: datasets that were found to match their roots need not be looked at again. */
void round_inputs_note_sound(struct blobs *blobs, const struct round_inputs *round_inputs);
void round_inputs_clear(struct round_inputs *round_inputs);
/* On the loop, after that: if the blob is damaged it is taken away, so that gathering again says what is missing. False
 * if nothing is mended by asking for it or trying again: it could not be read. */
bool round_inputs_lose(struct blobs *blobs, const struct round_inputs *round_inputs);

#endif
