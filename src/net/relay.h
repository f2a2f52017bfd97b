/* Loose proofs and transactions: taking them from peers, and passing them on (doc/protocol.md section 17).
 *
 * A proof costs its receiver a whole step, so each address has one under execution. What there is no place for yet,
 * what somebody else brought too, and what is for a parent that is not the tip yet, waits in a short queue of its peer:
 * nobody can push out what others sent. A proof is passed on only after it was found right; who sent a false one was to
 * execute it first, and is punished.
 *
 * Transactions are announced by wtxid when the chain's mempool has taken them (so their blobs are here), and asked for
 * once: of the first peer that offers them, and of the next too if that one is silent for two seconds, those first that
 * answer. Each peer's offers are bounded by themselves: whoever offers much takes nobody else's place. */
#ifndef ATELIER_NET_RELAY_H
#define ATELIER_NET_RELAY_H

#include "net/blob_fetch.h"

struct relay;

struct relay *relay_new(struct peers *peers, struct blob_fetch *blobs);
void relay_free(struct relay *relay);

void relay_peer_ready(struct relay *relay, struct peer *peer);
void relay_peer_gone(struct relay *relay, struct peer *peer);

/* Messages; of inventory only the items about transactions and proofs are looked at. */
void relay_on_inventory(struct relay *relay, struct peer *peer, const struct inventory_item *items, size_t count);
void relay_on_notfound(struct relay *relay, struct peer *peer, const uint8_t wtxid[32]);
void relay_on_tx(struct relay *relay, struct peer *peer, const uint8_t *payload, size_t size);
void relay_on_proof(struct relay *relay, struct peer *peer, const uint8_t *payload, size_t size);

/* Notices of the chain. */
void relay_tx_added(struct relay *relay, const struct tx *tx, uint64_t source);
void relay_proof_verdict(struct relay *relay, const struct header *header, const struct source *source,
	const struct reject *reject);
void relay_tip(struct relay *relay);

/* Sends announcements, lets requests run out. */
void relay_work(struct relay *relay, int64_t now);

#endif
