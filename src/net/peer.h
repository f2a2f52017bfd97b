/* One connection to another node, and the set of them.
 *
 * peer.c owns the wire: the bufferevent, framing, the version handshake, ping, timeouts, counters, and the bound on
 * what waits to be sent. It knows nothing of chains: whole payloads go to the hooks. A payload larger than its kind
 * allows is never held; one that nobody may send now (before the handshake, of an unknown kind, a blob nobody asked
 * for) is skipped as it comes in.
 *
 * A peer ends in two strokes, so that nobody holds a dead pointer: peer_disconnect closes the wire at once and marks
 * the peer; peers_reap, from the loop, calls the `closed` hook and frees it. Those who walk the set skip closing peers.
 *
 * The set (struct peers) is also what all of net/ shares: chain, limits, and the `work` event by which any part asks to
 * be run again from the loop. */
#ifndef ATELIER_NET_PEER_H
#define ATELIER_NET_PEER_H

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "chain/chain.h"
#include "net/known.h"
#include "net/wire/message.h"
#include "net/wire/netaddr.h"

enum peer_kind {
	PEER_INBOUND,
	PEER_MANUAL, /* of -connect, -addnode or the RPC: made again when it ends */
	PEER_ONETRY,
};

enum {
	PEER_BLOCKS_MAX = 8, /* blocks asked for at a time */
	PEER_BLOBS_MAX = 2,
	PEER_PROOF_QUEUE = 32,     /* loose proofs waiting for their turn */
	PEER_ANNOUNCE_MAX = 5000,  /* transactions waiting to be announced */
	PEER_REQUESTS_MAX = 1000,  /* transactions it offers that are not here, asked of it or not */
	PEER_PROGRESS = 128 << 10, /* bytes of a long message that count as a sign of life: 64 KB a second */
	PEER_KNOWN_MAX = 4096,
	PEER_HEADERS_AHEAD = 2016,                  /* headers beyond the last verified block */
	PEER_BACKLOG_MAX = MESSAGE_MAX + (8 << 20), /* bytes waiting to be sent; more: the peer does not read */
	PEER_CHATTER_MAX = 1 << 20,                 /* of it, but for what serve.c sends by and by */
};

/* All in milliseconds. */
struct peer_timeouts {
	int64_t handshake, ping_interval, ping, headers, block, withheld, blob_start, blob, tx, write;
	int64_t silence; /* without an answer so long: a second peer is asked */
};

/* sync.c: what headers and blocks this peer has shown. Index entries live as long as the chain. */
struct peer_sync {
	const struct index_entry *best;      /* of most work among the headers it has sent; NULL: none yet */
	const struct index_entry *announced; /* the last header we sent it */
	bool wants_headers;                  /* sent sendheaders */
	bool headers_wanted;                 /* it has more than we took: ask again when we are nearer */
	int64_t headers_deadline;            /* of the getheaders that is out; 0: none is */
	struct block_request {
		const struct index_entry *entry;
		int64_t deadline;
		int64_t passed; /* when a block above it came before it; 0: none has */
	} blocks[PEER_BLOCKS_MAX];
	size_t block_count;
	int64_t heard;      /* when it sent one of them, or began to owe some */
	int64_t idle_until; /* no block requests before: it let one run out */
	unsigned stalls;
	const struct index_entry **introduced; /* owned: headers without a block that came from here first */
	size_t introduced_count, introduced_cap;
};

/* blobs.c */
struct peer_blobs {
	size_t asked;       /* requests that count now */
	size_t credit;      /* blobs that may still come, late ones included */
	int64_t heard;      /* when it answered one of the requests, or there began to be some */
	int64_t idle_until; /* no requests before: it let one run out */
};

/* relay.c */
struct peer_relay {
	struct known known;  /* transactions and proofs it has, by wtxid and id */
	struct buf announce; /* wtxids to announce, 32 bytes each */
	size_t requests;     /* offers of it that the request tracker holds */
	int64_t heard;       /* when it last answered a request for a transaction */
	bool silent;         /* it did not in time, and has answered none since */
	struct header proofs[PEER_PROOF_QUEUE];
	size_t proof_count; /* oldest first; the first is being executed if proof_deadline is set */
	int64_t proof_deadline;
	uint64_t changes_seen; /* relay.c counts what may make the chain take what it did not take before */
	uint64_t proofs_valid, proofs_false;
};

/* serve.c: what it asked for and has not been sent. */
struct peer_serve {
	struct inventory_item *items; /* owned */
	size_t first, count;
	struct buf missing; /* inventory for the next notfound */
	size_t missing_count;
	bool headers_asked;
	struct message_getheaders headers;
};

struct peers;

struct peer {
	struct peer *next;
	struct peers *set;
	uint64_t id;          /* 1, 2, ... */
	struct source source; /* what the chain knows it by */
	enum peer_kind kind;
	struct netaddr address;      /* theirs */
	char name[NETADDR_HOST + 8]; /* as configured, for MANUAL and ONETRY; else the address */
	char local[NETADDR_TEXT];    /* our end; "" while connecting */
	struct bufferevent *wire;

	bool connected; /* TCP is there */
	bool version_sent, version_known, ready;
	bool closing, punished;
	struct message_version version; /* theirs, if version_known */
	uint64_t nonce;                 /* ours */
	int64_t time_offset;            /* their clock minus ours at the handshake, seconds */

	bool have_header; /* `header` is read, its payload is coming */
	struct message_header header;
	size_t skip;      /* bytes of payload still to be thrown away */
	size_t chatter;   /* bytes sent, but for serve.c's, since little was left to be sent */
	size_t counted;   /* bytes of the payload that were there when `progress` was set */
	int64_t progress; /* clock_mono_ms when a payload had grown by PEER_PROGRESS (see peer_tick) */
	bool answers;     /* it sent what it was asked for, and was not silent since: is asked first */

	int64_t started;      /* clock_mono_ms */
	int64_t connected_at; /* clock_wall, like the next two */
	int64_t last_sent, last_received;
	uint64_t bytes_sent, bytes_received, messages_sent, messages_received;
	uint64_t ping_nonce;          /* 0: none is out */
	int64_t ping_sent;            /* clock_mono_ms, of the last one */
	int64_t ping_ms, ping_min_ms; /* -1: not measured yet */

	struct peer_sync sync;
	struct peer_blobs blobs;
	struct peer_relay relay;
	struct peer_serve serve;
};

struct peer_hooks {
	void *context;
	void (*ready)(void *context, struct peer *peer); /* the handshake is done */
	void (*message)(void *context, struct peer *peer, enum message_kind kind, const uint8_t *payload, size_t size);
	void (*drained)(void *context, struct peer *peer);              /* little is left to be sent */
	void (*closed)(void *context, struct peer *peer);               /* about to be freed */
	void (*misbehaved)(void *context, const struct source *source); /* perhaps gone by now */
};

struct peers {
	struct event_base *base;
	struct chain *chain;
	struct message_limits limits;
	struct peer_timeouts timeouts;
	struct peer_hooks hooks;
	char agent[MESSAGE_MAX_AGENT + 1];
	struct event *work; /* active: something changed; the facade runs the schedulers */
	struct peer *first; /* in order of connection */
	uint64_t next_id;
	uint64_t bytes_sent, bytes_received; /* of peers that are gone */
};

/* A new peer of the set. `fd` is a connected socket, or -1: it connects to its address. NULL if that cannot
 * even begin. */
struct peer *peer_new(struct peers *peers, enum peer_kind kind, const struct netaddr *address, const char *name,
	int fd);

/* Logs the reason, closes. Does nothing more to a peer that is closing already. */
void peer_disconnect(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for one that broke a rule no honest node breaks: its address is discouraged too. */
void peer_punish(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for who brought something some time ago, whether he is still there or not. */
void peers_punish(struct peers *peers, const struct source *source, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Sends a message; takes the payload's contents and leaves it empty. A peer that is closing gets nothing. */
void peer_send(struct peer *peer, enum message_kind kind, struct buf *payload);
void peer_send_empty(struct peer *peer, enum message_kind kind);
size_t peer_backlog(const struct peer *peer); /* bytes that wait to be sent */
void peer_ping(struct peer *peer);

/* Whether it has sent nothing, not even a part of a long message, for timeouts.silence since then. */
bool peer_is_silent(const struct peer *peer, int64_t since, int64_t now);

/* Handshake and ping timeouts, the next ping, and how far a long message has come. */
void peer_tick(struct peer *peer, int64_t now);

static inline bool peer_usable(const struct peer *peer)
{
	return peer->ready && !peer->closing;
}
static inline bool peer_outbound(const struct peer *peer)
{
	return peer->kind != PEER_INBOUND;
}

struct peer *peers_find(const struct peers *peers, uint64_t id);               /* NULL: gone, or closing */
bool peers_have_group(const struct peers *peers, const struct source *source); /* one that is not closing */
void peers_work(struct peers *peers);                                          /* run the schedulers soon */
void peers_reap(struct peers *peers);

#endif
