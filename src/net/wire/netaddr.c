/* Text of addresses and back, subnets, groups. */
#include "net/wire/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* IPv4 lives inside IPv6 (RFC 4291): one form to compare, ban and store. */
static bool is_v4(const uint8_t ip[16])
{
	return memcmp(ip, v4_prefix, sizeof v4_prefix) == 0;
}

/* Digits alone, where strtoul takes signs and blanks too; five of them cannot overflow. */
static bool parse_number(const char *text, unsigned long max, unsigned long *value)
{
	size_t length = strspn(text, "0123456789");

	if (length == 0 || length > 5 || text[length] != 0)
		return false;
	*value = strtoul(text, NULL, 10);
	return *value <= max;
}

static bool parse_ip(uint8_t ip[16], const char *text)
{
	memcpy(ip, v4_prefix, sizeof v4_prefix);
	return inet_pton(AF_INET, text, ip + 12) == 1 || inet_pton(AF_INET6, text, ip) == 1;
}

/* Whether a resolver may be asked for it. */
static bool is_name(const char *host)
{
	return host[strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")] == 0;
}

/* Brackets part an address from its port, and so does a single colon; two colons are an IPv6 address without a port.
 * What stands in brackets or has a colon left must be a numeric address: no name has one. */
bool netaddr_split(const char *text, uint16_t default_port, char host[NETADDR_HOST], uint16_t *port)
{
	const char *start = text, *end = text + strlen(text), *colon = strrchr(text, ':');
	unsigned long number = default_port;
	uint8_t ip[16];

	if (*text == '[') {
		start++;
		end = strchr(text, ']');
		if (end == NULL || (end[1] != 0 && end[1] != ':'))
			return false;
		colon = end[1] ? end + 1 : NULL;
	} else if (colon != NULL && strchr(text, ':') != colon) {
		colon = NULL;
	} else if (colon != NULL) {
		end = colon;
	}
	if (colon != NULL && (!parse_number(colon + 1, 65535, &number) || number == 0))
		return false;
	if (start == end || (size_t)(end - start) >= NETADDR_HOST)
		return false;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = 0;
	*port = (uint16_t)number;
	return start > text || strchr(host, ':') != NULL ? parse_ip(ip, host) : is_name(host);
}

bool netaddr_parse(struct netaddr *address, const char *text, uint16_t default_port)
{
	char host[NETADDR_HOST];

	return netaddr_split(text, default_port, host, &address->port) && parse_ip(address->ip, host);
}

bool netaddr_parse_subnet(uint8_t ip[16], unsigned *prefix, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
	char host[NETADDR_TEXT];
	unsigned long bits;

	if (length >= sizeof host)
		return false;
	memcpy(host, text, length);
	host[length] = 0;
	if (!parse_ip(ip, host))
		return false;
	*prefix = 128;
	if (slash == NULL)
		return true;
	if (!parse_number(slash + 1, is_v4(ip) ? 32 : 128, &bits))
		return false;
	*prefix = (unsigned)bits + (is_v4(ip) ? 96 : 0);
	/* A subnet has one form, so that the same one is found however it was written. */
	for (unsigned bit = *prefix; bit < 128; bit++)
		ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	return true;
}

static void format_ip(const uint8_t ip[16], char out[INET6_ADDRSTRLEN])
{
	if (is_v4(ip))
		inet_ntop(AF_INET, ip + 12, out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, ip, out, INET6_ADDRSTRLEN);
}

void netaddr_format(const struct netaddr *address, char out[NETADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN];

	format_ip(address->ip, ip);
	snprintf(out, NETADDR_TEXT, is_v4(address->ip) ? "%s:%u" : "[%s]:%u", ip, address->port);
}

void netaddr_format_subnet(const uint8_t ip[16], unsigned prefix, char out[NETADDR_TEXT])
{
	char text[INET6_ADDRSTRLEN];

	format_ip(ip, text);
	snprintf(out, NETADDR_TEXT, "%s/%u", text, is_v4(ip) ? prefix - 96 : prefix);
}

bool netaddr_is_loopback(const struct netaddr *address)
{
	return is_v4(address->ip) ? address->ip[12] == 127 :
				    memcmp(address->ip, &in6addr_loopback, sizeof in6addr_loopback) == 0;
}

unsigned netaddr_group_prefix(const uint8_t group[16])
{
	return is_v4(group) ? 128 : 64;
}

/* A home or a rented server gets a whole /64, so an address of it says nothing; an IPv4 address costs money. */
void netaddr_group(const struct netaddr *address, uint8_t group[16])
{
	memset(group, 0, 16);
	memcpy(group, address->ip, netaddr_group_prefix(address->ip) / 8);
}

bool netaddr_same_group(const struct netaddr *a, const struct netaddr *b)
{
	uint8_t first[16], second[16];

	netaddr_group(a, first);
	netaddr_group(b, second);
	return memcmp(first, second, 16) == 0;
}

/* Whole bytes first, then the bits that are left of the next one; 0xff00 >> rest puts `rest` ones on top of a byte. */
bool netaddr_in_subnet(const struct netaddr *address, const uint8_t ip[16], unsigned prefix)
{
	unsigned whole = prefix / 8, rest = prefix % 8;

	if (memcmp(address->ip, ip, whole) != 0)
		return false;
	return rest == 0 || ((address->ip[whole] ^ ip[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

/* By memcpy: what the caller has may be aligned for another family. */
bool netaddr_from_sockaddr(struct netaddr *address, const struct sockaddr *from)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (from->sa_family == AF_INET) {
		memcpy(&v4, from, sizeof v4);
		memcpy(address->ip, v4_prefix, sizeof v4_prefix);
		memcpy(address->ip + 12, &v4.sin_addr, 4);
		address->port = ntohs(v4.sin_port);
		return true;
	}
	if (from->sa_family == AF_INET6) {
		memcpy(&v6, from, sizeof v6);
		memcpy(address->ip, &v6.sin6_addr, 16);
		address->port = ntohs(v6.sin6_port);
		return true;
	}
	return false;
}

socklen_t netaddr_to_sockaddr(const struct netaddr *address, struct sockaddr_storage *to)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(address->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(address->port) };

	memset(to, 0, sizeof *to);
	if (is_v4(address->ip)) {
		memcpy(&v4.sin_addr, address->ip + 12, 4);
		memcpy(to, &v4, sizeof v4);
		return sizeof v4;
	}
	memcpy(&v6.sin6_addr, address->ip, 16);
	memcpy(to, &v6, sizeof v6);
	return sizeof v6;
}
