/* What a peer asks for, and how much of it is read from disk at a time.
 *
 * Of a peer there is one getheaders (a later one replaces it) and at most MESSAGE_MAX_INVENTORY items, parts among
 * them; whoever asks for more than that without reading is dropped. Nothing is read while TRANSPORT_DRAINED bytes wait
 * to be sent: so it is his own connection that bounds how much a peer has us read from the disk, whether he asks for
 * different things or again and again for one, and nobody counts it. */
#include "net/serve.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"

/* An item of a getdata, or a part of a blob. */
struct serve_item {
	struct inventory_item item;
	bool is_part;
	uint32_t size, offset; /* of a part; item.id is the blob's root */
};

struct serve_peer {
	struct serve_item *items; /* owned */
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

/* Without bytes if there is no such blob here. */
static void serve_part(struct peer *peer, const struct serve_item *asked)
{
	struct message_part part = { .size = asked->size, .offset = asked->offset };
	struct chain *chain = peer->set->chain;
	struct buf part_payload, part_bytes;
	struct errmsg err;

	memcpy(part.root, asked->item.id, 32);
	buf_init(&part_bytes);
	if (chain_blob_size(chain, part.root) == part.size) {
		part.count = message_part_count(part.size, part.offset);
		if (!chain_read_piece(chain, part.root, part.offset, part.count, &part_bytes, &err)) {
			log_warn("A peer asked for a blob that cannot be read: %s", err.text);
			part.count = 0;
		}
	}
	part.bytes = part.count > 0 ? part_bytes.data : part.root;
	buf_init(&part_payload);
	message_write_part(&part_payload, &part);
	buf_clear(&part_bytes);
	peer_send(peer, MESSAGE_PART, &part_payload);
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
static bool serve_item(const struct relay_blocks *relay, struct peer *peer, const struct serve_item *asked)
{
	const struct inventory_item *item = &asked->item;
	bool served = false, served_large = false;

	if (asked->is_part) {
		serve_part(peer, asked);
		return true;
	}
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
	}
	if (!served)
		buf_put(&peer->serve->missing, item, sizeof *item);
	return served_large;
}

/* A part of a large blob may have to wait until all of it has been looked at, and what was asked for later with it. */
static bool serve_is_ready(struct peer *peer, const struct serve_item *asked)
{
	return !asked->is_part || chain_blob_ready(peer->set->chain, asked->item.id);
}

void serve_continue(const struct relay_blocks *relay, struct peer *peer)
{
	struct serve_peer *serving = peer->serve;
	bool served_large = false;

	if (serving->headers_asked && serve_may_send(peer))
		serve_headers(peer);
	while (serving->first < serving->count && !served_large && serve_may_send(peer) &&
		serve_is_ready(peer, &serving->items[serving->first]))
		served_large = serve_item(relay, peer, &serving->items[serving->first++]);
	if (serving->first == serving->count)
		peer_send_items(peer, MESSAGE_NOTFOUND, &serving->missing);
}

/* What is left goes first. Both lists are in one allocation then, of MESSAGE_MAX_INVENTORY items at most. */
static void serve_queue(struct peer *peer, const struct serve_item *asked, size_t asked_count)
{
	struct serve_peer *serving = peer->serve;
	size_t unserved = serving->count - serving->first;

	if (unserved + asked_count > MESSAGE_MAX_INVENTORY) {
		peer_disconnect(peer, "it asks for more than it takes");
		return;
	}
	if (unserved > 0)
		memmove(serving->items, serving->items + serving->first, unserved * sizeof *serving->items);
	serving->items = mem_realloc(serving->items, (unserved + asked_count) * sizeof *serving->items);
	memcpy(serving->items + unserved, asked, asked_count * sizeof *asked);
	serving->first = 0;
	serving->count = unserved + asked_count;
}

void serve_on_getdata(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct inventory_item *items;
	struct serve_item *asked;
	size_t count;

	if (!message_read_inventory(&items, &count, payload, size)) {
		peer_disconnect(peer, "malformed getdata message");
		return;
	}
	asked = mem_calloc(count, sizeof *asked);
	for (size_t i = 0; i < count; i++)
		asked[i].item = items[i];
	free(items);
	serve_queue(peer, asked, count);
	free(asked);
	serve_continue(relay, peer);
}

void serve_on_getpart(const struct relay_blocks *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct serve_item asked = { .is_part = true };
	struct message_part part;

	if (!message_read_getpart(&part, payload, size)) {
		peer_disconnect(peer, "malformed getpart message");
		return;
	}
	memcpy(asked.item.id, part.root, 32);
	asked.size = part.size;
	asked.offset = part.offset;
	serve_queue(peer, &asked, 1);
	serve_continue(relay, peer);
}
