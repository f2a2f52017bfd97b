/* Telling others about blocks (doc/protocol.md sections 15, 17).
 *
 * A block is announced when its own proof has been executed and it beats the tip, and again when it is the tip (which
 * reaches those who could not follow the first time). So whoever sends a block with a false own proof knew better, and
 * is punished; a fault that shows only later (a false loose proof in it) is not the sender's. */
#ifndef ATELIER_NET_RELAY_BLOCKS_H
#define ATELIER_NET_RELAY_BLOCKS_H

#include "net/sync_headers.h"

struct relay_blocks;

struct relay_blocks *relay_blocks_new(struct peers *peers);
void relay_blocks_free(struct relay_blocks *block_relay);

void relay_blocks_peer_opened(struct peer *peer);
void relay_blocks_peer_closed(struct peer *peer);

void relay_blocks_on_sendheaders(struct peer *peer);
/* The peer has been sent this header in another way. */
void relay_blocks_header_sent(struct peer *peer, const struct index_entry *entry);

/* Notices of the chain. */
void relay_blocks_proven(struct relay_blocks *block_relay, const struct index_entry *entry,
	const struct source *source);
void relay_blocks_tip(struct relay_blocks *block_relay, const struct index_entry *tip);

/* Whether its own proof was executed since the node started. */
bool relay_blocks_is_proven(const struct relay_blocks *block_relay, const struct index_entry *entry);
/* Whether a block may be given to others: its own proof has been executed, now or in an earlier run. */
bool relay_blocks_may_serve(const struct relay_blocks *block_relay, const struct index_entry *entry);

/* Before sync_headers_start_anew: forgets all entries that are bare. */
void relay_blocks_let_go(struct relay_blocks *block_relay);

#endif
