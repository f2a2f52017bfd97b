/* Who is at the other end of a connection: his address as text, whether he is on this machine, and his group, the
 * address for IPv4 and its /64 for IPv6, of which one person may have as many addresses as he likes. */
#ifndef ATELIER_HTTP_VISITOR_H
#define ATELIER_HTTP_VISITOR_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

struct visitor {
	char host[64];
	bool is_local;
	uint8_t group[9]; /* its first byte says of which kind */
};

/* Of an IPv4 or IPv6 address; one of IPv4 that is written as one of IPv6 counts as what it is. */
struct visitor visitor_of(const struct sockaddr *from);

bool visitor_is_neighbour(const struct visitor *visitor, const struct visitor *other); /* of the same group */

#endif
