/* Addresses this node does not talk to: banned by the operator, or discouraged after a false proof. In memory only.
 *
 * Discouraged is an address group, IPv6 by /64. 127.0.0.1 and ::1 are never discouraged: from there come this machine's
 * own programs, and proxies with all who use them. Times are clock_wall seconds. */
#ifndef ATELIER_NET_DOOR_BAN_H
#define ATELIER_NET_DOOR_BAN_H

#include "net/wire/netaddr.h"

struct ban {
	uint8_t ip[16];
	unsigned prefix; /* bits of the 128 */
	int64_t created, until;
	bool discouraged; /* by this node, not by its operator */
};

struct ban_list {
	struct ban *bans; /* owned */
	size_t count, cap;
};

enum { BAN_MAX = 10000, BAN_DEFAULT_SECONDS = 86400 };

void ban_init(struct ban_list *ban_list);
void ban_clear(struct ban_list *ban_list);

/* A subnet that is there already gets the new times. With BAN_MAX entries the one that ends first makes room. */
void ban_add(struct ban_list *ban_list, const struct ban *ban);
bool ban_remove(struct ban_list *ban_list, const uint8_t ip[16], unsigned prefix); /* false: not there */
const struct ban *ban_find(struct ban_list *ban_list, const uint8_t ip[16], unsigned prefix, int64_t now);

/* Whether the operator has banned this subnet, or (prefix 128) any around the address. Forgets what is over. */
bool ban_given(struct ban_list *ban_list, const uint8_t ip[16], unsigned prefix, int64_t now);

/* Forgets what is over, then says whether the address is on the list. */
bool ban_covers(struct ban_list *ban_list, const struct netaddr *address, int64_t now);

/* Discourages an address group for a day. False: it is this machine's own, which is not done. */
bool ban_discourage(struct ban_list *ban_list, const uint8_t group[16], int64_t now);

#endif
