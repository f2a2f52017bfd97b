/* The nodes we connect to by name, and when to try each next: seconds after a first failure, minutes after many. */
#ifndef ATELIER_NET_OUTBOUND_H
#define ATELIER_NET_OUTBOUND_H

#include "net/peer.h"

struct evdns_base;

struct outbound_peer {
	struct outbound_peer *next;
	char name[NETADDR_HOST + 8];
	bool once; /* RPC onetry: forgotten after the attempt */
	bool resolving;
	bool removed;              /* freed when the resolver has answered */
	unsigned attempt;          /* counts how often its name was resolved */
	uint64_t peer;             /* its connection, 0: none */
	int64_t not_before, pause; /* clock_mono_ms; ms */
	struct outbound *set;
};

struct outbound {
	struct peers *peers;
	struct outbound_peer *first;
	struct evdns_base *resolver; /* made when the first name that is not numeric comes */
	uint16_t default_port;
	/* Asked before each connection. */
	bool (*may_connect)(void *context, const struct netaddr *address);
	void *context;
};

void outbound_init(struct outbound *outbound, struct peers *peers, uint16_t default_port);
void outbound_clear(struct outbound *outbound);

struct outbound_peer *outbound_find(const struct outbound *outbound, const char *name);
/* NULL if the name is malformed. The first attempt comes with the next outbound_tick. */
struct outbound_peer *outbound_add(struct outbound *outbound, const char *name, bool once);
void outbound_remove(struct outbound *outbound, struct outbound_peer *node);

/* The node's connection has ended: plans the next attempt, later if it never got to a handshake or misbehaved. */
void outbound_peer_gone(struct outbound *outbound, const struct peer *peer);
void outbound_tick(struct outbound *outbound, int64_t now);

#endif
