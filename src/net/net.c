/* The net put together: what comes from peers, from the chain and from the loop goes to the parts.
 *
 * Who knows what of a block: sync_headers what branches peers have, sync_blocks who was asked for which block,
 * relay_blocks who has been told of it. blob_fetch, relay_tx and relay_proofs each ask for and pass on a thing of their
 * own, serve answers. No part calls this file; what it needs of another it is given when it is made. What the operator
 * asks and does is in net_control.c. */
#include "net/net.h"

#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/net_state.h"
#include "net/serve.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/random.h"

enum { NET_TICK_MS = 250 };

/* --- Messages --- */

/* What of it is to be asked for goes back in one getdata, as the items came. No more proofs are asked for than the peer
 * may have waiting here. */
static void net_ask_for_offers(struct net *net, struct peer *peer, const struct inventory_item *items, size_t count)
{
	size_t proofs_asked = 0;
	struct buf getdata_items;

	buf_init(&getdata_items);
	for (size_t i = 0; i < count; i++) {
		if (items[i].type == INVENTORY_TX)
			relay_tx_on_offer(net->txs, peer, items[i].id, &getdata_items);
		else if (items[i].type == INVENTORY_PROOF && proofs_asked < RELAY_PROOFS_QUEUE)
			proofs_asked += relay_proofs_on_offer(net->proofs, peer, items[i].id, &getdata_items);
	}
	peer_send_items(peer, MESSAGE_GETDATA, &getdata_items);
	buf_clear(&getdata_items);
}

static void net_on_inv(struct net *net, struct peer *peer, const struct inventory_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].type == INVENTORY_BLOCK)
			sync_headers_on_announced(net->headers, peer, items[i].id);
	net_ask_for_offers(net, peer, items, count);
}

static void net_on_notfound(struct net *net, struct peer *peer, const struct inventory_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].type == INVENTORY_BLOCK)
			sync_blocks_on_notfound(net->blocks, peer, items[i].id);
		else if (items[i].type == INVENTORY_TX)
			relay_tx_on_notfound(net->txs, peer, items[i].id);
	}
}

static void net_on_inventory(struct net *net, struct peer *peer, enum message_kind kind, const uint8_t *payload,
	size_t size)
{
	struct inventory_item *items;
	size_t count;

	if (!message_read_inventory(&items, &count, payload, size)) {
		peer_disconnect(peer, "malformed %s message", message_command(kind));
		return;
	}
	if (kind == MESSAGE_INV)
		net_on_inv(net, peer, items, count);
	else
		net_on_notfound(net, peer, items, count);
	free(items);
}

static void net_on_message(void *context, struct peer *peer, enum message_kind kind, const uint8_t *payload,
	size_t size)
{
	struct net *net = context;

	switch (kind) {
	case MESSAGE_INV:
	case MESSAGE_NOTFOUND:
		net_on_inventory(net, peer, kind, payload, size);
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
	case MESSAGE_GETPART:
		serve_on_getpart(net->news, peer, payload, size);
		break;
	case MESSAGE_PART:
		blob_fetch_on_part(net->fetch, peer, payload, size);
		break;
	case MESSAGE_VERSION:
	case MESSAGE_VERACK:
	case MESSAGE_PING:
	case MESSAGE_PONG:
	case MESSAGE_UNKNOWN:
		break; /* peer.c keeps these to itself */
	}
}

/* --- The life of a peer --- */

static void net_on_opened(void *context, struct peer *peer)
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

static void net_on_ready(void *context, struct peer *peer)
{
	struct net *net = context;

	sync_headers_peer_ready(net->headers, peer);
	relay_tx_peer_ready(net->txs, peer);
	relay_proofs_peer_ready(net->proofs, peer);
}

static void net_on_drained(void *context, struct peer *peer)
{
	struct net *net = context;

	serve_continue(net->news, peer);
}

/* Before the parts let go, the chain forgets what this peer brought and nobody can be blamed for any more: unless
 * others of its address are still here. Its parts then clear it from all their lists; the tx relay may ask others
 * meanwhile. */
static void net_on_closed(void *context, struct peer *peer)
{
	struct net *net = context;

	chain_peer_gone(net->peers.chain, peer->id);
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
static void net_on_misbehaved(void *context, const struct source *source)
{
	struct net *net = context;

	if (source->chosen || !ban_discourage(&net->bans, source->group, clock_wall()))
		return;
	for (struct peer *peer = net->peers.first; peer != NULL; peer = peer->next)
		if (memcmp(peer->source.group, source->group, SOURCE_GROUP) == 0)
			peer_disconnect(peer, "its address is discouraged");
	chain_forget_source(net->peers.chain, source, true);
}

/* --- The chain's notices --- */

static void net_on_tip(void *context, const struct index_entry *tip)
{
	struct net *net = context;

	relay_blocks_tip(net->news, tip);
	relay_tx_tip(net->txs);
	relay_proofs_tip(net->proofs);
}

static void net_on_block_proven(void *context, const struct index_entry *entry, const struct source *source)
{
	struct net *net = context;

	relay_blocks_proven(net->news, entry, source);
}

static void net_on_block_verdict(void *context, const struct index_entry *entry, const struct source *source,
	const struct reject *reject)
{
	struct net *net = context;

	sync_blocks_verdict(net->blocks, entry, source, reject);
}

static void net_on_proof_verdict(void *context, const struct header *header, const struct source *source,
	const struct reject *reject)
{
	struct net *net = context;

	relay_proofs_verdict(net->proofs, header, source, reject);
}

static void net_on_tx_added(void *context, const struct tx *tx, uint64_t source)
{
	struct net *net = context;

	relay_tx_added(net->txs, tx, source);
}

static void net_on_blob_wanted(void *context, const uint8_t root[32], uint64_t size, uint64_t source)
{
	struct net *net = context;

	blob_fetch_wanted(net->fetch, root, size, source);
}

static void net_on_blob_turn(void *context, const uint8_t root[32], uint64_t size, uint64_t peer)
{
	struct net *net = context;

	blob_fetch_turn(net->fetch, root, size, peer);
}

static void net_on_tx_put_off(void *context, const struct tx *tx, uint64_t peer)
{
	struct net *net = context;

	relay_tx_put_off(net->txs, tx, peer);
}

/* --- The loop --- */

/* The entries that go then are named here by nobody any more: each part that keeps some lets go first. */
static void net_start_headers_anew(struct net *net)
{
	sync_blocks_let_go(net->blocks);
	relay_blocks_let_go(net->news);
	sync_headers_start_anew(net->headers);
}

static void net_on_work(evutil_socket_t fd, short what, void *context)
{
	struct net *net = context;
	int64_t now = clock_mono_ms();

	(void)fd;
	(void)what;
	/* First, so that nobody below comes upon a peer that is closing since the last turn, or asks it for anything.
	 */
	peers_reap(&net->peers);
	if (sync_headers_full(net->headers))
		net_start_headers_anew(net);
	sync_headers_work(net->headers, now);
	sync_blocks_work(net->blocks, now);
	blob_fetch_work(net->fetch, now);
	relay_proofs_work(net->proofs, now);
	relay_tx_work(net->txs, now);
}

/* Four times a second, as nobody's silence makes an event: timeouts of connections here, those of the parts in the turn
 * that peers_work asks for.
 */
static void net_on_tick(evutil_socket_t fd, short what, void *context)
{
	struct net *net = context;
	int64_t now = clock_mono_ms();

	(void)fd;
	(void)what;
	for (struct peer *peer = net->peers.first; peer != NULL; peer = peer->next) {
		peer_tick(peer, now);
		if (peer_usable(peer))
			serve_continue(net->news, peer);
	}
	if (net->active)
		outbound_tick(&net->outbound, now);
	if (net->listen != NULL)
		listen_tick(net->listen, now);
	chain_tick(net->peers.chain);
	peers_work(&net->peers);
}

/* --- Places --- */

static size_t net_open_peers(const struct net *net)
{
	size_t count = 0;

	for (const struct peer *peer = net->peers.first; peer != NULL; peer = peer->next)
		count += !peer->closing;
	return count;
}

/* Of one owner, most likely: an IPv6 host has a /64 to choose from. */
static size_t net_inbound_from(const struct net *net, const struct netaddr *address)
{
	size_t count = 0;

	for (const struct peer *peer = net->peers.first; peer != NULL; peer = peer->next)
		count += !peer->closing && !peer_outbound(peer) && netaddr_same_group(&peer->address, address);
	return count;
}

/* Who has connected to us, of whom one could go: a list to be freed. */
static struct evict_candidate *net_list_inbound(const struct net *net, size_t *count)
{
	struct evict_candidate *candidates = mem_calloc(net_open_peers(net) + 1, sizeof *candidates);

	*count = 0;
	for (const struct peer *peer = net->peers.first; peer != NULL; peer = peer->next) {
		struct evict_candidate *candidate = &candidates[*count];

		if (peer->closing || peer_outbound(peer))
			continue;
		candidate->id = peer->id;
		candidate->address = peer->address;
		candidate->started = peer->started;
		candidate->ping_ms = peer->ping_min_ms;
		memcpy(candidate->brought, peer->brought, sizeof candidate->brought);
		++*count;
	}
	return candidates;
}

/* Somebody who has connected to us goes. False: nobody has to. */
static bool net_make_place(struct net *net)
{
	size_t count;
	struct evict_candidate *candidates = net_list_inbound(net, &count);
	struct peer *loser = peers_find(&net->peers, evict_choose(candidates, count, net->evict_key));

	free(candidates);
	if (loser != NULL)
		peer_disconnect(loser, "its place is given to another");
	return loser != NULL;
}

/* A ban of the operator holds for connections of his own too; what the node discouraged by itself does not. Where
 * strangers have all descriptors one of them makes room. */
static bool net_may_connect(void *context, const struct netaddr *address)
{
	struct net *net = context;

	return net->active && !ban_given(&net->bans, address->ip, 128, clock_wall()) &&
		(net_open_peers(net) < net->max_open || net_make_place(net));
}

/* Why a connection from there is not taken, or NULL: then it has a place. Before a peer is made of it, so that a flood
 * of connections costs a descriptor each, for a moment. */
static const char *net_why_refused(struct net *net, const struct netaddr *address)
{
	const size_t open_count = net_open_peers(net);

	if (!net->active)
		return "the network is switched off";
	if (ban_covers(&net->bans, address, clock_wall()))
		return "the address is banned or discouraged";
	if (net_inbound_from(net, address) >= net->max_per_address)
		return "all places of its address are taken";
	if ((open_count >= net->max_peers || open_count >= net->max_open) && !net_make_place(net))
		return "all places are taken";
	return NULL;
}

static void net_on_accepted(void *context, int fd, const struct netaddr *from)
{
	struct net *net = context;
	const char *refusal = net_why_refused(net, from);

	if (refusal != NULL)
		log_debug(LOG_NET, "A connection is refused: %s", refusal);
	/* On failure the descriptor is still ours. */
	if (refusal != NULL || peer_new(&net->peers, PEER_INBOUND, from, NULL, fd) == NULL)
		evutil_closesocket(fd);
}

/* --- Opening and closing --- */

static bool net_add_names(struct net *net, const char *const *node_names, size_t count, struct errmsg *err)
{
	for (size_t i = 0; i < count; i++)
		if (net_add_node(net, node_names[i]) == NET_NODE_MALFORMED)
			return errmsg_set(err, "Not a node's name or address: \"%s\"", node_names[i]);
	return true;
}

static int64_t net_or_default(int64_t value, int64_t fallback)
{
	return value ? value : fallback;
}

static void net_init_peers(struct net *net, struct event_base *base, struct chain *chain,
	const struct net_options *options)
{
	struct peers *peers = &net->peers;

	peers->base = base;
	peers->chain = chain;
	message_limits_init(&peers->limits, chain_spec(chain));
	peers->timeouts = (struct peer_timeouts){
		.handshake = net_or_default(options->handshake_timeout, 60000),
		.ping_interval = 120000,
		.ping = net_or_default(options->ping_timeout, 1200000),
		.headers = 60000,
		.block = net_or_default(options->block_timeout, 60000),
		/* Shorter than what drops a request: it is the time that a whole branch waits. */
		.withheld = net_or_default(options->block_timeout, 60000) / 2,
		.blob_start = net_or_default(options->block_timeout, 15000),
		.blob = net_or_default(options->block_timeout, 60000),
		.tx = 60000,
		.write = 120000,
		.silence = 2000,
	};
	peers->hooks = (struct peer_hooks){ .context = net,
		.opened = net_on_opened,
		.ready = net_on_ready,
		.message = net_on_message,
		.drained = net_on_drained,
		.closed = net_on_closed,
		.misbehaved = net_on_misbehaved };
	snprintf(peers->agent, sizeof peers->agent, "%s", options->agent != NULL ? options->agent : "/atelier/");
	peers->work = mem_check(event_new(base, -1, 0, net_on_work, net));
}

static void net_subscribe(struct net *net)
{
	const struct chain_events notices = {
		.context = net,
		.tip = net_on_tip,
		.block_proven = net_on_block_proven,
		.block_verdict = net_on_block_verdict,
		.proof_verdict = net_on_proof_verdict,
		.tx_added = net_on_tx_added,
		.blob_wanted = net_on_blob_wanted,
		.blob_turn = net_on_blob_turn,
		.tx_put_off = net_on_tx_put_off,
	};

	chain_subscribe(net->peers.chain, &notices);
}

struct net *net_open(struct event_base *base, struct chain *chain, const struct net_options *options,
	struct errmsg *err)
{
	struct net *net = mem_calloc(1, sizeof *net);
	struct timeval tick_interval = { .tv_usec = NET_TICK_MS * 1000 };

	net_init_peers(net, base, chain, options);
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
	random_bytes(net->evict_key, sizeof net->evict_key);
	ban_init(&net->bans);
	outbound_init(&net->outbound, &net->peers, chain_spec(chain)->p2p_port);
	net->outbound.may_connect = net_may_connect;
	net->outbound.context = net;
	net->tick = mem_check(event_new(base, -1, EV_PERSIST, net_on_tick, net));
	event_add(net->tick, &tick_interval);
	if (options->listen)
		net->listen = listen_open(base, options->bind, options->port, net_on_accepted, net, err);
	if ((options->listen && net->listen == NULL) ||
		!net_add_names(net, options->connect, options->connect_count, err) ||
		!net_add_names(net, options->addnode, options->addnode_count, err)) {
		net_close(net);
		return NULL;
	}
	/* Last, as notices may come at once (a blob that is wanted) and find all parts there. */
	net_subscribe(net);
	return net;
}

static void net_disconnect_all(struct net *net, const char *why)
{
	for (struct peer *peer = net->peers.first; peer != NULL; peer = peer->next)
		peer_disconnect(peer, "%s", why);
}

/* No notice comes any more before the parts are gone; peers go through the same two strokes as ever, so that `closed`
 * is called for each while its parts are there. */
void net_close(struct net *net)
{
	chain_unsubscribe(net->peers.chain, net);
	if (net->listen != NULL)
		listen_close(net->listen);
	net_disconnect_all(net, "shutting down");
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
	return net->listen != NULL ? listen_port(net->listen) : 0;
}

void net_set_active(struct net *net, bool active)
{
	if (!active && net->active)
		net_disconnect_all(net, "the network is switched off");
	net->active = active;
}

bool net_active(const struct net *net)
{
	return net->active;
}
