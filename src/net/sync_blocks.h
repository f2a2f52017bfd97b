/* Blocks: what to ask whom for, and what becomes of who sends none, or wrong ones (doc/protocol.md sections 15, 17).
 *
 * Blocks of a branch with more work than the tip are asked for, lowest first, from several peers at a time. A peer that
 * sends nothing for two seconds, not even a part of a block, is asked for no more, and others are asked for what it
 * owes: two at a time, and those first that answer. What comes first counts, and what comes late is no fault. A peer
 * that owes blocks for a minute is left alone, and dropped when that happens again and again. The chain holds blocks in
 * memory until their parents are verified: no more are asked for than it has room for, but always the next. Who
 * withholds the next block of his branch while he sends later ones loses his place. */
#ifndef ATELIER_NET_SYNC_BLOCKS_H
#define ATELIER_NET_SYNC_BLOCKS_H

#include "net/relay_blocks.h"
#include "net/sync_headers.h"

enum { SYNC_BLOCKS_MAX = 8 }; /* blocks asked of a peer at a time */

struct sync_blocks;

struct sync_blocks *sync_blocks_new(struct peers *peers, struct sync_headers *headers,
	const struct relay_blocks *relay);
void sync_blocks_free(struct sync_blocks *block_sync);

void sync_blocks_peer_opened(struct peer *peer);
void sync_blocks_peer_closed(struct sync_blocks *block_sync, struct peer *peer);

void sync_blocks_on_block(struct sync_blocks *block_sync, struct peer *peer, const uint8_t *payload, size_t size);
void sync_blocks_on_notfound(struct sync_blocks *block_sync, struct peer *peer, const uint8_t id[32]);

/* A notice of the chain. */
void sync_blocks_verdict(struct sync_blocks *block_sync, const struct index_entry *entry, const struct source *source,
	const struct reject *block_reject);

/* Lets requests run out; asks for what is missing and may be asked for. Cheap when there is nothing to do. */
void sync_blocks_work(struct sync_blocks *block_sync, int64_t now);

/* Before sync_headers_start_anew: forgets what is asked for, and so all entries that are bare. */
void sync_blocks_let_go(struct sync_blocks *block_sync);

/* The heights of the blocks a peer owes; how many. */
size_t sync_blocks_asked(const struct peer *peer, uint32_t heights[SYNC_BLOCKS_MAX]);

#endif
