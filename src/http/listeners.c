/* Listening sockets: opened and closed all together, and paused where the system has no descriptor. */
#include "http/listeners.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/mem.h"

enum { QUEUE = 128 };

static const struct timeval pause_after_error = { 1, 0 };

struct listeners {
	struct event_base *base;
	listeners_entered *entered;
	void *context;
	struct evconnlistener **listeners;
	size_t count;
	bool open;            /* as the owner wishes */
	struct event *resume; /* pending: an error makes them pause */
	struct log_limit errors;
};

/* Switches all of them to what owner and errors allow. */
static void apply_state(struct listeners *doors)
{
	bool on = doors->open && !event_pending(doors->resume, EV_TIMEOUT, NULL);

	for (size_t i = 0; i < doors->count; i++) {
		if (on)
			evconnlistener_enable(doors->listeners[i]);
		else
			evconnlistener_disable(doors->listeners[i]);
	}
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	apply_state(arg);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int size, void *arg)
{
	struct listeners *doors = arg;

	(void)listener;
	(void)size;
	doors->entered(doors->context, fd, from);
}

/* No descriptor left, most likely: the socket stays readable, and accepting again at once would take all of the
 * processor. */
static void on_error(struct evconnlistener *listener, void *arg)
{
	struct listeners *doors = arg;
	const char *why = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());

	(void)listener;
	if (log_limit_allows(&doors->errors))
		log_warn("An RPC connection cannot be accepted: %s", why);
	event_add(doors->resume, &pause_after_error);
	apply_state(doors);
}

struct listeners *listeners_new(struct event_base *base, listeners_entered *entered, void *context)
{
	struct listeners *doors = mem_calloc(1, sizeof *doors);

	*doors = (struct listeners){ .base = base, .entered = entered, .context = context, .open = true };
	doors->resume = mem_check(evtimer_new(base, on_resume, doors));
	return doors;
}

void listeners_free(struct listeners *doors)
{
	if (doors == NULL)
		return;
	for (size_t i = 0; i < doors->count; i++)
		evconnlistener_free(doors->listeners[i]);
	event_free(doors->resume);
	free(doors->listeners);
	free(doors);
}

bool listeners_bind(struct listeners *doors, const char *host, uint16_t port, struct errmsg *err)
{
	struct evconnlistener *listener;
	struct sockaddr_storage address;
	int size = sizeof address;
	in_port_t *place; /* of the port, in either kind of address */
	char text[64];

	if (evutil_parse_sockaddr_port(host, (struct sockaddr *)&address, &size) != 0)
		return errmsg_set(err, "%s is no address that RPC can be bound to", host);
	if (address.ss_family == AF_INET6) {
		evutil_inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, text, sizeof text);
		place = &((struct sockaddr_in6 *)&address)->sin6_port;
	} else {
		evutil_inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, text, sizeof text);
		place = &((struct sockaddr_in *)&address)->sin_port;
	}
	if (*place == 0)
		*place = htons(port);
	port = ntohs(*place);
	listener = evconnlistener_new_bind(doors->base, on_accept, doors,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, QUEUE, (struct sockaddr *)&address,
		size);
	if (listener == NULL)
		return errmsg_set(err, "RPC cannot be bound to %s port %u: %s", text, port, strerror(errno));
	evconnlistener_set_error_cb(listener, on_error);
	doors->listeners = mem_realloc(doors->listeners, (doors->count + 1) * sizeof *doors->listeners);
	doors->listeners[doors->count++] = listener;
	log_info("RPC listens at %s port %u", text, port);
	return true;
}

void listeners_set_open(struct listeners *doors, bool open)
{
	if (doors->open == open)
		return;
	doors->open = open;
	apply_state(doors);
}
