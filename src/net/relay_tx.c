/* From whom transactions are awaited, and to whom they are announced.
 *
 * Every transaction that somebody offers and that is not here has one tx_request, with the peers that offer it in
 * order. Invariants: a request has an offer at least; one offer of it that is asked and not silent is enough, at most
 * ASKED_MAX are asked; a peer's request_count is the number of offers of its own, at most RELAY_TX_REQUESTS_MAX.
 *
 * A silent peer costs two seconds, once: then it is `silent`, and others are asked at once beside it, until it answers
 * anything. After timeouts.tx its offer is dropped. */
#include "net/relay_tx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/payload/contribution.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	ASKED_MAX = 2, /* peers from whom one transaction is awaited */
	LOOK_MS = 250, /* between looks at all requests */
	REFUSED_MAX = 8192,
	INVENTORY_CHUNK = 1000,
};

/* Who offered a transaction that is not here, in order; some of them are asked. */
struct tx_request {
	struct offer {
		struct peer *peer;
		int64_t asked; /* when it was; 0: not yet */
	} * offers;            /* owned */
	size_t count, cap;
};

struct relay_tx {
	struct peers *peers;
	struct blob_fetch *fetch;
	struct map requests; /* wtxid -> struct tx_request, owned */
	int64_t next_look;
	struct known refused; /* wtxids of transactions the present tip does not allow */
};

struct relay_tx_peer {
	struct buf announce;  /* wtxids to announce, 32 bytes each */
	size_t request_count; /* offers of it that the requests hold */
	int64_t heard;        /* when it last answered a request for a transaction */
	bool silent;          /* it did not in time, and has answered none since */
};

struct relay_tx *relay_tx_new(struct peers *peers, struct blob_fetch *fetch)
{
	struct relay_tx *relay = mem_calloc(1, sizeof *relay);

	relay->peers = peers;
	relay->fetch = fetch;
	map_init(&relay->requests);
	known_init(&relay->refused, REFUSED_MAX);
	return relay;
}

static void request_free(struct tx_request *request)
{
	free(request->offers);
	free(request);
}

void relay_tx_free(struct relay_tx *relay)
{
	const uint8_t *wtxid;
	void *request;

	for (size_t at = 0; map_next(&relay->requests, &at, &wtxid, &request);)
		request_free(request);
	map_clear(&relay->requests);
	known_clear(&relay->refused);
	free(relay);
}

void relay_tx_peer_opened(struct peer *peer)
{
	peer->txs = mem_calloc(1, sizeof *peer->txs);
}

/* --- Asking --- */

/* An answer to any of its requests counts for all of them, as they go out one behind the other; what it was asked after
 * that counts from then. */
static bool is_silent(const struct offer *offer, int64_t now)
{
	const struct relay_tx_peer *state = offer->peer->txs;
	int64_t since = offer->asked > state->heard ? offer->asked : state->heard;

	return state->silent || peer_is_silent(offer->peer, since, now);
}

static struct offer *find_offer(const struct tx_request *request, const struct peer *peer)
{
	for (size_t i = 0; i < request->count; i++)
		if (request->offers[i].peer == peer)
			return &request->offers[i];
	return NULL;
}

static void drop_offer(struct tx_request *request, struct offer *offer)
{
	offer->peer->txs->request_count--;
	memmove(offer, offer + 1, (size_t)(request->offers + --request->count - offer) * sizeof *offer);
}

/* False: it is on the list already, or the peer's own list is full. Nobody else's offers are touched by that: a flood
 * of ids fills the place of who floods. */
static bool add_offer(struct tx_request *request, struct peer *peer)
{
	if (peer->txs->request_count >= RELAY_TX_REQUESTS_MAX || find_offer(request, peer) != NULL)
		return false;
	if (request->count == request->cap) {
		request->cap = request->cap ? 2 * request->cap : 2;
		request->offers = mem_realloc(request->offers, request->cap * sizeof *request->offers);
	}
	request->offers[request->count++] = (struct offer){ .peer = peer };
	peer->txs->request_count++;
	return true;
}

static void forget_request(struct relay_tx *relay, const uint8_t wtxid[32])
{
	struct tx_request *request = map_remove(&relay->requests, wtxid);

	if (request == NULL)
		return;
	for (size_t i = 0; i < request->count; i++)
		request->offers[i].peer->txs->request_count--;
	request_free(request);
}

/* Who is asked next, if nobody is who might send it: the first that answers, or else the first. The elder of two silent
 * ones gives up its place for it. */
static struct offer *next_offer(struct tx_request *request, int64_t now)
{
	struct offer *eldest = NULL, *next = NULL;
	size_t asked = 0;

	for (size_t i = 0; i < request->count; i++) {
		struct offer *offer = &request->offers[i];

		if (!offer->asked) {
			if (next == NULL || (offer->peer->answers && !next->peer->answers))
				next = offer;
			continue;
		}
		if (!is_silent(offer, now))
			return NULL;
		if (eldest == NULL || offer->asked < eldest->asked)
			eldest = offer;
		asked++;
	}
	if (next == NULL || asked < ASKED_MAX)
		return next;
	/* Dropping moves what stands behind it one place forward, `next` too if it does. */
	next -= next > eldest;
	drop_offer(request, eldest);
	return next;
}

/* The offer stays on the list while it is asked, as the mark that this peer may still answer. */
static void ask_next(struct tx_request *request, const uint8_t wtxid[32], int64_t now)
{
	struct offer *offer = next_offer(request, now);

	if (offer == NULL)
		return;
	offer->asked = now;
	peer_send_item(offer->peer, MESSAGE_GETDATA, INVENTORY_TX, wtxid);
}

/* The refused are remembered for the present tip alone: another may allow them. */
static bool wanted_tx(struct relay_tx *relay, const uint8_t wtxid[32])
{
	return chain_mempool_find_wtxid(relay->peers->chain, wtxid) == NULL && !known_has(&relay->refused, wtxid);
}

/* The first to offer it is asked at once, together with all else of the same inv (`ask`); a later one only if nobody is
 * left who might send it. */
void relay_tx_on_offer(struct relay_tx *relay, struct peer *peer, const uint8_t wtxid[32], struct buf *ask)
{
	struct tx_request *request;
	int64_t now = clock_mono_ms();

	known_add(&peer->known, wtxid);
	if (!wanted_tx(relay, wtxid))
		return;
	request = map_get(&relay->requests, wtxid);
	if (request != NULL) {
		if (add_offer(request, peer))
			ask_next(request, wtxid, now);
		return;
	}
	if (peer->txs->request_count >= RELAY_TX_REQUESTS_MAX)
		return;
	request = mem_calloc(1, sizeof *request);
	map_put(&relay->requests, wtxid, request);
	add_offer(request, peer);
	request->offers[0].asked = now;
	message_add_item(ask, INVENTORY_TX, wtxid);
}

/* Whom silence is over: the peer has left (`gone`), or time is up. The others are only noted as silent. */
static void drop_lost(const struct relay_tx *relay, struct tx_request *request, const struct peer *gone, int64_t now)
{
	for (size_t i = request->count; i > 0; i--) {
		struct offer *offer = &request->offers[i - 1];

		if (offer->asked && is_silent(offer, now)) {
			offer->peer->txs->silent = true;
			offer->peer->answers = false;
		}
		if (offer->peer == gone || (offer->asked && now - offer->asked > relay->peers->timeouts.tx))
			drop_offer(request, offer);
	}
}

/* Asks further where it is time to; what nobody offers any more is forgotten. `gone`: a peer that leaves, or NULL. */
static void move_on(struct relay_tx *relay, const struct peer *gone, int64_t now)
{
	struct buf dead;
	const uint8_t *wtxid;
	void *value;

	buf_init(&dead);
	for (size_t at = 0; map_next(&relay->requests, &at, &wtxid, &value);) {
		struct tx_request *request = value;

		drop_lost(relay, request, gone, now);
		ask_next(request, wtxid, now);
		if (request->count == 0)
			buf_put(&dead, wtxid, 32);
	}
	/* After the walk: a map must not lose members under it. */
	for (size_t i = 0; i < dead.size; i += 32)
		forget_request(relay, dead.data + i);
	buf_clear(&dead);
}

/* Whoever has it no more is no longer silent either: it has answered. */
void relay_tx_on_notfound(struct relay_tx *relay, struct peer *peer, const uint8_t wtxid[32])
{
	struct tx_request *request = map_get(&relay->requests, wtxid);
	struct offer *offer = request != NULL ? find_offer(request, peer) : NULL;
	int64_t now = clock_mono_ms();

	if (offer == NULL || !offer->asked)
		return;
	peer->txs->heard = now;
	peer->txs->silent = false;
	drop_offer(request, offer);
	ask_next(request, wtxid, now);
	if (request->count == 0)
		forget_request(relay, wtxid);
}

/* A transaction has come: its sender answers, if it was asked. */
static void request_answered(struct relay_tx *relay, struct peer *peer, const uint8_t wtxid[32])
{
	struct tx_request *request = map_get(&relay->requests, wtxid);
	const struct offer *offer = request != NULL ? find_offer(request, peer) : NULL;

	if (offer != NULL && offer->asked) {
		peer->txs->heard = clock_mono_ms();
		peer->txs->silent = false;
		peer->answers = true;
	}
	forget_request(relay, wtxid);
}

/* --- Taking --- */

static void note_blobs(struct relay_tx *relay, const struct peer *peer, const struct tx *tx)
{
	struct contribution data;

	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, &data))
			blob_fetch_offered(relay->fetch, peer, data.root);
}

/* What may be right at another time is not remembered as refused. Of the rest only what its sender could see for
 * himself is held against him. */
static void take_tx(struct relay_tx *relay, struct peer *peer, const struct tx *tx, const uint8_t wtxid[32])
{
	struct reject reject = { .reason = "" };

	switch (chain_add_tx(relay->peers->chain, tx, &peer->source, &reject)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		break;
	case CHAIN_REJECTED:
		log_debug(LOG_MEMPOOL, "peer=%" PRIu64 " transaction refused: %s (%s)", peer->id, reject.reason,
			reject.detail);
		if (reject.code != REJECT_NOT_YET)
			known_add(&relay->refused, wtxid);
		if (reject_blames_tx(&reject))
			peer_punish(peer, "invalid transaction: %s", reject.reason);
		break;
	case CHAIN_ERROR:
		log_error("A transaction could not be taken: %s", reject.detail);
		break;
	}
}

void relay_tx_on_tx(struct relay_tx *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct reject reject = { .reason = "" };
	struct reader reader;
	const struct tx *tx;
	uint8_t wtxid[32];

	reader_init(&reader, payload, size);
	tx = tx_read(&reader);
	if (tx == NULL || !reader_done(&reader)) {
		tx_unref(tx);
		peer_disconnect(peer, "malformed tx message");
		return;
	}
	memcpy(wtxid, tx_wtxid(tx), 32);
	known_add(&peer->known, wtxid);
	request_answered(relay, peer, wtxid);
	if (!wanted_tx(relay, wtxid)) {
		tx_unref(tx);
		/* Rules without context: no node can have passed it on in good faith. */
	} else if (!tx_check(tx, &reject)) {
		tx_unref(tx);
		peer_punish(peer, "invalid transaction: %s", reject.reason);
	} else {
		note_blobs(relay, peer, tx);
		take_tx(relay, peer, tx, wtxid);
	}
}

/* --- Announcing --- */

static void queue_announcement(struct peer *peer, const uint8_t wtxid[32])
{
	struct buf *queue = &peer->txs->announce;

	if (peer->version.relay && queue->size < RELAY_TX_ANNOUNCE_MAX * 32 && !known_has(&peer->known, wtxid))
		buf_put(queue, wtxid, 32);
}

/* Told in the next turn of the loop, in one message for all that came meanwhile; who has sent it is not told. */
void relay_tx_added(struct relay_tx *relay, const struct tx *tx, uint64_t source)
{
	for (struct peer *p = relay->peers->first; p; p = p->next)
		if (peer_usable(p) && p->id != source)
			queue_announcement(p, tx_wtxid(tx));
	peers_work(relay->peers);
}

static void queue_mempool_entry(void *context, const struct mempool_entry *entry)
{
	queue_announcement(context, entry->wtxid);
}

void relay_tx_peer_ready(struct relay_tx *relay, struct peer *peer)
{
	chain_mempool_each(relay->peers->chain, queue_mempool_entry, peer);
	peers_work(relay->peers);
}

void relay_tx_peer_closed(struct relay_tx *relay, struct peer *peer)
{
	move_on(relay, peer, clock_mono_ms());
	buf_clear(&peer->txs->announce);
	free(peer->txs);
	peer->txs = NULL;
}

/* What another tip refused may be fine on this one. */
void relay_tx_tip(struct relay_tx *relay)
{
	known_clear(&relay->refused);
	peers_work(relay->peers);
}

/* Looked up again: some may have left the mempool since they were queued, or have come from this very peer. */
static void send_announcements(struct relay_tx *relay, struct peer *peer)
{
	struct buf *queue = &peer->txs->announce;
	struct buf items;

	buf_init(&items);
	for (size_t i = 0; i < queue->size; i += 32) {
		if (chain_mempool_find_wtxid(relay->peers->chain, queue->data + i) == NULL ||
			!known_add(&peer->known, queue->data + i))
			continue;
		message_add_item(&items, INVENTORY_TX, queue->data + i);
		if (items.size == INVENTORY_CHUNK * sizeof(struct inventory_item))
			peer_send_items(peer, MESSAGE_INV, &items);
	}
	peer_send_items(peer, MESSAGE_INV, &items);
	buf_clear(&items);
	buf_reset(queue);
}

void relay_tx_work(struct relay_tx *relay, int64_t now)
{
	for (struct peer *p = relay->peers->first; p != NULL; p = p->next)
		if (peer_usable(p) && p->txs->announce.size > 0)
			send_announcements(relay, p);
	if (now < relay->next_look)
		return;
	relay->next_look = now + LOOK_MS;
	move_on(relay, NULL, now);
}
