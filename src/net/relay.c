#include "net/relay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consensus/contribution.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	ASKED_MAX = 2, /* peers from whom one transaction is awaited */
	LOOK_MS = 250, /* between looks at all requests */
	REFUSED_MAX = 8192,
	FALSE_MAX = 4096,
	INVENTORY_CHUNK = 1000,
	VERDICT_MS = 1800000, /* for one proof; then the peer's queue goes on */
};

/* Who offered a transaction that is not here, in order; some of them are asked. */
struct tx_request {
	struct offer {
		struct peer *peer;
		int64_t asked; /* when it was; 0: not yet */
	} * offers;            /* owned */
	size_t count, cap;
};

struct relay {
	struct peers *peers;
	struct blob_fetch *blobs;
	struct map requests; /* wtxid -> struct tx_request, owned */
	int64_t next_look;
	struct known refused;      /* wtxids of transactions the present tip does not allow */
	struct known false_proofs; /* ids */
	uint64_t changes;          /* counts what may make a chain take a proof that it did not take before */
};

struct relay *relay_new(struct peers *peers, struct blob_fetch *blobs)
{
	struct relay *relay = mem_calloc(1, sizeof *relay);

	relay->peers = peers;
	relay->blobs = blobs;
	map_init(&relay->requests);
	known_init(&relay->refused, REFUSED_MAX);
	known_init(&relay->false_proofs, FALSE_MAX);
	return relay;
}

static void request_free(struct tx_request *request)
{
	free(request->offers);
	free(request);
}

void relay_free(struct relay *relay)
{
	const uint8_t *wtxid;
	void *request;

	for (size_t at = 0; map_next(&relay->requests, &at, &wtxid, &request);)
		request_free(request);
	map_clear(&relay->requests);
	known_clear(&relay->refused);
	known_clear(&relay->false_proofs);
	free(relay);
}

/* Asking for transactions. */

static void put_item(struct buf *items, enum inventory_type type, const uint8_t id[32])
{
	struct inventory_item item = { .type = type };

	memcpy(item.id, id, 32);
	buf_put(items, &item, sizeof item);
}

static void send_items(struct peer *peer, enum message_kind kind, struct buf *items)
{
	struct buf payload;

	if (items->size > 0) {
		buf_init(&payload);
		message_write_inventory(&payload, (const void *)items->data,
			items->size / sizeof(struct inventory_item));
		peer_send(peer, kind, &payload);
	}
	buf_reset(items);
}

static bool is_silent(const struct offer *offer, int64_t now)
{
	const struct peer_relay *state = &offer->peer->relay;
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
	offer->peer->relay.requests--;
	memmove(offer, offer + 1, (size_t)(request->offers + --request->count - offer) * sizeof *offer);
}

static bool add_offer(struct tx_request *request, struct peer *peer)
{
	if (peer->relay.requests >= PEER_REQUESTS_MAX || find_offer(request, peer) != NULL)
		return false;
	if (request->count == request->cap) {
		request->cap = request->cap ? 2 * request->cap : 2;
		request->offers = mem_realloc(request->offers, request->cap * sizeof *request->offers);
	}
	request->offers[request->count++] = (struct offer){ .peer = peer };
	peer->relay.requests++;
	return true;
}

static void forget_request(struct relay *relay, const uint8_t wtxid[32])
{
	struct tx_request *request = map_remove(&relay->requests, wtxid);

	if (request == NULL)
		return;
	for (size_t i = 0; i < request->count; i++)
		request->offers[i].peer->relay.requests--;
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
	next -= next > eldest;
	drop_offer(request, eldest);
	return next;
}

static void ask_next(struct tx_request *request, const uint8_t wtxid[32], int64_t now)
{
	struct offer *offer = next_offer(request, now);
	struct buf items;

	if (offer == NULL)
		return;
	offer->asked = now;
	buf_init(&items);
	put_item(&items, INVENTORY_TX, wtxid);
	send_items(offer->peer, MESSAGE_GETDATA, &items);
	buf_clear(&items);
}

static bool wanted_tx(struct relay *relay, const uint8_t wtxid[32])
{
	return chain_mempool_find_wtxid(relay->peers->chain, wtxid) == NULL && !known_has(&relay->refused, wtxid);
}

static void tx_offered(struct relay *relay, struct peer *peer, const uint8_t wtxid[32], struct buf *ask)
{
	struct tx_request *request;
	int64_t now = clock_mono_ms();

	known_add(&peer->relay.known, wtxid);
	if (!wanted_tx(relay, wtxid))
		return;
	request = map_get(&relay->requests, wtxid);
	if (request != NULL) {
		if (add_offer(request, peer))
			ask_next(request, wtxid, now);
		return;
	}
	if (peer->relay.requests >= PEER_REQUESTS_MAX)
		return;
	request = mem_calloc(1, sizeof *request);
	map_put(&relay->requests, wtxid, request);
	add_offer(request, peer);
	request->offers[0].asked = now;
	put_item(ask, INVENTORY_TX, wtxid);
}

void relay_on_inventory(struct relay *relay, struct peer *peer, const struct inventory_item *items, size_t count)
{
	size_t proofs = 0;
	struct buf ask;

	buf_init(&ask);
	for (size_t i = 0; i < count; i++) {
		if (items[i].type == INVENTORY_TX) {
			tx_offered(relay, peer, items[i].id, &ask);
		} else if (items[i].type == INVENTORY_PROOF && proofs < PEER_PROOF_QUEUE) {
			known_add(&peer->relay.known, items[i].id);
			if (chain_loose_known(relay->peers->chain, items[i].id))
				continue;
			put_item(&ask, INVENTORY_PROOF, items[i].id);
			proofs++;
		}
	}
	send_items(peer, MESSAGE_GETDATA, &ask);
	buf_clear(&ask);
}

/* Whom silence is over: the peer has left (`gone`), or time is up. The others are only noted as silent. */
static void drop_lost(const struct relay *relay, struct tx_request *request, const struct peer *gone, int64_t now)
{
	for (size_t i = request->count; i > 0; i--) {
		struct offer *offer = &request->offers[i - 1];

		if (offer->asked && is_silent(offer, now)) {
			offer->peer->relay.silent = true;
			offer->peer->answers = false;
		}
		if (offer->peer == gone || (offer->asked && now - offer->asked > relay->peers->timeouts.tx))
			drop_offer(request, offer);
	}
}

/* Asks further where it is time to; what nobody offers any more is forgotten. `gone`: a peer that leaves, or NULL. */
static void move_on(struct relay *relay, const struct peer *gone, int64_t now)
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
	for (size_t i = 0; i < dead.size; i += 32)
		forget_request(relay, dead.data + i);
	buf_clear(&dead);
}

void relay_on_notfound(struct relay *relay, struct peer *peer, const uint8_t wtxid[32])
{
	struct tx_request *request = map_get(&relay->requests, wtxid);
	struct offer *offer = request != NULL ? find_offer(request, peer) : NULL;
	int64_t now = clock_mono_ms();

	if (offer == NULL || !offer->asked)
		return;
	peer->relay.heard = now;
	peer->relay.silent = false;
	drop_offer(request, offer);
	ask_next(request, wtxid, now);
	if (request->count == 0)
		forget_request(relay, wtxid);
}

/* A transaction has come: its sender answers, if it was asked. */
static void request_answered(struct relay *relay, struct peer *peer, const uint8_t wtxid[32])
{
	struct tx_request *request = map_get(&relay->requests, wtxid);
	const struct offer *offer = request != NULL ? find_offer(request, peer) : NULL;

	if (offer != NULL && offer->asked) {
		peer->relay.heard = clock_mono_ms();
		peer->relay.silent = false;
		peer->answers = true;
	}
	forget_request(relay, wtxid);
}

/* Whether an honest node could have passed this on: not if it breaks a rule that depends on nothing but itself and the
 * coins it names. What hangs on the tip (spent coins, locks, fees) may look different from there. */
static bool knew_better(const struct reject *reject)
{
	return reject->code == REJECT_INVALID &&
		(strcmp(reject->reason, "bad-txns-signature") == 0 || strcmp(reject->reason, "bad-txns-witness") == 0);
}

static void note_blobs(struct relay *relay, const struct peer *peer, const struct tx *tx)
{
	struct contribution data;

	for (size_t i = 0; i < tx->output_count; i++)
		if (contribution_parse(&tx->outputs[i].script, &data) == CONTRIBUTION_DATA)
			blob_fetch_offered(relay->blobs, peer, data.root);
}

static void take_tx(struct relay *relay, struct peer *peer, struct tx *tx, const uint8_t wtxid[32])
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
		if (knew_better(&reject))
			peer_punish(peer, "invalid transaction: %s", reject.reason);
		break;
	case CHAIN_ERROR:
		log_error("A transaction could not be taken: %s", reject.detail);
		break;
	}
}

void relay_on_tx(struct relay *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct reject reject = { .reason = "" };
	struct reader reader;
	struct tx *tx;
	uint8_t wtxid[32];

	reader_init(&reader, payload, size);
	tx = tx_read(&reader);
	if (tx == NULL || !reader_done(&reader)) {
		tx_free(tx);
		peer_disconnect(peer, "malformed tx message");
		return;
	}
	tx_wtxid(tx, wtxid);
	known_add(&peer->relay.known, wtxid);
	request_answered(relay, peer, wtxid);
	if (!wanted_tx(relay, wtxid)) {
		tx_free(tx);
	} else if (!tx_check(tx, &reject)) {
		tx_free(tx);
		peer_punish(peer, "invalid transaction: %s", reject.reason);
	} else {
		note_blobs(relay, peer, tx);
		take_tx(relay, peer, tx, wtxid);
	}
}

/* Loose proofs. */

static void drop_proof(struct peer_relay *state, size_t at)
{
	memmove(&state->proofs[at], &state->proofs[at + 1], (--state->proof_count - at) * sizeof state->proofs[0]);
	if (at == 0)
		state->proof_deadline = 0;
}

/* Its verdict is awaited; only then comes the next of this peer. */
static void begin_proof(struct peer_relay *state, size_t at)
{
	const struct header header = state->proofs[at];

	memmove(&state->proofs[1], &state->proofs[0], at * sizeof state->proofs[0]);
	state->proofs[0] = header;
	state->proof_deadline = clock_mono_ms() + VERDICT_MS;
}

/* Who builds on an older block is late; the tip's child is what counts, and what may become it. */
static bool is_late(const struct relay *relay, const struct header *header)
{
	const struct index_entry *parent = chain_find(relay->peers->chain, header->prev);

	return parent != NULL && parent->height < chain_tip(relay->peers->chain)->height;
}

/* Offers the chain one proof of the queue. True: it stays there. */
static bool offer_proof(struct relay *relay, struct peer *peer, size_t at)
{
	const struct header header = peer->relay.proofs[at];
	struct reject reject = { .reason = "" };

	switch (chain_add_loose(relay->peers->chain, &header, &peer->source, &reject)) {
	case CHAIN_NEW:
		begin_proof(&peer->relay, at);
		return true;
	case CHAIN_KNOWN:
		return false;
	case CHAIN_ORPHAN:
		return !is_late(relay, &header);
	case CHAIN_REJECTED:
		if (reject.code == REJECT_NOT_YET)
			return true;
		log_debug(LOG_NET, "peer=%" PRIu64 " proof refused: %s (%s)", peer->id, reject.reason, reject.detail);
		if (reject.ban_score >= 100)
			peer_punish(peer, "invalid proof: %s", reject.reason);
		return false;
	case CHAIN_ERROR:
		log_error("A proof could not be taken: %s", reject.detail);
		return false;
	}
	return false;
}

/* Goes through the queue until one is being executed, if anything has changed since the last time. */
static void next_proof(struct relay *relay, struct peer *peer)
{
	struct peer_relay *state = &peer->relay;

	if (state->changes_seen == relay->changes)
		return;
	state->changes_seen = relay->changes;
	for (size_t i = 0; i < state->proof_count && state->proof_deadline == 0 && !peer->closing;) {
		if (offer_proof(relay, peer, i))
			i++;
		else
			drop_proof(state, i);
	}
}

static bool is_queued(const struct peer_relay *state, const uint8_t id[32])
{
	uint8_t other[32];

	for (size_t i = 0; i < state->proof_count; i++) {
		header_id(&state->proofs[i], other);
		if (memcmp(other, id, 32) == 0)
			return true;
	}
	return false;
}

static void enqueue_proof(struct relay *relay, struct peer *peer, const struct header *header)
{
	struct peer_relay *state = &peer->relay;

	if (state->proof_count == PEER_PROOF_QUEUE) {
		log_debug(LOG_NET, "peer=%" PRIu64 " sends proofs faster than they can be executed", peer->id);
		drop_proof(state, state->proof_deadline != 0);
	}
	state->proofs[state->proof_count++] = *header;
	if (state->proof_deadline == 0 && !offer_proof(relay, peer, state->proof_count - 1))
		state->proof_count--;
}

void relay_on_proof(struct relay *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct header header;
	uint8_t id[32];

	if (!message_read_proof(&header, payload, size)) {
		peer_disconnect(peer, "malformed proof message");
		return;
	}
	header_id(&header, id);
	known_add(&peer->relay.known, id);
	if (known_has(&relay->false_proofs, id)) {
		peer->relay.proofs_false++;
		peer_punish(peer, "a proof already found false");
	} else if (!chain_loose_known(relay->peers->chain, id) && !is_queued(&peer->relay, id)) {
		enqueue_proof(relay, peer, &header);
	}
}

static void flood(struct relay *relay, const struct header *header, const uint8_t id[32])
{
	struct buf payload;

	for (struct peer *p = relay->peers->first; p; p = p->next) {
		if (!peer_usable(p) || !known_add(&p->relay.known, id))
			continue;
		buf_init(&payload);
		message_write_proof(&payload, header);
		peer_send(p, MESSAGE_PROOF, &payload);
	}
}

static void judge_sender(struct peer *peer, const uint8_t id[32], const struct reject *reject)
{
	struct peer_relay *state = &peer->relay;
	uint8_t first[32];

	if (state->proof_deadline) {
		header_id(&state->proofs[0], first);
		if (memcmp(first, id, 32) == 0)
			drop_proof(state, 0);
	}
	if (reject == NULL)
		state->proofs_valid++;
	else if (reject->ban_score >= 100)
		state->proofs_false++;
}

void relay_proof_verdict(struct relay *relay, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct peer *peer = peers_find(relay->peers, source->peer);
	uint8_t id[32];

	header_id(header, id);
	if (peer != NULL)
		judge_sender(peer, id, reject);
	if (reject == NULL) {
		flood(relay, header, id);
	} else if (reject->ban_score >= 100) {
		known_add(&relay->false_proofs, id);
		peers_punish(relay->peers, source, "false proof: %s (%s)", reject->reason, reject->detail);
	}
	relay->changes++;
	peers_work(relay->peers);
}

/* The chain gives no verdict over what it had in work for the tip before; what waited may be for this one. */
void relay_tip(struct relay *relay)
{
	for (struct peer *p = relay->peers->first; p; p = p->next)
		if (p->relay.proof_deadline)
			drop_proof(&p->relay, 0);
	/* What another tip refused may be fine on this one. */
	known_clear(&relay->refused);
	relay->changes++;
	peers_work(relay->peers);
}

/* Telling others. */

static void queue_announcement(struct peer *peer, const uint8_t wtxid[32])
{
	struct buf *queue = &peer->relay.announce;

	if (peer->version.relay && queue->size < PEER_ANNOUNCE_MAX * 32 && !known_has(&peer->relay.known, wtxid))
		buf_put(queue, wtxid, 32);
}

void relay_tx_added(struct relay *relay, const struct tx *tx, uint64_t source)
{
	uint8_t wtxid[32];

	tx_wtxid(tx, wtxid);
	for (struct peer *p = relay->peers->first; p; p = p->next)
		if (peer_usable(p) && p->id != source)
			queue_announcement(p, wtxid);
	peers_work(relay->peers);
}

static void queue_mempool_entry(void *context, const struct mempool_entry *entry)
{
	queue_announcement(context, entry->wtxid);
}

/* What waits here for a block is news to whoever has just connected. */
void relay_peer_ready(struct relay *relay, struct peer *peer)
{
	struct chain *chain = relay->peers->chain;
	struct buf items;
	uint8_t id[32];

	chain_mempool_each(chain, queue_mempool_entry, peer);
	buf_init(&items);
	for (size_t i = 0; i < chain_loose_count(chain) && i < PEER_PROOF_QUEUE; i++) {
		header_id(chain_loose_get(chain, i), id);
		put_item(&items, INVENTORY_PROOF, id);
	}
	send_items(peer, MESSAGE_INV, &items);
	buf_clear(&items);
	peers_work(relay->peers);
}

void relay_peer_gone(struct relay *relay, struct peer *peer)
{
	relay->changes++;
	move_on(relay, peer, clock_mono_ms());
}

static void send_announcements(struct relay *relay, struct peer *peer)
{
	struct buf *queue = &peer->relay.announce;
	struct buf items;

	buf_init(&items);
	for (size_t i = 0; i < queue->size; i += 32) {
		if (chain_mempool_find_wtxid(relay->peers->chain, queue->data + i) == NULL ||
			!known_add(&peer->relay.known, queue->data + i))
			continue;
		put_item(&items, INVENTORY_TX, queue->data + i);
		if (items.size == INVENTORY_CHUNK * sizeof(struct inventory_item))
			send_items(peer, MESSAGE_INV, &items);
	}
	send_items(peer, MESSAGE_INV, &items);
	buf_clear(&items);
	buf_reset(queue);
}

void relay_work(struct relay *relay, int64_t now)
{
	for (struct peer *p = relay->peers->first; p; p = p->next) {
		if (!peer_usable(p))
			continue;
		if (p->relay.announce.size > 0)
			send_announcements(relay, p);
		if (p->relay.proof_deadline && now > p->relay.proof_deadline) {
			drop_proof(&p->relay, 0);
			relay->changes++;
		}
		next_proof(relay, p);
	}
	if (now < relay->next_look)
		return;
	relay->next_look = now + LOOK_MS;
	move_on(relay, NULL, now);
}
