/* The life of a connection.
 *
 *   peer_new          in the set, `opened`; its wire takes version and verack alone
 *   peer_on_version   theirs is kept; whoever connected to us gets ours now, whom we connected to has it already
 *   peer_on_verack    ready: the wire takes all kinds but parts (blob_fetch opens it for those it awaits), hooks called
 *   peer_tick         ends it if it is not ready in time, or answers no ping
 *   peer_disconnect, peer_punish   the first stroke: closing; nothing is read, sent or scheduled any more
 *   peers_reap        the second: `closed`, freed
 *
 * The first stroke may come from anywhere, in the middle of a walk over the set or of a message of this very peer: that
 * is why the second is left to the loop. */
#include "net/peer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"

/* Who comes to us may do so as often as he likes: that fills no log. */
static void peer_note(const struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void peer_note(const struct peer *peer, const char *format, ...)
{
	char note[LOG_LINE_MAX];
	va_list note_args;

	va_start(note_args, format);
	vsnprintf(note, sizeof note, format, note_args);
	va_end(note_args);
	if (peer_outbound(peer))
		log_info("peer=%" PRIu64 " %s %s", peer->id, peer->name, note);
	else
		log_debug(LOG_NET, "peer=%" PRIu64 " %s %s", peer->id, peer->name, note);
}

/* --- Ending --- */

/* Nothing is freed: whoever called us may hold the peer, walk the set, or be a message of it. */
static void peer_close(struct peer *peer)
{
	peer->closing = true;
	transport_close(peer->wire);
	peers_work(peer->set);
}

void peer_disconnect(struct peer *peer, const char *format, ...)
{
	char why[512];
	va_list why_args;

	if (peer->closing)
		return;
	va_start(why_args, format);
	vsnprintf(why, sizeof why, format, why_args);
	va_end(why_args);
	peer_note(peer, "disconnected: %s", why);
	peer_close(peer);
}

static void peer_punish_source(struct peers *peers, const struct source *source, const char *why)
{
	struct peer *peer = peers_find(peers, source->peer);

	if (peer != NULL) {
		log_warn("peer=%" PRIu64 " %s misbehaved and is dropped: %s", peer->id, peer->name, why);
		peer->punished = true;
		peer_close(peer);
	} else {
		log_warn("peer=%" PRIu64 " misbehaved and has left: %s", source->peer, why);
	}
	peers->hooks.misbehaved(peers->hooks.context, source);
}

void peer_punish(struct peer *peer, const char *format, ...)
{
	char why[512];
	va_list why_args;

	if (peer->closing)
		return;
	va_start(why_args, format);
	vsnprintf(why, sizeof why, format, why_args);
	va_end(why_args);
	peer_punish_source(peer->set, &peer->source, why);
}

/* The verdict over a block or proof may come long after its sender has left: its address is still to blame. */
void peers_punish(struct peers *peers, const struct source *source, const char *format, ...)
{
	char why[512];
	va_list why_args;

	va_start(why_args, format);
	vsnprintf(why, sizeof why, format, why_args);
	va_end(why_args);
	peer_punish_source(peers, source, why);
}

/* --- Sending --- */

/* Answers that serve.c holds back while much waits to be sent. All others are written at once, however little is
 * read. */
static bool peer_kind_is_served(enum message_kind kind)
{
	return kind == MESSAGE_BLOCK || kind == MESSAGE_PART || kind == MESSAGE_TX || kind == MESSAGE_HEADERS ||
		kind == MESSAGE_NOTFOUND;
}

void peer_send(struct peer *peer, enum message_kind kind, struct buf *payload)
{
	size_t payload_size = payload->size;
	bool within;

	if (peer->closing || !transport_connected(peer->wire)) {
		buf_clear(payload);
		return;
	}
	within = transport_send(peer->wire, kind, payload, peer_kind_is_served(kind));
	log_debug(LOG_NET, "peer=%" PRIu64 " sent %s, %zu bytes", peer->id, message_command(kind), payload_size);
	if (!within)
		peer_disconnect(peer, "it does not read what it asked for");
}

void peer_send_empty(struct peer *peer, enum message_kind kind)
{
	struct buf empty_payload;

	buf_init(&empty_payload);
	peer_send(peer, kind, &empty_payload);
}

static void peer_send_inventory(struct peer *peer, enum message_kind kind, const struct inventory_item *items,
	size_t count)
{
	struct buf items_payload;

	buf_init(&items_payload);
	message_write_inventory(&items_payload, items, count);
	peer_send(peer, kind, &items_payload);
}

void peer_send_item(struct peer *peer, enum message_kind kind, enum inventory_type type, const uint8_t id[32])
{
	struct inventory_item item = { .type = type };

	memcpy(item.id, id, 32);
	peer_send_inventory(peer, kind, &item, 1);
}

void peer_send_items(struct peer *peer, enum message_kind kind, struct buf *items)
{
	if (items->size > 0)
		peer_send_inventory(peer, kind, (const void *)items->data, items->size / sizeof(struct inventory_item));
	buf_reset(items);
}

static void peer_send_version(struct peer *peer)
{
	struct message_version version = {
		.version = MESSAGE_PROTOCOL,
		.services = chain_serves_all(peer->set->chain) ? MESSAGE_ALL : MESSAGE_RECENT_RUNS,
		.time = clock_wall(),
		.nonce = peer->nonce,
		.height = chain_tip(peer->set->chain)->height,
		.relay = true,
	};
	struct buf version_payload;

	memcpy(version.agent, peer->set->agent, sizeof version.agent);
	buf_init(&version_payload);
	message_write_version(&version_payload, &version);
	peer_send(peer, MESSAGE_VERSION, &version_payload);
	peer->version_sent = true;
}

/* One ping is out at a time; another one asked for meanwhile (by RPC) takes its place, and the clock starts anew. */
void peer_ping(struct peer *peer)
{
	struct buf ping_payload;

	do
		peer->ping_nonce = random_u64();
	while (peer->ping_nonce == 0);
	peer->ping_sent = clock_mono_ms();
	buf_init(&ping_payload);
	message_write_nonce(&ping_payload, peer->ping_nonce);
	peer_send(peer, MESSAGE_PING, &ping_payload);
}

/* --- The handshake, and the messages that are about the connection itself --- */

/* Our own version message, come back: only outbound ones can have sent it, and only this process knows their nonces.
 * Without it a node that is named its own address would fill its places with itself. */
static bool peer_nonce_is_own(const struct peers *peers, uint64_t nonce)
{
	for (const struct peer *peer = peers->first; peer; peer = peer->next)
		if (peer_outbound(peer) && peer->nonce == nonce)
			return true;
	return false;
}

/* A second version message is ignored, as the first counts for the whole connection. */
static void peer_on_version(struct peer *peer, const uint8_t *version_payload, size_t payload_size)
{
	if (peer->version_known)
		return;
	if (!message_read_version(&peer->version, version_payload, payload_size)) {
		peer_disconnect(peer, "malformed version message");
		return;
	}
	if (!peer_outbound(peer) && peer_nonce_is_own(peer->set, peer->version.nonce)) {
		peer_disconnect(peer, "connected to ourselves");
		return;
	}
	if (peer->version.version < MESSAGE_PROTOCOL) {
		peer_disconnect(peer, "protocol version %" PRIu32 " is too old", peer->version.version);
		return;
	}
	peer->version_known = true;
	/* Unsigned, as the stranger's time may be anything and a signed difference could overflow. For people alone: no
	 * rule uses it. */
	peer->time_offset = (int64_t)((uint64_t)peer->version.time - (uint64_t)clock_wall());
	if (!peer->version_sent)
		peer_send_version(peer);
	peer_send_empty(peer, MESSAGE_VERACK);
}

/* Only now may it send what takes memory or work. */
static void peer_on_verack(struct peer *peer)
{
	if (!peer->version_known || !peer->version_sent) {
		peer_disconnect(peer, "verack before version");
		return;
	}
	if (peer->ready)
		return;
	peer->ready = true;
	for (enum message_kind kind = 0; kind < MESSAGE_UNKNOWN; kind++)
		transport_accept(peer->wire, kind, kind != MESSAGE_PART);
	peer_note(peer, "connected (%s): version %" PRIu32 ", %s, height %" PRIu32 "%s",
		peer_outbound(peer) ? "outbound" : "inbound", peer->version.version, peer->version.agent,
		peer->version.height, (peer->version.services & MESSAGE_ALL) != 0 ? "" : ", pruned");
	peer_ping(peer);
	peer->set->hooks.ready(peer->set->hooks.context, peer);
}

/* A pong that answers no ping of ours, or an old one, is ignored. */
static void peer_on_ping(struct peer *peer, enum message_kind kind, const uint8_t *payload, size_t payload_size)
{
	struct buf pong;
	uint64_t ping_nonce;

	if (!message_read_nonce(&ping_nonce, payload, payload_size)) {
		peer_disconnect(peer, "malformed %s message", message_command(kind));
		return;
	}
	if (kind == MESSAGE_PING) {
		buf_init(&pong);
		message_write_nonce(&pong, ping_nonce);
		peer_send(peer, MESSAGE_PONG, &pong);
	} else if (ping_nonce == peer->ping_nonce && ping_nonce != 0) {
		peer->ping_nonce = 0;
		peer->ping_ms = clock_mono_ms() - peer->ping_sent;
		if (peer->ping_min_ms < 0 || peer->ping_ms < peer->ping_min_ms)
			peer->ping_min_ms = peer->ping_ms;
	}
}

static void peer_on_message(void *context, const struct message_header *header, const uint8_t *payload)
{
	struct peer *peer = context;
	enum message_kind kind = header->kind;
	size_t payload_size = header->size;

	log_debug(LOG_NET, "peer=%" PRIu64 " received %s, %zu bytes", peer->id, header->command, payload_size);
	if (kind == MESSAGE_VERSION)
		peer_on_version(peer, payload, payload_size);
	else if (kind == MESSAGE_VERACK)
		peer_on_verack(peer);
	else if (kind == MESSAGE_PING || kind == MESSAGE_PONG)
		peer_on_ping(peer, kind, payload, payload_size);
	else
		peer->set->hooks.message(peer->set->hooks.context, peer, kind, payload, payload_size);
}

static void peer_on_skipped(void *context, const struct message_header *header)
{
	const struct peer *peer = context;

	log_debug(LOG_NET, "peer=%" PRIu64 " %s, %" PRIu32 " bytes, is skipped", peer->id, header->command,
		header->size);
}

static void peer_on_drained(void *context)
{
	struct peer *peer = context;

	if (peer_usable(peer))
		peer->set->hooks.drained(peer->set->hooks.context, peer);
}

/* A node of another chain ends the connection without a word, as it understands none: who made a mistake in a spec
 * would look for it in the network. */
static void peer_on_ended(void *context, const char *why)
{
	const struct peer *peer = context;

	if (peer_outbound(peer) && peer->connected_at > 0 && !peer->ready)
		peer_disconnect(context,
			"%s before the handshake was done: is it of another chain (the genesis in getchainspec must "
			"be the same), full, or one that bans this node?",
			why);
	else
		peer_disconnect(context, "%s", why);
}

/* --- Birth and death --- */

static void peer_on_connected(void *context)
{
	struct peer *peer = context;
	struct netaddr local;

	peer->connected_at = clock_wall();
	if (transport_local(peer->wire, &local))
		netaddr_format(&local, peer->local);
	if (peer_outbound(peer))
		peer_send_version(peer);
}

static const struct transport_hooks peer_wire_hooks = {
	.connected = peer_on_connected,
	.message = peer_on_message,
	.skipped = peer_on_skipped,
	.drained = peer_on_drained,
	.ended = peer_on_ended,
};

/* Who connected to us is one of his address; whom the operator named stands for himself, whatever else is there (under
 * a multicast address, from where nobody connects). */
static void peer_name_source(struct peer *peer)
{
	peer->source = (struct source){ .peer = peer->id, .chosen = peer_outbound(peer) };
	if (!peer_outbound(peer)) {
		netaddr_group(&peer->address, peer->source.group);
		return;
	}
	peer->source.group[0] = 0xff;
	write_le64(peer->source.group + 8, peer->id);
}

/* At the end of the set, so that who came first is asked first. */
static void peer_append(struct peers *peers, struct peer *peer)
{
	struct peer **peer_link = &peers->first;

	while (*peer_link != NULL)
		peer_link = &(*peer_link)->next;
	*peer_link = peer;
	peer->set = peers;
	peer->id = ++peers->next_id;
}

struct peer *peer_new(struct peers *peers, enum peer_kind kind, const struct netaddr *address, const char *name, int fd)
{
	struct peer *peer = mem_calloc(1, sizeof *peer);
	const struct transport_setup wire_setup = {
		.base = peers->base,
		.limits = &peers->limits,
		.hooks = &peer_wire_hooks,
		.context = peer,
		.write_ms = peers->timeouts.write,
	};

	peer->wire = transport_new(&wire_setup, fd);
	if (peer->wire == NULL) {
		free(peer);
		return NULL;
	}
	peer_append(peers, peer);
	peer->kind = kind;
	peer->address = *address;
	peer_name_source(peer);
	if (name != NULL)
		snprintf(peer->name, sizeof peer->name, "%s", name);
	else
		netaddr_format(address, peer->name);
	peer->nonce = random_u64();
	peer->started = clock_mono_ms();
	peer->ping_ms = peer->ping_min_ms = -1;
	known_init(&peer->known, PEER_KNOWN_MAX);
	transport_accept(peer->wire, MESSAGE_VERSION, true);
	transport_accept(peer->wire, MESSAGE_VERACK, true);
	peers->hooks.opened(peers->hooks.context, peer);
	if (fd >= 0)
		peer_on_connected(peer);
	else
		transport_connect(peer->wire, address);
	return peer;
}

/* Parts of one long message count, as far as transport_look sees them: they may be what is waited for. Whole messages
 * of other kinds do not. */
bool peer_is_silent(const struct peer *peer, int64_t since, int64_t now)
{
	int64_t progress = transport_progress(peer->wire);
	int64_t heard_at = since > progress ? since : progress;

	return now - heard_at > peer->set->timeouts.silence;
}

/* Two timeouts end a connection by themselves: no handshake, and no answer to a ping. What the peer owes beside that is
 * for the parts to count. */
void peer_tick(struct peer *peer, int64_t now)
{
	const struct peer_timeouts *timeouts = &peer->set->timeouts;

	if (peer->closing)
		return;
	transport_look(peer->wire, now);
	if (!peer->ready) {
		if (now - peer->started > timeouts->handshake)
			peer_disconnect(peer, "no handshake");
		return;
	}
	if (peer->ping_nonce && now - peer->ping_sent > timeouts->ping)
		peer_disconnect(peer, "no answer to a ping");
	else if (!peer->ping_nonce && now - peer->ping_sent > timeouts->ping_interval)
		peer_ping(peer);
}

/* --- The set --- */

struct peer *peers_find(const struct peers *peers, uint64_t id)
{
	for (struct peer *peer = peers->first; peer; peer = peer->next)
		if (peer->id == id)
			return peer->closing ? NULL : peer;
	return NULL;
}

bool peers_have_group(const struct peers *peers, const struct source *source)
{
	for (const struct peer *peer = peers->first; peer; peer = peer->next)
		if (!peer->closing && memcmp(peer->source.group, source->group, SOURCE_GROUP) == 0)
			return true;
	return false;
}

void peers_work(struct peers *peers)
{
	event_active(peers->work, EV_TIMEOUT, 0);
}

static void peer_free(struct peer *peer)
{
	transport_free(peer->wire);
	known_clear(&peer->known);
	free(peer);
}

/* Before it is freed each part has let go of it: of what it remembered, and of every place where it stood for the peer
 * that owes something. */
void peers_reap(struct peers *peers)
{
	for (struct peer **peer_link = &peers->first; *peer_link != NULL;) {
		struct peer *peer = *peer_link;
		const struct transport_counts *wire_counts = transport_counts(peer->wire);

		if (!peer->closing) {
			peer_link = &peer->next;
			continue;
		}
		peers->hooks.closed(peers->hooks.context, peer);
		*peer_link = peer->next;
		peers->bytes_sent += wire_counts->bytes_sent;
		peers->bytes_received += wire_counts->bytes_received;
		peer_free(peer);
	}
}
