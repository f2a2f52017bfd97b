/* The network: what the rest of the node sees of src/net.
 *
 * One struct net owns the listening sockets, the peers, and the parts that decide what to say to them: sync (headers
 * and blocks), blobs, relay (loose proofs and transactions), serve. It subscribes to the chain's notices by itself.
 * Everything runs on the event loop's thread; no function blocks.
 *
 * There is no discovery: outbound connections are the configured ones (-connect, -addnode, RPC addnode), made again
 * with growing pauses when they end. Nodes are named "host", "host:port", "1.2.3.4:port" or "[v6]:port"; names are
 * resolved each time anew.
 *
 * Life: chain_open, net_open, run the loop, net_close, chain_close. */
#ifndef ATELIER_NET_NET_H
#define ATELIER_NET_NET_H

#include <event2/event.h>

#include "chain/chain.h"
#include "net/door/ban.h"
#include "util/error.h"

struct net;

struct net_options {
	bool listen;
	const char *bind;           /* numeric address, perhaps with a port; NULL: every address */
	uint16_t port;              /* 0: any free one, see net_port */
	size_t max_peers;           /* beyond so many connections an inbound one has to take the place of another */
	size_t max_per_address;     /* inbound ones of one address (IPv6: of a /64); 0: no bound of their own */
	size_t max_open;            /* connections of any kind: what descriptors allow; 0: no bound */
	const char *const *connect; /* if any: connect to these */
	size_t connect_count;
	const char *const *addnode;
	size_t addnode_count;
	const char *agent; /* "/atelier:0.1.0/" */
	/* Milliseconds, each 0 for the default. For tests. */
	int64_t handshake_timeout, ping_timeout, block_timeout;
};

/* Listens and starts to connect. NULL with the error set if a socket cannot be bound or a name is malformed. */
struct net *net_open(struct event_base *base, struct chain *chain, const struct net_options *options,
	struct errmsg *err);
void net_close(struct net *net);

/* The port it listens on; 0: it does not. */
uint16_t net_port(const struct net *net);

/* Off: all connections end and none are made or taken. On is the state at the start. */
void net_set_active(struct net *net, bool active);
bool net_active(const struct net *net);

/* Named nodes. */
enum net_node_result { NET_NODE_OK, NET_NODE_KNOWN, NET_NODE_UNKNOWN, NET_NODE_MALFORMED };
enum net_node_result net_add_node(struct net *net, const char *name);    /* KNOWN: it is on the list already */
enum net_node_result net_remove_node(struct net *net, const char *name); /* UNKNOWN; a connection stays */
enum net_node_result net_onetry(struct net *net, const char *name);      /* one attempt, not kept on the list */
/* visit is called for each named node; peer: its connection's number, 0 if it has none now. */
void net_each_node(const struct net *net, void (*visit)(void *context, const char *name, uint64_t peer), void *context);

/* False: no such peer. An address is "ip:port" as in net_peer_info. */
bool net_disconnect(struct net *net, uint64_t peer);
bool net_disconnect_address(struct net *net, const char *address);
void net_ping_all(struct net *net);

/* Connections whose handshake is done. */
struct net_counts {
	size_t inbound, outbound;
	size_t pruned;                       /* of both, those that do not say that they have all */
	uint64_t bytes_sent, bytes_received; /* since the start, ended connections included */
};
void net_counts(const struct net *net, struct net_counts *counts);

/* What getpeerinfo shows. Texts and arrays are borrowed for the time of the call. */
struct net_peer_info {
	uint64_t id;
	const char *address, *local; /* "ip:port"; local may be "" */
	const char *name;            /* as configured; the address for inbound peers */
	bool inbound, manual;
	bool ready; /* the handshake is done; else the fields of their version are zero */
	uint32_t version;
	uint64_t services;
	const char *agent;
	uint32_t start_height;
	bool relays_transactions;
	int64_t connected_at, last_sent, last_received, time_offset; /* Unix seconds; seconds */
	uint64_t bytes_sent, bytes_received, messages_sent, messages_received;
	int64_t ping_ms, ping_min_ms, ping_wait_ms; /* -1: none */
	int64_t synced_headers, synced_blocks;      /* heights; -1: nothing shown yet */
	uint32_t inflight[16];                      /* heights of blocks asked of it */
	size_t inflight_count;
	size_t blobs_asked;
	uint64_t proofs_valid, proofs_false; /* received and executed */
};
void net_each_peer(const struct net *net, void (*visit)(void *context, const struct net_peer_info *info),
	void *context);

/* Banned by the operator and discouraged by the node itself. `subnet` is "ip" or "ip/bits". Banning ends connections.
 * KNOWN: the operator has banned that subnet already, or one around that address. */
enum net_node_result net_ban(struct net *net, const char *subnet, int64_t until);
enum net_node_result net_unban(struct net *net, const char *subnet);
void net_clear_bans(struct net *net);
void net_each_ban(struct net *net, void (*visit)(void *context, const struct ban *ban), void *context);

#endif
