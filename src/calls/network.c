/* The network: peers, named nodes, bans. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "net/wire/message.h"
#include "util/clock.h"

static enum rpc_outcome call_getconnectioncount(struct rpc_request *network_request, void *context)
{
	struct net_counts peer_counts;

	net_counts(context, &peer_counts);
	return rpc_reply(network_request, json_integer((json_int_t)(peer_counts.inbound + peer_counts.outbound)));
}

static enum rpc_outcome call_getnetworkinfo(struct rpc_request *network_request, void *context)
{
	struct net *net = context;
	struct net_counts peer_counts;
	json_t *network_info = json_object();

	net_counts(net, &peer_counts);
	json_object_set_new(network_info, "version", json_integer(100));
	json_object_set_new(network_info, "subversion", json_string("/atelier:" VERSION "/"));
	json_object_set_new(network_info, "protocolversion", json_integer(MESSAGE_PROTOCOL));
	json_object_set_new(network_info, "networkactive", json_boolean(net_active(net)));
	json_object_set_new(network_info, "port", json_integer(net_port(net)));
	json_object_set_new(network_info, "connections",
		json_integer((json_int_t)(peer_counts.inbound + peer_counts.outbound)));
	json_object_set_new(network_info, "connections_in", json_integer((json_int_t)peer_counts.inbound));
	json_object_set_new(network_info, "connections_out", json_integer((json_int_t)peer_counts.outbound));
	json_object_set_new(network_info, "warnings", show_warnings());
	return rpc_reply(network_request, network_info);
}

static enum rpc_outcome call_getnettotals(struct rpc_request *network_request, void *context)
{
	struct net_counts peer_counts;
	json_t *traffic = json_object();

	net_counts(context, &peer_counts);
	json_object_set_new(traffic, "totalbytesrecv", json_integer((json_int_t)peer_counts.bytes_received));
	json_object_set_new(traffic, "totalbytessent", json_integer((json_int_t)peer_counts.bytes_sent));
	json_object_set_new(traffic, "timemillis", json_integer(clock_wall() * 1000));
	return rpc_reply(network_request, traffic);
}

/* Milliseconds as seconds, if there are any. */
static void network_add_seconds(json_t *peer_shown, const char *name, int64_t ms)
{
	if (ms >= 0)
		json_object_set_new(peer_shown, name, json_fixed(ms, 3));
}

static void network_show_peer(void *peers_shown, const struct net_peer_info *peer_info)
{
	json_t *peer_shown = json_object(), *inflight = json_array();
	char peer_services[17];

	/* Digits and not a number, as in Bitcoin Core: 64 bits do not survive a client that has doubles. */
	snprintf(peer_services, sizeof peer_services, "%016llx", (unsigned long long)peer_info->services);
	json_object_set_new(peer_shown, "id", json_integer((json_int_t)peer_info->id));
	json_object_set_new(peer_shown, "addr", json_string(peer_info->address));
	if (peer_info->local[0] != '\0')
		json_object_set_new(peer_shown, "addrlocal", json_string(peer_info->local));
	json_object_set_new(peer_shown, "name", json_text(peer_info->name, strlen(peer_info->name)));
	json_object_set_new(peer_shown, "inbound", json_boolean(peer_info->inbound));
	json_object_set_new(peer_shown, "connection_type",
		json_string(peer_info->inbound    ? "inbound" :
				peer_info->manual ? "manual" :
						    "outbound"));
	json_object_set_new(peer_shown, "handshake_done", json_boolean(peer_info->ready));
	json_object_set_new(peer_shown, "version", json_integer(peer_info->version));
	/* What a peer calls itself may be any bytes; json_text makes UTF-8 of them, and printing escapes the rest. */
	json_object_set_new(peer_shown, "subver", json_text(peer_info->agent, strlen(peer_info->agent)));
	json_object_set_new(peer_shown, "services", json_string(peer_services));
	json_object_set_new(peer_shown, "relaytxes", json_boolean(peer_info->relays_transactions));
	json_object_set_new(peer_shown, "startingheight", json_integer(peer_info->start_height));
	json_object_set_new(peer_shown, "conntime", json_integer(peer_info->connected_at));
	json_object_set_new(peer_shown, "lastsend", json_integer(peer_info->last_sent));
	json_object_set_new(peer_shown, "lastrecv", json_integer(peer_info->last_received));
	json_object_set_new(peer_shown, "timeoffset", json_integer(peer_info->time_offset));
	json_object_set_new(peer_shown, "bytessent", json_integer((json_int_t)peer_info->bytes_sent));
	json_object_set_new(peer_shown, "bytesrecv", json_integer((json_int_t)peer_info->bytes_received));
	json_object_set_new(peer_shown, "messages_sent", json_integer((json_int_t)peer_info->messages_sent));
	json_object_set_new(peer_shown, "messages_received", json_integer((json_int_t)peer_info->messages_received));
	network_add_seconds(peer_shown, "pingtime", peer_info->ping_ms);
	network_add_seconds(peer_shown, "minping", peer_info->ping_min_ms);
	network_add_seconds(peer_shown, "pingwait", peer_info->ping_wait_ms);
	json_object_set_new(peer_shown, "synced_headers", json_integer(peer_info->synced_headers));
	json_object_set_new(peer_shown, "synced_blocks", json_integer(peer_info->synced_blocks));
	for (size_t i = 0; i < peer_info->inflight_count; i++)
		json_array_append_new(inflight, json_integer(peer_info->inflight[i]));
	json_object_set_new(peer_shown, "inflight", inflight);
	json_object_set_new(peer_shown, "blobs_asked", json_integer((json_int_t)peer_info->blobs_asked));
	json_object_set_new(peer_shown, "proofs_valid", json_integer((json_int_t)peer_info->proofs_valid));
	json_object_set_new(peer_shown, "proofs_false", json_integer((json_int_t)peer_info->proofs_false));
	json_array_append_new(peers_shown, peer_shown);
}

static enum rpc_outcome call_getpeerinfo(struct rpc_request *network_request, void *context)
{
	json_t *peers_shown = json_array();

	net_each_peer(context, network_show_peer, peers_shown);
	return rpc_reply(network_request, peers_shown);
}

static const struct rpc_arg addnode_args[] = {
	{ .name = "node", .type = RPC_TEXT, .max = 300, .help = "Address or name, perhaps with a port." },
	{ .name = "command",
		.type = RPC_TEXT,
		.max = 16,
		.help = "\"add\" keeps a connection to it, \"remove\" no longer does, \"onetry\" tries once." },
	{ 0 },
};

static enum rpc_outcome call_addnode(struct rpc_request *network_request, void *context)
{
	const char *node = rpc_text(network_request, "node"), *node_command = rpc_text(network_request, "command");
	enum net_node_result node_result;

	if (strcmp(node_command, "add") == 0)
		node_result = net_add_node(context, node);
	else if (strcmp(node_command, "remove") == 0)
		node_result = net_remove_node(context, node);
	else if (strcmp(node_command, "onetry") == 0)
		node_result = net_onetry(context, node);
	else
		return rpc_fail(network_request, RPC_INVALID_PARAMETER, "command must be add, remove or onetry");
	switch (node_result) {
	case NET_NODE_OK:
		return rpc_reply(network_request, NULL);
	case NET_NODE_KNOWN:
		return rpc_fail(network_request, RPC_NODE_ALREADY_ADDED, "Error: Node already added");
	case NET_NODE_UNKNOWN:
		return rpc_fail(network_request, RPC_NODE_NOT_ADDED,
			"Error: Node could not be removed. It has not been added previously.");
	case NET_NODE_MALFORMED:
		break;
	}
	return rpc_fail(network_request, RPC_INVALID_PARAMETER, "'%.64s' is no address or name", node);
}

static void network_show_node(void *nodes_shown, const char *node_name, uint64_t peer)
{
	json_t *node_shown = json_object();

	json_object_set_new(node_shown, "addednode", json_text(node_name, strlen(node_name)));
	json_object_set_new(node_shown, "connected", json_boolean(peer != 0));
	json_array_append_new(nodes_shown, node_shown);
}

static enum rpc_outcome call_getaddednodeinfo(struct rpc_request *network_request, void *context)
{
	json_t *nodes_shown = json_array();

	net_each_node(context, network_show_node, nodes_shown);
	return rpc_reply(network_request, nodes_shown);
}

static const struct rpc_arg disconnectnode_args[] = {
	{ .name = "address", .type = RPC_TEXT, .fallback = "\"\"", .max = 300, .help = "The peer's address and port." },
	{ .name = "nodeid", .type = RPC_INT, .optional = true, .min = 0, .max = INT64_MAX, .help = "Or its number." },
	{ 0 },
};

static enum rpc_outcome call_disconnectnode(struct rpc_request *network_request, void *context)
{
	const char *peer_address = rpc_text(network_request, "address");
	bool was_connected;

	/* Both or neither, in Bitcoin Core's words, which are the same for either. */
	if ((peer_address[0] != '\0') == rpc_has(network_request, "nodeid"))
		return rpc_fail(network_request, RPC_INVALID_PARAMETER,
			"Only one of address and nodeid should be provided.");
	was_connected = rpc_has(network_request, "nodeid") ?
		net_disconnect(context, (uint64_t)rpc_int(network_request, "nodeid")) :
		net_disconnect_address(context, peer_address);
	return was_connected ? rpc_reply(network_request, NULL) :
			       rpc_fail(network_request, RPC_NODE_NOT_CONNECTED, "Node not found in connected nodes");
}

static const struct rpc_arg setnetworkactive_args[] = {
	{ .name = "state", .type = RPC_BOOL, .help = "Whether to talk to other nodes." },
	{ 0 },
};

static enum rpc_outcome call_setnetworkactive(struct rpc_request *network_request, void *context)
{
	net_set_active(context, rpc_bool(network_request, "state"));
	return rpc_reply(network_request, json_boolean(net_active(context)));
}

static enum rpc_outcome call_ping(struct rpc_request *network_request, void *context)
{
	net_ping_all(context);
	return rpc_reply(network_request, NULL);
}

static const struct rpc_arg setban_args[] = {
	{ .name = "subnet", .type = RPC_TEXT, .max = 64, .help = "An address, or a subnet such as 10.0.0.0/8." },
	{ .name = "command", .type = RPC_TEXT, .max = 8, .help = "\"add\" or \"remove\"." },
	{ .name = "bantime",
		.type = RPC_INT,
		.fallback = "0",
		.min = 0,
		.max = UINT32_MAX,
		.help = "For how many seconds, or until which Unix time (absolute); 0: a day." },
	{ .name = "absolute", .type = RPC_BOOL, .fallback = "false", .help = "bantime is a Unix time." },
	{ 0 },
};

/* In Bitcoin Core's words. */
static enum rpc_outcome network_answer_ban(struct rpc_request *network_request, enum net_node_result ban_result)
{
	switch (ban_result) {
	case NET_NODE_OK:
		return rpc_reply(network_request, NULL);
	case NET_NODE_KNOWN:
		return rpc_fail(network_request, RPC_NODE_ALREADY_ADDED, "Error: IP/Subnet already banned");
	case NET_NODE_UNKNOWN:
		return rpc_fail(network_request, RPC_INVALID_IP_OR_SUBNET,
			"Error: Unban failed. Requested address/subnet was not previously manually banned.");
	case NET_NODE_MALFORMED:
		break;
	}
	return rpc_fail(network_request, RPC_INVALID_IP_OR_SUBNET, "Error: Invalid IP/Subnet");
}

static enum rpc_outcome call_setban(struct rpc_request *network_request, void *context)
{
	const char *subnet = rpc_text(network_request, "subnet"), *ban_command = rpc_text(network_request, "command");
	int64_t ban_seconds = rpc_int(network_request, "bantime");

	if (strcmp(ban_command, "remove") == 0)
		return network_answer_ban(network_request, net_unban(context, subnet));
	if (strcmp(ban_command, "add") != 0)
		return rpc_fail(network_request, RPC_INVALID_PARAMETER, "command must be add or remove");
	/* Either way a duration from now on, of which one question tells whether it is past; 0 is a day, absolute or
	 * not. */
	if (ban_seconds == 0)
		ban_seconds = BAN_DEFAULT_SECONDS;
	else if (rpc_bool(network_request, "absolute"))
		ban_seconds -= clock_wall();
	if (ban_seconds <= 0)
		return rpc_fail(network_request, RPC_INVALID_PARAMETER, "Error: Absolute timestamp is in the past");
	return network_answer_ban(network_request, net_ban(context, subnet, clock_wall() + ban_seconds));
}

static void network_show_ban(void *bans_shown, const struct ban *ban)
{
	json_t *ban_shown = json_object();
	char banned_subnet[NETADDR_TEXT];

	netaddr_format_subnet(ban->ip, ban->prefix, banned_subnet);
	json_object_set_new(ban_shown, "address", json_string(banned_subnet));
	json_object_set_new(ban_shown, "ban_created", json_integer(ban->created));
	json_object_set_new(ban_shown, "banned_until", json_integer(ban->until));
	json_object_set_new(ban_shown, "ban_duration", json_integer(ban->until - ban->created));
	json_object_set_new(ban_shown, "discouraged", json_boolean(ban->discouraged));
	json_array_append_new(bans_shown, ban_shown);
}

static enum rpc_outcome call_listbanned(struct rpc_request *network_request, void *context)
{
	json_t *bans_shown = json_array();

	net_each_ban(context, network_show_ban, bans_shown);
	return rpc_reply(network_request, bans_shown);
}

static enum rpc_outcome call_clearbanned(struct rpc_request *network_request, void *context)
{
	net_clear_bans(context);
	return rpc_reply(network_request, NULL);
}

static const struct rpc_method network_methods[] = {
	{ "getconnectioncount", "Network", call_getconnectioncount, NULL, "Counts the connections to other nodes.",
		"n  (number)", NULL, 0 },
	{ "getnetworkinfo", "Network", call_getnetworkinfo, NULL, "Tells how this node stands in the network.",
		"{\"version\", \"subversion\", \"protocolversion\", \"networkactive\", \"port\", "
		"\"connections\", \"connections_in\",\n"
		" \"connections_out\", \"warnings\"}",
		NULL, 0 },
	{ "getnettotals", "Network", call_getnettotals, NULL, "Counts the traffic.",
		"{\"totalbytesrecv\", \"totalbytessent\", \"timemillis\"}", NULL, 0 },
	{ "getpeerinfo", "Network", call_getpeerinfo, NULL, "Lists the connections to other nodes.",
		"[{\"id\", \"addr\", \"addrlocal\", \"name\", \"inbound\", \"connection_type\", "
		"\"handshake_done\", \"version\",\n"
		"  \"subver\", \"services\", \"relaytxes\", \"startingheight\", \"conntime\", \"lastsend\", "
		"\"lastrecv\", \"timeoffset\",\n"
		"  \"bytessent\", \"bytesrecv\", \"messages_sent\", \"messages_received\", "
		"\"pingtime\", \"minping\", \"pingwait\",\n"
		"  \"synced_headers\", \"synced_blocks\", \"inflight\": [heights], \"blobs_asked\",\n"
		"  \"proofs_valid\", \"proofs_false\"}]   proofs it sent, by what executing them gave",
		NULL, 0 },
	{ "addnode", "Network", call_addnode, addnode_args, "Adds, removes or tries a node to connect to.", NULL,
		"\"192.168.0.6:29433\" \"add\"", 0 },
	{ "getaddednodeinfo", "Network", call_getaddednodeinfo, NULL, "Lists the nodes that were named.",
		"[{\"addednode\", \"connected\"}]", NULL, 0 },
	{ "disconnectnode", "Network", call_disconnectnode, disconnectnode_args, "Ends a connection.", NULL,
		"\"192.168.0.6:29433\"", 0 },
	{ "setnetworkactive", "Network", call_setnetworkactive, setnetworkactive_args,
		"Switches all connections off or on.", "bool", "false", 0 },
	{ "ping", "Network", call_ping, NULL, "Measures the way to all peers; see getpeerinfo's pingtime.", NULL, NULL,
		0 },
	{ "setban", "Network", call_setban, setban_args, "Bans an address or subnet, or no longer does.", NULL,
		"\"192.168.0.6\" \"add\" 86400", 0 },
	{ "listbanned", "Network", call_listbanned, NULL, "Lists whom this node does not talk to.",
		"[{\"address\", \"ban_created\", \"banned_until\", \"ban_duration\", \"discouraged\"}]", NULL, 0 },
	{ "clearbanned", "Network", call_clearbanned, NULL, "Lifts all bans.", NULL, NULL, 0 },
};

void calls_network_add(struct rpc_table *table, struct net *net)
{
	rpc_table_add(table, network_methods, sizeof network_methods / sizeof *network_methods, net);
}
