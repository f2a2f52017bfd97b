/* What each peer knows of our blocks.
 *
 * A peer has what lies on the best branch it has shown, or on the branch of what we last told it (`announced`). What it
 * has not it is sent in headers, if it wants them and they join on to what it has within RELAY_BLOCKS_HEADERS; else one
 * item of inv makes it ask. */
#include "net/relay_blocks.h"

#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/mem.h"

enum {
	RELAY_BLOCKS_HEADERS = 16, /* headers in one unasked announcement */
	RELAY_BLOCKS_PROVEN_MAX = 4096,
};

struct relay_blocks {
	struct peers *peers;
	struct known proven; /* blocks whose own proof was executed while this node ran */
};

struct relay_blocks_peer {
	const struct index_entry *announced; /* the last header we sent it */
	bool wants_headers;                  /* sent sendheaders */
};

struct relay_blocks *relay_blocks_new(struct peers *peers)
{
	struct relay_blocks *block_relay = mem_calloc(1, sizeof *block_relay);

	block_relay->peers = peers;
	known_init(&block_relay->proven, RELAY_BLOCKS_PROVEN_MAX);
	return block_relay;
}

void relay_blocks_free(struct relay_blocks *block_relay)
{
	known_clear(&block_relay->proven);
	free(block_relay);
}

void relay_blocks_peer_opened(struct peer *peer)
{
	peer->news = mem_calloc(1, sizeof *peer->news);
}

void relay_blocks_peer_closed(struct peer *peer)
{
	free(peer->news);
	peer->news = NULL;
}

void relay_blocks_on_sendheaders(struct peer *peer)
{
	peer->news->wants_headers = true;
}

void relay_blocks_header_sent(struct peer *peer, const struct index_entry *entry)
{
	peer->news->announced = entry;
}

void relay_blocks_let_go(struct relay_blocks *block_relay)
{
	for (struct peer *peer = block_relay->peers->first; peer != NULL; peer = peer->next)
		if (sync_headers_is_bare(peer->news->announced))
			peer->news->announced = NULL;
}

/* --- Announcing --- */

/* Told counts as having: who was told asks, and is not told again. */
static bool relay_blocks_peer_has(const struct peer *peer, const struct index_entry *entry)
{
	return sync_headers_is_on_branch(entry, sync_headers_best(peer)) ||
		sync_headers_is_on_branch(entry, peer->news->announced);
}

/* From the block down, until one that the peer has: those in between, in one message. If there are too many of them, or
 * it never asked for headers, the id alone: it asks for what it lacks. */
static void relay_blocks_announce_to(struct peer *peer, const struct index_entry *entry)
{
	struct header headers[RELAY_BLOCKS_HEADERS];
	const struct index_entry *ancestor = entry;
	size_t first_header = RELAY_BLOCKS_HEADERS;
	struct buf announcement;

	if (relay_blocks_peer_has(peer, entry))
		return;
	while (first_header > 0 && ancestor->parent != NULL && !relay_blocks_peer_has(peer, ancestor)) {
		headers[--first_header] = ancestor->header;
		ancestor = ancestor->parent;
	}
	if (peer->news->wants_headers && (relay_blocks_peer_has(peer, ancestor) || ancestor->parent == NULL)) {
		buf_init(&announcement);
		message_write_headers(&announcement, headers + first_header, RELAY_BLOCKS_HEADERS - first_header);
		peer_send(peer, MESSAGE_HEADERS, &announcement);
	} else {
		peer_send_item(peer, MESSAGE_INV, INVENTORY_BLOCK, entry->id);
	}
	peer->news->announced = entry;
}

static void relay_blocks_announce(struct relay_blocks *block_relay, const struct index_entry *entry)
{
	for (struct peer *peer = block_relay->peers->first; peer != NULL; peer = peer->next)
		if (peer_usable(peer))
			relay_blocks_announce_to(peer, entry);
}

/* The first announcement, before anybody knows whether the loose proofs in the block are right: so that a block crosses
 * the network in one execution's time at each node, not in all that it holds. */
void relay_blocks_proven(struct relay_blocks *block_relay, const struct index_entry *entry, const struct source *source)
{
	struct peer *peer = peers_find(block_relay->peers, source->peer);

	known_add(&block_relay->proven, entry->id);
	if (peer != NULL) {
		peer->proofs_valid++;
		peer->brought[EVICT_BLOCK] = clock_mono_ms();
	}
	if (chain_beats(block_relay->peers->chain, entry, chain_tip(block_relay->peers->chain)))
		relay_blocks_announce(block_relay, entry);
}

/* For those who have not been told since its proof was found right: they came later, or it beat no tip then. */
void relay_blocks_tip(struct relay_blocks *block_relay, const struct index_entry *tip)
{
	relay_blocks_announce(block_relay, tip);
	peers_work(block_relay->peers);
}

bool relay_blocks_is_proven(const struct relay_blocks *block_relay, const struct index_entry *entry)
{
	return known_has(&block_relay->proven, entry->id);
}

/* Never before its own proof was executed: whoever sends a false one on is taken for its maker (doc/protocol.md section
 * 17). */
bool relay_blocks_may_serve(const struct relay_blocks *block_relay, const struct index_entry *entry)
{
	switch (entry->status) {
	case ENTRY_HEADER:
	case ENTRY_INVALID:
		return false;
	case ENTRY_STORED:
		return relay_blocks_is_proven(block_relay, entry);
	case ENTRY_VERIFIED:
	case ENTRY_CONNECTED:
		return true;
	}
	return false;
}
