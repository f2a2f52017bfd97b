/* From whom blocks are awaited, and when they are given up.
 *
 * Blocks of the best branch that a peer has shown are asked of it, if that branch beats the tip: lowest first, at most
 * SYNC_BLOCKS_WINDOW beyond the last verified one, at most SYNC_BLOCKS_MAX at a time, and no more than the chain has
 * room for; but always the next, for only what can be verified makes room. A block is asked of one peer. When that one
 * is silent a second is asked too, and when both are, a third in the place of the first (SYNC_BLOCKS_ASKED_MAX).
 *
 *   after timeouts.silence   with nothing coming in, or SYNC_BLOCKS_SLOW times that without a whole block, the peer is
 *                            silent: it is asked for nothing more, and others are for what it owes
 *   after timeouts.block     since its last block (each of them gives the others new time) it owes no more, and rests
 *                            as long; the third time (SYNC_BLOCKS_STALLS_MAX, counted anew by each block taken) it is
 *                            dropped
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
	SYNC_BLOCKS_WINDOW = 64,     /* blocks beyond the last verified one that are asked for */
	SYNC_BLOCKS_STALLS_MAX = 3,  /* blocks not delivered in time before the peer is dropped */
	SYNC_BLOCKS_REST_MS = 10000, /* a peer without the block it announced is left alone that long */
	SYNC_BLOCKS_ASKED_MAX = 2,   /* peers from whom one block is awaited */
	SYNC_BLOCKS_SLOW = 4, /* so many times the silence without a block is silence, however much of one has come */
};

/* From whom a block is awaited, the elder first. A third takes the elder's place when both have gone silent; what that
 * one sends in the end counts all the same. */
struct awaited_block {
	struct peer *peers[SYNC_BLOCKS_ASKED_MAX];
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
	struct sync_blocks *block_sync = mem_calloc(1, sizeof *block_sync);

	block_sync->peers = peers;
	block_sync->headers = headers;
	block_sync->relay = relay;
	map_init(&block_sync->in_flight);
	return block_sync;
}

void sync_blocks_free(struct sync_blocks *block_sync)
{
	const uint8_t *id;
	void *awaited_block;

	for (size_t at = 0; map_next(&block_sync->in_flight, &at, &id, &awaited_block);)
		free(awaited_block);
	map_clear(&block_sync->in_flight);
	free(block_sync);
}

void sync_blocks_peer_opened(struct peer *peer)
{
	peer->blocks = mem_calloc(1, sizeof *peer->blocks);
}

/* Its block is neither here nor known to be wrong. */
static bool sync_blocks_is_missing(const struct index_entry *block_entry)
{
	return block_entry->status == ENTRY_HEADER && !block_entry->held;
}

/* --- Who owes what --- */

/* It owes blocks, and does not send them, or only by drops: nobody else would be asked as long as it drips. */
static bool sync_blocks_is_silent(const struct peer *peer, int64_t now)
{
	return peer->blocks->count > 0 &&
		(peer_is_silent(peer, peer->blocks->heard, now) ||
			now - peer->blocks->heard > SYNC_BLOCKS_SLOW * peer->set->timeouts.silence);
}

static void sync_blocks_leave_place(struct awaited_block *awaited_block, const struct peer *peer)
{
	size_t kept_peers = 0;

	for (size_t i = 0; i < awaited_block->count; i++)
		if (awaited_block->peers[i] != peer)
			awaited_block->peers[kept_peers++] = awaited_block->peers[i];
	awaited_block->count = kept_peers;
}

/* Whether this peer may be asked for the block: nobody else is who might send it. Then it has a place. */
static bool sync_blocks_take_place(struct sync_blocks *block_sync, struct peer *peer, const uint8_t id[32], int64_t now)
{
	struct awaited_block *awaited_block = map_get(&block_sync->in_flight, id);

	for (size_t i = 0; awaited_block != NULL && i < awaited_block->count; i++)
		if (!sync_blocks_is_silent(awaited_block->peers[i], now))
			return false;
	if (awaited_block == NULL) {
		awaited_block = mem_calloc(1, sizeof *awaited_block);
		map_put(&block_sync->in_flight, id, awaited_block);
	} else if (awaited_block->count == SYNC_BLOCKS_ASKED_MAX) {
		/* It goes on owing the block, and what it sends is taken; it only keeps nobody from being asked. */
		sync_blocks_leave_place(awaited_block, awaited_block->peers[0]);
	}
	awaited_block->peers[awaited_block->count++] = peer;
	return true;
}

/* The peer owes the block no more, however that came: both sides of the account. */
static void sync_blocks_forget(struct sync_blocks *block_sync, struct peer *peer, size_t index)
{
	struct sync_blocks_peer *peer_blocks = peer->blocks;
	const uint8_t *id = peer_blocks->owed[index].entry->id;
	struct awaited_block *awaited_block = map_get(&block_sync->in_flight, id);

	if (awaited_block != NULL)
		sync_blocks_leave_place(awaited_block, peer);
	if (awaited_block != NULL && awaited_block->count == 0) {
		map_remove(&block_sync->in_flight, id);
		free(awaited_block);
	}
	peer_blocks->owed[index] = peer_blocks->owed[--peer_blocks->count];
}

/* Its place among what the peer owes; count: it does not. */
static size_t sync_blocks_find_request(const struct sync_blocks_peer *peer_blocks, const uint8_t id[32])
{
	size_t i = 0;

	while (i < peer_blocks->count && memcmp(peer_blocks->owed[i].entry->id, id, 32) != 0)
		i++;
	return i;
}

/* True if the block had been asked of this peer. Its other answers are on the way, one behind the other. */
static bool sync_blocks_answered(struct sync_blocks *block_sync, struct peer *peer, const uint8_t id[32])
{
	struct sync_blocks_peer *peer_blocks = peer->blocks;
	int64_t now = clock_mono_ms();
	const struct index_entry *answered;
	size_t i = sync_blocks_find_request(peer_blocks, id);

	if (i == peer_blocks->count)
		return false;
	answered = peer_blocks->owed[i].entry;
	sync_blocks_forget(block_sync, peer, i);
	/* The others get new time, whatever their place in the queue was; one below what came has been passed over. */
	for (i = 0; i < peer_blocks->count; i++) {
		struct block_request *block_request = &peer_blocks->owed[i];

		block_request->deadline = now + block_sync->peers->timeouts.block;
		if (block_request->passed == 0 && sync_headers_is_on_branch(block_request->entry, answered))
			block_request->passed = now;
	}
	peer_blocks->heard = now;
	return true;
}

static void sync_blocks_forget_all(struct sync_blocks *block_sync, struct peer *peer)
{
	while (peer->blocks->count > 0)
		sync_blocks_forget(block_sync, peer, 0);
}

void sync_blocks_peer_closed(struct sync_blocks *block_sync, struct peer *peer)
{
	sync_blocks_forget_all(block_sync, peer);
	free(peer->blocks);
	peer->blocks = NULL;
	peers_work(block_sync->peers);
}

/* Requests point at entries of the index, which are about to be freed. */
void sync_blocks_let_go(struct sync_blocks *block_sync)
{
	for (struct peer *peer = block_sync->peers->first; peer != NULL; peer = peer->next)
		sync_blocks_forget_all(block_sync, peer);
}

size_t sync_blocks_asked(const struct peer *peer, uint32_t heights[SYNC_BLOCKS_MAX])
{
	for (size_t i = 0; i < peer->blocks->count; i++)
		heights[i] = peer->blocks->owed[i].entry->height;
	return peer->blocks->count;
}

void sync_blocks_on_notfound(struct sync_blocks *block_sync, struct peer *peer, const uint8_t id[32])
{
	if (sync_blocks_answered(block_sync, peer, id)) {
		peer->blocks->idle_until = clock_mono_ms() + SYNC_BLOCKS_REST_MS;
		peers_work(block_sync->peers);
	}
}

/* --- Taking --- */

/* The index entry of a block that came, if its bytes are wanted. */
static const struct index_entry *sync_blocks_wanted_entry(struct sync_blocks *block_sync, struct peer *peer,
	const struct block *received_block, const uint8_t received_id[32])
{
	bool asked = sync_blocks_answered(block_sync, peer, received_id);
	const struct index_entry *block_entry = sync_headers_take(block_sync->headers, peer, &received_block->header);

	peer->answers = peer->answers || asked;
	if (block_entry == NULL || !sync_blocks_is_missing(block_entry))
		return NULL;
	/* A block that nobody asked for is taken only if it can be verified at once: before that it costs next to
	 * nothing to make. */
	return asked ||
			(sync_headers_verified_under(block_entry->parent) == block_entry->parent &&
				chain_beats(block_sync->peers->chain, block_entry,
					chain_tip(block_sync->peers->chain))) ?
		block_entry :
		NULL;
}

/* A refused block's sender, who may have left. What depends on coins and on the parent's outcome is checked by an
 * honest node too before it passes a block on, but only if the block is the child of its tip: such a sender is only
 * dropped. */
static void sync_blocks_blame_sender(struct sync_blocks *block_sync, const struct source *source,
	const struct reject *block_reject)
{
	struct peer *peer = peers_find(block_sync->peers, source->peer);

	if (source->peer == 0 || block_reject->code == REJECT_NOT_YET)
		return;
	if (reject_blames_block(block_reject))
		peers_punish(block_sync->peers, source, "invalid block: %s (%s)", block_reject->reason,
			block_reject->detail);
	else if (peer != NULL)
		peer_disconnect(peer, "invalid block: %s (%s)", block_reject->reason, block_reject->detail);
}

/* The chain takes the block, and judges it later (sync_blocks_verdict). What it cannot take now is no fault, but asking
 * this peer on would bring the same again: it rests. */
static void sync_blocks_hand_over(struct sync_blocks *block_sync, struct peer *peer, const struct block *received_block,
	const uint8_t received_id[32])
{
	struct reject block_reject = { .reason = "" };

	switch (chain_add_block(block_sync->peers->chain, received_block, &peer->source, &block_reject)) {
	case CHAIN_NEW:
		peer->blocks->stalls = 0;
		break;
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		break;
	case CHAIN_REJECTED:
		sync_headers_log_refused(block_sync->headers, peer, "block", received_id, &block_reject);
		sync_blocks_blame_sender(block_sync, &peer->source, &block_reject);
		if (block_reject.code == REJECT_NOT_YET)
			peer->blocks->idle_until = clock_mono_ms() + SYNC_BLOCKS_REST_MS;
		break;
	case CHAIN_ERROR:
		log_error("A block could not be stored: %s", block_reject.detail);
		peer->blocks->idle_until = clock_mono_ms() + SYNC_BLOCKS_REST_MS;
		break;
	}
}

/* A block that does not read ends the connection but blames no address: damage is no lie. */
void sync_blocks_on_block(struct sync_blocks *block_sync, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct reject block_reject = { .reason = "" };
	struct reader block_reader;
	const struct block *received_block;
	uint8_t received_id[32];

	reader_init(&block_reader, payload, size);
	received_block = block_read(chain_spec(block_sync->peers->chain), &block_reader, &block_reject);
	if (received_block == NULL) {
		peer_disconnect(peer, "malformed block message: %s (%s)", block_reject.reason, block_reject.detail);
		return;
	}
	memcpy(received_id, block_id(received_block), 32);
	if (sync_blocks_wanted_entry(block_sync, peer, received_block, received_id) != NULL)
		sync_blocks_hand_over(block_sync, peer, received_block, received_id);
	else
		block_unref(received_block);
	peers_work(block_sync->peers);
}

/* Once the own proof was found right the sender has done what was his to do: for what is wrong with the rest he is not
 * blamed (doc/protocol.md section 17). */
void sync_blocks_verdict(struct sync_blocks *block_sync, const struct index_entry *block_entry,
	const struct source *source, const struct reject *block_reject)
{
	struct peer *peer = peers_find(block_sync->peers, source->peer);

	if (block_reject != NULL && peer != NULL)
		sync_headers_log_refused(block_sync->headers, peer, "block", block_entry->id, block_reject);
	if (block_reject != NULL && !relay_blocks_is_proven(block_sync->relay, block_entry)) {
		if (peer != NULL)
			peer->proofs_false += block_reject->why == REASON_BAD_PROOF_DIGEST;
		sync_blocks_blame_sender(block_sync, source, block_reject);
	}
	peers_work(block_sync->peers);
}

/* --- Asking --- */

/* Up to SYNC_BLOCKS_WINDOW blocks of the peer's best branch beyond its last verified one, lowest first. */
static size_t sync_blocks_next(const struct peer *peer, const struct index_entry *next_path[SYNC_BLOCKS_WINDOW])
{
	const struct index_entry *block_entry = sync_headers_best(peer),
				 *base = sync_headers_verified_under(block_entry);
	size_t count = block_entry->height - base->height;

	if (count > SYNC_BLOCKS_WINDOW) {
		block_entry = chain_ancestor(block_entry, base->height + SYNC_BLOCKS_WINDOW);
		count = SYNC_BLOCKS_WINDOW;
	}
	for (size_t i = count; i > 0; i--, block_entry = block_entry->parent)
		next_path[i - 1] = block_entry;
	return count;
}

/* Blocks that the chain surely has room for, those on the way included. Each is counted as the largest that there may
 * be: nobody knows before it is here. */
static size_t sync_blocks_room(const struct sync_blocks *block_sync, const struct peer *peer)
{
	size_t count = chain_room(block_sync->peers->chain, &peer->source) /
		block_sync->peers->limits.size[MESSAGE_BLOCK];

	return count < SYNC_BLOCKS_MAX ? count : SYNC_BLOCKS_MAX;
}

/* One getdata for all that may be asked of the peer now. Whatever keeps it from being asked (it rests, is silent, owes
 * its eight) leaves its blocks to the others, who are asked in the same turn if they have them. */
static void sync_blocks_ask(struct sync_blocks *block_sync, struct peer *peer, int64_t now)
{
	const struct index_entry *next_path[SYNC_BLOCKS_WINDOW], *best = sync_headers_best(peer);
	struct sync_blocks_peer *peer_blocks = peer->blocks;
	size_t count, room;
	struct buf block_items;

	if (best == NULL || !chain_beats(block_sync->peers->chain, best, chain_tip(block_sync->peers->chain)) ||
		now < peer_blocks->idle_until || sync_blocks_is_silent(peer, now))
		return;
	count = sync_blocks_next(peer, next_path);
	room = sync_blocks_room(block_sync, peer);
	buf_init(&block_items);
	for (size_t i = 0; i < count && peer_blocks->count < SYNC_BLOCKS_MAX; i++) {
		/* The one that can be verified at once always finds room. */
		if (next_path[i]->status == ENTRY_INVALID || (i > 0 && peer_blocks->count >= room))
			break;
		if (!sync_blocks_is_missing(next_path[i]) ||
			sync_blocks_find_request(peer_blocks, next_path[i]->id) < peer_blocks->count ||
			!sync_blocks_take_place(block_sync, peer, next_path[i]->id, now))
			continue;
		if (peer_blocks->count == 0)
			peer_blocks->heard = now;
		peer_blocks->owed[peer_blocks->count++] = (struct block_request){ .entry = next_path[i],
			.deadline = now + block_sync->peers->timeouts.block };
		message_add_item(&block_items, INVENTORY_BLOCK, next_path[i]->id);
	}
	peer_send_items(peer, MESSAGE_GETDATA, &block_items);
	buf_clear(&block_items);
}

/* Silence is noted at once, and costs the peer the choice; a deadline that passes costs it a minute, and the third its
 * place. */
static void sync_blocks_let_run_out(struct sync_blocks *block_sync, struct peer *peer, int64_t now)
{
	bool late = false;

	if (sync_blocks_is_silent(peer, now))
		peer->answers = false;
	for (size_t i = 0; i < peer->blocks->count;) {
		if (now <= peer->blocks->owed[i].deadline) {
			i++;
			continue;
		}
		sync_blocks_forget(block_sync, peer, i);
		late = true;
	}
	if (!late)
		return;
	log_info("peer=%" PRIu64 " did not deliver a block in time", peer->id);
	peer->blocks->idle_until = now + block_sync->peers->timeouts.block;
	if (++peer->blocks->stalls >= SYNC_BLOCKS_STALLS_MAX)
		peer_disconnect(peer, "it does not deliver the blocks it announces");
}

/* The next block of its own branch has not come since long after later ones came: they wait for it, and would
 * for ever. */
static void sync_blocks_drop_withholder(struct sync_blocks *block_sync, struct peer *peer, int64_t now)
{
	for (size_t i = 0; i < peer->blocks->count; i++) {
		const struct block_request *block_request = &peer->blocks->owed[i];

		if (block_request->passed && now - block_request->passed > block_sync->peers->timeouts.withheld &&
			sync_headers_verified_under(block_request->entry->parent) == block_request->entry->parent) {
			peer_disconnect(peer, "it withholds the first block of its branch");
			return;
		}
	}
}

/* Those who answer have the choice. */
static void sync_blocks_ask_everybody(struct sync_blocks *block_sync, bool answers, int64_t now)
{
	for (struct peer *peer = block_sync->peers->first; peer != NULL; peer = peer->next)
		if (peer_usable(peer) && peer->answers == answers)
			sync_blocks_ask(block_sync, peer, now);
}

void sync_blocks_work(struct sync_blocks *block_sync, int64_t now)
{
	for (struct peer *peer = block_sync->peers->first; peer != NULL; peer = peer->next) {
		if (peer_usable(peer))
			sync_blocks_drop_withholder(block_sync, peer, now);
		if (peer_usable(peer))
			sync_blocks_let_run_out(block_sync, peer, now);
	}
	sync_blocks_ask_everybody(block_sync, true, now);
	sync_blocks_ask_everybody(block_sync, false, now);
}
