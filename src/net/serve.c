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
static bool serve_may_send(const struct peer *peer)
{
	return !peer->closing && transport_backlog(peer->wire) < TRANSPORT_DRAINED;
}

/* What the locator and we have in common, at worst genesis, and from there up, the active chain alone. Without a
 * locator the one header that `stop` names, as in Bitcoin. */
static void serve_headers(struct peer *peer)
{
	struct chain *chain = peer->set->chain;
	const struct message_getheaders *getheaders = &peer->serve->headers;
	const struct index_entry *served_entry, *stop = chain_find(chain, getheaders->stop);
	struct header *served_headers = mem_calloc(MESSAGE_MAX_HEADERS, sizeof *served_headers);
	size_t served_count = 0;
	struct buf headers_payload;

	if (getheaders->count == 0)
		served_entry = stop != NULL && chain_is_active(chain, stop) ? stop : NULL;
	else
		served_entry = chain_at(chain, chain_fork_point(chain, getheaders->ids, getheaders->count)->height + 1);
	while (served_entry != NULL && served_count < MESSAGE_MAX_HEADERS) {
		served_headers[served_count++] = served_entry->header;
		/* The peer has it now, so a child of it can be announced as a header. */
		relay_blocks_header_sent(peer, served_entry);
		if (served_entry == stop)
			break;
		served_entry = chain_at(chain, served_entry->height + 1);
	}
	peer->serve->headers_asked = false;
	buf_init(&headers_payload);
	message_write_headers(&headers_payload, served_headers, served_count);
	peer_send(peer, MESSAGE_HEADERS, &headers_payload);
	free(served_headers);
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
	const struct index_entry *served_entry = chain_find(chain, id);
	struct errmsg err;
	const struct block *served_block;
	struct buf block_payload;

	if (served_entry == NULL || served_entry->parent == NULL || !relay_blocks_may_serve(relay, served_entry))
		return false;
	served_block = chain_read_bare(chain, served_entry, &err);
	if (served_block == NULL) {
		log_warn("A peer asked for a block that cannot be read: %s", err.text);
		return false;
	}
	buf_init(&block_payload);
	block_write(&block_payload, chain_spec(chain), served_block, false);
	block_unref(served_block);
	peer_send(peer, MESSAGE_BLOCK, &block_payload);
	return true;
}

/* Read whole: its size is bounded by the spec, and one is in memory for each peer that reads. */
static bool serve_blob(struct peer *peer, const uint8_t root[32])
{
	struct chain *chain = peer->set->chain;
	struct errmsg err;
	struct buf blob_payload, blob_bytes;

	if (!chain_has_blob(chain, root))
		return false;
	buf_init(&blob_bytes);
	if (!chain_read_blob(chain, root, &blob_bytes, &err)) {
		log_warn("A peer asked for a blob that cannot be read: %s", err.text);
		buf_clear(&blob_bytes);
		return false;
	}
	buf_init(&blob_payload);
	message_write_blob(&blob_payload, root, blob_bytes.data, blob_bytes.size);
	buf_clear(&blob_bytes);
	peer_send(peer, MESSAGE_BLOB, &blob_payload);
	return true;
}

/* The mempool's; what is in a block is asked for with the block. */
static bool serve_tx(struct peer *peer, const uint8_t wtxid[32])
{
	const struct mempool_entry *served_entry = chain_mempool_find_wtxid(peer->set->chain, wtxid);
	struct buf tx_payload;

	if (served_entry == NULL)
		return false;
	buf_init(&tx_payload);
	tx_write(&tx_payload, served_entry->tx, true);
	peer_send(peer, MESSAGE_TX, &tx_payload);
	return true;
}

/* Those that a block may still take in, loose or late. */
static bool serve_proof(struct peer *peer, const uint8_t id[32])
{
	const struct header *candidate = chain_candidate(peer->set->chain, id);
	struct buf proof_payload;

	if (candidate == NULL)
		return false;
	buf_init(&proof_payload);
	message_write_proof(&proof_payload, candidate);
	peer_send(peer, MESSAGE_PROOF, &proof_payload);
	return true;
}

/* Sends the item, or notes it as not found. True if that may have taken long: a turn's worth. */
static bool serve_item(const struct relay_blocks *relay, struct peer *peer, const struct inventory_item *item)
{
	bool served = false, served_large = false;

	switch (item->type) {
	case INVENTORY_TX:
		served = serve_tx(peer, item->id);
		break;
	case INVENTORY_BLOCK:
		served = served_large = serve_block(relay, peer, item->id);
		break;
	case INVENTORY_PROOF:
		served = served_large = serve_proof(peer, item->id);
		break;
	case INVENTORY_BLOB:
		served = served_large = serve_blob(peer, item->id);
		break;
	}
	if (!served)
		buf_put(&peer->serve->missing, item, sizeof *item);
	return served_large;
}

void serve_continue(const struct relay_blocks *relay, struct peer *peer)
{
	struct serve_peer *serving = peer->serve;
	bool served_large = false;

	if (serving->headers_asked && serve_may_send(peer))
		serve_headers(peer);
	while (serving->first < serving->count && !served_large && serve_may_send(peer))
		served_large = serve_item(relay, peer, &serving->items[serving->first++]);
	if (serving->first == serving->count)
		peer_send_items(peer, MESSAGE_NOTFOUND, &serving->missing);
}

void serve_on_getdata(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct serve_peer *serving = peer->serve;
	struct inventory_item *asked_items;
	size_t asked_count, unserved = serving->count - serving->first;

	if (!message_read_inventory(&asked_items, &asked_count, payload, size)) {
		peer_disconnect(peer, "malformed getdata message");
		return;
	}
	if (unserved + asked_count > MESSAGE_MAX_INVENTORY) {
		free(asked_items);
		peer_disconnect(peer, "it asks for more than it takes");
		return;
	}
	/* What is left goes first. Both lists are in one allocation then, of MESSAGE_MAX_INVENTORY items at most. */
	if (unserved > 0) {
		asked_items = mem_realloc(asked_items, (unserved + asked_count) * sizeof *asked_items);
		memmove(asked_items + unserved, asked_items, asked_count * sizeof *asked_items);
		memcpy(asked_items, serving->items + serving->first, unserved * sizeof *asked_items);
	}
	free(serving->items);
	serving->items = asked_items;
	serving->first = 0;
	serving->count = unserved + asked_count;
	serve_continue(relay, peer);
}
