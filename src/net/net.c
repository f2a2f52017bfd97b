#include "net/net.h"

#include <errno.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/blob_fetch.h"
#include "net/listen.h"
#include "net/outbound.h"
#include "net/relay_proofs.h"
#include "net/relay_tx.h"
#include "net/serve.h"
#include "net/sync_blocks.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum { TICK_MS = 250, LISTEN_QUEUE = 64, ACCEPT_PAUSE_MS = 1000 };

struct net {
	struct peers peers;
	struct sync_headers *headers;
	struct sync_blocks *blocks;
	struct blob_fetch *fetch;
	struct relay_blocks *news;
	struct relay_tx *txs;
	struct relay_proofs *proofs;
	struct outbound outbound;
	struct ban_list bans;
	struct evconnlistener *listener;
	struct event *tick;
	uint16_t port;
	size_t max_peers, max_per_address, max_open;
	bool active;
	int64_t accept_after; /* nothing could be accepted: the listener rests until then; 0: it does not */
	struct log_limit accept_log;
	bool accept_told; /* the log says that nothing can be accepted */
};

/* Messages. */

/* What of it is to be asked for goes back in one getdata, as the items came. No more proofs are asked for than the peer
 * may have waiting here. */
static void ask_for_offers(struct net *net, struct peer *peer, const struct inventory_item *items, size_t count)
{
	size_t proofs = 0;
	struct buf ask;

	buf_init(&ask);
	for (size_t i = 0; i < count; i++) {
		if (items[i].type == INVENTORY_TX)
			relay_tx_on_offer(net->txs, peer, items[i].id, &ask);
		else if (items[i].type == INVENTORY_PROOF && proofs < RELAY_PROOFS_QUEUE)
			proofs += relay_proofs_on_offer(net->proofs, peer, items[i].id, &ask);
	}
	peer_send_items(peer, MESSAGE_GETDATA, &ask);
	buf_clear(&ask);
}

static void on_inv(struct net *net, struct peer *peer, const struct inventory_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].type == INVENTORY_BLOCK)
			sync_headers_on_announced(net->headers, peer, items[i].id);
	ask_for_offers(net, peer, items, count);
}

static void on_notfound(struct net *net, struct peer *peer, const struct inventory_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].type == INVENTORY_BLOCK)
			sync_blocks_on_notfound(net->blocks, peer, items[i].id);
		else if (items[i].type == INVENTORY_BLOB)
			blob_fetch_on_notfound(net->fetch, peer, items[i].id);
		else if (items[i].type == INVENTORY_TX)
			relay_tx_on_notfound(net->txs, peer, items[i].id);
	}
}

static void on_inventory(struct net *net, struct peer *peer, enum message_kind kind, const uint8_t *payload,
	size_t size)
{
	struct inventory_item *items;
	size_t count;

	if (!message_read_inventory(&items, &count, payload, size)) {
		peer_disconnect(peer, "malformed %s message", message_command(kind));
		return;
	}
	if (kind == MESSAGE_INV)
		on_inv(net, peer, items, count);
	else
		on_notfound(net, peer, items, count);
	free(items);
}

static void on_message(void *context, struct peer *peer, enum message_kind kind, const uint8_t *payload, size_t size)
{
	struct net *net = context;

	switch (kind) {
	case MESSAGE_INV:
	case MESSAGE_NOTFOUND:
		on_inventory(net, peer, kind, payload, size);
		break;
	case MESSAGE_GETDATA:
		serve_on_getdata(net->news, peer, payload, size);
		break;
	case MESSAGE_GETHEADERS:
		serve_on_getheaders(net->news, peer, payload, size);
		break;
	case MESSAGE_HEADERS:
		sync_headers_on_headers(net->headers, peer, payload, size);
		break;
	case MESSAGE_SENDHEADERS:
		relay_blocks_on_sendheaders(peer);
		break;
	case MESSAGE_BLOCK:
		sync_blocks_on_block(net->blocks, peer, payload, size);
		break;
	case MESSAGE_TX:
		relay_tx_on_tx(net->txs, peer, payload, size);
		break;
	case MESSAGE_PROOF:
		relay_proofs_on_proof(net->proofs, peer, payload, size);
		break;
	case MESSAGE_BLOB:
		blob_fetch_on_blob(net->fetch, peer, payload, size);
		break;
	case MESSAGE_VERSION:
	case MESSAGE_VERACK:
	case MESSAGE_PING:
	case MESSAGE_PONG:
	case MESSAGE_UNKNOWN:
		break; /* peer.c keeps these to itself */
	}
}

static void on_opened(void *context, struct peer *peer)
{
	(void)context;
	sync_headers_peer_opened(peer);
	sync_blocks_peer_opened(peer);
	blob_fetch_peer_opened(peer);
	relay_blocks_peer_opened(peer);
	relay_tx_peer_opened(peer);
	relay_proofs_peer_opened(peer);
	serve_peer_opened(peer);
}

static void on_ready(void *context, struct peer *peer)
{
	struct net *net = context;

	sync_headers_peer_ready(net->headers, peer);
	relay_tx_peer_ready(net->txs, peer);
	relay_proofs_peer_ready(net->proofs, peer);
}

static void on_drained(void *context, struct peer *peer)
{
	struct net *net = context;

	serve_continue(net->news, peer);
}

static void on_closed(void *context, struct peer *peer)
{
	struct net *net = context;

	if (!peers_have_group(&net->peers, &peer->source))
		chain_forget_source(net->peers.chain, &peer->source, false);
	sync_blocks_peer_closed(net->blocks, peer);
	sync_headers_peer_closed(peer);
	blob_fetch_peer_closed(net->fetch, peer);
	relay_blocks_peer_closed(peer);
	relay_tx_peer_closed(net->txs, peer);
	relay_proofs_peer_closed(net->proofs, peer);
	serve_peer_closed(peer);
	outbound_peer_gone(&net->outbound, peer);
}

/* Whoever the operator named, or comes from this machine itself, has lost that connection, and nothing else. */
static void on_misbehaved(void *context, const struct source *source)
{
	struct net *net = context;

	if (source->chosen || !ban_discourage(&net->bans, source->group, clock_wall()))
		return;
	for (struct peer *p = net->peers.first; p; p = p->next)
		if (memcmp(p->source.group, source->group, SOURCE_GROUP) == 0)
			peer_disconnect(p, "its address is discouraged");
	chain_forget_source(net->peers.chain, source, true);
}

/* The chain's notices. */

static void on_tip(void *context, const struct index_entry *tip)
{
	struct net *net = context;

	relay_blocks_tip(net->news, tip);
	relay_tx_tip(net->txs);
	relay_proofs_tip(net->proofs);
}

static void on_block_proven(void *context, const struct index_entry *entry, const struct source *source)
{
	struct net *net = context;

	relay_blocks_proven(net->news, entry, source);
}

static void on_block_verdict(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	struct net *net = context;

	sync_blocks_verdict(net->blocks, entry, source, reject);
}

static void on_proof_verdict(void *context, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct net *net = context;

	relay_proofs_verdict(net->proofs, header, source, reject);
}

static void on_tx_added(void *context, const struct tx *tx, uint64_t source)
{
	struct net *net = context;

	relay_tx_added(net->txs, tx, source);
}

static void on_blob_wanted(void *context, const uint8_t root[32], uint64_t size, uint64_t source)
{
	struct net *net = context;

	blob_fetch_wanted(net->fetch, root, size, source);
}

/* The loop. */

/* The entries that go then are named here by nobody any more: each part that keeps some lets go first. */
static void start_headers_anew(struct net *net)
{
	sync_blocks_let_go(net->blocks);
	relay_blocks_let_go(net->news);
	sync_headers_start_anew(net->headers);
}

static void on_work(evutil_socket_t fd, short what, void *context)
{
	struct net *net = context;
	int64_t now = clock_mono_ms();

	(void)fd;
	(void)what;
	peers_reap(&net->peers);
	if (sync_headers_full(net->headers))
		start_headers_anew(net);
	sync_headers_work(net->headers, now);
	sync_blocks_work(net->blocks, now);
	blob_fetch_work(net->fetch, now);
	relay_proofs_work(net->proofs, now);
	relay_tx_work(net->txs, now);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	struct net *net = context;
	int64_t now = clock_mono_ms();

	(void)fd;
	(void)what;
	for (struct peer *p = net->peers.first; p; p = p->next)
		peer_tick(p, now);
	if (net->active)
		outbound_tick(&net->outbound, now);
	if (net->accept_after && now >= net->accept_after) {
		net->accept_after = 0;
		evconnlistener_enable(net->listener);
	}
	peers_work(&net->peers);
}

static size_t open_peers(const struct net *net)
{
	size_t count = 0;

	for (const struct peer *p = net->peers.first; p; p = p->next)
		count += !p->closing;
	return count;
}

static size_t inbound_from(const struct net *net, const struct netaddr *address)
{
	size_t count = 0;

	for (const struct peer *p = net->peers.first; p; p = p->next)
		count += !p->closing && !peer_outbound(p) && netaddr_same_group(&p->address, address);
	return count;
}

static bool may_connect(void *context, const struct netaddr *address)
{
	struct net *net = context;

	return net->active && open_peers(net) < net->max_open && !ban_given(&net->bans, address->ip, 128, clock_wall());
}

/* Why a connection from there is not taken, or NULL. */
static const char *refusal(struct net *net, const struct netaddr *address)
{
	size_t count = open_peers(net);

	if (!net->active)
		return "the network is switched off";
	if (ban_covers(&net->bans, address, clock_wall()))
		return "the address is banned or discouraged";
	if (count >= net->max_peers || count >= net->max_open)
		return "all places are taken";
	if (inbound_from(net, address) >= net->max_per_address)
		return "all places of its address are taken";
	return NULL;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int size,
	void *context)
{
	struct net *net = context;
	struct netaddr address;
	const char *why = netaddr_from_sockaddr(&address, from) ? refusal(net, &address) : "unknown address family";

	(void)listener;
	(void)size;
	if (net->accept_told)
		log_info("Connections are accepted again");
	net->accept_told = false;
	if (why != NULL)
		log_debug(LOG_NET, "A connection is refused: %s", why);
	if (why != NULL || peer_new(&net->peers, PEER_INBOUND, &address, NULL, fd) == NULL)
		evutil_closesocket(fd);
}

/* Most likely no file descriptor is left: without a pause the loop would try again at once, for ever. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
	struct net *net = context;
	const char *why = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());

	if (log_limit_allows(&net->accept_log)) {
		log_warn("Connections cannot be accepted now, and wait: %s", why);
		net->accept_told = true;
	}
	evconnlistener_disable(listener);
	net->accept_after = clock_mono_ms() + ACCEPT_PAUSE_MS;
}

/* Opening and closing. */

static bool start_listening(struct net *net, const struct net_options *options, struct errmsg *err)
{
	struct sockaddr_storage end;
	socklen_t size = sizeof end;
	struct netaddr address;
	char text[NETADDR_TEXT];
	int fd = listen_socket(options->bind, options->port, err);

	if (fd < 0)
		return false;
	net->listener = evconnlistener_new(net->peers.base, on_accept, net,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, LISTEN_QUEUE, fd);
	if (net->listener == NULL) {
		close(fd);
		return errmsg_set(err, "Cannot listen: %s", strerror(errno));
	}
	evconnlistener_set_error_cb(net->listener, on_accept_error);
	if (getsockname(fd, (struct sockaddr *)&end, &size) != 0 ||
		!netaddr_from_sockaddr(&address, (struct sockaddr *)&end))
		return errmsg_set(err, "Cannot tell the port that was bound: %s", strerror(errno));
	net->port = address.port;
	netaddr_format(&address, text);
	log_info("Listening for peers on %s", text);
	return true;
}

static bool add_names(struct net *net, const char *const *names, size_t count, struct errmsg *err)
{
	for (size_t i = 0; i < count; i++)
		if (net_add_node(net, names[i]) == NET_NODE_MALFORMED)
			return errmsg_set(err, "Not a node's name or address: \"%s\"", names[i]);
	return true;
}

static int64_t or_default(int64_t value, int64_t fallback)
{
	return value ? value : fallback;
}

static void init_peers(struct net *net, struct event_base *base, struct chain *chain, const struct net_options *options)
{
	struct peers *peers = &net->peers;

	peers->base = base;
	peers->chain = chain;
	message_limits_init(&peers->limits, chain_spec(chain));
	peers->timeouts = (struct peer_timeouts){
		.handshake = or_default(options->handshake_timeout, 60000),
		.ping_interval = 120000,
		.ping = or_default(options->ping_timeout, 1200000),
		.headers = 60000,
		.block = or_default(options->block_timeout, 60000),
		.withheld = or_default(options->block_timeout, 60000) / 2,
		.blob_start = or_default(options->block_timeout, 15000),
		.blob = or_default(options->block_timeout, 60000),
		.tx = 60000,
		.write = 120000,
		.silence = 2000,
	};
	peers->hooks = (struct peer_hooks){ .context = net,
		.opened = on_opened,
		.ready = on_ready,
		.message = on_message,
		.drained = on_drained,
		.closed = on_closed,
		.misbehaved = on_misbehaved };
	snprintf(peers->agent, sizeof peers->agent, "%s", options->agent != NULL ? options->agent : "/atelier/");
	peers->work = mem_check(event_new(base, -1, 0, on_work, net));
}

static void subscribe(struct net *net)
{
	const struct chain_events events = {
		.context = net,
		.tip = on_tip,
		.block_proven = on_block_proven,
		.block_verdict = on_block_verdict,
		.proof_verdict = on_proof_verdict,
		.tx_added = on_tx_added,
		.blob_wanted = on_blob_wanted,
	};

	chain_subscribe(net->peers.chain, &events);
}

struct net *net_open(struct event_base *base, struct chain *chain, const struct net_options *options,
	struct errmsg *err)
{
	struct net *net = mem_calloc(1, sizeof *net);
	struct timeval interval = { .tv_usec = TICK_MS * 1000 };

	init_peers(net, base, chain, options);
	net->headers = sync_headers_new(&net->peers);
	net->news = relay_blocks_new(&net->peers);
	net->blocks = sync_blocks_new(&net->peers, net->headers, net->news);
	net->fetch = blob_fetch_new(&net->peers);
	net->txs = relay_tx_new(&net->peers, net->fetch);
	net->proofs = relay_proofs_new(&net->peers);
	net->active = true;
	net->max_peers = options->max_peers;
	net->max_per_address = options->max_per_address ? options->max_per_address : SIZE_MAX;
	net->max_open = options->max_open ? options->max_open : SIZE_MAX;
	ban_init(&net->bans);
	outbound_init(&net->outbound, &net->peers, chain_spec(chain)->p2p_port);
	net->outbound.may_connect = may_connect;
	net->outbound.context = net;
	net->tick = mem_check(event_new(base, -1, EV_PERSIST, on_tick, net));
	event_add(net->tick, &interval);
	if ((options->listen && !start_listening(net, options, err)) ||
		!add_names(net, options->connect, options->connect_count, err) ||
		!add_names(net, options->addnode, options->addnode_count, err)) {
		net_close(net);
		return NULL;
	}
	subscribe(net);
	return net;
}

static void disconnect_all(struct net *net, const char *why)
{
	for (struct peer *p = net->peers.first; p; p = p->next)
		peer_disconnect(p, "%s", why);
}

void net_close(struct net *net)
{
	chain_unsubscribe(net->peers.chain, net);
	if (net->listener != NULL)
		evconnlistener_free(net->listener);
	disconnect_all(net, "shutting down");
	peers_reap(&net->peers);
	outbound_clear(&net->outbound);
	event_free(net->tick);
	event_free(net->peers.work);
	sync_blocks_free(net->blocks);
	relay_blocks_free(net->news);
	sync_headers_free(net->headers);
	blob_fetch_free(net->fetch);
	relay_tx_free(net->txs);
	relay_proofs_free(net->proofs);
	ban_clear(&net->bans);
	free(net);
}

uint16_t net_port(const struct net *net)
{
	return net->port;
}

void net_set_active(struct net *net, bool active)
{
	if (!active && net->active)
		disconnect_all(net, "the network is switched off");
	net->active = active;
}

bool net_active(const struct net *net)
{
	return net->active;
}

/* What the RPC asks. */

enum net_node_result net_add_node(struct net *net, const char *name)
{
	if (outbound_find(&net->outbound, name) != NULL)
		return NET_NODE_KNOWN;
	return outbound_add(&net->outbound, name, false) != NULL ? NET_NODE_OK : NET_NODE_MALFORMED;
}

enum net_node_result net_remove_node(struct net *net, const char *name)
{
	struct outbound_peer *node = outbound_find(&net->outbound, name);

	if (node == NULL)
		return NET_NODE_UNKNOWN;
	outbound_remove(&net->outbound, node);
	return NET_NODE_OK;
}

enum net_node_result net_onetry(struct net *net, const char *name)
{
	return outbound_add(&net->outbound, name, true) != NULL ? NET_NODE_OK : NET_NODE_MALFORMED;
}

void net_each_node(const struct net *net, void (*fn)(void *context, const char *name, uint64_t peer), void *context)
{
	for (const struct outbound_peer *node = net->outbound.first; node; node = node->next)
		if (!node->once)
			fn(context, node->name, node->peer);
}

bool net_disconnect(struct net *net, uint64_t id)
{
	struct peer *peer = peers_find(&net->peers, id);

	if (peer == NULL)
		return false;
	peer_disconnect(peer, "the operator asked for it");
	return true;
}

bool net_disconnect_address(struct net *net, const char *address)
{
	char text[NETADDR_TEXT];

	for (struct peer *p = net->peers.first; p; p = p->next) {
		netaddr_format(&p->address, text);
		if (!p->closing && (strcmp(text, address) == 0 || strcmp(p->name, address) == 0))
			return net_disconnect(net, p->id);
	}
	return false;
}

void net_ping_all(struct net *net)
{
	for (struct peer *p = net->peers.first; p; p = p->next)
		if (peer_usable(p))
			peer_ping(p);
}

void net_counts(const struct net *net, struct net_counts *counts)
{
	*counts = (struct net_counts){ .bytes_sent = net->peers.bytes_sent,
		.bytes_received = net->peers.bytes_received };
	for (const struct peer *p = net->peers.first; p; p = p->next) {
		const struct transport_counts *wire = transport_counts(p->wire);

		counts->bytes_sent += wire->bytes_sent;
		counts->bytes_received += wire->bytes_received;
		if (!peer_usable(p))
			continue;
		if (peer_outbound(p))
			counts->outbound++;
		else
			counts->inbound++;
	}
}

static void show_peer(const struct peer *p, void (*fn)(void *context, const struct net_peer_info *info), void *context)
{
	const struct transport_counts *counts = transport_counts(p->wire);
	const struct index_entry *common = sync_headers_common(p);
	char address[NETADDR_TEXT];
	struct net_peer_info info = {
		.id = p->id,
		.address = address,
		.local = p->local,
		.name = p->name,
		.inbound = !peer_outbound(p),
		.manual = p->kind == PEER_MANUAL,
		.ready = p->ready,
		.version = p->version.version,
		.services = p->version.services,
		.agent = p->version.agent,
		.start_height = p->version.height,
		.relays_transactions = p->version.relay,
		.connected_at = p->connected_at,
		.last_sent = counts->last_sent,
		.last_received = counts->last_received,
		.time_offset = p->time_offset,
		.bytes_sent = counts->bytes_sent,
		.bytes_received = counts->bytes_received,
		.messages_sent = counts->messages_sent,
		.messages_received = counts->messages_received,
		.ping_ms = p->ping_ms,
		.ping_min_ms = p->ping_min_ms,
		.ping_wait_ms = p->ping_nonce ? clock_mono_ms() - p->ping_sent : -1,
		.synced_headers = common != NULL ? (int64_t)sync_headers_best(p)->height : -1,
		.synced_blocks = common != NULL ? (int64_t)common->height : -1,
		.blobs_asked = blob_fetch_asked(p),
		.proofs_valid = p->proofs_valid,
		.proofs_false = p->proofs_false,
	};

	netaddr_format(&p->address, address);
	info.inflight_count = sync_blocks_asked(p, info.inflight);
	fn(context, &info);
}

void net_each_peer(const struct net *net, void (*fn)(void *context, const struct net_peer_info *info), void *context)
{
	for (const struct peer *p = net->peers.first; p; p = p->next)
		if (!p->closing && transport_connected(p->wire))
			show_peer(p, fn, context);
}

enum net_node_result net_ban(struct net *net, const char *subnet, int64_t until)
{
	struct ban ban = { .created = clock_wall(), .until = until };

	if (!netaddr_parse_subnet(ban.ip, &ban.prefix, subnet))
		return NET_NODE_MALFORMED;
	if (ban_given(&net->bans, ban.ip, ban.prefix, ban.created))
		return NET_NODE_KNOWN;
	ban_add(&net->bans, &ban);
	for (struct peer *p = net->peers.first; p; p = p->next)
		if (netaddr_in_subnet(&p->address, ban.ip, ban.prefix))
			peer_disconnect(p, "its address was banned");
	return NET_NODE_OK;
}

enum net_node_result net_unban(struct net *net, const char *subnet)
{
	uint8_t ip[16];
	unsigned prefix;

	if (!netaddr_parse_subnet(ip, &prefix, subnet))
		return NET_NODE_MALFORMED;
	return ban_remove(&net->bans, ip, prefix) ? NET_NODE_OK : NET_NODE_UNKNOWN;
}

void net_clear_bans(struct net *net)
{
	ban_clear(&net->bans);
}

void net_each_ban(struct net *net, void (*fn)(void *context, const struct ban *ban), void *context)
{
	int64_t now = clock_wall();

	for (size_t i = 0; i < net->bans.count; i++)
		if (net->bans.bans[i].until > now)
			fn(context, &net->bans.bans[i]);
}
