/* Configured connections. One of them is waiting (not_before), being resolved, or connected (peer): never two of these,
 * so that a name has one connection at most. */
#include "net/outbound.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum { OUTBOUND_FIRST_PAUSE_MS = 1000, OUTBOUND_LAST_PAUSE_MS = 60000, OUTBOUND_PUNISHED_PAUSE_MS = 600000 };

void outbound_init(struct outbound *outbound, struct peers *peers, uint16_t default_port)
{
	*outbound = (struct outbound){ .peers = peers, .default_port = default_port };
}

/* A node whose name is being resolved is freed by the answer, which comes even when the resolver is freed. */
void outbound_clear(struct outbound *outbound)
{
	while (outbound->first != NULL)
		outbound_remove(outbound, outbound->first);
	if (outbound->resolver != NULL)
		evdns_base_free(outbound->resolver, 1);
	outbound->resolver = NULL;
}

struct outbound_peer *outbound_find(const struct outbound *outbound, const char *name)
{
	for (struct outbound_peer *node = outbound->first; node; node = node->next)
		if (!node->once && strcmp(node->name, name) == 0)
			return node;
	return NULL;
}

struct outbound_peer *outbound_add(struct outbound *outbound, const char *name, bool once)
{
	char node_host[NETADDR_HOST];
	uint16_t port;
	struct outbound_peer *node;

	if (!netaddr_split(name, outbound->default_port, node_host, &port))
		return NULL;
	node = mem_calloc(1, sizeof *node);
	snprintf(node->name, sizeof node->name, "%s", name);
	node->once = once;
	node->set = outbound;
	node->pause = OUTBOUND_FIRST_PAUSE_MS;
	node->next = outbound->first;
	outbound->first = node;
	peers_work(outbound->peers);
	return node;
}

/* The resolver cannot be told to forget a question, and its answer names the node: so a node that is being resolved
 * lives on, off the list, until the answer comes. */
void outbound_remove(struct outbound *outbound, struct outbound_peer *node)
{
	struct outbound_peer **node_link = &outbound->first;

	while (*node_link != node)
		node_link = &(*node_link)->next;
	*node_link = node->next;
	if (node->resolving)
		node->removed = true;
	else
		free(node);
}

/* No connection came of it, or it has ended. One that was to be tried once is forgotten. Twice as long each time, up to
 * a minute: a node that is down is not called all the time, and one that is back not missed for long. */
static void outbound_try_later(struct outbound_peer *node)
{
	if (node->once) {
		outbound_remove(node->set, node);
		return;
	}
	node->not_before = clock_mono_ms() + node->pause;
	node->pause = node->pause * 2 < OUTBOUND_LAST_PAUSE_MS ? node->pause * 2 : OUTBOUND_LAST_PAUSE_MS;
}

/* A connection that got as far as a handshake was worth having: tried again soon. One that misbehaved is left alone for
 * ten minutes; it was named by the operator, so it is never given up. */
void outbound_peer_gone(struct outbound *outbound, const struct peer *peer)
{
	for (struct outbound_peer *node = outbound->first; node; node = node->next) {
		if (node->peer != peer->id)
			continue;
		node->peer = 0;
		if (peer->punished)
			node->pause = OUTBOUND_PUNISHED_PAUSE_MS;
		else if (peer->ready)
			node->pause = OUTBOUND_FIRST_PAUSE_MS;
		outbound_try_later(node);
		return;
	}
}

/* By id, not by pointer: a peer that is gone is found by nobody, and its memory may be another's. */
static void outbound_connect(struct outbound_peer *node, const struct netaddr *address)
{
	struct outbound *outbound = node->set;
	struct peer *peer = NULL;

	if (outbound->may_connect(outbound->context, address))
		peer = peer_new(outbound->peers, node->once ? PEER_ONETRY : PEER_MANUAL, address, node->name, -1);
	if (peer != NULL)
		node->peer = peer->id;
	else
		outbound_try_later(node);
}

/* A name may have several addresses, of which some do not work from here: each attempt takes the next. */
static bool outbound_choose_address(const struct evutil_addrinfo *candidates, unsigned attempt, struct netaddr *address)
{
	unsigned count = 0;

	for (const struct evutil_addrinfo *candidate = candidates; candidate; candidate = candidate->ai_next)
		count++;
	for (unsigned skip = count ? attempt % count : 0; skip > 0; skip--)
		candidates = candidates->ai_next;
	return candidates != NULL && netaddr_from_sockaddr(address, candidates->ai_addr);
}

static void outbound_on_resolved(int result, struct evutil_addrinfo *found, void *context)
{
	struct outbound_peer *node = context;
	struct netaddr node_address;
	bool resolved = result == 0 && outbound_choose_address(found, node->attempt++, &node_address);
	char node_host[NETADDR_HOST];

	if (found != NULL)
		evutil_freeaddrinfo(found);
	node->resolving = false;
	if (node->removed) {
		free(node);
		return;
	}
	if (resolved) {
		netaddr_split(node->name, node->set->default_port, node_host, &node_address.port);
		outbound_connect(node, &node_address);
		return;
	}
	log_info("The name of node %s cannot be resolved: %s", node->name,
		result ? evutil_gai_strerror(result) : "no address");
	outbound_try_later(node);
}

static void outbound_resolve(struct outbound_peer *node)
{
	struct outbound *outbound = node->set;
	struct evutil_addrinfo resolver_hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	char node_host[NETADDR_HOST];
	uint16_t port;

	if (outbound->resolver == NULL)
		outbound->resolver = evdns_base_new(outbound->peers->base,
			EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (outbound->resolver == NULL) {
		log_warn("Names cannot be resolved: the system's resolver settings are not usable");
		outbound_try_later(node);
		return;
	}
	netaddr_split(node->name, outbound->default_port, node_host, &port);
	node->resolving = true;
	/* It may answer before it returns, and the node may be gone then. */
	evdns_getaddrinfo(outbound->resolver, node_host, NULL, &resolver_hints, outbound_on_resolved, node);
}

void outbound_tick(struct outbound *outbound, int64_t now)
{
	for (struct outbound_peer *node = outbound->first, *next; node; node = next) {
		struct netaddr node_address;

		/* Connecting may fail at once, which frees a node that was to be tried once. */
		next = node->next;
		if (node->peer || node->resolving || now < node->not_before)
			continue;
		if (netaddr_parse(&node_address, node->name, outbound->default_port))
			outbound_connect(node, &node_address);
		else
			outbound_resolve(node);
	}
}
