/* Network addresses: an IP address and a port, and the text of both. Numeric only: names are resolved by outbound.c.
 *
 * IPv4 addresses are kept as IPv6 (::ffff:a.b.c.d). Text is "1.2.3.4:8444" or "[::1]:8444". */
#ifndef ATELIER_NET_WIRE_NETADDR_H
#define ATELIER_NET_WIRE_NETADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { NETADDR_TEXT = 64, NETADDR_HOST = 254 };

struct netaddr {
	uint8_t ip[16];
	uint16_t port;
};

/* Splits "host", "host:port", "[v6]", "[v6]:port" or a bare "v6"; false if it is none of these or the port is not 1 to
 * 65535. */
bool netaddr_split(const char *text, uint16_t default_port, char host[NETADDR_HOST], uint16_t *port);

/* As netaddr_split where host is numeric; false otherwise. */
bool netaddr_parse(struct netaddr *address, const char *text, uint16_t default_port);

/* "ip" or "ip/prefix"; the prefix counts bits of the 128 (an IPv4 prefix gets 96 added). Bits behind it become zero. */
bool netaddr_parse_subnet(uint8_t ip[16], unsigned *prefix, const char *text);
void netaddr_format(const struct netaddr *address, char out[NETADDR_TEXT]);
void netaddr_format_subnet(const uint8_t ip[16], unsigned prefix, char out[NETADDR_TEXT]);

bool netaddr_is_loopback(const struct netaddr *address);
/* What is most likely one holder's: an IPv4 address, or one IPv6 /64 (whose other bits are zero). What strangers may
 * have of something scarce is counted by that. */
void netaddr_group(const struct netaddr *address, uint8_t group[16]);
/* What is most likely one provider's: an IPv4 /16, an IPv6 /32. Its other bits are zero. */
void netaddr_network(const struct netaddr *address, uint8_t network[16]);
unsigned netaddr_group_prefix(const uint8_t group[16]); /* bits of the 128 */
bool netaddr_same_group(const struct netaddr *address, const struct netaddr *other);
bool netaddr_in_subnet(const struct netaddr *address, const uint8_t ip[16], unsigned prefix);

/* False for other families than IPv4 and IPv6. */
bool netaddr_from_sockaddr(struct netaddr *address, const struct sockaddr *from);
socklen_t netaddr_to_sockaddr(const struct netaddr *address, struct sockaddr_storage *to);

#endif
