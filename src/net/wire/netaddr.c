/* Text of addresses and back, subnets, groups. */
#include "net/wire/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t netaddr_v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* IPv4 lives inside IPv6 (RFC 4291): one form to compare, ban and store. */
static bool netaddr_is_v4(const uint8_t ip[16])
{
	return memcmp(ip, netaddr_v4_prefix, sizeof netaddr_v4_prefix) == 0;
}

/* Digits alone, where strtoul takes signs and blanks too; five of them cannot overflow. */
static bool netaddr_parse_number(const char *port_text, unsigned long max, unsigned long *value)
{
	size_t digit_count = strspn(port_text, "0123456789");

	if (digit_count == 0 || digit_count > 5 || port_text[digit_count] != 0)
		return false;
	*value = strtoul(port_text, NULL, 10);
	return *value <= max;
}

static bool netaddr_parse_ip(uint8_t ip[16], const char *text)
{
	memcpy(ip, netaddr_v4_prefix, sizeof netaddr_v4_prefix);
	return inet_pton(AF_INET, text, ip + 12) == 1 || inet_pton(AF_INET6, text, ip) == 1;
}

/* Whether a resolver may be asked for it. */
static bool netaddr_is_name(const char *host)
{
	return host[strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")] == 0;
}

/* Brackets part an address from its port, and so does a single colon; two colons are an IPv6 address without a port.
 * What stands in brackets or has a colon left must be a numeric address: no name has one. */
bool netaddr_split(const char *text, uint16_t default_port, char host[NETADDR_HOST], uint16_t *port)
{
	const char *host_start = text, *host_end = text + strlen(text), *colon = strrchr(text, ':');
	unsigned long port_number = default_port;
	uint8_t ip[16];

	if (*text == '[') {
		host_start++;
		host_end = strchr(text, ']');
		if (host_end == NULL || (host_end[1] != 0 && host_end[1] != ':'))
			return false;
		colon = host_end[1] ? host_end + 1 : NULL;
	} else if (colon != NULL && strchr(text, ':') != colon) {
		colon = NULL;
	} else if (colon != NULL) {
		host_end = colon;
	}
	if (colon != NULL && (!netaddr_parse_number(colon + 1, 65535, &port_number) || port_number == 0))
		return false;
	if (host_start == host_end || (size_t)(host_end - host_start) >= NETADDR_HOST)
		return false;
	memcpy(host, host_start, (size_t)(host_end - host_start));
	host[host_end - host_start] = 0;
	*port = (uint16_t)port_number;
	return host_start > text || strchr(host, ':') != NULL ? netaddr_parse_ip(ip, host) : netaddr_is_name(host);
}

bool netaddr_parse(struct netaddr *address, const char *text, uint16_t default_port)
{
	char host[NETADDR_HOST];

	return netaddr_split(text, default_port, host, &address->port) && netaddr_parse_ip(address->ip, host);
}

bool netaddr_parse_subnet(uint8_t ip[16], unsigned *prefix, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t host_length = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char host[NETADDR_TEXT];
	unsigned long prefix_bits;

	if (host_length >= sizeof host)
		return false;
	memcpy(host, text, host_length);
	host[host_length] = 0;
	if (!netaddr_parse_ip(ip, host))
		return false;
	*prefix = 128;
	if (slash == NULL)
		return true;
	if (!netaddr_parse_number(slash + 1, netaddr_is_v4(ip) ? 32 : 128, &prefix_bits))
		return false;
	*prefix = (unsigned)prefix_bits + (netaddr_is_v4(ip) ? 96 : 0);
	/* A subnet has one form, so that the same one is found however it was written. */
	for (unsigned bit = *prefix; bit < 128; bit++)
		ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	return true;
}

static void netaddr_format_ip(const uint8_t ip[16], char out[INET6_ADDRSTRLEN])
{
	if (netaddr_is_v4(ip))
		inet_ntop(AF_INET, ip + 12, out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, ip, out, INET6_ADDRSTRLEN);
}

void netaddr_format(const struct netaddr *address, char out[NETADDR_TEXT])
{
	char ip_text[INET6_ADDRSTRLEN];

	netaddr_format_ip(address->ip, ip_text);
	snprintf(out, NETADDR_TEXT, netaddr_is_v4(address->ip) ? "%s:%u" : "[%s]:%u", ip_text, address->port);
}

void netaddr_format_subnet(const uint8_t ip[16], unsigned prefix, char out[NETADDR_TEXT])
{
	char ip_text[INET6_ADDRSTRLEN];

	netaddr_format_ip(ip, ip_text);
	snprintf(out, NETADDR_TEXT, "%s/%u", ip_text, netaddr_is_v4(ip) ? prefix - 96 : prefix);
}

bool netaddr_is_loopback(const struct netaddr *address)
{
	return netaddr_is_v4(address->ip) ? address->ip[12] == 127 :
					    memcmp(address->ip, &in6addr_loopback, sizeof in6addr_loopback) == 0;
}

unsigned netaddr_group_prefix(const uint8_t group[16])
{
	return netaddr_is_v4(group) ? 128 : 64;
}

/* A home or a rented server gets a whole /64, so an address of it says nothing; an IPv4 address costs money. */
void netaddr_group(const struct netaddr *address, uint8_t group[16])
{
	memset(group, 0, 16);
	memcpy(group, address->ip, netaddr_group_prefix(address->ip) / 8);
}

void netaddr_network(const struct netaddr *address, uint8_t network[16])
{
	memset(network, 0, 16);
	memcpy(network, address->ip, netaddr_is_v4(address->ip) ? 14 : 4);
}

bool netaddr_same_group(const struct netaddr *address, const struct netaddr *other)
{
	uint8_t address_group[16], other_group[16];

	netaddr_group(address, address_group);
	netaddr_group(other, other_group);
	return memcmp(address_group, other_group, 16) == 0;
}

/* Whole bytes first, then the bits that are left of the next one; 0xff00 >> rest_bits puts so many ones on top of a
 * byte. */
bool netaddr_in_subnet(const struct netaddr *address, const uint8_t ip[16], unsigned prefix)
{
	unsigned whole_bytes = prefix / 8, rest_bits = prefix % 8;

	if (memcmp(address->ip, ip, whole_bytes) != 0)
		return false;
	return rest_bits == 0 || ((address->ip[whole_bytes] ^ ip[whole_bytes]) & (0xff00u >> rest_bits) & 0xff) == 0;
}

/* By memcpy: what the caller has may be aligned for another family. */
bool netaddr_from_sockaddr(struct netaddr *address, const struct sockaddr *from)
{
	struct sockaddr_in address_v4;
	struct sockaddr_in6 address_v6;

	if (from->sa_family == AF_INET) {
		memcpy(&address_v4, from, sizeof address_v4);
		memcpy(address->ip, netaddr_v4_prefix, sizeof netaddr_v4_prefix);
		memcpy(address->ip + 12, &address_v4.sin_addr, 4);
		address->port = ntohs(address_v4.sin_port);
		return true;
	}
	if (from->sa_family == AF_INET6) {
		memcpy(&address_v6, from, sizeof address_v6);
		memcpy(address->ip, &address_v6.sin6_addr, 16);
		address->port = ntohs(address_v6.sin6_port);
		return true;
	}
	return false;
}

socklen_t netaddr_to_sockaddr(const struct netaddr *address, struct sockaddr_storage *to)
{
	struct sockaddr_in address_v4 = { .sin_family = AF_INET, .sin_port = htons(address->port) };
	struct sockaddr_in6 address_v6 = { .sin6_family = AF_INET6, .sin6_port = htons(address->port) };

	memset(to, 0, sizeof *to);
	if (netaddr_is_v4(address->ip)) {
		memcpy(&address_v4.sin_addr, address->ip + 12, 4);
		memcpy(to, &address_v4, sizeof address_v4);
		return sizeof address_v4;
	}
	memcpy(&address_v6.sin6_addr, address->ip, 16);
	memcpy(to, &address_v6, sizeof address_v6);
	return sizeof address_v6;
}
