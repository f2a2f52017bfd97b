/* One connection to another node, and the set of them.
 *
 * peer.c owns the connection's life: the version handshake, ping, timeouts, and its end. What the bytes are is
 * transport.h's; what the messages say about blocks, transactions and proofs goes to the hooks.
 *
 * Each part of the net that remembers something of a peer has a pointer in struct peer, to a struct that only its own
 * file knows: made by the `opened` hook, freed by `closed`. So whoever adds a part adds a line here, and reads no
 * other's. What several parts know of a peer stands in struct peer itself.
 *
 * A peer ends in two strokes, so that nobody holds a dead pointer: peer_disconnect closes the wire at once and marks
 * the peer; peers_reap, from the loop, calls the `closed` hook and frees it. Those who walk the set skip closing peers.
 *
 * The set (struct peers) is also what all of net/ shares: chain, limits, and the `work` event by which any part asks to
 * be run again from the loop. */
#ifndef ATELIER_NET_PEER_H
#define ATELIER_NET_PEER_H

#include <event2/event.h>

#include "chain/chain.h"
#include "net/door/evict.h"
#include "net/known.h"
#include "net/wire/message.h"
#include "net/wire/netaddr.h"
#include "net/wire/transport.h"

enum peer_kind {
	PEER_INBOUND,
	PEER_MANUAL, /* of -connect, -addnode or the RPC: made again when it ends */
	PEER_ONETRY,
};

enum { PEER_KNOWN_MAX = 4096 };

/* All in milliseconds. */
struct peer_timeouts {
	int64_t handshake, ping_interval, ping, headers, block, withheld, blob_start, blob, tx, write;
	int64_t silence; /* without an answer so long: a second peer is asked */
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
	struct transport *wire;

	bool version_sent, version_known, ready;
	bool closing, punished;
	struct message_version version; /* theirs, if version_known */
	uint64_t nonce;                 /* ours */
	int64_t time_offset;            /* their clock minus ours at the handshake, seconds */

	int64_t started;              /* clock_mono_ms */
	int64_t connected_at;         /* clock_wall */
	uint64_t ping_nonce;          /* 0: none is out */
	int64_t ping_sent;            /* clock_mono_ms, of the last one */
	int64_t ping_ms, ping_min_ms; /* -1: not measured yet */

	/* What several parts know of it. */
	struct known known; /* transactions and proofs it has, by wtxid and id */
	bool answers;       /* it sent what it was asked for, and was not silent since: is asked first */
	uint64_t proofs_valid, proofs_false; /* it sent, alone or in a block, and were executed */
	int64_t brought[EVICT_MERITS];       /* clock_mono_ms, of the last that was right and new; 0: none */

	/* What one part knows of it. */
	struct sync_headers_peer *headers;
	struct sync_blocks_peer *blocks;
	struct blob_fetch_peer *blobs;
	struct relay_blocks_peer *news;
	struct relay_tx_peer *txs;
	struct relay_proofs_peer *proofs;
	struct serve_peer *serve;
};

struct peer_hooks {
	void *context;
	void (*opened)(void *context, struct peer *peer); /* it is in the set, and not connected yet */
	void (*ready)(void *context, struct peer *peer);  /* the handshake is done */
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
/* The same for inv, getdata and notfound, of one item, or of those of a list (message_add_item), which it empties:
 * without items nothing is sent. */
void peer_send_item(struct peer *peer, enum message_kind kind, enum inventory_type type, const uint8_t id[32]);
void peer_send_items(struct peer *peer, enum message_kind kind, struct buf *items);
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
