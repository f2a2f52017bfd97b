/* Who is asked for a blob, and when he is given up.
 *
 * A blob is wanted for a day at most (BLOB_LIFE_MS; the chain tells again what it still needs). Of each blob at most
 * BLOB_ASKED_MAX peers owe the bytes, of each peer at most BLOB_FETCH_PEER_MAX blobs are awaited. A request ends with
 * the blob, with notfound, when nothing has begun to come by start_by, or at its deadline; the last two rest the peer
 * for BLOB_IDLE_MS. Those asked in vain are not asked again before everybody was (`tried`); then there is a pause that
 * doubles up to a minute. */
#include "net/blob_fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	BLOB_IDLE_MS = 600000,      /* a peer that let a request run out is left alone that long */
	BLOBS_WANTED_MAX = 16384,   /* more than the smallest blobs of one block's budget */
	BLOB_FIRST_PAUSE_MS = 2000, /* after all peers were asked in vain; doubles */
	BLOB_LAST_PAUSE_MS = 60000,
	BLOB_SLOWEST = 64, /* bytes a millisecond that a sender must reach, beyond the fixed time */
	BLOB_LIFE_MS = 86400000,
	BLOB_ASKED_MAX = 2, /* peers from whom one blob is awaited */
};

struct wanted_blob {
	uint64_t size, source;
	struct blob_request {
		struct peer *peer;
		int64_t start_by, deadline; /* when a blob must be coming in, and when it must be here */
	} asked[BLOB_ASKED_MAX];            /* the elder first */
	size_t asked_count;
	struct buf tried;          /* ids of the peers asked in this round, 8 bytes each */
	int64_t not_before, pause; /* next round */
	int64_t since;
};

/* Whom the chain has to be told of; between turns of the loop, as it may want other blobs then. */
struct blob_failure {
	uint8_t root[32];
	struct source source;
};

struct blob_fetch {
	struct peers *peers;
	struct map wanted;   /* root -> struct wanted_blob, owned */
	struct buf failures; /* requests that ended without the bytes: struct blob_failure */
};

struct blob_fetch_peer {
	size_t asked;       /* requests that count now */
	size_t credit;      /* blobs that may still come, late ones included */
	int64_t heard;      /* when it answered one of the requests, or there began to be some */
	int64_t idle_until; /* no requests before: it let one run out */
};

struct blob_fetch *blob_fetch_new(struct peers *peers)
{
	struct blob_fetch *fetch = mem_calloc(1, sizeof *fetch);

	fetch->peers = peers;
	map_init(&fetch->wanted);
	buf_init(&fetch->failures);
	return fetch;
}

static void blob_free(struct wanted_blob *blob)
{
	buf_clear(&blob->tried);
	free(blob);
}

void blob_fetch_free(struct blob_fetch *fetch)
{
	const uint8_t *root;
	void *blob;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &root, &blob);)
		blob_free(blob);
	map_clear(&fetch->wanted);
	buf_clear(&fetch->failures);
	free(fetch);
}

/* Also called for a blob that is wanted already: the chain tells again as time goes, and then the day begins anew. What
 * is beyond BLOBS_WANTED_MAX waits for such a repetition. */
void blob_fetch_wanted(struct blob_fetch *fetch, const uint8_t root[32], uint64_t size, uint64_t source)
{
	struct wanted_blob *blob = map_get(&fetch->wanted, root);

	if (blob == NULL) {
		if (fetch->wanted.count >= BLOBS_WANTED_MAX)
			return;
		blob = mem_calloc(1, sizeof *blob);
		blob->pause = BLOB_FIRST_PAUSE_MS;
		buf_init(&blob->tried);
		map_put(&fetch->wanted, root, blob);
	}
	blob->size = size;
	blob->source = source;
	blob->since = clock_mono_ms();
	peers_work(fetch->peers);
}

void blob_fetch_peer_opened(struct peer *peer)
{
	peer->blobs = mem_calloc(1, sizeof *peer->blobs);
}

size_t blob_fetch_asked(const struct peer *peer)
{
	return peer->blobs->asked;
}

/* A blob may be longer than anything else a peer sends. So its bytes are held only while it has been asked for more of
 * them than it has sent, refused or not: a request that ran out leaves its credit, and what comes late counts. */
static void blob_change_credit(struct peer *peer, bool asked)
{
	struct blob_fetch_peer *peer_blobs = peer->blobs;

	if (asked)
		peer_blobs->credit++;
	else if (peer_blobs->credit > 0)
		peer_blobs->credit--;
	transport_accept(peer->wire, MESSAGE_BLOB, peer_blobs->credit > 0);
}

static struct blob_request *blob_find_request(struct wanted_blob *blob, const struct peer *peer)
{
	for (size_t i = 0; i < blob->asked_count; i++)
		if (blob->asked[i].peer == peer)
			return &blob->asked[i];
	return NULL;
}

/* Its place among the ids; their size: it was not asked in this round. */
static size_t blob_find_tried(const struct wanted_blob *blob, uint64_t id)
{
	size_t tried_at = 0;

	while (tried_at < blob->tried.size && memcmp(blob->tried.data + tried_at, &id, sizeof id) != 0)
		tried_at += sizeof id;
	return tried_at;
}

/* It has just sent what names the blob, so it becomes the source, and whether it was asked in vain before is forgotten:
 * it may have got the bytes since. Not while it still owes them. */
void blob_fetch_offered(struct blob_fetch *fetch, const struct peer *peer, const uint8_t root[32])
{
	struct wanted_blob *blob = map_get(&fetch->wanted, root);
	size_t tried_at;

	if (blob == NULL || blob->source == peer->id)
		return;
	blob->source = peer->id;
	tried_at = blob_find_tried(blob, peer->id);
	if (tried_at < blob->tried.size && blob_find_request(blob, peer) == NULL) {
		blob->tried.size -= sizeof peer->id;
		memmove(blob->tried.data + tried_at, blob->tried.data + tried_at + sizeof peer->id,
			blob->tried.size - tried_at);
	}
	blob->not_before = 0;
	peers_work(fetch->peers);
}

static void blob_request_ended(struct wanted_blob *blob, struct blob_request *blob_request)
{
	blob_request->peer->blobs->asked--;
	memmove(blob_request, blob_request + 1,
		(size_t)(blob->asked + --blob->asked_count - blob_request) * sizeof *blob_request);
}

static void blob_request_failed(struct blob_fetch *fetch, const uint8_t root[32], struct wanted_blob *blob,
	struct blob_request *blob_request)
{
	struct blob_failure failure = { .source = blob_request->peer->source };

	memcpy(failure.root, root, 32);
	buf_put(&fetch->failures, &failure, sizeof failure);
	blob_request_ended(blob, blob_request);
}

/* Those who are asked for it may still send it: their credit stays. */
static void blob_forget(struct blob_fetch *fetch, const uint8_t root[32])
{
	struct wanted_blob *blob = map_remove(&fetch->wanted, root);

	if (blob == NULL)
		return;
	while (blob->asked_count > 0)
		blob_request_ended(blob, &blob->asked[0]);
	blob_free(blob);
}

void blob_fetch_peer_closed(struct blob_fetch *fetch, struct peer *peer)
{
	const uint8_t *root;
	void *blob;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &root, &blob);) {
		struct blob_request *blob_request = blob_find_request(blob, peer);

		if (blob_request != NULL)
			blob_request_failed(fetch, root, blob, blob_request);
	}
	free(peer->blobs);
	peer->blobs = NULL;
	peers_work(fetch->peers);
}

/* It stays among those that were tried: it is asked again when everybody was, or when it offers the blob anew. */
void blob_fetch_on_notfound(struct blob_fetch *fetch, struct peer *peer, const uint8_t root[32])
{
	struct wanted_blob *blob = map_get(&fetch->wanted, root);
	struct blob_request *blob_request = blob != NULL ? blob_find_request(blob, peer) : NULL;

	if (blob_request == NULL)
		return;
	blob_request_failed(fetch, root, blob, blob_request);
	blob_change_credit(peer, false);
	peer->blobs->heard = clock_mono_ms();
	peers_work(fetch->peers);
}

/* True if the blob need not be asked for any more. A blob that the chain does not want any more is as good as stored:
 * either way nobody is asked again. */
static bool blob_store(struct blob_fetch *fetch, struct peer *peer, const uint8_t root[32], const uint8_t *bytes,
	size_t byte_count)
{
	struct reject reject = { .reason = "" };
	char root_hex[65];

	hex_encode(root_hex, root, 32);
	switch (chain_add_blob(fetch->peers->chain, root, bytes, byte_count, false, &reject)) {
	case CHAIN_NEW:
		log_info("peer=%" PRIu64 " sent blob %s, %zu bytes", peer->id, root_hex, byte_count);
		return true;
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		return true;
	case CHAIN_REJECTED:
		log_info("peer=%" PRIu64 " blob %s refused: %s (%s)", peer->id, root_hex, reject.reason, reject.detail);
		if (reject.ban_score >= 100)
			peer_punish(peer, "false blob: %s", reject.reason);
		return false;
	case CHAIN_ERROR:
		log_error("A blob could not be stored: %s", reject.detail);
		return false;
	}
	return false;
}

void blob_fetch_on_blob(struct blob_fetch *fetch, struct peer *peer, const uint8_t *payload, size_t size)
{
	const uint8_t *root, *bytes;
	struct blob_request *blob_request;
	struct wanted_blob *blob;
	size_t byte_count;

	if (!message_read_blob(&root, &bytes, &byte_count, payload, size)) {
		peer_disconnect(peer, "malformed blob message");
		return;
	}
	blob_change_credit(peer, false);
	peer->blobs->heard = clock_mono_ms();
	blob = map_get(&fetch->wanted, root);
	/* Somebody else was faster, or nobody wanted it: it costs the sender his credit and us nothing more. */
	if (blob == NULL)
		return;
	blob_request = blob_find_request(blob, peer);
	if (blob_request != NULL)
		blob_request_ended(blob, blob_request);
	if (blob_store(fetch, peer, root, bytes, byte_count)) {
		blob_forget(fetch, root);
		peer->answers = true;
	}
	peers_work(fetch->peers);
}

/* It has been asked, and does not send. */
static bool blob_peer_is_silent(const struct peer *peer, int64_t now)
{
	return peer->blobs->asked > 0 && peer_is_silent(peer, peer->blobs->heard, now);
}

/* Everybody was asked in vain, or nobody is there: the next round asks all again. */
static void blob_start_round(struct wanted_blob *blob, int64_t now)
{
	buf_reset(&blob->tried);
	blob->not_before = now + blob->pause;
	blob->pause = blob->pause * 2 < BLOB_LAST_PAUSE_MS ? blob->pause * 2 : BLOB_LAST_PAUSE_MS;
}

/* The source first, then those who answer, then everybody else; who is busy is waited for if it is the source or nobody
 * else is left. */
static struct peer *blob_next_peer(struct blob_fetch *fetch, struct wanted_blob *blob, int64_t now)
{
	struct peer *next_peer = NULL;
	bool peers_busy = false;

	for (struct peer *peer = fetch->peers->first; peer; peer = peer->next) {
		bool is_source = peer->id == blob->source, has_room = peer->blobs->asked < BLOB_FETCH_PEER_MAX;

		if (!peer_usable(peer) || now < peer->blobs->idle_until || blob_peer_is_silent(peer, now) ||
			blob_find_tried(blob, peer->id) < blob->tried.size)
			continue;
		if (is_source)
			return has_room ? peer : NULL;
		if (has_room && (next_peer == NULL || (peer->answers && !next_peer->answers)))
			next_peer = peer;
		peers_busy = peers_busy || !has_room;
	}
	if (next_peer == NULL && !peers_busy && blob->asked_count == 0)
		blob_start_round(blob, now);
	return next_peer;
}

/* False: what asked for it has been given up meanwhile, and it is not fetched for nothing. Looked at when there is
 * somebody to ask, since there may be thousands of them. */
static bool blob_ask_next(struct blob_fetch *fetch, const uint8_t root[32], struct wanted_blob *blob, int64_t now)
{
	struct peer *peer = blob_next_peer(fetch, blob, now);

	if (peer == NULL)
		return true;
	if (!chain_wants_blob(fetch->peers->chain, root, 0))
		return false;
	if (blob->asked_count == BLOB_ASKED_MAX) {
		blob->asked[0].peer->blobs->idle_until = now + fetch->peers->timeouts.blob;
		blob_request_failed(fetch, root, blob, &blob->asked[0]);
	}
	blob->asked[blob->asked_count++] = (struct blob_request){
		.peer = peer,
		.start_by = now + fetch->peers->timeouts.blob_start,
		.deadline = now + fetch->peers->timeouts.blob + (int64_t)(blob->size / BLOB_SLOWEST),
	};
	buf_put(&blob->tried, &peer->id, sizeof peer->id);
	if (peer->blobs->asked++ == 0)
		peer->blobs->heard = now;
	blob_change_credit(peer, true);
	peer_send_item(peer, MESSAGE_GETDATA, INVENTORY_BLOB, root);
	chain_blob_asked(fetch->peers->chain, root, &peer->source);
	return true;
}

/* A peer that sends another blob first, or a long one, is at work. */
static bool blob_request_ran_out(const struct blob_request *blob_request, int64_t now)
{
	const struct peer *peer = blob_request->peer;
	bool sending = transport_receives(peer->wire, MESSAGE_BLOB);

	return now > blob_request->deadline || (now > blob_request->start_by && !sending);
}

/* Ends the requests that have run out. True: nobody is asked who might send it. */
static bool blob_is_open(struct blob_fetch *fetch, const uint8_t root[32], struct wanted_blob *blob, int64_t now)
{
	bool unanswered = true;

	for (size_t i = blob->asked_count; i > 0; i--) {
		struct blob_request *blob_request = &blob->asked[i - 1];
		struct peer *peer = blob_request->peer;

		if (blob_peer_is_silent(peer, now))
			peer->answers = false;
		else
			unanswered = false;
		if (!blob_request_ran_out(blob_request, now))
			continue;
		log_info("peer=%" PRIu64 " did not deliver a blob in time", peer->id);
		peer->blobs->idle_until = now + BLOB_IDLE_MS;
		blob_request_failed(fetch, root, blob, blob_request);
	}
	return unanswered || blob->asked_count == 0;
}

/* From a list of its own: whoever is told may want blobs. */
static void blob_tell_failures(struct blob_fetch *fetch)
{
	struct buf told_failures = fetch->failures;
	const struct blob_failure *failure = (const void *)told_failures.data;

	buf_init(&fetch->failures);
	for (size_t i = 0; i < told_failures.size / sizeof *failure; i++)
		chain_blob_failed(fetch->peers->chain, failure[i].root, &failure[i].source);
	buf_clear(&told_failures);
}

void blob_fetch_work(struct blob_fetch *fetch, int64_t now)
{
	uint8_t done_blobs[64][32];
	size_t done_count = 0;
	const uint8_t *root;
	void *found_blob;

	blob_tell_failures(fetch);
	for (size_t at = 0; map_next(&fetch->wanted, &at, &root, &found_blob);) {
		struct wanted_blob *blob = found_blob;

		if (!blob_is_open(fetch, root, blob, now) || now < blob->not_before)
			continue;
		if (now - blob->since <= BLOB_LIFE_MS && !chain_has_blob(fetch->peers->chain, root) &&
			blob_ask_next(fetch, root, blob, now))
			continue;
		if (done_count < sizeof done_blobs / sizeof done_blobs[0])
			memcpy(done_blobs[done_count++], root, 32);
	}
	for (size_t i = 0; i < done_count; i++)
		blob_forget(fetch, done_blobs[i]);
}
