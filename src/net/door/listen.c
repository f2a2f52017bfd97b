/* Binding of the listening socket (one address, or every one that the machine has), and accepting.
 *
 * Where nothing can be accepted, most likely no file descriptor is left. Then the listener rests for LISTEN_PAUSE_MS,
 * for libevent would try again at once, for ever; who waits in the queue meanwhile waits. */
#include "net/door/listen.h"

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

enum { LISTEN_QUEUE = 64, LISTEN_PAUSE_MS = 1000 };

struct listen {
	struct evconnlistener *listener;
	void (*accepted)(void *context, int fd, const struct netaddr *from);
	void *context;
	uint16_t port;
	int64_t rests_until; /* clock_mono_ms; 0: it does not rest */
	struct log_limit failures;
	bool told; /* the log says that nothing can be accepted */
};

static int listen_bind_socket(const struct netaddr *address, bool every, struct errmsg *err)
{
	struct sockaddr_storage listen_address;
	socklen_t address_size = netaddr_to_sockaddr(address, &listen_address);
	char address_text[NETADDR_TEXT];
	int option_on = 1, option_off = 0;
	int listen_fd = socket(listen_address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	netaddr_format(address, address_text);
	if (listen_fd >= 0 && setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &option_on, sizeof option_on) == 0 &&
		(listen_address.ss_family == AF_INET ||
			setsockopt(listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, every ? &option_off : &option_on,
				sizeof option_on) == 0) &&
		bind(listen_fd, (struct sockaddr *)&listen_address, address_size) == 0)
		return listen_fd;
	errmsg_set(err, "Cannot listen on %s: %s", address_text, strerror(errno));
	if (listen_fd >= 0)
		close(listen_fd);
	return -1;
}

/* Every address: one IPv6 socket that takes IPv4 too, or an IPv4 one on a system without IPv6. */
static int listen_socket(const char *bind_to, uint16_t port, struct errmsg *err)
{
	struct netaddr address = { .port = port };
	int listen_fd;

	if (bind_to != NULL) {
		if (!netaddr_parse(&address, bind_to, port)) {
			errmsg_set(err, "Not an address to listen on: \"%s\"", bind_to);
			return -1;
		}
		return listen_bind_socket(&address, false, err);
	}
	listen_fd = listen_bind_socket(&address, true, err);
	if (listen_fd >= 0)
		return listen_fd;
	/* 0.0.0.0, as IPv6 writes it. */
	address.ip[10] = address.ip[11] = 0xff;
	return listen_bind_socket(&address, true, err);
}

static void listen_on_accept(struct evconnlistener *listen_wire, evutil_socket_t fd, struct sockaddr *from, int size,
	void *context)
{
	struct listen *listener = context;
	struct netaddr from_address;

	(void)listen_wire;
	(void)size;
	if (listener->told)
		log_info("Connections are accepted again");
	listener->told = false;
	if (netaddr_from_sockaddr(&from_address, from)) {
		listener->accepted(listener->context, fd, &from_address);
		return;
	}
	log_debug(LOG_NET, "A connection is refused: unknown address family");
	evutil_closesocket(fd);
}

static void listen_on_error(struct evconnlistener *listen_wire, void *context)
{
	struct listen *listener = context;
	const char *failure = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());

	if (log_limit_allows(&listener->failures)) {
		log_warn("Connections cannot be accepted now, and wait: %s", failure);
		listener->told = true;
	}
	evconnlistener_disable(listen_wire);
	listener->rests_until = clock_mono_ms() + LISTEN_PAUSE_MS;
}

/* Port 0 was any that is free; this is the one it became. */
static bool listen_note_port(struct listen *listener, int listen_fd, struct errmsg *err)
{
	struct sockaddr_storage bound_end;
	socklen_t bound_size = sizeof bound_end;
	struct netaddr bound_address;
	char bound_text[NETADDR_TEXT];

	if (getsockname(listen_fd, (struct sockaddr *)&bound_end, &bound_size) != 0 ||
		!netaddr_from_sockaddr(&bound_address, (struct sockaddr *)&bound_end))
		return errmsg_set(err, "Cannot tell the port that was bound: %s", strerror(errno));
	listener->port = bound_address.port;
	netaddr_format(&bound_address, bound_text);
	log_info("Listening for peers on %s", bound_text);
	return true;
}

struct listen *listen_open(struct event_base *base, const char *bind_to, uint16_t port,
	void (*accepted)(void *context, int listen_fd, const struct netaddr *from), void *context, struct errmsg *err)
{
	int listen_fd = listen_socket(bind_to, port, err);
	struct listen *listener;

	if (listen_fd < 0)
		return NULL;
	listener = mem_calloc(1, sizeof *listener);
	listener->accepted = accepted;
	listener->context = context;
	listener->listener = evconnlistener_new(base, listen_on_accept, listener,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, LISTEN_QUEUE, listen_fd);
	if (listener->listener == NULL) {
		errmsg_set(err, "Cannot listen: %s", strerror(errno));
		close(listen_fd);
		free(listener);
		return NULL;
	}
	evconnlistener_set_error_cb(listener->listener, listen_on_error);
	if (listen_note_port(listener, listen_fd, err))
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
