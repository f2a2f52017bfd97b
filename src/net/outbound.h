/* The nodes we connect to by name, and when to try each next: seconds after a first failure, minutes after many. */
#ifndef ATELIER_NET_OUTBOUND_H
#define ATELIER_NET_OUTBOUND_H

#include "net/peer.h"

struct evdns_base;

struct outbound_peer {
	struct outbound_peer *next;
	char name[HOST_TEXT + 8];
	bool once; /* RPC onetry: forgotten after the attempt */
	bool resolving;
	bool removed;              /* freed when the resolver has answered */
	unsigned attempt;          /* counts how often its name was resolved */
	uint64_t peer;             /* its connection, 0: none */
	int64_t not_before, pause; /* clock_mono_ms; ms */
	struct named *set;
};

struct named {
	struct peers *peers;
	struct outbound_peer *first;
	struct evdns_base *resolver; /* made when the first name that is not numeric comes */
	uint16_t default_port;
	/* Asked before each connection. */
	bool (*may_connect)(void *context, const struct address *address);
	void *context;
};

void outbound_init(struct named *named, struct peers *peers, uint16_t default_port);
void outbound_clear(struct named *named);

struct outbound_peer *outbound_find(const struct named *named, const char *name);
/* NULL if the name is malformed. The first attempt comes with the next outbound_tick. */
struct outbound_peer *outbound_add(struct named *named, const char *name, bool once);
void outbound_remove(struct named *named, struct outbound_peer *node);

/* The node's connection has ended: plans the next attempt, later if it never got to a handshake or misbehaved. */
void outbound_peer_gone(struct named *named, const struct peer *peer);
void outbound_tick(struct named *named, int64_t now);

#endif
