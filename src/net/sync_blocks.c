/* From whom blocks are awaited, and when they are given up.
 *
 * Blocks of the best branch that a peer has shown are asked of it, if that branch beats the tip: lowest first, at most
 * WINDOW beyond the last verified one, at most SYNC_BLOCKS_MAX at a time, and no more than the chain has room for; but
 * always the next, for only what can be verified makes room. A block is asked of one peer. When that one is silent a
 * second is asked too, and when both are, a third in the place of the first (ASKED_MAX).
 *
 *   after timeouts.silence   with nothing coming in, or SLOW times that without a whole block, the peer is silent: it
 *                            is asked for nothing more, and others are for what it owes
 *   after timeouts.block     since its last block (each of them gives the others new time) it owes no more, and rests
 *                            as long; the third time it is dropped (STALLS_MAX, counted anew by each block taken)
 *   after timeouts.withheld  with later blocks of its branch here, but not the next: dropped
 *
 * Invariant: peer p stands in in_flight[id] only while p owes block id. The other way round it may owe a block without
 * standing there, when a third has taken its place. */
#include "net/sync_blocks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	WINDOW = 64,     /* blocks beyond the last verified one that are asked for */
	STALLS_MAX = 3,  /* blocks not delivered in time before the peer is dropped */
	REST_MS = 10000, /* a peer without the block it announced is left alone that long */
	ASKED_MAX = 2,   /* peers from whom one block is awaited */
	SLOW = 4,        /* so many times the silence without a block is silence, however much of one has come */
};

/* From whom a block is awaited, the elder first. A third takes the elder's place when both have gone silent; what that
 * one sends in the end counts all the same. */
struct awaited_block {
	struct peer *peers[ASKED_MAX];
	size_t count;
};

struct sync_blocks {
	struct peers *peers;
	struct sync_headers *headers;
	const struct relay_blocks *relay;
	struct map in_flight; /* block id -> struct awaited_block, owned */
};

struct sync_blocks_peer {
	struct block_request {
		const struct index_entry *entry;
		int64_t deadline;
		int64_t passed; /* when a block above it came before it; 0: none has */
	} owed[SYNC_BLOCKS_MAX];
	size_t count;
	int64_t heard;      /* when it sent one of them, or began to owe some */
	int64_t idle_until; /* no requests before: it let one run out */
	unsigned stalls;
};

struct sync_blocks *sync_blocks_new(struct peers *peers, struct sync_headers *headers, const struct relay_blocks *relay)
{
	struct sync_blocks *sync = mem_calloc(1, sizeof *sync);

	sync->peers = peers;
	sync->headers = headers;
	sync->relay = relay;
	map_init(&sync->in_flight);
	return sync;
}

void sync_blocks_free(struct sync_blocks *sync)
{
	const uint8_t *id;
	void *awaited;

	for (size_t at = 0; map_next(&sync->in_flight, &at, &id, &awaited);)
		free(awaited);
	map_clear(&sync->in_flight);
	free(sync);
}

void sync_blocks_peer_opened(struct peer *peer)
{
	peer->blocks = mem_calloc(1, sizeof *peer->blocks);
}

/* Its block is neither here nor known to be wrong. */
static bool is_missing(const struct index_entry *entry)
{
	return entry->status == ENTRY_HEADER && !entry->held;
}

/* --- Who owes what --- */

/* It owes blocks, and does not send them, or only by drops: nobody else would be asked as long as it drips. */
static bool is_silent(const struct peer *peer, int64_t now)
{
	return peer->blocks->count > 0 &&
		(peer_is_silent(peer, peer->blocks->heard, now) ||
			now - peer->blocks->heard > SLOW * peer->set->timeouts.silence);
}

static void leave_place(struct awaited_block *awaited, const struct peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < awaited->count; i++)
		if (awaited->peers[i] != peer)
			awaited->peers[kept++] = awaited->peers[i];
	awaited->count = kept;
}

/* Whether this peer may be asked for the block: nobody else is who might send it. Then it has a place. */
static bool take_place(struct sync_blocks *sync, struct peer *peer, const uint8_t id[32], int64_t now)
{
	struct awaited_block *awaited = map_get(&sync->in_flight, id);

	for (size_t i = 0; awaited != NULL && i < awaited->count; i++)
		if (!is_silent(awaited->peers[i], now))
			return false;
	if (awaited == NULL) {
		awaited = mem_calloc(1, sizeof *awaited);
		map_put(&sync->in_flight, id, awaited);
	} else if (awaited->count == ASKED_MAX) {
		/* It goes on owing the block, and what it sends is taken; it only keeps nobody from being asked. */
		leave_place(awaited, awaited->peers[0]);
	}
	awaited->peers[awaited->count++] = peer;
	return true;
}

/* The peer owes the block no more, however that came: both sides of the account. */
static void forget_request(struct sync_blocks *sync, struct peer *peer, size_t index)
{
	struct sync_blocks_peer *state = peer->blocks;
	const uint8_t *id = state->owed[index].entry->id;
	struct awaited_block *awaited = map_get(&sync->in_flight, id);

	if (awaited != NULL)
		leave_place(awaited, peer);
	if (awaited != NULL && awaited->count == 0) {
		map_remove(&sync->in_flight, id);
		free(awaited);
	}
	state->owed[index] = state->owed[--state->count];
}

/* Its place among what the peer owes; count: it does not. */
static size_t find_request(const struct sync_blocks_peer *state, const uint8_t id[32])
{
	size_t i = 0;

	while (i < state->count && memcmp(state->owed[i].entry->id, id, 32) != 0)
		i++;
	return i;
}

/* True if the block had been asked of this peer. Its other answers are on the way, one behind the other. */
static bool request_answered(struct sync_blocks *sync, struct peer *peer, const uint8_t id[32])
{
	struct sync_blocks_peer *state = peer->blocks;
	int64_t now = clock_mono_ms();
	const struct index_entry *answered;
	size_t i = find_request(state, id);

	if (i == state->count)
		return false;
	answered = state->owed[i].entry;
	forget_request(sync, peer, i);
	/* The others get new time, whatever their place in the queue was; one below what came has been passed over. */
	for (i = 0; i < state->count; i++) {
		struct block_request *request = &state->owed[i];

		request->deadline = now + sync->peers->timeouts.block;
		if (request->passed == 0 && sync_headers_is_on_branch(request->entry, answered))
			request->passed = now;
	}
	state->heard = now;
	return true;
}

static void forget_requests(struct sync_blocks *sync, struct peer *peer)
{
	while (peer->blocks->count > 0)
		forget_request(sync, peer, 0);
}

void sync_blocks_peer_closed(struct sync_blocks *sync, struct peer *peer)
{
	forget_requests(sync, peer);
	free(peer->blocks);
	peer->blocks = NULL;
	peers_work(sync->peers);
}

/* Requests point at entries of the index, which are about to be freed. */
void sync_blocks_let_go(struct sync_blocks *sync)
{
	for (struct peer *p = sync->peers->first; p != NULL; p = p->next)
		forget_requests(sync, p);
}

size_t sync_blocks_asked(const struct peer *peer, uint32_t heights[SYNC_BLOCKS_MAX])
{
	for (size_t i = 0; i < peer->blocks->count; i++)
		heights[i] = peer->blocks->owed[i].entry->height;
	return peer->blocks->count;
}

void sync_blocks_on_notfound(struct sync_blocks *sync, struct peer *peer, const uint8_t id[32])
{
	if (request_answered(sync, peer, id)) {
		peer->blocks->idle_until = clock_mono_ms() + REST_MS;
		peers_work(sync->peers);
	}
}

/* --- Taking --- */

/* The index entry of a block that came, if its bytes are wanted. */
static const struct index_entry *wanted_entry(struct sync_blocks *sync, struct peer *peer, const struct block *block,
	const uint8_t id[32])
{
	bool asked = request_answered(sync, peer, id);
	const struct index_entry *entry = sync_headers_take(sync->headers, peer, &block->header);

	peer->answers = peer->answers || asked;
	if (entry == NULL || !is_missing(entry))
		return NULL;
	/* A block that nobody asked for is taken only if it can be verified at once: before that it costs next to
	 * nothing to make. */
	return asked ||
			(sync_headers_verified_under(entry->parent) == entry->parent &&
				sync_headers_beats(entry, chain_tip(sync->peers->chain))) ?
		entry :
		NULL;
}

/* A refused block's sender, who may have left. What depends on coins and on the parent's outcome is checked by an
 * honest node too before it passes a block on, but only if the block is the child of its tip: such a sender is only
 * dropped. */
static void blame_sender(struct sync_blocks *sync, const struct source *source, const struct reject *reject)
{
	struct peer *peer = peers_find(sync->peers, source->peer);

	if (source->peer == 0 || reject->code == REJECT_NOT_YET)
		return;
	if (reject_blames_block(reject))
		peers_punish(sync->peers, source, "invalid block: %s (%s)", reject->reason, reject->detail);
	else if (peer != NULL)
		peer_disconnect(peer, "invalid block: %s (%s)", reject->reason, reject->detail);
}

/* The chain takes the block, and judges it later (sync_blocks_verdict). What it cannot take now is no fault, but asking
 * this peer on would bring the same again: it rests. */
static void hand_over(struct sync_blocks *sync, struct peer *peer, const struct block *block, const uint8_t id[32])
{
	struct reject reject = { .reason = "" };

	switch (chain_add_block(sync->peers->chain, block, &peer->source, &reject)) {
	case CHAIN_NEW:
		peer->blocks->stalls = 0;
		break;
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		break;
	case CHAIN_REJECTED:
		sync_headers_log_refused(sync->headers, peer, "block", id, &reject);
		blame_sender(sync, &peer->source, &reject);
		if (reject.code == REJECT_NOT_YET)
			peer->blocks->idle_until = clock_mono_ms() + REST_MS;
		break;
	case CHAIN_ERROR:
		log_error("A block could not be stored: %s", reject.detail);
		peer->blocks->idle_until = clock_mono_ms() + REST_MS;
		break;
	}
}

/* A block that does not read ends the connection but blames no address: damage is no lie. */
void sync_blocks_on_block(struct sync_blocks *sync, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct reject reject = { .reason = "" };
	struct reader reader;
	const struct block *block;
	uint8_t id[32];

	reader_init(&reader, payload, size);
	block = block_read(chain_spec(sync->peers->chain), &reader, &reject);
	if (block == NULL) {
		peer_disconnect(peer, "malformed block message: %s (%s)", reject.reason, reject.detail);
		return;
	}
	memcpy(id, block_id(block), 32);
	if (wanted_entry(sync, peer, block, id) != NULL)
		hand_over(sync, peer, block, id);
	else
		block_unref(block);
	peers_work(sync->peers);
}

/* Once the own proof was found right the sender has done what was his to do: for what is wrong with the rest he is not
 * blamed (doc/protocol.md section 17). */
void sync_blocks_verdict(struct sync_blocks *sync, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	struct peer *peer = peers_find(sync->peers, source->peer);

	if (reject != NULL && peer != NULL)
		sync_headers_log_refused(sync->headers, peer, "block", entry->id, reject);
	if (reject != NULL && !relay_blocks_is_proven(sync->relay, entry)) {
		if (peer != NULL)
			peer->proofs_false += reject->why == REASON_BAD_PROOF_DIGEST;
		blame_sender(sync, source, reject);
	}
	peers_work(sync->peers);
}

/* --- Asking --- */

/* Up to WINDOW blocks of the peer's best branch beyond its last verified one, lowest first. */
static size_t next_blocks(const struct peer *peer, const struct index_entry *out[WINDOW])
{
	const struct index_entry *entry = sync_headers_best(peer), *base = sync_headers_verified_under(entry);
	size_t count = entry->height - base->height;

	if (count > WINDOW) {
		entry = chain_ancestor(entry, base->height + WINDOW);
		count = WINDOW;
	}
	for (size_t i = count; i > 0; i--, entry = entry->parent)
		out[i - 1] = entry;
	return count;
}

/* Blocks that the chain surely has room for, those on the way included. Each is counted as the largest that there may
 * be: nobody knows before it is here. */
static size_t room_for_blocks(const struct sync_blocks *sync, const struct peer *peer)
{
	size_t count = chain_room(sync->peers->chain, &peer->source) / sync->peers->limits.size[MESSAGE_BLOCK];

	return count < SYNC_BLOCKS_MAX ? count : SYNC_BLOCKS_MAX;
}

/* One getdata for all that may be asked of the peer now. Whatever keeps it from being asked (it rests, is silent, owes
 * its eight) leaves its blocks to the others, who are asked in the same turn if they have them. */
static void ask_blocks(struct sync_blocks *sync, struct peer *peer, int64_t now)
{
	const struct index_entry *path[WINDOW], *best = sync_headers_best(peer);
	struct sync_blocks_peer *state = peer->blocks;
	size_t count, room;
	struct buf items;

	if (best == NULL || !sync_headers_beats(best, chain_tip(sync->peers->chain)) || now < state->idle_until ||
		is_silent(peer, now))
		return;
	count = next_blocks(peer, path);
	room = room_for_blocks(sync, peer);
	buf_init(&items);
	for (size_t i = 0; i < count && state->count < SYNC_BLOCKS_MAX; i++) {
		/* The one that can be verified at once always finds room. */
		if (path[i]->status == ENTRY_INVALID || (i > 0 && state->count >= room))
			break;
		if (!is_missing(path[i]) || find_request(state, path[i]->id) < state->count ||
			!take_place(sync, peer, path[i]->id, now))
			continue;
		if (state->count == 0)
			state->heard = now;
		state->owed[state->count++] = (struct block_request){ .entry = path[i],
			.deadline = now + sync->peers->timeouts.block };
		message_add_item(&items, INVENTORY_BLOCK, path[i]->id);
	}
	peer_send_items(peer, MESSAGE_GETDATA, &items);
	buf_clear(&items);
}

/* Silence is noted at once, and costs the peer the choice; a deadline that passes costs it a minute, and the third its
 * place. */
static void let_run_out(struct sync_blocks *sync, struct peer *peer, int64_t now)
{
	bool late = false;

	if (is_silent(peer, now))
		peer->answers = false;
	for (size_t i = 0; i < peer->blocks->count;) {
		if (now <= peer->blocks->owed[i].deadline) {
			i++;
			continue;
		}
		forget_request(sync, peer, i);
		late = true;
	}
	if (!late)
		return;
	log_info("peer=%" PRIu64 " did not deliver a block in time", peer->id);
	peer->blocks->idle_until = now + sync->peers->timeouts.block;
	if (++peer->blocks->stalls >= STALLS_MAX)
		peer_disconnect(peer, "it does not deliver the blocks it announces");
}

/* The next block of its own branch has not come since long after later ones came: they wait for it, and would
 * for ever. */
static void drop_withholder(struct sync_blocks *sync, struct peer *peer, int64_t now)
{
	for (size_t i = 0; i < peer->blocks->count; i++) {
		const struct block_request *request = &peer->blocks->owed[i];

		if (request->passed && now - request->passed > sync->peers->timeouts.withheld &&
			sync_headers_verified_under(request->entry->parent) == request->entry->parent) {
			peer_disconnect(peer, "it withholds the first block of its branch");
			return;
		}
	}
}

/* Those who answer have the choice. */
static void ask_everybody(struct sync_blocks *sync, bool answers, int64_t now)
{
	for (struct peer *p = sync->peers->first; p != NULL; p = p->next)
		if (peer_usable(p) && p->answers == answers)
			ask_blocks(sync, p, now);
}

void sync_blocks_work(struct sync_blocks *sync, int64_t now)
{
	for (struct peer *p = sync->peers->first; p != NULL; p = p->next) {
		if (peer_usable(p))
			drop_withholder(sync, p, now);
		if (peer_usable(p))
			let_run_out(sync, p, now);
	}
	ask_everybody(sync, true, now);
	ask_everybody(sync, false, now);
}
