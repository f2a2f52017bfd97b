/* Framing over a bufferevent.
 *
 * Reading is driven by the low watermark: a header's length, then its payload's, so that libevent calls when the next
 * thing is whole. The high watermark follows: no more than TRANSPORT_READ_CHUNK is read ahead of what is needed. */
#include "net/wire/transport.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/mem.h"

enum {
	TRANSPORT_READ_CHUNK = 64 << 10, /* bytes held before a message's length is known */
	TRANSPORT_COPIED_MAX = 4 << 10,  /* payloads up to here are copied to be sent, longer ones lent */
};

struct transport {
	struct bufferevent *wire;
	const struct message_limits *limits;
	const struct transport_hooks *hooks;
	void *context;
	bool connected, closed;
	uint32_t accepted; /* kinds, a bit each */

	bool have_header; /* `header` is read, its payload is coming */
	struct message_header header;
	size_t skip;    /* bytes of payload still to be thrown away */
	size_t chatter; /* bytes sent, but for what is sent in turns, since little was left to be sent */

	size_t counted;   /* bytes of the payload that were there when `progress` was set */
	int64_t progress; /* see transport_progress */
	struct transport_counts counts;
};

/* --- Ending --- */

/* It may be called from within one of its own callbacks: nothing is freed, and no further one comes. */
void transport_close(struct transport *transport)
{
	transport->closed = true;
	bufferevent_disable(transport->wire, EV_READ | EV_WRITE);
	bufferevent_setcb(transport->wire, NULL, NULL, NULL, NULL);
}

void transport_free(struct transport *transport)
{
	bufferevent_free(transport->wire);
	free(transport);
}

static void transport_end(struct transport *transport, const char *why)
{
	transport_close(transport);
	transport->hooks->ended(transport->context, why);
}

/* --- Sending --- */

size_t transport_backlog(const struct transport *transport)
{
	return evbuffer_get_length(bufferevent_get_output(transport->wire));
}

static void transport_free_payload(const void *data, size_t size, void *extra)
{
	(void)data;
	(void)size;
	free(extra);
}

/* Two bounds, because there are two ways not to read. What is sent in turns stops by itself while much waits, so only a
 * single huge message can bring it near the first bound. All else is written at once however little is read: answers
 * to pings, announcements, requests; who makes us write those and takes none is found by the second. */
bool transport_send(struct transport *transport, enum message_kind kind, struct buf *payload, bool in_turn)
{
	struct evbuffer *to_send = bufferevent_get_output(transport->wire);
	uint8_t header[MESSAGE_HEADER_SIZE];
	size_t size = payload->size;

	if (transport->closed || !transport->connected) {
		buf_clear(payload);
		return true;
	}
	message_header_write(header, transport->limits->magic, kind, payload->data, size);
	evbuffer_add(to_send, header, sizeof header);
	if (size > TRANSPORT_COPIED_MAX) {
		evbuffer_add_reference(to_send, payload->data, size, transport_free_payload, payload->data);
		buf_init(payload);
	} else {
		evbuffer_add(to_send, payload->data, size);
		buf_clear(payload);
	}
	transport->counts.messages_sent++;
	transport->counts.bytes_sent += sizeof header + size;
	transport->counts.last_sent = clock_wall();
	transport->chatter += in_turn ? 0 : sizeof header + size;
	return transport_backlog(transport) <= TRANSPORT_BACKLOG_MAX && transport->chatter <= TRANSPORT_CHATTER_MAX;
}

static void transport_on_write(struct bufferevent *wire, void *context)
{
	struct transport *transport = context;

	(void)wire;
	transport->chatter = 0;
	transport->hooks->drained(transport->context);
}

/* --- Receiving --- */

void transport_accept(struct transport *transport, enum message_kind kind, bool accept)
{
	if (accept)
		transport->accepted |= UINT32_C(1) << kind;
	else
		transport->accepted &= ~(UINT32_C(1) << kind);
}

/* A kind that is not accepted now is not held, whatever its length: its payload is thrown away as it comes. */
static void transport_read_header(struct transport *transport, struct evbuffer *received)
{
	uint8_t bytes[MESSAGE_HEADER_SIZE];
	const char *wrong;

	evbuffer_remove(received, bytes, sizeof bytes);
	wrong = message_header_read(&transport->header, bytes, transport->limits);
	if (wrong != NULL) {
		transport_end(transport, wrong);
		return;
	}
	transport->counts.messages_received++;
	if (transport->accepted & UINT32_C(1) << transport->header.kind) {
		transport->have_header = true;
		transport->counted = 0;
		return;
	}
	transport->skip = transport->header.size;
	transport->hooks->skipped(transport->context, &transport->header);
}

static void transport_read_payload(struct transport *transport, struct evbuffer *received)
{
	const struct message_header *header = &transport->header;
	const uint8_t *payload = evbuffer_pullup(received, (ev_ssize_t)header->size);
	char why[64];

	transport->have_header = false;
	if (message_checksum_ok(header, payload)) {
		transport->hooks->message(transport->context, header, payload);
	} else {
		snprintf(why, sizeof why, "wrong checksum of a %s message", header->command);
		transport_end(transport, why);
	}
	evbuffer_drain(received, header->size);
}

/* One step forward: false if more bytes are needed. */
static bool transport_read_step(struct transport *transport, struct evbuffer *received)
{
	size_t held_bytes = evbuffer_get_length(received);

	if (transport->skip) {
		size_t part = transport->skip < held_bytes ? transport->skip : held_bytes;

		evbuffer_drain(received, part);
		transport->skip -= part;
		return part > 0;
	}
	if (held_bytes < (transport->have_header ? transport->header.size : MESSAGE_HEADER_SIZE))
		return false;
	if (transport->have_header)
		transport_read_payload(transport, received);
	else
		transport_read_header(transport, received);
	return true;
}

/* Everything that is whole is taken, as libevent calls again only when new bytes come. A watermark of 1 while bytes are
 * skipped: they are thrown away as they come, and never add up. */
static void transport_on_read(struct bufferevent *wire, void *context)
{
	struct transport *transport = context;
	struct evbuffer *received = bufferevent_get_input(wire);
	size_t held_bytes = evbuffer_get_length(received), need = 1;

	transport->counts.last_received = clock_wall();
	while (!transport->closed && transport_read_step(transport, received))
		;
	transport->counts.bytes_received += held_bytes - evbuffer_get_length(received);
	if (transport->closed)
		return;
	if (transport->have_header)
		need = transport->header.size;
	else if (!transport->skip)
		need = MESSAGE_HEADER_SIZE;
	bufferevent_setwatermark(wire, EV_READ, need, need > TRANSPORT_READ_CHUNK ? need : TRANSPORT_READ_CHUNK);
}

/* transport_on_read is called only when a payload is whole, so a long one's progress is looked up from outside. */
void transport_look(struct transport *transport, int64_t now)
{
	size_t held_bytes = evbuffer_get_length(bufferevent_get_input(transport->wire));

	if (!transport->have_header || held_bytes < transport->counted + TRANSPORT_PROGRESS)
		return;
	transport->counted = held_bytes;
	transport->progress = now;
}

int64_t transport_progress(const struct transport *transport)
{
	return transport->progress;
}

/* --- Connecting --- */

/* Most messages are short, and somebody waits for each: they are not held back for more to come. */
static void transport_note_connected(struct transport *transport)
{
	int option_on = 1;

	transport->connected = true;
	setsockopt(bufferevent_getfd(transport->wire), IPPROTO_TCP, TCP_NODELAY, &option_on, sizeof option_on);
}

static void transport_on_event(struct bufferevent *wire, short what, void *context)
{
	struct transport *transport = context;

	(void)wire;
	if (what & BEV_EVENT_CONNECTED) {
		transport_note_connected(transport);
		transport->hooks->connected(transport->context);
	} else if (what & BEV_EVENT_EOF) {
		transport_end(transport, "closed by the other side");
	} else if (what & BEV_EVENT_TIMEOUT) {
		transport_end(transport, "it takes nothing any more");
	} else {
		transport_end(transport, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	}
}

struct transport *transport_new(const struct transport_setup *setup, int fd)
{
	struct bufferevent *wire = bufferevent_socket_new(setup->base, fd, BEV_OPT_CLOSE_ON_FREE);
	struct timeval write_limit = { .tv_sec = setup->write_ms / 1000, .tv_usec = setup->write_ms % 1000 * 1000 };
	struct transport *transport;

	if (wire == NULL)
		return NULL;
	transport = mem_calloc(1, sizeof *transport);
	transport->wire = wire;
	transport->limits = setup->limits;
	transport->hooks = setup->hooks;
	transport->context = setup->context;
	bufferevent_setcb(wire, transport_on_read, transport_on_write, transport_on_event, transport);
	bufferevent_setwatermark(wire, EV_READ, MESSAGE_HEADER_SIZE, TRANSPORT_READ_CHUNK);
	bufferevent_setwatermark(wire, EV_WRITE, TRANSPORT_DRAINED, 0);
	bufferevent_set_timeouts(wire, NULL, &write_limit);
	bufferevent_enable(wire, EV_READ | EV_WRITE);
	if (fd >= 0)
		transport_note_connected(transport);
	return transport;
}

void transport_connect(struct transport *transport, const struct netaddr *to)
{
	struct sockaddr_storage to_address;
	socklen_t address_size = netaddr_to_sockaddr(to, &to_address);

	/* A failure comes back through transport_on_event, or is noted here; whichever comes second finds it closed. */
	if (bufferevent_socket_connect(transport->wire, (struct sockaddr *)&to_address, (int)address_size) != 0 &&
		!transport->closed)
		transport_end(transport, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

bool transport_connected(const struct transport *transport)
{
	return transport->connected;
}

bool transport_local(const struct transport *transport, struct netaddr *end)
{
	struct sockaddr_storage storage;
	socklen_t size = sizeof storage;

	return getsockname(bufferevent_getfd(transport->wire), (struct sockaddr *)&storage, &size) == 0 &&
		netaddr_from_sockaddr(end, (struct sockaddr *)&storage);
}

const struct transport_counts *transport_counts(const struct transport *transport)
{
	return &transport->counts;
}
