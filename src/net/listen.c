/* Binding of the listening socket: one address, or every one that the machine has. */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/wire/netaddr.h"

static int bind_socket(const struct netaddr *address, bool every, struct errmsg *err)
{
	struct sockaddr_storage to;
	socklen_t size = netaddr_to_sockaddr(address, &to);
	char text[NETADDR_TEXT];
	int on = 1, off = 0;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	netaddr_format(address, text);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		(to.ss_family == AF_INET ||
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, every ? &off : &on, sizeof on) == 0) &&
		bind(fd, (struct sockaddr *)&to, size) == 0)
		return fd;
	errmsg_set(err, "Cannot listen on %s: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Every address: one IPv6 socket that takes IPv4 too, or an IPv4 one on a system without IPv6. */
int listen_socket(const char *bind_to, uint16_t port, struct errmsg *err)
{
	struct netaddr address = { .port = port };
	int fd;

	if (bind_to != NULL) {
		if (!netaddr_parse(&address, bind_to, port)) {
			errmsg_set(err, "Not an address to listen on: \"%s\"", bind_to);
			return -1;
		}
		return bind_socket(&address, false, err);
	}
	fd = bind_socket(&address, true, err);
	if (fd >= 0)
		return fd;
	address.ip[10] = address.ip[11] = 0xff;
	return bind_socket(&address, true, err);
}
