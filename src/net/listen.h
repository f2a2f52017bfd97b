/* The socket for connections from outside. */
#ifndef ATELIER_NET_LISTEN_H
#define ATELIER_NET_LISTEN_H

#include <stdint.h>

#include "util/error.h"

/* A bound, non-blocking socket, not listening yet, or -1. `bind_to` is a numeric address, with a port of its own or
 * not; NULL: every address of the machine. Port 0: any that is free. */
int listen_socket(const char *bind_to, uint16_t port, struct errmsg *err);

#endif
