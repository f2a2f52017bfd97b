/* The sockets that a server listens on, and when they accept.
 *
 * libevent's own HTTP server takes every connection there is, until no descriptor is left, and then tries again without
 * end. Here whoever owns the doors can close them for a while; and when the system has no descriptor they pause by
 * themselves for a second. Everything is on the loop's thread. */
#ifndef ATELIER_HTTP_LISTENERS_H
#define ATELIER_HTTP_LISTENERS_H

#include <event2/util.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

struct listeners;
struct event_base;
struct sockaddr;

/* A connection: a non-blocking socket, which is the receiver's. */
typedef void listeners_entered(void *context, evutil_socket_t fd, const struct sockaddr *from);

/* name: what the log calls those who listen; borrowed. */
struct listeners *listeners_new(struct event_base *base, const char *name, listeners_entered *entered, void *context);
void listeners_free(struct listeners *doors); /* NULL allowed */

/* Listens on one address more; it may have a port of its own: "127.0.0.1:29432", "[::1]:1". */
bool listeners_bind(struct listeners *doors, const char *host, uint16_t port, struct errmsg *err);

/* Opens or closes them; those who come to closed ones wait in the system's queue. They begin open. */
void listeners_set_open(struct listeners *doors, bool open);

#endif
