/* Who is asked for a blob, and when he is given up.
 *
 * A blob is wanted for a day at most (LIFE_MS; the chain tells again what it still needs). Of each blob at most
 * ASKED_MAX peers owe the bytes, of each peer at most BLOB_FETCH_PEER_MAX blobs are awaited. A request ends with the
 * blob, with notfound, when nothing has begun to come by start_by, or at its deadline; the last two rest the peer for
 * IDLE_MS. Those asked in vain are not asked again before everybody was (`tried`); then there is a pause that doubles
 * up to a minute. */
#include "net/blob_fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	IDLE_MS = 600000,      /* a peer that let a request run out is left alone that long */
	WANTED_MAX = 16384,    /* more than the smallest blobs of one block's budget */
	FIRST_PAUSE_MS = 2000, /* after all peers were asked in vain; doubles */
	LAST_PAUSE_MS = 60000,
	SLOWEST = 64, /* bytes a millisecond that a sender must reach, beyond the fixed time */
	LIFE_MS = 86400000,
	ASKED_MAX = 2, /* peers from whom one blob is awaited */
};

struct wanted_blob {
	uint64_t size, source;
	struct blob_request {
		struct peer *peer;
		int64_t start_by, deadline; /* when a blob must be coming in, and when it must be here */
	} asked[ASKED_MAX];                 /* the elder first */
	size_t asked_count;
	struct buf tried;          /* ids of the peers asked in this round, 8 bytes each */
	int64_t not_before, pause; /* next round */
	int64_t since;
};

struct blob_fetch {
	struct peers *peers;
	struct map wanted; /* root -> struct wanted_blob, owned */
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
	return fetch;
}

static void wanted_free(struct wanted_blob *wanted)
{
	buf_clear(&wanted->tried);
	free(wanted);
}

void blob_fetch_free(struct blob_fetch *fetch)
{
	const uint8_t *root;
	void *wanted;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &root, &wanted);)
		wanted_free(wanted);
	map_clear(&fetch->wanted);
	free(fetch);
}

/* Also called for a blob that is wanted already: the chain tells again as time goes, and then the day begins anew. What
 * is beyond WANTED_MAX waits for such a repetition. */
void blob_fetch_wanted(struct blob_fetch *fetch, const uint8_t root[32], uint64_t size, uint64_t source)
{
	struct wanted_blob *wanted = map_get(&fetch->wanted, root);

	if (wanted == NULL) {
		if (fetch->wanted.count >= WANTED_MAX)
			return;
		wanted = mem_calloc(1, sizeof *wanted);
		wanted->pause = FIRST_PAUSE_MS;
		buf_init(&wanted->tried);
		map_put(&fetch->wanted, root, wanted);
	}
	wanted->size = size;
	wanted->source = source;
	wanted->since = clock_mono_ms();
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
static void change_credit(struct peer *peer, bool asked)
{
	struct blob_fetch_peer *state = peer->blobs;

	if (asked)
		state->credit++;
	else if (state->credit > 0)
		state->credit--;
	transport_accept(peer->wire, MESSAGE_BLOB, state->credit > 0);
}

static struct blob_request *find_request(struct wanted_blob *wanted, const struct peer *peer)
{
	for (size_t i = 0; i < wanted->asked_count; i++)
		if (wanted->asked[i].peer == peer)
			return &wanted->asked[i];
	return NULL;
}

/* Its place among the ids; their size: it was not asked in this round. */
static size_t find_tried(const struct wanted_blob *wanted, uint64_t id)
{
	size_t at = 0;

	while (at < wanted->tried.size && memcmp(wanted->tried.data + at, &id, sizeof id) != 0)
		at += sizeof id;
	return at;
}

/* It has just sent what names the blob, so it becomes the source, and whether it was asked in vain before is forgotten:
 * it may have got the bytes since. Not while it still owes them. */
void blob_fetch_offered(struct blob_fetch *fetch, const struct peer *peer, const uint8_t root[32])
{
	struct wanted_blob *wanted = map_get(&fetch->wanted, root);
	size_t at;

	if (wanted == NULL || wanted->source == peer->id)
		return;
	wanted->source = peer->id;
	at = find_tried(wanted, peer->id);
	if (at < wanted->tried.size && find_request(wanted, peer) == NULL) {
		wanted->tried.size -= sizeof peer->id;
		memmove(wanted->tried.data + at, wanted->tried.data + at + sizeof peer->id, wanted->tried.size - at);
	}
	wanted->not_before = 0;
	peers_work(fetch->peers);
}

static void request_ended(struct wanted_blob *wanted, struct blob_request *request)
{
	request->peer->blobs->asked--;
	memmove(request, request + 1, (size_t)(wanted->asked + --wanted->asked_count - request) * sizeof *request);
}

/* Those who are asked for it may still send it: their credit stays. */
static void forget_wanted(struct blob_fetch *fetch, const uint8_t root[32])
{
	struct wanted_blob *wanted = map_remove(&fetch->wanted, root);

	if (wanted == NULL)
		return;
	while (wanted->asked_count > 0)
		request_ended(wanted, &wanted->asked[0]);
	wanted_free(wanted);
}

void blob_fetch_peer_closed(struct blob_fetch *fetch, struct peer *peer)
{
	const uint8_t *root;
	void *value;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &root, &value);) {
		struct blob_request *request = find_request(value, peer);

		if (request != NULL)
			request_ended(value, request);
	}
	free(peer->blobs);
	peer->blobs = NULL;
	peers_work(fetch->peers);
}

/* It stays among those that were tried: it is asked again when everybody was, or when it offers the blob anew. */
void blob_fetch_on_notfound(struct blob_fetch *fetch, struct peer *peer, const uint8_t root[32])
{
	struct wanted_blob *wanted = map_get(&fetch->wanted, root);
	struct blob_request *request = wanted != NULL ? find_request(wanted, peer) : NULL;

	if (request == NULL)
		return;
	request_ended(wanted, request);
	change_credit(peer, false);
	peer->blobs->heard = clock_mono_ms();
	peers_work(fetch->peers);
}

/* True if the blob need not be asked for any more. A blob that the chain does not want any more is as good as stored:
 * either way nobody is asked again. */
static bool store_blob(struct blob_fetch *fetch, struct peer *peer, const uint8_t root[32], const uint8_t *bytes,
	size_t count)
{
	struct reject reject = { .reason = "" };
	char hex[65];

	hex_encode(hex, root, 32);
	switch (chain_add_blob(fetch->peers->chain, root, bytes, count, false, &reject)) {
	case CHAIN_NEW:
		log_info("peer=%" PRIu64 " sent blob %s, %zu bytes", peer->id, hex, count);
		return true;
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		return true;
	case CHAIN_REJECTED:
		log_info("peer=%" PRIu64 " blob %s refused: %s (%s)", peer->id, hex, reject.reason, reject.detail);
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
	struct blob_request *request;
	struct wanted_blob *wanted;
	size_t count;

	if (!message_read_blob(&root, &bytes, &count, payload, size)) {
		peer_disconnect(peer, "malformed blob message");
		return;
	}
	change_credit(peer, false);
	peer->blobs->heard = clock_mono_ms();
	wanted = map_get(&fetch->wanted, root);
	/* Somebody else was faster, or nobody wanted it: it costs the sender his credit and us nothing more. */
	if (wanted == NULL)
		return;
	request = find_request(wanted, peer);
	if (request != NULL)
		request_ended(wanted, request);
	if (store_blob(fetch, peer, root, bytes, count)) {
		forget_wanted(fetch, root);
		peer->answers = true;
	}
	peers_work(fetch->peers);
}

/* It has been asked, and does not send. */
static bool is_silent(const struct peer *peer, int64_t now)
{
	return peer->blobs->asked > 0 && peer_is_silent(peer, peer->blobs->heard, now);
}

/* Everybody was asked in vain, or nobody is there: the next round asks all again. */
static void start_round(struct wanted_blob *wanted, int64_t now)
{
	buf_reset(&wanted->tried);
	wanted->not_before = now + wanted->pause;
	wanted->pause = wanted->pause * 2 < LAST_PAUSE_MS ? wanted->pause * 2 : LAST_PAUSE_MS;
}

/* The source first, then those who answer, then everybody else; who is busy is waited for if it is the source or nobody
 * else is left. */
static struct peer *next_to_ask(struct blob_fetch *fetch, struct wanted_blob *wanted, int64_t now)
{
	struct peer *next = NULL;
	bool busy = false;

	for (struct peer *p = fetch->peers->first; p; p = p->next) {
		bool is_source = p->id == wanted->source, free = p->blobs->asked < BLOB_FETCH_PEER_MAX;

		if (!peer_usable(p) || now < p->blobs->idle_until || is_silent(p, now) ||
			find_tried(wanted, p->id) < wanted->tried.size)
			continue;
		if (is_source)
			return free ? p : NULL;
		if (free && (next == NULL || (p->answers && !next->answers)))
			next = p;
		busy = busy || !free;
	}
	if (next == NULL && !busy && wanted->asked_count == 0)
		start_round(wanted, now);
	return next;
}

static void ask_next(struct blob_fetch *fetch, const uint8_t root[32], struct wanted_blob *wanted, int64_t now)
{
	struct peer *peer = next_to_ask(fetch, wanted, now);

	if (peer == NULL)
		return;
	if (wanted->asked_count == ASKED_MAX) {
		wanted->asked[0].peer->blobs->idle_until = now + fetch->peers->timeouts.blob;
		request_ended(wanted, &wanted->asked[0]);
	}
	wanted->asked[wanted->asked_count++] = (struct blob_request){
		.peer = peer,
		.start_by = now + fetch->peers->timeouts.blob_start,
		.deadline = now + fetch->peers->timeouts.blob + (int64_t)(wanted->size / SLOWEST),
	};
	buf_put(&wanted->tried, &peer->id, sizeof peer->id);
	if (peer->blobs->asked++ == 0)
		peer->blobs->heard = now;
	change_credit(peer, true);
	peer_send_item(peer, MESSAGE_GETDATA, INVENTORY_BLOB, root);
}

/* A peer that sends another blob first, or a long one, is at work. */
static bool has_run_out(const struct blob_request *request, int64_t now)
{
	const struct peer *peer = request->peer;
	bool sending = transport_receives(peer->wire, MESSAGE_BLOB);

	return now > request->deadline || (now > request->start_by && !sending);
}

/* Ends the requests that have run out. True: nobody is asked who might send it. */
static bool is_open(struct wanted_blob *wanted, int64_t now)
{
	bool open = true;

	for (size_t i = wanted->asked_count; i > 0; i--) {
		struct blob_request *request = &wanted->asked[i - 1];
		struct peer *peer = request->peer;

		if (is_silent(peer, now))
			peer->answers = false;
		else
			open = false;
		if (!has_run_out(request, now))
			continue;
		log_info("peer=%" PRIu64 " did not deliver a blob in time", peer->id);
		peer->blobs->idle_until = now + IDLE_MS;
		request_ended(wanted, request);
	}
	return open || wanted->asked_count == 0;
}

void blob_fetch_work(struct blob_fetch *fetch, int64_t now)
{
	uint8_t done[64][32];
	size_t done_count = 0;
	const uint8_t *root;
	void *value;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &root, &value);) {
		struct wanted_blob *wanted = value;

		if (!is_open(wanted, now) || now < wanted->not_before)
			continue;
		if (now - wanted->since > LIFE_MS || chain_has_blob(fetch->peers->chain, root)) {
			if (done_count < sizeof done / sizeof done[0])
				memcpy(done[done_count++], root, 32);
			continue;
		}
		ask_next(fetch, root, wanted, now);
	}
	for (size_t i = 0; i < done_count; i++)
		forget_wanted(fetch, done[i]);
}
