/* Which round transactions are held for the next blocks (doc/protocol.md section 20): those that the branch allows and
 * whose bytes have the digests that were committed to. One that is a little early, or whose bytes are not here, waits
 * in chain/mempool/round_pool.h; large bytes are looked at by a job.
 *
 * A disclosure carries no signature, and needs none: a commitment allows one list of digests alone, and so one blob.
 * Nobody can take a seat's place with another. What a wrong root costs us is a download, once a round and group. */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_ADMIT_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_ADMIT_H

#include "chain/chain.h"

/* The ways in, for a transaction that round_tx_is_on (it is taken): as chain_add_tx, which leads here. */
enum chain_result round_admit(struct chain *chain, const struct tx *tx, const struct source *source,
	struct reject *reject);
/* A blob has come, of a peer's or (NULL) otherwise; is_stored: for them alone, so that it goes with them. */
void round_admit_blob(struct chain *chain, const uint8_t root[32], bool is_stored, const struct source *source);
/* Of asking peers for one: a request went out; this peer does not send it. */
void round_admit_asked(struct chain *chain, const uint8_t root[32], const struct source *source);
void round_admit_failed(struct chain *chain, const uint8_t root[32], const struct source *source);
/* These bytes of it have come, all before them too. False: they are not what his turn was for, and he is heard no more
 * in this round. */
bool round_admit_came(struct chain *chain, const uint8_t root[32], const struct source *source, size_t offset,
	const uint8_t *bytes, size_t count);
/* A connection is gone; time has passed. */
void round_admit_peer_gone(struct chain *chain, uint64_t peer);
void round_admit_tick(struct chain *chain);

/* A block of the active chain has this round transaction; what it makes impossible goes with the new tip. */
void round_admit_confirmed(struct chain *chain, const struct tx *tx);
/* After the last step of a switch of branches, before what undone blocks held enters again. */
void round_admit_new_tip(struct chain *chain);

/* What the next block may have of those held, in weight_max: the array (room for round_pool.held) gets borrowed
 * transactions. Returns how many. */
size_t round_admit_select(const struct chain *chain, size_t weight_max, const struct tx **selected);

/* The job ends, and is not begun again. */
void round_admit_stop(struct chain *chain);

#endif
