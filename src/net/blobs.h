/* Contributed data that the chain waits for: asked of the peer that brought the block or transaction, then of the
 * others, first of those that answer, until the bytes are here (doc/protocol.md sections 12 and 17). One at a time; but
 * when it has been silent for two seconds the next too, and when both are, a third in place of the first. */
#ifndef ATELIER_NET_BLOBS_H
#define ATELIER_NET_BLOBS_H

#include "net/peer.h"

struct blobs;

struct blobs *blobs_new(struct peers *peers);
void blobs_free(struct blobs *blobs);

void blobs_peer_gone(struct blobs *blobs, struct peer *peer);
void blobs_wanted(struct blobs *blobs, const uint8_t root[32], uint64_t size, uint64_t source);
/* The peer has sent what registers this blob, so it has the bytes: if they are missing still, it is asked next. */
void blobs_offered(struct blobs *blobs, const struct peer *peer, const uint8_t root[32]);
void blobs_on_blob(struct blobs *blobs, struct peer *peer, const uint8_t *payload, size_t size);
void blobs_on_notfound(struct blobs *blobs, struct peer *peer, const uint8_t root[32]);
void blobs_work(struct blobs *blobs, int64_t now);

#endif
