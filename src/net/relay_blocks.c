/* What each peer knows of our blocks.
 *
 * A peer has what lies on the best branch it has shown, or on the branch of what we last told it (`announced`). What it
 * has not it is sent in headers, if it wants them and they join on to what it has within ANNOUNCE_HEADERS; else one
 * item of inv makes it ask. */
#include "net/relay_blocks.h"

#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum {
	ANNOUNCE_HEADERS = 16, /* headers in one unasked announcement */
	PROVEN_MAX = 4096,
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
	struct relay_blocks *relay = mem_calloc(1, sizeof *relay);

	relay->peers = peers;
	known_init(&relay->proven, PROVEN_MAX);
	return relay;
}

void relay_blocks_free(struct relay_blocks *relay)
{
	known_clear(&relay->proven);
	free(relay);
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

void relay_blocks_let_go(struct relay_blocks *relay)
{
	for (struct peer *p = relay->peers->first; p != NULL; p = p->next)
		if (sync_headers_is_bare(p->news->announced))
			p->news->announced = NULL;
}

/* --- Announcing --- */

/* Told counts as having: who was told asks, and is not told again. */
static bool peer_has(const struct peer *peer, const struct index_entry *entry)
{
	return sync_headers_is_on_branch(entry, sync_headers_best(peer)) ||
		sync_headers_is_on_branch(entry, peer->news->announced);
}

/* From the block down, until one that the peer has: those in between, in one message. If there are too many of them, or
 * it never asked for headers, the id alone: it asks for what it lacks. */
static void announce_to(struct peer *peer, const struct index_entry *entry)
{
	struct header headers[ANNOUNCE_HEADERS];
	const struct index_entry *at = entry;
	size_t first = ANNOUNCE_HEADERS;
	struct buf payload;

	if (peer_has(peer, entry))
		return;
	while (first > 0 && at->parent != NULL && !peer_has(peer, at)) {
		headers[--first] = at->header;
		at = at->parent;
	}
	if (peer->news->wants_headers && (peer_has(peer, at) || at->parent == NULL)) {
		buf_init(&payload);
		message_write_headers(&payload, headers + first, ANNOUNCE_HEADERS - first);
		peer_send(peer, MESSAGE_HEADERS, &payload);
	} else {
		peer_send_item(peer, MESSAGE_INV, INVENTORY_BLOCK, entry->id);
	}
	peer->news->announced = entry;
}

static void announce_to_all(struct relay_blocks *relay, const struct index_entry *entry)
{
	for (struct peer *p = relay->peers->first; p != NULL; p = p->next)
		if (peer_usable(p))
			announce_to(p, entry);
}

/* The first announcement, before anybody knows whether the loose proofs in the block are right: so that a block crosses
 * the network in one execution's time at each node, not in all that it holds. */
void relay_blocks_proven(struct relay_blocks *relay, const struct index_entry *entry, const struct source *source)
{
	struct peer *peer = peers_find(relay->peers, source->peer);

	known_add(&relay->proven, entry->id);
	if (peer != NULL)
		peer->proofs_valid++;
	if (sync_headers_beats(entry, chain_tip(relay->peers->chain)))
		announce_to_all(relay, entry);
}

/* For those who have not been told since its proof was found right: they came later, or it beat no tip then. */
void relay_blocks_tip(struct relay_blocks *relay, const struct index_entry *tip)
{
	announce_to_all(relay, tip);
	peers_work(relay->peers);
}

bool relay_blocks_is_proven(const struct relay_blocks *relay, const struct index_entry *entry)
{
	return known_has(&relay->proven, entry->id);
}

/* Never before its own proof was executed: whoever sends a false one on is taken for its maker (doc/protocol.md section
 * 17). */
bool relay_blocks_may_serve(const struct relay_blocks *relay, const struct index_entry *entry)
{
	switch (entry->status) {
	case ENTRY_HEADER:
	case ENTRY_INVALID:
		return false;
	case ENTRY_STORED:
		return relay_blocks_is_proven(relay, entry);
	case ENTRY_VERIFIED:
	case ENTRY_CONNECTED:
		return true;
	}
	return false;
}
