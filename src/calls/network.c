/* The network: peers, named nodes, bans. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "calls/calls.h"
#include "calls/show.h"
#include "net/wire/message.h"
#include "util/clock.h"

static enum rpc_outcome call_getconnectioncount(struct rpc_request *r, void *context)
{
	struct net_counts counts;

	net_counts(context, &counts);
	return rpc_reply(r, json_integer((json_int_t)(counts.inbound + counts.outbound)));
}

static enum rpc_outcome call_getnetworkinfo(struct rpc_request *r, void *context)
{
	struct net *net = context;
	struct net_counts counts;
	json_t *object = json_object();

	net_counts(net, &counts);
	json_object_set_new(object, "version", json_integer(100));
	json_object_set_new(object, "subversion", json_string("/atelier:" VERSION "/"));
	json_object_set_new(object, "protocolversion", json_integer(MESSAGE_PROTOCOL));
	json_object_set_new(object, "networkactive", json_boolean(net_active(net)));
	json_object_set_new(object, "port", json_integer(net_port(net)));
	json_object_set_new(object, "connections", json_integer((json_int_t)(counts.inbound + counts.outbound)));
	json_object_set_new(object, "connections_in", json_integer((json_int_t)counts.inbound));
	json_object_set_new(object, "connections_out", json_integer((json_int_t)counts.outbound));
	json_object_set_new(object, "warnings", show_warnings());
	return rpc_reply(r, object);
}

static enum rpc_outcome call_getnettotals(struct rpc_request *r, void *context)
{
	struct net_counts counts;
	json_t *object = json_object();

	net_counts(context, &counts);
	json_object_set_new(object, "totalbytesrecv", json_integer((json_int_t)counts.bytes_received));
	json_object_set_new(object, "totalbytessent", json_integer((json_int_t)counts.bytes_sent));
	json_object_set_new(object, "timemillis", json_integer(clock_wall() * 1000));
	return rpc_reply(r, object);
}

/* Milliseconds as seconds, if there are any. */
static void add_seconds(json_t *object, const char *name, int64_t ms)
{
	if (ms >= 0)
		json_object_set_new(object, name, json_fixed(ms, 3));
}

static void show_peer(void *context, const struct net_peer_info *info)
{
	json_t *object = json_object(), *inflight = json_array();
	char services[17];

	/* Digits and not a number, as in Bitcoin Core: 64 bits do not survive a client that has doubles. */
	snprintf(services, sizeof services, "%016llx", (unsigned long long)info->services);
	json_object_set_new(object, "id", json_integer((json_int_t)info->id));
	json_object_set_new(object, "addr", json_string(info->address));
	if (info->local[0] != '\0')
		json_object_set_new(object, "addrlocal", json_string(info->local));
	json_object_set_new(object, "name", json_text(info->name, strlen(info->name)));
	json_object_set_new(object, "inbound", json_boolean(info->inbound));
	json_object_set_new(object, "connection_type",
		json_string(info->inbound    ? "inbound" :
				info->manual ? "manual" :
					       "outbound"));
	json_object_set_new(object, "handshake_done", json_boolean(info->ready));
	json_object_set_new(object, "version", json_integer(info->version));
	/* What a peer calls itself may be any bytes; json_text makes UTF-8 of them, and printing escapes the rest. */
	json_object_set_new(object, "subver", json_text(info->agent, strlen(info->agent)));
	json_object_set_new(object, "services", json_string(services));
	json_object_set_new(object, "relaytxes", json_boolean(info->relays_transactions));
	json_object_set_new(object, "startingheight", json_integer(info->start_height));
	json_object_set_new(object, "conntime", json_integer(info->connected_at));
	json_object_set_new(object, "lastsend", json_integer(info->last_sent));
	json_object_set_new(object, "lastrecv", json_integer(info->last_received));
	json_object_set_new(object, "timeoffset", json_integer(info->time_offset));
	json_object_set_new(object, "bytessent", json_integer((json_int_t)info->bytes_sent));
	json_object_set_new(object, "bytesrecv", json_integer((json_int_t)info->bytes_received));
	json_object_set_new(object, "messages_sent", json_integer((json_int_t)info->messages_sent));
	json_object_set_new(object, "messages_received", json_integer((json_int_t)info->messages_received));
	add_seconds(object, "pingtime", info->ping_ms);
	add_seconds(object, "minping", info->ping_min_ms);
	add_seconds(object, "pingwait", info->ping_wait_ms);
	json_object_set_new(object, "synced_headers", json_integer(info->synced_headers));
	json_object_set_new(object, "synced_blocks", json_integer(info->synced_blocks));
	for (size_t i = 0; i < info->inflight_count; i++)
		json_array_append_new(inflight, json_integer(info->inflight[i]));
	json_object_set_new(object, "inflight", inflight);
	json_object_set_new(object, "blobs_asked", json_integer((json_int_t)info->blobs_asked));
	json_object_set_new(object, "proofs_valid", json_integer((json_int_t)info->proofs_valid));
	json_object_set_new(object, "proofs_false", json_integer((json_int_t)info->proofs_false));
	json_array_append_new(context, object);
}

static enum rpc_outcome call_getpeerinfo(struct rpc_request *r, void *context)
{
	json_t *array = json_array();

	net_each_peer(context, show_peer, array);
	return rpc_reply(r, array);
}

static const struct rpc_arg addnode_args[] = {
	{ .name = "node", .type = RPC_TEXT, .max = 300, .help = "Address or name, perhaps with a port." },
	{ .name = "command",
		.type = RPC_TEXT,
		.max = 16,
		.help = "\"add\" keeps a connection to it, \"remove\" no longer does, \"onetry\" tries once." },
	{ 0 },
};

static enum rpc_outcome call_addnode(struct rpc_request *r, void *context)
{
	const char *node = rpc_text(r, "node"), *command = rpc_text(r, "command");
	enum net_node_result result;

	if (strcmp(command, "add") == 0)
		result = net_add_node(context, node);
	else if (strcmp(command, "remove") == 0)
		result = net_remove_node(context, node);
	else if (strcmp(command, "onetry") == 0)
		result = net_onetry(context, node);
	else
		return rpc_fail(r, RPC_INVALID_PARAMETER, "command must be add, remove or onetry");
	switch (result) {
	case NET_NODE_OK:
		return rpc_reply(r, NULL);
	case NET_NODE_KNOWN:
		return rpc_fail(r, RPC_NODE_ALREADY_ADDED, "Error: Node already added");
	case NET_NODE_UNKNOWN:
		return rpc_fail(r, RPC_NODE_NOT_ADDED,
			"Error: Node could not be removed. It has not been added previously.");
	case NET_NODE_MALFORMED:
		break;
	}
	return rpc_fail(r, RPC_INVALID_PARAMETER, "'%.64s' is no address or name", node);
}

static void show_node(void *context, const char *name, uint64_t peer)
{
	json_t *object = json_object();

	json_object_set_new(object, "addednode", json_text(name, strlen(name)));
	json_object_set_new(object, "connected", json_boolean(peer != 0));
	json_array_append_new(context, object);
}

static enum rpc_outcome call_getaddednodeinfo(struct rpc_request *r, void *context)
{
	json_t *array = json_array();

	net_each_node(context, show_node, array);
	return rpc_reply(r, array);
}

static const struct rpc_arg disconnectnode_args[] = {
	{ .name = "address", .type = RPC_TEXT, .fallback = "\"\"", .max = 300, .help = "The peer's address and port." },
	{ .name = "nodeid", .type = RPC_INT, .optional = true, .min = 0, .max = INT64_MAX, .help = "Or its number." },
	{ 0 },
};

static enum rpc_outcome call_disconnectnode(struct rpc_request *r, void *context)
{
	const char *address = rpc_text(r, "address");
	bool found;

	/* Both or neither, in Bitcoin Core's words, which are the same for either. */
	if ((address[0] != '\0') == rpc_has(r, "nodeid"))
		return rpc_fail(r, RPC_INVALID_PARAMETER, "Only one of address and nodeid should be provided.");
	found = rpc_has(r, "nodeid") ? net_disconnect(context, (uint64_t)rpc_int(r, "nodeid")) :
				       net_disconnect_address(context, address);
	return found ? rpc_reply(r, NULL) : rpc_fail(r, RPC_NODE_NOT_CONNECTED, "Node not found in connected nodes");
}

static const struct rpc_arg setnetworkactive_args[] = {
	{ .name = "state", .type = RPC_BOOL, .help = "Whether to talk to other nodes." },
	{ 0 },
};

static enum rpc_outcome call_setnetworkactive(struct rpc_request *r, void *context)
{
	net_set_active(context, rpc_bool(r, "state"));
	return rpc_reply(r, json_boolean(net_active(context)));
}

static enum rpc_outcome call_ping(struct rpc_request *r, void *context)
{
	net_ping_all(context);
	return rpc_reply(r, NULL);
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
static enum rpc_outcome answer_ban(struct rpc_request *r, enum net_node_result result)
{
	switch (result) {
	case NET_NODE_OK:
		return rpc_reply(r, NULL);
	case NET_NODE_KNOWN:
		return rpc_fail(r, RPC_NODE_ALREADY_ADDED, "Error: IP/Subnet already banned");
	case NET_NODE_UNKNOWN:
		return rpc_fail(r, RPC_INVALID_IP_OR_SUBNET,
			"Error: Unban failed. Requested address/subnet was not previously manually banned.");
	case NET_NODE_MALFORMED:
		break;
	}
	return rpc_fail(r, RPC_INVALID_IP_OR_SUBNET, "Error: Invalid IP/Subnet");
}

static enum rpc_outcome call_setban(struct rpc_request *r, void *context)
{
	const char *subnet = rpc_text(r, "subnet"), *command = rpc_text(r, "command");
	int64_t time = rpc_int(r, "bantime");

	if (strcmp(command, "remove") == 0)
		return answer_ban(r, net_unban(context, subnet));
	if (strcmp(command, "add") != 0)
		return rpc_fail(r, RPC_INVALID_PARAMETER, "command must be add or remove");
	/* Either way a duration from now on, of which one question tells whether it is past; 0 is a day, absolute or
	 * not. */
	if (time == 0)
		time = BAN_DEFAULT_SECONDS;
	else if (rpc_bool(r, "absolute"))
		time -= clock_wall();
	if (time <= 0)
		return rpc_fail(r, RPC_INVALID_PARAMETER, "Error: Absolute timestamp is in the past");
	return answer_ban(r, net_ban(context, subnet, clock_wall() + time));
}

static void show_ban(void *context, const struct ban *ban)
{
	json_t *object = json_object();
	char subnet[NETADDR_TEXT];

	netaddr_format_subnet(ban->ip, ban->prefix, subnet);
	json_object_set_new(object, "address", json_string(subnet));
	json_object_set_new(object, "ban_created", json_integer(ban->created));
	json_object_set_new(object, "banned_until", json_integer(ban->until));
	json_object_set_new(object, "ban_duration", json_integer(ban->until - ban->created));
	json_object_set_new(object, "discouraged", json_boolean(ban->discouraged));
	json_array_append_new(context, object);
}

static enum rpc_outcome call_listbanned(struct rpc_request *r, void *context)
{
	json_t *array = json_array();

	net_each_ban(context, show_ban, array);
	return rpc_reply(r, array);
}

static enum rpc_outcome call_clearbanned(struct rpc_request *r, void *context)
{
	net_clear_bans(context);
	return rpc_reply(r, NULL);
}

static const struct rpc_method methods[] = {
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
	rpc_table_add(table, methods, sizeof methods / sizeof *methods, net);
}
