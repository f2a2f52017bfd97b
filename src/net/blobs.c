#include "net/blobs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum {
	IDLE_MS = 600000,          /* a peer that let a request run out is left alone that long */
	WANTED_MAX = 16384,        /* more than the smallest blobs of one block's budget */
	FIRST_PAUSE_MS = 2000,     /* after all peers were asked in vain; doubles */
	LAST_PAUSE_MS = 60000,
	SLOWEST = 64,              /* bytes a millisecond that a sender must reach, beyond the fixed time */
	LIFE_MS = 86400000,
};

struct wanted {
	uint64_t size, source;
	struct peer *asked;        /* NULL: of nobody now */
	uint64_t next_peer;        /* the least id to ask in this round; 0: a new round, which the source opens */
	int64_t start_by, deadline; /* of the request that is out: when a blob must be coming in, and when it must be here */
	int64_t not_before, pause; /* next round */
	int64_t since;
};

struct blobs {
	struct peers *peers;
	struct map wanted;         /* root -> struct wanted, owned */
};

struct blobs *blobs_new(struct peers *peers)
{
	struct blobs *blobs = mem_calloc(1, sizeof *blobs);

	blobs->peers = peers;
	map_init(&blobs->wanted);
	return blobs;
}

void blobs_free(struct blobs *blobs)
{
	const uint8_t *root;
	void *wanted;

	for (size_t at = 0; map_next(&blobs->wanted, &at, &root, &wanted);)
		free(wanted);
	map_clear(&blobs->wanted);
	free(blobs);
}

void blobs_wanted(struct blobs *blobs, const uint8_t root[32], uint64_t size, uint64_t source)
{
	struct wanted *wanted = map_get(&blobs->wanted, root);

	if (!wanted) {
		if (blobs->wanted.count >= WANTED_MAX)
			return;
		wanted = mem_calloc(1, sizeof *wanted);
		wanted->pause = FIRST_PAUSE_MS;
		map_put(&blobs->wanted, root, wanted);
	}
	wanted->size = size;
	wanted->source = source;
	wanted->since = clock_mono_ms();
	peers_work(blobs->peers);
}

void blobs_offered(struct blobs *blobs, const struct peer *peer, const uint8_t root[32])
{
	struct wanted *wanted = map_get(&blobs->wanted, root);

	if (!wanted || wanted->source == peer->id)
		return;
	wanted->source = peer->id;
	wanted->next_peer = 0;
	wanted->not_before = 0;
	peers_work(blobs->peers);
}

static void request_ended(struct wanted *wanted)
{
	wanted->asked->blobs.asked--;
	wanted->asked = NULL;
}

static void forget(struct blobs *blobs, const uint8_t root[32])
{
	struct wanted *wanted = map_remove(&blobs->wanted, root);

	if (wanted && wanted->asked)
		request_ended(wanted);
	free(wanted);
}

void blobs_peer_gone(struct blobs *blobs, struct peer *peer)
{
	const uint8_t *root;
	void *value;

	for (size_t at = 0; map_next(&blobs->wanted, &at, &root, &value);) {
		struct wanted *wanted = value;

		if (wanted->asked == peer)
			request_ended(wanted);
	}
	peers_work(blobs->peers);
}

void blobs_on_notfound(struct blobs *blobs, struct peer *peer, const uint8_t root[32])
{
	struct wanted *wanted = map_get(&blobs->wanted, root);

	if (!wanted || wanted->asked != peer)
		return;
	request_ended(wanted);
	peer->blobs.credit--;
	peers_work(blobs->peers);
}

/* True if the blob need not be asked for any more. */
static bool store(struct blobs *blobs, struct peer *peer, const uint8_t root[32], const uint8_t *bytes, size_t count)
{
	struct reject reject = { .reason = "" };
	char hex[65];

	hex_encode(hex, root, 32);
	switch (chain_add_blob(blobs->peers->chain, root, bytes, count, false, &reject)) {
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

void blobs_on_blob(struct blobs *blobs, struct peer *peer, const uint8_t *payload, size_t size)
{
	const uint8_t *root, *bytes;
	struct wanted *wanted;
	size_t count;

	if (!message_read_blob(&root, &bytes, &count, payload, size)) {
		peer_disconnect(peer, "malformed blob message");
		return;
	}
	peer->blobs.credit--;
	wanted = map_get(&blobs->wanted, root);
	if (!wanted)
		return;
	if (wanted->asked == peer)
		request_ended(wanted);
	if (store(blobs, peer, root, bytes, count))
		forget(blobs, root);
	peers_work(blobs->peers);
}

static bool may_ask(const struct peer *peer)
{
	return peer->blobs.asked < PEER_BLOBS_MAX;
}

/* The source first, then everybody else in order of their ids; who is busy is waited for if nobody else is left. */
static struct peer *next_to_ask(struct blobs *blobs, struct wanted *wanted, int64_t now)
{
	struct peer *source = peers_find(blobs->peers, wanted->source);
	bool busy = false;

	if (wanted->next_peer == 0 && source && source->ready && now >= source->blobs.idle_until) {
		if (!may_ask(source))
			return NULL;
		wanted->next_peer = 1;
		return source;
	}
	for (struct peer *p = blobs->peers->first; p; p = p->next) {
		if (p->id < wanted->next_peer || p->id == wanted->source || !peer_usable(p) || now < p->blobs.idle_until)
			continue;
		if (may_ask(p)) {
			wanted->next_peer = p->id + 1;
			return p;
		}
		busy = true;
	}
	if (busy)
		return NULL;
	wanted->next_peer = 0;
	wanted->not_before = now + wanted->pause;
	wanted->pause = wanted->pause * 2 < LAST_PAUSE_MS ? wanted->pause * 2 : LAST_PAUSE_MS;
	return NULL;
}

static void ask(struct blobs *blobs, const uint8_t root[32], struct wanted *wanted, int64_t now)
{
	struct peer *peer = next_to_ask(blobs, wanted, now);
	struct inventory_item item = { .type = INVENTORY_BLOB };
	struct buf payload;

	if (!peer)
		return;
	memcpy(item.id, root, 32);
	wanted->asked = peer;
	wanted->start_by = now + blobs->peers->timeouts.blob_start;
	wanted->deadline = now + blobs->peers->timeouts.blob + (int64_t)(wanted->size / SLOWEST);
	peer->blobs.asked++;
	peer->blobs.credit++;
	buf_init(&payload);
	message_write_inventory(&payload, &item, 1);
	peer_send(peer, MESSAGE_GETDATA, &payload);
}

/* A peer that sends another blob first, or a long one, is at work. */
static bool has_run_out(const struct wanted *wanted, int64_t now)
{
	const struct peer *peer = wanted->asked;
	bool sending = peer->have_header && peer->header.kind == MESSAGE_BLOB;

	return now > wanted->deadline || (now > wanted->start_by && !sending);
}

void blobs_work(struct blobs *blobs, int64_t now)
{
	uint8_t done[64][32];
	size_t done_count = 0;
	const uint8_t *root;
	void *value;

	for (size_t at = 0; map_next(&blobs->wanted, &at, &root, &value);) {
		struct wanted *wanted = value;

		if (wanted->asked && has_run_out(wanted, now)) {
			log_info("peer=%" PRIu64 " did not deliver a blob in time", wanted->asked->id);
			wanted->asked->blobs.idle_until = now + IDLE_MS;
			request_ended(wanted);
		}
		if (wanted->asked || now < wanted->not_before)
			continue;
		if (now - wanted->since > LIFE_MS || chain_has_blob(blobs->peers->chain, root)) {
			if (done_count < sizeof done / sizeof done[0])
				memcpy(done[done_count++], root, 32);
			continue;
		}
		ask(blobs, root, wanted, now);
	}
	for (size_t i = 0; i < done_count; i++)
		forget(blobs, done[i]);
}
