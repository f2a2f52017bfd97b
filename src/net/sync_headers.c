/* Headers first: what branches peers have shown, and asking for more of them.
 *
 * A header proves nothing before its step is executed, and costs its maker nothing. So what one peer can make us hold
 * is bounded twice: its headers are taken no further than SYNC_HEADERS_AHEAD beyond the last verified block of their
 * branch, and of those it was the first to bring no more than SYNC_HEADERS_INTRODUCED_MAX may be without their block,
 * on whatever branches. What was cut off is `wanted`, and asked for when half of the room is free again. What all peers
 * together bring the chain bounds: when it is full, bare headers go altogether (sync_headers_start_anew).
 *
 * Of each peer one getheaders is out at a time. A silent peer costs nobody anything here: every peer is asked for his
 * own, and an answer that has not come in time is merely asked for again. */
#include "net/sync_headers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/early_headers.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum { SYNC_HEADERS_INTRODUCED_MAX = 2 * SYNC_HEADERS_AHEAD };

struct sync_headers {
	struct peers *peers;
	bool full; /* the chain takes no more headers */
	struct early_headers early;
	struct log_limit refusals; /* of what costs its sender nothing */
};

/* Index entries live as long as the chain, or until sync_headers_start_anew. */
struct sync_headers_peer {
	const struct index_entry *best;        /* of most work among the headers it has sent; NULL: none yet */
	bool wanted;                           /* it has more than we took: ask again when we are nearer */
	int64_t deadline;                      /* of the getheaders that is out; 0: none is */
	const struct index_entry **introduced; /* owned: headers without a block that came from here first */
	size_t introduced_count, introduced_cap;
};

struct sync_headers *sync_headers_new(struct peers *peers)
{
	struct sync_headers *header_sync = mem_calloc(1, sizeof *header_sync);

	header_sync->peers = peers;
	return header_sync;
}

void sync_headers_free(struct sync_headers *header_sync)
{
	free(header_sync);
}

void sync_headers_peer_opened(struct peer *peer)
{
	peer->headers = mem_calloc(1, sizeof *peer->headers);
}

void sync_headers_peer_closed(struct peer *peer)
{
	free(peer->headers->introduced);
	free(peer->headers);
	peer->headers = NULL;
}

/* --- Branches --- */

/* The nearest block at or under this one that is connected: genesis at the latest. */
static const struct index_entry *sync_headers_connected_under(const struct index_entry *header_entry)
{
	while (header_entry->parent != NULL && header_entry->status != ENTRY_CONNECTED)
		header_entry = header_entry->parent;
	return header_entry;
}

const struct index_entry *sync_headers_verified_under(const struct index_entry *header_entry)
{
	while (header_entry->parent != NULL && header_entry->status != ENTRY_CONNECTED &&
		header_entry->status != ENTRY_VERIFIED)
		header_entry = header_entry->parent;
	return header_entry;
}

bool sync_headers_is_on_branch(const struct index_entry *header_entry, const struct index_entry *branch)
{
	return branch != NULL && branch->height >= header_entry->height &&
		chain_ancestor(branch, header_entry->height) == header_entry;
}

const struct index_entry *sync_headers_best(const struct peer *peer)
{
	return peer->headers->best;
}

const struct index_entry *sync_headers_common(const struct peer *peer)
{
	return peer->headers->best != NULL ? sync_headers_connected_under(peer->headers->best) : NULL;
}

bool sync_headers_is_bare(const struct index_entry *header_entry)
{
	return header_entry != NULL && (header_entry->status == ENTRY_HEADER || header_entry->status == ENTRY_INVALID);
}

/* By the work that headers promise: it decides what is asked for and from whom, never what is believed. */
static void sync_headers_update_best(struct peer *peer, const struct index_entry *header_entry)
{
	const struct index_entry *best = peer->headers->best;

	if (header_entry->status != ENTRY_INVALID &&
		(best == NULL || best->status == ENTRY_INVALID || chain_beats(peer->set->chain, header_entry, best)))
		peer->headers->best = header_entry;
}

/* --- Asking --- */

static void sync_headers_ask(struct sync_headers *header_sync, struct peer *peer, const struct index_entry *from)
{
	struct message_getheaders getheaders = { .count = 0 };
	struct buf getheaders_payload;

	if (peer->headers->deadline)
		return;
	getheaders.count = chain_locator(header_sync->peers->chain, from, getheaders.ids, MESSAGE_MAX_LOCATOR);
	buf_init(&getheaders_payload);
	message_write_getheaders(&getheaders_payload, &getheaders);
	peer->headers->deadline = clock_mono_ms() + header_sync->peers->timeouts.headers;
	peer->headers->wanted = false;
	peer_send(peer, MESSAGE_GETHEADERS, &getheaders_payload);
}

/* From the tip's parent, so that a peer on our tip answers with that one header and shows what it has. */
static void sync_headers_ask_from_tip(struct sync_headers *header_sync, struct peer *peer)
{
	const struct index_entry *tip = chain_tip(header_sync->peers->chain);

	sync_headers_ask(header_sync, peer, tip->parent != NULL ? tip->parent : tip);
}

void sync_headers_peer_ready(struct sync_headers *header_sync, struct peer *peer)
{
	peer_send_empty(peer, MESSAGE_SENDHEADERS);
	sync_headers_ask_from_tip(header_sync, peer);
}

/* --- Taking --- */

/* Headers that have their block by now no longer count against the peer. */
static void sync_headers_prune(struct sync_headers_peer *peer_headers)
{
	size_t kept_headers = 0;

	for (size_t i = 0; i < peer_headers->introduced_count; i++)
		if (peer_headers->introduced[i]->status == ENTRY_HEADER)
			peer_headers->introduced[kept_headers++] = peer_headers->introduced[i];
	peer_headers->introduced_count = kept_headers;
}

/* Pruning goes through the whole list, so it is done only when it is full: at most once for as many new headers as it
 * frees, and while it frees none nothing is taken. */
static bool sync_headers_may_introduce(struct sync_headers_peer *peer_headers)
{
	if (peer_headers->introduced_count < SYNC_HEADERS_INTRODUCED_MAX)
		return true;
	sync_headers_prune(peer_headers);
	return peer_headers->introduced_count < SYNC_HEADERS_INTRODUCED_MAX;
}

/* At most SYNC_HEADERS_INTRODUCED_MAX: sync_headers_may_introduce was asked. */
static void sync_headers_introduce(struct sync_headers_peer *peer_headers, const struct index_entry *header_entry)
{
	if (peer_headers->introduced_count == peer_headers->introduced_cap) {
		peer_headers->introduced_cap = peer_headers->introduced_cap ? 2 * peer_headers->introduced_cap : 64;
		peer_headers->introduced = mem_realloc(peer_headers->introduced,
			peer_headers->introduced_cap * sizeof *peer_headers->introduced);
	}
	peer_headers->introduced[peer_headers->introduced_count++] = header_entry;
}

void sync_headers_log_refused(struct sync_headers *header_sync, const struct peer *peer, const char *what,
	const uint8_t id[32], const struct reject *reject)
{
	char id_hex[65], refusal[LOG_LINE_MAX];

	hex_encode_reversed(id_hex, id, 32);
	snprintf(refusal, sizeof refusal, "peer=%" PRIu64 " %s %s refused: %s (%s)", peer->id, what, id_hex,
		reject->reason, reject->detail);
	if (reject->ban_score >= 100 || log_limit_allows(&header_sync->refusals))
		log_info("%s", refusal);
	else
		log_debug(LOG_NET, "%s", refusal);
}

/* One that is not due yet. Its parent must be proven, so that nobody fills the places with headers on headers; and what
 * is due later than a block may be kept by its miner is nobody's block. */
static void sync_headers_keep_early(struct sync_headers *header_sync, const struct peer *peer,
	const struct header *header)
{
	const struct chain *chain = header_sync->peers->chain;
	const struct index_entry *parent = chain_find(chain, header->prev);
	const uint32_t future_limit = spec_future_limit(chain_spec(chain));
	const struct early_header early = {
		.header = *header,
		.source = peer->source,
		.due = (int64_t)header->time - future_limit,
	};

	if (parent != NULL && !sync_headers_is_bare(parent) && early.due <= clock_wall() + future_limit)
		early_headers_keep(&header_sync->early, &early);
}

/* One header that is not in the index. NULL: it was not taken. */
static const struct index_entry *sync_headers_take_new(struct sync_headers *header_sync, struct peer *peer,
	const struct header *header, const uint8_t id[32])
{
	const struct index_entry *header_entry = NULL;
	struct reject header_reject = { .reason = "" };

	switch (chain_add_header(header_sync->peers->chain, header, &header_entry, &header_reject)) {
	case CHAIN_NEW:
		sync_headers_introduce(peer->headers, header_entry);
		return header_entry;
	case CHAIN_KNOWN:
		return header_entry;
	case CHAIN_ORPHAN:
		return NULL;
	case CHAIN_REJECTED:
		sync_headers_log_refused(header_sync, peer, "header", id, &header_reject);
		header_sync->full = header_sync->full || header_reject.why == REASON_TOO_MANY_HEADERS;
		if (header_reject.why == REASON_TIME_TOO_NEW)
			sync_headers_keep_early(header_sync, peer, header);
		if (header_reject.ban_score >= 100)
			peer_punish(peer, "invalid header: %s", header_reject.reason);
		return NULL;
	case CHAIN_ERROR:
		log_error("A header could not be stored: %s", header_reject.detail);
		return NULL;
	}
	return NULL;
}

/* Takes a run of headers, each the child of the one before, as far as it may. `base` is where verification stands under
 * the first new one, found once: what follows hangs on what has just been taken. The last one taken or known, or NULL.
 */
static const struct index_entry *sync_headers_take_run(struct sync_headers *header_sync, struct peer *peer,
	const struct header *headers, size_t count)
{
	const struct index_entry *last_taken = NULL, *base = NULL;

	for (size_t i = 0; i < count; i++) {
		uint8_t id[32];
		const struct index_entry *header_entry, *parent;

		header_id(&headers[i], id);
		header_entry = chain_find(header_sync->peers->chain, id);
		if (header_entry == NULL) {
			parent = chain_find(header_sync->peers->chain, headers[i].prev);
			if (parent == NULL) {
				sync_headers_ask_from_tip(header_sync, peer);
				return last_taken;
			}
			if (parent->status == ENTRY_INVALID)
				return last_taken;
			if (base == NULL)
				base = sync_headers_verified_under(parent);
			if (parent->height - base->height >= SYNC_HEADERS_AHEAD ||
				!sync_headers_may_introduce(peer->headers)) {
				peer->headers->wanted = true;
				return last_taken;
			}
			header_entry = sync_headers_take_new(header_sync, peer, &headers[i], id);
		}
		if (header_entry == NULL || header_entry->status == ENTRY_INVALID)
			return last_taken;
		last_taken = header_entry;
	}
	return last_taken;
}

const struct index_entry *sync_headers_take(struct sync_headers *header_sync, struct peer *peer,
	const struct header *header)
{
	const struct index_entry *header_entry = sync_headers_take_run(header_sync, peer, header, 1);

	if (header_entry != NULL)
		sync_headers_update_best(peer, header_entry);
	return header_entry;
}

/* Looked at before any is taken: what does not hang together is a fault by itself, whatever its first header is.
 */
static bool sync_headers_is_run(const struct header *headers, size_t count)
{
	uint8_t id[32];

	for (size_t i = 1; i < count; i++) {
		header_id(&headers[i - 1], id);
		if (memcmp(id, headers[i].prev, 32) != 0)
			return false;
	}
	return true;
}

void sync_headers_on_headers(struct sync_headers *header_sync, struct peer *peer, const uint8_t *payload, size_t size)
{
	const struct index_entry *last_taken;
	struct header *headers;
	size_t count;

	if (!message_read_headers(&headers, &count, payload, size)) {
		peer_disconnect(peer, "malformed headers message");
		return;
	}
	/* Any headers message ends the wait, one that was not asked for too: they cannot be told apart. */
	peer->headers->deadline = 0;
	if (!sync_headers_is_run(headers, count)) {
		peer_punish(peer, "headers that do not follow each other");
	} else if (count > 0) {
		last_taken = sync_headers_take_run(header_sync, peer, headers, count);
		if (last_taken != NULL)
			sync_headers_update_best(peer, last_taken);
		/* A full message has a next one, unless this one was cut off: that is asked for later. */
		if (last_taken != NULL && count == MESSAGE_MAX_HEADERS && !peer->headers->wanted)
			sync_headers_ask(header_sync, peer, last_taken);
	}
	free(headers);
	peers_work(header_sync->peers);
}

/* Nothing is known of it but its id: asking from our tip brings it, and what lies between. */
void sync_headers_on_announced(struct sync_headers *header_sync, struct peer *peer, const uint8_t id[32])
{
	const struct index_entry *header_entry = chain_find(header_sync->peers->chain, id);

	if (header_entry != NULL)
		sync_headers_update_best(peer, header_entry);
	else
		sync_headers_ask_from_tip(header_sync, peer);
	peers_work(header_sync->peers);
}

/* --- The loop --- */

/* What was cut off before is asked for again when half of the room is free. */
static void sync_headers_ask_rest(struct sync_headers *header_sync, struct peer *peer)
{
	const struct index_entry *best = peer->headers->best;

	if (!peer->headers->wanted || peer->headers->deadline)
		return;
	sync_headers_prune(peer->headers);
	if (peer->headers->introduced_count > SYNC_HEADERS_INTRODUCED_MAX / 2)
		return;
	if (best == NULL)
		sync_headers_ask_from_tip(header_sync, peer);
	else if (best->height - sync_headers_verified_under(best)->height < SYNC_HEADERS_AHEAD / 2)
		sync_headers_ask(header_sync, peer, best);
}

/* A branch that turned out to be invalid: ask what else there is. */
static void sync_headers_leave_invalid(struct sync_headers *header_sync, struct peer *peer)
{
	if (peer->headers->best == NULL || peer->headers->best->status != ENTRY_INVALID)
		return;
	peer->headers->best = NULL;
	sync_headers_ask_from_tip(header_sync, peer);
}

bool sync_headers_full(const struct sync_headers *header_sync)
{
	return header_sync->full;
}

/* Whoever filled the chain does so again as fast as before, but no faster than all others bring theirs: they are asked
 * in the same breath, and their blocks are fetched meanwhile. */
void sync_headers_start_anew(struct sync_headers *header_sync)
{
	for (struct peer *peer = header_sync->peers->first; peer != NULL; peer = peer->next) {
		peer->headers->introduced_count = 0;
		if (sync_headers_is_bare(peer->headers->best))
			peer->headers->best = NULL;
	}
	chain_forget_headers(header_sync->peers->chain);
	header_sync->full = false;
	for (struct peer *peer = header_sync->peers->first; peer != NULL; peer = peer->next)
		if (peer_usable(peer))
			sync_headers_ask_from_tip(header_sync, peer);
}

/* Not held against the peer: it may have nothing to say, or a long way to say it. It is asked again as if it had been
 * cut off. */
static void sync_headers_let_run_out(struct peer *peer, int64_t now)
{
	struct sync_headers_peer *peer_headers = peer->headers;

	if (peer_headers->deadline == 0 || now <= peer_headers->deadline)
		return;
	peer_headers->deadline = 0;
	peer_headers->wanted = true;
}

/* From who sent it, if he is still there: he has the block. What follows it he is asked for. */
static void sync_headers_take_due(struct sync_headers *header_sync)
{
	struct early_header due;

	while (early_headers_take(&header_sync->early, clock_wall(), &due)) {
		struct peer *peer = peers_find(header_sync->peers, due.source.peer);

		if (peer == NULL || !peer_usable(peer))
			continue;
		sync_headers_take(header_sync, peer, &due.header);
		peer->headers->wanted = true;
	}
}

void sync_headers_work(struct sync_headers *header_sync, int64_t now)
{
	sync_headers_take_due(header_sync);
	for (struct peer *peer = header_sync->peers->first; peer != NULL; peer = peer->next) {
		if (!peer_usable(peer))
			continue;
		sync_headers_let_run_out(peer, now);
		sync_headers_leave_invalid(header_sync, peer);
		sync_headers_ask_rest(header_sync, peer);
	}
}
