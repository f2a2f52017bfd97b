/* From whom transactions are awaited, and to whom they are announced.
 *
 * Every transaction that somebody offers and that is not here has one tx_request, with the peers that offer it in
 * order. Invariants: a request has an offer at least; one offer of it that is asked and not silent is enough, at most
 * RELAY_TX_ASKED_MAX are asked; a peer's request_count is the number of offers of its own, at most
 * RELAY_TX_REQUESTS_MAX.
 *
 * A silent peer costs two seconds, once: then it is `silent`, and others are asked at once beside it, until it answers
 * anything. After timeouts.tx its offer is dropped. */
#include "net/relay_tx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/payload/contribution.h"
#include "consensus/payload/round_tx.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	RELAY_TX_ASKED_MAX = 2, /* peers from whom one transaction is awaited */
	RELAY_TX_LOOK_MS = 250, /* between looks at all requests */
	RELAY_TX_REFUSED_MAX = 8192,
	RELAY_TX_CHUNK = 1000,
	RELAY_TX_LATER_MS = 5000,
	RELAY_TX_LATER_CHUNK = 64, /* asked for again of a peer at a time */
};

/* Who offered a transaction that is not here, in order; some of them are asked. */
struct tx_request {
	struct tx_offer {
		struct peer *peer;
		int64_t asked; /* when it was; 0: not yet */
	} * offers;            /* owned */
	size_t count, cap;
};

struct relay_tx {
	struct peers *peers;
	struct blob_fetch *fetch;
	struct map requests; /* wtxid -> struct tx_request, owned */
	int64_t next_look, next_later;
	struct known refused; /* wtxids of transactions the present tip does not allow */
};

struct relay_tx_peer {
	struct buf announce;  /* wtxids to announce, 32 bytes each */
	struct buf later;     /* wtxids to ask for again */
	size_t request_count; /* offers of it that the requests hold */
	int64_t heard;        /* when it last answered a request for a transaction */
	bool silent;          /* it did not in time, and has answered none since */
};

struct relay_tx *relay_tx_new(struct peers *peers, struct blob_fetch *fetch)
{
	struct relay_tx *tx_relay = mem_calloc(1, sizeof *tx_relay);

	tx_relay->peers = peers;
	tx_relay->fetch = fetch;
	map_init(&tx_relay->requests);
	known_init(&tx_relay->refused, RELAY_TX_REFUSED_MAX);
	return tx_relay;
}

static void relay_tx_request_free(struct tx_request *tx_request)
{
	free(tx_request->offers);
	free(tx_request);
}

void relay_tx_free(struct relay_tx *tx_relay)
{
	const uint8_t *wtxid;
	void *tx_request;

	for (size_t at = 0; map_next(&tx_relay->requests, &at, &wtxid, &tx_request);)
		relay_tx_request_free(tx_request);
	map_clear(&tx_relay->requests);
	known_clear(&tx_relay->refused);
	free(tx_relay);
}

void relay_tx_peer_opened(struct peer *peer)
{
	peer->txs = mem_calloc(1, sizeof *peer->txs);
	buf_init(&peer->txs->announce);
	buf_init(&peer->txs->later);
}

/* --- Asking --- */

/* An answer to any of its requests counts for all of them, as they go out one behind the other; what it was asked after
 * that counts from then. */
static bool relay_tx_is_silent(const struct tx_offer *offer, int64_t now)
{
	const struct relay_tx_peer *peer_txs = offer->peer->txs;
	int64_t since = offer->asked > peer_txs->heard ? offer->asked : peer_txs->heard;

	return peer_txs->silent || peer_is_silent(offer->peer, since, now);
}

static struct tx_offer *relay_tx_find_offer(const struct tx_request *tx_request, const struct peer *peer)
{
	for (size_t i = 0; i < tx_request->count; i++)
		if (tx_request->offers[i].peer == peer)
			return &tx_request->offers[i];
	return NULL;
}

static void relay_tx_drop_offer(struct tx_request *tx_request, struct tx_offer *offer)
{
	offer->peer->txs->request_count--;
	memmove(offer, offer + 1, (size_t)(tx_request->offers + --tx_request->count - offer) * sizeof *offer);
}

/* False: it is on the list already, or the peer's own list is full. Nobody else's offers are touched by that: a flood
 * of ids fills the place of who floods. */
static bool relay_tx_add_offer(struct tx_request *tx_request, struct peer *peer)
{
	if (peer->txs->request_count >= RELAY_TX_REQUESTS_MAX || relay_tx_find_offer(tx_request, peer) != NULL)
		return false;
	if (tx_request->count == tx_request->cap) {
		tx_request->cap = tx_request->cap ? 2 * tx_request->cap : 2;
		tx_request->offers = mem_realloc(tx_request->offers, tx_request->cap * sizeof *tx_request->offers);
	}
	tx_request->offers[tx_request->count++] = (struct tx_offer){ .peer = peer };
	peer->txs->request_count++;
	return true;
}

static void relay_tx_forget_request(struct relay_tx *tx_relay, const uint8_t wtxid[32])
{
	struct tx_request *tx_request = map_remove(&tx_relay->requests, wtxid);

	if (tx_request == NULL)
		return;
	for (size_t i = 0; i < tx_request->count; i++)
		tx_request->offers[i].peer->txs->request_count--;
	relay_tx_request_free(tx_request);
}

/* Who is asked next, if nobody is who might send it: the first that answers, or else the first. The elder of two silent
 * ones gives up its place for it. */
static struct tx_offer *relay_tx_next_offer(struct tx_request *tx_request, int64_t now)
{
	struct tx_offer *eldest_offer = NULL, *next_offer = NULL;
	size_t asked_count = 0;

	for (size_t i = 0; i < tx_request->count; i++) {
		struct tx_offer *offer = &tx_request->offers[i];

		if (!offer->asked) {
			if (next_offer == NULL || (offer->peer->answers && !next_offer->peer->answers))
				next_offer = offer;
			continue;
		}
		if (!relay_tx_is_silent(offer, now))
			return NULL;
		if (eldest_offer == NULL || offer->asked < eldest_offer->asked)
			eldest_offer = offer;
		asked_count++;
	}
	if (next_offer == NULL || asked_count < RELAY_TX_ASKED_MAX)
		return next_offer;
	/* Dropping moves what stands behind it one place forward, `next_offer` too if it does. */
	next_offer -= next_offer > eldest_offer;
	relay_tx_drop_offer(tx_request, eldest_offer);
	return next_offer;
}

/* The offer stays on the list while it is asked, as the mark that this peer may still answer. */
static void relay_tx_ask_next(struct tx_request *tx_request, const uint8_t wtxid[32], int64_t now)
{
	struct tx_offer *offer = relay_tx_next_offer(tx_request, now);

	if (offer == NULL)
		return;
	offer->asked = now;
	peer_send_item(offer->peer, MESSAGE_GETDATA, INVENTORY_TX, wtxid);
}

/* The refused are remembered for the present tip alone: another may allow them. */
static bool relay_tx_wants(struct relay_tx *tx_relay, const uint8_t wtxid[32])
{
	return chain_mempool_find_wtxid(tx_relay->peers->chain, wtxid) == NULL && !known_has(&tx_relay->refused, wtxid);
}

/* The first to offer it is asked at once, together with all else of the same inv (`ask`); a later one only if nobody is
 * left who might send it. */
void relay_tx_on_offer(struct relay_tx *tx_relay, struct peer *peer, const uint8_t wtxid[32], struct buf *ask)
{
	struct tx_request *tx_request;
	int64_t now = clock_mono_ms();

	known_add(&peer->known, wtxid);
	if (!relay_tx_wants(tx_relay, wtxid))
		return;
	tx_request = map_get(&tx_relay->requests, wtxid);
	if (tx_request != NULL) {
		if (relay_tx_add_offer(tx_request, peer))
			relay_tx_ask_next(tx_request, wtxid, now);
		return;
	}
	if (peer->txs->request_count >= RELAY_TX_REQUESTS_MAX)
		return;
	tx_request = mem_calloc(1, sizeof *tx_request);
	map_put(&tx_relay->requests, wtxid, tx_request);
	relay_tx_add_offer(tx_request, peer);
	tx_request->offers[0].asked = now;
	message_add_item(ask, INVENTORY_TX, wtxid);
}

/* Whom silence is over: the peer has left (`gone_peer`), or time is up. The others are only noted as silent. */
static void relay_tx_drop_lost(const struct relay_tx *tx_relay, struct tx_request *tx_request,
	const struct peer *gone_peer, int64_t now)
{
	for (size_t i = tx_request->count; i > 0; i--) {
		struct tx_offer *offer = &tx_request->offers[i - 1];

		if (offer->asked && relay_tx_is_silent(offer, now)) {
			offer->peer->txs->silent = true;
			offer->peer->answers = false;
		}
		if (offer->peer == gone_peer || (offer->asked && now - offer->asked > tx_relay->peers->timeouts.tx))
			relay_tx_drop_offer(tx_request, offer);
	}
}

/* Asks further where it is time to; what nobody offers any more is forgotten. `gone_peer`: one that leaves, or NULL. */
static void relay_tx_move_on(struct relay_tx *tx_relay, const struct peer *gone_peer, int64_t now)
{
	struct buf dead_requests;
	const uint8_t *wtxid;
	void *found_request;

	buf_init(&dead_requests);
	for (size_t at = 0; map_next(&tx_relay->requests, &at, &wtxid, &found_request);) {
		struct tx_request *tx_request = found_request;

		relay_tx_drop_lost(tx_relay, tx_request, gone_peer, now);
		relay_tx_ask_next(tx_request, wtxid, now);
		if (tx_request->count == 0)
			buf_put(&dead_requests, wtxid, 32);
	}
	/* After the walk: a map must not lose members under it. */
	for (size_t i = 0; i < dead_requests.size; i += 32)
		relay_tx_forget_request(tx_relay, dead_requests.data + i);
	buf_clear(&dead_requests);
}

/* Whoever has it no more is no longer silent either: it has answered. */
void relay_tx_on_notfound(struct relay_tx *tx_relay, struct peer *peer, const uint8_t wtxid[32])
{
	struct tx_request *tx_request = map_get(&tx_relay->requests, wtxid);
	struct tx_offer *offer = tx_request != NULL ? relay_tx_find_offer(tx_request, peer) : NULL;
	int64_t now = clock_mono_ms();

	if (offer == NULL || !offer->asked)
		return;
	peer->txs->heard = now;
	peer->txs->silent = false;
	relay_tx_drop_offer(tx_request, offer);
	relay_tx_ask_next(tx_request, wtxid, now);
	if (tx_request->count == 0)
		relay_tx_forget_request(tx_relay, wtxid);
}

/* A transaction has come: its sender answers, if it was asked. */
static void relay_tx_request_answered(struct relay_tx *tx_relay, struct peer *peer, const uint8_t wtxid[32])
{
	struct tx_request *tx_request = map_get(&tx_relay->requests, wtxid);
	const struct tx_offer *offer = tx_request != NULL ? relay_tx_find_offer(tx_request, peer) : NULL;

	if (offer != NULL && offer->asked) {
		peer->txs->heard = clock_mono_ms();
		peer->txs->silent = false;
		peer->answers = true;
	}
	relay_tx_forget_request(tx_relay, wtxid);
}

/* --- Taking --- */

static void relay_tx_note_blobs(struct relay_tx *tx_relay, const struct peer *peer, const struct tx *tx)
{
	const struct spec *spec = chain_spec(tx_relay->peers->chain);
	struct contribution contribution;
	struct round_tx round_tx;

	if (round_tx_is_on(spec, tx) && round_tx_parse(tx, &round_tx) && round_tx.kind != ROUND_COMMIT)
		blob_fetch_offered(tx_relay->fetch, peer, round_tx.root,
			round_blob_size(spec, round_tx.kind, round_tx.length));
	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, &contribution))
			blob_fetch_offered(tx_relay->fetch, peer, contribution.root, contribution.size);
}

/* Where the list is full, what is new is not asked for again. */
static void relay_tx_ask_later(struct peer *peer, const uint8_t wtxid[32])
{
	struct buf *later = &peer->txs->later;

	for (size_t i = 0; i < later->size; i += 32)
		if (memcmp(later->data + i, wtxid, 32) == 0)
			return;
	if (later->size < RELAY_TX_LATER_MAX * 32)
		buf_put(later, wtxid, 32);
}

/* As if it had offered them anew, the eldest first. */
static void relay_tx_ask_again(struct relay_tx *tx_relay, struct peer *peer)
{
	struct buf *later = &peer->txs->later, ask;
	size_t due = later->size < RELAY_TX_LATER_CHUNK * 32 ? later->size : RELAY_TX_LATER_CHUNK * 32;

	buf_init(&ask);
	for (size_t i = 0; i < due; i += 32)
		relay_tx_on_offer(tx_relay, peer, later->data + i, &ask);
	later->size -= due;
	memmove(later->data, later->data + due, later->size);
	peer_send_items(peer, MESSAGE_GETDATA, &ask);
	buf_clear(&ask);
}

/* What may be right at another time is not remembered as refused. Of the rest only what its sender could see for
 * himself is held against him. */
static void relay_tx_take(struct relay_tx *tx_relay, struct peer *peer, const struct tx *tx, const uint8_t wtxid[32])
{
	struct reject tx_reject = { .reason = "" };
	struct round_tx round_tx;
	const bool is_round = round_tx_parse(tx, &round_tx);

	switch (chain_add_tx(tx_relay->peers->chain, tx, &peer->source, &tx_reject)) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		break;
	case CHAIN_REJECTED:
		log_debug(LOG_MEMPOOL, "peer=%" PRIu64 " transaction refused: %s (%s)", peer->id, tx_reject.reason,
			tx_reject.detail);
		if (tx_reject.code != REJECT_NOT_YET)
			known_add(&tx_relay->refused, wtxid);
		else if (is_round)
			relay_tx_ask_later(peer, wtxid);
		if (reject_blames_tx(&tx_reject))
			peer_punish(peer, "invalid transaction: %s", tx_reject.reason);
		break;
	case CHAIN_ERROR:
		log_error("A transaction could not be taken: %s", tx_reject.detail);
		break;
	}
}

void relay_tx_on_tx(struct relay_tx *tx_relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct reject tx_reject = { .reason = "" };
	struct reader tx_reader;
	const struct tx *tx;
	uint8_t wtxid[32];

	reader_init(&tx_reader, payload, size);
	tx = tx_read(&tx_reader);
	if (tx == NULL || !reader_done(&tx_reader)) {
		tx_unref(tx);
		peer_disconnect(peer, "malformed tx message");
		return;
	}
	memcpy(wtxid, tx_wtxid(tx), 32);
	known_add(&peer->known, wtxid);
	relay_tx_request_answered(tx_relay, peer, wtxid);
	if (!relay_tx_wants(tx_relay, wtxid)) {
		tx_unref(tx);
		/* Rules without context: no node can have passed it on in good faith. */
	} else if (!round_tx_check(chain_spec(tx_relay->peers->chain), tx, &tx_reject) || !tx_check(tx, &tx_reject)) {
		tx_unref(tx);
		peer_punish(peer, "invalid transaction: %s", tx_reject.reason);
	} else {
		relay_tx_note_blobs(tx_relay, peer, tx);
		relay_tx_take(tx_relay, peer, tx, wtxid);
	}
}

/* --- Announcing --- */

static void relay_tx_queue(struct peer *peer, const uint8_t wtxid[32])
{
	struct buf *announce_queue = &peer->txs->announce;

	if (peer->version.relay && announce_queue->size < RELAY_TX_ANNOUNCE_MAX * 32 && !known_has(&peer->known, wtxid))
		buf_put(announce_queue, wtxid, 32);
}

/* Told in the next turn of the loop, in one message for all that came meanwhile; who has sent it is not told. */
void relay_tx_added(struct relay_tx *tx_relay, const struct tx *tx, uint64_t source)
{
	for (struct peer *peer = tx_relay->peers->first; peer; peer = peer->next)
		if (peer_usable(peer) && peer->id != source)
			relay_tx_queue(peer, tx_wtxid(tx));
	peers_work(tx_relay->peers);
}

static void relay_tx_queue_entry(void *context, const struct mempool_entry *entry)
{
	relay_tx_queue(context, entry->wtxid);
}

void relay_tx_peer_ready(struct relay_tx *tx_relay, struct peer *peer)
{
	chain_mempool_each(tx_relay->peers->chain, relay_tx_queue_entry, peer);
	peers_work(tx_relay->peers);
}

void relay_tx_peer_closed(struct relay_tx *tx_relay, struct peer *peer)
{
	relay_tx_move_on(tx_relay, peer, clock_mono_ms());
	buf_clear(&peer->txs->announce);
	buf_clear(&peer->txs->later);
	free(peer->txs);
	peer->txs = NULL;
}

void relay_tx_put_off(struct relay_tx *tx_relay, const struct tx *tx, uint64_t source)
{
	struct peer *peer = peers_find(tx_relay->peers, source);

	if (peer != NULL)
		relay_tx_ask_later(peer, tx_wtxid(tx));
}

/* What another tip refused may be fine on this one. */
void relay_tx_tip(struct relay_tx *tx_relay)
{
	known_clear(&tx_relay->refused);
	tx_relay->next_later = 0;
	peers_work(tx_relay->peers);
}

/* Looked up again: some may have left the mempool since they were queued, or have come from this very peer. */
static void relay_tx_announce(struct relay_tx *tx_relay, struct peer *peer)
{
	struct buf *announce_queue = &peer->txs->announce;
	struct buf tx_items;

	buf_init(&tx_items);
	for (size_t i = 0; i < announce_queue->size; i += 32) {
		if (chain_mempool_find_wtxid(tx_relay->peers->chain, announce_queue->data + i) == NULL ||
			!known_add(&peer->known, announce_queue->data + i))
			continue;
		message_add_item(&tx_items, INVENTORY_TX, announce_queue->data + i);
		if (tx_items.size == RELAY_TX_CHUNK * sizeof(struct inventory_item))
			peer_send_items(peer, MESSAGE_INV, &tx_items);
	}
	peer_send_items(peer, MESSAGE_INV, &tx_items);
	buf_clear(&tx_items);
	buf_reset(announce_queue);
}

void relay_tx_work(struct relay_tx *tx_relay, int64_t now)
{
	for (struct peer *peer = tx_relay->peers->first; peer != NULL; peer = peer->next)
		if (peer_usable(peer) && peer->txs->announce.size > 0)
			relay_tx_announce(tx_relay, peer);
	for (struct peer *peer = tx_relay->peers->first; peer != NULL && now >= tx_relay->next_later; peer = peer->next)
		if (peer_usable(peer) && peer->txs->later.size > 0)
			relay_tx_ask_again(tx_relay, peer);
	if (now >= tx_relay->next_later)
		tx_relay->next_later = now + RELAY_TX_LATER_MS;
	if (now < tx_relay->next_look)
		return;
	tx_relay->next_look = now + RELAY_TX_LOOK_MS;
	relay_tx_move_on(tx_relay, NULL, now);
}
