/* The socket for connections from outside, and what comes of it: connected sockets, with the address they came from. */
#ifndef ATELIER_NET_DOOR_LISTEN_H
#define ATELIER_NET_DOOR_LISTEN_H

#include <event2/event.h>

#include "net/wire/netaddr.h"
#include "util/error.h"

struct listen;

/* NULL: it cannot. `bind_to` is a numeric address, with a port of its own or not; NULL: every address of the machine.
 * Port 0: any that is free. The socket that `accepted` is given is the callee's, to keep or to close. */
struct listen *listen_open(struct event_base *base, const char *bind_to, uint16_t port,
	void (*accepted)(void *context, int fd, const struct netaddr *from), void *context, struct errmsg *err);
void listen_close(struct listen *listener);

uint16_t listen_port(const struct listen *listener); /* that it is bound to */

/* To be called every now and then: goes on after a pause. */
void listen_tick(struct listen *listener, int64_t now);

#endif
