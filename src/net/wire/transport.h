/* Messages over one TCP connection: bytes in, whole messages out, and back.
 *
 * Here live the bufferevent, the framing (message.h), the counters, and the bounds on what a stranger can make us hold.
 * Nothing of handshakes, peers or chains does: who owns a transport says which kinds of messages he takes, and is told
 * of each whole one. What is sent between two ends in clear today may be sent otherwise tomorrow; above this nobody
 * would notice.
 *
 * Bounds. A payload longer than its kind allows ends the connection as soon as its header is read. One of a kind that
 * is not taken is thrown away as it comes in. So what is held of a connection is one message that its owner wants,
 * and of what is to be sent TRANSPORT_BACKLOG_MAX bytes.
 *
 * A transport ends in two strokes: transport_close, which may come from within a hook, and from which on no hook is
 * called; and transport_free, which may not. */
#ifndef ATELIER_NET_WIRE_TRANSPORT_H
#define ATELIER_NET_WIRE_TRANSPORT_H

#include <event2/event.h>

#include "net/wire/message.h"
#include "net/wire/netaddr.h"

enum {
	TRANSPORT_BACKLOG_MAX = MESSAGE_MAX + (8 << 20), /* bytes waiting to be sent; more: nobody reads them */
	TRANSPORT_CHATTER_MAX = 1 << 20,                 /* of it, but for what is sent in turns */
	TRANSPORT_DRAINED = 256 << 10,                   /* bytes waiting under which the next turn may come */
	TRANSPORT_PROGRESS = 128 << 10, /* bytes of a long payload that count as a sign of life: 64 KB a second */
};

struct transport;

/* The payload of a message is borrowed for the time of the call. */
struct transport_hooks {
	void (*connected)(void *context); /* of transport_connect; an accepted one is from the start */
	void (*message)(void *context, const struct message_header *header, const uint8_t *payload);
	void (*skipped)(void *context, const struct message_header *header); /* of a kind that is not taken */
	void (*drained)(void *context);                /* less than TRANSPORT_DRAINED is left to be sent */
	void (*ended)(void *context, const char *why); /* lost, or broken: it is closed */
};

struct transport_setup {
	struct event_base *base;
	const struct message_limits *limits; /* outlives it, as do the hooks */
	const struct transport_hooks *hooks;
	void *context;
	int64_t write_ms; /* so long the other end may take nothing of what waits */
};

/* `fd` is a connected socket, which it then owns, or -1: for transport_connect. NULL if that cannot be. At first it
 * takes no kind of message. */
struct transport *transport_new(const struct transport_setup *setup, int fd);
/* Whether that fails is told by a hook, perhaps before this returns. */
void transport_connect(struct transport *transport, const struct netaddr *to);
void transport_close(struct transport *transport);
void transport_free(struct transport *transport);

bool transport_connected(const struct transport *transport);                  /* TCP is or was there */
bool transport_local(const struct transport *transport, struct netaddr *end); /* our end; false: there is none */

/* From the next header on. */
void transport_accept(struct transport *transport, enum message_kind kind, bool accept);

/* Takes the payload's contents and leaves it empty; dropped if nothing is connected. `in_turn`: the caller sends such
 * only while less than TRANSPORT_DRAINED waits. False: more waits now than may; the other end does not read. */
bool transport_send(struct transport *transport, enum message_kind kind, struct buf *payload, bool in_turn);
size_t transport_backlog(const struct transport *transport); /* bytes that wait to be sent */

/* To be called every now and then; and when (clock_mono_ms) such a call last saw a long payload TRANSPORT_PROGRESS
 * bytes longer, 0: never. */
void transport_look(struct transport *transport, int64_t now);
int64_t transport_progress(const struct transport *transport);

struct transport_counts {
	uint64_t bytes_sent, bytes_received, messages_sent, messages_received;
	int64_t last_sent, last_received; /* clock_wall; 0: never */
};
const struct transport_counts *transport_counts(const struct transport *transport);

#endif
