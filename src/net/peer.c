#include "net/peer.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/util.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"

enum {
	READ_CHUNK = 64 << 10, /* bytes held before a message's length is known */
	DRAINED = 256 << 10,   /* backlog under which more may be served */
	SMALL = 4 << 10,       /* payloads up to here are copied into the send buffer */
};

/* Who comes to us may do so as often as he likes: that fills no log. */
static void note(const struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const struct peer *peer, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (peer_outbound(peer))
		log_info("peer=%" PRIu64 " %s %s", peer->id, peer->name, text);
	else
		log_debug(LOG_NET, "peer=%" PRIu64 " %s %s", peer->id, peer->name, text);
}

/* Ending. */

static void close_wire(struct peer *peer)
{
	peer->closing = true;
	bufferevent_disable(peer->wire, EV_READ | EV_WRITE);
	bufferevent_setcb(peer->wire, NULL, NULL, NULL, NULL);
	peers_work(peer->set);
}

void peer_disconnect(struct peer *peer, const char *format, ...)
{
	char why[512];
	va_list args;

	if (peer->closing)
		return;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	note(peer, "disconnected: %s", why);
	close_wire(peer);
}

static void punish(struct peers *peers, const struct source *source, const char *why)
{
	struct peer *peer = peers_find(peers, source->peer);

	if (peer != NULL) {
		log_warn("peer=%" PRIu64 " %s misbehaved and is dropped: %s", peer->id, peer->name, why);
		peer->punished = true;
		close_wire(peer);
	} else {
		log_warn("peer=%" PRIu64 " misbehaved and has left: %s", source->peer, why);
	}
	peers->hooks.misbehaved(peers->hooks.context, source);
}

void peer_punish(struct peer *peer, const char *format, ...)
{
	char why[512];
	va_list args;

	if (peer->closing)
		return;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	punish(peer->set, &peer->source, why);
}

void peers_punish(struct peers *peers, const struct source *source, const char *format, ...)
{
	char why[512];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	punish(peers, source, why);
}

/* Sending. */

size_t peer_backlog(const struct peer *peer)
{
	return evbuffer_get_length(bufferevent_get_output(peer->wire));
}

static void release(const void *data, size_t size, void *extra)
{
	(void)data;
	(void)size;
	free(extra);
}

/* Answers that serve.c holds back while much waits to be sent. All others are written at once, however little
 * is read. */
static bool is_served(enum message_kind kind)
{
	return kind == MESSAGE_BLOCK || kind == MESSAGE_BLOB || kind == MESSAGE_TX || kind == MESSAGE_HEADERS ||
		kind == MESSAGE_NOTFOUND;
}

void peer_send(struct peer *peer, enum message_kind kind, struct buf *payload)
{
	struct evbuffer *out = bufferevent_get_output(peer->wire);
	uint8_t header[MESSAGE_HEADER_SIZE];
	size_t size = payload->size;

	if (peer->closing || !peer->connected) {
		buf_clear(payload);
		return;
	}
	message_header_write(header, peer->set->limits.magic, kind, payload->data, size);
	evbuffer_add(out, header, sizeof header);
	if (size > SMALL) {
		evbuffer_add_reference(out, payload->data, size, release, payload->data);
		buf_init(payload);
	} else {
		evbuffer_add(out, payload->data, size);
		buf_clear(payload);
	}
	peer->messages_sent++;
	peer->bytes_sent += sizeof header + size;
	peer->last_sent = clock_wall();
	log_debug(LOG_NET, "peer=%" PRIu64 " sent %s, %zu bytes", peer->id, message_command(kind), size);
	peer->chatter += is_served(kind) ? 0 : sizeof header + size;
	if (peer_backlog(peer) > PEER_BACKLOG_MAX || peer->chatter > PEER_CHATTER_MAX)
		peer_disconnect(peer, "it does not read what it asked for");
}

void peer_send_empty(struct peer *peer, enum message_kind kind)
{
	struct buf empty;

	buf_init(&empty);
	peer_send(peer, kind, &empty);
}

static void send_version(struct peer *peer)
{
	struct message_version version = {
		.version = MESSAGE_PROTOCOL,
		.services = 1,
		.time = clock_wall(),
		.nonce = peer->nonce,
		.height = chain_tip(peer->set->chain)->height,
		.relay = true,
	};
	struct buf payload;

	memcpy(version.agent, peer->set->agent, sizeof version.agent);
	buf_init(&payload);
	message_write_version(&payload, &version);
	peer_send(peer, MESSAGE_VERSION, &payload);
	peer->version_sent = true;
}

void peer_ping(struct peer *peer)
{
	struct buf payload;

	do
		peer->ping_nonce = random_u64();
	while (peer->ping_nonce == 0);
	peer->ping_sent = clock_mono_ms();
	buf_init(&payload);
	message_write_nonce(&payload, peer->ping_nonce);
	peer_send(peer, MESSAGE_PING, &payload);
}

/* The handshake, and the messages that are about the connection itself. */

static bool own_nonce(const struct peers *peers, uint64_t nonce)
{
	for (const struct peer *p = peers->first; p; p = p->next)
		if (peer_outbound(p) && p->nonce == nonce)
			return true;
	return false;
}

static void on_version(struct peer *peer, const uint8_t *payload, size_t size)
{
	if (peer->version_known)
		return;
	if (!message_read_version(&peer->version, payload, size)) {
		peer_disconnect(peer, "malformed version message");
		return;
	}
	if (!peer_outbound(peer) && own_nonce(peer->set, peer->version.nonce)) {
		peer_disconnect(peer, "connected to ourselves");
		return;
	}
	if (peer->version.version < MESSAGE_PROTOCOL) {
		peer_disconnect(peer, "protocol version %" PRIu32 " is too old", peer->version.version);
		return;
	}
	peer->version_known = true;
	peer->time_offset = (int64_t)((uint64_t)peer->version.time - (uint64_t)clock_wall());
	if (!peer->version_sent)
		send_version(peer);
	peer_send_empty(peer, MESSAGE_VERACK);
}

static void on_verack(struct peer *peer)
{
	if (!peer->version_known || !peer->version_sent) {
		peer_disconnect(peer, "verack before version");
		return;
	}
	if (peer->ready)
		return;
	peer->ready = true;
	note(peer, "connected (%s): version %" PRIu32 ", %s, height %" PRIu32,
		peer_outbound(peer) ? "outbound" : "inbound", peer->version.version, peer->version.agent,
		peer->version.height);
	peer_ping(peer);
	peer->set->hooks.ready(peer->set->hooks.context, peer);
}

static void on_ping(struct peer *peer, enum message_kind kind, const uint8_t *payload, size_t size)
{
	struct buf answer;
	uint64_t nonce;

	if (!message_read_nonce(&nonce, payload, size)) {
		peer_disconnect(peer, "malformed %s message", message_command(kind));
		return;
	}
	if (kind == MESSAGE_PING) {
		buf_init(&answer);
		message_write_nonce(&answer, nonce);
		peer_send(peer, MESSAGE_PONG, &answer);
	} else if (nonce == peer->ping_nonce && nonce != 0) {
		peer->ping_nonce = 0;
		peer->ping_ms = clock_mono_ms() - peer->ping_sent;
		if (peer->ping_min_ms < 0 || peer->ping_ms < peer->ping_min_ms)
			peer->ping_min_ms = peer->ping_ms;
	}
}

static void dispatch(struct peer *peer, const uint8_t *payload)
{
	enum message_kind kind = peer->header.kind;
	size_t size = peer->header.size;

	log_debug(LOG_NET, "peer=%" PRIu64 " received %s, %zu bytes", peer->id, peer->header.command, size);
	if (kind == MESSAGE_VERSION)
		on_version(peer, payload, size);
	else if (kind == MESSAGE_VERACK)
		on_verack(peer);
	else if (!peer->ready)
		log_debug(LOG_NET, "peer=%" PRIu64 " %s before the handshake is ignored", peer->id,
			peer->header.command);
	else if (kind == MESSAGE_PING || kind == MESSAGE_PONG)
		on_ping(peer, kind, payload, size);
	else
		peer->set->hooks.message(peer->set->hooks.context, peer, kind, payload, size);
}

/* Reading. */

/* Payloads that would be ignored anyway are not held. */
static bool is_skipped(const struct peer *peer)
{
	switch (peer->header.kind) {
	case MESSAGE_VERSION:
	case MESSAGE_VERACK:
		return false;
	case MESSAGE_UNKNOWN:
		return true;
	case MESSAGE_BLOB:
		return !peer->ready || peer->blobs.credit == 0;
	case MESSAGE_PING:
	case MESSAGE_PONG:
	case MESSAGE_INV:
	case MESSAGE_GETDATA:
	case MESSAGE_NOTFOUND:
	case MESSAGE_GETHEADERS:
	case MESSAGE_HEADERS:
	case MESSAGE_SENDHEADERS:
	case MESSAGE_BLOCK:
	case MESSAGE_TX:
	case MESSAGE_PROOF:
		return !peer->ready;
	}
	return true;
}

static void read_header(struct peer *peer, struct evbuffer *in)
{
	uint8_t bytes[MESSAGE_HEADER_SIZE];
	const char *wrong;

	evbuffer_remove(in, bytes, sizeof bytes);
	wrong = message_header_read(&peer->header, bytes, &peer->set->limits);
	if (wrong != NULL) {
		peer_disconnect(peer, "%s", wrong);
		return;
	}
	peer->messages_received++;
	if (!is_skipped(peer)) {
		peer->have_header = true;
		peer->counted = 0;
		return;
	}
	log_debug(LOG_NET, "peer=%" PRIu64 " %s, %" PRIu32 " bytes, is skipped", peer->id, peer->header.command,
		peer->header.size);
	peer->skip = peer->header.size;
}

/* One step forward: false if more bytes are needed. */
static bool read_step(struct peer *peer, struct evbuffer *in)
{
	size_t held = evbuffer_get_length(in);

	if (peer->skip) {
		size_t part = peer->skip < held ? peer->skip : held;

		evbuffer_drain(in, part);
		peer->skip -= part;
		return part > 0;
	}
	if (!peer->have_header) {
		if (held < MESSAGE_HEADER_SIZE)
			return false;
		read_header(peer, in);
		return true;
	}
	if (held < peer->header.size)
		return false;

	uint8_t *payload = evbuffer_pullup(in, (ev_ssize_t)peer->header.size);

	peer->have_header = false;
	if (!message_checksum_ok(&peer->header, payload))
		peer_disconnect(peer, "wrong checksum of a %s message", peer->header.command);
	else
		dispatch(peer, payload);
	evbuffer_drain(in, peer->header.size);
	return true;
}

static void on_read(struct bufferevent *wire, void *context)
{
	struct peer *peer = context;
	struct evbuffer *in = bufferevent_get_input(wire);
	size_t held = evbuffer_get_length(in), need = 1;

	peer->last_received = clock_wall();
	while (!peer->closing && read_step(peer, in))
		;
	peer->bytes_received += held - evbuffer_get_length(in);
	if (peer->closing)
		return;
	if (peer->have_header)
		need = peer->header.size;
	else if (!peer->skip)
		need = MESSAGE_HEADER_SIZE;
	bufferevent_setwatermark(wire, EV_READ, need, need > READ_CHUNK ? need : READ_CHUNK);
}

static void on_write(struct bufferevent *wire, void *context)
{
	struct peer *peer = context;

	(void)wire;
	peer->chatter = 0;
	if (peer_usable(peer))
		peer->set->hooks.drained(peer->set->hooks.context, peer);
}

static void note_local_end(struct peer *peer)
{
	struct sockaddr_storage end;
	socklen_t size = sizeof end;
	struct netaddr address;

	if (getsockname(bufferevent_getfd(peer->wire), (struct sockaddr *)&end, &size) == 0 &&
		netaddr_from_sockaddr(&address, (struct sockaddr *)&end))
		netaddr_format(&address, peer->local);
}

static void on_connected(struct peer *peer)
{
	int one = 1;

	peer->connected = true;
	peer->connected_at = clock_wall();
	setsockopt(bufferevent_getfd(peer->wire), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	note_local_end(peer);
	if (peer_outbound(peer))
		send_version(peer);
}

static void on_event(struct bufferevent *wire, short what, void *context)
{
	struct peer *peer = context;

	(void)wire;
	if (what & BEV_EVENT_CONNECTED)
		on_connected(peer);
	else if (what & BEV_EVENT_EOF)
		peer_disconnect(peer, "closed by the other side");
	else if (what & BEV_EVENT_TIMEOUT)
		peer_disconnect(peer, "it takes nothing any more");
	else
		peer_disconnect(peer, "%s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

/* Birth and death. */

/* Who connected to us is one of his address; whom the operator named stands for himself, whatever else is there (under
 * a multicast address, from where nobody connects). */
static void name_source(struct peer *peer)
{
	peer->source = (struct source){ .peer = peer->id, .chosen = peer_outbound(peer) };
	if (!peer_outbound(peer)) {
		netaddr_group(&peer->address, peer->source.group);
		return;
	}
	peer->source.group[0] = 0xff;
	write_le64(peer->source.group + 8, peer->id);
}

static struct peer *insert(struct peers *peers)
{
	struct peer *peer = mem_calloc(1, sizeof *peer), **at = &peers->first;

	while (*at)
		at = &(*at)->next;
	*at = peer;
	peer->set = peers;
	peer->id = ++peers->next_id;
	return peer;
}

struct peer *peer_new(struct peers *peers, enum peer_kind kind, const struct netaddr *address, const char *name, int fd)
{
	struct bufferevent *wire = bufferevent_socket_new(peers->base, fd, BEV_OPT_CLOSE_ON_FREE);
	struct timeval write_limit = { .tv_sec = peers->timeouts.write / 1000 };
	struct sockaddr_storage to;
	struct peer *peer;

	if (wire == NULL)
		return NULL;
	peer = insert(peers);
	peer->kind = kind;
	peer->address = *address;
	name_source(peer);
	if (name != NULL)
		snprintf(peer->name, sizeof peer->name, "%s", name);
	else
		netaddr_format(address, peer->name);
	peer->wire = wire;
	peer->nonce = random_u64();
	peer->started = clock_mono_ms();
	peer->ping_ms = peer->ping_min_ms = -1;
	known_init(&peer->relay.known, PEER_KNOWN_MAX);
	bufferevent_setcb(wire, on_read, on_write, on_event, peer);
	bufferevent_setwatermark(wire, EV_READ, MESSAGE_HEADER_SIZE, READ_CHUNK);
	bufferevent_setwatermark(wire, EV_WRITE, DRAINED, 0);
	bufferevent_set_timeouts(wire, NULL, &write_limit);
	bufferevent_enable(wire, EV_READ | EV_WRITE);
	if (fd >= 0) {
		on_connected(peer);
	} else {
		socklen_t size = netaddr_to_sockaddr(address, &to);

		/* A failure comes back through on_event, or is noted here, where `closing` makes it the same. */
		if (bufferevent_socket_connect(wire, (struct sockaddr *)&to, (int)size) != 0)
			peer_disconnect(peer, "%s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	}
	return peer;
}

/* on_read is called only when a payload is whole. */
static void note_progress(struct peer *peer, int64_t now)
{
	size_t held = evbuffer_get_length(bufferevent_get_input(peer->wire));

	if (!peer->have_header || held < peer->counted + PEER_PROGRESS)
		return;
	peer->counted = held;
	peer->progress = now;
}

bool peer_is_silent(const struct peer *peer, int64_t since, int64_t now)
{
	int64_t heard = since > peer->progress ? since : peer->progress;

	return now - heard > peer->set->timeouts.silence;
}

void peer_tick(struct peer *peer, int64_t now)
{
	const struct peer_timeouts *limit = &peer->set->timeouts;

	if (peer->closing)
		return;
	note_progress(peer, now);
	if (!peer->ready) {
		if (now - peer->started > limit->handshake)
			peer_disconnect(peer, "no handshake");
		return;
	}
	if (peer->ping_nonce && now - peer->ping_sent > limit->ping)
		peer_disconnect(peer, "no answer to a ping");
	else if (!peer->ping_nonce && now - peer->ping_sent > limit->ping_interval)
		peer_ping(peer);
}

struct peer *peers_find(const struct peers *peers, uint64_t id)
{
	for (struct peer *p = peers->first; p; p = p->next)
		if (p->id == id)
			return p->closing ? NULL : p;
	return NULL;
}

bool peers_have_group(const struct peers *peers, const struct source *source)
{
	for (const struct peer *p = peers->first; p; p = p->next)
		if (!p->closing && memcmp(p->source.group, source->group, SOURCE_GROUP) == 0)
			return true;
	return false;
}

void peers_work(struct peers *peers)
{
	event_active(peers->work, EV_TIMEOUT, 0);
}

static void peer_free(struct peer *peer)
{
	bufferevent_free(peer->wire);
	known_clear(&peer->relay.known);
	buf_clear(&peer->relay.announce);
	buf_clear(&peer->serve.missing);
	free(peer->serve.items);
	free(peer->sync.introduced);
	free(peer);
}

void peers_reap(struct peers *peers)
{
	for (struct peer **at = &peers->first; *at;) {
		struct peer *peer = *at;

		if (!peer->closing) {
			at = &peer->next;
			continue;
		}
		peers->hooks.closed(peers->hooks.context, peer);
		*at = peer->next;
		peers->bytes_sent += peer->bytes_sent;
		peers->bytes_received += peer->bytes_received;
		peer_free(peer);
	}
}
