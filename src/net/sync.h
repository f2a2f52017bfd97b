/* Headers and blocks: what peers have, what to ask whom for, and what to tell them (doc/protocol.md sections 8, 15,
 * 17).
 *
 * Headers first: a peer's headers are taken at most SYNC_HEADERS_AHEAD beyond the last verified block of their branch,
 * since a header proves nothing before its step is executed. Blocks of a branch with more work than the tip are then
 * asked for, lowest first, from several peers at a time. A peer that sends nothing for two seconds, not even a part of
 * a block, is asked for no more, and others are asked for what it owes: two at a time, and those first that answer.
 * What comes first counts, and what comes late is no fault. A peer that owes blocks for a minute is left alone, and
 * dropped when that happens again and again. Headers are asked of every peer by itself, so nobody's silence delays
 * another's. The chain holds blocks in memory until their parents are verified: no more are asked for than it has room
 * for, but always the next. Who withholds the next block of his branch while he sends later ones loses his place.
 *
 * A block is announced when its own proof has been executed and it beats the tip, and again when it is the tip (which
 * reaches those who could not follow the first time). So whoever sends a block with a false own proof knew better, and
 * is punished; a fault that shows only later (a false loose proof in it) is not the sender's. */
#ifndef ATELIER_NET_SYNC_H
#define ATELIER_NET_SYNC_H

#include "net/peer.h"

enum {
	SYNC_BLOCKS_MAX = 8,       /* blocks asked for at a time */
	SYNC_HEADERS_AHEAD = 2016, /* headers beyond the last verified block */
};

struct sync;

struct sync *sync_new(struct peers *peers);
void sync_free(struct sync *sync);

void sync_peer_opened(struct peer *peer);
void sync_peer_ready(struct sync *sync, struct peer *peer);
void sync_peer_closed(struct sync *sync, struct peer *peer);

/* Messages and inventory items about blocks. */
void sync_on_headers(struct sync *sync, struct peer *peer, const uint8_t *payload, size_t size);
void sync_on_block(struct sync *sync, struct peer *peer, const uint8_t *payload, size_t size);
void sync_on_sendheaders(struct peer *peer);
void sync_on_announced(struct sync *sync, struct peer *peer, const uint8_t id[32]);
void sync_on_notfound(struct sync *sync, struct peer *peer, const uint8_t id[32]);

/* Notices of the chain. */
void sync_block_proven(struct sync *sync, const struct index_entry *entry, const struct source *source);
void sync_block_verdict(struct sync *sync, const struct index_entry *entry, const struct source *source,
	const struct reject *reject);
void sync_tip(struct sync *sync, const struct index_entry *tip);

/* Asks for what is missing and may be asked for; lets requests run out. Cheap when there is nothing to do. */
void sync_work(struct sync *sync, int64_t now);

/* The peer has been sent this header in another way. */
void sync_header_sent(struct peer *peer, const struct index_entry *entry);

/* Of most work among the headers a peer has shown; NULL: it has shown none. */
const struct index_entry *sync_best(const struct peer *peer);
/* The heights of the blocks it owes; how many. */
size_t sync_blocks_asked(const struct peer *peer, uint32_t heights[SYNC_BLOCKS_MAX]);
/* The last connected block of the branch a peer has shown; NULL: it has shown none. */
const struct index_entry *sync_common(const struct peer *peer);

/* Whether a block may be given to others: its own proof has been executed. */
bool sync_may_serve(const struct sync *sync, const struct index_entry *entry);

#endif
