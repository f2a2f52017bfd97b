/* What the operator sees of the network and does to it: named nodes, peers, bans. The functions are net.h's. */
#include <string.h>

#include "net/net.h"
#include "net/net_state.h"
#include "util/clock.h"

/* --- Named nodes --- */

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

void net_each_node(const struct net *net, void (*visit)(void *context, const char *name, uint64_t peer), void *context)
{
	for (const struct outbound_peer *node = net->outbound.first; node != NULL; node = node->next)
		if (!node->once)
			visit(context, node->name, node->peer);
}

/* --- Peers --- */

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
	char peer_text[NETADDR_TEXT];

	for (struct peer *peer = net->peers.first; peer != NULL; peer = peer->next) {
		netaddr_format(&peer->address, peer_text);
		if (!peer->closing && (strcmp(peer_text, address) == 0 || strcmp(peer->name, address) == 0))
			return net_disconnect(net, peer->id);
	}
	return false;
}

void net_ping_all(struct net *net)
{
	for (struct peer *peer = net->peers.first; peer != NULL; peer = peer->next)
		if (peer_usable(peer))
			peer_ping(peer);
}

void net_counts(const struct net *net, struct net_counts *counts)
{
	*counts = (struct net_counts){ .bytes_sent = net->peers.bytes_sent,
		.bytes_received = net->peers.bytes_received };
	for (const struct peer *peer = net->peers.first; peer != NULL; peer = peer->next) {
		const struct transport_counts *wire_counts = transport_counts(peer->wire);

		counts->bytes_sent += wire_counts->bytes_sent;
		counts->bytes_received += wire_counts->bytes_received;
		if (!peer_usable(peer))
			continue;
		if ((peer->version.services & MESSAGE_ALL) == 0)
			counts->pruned++;
		if (peer_outbound(peer))
			counts->outbound++;
		else
			counts->inbound++;
	}
}

/* Heights are of the branch the peer has shown: how far it goes, and how much of it is connected here. */
static void net_show_peer(const struct peer *peer, void (*visit)(void *context, const struct net_peer_info *peer_info),
	void *context)
{
	const struct transport_counts *wire_counts = transport_counts(peer->wire);
	const struct index_entry *common_entry = sync_headers_common(peer);
	char peer_address[NETADDR_TEXT];
	struct net_peer_info peer_info = {
		.id = peer->id,
		.address = peer_address,
		.local = peer->local,
		.name = peer->name,
		.inbound = !peer_outbound(peer),
		.manual = peer->kind == PEER_MANUAL,
		.ready = peer->ready,
		.version = peer->version.version,
		.services = peer->version.services,
		.agent = peer->version.agent,
		.start_height = peer->version.height,
		.relays_transactions = peer->version.relay,
		.connected_at = peer->connected_at,
		.last_sent = wire_counts->last_sent,
		.last_received = wire_counts->last_received,
		.time_offset = peer->time_offset,
		.bytes_sent = wire_counts->bytes_sent,
		.bytes_received = wire_counts->bytes_received,
		.messages_sent = wire_counts->messages_sent,
		.messages_received = wire_counts->messages_received,
		.ping_ms = peer->ping_ms,
		.ping_min_ms = peer->ping_min_ms,
		.ping_wait_ms = peer->ping_nonce ? clock_mono_ms() - peer->ping_sent : -1,
		.synced_headers = common_entry != NULL ? (int64_t)sync_headers_best(peer)->height : -1,
		.synced_blocks = common_entry != NULL ? (int64_t)common_entry->height : -1,
		.blobs_asked = blob_fetch_asked(peer),
		.proofs_valid = peer->proofs_valid,
		.proofs_false = peer->proofs_false,
	};

	netaddr_format(&peer->address, peer_address);
	peer_info.inflight_count = sync_blocks_asked(peer, peer_info.inflight);
	visit(context, &peer_info);
}

void net_each_peer(const struct net *net, void (*visit)(void *context, const struct net_peer_info *info), void *context)
{
	for (const struct peer *peer = net->peers.first; peer != NULL; peer = peer->next)
		if (!peer->closing && transport_connected(peer->wire))
			net_show_peer(peer, visit, context);
}

/* --- Bans --- */

/* An address inside a banned subnet is known already; a subnet only if it is the same. */
enum net_node_result net_ban(struct net *net, const char *subnet, int64_t until)
{
	struct ban ban = { .created = clock_wall(), .until = until };

	if (!netaddr_parse_subnet(ban.ip, &ban.prefix, subnet))
		return NET_NODE_MALFORMED;
	if (ban_given(&net->bans, ban.ip, ban.prefix, ban.created))
		return NET_NODE_KNOWN;
	ban_add(&net->bans, &ban);
	for (struct peer *peer = net->peers.first; peer != NULL; peer = peer->next)
		if (netaddr_in_subnet(&peer->address, ban.ip, ban.prefix))
			peer_disconnect(peer, "its address was banned");
	return NET_NODE_OK;
}

enum net_node_result net_unban(struct net *net, const char *subnet)
{
	uint8_t unbanned_ip[16];
	unsigned unbanned_prefix;

	if (!netaddr_parse_subnet(unbanned_ip, &unbanned_prefix, subnet))
		return NET_NODE_MALFORMED;
	return ban_remove(&net->bans, unbanned_ip, unbanned_prefix) ? NET_NODE_OK : NET_NODE_UNKNOWN;
}

void net_clear_bans(struct net *net)
{
	ban_clear(&net->bans);
}

void net_each_ban(struct net *net, void (*visit)(void *context, const struct ban *ban), void *context)
{
	int64_t now = clock_wall();

	for (size_t i = 0; i < net->bans.count; i++)
		if (net->bans.bans[i].until > now)
			visit(context, &net->bans.bans[i]);
}
