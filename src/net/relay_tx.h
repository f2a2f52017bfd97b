/* Transactions: asking for those that peers offer, and offering them in turn (doc/protocol.md section 17).
 *
 * A transaction is announced by wtxid when the chain's mempool has taken it (so its blobs are here), and asked for
 * once: of the first peer that offers it, and of the next too if that one is silent for two seconds, those first that
 * answer. Each peer's offers are bounded by themselves: whoever offers much takes nobody else's place. One of a round
 * that may be taken at another time, or found no place, is asked for again of who brought it, every few seconds and
 * after each new tip: it is not announced twice. */
#ifndef ATELIER_NET_RELAY_TX_H
#define ATELIER_NET_RELAY_TX_H

#include "net/blob_fetch.h"

enum {
	RELAY_TX_REQUESTS_MAX = 1000, /* transactions a peer offers that are not here, asked of it or not */
	RELAY_TX_LATER_MAX = 512,     /* those to be asked for again */
	RELAY_TX_ANNOUNCE_MAX = 5000, /* transactions waiting to be announced to a peer */
};

struct relay_tx;

struct relay_tx *relay_tx_new(struct peers *peers, struct blob_fetch *fetch);
void relay_tx_free(struct relay_tx *tx_relay);

void relay_tx_peer_opened(struct peer *peer);
void relay_tx_peer_ready(struct relay_tx *tx_relay, struct peer *peer);
void relay_tx_peer_closed(struct relay_tx *tx_relay, struct peer *peer);

/* An item of inv. If the peer is to be asked for it now, it is put on `ask`. */
void relay_tx_on_offer(struct relay_tx *tx_relay, struct peer *peer, const uint8_t wtxid[32], struct buf *ask);
void relay_tx_on_notfound(struct relay_tx *tx_relay, struct peer *peer, const uint8_t wtxid[32]);
void relay_tx_on_tx(struct relay_tx *tx_relay, struct peer *peer, const uint8_t *payload, size_t size);

/* Notices of the chain. */
void relay_tx_added(struct relay_tx *tx_relay, const struct tx *tx, uint64_t source);
void relay_tx_put_off(struct relay_tx *tx_relay, const struct tx *tx, uint64_t source);
void relay_tx_tip(struct relay_tx *tx_relay);

/* Sends announcements, lets requests run out. */
void relay_tx_work(struct relay_tx *tx_relay, int64_t now);

#endif
