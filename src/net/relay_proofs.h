/* Loose proofs: taking them from peers, and passing on what was found right (doc/protocol.md section 17).
 *
 * A proof costs its receiver a whole step, so each address has one under execution. What there is no place for yet,
 * what somebody else brought too, and what is for a parent that is not the tip yet, waits in a short queue of its peer:
 * nobody can push out what others sent. A proof is passed on only after it was found right; who sent a false one was to
 * execute it first, and is punished. */
#ifndef ATELIER_NET_RELAY_PROOFS_H
#define ATELIER_NET_RELAY_PROOFS_H

#include "net/peer.h"

enum { RELAY_PROOFS_QUEUE = 32 }; /* of a peer: proofs waiting for their turn */

struct relay_proofs;

struct relay_proofs *relay_proofs_new(struct peers *peers);
void relay_proofs_free(struct relay_proofs *proof_relay);

void relay_proofs_peer_opened(struct peer *peer);
void relay_proofs_peer_ready(struct relay_proofs *proof_relay, struct peer *peer);
void relay_proofs_peer_closed(struct relay_proofs *proof_relay, struct peer *peer);

/* An item of inv, of which the caller gives no more than RELAY_PROOFS_QUEUE that are put on `ask`. True: it was. */
bool relay_proofs_on_offer(struct relay_proofs *proof_relay, struct peer *peer, const uint8_t proof_id[32],
	struct buf *ask);
void relay_proofs_on_proof(struct relay_proofs *proof_relay, struct peer *peer, const uint8_t *payload, size_t size);

/* Notices of the chain. */
void relay_proofs_verdict(struct relay_proofs *proof_relay, const struct header *proof, const struct source *source,
	const struct reject *proof_reject);
void relay_proofs_tip(struct relay_proofs *proof_relay);

/* Gives the chain the next of those that wait, lets verdicts run out. */
void relay_proofs_work(struct relay_proofs *proof_relay, int64_t now);

#endif
