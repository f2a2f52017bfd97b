/* Each peer's queue of proofs, and whose turn it is.
 *
 * Of a peer at most RELAY_PROOFS_QUEUE proofs wait. While `deadline` is set the first of them is the chain's: it is
 * being executed, and nothing else of this peer is offered before its verdict. (How many are executed for one address
 * in all the chain bounds itself: it answers REJECT_NOT_YET.) A verdict that never comes, because the tip changed or
 * the machine is slow, ends at the tip's notice or after VERDICT_MS.
 *
 * What the chain does not take now it may take after any verdict, tip or departure. `changes` counts these, so that a
 * queue is gone through once for each and not in every turn of the loop. */
#include "net/relay_proofs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	FALSE_MAX = 4096,
	VERDICT_MS = 1800000, /* for one proof; then the peer's queue goes on */
};

struct relay_proofs {
	struct peers *peers;
	struct known false_proofs; /* ids */
	uint64_t changes;          /* counts what may make a chain take a proof that it did not take before */
};

struct relay_proofs_peer {
	struct header queue[RELAY_PROOFS_QUEUE];
	size_t count;          /* oldest first; the first is being executed if deadline is set */
	int64_t deadline;      /* clock_mono_ms; 0: none is being executed */
	uint64_t changes_seen; /* of relay_proofs.changes, when the queue was last gone through */
};

struct relay_proofs *relay_proofs_new(struct peers *peers)
{
	struct relay_proofs *relay = mem_calloc(1, sizeof *relay);

	relay->peers = peers;
	known_init(&relay->false_proofs, FALSE_MAX);
	return relay;
}

void relay_proofs_free(struct relay_proofs *relay)
{
	known_clear(&relay->false_proofs);
	free(relay);
}

void relay_proofs_peer_opened(struct peer *peer)
{
	peer->proofs = mem_calloc(1, sizeof *peer->proofs);
}

/* What waits here for a block is news to whoever has just connected. */
void relay_proofs_peer_ready(struct relay_proofs *relay, struct peer *peer)
{
	struct chain *chain = relay->peers->chain;
	struct buf items;
	uint8_t id[32];

	buf_init(&items);
	for (size_t i = 0; i < chain_loose_count(chain) && i < RELAY_PROOFS_QUEUE; i++) {
		header_id(chain_loose_get(chain, i), id);
		message_add_item(&items, INVENTORY_PROOF, id);
	}
	peer_send_items(peer, MESSAGE_INV, &items);
	buf_clear(&items);
	peers_work(relay->peers);
}

void relay_proofs_peer_closed(struct relay_proofs *relay, struct peer *peer)
{
	relay->changes++;
	free(peer->proofs);
	peer->proofs = NULL;
}

bool relay_proofs_on_offer(struct relay_proofs *relay, struct peer *peer, const uint8_t id[32], struct buf *ask)
{
	known_add(&peer->known, id);
	if (chain_loose_known(relay->peers->chain, id))
		return false;
	message_add_item(ask, INVENTORY_PROOF, id);
	return true;
}

/* --- The queue --- */

static void drop_proof(struct relay_proofs_peer *state, size_t at)
{
	memmove(&state->queue[at], &state->queue[at + 1], (--state->count - at) * sizeof state->queue[0]);
	if (at == 0)
		state->deadline = 0;
}

/* Its verdict is awaited; only then comes the next of this peer. */
static void begin_proof(struct relay_proofs_peer *state, size_t at)
{
	const struct header header = state->queue[at];

	memmove(&state->queue[1], &state->queue[0], at * sizeof state->queue[0]);
	state->queue[0] = header;
	state->deadline = clock_mono_ms() + VERDICT_MS;
}

/* Who builds on an older block is late; the tip's child is what counts, and what may become it. */
static bool is_late(const struct relay_proofs *relay, const struct header *header)
{
	const struct index_entry *parent = chain_find(relay->peers->chain, header->prev);

	return parent != NULL && parent->height < chain_tip(relay->peers->chain)->height;
}

/* Offers the chain one proof of the queue. True: it stays there. */
static bool offer_proof(struct relay_proofs *relay, struct peer *peer, size_t at)
{
	const struct header header = peer->proofs->queue[at];
	struct reject reject = { .reason = "" };

	switch (chain_add_loose(relay->peers->chain, &header, &peer->source, &reject)) {
	case CHAIN_NEW:
		begin_proof(peer->proofs, at);
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
static void next_proof(struct relay_proofs *relay, struct peer *peer)
{
	struct relay_proofs_peer *state = peer->proofs;

	if (state->changes_seen == relay->changes)
		return;
	state->changes_seen = relay->changes;
	for (size_t i = 0; i < state->count && state->deadline == 0 && !peer->closing;) {
		if (offer_proof(relay, peer, i))
			i++;
		else
			drop_proof(state, i);
	}
}

/* The same proof may come again from the same peer, unasked; it gets no second place. */
static bool is_queued(const struct relay_proofs_peer *state, const uint8_t id[32])
{
	uint8_t other[32];

	for (size_t i = 0; i < state->count; i++) {
		header_id(&state->queue[i], other);
		if (memcmp(other, id, 32) == 0)
			return true;
	}
	return false;
}

static void enqueue_proof(struct relay_proofs *relay, struct peer *peer, const struct header *header)
{
	struct relay_proofs_peer *state = peer->proofs;

	if (state->count == RELAY_PROOFS_QUEUE) {
		log_debug(LOG_NET, "peer=%" PRIu64 " sends proofs faster than they can be executed", peer->id);
		/* The oldest that is not being executed: the newest is likeliest to be for the tip. */
		drop_proof(state, state->deadline != 0);
	}
	state->queue[state->count++] = *header;
	if (state->deadline == 0 && !offer_proof(relay, peer, state->count - 1))
		state->count--;
}

void relay_proofs_on_proof(struct relay_proofs *relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct header header;
	uint8_t id[32];

	if (!message_read_proof(&header, payload, size)) {
		peer_disconnect(peer, "malformed proof message");
		return;
	}
	header_id(&header, id);
	known_add(&peer->known, id);
	/* Who passes on a proof that was found false has not executed it, or did not care. */
	if (known_has(&relay->false_proofs, id)) {
		peer->proofs_false++;
		peer_punish(peer, "a proof already found false");
	} else if (!chain_loose_known(relay->peers->chain, id) && !is_queued(peer->proofs, id)) {
		enqueue_proof(relay, peer, &header);
	}
}

/* --- Verdicts --- */

/* Unasked and whole: a proof is as long as a header, and every second counts while a block could still take it in. Who
 * has it, or brought it, is known by `known`. Only after it was executed here: whoever passes on a false one is taken
 * for its maker. */
static void flood_proof(struct relay_proofs *relay, const struct header *header, const uint8_t id[32])
{
	struct buf payload;

	for (struct peer *p = relay->peers->first; p != NULL; p = p->next) {
		if (!peer_usable(p) || !known_add(&p->known, id))
			continue;
		buf_init(&payload);
		message_write_proof(&payload, header);
		peer_send(p, MESSAGE_PROOF, &payload);
	}
}

/* Its turn is over, whatever came of it. (After a new tip, or VERDICT_MS, it may stand in the queue no more.) */
static void judge_sender(struct peer *peer, const uint8_t id[32], const struct reject *reject)
{
	struct relay_proofs_peer *state = peer->proofs;
	uint8_t first[32];

	if (state->deadline) {
		header_id(&state->queue[0], first);
		if (memcmp(first, id, 32) == 0)
			drop_proof(state, 0);
	}
	if (reject == NULL)
		peer->proofs_valid++;
	else if (reject->ban_score >= 100)
		peer->proofs_false++;
}

void relay_proofs_verdict(struct relay_proofs *relay, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct peer *peer = peers_find(relay->peers, source->peer);
	uint8_t id[32];

	header_id(header, id);
	if (peer != NULL)
		judge_sender(peer, id, reject);
	if (reject == NULL) {
		flood_proof(relay, header, id);
	} else if (reject->ban_score >= 100) {
		known_add(&relay->false_proofs, id);
		peers_punish(relay->peers, source, "false proof: %s (%s)", reject->reason, reject->detail);
	}
	relay->changes++;
	peers_work(relay->peers);
}

/* The chain gives no verdict over what it had in work for the tip before; what waited may be for this one. */
void relay_proofs_tip(struct relay_proofs *relay)
{
	for (struct peer *p = relay->peers->first; p != NULL; p = p->next)
		if (p->proofs->deadline)
			drop_proof(p->proofs, 0);
	relay->changes++;
	peers_work(relay->peers);
}

void relay_proofs_work(struct relay_proofs *relay, int64_t now)
{
	for (struct peer *p = relay->peers->first; p != NULL; p = p->next) {
		if (!peer_usable(p))
			continue;
		if (p->proofs->deadline && now > p->proofs->deadline) {
			drop_proof(p->proofs, 0);
			relay->changes++;
		}
		next_proof(relay, p);
	}
}
