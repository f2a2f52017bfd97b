/* Addresses of clients. */
#include "http/visitor.h"

#include <event2/util.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

enum { VISITOR_FOUR = 4, VISITOR_SIX = 6, VISITOR_MAPPED = 12 /* bytes before the address of IPv4 */ };

static struct visitor visitor_of_four(const uint8_t address[4])
{
	struct visitor visitor = { .is_local = address[0] == 127, .group = { VISITOR_FOUR } };

	evutil_inet_ntop(AF_INET, address, visitor.host, sizeof visitor.host);
	memcpy(visitor.group + 1, address, 4);
	return visitor;
}

struct visitor visitor_of(const struct sockaddr *from)
{
	const struct in6_addr *six = &((const struct sockaddr_in6 *)from)->sin6_addr;
	struct visitor visitor = { .group = { VISITOR_SIX } };

	if (from->sa_family != AF_INET6)
		return visitor_of_four((const uint8_t *)&((const struct sockaddr_in *)from)->sin_addr);
	if (IN6_IS_ADDR_V4MAPPED(six))
		return visitor_of_four(six->s6_addr + VISITOR_MAPPED);
	evutil_inet_ntop(AF_INET6, six, visitor.host, sizeof visitor.host);
	memcpy(visitor.group + 1, six->s6_addr, 8);
	visitor.is_local = IN6_IS_ADDR_LOOPBACK(six);
	return visitor;
}

bool visitor_is_neighbour(const struct visitor *visitor, const struct visitor *other)
{
	return memcmp(visitor->group, other->group, sizeof visitor->group) == 0;
}
