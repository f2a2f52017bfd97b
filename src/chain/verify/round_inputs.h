/* What a block of a chain with rounds needs to be verified beside what its proofs do (doc/protocol.md section 20):
 * blobs of disclosures and challenges, and of a round that it merges the codes and what each disclosed segment
 * trained on.
 *
 * The loop finds out what that is, and gathers windows; what the blobs say, which are large, is read by the worker.
 * What all seats of a round have changed is more than memory may hold: that is read again when the merge comes to it.
 */
#ifndef ATELIER_CHAIN_VERIFY_ROUND_INPUTS_H
#define ATELIER_CHAIN_VERIFY_ROUND_INPUTS_H

#include "chain/blobs.h"
#include "chain/index.h"
#include "chain/verify/wants.h"
#include "consensus/verify.h"

/* Blobs to be read, and for what. */
struct round_read;
struct round_inputs {
	const struct blobs *blobs;
	struct round_read *reads; /* owned */
	size_t read_count;
	size_t unread; /* the one that could not be read, and what was found of it */
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
/* Reads the blobs; any thread. False if one cannot be read (round_inputs_lose). */
bool round_inputs_read(const struct spec *spec, struct round_inputs *round_inputs, struct verify_round *verify_round,
	struct errmsg *err);
/* The same of what the job has read by itself, when it has ended without a verdict. */
bool round_inputs_were_read(struct round_inputs *round_inputs, const struct verify_round *verify_round);
void round_inputs_clear(struct round_inputs *round_inputs);
/* On the loop, after that: if the blob is damaged it is taken away, so that gathering again says what is missing. False
 * if nothing is mended by asking for it or trying again: it could not be read. */
bool round_inputs_lose(struct blobs *blobs, const struct round_inputs *round_inputs);

#endif
