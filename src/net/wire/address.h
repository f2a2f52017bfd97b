/* Network addresses: an IP address and a port, and the text of both. Numeric only: names are resolved by net.c.
 *
 * IPv4 addresses are kept as IPv6 (::ffff:a.b.c.d). Text is "1.2.3.4:8444" or "[::1]:8444". */
#ifndef ATELIER_NET_WIRE_ADDRESS_H
#define ATELIER_NET_WIRE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT = 64, HOST_TEXT = 254 };

struct address {
	uint8_t ip[16];
	uint16_t port;
};

/* Splits "host", "host:port", "[v6]", "[v6]:port" or a bare "v6"; false if it is none of these or the port is not 1 to
 * 65535. */
bool address_split(const char *text, uint16_t default_port, char host[HOST_TEXT], uint16_t *port);

/* As address_split where host is numeric; false otherwise. */
bool address_parse(struct address *address, const char *text, uint16_t default_port);

/* "ip" or "ip/prefix"; the prefix counts bits of the 128 (an IPv4 prefix gets 96 added). Bits behind it become zero. */
bool address_parse_subnet(uint8_t ip[16], unsigned *prefix, const char *text);
void address_format(const struct address *address, char out[ADDRESS_TEXT]);
void address_format_subnet(const uint8_t ip[16], unsigned prefix, char out[ADDRESS_TEXT]);

bool address_is_loopback(const struct address *address);
/* What is most likely one holder's: an IPv4 address, or one IPv6 /64 (whose other bits are zero). What strangers may
 * have of something scarce is counted by that. */
void address_group(const struct address *address, uint8_t group[16]);
unsigned address_group_prefix(const uint8_t group[16]); /* bits of the 128 */
bool address_same_group(const struct address *a, const struct address *b);
bool address_in_subnet(const struct address *address, const uint8_t ip[16], unsigned prefix);

/* False for other families than IPv4 and IPv6. */
bool address_from_sockaddr(struct address *address, const struct sockaddr *from);
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *to);

#endif
