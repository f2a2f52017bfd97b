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

enum { DOOR_QUEUE = 128 };

static const struct timeval listeners_error_pause = { 1, 0 };

struct listeners {
	struct event_base *base;
	const char *name;
	listeners_entered *entered;
	void *context;
	struct evconnlistener **listeners;
	size_t count;
	bool open;            /* as the owner wishes */
	struct event *resume; /* pending: an error makes them pause */
	struct log_limit errors;
};

/* Switches all of them to what owner and errors allow. */
static void listeners_apply(struct listeners *doors)
{
	bool on = doors->open && !event_pending(doors->resume, EV_TIMEOUT, NULL);

	for (size_t i = 0; i < doors->count; i++) {
		if (on)
			evconnlistener_enable(doors->listeners[i]);
		else
			evconnlistener_disable(doors->listeners[i]);
	}
}

static void listeners_on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	listeners_apply(arg);
}

static void listeners_on_accept(struct evconnlistener *door, evutil_socket_t fd, struct sockaddr *from,
	int address_size, void *arg)
{
	struct listeners *doors = arg;

	(void)door;
	(void)address_size;
	doors->entered(doors->context, fd, from);
}

/* No descriptor left, most likely: the socket stays readable, and accepting again at once would take all of the
 * processor. */
static void listeners_on_error(struct evconnlistener *door, void *arg)
{
	struct listeners *doors = arg;
	const char *why = evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());

	(void)door;
	if (log_limit_allows(&doors->errors))
		log_warn("%s: a connection cannot be accepted: %s", doors->name, why);
	event_add(doors->resume, &listeners_error_pause);
	listeners_apply(doors);
}

struct listeners *listeners_new(struct event_base *base, const char *name, listeners_entered *entered, void *context)
{
	struct listeners *doors = mem_calloc(1, sizeof *doors);

	*doors = (struct listeners){ .base = base, .name = name, .entered = entered, .context = context, .open = true };
	doors->resume = mem_check(evtimer_new(base, listeners_on_resume, doors));
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
	struct evconnlistener *door;
	struct sockaddr_storage door_address;
	int address_size = sizeof door_address;
	in_port_t *door_port; /* of the port, in either kind of address */
	char door_text[64];

	if (evutil_parse_sockaddr_port(host, (struct sockaddr *)&door_address, &address_size) != 0)
		return errmsg_set(err, "%s is no address that %s can be bound to", host, doors->name);
	if (door_address.ss_family == AF_INET6) {
		evutil_inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&door_address)->sin6_addr, door_text,
			sizeof door_text);
		door_port = &((struct sockaddr_in6 *)&door_address)->sin6_port;
	} else {
		evutil_inet_ntop(AF_INET, &((struct sockaddr_in *)&door_address)->sin_addr, door_text,
			sizeof door_text);
		door_port = &((struct sockaddr_in *)&door_address)->sin_port;
	}
	if (*door_port == 0)
		*door_port = htons(port);
	port = ntohs(*door_port);
	door = evconnlistener_new_bind(doors->base, listeners_on_accept, doors,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, DOOR_QUEUE,
		(struct sockaddr *)&door_address, address_size);
	if (door == NULL)
		return errmsg_set(err, "%s cannot be bound to %s port %u: %s", doors->name, door_text, port,
			strerror(errno));
	evconnlistener_set_error_cb(door, listeners_on_error);
	doors->listeners = mem_realloc(doors->listeners, (doors->count + 1) * sizeof *doors->listeners);
	doors->listeners[doors->count++] = door;
	log_info("%s listens at %s port %u", doors->name, door_text, port);
	return true;
}

void listeners_set_open(struct listeners *doors, bool open)
{
	if (doors->open == open)
		return;
	doors->open = open;
	listeners_apply(doors);
}
