/* Which headers peers have, and asking for more of them (doc/protocol.md sections 8, 15, 17).
 *
 * A peer's headers are taken at most SYNC_HEADERS_AHEAD beyond the last verified block of their branch, since a header
 * proves nothing before its step is executed. They are asked of every peer by itself, so nobody's silence delays
 * another's. The best branch that a peer has shown is what the others ask here: sync_blocks fetches along it,
 * relay_blocks announces what is not on it. */
#ifndef ATELIER_NET_SYNC_HEADERS_H
#define ATELIER_NET_SYNC_HEADERS_H

#include "net/peer.h"

enum { SYNC_HEADERS_AHEAD = 2016 }; /* headers beyond the last verified block */

struct sync_headers;

struct sync_headers *sync_headers_new(struct peers *peers);
void sync_headers_free(struct sync_headers *header_sync);

void sync_headers_peer_opened(struct peer *peer);
void sync_headers_peer_ready(struct sync_headers *header_sync, struct peer *peer);
void sync_headers_peer_closed(struct peer *peer);

void sync_headers_on_headers(struct sync_headers *header_sync, struct peer *peer, const uint8_t *payload, size_t size);
/* An item of inv: a block. */
void sync_headers_on_announced(struct sync_headers *header_sync, struct peer *peer, const uint8_t id[32]);
/* The header of a block that came: its entry, or NULL if it is not taken (wrong, without a parent, too many). */
const struct index_entry *sync_headers_take(struct sync_headers *header_sync, struct peer *peer,
	const struct header *header);

/* Lets requests run out, asks further where there is room again, or where a branch has turned out to be invalid. */
void sync_headers_work(struct sync_headers *header_sync, int64_t now);

/* The chain holds more bare headers than honest peers ever give. Then all go, and peers are asked for theirs again; the
 * caller has seen to it that nobody else holds on to an entry that is bare. */
bool sync_headers_full(const struct sync_headers *header_sync);
void sync_headers_start_anew(struct sync_headers *header_sync);

/* Logs what of a peer was refused ("header", "block"): in a bounded number of lines where it costs its sender nothing.
 */
void sync_headers_log_refused(struct sync_headers *header_sync, const struct peer *peer, const char *what,
	const uint8_t id[32], const struct reject *reject);

/* Of most work among the headers a peer has shown; NULL: it has shown none. */
const struct index_entry *sync_headers_best(const struct peer *peer);
/* The last connected block under it; NULL: as above. */
const struct index_entry *sync_headers_common(const struct peer *peer);

/* The nearest block at or under this one that is verified, be it on the active chain or on a branch that does not have
 * most work yet. */
const struct index_entry *sync_headers_verified_under(const struct index_entry *entry);
bool sync_headers_is_on_branch(const struct index_entry *entry, const struct index_entry *branch); /* false: NULL */
bool sync_headers_is_bare(const struct index_entry *entry); /* it may go when all start anew; false: NULL */

#endif
