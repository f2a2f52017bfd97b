#include "net/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	WINDOW = 64,           /* blocks beyond the last verified one that are asked for */
	ANNOUNCE_HEADERS = 16, /* headers in one unasked announcement */
	INTRODUCED_MAX = 2 * SYNC_HEADERS_AHEAD,
	PROVEN_MAX = 4096,
	STALLS_MAX = 3,  /* blocks not delivered in time before the peer is dropped */
	REST_MS = 10000, /* a peer without the block it announced is left alone that long */
	ASKED_MAX = 2,   /* peers from whom one block is awaited */
	SLOW = 4,        /* so many times the silence without a block is silence, however much of one has come */
};

/* From whom a block is awaited, the elder first. A third takes the elder's place when both have gone silent; what that
 * one sends in the end counts all the same. */
struct awaited {
	struct peer *peers[ASKED_MAX];
	size_t count;
};

struct sync {
	struct peers *peers;
	struct map in_flight;      /* block id -> struct awaited, owned */
	struct known proven;       /* blocks whose own proof was executed while this node ran */
	bool headers_full;         /* the chain takes no more headers */
	struct log_limit refusals; /* of what costs its sender nothing */
};

/* What headers and blocks a peer has shown. */
struct sync_peer {
	const struct index_entry *best;      /* of most work among the headers it has sent; NULL: none yet */
	const struct index_entry *announced; /* the last header we sent it */
	bool wants_headers;                  /* sent sendheaders */
	bool headers_wanted;                 /* it has more than we took: ask again when we are nearer */
	int64_t headers_deadline;            /* of the getheaders that is out; 0: none is */
	struct block_request {
		const struct index_entry *entry;
		int64_t deadline;
		int64_t passed; /* when a block above it came before it; 0: none has */
	} blocks[SYNC_BLOCKS_MAX];
	size_t block_count;
	int64_t heard;      /* when it sent one of them, or began to owe some */
	int64_t idle_until; /* no block requests before: it let one run out */
	unsigned stalls;
	const struct index_entry **introduced; /* owned: headers without a block that came from here first */
	size_t introduced_count, introduced_cap;
};

struct sync *sync_new(struct peers *peers)
{
	struct sync *sync = mem_calloc(1, sizeof *sync);

	sync->peers = peers;
	map_init(&sync->in_flight);
	known_init(&sync->proven, PROVEN_MAX);
	return sync;
}

void sync_free(struct sync *sync)
{
	const uint8_t *id;
	void *awaited;

	for (size_t at = 0; map_next(&sync->in_flight, &at, &id, &awaited);)
		free(awaited);
	map_clear(&sync->in_flight);
	known_clear(&sync->proven);
	free(sync);
}

static bool more_work(const struct index_entry *a, const struct index_entry *b)
{
	return u256_compare(a->chain_work, b->chain_work) > 0;
}

/* The nearest block at or under this one that is connected: genesis at the latest. */
static const struct index_entry *connected_under(const struct index_entry *entry)
{
	while (entry->parent != NULL && entry->status != ENTRY_CONNECTED)
		entry = entry->parent;
	return entry;
}

/* The nearest block at or under this one that is verified, be it on the active chain or on a branch that does not have
 * most work yet. */
static const struct index_entry *verified_under(const struct index_entry *entry)
{
	while (entry->parent != NULL && entry->status != ENTRY_CONNECTED && entry->status != ENTRY_VERIFIED)
		entry = entry->parent;
	return entry;
}

/* Its block is neither here nor known to be wrong. */
static bool is_missing(const struct index_entry *entry)
{
	return entry->status == ENTRY_HEADER && !entry->held;
}

static bool is_on_branch(const struct index_entry *entry, const struct index_entry *branch)
{
	return branch != NULL && branch->height >= entry->height && entry_ancestor(branch, entry->height) == entry;
}

static void update_best(struct peer *peer, const struct index_entry *entry)
{
	const struct index_entry *best = peer->sync->best;

	if (entry->status != ENTRY_INVALID && (best == NULL || best->status == ENTRY_INVALID || more_work(entry, best)))
		peer->sync->best = entry;
}

/* Headers. */

static void ask_headers(struct sync *sync, struct peer *peer, const struct index_entry *from)
{
	struct message_getheaders request = { .count = 0 };
	struct buf payload;

	if (peer->sync->headers_deadline)
		return;
	request.count = chain_locator(sync->peers->chain, from, request.ids, MESSAGE_MAX_LOCATOR);
	buf_init(&payload);
	message_write_getheaders(&payload, &request);
	peer->sync->headers_deadline = clock_mono_ms() + sync->peers->timeouts.headers;
	peer->sync->headers_wanted = false;
	peer_send(peer, MESSAGE_GETHEADERS, &payload);
}

/* From the tip's parent, so that a peer on our tip answers with that one header and shows what it has. */
static void ask_from_tip(struct sync *sync, struct peer *peer)
{
	const struct index_entry *tip = chain_tip(sync->peers->chain);

	ask_headers(sync, peer, tip->parent != NULL ? tip->parent : tip);
}

void sync_peer_opened(struct peer *peer)
{
	peer->sync = mem_calloc(1, sizeof *peer->sync);
}

void sync_peer_ready(struct sync *sync, struct peer *peer)
{
	peer_send_empty(peer, MESSAGE_SENDHEADERS);
	ask_from_tip(sync, peer);
}

/* Headers that have their block by now no longer count against the peer. */
static void prune_introduced(struct sync_peer *state)
{
	size_t kept = 0;

	for (size_t i = 0; i < state->introduced_count; i++)
		if (state->introduced[i]->status == ENTRY_HEADER)
			state->introduced[kept++] = state->introduced[i];
	state->introduced_count = kept;
}

static bool may_introduce(struct sync_peer *state)
{
	if (state->introduced_count < INTRODUCED_MAX)
		return true;
	prune_introduced(state);
	return state->introduced_count < INTRODUCED_MAX;
}

static void introduce(struct sync_peer *state, const struct index_entry *entry)
{
	if (state->introduced_count == state->introduced_cap) {
		state->introduced_cap = state->introduced_cap ? 2 * state->introduced_cap : 64;
		state->introduced = mem_realloc(state->introduced, state->introduced_cap * sizeof *state->introduced);
	}
	state->introduced[state->introduced_count++] = entry;
}

static void log_refused(struct sync *sync, const struct peer *peer, const char *what, const uint8_t id[32],
	const struct reject *reject)
{
	char hex[65], text[LOG_LINE_MAX];

	hex_encode_reversed(hex, id, 32);
	snprintf(text, sizeof text, "peer=%" PRIu64 " %s %s refused: %s (%s)", peer->id, what, hex, reject->reason,
		reject->detail);
	if (reject->ban_score >= 100 || log_limit_allows(&sync->refusals))
		log_info("%s", text);
	else
		log_debug(LOG_NET, "%s", text);
}

/* One header that is not in the index. NULL: it was not taken. */
static const struct index_entry *take_new(struct sync *sync, struct peer *peer, const struct header *header,
	const uint8_t id[32])
{
	const struct index_entry *entry = NULL;
	struct reject reject = { .reason = "" };

	switch (chain_add_header(sync->peers->chain, header, &entry, &reject)) {
	case CHAIN_NEW:
		introduce(peer->sync, entry);
		return entry;
	case CHAIN_KNOWN:
		return entry;
	case CHAIN_ORPHAN:
		return NULL;
	case CHAIN_REJECTED:
		log_refused(sync, peer, "header", id, &reject);
		sync->headers_full = sync->headers_full || strcmp(reject.reason, "too-many-headers") == 0;
		if (reject.ban_score >= 100)
			peer_punish(peer, "invalid header: %s", reject.reason);
		return NULL;
	case CHAIN_ERROR:
		log_error("A header could not be stored: %s", reject.detail);
		return NULL;
	}
	return NULL;
}

/* Takes a run of headers, each the child of the one before, as far as it may. The last one taken or known, or NULL. */
static const struct index_entry *take_headers(struct sync *sync, struct peer *peer, const struct header *headers,
	size_t count)
{
	const struct index_entry *last = NULL, *base = NULL;

	for (size_t i = 0; i < count; i++) {
		uint8_t id[32];
		const struct index_entry *entry, *parent;

		header_id(&headers[i], id);
		entry = chain_find(sync->peers->chain, id);
		if (entry == NULL) {
			parent = chain_find(sync->peers->chain, headers[i].prev);
			if (parent == NULL) {
				ask_from_tip(sync, peer);
				return last;
			}
			if (parent->status == ENTRY_INVALID)
				return last;
			if (base == NULL)
				base = verified_under(parent);
			if (parent->height - base->height >= SYNC_HEADERS_AHEAD || !may_introduce(peer->sync)) {
				peer->sync->headers_wanted = true;
				return last;
			}
			entry = take_new(sync, peer, &headers[i], id);
		}
		if (entry == NULL || entry->status == ENTRY_INVALID)
			return last;
		last = entry;
	}
	return last;
}

static bool is_run(const struct header *headers, size_t count)
{
	uint8_t id[32];

	for (size_t i = 1; i < count; i++) {
		header_id(&headers[i - 1], id);
		if (memcmp(id, headers[i].prev, 32) != 0)
			return false;
	}
	return true;
}

void sync_on_headers(struct sync *sync, struct peer *peer, const uint8_t *payload, size_t size)
{
	const struct index_entry *last;
	struct header *headers;
	size_t count;

	if (!message_read_headers(&headers, &count, payload, size)) {
		peer_disconnect(peer, "malformed headers message");
		return;
	}
	peer->sync->headers_deadline = 0;
	if (!is_run(headers, count)) {
		peer_punish(peer, "headers that do not follow each other");
	} else if (count > 0) {
		last = take_headers(sync, peer, headers, count);
		if (last != NULL)
			update_best(peer, last);
		if (last != NULL && count == MESSAGE_MAX_HEADERS && !peer->sync->headers_wanted)
			ask_headers(sync, peer, last);
	}
	free(headers);
	peers_work(sync->peers);
}

void sync_on_announced(struct sync *sync, struct peer *peer, const uint8_t id[32])
{
	const struct index_entry *entry = chain_find(sync->peers->chain, id);

	if (entry != NULL)
		update_best(peer, entry);
	else
		ask_from_tip(sync, peer);
	peers_work(sync->peers);
}

/* What was cut off before is asked for again when half of the room is free. */
static void ask_more_headers(struct sync *sync, struct peer *peer)
{
	const struct index_entry *best = peer->sync->best;

	if (!peer->sync->headers_wanted || peer->sync->headers_deadline)
		return;
	prune_introduced(peer->sync);
	if (peer->sync->introduced_count > INTRODUCED_MAX / 2)
		return;
	if (best == NULL)
		ask_from_tip(sync, peer);
	else if (best->height - verified_under(best)->height < SYNC_HEADERS_AHEAD / 2)
		ask_headers(sync, peer, best);
}

/* Blocks. */

/* It owes blocks, and does not send them, or only by drops: nobody else would be asked as long as it drips. */
static bool is_silent(const struct peer *peer, int64_t now)
{
	return peer->sync->block_count > 0 &&
		(peer_is_silent(peer, peer->sync->heard, now) ||
			now - peer->sync->heard > SLOW * peer->set->timeouts.silence);
}

static void leave_place(struct awaited *awaited, const struct peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < awaited->count; i++)
		if (awaited->peers[i] != peer)
			awaited->peers[kept++] = awaited->peers[i];
	awaited->count = kept;
}

/* Whether this peer may be asked for the block: nobody else is who might send it. Then it has a place. */
static bool take_place(struct sync *sync, struct peer *peer, const uint8_t id[32], int64_t now)
{
	struct awaited *awaited = map_get(&sync->in_flight, id);

	for (size_t i = 0; awaited != NULL && i < awaited->count; i++)
		if (!is_silent(awaited->peers[i], now))
			return false;
	if (awaited == NULL) {
		awaited = mem_calloc(1, sizeof *awaited);
		map_put(&sync->in_flight, id, awaited);
	} else if (awaited->count == ASKED_MAX) {
		leave_place(awaited, awaited->peers[0]);
	}
	awaited->peers[awaited->count++] = peer;
	return true;
}

static void forget_request(struct sync *sync, struct peer *peer, size_t index)
{
	struct sync_peer *state = peer->sync;
	const uint8_t *id = state->blocks[index].entry->id;
	struct awaited *awaited = map_get(&sync->in_flight, id);

	if (awaited != NULL)
		leave_place(awaited, peer);
	if (awaited != NULL && awaited->count == 0) {
		map_remove(&sync->in_flight, id);
		free(awaited);
	}
	state->blocks[index] = state->blocks[--state->block_count];
}

/* Its place among what the peer owes; block_count: it does not. */
static size_t find_request(const struct sync_peer *state, const uint8_t id[32])
{
	size_t i = 0;

	while (i < state->block_count && memcmp(state->blocks[i].entry->id, id, 32) != 0)
		i++;
	return i;
}

/* True if the block had been asked of this peer. Its other answers are on the way, one behind the other. */
static bool request_answered(struct sync *sync, struct peer *peer, const uint8_t id[32])
{
	struct sync_peer *state = peer->sync;
	int64_t now = clock_mono_ms();
	const struct index_entry *answered;
	size_t i = find_request(state, id);

	if (i == state->block_count)
		return false;
	answered = state->blocks[i].entry;
	forget_request(sync, peer, i);
	for (i = 0; i < state->block_count; i++) {
		struct block_request *request = &state->blocks[i];

		request->deadline = now + sync->peers->timeouts.block;
		if (request->passed == 0 && is_on_branch(request->entry, answered))
			request->passed = now;
	}
	state->heard = now;
	return true;
}

void sync_peer_closed(struct sync *sync, struct peer *peer)
{
	while (peer->sync->block_count > 0)
		forget_request(sync, peer, 0);
	free(peer->sync->introduced);
	free(peer->sync);
	peer->sync = NULL;
	peers_work(sync->peers);
}

void sync_on_notfound(struct sync *sync, struct peer *peer, const uint8_t id[32])
{
	if (request_answered(sync, peer, id)) {
		peer->sync->idle_until = clock_mono_ms() + REST_MS;
		peers_work(sync->peers);
	}
}

/* The index entry of a block that came, if its bytes are wanted. */
static const struct index_entry *wanted_entry(struct sync *sync, struct peer *peer, const struct block *block,
	const uint8_t id[32])
{
	bool asked = request_answered(sync, peer, id);
	const struct index_entry *entry = take_headers(sync, peer, &block->header, 1);

	peer->answers = peer->answers || asked;
	if (entry == NULL)
		return NULL;
	update_best(peer, entry);
	if (!is_missing(entry))
		return NULL;
	/* A block that nobody asked for is taken only if it can be verified at once: before that it costs next to
	 * nothing to make. */
	return asked ||
			(verified_under(entry->parent) == entry->parent &&
				more_work(entry, chain_tip(sync->peers->chain))) ?
		entry :
		NULL;
}

/* A refused block's sender, who may have left. What depends on coins and on the parent's outcome is checked by an
 * honest node too before it passes a block on, but only if the block is the child of its tip: such a sender is only
 * dropped. */
static void blame(struct sync *sync, const struct source *source, const struct reject *reject)
{
	struct peer *peer = peers_find(sync->peers, source->peer);
	static const char *const by_place[] = { "bad-cb-", "bad-txns-", "bad-contrib-" };
	bool knew_better = reject->ban_score >= 100;

	if (source->peer == 0 || reject->code == REJECT_NOT_YET)
		return;
	for (size_t i = 0; i < sizeof by_place / sizeof by_place[0]; i++)
		if (strncmp(reject->reason, by_place[i], strlen(by_place[i])) == 0)
			knew_better = false;
	if (knew_better)
		peers_punish(sync->peers, source, "invalid block: %s (%s)", reject->reason, reject->detail);
	else if (peer != NULL)
		peer_disconnect(peer, "invalid block: %s (%s)", reject->reason, reject->detail);
}

static void hand_over(struct sync *sync, struct peer *peer, struct block *block, const uint8_t id[32])
{
	struct reject reject = { .reason = "" };

	switch (chain_add_block(sync->peers->chain, block, &peer->source, &reject)) {
	case CHAIN_NEW:
		peer->sync->stalls = 0;
		break;
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		break;
	case CHAIN_REJECTED:
		log_refused(sync, peer, "block", id, &reject);
		blame(sync, &peer->source, &reject);
		if (reject.code == REJECT_NOT_YET)
			peer->sync->idle_until = clock_mono_ms() + REST_MS;
		break;
	case CHAIN_ERROR:
		log_error("A block could not be stored: %s", reject.detail);
		peer->sync->idle_until = clock_mono_ms() + REST_MS;
		break;
	}
}

void sync_on_block(struct sync *sync, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct reject reject = { .reason = "" };
	struct reader reader;
	struct block *block;
	uint8_t id[32];

	reader_init(&reader, payload, size);
	block = block_read(chain_spec(sync->peers->chain), &reader, &reject);
	if (block == NULL) {
		peer_disconnect(peer, "malformed block message: %s (%s)", reject.reason, reject.detail);
		return;
	}
	header_id(&block->header, id);
	if (wanted_entry(sync, peer, block, id) != NULL)
		hand_over(sync, peer, block, id);
	else
		block_free(block);
	peers_work(sync->peers);
}

/* Up to WINDOW blocks of the peer's best branch beyond its last verified one, lowest first. */
static size_t next_blocks(const struct peer *peer, const struct index_entry *out[WINDOW])
{
	const struct index_entry *entry = peer->sync->best, *base = verified_under(entry);
	size_t count = entry->height - base->height;

	if (count > WINDOW) {
		entry = entry_ancestor(entry, base->height + WINDOW);
		count = WINDOW;
	}
	for (size_t i = count; i > 0; i--, entry = entry->parent)
		out[i - 1] = entry;
	return count;
}

/* Blocks that the chain surely has room for, those on the way included. */
static size_t room_for_blocks(const struct sync *sync, const struct peer *peer)
{
	size_t count = chain_room(sync->peers->chain, &peer->source) / sync->peers->limits.size[MESSAGE_BLOCK];

	return count < SYNC_BLOCKS_MAX ? count : SYNC_BLOCKS_MAX;
}

static void ask_blocks(struct sync *sync, struct peer *peer, int64_t now)
{
	const struct index_entry *path[WINDOW];
	struct inventory_item items[SYNC_BLOCKS_MAX];
	struct sync_peer *state = peer->sync;
	size_t count, room, asked = 0;
	struct buf payload;

	if (state->best == NULL || !more_work(state->best, chain_tip(sync->peers->chain)) || now < state->idle_until ||
		is_silent(peer, now))
		return;
	count = next_blocks(peer, path);
	room = room_for_blocks(sync, peer);
	for (size_t i = 0; i < count && state->block_count < SYNC_BLOCKS_MAX; i++) {
		/* The one that can be verified at once always finds room. */
		if (path[i]->status == ENTRY_INVALID || (i > 0 && state->block_count >= room))
			break;
		if (!is_missing(path[i]) || find_request(state, path[i]->id) < state->block_count ||
			!take_place(sync, peer, path[i]->id, now))
			continue;
		if (state->block_count == 0)
			state->heard = now;
		state->blocks[state->block_count++] = (struct block_request){ .entry = path[i],
			.deadline = now + sync->peers->timeouts.block };
		items[asked].type = INVENTORY_BLOCK;
		memcpy(items[asked++].id, path[i]->id, 32);
	}
	if (asked == 0)
		return;
	buf_init(&payload);
	message_write_inventory(&payload, items, asked);
	peer_send(peer, MESSAGE_GETDATA, &payload);
}

static void let_run_out(struct sync *sync, struct peer *peer, int64_t now)
{
	bool late = false;

	if (peer->sync->headers_deadline && now > peer->sync->headers_deadline) {
		peer->sync->headers_deadline = 0;
		peer->sync->headers_wanted = true;
	}
	if (is_silent(peer, now))
		peer->answers = false;
	for (size_t i = 0; i < peer->sync->block_count;) {
		if (now <= peer->sync->blocks[i].deadline) {
			i++;
			continue;
		}
		forget_request(sync, peer, i);
		late = true;
	}
	if (!late)
		return;
	log_info("peer=%" PRIu64 " did not deliver a block in time", peer->id);
	peer->sync->idle_until = now + sync->peers->timeouts.block;
	if (++peer->sync->stalls >= STALLS_MAX)
		peer_disconnect(peer, "it does not deliver the blocks it announces");
}

/* The next block of its own branch has not come since long after later ones came: they wait for it, and would
 * for ever. */
static void drop_withholder(struct sync *sync, struct peer *peer, int64_t now)
{
	for (size_t i = 0; i < peer->sync->block_count; i++) {
		const struct block_request *request = &peer->sync->blocks[i];

		if (request->passed && now - request->passed > sync->peers->timeouts.withheld &&
			verified_under(request->entry->parent) == request->entry->parent) {
			peer_disconnect(peer, "it withholds the first block of its branch");
			return;
		}
	}
}

/* A branch that turned out to be invalid: ask what else there is. */
static void leave_invalid(struct sync *sync, struct peer *peer)
{
	if (peer->sync->best == NULL || peer->sync->best->status != ENTRY_INVALID)
		return;
	peer->sync->best = NULL;
	ask_from_tip(sync, peer);
}

static bool is_bare(const struct index_entry *entry)
{
	return entry != NULL && (entry->status == ENTRY_HEADER || entry->status == ENTRY_INVALID);
}

/* The chain holds more bare headers than honest peers ever give: all go, and peers are asked for theirs again. */
static void start_headers_anew(struct sync *sync)
{
	for (struct peer *p = sync->peers->first; p; p = p->next) {
		while (p->sync->block_count > 0)
			forget_request(sync, p, 0);
		p->sync->introduced_count = 0;
		if (is_bare(p->sync->announced))
			p->sync->announced = NULL;
		if (is_bare(p->sync->best))
			p->sync->best = NULL;
	}
	chain_forget_headers(sync->peers->chain);
	sync->headers_full = false;
	for (struct peer *p = sync->peers->first; p; p = p->next)
		if (peer_usable(p))
			ask_from_tip(sync, p);
}

/* Those who answer have the choice. */
static void ask_everybody(struct sync *sync, bool answers, int64_t now)
{
	for (struct peer *p = sync->peers->first; p; p = p->next)
		if (peer_usable(p) && p->answers == answers)
			ask_blocks(sync, p, now);
}

void sync_work(struct sync *sync, int64_t now)
{
	if (sync->headers_full)
		start_headers_anew(sync);
	for (struct peer *p = sync->peers->first; p; p = p->next) {
		if (peer_usable(p))
			drop_withholder(sync, p, now);
		if (peer_usable(p))
			let_run_out(sync, p, now);
		if (!peer_usable(p))
			continue;
		leave_invalid(sync, p);
		ask_more_headers(sync, p);
	}
	ask_everybody(sync, true, now);
	ask_everybody(sync, false, now);
}

/* Announcing. */

static bool peer_has(const struct peer *peer, const struct index_entry *entry)
{
	return is_on_branch(entry, peer->sync->best) || is_on_branch(entry, peer->sync->announced);
}

static void announce_to(struct peer *peer, const struct index_entry *entry)
{
	struct header headers[ANNOUNCE_HEADERS];
	const struct index_entry *at = entry;
	size_t first = ANNOUNCE_HEADERS;
	struct inventory_item item = { .type = INVENTORY_BLOCK };
	struct buf payload;

	if (peer_has(peer, entry))
		return;
	while (first > 0 && at->parent != NULL && !peer_has(peer, at)) {
		headers[--first] = at->header;
		at = at->parent;
	}
	buf_init(&payload);
	if (peer->sync->wants_headers && (peer_has(peer, at) || at->parent == NULL)) {
		message_write_headers(&payload, headers + first, ANNOUNCE_HEADERS - first);
		peer_send(peer, MESSAGE_HEADERS, &payload);
	} else {
		memcpy(item.id, entry->id, 32);
		message_write_inventory(&payload, &item, 1);
		peer_send(peer, MESSAGE_INV, &payload);
	}
	peer->sync->announced = entry;
}

static void announce(struct sync *sync, const struct index_entry *entry)
{
	for (struct peer *p = sync->peers->first; p; p = p->next)
		if (peer_usable(p))
			announce_to(p, entry);
}

void sync_block_proven(struct sync *sync, const struct index_entry *entry, const struct source *source)
{
	struct peer *peer = peers_find(sync->peers, source->peer);

	known_add(&sync->proven, entry->id);
	if (peer != NULL)
		peer->proofs_valid++;
	if (more_work(entry, chain_tip(sync->peers->chain)))
		announce(sync, entry);
}

void sync_block_verdict(struct sync *sync, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	struct peer *peer = peers_find(sync->peers, source->peer);

	if (reject != NULL && peer != NULL)
		log_refused(sync, peer, "block", entry->id, reject);
	if (reject != NULL && !known_has(&sync->proven, entry->id)) {
		if (peer != NULL)
			peer->proofs_false += strcmp(reject->reason, "bad-proof-digest") == 0;
		blame(sync, source, reject);
	}
	peers_work(sync->peers);
}

void sync_tip(struct sync *sync, const struct index_entry *tip)
{
	announce(sync, tip);
	peers_work(sync->peers);
}

void sync_header_sent(struct peer *peer, const struct index_entry *entry)
{
	peer->sync->announced = entry;
}

void sync_on_sendheaders(struct peer *peer)
{
	peer->sync->wants_headers = true;
}

size_t sync_blocks_asked(const struct peer *peer, uint32_t heights[SYNC_BLOCKS_MAX])
{
	for (size_t i = 0; i < peer->sync->block_count; i++)
		heights[i] = peer->sync->blocks[i].entry->height;
	return peer->sync->block_count;
}

const struct index_entry *sync_best(const struct peer *peer)
{
	return peer->sync->best;
}

const struct index_entry *sync_common(const struct peer *peer)
{
	return peer->sync->best != NULL ? connected_under(peer->sync->best) : NULL;
}

bool sync_may_serve(const struct sync *sync, const struct index_entry *entry)
{
	switch (entry->status) {
	case ENTRY_HEADER:
	case ENTRY_INVALID:
		return false;
	case ENTRY_STORED:
		return known_has(&sync->proven, entry->id);
	case ENTRY_VERIFIED:
	case ENTRY_CONNECTED:
		return true;
	}
	return false;
}
