/* Blobs that the chain waits for: asked of the peer that brought the block or transaction, then of the others, first of
 * those that prune nothing and of those that answer, until the bytes are here (doc/protocol.md sections 12 and 17). One
 * at a time; but when it has been silent for two seconds, or brings less than half a megabyte in each, the next too,
 * and when both do, a third in place of the one that would be done later.
 *
 * All parts of a blob come from one peer, whose fault it is then if they are not the root's; another is asked from the
 * first byte on. What only waits in rounds is asked of nobody but whose turn it is (chain/mempool/round_pool.h),
 * whatever else he owes. */
#ifndef ATELIER_NET_BLOB_FETCH_H
#define ATELIER_NET_BLOB_FETCH_H

#include "net/peer.h"

enum { BLOB_FETCH_PEER_MAX = 2 }; /* blobs asked of a peer at a time */

struct blob_fetch;

struct blob_fetch *blob_fetch_new(struct peers *peers);
void blob_fetch_free(struct blob_fetch *fetch);

void blob_fetch_peer_opened(struct peer *peer);
void blob_fetch_peer_closed(struct blob_fetch *fetch, struct peer *peer);
void blob_fetch_wanted(struct blob_fetch *fetch, const uint8_t root[32], uint64_t size, uint64_t source);
/* It is this peer's turn, until it fails or the chain gives another's. */
void blob_fetch_turn(struct blob_fetch *fetch, const uint8_t root[32], uint64_t size, uint64_t peer_id);
/* The peer has sent what names this blob, so it has the bytes: if they are missing still, it is asked next. */
void blob_fetch_offered(struct blob_fetch *fetch, const struct peer *peer, const uint8_t root[32], uint64_t size);
void blob_fetch_on_part(struct blob_fetch *fetch, struct peer *peer, const uint8_t *payload, size_t size);
void blob_fetch_work(struct blob_fetch *fetch, int64_t now);

size_t blob_fetch_asked(const struct peer *peer); /* blobs it owes now */

#endif
