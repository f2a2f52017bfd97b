/* Binding of the listening socket (one address, or every one that the machine has), and accepting.
 *
 * Where nothing can be accepted, most likely no file descriptor is left. Then the listener rests for ACCEPT_PAUSE_MS,
 * for libevent would try again at once, for ever; who waits in the queue meanwhile waits. */
#include "net/listen.h"

#include <errno.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

enum { LISTEN_QUEUE = 64, ACCEPT_PAUSE_MS = 1000 };

struct listen {
	struct evconnlistener *listener;
	void (*accepted)(void *context, int fd, const struct netaddr *from);
	void *context;
	uint16_t port;
	int64_t rests_until; /* clock_mono_ms; 0: it does not rest */
	struct log_limit failures;
	bool told; /* the log says that nothing can be accepted */
};

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
static int listen_socket(const char *bind_to, uint16_t port, struct errmsg *err)
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
	/* 0.0.0.0, as IPv6 writes it. */
	address.ip[10] = address.ip[11] = 0xff;
	return bind_socket(&address, true, err);
}

static void on_accept(struct evconnlistener *wire, evutil_socket_t fd, struct sockaddr *from, int size, void *context)
{
	struct listen *listener = context;
	struct netaddr address;

	(void)wire;
	(void)size;
	if (listener->told)
		log_info("Connections are accepted again");
	listener->told = false;
	if (netaddr_from_sockaddr(&address, from)) {
		listener->accepted(listener->context, fd, &address);
		return;
	}
	log_debug(LOG_NET, "A connection is refused: unknown address family");
	evutil_closesocket(fd);
}

static void on_accept_error(struct evconnlistener *wire, void *context)
{
	struct listen *listener = context;
	const char *why = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());

	if (log_limit_allows(&listener->failures)) {
		log_warn("Connections cannot be accepted now, and wait: %s", why);
		listener->told = true;
	}
	evconnlistener_disable(wire);
	listener->rests_until = clock_mono_ms() + ACCEPT_PAUSE_MS;
}

/* Port 0 was any that is free; this is the one it became. */
static bool note_port(struct listen *listener, int fd, struct errmsg *err)
{
	struct sockaddr_storage end;
	socklen_t size = sizeof end;
	struct netaddr address;
	char text[NETADDR_TEXT];

	if (getsockname(fd, (struct sockaddr *)&end, &size) != 0 ||
		!netaddr_from_sockaddr(&address, (struct sockaddr *)&end))
		return errmsg_set(err, "Cannot tell the port that was bound: %s", strerror(errno));
	listener->port = address.port;
	netaddr_format(&address, text);
	log_info("Listening for peers on %s", text);
	return true;
}

struct listen *listen_open(struct event_base *base, const char *bind_to, uint16_t port,
	void (*accepted)(void *context, int fd, const struct netaddr *from), void *context, struct errmsg *err)
{
	int fd = listen_socket(bind_to, port, err);
	struct listen *listener;

	if (fd < 0)
		return NULL;
	listener = mem_calloc(1, sizeof *listener);
	listener->accepted = accepted;
	listener->context = context;
	listener->listener = evconnlistener_new(base, on_accept, listener,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, LISTEN_QUEUE, fd);
	if (listener->listener == NULL) {
		errmsg_set(err, "Cannot listen: %s", strerror(errno));
		close(fd);
		free(listener);
		return NULL;
	}
	evconnlistener_set_error_cb(listener->listener, on_accept_error);
	if (note_port(listener, fd, err))
		return listener;
	listen_close(listener);
	return NULL;
}

void listen_close(struct listen *listener)
{
	evconnlistener_free(listener->listener);
	free(listener);
}

uint16_t listen_port(const struct listen *listener)
{
	return listener->port;
}

void listen_tick(struct listen *listener, int64_t now)
{
	if (listener->rests_until == 0 || now < listener->rests_until)
		return;
	listener->rests_until = 0;
	evconnlistener_enable(listener->listener);
}
