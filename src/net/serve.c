/* What a peer asks for, and how much of it is read from disk at a time.
 *
 * Of a peer there is one getheaders (a later one replaces it) and at most MESSAGE_MAX_INVENTORY items; whoever asks for
 * more than that without reading is dropped. Nothing is read while TRANSPORT_DRAINED bytes wait to be sent. */
#include "net/serve.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"

struct serve_peer {
	struct inventory_item *items; /* owned */
	size_t first, count;
	struct buf missing; /* items for the next notfound */
	bool headers_asked;
	struct message_getheaders headers;
};

void serve_peer_opened(struct peer *peer)
{
	peer->serve = mem_calloc(1, sizeof *peer->serve);
}

void serve_peer_closed(struct peer *peer)
{
	free(peer->serve->items);
	buf_clear(&peer->serve->missing);
	free(peer->serve);
	peer->serve = NULL;
}

/* Nothing is read from disk beyond that: the wire calls again as soon as it has drained so far. */
static bool may_send(const struct peer *peer)
{
	return !peer->closing && transport_backlog(peer->wire) < TRANSPORT_DRAINED;
}

/* What the locator and we have in common, at worst genesis, and from there up, the active chain alone. Without a
 * locator the one header that `stop` names, as in Bitcoin. */
static void answer_headers(struct peer *peer)
{
	struct chain *chain = peer->set->chain;
	const struct message_getheaders *request = &peer->serve->headers;
	const struct index_entry *entry, *stop = chain_find(chain, request->stop);
	struct header *headers = mem_calloc(MESSAGE_MAX_HEADERS, sizeof *headers);
	size_t count = 0;
	struct buf payload;

	if (request->count == 0)
		entry = stop != NULL && chain_is_active(chain, stop) ? stop : NULL;
	else
		entry = chain_at(chain, chain_fork_point(chain, request->ids, request->count)->height + 1);
	while (entry != NULL && count < MESSAGE_MAX_HEADERS) {
		headers[count++] = entry->header;
		/* The peer has it now, so a child of it can be announced as a header. */
		relay_blocks_header_sent(peer, entry);
		if (entry == stop)
			break;
		entry = chain_at(chain, entry->height + 1);
	}
	peer->serve->headers_asked = false;
	buf_init(&payload);
	message_write_headers(&payload, headers, count);
	peer_send(peer, MESSAGE_HEADERS, &payload);
	free(headers);
}

void serve_on_getheaders(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	if (!message_read_getheaders(&peer->serve->headers, payload, size)) {
		peer->serve->headers_asked = false;
		peer_disconnect(peer, "malformed getheaders message");
		return;
	}
	peer->serve->headers_asked = true;
	serve_continue(relay, peer);
}

/* Without bodies, which are many times as large: who re-executes makes them himself. */
static bool serve_block(const struct relay_blocks *relay, struct peer *peer, const uint8_t id[32])
{
	struct chain *chain = peer->set->chain;
	const struct index_entry *entry = chain_find(chain, id);
	struct errmsg err;
	const struct block *block;
	struct buf payload;

	if (entry == NULL || entry->parent == NULL || !relay_blocks_may_serve(relay, entry))
		return false;
	block = chain_read_bare(chain, entry, &err);
	if (block == NULL) {
		log_warn("A peer asked for a block that cannot be read: %s", err.text);
		return false;
	}
	buf_init(&payload);
	block_write(&payload, chain_spec(chain), block, false);
	block_unref(block);
	peer_send(peer, MESSAGE_BLOCK, &payload);
	return true;
}

/* Read whole: its size is bounded by the spec, and one is in memory for each peer that reads. */
static bool serve_blob(struct peer *peer, const uint8_t root[32])
{
	struct chain *chain = peer->set->chain;
	struct errmsg err;
	struct buf payload, bytes;

	if (!chain_has_blob(chain, root))
		return false;
	buf_init(&bytes);
	if (!chain_read_blob(chain, root, &bytes, &err)) {
		log_warn("A peer asked for a blob that cannot be read: %s", err.text);
		buf_clear(&bytes);
		return false;
	}
	buf_init(&payload);
	message_write_blob(&payload, root, bytes.data, bytes.size);
	buf_clear(&bytes);
	peer_send(peer, MESSAGE_BLOB, &payload);
	return true;
}

/* The mempool's; what is in a block is asked for with the block. */
static bool serve_tx(struct peer *peer, const uint8_t wtxid[32])
{
	const struct mempool_entry *entry = chain_mempool_find_wtxid(peer->set->chain, wtxid);
	struct buf payload;

	if (entry == NULL)
		return false;
	buf_init(&payload);
	tx_write(&payload, entry->tx, true);
	peer_send(peer, MESSAGE_TX, &payload);
	return true;
}

/* Those of the pool, which holds what a block may still take in: looked through, as there are few. */
static bool serve_proof(struct peer *peer, const uint8_t id[32])
{
	const struct chain *chain = peer->set->chain;
	struct buf payload;
	uint8_t found[32];

	if (!chain_loose_known(chain, id))
		return false;
	for (size_t i = 0; i < chain_loose_count(chain); i++) {
		header_id(chain_loose_get(chain, i), found);
		if (memcmp(found, id, 32) != 0)
			continue;
		buf_init(&payload);
		message_write_proof(&payload, chain_loose_get(chain, i));
		peer_send(peer, MESSAGE_PROOF, &payload);
		return true;
	}
	return false;
}

/* Sends the item, or notes it as not found. True if that may have taken long: a turn's worth. */
static bool serve_item(const struct relay_blocks *relay, struct peer *peer, const struct inventory_item *item)
{
	bool found = false, large = false;

	switch (item->type) {
	case INVENTORY_TX:
		found = serve_tx(peer, item->id);
		break;
	case INVENTORY_BLOCK:
		found = large = serve_block(relay, peer, item->id);
		break;
	case INVENTORY_PROOF:
		found = large = serve_proof(peer, item->id);
		break;
	case INVENTORY_BLOB:
		found = large = serve_blob(peer, item->id);
		break;
	}
	if (!found)
		buf_put(&peer->serve->missing, item, sizeof *item);
	return large;
}

void serve_continue(const struct relay_blocks *relay, struct peer *peer)
{
	struct serve_peer *state = peer->serve;
	bool large = false;

	if (state->headers_asked && may_send(peer))
		answer_headers(peer);
	while (state->first < state->count && !large && may_send(peer))
		large = serve_item(relay, peer, &state->items[state->first++]);
	if (state->first == state->count)
		peer_send_items(peer, MESSAGE_NOTFOUND, &state->missing);
}

void serve_on_getdata(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct serve_peer *state = peer->serve;
	struct inventory_item *items;
	size_t count, left = state->count - state->first;

	if (!message_read_inventory(&items, &count, payload, size)) {
		peer_disconnect(peer, "malformed getdata message");
		return;
	}
	if (left + count > MESSAGE_MAX_INVENTORY) {
		free(items);
		peer_disconnect(peer, "it asks for more than it takes");
		return;
	}
	/* What is left goes first. Both lists are in one allocation then, of MESSAGE_MAX_INVENTORY items at most. */
	if (left > 0) {
		items = mem_realloc(items, (left + count) * sizeof *items);
		memmove(items + left, items, count * sizeof *items);
		memcpy(items, state->items + state->first, left * sizeof *items);
	}
	free(state->items);
	state->items = items;
	state->first = 0;
	state->count = left + count;
	serve_continue(relay, peer);
}
