/* Each peer's queue of proofs, and whose turn it is.
 *
 * Of a peer at most RELAY_PROOFS_QUEUE proofs wait. While `deadline` is set the first of them is the chain's: it is
 * being executed, and nothing else of this peer is offered before its verdict. (How many are executed for one address
 * in all the chain bounds itself: it answers REJECT_NOT_YET.) A verdict that never comes, because the tip changed or
 * the machine is slow, ends at the tip's notice or after RELAY_PROOFS_VERDICT_MS.
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
	RELAY_PROOFS_FALSE_MAX = 4096,
	RELAY_PROOFS_VERDICT_MS = 1800000, /* for one proof; then the peer's queue goes on */
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
	struct relay_proofs *proof_relay = mem_calloc(1, sizeof *proof_relay);

	proof_relay->peers = peers;
	known_init(&proof_relay->false_proofs, RELAY_PROOFS_FALSE_MAX);
	return proof_relay;
}

void relay_proofs_free(struct relay_proofs *proof_relay)
{
	known_clear(&proof_relay->false_proofs);
	free(proof_relay);
}

void relay_proofs_peer_opened(struct peer *peer)
{
	peer->proofs = mem_calloc(1, sizeof *peer->proofs);
}

static bool relay_proofs_add(struct buf *proof_items, size_t *added, const struct header *proof)
{
	uint8_t proof_id[32];

	header_id(proof, proof_id);
	message_add_item(proof_items, INVENTORY_PROOF, proof_id);
	return ++*added < RELAY_PROOFS_QUEUE;
}

/* What waits here for a block is news to whoever has just connected: what is loose, and then what is late, the newest
 * first. */
void relay_proofs_peer_ready(struct relay_proofs *proof_relay, struct peer *peer)
{
	struct chain *chain = proof_relay->peers->chain;
	struct buf proof_items;
	size_t added = 0;
	bool more = true;

	buf_init(&proof_items);
	for (size_t i = 0; more && i < chain_loose_count(chain); i++)
		more = relay_proofs_add(&proof_items, &added, chain_loose_get(chain, i));
	for (size_t i = chain_late_count(chain); more && i-- > 0;)
		more = relay_proofs_add(&proof_items, &added, chain_late_get(chain, i));
	peer_send_items(peer, MESSAGE_INV, &proof_items);
	buf_clear(&proof_items);
	peers_work(proof_relay->peers);
}

void relay_proofs_peer_closed(struct relay_proofs *proof_relay, struct peer *peer)
{
	proof_relay->changes++;
	free(peer->proofs);
	peer->proofs = NULL;
}

bool relay_proofs_on_offer(struct relay_proofs *proof_relay, struct peer *peer, const uint8_t proof_id[32],
	struct buf *ask)
{
	known_add(&peer->known, proof_id);
	if (chain_loose_known(proof_relay->peers->chain, proof_id))
		return false;
	message_add_item(ask, INVENTORY_PROOF, proof_id);
	return true;
}

/* --- The queue --- */

static void relay_proofs_drop(struct relay_proofs_peer *peer_proofs, size_t queue_place)
{
	memmove(&peer_proofs->queue[queue_place], &peer_proofs->queue[queue_place + 1],
		(--peer_proofs->count - queue_place) * sizeof peer_proofs->queue[0]);
	if (queue_place == 0)
		peer_proofs->deadline = 0;
}

/* Its verdict is awaited; only then comes the next of this peer. */
static void relay_proofs_begin(struct relay_proofs_peer *peer_proofs, size_t queue_place)
{
	const struct header proof = peer_proofs->queue[queue_place];

	memmove(&peer_proofs->queue[1], &peer_proofs->queue[0], queue_place * sizeof peer_proofs->queue[0]);
	peer_proofs->queue[0] = proof;
	peer_proofs->deadline = clock_mono_ms() + RELAY_PROOFS_VERDICT_MS;
}

/* Whose parent is passed and was not, or is no longer, among those whose proofs can be late: no block will list it.
 * What is for a parent that we have not got, or that may become the tip, is kept. */
static bool relay_proofs_is_passed(const struct relay_proofs *proof_relay, const struct header *proof)
{
	const struct index_entry *parent = chain_find(proof_relay->peers->chain, proof->prev);

	return parent != NULL && parent->height < chain_tip(proof_relay->peers->chain)->height;
}

/* Offers the chain one proof of the queue. True: it stays there. */
static bool relay_proofs_offer(struct relay_proofs *proof_relay, struct peer *peer, size_t queue_place)
{
	const struct header proof = peer->proofs->queue[queue_place];
	struct reject proof_reject = { .reason = "" };

	switch (chain_add_loose(proof_relay->peers->chain, &proof, &peer->source, &proof_reject)) {
	case CHAIN_NEW:
		relay_proofs_begin(peer->proofs, queue_place);
		return true;
	case CHAIN_KNOWN:
		return false;
	case CHAIN_ORPHAN:
		return !relay_proofs_is_passed(proof_relay, &proof);
	case CHAIN_REJECTED:
		if (proof_reject.code == REJECT_NOT_YET)
			return true;
		log_debug(LOG_NET, "peer=%" PRIu64 " proof refused: %s (%s)", peer->id, proof_reject.reason,
			proof_reject.detail);
		if (proof_reject.ban_score >= 100)
			peer_punish(peer, "invalid proof: %s", proof_reject.reason);
		return false;
	case CHAIN_ERROR:
		log_error("A proof could not be taken: %s", proof_reject.detail);
		return false;
	}
	return false;
}

/* Goes through the queue until one is being executed, if anything has changed since the last time. */
static void relay_proofs_next(struct relay_proofs *proof_relay, struct peer *peer)
{
	struct relay_proofs_peer *peer_proofs = peer->proofs;

	if (peer_proofs->changes_seen == proof_relay->changes)
		return;
	peer_proofs->changes_seen = proof_relay->changes;
	for (size_t i = 0; i < peer_proofs->count && peer_proofs->deadline == 0 && !peer->closing;) {
		if (relay_proofs_offer(proof_relay, peer, i))
			i++;
		else
			relay_proofs_drop(peer_proofs, i);
	}
}

/* The same proof may come again from the same peer, unasked; it gets no second place. */
static bool relay_proofs_is_queued(const struct relay_proofs_peer *peer_proofs, const uint8_t proof_id[32])
{
	uint8_t queued_id[32];

	for (size_t i = 0; i < peer_proofs->count; i++) {
		header_id(&peer_proofs->queue[i], queued_id);
		if (memcmp(queued_id, proof_id, 32) == 0)
			return true;
	}
	return false;
}

static void relay_proofs_enqueue(struct relay_proofs *proof_relay, struct peer *peer, const struct header *proof)
{
	struct relay_proofs_peer *peer_proofs = peer->proofs;

	if (peer_proofs->count == RELAY_PROOFS_QUEUE) {
		log_debug(LOG_NET, "peer=%" PRIu64 " sends proofs faster than they can be executed", peer->id);
		/* The oldest that is not being executed: the newest is likeliest to be for the tip. */
		relay_proofs_drop(peer_proofs, peer_proofs->deadline != 0);
	}
	peer_proofs->queue[peer_proofs->count++] = *proof;
	if (peer_proofs->deadline == 0 && !relay_proofs_offer(proof_relay, peer, peer_proofs->count - 1))
		peer_proofs->count--;
}

void relay_proofs_on_proof(struct relay_proofs *proof_relay, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct header proof;
	uint8_t proof_id[32];

	if (!message_read_proof(&proof, payload, size)) {
		peer_disconnect(peer, "malformed proof message");
		return;
	}
	header_id(&proof, proof_id);
	known_add(&peer->known, proof_id);
	/* Who passes on a proof that was found false has not executed it, or did not care. */
	if (known_has(&proof_relay->false_proofs, proof_id)) {
		peer->proofs_false++;
		peer_punish(peer, "a proof already found false");
	} else if (!chain_loose_known(proof_relay->peers->chain, proof_id) &&
		!relay_proofs_is_queued(peer->proofs, proof_id)) {
		relay_proofs_enqueue(proof_relay, peer, &proof);
	}
}

/* --- Verdicts --- */

/* Unasked and whole: a proof is as long as a header, and every second counts while a block could still take it in. Who
 * has it, or brought it, is known by `known`. Only after it was executed here: whoever passes on a false one is taken
 * for its maker. */
static void relay_proofs_flood(struct relay_proofs *proof_relay, const struct header *proof, const uint8_t proof_id[32])
{
	struct buf proof_payload;

	for (struct peer *peer = proof_relay->peers->first; peer != NULL; peer = peer->next) {
		if (!peer_usable(peer) || !known_add(&peer->known, proof_id))
			continue;
		buf_init(&proof_payload);
		message_write_proof(&proof_payload, proof);
		peer_send(peer, MESSAGE_PROOF, &proof_payload);
	}
}

/* Its turn is over, whatever came of it. (After a new tip, or RELAY_PROOFS_VERDICT_MS, it may stand in the queue no
 * more.) */
static void relay_proofs_judge_sender(struct peer *peer, const uint8_t proof_id[32], const struct reject *proof_reject)
{
	struct relay_proofs_peer *peer_proofs = peer->proofs;
	uint8_t first_id[32];

	if (peer_proofs->deadline) {
		header_id(&peer_proofs->queue[0], first_id);
		if (memcmp(first_id, proof_id, 32) == 0)
			relay_proofs_drop(peer_proofs, 0);
	}
	if (proof_reject == NULL) {
		peer->proofs_valid++;
		peer->brought[EVICT_PROOF] = clock_mono_ms();
	} else if (proof_reject->ban_score >= 100) {
		peer->proofs_false++;
	}
}

void relay_proofs_verdict(struct relay_proofs *proof_relay, const struct header *proof, const struct source *source,
	const struct reject *proof_reject)
{
	struct peer *peer = peers_find(proof_relay->peers, source->peer);
	uint8_t proof_id[32];

	header_id(proof, proof_id);
	if (peer != NULL)
		relay_proofs_judge_sender(peer, proof_id, proof_reject);
	if (proof_reject == NULL) {
		relay_proofs_flood(proof_relay, proof, proof_id);
	} else if (proof_reject->ban_score >= 100) {
		known_add(&proof_relay->false_proofs, proof_id);
		peers_punish(proof_relay->peers, source, "false proof: %s (%s)", proof_reject->reason,
			proof_reject->detail);
	}
	proof_relay->changes++;
	peers_work(proof_relay->peers);
}

/* The chain gives no verdict over what no block can list any more; what waited may be for this tip. */
void relay_proofs_tip(struct relay_proofs *proof_relay)
{
	uint8_t proof_id[32];

	for (struct peer *peer = proof_relay->peers->first; peer != NULL; peer = peer->next) {
		if (peer->proofs->deadline == 0)
			continue;
		header_id(&peer->proofs->queue[0], proof_id);
		if (!chain_loose_in_work(proof_relay->peers->chain, proof_id))
			relay_proofs_drop(peer->proofs, 0);
	}
	proof_relay->changes++;
	peers_work(proof_relay->peers);
}

void relay_proofs_work(struct relay_proofs *proof_relay, int64_t now)
{
	for (struct peer *peer = proof_relay->peers->first; peer != NULL; peer = peer->next) {
		if (!peer_usable(peer))
			continue;
		if (peer->proofs->deadline && now > peer->proofs->deadline) {
			relay_proofs_drop(peer->proofs, 0);
			proof_relay->changes++;
		}
		relay_proofs_next(proof_relay, peer);
	}
}
