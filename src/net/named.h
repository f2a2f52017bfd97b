/* The nodes we connect to by name, and when to try each next: seconds after a first failure, minutes after many. */
#ifndef ATELIER_NET_NAMED_H
#define ATELIER_NET_NAMED_H

#include "net/peer.h"

struct evdns_base;

struct named_node {
	struct named_node *next;
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
	struct named_node *first;
	struct evdns_base *resolver; /* made when the first name that is not numeric comes */
	uint16_t default_port;
	/* Asked before each connection. */
	bool (*may_connect)(void *context, const struct address *address);
	void *context;
};

void named_init(struct named *named, struct peers *peers, uint16_t default_port);
void named_clear(struct named *named);

struct named_node *named_find(const struct named *named, const char *name);
/* NULL if the name is malformed. The first attempt comes with the next named_tick. */
struct named_node *named_add(struct named *named, const char *name, bool once);
void named_remove(struct named *named, struct named_node *node);

/* The node's connection has ended: plans the next attempt, later if it never got to a handshake or misbehaved. */
void named_peer_gone(struct named *named, const struct peer *peer);
void named_tick(struct named *named, int64_t now);

#endif
