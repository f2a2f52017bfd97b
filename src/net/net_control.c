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

void net_each_node(const struct net *net, void (*fn)(void *context, const char *name, uint64_t peer), void *context)
{
	for (const struct outbound_peer *node = net->outbound.first; node != NULL; node = node->next)
		if (!node->once)
			fn(context, node->name, node->peer);
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
	char text[NETADDR_TEXT];

	for (struct peer *p = net->peers.first; p != NULL; p = p->next) {
		netaddr_format(&p->address, text);
		if (!p->closing && (strcmp(text, address) == 0 || strcmp(p->name, address) == 0))
			return net_disconnect(net, p->id);
	}
	return false;
}

void net_ping_all(struct net *net)
{
	for (struct peer *p = net->peers.first; p != NULL; p = p->next)
		if (peer_usable(p))
			peer_ping(p);
}

void net_counts(const struct net *net, struct net_counts *counts)
{
	*counts = (struct net_counts){ .bytes_sent = net->peers.bytes_sent,
		.bytes_received = net->peers.bytes_received };
	for (const struct peer *p = net->peers.first; p != NULL; p = p->next) {
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

/* Heights are of the branch the peer has shown: how far it goes, and how much of it is connected here. */
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
	for (const struct peer *p = net->peers.first; p != NULL; p = p->next)
		if (!p->closing && transport_connected(p->wire))
			show_peer(p, fn, context);
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
	for (struct peer *p = net->peers.first; p != NULL; p = p->next)
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
