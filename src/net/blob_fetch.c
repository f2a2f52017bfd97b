/* Who is asked for a blob, and when he is given up.
 *
 * A blob is wanted for a day at most (BLOB_LIFE_MS; the chain tells again what it still needs), and named by its root
 * and size: whoever states another size for a root wants another blob. Of each at most BLOB_ASKED_MAX peers owe the
 * bytes, of each peer at most BLOB_FETCH_PEER_MAX blobs are awaited, and of each of these BLOB_PARTS_ASKED parts. A
 * request ends with the last part, with one that is empty, when nothing has begun to come by start_by, or when the next
 * part is not here by its deadline; the last two rest the peer for BLOB_IDLE_MS. Those asked in vain are not asked
 * again before everybody was (`tried`); then there is a pause that doubles up to a minute.
 *
 * Who sends just enough not to be silent could hold up a block for as long as its blobs are large: so a request that
 * falls behind BLOB_PACE is slow, and of two slow ones the better one is held against each of the other peers in turn,
 * from the first byte on. Where our own connection is what is slow this costs a few parts, since in the end one is
 * left.
 *
 * When a request has all its bytes the chain looks at them for a while (`looked`), during which nobody else is asked.
 * The blob may be given up, and its sender leave, meanwhile. */
#include "net/blob_fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	BLOB_IDLE_MS = 600000,      /* a peer that let a request run out is left alone that long */
	BLOBS_WANTED_MAX = 16384,   /* more than the smallest blobs of one block's budget */
	BLOB_FIRST_PAUSE_MS = 2000, /* after all peers were asked in vain; doubles */
	BLOB_LAST_PAUSE_MS = 60000,
	BLOB_LIFE_MS = 86400000,
	BLOB_ASKED_MAX = 2, /* peers from whom one blob is awaited */
	BLOB_TURN_START_MS = 5000,
	BLOB_PARTS_ASKED = 2, /* while one is on its way the next is asked for */
	BLOB_PACE = 512,      /* bytes in a millisecond, below which others are asked too */
};

/* Bytes that all requests together may take on the disk, by the sizes stated. */
static const uint64_t blob_bytes_max = UINT64_C(2) << 30;

struct blob_request {
	struct peer *peer;
	struct blob_draft *draft;   /* what has come; NULL: nothing yet */
	uint32_t asked, come;       /* bytes from the first one on */
	int64_t since;              /* when it was made */
	int64_t start_by, deadline; /* when a blob must be coming in, and when its next part must be here */
};

struct wanted_blob {
	struct blob_fetch *fetch;
	uint8_t root[32];
	uint32_t size;
	uint64_t source;
	bool is_turn;                                 /* the source's alone; who had one before may still send it */
	struct blob_request requests[BLOB_ASKED_MAX]; /* the elder first */
	size_t request_count;
	struct blob_draft *looked; /* the chain looks at it; NULL: at none */
	struct source looked_from;
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
	struct map wanted;   /* blob_key -> struct wanted_blob, owned */
	struct buf failures; /* requests that ended without the bytes: struct blob_failure */
	uint64_t bytes;      /* stated sizes of all requests, and of what is looked at */
	int64_t full_at;     /* when nobody was found last who would have to make room: looked for once in a turn */
};

struct blob_fetch_peer {
	size_t asked;       /* requests that count now */
	size_t credit;      /* parts that may still come, late ones included */
	int64_t heard;      /* when it answered one of the requests, or there began to be some */
	int64_t idle_until; /* no requests before: it let one run out */
};

/* --- requests end --- */

static void blob_request_ended(struct wanted_blob *blob, struct blob_request *blob_request)
{
	blob_request->peer->blobs->asked--;
	blob->fetch->bytes -= blob->size;
	if (blob_request->draft != NULL)
		chain_draft_drop(blob_request->draft);
	memmove(blob_request, blob_request + 1,
		(size_t)(blob->requests + --blob->request_count - blob_request) * sizeof *blob_request);
}

static void blob_note_failure(struct wanted_blob *blob, const struct source *source)
{
	struct blob_failure failure = { .source = *source };

	memcpy(failure.root, blob->root, 32);
	buf_put(&blob->fetch->failures, &failure, sizeof failure);
	peers_work(blob->fetch->peers);
}

static void blob_request_failed(struct wanted_blob *blob, struct blob_request *blob_request)
{
	blob_note_failure(blob, &blob_request->peer->source);
	blob_request_ended(blob, blob_request);
}

static void blob_look_ended(struct wanted_blob *blob)
{
	blob->fetch->bytes -= blob->size;
	blob->looked = NULL;
}

/* Those who are asked for it may still send parts of it: their credit stays. */
static void blob_free(struct wanted_blob *blob)
{
	while (blob->request_count > 0)
		blob_request_ended(blob, &blob->requests[0]);
	if (blob->looked != NULL) {
		chain_draft_drop(blob->looked);
		blob_look_ended(blob);
	}
	buf_clear(&blob->tried);
	free(blob);
}

/* --- what is wanted --- */

struct blob_fetch *blob_fetch_new(struct peers *peers)
{
	struct blob_fetch *fetch = mem_calloc(1, sizeof *fetch);

	fetch->peers = peers;
	map_init(&fetch->wanted);
	buf_init(&fetch->failures);
	return fetch;
}

/* Peers are gone by then, and their requests with them. */
void blob_fetch_free(struct blob_fetch *fetch)
{
	const uint8_t *key;
	void *blob;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &key, &blob);)
		blob_free(blob);
	map_clear(&fetch->wanted);
	buf_clear(&fetch->failures);
	free(fetch);
}

/* Hashed, so that nobody finds a root and size that pass for others. */
static void blob_key(uint8_t key[32], const uint8_t root[32], uint32_t size)
{
	uint8_t named[36];

	memcpy(named, root, 32);
	write_le32(named + 32, size);
	sha256(key, named, sizeof named);
}

static struct wanted_blob *blob_find(const struct blob_fetch *fetch, const uint8_t root[32], uint64_t size)
{
	uint8_t key[32];

	if (size > UINT32_MAX)
		return NULL;
	blob_key(key, root, (uint32_t)size);
	return map_get(&fetch->wanted, key);
}

static void blob_forget(struct wanted_blob *blob)
{
	uint8_t key[32];

	blob_key(key, blob->root, blob->size);
	map_remove(&blob->fetch->wanted, key);
	blob_free(blob);
}

static struct wanted_blob *blob_new(struct blob_fetch *fetch, const uint8_t root[32], uint32_t size)
{
	struct wanted_blob *blob = mem_calloc(1, sizeof *blob);
	uint8_t key[32];

	blob->fetch = fetch;
	memcpy(blob->root, root, 32);
	blob->size = size;
	blob->pause = BLOB_FIRST_PAUSE_MS;
	buf_init(&blob->tried);
	blob_key(key, root, size);
	map_put(&fetch->wanted, key, blob);
	return blob;
}

/* Also called for a blob that is wanted already: the chain tells again as time goes, and then the day begins anew. What
 * is beyond BLOBS_WANTED_MAX waits for such a repetition. */
void blob_fetch_wanted(struct blob_fetch *fetch, const uint8_t root[32], uint64_t size, uint64_t source)
{
	struct wanted_blob *blob = blob_find(fetch, root, size);

	if (blob == NULL) {
		if (size == 0 || size > UINT32_MAX || fetch->wanted.count >= BLOBS_WANTED_MAX)
			return;
		blob = blob_new(fetch, root, (uint32_t)size);
	}
	blob->source = source;
	blob->is_turn = false;
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

static struct blob_request *blob_find_request(struct wanted_blob *blob, const struct peer *peer)
{
	for (size_t i = 0; i < blob->request_count; i++)
		if (blob->requests[i].peer == peer)
			return &blob->requests[i];
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

/* Whether it was asked in vain before is forgotten. Not while it still owes the bytes. */
static void blob_set_source(struct wanted_blob *blob, uint64_t peer_id)
{
	const size_t tried_at = blob_find_tried(blob, peer_id);
	bool is_asked = false;

	for (size_t i = 0; i < blob->request_count; i++)
		is_asked = is_asked || blob->requests[i].peer->id == peer_id;
	blob->source = peer_id;
	if (tried_at < blob->tried.size && !is_asked) {
		blob->tried.size -= sizeof peer_id;
		memmove(blob->tried.data + tried_at, blob->tried.data + tried_at + sizeof peer_id,
			blob->tried.size - tried_at);
	}
	blob->not_before = 0;
	peers_work(blob->fetch->peers);
}

/* It has just sent what names the blob, so it becomes the source: it may have got the bytes since it was asked in vain.
 */
void blob_fetch_offered(struct blob_fetch *fetch, const struct peer *peer, const uint8_t root[32], uint64_t size)
{
	struct wanted_blob *blob = blob_find(fetch, root, size);

	if (blob == NULL || blob->is_turn || blob->source == peer->id)
		return;
	blob_set_source(blob, peer->id);
}

/* What a block waits for too is asked of everybody already. */
void blob_fetch_turn(struct blob_fetch *fetch, const uint8_t root[32], uint64_t size, uint64_t peer_id)
{
	struct wanted_blob *blob = blob_find(fetch, root, size);

	if (size > UINT32_MAX || (blob != NULL && !blob->is_turn))
		return;
	if (blob == NULL)
		blob = blob_new(fetch, root, (uint32_t)size);
	blob->is_turn = true;
	blob->since = clock_mono_ms();
	blob_set_source(blob, peer_id);
}

void blob_fetch_peer_closed(struct blob_fetch *fetch, struct peer *peer)
{
	const uint8_t *key;
	void *blob;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &key, &blob);) {
		struct blob_request *blob_request = blob_find_request(blob, peer);

		if (blob_request != NULL)
			blob_request_failed(blob, blob_request);
	}
	free(peer->blobs);
	peer->blobs = NULL;
	peers_work(fetch->peers);
}

/* --- parts --- */

/* Parts are taken only while it has been asked for more of them than it has sent: a request that ran out leaves its
 * credit, and what comes late counts. */
static void blob_change_credit(struct peer *peer, bool asked)
{
	struct blob_fetch_peer *peer_blobs = peer->blobs;

	if (asked)
		peer_blobs->credit++;
	else if (peer_blobs->credit > 0)
		peer_blobs->credit--;
	transport_accept(peer->wire, MESSAGE_PART, peer_blobs->credit > 0);
}

/* The time of the next part runs from here on, as long as for all that the peer owes: they come one after the other. */
static void blob_ask_parts(struct wanted_blob *blob, struct blob_request *blob_request)
{
	struct peer *peer = blob_request->peer;
	struct message_part part = { .size = blob->size };
	struct buf getpart_payload;

	memcpy(part.root, blob->root, 32);
	while (blob_request->asked < blob->size &&
		blob_request->asked - blob_request->come < BLOB_PARTS_ASKED * MESSAGE_PART_SIZE) {
		part.offset = blob_request->asked;
		buf_init(&getpart_payload);
		message_write_getpart(&getpart_payload, &part);
		blob_change_credit(peer, true);
		peer_send(peer, MESSAGE_GETPART, &getpart_payload);
		blob_request->asked += (uint32_t)message_part_count(blob->size, part.offset);
	}
	blob_request->deadline = clock_mono_ms() + blob->fetch->peers->timeouts.blob * (int64_t)peer->blobs->credit;
}

static void blob_looked_at(void *context, enum chain_result result, const struct reject *reject);

/* The first that is whole, one at a time. Its bytes count until the chain is done with them. */
static void blob_look_next(struct wanted_blob *blob)
{
	struct blob_request *whole = NULL;

	for (size_t i = blob->request_count; i > 0; i--)
		if (blob->requests[i - 1].come == blob->size)
			whole = &blob->requests[i - 1];
	if (whole == NULL || blob->looked != NULL)
		return;
	blob->looked = whole->draft;
	blob->looked_from = whole->peer->source;
	whole->draft = NULL;
	blob->fetch->bytes += blob->size;
	blob_request_ended(blob, whole);
	chain_draft_end(blob->looked, blob_looked_at, blob);
}

static void blob_refused(struct wanted_blob *blob, const struct reject *reject)
{
	char root_hex[65];

	hex_encode(root_hex, blob->root, 32);
	log_info("peer=%" PRIu64 " blob %s refused: %s (%s)", blob->looked_from.peer, root_hex, reject->reason,
		reject->detail);
	if (reject->ban_score >= 100)
		peers_punish(blob->fetch->peers, &blob->looked_from, "false blob: %s", reject->reason);
	blob_note_failure(blob, &blob->looked_from);
	blob_look_next(blob);
}

static void blob_settled(struct wanted_blob *blob, bool is_new)
{
	struct peer *sender = peers_find(blob->fetch->peers, blob->looked_from.peer);
	char root_hex[65];

	hex_encode(root_hex, blob->root, 32);
	if (is_new)
		log_info("peer=%" PRIu64 " sent blob %s, %" PRIu32 " bytes", blob->looked_from.peer, root_hex,
			blob->size);
	if (sender != NULL) {
		sender->answers = true;
		if (is_new)
			sender->brought[EVICT_DATA] = clock_mono_ms();
	}
	blob_forget(blob);
}

/* A blob that the chain does not want any more is as good as stored: either way nobody is asked again. False bytes are
 * their sender's fault, who may have left. */
static void blob_looked_at(void *context, enum chain_result result, const struct reject *reject)
{
	struct wanted_blob *blob = context;

	peers_work(blob->fetch->peers);
	blob_look_ended(blob);
	switch (result) {
	case CHAIN_NEW:
	case CHAIN_KNOWN:
	case CHAIN_ORPHAN:
		blob_settled(blob, result == CHAIN_NEW);
		break;
	case CHAIN_REJECTED:
		blob_refused(blob, reject);
		break;
	case CHAIN_ERROR:
		log_error("A blob could not be stored: %s", reject->detail);
		break;
	}
}

/* In order, as they are asked for; others are late ones of a request that was given up, and count for nothing. */
static void blob_take_part(struct wanted_blob *blob, struct blob_request *blob_request, const struct message_part *part)
{
	struct chain *chain = blob->fetch->peers->chain;
	bool is_vain;

	if (part->offset != blob_request->come || part->offset >= blob_request->asked)
		return;
	blob_request->peer->blobs->heard = clock_mono_ms();
	is_vain = part->count == 0 ||
		!chain_blob_came(chain, blob->root, &blob_request->peer->source, part->offset, part->bytes,
			part->count);
	if (blob_request->draft == NULL && !is_vain)
		blob_request->draft = chain_draft_new(chain, blob->root, blob->size, &blob_request->peer->source);
	if (is_vain || !chain_draft_add(blob_request->draft, part->bytes, part->count)) {
		blob_request_failed(blob, blob_request);
		peers_work(blob->fetch->peers);
		return;
	}
	blob_request->come += (uint32_t)part->count;
	if (blob_request->come == blob->size)
		blob_look_next(blob);
	else if (chain_wants_blob(chain, blob->root, blob->size))
		blob_ask_parts(blob, blob_request);
	else
		blob_forget(blob);
}

void blob_fetch_on_part(struct blob_fetch *fetch, struct peer *peer, const uint8_t *payload, size_t size)
{
	struct blob_request *blob_request;
	struct wanted_blob *blob;
	struct message_part part;

	if (!message_read_part(&part, payload, size)) {
		peer_disconnect(peer, "malformed part message");
		return;
	}
	blob_change_credit(peer, false);
	blob = blob_find(fetch, part.root, part.size);
	blob_request = blob != NULL ? blob_find_request(blob, peer) : NULL;
	if (blob_request != NULL)
		blob_take_part(blob, blob_request, &part);
}

/* --- whom to ask --- */

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

/* Who prunes may have it too, and says at once if not: a few bytes each way. */
static bool blob_goes_before(const struct peer *peer, const struct peer *other)
{
	const bool has_all = (peer->version.services & MESSAGE_ALL) != 0;

	if (has_all != ((other->version.services & MESSAGE_ALL) != 0))
		return has_all;
	return peer->answers && !other->answers;
}

/* The source first, then those who have all, of these those who answer, then everybody else; who is busy is waited for
 * if it is the source or nobody else is left. */
static struct peer *blob_next_peer(struct wanted_blob *blob, int64_t now)
{
	struct peer *next_peer = NULL;
	bool peers_busy = false;

	for (struct peer *peer = blob->fetch->peers->first; peer; peer = peer->next) {
		bool is_source = peer->id == blob->source,
		     has_room = blob->is_turn || peer->blobs->asked < BLOB_FETCH_PEER_MAX;

		if (!peer_usable(peer) || (blob->is_turn && !is_source) || now < peer->blobs->idle_until ||
			blob_peer_is_silent(peer, now) || blob_find_tried(blob, peer->id) < blob->tried.size)
			continue;
		if (is_source)
			return has_room ? peer : NULL;
		if (has_room && (next_peer == NULL || blob_goes_before(peer, next_peer)))
			next_peer = peer;
		peers_busy = peers_busy || !has_room;
	}
	if (next_peer == NULL && !peers_busy && blob->request_count == 0 && !blob->is_turn)
		blob_start_round(blob, now);
	return next_peer;
}

/* Behind BLOB_PACE by more than a silence; the part that is under way counts as here. */
static bool blob_request_is_slow(const struct wanted_blob *blob, const struct blob_request *blob_request, int64_t now)
{
	const uint32_t left = blob->size - blob_request->come,
		       due = blob_request->come + (left < MESSAGE_PART_SIZE ? left : MESSAGE_PART_SIZE);

	return now - blob_request->since > blob->fetch->peers->timeouts.silence + due / BLOB_PACE;
}

/* Until it has sent all, if it goes on as it has done so far; only as good as for comparing. */
static uint64_t blob_request_time_left(const struct wanted_blob *blob, const struct blob_request *blob_request,
	int64_t now)
{
	return blob_request->come == 0 ? UINT64_MAX :
					 (uint64_t)(blob->size - blob_request->come) *
			(uint64_t)(now - blob_request->since) / blob_request->come;
}

/* Of two that are silent or slow the one goes that would be done later: so a blob comes in the end though all peers are
 * slow. */
static void blob_drop_last(struct wanted_blob *blob, int64_t now)
{
	struct blob_request *loser = &blob->requests[0];

	for (size_t i = 1; i < blob->request_count; i++)
		if (blob_request_time_left(blob, &blob->requests[i], now) > blob_request_time_left(blob, loser, now))
			loser = &blob->requests[i];
	if (!blob->is_turn && blob_peer_is_silent(loser->peer, now))
		loser->peer->blobs->idle_until = now + blob->fetch->peers->timeouts.blob;
	blob_request_failed(blob, loser);
}

/* Of the blobs of turns, the slow request that would be done last; NULL: none is slow. */
static struct blob_request *blob_find_slowest_turn(const struct blob_fetch *fetch, struct wanted_blob **slowest_blob,
	int64_t now)
{
	struct blob_request *slowest = NULL;
	uint64_t most_left = 0;
	const uint8_t *key;
	void *found_blob;

	for (size_t at = 0; map_next(&fetch->wanted, &at, &key, &found_blob);) {
		struct wanted_blob *blob = found_blob;

		for (size_t i = 0; blob->is_turn && i < blob->request_count; i++) {
			const uint64_t left = blob_request_time_left(blob, &blob->requests[i], now);

			if (!blob_request_is_slow(blob, &blob->requests[i], now) ||
				(slowest != NULL && left <= most_left))
				continue;
			slowest = &blob->requests[i];
			*slowest_blob = blob;
			most_left = left;
		}
	}
	return slowest;
}

/* A request outlasts its turn, as it may be done after it: but it is the first to go where room is short, since it is
 * strangers who have such asked of them. */
static bool blob_make_room(struct blob_fetch *fetch, uint32_t size, int64_t now)
{
	while (fetch->bytes + size > blob_bytes_max) {
		struct wanted_blob *slowest_blob = NULL;
		struct blob_request *slowest = now == fetch->full_at ?
			NULL :
			blob_find_slowest_turn(fetch, &slowest_blob, now);

		if (slowest == NULL) {
			fetch->full_at = now;
			return false;
		}
		blob_request_failed(slowest_blob, slowest);
	}
	return true;
}

/* Slowly, and from nobody better: then one is enough. */
static bool blob_comes_twice(const struct wanted_blob *blob, int64_t now)
{
	for (size_t i = 0; i < blob->request_count; i++)
		if (blob_peer_is_silent(blob->requests[i].peer, now))
			return false;
	return !blob->is_turn && blob->request_count == BLOB_ASKED_MAX;
}

/* False: its turn is over, and if it could not even be asked that is told; or what asked for it has been given up
 * meanwhile, and it is not fetched for nothing. Looked at when there is
 * somebody to ask, since there may be thousands of them. */
static bool blob_ask_next(struct wanted_blob *blob, int64_t now)
{
	struct blob_fetch *fetch = blob->fetch;
	struct peer *peer = blob_next_peer(blob, now);
	struct blob_request *blob_request;

	if (peer == NULL && blob->is_turn && blob->request_count == 0) {
		if (blob->tried.size == 0)
			blob_note_failure(blob, &(struct source){ .peer = blob->source });
		return false;
	}
	if (peer == NULL) {
		if (blob_comes_twice(blob, now))
			blob_drop_last(blob, now);
		return true;
	}
	if (!chain_wants_blob(fetch->peers->chain, blob->root, blob->size))
		return false;
	if (blob->request_count == BLOB_ASKED_MAX)
		blob_drop_last(blob, now);
	if (!blob_make_room(fetch, blob->size, now))
		return true;
	fetch->bytes += blob->size;
	blob_request = &blob->requests[blob->request_count++];
	*blob_request = (struct blob_request){
		.peer = peer,
		.since = now,
		.start_by = now + (blob->is_turn ? BLOB_TURN_START_MS : fetch->peers->timeouts.blob_start),
	};
	buf_put(&blob->tried, &peer->id, sizeof peer->id);
	if (peer->blobs->asked++ == 0)
		peer->blobs->heard = now;
	blob_ask_parts(blob, blob_request);
	chain_blob_asked(fetch->peers->chain, blob->root, &peer->source);
	return true;
}

/* A peer that sends another blob first, or a long part, is at work. */
static bool blob_request_ran_out(const struct blob_request *blob_request, int64_t now)
{
	return now > blob_request->deadline ||
		(blob_request->come == 0 && now > blob_request->start_by &&
			blob_peer_is_silent(blob_request->peer, now));
}

/* Ends the requests that have run out. True: nobody is asked who might send it. */
static bool blob_is_open(struct wanted_blob *blob, int64_t now)
{
	bool unanswered = true;

	for (size_t i = blob->request_count; i > 0 && blob->looked == NULL; i--) {
		struct blob_request *blob_request = &blob->requests[i - 1];
		struct peer *peer = blob_request->peer;

		if (blob_peer_is_silent(peer, now))
			peer->answers = false;
		else if (!blob_request_is_slow(blob, blob_request, now))
			unanswered = false;
		if (!blob_request_ran_out(blob_request, now))
			continue;
		log_info("peer=%" PRIu64 " did not deliver a blob in time", peer->id);
		if (!blob->is_turn)
			peer->blobs->idle_until = now + BLOB_IDLE_MS;
		blob_request_failed(blob, blob_request);
	}
	return blob->looked == NULL && (unanswered || blob->request_count == 0 || blob->is_turn);
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
	struct wanted_blob *done_blobs[64];
	size_t done_count = 0;
	const uint8_t *key;
	void *found_blob;

	blob_tell_failures(fetch);
	for (size_t at = 0; map_next(&fetch->wanted, &at, &key, &found_blob);) {
		struct wanted_blob *blob = found_blob;

		if (!blob_is_open(blob, now) || now < blob->not_before)
			continue;
		if (now - blob->since <= BLOB_LIFE_MS &&
			chain_blob_size(fetch->peers->chain, blob->root) != blob->size && blob_ask_next(blob, now))
			continue;
		if (done_count < sizeof done_blobs / sizeof done_blobs[0])
			done_blobs[done_count++] = blob;
	}
	for (size_t i = 0; i < done_count; i++)
		blob_forget(done_blobs[i]);
}
