/* One POST over HTTP, for atelier-cli. Blocks. */
#ifndef ATELIER_HTTP_CLIENT_H
#define ATELIER_HTTP_CLIENT_H

#include <stdint.h>

#include "util/buf.h"
#include "util/error.h"

struct client_target {
	const char *host; /* name or address */
	uint16_t port;
	const char *credentials; /* "user:password", as in the cookie file */
	const char *path;        /* "/" */
	const char *type;        /* the body's Content-Type */
	unsigned timeout;        /* seconds without an answer; 0: no limit */
};

enum client_result {
	CLIENT_OK,          /* an answer is there; its HTTP status may still tell of an error */
	CLIENT_UNREACHABLE, /* nobody listens: may come to be */
	CLIENT_FAILED,      /* wrong credentials, no answer in time, an answer that is none */
};

/* Sends a body and appends the answer's to out. */
enum client_result client_call(const struct client_target *target, const void *body, size_t size, int *status,
	struct buf *out, struct errmsg *err);

#endif
